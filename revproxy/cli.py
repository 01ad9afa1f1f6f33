"""The small tools beside ``twistd``. For a configuration: ``revproxy check FILE``, ``routes FILE``, ``explain URL``,
``purge``, ``ca``, ``install-systemd``, ``schema``. For the running proxy: ``status``, ``reload``, ``rollback``,
``drain``, ``upgrade``, ``top``, ``tail``, ``dashboard``.

Exit codes: 0 all is well, 1 what was asked for could not be done (no proxy is running, the server gave no answer, the
folder can't be written), 2 the configuration or the command line can't be used.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from revproxy._version import VERSION
from revproxy.config.listing import Row, listing
from revproxy.config.load import Examination, examine
from revproxy.config.mistakes import Mistake
from revproxy.config.model import Config, TLSOptions
from revproxy.config.schema import schema
from revproxy.config.table import text as table_of_limits
from revproxy.control import commands, completion, dashboard, tail, top
from revproxy.control.find import add_arguments as add_which
from revproxy.control.find import finder
from revproxy.errors import ConfigError
from revproxy.explain.arguments import add_explain, add_purge
from revproxy.service.install import add_arguments as add_install

OK = 0
UNUSABLE = 2

_COLUMNS = ("LISTENERS", "HOST", "METHODS", "PATH", "TARGET", "FLAGS")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one tool with the arguments (the process's own if there are none) and returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a letter gets an escape instead of a traceback.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else UNUSABLE
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (``| head``) has seen enough; Python's last flush must not complain about it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="revproxy",
        description='Tools for the configuration. The proxy itself runs as "twistd -n revproxy --config FILE".',
    )
    parser.add_argument("--version", action="version", version=f"revproxy {VERSION}")
    tools = parser.add_subparsers(metavar="TOOL", required=True)
    for name, run, help in (
        ("check", _check, "say everything that is wrong with a configuration"),
        ("routes", _routes, "show what goes where, the longest path first"),
    ):
        tool = tools.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}.")
        tool.add_argument("file", metavar="FILE", help="the configuration: TOML, or Python (.py)")
        tool.add_argument("--json", action="store_true", help="print JSON, for programs")
        tool.set_defaults(run=run)
    tool = tools.add_parser(
        "ca", help="say where the internal authority's root is, and how to trust it", description=_CA_DESCRIPTION
    )
    tool.add_argument("file", metavar="FILE", nargs="?", help="the configuration, which may set tls.state")
    tool.add_argument("--pem", action="store_true", help="print the root's certificate alone")
    tool.set_defaults(run=_ca)
    add_explain(tools.add_parser("explain", help="say what happens to a request, what is cached and why"), _explain)
    add_purge(tools.add_parser("purge", help="remove stored responses from the folder of the cache"), _purge)
    add_install(tools.add_parser("install-systemd", help="write units for systemd, with this installation's paths"))
    _add_control(tools)
    tool = tools.add_parser("schema", help="print the JSON Schema of the configuration")
    tool.set_defaults(run=_schema)
    tool = tools.add_parser("completion", help="print what makes a shell complete these words")
    completion.add_arguments(tool)
    tool.set_defaults(run=lambda arguments: completion.run(arguments, _parser()))
    # Without help text it is left out of the list: it is for those who write the documentation.
    tools.add_parser("limits-table").set_defaults(run=_limits_table)
    return parser


def _add_control(tools: Any) -> None:
    """What is said to the running proxy."""
    for name in commands.NAMES:
        tool = tools.add_parser(name, help=commands.help_of(name))
        commands.add_arguments(name, tool)
        add_which(tool)
        tool.set_defaults(run=_ordering(name))
    for name, module, help in (
        ("top", top, "show rates, times, servers and requests in the terminal, each second"),
        ("tail", tail, "print a line for each request as it ends"),
        ("dashboard", dashboard, "open the running proxy's page in a browser"),
    ):
        tool = tools.add_parser(name, help=help)
        module.add_arguments(tool)
        add_which(tool)
        tool.set_defaults(run=_showing(module))


def _ordering(name: str) -> Any:
    return lambda arguments: commands.run(name, arguments, finder(arguments))


def _showing(module: Any) -> Any:
    return lambda arguments: module.run(arguments, finder(arguments))


def _certificate_mistakes(config: Config) -> Iterable[Mistake]:
    """Imports what reads certificates only where there are some: it takes longer than all else that a tool does."""
    if not any(listener.tls for listener in config.listeners):
        return ()
    from revproxy.certificates.checks import check_certificates

    return check_certificates(config)


def _check(arguments: argparse.Namespace) -> int:
    examination = examine(arguments.file, [_certificate_mistakes])
    if arguments.json:
        _print_json(_check_result(arguments.file, examination))
    else:
        for mistake in examination.mistakes:
            print(mistake)
        if examination.config is not None:
            print(f"{arguments.file}: ok: {_summary(examination.config)}")
        elif len(examination.mistakes) > 1:
            print(f"{arguments.file}: {_counted(examination.mistakes)}")
    return OK if examination.config is not None else UNUSABLE


def _routes(arguments: argparse.Namespace) -> int:
    examination = examine(arguments.file, [_certificate_mistakes])
    config = examination.config
    if arguments.json:
        result = _check_result(arguments.file, examination)
        if config is not None:
            result["routes"] = [attrs.asdict(row) for row in listing(config)]
        _print_json(result)
    else:
        for mistake in examination.mistakes:
            print(mistake, file=sys.stderr)
        if config is not None:
            print(_aligned([_COLUMNS, *map(_cells, listing(config))]))
    return OK if config is not None else UNUSABLE


_CA_DESCRIPTION = (
    "Say where the root of the internal authority (tls.internal = true) is, and how to make a machine trust it. It is"
    " made if it is not there yet."
)


def _ca(arguments: argparse.Namespace) -> int:
    from revproxy.certificates.authority import open_authority
    from revproxy.certificates.state import state_folder
    from revproxy.certificates.trust import root_pem, trust_text

    options = TLSOptions()
    if arguments.file is not None:
        examination = examine(arguments.file)
        if examination.config is None:
            for mistake in examination.mistakes:
                print(mistake, file=sys.stderr)
            return UNUSABLE
        options = examination.config.tls
    try:
        authority = open_authority(state_folder(options), time.time())
    except ConfigError as mistake:
        print(mistake, file=sys.stderr)
        return UNUSABLE
    sys.stdout.write(root_pem(authority) if arguments.pem else trust_text(authority))
    return OK


def _explain(arguments: argparse.Namespace) -> int:
    if arguments.config is None:
        from revproxy.control.explaining import run as ask_running

        return ask_running(arguments, finder(arguments))
    config = _config(arguments.config)
    if config is None:
        return UNUSABLE
    from revproxy.explain.tool import run

    return run(arguments, config)


def _purge(arguments: argparse.Namespace) -> int:
    config = _config(arguments.config)
    if config is None:
        return UNUSABLE
    from revproxy.explain.purge import run

    return run(arguments, config)


def _config(file: str) -> Config | None:
    """The configuration; where it can't be used, everything that is wrong is printed."""
    examination = examine(file, [_certificate_mistakes])
    if examination.config is None:
        for mistake in examination.mistakes:
            print(mistake, file=sys.stderr)
    return examination.config


def _schema(_: argparse.Namespace) -> int:
    _print_json(schema())
    return OK


def _limits_table(_: argparse.Namespace) -> int:
    sys.stdout.write(table_of_limits())
    return OK


def _check_result(file: str, examination: Examination) -> dict[str, Any]:
    return {
        "file": file,
        "ok": examination.config is not None,
        "mistakes": [_as_json(mistake) for mistake in examination.mistakes],
    }


def _as_json(mistake: Mistake) -> dict[str, Any]:
    place = mistake.place
    return {
        "file": mistake.file,
        "line": place.line if place else None,
        "column": place.column or None if place else None,
        "key": mistake.key,
        "text": mistake.text,
        "warning": mistake.warning,
    }


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))


def _cells(row: Row) -> tuple[str, ...]:
    methods = ",".join(row.methods) or "any"
    return (",".join(row.listeners), row.host, methods, row.path, row.target, " ".join(row.flags))


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def _summary(config: Config) -> str:
    routes = sum(len(site.routes) for site in config.sites)
    counts = [
        _count(len(config.listeners), "listener"),
        _count(len(config.sites), "site"),
        _count(routes, "route"),
        _count(len(config.upstreams), "upstream"),
    ]
    return ", ".join(counts)


def _counted(mistakes: Sequence[Mistake]) -> str:
    warnings = sum(mistake.warning for mistake in mistakes)
    text = _count(len(mistakes) - warnings, "mistake")
    return f"{text}, {_count(warnings, 'warning')}" if warnings else text


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


if __name__ == "__main__":
    sys.exit(main())
