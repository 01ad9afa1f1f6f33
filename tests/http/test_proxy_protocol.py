"""The PROXY protocol, versions 1 and 2, in every way that the header may be cut."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revproxy.http.proxy_protocol import SIGNATURE, ProxyHeader, ProxyProtocolError, parse_proxy_header

REQUEST = b"GET / HTTP/1.1\r\n\r\n"
LONGEST = b"PROXY TCP6 " + b"ffff:" * 7 + b"ffff " + b"ffff:" * 7 + b"ffff 65535 65535\r\n"


def block(command: int, family: int, content: bytes, length: int | None = None) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(content) if length is None else length) + content


def inet(source: str, target: str, source_port: int = 1234, port: int = 443) -> bytes:
    addresses = ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed
    return addresses + struct.pack("!HH", source_port, port)


V4 = inet("192.0.2.9", "10.0.0.1")
V6 = inet("2001:db8::9", "::1", port=8443)

ACCEPTED: list[tuple[str, bytes, bytes | None, int]] = [
    ("TCP4", b"PROXY TCP4 192.0.2.9 10.0.0.1 1234 443\r\n", b"192.0.2.9", 443),
    ("TCP6", b"PROXY TCP6 2001:db8::9 ::1 1234 8443\r\n", b"2001:db8::9", 8443),
    ("an IPv4-mapped address", b"PROXY TCP6 ::ffff:192.0.2.9 ::1 1234 443\r\n", b"192.0.2.9", 443),
    ("the longest line", LONGEST, b"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535),
    ("port 0", b"PROXY TCP4 192.0.2.9 10.0.0.1 0 0\r\n", b"192.0.2.9", 0),
    ("UNKNOWN", b"PROXY UNKNOWN\r\n", None, 0),
    ("UNKNOWN with addresses to be ignored", b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", None, 0),
    ("v2 TCP over IPv4", block(0x21, 0x11, V4), b"192.0.2.9", 443),
    ("v2 TCP over IPv6", block(0x21, 0x21, V6), b"2001:db8::9", 8443),
    ("v2 an IPv4-mapped address", block(0x21, 0x21, inet("::ffff:192.0.2.9", "::1")), b"192.0.2.9", 443),
    ("v2 with TLVs behind the addresses", block(0x21, 0x11, V4 + b"\x03\x00\x04abcd"), b"192.0.2.9", 443),
    ("v2 LOCAL: the balancer's own check", block(0x20, 0x11, V4), None, 0),
    ("v2 LOCAL without addresses", block(0x20, 0x00, b""), None, 0),
    ("v2 of no family", block(0x21, 0x00, b"xyz"), None, 0),
    ("v2 of a unix socket", block(0x21, 0x31, b"\x00" * 216), None, 0),
    ("v2 UDP", block(0x21, 0x12, V4), None, 0),
    ("v2 content that looks like a head's end", block(0x20, 0x00, b"\r\n\r\n"), None, 0),
]

REFUSED: list[tuple[str, bytes]] = [
    ("a request without header", REQUEST),
    ("lower case", b"proxy TCP4 192.0.2.9 10.0.0.1 1234 443\r\n"),
    ("an empty line before", b"\r\nPROXY TCP4 192.0.2.9 10.0.0.1 1234 443\r\n"),
    ("another family", b"PROXY UDP4 192.0.2.9 10.0.0.1 1234 443\r\n"),
    ("IPv6 as TCP4", b"PROXY TCP4 ::1 ::2 1234 443\r\n"),
    ("IPv4 as TCP6", b"PROXY TCP6 192.0.2.9 10.0.0.1 1234 443\r\n"),
    ("a zone", b"PROXY TCP6 fe80::1%eth0 ::1 1234 443\r\n"),
    ("a zone of the target", b"PROXY TCP6 ::1 fe80::1%eth0 1234 443\r\n"),
    ("a name", b"PROXY TCP4 localhost 10.0.0.1 1234 443\r\n"),
    ("a short address", b"PROXY TCP4 192.0.2 10.0.0.1 1234 443\r\n"),
    ("an octal address", b"PROXY TCP4 192.0.2.09 10.0.0.1 1234 443\r\n"),
    ("NUL in an address", b"PROXY TCP4 192.0.2.9\x00 10.0.0.1 1234 443\r\n"),
    ("octets above 127", b"PROXY TCP4 192.0.2.\xb9 10.0.0.1 1234 443\r\n"),
    ("a port too large", b"PROXY TCP4 192.0.2.9 10.0.0.1 1234 65536\r\n"),
    ("a source port too large", b"PROXY TCP4 192.0.2.9 10.0.0.1 70000 443\r\n"),
    ("a port with a sign", b"PROXY TCP4 192.0.2.9 10.0.0.1 +1 443\r\n"),
    ("no port", b"PROXY TCP4 192.0.2.9 10.0.0.1 1234 \r\n"),
    ("too few words", b"PROXY TCP4 192.0.2.9 10.0.0.1 1234\r\n"),
    ("too many words", b"PROXY TCP4 192.0.2.9 10.0.0.1 1234 443 x\r\n"),
    ("two spaces", b"PROXY TCP4  192.0.2.9 10.0.0.1 1234 443\r\n"),
    ("a tab", b"PROXY\tTCP4 192.0.2.9 10.0.0.1 1234 443\r\n"),
    ("a bare LF, and then a request", b"PROXY TCP4 192.0.2.9 10.0.0.1 1234 443\n" + REQUEST),
    ("no end within 107 octets", b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n"),
    ("v2 with another version", block(0x11, 0x11, V4)),
    ("v2 with another command", block(0x22, 0x11, V4)),
    ("v2 too short for IPv4", block(0x21, 0x11, V4[:-1])),
    ("v2 too short for IPv6", block(0x21, 0x21, V4)),
    ("v2 with more than it may have", block(0x21, 0x11, b"", length=4097)),
    ("v2 with a broken signature", SIGNATURE[:-1] + b"\r" + block(0x21, 0x11, V4)[12:]),
]


@pytest.mark.parametrize(("why", "raw", "source", "port"), ACCEPTED, ids=[row[0] for row in ACCEPTED])
def test_headers(why: str, raw: bytes, source: bytes | None, port: int) -> None:
    for behind in (b"", REQUEST, b"\x00\r\n"):
        assert parse_proxy_header(raw + behind) == ProxyHeader(len(raw), source, port)
    for at in range(len(raw)):
        assert parse_proxy_header(raw[:at]) is None


@pytest.mark.parametrize(("why", "raw"), REFUSED, ids=[row[0] for row in REFUSED])
def test_refused(why: str, raw: bytes) -> None:
    with pytest.raises(ProxyProtocolError):
        parse_proxy_header(raw)
    refused = False
    for at in range(len(raw) + 1):
        try:
            assert parse_proxy_header(raw[:at]) is None
        except ProxyProtocolError:
            refused = True
        else:
            assert not refused, "what was refused must not become right"
    assert refused


def test_the_longest_line_is_as_long_as_the_protocol_says() -> None:
    assert len(LONGEST) <= 107
    assert parse_proxy_header(b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n") == ProxyHeader(107, None, 0)


beginnings = st.sampled_from(
    [b"", b"PROXY ", b"PROXY TCP4 ", b"PROXY TCP6 ::1 ", SIGNATURE, SIGNATURE + b"\x21\x11", SIGNATURE + b"\x21\x21\x00\x24"]
)
lines = st.lists(
    st.sampled_from([b"PROXY", b"TCP4", b"TCP6", b"UNKNOWN", b"192.0.2.9", b"::1", b"::1%1", b"0", b"443", b"65536", b"", b"\xb2"]),
    max_size=7,
).map(lambda words: b" ".join(words) + b"\r\n")


@settings(deadline=None)
@given(st.one_of(lines, st.tuples(beginnings, st.binary(max_size=80)).map(b"".join)), st.binary(max_size=10))
def test_any_octets(raw: bytes, behind: bytes) -> None:
    try:
        header = parse_proxy_header(raw)
    except ProxyProtocolError:
        return
    if header is None:
        return
    assert 0 < header.consumed <= len(raw)
    assert 0 <= header.port <= 65535
    if header.source is not None:
        ipaddress.ip_address(header.source.decode("ascii"))
    assert parse_proxy_header(raw + behind) == header
    assert parse_proxy_header(raw[: header.consumed]) == header
    assert parse_proxy_header(raw[: header.consumed - 1]) is None
