"""``revproxy install-systemd``: writes the units for the installation that it runs from."""

from __future__ import annotations

import argparse
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from revproxy.service.units import files

OK = 0
FAILED = 1

DESCRIPTION = """\
Write units for systemd, and a snippet for logrotate, with the paths of this installation. Files that are there and say
something else are left alone, and then nothing is written at all. Exit codes: 0 written (or there already), 1 not
written, 2 the command line can't be used.
"""
NEXT = """\
Next:
  1. write /etc/revproxy/revproxy.toml, and examine it: revproxy check /etc/revproxy/revproxy.toml
  2. systemctl daemon-reload
  3. systemctl enable --now revproxy.service
     or, for listeners "systemd:http" and "systemd:https":
     systemctl enable --now revproxy.socket revproxy-tls.socket revproxy.service
"""


def add_arguments(tool: argparse.ArgumentParser) -> None:
    """What it is told."""
    tool.description = DESCRIPTION
    tool.add_argument("--dry-run", action="store_true", help="print what would be written, and write nothing")
    tool.add_argument("--force", action="store_true", help="replace files that say something else")
    tool.add_argument("--root", metavar="DIR", help="write below this folder instead of /, for packages and images")
    tool.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the tool and returns the exit code."""
    # Not resolved: in a virtual environment the interpreter is a link to the system's, and twistd lies beside the link.
    folder = Path(os.path.abspath(sys.executable)).parent
    try:
        written = files(str(folder))
    except ValueError as mistake:
        return _failed(str(mistake))
    if arguments.dry_run:
        for warning in _obstacles(folder):
            print(f"revproxy: {warning}", file=sys.stderr)
        print("\n".join(f"# {path}\n\n{text}" for path, text in written.items()), end="")
        return OK
    if arguments.root is None and os.geteuid() != 0:
        return _failed("only root can write to /etc: run it with sudo, or see what it would write with --dry-run")
    obstacle = next(_obstacles(folder), None)
    if obstacle is not None:
        return _failed(obstacle)
    top = Path(arguments.root or "/")
    targets = {top / path.lstrip("/"): text for path, text in written.items()}
    try:
        changed = [path for path, text in targets.items() if not _says(path, text)]
        edited = [path for path in changed if os.path.lexists(path)]
        if edited and not arguments.force:
            names = ", ".join(map(str, edited))
            return _failed(f"{names}: there already and different; nothing was written (--force replaces them)")
        for path in changed:
            _write(path, targets[path])
    except OSError as reason:
        return _failed(f"{reason.filename}: {reason.strerror}")
    for path in targets:
        print(f"{path}: {'written' if path in changed else 'is there already'}")
    print(NEXT, end="")
    return OK


def _failed(text: str) -> int:
    print(f"revproxy: {text}", file=sys.stderr)
    return FAILED


def _obstacles(folder: Path) -> Iterator[str]:
    """Why the service could not start the programs."""
    if not (folder / "twistd").is_file():
        yield f"there is no twistd in {folder}, beside the Python that runs this"
    for place in (folder, *folder.parents):
        if not place.stat().st_mode & stat.S_IXOTH:
            yield (
                f"the service's user can't go to {place} (chmod o+x), where the programs are; install into a folder"
                " like /opt/revproxy"
            )


def _says(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() == text.encode("ascii")
    except FileNotFoundError:
        return False


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_text(text, "ascii")
        new.chmod(0o644)
        os.replace(new, path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
