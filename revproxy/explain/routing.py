"""Down the tree: the site, what it demands, the route, and whether the body may be as long as it is."""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.task import Clock
from zope.interface import implementer

from revproxy.certificates.collection import Certificates
from revproxy.config.listing import target_text
from revproxy.config.mistakes import Path
from revproxy.config.model import Config
from revproxy.config.units import format_size
from revproxy.errors import BadRequest, ContentTooLarge, MethodNotAllowed, Misdirected, NotFound, ProxyError
from revproxy.explain.failures import rule_of
from revproxy.explain.question import Probe
from revproxy.explain.steps import Steps, listed, shown
from revproxy.interfaces import IResponder, Request
from revproxy.resources.base import Route, Routes
from revproxy.resources.dispatch import Dispatch
from revproxy.resources.site_guard import CHALLENGES
from revproxy.resources.twisted_request import TwistedResources
from revproxy.service.generation import Generation
from revproxy.service.guarding import guarded

MOST_SITES: Final = 5
MOST_ROUTES: Final = 30
"""Of those that are not taken, how many are named."""
RouteNumbers = tuple[int, int]


def explain_site(steps: Steps, generation: Generation, asked: Probe) -> Routes | None:
    """The site whose hosts take the request's: the first of all that could."""
    config = generation.config
    host = shown(asked.authority.host) or "no host"
    found = generation.hosts.candidates(asked.authority.host)
    for place, (pattern, resource) in enumerate(found):
        name = pattern.decode("ascii", "replace")
        number = generation.sites.get(resource)
        at = _host_path(config, number, name)
        if place == 0:
            steps.add("site", f"{name}: {_why(name, host, config, number)}", at, "RFC 9110 §7.2")
        else:
            steps.add("site", f"not {name}: {_why_not(name)}", at)
    if found:
        resource = found[0][1]
        return resource if isinstance(resource, Routes) else None
    for number, site in enumerate(config.sites[:MOST_SITES]):
        steps.add("site", f"not {listed(site.hosts)}: {host} is another name", ("site", number, "hosts"))
    if len(config.sites) > MOST_SITES:
        steps.add("site", f"nor any of {len(config.sites) - MOST_SITES} other sites")
    return None


def _why(name: str, host: str, config: Config, number: int | None) -> str:
    if name == "*":
        return f"no other site's hosts take {host}"
    return f"it lies above {host}" if name.startswith("*.") else "this very name is asked for"


def _why_not(name: str) -> str:
    return "it takes what no other site does" if name == "*" else "a longer name matches"


def _host_path(config: Config, number: int | None, name: str) -> Path | None:
    if number is None:
        return None
    hosts = config.sites[number].hosts
    return ("site", number, "hosts", hosts.index(name)) if name in hosts else ("site", number, "hosts")


def explain_demands(
    steps: Steps, generation: Generation, listener: int, certificates: Certificates | None, asked: Probe
) -> bool:
    """What stands before the tree: whether the request comes as far as that, through the code that decides it."""
    config = generation.config
    options = config.listeners[listener]
    site = generation.hosts.find(asked.authority.host)
    number = generation.sites.get(site) if site is not None else None
    if config.tls.acme is not None and not options.tls and asked.path.startswith(CHALLENGES):
        text = "a challenge of the ACME server is answered here, if there is one of this name"
        steps.add("demands", text, ("tls", "acme"), "RFC 8555 §8.3")
    reached: list[Request] = []
    try:
        guarded(generation, options, certificates, dispatch=reached.append)(asked)
    except ProxyError as error:
        explain_refusal(steps, error, number, step="demands")
        asked.fail(error)
        return False
    if reached:
        if asked.added_lines and number is not None:
            line = shown(asked.added_lines.rstrip())
            steps.add("demands", f"the answer gets {line}", ("site", number, "tls", "hsts"), "RFC 6797 §6.1")
        return True
    answer = asked.answer
    if answer is not None:
        location = shown(answer.fields.get(b"location") or b"")
        at: Path = ("listener", listener, "redirect_to_https")
        if not options.redirect_to_https and number is not None:
            at = ("site", number, "redirect_to_https")
        text = f"answered with {answer.status}, redirected to {location}: the request came in clear text"
        steps.add("demands", text, at, "RFC 9110 §15.4.9" if answer.status == 308 else "RFC 9110 §15.4.2")
    return False


def explain_route(steps: Steps, generation: Generation, site: Routes, asked: Probe) -> Route | None:
    """The route, and of each other one the first condition that failed; None where there is none."""
    config = generation.config
    number = generation.sites[site]
    try:
        route: Route | None = site.select(asked.path, asked.method)
        error: ProxyError | None = None
    except ProxyError as mistake:
        route, error = None, mistake
    if route is not None:
        own = generation.routes[route][1]
        options = config.sites[number].routes[own]
        methods = f", {', '.join(options.methods)}" if options.methods else ""
        path = shown(asked.path)
        steps.add("route", f"{options.path}{methods}: it takes {path}", ("site", number, "route", own))
    _explain_others(steps, generation, number, site, route, asked)
    if error is not None:
        if isinstance(error, BadRequest):
            _explain_readings(steps, generation, number, site, asked)
        explain_refusal(steps, error, number, step="route")
        asked.fail(error)
    return route


def _explain_others(
    steps: Steps, generation: Generation, number: int, site: Routes, route: Route | None, asked: Probe
) -> None:
    path = b"/" if asked.path == b"*" else asked.path
    told = 0
    for other in site.routes:
        if other is route:
            continue
        if told == MOST_ROUTES:
            steps.add("route", f"nor any of {len(site.routes) - told - (route is not None)} other routes")
            break
        told += 1
        if not other.takes(path, other.path):
            why = f"{shown(asked.path)} does not lie under it"
        elif not other.allows(asked.method):
            why = f"{shown(asked.method)} is none of its methods ({', '.join(_methods(other))})"
        elif route is None:
            why = "another reading of the path leads elsewhere"
        elif other.path == route.path:
            why = "another route with the same path comes first"
        else:
            why = "a longer path matches"
        own = generation.routes[other][1]
        steps.add("route", f"not {other.path.decode('utf-8', 'replace')}: {why}", ("site", number, "route", own))


def _methods(route: Route) -> list[str]:
    return sorted(method.decode("ascii") for method in route.methods)


def _explain_readings(steps: Steps, generation: Generation, number: int, site: Routes, asked: Probe) -> None:
    """Where each reading of an ambiguous path leads."""
    try:
        for reading in site.readings(asked.path, asked.method):
            at: Path | None = None
            where = "nowhere"
            if isinstance(reading.found, Route):
                own = generation.routes[reading.found][1]
                at, where = ("site", number, "route", own), f"to {reading.found.path.decode('utf-8', 'replace')}"
            steps.add("reading", f"{shown(reading.path)} ({reading.name}) leads {where}", at, "RFC 3986 §6.2.2")
    except BadRequest:
        # The refusal itself says what is wrong with the path.
        return


def explain_target(steps: Steps, config: Config, numbers: RouteNumbers) -> None:
    """What answers the route's requests."""
    site, own = numbers
    options = config.sites[site].routes[own]
    key = "proxy" if options.proxy is not None else "files" if options.files is not None else "resource"
    steps.add("target", target_text(options, config.upstreams), ("site", site, "route", own, key))


@implementer(IResponder)
class Reached:
    """Stands where something would answer."""

    def __init__(self) -> None:
        self.is_reached = False

    def respond(self, request: Request) -> None:
        """It comes this far."""
        self.is_reached = True


def explain_body(steps: Steps, generation: Generation, numbers: RouteNumbers, route: Route, asked: Probe) -> bool:
    """Whether the request's body may be as long as it says, as whatever gives requests to the tree decides it."""
    config = generation.config
    at = body_limit_path(config, numbers)
    if route.body_limit is not None:
        asked.body_limit = route.body_limit
    others = TwistedResources(Clock(), config.limits.buffered_body_size)
    leaf: Any = Reached()
    limit = asked.body_limit
    try:
        if not IResponder.providedBy(generation.behind[numbers]):
            if config.limits.buffered_body_size < limit:
                at = ("limits", "buffered_body_size")
            limit = others.limit(asked)
        Dispatch(leaf, others)(asked)
    except ContentTooLarge as error:
        steps.add("body", f"refused with {error.status}: {error.detail}", at, rule_of(error.reason, error.detail).rfc)
        asked.fail(error)
        return False
    framing = asked.facts.framing
    if framing.kind == "none":
        return True
    length = f"{framing.length} octets" if framing.kind == "length" else "chunks of a length that is not known yet"
    steps.add("body", f"{length}; up to {format_size(limit)} are taken, then it is 413", at, "RFC 9110 §15.5.14")
    if asked.facts.expects_continue:
        steps.add("body", "100 (Continue) is sent when the server wants the body", None, "RFC 9110 §10.1.1")
    return True


def body_limit_path(config: Config, numbers: RouteNumbers) -> Path:
    """The setting that bounds a route's bodies."""
    site, own = numbers
    if config.sites[site].routes[own].body_size is not None:
        return "site", site, "route", own, "body_size"
    return "limits", "body_size"


def explain_refusal(steps: Steps, error: ProxyError, site: int | None, step: str = "answer") -> None:
    """A refusal, with its rule."""
    rule = rule_of(error.reason, error.detail)
    text = f"answered with {error.status}: {error.detail or error.reason}"
    if isinstance(error, MethodNotAllowed) and error.allow:
        text += f" (let through: {error.allow.decode('ascii')})"
    at = rule.setting or None
    if at is not None and at[0] == "site":
        at = ("site", site, *at[1:]) if site is not None else None
    if isinstance(error, Misdirected | NotFound | BadRequest | MethodNotAllowed) and at is None and site is not None:
        at = ("site", site)
    steps.add(step, text, at, rule.rfc)
