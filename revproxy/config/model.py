"""What an operator can say, as frozen values.

Every class here is a table of the configuration. Each attribute carries, in its metadata, what it is for
(``help``), how a person writes it (``unit``), its bounds, and, for a limit, what is answered when it is hit
(``answer``): the loader, ``revproxy schema``, the table of limits in the documentation and the test per row
of it all read this one place.

Durations are seconds (float), sizes are octets (int). Two equal ``Config`` values mean that there is nothing
to reload.
"""

# ruff: noqa: RUF009 -- setting() makes attrs fields, and the defaults it is given are frozen values

from __future__ import annotations

import os
from typing import Any

import attrs

from revproxy.config.acme_tables import AcmeOptions
from revproxy.config.admin_tables import Admin
from revproxy.config.cache_tables import Cache, RouteCache, RouteCacheKey, switched_cache
from revproxy.config.hosts import tidy_patterns
from revproxy.config.setting import GIB, KIB, MIB, YEAR, Network, as_tuple, required, setting
from revproxy.config.tracing_tables import Tracing

__all__ = [  # what is read here as well
    "GIB",
    "KIB",
    "MIB",
    "YEAR",
    "Admin",
    "Cache",
    "Network",
    "RouteCache",
    "RouteCacheKey",
    "Tracing",
    "as_tuple",
    "required",
    "setting",
]


def redirect_status(value: object) -> object:
    """``true`` as 308 (Permanent Redirect, which keeps the method), ``false`` as 0."""
    if isinstance(value, bool):
        return 308 if value else 0
    return value


_REDIRECT = "Answer requests in clear text with a redirect to https: true (308), 308 or 301."


def worker_count(value: object) -> object:
    """"auto" as 0."""
    return 0 if value == "auto" else value


def _log_path(value: object) -> object:
    return None if value == "off" else value


@attrs.frozen(kw_only=True)
class HeaderChanges:
    """Fields to take away, to set (replacing what is there) and to add, in this order."""

    remove: tuple[str, ...] = setting((), "Names of fields to take away.")
    set: tuple[tuple[str, str], ...] = setting((), "Fields to set: they replace any field of that name.")
    add: tuple[tuple[str, str], ...] = setting((), "Fields to add beside those that are there.")


@attrs.frozen(kw_only=True)
class Listener:
    """An address on which clients are accepted."""

    address: str = required('":8080", "127.0.0.1:8080", "[::1]:8080", "unix:/run/revproxy.sock" or "systemd:web".')
    tls: bool = setting(False, "Speak TLS here, with the certificates of [tls].", unit="flag")
    redirect_to_https: int = setting(0, _REDIRECT, unit="redirect", converter=redirect_status)
    proxy_protocol_from: tuple[Network, ...] = setting(
        (), "Peers that must begin a connection with a PROXY protocol header (v1 or v2).", unit="network"
    )
    backlog: int = setting(
        4096, "Connections that the kernel keeps waiting to be accepted.", unit="count", least=1, most=65535
    )


@attrs.frozen(kw_only=True)
class Route:
    """What happens to requests under a path. Exactly one of ``proxy``, ``files`` and ``resource`` is
    written.
    """

    path: str = setting("/", 'Path prefix, by whole segments: "/a" takes /a and /a/b; "/a/" takes /a/ and /a/b.')
    proxy: str | None = setting(
        None,
        'An upstream\'s name, or one server ("http://127.0.0.1:8000", "unix:/run/app.sock").',
        unit="target",
        one_of="target",
    )
    files: str | None = setting(None, "A folder whose files are served.", unit="path", one_of="target")
    resource: Any = setting(
        None,
        'A Twisted resource: "package.module:name" in TOML, the object itself in Python.',
        unit="target",
        one_of="target",
    )
    methods: tuple[str, ...] = setting((), "Methods that are let through (none named: all); others are answered 405.")
    strip: bool = setting(False, "Take the route's path off before the request goes upstream.", unit="flag")
    host: str | None = setting(None, "Host to send upstream (not set: the client's own is kept).")
    forwarded: bool = setting(False, "Send Forwarded (RFC 7239) beside X-Forwarded-*.", unit="flag")
    upgrade: tuple[str, ...] = setting(("websocket",), "Protocols that a client may upgrade to; empty: none.")
    rewrite_location: bool = setting(
        True, "Rewrite Location, Content-Location, Refresh and cookies that name the backend.", unit="flag"
    )
    keep_server_fields: bool = setting(
        False, "Let the backend's Server, X-Powered-By and the like reach the client.", unit="flag"
    )
    request_headers: HeaderChanges = setting(HeaderChanges(), "Changes to fields on the way to the backend.")
    response_headers: HeaderChanges = setting(HeaderChanges(), "Changes to fields on the way to the client.")
    cache: RouteCache | None = setting(
        None,
        "Keep answers and give them to later clients (RFC 9111): true, or a table.",
        switch=True,
        converter=switched_cache,
    )
    body_size: int | None = setting(
        None, "Largest request body on this route (not set: limits.body_size).", unit="size", least=0
    )


@attrs.frozen(kw_only=True)
class HSTS:
    """Strict-Transport-Security (RFC 6797), sent with every answer over TLS."""

    max_age: float = setting(
        2 * YEAR, "How long browsers use https alone for this site.", unit="duration", least=0, most=10 * YEAR
    )
    include_subdomains: bool = setting(False, "All names below the site's as well.", unit="flag")
    preload: bool = setting(False, "Agree to the lists that browsers are delivered with.", unit="flag")


@attrs.frozen(kw_only=True)
class SiteTLS:
    """What one site asks of connections over TLS."""

    client_certificates: str = setting(
        "off",
        "Whether clients must, may or need not show a certificate of client_ca.",
        choices=("off", "optional", "required"),
    )
    client_ca: str | None = setting(
        None, "PEM file of the authorities that clients' certificates are from.", unit="path"
    )
    client_crl: str | None = setting(
        None, "PEM file of their revocation lists, one for each authority of a chain.", unit="path"
    )
    client_subject: str | None = setting(
        None, 'Field that tells the backend the verified subject, such as "X-SSL-Client-S-DN"; not set: none.'
    )
    profile: str | None = setting(
        None, "Versions and ciphers of this site (not set: tls.profile).", choices=("intermediate", "modern")
    )
    hsts: HSTS | None = setting(
        None, 'Strict-Transport-Security: a duration ("730d") or a table; not set: none.', short="max_age"
    )


@attrs.frozen(kw_only=True)
class Site:
    """The routes of one or more host names."""

    hosts: tuple[str, ...] = setting(
        ("*",),
        'Names: "example.com", "*.example.com" (any depth below), or "*" for whatever no other site names.',
        least=1,
        converter=tidy_patterns,
    )
    routes: tuple[Route, ...] = setting((), "The routes; the longest matching path wins.", key="route", least=1)
    redirect_to_https: int = setting(0, _REDIRECT, unit="redirect", converter=redirect_status)
    tls: SiteTLS = setting(SiteTLS(), "What this site asks of connections over TLS.")


@attrs.frozen(kw_only=True)
class Server:
    """One server of an upstream."""

    url: str = required('"http://host:port", "https://host:port" or "unix:/path/to.sock".')
    weight: int = setting(
        1,
        "Share of the requests, relative to the other servers (1 to 1000).",
        unit="count",
        least=1,
        most=1000,
    )


@attrs.frozen(kw_only=True)
class UpstreamTLS:
    """TLS towards the ``https://`` servers of an upstream."""

    verify: bool = setting(
        True, "Believe a server only if its certificate says who it is; without it anybody can answer.", unit="flag"
    )
    ca: str | None = setting(
        None, "PEM file of the authorities that are believed (not set: the system's).", unit="path", alone=True
    )
    server_name: str | None = setting(
        None, "Name that is asked for and that the certificate must have (not set: the URL's host)."
    )
    certificate: str | None = setting(
        None, "PEM file of our own certificate, and its chain, for servers that ask for one.", unit="path", alone=True
    )
    key: str | None = setting(
        None, "PEM file of its private key (not set: in the same file).", unit="path", alone=True
    )


@attrs.frozen(kw_only=True)
class UpstreamOptions:
    """A named group of servers that can answer for each other."""

    name: str = required("The name by which routes call it.")
    servers: tuple[Server, ...] = required(
        'The servers: URLs, or tables with "url" and "weight".', least=1, short="url", several=True
    )
    balance: str = setting("round_robin", "How a server is chosen.", choices=("round_robin",))
    connect_timeout: float = setting(
        3.0, "Time for one connection to a server to open.", unit="duration", answer="next server, then 504"
    )
    answer_timeout: float = setting(
        60.0,
        "Time without an octet from the server before its answer's head is complete.",
        unit="duration",
        answer="504",
    )
    idle_timeout: float = setting(
        60.0,
        "Time without an octet in the middle of an answer's body.",
        unit="duration",
        answer="the client's connection is cut",
    )
    tunnel_timeout: float = setting(
        3600.0,
        "Time without an octet either way in an upgraded connection.",
        unit="duration",
        answer="both sides are closed",
    )
    keep_alive: float = setting(60.0, "Time that an unused connection is kept.", unit="duration", least=0)
    idle_connections: int = setting(64, "Unused connections kept, per server.", unit="count", least=0)
    connections_per_server: int = setting(
        1024, "Connections to one server.", unit="count", answer="the request waits in the queue"
    )
    connections: int = setting(
        4096,
        "Connections to all servers of the upstream.",
        unit="count",
        answer="the request waits in the queue",
    )
    queue: int = setting(1024, "Requests that wait for a connection.", unit="count", answer="503", least=0)
    queue_timeout: float = setting(
        10.0, "Time that a request waits for a connection.", unit="duration", answer="503", least=0
    )
    replay_size: int = setting(
        64 * KIB,
        "Request body kept, so that a request that met a dead connection can be sent again.",
        unit="size",
        least=0,
    )
    set_aside: float = setting(
        10.0,
        "Time that a server whose connection failed gets no requests; doubles up to 16 times this.",
        unit="duration",
        least=0,
    )
    resolve_every: float = setting(
        30.0,
        "Age at which a looked-up name is asked again, where its TTL is not known.",
        unit="duration",
        least=0,
    )
    tls: UpstreamTLS = setting(UpstreamTLS(), 'TLS towards its "https://" servers.')


@attrs.frozen(kw_only=True)
class Limits:
    """What one client, or all together, may take of this process."""

    head_size: int = setting(32 * KIB, "Octets of a request's head.", unit="size", answer="431")
    head_count: int = setting(100, "Fields in a request's head.", unit="count", answer="431")
    target_length: int = setting(8 * KIB, "Octets of a request's target.", unit="size", answer="414")
    head_timeout: float = setting(20.0, "Time from a head's first octet to its last.", unit="duration", answer="408")
    handshake_timeout: float = setting(
        10.0,
        "Time for a TLS handshake, and for a PROXY protocol header in front of it.",
        unit="duration",
        answer="closed",
    )
    body_size: int = setting(4 * GIB, "Octets of a request's body.", unit="size", answer="413")
    buffered_body_size: int = setting(
        16 * MIB,
        "Octets of a request's body for a resource that wants it whole (files, Twisted resources).",
        unit="size",
        answer="413",
    )
    body_rate: int = setting(
        256,
        "Octets per second that a request's body must bring on average, after its first 10 s.",
        unit="rate",
        answer="408",
        least=0,
    )
    body_timeout: float = setting(
        60.0, "Time without an octet of a request's body that is being read.", unit="duration", answer="408"
    )
    idle_timeout: float = setting(
        75.0, "Time that a connection may wait for its next request.", unit="duration", answer="closed"
    )
    send_timeout: float = setting(
        60.0, "Time that a client may take nothing of an answer.", unit="duration", answer="cut"
    )
    half_close_grace: float = setting(
        10.0,
        "Time without an octet of an answer after which a client that closed its side counts as gone.",
        unit="duration",
        answer="the exchange is aborted",
        least=0,
    )
    requests_per_connection: int = setting(
        10000, "Requests on one connection.", unit="count", answer="Connection: close"
    )
    connections: int = setting(16384, "Connections per listener.", unit="count", answer="503, closed")
    connections_per_address: int = setting(
        8192,
        "Connections per client address; behind trusted_proxies, requests at once per original client.",
        unit="count",
        answer="503, closed",
    )
    buffered_octets: int = setting(
        256 * MIB,
        "Octets held for all clients and servers together.",
        unit="size",
        answer="503 for new requests; a stream that needs more is cut",
    )
    response_head_size: int = setting(64 * KIB, "Octets of an answer's head from a server.", unit="size", answer="502")
    response_head_count: int = setting(256, "Fields in an answer's head from a server.", unit="count", answer="502")
    drain_timeout: float = setting(
        10.0,
        "Time that exchanges in flight get to end when the proxy stops.",
        unit="duration",
        answer="cut",
        least=0,
    )


@attrs.frozen(kw_only=True)
class TLSOptions:
    """Certificates, and how TLS is spoken on the listeners that have ``tls = true``."""

    certificates: tuple[str, ...] = setting(
        (),
        "PEM files, or folders of them; each certificate serves the names that are in it. Read again when they change.",
        unit="path",
        alone=True,
    )
    profile: str = setting(
        "intermediate",
        "Versions and ciphers, as Mozilla's guideline of that name says.",
        choices=("intermediate", "modern"),
    )
    default: str | None = setting(
        None, "Name whose certificate clients get that ask for none (not set: the first site's)."
    )
    unknown_name: str = setting(
        "default", "What clients get that ask for a name of no certificate.", choices=("default", "refuse")
    )
    internal: bool = setting(
        False, "Issue certificates from a local root, for names that no certificate file is for.", unit="flag"
    )
    misdirected: bool = setting(
        False, "Answer 421 where Host is another name than the one that TLS was asked for.", unit="flag"
    )
    ocsp_stapling: bool = setting(
        True, "Send the responder's answer with certificates that name one.", unit="flag"
    )
    state: str | None = setting(
        None,
        "Folder for what is made here, such as the local root (not set: $STATE_DIRECTORY, or revproxy in the user's"
        " state folder).",
        unit="path",
    )
    acme: AcmeOptions | None = setting(None, "Certificates from an ACME server.")


@attrs.frozen(kw_only=True)
class AccessLog:
    """Where a line about every request goes."""

    path: str | None = setting(
        "-", 'A file, or "-" for standard output; "off" for none.', unit="path", converter=_log_path
    )
    format: str = setting("combined", "The form of a line.", choices=("combined", "json"))


@attrs.frozen(kw_only=True)
class Log:
    """What the processes say of themselves: start, stop, servers that fail, mistakes."""

    format: str = setting(
        "auto",
        "The form of an event: lines for people, JSON, fields of the systemd journal. Auto is the journal where "
        "standard error leads there, else lines.",
        choices=("auto", "human", "json", "journal"),
    )
    level: str = setting(
        "info", "The least important events that are written.", choices=("debug", "info", "warning", "error")
    )
    file: str | None = setting(
        None, "File that lines are added to (not set: standard output, or twistd's log file).", unit="path"
    )


@attrs.frozen(kw_only=True)
class Control:
    """Where ``revproxy reload``, ``status`` and the other tools speak with the running proxy."""

    socket: str | None = setting(
        None,
        "Unix socket for them; whoever can open it may do anything with the proxy. Not set: PID.sock in the first "
        'folder of docs/control.rst that can be had; "off" for none.',
        unit="path",
    )


@attrs.frozen(kw_only=True)
class Config:
    """The whole configuration."""

    workers: int = setting(
        1,
        'Processes that serve: 1 is the one that was started, several are its children; "auto" is one for each CPU.',
        unit="workers",
        least=0,
        most=256,
        converter=worker_count,
    )
    drain_delay: float = setting(
        0.0,
        "Time between readiness going false and the end of accepting, for balancers in front to notice.",
        unit="duration",
        least=0.0,
        most=3600.0,
    )

    listeners: tuple[Listener, ...] = setting(
        (Listener(address=":8080"),), "Where clients are accepted.", key="listener", least=1
    )
    sites: tuple[Site, ...] = setting((), "What is served.", key="site", least=1)
    upstreams: tuple[UpstreamOptions, ...] = setting((), "Named groups of servers.", key="upstream", keyed="name")
    trusted_proxies: tuple[Network, ...] = setting(
        (), "Networks whose X-Forwarded-*, Forwarded and X-Request-ID are believed.", unit="network"
    )
    tls: TLSOptions = setting(TLSOptions(), "TLS.")
    cache: Cache = setting(Cache(), "Where responses are kept.")
    limits: Limits = setting(Limits(), "Limits.")
    access_log: AccessLog = setting(AccessLog(), "The access log.")
    log: Log = setting(Log(), "The log of events.")
    control: Control = setting(Control(), "The control socket.")
    admin: Admin = setting(Admin(), "What can be looked at while it runs, and by whom over TCP.")
    tracing: Tracing | None = setting(None, "Part in distributed traces; not set: none.")

    @property
    def worker_count(self) -> int:
        """How many processes that is on this machine."""
        if self.workers:
            return self.workers
        # What the process may use, which in a container is less than what there is.
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
