"""What a proxy must change between the message it received and the one it sends (RFC 9110 §7.6).

Requests: fields that end here are left out, what the client claims about itself is dropped unless a trusted proxy said
it, and what we know of the client is added. Responses: fields that end here and traces of the backend are left out, and
values that name the backend become public ones. Framing fields are never copied: the sender renders them anew.

Both directions keep their result with the parsed fields it came from, so that the same octets on the same connection
and route are not worked out twice.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from revproxy.errors import BadRequest
from revproxy.http.facts import RequestFacts
from revproxy.http.fields import (
    BACKEND_TRACES,
    FRAMING,
    HOP_BY_HOP,
    TOKEN_OCTETS,
    Fields,
    Line,
    is_claim,
    needs_thought,
    tells_certificate,
)
from revproxy.http.framing import content_length
from revproxy.http.parse import ResponseHead
from revproxy.http.render import field_lines
from revproxy.http.rewrite import REWRITTEN, Public, rewrite_field
from revproxy.http.target import parse_authority
from revproxy.http.trace_context import left_traces

PSEUDONYM: Final = b"revproxy"
"""What we call ourselves in Via (RFC 9110 §7.6.3): never a host's name."""

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._~+/=:@-]{1,128}")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@attrs.frozen
class FieldChanges:
    """An operator's changes to a message's fields: first take away, then set, then add. Names are lower case."""

    remove: frozenset[bytes] = frozenset()
    set: tuple[tuple[bytes, bytes], ...] = ()
    add: tuple[tuple[bytes, bytes], ...] = ()

    def apply(self, lines: list[Line]) -> list[Line]:
        """The lines after the changes."""
        gone = self.remove | {name.lower() for name, _ in self.set}
        if gone:
            lines = [line for line in lines if line[0] not in gone]
        for name, value in self.set + self.add:
            lines.append((name.lower(), name, value))
        return lines

    def trailers(self, trailers: Fields, options: Iterable[bytes]) -> Fields:
        """A trailer section as it goes on: without what the changes take away or set in the head, and without what
        Connection named there, ``options`` (RFC 9110 §7.6.1)."""
        gone = {*self.remove, *options, *(name.lower() for name, _ in self.set)}
        if not any(line[0] in gone for line in trailers.lines):
            return trailers
        return Fields([line for line in trailers.lines if line[0] not in gone])

    def __bool__(self) -> bool:
        return bool(self.remove or self.set or self.add)


NO_CHANGES: Final = FieldChanges()


@attrs.frozen(eq=False)
class ClientTLS:
    """What the TLS handshake of a client's connection told."""

    server_name: bytes = b""
    """The name that was asked for; empty for none."""
    demands: object = None
    """Whose certificates the client was asked for, to be compared; None where it was not."""
    certificate: bytes = b""
    """The value of Client-Cert (RFC 9440); empty where the client proved nothing."""
    subject: bytes = b""
    """The subject of its certificate (RFC 4514); empty where it proved nothing."""


class Client:
    """Who is at the other end of a connection, as far as that is known."""

    __slots__ = ("address", "peer", "port", "scheme", "tls", "trusted")

    def __init__(self, peer: bytes, *, trusted: bool, scheme: bytes, port: int) -> None:
        self.peer = peer
        """The address that the connection comes from (or that a PROXY protocol header told); ``unix:`` for a socket."""
        self.trusted = trusted
        """Whether that is a listed trusted proxy, whose claims are believed."""
        self.scheme = scheme
        self.port = port
        """The port of ours that was connected to; 0 for a unix socket."""
        self.address = peer
        self.tls: ClientTLS | None = None
        """None where the connection is in clear text."""


def plain_address(text: str) -> str:
    """An address as logs and fields show it: an IPv4-mapped IPv6 address is its IPv4 address (RFC 4291 §2.5.5.2)."""
    if text.startswith("::ffff:") and "." in text:
        return text[7:]
    if ":" in text:
        try:
            mapped = ipaddress.IPv6Address(text.partition("%")[0]).ipv4_mapped
        except ValueError:
            return text
        if mapped is not None:
            return str(mapped)
    return text


def is_within(address: bytes, networks: Sequence[Network]) -> bool:
    """Whether an address lies in one of the networks; what is no address lies in none."""
    try:
        parsed = ipaddress.ip_address(plain_address(address.decode("ascii", "replace")))
    except ValueError:
        return False
    return any(parsed.version == network.version and parsed in network for network in networks)


def network_of(address: bytes, networks: Sequence[Network]) -> Network | None:
    """The first of the networks in which an address lies."""
    return next((network for network in networks if is_within(address, (network,))), None)


def original_client(fields: Fields, peer: bytes, networks: Sequence[Network]) -> bytes:
    """The address behind a chain of trusted proxies: the last one in X-Forwarded-For that is none of them.

    Whatever stands left of that one, anybody could have written.
    """
    address = peer
    for member in reversed((fields.get(b"x-forwarded-for") or b"").split(b",")):
        text = member.strip(b" \t")
        if text.startswith(b"["):
            text = text[1:].partition(b"]")[0]
        elif text.count(b":") == 1:
            text = text.partition(b":")[0]
        try:
            parsed = ipaddress.ip_address(plain_address(text.decode("ascii")))
        except ValueError:
            return address
        if b"%" in text:
            # A zone means nothing here, and may be any text.
            return address
        address = str(parsed).encode("ascii")
        if not is_within(address, networks):
            return address
    return address


def request_id_of(fields: Fields) -> bytes | None:
    """The X-Request-ID that a trusted proxy gave, where it is one: up to 128 harmless characters."""
    value = fields.get(b"x-request-id")
    if value is not None and _REQUEST_ID.fullmatch(value):
        return value
    return None


def _node(address: bytes) -> bytes:
    """RFC 7239 §6: a node; IPv6 addresses are bracketed and quoted, what is no address is ``unknown``."""
    if b"." in address and b":" not in address:
        return address
    if b":" in address and not address.startswith(b"unix:"):
        return b'"[%b]"' % address
    return b"unknown"


def _quoted(value: bytes) -> bytes:
    """RFC 7239 §4: a token, or a quoted string where there are octets that no token has."""
    return b'"%b"' % value if value.translate(None, TOKEN_OCTETS) else value


def left_out(lower: bytes, options: frozenset[bytes]) -> str:
    """Why a field of a request that ``needs_thought`` (or that Connection names) speaks for this connection alone;
    empty where it doesn't."""
    if lower in HOP_BY_HOP:
        return "it speaks for this connection alone"
    if lower in FRAMING:
        return "how a body ends is said anew"
    if lower in options:
        return "Connection names it"
    return "Host is said anew" if lower == b"host" else ""


def is_believed(lower: bytes, *, trusted: bool) -> bool:
    """Whether a claim about the client goes on. An underscored twin of a claim is nobody's: a trusted proxy passes its
    own clients' on, unseen. X-Request-ID is sent anew, whoever said it."""
    return trusted and lower != b"x-request-id" and b"_" not in lower


@attrs.frozen(eq=False)
class RequestForwarding:
    """How one route's requests are changed on their way upstream."""

    host: bytes | None = None
    """Host to send; None keeps the client's."""
    default_host: bytes = b"localhost"
    """Host for an HTTP/1.0 request that has none."""
    forwarded: bool = False
    """Whether Forwarded (RFC 7239) is sent."""
    upgrades: frozenset[bytes] = frozenset()
    """Protocols that clients may ask to upgrade to, in lower case."""
    changes: FieldChanges = NO_CHANGES
    prefix: bytes = b""
    """A stripped path, sent on as X-Forwarded-Prefix; empty where none is."""
    shows_certificates: bool = False
    """Whether clients prove who they are: Client-Cert (RFC 9440) is ours alone to say, and is said where one did."""
    subject_name: bytes = b""
    """The name of a field for the proven subject; empty for none."""
    joins_traces: bool = False
    """Whether we take part in traces: traceparent is ours to say, for each request anew."""

    def upgrade_of(self, facts: RequestFacts) -> bytes:
        """The protocol that this request may ask upstream to switch to; empty for none.

        One protocol is let through, never a list: the answer's 101 must be for what was asked for and allowed.
        """
        for protocol in facts.upgrades:
            if protocol in self.upgrades:
                return protocol
        return b""

    def block(self, fields: Fields, facts: RequestFacts, client: Client, authority: bytes) -> bytes:
        """All field lines of the forwarded request but X-Request-ID and the framing."""
        gone = facts.options
        if self.joins_traces:
            gone = gone | left_traces(fields, gone)
        trusted = client.trusted
        lines: list[Line] = [(b"host", b"Host", self.host or authority or self.default_host)]
        via = b""
        chain = b""
        old_forwarded = b""
        for line in fields.lines:
            lower = line[0]
            if not needs_thought(lower):
                if lower not in gone:
                    lines.append(line)
                continue
            if left_out(lower, gone):
                continue
            if lower == b"via":
                via = b"%b, %b" % (via, line[2]) if via else line[2]
                continue
            if lower == b"expect":
                if facts.expects_continue:
                    lines.append(line)
                continue
            if is_claim(lower):
                if not is_believed(lower, trusted=trusted):
                    continue
                if lower == b"x-forwarded-for":
                    chain = b"%b, %b" % (chain, line[2]) if chain else line[2]
                    continue
                if lower == b"forwarded":
                    old_forwarded = b"%b, %b" % (old_forwarded, line[2]) if old_forwarded else line[2]
                    continue
            lines.append(line)
        self._add_client(lines, fields, facts, client, authority, chain, old_forwarded)
        received = b"1.1 " if facts.version >= 11 else b"1.0 "
        lines.append((b"via", b"Via", (via + b", " if via else b"") + received + PSEUDONYM))
        if self.changes:
            lines = self.changes.apply(lines)
        upgrade = self.upgrade_of(facts) if facts.upgrades else b""
        if upgrade:
            lines.append((b"connection", b"Connection", b"Upgrade"))
            lines.append((b"upgrade", b"Upgrade", upgrade))
        elif facts.accepts_trailers:
            # RFC 9110 §10.1.4: TE speaks for this connection alone; we pass trailers on, so we may say so too.
            lines.append((b"connection", b"Connection", b"TE"))
            lines.append((b"te", b"TE", b"trailers"))
        return b"".join([b"%b: %b\r\n" % (raw, value) for _, raw, value in lines])

    def _add_client(
        self,
        lines: list[Line],
        fields: Fields,
        facts: RequestFacts,
        client: Client,
        authority: bytes,
        chain: bytes,
        old_forwarded: bytes,
    ) -> None:
        peer = b"unknown" if client.peer.startswith(b"unix:") else client.peer
        chain = b"%b, %b" % (chain, peer) if chain else peer
        lines.append((b"x-forwarded-for", b"X-Forwarded-For", chain))
        known = client.trusted
        gone = facts.options
        if not (known and b"x-forwarded-proto" in fields and b"x-forwarded-proto" not in gone):
            lines.append((b"x-forwarded-proto", b"X-Forwarded-Proto", client.scheme))
        if authority and not (known and b"x-forwarded-host" in fields and b"x-forwarded-host" not in gone):
            lines.append((b"x-forwarded-host", b"X-Forwarded-Host", authority))
        if not (known and b"x-forwarded-port" in fields and b"x-forwarded-port" not in gone):
            told = known and b"x-forwarded-proto" not in gone
            scheme = public_scheme(fields, client.scheme) if told else client.scheme
            told = known and b"x-forwarded-host" not in gone
            host = (public_authority(fields) if told else b"") or authority
            lines.append((b"x-forwarded-port", b"X-Forwarded-Port", public_port(host, scheme)))
        if self.shows_certificates:
            self._add_certificate(lines, client.tls)
        if self.prefix:
            before = fields.get(b"x-forwarded-prefix") if known else None
            if before is not None:
                lines[:] = [line for line in lines if line[0] != b"x-forwarded-prefix"]
            lines.append((b"x-forwarded-prefix", b"X-Forwarded-Prefix", (before or b"").rstrip(b"/") + self.prefix))
        if self.forwarded:
            element = b"for=%b;proto=%b" % (_node(client.peer), client.scheme)
            if authority:
                element += b";host=" + _quoted(authority)
            lines.append((b"forwarded", b"Forwarded", (old_forwarded + b", " if old_forwarded else b"") + element))
        elif old_forwarded:
            lines.append((b"forwarded", b"Forwarded", old_forwarded))


    def _add_certificate(self, lines: list[Line], tls: ClientTLS | None) -> None:
        """RFC 9440 §2.4. Here not even a trusted proxy's word counts.

        Client-Cert-Chain is never sent: after a resumption it would be missing, and §3.3 advises against that.
        """
        lines[:] = [line for line in lines if not tells_certificate(line[0])]
        if tls is not None and tls.certificate:
            lines.append((b"client-cert", b"Client-Cert", tls.certificate))
            if self.subject_name:
                lines.append((self.subject_name.lower(), self.subject_name, tls.subject))


def public_port(authority: bytes, scheme: bytes) -> bytes:
    """The port that the client used, as its Host says; else the scheme's own."""
    _, colon, port = authority.rpartition(b":")
    if colon and port.isdigit():
        return port
    return b"443" if scheme == b"https" else b"80"


def public_scheme(fields: Fields, scheme: bytes) -> bytes:
    """The scheme that the client used with the trusted proxy in front of us; ``scheme`` where that does not tell."""
    told = (fields.get(b"x-forwarded-proto") or b"").partition(b",")[0].strip().lower()
    return told if told in (b"http", b"https") else scheme


def public_authority(fields: Fields) -> bytes:
    """The host that the client asked the trusted proxy in front of us for; empty where that does not tell."""
    told = (fields.get(b"x-forwarded-host") or b"").partition(b",")[0].strip()
    try:
        return parse_authority(told).raw if told else b""
    except BadRequest:
        return b""


class OutgoingHead:
    """A response's head on its way to a client: framing and connection fields are still to come."""

    __slots__ = ("added", "block", "fields", "framing", "has_date", "is_stored", "reason", "rendered", "status")

    def __init__(
        self,
        status: int,
        reason: bytes,
        fields: Fields,
        *,
        has_date: bool | None = None,
        block: bytes | None = None,
    ) -> None:
        self.status = status
        self.reason = reason
        self.fields = fields
        self.block = field_lines(fields) if block is None else block
        """The field lines, rendered; perhaps with more than ``fields`` has."""
        self.has_date = b"date" in fields if has_date is None else has_date
        self.is_stored = False
        """Whether it is a stored response's, and was given to a request that wanted nothing in particular."""
        self.framing: object = None
        self.rendered = b""
        """The whole head as it went to a client whose connection goes on, where it was ended by ``framing``, and by
        ``added``, lines that were the request's own."""
        self.added = b""


def _varies_by_client(fields: Fields) -> bool:
    return b"vary" in fields and not _OWN_FIELDS.isdisjoint(fields.members(b"vary"))


_OWN_FIELDS: Final = frozenset({b"client-cert", b"client-cert-chain"})
FOR_ALL: Final = frozenset({b"age", b"cache-control", b"etag", b"expires", b"last-modified", b"vary"})
"""Fields of an answer that are for all recipients and never a connection's own (RFC 9110 §7.6.1). A server that names
one of them in Connection is mistaken; to take it away would hand one client's answer to others."""

_THOUGHT_IN_ANSWERS: Final = HOP_BY_HOP | FRAMING | BACKEND_TRACES | REWRITTEN


@attrs.frozen(eq=False)
class ResponseForwarding:
    """How one route's answers are changed on their way to the client."""

    backends: frozenset[bytes] = frozenset()
    """Authorities of the servers behind, and the Host they are sent where it isn't the client's."""
    rewrite: bool = True
    keep_traces: bool = False
    changes: FieldChanges = NO_CHANGES
    prefix: bytes = b""
    shows_certificates: bool = False
    """As in ``RequestForwarding``."""

    def head(
        self, head: ResponseHead, has_body: bool, scheme: bytes, authority: bytes
    ) -> OutgoingHead:
        """The head as the client may see it. ``scheme`` and ``authority`` are those the client used."""
        fields = head.fields
        memo = fields.memo
        if (
            memo is not None
            and memo[0] is head
            and memo[1] is self
            and memo[2] == has_body
            and memo[3] == authority
            and memo[4] == scheme
        ):
            return memo[5]  # type: ignore[no-any-return]  # memo is anybody's; here it is only ever ours
        status = head.status
        gone: Iterable[bytes] = ()
        if b"connection" in fields:
            gone = [option for option in fields.members(b"connection") if option not in FOR_ALL]
        lines: list[Line] = []
        public: Public | None = None
        for line in fields.lines:
            lower = line[0]
            if lower not in _THOUGHT_IN_ANSWERS:
                if lower not in gone:
                    lines.append(line)
                continue
            if lower in HOP_BY_HOP or lower in FRAMING or lower in gone:
                continue
            if lower in BACKEND_TRACES and not self.keep_traces:
                continue
            if lower in REWRITTEN and self.rewrite:
                if public is None:
                    public = Public(scheme, authority, self.backends, self.prefix)
                line = (lower, line[1], rewrite_field(lower, line[2], public))
            lines.append(line)
        if not has_body and status != 204 and status >= 200:
            # RFC 9110 §8.6: the answer to HEAD and a 304 may tell the length that the content would have had. One that
            # is malformed, or stands beside Transfer-Encoding, must not go on (§8.6, RFC 9112 §6.3 rule 3); the answer
            # may, since its end does not depend on it (rule 1).
            try:
                length = None if b"transfer-encoding" in fields else content_length(fields)
            except ValueError:
                length = None
            if length is not None:
                lines.append((b"content-length", b"Content-Length", b"%d" % length))
        if self.shows_certificates and _varies_by_client(fields):
            # RFC 9440 §2.4: nobody but us knows the field that the answer depends on, so nobody can reuse the answer.
            lines = [line for line in lines if line[0] != b"vary"]
            lines.append((b"vary", b"Vary", b"*"))
        lines.append((b"via", b"Via", (b"1.1 " if head.version >= 11 else b"1.0 ") + PSEUDONYM))
        if self.changes:
            lines = self.changes.apply(lines)
        if status == 101 or status == 426:
            upgrade = fields.get(b"upgrade")
            if upgrade:
                lines.append((b"connection", b"Connection", b"Upgrade"))
                lines.append((b"upgrade", b"Upgrade", upgrade))
        # Asking the new fields would index them, which nobody else does.
        has_date = None if self.changes or b"date" in gone else b"date" in fields
        out = OutgoingHead(status, head.reason, Fields(lines), has_date=has_date)
        if fields.lines:
            fields.memo = (head, self, has_body, authority, scheme, out)
        return out

    def trailers(self, trailers: Fields, head: ResponseHead) -> Fields:
        """The trailer section of an answer as the client may see it. A field that would have to be rewritten, as in the
        head, is left out: nobody needs it there."""
        if self.rewrite and any(line[0] in REWRITTEN for line in trailers.lines):
            trailers = Fields([line for line in trailers.lines if line[0] not in REWRITTEN])
        return self.changes.trailers(trailers, head.fields.members(b"connection"))
