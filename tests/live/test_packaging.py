"""What a user gets: the sdist and the wheel are complete, and either, installed elsewhere, proxies a request."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from revproxy import __version__
from tests.demo.process import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).resolve().parents[2]
PATIENCE = 30.0
# An environment in which nothing but the installed package can be found.
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """What ``command`` printed; it must succeed."""
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=CLEAN, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


# What lies about in a folder that is worked in; only for where git cannot tell.
LITTER = {".git", ".venv", "__pycache__", "build", "dist", "txrevproxy.egg-info", ".mypy_cache", ".ruff_cache"}
LITTER |= {".pytest_cache", ".hypothesis"}


@functools.cache
def source_files() -> tuple[str, ...]:
    """What belongs to the source: all that git tracks or would; in an unpacked sdist, all that is no litter."""
    if (CHECKOUT / ".git").exists() and shutil.which("git"):
        # CI may run as another user than the one that made the checkout.
        git = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = run(*git, cwd=CHECKOUT).split("\0")
    else:
        paths = (path.relative_to(CHECKOUT) for path in CHECKOUT.rglob("*"))
        names = [str(path) for path in paths if not LITTER.intersection(path.parts)]
    return tuple(name for name in names if name and (CHECKOUT / name).is_file())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from it."""
    source, results = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in source_files():
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((CHECKOUT / name).read_bytes())
    # Without further words this builds the sdist, and the wheel from what the sdist contains.
    run(sys.executable, "-m", "build", "--outdir", results, source, cwd=results)
    return results


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    [found] = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def sdist(built: Path) -> Path:
    [found] = built.glob("*.tar.gz")
    return found


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` of a new environment with the wheel, and nothing but what the wheel asks for."""
    place = tmp_path_factory.mktemp("installed")
    # Not every Debian has ensurepip; the pip that is here can install there.
    run(sys.executable, "-m", "venv", "--without-pip", place)
    install(place / "bin", wheel)
    return place / "bin"


def install(programs: Path, package: Path, *options: str) -> None:
    pip = [sys.executable, "-m", "pip", "--python", str(programs / "python"), "--disable-pip-version-check"]
    run(*pip, "install", "--quiet", *options, package, cwd=programs)


def tracked(folder: str, *endings: str) -> set[str]:
    return {name for name in source_files() if name.startswith(folder) and name.endswith(endings)}


def test_the_wheel_has_the_package_the_plugin_and_the_pages_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    metadata = f"txrevproxy-{__version__}.dist-info/"
    code = {name for name in names if not name.startswith(metadata)}
    manual = f"txrevproxy-{__version__}.data/data/share/man/man1/revproxy.1"
    assert code == tracked("revproxy/", "") | {"twisted/plugins/revproxy_plugin.py", manual}
    assert {"revproxy/py.typed", "revproxy/demo/pages/home.html", "revproxy/demo/static/demo.css"} <= code
    assert any(name.startswith(metadata) and name.endswith("LICENSE") for name in names)


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"txrevproxy-{__version__}.dist-info/METADATA").decode()
    head, _, description = text.partition("\n\n")
    assert f"\nVersion: {__version__}\n" in head and "\nRequires-Python: >=3.10" in head
    assert "\nDescription-Content-Type: text/x-rst" in head
    assert "revproxy" in description, "the README is the description"


def test_the_sdist_has_everything_to_build_and_to_test(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"README.rst", "LICENSE", "CHANGELOG.rst", "Makefile", "setup.cfg", "pyproject.toml", "mypy.ini"}
    wanted |= tracked("revproxy/", "") | tracked("twisted/", "") | tracked("tests/", "")
    wanted |= tracked("docs/", "") | tracked("examples/", "")
    assert wanted - names == set()
    assert not any(name.endswith((".pyc", "dropin.cache")) for name in names)


def test_the_installed_wheel_is_found_by_twistd(programs: Path, tmp_path: Path) -> None:
    listed = run(programs / "twistd", "--help", cwd=tmp_path)
    assert any(line.split()[:1] == ["revproxy"] for line in listed.splitlines()), listed


def test_the_installed_wheel_brings_its_console_script(programs: Path, tmp_path: Path) -> None:
    assert __version__ in run(programs / "revproxy", "--version", cwd=tmp_path)


def test_the_installed_wheel_brings_its_man_page(programs: Path) -> None:
    page = programs.parent / "share" / "man" / "man1" / "revproxy.1"
    assert page.read_bytes() == (CHECKOUT / "docs" / "revproxy.1").read_bytes()


def test_without_its_extra_the_demo_says_what_is_missing(programs: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [programs / "python", "-m", "revproxy.demo"],
        cwd=tmp_path,
        env=CLEAN,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert "txrevproxy[demo]" in done.stderr and "Traceback" not in done.stderr


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing: pytest's output is for results."""


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[str]:
    """The standard library's file server, with one file."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "hello.txt").write_text("hello from behind\n")
    serve = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def fetch(url: str, process: subprocess.Popen[str]) -> str:
    """The answer's body, as soon as somebody listens; fails at once if the process has ended."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            pytest.fail(f"{url}: {error} {error.read()!r}")
        except urllib.error.URLError as error:
            if process.poll() is not None:
                pytest.fail(f"the proxy ended with {process.returncode}:\n{process.communicate()[0]}")
            assert time.monotonic() < deadline, error
            time.sleep(0.1)


def proxy_a_request(programs: Path, backend: str, folder: Path) -> None:
    """Start the installed ``twistd revproxy``, fetch a file through it, and end it."""
    address = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [programs / "twistd", "-n", "--pidfile=", "revproxy", "--to", backend, "--listen", address],
        cwd=folder,
        env=CLEAN,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert fetch(f"http://{address}/hello.txt", process) == "hello from behind\n"
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=PATIENCE)
        assert "Traceback" not in output, output
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_the_installed_wheel_proxies_a_request(programs: Path, backend: str, tmp_path: Path) -> None:
    proxy_a_request(programs, backend, tmp_path)


def test_the_installed_sdist_proxies_a_request(programs: Path, sdist: Path, backend: str, tmp_path: Path) -> None:
    # Last of all, into the same environment: what it depends on is there already.
    install(programs, sdist, "--force-reinstall", "--no-deps")
    listed = run(programs / "twistd", "--help", cwd=tmp_path)
    assert any(line.split()[:1] == ["revproxy"] for line in listed.splitlines()), listed
    proxy_a_request(programs, backend, tmp_path)
