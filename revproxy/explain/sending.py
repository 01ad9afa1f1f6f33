"""What is sent on and what comes back, as differences: the real heads, made by the code that makes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import attrs
from zope.interface import implementer

from revproxy.config.mistakes import Path
from revproxy.config.model import Config
from revproxy.config.model import Route as RouteOptions
from revproxy.explain.question import NEW_ID, Probe
from revproxy.explain.steps import Steps, listed, shown
from revproxy.http.fields import BACKEND_TRACES, FRAMING, HOP_BY_HOP, Fields, is_claim, tells_certificate
from revproxy.http.forward import NO_CHANGES, FieldChanges, OutgoingHead, ResponseForwarding, is_believed, left_out
from revproxy.http.framing import Framing
from revproxy.http.parse import RequestHead, RequestParser, ResponseHead
from revproxy.http.rewrite import REWRITTEN
from revproxy.http.trace_context import TRACEPARENT, TRACESTATE, traceparent_of
from revproxy.interfaces import IUpstream, Request
from revproxy.resources.proxy import ProxyResource

RouteNumbers = tuple[int, int]
_ANY: Final = 1 << 30


@implementer(IUpstream)
class Recorder:
    """Stands where an upstream would, and keeps what it is given."""

    authorities: frozenset[bytes] = frozenset()
    default_host = b""

    def __init__(self) -> None:
        self.head: RequestHead | None = None
        self.upgrade = b""

    def exchange(
        self,
        request: Request,
        head: bytes,
        framing: Framing,
        forwarding: ResponseForwarding,
        upgrade: bytes,
        changes: FieldChanges = NO_CHANGES,
    ) -> None:
        """Reads the head as a server would."""
        self.head = RequestParser(_ANY, _ANY, _ANY).parse(head + b"\r\n")
        self.upgrade = upgrade


@attrs.frozen
class Difference:
    """What became of the fields of one name."""

    name: bytes
    before: tuple[bytes, ...]
    after: tuple[bytes, ...]

    @property
    def lower(self) -> bytes:
        """The name as it is compared."""
        return self.name.lower()


def differences(before: Fields, after: Fields) -> Iterator[Difference]:
    """The names whose values differ, in the order in which they first stand."""
    names: dict[bytes, bytes] = {}
    for lower, name, _ in (*before.lines, *after.lines):
        names.setdefault(lower, name)
    for lower, name in names.items():
        old, new = tuple(before.all(lower)), tuple(after.all(lower))
        if old != new:
            yield Difference(name, old, new)


def explain_sent(
    steps: Steps, config: Config, numbers: RouteNumbers, behind: ProxyResource, asked: Probe, sent: Probe
) -> bool:
    """The request as the server gets it: ``sent`` is what the cache hands on, ``asked`` what the client sent. False
    where it is answered here (RFC 9110 §7.6.2)."""
    site, own = numbers
    options = config.sites[site].routes[own]
    route: Path = ("site", site, "route", own)
    recorder = Recorder()
    behind.toward(recorder).respond(sent)
    head = recorder.head
    if head is None:
        steps.add("sent", "answered here with 200: Max-Forwards is 0", route, "RFC 9110 §7.6.2")
        return False
    text = f"{shown(head.method)} {shown(head.target)}"
    if head.target != asked.target:
        steps.add("sent", f"{text}: the route's path is taken off", (*route, "strip"))
    else:
        steps.add("sent", f"{text}: the target as it came", route, "RFC 9110 §7.7")
    for one in differences(asked.fields, head.fields):
        if not one.after and one.lower in FRAMING:
            continue
        _explain_request_field(steps, config, options, route, asked, one)
    _explain_upgrade(steps, options, route, asked, recorder.upgrade)
    return True


def _explain_request_field(
    steps: Steps, config: Config, options: RouteOptions, route: Path, asked: Probe, one: Difference
) -> None:
    lower = one.lower
    changes = options.request_headers
    set_here = [name for name, _ in (*changes.set, *changes.add) if name.lower().encode("ascii") == lower]
    removed_here = [name for name in changes.remove if name.lower().encode("ascii") == lower]
    at: Path | None = None
    rfc = why = ""
    if not one.after:
        if removed_here:
            why, at = "request_headers takes it away", (*route, "request_headers")
        elif (left := left_out(lower, asked.facts.options)) and not is_claim(lower):
            why, rfc = left, "RFC 9110 §7.6.1"
        elif tells_certificate(lower) and asked.client.trusted:
            why, at, rfc = (
                "here it is ours alone to say",
                (route[0], route[1], "tls", "client_certificates"),
                "RFC 9440 §2.4",
            )
        elif is_claim(lower) and not is_believed(lower, trusted=asked.client.trusted):
            why, at = "the client's word for itself does not count", ("trusted_proxies",)
        elif lower == b"expect":
            why, rfc = "there is no body to expect", "RFC 9110 §10.1.1"
        elif lower == TRACESTATE and config.tracing is not None:
            why, at = "it belongs to no trace that can be understood", ("tracing",)
        else:
            why, rfc = "the cache asks without it", "RFC 9111 §4.3.1"
    elif set_here:
        why, at = "request_headers says so", (*route, "request_headers")
    else:
        why, at, rfc = _added(lower, route, asked, options)
    _add_difference(steps, "sent", one, why, at, rfc)


def _added(lower: bytes, route: Path, asked: Probe, options: RouteOptions) -> tuple[str, Path | None, str]:
    """Why a field is there, or has another value; by the names that ``http/forward.py`` writes."""
    if lower == b"host":
        if options.host:
            return "the route's host", (*route, "host"), "RFC 9110 §7.2"
        return "the target names the host", None, "RFC 9112 §3.2.2"
    if lower == b"x-forwarded-for":
        return "the connection's address is appended" if asked.client.trusted else "the client's address", None, ""
    if lower == b"x-forwarded-prefix":
        return "the path that was taken off", (*route, "strip"), ""
    if lower.startswith(b"x-forwarded-"):
        return "what the client used", None, ""
    if lower == b"forwarded":
        return "what the client used", (*route, "forwarded"), "RFC 7239 §4"
    if lower == b"via":
        return "every proxy says that it was there", None, "RFC 9110 §7.6.3"
    if lower == b"x-request-id":
        kept = asked.request_id != NEW_ID
        return (
            "the trusted proxy's" if kept else "a new one for each request",
            ("trusted_proxies",) if kept else None,
            "",
        )
    if lower in (b"connection", b"upgrade"):
        return "for the next connection, said anew", (*route, "upgrade"), "RFC 9110 §7.8"
    if lower == b"te":
        return "trailers are passed on", None, "RFC 9110 §10.1.4"
    if lower in (b"if-none-match", b"if-modified-since"):
        return "the cache validates what it has", (*route, "cache"), "RFC 9111 §4.3.1"
    if lower == b"max-forwards":
        return "one less", None, "RFC 9110 §7.6.2"
    if lower == TRACEPARENT:
        known = traceparent_of(asked.fields)
        return "the client's trace goes on" if known else "a new trace begins", ("tracing",), ""
    return "the client's proven certificate", (route[0], route[1], "tls", "client_certificates"), "RFC 9440 §2.1"


def _add_difference(steps: Steps, step: str, one: Difference, why: str, at: Path | None, rfc: str) -> None:
    name = shown(one.name, 80)
    if not one.after:
        text = f"- {name}: {why}"
    elif not one.before:
        text = f"+ {name}: {', '.join(map(shown, one.after))} ({why})"
    else:
        text = f"~ {name}: {', '.join(map(shown, one.after))}, instead of {', '.join(map(shown, one.before))} ({why})"
    steps.add(step, text, at, rfc)


def _explain_upgrade(steps: Steps, options: RouteOptions, route: Path, asked: Probe, allowed: bytes) -> None:
    """Whether the connection may become another protocol's."""
    offered = asked.fields.members(b"upgrade") if b"upgrade" in asked.fields else []
    if not offered:
        return
    at: Path = (*route, "upgrade")
    facts = asked.facts
    words = listed([shown(each, 40) for each in offered])
    if allowed:
        steps.add(
            "upgrade", f"{shown(allowed)} is let through; 101 makes a tunnel of the connection", at, "RFC 9110 §7.8"
        )
    elif facts.upgrades:
        let = listed(list(options.upgrade)) or "nothing"
        steps.add(
            "upgrade", f"{words} is not let through (upgrade lets {let}), so it is not asked for", at, "RFC 9110 §7.8"
        )
    elif b"upgrade" not in facts.options:
        steps.add("upgrade", f"{words} is not asked for: Connection does not name Upgrade", None, "RFC 9110 §7.8")
    elif facts.version < 11:
        steps.add("upgrade", f"{words} is not asked for: HTTP/1.0 knows no upgrade", None, "RFC 9110 §7.8")
    else:
        steps.add("upgrade", f"{words} is not asked for: the request has a body", None, "RFC 9110 §7.8")


def explain_back(
    steps: Steps,
    config: Config,
    numbers: RouteNumbers,
    response: ResponseHead | None,
    public: OutgoingHead | None,
    added: bytes,
) -> None:
    """What an answer's fields become on their way to the client; in general, where there is no answer."""
    site, own = numbers
    options = config.sites[site].routes[own]
    route: Path = ("site", site, "route", own)
    if response is None or public is None:
        steps.add("back", _back_in_words(options), route)
        return
    for one in differences(response.fields, public.fields):
        _explain_response_field(steps, options, config, site, route, response, one)
    if added:
        steps.add(
            "back", f"+ {shown(added.rstrip())} (the site's hsts)", ("site", site, "tls", "hsts"), "RFC 6797 §6.1"
        )


def _back_in_words(options: RouteOptions) -> str:
    words = []
    if not options.keep_server_fields:
        words.append("Server, X-Powered-By and the like are left out (keep_server_fields = false)")
    if options.rewrite_location:
        words.append("Location and others that name the server become public (rewrite_location)")
    changes = options.response_headers
    for verb, names in (
        ("taken away", changes.remove),
        ("set", [name for name, _ in changes.set]),
        ("added", [name for name, _ in changes.add]),
    ):
        if names:
            words.append(f"response_headers: {listed(list(names))} {verb}")
    words.append("Via is added")
    return "; ".join(words)


def _explain_response_field(
    steps: Steps, options: RouteOptions, config: Config, site: int, route: Path, response: ResponseHead, one: Difference
) -> None:
    lower = one.lower
    changes = options.response_headers
    at: Path | None = None
    rfc = ""
    named = [name for name, _ in (*changes.set, *changes.add)] if one.after else list(changes.remove)
    if any(name.lower().encode("ascii") == lower for name in named):
        why, at = "response_headers says so", (*route, "response_headers")
    elif not one.after and lower == b"strict-transport-security" and config.sites[site].tls.hsts is not None:
        why, at, rfc = "the site says it itself", ("site", site, "tls", "hsts"), "RFC 6797 §6.1"
    elif not one.after and lower in FRAMING:
        return
    elif not one.after and (lower in HOP_BY_HOP or lower in response.fields.members(b"connection")):
        why, rfc = "it speaks for the server's connection alone", "RFC 9110 §7.6.1"
    elif not one.after and lower in BACKEND_TRACES:
        why, at = "it tells of the server", (*route, "keep_server_fields")
    elif lower in REWRITTEN:
        why, at = "it names the server", (*route, "rewrite_location")
    elif lower == b"via":
        why, rfc = "every proxy says that it was there", "RFC 9110 §7.6.3"
    elif lower == b"vary":
        why, at, rfc = "it depends on what only we know", ("site", site, "tls", "client_certificates"), "RFC 9440 §2.4"
    else:
        why, rfc = "the length that the content would have", "RFC 9110 §8.6"
    _add_difference(steps, "back", one, why, at, rfc)


def is_proxy(resource: Any) -> bool:
    """Whether a route's requests go to servers."""
    return isinstance(resource, ProxyResource)
