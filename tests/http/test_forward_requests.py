"""What a proxy changes in a request's fields: raw head → the field lines that go upstream."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revproxy.http.facts import request_facts
from revproxy.http.fields import Fields
from revproxy.http.forward import (
    Client,
    FieldChanges,
    RequestForwarding,
    is_within,
    original_client,
    plain_address,
    public_authority,
    public_port,
    public_scheme,
    request_id_of,
)
from revproxy.http.parse import RequestParser

PLAIN = RequestForwarding()


def forwarded(
    lines: bytes,
    forwarding: RequestForwarding = PLAIN,
    *,
    trusted: bool = False,
    version: bytes = b"1.1",
    peer: bytes = b"192.0.2.9",
    scheme: bytes = b"https",
    host: bytes = b"Host: a\r\n",
) -> list[bytes]:
    """The lines of the forwarded head."""
    head = RequestParser(4096, 100, 256).parse(
        b"GET / HTTP/%b\r\n%b%b\r\n" % (version, host, lines + b"\r\n" if lines else b"")
    )
    assert head is not None
    facts = request_facts(head)
    client = Client(peer, trusted=trusted, scheme=scheme, port=443)
    block = forwarding.block(head.fields, facts, client, facts.authority.raw)
    assert block.endswith(b"\r\n")
    return block[:-2].split(b"\r\n")


OURS = [
    b"X-Forwarded-For: 192.0.2.9", b"X-Forwarded-Proto: https", b"X-Forwarded-Host: a", b"X-Forwarded-Port: 443",
    b"Via: 1.1 revproxy",
]  # fmt: skip


def test_the_plain_case() -> None:
    assert forwarded(b"Accept: */*\r\nX-A: 1\r\nx-a: 2\r\nEmpty:") == [
        b"Host: a", b"Accept: */*", b"X-A: 1", b"x-a: 2", b"Empty: ", *OURS,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rfc", "lines"),
    [
        ("9110-7.6.1", b"Connection: keep-alive\r\nKeep-Alive: timeout=5"),
        ("9110-7.6.1", b"Connection: close"),
        ("9110-7.6.1", b"Connection: X-Secret, x-other\r\nX-Secret: 1\r\nX-OTHER: 2\r\nx-secret: 3"),
        ("9110-7.6.1", b"X-Secret: 1\r\nConnection: a\r\nConnection: ,x-secret ,"),
        ("9110-7.6.1", b"Proxy-Connection: keep-alive"),
        ("9110-7.6.1", b"Close: now"),
        ("9110-10.1.4", b"TE: gzip"),
        ("9112-6.1", b"Transfer-Encoding: chunked"),
        ("9110-8.6", b"Content-Length: 0"),
        ("9110-11.7.2", b"Proxy-Authorization: Basic eDp5"),
        ("9110-7.8", b"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__"),
        ("9110-7.8", b"Upgrade: websocket"),
        ("9110-10.1.1", b"Expect: 100-continue"),
        ("law 4", b"X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: ftp\r\nX-Forwarded-Host: b\r\nX-Forwarded-Port: 1"),
        ("law 4", b"X-Forwarded-Prefix: /x\r\nX-Forwarded-Server: s\r\nX-Forwarded-Anything: y"),
        ("law 4", b"Forwarded: for=1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\nTrue-Client-IP: 1.2.3.4"),
        ("law 4", b"X-Request-ID: mine\r\nClient-Cert: x\r\nRemote-User: root\r\nX-Original-URL: /admin"),
        ("law 4", b"x_forwarded_for: 1.2.3.4\r\nX_FORWARDED-PROTO: x\r\nX_Real_IP: y\r\nRemote_User: root"),
        ("law 4", b"Transfer_Encoding: chunked\r\nContent_Length: 5\r\nProxy_Connection: x\r\nHTTP2_Settings: y"),
        ("CGI", b"Proxy: http://evil.example"),
    ],
)
def test_what_ends_here(rfc: str, lines: bytes) -> None:
    assert forwarded(lines) == [b"Host: a", *OURS]


@pytest.mark.parametrize(
    "line",
    [
        b"X-Snake_case: kept", b"Trailer: Checksum", b"Cookie: a=b", b"Authorization: x", b"Cache-Control: no-cache",
        b"Max-Forwards: 3", b"Content-Type: a/b", b"Keep-Alive-Not: x", b"Connections: x", b"Origin: https://a",
        b"Sec-WebSocket-Key: x",
    ],
)  # fmt: skip
def test_what_goes_on(line: bytes) -> None:
    assert forwarded(line) == [b"Host: a", line, *OURS]


def test_connection_cannot_take_away_what_we_add() -> None:
    lines = b"Connection: host, via, x-forwarded-for, x-forwarded-proto, x-forwarded-host, x-forwarded-port, close"
    assert forwarded(lines) == [b"Host: a", *OURS]
    # RFC 9110 §7.6.1: from a trusted proxy, what it lists is for us alone, and then what we know takes its place.
    claims = b"X-Forwarded-Proto: http\r\nX-Forwarded-Host: b\r\nX-Forwarded-Port: 1\r\nX-Forwarded-For: 1.2.3.4\r\n"
    assert forwarded(claims + lines, trusted=True) == [b"Host: a", *OURS]


def test_a_trusted_proxy_is_believed() -> None:
    claims = [
        b"X-Forwarded-Proto: http", b"X-Forwarded-Host: b", b"X-Forwarded-Port: 1", b"X-Real-IP: 1.2.3.4", b"Client-Cert: :x:",
    ]  # fmt: skip
    assert forwarded(b"\r\n".join(claims), trusted=True) == [
        b"Host: a", *claims, b"X-Forwarded-For: 192.0.2.9", b"Via: 1.1 revproxy",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        b"X_Forwarded_For: 1.2.3.4", b"x-forwarded_proto: http", b"X_Real_IP: 1.2.3.4", b"Remote_User: root",
        b"Content_Length: 5", b"Transfer_Encoding: chunked", b"X_Request_ID: mine", b"X-Request-ID: theirs",
    ],
)  # fmt: skip
def test_no_twin_with_underscores_passes_even_from_a_trusted_proxy(line: bytes) -> None:
    # It would be merged with ours by CGI's naming; trusted proxies pass such names of their own clients on.
    assert forwarded(line, trusted=True) == [b"Host: a", *OURS]


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (b"X-Forwarded-For: 1.2.3.4", b"1.2.3.4, 192.0.2.9"),
        (b"X-Forwarded-For: 1.2.3.4, 5.6.7.8", b"1.2.3.4, 5.6.7.8, 192.0.2.9"),
        (b"X-Forwarded-For: 1.2.3.4\r\nx-forwarded-for: 5.6.7.8", b"1.2.3.4, 5.6.7.8, 192.0.2.9"),
        (b"X-Forwarded-For:", b"192.0.2.9"),
        (b"", b"192.0.2.9"),
    ],
)
def test_the_chain_of_clients_grows_at_its_end(before: bytes, expected: bytes) -> None:
    assert [line for line in forwarded(before, trusted=True) if line.lower().startswith(b"x-forwarded-for")] == [
        b"X-Forwarded-For: " + expected
    ]


def test_a_client_on_a_unix_socket_is_unknown() -> None:
    lines = forwarded(b"", RequestForwarding(forwarded=True), peer=b"unix:")
    assert b"X-Forwarded-For: unknown" in lines
    assert b"Forwarded: for=unknown;proto=https;host=a" in lines


@pytest.mark.parametrize(
    ("rfc", "peer", "host", "expected"),
    [
        ("7239-4", b"192.0.2.9", b"a", b"for=192.0.2.9;proto=https;host=a"),
        ("7239-4", b"192.0.2.9", b"a.example:8080", b'for=192.0.2.9;proto=https;host="a.example:8080"'),
        ("7239-6", b"2001:db8::1", b"[::1]:1", b'for="[2001:db8::1]";proto=https;host="[::1]:1"'),
        ("7239-4", b"192.0.2.9", b"a;for=6.6.6.6", b'for=192.0.2.9;proto=https;host="a;for=6.6.6.6"'),
        ("7239-4", b"192.0.2.9", b"a=(b)", b'for=192.0.2.9;proto=https;host="a=(b)"'),
    ],
)
def test_forwarded(rfc: str, peer: bytes, host: bytes, expected: bytes) -> None:
    lines = forwarded(b"", RequestForwarding(forwarded=True), peer=peer, host=b"Host: %b\r\n" % host)
    assert b"Forwarded: " + expected in lines


@pytest.mark.parametrize("sent", [True, False])
def test_forwarded_of_a_trusted_proxy_is_kept(sent: bool) -> None:
    lines = forwarded(
        b"Forwarded: for=1.2.3.4\r\nForwarded: for=_x", RequestForwarding(forwarded=sent), trusted=True
    )
    ours = b", for=192.0.2.9;proto=https;host=a" if sent else b""
    assert [line for line in lines if line.startswith(b"Forwarded")] == [b"Forwarded: for=1.2.3.4, for=_x" + ours]


@pytest.mark.parametrize(
    ("lines", "version", "expected"),
    [
        (b"", b"1.1", b"1.1 revproxy"),
        (b"", b"1.0", b"1.0 revproxy"),
        (b"", b"1.2", b"1.1 revproxy"),
        (b"Via: 1.0 x", b"1.1", b"1.0 x, 1.1 revproxy"),
        (b"Via: 1.0 x, 2 y\r\nVIA: 1.1 z", b"1.0", b"1.0 x, 2 y, 1.1 z, 1.0 revproxy"),
        (b"Via:", b"1.1", b"1.1 revproxy"),
    ],
)
def test_via(lines: bytes, version: bytes, expected: bytes) -> None:
    # RFC 9110 §7.6.3.
    assert [line for line in forwarded(lines, version=version) if line[:3].lower() == b"via"] == [b"Via: " + expected]


@pytest.mark.parametrize(
    ("value", "passed"),
    [
        (b"trailers", True), (b"Trailers", True), (b"gzip, trailers", True), (b"trailers;q=1", True), (b"deflate", False),
        (b"x-trailers", False), (b"", False),
    ],
)  # fmt: skip
def test_te(value: bytes, passed: bool) -> None:
    # RFC 9110 §10.1.4: TE is said anew, for our own connection, and listed in Connection.
    lines = forwarded(b"Connection: TE\r\nTE: " + value)
    assert lines == [b"Host: a", *OURS, *([b"Connection: TE", b"TE: trailers"] if passed else [])]


@pytest.mark.parametrize(
    ("lines", "version", "expected"),
    [
        (b"Connection: Upgrade\r\nUpgrade: websocket", b"1.1", b"websocket"),
        (b"Connection: keep-alive, UPGRADE\r\nUpgrade: WebSocket", b"1.1", b"websocket"),
        (b"Connection: Upgrade\r\nUpgrade: h2c, websocket", b"1.1", b"websocket"),
        (b"Connection: Upgrade\r\nUpgrade: h2c", b"1.1", b""),
        (b"Connection: Upgrade\r\nUpgrade: websocket/13", b"1.1", b""),
        (b"Connection: close\r\nUpgrade: websocket", b"1.1", b""),
        (b"Connection: Upgrade\r\nUpgrade: websocket", b"1.0", b""),
        (b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5", b"1.1", b""),
        (b"Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked", b"1.1", b""),
        (b"Connection: Upgrade", b"1.1", b""),
    ],
)
def test_upgrade(lines: bytes, version: bytes, expected: bytes) -> None:
    # RFC 9110 §7.8: one allowed protocol, from HTTP/1.1, beside no body.
    result = forwarded(lines, RequestForwarding(upgrades=frozenset({b"websocket"})), version=version)
    asked = [b"Connection: Upgrade", b"Upgrade: " + expected] if expected else []
    assert [line for line in result if line.startswith((b"Connection", b"Upgrade"))] == asked


@pytest.mark.parametrize(
    ("forwarding", "host", "version", "expected"),
    [
        (PLAIN, b"Host: A.b:8\r\n", b"1.1", [b"Host: A.b:8", b"X-Forwarded-Host: A.b:8", b"X-Forwarded-Port: 8"]),
        (RequestForwarding(host=b"in"), b"Host: a\r\n", b"1.1", [b"Host: in", b"X-Forwarded-Host: a", b"X-Forwarded-Port: 443"]),
        (RequestForwarding(default_host=b"d"), b"", b"1.0", [b"Host: d", b"X-Forwarded-Port: 443"]),
        (RequestForwarding(host=b"in", default_host=b"d"), b"", b"1.0", [b"Host: in", b"X-Forwarded-Port: 443"]),
    ],
)
def test_host(forwarding: RequestForwarding, host: bytes, version: bytes, expected: list[bytes]) -> None:
    lines = forwarded(b"", forwarding, host=host, version=version)
    assert [line for line in lines if line.startswith((b"Host", b"X-Forwarded-Host", b"X-Forwarded-Port"))] == expected


@pytest.mark.parametrize(
    ("before", "trusted", "expected"),
    [
        (b"", False, b"/app"),
        (b"X-Forwarded-Prefix: /evil", False, b"/app"),
        (b"X-Forwarded-Prefix: /outer", True, b"/outer/app"),
        (b"X-Forwarded-Prefix: /outer/", True, b"/outer/app"),
    ],
)
def test_stripped_prefix(before: bytes, trusted: bool, expected: bytes) -> None:
    lines = forwarded(before, RequestForwarding(prefix=b"/app"), trusted=trusted)
    assert [line for line in lines if b"Prefix" in line] == [b"X-Forwarded-Prefix: " + expected]


def test_field_changes_take_away_then_set_then_add() -> None:
    changes = FieldChanges(
        remove=frozenset({b"x-gone", b"x-forwarded-port"}),
        set=((b"X-Set", b"new"), (b"Via", b"none")),
        add=((b"X-Add", b"2"), (b"X-Gone", b"back")),
    )
    lines = forwarded(b"X-Gone: 1\r\nx-set: old\r\nX-SET: older\r\nX-Add: 1", RequestForwarding(changes=changes))
    assert lines == [
        b"Host: a", b"X-Add: 1", *OURS[:3], b"X-Set: new", b"Via: none", b"X-Add: 2", b"X-Gone: back",
    ]  # fmt: skip


def test_expect_goes_on_where_a_body_is_to_come() -> None:
    assert b"Expect: 100-Continue" in forwarded(b"Content-Length: 3\r\nExpect: 100-Continue")
    assert not any(line.startswith(b"Expect") for line in forwarded(b"Content-Length: 0\r\nExpect: 100-continue"))


NETWORKS = [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8::/32")]


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        (None, b"10.0.0.1"),
        (b"", b"10.0.0.1"),
        (b"1.2.3.4", b"1.2.3.4"),
        (b"6.6.6.6, 1.2.3.4", b"1.2.3.4"),
        (b"6.6.6.6, 1.2.3.4, 10.0.0.7", b"1.2.3.4"),
        (b"1.2.3.4,10.0.0.7 ,\t2001:db8::7", b"1.2.3.4"),
        (b"10.0.0.9, 10.0.0.7", b"10.0.0.9"),
        (b"1.2.3.4:5678", b"1.2.3.4"),
        (b"[2001:DB9::1]:5678", b"2001:db9::1"),
        (b"[2001:db9::1]", b"2001:db9::1"),
        (b"::ffff:1.2.3.4", b"1.2.3.4"),
        (b"1.2.3.4, ::ffff:10.0.0.7", b"1.2.3.4"),
        (b"1.2.3.4, unknown", b"10.0.0.1"),
        (b"1.2.3.4, _hidden, 10.0.0.7", b"10.0.0.7"),
        (b"1.2.3.4,", b"10.0.0.1"),
        (b"\xff", b"10.0.0.1"),
        (b"010.0.0.1", b"10.0.0.1"),
        (b'::1%" 200 "x', b"10.0.0.1"),
        (b"2001:db8::1%x y, 10.0.0.7", b"10.0.0.7"),
    ],
)
def test_original_client(chain: bytes | None, expected: bytes) -> None:
    fields = Fields.of([] if chain is None else [(b"X-Forwarded-For", chain)])
    assert original_client(fields, b"10.0.0.1", NETWORKS) == expected


@settings(deadline=None)
@given(st.text('0123456789abcdef:.,[]% "x', max_size=60).map(str.encode))
def test_the_original_client_is_always_an_address(chain: bytes) -> None:
    found = original_client(Fields.of([(b"X-Forwarded-For", chain)]), b"10.0.0.1", NETWORKS)
    assert b"%" not in found
    ipaddress.ip_address(found.decode())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.2.3.4", "1.2.3.4"), ("::ffff:1.2.3.4", "1.2.3.4"), ("::FFFF:1.2.3.4", "1.2.3.4"),
        ("0:0:0:0:0:ffff:102:304", "1.2.3.4"), ("::1", "::1"), ("2001:db8::1", "2001:db8::1"), ("a:b", "a:b"), ("", ""),
    ],
)  # fmt: skip
def test_plain_address(text: str, expected: str) -> None:
    assert plain_address(text) == expected


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        (b"10.1.2.3", True), (b"11.0.0.1", False), (b"::ffff:10.0.0.1", True), (b"2001:db8::1", True), (b"::1", False),
        (b"unix:", False), (b"", False), (b"\xff", False), (b"10.0.0.1 ", False), (b"10.0.0.1/8", False),
    ],
)  # fmt: skip
def test_is_within(address: bytes, inside: bool) -> None:
    assert is_within(address, NETWORKS) is inside


@pytest.mark.parametrize(
    ("value", "taken"),
    [
        (b"a", True), (b"A0._~+/=:@-", True), (b"x" * 128, True), (b"x" * 129, False), (b"", False), (b"a b", False),
        (b"a,b", False), (b"<b>", False), (b'"', False), (b"a\n", False), (b"\xc3\xa9", False),
    ],
)  # fmt: skip
def test_request_ids(value: bytes, taken: bool) -> None:
    assert request_id_of(Fields.of([(b"X-Request-ID", value)])) == (value if taken else None)
    assert request_id_of(Fields.of([(b"X-Request-ID", value)] * 2)) is None


@pytest.mark.parametrize(
    ("authority", "scheme", "expected"),
    [
        (b"a", b"http", b"80"), (b"a", b"https", b"443"), (b"a:8080", b"https", b"8080"), (b"a:", b"http", b"80"),
        (b"[::1]", b"https", b"443"), (b"[::1]:81", b"http", b"81"), (b"", b"http", b"80"),
    ],
)  # fmt: skip
def test_public_port(authority: bytes, scheme: bytes, expected: bytes) -> None:
    assert public_port(authority, scheme) == expected


@pytest.mark.parametrize(
    ("pairs", "scheme", "authority"),
    [
        ([], b"http", b""),
        ([(b"X-Forwarded-Proto", b"https"), (b"X-Forwarded-Host", b"example.com")], b"https", b"example.com"),
        ([(b"X-Forwarded-Proto", b"HTTPS, http"), (b"X-Forwarded-Host", b"a:8443, b")], b"https", b"a:8443"),
        ([(b"X-Forwarded-Proto", b"gopher"), (b"X-Forwarded-Host", b"a b")], b"http", b""),
    ],
)
def test_what_a_trusted_proxy_tells_of_the_public_name(
    pairs: list[tuple[bytes, bytes]], scheme: bytes, authority: bytes
) -> None:
    fields = Fields.of(pairs)
    assert public_scheme(fields, b"http") == scheme
    assert public_authority(fields) == authority
