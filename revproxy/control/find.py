"""Which proxy is meant: the one that runs, unless there are several.

A socket is believed where only root, this user, or a service's own user could have put it. Whoever listens there is
asked what it is; a process that ends anyway is passed over where another one serves, as after an upgrade.
"""

from __future__ import annotations

import argparse
import errno
import glob
import os
import socket
import stat
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import attrs

from revproxy.admin.place import SUFFIX, SYSTEM_FOLDER, flaw_of, folders
from revproxy.control.client import UNUSABLE, Admin, Refused, Unreachable
from revproxy.control.words import visible

INSTANCES: Final = f"{SYSTEM_FOLDER}-*"
"""Folders of instances under systemd."""
SYSTEM: Final = "/run/"
"""Below it only root, and whom root lets, can make anything."""
LOOK_TIME: Final = 3.0
"""Seconds that a process has to say what it is."""


class SeveralRunning(Unreachable):
    """More than one could be meant; the text lists them."""

    code = UNUSABLE


@attrs.frozen
class Found:
    """A process that listens, and what it says of itself."""

    path: str
    pid: int = 0
    file: str | None = None
    state: str = ""
    answers: bool = False

    @property
    def ends(self) -> bool:
        """Whether it will be gone soon, or is not there yet."""
        return self.state in ("draining", "starting")

    def __str__(self) -> str:
        if not self.answers:
            return f"{visible(self.path)}: it gives no answer"
        file = visible(self.file) if self.file else "started without a file"
        return f"--socket {visible(self.path)}  (process {self.pid}, {file}, {visible(self.state)})"


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
    """The admin interface of the proxy that is meant. Raises Unreachable (SeveralRunning), which says what to do.

    :param path: of the control socket, where it was said.
    :param config: the file that the proxy was started with, where it was said.
    :param among: gives the folders to look in, for tests.
    """
    if path is not None:
        return Admin(path)
    uid = os.geteuid() if uid is None else uid
    looked = among() if among is not None else places(os.environ if environment is None else environment, uid)
    live, reasons = _live(looked, uid)
    if config is not None:
        return _with_file(config, live, looked, reasons)
    if len(live) == 1:
        return Admin(live[0])
    if live:
        return _only(list(map(_look, live)))
    raise Unreachable(f"no running proxy was found (looked in {', '.join(looked)}){_listed(reasons)}")


def places(environment: Mapping[str, str], uid: int) -> list[str]:
    """The folders in which a proxy that this user may speak with can have its socket."""
    system = [SYSTEM_FOLDER, *sorted(glob.glob(INSTANCES))]
    found = folders(environment, uid)
    return list(dict.fromkeys([*found[:-1], *system, found[-1]]))


def _with_file(config: str, live: list[str], looked: list[str], reasons: list[str]) -> Admin:
    seen = list(map(_look, live))
    wanted = os.path.realpath(config)
    fitting = [each for each in seen if each.file is not None and os.path.realpath(each.file) == wanted]
    if fitting:
        return _only(fitting)
    configured, unread = _configured(config)
    if configured is not None:
        return Admin(configured)
    others = [str(each) for each in seen]
    where = f"(looked in {', '.join(looked)})" if not others else "; there are:"
    text = f"no running proxy was started with {visible(config)}{'' if others else ' '}{where}"
    raise Unreachable(text + _listed([*others, *reasons, *unread]))


def _only(found: list[Found]) -> Admin:
    """The one of several that stays. Raises SeveralRunning."""
    staying = [each for each in found if not each.ends] or found
    if len(staying) == 1:
        return Admin(staying[0].path)
    lines = _listed(list(map(str, staying)))
    raise SeveralRunning(f"several are running; say which, by --socket or --config:{lines}")


def _listed(lines: list[str]) -> str:
    return "".join(f"\n  {line}" for line in lines)


def _live(looked: list[str], uid: int) -> tuple[list[str], list[str]]:
    """The sockets at which somebody listens, and why others can't be used."""
    live, reasons = [], []
    for folder in looked:
        sockets = list(_sockets(folder))
        flaw = _folder_flaw(folder, uid) if sockets else ""
        if flaw:
            reasons.append(f"{visible(folder)}: {flaw}: what is in it is not believed")
            continue
        for path in sockets:
            flaw = _flaw(path)
            if not flaw:
                live.append(path)
            elif flaw != "dead":
                reasons.append(f"{visible(path)}: {flaw}")
    return live, reasons


def _sockets(folder: str) -> Iterator[str]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        path = os.path.join(folder, name)
        try:
            if name.endswith(SUFFIX) and stat.S_ISSOCK(os.lstat(path).st_mode):
                yield path
        except OSError:
            continue


def _folder_flaw(folder: str, uid: int) -> str:
    """Why what is in a folder could be anybody's."""
    try:
        owner = os.lstat(folder).st_uid if folder.startswith(SYSTEM) else uid
    except OSError as reason:
        return reason.strerror or str(reason)
    return flaw_of(folder, owner)


def _flaw(path: str) -> str:
    """Why a socket can't be used: "dead" where nobody listens; empty if it can."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(LOOK_TIME)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return "dead"
        except BlockingIOError:
            # Its queue is full: somebody listens, and is busy.
            return ""
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM):
                return "it is another user's (root may use it)"
            return error.strerror or str(error)
    return ""


def _configured(config: str) -> tuple[str | None, list[str]]:
    """The socket that the configuration file itself names, or why it can't be read. Raises Unreachable for ``off``."""
    from revproxy.config.load import examine

    examined = examine(config)
    if examined.config is None:
        return None, [visible(str(mistake)) for mistake in examined.mistakes if not mistake.warning]
    name = examined.config.control.socket
    if name == "off":
        raise Unreachable(f'{visible(config)}: control.socket is "off": that proxy listens to signals alone')
    return name, []


def _look(path: str) -> Found:
    try:
        status = Admin(path, LOOK_TIME).ask("GET", "/status")
        config = status["config"]
        file = config["file"]
        return Found(path, int(status["pid"]), None if file is None else str(file), str(status["state"]), answers=True)
    except (Refused, Unreachable, LookupError, TypeError, ValueError):
        return Found(path)
