"""Down the tree: from its root to whatever answers a request.

Routers of ours choose in one step each. Plain ``Resource`` objects that only hold children are walked as Twisted walks
them, without any request object. What is found then is one of two: a responder, which gets the streaming request; or
any other resource, which gets a real ``twisted.web.server.Request`` with the whole body (``twisted_request.py``).
"""

from __future__ import annotations

from typing import Any

from twisted.web.resource import IResource, Resource

from revproxy.errors import ContentTooLarge
from revproxy.interfaces import IResponder, IRouter, Request, Shortcut
from revproxy.resources.base import segments_below
from revproxy.resources.shortcut import shortcut_for
from revproxy.resources.twisted_request import TwistedResources

_ROUTER, _RESPONDER, _OTHER = range(3)


class Dispatch:
    """Gives requests to the tree."""

    def __init__(self, root: IResource, others: TwistedResources) -> None:
        self._root = root
        self._others = others
        self._kinds: dict[type, int] = {}

    def __call__(self, request: Request) -> None:
        """Finds what answers ``request`` and lets it. Raises ProxyError where nothing does."""
        resource: Any = self._root
        kinds = self._kinds
        while True:
            kind = kinds.get(resource.__class__)
            if kind is None:
                kind = self._kind(resource)
            if kind == _ROUTER:
                resource = resource.choose(request)
                continue
            if kind == _OTHER:
                resource, prepath, postpath = self._walk(resource, request)
                if IResponder.providedBy(resource):
                    kind = _RESPONDER
                else:
                    self._others.serve(resource, request, prepath, postpath)
                    return
            if request.facts.framing.length > request.body_limit:
                raise ContentTooLarge(f"{request.facts.framing.length} octets, {request.body_limit} are allowed")
            resource.respond(request)
            return

    def shortcut(self, request: Request) -> Shortcut | None:
        """The short way for what is asked next on a connection; None where there is none."""
        return shortcut_for(self._root, request)

    def _kind(self, resource: object) -> int:
        cls = resource.__class__
        kind = _ROUTER if IRouter.implementedBy(cls) else _RESPONDER if IResponder.implementedBy(cls) else _OTHER
        self._kinds[cls] = kind
        return kind

    def _walk(self, resource: Any, request: Request) -> tuple[Any, list[bytes], list[bytes]]:
        """Follows children that are merely kept in dictionaries: no code of theirs runs, so none needs a request."""
        prefix = request.matched_path
        postpath = segments_below(prefix, request.path)
        prepath = segments_below(b"", request.path)
        prepath = prepath[: len(prepath) - len(postpath)]
        while (
            postpath
            and not resource.isLeaf
            and isinstance(resource, Resource)
            and type(resource).getChildWithDefault is Resource.getChildWithDefault
            and postpath[0] in resource.children
            and not IResponder.providedBy(resource)
        ):
            resource = resource.children[postpath[0]]
            prepath.append(postpath.pop(0))
        return resource, prepath, postpath
