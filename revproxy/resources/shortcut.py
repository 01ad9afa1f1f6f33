"""The short way to a stored response, for a connection that asks again with the same fields.

Most requests that a cache gets differ from the one before on the same connection in their target and Cookie alone. What
the fields say was worked out for that one; what is left is looked up anew for each: the host's site, the path's route,
what is stored under the key, whether it is fresh at this moment. So nothing here can be out of date, and nothing has to
be told when something is stored, purged, or added to the tree.

Every condition under which the policy would have more to say makes this give way to the tree: see ``shortcut_for`` for
what must hold of the fields, ``ToStored`` for what must hold of the target and of what is stored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.web.resource import IResource

from revproxy.caching.vary import selects
from revproxy.http.fields import Fields
from revproxy.interfaces import ReadyAnswer, Request, Shortcut
from revproxy.resources.base import Route, Routes
from revproxy.resources.caching import CachingResource
from revproxy.resources.vhost import VirtualHosts


class ToStored:
    """The ``Shortcut`` of one route's cache, for one host and one set of fields."""

    __slots__ = ("_fields", "_find", "_host", "_near", "_options", "_prefix", "_route", "_routes", "_serving", "labels")

    def __init__(
        self,
        find: Callable[[bytes], IResource | None],
        host: bytes,
        routes: Routes,
        route: Route,
        cache: CachingResource,
        prefix: bytes,
        fields: Fields,
    ) -> None:
        """``prefix`` and a target are a key of that cache; ``fields`` are the request's, Cookie aside."""
        self._find = find
        self._host = host
        self._routes = routes
        self._route = route
        self.labels = route.labels
        self._prefix = prefix
        self._fields = fields
        self._near = cache.store.near
        self._options = cache.options
        self._serving = cache.serving

    def __call__(self, target: bytes, now: float) -> ReadyAnswer | None:
        """See ``interfaces.Shortcut``."""
        routes = self._routes
        if self._find(self._host) is not routes:
            return None
        route = routes.known.get(target.partition(b"?")[0])
        if route is not self._route:
            return None
        entry = self._near(self._prefix + target)
        if entry is None:
            return None
        responses = entry.responses
        if len(responses) != 1:
            return None
        head = responses[0].head
        judgement = head.memo
        if judgement is None or judgement.options is not self._options:
            return None
        rendered = judgement.rendered
        if rendered is None or rendered.whole is None:
            return None
        if not rendered.since <= now < rendered.until and not self._serving.renew(head, judgement, rendered, now):
            return None
        if head.selecting and not self._selects(head):
            return None
        entry.visits += 1
        return rendered  # type: ignore[no-any-return]  # what a judgement keeps is the caller's own

    def _selects(self, head: Any) -> bool:
        """Whether Vary selects it: where Cookie is nominated, the fields that are known here do not tell."""
        return not any(name == b"cookie" for name, _ in head.selecting) and selects(head, self._fields)


def shortcut_for(root: object, request: Request) -> Shortcut | None:
    """The short way for requests like this one, which a cache below ``root`` answered; None where there is none.

    It is there for requests without anything that decides about stored responses (``RequestControls.plain``), on routes
    that choose by host and path alone and whose key is made of host and target alone, in front of a store that has
    responses in this process's memory. A cache behind a resource that chooses by something else has none, and neither
    have classes that were derived from ours, since nobody knows what else they look at.
    """
    facts = request.facts
    if type(root) is not VirtualHosts or request.authority is not facts.authority or request.client.trusted:
        return None
    host = request.authority.host
    routes = root.find(host)
    if type(routes) is not Routes:
        return None
    route = routes.known.get(request.path)
    if route is None or type(route.resource) is not CachingResource:
        return None
    cache = route.resource
    view = facts.cache_view
    if cache.options.bypasses or not hasattr(cache.store, "near") or view is None or view.keys is not cache.keys:
        return None
    if view.rewriting or not view.controls.plain:
        return None
    fields = request.fields
    return ToStored(root.find, host, routes, route, cache, view.prefix, fields if fields.base is None else fields.base)
