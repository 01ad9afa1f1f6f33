"""Fields of a message, and the one table of what a field's name means to a proxy.

``Fields`` is immutable, so that a connection whose next head carries the same octets can use the parsed value again,
together with everything that was derived from it (``memo``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

TOKEN_OCTETS: Final = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# RFC 9110 §5.5: HTAB, SP, VCHAR and obs-text may stand in a value. CR and LF are let through here because they delimit
# the lines of a block; the parser counts them.
_BLOCK_OCTETS: Final = bytes([9, 10, 13, *range(32, 127), *range(128, 256)])
VALUE_OCTETS: Final = bytes([9, *range(32, 127), *range(128, 256)])

Line = tuple[bytes, bytes, bytes]
"""A field line: its name in lower case, its name as written, its value without surrounding white space."""

HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
        # RFC 9110 §11.7: these speak to the proxy itself, which is not one to its clients.
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        # Names that RFC 9110 §7.6.1 and RFC 9112 §9.6 reserve or that belonged to older connection control.
        b"close",
        b"http2-settings",
    }
)
"""Fields that end at this connection whatever Connection says (RFC 9110 §7.6.1)."""

FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})
"""Fields that say how a body ends: never copied, always rendered anew."""

FORBIDDEN_TRAILERS: Final = (
    HOP_BY_HOP
    | FRAMING
    | {
        b"age", b"authorization", b"cache-control", b"client-cert", b"client-cert-chain", b"content-encoding",
        b"content-location", b"content-range", b"content-type", b"cookie", b"date", b"expect", b"expires", b"forwarded",
        b"host", b"if-match", b"if-modified-since", b"if-none-match", b"if-range", b"if-unmodified-since", b"location",
        b"max-forwards", b"pragma", b"range", b"retry-after", b"set-cookie", b"trailer", b"vary", b"via", b"warning",
        b"www-authenticate", b"x-request-id",
    }
)  # fmt: skip
"""Fields whose meaning must be known before the content: framing, routing, authentication, request modifiers, response
controls, content format (RFC 9110 §6.5.1). They are dropped from a trailer section, and more is: see ``may_trail``."""

CLIENT_CLAIMS: Final = frozenset(
    {
        b"forwarded", b"client-cert", b"client-cert-chain", b"x-request-id", b"x-real-ip", b"x-client-ip",
        b"x-cluster-client-ip", b"x-original-url", b"x-original-host", b"x-original-forwarded-for", b"x-rewrite-url",
        b"true-client-ip", b"x-ssl-client-cert", b"x-ssl-client-verify", b"x-remote-user", b"remote-user", b"x-scheme",
        b"front-end-https", b"proxy",
    }
)  # fmt: skip
"""What a client claims about itself, or about what lies between: believed only from a trusted proxy. ``proxy`` is here
because CGI turns it into the environment's HTTP_PROXY. Every name that begins as ``CLAIMING`` says belongs to them."""

CERTIFICATE_FIELDS: Final = (b"client-cert", b"x-ssl-client-", b"ssl-client-")
"""How the names of fields begin that tell what a client proved with its certificate."""

CLAIMING: Final = (b"x-forwarded-", b"x-ssl-client-", b"ssl-client-")

BACKEND_TRACES: Final = frozenset(
    {
        b"server", b"x-powered-by", b"x-aspnet-version", b"x-aspnetmvc-version", b"x-backend-server", b"x-backend",
        b"x-upstream", b"x-generator", b"x-runtime", b"x-varnish", b"x-drupal-cache", b"x-server-name", b"via",
        # An alternative service (RFC 7838) of a hidden backend would lead clients around this proxy.
        b"alt-svc",
    }
)  # fmt: skip
"""Fields of an answer that tell of the software or the hosts behind."""


class FieldError(ValueError):
    """A block of field lines breaks the grammar of RFC 9112 §5. The text says how."""


class Fields:
    """The fields of one head or trailer section, in order, as they were written."""

    __slots__ = ("_index", "_repeated", "base", "lines", "memo")

    def __init__(
        self,
        lines: Iterable[Line] = (),
        index: dict[bytes, bytes] | None = None,
        repeated: frozenset[bytes] | None = None,
    ) -> None:
        self.lines: tuple[Line, ...] = tuple(lines)
        self._index = index
        self._repeated = repeated
        self.memo: Any = None
        """Whatever the one user of this value derived from it; never part of the value."""
        self.base: Fields | None = None
        """The same fields without Cookie, where those were known: what Cookie has no say in can be taken from there."""

    @classmethod
    def of(cls, pairs: Iterable[tuple[bytes, bytes]]) -> Fields:
        """Fields from (name, value) pairs that are known to be valid."""
        return cls([(name.lower(), name, value) for name, value in pairs])

    def with_cookie(self, line: Line, at: int) -> Fields:
        """These fields, which have no Cookie, with that line put before line number ``at``."""
        index = self._index
        if index is None:
            index = self._read()
        lines = self.lines
        fields = Fields((*lines[:at], line, *lines[at:]), {**index, b"cookie": line[2]}, self._repeated)
        fields.base = self
        return fields

    def _read(self) -> dict[bytes, bytes]:
        index: dict[bytes, bytes] = {}
        repeated = set()
        for lower, _, value in self.lines:
            if lower in index:
                index[lower] += b", " + value
                repeated.add(lower)
            else:
                index[lower] = value
        self._index = index
        self._repeated = frozenset(repeated)
        return index

    def get(self, name: bytes) -> bytes | None:
        """The value under a lower-case name; several lines are combined with commas (RFC 9110 §5.3)."""
        index = self._index
        if index is None:
            index = self._read()
        return index.get(name)

    def __contains__(self, name: object) -> bool:
        index = self._index
        if index is None:
            index = self._read()
        return name in index

    def is_repeated(self, name: bytes) -> bool:
        """Whether more than one line has this lower-case name."""
        if self._index is None:
            self._read()
        return self._repeated is not None and name in self._repeated

    def all(self, name: bytes) -> list[bytes]:
        """The values under a lower-case name, a line each."""
        return [value for lower, _, value in self.lines if lower == name]

    def members(self, name: bytes) -> list[bytes]:
        """The members of a list of tokens, in lower case, empty ones left out (RFC 9110 §5.6.1)."""
        value = self.get(name)
        if value is None:
            return []
        return [member for part in value.lower().split(b",") if (member := part.strip(b" \t"))]

    def names(self) -> Iterable[bytes]:
        """The lower-case names that are there, each once."""
        index = self._index
        if index is None:
            index = self._read()
        return index.keys()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fields) and self.lines == other.lines

    def __hash__(self) -> int:
        return hash(self.lines)

    def __repr__(self) -> str:
        return f"<Fields {[(raw, value) for _, raw, value in self.lines]!r}>"

    def __len__(self) -> int:
        return len(self.lines)


NO_FIELDS: Final = Fields((), {}, frozenset())

# Names seen before and found to be tokens, with their lower case: a look-up instead of a check. Bounded, since names
# come from strangers.
_KNOWN_NAMES: dict[bytes, bytes] = {}
_KNOWN_NAMES_BOUND: Final = 2048
_KNOWN_NAME_LENGTH: Final = 64

# Whole lines that many messages repeat to the octet (a browser's Accept, a backend's Content-Type), parsed before. Only
# of fields whose values repeat and are nobody's secret; bounded like the names, and begun anew when full.
_KNOWN_LINES: dict[bytes, Line] = {}
_KNOWN_LINES_BOUND: Final = 2048
_KNOWN_LINE_LENGTH: Final = 256
_REPEATING: Final = frozenset(
    (
        b"accept accept-charset accept-encoding accept-language accept-ranges "
        b"access-control-allow-headers access-control-allow-methods access-control-allow-origin "
        b"cache-control connection content-encoding content-language content-security-policy "
        b"content-type dnt host keep-alive origin pragma priority referrer-policy sec-ch-ua "
        b"sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site "
        b"sec-fetch-user server strict-transport-security te transfer-encoding upgrade "
        b"upgrade-insecure-requests user-agent vary x-content-type-options x-frame-options x-powered-by "
        b"x-requested-with x-xss-protection"
    ).split()
)


def lower_name(name: bytes) -> bytes:
    """A field name in lower case, checked to be a token (RFC 9110 §5.1). Raises FieldError."""
    known = _KNOWN_NAMES.get(name)
    if known is not None:
        return known
    if not name:
        raise FieldError("a field has an empty name")
    if name.translate(None, TOKEN_OCTETS):
        if name[:1] in b" \t":
            raise FieldError("a field line begins with white space (line folding)")
        if name[-1:] in b" \t":
            raise FieldError("white space stands between a field's name and its colon")
        raise FieldError("a field's name is not a token")
    lower = name.lower()
    if len(_KNOWN_NAMES) < _KNOWN_NAMES_BOUND and len(name) <= _KNOWN_NAME_LENGTH:
        _KNOWN_NAMES[name] = lower
    return lower


def _parse_line(octets: bytes) -> Line:
    name, colon, value = octets.partition(b":")
    if not colon and name[:1] not in (b" ", b"\t"):
        raise FieldError("a field line has no colon")
    lower = lower_name(name)
    if not colon:
        raise FieldError("a field line has no colon")
    line = (lower, name, value.strip(b" \t"))
    if lower in _REPEATING and len(octets) <= _KNOWN_LINE_LENGTH:
        if len(_KNOWN_LINES) >= _KNOWN_LINES_BOUND:
            _KNOWN_LINES.clear()
        _KNOWN_LINES[octets] = line
    return line


def parse_fields(block: bytes, most: int) -> Fields:
    """Reads field lines, CRLF between them and none at the end (RFC 9112 §5).

    Strict: bare CR, bare LF, control octets, folded lines, white space before a colon and empty names are refused.
    Raises FieldError, or OverflowError when there are more than ``most`` lines.
    """
    if not block:
        return NO_FIELDS
    if block.translate(None, _BLOCK_OCTETS):
        raise FieldError("a control octet stands in a field")
    raw_lines = block.split(b"\r\n")
    breaks = len(raw_lines) - 1
    if block.count(b"\r") != breaks or block.count(b"\n") != breaks:
        raise FieldError("a bare CR or LF stands in a field")
    if breaks >= most:
        raise OverflowError("too many fields")
    known = _KNOWN_LINES.get
    lines = [known(octets) or _parse_line(octets) for octets in raw_lines]
    index = {lower: value for lower, _, value in lines}
    if len(index) == len(lines):
        return Fields(lines, index, _NONE)
    return Fields(lines)


_NONE: Final[frozenset[bytes]] = frozenset()


def tells_certificate(lower: bytes) -> bool:
    """Whether a field of this name would be taken for the proof of a client's certificate, by WSGI as well."""
    return lower.replace(b"_", b"-").startswith(CERTIFICATE_FIELDS)


def is_claim(lower: bytes) -> bool:
    """Whether a lower-case name is one by which a client could claim to be somebody else.

    CGI and WSGI turn ``-`` into ``_`` in names, so ``x_forwarded_for`` reaches an application as X-Forwarded-For: both
    spellings count, and an underscored twin of a framing or hop-by-hop field counts as well.
    """
    if b"_" in lower:
        lower = lower.replace(b"_", b"-")
        if lower in HOP_BY_HOP or lower in FRAMING or lower == b"host":
            return True
    return lower in CLIENT_CLAIMS or lower.startswith(CLAIMING)


_THOUGHT: dict[bytes, bool] = {}


def needs_thought(lower: bytes) -> bool:
    """Whether a request's field of this lower-case name is anything but passed on as it is. Remembered, bounded."""
    known = _THOUGHT.get(lower)
    if known is None:
        known = lower in HOP_BY_HOP or lower in FRAMING or lower in _SPECIAL or is_claim(lower)
        if len(_THOUGHT) < _KNOWN_NAMES_BOUND and len(lower) <= _KNOWN_NAME_LENGTH:
            _THOUGHT[lower] = known
    return known


_SPECIAL: Final = frozenset({b"host", b"via", b"expect"})


def may_trail(lower: bytes) -> bool:
    """Whether a field of this lower-case name is passed on in a trailer section.

    What would be dropped from a head is dropped here too, whoever sent it: recipients merge trailers into heads.
    """
    return not (lower in FORBIDDEN_TRAILERS or lower in BACKEND_TRACES or is_claim(lower))
