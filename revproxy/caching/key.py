"""The primary cache key: what must be the same for one stored response to answer two requests (RFC 9111 §2, §4).

A key is the scope (a route), the scheme, the host and the target, each behind its length, so that no two requests that
differ in one of them have the same key, whatever octets they are made of. By default nothing else is keyed, and
nothing that a client sends beside it reaches the server without being dropped, nominated by Vary, or keyed:

- The target is keyed as its octets are. It is never decoded, resolved or otherwise repaired: the server gets the same
  octets, and may answer ``/a``, ``/%61``, ``//a`` and ``/b/../a`` differently.
- The host is keyed in its one canonical form, but what the server gets is the client's spelling. So a request that
  spells it differently (``EXAMPLE.com``, ``example.com.``, ``example.com:80``) may be answered from the store, and
  what it brings back is never stored: see ``is_canonical``.
- An absolute target's host stands for Host, on the way to the server as well as here (RFC 9112 §3.2.2).
- Claims about the client (X-Forwarded-Host, X-Original-URL and the like) are dropped, see ``docs/forwarding.rst``.
  Those of a trusted proxy are passed on, and keyed.
- Fields that pass, and that servers are known to replace the method, host or path by, send the request past the cache:
  see ``rewriting_field``. So does content in a GET, which no key could cover.

Cache deception by a path's suffix (``/account/x.css``, ``/account;x.css``, ``/account%2Fx.css``, which a careless
server answers with the account's page) finds nothing to deceive: what the path looks like is never a reason to store.
A response is stored by what it says itself and by what the route says, and each of those spellings has its own key.
"""

from __future__ import annotations

from typing import Final

import attrs

from revproxy.caching.material import claim_material, cookie_material, device_of, header_material, netstring
from revproxy.caching.query import Query, QueryRule
from revproxy.errors import BadRequest
from revproxy.http.fields import HOP_BY_HOP, NO_FIELDS, Fields
from revproxy.http.target import Authority, parse_authority

_DEFAULT_PORTS: Final = {b"http": 80, b"https": 443}
_PREFIXES_BOUND: Final = 4096


@attrs.frozen
class KeyOptions:
    """What a route's cache key is made of."""

    scope: bytes = b""
    """Keeps the responses of routes apart that answer the same URLs differently; empty where none do."""
    query: Query = "all"
    """``all`` parameters of the query are keyed, ``none``, ``only`` the named ones, or all ``except`` those."""
    parameters: frozenset[bytes] = frozenset()
    """Names for ``only`` and ``except``; a ``*`` at the end stands for anything (``utm_*``)."""
    sort_query: bool = False
    """Whether the order of parameters with different names is nothing to the server."""
    cookies: tuple[bytes, ...] = ()
    """Names of cookies whose values are keyed."""
    headers: tuple[bytes, ...] = ()
    """Lower-case names of fields whose values are keyed, as if each response nominated them in Vary."""
    device: bool = False
    """Whether the kind of device is keyed."""
    method: bool = False
    """Whether responses to GET and HEAD answer only these, and those to another method that alone."""

    @property
    def several_per_url(self) -> bool:
        """Whether one URL may have several keys, so that an invalidation must go by URL."""
        return bool(self.cookies or self.headers or self.device or self.method)


def canonical_authority(authority: Authority, scheme: bytes) -> bytes:
    """A host in lower case, with its port only where that is not the scheme's own (RFC 9110 §4.2.3)."""
    port = authority.port
    if port is None or port == _DEFAULT_PORTS.get(scheme):
        return authority.host
    return b"%b:%d" % (authority.host, port)


def is_canonical(authority: Authority, scheme: bytes) -> bool:
    """Whether a host was written in its canonical form. What a server answers to another spelling of it is not stored:
    the answer may be about the spelling, and would be handed to those who use none."""
    raw = authority.raw
    return bool(raw) and raw == canonical_authority(authority, scheme)


REWRITING: Final = frozenset(
    (
        b"x-http-method-override x-http-method x-method-override "
        b"x-host x-http-host x-http-host-override x-original-uri x-rewrite-uri x-override-url x-override-uri "
        b"x-http-path-override x-http-destinationurl x-http-dest-url x-proxy-url x-url-scheme x-script-name "
        b"script-name path-info request-uri base-url x-forward-host x-forward-proto"
    ).split()
)
"""Lower-case names of fields by which servers and frameworks are known to replace the method, host, scheme or path of a
request, and that forwarding passes on. With any of them, a request is what its key does not say."""


_OF_CONNECTIONS: Final = HOP_BY_HOP | {b"close", b"http2-settings"}


def rewriting_field(fields: Fields) -> bytes:
    """The first field by which a server may take the request for another one than its key says; empty for none.

    Also one that Connection names and that is no hop's own (RFC 9110 §7.6.1): the server does not get it, so what it
    answers is not about the value that key and Vary would be compared with.

    Such a request is neither answered from the store nor is its answer stored. CGI and WSGI take ``_`` in a name for
    ``-``, so both count. May be kept with the fields.
    """
    names = fields.names()
    if not REWRITING.isdisjoint(names) or b"_" in b" ".join(names):
        for name in names:
            if name in REWRITING or (b"_" in name and name.replace(b"_", b"-") in REWRITING):
                return name
    connection = fields.get(b"connection")
    if connection is None or connection.lower() in (b"keep-alive", b"close"):
        return b""
    for option in fields.members(b"connection"):
        # This may be asked of the fields without Cookie, for all that have some.
        if option not in _OF_CONNECTIONS and (option in fields or option == b"cookie"):
            return option
    return b""


class PrimaryKeys:
    """Makes the keys of one route."""

    __slots__ = ("_options", "_prefixes", "_query", "_scope", "is_plain")

    def __init__(self, options: KeyOptions) -> None:
        self._options = options
        self._query = QueryRule(options.query, options.parameters, options.sort_query)
        self._scope = netstring(options.scope)
        self.is_plain = self._query.keeps_all and not options.several_per_url
        """Whether nothing but the scope, the scheme, the hosts and the target as it is makes a key."""
        # What stands before the target, by scheme and hosts as they came; hosts come from strangers, so it is bounded.
        self._prefixes: dict[tuple[bytes, bytes, bytes], bytes] = {}

    @property
    def several_per_url(self) -> bool:
        """Whether one URL may have several keys, so that an invalidation must go by URL."""
        return self._options.several_per_url

    def of(
        self,
        scheme: bytes,
        authority: Authority,
        target: bytes,
        *,
        public_authority: bytes = b"",
        method: bytes = b"GET",
        fields: Fields = NO_FIELDS,
        trusted: bool = False,
    ) -> bytes:
        """The key of a request. ``scheme`` is its ``public_scheme``, the others are named as there; ``target`` is the
        client's, before a route strips a prefix; ``trusted`` is whether a trusted proxy sent it."""
        prefix = self.prefix(scheme, authority, public_authority)
        if self.is_plain and not trusted:
            return prefix + target
        return b"%b%b%b" % (prefix[:-3], netstring(self._material(method, fields, trusted)), self._query.apply(target))

    def keyed_target(self, target: bytes) -> bytes:
        """The target with its query as the key has it."""
        return self._query.apply(target)

    def url(self, scheme: bytes, authority: Authority, target: bytes, *, public_authority: bytes = b"") -> bytes:
        """The target URI for whoever purges: canonical host, the query as the key has it."""
        host = canonical_authority(authority, scheme)
        if public_authority:
            try:
                host = canonical_authority(parse_authority(public_authority), scheme)
            except BadRequest:
                pass
        return b"%b://%b%b" % (scheme, host, self._query.apply(target))

    def prefix(self, scheme: bytes, authority: Authority, public_authority: bytes) -> bytes:
        """What stands before the target: where ``is_plain``, for clients that are no trusted proxy, the key is this and
        the target. May be kept for as long as a connection says the same of itself."""
        prefix = self._prefixes.get((scheme, authority.raw, public_authority))
        if prefix is not None:
            return prefix
        parts = (scheme, canonical_authority(authority, scheme), public_authority)
        prefix = self._scope + b"".join([netstring(part) for part in parts]) + netstring(b"")
        if len(self._prefixes) >= _PREFIXES_BOUND:
            self._prefixes.clear()
        self._prefixes[scheme, authority.raw, public_authority] = prefix
        return prefix

    def _material(self, method: bytes, fields: Fields, trusted: bool) -> bytes:
        options = self._options
        # Every kind has a mark of its own, and so has every rule for queries: what was stored under other options, in a
        # store that outlives them, is not found.
        material = b"" if self._query.keeps_all else b"q" + netstring(self._query.description)
        if options.method:
            material += b"m" + netstring(b"GET" if method == b"HEAD" else method)
        if options.device:
            material += b"d" + netstring(device_of(fields))
        if options.headers:
            material += b"h" + netstring(header_material(options.headers, fields))
        if options.cookies:
            material += b"c" + netstring(cookie_material(options.cookies, fields))
        if trusted:
            claims = claim_material(fields)
            if claims:
                material += b"t" + netstring(claims)
        return material


def target_of(url: bytes) -> bytes:
    """The target of a URL, as a request for it has it. The key of another URL of the same origin (RFC 9111 §4.4) is
    made of that, and of the scheme, hosts and fields of the request at hand."""
    rest = url.partition(b"://")[2].partition(b"#")[0]
    for at, octet in enumerate(rest):
        if octet == 0x2F:
            return rest[at:]
        if octet == 0x3F:
            return b"/" + rest[at:]
    return b"/"
