"""Ourselves, from this checkout or from another revision: the configuration of each group, and how it is started."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from benchmarks.launching import Launch, MissingError, Place

CHECKOUT = Path(__file__).resolve().parent.parent
Store = Literal["none", "memory", "tiered", "disk"]
"""Where cached routes keep responses: nowhere (they are not cached), in memory, in memory before a folder, in the
folder alone."""


def twistd() -> str:
    return str(Path(sys.executable).with_name("twistd"))


def environment(checkout: Path) -> dict[str, str]:
    """What makes Python and ``twistd`` find the package and the plugin of this checkout, whichever is installed."""
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(checkout), os.environ.get("PYTHONPATH", ""))))}


def _asked(argv: tuple[str, ...], checkout: Path) -> str:
    """What a program of the checkout prints; MissingError where it fails."""
    shown = " ".join((Path(argv[0]).name, *argv[1:])).partition("\n")[0]
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=checkout,
            env={**os.environ, **environment(checkout)},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingError(f'"{shown}" cannot be run: {error}') from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise MissingError(f'"{shown}" fails: ' + "".join(said))
    return done.stdout


def configuration(place: Place, store: Store, workers: int) -> str:
    """Everything on; all load comes from one address and on few connections, and only what counts those is raised."""
    listener, tables, cached = "", "", ""
    if place.certificate is not None:
        listener = "\ntls = true"
        tables = f'\n[tls]\ncertificates = ["{place.certificate.chain.parent}"]\nocsp_stapling = false\n'
    if store != "none":
        cached = "\n  cache = true"
        tables += '\n[cache]\nmemory = "256MiB"\n'
        if store != "memory":
            tables += f'folder = "{place.folder}/cache"\ndisk = "1GiB"\n'
    return f"""
workers = {workers}

[[listener]]
address = "127.0.0.1:{place.listen}"{listener}

[limits]
connections = 20000
connections_per_address = 20000
requests_per_connection = 1000000000

[access_log]
path = "{place.folder}/access.log"
{tables}
[[site]]
hosts = ["*"]

  [[site.route]]
  path = "/"
  proxy = "origin"{cached}

[upstream.origin]
servers = ["http://127.0.0.1:{place.origin}"]
connections_per_server = 1024
idle_connections = 1024
"""


def ours(place: Place, *, store: Store = "none", workers: int = 1, checkout: Path = CHECKOUT) -> Launch:
    if "--config" not in _asked((twistd(), "revproxy", "--help"), checkout):
        raise MissingError('"twistd revproxy --help" knows no --config')
    found = _asked((sys.executable, "-c", "import revproxy; print(revproxy.__file__)"), checkout).strip()
    if not Path(found).is_relative_to(checkout):
        raise MissingError(f"{found} would be measured, which is not in {checkout}")
    path = place.folder / "revproxy.toml"
    path.write_text(configuration(place, store, workers))
    program: tuple[str, ...] = (twistd(),)
    if store == "disk":
        program = (sys.executable, str(CHECKOUT / "benchmarks" / "proxies" / "disk_alone.py"))
    argv = (*program, "-n", "--pidfile=", "revproxy", "--config", str(path))
    return Launch(argv, env=environment(checkout), cwd=checkout)


def git(*words: str, checkout: Path | None = None) -> str:
    """What git says of a checkout, ours if none is named; MissingError, with its words, where it fails."""
    argv = ("git", "-C", str(checkout or CHECKOUT), *words)
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except OSError as error:
        raise MissingError(f"git cannot be run: {error}") from None
    if done.returncode != 0:
        raise MissingError(f"git {words[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def version() -> str:
    """The version's number, and where the checkout stands if it is one."""
    import revproxy._version

    stands = ""
    with suppress(MissingError):
        stands = f" ({git('describe', '--always', '--dirty')})"
    return f"revproxy {revproxy._version.VERSION}{stands}, Python {sys.version.partition(' ')[0]}"


def revision_version(revision: str, checkout: Path) -> str:
    """What the revision's name stood for when it was checked out."""
    return f"{revision} is {git('rev-parse', '--short', 'HEAD', checkout=checkout)}"


@contextmanager
def worktree(revision: str, folder: Path) -> Iterator[Path]:
    """A checkout of another revision in ``folder``, which must not be there; gone afterwards.

    Raises MissingError where there is no such revision.
    """
    commit = git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    try:
        git("worktree", "add", "--detach", str(folder), commit)
        yield folder.resolve()
    finally:
        # Also what is there only in part, because somebody did not want to wait.
        shutil.rmtree(folder, ignore_errors=True)
        git("worktree", "prune")
