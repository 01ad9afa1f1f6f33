"""What can be ordered of all workers: a purge, a server marked up or down, an explanation.

Workers obey ``purge`` ({one of url, prefix, host, tag, group} → how many responses went), ``peers`` ({"upstream",
"server", "state"} → whether there is such a server) and, where it was plugged in, ``explain``.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.web.resource import Resource

from revproxy.admin.answers import Answers, Arguments
from revproxy.admin.operator import Operator, Refusal

SELECTIONS: Final = ("url", "prefix", "host", "tag", "group")
STATES: Final = ("up", "down")


def add_orders(root: Resource, operator: Operator) -> None:
    """Puts all of it under the root."""

    async def explain(arguments: Arguments) -> Any:
        _known(arguments, ("method", "url", "headers", "client"))
        url = _text(arguments, "url")
        if not url:
            raise Refusal('say which request: "url", and perhaps "method", "headers", "client"', 400)
        _text(arguments, "method")
        _text(arguments, "client")
        headers = arguments.get("headers", [])
        if not isinstance(headers, list) or not all(isinstance(each, str) for each in headers):
            raise Refusal('headers are a list of "Name: value"', 400)
        answers = await operator.ask("explain", arguments)
        if not answers:
            raise Refusal("no worker answers", 503)
        return answers[0][1]

    async def purge(arguments: Arguments) -> Any:
        _known(arguments, (*SELECTIONS, "everything"))
        named = [name for name in SELECTIONS if _text(arguments, name)]
        everything = arguments.get("everything", False)
        if not isinstance(everything, bool):
            raise Refusal("everything is true or false", 400)
        if len(named) + everything != 1:
            raise Refusal(f"say what is purged, by exactly one of {', '.join(SELECTIONS)}, or everything", 400)
        answers = await operator.ask("purge", arguments)
        counts = [count for _, count in answers if count is not None]
        if not counts:
            raise Refusal("nothing is cached: no route has a cache")
        removed = sum(counts)
        return {"text": f"{removed} response{'' if removed == 1 else 's'} removed", "removed": removed}

    async def peers(arguments: Arguments) -> Any:
        _known(arguments, ("upstream", "server", "state"))
        upstream, server, state = (_text(arguments, name) for name in ("upstream", "server", "state"))
        if not upstream or not server or state not in STATES:
            raise Refusal('say "upstream", "server" and its "state": "up" or "down"', 400)
        answers = await operator.ask("peers", arguments)
        if not any(found for _, found in answers):
            raise Refusal(f"the upstream {upstream!r} has no server {server!r}, or is not there", 404)
        return {"text": f"{server} is {'marked down' if state == 'down' else 'no longer marked down'}"}

    root.putChild(b"explain", Answers(b"POST", explain))
    root.putChild(b"purge", Answers(b"POST", purge))
    root.putChild(b"peers", Answers(b"POST", peers))


def _known(arguments: Arguments, names: tuple[str, ...]) -> None:
    for name in arguments:
        if name not in names:
            raise Refusal(f"{name!r} is not understood; what is: {', '.join(names)}", 400)


def _text(arguments: Arguments, name: str) -> str:
    value = arguments.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Refusal(f"{name} is a text", 400)
    return value
