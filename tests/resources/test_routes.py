"""Routes: which one a path and a method choose, and what is refused because it might mean two of them."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.web.resource import IResource, Resource

from revproxy.errors import BadRequest, MethodNotAllowed, NotFound, ProxyError
from revproxy.http.target import deepest_path, normalised_path
from revproxy.resources.base import Route, Routes
from revproxy.resources.vhost import VirtualHosts
from tests.support.dialogue import OK, answer, answering
from tests.support.fixtures import MakeProxy
from tests.support.proxy import Proxy

SITE = (b"/", b"/a", b"/a/b", b"/a/bc/", b"/admin", b"/static/", b"/A")


def routes(*paths: bytes) -> Routes:
    return Routes([Route(path, Resource()) for path in paths])


def chosen(site: Routes, path: bytes, method: bytes = b"GET") -> bytes | type[ProxyError]:
    """The path of the route for a path, or why there is none."""
    try:
        return site.select(path, method).path
    except ProxyError as error:
        return type(error)


@pytest.mark.parametrize(
    ("path", "route"),
    [
        (b"/", b"/"),
        (b"/x", b"/"),
        (b"/a", b"/a"),
        (b"/a/", b"/a"),
        (b"/a/x", b"/a"),
        (b"/ab", b"/"),
        (b"/a.b", b"/"),
        (b"/a-", b"/"),
        (b"/a/b", b"/a/b"),
        (b"/a/b/", b"/a/b"),
        (b"/a/b/c", b"/a/b"),
        (b"/a/bc", b"/a"),
        (b"/a/bc/", b"/a/bc/"),
        (b"/a/bc/d", b"/a/bc/"),
        (b"/a/bcd", b"/a"),
        (b"/A/x", b"/A"),
        (b"/admin", b"/admin"),
        (b"/admins", b"/"),
        (b"/static", b"/"),
        (b"/static/", b"/static/"),
        (b"/static/x", b"/static/"),
        (b"*", b"/"),
    ],
)
def test_the_longest_path_of_whole_segments_wins(path: bytes, route: bytes) -> None:
    for site in (routes(*SITE), routes(*reversed(SITE))):
        assert chosen(site, path) == route


@pytest.mark.parametrize("path", [b"/", b"/x", b"/ab", b"*", b"/a%62"])
def test_no_route_is_not_found(path: bytes) -> None:
    assert chosen(routes(b"/a", b"/b/c"), path) is NotFound


def test_a_site_without_routes_has_nothing() -> None:
    assert chosen(Routes([]), b"/") is NotFound


@pytest.mark.parametrize(
    "path",
    [
        b"/%61dmin",
        b"/%61%64%6D%69%6e",
        b"/adm%69n/users",
        b"/x/../admin",
        b"/x/%2e%2E/admin",
        b"/x/..%2fadmin",
        b"/x/..%5cadmin",
        b"/x\\..\\admin",
        b"/./admin",
        b"/%2e/admin",
        b"//admin",
        b"///admin/x",
        b"/admin/../x",
        b"/admin/..",
        b"/admin/%2e%2e/x",
        b"/admin%2Fx",
        b"/admin%2fx",
        b"/admin%5Cx",
        b"/admin\\x",
        b"/admin;x",
        b"/admin;x=1/y",
        b"/admin%3Bx",
        b"/;x/admin",
        b"/%41",
        b"/%61",
        b"/a%2Fb",
        b"/a/%62",
        b"/a//b",
        b"/a/x/../b",
        b"/..;/admin",
        b"/x/..;/admin",
        b"/static/..",
        b"/static/../x",
        b"/static%2F",
        b"/%2Fadmin",
        b"/%2e%2e%2fadmin",
    ],
)
def test_a_path_that_may_mean_another_route_is_refused(path: bytes) -> None:
    assert chosen(routes(*SITE), path) is BadRequest


@pytest.mark.parametrize(
    ("path", "route"),
    [
        (b"/x%2Fadmin", b"/"),
        (b"/x//y", b"/"),
        (b"/x;v=1/y", b"/"),
        (b"/%7Euser", b"/"),
        (b"/x/../y", b"/"),
        (b"/a%20b", b"/"),
        (b"/admin/%61", b"/admin"),
        (b"/admin/x;y", b"/admin"),
        (b"/admin/x/../y", b"/admin"),
        (b"/admin//x", b"/admin"),
        (b"/admin/a%2Fb", b"/admin"),
        (b"/a/b/%E2%82%AC", b"/a/b"),
        (b"/%2561dmin", b"/"),
        (b"/..", b"/"),
        (b"/static/.hidden", b"/static/"),
    ],
)
def test_a_path_all_of_whose_readings_agree_is_served(path: bytes, route: bytes) -> None:
    assert chosen(routes(*SITE), path) == route


@pytest.mark.parametrize("path", [b"/%", b"/%6", b"/%zz", b"/x%00", b"/admin/%00", b"/%%36%31dmin"])
def test_what_begins_no_escape_and_nul_are_refused(path: bytes) -> None:
    assert chosen(routes(*SITE), path) is BadRequest


@pytest.mark.parametrize(
    ("own", "path"),
    [
        (b"/caf%C3%A9", b"/caf%C3%A9/menu"),
        (b"/two%20words", b"/two%20words"),
        (b"/a%2Fb", b"/a%2Fb/c"),
        (b"/%7Euser", b"/%7Euser/x"),
        (b"/~user", b"/~user"),
        (b"/v;1", b"/v;1/x"),
        (b"/\xc3\xa9", b"/\xc3\xa9/x"),
    ],
)
def test_a_route_whose_own_path_has_escapes(own: bytes, path: bytes) -> None:
    assert chosen(routes(b"/", own), path) == own
    assert chosen(routes(b"/", own), b"/other") == b"/"


@pytest.mark.parametrize(
    ("own", "path"),
    [(b"/caf%C3%A9", b"/caf%c3%a9"), (b"/~user", b"/%7Euser"), (b"/%7Euser", b"/~user"), (b"/caf%C3%A9", b"/caf\xc3\xa9")],
)
def test_another_spelling_of_a_route_is_never_the_route_below_it(own: bytes, path: bytes) -> None:
    assert chosen(routes(b"/", own), path) in (BadRequest, own)


def test_methods() -> None:
    site = Routes([Route(b"/api", Resource(), frozenset({b"GET", b"POST"})), Route(b"/", Resource())])
    assert [chosen(site, b"/api/x", method) for method in (b"GET", b"HEAD", b"POST")] == [b"/api"] * 3
    with pytest.raises(MethodNotAllowed) as refused:
        site.select(b"/api/x", b"DELETE")
    assert refused.value.allow == b"GET, POST, HEAD"
    assert chosen(site, b"/x", b"DELETE") == b"/"


def test_post_alone_brings_no_head() -> None:
    site = Routes([Route(b"/", Resource(), frozenset({b"POST"}))])
    assert chosen(site, b"/", b"HEAD") is MethodNotAllowed
    with pytest.raises(MethodNotAllowed) as refused:
        site.select(b"/", b"GET")
    assert refused.value.allow == b"POST"


def test_methods_are_case_sensitive() -> None:
    assert chosen(Routes([Route(b"/", Resource(), frozenset({b"GET"}))]), b"/", b"get") is MethodNotAllowed


@pytest.mark.parametrize("path", [b"/", b"/api"])
def test_one_path_with_a_route_for_each_method(path: bytes) -> None:
    reads, writes, rest = Resource(), Resource(), Resource()
    site = Routes(
        [
            Route(path, reads, frozenset({b"GET"})),
            Route(path, writes, frozenset({b"PUT", b"GET"})),
            Route(b"/api/deeper", rest),
        ]
    )
    assert site.select(path, b"GET").resource is reads
    assert site.select(path, b"HEAD").resource is reads
    assert site.select(path, b"PUT").resource is writes
    with pytest.raises(MethodNotAllowed) as refused:
        site.select(path, b"DELETE")
    assert refused.value.allow == b"GET, PUT, HEAD"
    assert site.select(b"/api/deeper", b"DELETE").resource is rest


def test_a_refused_method_does_not_fall_through_to_a_shorter_path() -> None:
    site = Routes([Route(b"/", Resource()), Route(b"/api", Resource(), frozenset({b"GET"}))])
    assert chosen(site, b"/api", b"POST") is MethodNotAllowed


def test_a_method_can_make_the_readings_differ() -> None:
    site = Routes([Route(b"/", Resource()), Route(b"/api", Resource(), frozenset({b"GET"}))])
    assert chosen(site, b"/%61pi", b"POST") is BadRequest
    assert chosen(site, b"//api", b"GET") is BadRequest


def test_hundreds_of_routes() -> None:
    paths = [b"/s%d/p%d" % (number % 40, number) for number in range(800)]
    site = routes(b"/", *paths, *(path + b"/deep" for path in paths))
    for path in paths:
        assert chosen(site, path) == path
        assert chosen(site, path + b"/x") == path
        assert chosen(site, path + b"/deep/x") == path + b"/deep"
        assert chosen(site, path + b"0000") == b"/"
        assert chosen(site, path.replace(b"/s", b"//s")) is BadRequest


_PIECES = st.sampled_from(
    [b"/", b"//", b"a", b"b", b"A", b"admin", b"%61", b"%41", b"%2F", b"%2f", b"%5C", b"\\", b"..", b".", b"%2e", b";"]
    + [b";x", b"%3B", b"%25", b"%2561", b"%20", b"x", b"%C3%A9", b"c"]
)
_PATHS = st.lists(_PIECES, max_size=10).map(lambda pieces: b"/" + b"".join(pieces))
_OWN = st.lists(st.sampled_from([b"a", b"b", b"A", b"admin", b"a b", b"c"]), max_size=3)
_SITES = st.lists(
    st.tuples(_OWN, st.booleans()).map(
        lambda drawn: b"/" + b"/".join(drawn[0]) + (b"/" if drawn[0] and drawn[1] else b"")
    ),
    min_size=1,
    max_size=6,
    unique=True,
)


def reference(paths: list[bytes], path: bytes) -> bytes | None:
    """The longest path that takes another one by whole segments, told without any index."""
    taking = [own for own in paths if path == own or path.startswith(own.rstrip(b"/") + b"/")]
    return max(taking, key=len, default=None)


@given(_SITES, _PATHS)
@example([b"/", b"/admin"], b"/%61dmin")
@example([b"/a", b"/a/"], b"/a/..")
def test_all_readings_of_what_is_served_choose_the_same_route(paths: list[bytes], path: bytes) -> None:
    found = chosen(routes(*paths), path)
    if isinstance(found, bytes):
        for reading in (path, normalised_path(path), deepest_path(path)):
            assert reference(paths, reading) == found
    elif found is NotFound:
        assert reference(paths, path) is None
        assert reference(paths, normalised_path(path)) is None
    else:
        readings = {reference(paths, reading) for reading in (path, normalised_path(path), deepest_path(path))}
        assert len(readings) > 1


def site(proxy: Proxy) -> IResource:
    hosts = VirtualHosts()
    hosts.addHost(
        b"*",
        Routes(
            [
                Route(b"/", proxy.resource),
                Route(b"/admin", proxy.resource, frozenset({b"GET"})),
                Route(b"/small", proxy.resource, body_limit=3),
            ]
        ),
    )
    return hosts


@pytest.mark.parametrize(
    "target", [b"/admin/x;y", b"/x//y/../%7e", b"/x%2Fadmin?q=/../admin", b"/%61", b"/x?//admin", b"/?/%61dmin"]
)
def test_the_target_travels_on_untouched(make_proxy: MakeProxy, target: bytes) -> None:
    proxy = make_proxy(root=site)
    asked = answering(proxy.origin, lambda request: OK)
    client = proxy.client()
    client.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target)
    assert answer(client).status == 200
    assert [request.target for request in asked] == [target]


@pytest.mark.parametrize("target", [b"/%61dmin", b"//admin", b"/x/../admin", b"/admin;x", b"http://a//admin"])
def test_what_is_refused_reaches_no_backend(make_proxy: MakeProxy, target: bytes) -> None:
    proxy = make_proxy(root=site)
    client = proxy.client()
    client.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target)
    assert answer(client).status == 400
    assert proxy.origin.attempts == 0


def test_405_says_what_is_allowed(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(root=site)
    client = proxy.client()
    client.send(b"DELETE /admin HTTP/1.1\r\nHost: a\r\n\r\n")
    got = answer(client, b"DELETE")
    assert (got.status, got.get(b"allow")) == (405, b"GET, HEAD")
    assert proxy.origin.attempts == 0


def test_a_path_is_chosen_alike_each_time_it_comes(make_proxy: MakeProxy) -> None:
    """Paths are remembered where no method matters."""
    proxy = make_proxy(
        root=lambda proxy: Routes([Route(b"/a", proxy.resource), Route(b"/small", proxy.resource, body_limit=3)])
    )
    answering(proxy.origin, lambda request: OK)
    for _ in range(3):
        for target, status in ((b"/a", 200), (b"/%61", 400), (b"/b", 404), (b"/small", 413)):
            client = proxy.client()
            client.send(b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody" % target)
            assert answer(client, b"POST").status == status
