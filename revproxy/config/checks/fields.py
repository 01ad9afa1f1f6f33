"""Changes to header fields: names and values that HTTP allows, and none that the proxy itself is in charge of."""

from __future__ import annotations

import re
from collections.abc import Iterator

from revproxy.config.mistakes import Mistake, Path
from revproxy.config.model import HeaderChanges

TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
"""RFC 9110 §5.6.2."""

_NAME = re.compile(TOKEN)
_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_CONNECTION = "it belongs to the connection, which the proxy makes anew"
_BODY = "the proxy frames the body itself"
_OWNED = {
    "connection": _CONNECTION,
    "keep-alive": _CONNECTION,
    "proxy-connection": _CONNECTION,
    "te": _CONNECTION,
    "content-length": _BODY,
    "transfer-encoding": _BODY,
    "trailer": _BODY,
    "expect": "the proxy answers for it",
    "upgrade": 'use "upgrade" of the route',
}
_OWNED_IN_REQUESTS = {
    "host": 'use "host" of the route',
    "forwarded": 'use "forwarded" of the route',
}


def check_changes(changes: HeaderChanges, path: Path, *, request: bool) -> Iterator[Mistake]:
    """Mistakes in what a route changes in requests (``request``) or answers."""
    for number, name in enumerate(changes.remove):
        yield from _check_name(name, (*path, "remove", number), "removed", request)
    seen: set[str] = set()
    for name, value in changes.set:
        here = (*path, "set", name)
        yield from _check_name(name, here, "set", request)
        yield from _check_value(value, here)
        if name.lower() in seen:
            yield Mistake(path=here, text=f'"{name}" is set twice: use "add" for a second field of a name')
        seen.add(name.lower())
    for name, value in changes.add:
        here = (*path, "add", name)
        yield from _check_name(name, here, "added", request)
        yield from _check_value(value, here)


def check_field(name: str, value: str, path: Path) -> Iterator[Mistake]:
    """Mistakes in a field that is sent with a request of our own."""
    yield from _check_name(name, path, "set", False)
    yield from _check_value(value, path)


def _check_name(name: str, path: Path, verb: str, request: bool) -> Iterator[Mistake]:
    if not _NAME.fullmatch(name):
        yield Mistake(path=path, text=f'"{name}" is no name of a field')
        return
    reason = _OWNED.get(name.lower()) or (_OWNED_IN_REQUESTS.get(name.lower()) if request else None)
    if reason:
        yield Mistake(path=path, text=f"{name} can't be {verb}: {reason}")


def _check_value(value: str, path: Path) -> Iterator[Mistake]:
    # RFC 9110 §5.5: no control characters but a tab; what isn't ASCII means something else to every reader.
    if _FORBIDDEN.search(value):
        yield Mistake(path=path, text=f'the value "{value}" holds a control character (a line break, NUL ...)')
    elif not value.isascii():
        yield Mistake(path=path, text=f'the value "{value}" holds a character that is not ASCII')
    elif value != value.strip():
        yield Mistake(path=path, text=f'the value "{value}" begins or ends with a space')
