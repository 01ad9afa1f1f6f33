"""Which proxy is meant: the one that runs, unless there are several."""

from __future__ import annotations

import argparse
import errno
import glob
import os
import socket
import stat
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from revproxy.admin.place import SUFFIX, SYSTEM_FOLDER, folders
from revproxy.control.client import Admin, Refused, Unreachable

INSTANCES: Final = f"{SYSTEM_FOLDER}-*"
"""Folders of instances under systemd."""
CONNECT_TIME: Final = 2.0


def add_arguments(tool: argparse.ArgumentParser) -> None:
    """The arguments that say which proxy."""
    which = tool.add_argument_group("which proxy, where several run")
    which.add_argument("--socket", metavar="PATH", help="its control socket")
    which.add_argument("--config", metavar="FILE", help="the configuration that it was started with")


def finder(arguments: argparse.Namespace) -> Callable[[], Admin]:
    """Looks for the proxy that the arguments mean, each time anew: another process may have taken its place."""
    return lambda: find(arguments.socket, arguments.config)


def find(
    path: str | None = None,
    config: str | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    uid: int | None = None,
    among: Callable[[], list[str]] | None = None,
) -> Admin:
    """The admin interface of the proxy that is meant. Raises Unreachable, which says what to do.

    :param path: of the control socket, where it was said.
    :param config: the file that the proxy was started with, where it was said.
    :param among: gives the folders to look in, for tests.
    """
    if path is not None:
        return Admin(path)
    if config is not None:
        configured = _configured(config)
        if configured is not None:
            return Admin(configured)
    environment = os.environ if environment is None else environment
    uid = os.geteuid() if uid is None else uid
    looked = among() if among is not None else places(environment, uid)
    live, closed = [], []
    for name in candidates(looked):
        flaw = _flaw(name)
        if not flaw:
            live.append(name)
        elif flaw != "dead":
            closed.append(f"{name}: {flaw}")
    if config is not None:
        live = [name for name in live if _file_of(name) == os.path.abspath(config)]
    if len(live) == 1:
        return Admin(live[0])
    if live:
        lines = "".join(f"\n  {_described(name)}" for name in live)
        raise Unreachable(f"several are running; say which, by --socket or --config:{lines}")
    what = f"no running proxy has the configuration {config}" if config is not None else "no running proxy was found"
    reasons = "".join(f"\n  {each}" for each in closed)
    raise Unreachable(f"{what} (looked in {', '.join(looked)}){reasons}")


def places(environment: Mapping[str, str], uid: int) -> list[str]:
    """The folders in which a proxy that this user may speak with can have its socket."""
    system = [SYSTEM_FOLDER, *sorted(glob.glob(INSTANCES))]
    found = folders(environment, uid)
    return list(dict.fromkeys([*found[:-1], *system, found[-1]]))


def candidates(looked: list[str]) -> Iterator[str]:
    """The sockets in these folders."""
    for folder in looked:
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        for name in names:
            path = os.path.join(folder, name)
            if not name.endswith(SUFFIX):
                continue
            try:
                is_socket = stat.S_ISSOCK(os.lstat(path).st_mode)
            except OSError:
                continue
            # Anybody may make a folder in /tmp: what is answered there must be our own, or root's.
            if is_socket and os.lstat(folder).st_uid in _trusted(folder):
                yield path


def _trusted(folder: str) -> set[int]:
    own = {0, os.geteuid()}
    # In the system's folders only root, and whom root lets, can make anything.
    return own | ({os.lstat(folder).st_uid} if folder.startswith("/run/") else set())


def _flaw(path: str) -> str:
    """Why a socket can't be used: "dead" where nobody listens; empty if it can."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(CONNECT_TIME)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return "dead"
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM):
                return "it is another user's (root may use it)"
            return error.strerror or str(error)
    return ""


def _configured(config: str) -> str | None:
    """The socket that the configuration file itself names. Raises Unreachable for ``off``."""
    from revproxy.config.load import examine

    examined = examine(config)
    name = examined.config.control.socket if examined.config is not None else None
    if name == "off":
        raise Unreachable(f'{config}: control.socket is "off": that proxy listens to signals alone')
    return name


def _status(path: str) -> dict[str, Any]:
    try:
        status = Admin(path).ask("GET", "/status")
    except (Refused, Unreachable):
        return {}
    return status if isinstance(status, dict) else {}


def _file_of(path: str) -> str | None:
    file = (_status(path).get("config") or {}).get("file")
    return str(file) if file else None


def _described(path: str) -> str:
    status = _status(path)
    file = (status.get("config") or {}).get("file") or "started with --to"
    return f"--socket {path}  (process {status.get('pid', '?')}, {file})"
