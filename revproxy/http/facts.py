"""What a request's head means, derived once for each block of fields and kept with it."""

from __future__ import annotations

from revproxy.errors import BadRequest, ExpectationFailed
from revproxy.http.fields import Fields
from revproxy.http.framing import Framing, request_framing
from revproxy.http.parse import RequestHead
from revproxy.http.target import NO_AUTHORITY, Authority, parse_authority


class RequestFacts:
    """Everything that the fields and the version alone decide about a request."""

    __slots__ = (
        "accepts_trailers",
        "asked_of",
        "authority",
        "base",
        "cache_view",
        "expects_continue",
        "fields",
        "forwarded",
        "forwarded_by",
        "framing",
        "log_described",
        "log_hit",
        "options",
        "persistent",
        "upgrades",
        "version",
    )

    def __init__(self, version: int, fields: Fields) -> None:
        self.version = version
        self.fields = fields
        self.framing: Framing = request_framing(version, fields)
        self.authority: Authority = _authority(version, fields)
        self.options: frozenset[bytes] = frozenset(fields.members(b"connection"))
        """Connection options (RFC 9110 §7.6.1), in lower case."""
        # RFC 9112 §9.3; a gateway is the origin server to its clients, so it may honour HTTP/1.0's keep-alive.
        self.persistent = b"close" not in self.options and (version >= 11 or b"keep-alive" in self.options)
        self.expects_continue = _expects_continue(version, fields, self.framing)
        self.upgrades: list[bytes] = []
        """Protocols that the client offers to switch to (RFC 9110 §7.8): none from HTTP/1.0, none beside a body, since
        whoever overlooks one of the two would take the body's octets for the other protocol's."""
        if b"upgrade" in self.options and version >= 11 and self.framing.kind == "none":
            self.upgrades = fields.members(b"upgrade")
        self.accepts_trailers = b"te" in fields and any(
            member.partition(b";")[0].strip() == b"trailers" for member in fields.members(b"te")
        )
        # Filled by the one forwarding that renders these fields for upstream: a connection's next request with the
        # same fields on the same route costs no rendering.
        self.forwarded_by: object = None
        self.forwarded = b""
        self.cache_view: object = None
        """What the fields say to a cache, worked out once by the first that asks."""
        self.log_described: bytes | None = None
        """What the access log says of the client's software, rendered once."""
        self.log_hit: tuple[bytes, bytes, bytes, bytes, bytes] | None = None
        """What lines of the access log have in common, where no server was asked: for a client's address and a host."""
        self.asked_of: object = None
        """Who was asked for a short way to the answers of the connection's next requests with these fields."""
        self.base: RequestFacts | None = None
        """The facts of the same fields without Cookie, where those were known: whoever derives something that Cookie
        has no say in can share it."""

    def beside(self, fields: Fields) -> RequestFacts:
        """The facts of these fields with a Cookie, which decides nothing of them."""
        facts = RequestFacts.__new__(RequestFacts)
        facts.version = self.version
        facts.fields = fields
        facts.framing = self.framing
        facts.authority = self.authority
        facts.options = self.options
        facts.persistent = self.persistent
        facts.expects_continue = self.expects_continue
        facts.upgrades = self.upgrades
        facts.accepts_trailers = self.accepts_trailers
        facts.forwarded_by = None
        facts.forwarded = b""
        facts.cache_view = None
        facts.log_described = self.log_described
        facts.log_hit = self.log_hit
        facts.asked_of = None
        facts.base = self
        return facts


def request_facts(head: RequestHead) -> RequestFacts:
    """The facts of a head. Raises BadRequest, NotImplementedCoding or ExpectationFailed."""
    fields = head.fields
    facts = fields.memo
    if facts is None or facts.version != head.version:
        base = fields.base
        if base is None:
            facts = RequestFacts(head.version, fields)
        else:
            known = base.memo
            if known is None or known.version != head.version:
                known = base.memo = RequestFacts(head.version, base)
            facts = known.beside(fields)
        if fields.lines:
            fields.memo = facts
    return facts  # type: ignore[no-any-return]  # memo is anybody's; here it is only ever ours


def _authority(version: int, fields: Fields) -> Authority:
    """RFC 9112 §3.2: exactly one valid Host in HTTP/1.1; HTTP/1.0 may leave it out."""
    host = fields.get(b"host")
    if host is None:
        if version >= 11:
            raise BadRequest("no Host")
        return NO_AUTHORITY
    if fields.is_repeated(b"host"):
        raise BadRequest("more than one Host")
    return parse_authority(host)


def _expects_continue(version: int, fields: Fields, framing: Framing) -> bool:
    """RFC 9110 §10.1.1: HTTP/1.0's is ignored, one without content to come means nothing, any other is refused."""
    expect = fields.get(b"expect")
    if expect is None or version < 11:
        return False
    if expect.lower() != b"100-continue":
        raise ExpectationFailed("an expectation other than 100-continue")
    return framing.kind == "chunked" or framing.length > 0
