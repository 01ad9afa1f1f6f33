"""Virtual hosts: a site for each name, for every name below another one, and for whatever is left."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address
from typing import Any

from twisted.web.resource import IResource
from twisted.web.vhost import NameVirtualHost
from zope.interface import implementer

from revproxy.errors import NotFound, ProxyError
from revproxy.interfaces import IRouter, Request
from revproxy.resources.base import ErrorResource
from revproxy.resources.stock import stock_target


@implementer(IRouter)
class VirtualHosts(NameVirtualHost):
    """Chooses a resource by host name.

    ``addHost(b"example.com", resource)`` takes one name, ``addHost(b"*.example.com", resource)`` every name below it
    (the longest such pattern wins), ``default`` everything else. Unlike its parent it reads Host as RFC 9110 §7.2 says,
    bracketed IPv6 addresses and ports included.
    """

    def __init__(self) -> None:
        super().__init__()
        self._below: dict[bytes, IResource] = {}

    def addHost(self, name: bytes, resrc: IResource) -> None:
        """Lets ``resrc`` answer for a name or a ``*.`` pattern; ``*`` alone is the default."""
        name = _normal(name)
        if name == b"*":
            self.default = resrc  # type: ignore[assignment]  # its class attribute is None
        elif name.startswith(b"*."):
            self._below[name[1:]] = resrc
        else:
            self.hosts[name] = resrc

    def removeHost(self, name: bytes) -> None:
        """Forgets a name or a pattern. Raises KeyError where it is not known."""
        name = _normal(name)
        if name == b"*":
            self.default = None
        elif name.startswith(b"*."):
            del self._below[name[1:]]
        else:
            del self.hosts[name]

    def find(self, host: bytes) -> IResource | None:
        """What answers for a host name in lower case, without port and trailing dot; None for nothing."""
        if host[:1] == b"[":
            host = _compressed(host)
        found: IResource | None = self.hosts.get(host)
        if found is None and self._below:
            found = next((resource for _, resource in self._taking(host)), None)
        if found is None:
            found = self.default
        return found

    def candidates(self, host: bytes) -> list[tuple[bytes, IResource]]:
        """Every name and pattern that takes a host, with what answers for it; ``find`` gives the first one's."""
        if host[:1] == b"[":
            host = _compressed(host)
        exact = self.hosts.get(host)
        found = [(host, exact)] if exact is not None else []
        found += ((b"*" + suffix, resource) for suffix, resource in self._taking(host))
        default: IResource | None = self.default
        return [*found, (b"*", default)] if default is not None else found

    def _taking(self, host: bytes) -> Iterator[tuple[bytes, IResource]]:
        """The names above a host for which there is a pattern, the longest first."""
        at = host.find(b".")
        while at >= 0:
            found = self._below.get(host[at:])
            if found is not None:
                yield host[at:], found
            at = host.find(b".", at + 1)

    def choose(self, request: Request) -> object:
        """The resource for a request; raises NotFound."""
        resource = self.find(request.authority.host)
        if resource is None:
            raise NotFound("no site for this host")
        return resource

    def _getResourceForRequest(self, request: Any) -> IResource:
        # The parent's own methods ask here, when this tree hangs in a stock Site.
        try:
            authority = stock_target(request).authority
        except ProxyError as error:
            return ErrorResource(error)
        host = authority.host if authority is not None else b""
        return self.find(host) or ErrorResource(NotFound("no site for this host"))


def _normal(name: bytes) -> bytes:
    """A name as it is looked up, however the operator wrote it."""
    name = name.lower()
    if name[:1] == b"[":
        return _compressed(name)
    return name[:-1] if name.endswith(b".") and len(name) > 1 else name


def _compressed(host: bytes) -> bytes:
    """A bracketed IPv6 address in its one normal form (RFC 5952); what is none is left as it is."""
    try:
        return b"[%b]" % str(IPv6Address(host[1:-1].decode("ascii"))).encode("ascii")
    except ValueError:
        return host
