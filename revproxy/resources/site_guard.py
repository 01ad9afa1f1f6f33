"""What a site demands of the connection before any of its resources is asked.

That is: https instead of clear text (a redirect), certificates of clients (RFC 9110 §15.5.20 where the connection has
not proved any), and Strict-Transport-Security (RFC 6797) in each answer over TLS. It stands in front of the tree only
on listeners of which some site demands something.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import attrs
from twisted.web.resource import IResource

from revproxy.errors import BadRequest, Misdirected
from revproxy.http.fields import NO_FIELDS, Fields
from revproxy.http.forward import OutgoingHead
from revproxy.http.framing import Framing
from revproxy.interfaces import Request

CHALLENGES: Final = b"/.well-known/acme-challenge/"
"""RFC 8555 §8.3: asked for in clear text on port 80, and not to be redirected away from whoever answers."""

Dispatch = Callable[[Request], None]


@attrs.frozen(eq=False)
class Demands:
    """What one site demands."""

    redirect: int = 0
    """Status of the redirect of requests in clear text; 0 for none."""
    strict_transport: bytes = b""
    """The line ``Strict-Transport-Security: ...`` with its CRLF; empty for none."""
    clients: Callable[[], object] | None = None
    """Gives whose certificates clients must or may show, as ``ClientTLS.demands`` has it; None where nobody's."""
    required: bool = False
    """Whether nothing is served without one."""


NOTHING: Final = Demands()


class SiteGuard:
    """Stands between a listener and the tree.

    :param inner: gives a request to the tree.
    :param find: which site's resource answers for a host.
    :param demands: what the sites demand, by that resource.
    :param redirect: status with which all requests in clear text are redirected; 0 for none.
    :param https_port: where they are redirected to.
    :param misdirected: whether a Host is refused that is not the name TLS was asked for.
    """

    __slots__ = ("_demands", "_find", "_inner", "_misdirected", "_port", "_redirect")

    def __init__(
        self,
        inner: Dispatch,
        find: Callable[[bytes], IResource | None],
        demands: Mapping[IResource, Demands],
        *,
        redirect: int = 0,
        https_port: int = 443,
        misdirected: bool = False,
    ) -> None:
        self._inner = inner
        self._find = find
        self._demands = demands
        self._redirect = redirect
        self._port = b"" if https_port == 443 else b":%d" % https_port
        self._misdirected = misdirected

    def __call__(self, request: Request) -> None:
        """Gives the request to the tree, or answers it. Raises Misdirected."""
        host = request.authority.host
        site = self._find(host)
        demands = NOTHING if site is None else self._demands.get(site, NOTHING)
        tls = request.client.tls
        if tls is None:
            if request.public_scheme != b"https" and not request.path.startswith(CHALLENGES):
                status = self._redirect or demands.redirect
                if status:
                    redirect(request, status, self._port)
                    return
            if demands.required:
                raise Misdirected("the site demands certificates of clients, and this connection is in clear text")
        else:
            if demands.clients is not None and demands.clients() != tls.demands:
                raise Misdirected(
                    "the site demands certificates of clients, and this connection was opened for"
                    f' "{tls.server_name.decode("ascii")}", which does not'
                    if tls.demands is None
                    else "the site demands other certificates of clients than those that this connection was asked for"
                )
            if self._misdirected and tls.server_name and host != tls.server_name:
                raise Misdirected(f'the connection was opened for "{tls.server_name.decode("ascii")}"')
        if demands.strict_transport and request.public_scheme == b"https":
            request.added_lines = demands.strict_transport
        self._inner(request)


def redirect(request: Request, status: int, port: bytes) -> None:
    """Answers with a redirect to the same place under https."""
    host = request.authority.host
    if not host:
        raise BadRequest("no Host to redirect to")
    target = request.target if request.target.startswith(b"/") else b"/"
    location = b"https://%b%b%b" % (host, port, target)
    head = OutgoingHead(status, b"", Fields.of([(b"Location", location)]))
    request.start(head, Framing("length", 0), None)
    request.finish(NO_FIELDS)


def answer_clear_text(request: Request) -> None:
    """Tells a client that speaks HTTP in clear text to a port of TLS so; whoever reads it is a person with a tool."""
    text = b"This port speaks HTTPS, and plain HTTP was sent to it. Use an address that begins with https://\n"
    fields = [(b"Content-Type", b"text/plain; charset=utf-8"), (b"Cache-Control", b"no-store")]
    request.transaction.reason = BadRequest.reason
    request.transaction.detail = "plain HTTP was sent to a port that speaks TLS"
    request.start(OutgoingHead(400, b"", Fields.of(fields)), Framing("length", len(text)), None)
    if request.method != b"HEAD":
        request.write(text)
    request.finish(NO_FIELDS)


def strict_transport_line(max_age: float, *, include_subdomains: bool, preload: bool) -> bytes:
    """The field line of RFC 6797 §6.1, with its CRLF."""
    value = b"max-age=%d" % max_age
    if include_subdomains:
        value += b"; includeSubDomains"
    if preload:
        value += b"; preload"
    return b"Strict-Transport-Security: %b\r\n" % value
