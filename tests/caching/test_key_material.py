"""Parameters, cookies, fields and devices in the key: what is left out can't be made to hide what counts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revproxy.caching.material import cookie_material, device_of, header_material
from revproxy.caching.query import Query, QueryRule, read_name
from revproxy.http.fields import NO_FIELDS, Fields

Pairs = list[tuple[bytes, bytes]]

QUERIES: list[tuple[Query, set[bytes], bool, bytes, bytes]] = [
    ("all", set(), False, b"/a?b=1&a=2", b"/a?b=1&a=2"),
    ("all", set(), False, b"/a?", b"/a?"),
    ("all", {b"b"}, False, b"/a?b=1", b"/a?b=1"),
    ("none", set(), False, b"/a?b=1&a=2", b"/a"),
    ("none", set(), False, b"/a?", b"/a"),
    ("none", set(), False, b"/a", b"/a"),
    ("none", set(), False, b"/%61;x", b"/%61;x"),
    # Left out by exact name alone.
    ("except", {b"utm_*", b"fbclid"}, False, b"/a?id=1&utm_source=x&fbclid=y&b=2", b"/a?id=1&b=2"),
    ("except", {b"utm_*", b"fbclid"}, False, b"/a?utm_source=x&fbclid", b"/a"),
    ("except", {b"fbclid"}, False, b"/a?Fbclid=1", b"/a?Fbclid=1"),
    ("except", {b"fbclid"}, False, b"/a?%66bclid=1", b"/a?%66bclid=1"),
    ("except", {b"fbclid"}, False, b"/a?fbclid[]=1", b"/a?fbclid[]=1"),
    ("except", {b"fbclid"}, False, b"/a?", b"/a?"),
    # A second parameter in the first one's value, for servers that separate them by more than "&".
    ("except", {b"utm_*"}, False, b"/a?utm_x=1;id=2", b"/a?utm_x=1;id=2"),
    ("except", {b"utm_*"}, False, b"/a?utm_x=1?id=2", b"/a?utm_x=1?id=2"),
    ("except", {b"utm_*"}, False, b"/a?utm_x=1%26id=2", b"/a?utm_x=1%26id=2"),
    ("except", {b"utm_*"}, False, b"/a?utm_x;id=2", b"/a?utm_x;id=2"),
    # Kept by whatever a server may take for the name.
    ("only", {b"id"}, False, b"/a?id=1&x=2", b"/a?id=1"),
    ("only", {b"id"}, False, b"/a?x=2", b"/a"),
    ("only", {b"id"}, False, b"/a?ID=1&x=2", b"/a?ID=1"),
    ("only", {b"id"}, False, b"/a?%69d=1&x=2", b"/a?%69d=1"),
    ("only", {b"id"}, False, b"/a?+id=1&%20id=2&x=2", b"/a?+id=1&%20id=2"),
    ("only", {b"id"}, False, b"/a?id[]=1&id%5Bb%5D=2&x", b"/a?id[]=1&id%5Bb%5D=2"),
    ("only", {b"id"}, False, b"/a?id%00x=1&x", b"/a?id%00x=1"),
    ("only", {b"user_id"}, False, b"/a?user.id=1&user+id=2&user_id=3&x", b"/a?user.id=1&user+id=2&user_id=3"),
    ("only", {b"user.id"}, False, b"/a?user_id=1&x", b"/a?user_id=1"),
    ("only", {b"p.*"}, False, b"/a?p.a=1&p_b=2&q=3", b"/a?p.a=1&p_b=2"),
    ("only", {b"id"}, False, b"/a?x=1;id=2&y", b"/a?x=1;id=2"),
    ("only", {b"id"}, False, b"/a?x=1?id=2&y", b"/a?x=1?id=2"),
    ("only", {b"id"}, False, b"/a?id=1&id=2&&x", b"/a?id=1&id=2"),
    # Sorted by name; what may be one name keeps its order.
    ("all", set(), True, b"/a?c=1&a=2&b=3", b"/a?a=2&b=3&c=1"),
    ("all", set(), True, b"/a?b=2&a=1&b=1", b"/a?a=1&b=2&b=1"),
    ("all", set(), True, b"/a?b_c=2&b.c=1&a=3", b"/a?a=3&b_c=2&b.c=1"),
    ("all", set(), True, b"/a?", b"/a?"),
    ("all", set(), True, b"/a", b"/a"),
    ("except", {b"x"}, True, b"/a?c&x&a", b"/a?a&c"),
    ("only", {b"a", b"c"}, True, b"/a?c&x&a", b"/a?a&c"),
]


@pytest.mark.parametrize(("kind", "names", "sort", "target", "expected"), QUERIES)
def test_queries(kind: Query, names: set[bytes], sort: bool, target: bytes, expected: bytes) -> None:
    rule = QueryRule(kind, frozenset(names), sort)
    assert rule.apply(target) == expected
    assert rule.apply(expected) == expected


@settings(max_examples=100, deadline=None)
@given(st.text("ab=&;?%[]._+ 6", max_size=20).map(str.encode), st.booleans())
def test_the_path_is_never_touched_and_nothing_is_made_up(query: bytes, sort: bool) -> None:
    for kind in ("all", "none", "only", "except"):
        made = QueryRule(kind, frozenset({b"a"}), sort).apply(b"/%61/../x;y?" + query)
        path, _, kept = made.partition(b"?")
        assert path == b"/%61/../x;y"
        left = query.split(b"&")
        for parameter in kept.split(b"&") if b"?" in made else []:
            left.remove(parameter)
        if kind == "all":
            assert left == []
        if kind == "only":
            assert not any(read_name(parameter) == b"a" for parameter in left)
        if kind == "except":
            assert all(parameter.partition(b"=")[0] == b"a" for parameter in left)


def cookies(*lines: bytes, names: tuple[bytes, ...] = (b"lang", b"theme")) -> bytes:
    return cookie_material(names, Fields.of([(b"Cookie", line) for line in lines]))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((b"lang=en",), (b" lang=en ; session=123",)),
        ((b"lang=en; theme=x",), (b"theme=x;lang=en",)),
        ((b"lang=en; a=1",), (b"lang=en", b"a=2")),
        ((b"session=1",), ()),
        ((b"Lang=en",), ()),
        ((b'lang=en; a="x y"',), (b"lang=en",)),
        ((b'lang=en; a={"b":1}',), (b"lang=en",)),
        ((b"lang=en; a=YWI=",), (b"lang=en",)),
    ],
)
def test_requests_with_the_same_cookies(one: tuple[bytes, ...], other: tuple[bytes, ...]) -> None:
    assert cookies(*one) == cookies(*other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((b"lang=en",), (b"lang=de",)),
        ((b"lang=en",), ()),
        ((b"lang=",), ()),
        ((b"lang",), ()),
        ((b"lang=en; lang=de",), (b"lang=de; lang=en",)),
        ((b"lang=en; lang=de",), (b"lang=en",)),
        ((b"lang=x",), (b"theme=x",)),
        # Servers that read quoted strings, escapes or commas find other cookies here than those that don't.
        ((b'a="; lang=en; b="',), (b"lang=en",)),
        ((b'a="; lang=en; b="',), ()),
        ((b"a=1, lang=en",), ()),
        ((b"a=1, lang=en",), (b"lang=en",)),
        ((b"a,lang=en",), ()),
        ((b'a="\\"; lang=en; b=\\""',), (b"lang=en",)),
        ((b'lang=en; a="',), (b'lang=en; a=""',)),
    ],
)
def test_requests_with_other_cookies(one: tuple[bytes, ...], other: tuple[bytes, ...]) -> None:
    assert cookies(*one) != cookies(*other)


def test_no_session_is_kept_in_a_key() -> None:
    assert b"s3cret" not in cookies(b'session=s3cret; a="; lang=en')
    assert b"s3cret" not in cookies(b"session=s3cret; lang=en")


plain_values = st.text("ab:,", max_size=4).map(str.encode)
jars = st.dictionaries(
    st.sampled_from([b"lang", b"theme", b"other"]), plain_values.map(lambda value: value.replace(b",", b""))
)


@settings(max_examples=100, deadline=None)
@given(jars, jars)
def test_cookie_material_is_unambiguous(one: dict[bytes, bytes], other: dict[bytes, bytes]) -> None:
    made = [cookies(*([b"; ".join(b"%b=%b" % pair for pair in jar.items())] if jar else [])) for jar in (one, other)]
    meant = [(jar.get(b"lang"), jar.get(b"theme")) for jar in (one, other)]
    assert (made[0] == made[1]) is (meant[0] == meant[1])


def test_fields_are_normalised_as_vary_does() -> None:
    def made(*pairs: tuple[bytes, bytes]) -> bytes:
        return header_material((b"accept-encoding", b"x-a"), Fields.of(pairs))

    assert made((b"Accept-Encoding", b"gzip, br")) == made((b"Accept-Encoding", b"BR,gzip;q=1.0"))
    assert made((b"X-A", b"")) != made()
    assert made((b"X-A", b"a")) != made((b"Accept-Encoding", b"a"))
    assert made((b"X-B", b"a")) == made()


AGENTS: list[tuple[bytes, bytes | None, bytes]] = [
    (b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36", None, b"desktop"),
    (b"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 Firefox/127.0", None, b"desktop"),
    (
        b"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Version/17.5 Mobile/15E148 Safari/604.1",
        None,
        b"mobile",
    ),
    (b"Mozilla/5.0 (Linux; Android 14; Pixel 8) Chrome/126.0 Mobile Safari/537.36", None, b"mobile"),
    (b"Mozilla/5.0 (Android 14; Mobile; rv:127.0) Gecko/127.0 Firefox/127.0", None, b"mobile"),
    (b"Mozilla/5.0 (Linux; Android 13; SM-X700) Chrome/126.0 Safari/537.36", None, b"tablet"),
    (b"Mozilla/5.0 (iPad; CPU OS 16_5 like Mac OS X) Version/16.5 Mobile/15E148 Safari/604.1", None, b"tablet"),
    (b"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", None, b"bot"),
    (b"Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X) Mobile Safari/537.36 (compatible; Googlebot/2.1)", b"?1", b"bot"),
    (b"Mozilla/5.0 (compatible; bingbot/2.0)", None, b"bot"),
    (b"Baiduspider/2.0", None, b"bot"),
    (b"curl/8.5.0", None, b"desktop"),
    (b"Cubot phone (Linux; Android 14) Mobile", None, b"mobile"),
    (b"Mozilla/5.0 (Linux; Android 10; K) Chrome/126.0 Mobile Safari/537.36", b"?1", b"mobile"),
    (b"Mozilla/5.0 (Linux; Android 10; K) Chrome/126.0 Mobile Safari/537.36", b"?0", b"desktop"),
    (b"Mozilla/5.0 (X11; Linux x86_64)", b"?1", b"mobile"),
    (b"Mozilla/5.0 (X11; Linux x86_64)", b"yes", b"desktop"),
    (b"", None, b"desktop"),
]


@pytest.mark.parametrize(("agent", "hint", "device"), AGENTS)
def test_devices(agent: bytes, hint: bytes | None, device: bytes) -> None:
    pairs = [(b"User-Agent", agent)] + ([(b"Sec-CH-UA-Mobile", hint)] if hint is not None else [])
    assert device_of(Fields.of(pairs)) == device


def test_no_user_agent_at_all() -> None:
    assert device_of(NO_FIELDS) == b"desktop"
    assert device_of(Fields.of([(b"User-Agent", b"x" * 100_000 + b"iPhone")])) == b"desktop"
