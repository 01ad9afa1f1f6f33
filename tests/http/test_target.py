"""Paths as routes see them, targets and hosts taken apart."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from revproxy.errors import BadRequest
from revproxy.http.target import deepest_path, is_plain, normalised_path, parse_authority, parse_target

NORMALISED = [
    ("3986-6.2.2", b"/", b"/"),
    ("3986-6.2.2", b"/a/b", b"/a/b"),
    ("3986-6.2.2.2", b"/%61dmin", b"/admin"),
    ("3986-6.2.2.2", b"/%41%5A%30%2D%2e%5F%7e", b"/AZ0-._~"),
    ("3986-6.2.2.1", b"/a%2fb%c3%a9", b"/a%2Fb%C3%A9"),
    ("3986-2.4", b"/%2561dmin", b"/%2561dmin"),
    ("3986-2.2", b"/a;b=c/d,e", b"/a;b=c/d,e"),
    ("3986-5.2.4", b"/x/../admin", b"/admin"),
    ("3986-5.2.4", b"/x/./admin", b"/x/admin"),
    ("3986-5.2.4", b"/../../a", b"/a"),
    ("3986-5.2.4", b"/a/b/..", b"/a/"),
    ("3986-5.2.4", b"/a/b/.", b"/a/b/"),
    ("3986-5.2.4", b"/..", b"/"),
    ("3986-5.2.4", b"/.", b"/"),
    ("3986-5.2.4", b"/a/b/c/./../../g", b"/a/g"),
    ("3986-6.2.2.3", b"/x/%2e%2E/admin", b"/admin"),
    ("3986-6.2.2.3", b"/x/.%2e/admin", b"/admin"),
    ("3986-6.2.2.3", b"/%2e/admin", b"/admin"),
    ("slashes", b"//admin", b"/admin"),
    ("slashes", b"/a///b//", b"/a/b/"),
    ("slashes", b"/a//../b", b"/b"),
    ("slashes", b"/.//admin", b"/admin"),
    ("slashes", b"/x/..//admin", b"/admin"),
    ("kept", b"/.well-known/x", b"/.well-known/x"),
    ("kept", b"/...", b"/..."),
    ("kept", b"/a./b..", b"/a./b.."),
    ("kept", b"/..a/.b", b"/..a/.b"),
    ("kept", b"/\xc3\xa9", b"/\xc3\xa9"),
    ("kept", b"/a\\..\\b", b"/a\\..\\b"),
    ("kept", b"/a%2f..%2fb", b"/a%2F..%2Fb"),
    ("kept", b"*", b"*"),
]


@pytest.mark.parametrize(("rfc", "path", "expected"), NORMALISED)
def test_normalised(rfc: str, path: bytes, expected: bytes) -> None:
    assert normalised_path(path) == expected


@pytest.mark.parametrize(
    "path", [b"/%00", b"/a%00b", b"/%", b"/100%", b"/%4", b"/%zz", b"/%%34%31", b"/%2%35", b"/%u0041", b"/a%\xff1"]
)
def test_paths_with_two_readings_are_refused(path: bytes) -> None:
    # RFC 3986 §2.1: a % begins an escape of two hexadecimal digits, always.
    with pytest.raises(BadRequest):
        normalised_path(path)
    assert not is_plain(path)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/a", b"/a"),
        (b"/a%2fb", b"/a/b"),
        (b"/x%2f..%2fadmin", b"/admin"),
        (b"/x/..%2fadmin", b"/admin"),
        (b"/x\\..\\admin", b"/admin"),
        (b"/x%5c..%5cadmin", b"/admin"),
        (b"/x/..;/admin", b"/admin"),
        (b"/x/..;a=b/admin", b"/admin"),
        (b"/x/..%3b/admin", b"/admin"),
        (b"/x/.%2e;/admin", b"/admin"),
        (b"/;/admin", b"/admin"),
        (b"/admin;jsessionid=1", b"/admin"),
        (b"/%2561dmin", b"/%61dmin"),
        (b"\\admin", b"/admin"),
        (b"/..\\..;\\..", b"/"),
    ],
)
def test_deepest(path: bytes, expected: bytes) -> None:
    assert deepest_path(path) == expected
    assert not is_plain(path) or path == expected


PIECES = [
    b"/", b"//", b".", b"..", b"%2e", b"%2E", b"%2f", b"%5c", b"\\", b";", b"%3b", b"%25", b"%", b"%00", b"a", b"%61", b"2",
    b"e", b"\xc3", b"%c3", b"~", b"?", b"admin",
]  # fmt: skip
paths = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=12).map(lambda pieces: b"/" + b"".join(pieces)),
    st.binary(max_size=20).map(lambda octets: b"/" + octets),
)


def segments(path: bytes) -> list[bytes]:
    return path.split(b"/")


@settings(deadline=None)
@given(paths)
@example(b"/%%34%31")
@example(b"/.//../%2e.")
def test_normalising_is_idempotent_and_lets_no_dots_through(path: bytes) -> None:
    try:
        once = normalised_path(path)
    except BadRequest:
        return
    assert normalised_path(once) == once
    assert once.startswith(b"/")
    assert b"//" not in once
    assert not {b".", b".."} & set(segments(once))


@settings(deadline=None)
@given(paths)
def test_the_deepest_reading_lets_no_dots_through(path: bytes) -> None:
    deepest = deepest_path(path)
    assert deepest.startswith(b"/")
    assert b"//" not in deepest
    assert b"\\" not in deepest
    assert not {b".", b".."} & set(segments(deepest))


@settings(deadline=None)
@given(paths)
def test_plain_paths_have_one_reading(path: bytes) -> None:
    if is_plain(path):
        assert normalised_path(path) == path
        assert deepest_path(path) == path


@settings(deadline=None)
@given(st.sampled_from([b"GET", b"OPTIONS", b"X"]), st.binary(max_size=30) | paths)
def test_any_target_is_taken_apart_or_refused(method: bytes, raw: bytes) -> None:
    try:
        target = parse_target(method, raw)
    except BadRequest:
        return
    assert target.raw[:1] == b"/" or (target.raw == b"*" and method == b"OPTIONS")
    assert target.raw.startswith(target.path)
    assert b"?" not in target.path
    # Nothing is repaired: what goes on is what came, from its path on.
    if raw[:1] == b"/":
        assert (target.raw, target.authority) == (raw, None)
    elif target.raw != b"*":
        assert raw.endswith(target.raw[1:])


@pytest.mark.parametrize(
    ("raw", "host", "port"),
    [
        (b"a", b"a", None),
        (b"A.B", b"a.b", None),
        (b"a.", b"a", None),
        (b".", b".", None),
        (b"a:", b"a", None),
        (b"a:1", b"a", 1),
        (b"a:00080", b"a", 80),
        (b"a:65535", b"a", 65535),
        (b"192.0.2.1:8080", b"192.0.2.1", 8080),
        (b"[::1]", b"[::1]", None),
        (b"[::FFFF:192.0.2.1]:443", b"[::ffff:192.0.2.1]", 443),
        (b"a_b-c~", b"a_b-c~", None),
        (b"%61", b"%61", None),
        (b"xn--bcher-kva.example", b"xn--bcher-kva.example", None),
    ],
)
def test_authorities(raw: bytes, host: bytes, port: int | None) -> None:
    authority = parse_authority(raw)
    assert (authority.raw, authority.host, authority.port) == (raw, host, port)


@settings(deadline=None)
@given(st.text("a.:[]%@/\\0159f ,;=\t\"'<>é", max_size=12).map(lambda text: text.encode("latin-1")))
def test_no_authority_can_break_out_of_a_field(raw: bytes) -> None:
    try:
        authority = parse_authority(raw)
    except BadRequest:
        return
    assert not set(raw) & set(b'\r\n\t "/\\?#@<>')
    assert raw.isascii()
    assert authority.host and authority.host == authority.host.lower()
