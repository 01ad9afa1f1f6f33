"""The primary key: one for each thing that a server may answer differently, and cheap."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revproxy.caching.key import (
    REWRITING,
    KeyOptions,
    PrimaryKeys,
    canonical_authority,
    is_canonical,
    rewriting_field,
    target_of,
)
from revproxy.http.fields import NO_FIELDS, Fields
from revproxy.http.target import NO_AUTHORITY, parse_authority, parse_target

HOST = parse_authority(b"example.com")
PLAIN = KeyOptions()
Pairs = list[tuple[bytes, bytes]]


def key(
    target: bytes = b"/a",
    *,
    options: KeyOptions = PLAIN,
    scheme: bytes = b"http",
    host: bytes = b"example.com",
    public: bytes = b"",
    method: bytes = b"GET",
    fields: Pairs = [],  # noqa: B006  # never changed
    trusted: bool = False,
) -> bytes:
    return PrimaryKeys(options).of(
        scheme,
        parse_authority(host),
        target,
        public_authority=public,
        method=method,
        fields=Fields.of(fields),
        trusted=trusted,
    )


@pytest.mark.parametrize(
    ("scheme", "host", "canonical", "as_written"),
    [
        (b"http", b"example.com", b"example.com", True),
        (b"http", b"EXAMPLE.com", b"example.com", False),
        (b"http", b"example.com.", b"example.com", False),
        (b"http", b"example.com:80", b"example.com", False),
        (b"http", b"example.com:", b"example.com", False),
        (b"http", b"example.com:0443", b"example.com:443", False),
        (b"http", b"example.com:443", b"example.com:443", True),
        (b"https", b"example.com:443", b"example.com", False),
        (b"https", b"example.com:80", b"example.com:80", True),
        (b"http", b"[::1]:8080", b"[::1]:8080", True),
        (b"http", b"[::A]", b"[::a]", False),
    ],
)
def test_hosts(scheme: bytes, host: bytes, canonical: bytes, as_written: bool) -> None:
    # RFC 9110 §4.2.3
    authority = parse_authority(host)
    assert canonical_authority(authority, scheme) == canonical
    assert is_canonical(authority, scheme) is as_written
    assert key(scheme=scheme, host=host) == key(scheme=scheme, host=canonical)


def test_no_host_is_not_canonical() -> None:
    assert not is_canonical(NO_AUTHORITY, b"http")
    assert PrimaryKeys(KeyOptions()).of(b"http", NO_AUTHORITY, b"/a") != key(b"/a")


def test_an_absolute_target_is_keyed_by_its_own_host() -> None:
    # RFC 9112 §3.2.2: the channel makes the target's host the request's authority, whatever Host says.
    target = parse_target(b"GET", b"http://OTHER.example:80/a?b")
    assert target.authority is not None
    assert key(target.raw, host=target.authority.raw) == key(b"/a?b", host=b"other.example")


# Spellings that a server may answer differently: each has a key of its own.
SPELLINGS = [
    b"/a", b"/a/", b"/A", b"/%61", b"//a", b"/./a", b"/b/../a", b"/a?", b"/a?b", b"/a?b=", b"/a;b", b"/a%3Bb", b"/a%3bb",
    b"/a%2Fb", b"/a%2fb", b"/a/b", b"/a\\b", b"/a%5Cb", b"/a%00", b"/a%0A", b"/a%20", b"/a+", b"/a%23b", b"/a%3Fb", b"*",
    b"/a?b=1&c=2", b"/a?c=2&b=1", b"/a?b=1&c=2&", b"/a?b=1;c=2", b"/a?b=1%26c=2", b"/\xc3\xa9", b"/%C3%A9",
]  # fmt: skip


def test_no_spelling_is_taken_for_another() -> None:
    assert len({key(target) for target in SPELLINGS}) == len(SPELLINGS)


# What a careless server answers with the page of /account.
DECEPTIVE = [
    b"/account/x.css", b"/account/.css", b"/account;x.css", b"/account%3Bx.css", b"/account%2Fx.css", b"/account%00.css",
    b"/account%0Ax.css", b"/account%23x.css", b"/account%3Fx.css", b"/account?x.css", b"/account/%2e%2e/x.css",
    b"/static/..%2Faccount", b"/account/x.js", b"/account\\x.css", b"/account.css",
]  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        KeyOptions(),
        KeyOptions(sort_query=True),
        KeyOptions(query="none"),
        KeyOptions(query="only", parameters=frozenset({b"x"})),
        KeyOptions(device=True),
    ],
)
def test_a_path_that_looks_static_is_a_path_of_its_own(options: KeyOptions) -> None:
    keys = {key(target, options=options) for target in DECEPTIVE if b"?" not in target}
    assert len(keys) == len([target for target in DECEPTIVE if b"?" not in target])
    assert key(b"/account", options=options) not in keys


def test_scheme_host_scope_and_public_host_are_keyed() -> None:
    keys = [
        key(),
        key(scheme=b"https"),
        key(host=b"example.org"),
        key(host=b"example.com:8080"),
        key(public=b"example.com"),
        key(public=b"EXAMPLE.com"),
        key(options=KeyOptions(scope=b"r")),
        key(options=KeyOptions(query="none")),
        key(options=KeyOptions(sort_query=True)),
        key(options=KeyOptions(query="except", parameters=frozenset({b"x"}))),
        key(options=KeyOptions(query="except", parameters=frozenset({b"y"}))),
        key(options=KeyOptions(query="only", parameters=frozenset({b"x"}))),
        key(options=KeyOptions(device=True)),
        key(options=KeyOptions(method=True)),
        key(options=KeyOptions(cookies=(b"x",))),
        key(options=KeyOptions(headers=(b"x",))),
    ]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (key(host=b"ab.c"), key(host=b"a", public=b"b.c")),
        (key(b"/a", public=b"x"), key(b"x/a")),
        (key(b"1:b,/a"), key(b"/a", public=b"b")),
        (key(options=KeyOptions(scope=b"4:http,"), scheme=b"http"), key(options=KeyOptions(scope=b""), scheme=b"http")),
        (
            key(options=KeyOptions(headers=(b"x", b"y")), fields=[(b"X", b"1")]),
            key(options=KeyOptions(headers=(b"x", b"y")), fields=[(b"Y", b"1")]),
        ),
    ],
)
def test_where_one_part_ends_and_the_next_begins_is_certain(one: bytes, other: bytes) -> None:
    assert one != other


pieces = st.binary(max_size=12) | st.sampled_from([b"", b"1:a,", b"0:,", b",", b"2:a,b", b"5:https,"])
letters = st.text("ab:/,.0", min_size=1, max_size=6).map(str.encode)
hosts = st.from_regex(r"[a-c]{1,3}(\.[a-c]{1,3})?(:[1-9][0-9]{0,2})?", fullmatch=True).map(str.encode)
targets = st.one_of(pieces, letters)
simple = st.tuples(pieces, st.sampled_from([b"http", b"https"]), hosts, pieces, targets)


@settings(max_examples=100, deadline=None)
@given(simple, simple)
def test_two_requests_have_one_key_only_if_they_are_one(
    one: tuple[bytes, bytes, bytes, bytes, bytes], other: tuple[bytes, bytes, bytes, bytes, bytes]
) -> None:
    made, meant = [], []
    for scope, scheme, host, public, target in (one, other):
        authority = parse_authority(host)
        made.append(PrimaryKeys(KeyOptions(scope=scope)).of(scheme, authority, target, public_authority=public))
        meant.append((scope, scheme, canonical_authority(authority, scheme), public, target))
    assert (made[0] == made[1]) is (meant[0] == meant[1])


texts = st.text("a;,=:1 ", max_size=5).map(lambda text: text.strip().encode())
sent = st.tuples(st.none() | texts, st.none() | texts, st.sampled_from([b"GET", b"POST", b"4:GET,"]), targets)


@settings(max_examples=100, deadline=None)
@given(sent, sent)
def test_what_is_keyed_beside_the_target_stays_apart_from_it(
    one: tuple[bytes | None, bytes | None, bytes, bytes], other: tuple[bytes | None, bytes | None, bytes, bytes]
) -> None:
    keys = PrimaryKeys(KeyOptions(headers=(b"x-a", b"x-b"), method=True))
    made = []
    for first, second, method, target in (one, other):
        pairs = [(name, value) for name, value in ((b"X-A", first), (b"X-B", second)) if value is not None]
        made.append(keys.of(b"http", HOST, target, method=method, fields=Fields.of(pairs)))
    assert (made[0] == made[1]) is (one == other)


def test_head_has_the_key_of_get() -> None:
    # RFC 9110 §9.3.2
    for options in (KeyOptions(), KeyOptions(method=True)):
        assert key(options=options, method=b"HEAD") == key(options=options)
    assert key(method=b"POST") == key()
    assert key(options=KeyOptions(method=True), method=b"POST") != key(options=KeyOptions(method=True))


def test_plain_keys_need_no_fields() -> None:
    keys = PrimaryKeys(KeyOptions())
    first = keys.of(b"http", HOST, b"/a", fields=Fields.of([(b"Cookie", b"a=1"), (b"X-Forwarded-Host", b"evil")]))
    assert first == keys.of(b"http", HOST, b"/a") == keys.of(b"http", HOST, b"/a", fields=NO_FIELDS, trusted=True)
    assert keys.is_plain and first == keys.prefix(b"http", HOST, b"") + b"/a"
    assert not PrimaryKeys(KeyOptions(sort_query=True)).is_plain


def test_hosts_that_strangers_send_fill_no_memory() -> None:
    keys = PrimaryKeys(KeyOptions())
    for number in range(10_000):
        keys.of(b"http", parse_authority(b"h%d.example" % number), b"/")
    assert len(keys._prefixes) <= 4096
    assert keys.of(b"http", HOST, b"/a") == key()


CLAIMS: list[tuple[Pairs, Pairs, bool]] = [
    # What a trusted proxy says was asked for is keyed, whom it speaks for by address is not.
    ([(b"X-Forwarded-Host", b"a")], [(b"X-Forwarded-Host", b"b")], False),
    ([(b"X-Forwarded-Host", b"a")], [], False),
    ([(b"X-Forwarded-Proto", b"https")], [(b"X-Forwarded-Proto", b"http")], False),
    ([(b"X-Forwarded-Port", b"1")], [(b"X-Forwarded-Port", b"2")], False),
    ([(b"X-Forwarded-Prefix", b"/x")], [], False),
    ([(b"X-Forwarded-Anything", b"/x")], [], False),
    ([(b"X-Original-URL", b"/x")], [], False),
    ([(b"X-Rewrite-URL", b"/x")], [], False),
    ([(b"X-Remote-User", b"a")], [(b"X-Remote-User", b"b")], False),
    ([(b"Client-Cert", b":YQ==:")], [], False),
    ([(b"Forwarded", b"for=1.2.3.4;host=a")], [(b"Forwarded", b"for=1.2.3.4;host=b")], False),
    ([(b"Forwarded", b'for="x;host=a')], [(b"Forwarded", b'for="x;host=b')], False),
    ([(b"Forwarded", b'for="x;host=a"')], [(b"Forwarded", b'for="y;host=a"')], False),
    ([(b"Forwarded", b'for=1.2.3.4;host=a, For="[::1]:1"')], [(b"Forwarded", b"for=1.2.3.5; host=a")], True),
    ([(b"Forwarded", b"for=1.2.3.4")], [], True),
    ([(b"X-Forwarded-For", b"1.2.3.4")], [(b"X-Forwarded-For", b"1.2.3.5")], True),
    ([(b"X-Real-IP", b"1.2.3.4"), (b"X-Request-ID", b"1")], [], True),
    ([(b"X_Forwarded_Host", b"dropped")], [], True),
    ([(b"X-Other", b"1")], [], True),
]


@pytest.mark.parametrize(("one", "other", "same"), CLAIMS)
def test_claims_of_a_trusted_proxy(one: Pairs, other: Pairs, same: bool) -> None:
    assert (key(fields=one, trusted=True) == key(fields=other, trusted=True)) is same
    # From anybody else they are dropped on the way to the server.
    assert key(fields=one) == key(fields=other) == key()


REWRITERS = [
    b"X-HTTP-Method-Override", b"X-Method-Override", b"X_HTTP_METHOD_OVERRIDE", b"X-HTTP_Method-Override", b"X-Host",
    b"X-HTTP-Host-Override", b"X-Original-URI", b"SCRIPT_NAME", b"Script-Name", b"Path-Info",
]  # fmt: skip


@pytest.mark.parametrize("name", REWRITERS)
def test_fields_that_replace_what_the_key_says(name: bytes) -> None:
    fields = Fields.of([(b"Host", b"example.com"), (name, b"x"), (b"Accept", b"*/*")])
    assert rewriting_field(fields) == name.lower()


def test_ordinary_fields_replace_nothing() -> None:
    names = [b"Host", b"User-Agent", b"Accept", b"Cookie", b"Sec-Fetch-Mode", b"X_Custom", b"Origin", b"Referer"]
    assert rewriting_field(Fields.of([(name, b"x") for name in names])) == b""
    assert all(name == name.lower() for name in REWRITING)


@pytest.mark.parametrize(
    ("options", "several"),
    [
        (KeyOptions(), False),
        (KeyOptions(query="none", sort_query=True, scope=b"r"), False),
        (KeyOptions(device=True), True),
        (KeyOptions(method=True), True),
        (KeyOptions(headers=(b"x-a",)), True),
        (KeyOptions(cookies=(b"a",)), True),
    ],
)
def test_whether_a_url_has_one_key(options: KeyOptions, several: bool) -> None:
    assert PrimaryKeys(options).several_per_url is several


def test_urls() -> None:
    keys = PrimaryKeys(KeyOptions())
    assert keys.url(b"https", parse_authority(b"EXAMPLE.com:443"), b"/a?b") == b"https://example.com/a?b"
    assert keys.url(b"http", parse_authority(b"[::1]:8080"), b"/") == b"http://[::1]:8080/"
    assert keys.url(b"https", HOST, b"/a", public_authority=b"Public.example:443") == b"https://public.example/a"
    assert keys.url(b"https", HOST, b"/a", public_authority=b"no host") == b"https://example.com/a"
    dropping = PrimaryKeys(KeyOptions(query="except", parameters=frozenset({b"utm_*"})))
    assert dropping.url(b"http", HOST, b"/a?b=1&utm_source=x") == b"http://example.com/a?b=1"
    assert dropping.keyed_target(b"/a?utm_source=x") == b"/a"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        (b"http://a.example/b?c", b"/b?c"),
        (b"https://a.example:8443/b/?c/d?e", b"/b/?c/d?e"),
        (b"http://a.example", b"/"),
        (b"http://a.example?b", b"/?b"),
        (b"http://a.example?b/c", b"/?b/c"),
        (b"http://a.example/b#c", b"/b"),
        (b"http://a.example#/b", b"/"),
        (b"http://[::1]:80//b", b"//b"),
    ],
)
def test_targets_of_urls(url: bytes, target: bytes) -> None:
    # RFC 9112 §3.2.1
    assert target_of(url) == target
