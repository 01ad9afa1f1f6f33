"""Attempts to have one client's answer served to others, by the values that decide: key, Vary and policy."""

from __future__ import annotations

import pytest

from revproxy.caching.controls import RequestControls
from revproxy.caching.decisions import Refuse
from revproxy.caching.key import KeyOptions, PrimaryKeys, is_canonical, rewriting_field
from revproxy.caching.options import DEFAULT_OPTIONS
from revproxy.caching.reasons import Reason
from revproxy.caching.storing import on_response, refused_request
from revproxy.caching.vary import LARGEST_SELECTING, MOST_NOMINATED, oversized, selecting_of
from revproxy.http.facts import request_facts
from revproxy.http.fields import NO_FIELDS, Fields
from revproxy.http.forward import Client, RequestForwarding
from revproxy.http.parse import RequestHead
from revproxy.http.target import Authority, parse_authority, parse_target

NOW = 1800000000.0
DATE = (b"Date", b"Fri, 15 Jan 2027 08:00:00 GMT")
Pairs = list[tuple[bytes, bytes]]


def sent_on(target: bytes, pairs: Pairs) -> tuple[bytes, bytes]:
    """The key of a stranger's GET, and all that the server gets of it."""
    taken = parse_target(b"GET", target)
    facts = request_facts(RequestHead(b"GET", target, 11, Fields.of(pairs)))
    authority: Authority = taken.authority or facts.authority
    client = Client(b"192.0.2.1", trusted=False, scheme=b"http", port=80)
    block = RequestForwarding().block(facts.fields, facts, client, authority.raw)
    return PrimaryKeys(KeyOptions()).of(b"http", authority, taken.raw), taken.raw + b"\r\n" + block


HOST = (b"Host", b"example.com")

UNKEYED: Pairs = [
    (b"X-Forwarded-Host", b"evil"),
    (b"X-Forwarded-Proto", b"evil"),
    (b"X-Forwarded-Scheme", b"evil"),
    (b"X-Forwarded-Port", b"evil"),
    (b"X-Forwarded-Prefix", b"/evil"),
    (b"X-Forwarded-Server", b"evil"),
    (b"X_Forwarded_Host", b"evil"),
    (b"X-Original-URL", b"/evil"),
    (b"X-Original-Host", b"evil"),
    (b"X-Rewrite-URL", b"/evil"),
    (b"X_Rewrite_URL", b"/evil"),
    (b"Forwarded", b"host=evil;proto=evil"),
    (b"X-Host", b"evil"),
    (b"X-HTTP-Host-Override", b"evil"),
    (b"X-HTTP-Method-Override", b"evil"),
    (b"X_HTTP_Method_Override", b"evil"),
    (b"X-Method-Override", b"evil"),
    (b"X-Original-URI", b"/evil"),
    (b"Script-Name", b"/evil"),
]


@pytest.mark.parametrize(("name", "value"), UNKEYED)
def test_an_unkeyed_field_never_reaches_the_server_or_passes_by_the_cache(name: bytes, value: bytes) -> None:
    pairs = [HOST, (name, value)]
    key, octets = sent_on(b"/", pairs)
    assert key == sent_on(b"/", [HOST])[0]
    assert b"evil" not in octets or rewriting_field(Fields.of(pairs)) == name.lower()


def test_an_absolute_target_and_host_never_differ_for_the_server() -> None:
    # RFC 9112 §3.2.2
    key, octets = sent_on(b"http://example.com/a", [(b"Host", b"evil.example")])
    assert b"evil" not in octets
    assert (key, octets) == sent_on(b"/a", [HOST])


@pytest.mark.parametrize("host", [b"EXAMPLE.com", b"example.com.", b"example.com:80", b"example.com:080"])
def test_a_host_that_is_spelled_oddly_shares_a_key_and_is_never_stored(host: bytes) -> None:
    key, octets = sent_on(b"/", [(b"Host", host)])
    assert key == sent_on(b"/", [HOST])[0] and octets != sent_on(b"/", [HOST])[1]
    assert not is_canonical(parse_authority(host), b"http")


@pytest.mark.parametrize("host", [b"example.com:1234", b"example.com.evil", b"evil.example.com", b"xn--exmple-cua.com"])
def test_another_host_or_port_has_another_key(host: bytes) -> None:
    assert sent_on(b"/", [(b"Host", host)])[0] != sent_on(b"/", [HOST])[0]


@pytest.mark.parametrize(
    "target", [b"/%61", b"//a", b"/x/../a", b"/./a", b"/a/", b"/a?", b"/a%00", b"/a;x", b"/a%3Fx", b"/a\\", b"/A"]
)
def test_what_the_server_gets_differently_has_another_key(target: bytes) -> None:
    key, octets = sent_on(target, [HOST])
    assert octets.startswith(target + b"\r\n") and key.endswith(target)
    assert key != sent_on(b"/a", [HOST])[0]


@pytest.mark.parametrize("field", [(b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked")])
def test_a_get_with_content_is_none_of_the_caches(field: tuple[bytes, bytes]) -> None:
    # RFC 9110 §9.3.1
    assert refused_request(RequestControls(Fields.of([HOST, field])), DEFAULT_OPTIONS) is Reason.REQUEST_CONTENT


def test_oversized_vary_sets_are_not_stored() -> None:
    wide = b",".join(b"X-%d" % number for number in range(MOST_NOMINATED + 1))
    assert oversized(selecting_of(wide, NO_FIELDS))
    assert oversized(selecting_of(b"X-A", Fields.of([(b"X-A", b"a" * LARGEST_SELECTING)])))


ACCOUNT: list[tuple[str, Pairs]] = [
    ("says nothing", [DATE, (b"Content-Type", b"text/html")]),
    ("is an image, says nothing", [DATE, (b"Content-Type", b"image/png")]),
    ("private", [DATE, (b"Cache-Control", b"private")]),
    ("no-store", [DATE, (b"Cache-Control", b"no-store"), (b"ETag", b'"a"')]),
    ("sets a cookie", [DATE, (b"Set-Cookie", b"a=1"), (b"Last-Modified", b"Fri, 01 Jan 2027 08:00:00 GMT")]),
]
LOOKS_STATIC = [b"/account/x.css", b"/account;x.css", b"/account%2Fx.css", b"/account%00.png", b"/static/..%2faccount"]


@pytest.mark.parametrize("target", [b"/account", *LOOKS_STATIC])
@pytest.mark.parametrize(("name", "pairs"), ACCOUNT)
def test_what_a_path_looks_like_is_no_reason_to_store(name: str, pairs: Pairs, target: bytes) -> None:
    """Cache deception: the server answers ``/account/x.css`` with somebody's account."""
    controls = RequestControls(Fields.of([HOST, (b"Cookie", b"session=1")]))
    key, _ = sent_on(target, [HOST])
    decision = on_response(
        b"GET", controls, 200, Fields.of(pairs), DEFAULT_OPTIONS, NOW, NOW, key=key, url=b"http://example.com" + target
    )
    assert isinstance(decision, Refuse)


@pytest.mark.parametrize("target", LOOKS_STATIC)
def test_a_path_that_looks_static_shares_nothing_with_the_one_it_imitates(target: bytes) -> None:
    assert sent_on(target, [HOST])[0] != sent_on(b"/account", [HOST])[0]


@pytest.mark.parametrize(
    ("connection", "found"),
    [
        (b"keep-alive", b""),
        (b"Upgrade, HTTP2-Settings", b""),
        (b"close, TE", b""),
        (b"x-absent", b""),
        (b"keep-alive, User-Agent", b"user-agent"),
        (b"accept-LANGUAGE", b"accept-language"),
        (b"Cookie", b"cookie"),
    ],
)
def test_a_field_that_connection_takes_away_is_no_ground_for_a_choice(connection: bytes, found: bytes) -> None:
    fields = Fields.of(
        [
            (b"Connection", connection),
            (b"User-Agent", b"phone"),
            (b"Accept-Language", b"de"),
            (b"HTTP2-Settings", b"x"),
        ]
    )
    assert rewriting_field(fields) == found
