"""What a proxy changes in an answer's fields."""

from __future__ import annotations

import pytest

from revproxy.http.fields import Fields
from revproxy.http.forward import FieldChanges, ResponseForwarding
from revproxy.http.parse import ResponseHead, ResponseParser

PLAIN = ResponseForwarding()
Pair = tuple[bytes, bytes]


def passed(
    lines: bytes, forwarding: ResponseForwarding = PLAIN, *, status: int = 200, has_body: bool = True, version: int = 11
) -> list[bytes]:
    """The lines of the answer as the client sees it."""
    head = ResponseParser(4096, 100).parse(
        b"HTTP/1.%d %d X\r\n%b\r\n" % (version - 10, status, lines + b"\r\n" if lines else b"")
    )
    assert head is not None
    out = forwarding.head(head, has_body, b"https", b"a.example")
    assert (out.status, out.reason) == (status, b"X")
    assert out.block == b"".join(b"%b: %b\r\n" % (raw, value) for _, raw, value in out.fields.lines)
    assert out.has_date == (b"date" in out.fields)
    return out.block[:-2].split(b"\r\n")


VIA = b"Via: 1.1 revproxy"


@pytest.mark.parametrize(
    ("rfc", "lines"),
    [
        ("9110-7.6.1", b"Connection: keep-alive\r\nKeep-Alive: timeout=5"),
        ("9110-7.6.1", b"Connection: X-Own, close\r\nX-Own: 1\r\nx-own: 2"),
        ("9110-7.6.1", b"X-Own: 1\r\nConnection: x\r\nConnection: x-own"),
        ("9110-7.6.1", b"Proxy-Connection: close"),
        ("9112-6.1", b"Transfer-Encoding: chunked"),
        ("9110-8.6", b"Content-Length: 5"),
        ("9110-7.8", b"Upgrade: h2c\r\nConnection: upgrade"),
        ("9110-11.7.1", b"Proxy-Authenticate: Basic"),
        ("9110-11.7.3", b"Proxy-Authentication-Info: x"),
        ("law 3", b"Server: nginx/1.22\r\nX-Powered-By: PHP/8\r\nX-AspNet-Version: 4"),
        ("law 3", b"Via: 1.1 secret-cache.internal\r\nX-Backend-Server: web7\r\nX-Runtime: 0.1"),
        ("7838-3", b'Alt-Svc: h3="10.0.0.5:443"'),
    ],
)
def test_what_ends_here(rfc: str, lines: bytes) -> None:
    assert passed(lines) == [VIA]


def test_what_goes_on_in_its_order() -> None:
    lines = [b"Date: d", b"Set-Cookie: a=b; Path=/", b"X-A: 1", b"set-cookie: c", b"ETag: \"e\"", b"X-Empty: "]
    assert passed(b"\r\n".join(lines)) == [*lines, VIA]


def test_traces_may_be_kept() -> None:
    lines = b"Server: nginx\r\nX-Powered-By: PHP\r\nVia: 1.1 x\r\nConnection: x-own\r\nX-Own: 1"
    assert passed(lines, ResponseForwarding(keep_traces=True)) == [b"Server: nginx", b"X-Powered-By: PHP", b"Via: 1.1 x", VIA]


@pytest.mark.parametrize(
    ("status", "has_body", "lines", "expected"),
    [
        (200, False, b"Content-Length: 0042", [b"Content-Length: 42"]),
        (304, False, b"Content-Length: 42", [b"Content-Length: 42"]),
        (200, False, b"Content-Length: 5, 5", []),
        (200, False, b"Content-Length: x", []),
        (200, False, b"", []),
        (204, False, b"Content-Length: 0", []),
        (103, False, b"Content-Length: 0", []),
        (200, True, b"Content-Length: 42", []),
    ],
)
def test_the_length_that_the_content_would_have_had(
    status: int, has_body: bool, lines: bytes, expected: list[bytes]
) -> None:
    # RFC 9110 §8.6: for HEAD and 304; never in 1xx and 204; where there is content, the sender frames it.
    assert passed(lines, status=status, has_body=has_body) == [*expected, VIA]


@pytest.mark.parametrize(
    ("status", "upgrade", "expected"),
    [
        (101, b"websocket", [b"Connection: Upgrade", b"Upgrade: websocket"]),
        (426, b"TLS/1.3, h2c", [b"Connection: Upgrade", b"Upgrade: TLS/1.3, h2c"]),
        (426, b"", []),
        (200, b"h2c", []),
    ],
)
def test_upgrade_is_said_where_it_belongs(status: int, upgrade: bytes, expected: list[bytes]) -> None:
    # RFC 9110 §15.2.2, §15.5.22.
    lines = b"Connection: upgrade\r\nUpgrade: " + upgrade
    assert passed(lines, status=status, has_body=False) == [VIA, *expected]


def test_via_tells_the_version_that_was_received() -> None:
    assert passed(b"", version=10) == [b"Via: 1.0 revproxy"]
    assert passed(b"", version=12) == [VIA]


def test_field_changes() -> None:
    changes = FieldChanges(
        remove=frozenset({b"x-gone", b"date"}), set=((b"X-Frame-Options", b"DENY"),), add=((b"Server", b"ours"),)
    )
    lines = b"Date: d\r\nX-Gone: 1\r\nx-frame-options: ALLOW\r\nServer: theirs"
    assert passed(lines, ResponseForwarding(changes=changes)) == [VIA, b"X-Frame-Options: DENY", b"Server: ours"]


def test_values_that_name_the_backend_are_rewritten_where_that_is_wanted() -> None:
    lines = [
        b"Location: http://be:8000/x", b"Content-Location: /y", b"Refresh: 1; url=http://be:8000/z",
        b"Set-Cookie: a=b; Domain=be; Path=/", b"Link: <http://be:8000/>",
    ]  # fmt: skip
    backends = frozenset({b"be:8000"})
    assert passed(b"\r\n".join(lines), ResponseForwarding(backends=backends, prefix=b"/app")) == [
        b"Location: https://a.example/app/x", b"Content-Location: /app/y", b"Refresh: 1; url=https://a.example/app/z",
        b"Set-Cookie: a=b; Domain=a.example; Path=/app/", b"Link: <https://a.example/app/>", VIA,
    ]  # fmt: skip
    assert passed(b"\r\n".join(lines), ResponseForwarding(backends=backends, rewrite=False)) == [*lines, VIA]


def test_the_same_fields_for_somebody_else_are_worked_out_anew() -> None:
    fields = Fields.of([(b"Location", b"http://be:8000/x"), (b"Content-Length", b"5")])
    one = ResponseForwarding(backends=frozenset({b"be:8000"}))
    other = ResponseForwarding(backends=frozenset({b"be:8000"}), prefix=b"/app")
    head = ResponseHead(302, fields, b"Found")

    def location(forwarding: ResponseForwarding, scheme: bytes, authority: bytes) -> bytes | None:
        return forwarding.head(head, True, scheme, authority).fields.get(b"location")

    assert location(one, b"https", b"a") == b"https://a/x"
    assert location(one, b"https", b"b") == b"https://b/x"
    assert location(one, b"http", b"b") == b"http://b/x"
    assert location(other, b"http", b"b") == b"http://b/app/x"
    assert b"content-length" in one.head(head, False, b"http", b"b").fields
    assert b"content-length" not in one.head(head, True, b"http", b"b").fields
    assert one.head(ResponseHead(200, fields, b"Found"), True, b"http", b"b").status == 200
    assert one.head(ResponseHead(302, fields, b"Elsewhere"), True, b"http", b"b").reason == b"Elsewhere"
    assert one.head(ResponseHead(302, fields, b"Found", 10), True, b"http", b"b").fields.get(b"via") == b"1.0 revproxy"


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        (b"Vary: Client-Cert", b"Vary: *"),
        (b"Vary: Accept\r\nVary: Cookie, client-cert-chain", b"Vary: *"),
        (b"Vary: Accept", b"Vary: Accept"),
    ],
)
def test_an_answer_that_depends_on_the_clients_certificate_is_nobody_elses(lines: bytes, shown: bytes) -> None:
    """RFC 9440 §2.4."""
    assert passed(lines, ResponseForwarding(shows_certificates=True)) == [shown, VIA]
    assert passed(lines) == [*lines.split(b"\r\n"), VIA]


def test_what_is_for_all_recipients_is_never_a_connections_own() -> None:
    """RFC 9110 §7.6.1 says that no sender may name it so; without it, caches would take one answer for another."""
    raw = b"HTTP/1.1 200 OK\r\nConnection: Vary, Cache-Control, X-Own\r\nVary: A\r\nCache-Control: no-store\r\nX-Own: b\r\n\r\n"
    head = ResponseParser(4096, 10).parse(raw)
    assert head is not None
    out = ResponseForwarding().head(head, False, b"http", b"a")
    assert (out.fields.get(b"vary"), out.fields.get(b"cache-control"), out.fields.get(b"x-own")) == (b"A", b"no-store", None)
