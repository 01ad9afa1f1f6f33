"""The first message of a TLS client, read before OpenSSL sees it (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2).

It names the server and the protocols that the client wants, and by these a context is chosen. A context of its own for
each site keeps tickets, client certificates and versions of sites apart, which a callback in the middle of OpenSSL's
handshake can't; and a name that is nobody's gets the alert that is meant for it.

Pure: octets in, a value out. Nothing of it is trusted beyond this choice, OpenSSL reads the same octets again.
"""

from __future__ import annotations

from typing import Final

import attrs

LONGEST: Final = 16 * 1024
"""Octets of a hello that are looked at; browsers send 0.5 to 2 KiB."""
MOST_RECORDS: Final = 64
"""Records that one is cut into, mostly one. With each octet that comes all are looked at again."""

UNEXPECTED_MESSAGE: Final = 10
RECORD_OVERFLOW: Final = 22
DECODE_ERROR: Final = 50
INTERNAL_ERROR: Final = 80
UNRECOGNIZED_NAME: Final = 112

_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_LONGEST_RECORD: Final = 1 << 14
_SERVER_NAME: Final = 0
_SIGNATURE_ALGORITHMS: Final = 13
_ALPN: Final = 16
_SESSION_TICKET: Final = 35
_PRE_SHARED_KEY: Final = 41
_SUPPORTED_VERSIONS: Final = 43
_KEY_NAME: Final = 16


@attrs.frozen
class ClientHello:
    """What a client's hello says of what it wants."""

    server_name: str = ""
    """The name it asks for (RFC 6066 §3), in lower case; empty where it asks for none."""
    alpn: tuple[bytes, ...] = ()
    """Protocols, in its order of preference (RFC 7301)."""
    versions: tuple[int, ...] = ()
    """Versions of TLS as the wire has them: 0x0304 is TLS 1.3."""
    signature_algorithms: tuple[int, ...] = ()
    """SignatureSchemes (RFC 8446 §4.2.3)."""
    ciphers: tuple[int, ...] = ()
    """Cipher suites; those of TLS 1.2 name the kind of the server's key as well."""
    ticket_keys: tuple[bytes, ...] = ()
    """The names of the keys of the tickets it brings: their first 16 octets (RFC 5077 §4)."""


class HelloError(ValueError):
    """These octets begin no TLS connection. The text says why."""

    def __init__(self, text: str, alert: int = DECODE_ERROR, *, is_clear_text: bool = False) -> None:
        super().__init__(text)
        self.alert = alert
        """The alert that answers it (RFC 8446 §6)."""
        self.is_clear_text = is_clear_text
        """Whether it looks like a protocol of letters, HTTP most likely."""


class _Octets:
    """A cursor over octets whose reads are checked."""

    __slots__ = ("_at", "_data", "_end")

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self._data = data
        self._at = at
        self._end = end

    def __bool__(self) -> bool:
        return self._at < self._end

    def number(self, size: int) -> int:
        """The next ``size`` octets as a number."""
        return int.from_bytes(self.take(size), "big")

    def take(self, size: int) -> bytes:
        """The next ``size`` octets."""
        at = self._at
        end = at + size
        if end > self._end:
            raise HelloError("a length in the client's hello reaches beyond its end")
        self._at = end
        return self._data[at:end]

    def rest(self) -> bytes:
        """What is left."""
        return self.take(self._end - self._at)

    def vector(self, size: int) -> _Octets:
        """What a length of ``size`` octets is followed by."""
        length = self.number(size)
        at = self._at
        if at + length > self._end:
            raise HelloError("a length in the client's hello reaches beyond its end")
        self._at = at + length
        return _Octets(self._data, at, at + length)


def parse_client_hello(data: bytes) -> ClientHello | None:
    """Reads the first octets of a connection; None where more are needed. Raises HelloError."""
    message = _message(data)
    if message is None:
        return None
    octets = _Octets(message, 0, len(message))
    legacy_version = octets.number(2)
    octets.take(32)
    octets.vector(1)
    ciphers = _numbers(octets.vector(2))
    octets.vector(1)
    name = ""
    alpn: tuple[bytes, ...] = ()
    versions: tuple[int, ...] = ()
    schemes: tuple[int, ...] = ()
    keys: list[bytes] = []
    seen = set()
    extensions = octets.vector(2) if octets else octets
    if octets:
        raise HelloError("octets follow the client's hello inside its message")
    while extensions:
        kind = extensions.number(2)
        body = extensions.vector(2)
        if kind in seen:
            raise HelloError("the client's hello repeats an extension", alert=47)
        seen.add(kind)
        if kind == _SERVER_NAME:
            name = _server_name(body)
        elif kind == _ALPN:
            alpn = _protocols(body)
        elif kind == _SUPPORTED_VERSIONS:
            versions = _numbers(body.vector(1))
        elif kind == _SIGNATURE_ALGORITHMS:
            schemes = _numbers(body.vector(2))
        elif kind == _SESSION_TICKET:
            keys.append(body.rest()[:_KEY_NAME])
        elif kind == _PRE_SHARED_KEY:
            identities = body.vector(2)
            while identities:
                keys.append(identities.take(identities.number(2))[:_KEY_NAME])
                identities.take(4)
    ticket_keys = tuple(key for key in keys if len(key) == _KEY_NAME)
    return ClientHello(name, alpn, versions or (legacy_version,), schemes, ciphers, ticket_keys)


def _message(data: bytes) -> bytes | None:
    """The body of the handshake message, out of one or several records (RFC 8446 §5.1)."""
    if not data:
        return None
    if data[0] != _HANDSHAKE:
        # SSLv2's hello begins with a length, HTTP with a letter.
        looks_clear = data[:1].isalpha() or data[:1] in (b"\r", b"\n")
        raise HelloError("the client does not speak TLS", UNEXPECTED_MESSAGE, is_clear_text=looks_clear)
    message = b""
    at = 0
    for _ in range(MOST_RECORDS):
        header = data[at : at + 5]
        if len(header) > 1 and header[1] != 3:
            raise HelloError("the client's record is of no version of TLS", alert=70)
        if len(header) < 5:
            return None
        if header[0] != _HANDSHAKE:
            raise HelloError("something else than a hello came first", UNEXPECTED_MESSAGE)
        length = int.from_bytes(header[3:5], "big")
        if not length or length > _LONGEST_RECORD:
            raise HelloError("a record's length is out of bounds", RECORD_OVERFLOW)
        message += data[at + 5 : at + 5 + length]
        if message[:1] and message[0] != _CLIENT_HELLO:
            raise HelloError("something else than a hello came first", UNEXPECTED_MESSAGE)
        if len(message) >= 4:
            size = int.from_bytes(message[1:4], "big")
            if size > LONGEST:
                raise HelloError("the client's hello is too long")
            if len(message) >= 4 + size:
                return message[4 : 4 + size]
        at += 5 + length
        if at >= len(data):
            return None
    raise HelloError("the client's hello is cut into too many records")


def _server_name(body: _Octets) -> str:
    names = body.vector(2)
    while names:
        kind = names.number(1)
        octets = names.take(names.number(2))
        if kind == 0:
            # RFC 6066 §3: a DNS name in ASCII, without a final dot; clients write one all the same.
            name = octets.rstrip(b".").lower()
            if not name or len(name) > 255 or name.translate(None, _NAME_OCTETS):
                raise HelloError("the name that the client asks for is none", UNRECOGNIZED_NAME)
            return name.decode("ascii")
    return ""


_NAME_OCTETS: Final = b"abcdefghijklmnopqrstuvwxyz0123456789.-_"


def _protocols(body: _Octets) -> tuple[bytes, ...]:
    names = body.vector(2)
    found = []
    while names:
        found.append(names.take(names.number(1)))
    return tuple(found)


def _numbers(octets: _Octets) -> tuple[int, ...]:
    found = []
    while octets:
        found.append(octets.number(2))
    return tuple(found)
