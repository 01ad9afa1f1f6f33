"""What the policy's tests are written with: requests and responses as header lines, all at one instant."""

from __future__ import annotations

from revproxy.caching.controls import RequestControls
from revproxy.caching.decisions import Refuse, Store
from revproxy.caching.options import DEFAULT_OPTIONS, CacheOptions
from revproxy.caching.policy import on_response
from revproxy.caching.stored import Content, StoredHead, StoredResponse
from revproxy.caching.vary import selecting_of
from revproxy.http.dates import format_date
from revproxy.http.fields import Fields

NOW = 1_800_000_000.0
"""When responses come, unless told otherwise."""
URL = b"https://example.com/a?b"


def fields(text: str) -> Fields:
    """Fields from lines such as ``Cache-Control: max-age=5``, ``|`` between them; ``@-60`` in a value is the date 60
    seconds before ``NOW``."""
    pairs = []
    for line in filter(None, (line.strip() for line in text.split("|"))):
        name, _, value = line.partition(":")
        value = value.strip()
        if value.startswith("@"):
            value = date(float(value[1:]))
        pairs.append((name.encode(), value.encode("latin-1")))
    return Fields.of(pairs)


def date(offset: float) -> str:
    return format_date(NOW + offset).decode()


def controls(text: str = "") -> RequestControls:
    return RequestControls(fields(text))


def head(
    text: str,
    status: int = 200,
    *,
    request: str = "",
    at: float = NOW,
    first: int = 0,
    total: int = -1,
    invalidated: bool = False,
) -> StoredHead:
    """A stored head that came at ``at``, of a request with the fields ``request``."""
    found = fields(text)
    if b"date" not in found:
        found = Fields([*found.lines, (b"date", b"Date", format_date(at))])
    return StoredHead(
        b"key",
        status,
        found,
        request_time=at,
        response_time=at,
        url=URL,
        selecting=selecting_of(found.get(b"vary"), fields(request)),
        first=first,
        total=total,
        invalidated=invalidated,
    )


def stored(
    text: str,
    status: int = 200,
    *,
    request: str = "",
    at: float = NOW,
    size: int = 5,
    first: int = 0,
    total: int = -1,
    invalidated: bool = False,
) -> StoredResponse:
    content = Content(b"x" * size, size)
    found = head(text, status, request=request, at=at, first=first, total=total, invalidated=invalidated)
    return StoredResponse(found, content)


def answer(
    response: str,
    status: int = 200,
    *,
    request: str = "",
    method: bytes = b"GET",
    options: CacheOptions = DEFAULT_OPTIONS,
    took: float = 0.0,
) -> Store | Refuse:
    """What becomes of a response that comes at ``NOW``."""
    return on_response(
        method, controls(request), status, fields(response), options, NOW - took, NOW, key=b"key", url=URL
    )
