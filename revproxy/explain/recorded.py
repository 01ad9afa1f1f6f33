"""A request that happened, from what is remembered of it: what was done, and the rules that it was done by.

The steps come from the recorded transaction alone: the route that was chosen, the server that was tried last and how
often, what the cache said, the failure by its reason. Where the configuration that it was decided under is still in
force, the same request is led through it once more, up to the servers, so that the conditions are told as well.
"""

from __future__ import annotations

from typing import Any

from revproxy.config.mistakes import Path
from revproxy.config.model import Config
from revproxy.explain.failures import rule_of
from revproxy.explain.question import Asked
from revproxy.explain.steps import Explanation, Places, Step, Steps, harmless, shown
from revproxy.explain.walk import Running, Walk
from revproxy.http.fields import NO_FIELDS
from revproxy.observe.transaction import Transaction

_AS_NOW = ("listener", "tls", "client", "demands", "site", "route", "target", "body", "sent", "upgrade", "limits")
"""Steps that depend on nothing but the request and the configuration."""


def explain_recorded(transaction: Transaction, config: Config, places: Places, running: Running | None) -> Explanation:
    """What happened. ``running`` is the tree that serves; its config is ``config``."""
    steps = Steps(places)
    is_current = running is not None and _is_of(running, transaction)
    _explain_outcome(steps, transaction, config if is_current else None)
    request = f"{shown(transaction.method)} {transaction.scheme.decode()}://{shown(transaction.host)}"
    request += shown(transaction.target) if transaction.target.startswith(b"/") else f" {shown(transaction.target)}"
    decided: tuple[Step, ...] = ()
    if is_current and running is not None:
        decided = _decided(transaction, config, places, running)
    elif transaction.labels.place[0] >= 0:
        text = "it was decided under a configuration that is not in force any more: lines of files can't be told"
        steps.add("config", text)
    return Explanation(request=request, steps=(*steps.all, *decided), status=transaction.status)


def _is_of(running: Running, transaction: Transaction) -> bool:
    """Whether the request was decided under the configuration that is in force."""
    labels = transaction.labels
    if labels.place[0] < 0:
        return True
    return any(route.labels is labels for route in running.generation.routes) or any(
        getattr(site, "labels", None) is labels for site in running.generation.sites
    )


def _explain_outcome(steps: Steps, transaction: Transaction, config: Config | None) -> None:
    t = transaction
    when = f"{t.total_time * 1000:.1f} ms in all" if t.total_time >= 0 else "still going on"
    answered = f"{t.status}, {t.sent} octets, {when}" if t.status else f"no answer, {when}"
    steps.add("outcome", f"id {shown(t.request_id)} from {shown(t.client)}: {answered}")
    labels = t.labels
    at: Path | None = None
    if config is not None and labels.place[0] >= 0:
        at = ("site", labels.place[0]) if labels.place[1] < 0 else ("site", labels.place[0], "route", labels.place[1])
    if labels.site != "-":
        steps.add("outcome", f"site {labels.site}, route {labels.route}", at)
    if t.cache_status:
        steps.add("outcome", f"the cache: {shown(t.cache_status)}", (*at, "cache") if at else None, "RFC 9211 §2")
    if t.upstream:
        text = f"server {shown(t.upstream)}"
        if t.tries > 1:
            text += f", after {t.tries - 1} other connection{'s' if t.tries > 2 else ''} that failed"
        if t.connect_time > 0:
            text += f", connected in {t.connect_time * 1000:.1f} ms"
        if t.first_byte_time >= 0:
            text += f", first octet after {t.first_byte_time * 1000:.1f} ms"
        steps.add("outcome", text, (*at, "proxy") if at else None)
    if t.reason:
        _explain_failure(steps, t, config, at)


def _explain_failure(steps: Steps, t: Transaction, config: Config | None, route: Path | None) -> None:
    rule = rule_of(t.reason, t.detail)
    text = f"{t.reason}: {harmless(t.detail) or 'no more is known'}"
    if rule.advice:
        text += f"; {rule.advice}"
    steps.add("failure", text, _setting(rule.setting, t, config, route), rule.rfc)


def _setting(setting: Path, t: Transaction, config: Config | None, route: Path | None) -> Path | None:
    """The key of the configuration that a rule speaks of."""
    if config is None or not setting:
        return route
    if setting[0] == "upstream":
        proxy = t.labels.upstream
        if any(options.name == proxy for options in config.upstreams):
            return ("upstream", proxy, *setting[1:])
        return route
    if setting[0] == "route":
        return (*route, *setting[1:]) if route is not None else None
    if setting[0] == "site":
        return (*route[:2], *setting[1:]) if route is not None else None
    if setting[0] == "listener":
        return ("listener",)
    return setting


def _decided(transaction: Transaction, config: Config, places: Places, running: Running) -> tuple[Step, ...]:
    """The request's way through the configuration that it took."""
    question = _question(transaction)
    if question is None:
        return ()
    walk = Walk(config, places, question, transaction.started, running=running)
    walk.explain()
    return tuple(step for step in walk.steps.all if step.step in _AS_NOW)


def _question(t: Transaction) -> Asked | None:
    """The request as somebody would ask about it; None where it was none that could be read."""
    if t.facts is None or not t.method or not t.target.startswith(b"/"):
        return None
    fields = t.facts.fields if t.facts is not None else NO_FIELDS
    scheme = t.scheme.decode("ascii", "replace")
    authority = t.host.decode("latin-1")
    port: Any = authority.rpartition(":")[2]
    number = int(port) if ":" in authority and port.isdigit() else {"http": 80, "https": 443}.get(scheme, 80)
    lines = tuple(b"%b: %b" % (name, value) for _, name, value in fields.lines)
    return Asked(t.method, scheme, authority, number, t.target, lines, t.client)
