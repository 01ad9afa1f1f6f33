"""Routes by path: which resource answers for a path and a method.

A route is chosen by the raw path *and* by its normalised copy, and by what the most liberal backend might make of it;
if the answers differ, the request is refused (see ``http/target.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import attrs
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from revproxy.errors import BadRequest, MethodNotAllowed, NotFound, ProxyError
from revproxy.http.target import deepest_path, is_plain, normalised_path
from revproxy.interfaces import IRouter, Request
from revproxy.observe.labels import NO_ROUTE, RouteLabels
from revproxy.resources.stock import StockRequest, stock_target


@attrs.frozen(eq=False)
class Route:
    """What answers under a path."""

    path: bytes
    """Whole segments: ``/a`` takes ``/a`` and ``/a/b``; ``/a/`` takes ``/a/`` and ``/a/b``; ``/`` takes everything."""
    resource: IResource
    methods: frozenset[bytes] = frozenset()
    """The methods let through; empty for all. GET brings HEAD with it (RFC 9110 §9.1)."""
    body_limit: int | None = None
    """Octets that a request's body may have here; None for the listener's own limit."""
    labels: RouteLabels = NO_ROUTE
    """What its figures stand under."""

    def takes(self, path: bytes, own: bytes) -> bool:
        """Whether the path lies under this route's, of which ``own`` is the same reading."""
        if not path.startswith(own):
            return False
        return own.endswith(b"/") or len(path) == len(own) or path[len(own)] == 0x2F

    def allows(self, method: bytes) -> bool:
        """Whether the method is let through."""
        methods = self.methods
        return not methods or method in methods or (method == b"HEAD" and b"GET" in methods)


KNOWN_PATHS: Final = 4096
KNOWN_PATH: Final = 256
"""Bounds of the paths that are remembered: their number, and the octets of each."""


@attrs.frozen
class Reading:
    """A path as somebody may read it, and where that leads."""

    name: str
    path: bytes
    found: Route | ProxyError


class ErrorResource(Resource):
    """Answers a stock request with the page of an error, as our own listeners would."""

    isLeaf = True

    def __init__(self, error: ProxyError) -> None:
        super().__init__()
        self._error = error

    def render(self, request: Any) -> int:
        """Answers."""
        StockRequest(request, ()).fail(self._error)
        return NOT_DONE_YET


_Readings = dict[bytes, tuple[tuple[bytes, Route], ...]]
"""First segment → routes, each with its path read in one way (raw, normalised, fully decoded)."""


@implementer(IRouter)
class Routes(Resource):
    """The routes of a site. The longest path wins; among equal paths, the first that lets the method through.

    :param labels: what the figures stand under of requests that there is no route for.
    """

    isLeaf = False

    def __init__(self, routes: Sequence[Route], labels: RouteLabels = NO_ROUTE) -> None:
        super().__init__()
        self._labels = labels
        self.routes = tuple(sorted(routes, key=lambda route: -len(route.path)))
        # A route can only take paths that begin with its own first segment: a site of hundreds of routes is not walked
        # through for each request.
        # Where no method matters, a path's route never changes: paths seen lately are looked up, not matched.
        self._method_matters = any(route.methods for route in self.routes)
        self.known: dict[bytes, Route] = {}
        """Raw paths seen lately, and the route of each, whatever the method."""
        self._general = tuple((route.path, route) for route in self.routes if route.path == b"/")
        self._raw = _by_first_segment(self.routes, lambda path: path)
        self._normalised = _by_first_segment(self.routes, normalised_path)
        self._deepest = _by_first_segment(self.routes, deepest_path)
        # A route that is itself written with escapes has other spellings, which may be plain paths.
        self._all_plain = all(is_plain(route.path) for route in self.routes)

    def choose(self, request: Request) -> object:
        """The resource for a request; raises NotFound, MethodNotAllowed, or BadRequest for an ambiguous path."""
        path = request.path
        route = self.known.get(path)
        if route is None:
            # For the case that there is none.
            request.transaction.labels = self._labels
            route = self.select(path, request.method)
            if not self._method_matters and len(path) <= KNOWN_PATH:
                if len(self.known) >= KNOWN_PATHS:
                    self.known.clear()
                self.known[path] = route
        request.matched_path = route.path
        request.transaction.labels = route.labels
        if route.body_limit is not None:
            request.body_limit = route.body_limit
        return route.resource

    def select(self, path: bytes, method: bytes) -> Route:
        """The route for a raw path and a method; raises as ``choose``."""
        if path == b"*":
            path = b"/"
        route = self._find(path, method, self._raw)
        if not self._all_plain or not is_plain(path):
            for reading in self.readings(path, method):
                self._check(route, reading.found)
        if isinstance(route, Route):
            return route
        raise route

    def readings(self, path: bytes, method: bytes) -> Iterator[Reading]:
        """What each way of reading a path leads to: all of them must lead to the same. Raises BadRequest."""
        yield Reading("as it is written", path, self._find(path, method, self._raw))
        normalised = normalised_path(path)
        yield Reading("normalised", normalised, self._find(normalised, method, self._normalised))
        deepest = deepest_path(path)
        yield Reading("decoded all the way", deepest, self._find(deepest, method, self._deepest))

    def _check(self, route: Route | ProxyError, other: Route | ProxyError) -> None:
        """Refuses a path one of whose readings leads elsewhere."""
        if other is route:
            return
        if isinstance(other, ProxyError) and isinstance(route, ProxyError) and other.status == route.status:
            return
        raise BadRequest("the path means one route as it is written and another one when it is normalised")

    def _find(self, path: bytes, method: bytes, by_segment: _Readings) -> Route | ProxyError:
        refused: list[Route] = []
        parts = path.split(b"/", 2)
        for routes in (by_segment.get(parts[1], ()) if len(parts) > 1 else (), self._general):
            for own, route in routes:
                if refused and refused[0].path != route.path:
                    break
                if route.takes(path, own):
                    if route.allows(method):
                        return route
                    refused.append(route)
            if refused:
                break
        if refused:
            allowed = sorted({name for route in refused for name in route.methods})
            if b"GET" in allowed and b"HEAD" not in allowed:
                allowed.append(b"HEAD")
            return MethodNotAllowed("the route does not let this method through", allow=b", ".join(allowed))
        return NotFound("no route for this path")

    def getChildWithDefault(self, path: bytes, request: Any) -> IResource:
        """The same choice in a stock Twisted tree: the rest of the route's path is taken off ``postpath``."""
        try:
            raw = stock_target(request).path
            route = self.select(raw, request.method)
        except ProxyError as error:
            return ErrorResource(error)
        taken = segments_below(route.path, raw)
        everything = [*request.prepath, *request.postpath]
        cut = len(everything) - len(taken)
        request.prepath[:] = everything[:cut]
        request.postpath[:] = everything[cut:]
        return route.resource


def _by_first_segment(routes: Sequence[Route], read: Callable[[bytes], bytes]) -> _Readings:
    """Routes by the first segment of one reading of their paths, in their order."""
    found: _Readings = {}
    for route in routes:
        if route.path != b"/":
            own = read(route.path)
            segment = own.split(b"/", 2)[1]
            found[segment] = (*found.get(segment, ()), (own, route))
    return found


def segments_below(prefix: bytes, path: bytes) -> list[bytes]:
    """The decoded segments of a raw path below a route's path, as ``postpath`` holds them; none for the path itself."""
    rest = path[len(prefix.rstrip(b"/")) :]
    if not rest.startswith(b"/"):
        return []
    return [unquote_to_bytes(segment) for segment in rest[1:].split(b"/")]
