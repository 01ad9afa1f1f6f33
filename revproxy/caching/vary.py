"""Which of the responses stored under one key a request selects (RFC 9111 §4.1).

A response nominates request fields in Vary. It is stored with their values, normalised, and selected by requests whose
values are the same after normalisation. Values are changed only where the field's own specification says that it makes
no difference; of a field that nobody knows, only its lines are combined.

- Accept-Encoding, Accept-Charset: order, case, white space and the writing of weights make no difference
  (RFC 9110 §12.5.2, §12.5.3); ``x-gzip`` is ``gzip`` (RFC 9110 §8.4.1.3).
- Accept-Language: case, white space and the writing of weights; order may mean a preference (RFC 9110 §12.5.4).
- Other lists: the white space around their commas and semicolons.

Some fields are written by the proxy, behind the cache, and differ from client to client: the address, the certificate,
the request's id. A server that names one in Vary means what it was sent, which is not in the client's request. So such
a response never matches, as RFC 9440 §2.4 has it for Client-Cert.

Of cookies and credentials only a digest is kept: a store, on disk or on another machine, is no place for them.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Sequence
from typing import Final

from revproxy.caching.stored import Selecting, StoredHead, StoredResponse
from revproxy.http.dates import parse_date
from revproxy.http.fields import TOKEN_OCTETS, Fields, tells_certificate

MOST_NOMINATED: Final = 32
"""Fields that one response may nominate; a response with more is not stored."""
LARGEST_SELECTING: Final = 4096
"""Octets that the nominated fields' names and values may have together; a response with more is not stored."""
MOST_VARIANTS: Final = 64
"""Responses that are stored under one key, so that nobody fills a store by varying a field."""

ANY: Final = b"*"
_OF_EACH_CLIENT: Final = frozenset((b"forwarded", b"x-forwarded-for", b"x-request-id"))
"""Fields that the proxy writes behind the cache; those of a certificate are the others."""
_NEVER: Final = (ANY,)
_NEVER_SELECTED: Final[Selecting] = ((ANY, None),)

_WEIGHTED: Final = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:[ \t]*;[ \t]*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
)
_QUOTED_OR_SEPARATOR: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[ \t]*([,;])[ \t]*', re.DOTALL)
_SYNONYMS: Final = {b"x-gzip": b"gzip", b"x-compress": b"compress"}
_UNORDERED: Final = frozenset((b"accept-encoding", b"accept-charset"))
_LISTS: Final = frozenset((b"accept", b"access-control-request-headers", b"cache-control", b"pragma", b"prefer", b"te"))


@functools.lru_cache(maxsize=1024)
def _nominated(vary: bytes) -> tuple[bytes, ...]:
    names = {name for part in vary.lower().split(b",") if (name := part.strip(b" \t"))}
    return _NEVER if any(map(_never_matches, names)) else tuple(sorted(names))


def _never_matches(name: bytes) -> bool:
    """``*`` in any position; what is no name, of which nobody can say what it nominates; what the proxy writes."""
    return name == ANY or bool(name.translate(None, TOKEN_OCTETS)) or name in _OF_EACH_CLIENT or tells_certificate(name)


def nominated(vary: bytes | None) -> tuple[bytes, ...]:
    """The request fields that a Vary value nominates, in lower case and in order; ``(b"*",)`` where nothing ever
    matches, which a malformed value means as well (RFC 9110 §12.5.5), and one that names what we write ourselves."""
    return _nominated(vary) if vary else ()


def _weight(written: bytes | None) -> bytes:
    if written is None or written[:1] == b"1":
        return b""
    return b";q=" + (written.rstrip(b"0").rstrip(b".") or b"0")


@functools.lru_cache(maxsize=4096)
def _weighted(name: bytes, value: bytes) -> bytes:
    """A list of tokens with weights; as it was where it is none."""
    members = []
    for part in value.split(b","):
        part = part.strip(b" \t")
        if not part:
            continue
        found = _WEIGHTED.fullmatch(part)
        if found is None:
            return value
        token, written = found.groups()
        token = token.lower()
        members.append((_SYNONYMS.get(token, token) if name == b"accept-encoding" else token, _weight(written)))
    if name in _UNORDERED:
        tokens = [token for token, _ in members]
        if len(set(tokens)) < len(tokens):
            # Which of two weights counts is not said anywhere.
            return value
        members.sort()
    return b",".join([token + weight for token, weight in members])


def _separator(match: re.Match[bytes]) -> bytes:
    return match.group(1) or match.group()


@functools.lru_cache(maxsize=2048)
def _unspaced(value: bytes) -> bytes:
    """A list without white space around its commas and semicolons; quoted strings stay as they are."""
    if value.count(b'"') % 2:
        return value
    return _QUOTED_OR_SEPARATOR.sub(_separator, value)


_LONGEST_REMEMBERED: Final = 512
_SECRETS: Final = frozenset((b"authorization", b"cookie", b"proxy-authorization", b"x-api-key", b"x-auth-token"))


def digest(octets: bytes) -> bytes:
    """What stands for octets that are not to be kept: 64 hexadecimal digits."""
    return hashlib.sha256(octets).hexdigest().encode("ascii")


def normalised(name: bytes, request: Fields) -> bytes | None:
    """The value of a request's field by its lower-case name, in the form that is compared; None where it is absent."""
    value = request.get(name)
    if value is None:
        return None
    if name in _SECRETS:
        # Fields that are no lists keep their lines apart.
        return digest(b"\0".join(request.all(name)) if request.is_repeated(name) else value)
    if len(value) > _LONGEST_REMEMBERED:
        return value
    if name == b"accept-encoding" or name == b"accept-language" or name == b"accept-charset":
        return _weighted(name, value)
    if name in _LISTS:
        return _unspaced(value)
    return value


def selecting_of(vary: bytes | None, request: Fields) -> Selecting:
    """What a response with this Vary value is stored with: the fields it nominates, as the request has them."""
    names = nominated(vary)
    if not names:
        return ()
    if names is _NEVER:
        return _NEVER_SELECTED
    return tuple([(name, normalised(name, request)) for name in names])


def selects(head: StoredHead, request: Fields) -> bool:
    """Whether a request selects a stored response."""
    for name, value in head.selecting:  # noqa: SIM110  # a generator costs more than what it runs over
        if normalised(name, request) != value or name == ANY:
            return False
    return True


def matching(stored: Sequence[StoredResponse], request: Fields, now: float) -> list[StoredResponse]:
    """The stored responses that a request selects, the one to use first.

    That is one with Vary before one without, since a server may forget Vary in its default response; then the most
    recent by Date, then by when it came (RFC 9111 §4, §4.1).
    """
    found = [response for response in stored if selects(response.head, request)]
    if len(found) > 1:
        found.sort(key=lambda response: _recency(response.head, now), reverse=True)
    return found


def choose(stored: Sequence[StoredResponse], request: Fields, now: float) -> StoredResponse | None:
    """The stored response that a request selects; the best one where there are several, None where there is none."""
    if len(stored) == 1:
        only = stored[0]
        return only if not only.head.selecting or selects(only.head, request) else None
    found = matching(stored, request, now)
    return found[0] if found else None


def _recency(head: StoredHead, now: float) -> tuple[bool, float, float]:
    date = head.fields.get(b"date")
    generated = None if date is None else parse_date(date, now)
    return bool(head.selecting), head.response_time if generated is None else generated, head.response_time


def oversized(selecting: Selecting) -> str:
    """Why a response that nominates this is not stored, as a sentence; empty where it may be."""
    if len(selecting) > MOST_NOMINATED:
        return f"Vary nominates more than {MOST_NOMINATED} fields"
    if sum(len(name) + len(value or b"") for name, value in selecting) > LARGEST_SELECTING:
        return f"the fields that Vary nominates have more than {LARGEST_SELECTING} octets"
    return ""


def surplus(stored: Sequence[StoredResponse], most: int = MOST_VARIANTS) -> Sequence[StoredResponse]:
    """Which of a key's responses (the newest first, as stores give them) must go so that another one has room."""
    return stored[most - 1 :] if len(stored) >= most else ()
