"""The client's hello: real ones, in every cut, and ones that are none."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL

from revproxy.wire.client_hello import (
    DECODE_ERROR,
    LONGEST,
    MOST_RECORDS,
    RECORD_OVERFLOW,
    UNEXPECTED_MESSAGE,
    UNRECOGNIZED_NAME,
    ClientHello,
    HelloError,
    parse_client_hello,
)


def hello_of(name: bytes = b"", alpn: list[bytes] | None = None, *, newest: int = SSL.TLS1_3_VERSION) -> bytes:
    """What OpenSSL sends."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(newest)
    if alpn:
        context.set_alpn_protos(alpn)
    connection = SSL.Connection(context, None)
    if name:
        connection.set_tlsext_host_name(name)
    connection.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        connection.do_handshake()
    return connection.bio_read(1 << 16)


def records(message: bytes, size: int) -> bytes:
    """A handshake message cut into records."""
    pieces = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + struct.pack(">H", len(piece)) + piece for piece in pieces)


def vector(size: int, octets: bytes) -> bytes:
    return len(octets).to_bytes(size, "big") + octets


def message(*extensions: tuple[int, bytes], tail: bytes = b"", version: int = 0x0303) -> bytes:
    block = b"".join(struct.pack(">H", kind) + vector(2, body) for kind, body in extensions)
    body = struct.pack(">H", version) + bytes(32) + vector(1, b"") + vector(2, b"\x13\x01") + vector(1, b"\0")
    body += (vector(2, block) if extensions else b"") + tail
    return b"\x01" + vector(3, body)


def server_name(name: bytes, kind: int = 0) -> tuple[int, bytes]:
    return 0, vector(2, bytes([kind]) + vector(2, name))


def test_what_openssl_sends_is_read() -> None:
    hello = parse_client_hello(hello_of(b"Example.COM", [b"h2", b"http/1.1"]))
    assert hello is not None
    assert (hello.server_name, hello.alpn) == ("example.com", (b"h2", b"http/1.1"))
    assert hello.versions[0] == 0x0304
    assert 0x0403 in hello.signature_algorithms  # ecdsa_secp256r1_sha256


def test_an_older_client_has_its_version_in_the_head() -> None:
    hello = parse_client_hello(hello_of(newest=SSL.TLS1_2_VERSION))
    assert hello is not None
    assert (hello.server_name, hello.alpn, hello.versions) == ("", (), (0x0303,))


def test_every_beginning_of_a_hello_asks_for_more() -> None:
    octets = hello_of(b"example.com", [b"http/1.1"])
    assert [at for at in range(len(octets)) if parse_client_hello(octets[:at]) is not None] == []


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 100, 1 << 14])
def test_a_hello_in_many_records_is_the_same(size: int) -> None:
    whole = hello_of(b"example.com", [b"http/1.1"])
    cut = records(whole[5:25], size) + records(whole[25:], 100)
    assert parse_client_hello(cut) == parse_client_hello(whole)


def test_a_hello_is_not_cut_into_a_record_for_each_octet() -> None:
    """With each octet that comes all records are looked at again: 17 KB would cost seconds."""
    octets = records(b"\x01\x00\x40\x00" + bytes(1 << 14), 1)
    assert parse_client_hello(octets[: MOST_RECORDS * 6 - 1]) is None
    with pytest.raises(HelloError, match="too many records"):
        parse_client_hello(octets[: MOST_RECORDS * 6 + 1])


def test_what_follows_a_hello_is_not_looked_at() -> None:
    whole = hello_of(b"example.com")
    assert parse_client_hello(whole + b"\x17\x03\x03\x00\x01x") == parse_client_hello(whole)


def test_a_hello_without_extensions() -> None:
    assert parse_client_hello(records(message(), 99)) == ClientHello("", (), (0x0303,), (), (0x1301,))


@pytest.mark.parametrize(
    ("name", "read"),
    [(b"a.example", "a.example"), (b"A.example.", "a.example"), (b"xn--nxasmq6b.example", "xn--nxasmq6b.example")],
)
def test_names_are_tidied(name: bytes, read: str) -> None:
    hello = parse_client_hello(records(message(server_name(name)), 999))
    assert hello is not None
    assert hello.server_name == read


def test_a_name_of_another_kind_is_passed_over() -> None:
    hello = parse_client_hello(records(message(server_name(b"whatever", kind=9)), 999))
    assert hello is not None
    assert hello.server_name == ""


@pytest.mark.parametrize(
    ("octets", "alert"),
    [
        pytest.param(b"GET / HTTP/1.1\r\n", UNEXPECTED_MESSAGE, id="HTTP"),
        pytest.param(b"\x80\x2e\x01\x03\x01", UNEXPECTED_MESSAGE, id="SSLv2's hello"),
        pytest.param(b"\x17\x03\x03\x00\x05hello", UNEXPECTED_MESSAGE, id="data first"),
        pytest.param(b"\x16\x02\x00\x00\x05", 70, id="no version of TLS"),
        pytest.param(b"\x16\x03\x01\x00\x00", RECORD_OVERFLOW, id="an empty record"),
        pytest.param(b"\x16\x03\x01\x40\x01\x01", RECORD_OVERFLOW, id="a record too long"),
        pytest.param(b"\x16\x03\x01\x00\x01\x02", UNEXPECTED_MESSAGE, id="another handshake message"),
        pytest.param(b"\x16\x03\x01\x00\x01\x01\x17\x03\x01\x00\x01", UNEXPECTED_MESSAGE, id="data in its middle"),
        pytest.param(b"\x16\x03\x01\x00\x04\x01" + (LONGEST + 1).to_bytes(3, "big"), DECODE_ERROR, id="too long"),
        pytest.param(records(b"\x01\x00\x00\x02\x03\x03", 99), DECODE_ERROR, id="cut short inside"),
        pytest.param(records(message((0, b"\x00\x09\x00")), 999), DECODE_ERROR, id="a list beyond its extension"),
        pytest.param(records(message(tail=b"\x00\x00x"), 999), DECODE_ERROR, id="octets behind the extensions"),
        pytest.param(records(message((16, b"\x00\x02\x05h")), 999), DECODE_ERROR, id="a protocol beyond its list"),
        pytest.param(records(message((13, b"\x00\x01\x04")), 999), DECODE_ERROR, id="half a scheme"),
        pytest.param(records(message((21, b""), (21, b"")), 999), 47, id="an extension twice"),
        pytest.param(records(message(server_name(b"")), 999), UNRECOGNIZED_NAME, id="an empty name"),
        pytest.param(records(message(server_name(b"a\0b")), 999), UNRECOGNIZED_NAME, id="a name with NUL"),
        pytest.param(records(message(server_name(b"a" * 256)), 999), UNRECOGNIZED_NAME, id="a name too long"),
    ],
)
def test_what_is_no_hello_is_refused(octets: bytes, alert: int) -> None:
    with pytest.raises(HelloError) as refused:
        parse_client_hello(octets)
    assert refused.value.alert == alert


@pytest.mark.parametrize(("octets", "clear"), [(b"GET /", True), (b"\r\n", True), (b"\x80\x2e\x01", False)])
def test_text_is_recognised(octets: bytes, clear: bool) -> None:
    with pytest.raises(HelloError) as refused:
        parse_client_hello(octets)
    assert refused.value.is_clear_text is clear


@given(st.binary(max_size=200))
def test_any_octets_in_a_hello_are_read_or_refused(body: bytes) -> None:
    for octets in (body, b"\x16\x03\x01" + vector(2, body or b"\1"), records(b"\x01" + vector(3, body), 64)):
        try:
            found = parse_client_hello(octets)
        except HelloError:
            continue
        assert found is None or isinstance(found, ClientHello)


@given(st.data())
def test_a_changed_octet_never_raises_anything_else(data: st.DataObject) -> None:
    octets = bytearray(WHOLE)
    at = data.draw(st.integers(0, len(octets) - 1))
    octets[at] = data.draw(st.integers(0, 255))
    try:
        parse_client_hello(bytes(octets))
    except HelloError:
        pass


WHOLE = hello_of(b"example.com", [b"h2", b"http/1.1"])
