"""The request that is asked about: made of octets, by the parser that reads clients, and judged by the same facts."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

import attrs

from revproxy.config.addresses import TcpAddress, parse_listener
from revproxy.config.model import Config
from revproxy.errors import BadRequest, ClientGone, ProxyError
from revproxy.explain.steps import LONGEST, harmless
from revproxy.http.facts import RequestFacts, request_facts
from revproxy.http.fields import NO_FIELDS, Fields
from revproxy.http.forward import (
    Client,
    ClientTLS,
    OutgoingHead,
    is_within,
    original_client,
    public_authority,
    public_scheme,
    request_id_of,
)
from revproxy.http.framing import Framing
from revproxy.http.parse import RequestHead, RequestParser
from revproxy.http.target import NO_AUTHORITY, parse_target
from revproxy.interfaces import BodySink, BodySource
from revproxy.observe.transaction import Transaction

NEW_ID = b"(one-of-its-own)"
"""What stands for the id of a request that is only asked about."""

_PORTS = {"http": 80, "https": 443}


@attrs.frozen
class Asked:
    """What somebody asks about, as it was written."""

    method: bytes
    scheme: str
    authority: str
    port: int
    target: bytes
    lines: tuple[bytes, ...]
    address: bytes
    """The client's."""


def asked(method: str, url: str, lines: tuple[str, ...], address: str) -> Asked:
    """Reads the command line. Raises ValueError with a text for whoever wrote it."""
    if "://" not in url:
        url = f"http://{url}"
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(f'"{quoted(url)}" is no URL: its host is none') from None
    if parts.scheme not in _PORTS or not parts.netloc:
        raise ValueError(f'"{quoted(url)}" is no URL: write "http://example.com/path"')
    if parts.fragment:
        raise ValueError("what follows # in a URL is never sent: leave it out")
    try:
        port = parts.port or _PORTS[parts.scheme]
    except ValueError:
        raise ValueError(f'"{quoted(url)}": the port is none') from None
    authority = parts.netloc.rpartition("@")[2]
    target = url.partition("://")[2][len(parts.netloc) :] or "/"
    if not target.startswith("/"):
        target = "/" + target
    for text in (method, target, authority):
        if not text or not text.isascii() or not text.isprintable() or " " in text:
            raise ValueError(f'"{quoted(text)}" can\'t be sent: write other characters as escapes ("%20")')
    octets = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or not line.isprintable():
            raise ValueError(f'"{quoted(line)}" is no field: write "Name: value"')
        octets.append(f"{name}: {value.strip()}".encode())
    return Asked(
        method.encode("ascii"), parts.scheme, authority, port, target.encode("ascii"), tuple(octets), address.encode()
    )


def quoted(text: str) -> str:
    """What somebody wrote, as it is quoted to them."""
    return harmless(text[:LONGEST]) + ("..." if len(text) > LONGEST else "")


def listener_of(config: Config, question: Asked) -> tuple[int, bool]:
    """The number of the listener that the request would reach, and whether it listens on that very port."""
    secured = question.scheme == "https"
    alike = [number for number, each in enumerate(config.listeners) if each.tls == secured]
    for number in alike:
        address = parse_listener(config.listeners[number].address)
        if isinstance(address, TcpAddress) and address.port == question.port:
            return number, True
    return (alike[0] if alike else 0), False


def probe(config: Config, question: Asked, now: float | None = None) -> Probe:
    """The request, as a listener makes it of a client's octets. Raises ProxyError where it would be refused."""
    limits = config.limits
    lines = list(question.lines)
    if not any(line.lower().startswith(b"host:") for line in lines):
        lines.insert(0, b"Host: " + question.authority.encode("ascii"))
    octets = b"\r\n".join([b"%b %b HTTP/1.1" % (question.method, question.target), *lines, b"", b""])
    head = RequestParser(limits.head_size, limits.head_count, limits.target_length).parse(octets)
    if head is None:
        raise BadRequest("the head is not complete")
    secured = question.scheme == "https"
    trusted = is_within(question.address, config.trusted_proxies)
    client = Client(question.address, trusted=trusted, scheme=question.scheme.encode(), port=question.port)
    if secured:
        client.tls = ClientTLS(request_facts(head).authority.host)
    target = parse_target(head.method, head.target, secured=secured or trusted)
    made = Probe(head, request_facts(head), client, limits.body_size, time.time() if now is None else now)
    if trusted:
        client.address = made.transaction.client = original_client(head.fields, client.peer, config.trusted_proxies)
        made.request_id = request_id_of(head.fields) or made.request_id
    made.target, made.path = target.raw, target.path
    if target.authority is not None:
        made.authority = target.authority
    return made


class Probe:
    """A request (``interfaces.Request``) that keeps the head of its answer, and lets go of the rest."""

    keeps_facts = False
    is_body_complete = True

    def __init__(self, head: RequestHead, facts: RequestFacts, client: Client, body_limit: int, now: float) -> None:
        self.method = head.method
        self.target = head.target
        self.path = head.path
        self.fields = head.fields
        self.facts = facts
        self.client = client
        self.authority = facts.authority or NO_AUTHORITY
        self.public_scheme = public_scheme(head.fields, client.scheme) if client.trusted else client.scheme
        self.public_authority = public_authority(head.fields) if client.trusted else b""
        self.request_id = NEW_ID
        self.transaction = Transaction(self.request_id, client.peer, head.method, head.target, 11, now, 0.0)
        self.transaction.facts = facts
        self.added_lines = b""
        self.matched_path = b""
        self.can_upgrade = True
        self.body_limit = body_limit
        self.source: BodySource | None = None
        self.answer: OutgoingHead | None = None
        """The head of the final answer."""
        self.length = -1
        """Octets of content that its framing tells; negative where it doesn't."""
        self.error: ProxyError | None = None
        """Why there is none."""

    def with_fields(self, fields: Fields) -> Probe:
        """The same request with other fields."""
        head = RequestHead(self.method, self.target, 11, fields)
        other = Probe(head, RequestFacts(11, fields), self.client, self.body_limit, self.transaction.started)
        other.matched_path = self.matched_path
        return other

    @property
    def is_answered(self) -> bool:
        """Whether it is known what the answer is."""
        return self.answer is not None or self.error is not None

    def read_body(self, sink: BodySink) -> None:
        """There is none."""
        sink.body_ended(NO_FIELDS)

    def pause_body(self) -> None:
        """There is none."""

    def resume_body(self) -> None:
        """There is none."""

    def invite_body(self) -> None:
        """There is none."""

    def interim(self, head: OutgoingHead) -> None:
        """Interim answers are never stored."""

    def start(self, head: OutgoingHead, framing: Framing, source: BodySource | None) -> None:
        """The head is all that is wanted."""
        self.answer = head
        if framing.kind == "length":
            self.length = framing.length
        if source is not None and framing.kind != "none":
            source.cancel(ClientGone("only the head was wanted"))

    def write(self, data: bytes) -> None:
        """Not wanted."""

    def flush(self) -> None:
        """Nothing is held."""

    def finish(self, trailers: Fields) -> None:
        """Not wanted."""

    def answer_whole(self, head: OutgoingHead, framing: Framing, body: bytes) -> None:
        """All of it at once."""
        self.start(head, framing, None)
        self.finish(NO_FIELDS)

    def fail(self, error: ProxyError) -> None:
        """There will be no (complete) answer."""
        if self.answer is None:
            self.error = error
