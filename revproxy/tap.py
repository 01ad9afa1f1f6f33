"""``twistd revproxy``: its options, and the service they ask for.

Whatever is wrong with the configuration is said in full on standard error and ends with exit code 2, before anything
has been started: twistd itself would print the usage and exit with 0.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import attrs
from twisted.application.service import IService
from twisted.python import usage

import twisted
from revproxy._version import VERSION
from revproxy.config.model import Config
from revproxy.errors import ConfigError
from revproxy.service.origin import Origin
from revproxy.wire import reactor as lean_reactor

if TYPE_CHECKING:
    from revproxy.service.event_log import EventLog

UNUSABLE = 2


class Options(usage.Options):
    """What can be said on the command line."""

    synopsis = "[--to URL ... [--listen ADDRESS ...] | --config FILE]"
    longdesc = (
        "A reverse proxy. With --to, every request goes to that server (or is spread over several). "
        "With --config, a TOML or Python file says what is served; 'revproxy check FILE' examines one."
    )
    optParameters: ClassVar = [
        ["config", "c", None, "Configuration file (TOML, or Python that defines 'config')."],
        ["access-log", None, None, "Access log: a file, '-' for standard output, 'off' for none."],
        ["log-format", None, None, "Form of its lines: 'combined' or 'json'."],
    ]
    compData = usage.Completions(optActions={"config": usage.CompleteFiles(), "access-log": usage.CompleteFiles()})

    def __init__(self) -> None:
        super().__init__()
        self["to"] = []
        self["listen"] = []
        # The plugin's options are the first of our code that runs, and the reactor is not chosen yet.
        lean_reactor.install()

    def opt_to(self, url: str) -> None:
        """Server to send requests to: http://host:port or unix:/path. May be given several times."""
        self["to"].append(url)

    def opt_listen(self, address: str) -> None:
        """Address to listen on: :8080 (the default), 127.0.0.1:8080, [::1]:8080, unix:/path or systemd:NAME. May be
        repeated."""
        self["listen"].append(address)

    def opt_version(self) -> NoReturn:
        """Print the versions of revproxy and of Twisted, and end."""
        print(f"revproxy {VERSION}, Twisted {twisted.__version__}")
        raise SystemExit(0)

    opt_t = opt_to
    opt_l = opt_listen

    def parseOptions(self, options: Any = None) -> None:
        """Reads the command line; twistd would answer a mistake with the whole usage, on standard output."""
        try:
            super().parseOptions(options)
        except usage.UsageError as mistake:
            _stop(f"revproxy: {mistake} (--help tells what there is)")

    def parseArgs(self, *words: str) -> None:
        """Nothing is said without an option."""
        if words:
            raise usage.UsageError(f"{words[0]!r} belongs to no option")

    def postOptions(self) -> None:
        """Reads the configuration, so that its mistakes end the program at once."""
        if self["config"] and self["to"]:
            _stop("revproxy: --to and --config exclude each other: put the server into the file")
        if not self["config"] and not self["to"]:
            _stop("revproxy: say what to serve: --to http://127.0.0.1:8000, or --config FILE (--help tells more)")
        try:
            self["loaded"] = self._load()
        except ConfigError as mistakes:
            _stop(str(mistakes))

    def _load(self) -> Config:
        origin = Origin(
            self["config"], tuple(self["to"]), tuple(self["listen"]), self["access-log"], self["log-format"]
        )
        if origin.file:
            # When it is read again, the process may be in another folder.
            self["origin"] = attrs.evolve(origin, file=os.path.abspath(origin.file))
        else:
            self["origin"] = origin
        return origin.config(origin.source())


def makeService(options: Options) -> IService:
    """The service that was asked for, its sockets bound."""
    from twisted.internet import reactor

    from revproxy.explain.orders import Explaining
    from revproxy.service import privileges
    from revproxy.service.inherited import restored
    from revproxy.service.proxy import ProxyService

    try:
        service = ProxyService(
            options["loaded"],
            reactor,
            restored(os.environ),
            origin=options["origin"],
            plugged=[Explaining(options["origin"]).plug],
            twistd=options.parent,
        )
    except ConfigError as mistake:
        _stop(f"{options['config'] or 'revproxy'}: {mistake}")
    service.observer = _event_log(options, reactor)
    for log in (service.access_log, service.observer):
        privileges.give_log(log, privileges.new_identity(options.parent))
    reactor.callWhenRunning(_end_on_signals, reactor)
    reactor.callWhenRunning(privileges.warn, options["loaded"])
    return service


def _event_log(options: Options, reactor: Any) -> EventLog | None:
    """The log of events; None where twistd is to choose."""
    from revproxy.service.event_log import open_event_log

    if options.parent is None:
        return None
    try:
        return open_event_log(options["loaded"].log, reactor, twistd=options.parent, environment=os.environ)
    except ConfigError as mistake:
        _stop(f"{options['config'] or 'revproxy'}: {mistake}")


def _end_on_signals(reactor: Any) -> None:
    """SIGTERM and SIGINT end the program in order, with exit code 0; twistd's own way is to die by the signal in the
    end, which a supervisor may take for a failure. A second one, while exchanges are still ending, ends it at once."""

    def end(number: int, frame: Any) -> None:
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, signal.SIG_DFL)
        reactor.callFromThread(reactor.stop)

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, end)


def _stop(text: str) -> NoReturn:
    # Not before it is needed: what it imports would choose the reactor.
    from revproxy.service.upgrade import report_failure

    sys.stdout.flush()
    report_failure(os.environ, text)
    print(text, file=sys.__stderr__, flush=True)
    raise SystemExit(UNUSABLE)


