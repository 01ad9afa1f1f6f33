"""What ``revproxy explain`` and ``revproxy purge`` are told. Imports nothing that takes time."""

from __future__ import annotations

import argparse
from collections.abc import Callable

Run = Callable[[argparse.Namespace], int]

_EXPLAIN = """\
Say in plain words what the proxy does with a request: the listener, whom it believes, the site, each route with the
first condition that failed, the server, what is sent on and what comes back, the cache's decisions and the limits, each
with the file's line, the section of the RFC, and how to change it. With --config it is led through that file; without,
through the running proxy as it is now. A request that happened is named by its id (X-Request-ID, the access log, an
error page). Exit codes: 0 explained, 1 no proxy is running, or it does not know the id, or the server gave no answer
(--fetch), 2 the configuration or the command line can't be used.
"""
_EXAMPLES = """\
examples:
  revproxy explain http://example.com/a --config revproxy.toml
  revproxy explain POST https://example.com/a -H 'Content-Length: 10' --from 203.0.113.7
  revproxy explain bae98d5a61831d36e4f34f0000000001
  revproxy explain http://example.com/a -R 'Cache-Control: max-age=60' -R 'Set-Cookie: a=b' --config revproxy.toml
  revproxy explain http://example.com/a --fetch --config revproxy.toml
  curl -si http://127.0.0.1:8000/a | revproxy explain http://example.com/a --response - --config revproxy.toml
"""
_PURGE = """\
Remove responses from the folder of the cache (cache.folder). Running processes see it at their next look-up, and
forget what they have of it in memory. Exit codes: 0 done, 1 the folder can't be written, 2 the configuration or the
command line can't be used.
"""


def add_explain(tool: argparse.ArgumentParser, run: Run) -> None:
    """The arguments of ``explain``."""
    tool.description = _EXPLAIN
    tool.epilog = _EXAMPLES
    tool.formatter_class = argparse.RawDescriptionHelpFormatter
    tool.usage = (
        "revproxy explain [METHOD] URL [--config FILE] [-H 'Name: value']... [--from ADDRESS] [-R 'Name: value']...\n"
        "       revproxy explain ID"
    )
    tool.add_argument(
        "words", metavar="[METHOD] URL | ID", nargs="+", help="GET where no method is named; or the id of a request"
    )
    tool.add_argument(
        "--config", metavar="FILE", help="a configuration: TOML, or Python (.py); without it the running proxy is asked"
    )
    tool.add_argument("--socket", metavar="PATH", help="the running proxy's control socket, where several run")
    tool.add_argument(
        "-H", "--header", metavar="'Name: value'", action="append", default=[], help="a field of the request"
    )
    tool.add_argument(
        "-R",
        "--response-header",
        metavar="'Name: value'",
        action="append",
        default=[],
        help="a field of the answer that is to be explained",
    )
    tool.add_argument("--status", metavar="N", type=int, help="the status of that answer (200)")
    tool.add_argument("--response", metavar="HEAD", help='the whole head of that answer; "-" reads it from here')
    tool.add_argument("--fetch", action="store_true", help="ask the server once, and explain its answer")
    tool.add_argument(
        "--from",
        "--client",
        dest="client",
        metavar="ADDRESS",
        default="192.0.2.1",
        help="the client's address (%(default)s)",
    )
    tool.add_argument("--json", action="store_true", help="print JSON, for programs")
    tool.set_defaults(run=run)


def add_purge(tool: argparse.ArgumentParser, run: Run) -> None:
    """The arguments of ``purge``."""
    tool.description = _PURGE
    tool.formatter_class = argparse.RawDescriptionHelpFormatter
    tool.add_argument("--config", metavar="FILE", required=True, help="the configuration: TOML, or Python (.py)")
    what = tool.add_mutually_exclusive_group(required=True)
    what.add_argument("url", metavar="URL", nargs="?", help="one URL, with all its variants")
    what.add_argument("--prefix", metavar="URL", help="every URL that begins so")
    what.add_argument("--host", metavar="NAME", help="every URL of a host")
    what.add_argument("--tag", metavar="TAG", help="what the server named so in Surrogate-Key, xkey or Cache-Tag")
    what.add_argument(
        "--group", metavar=("ORIGIN", "GROUP"), nargs=2, help="a group of an origin, from Cache-Groups (RFC 9875)"
    )
    what.add_argument("--all", action="store_true", help="everything")
    tool.set_defaults(run=run)
