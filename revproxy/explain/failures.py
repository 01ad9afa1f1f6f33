"""What a failure rests on: the rule of an RFC, and the setting that bounds it.

A failure is recorded as its class's ``reason`` and a ``detail``; where one reason stands for several limits, the
detail's words tell which. The words are those with which the code raises; a test looks for them there.
"""

from __future__ import annotations

from typing import Final

import attrs

from revproxy.config.mistakes import Path


@attrs.frozen
class Rule:
    """Why something was refused, cut or given up."""

    rfc: str = ""
    setting: Path = ()
    """``("limits", NAME)``, ``("upstream", NAME)`` (the request's upstream), ``("route", NAME)``, ``("tls", NAME)``."""
    advice: str = ""


_LIMIT = "limits"
_UPSTREAM = "upstream"

_RULES: Final[dict[str, Rule]] = {
    "bad_request": Rule("RFC 9110 §15.5.1"),
    "no_route": Rule("RFC 9110 §15.5.5"),
    "method_not_allowed": Rule("RFC 9110 §15.5.6"),
    "request_timeout": Rule("RFC 9110 §15.5.9", (_LIMIT, "head_timeout")),
    "length_required": Rule("RFC 9110 §15.5.12", (_UPSTREAM, "replay_size")),
    "content_too_large": Rule("RFC 9110 §15.5.14", (_LIMIT, "body_size")),
    "target_too_long": Rule("RFC 9110 §15.5.15", (_LIMIT, "target_length")),
    "expectation_failed": Rule("RFC 9110 §15.5.18"),
    "misdirected": Rule("RFC 9110 §15.5.20"),
    "head_too_large": Rule("RFC 6585 §5", (_LIMIT, "head_size")),
    "transfer_coding": Rule("RFC 9112 §6.1"),
    "version": Rule("RFC 9110 §15.6.6"),
    "client_gone": Rule(advice="the client left; nobody read the answer's end"),
    "client_too_slow": Rule("", (_LIMIT, "send_timeout")),
    "overloaded": Rule("RFC 9110 §15.6.4", (_LIMIT, "buffered_octets")),
    "store_failed": Rule("", ("cache",), "look at the log for what the store says"),
    "lagged_behind": Rule("RFC 9110 §15.6.4", ("cache", "largest")),
    "shutting_down": Rule("RFC 9110 §15.6.4", (_LIMIT, "drain_timeout")),
    "internal_error": Rule("RFC 9110 §15.6.1", advice="the log has the traceback under the request's id"),
    "upstream_error": Rule("RFC 9110 §15.6.3"),
    "connect_failed": Rule(
        "RFC 9110 §15.6.3", (_UPSTREAM, "servers"), "is the server running, and is its address right?"
    ),
    "connect_timeout": Rule("RFC 9110 §15.6.5", (_UPSTREAM, "connect_timeout")),
    "tls_failed": Rule("RFC 9110 §15.6.3", (_UPSTREAM, "tls")),
    "only_if_cached": Rule("RFC 9111 §5.2.1.7"),
    "answer_timeout": Rule("RFC 9110 §15.6.5", (_UPSTREAM, "answer_timeout")),
    "closed_early": Rule("RFC 9112 §8"),
    "malformed_answer": Rule("RFC 9110 §15.6.3"),
    "no_server": Rule("RFC 9110 §15.6.4", (_UPSTREAM, "servers"), "an operator marked all of them down (/peers)"),
    "queue_full": Rule("RFC 9110 §15.6.4", (_UPSTREAM, "queue")),
    "queue_timeout": Rule("RFC 9110 §15.6.4", (_UPSTREAM, "queue_timeout")),
}

DETAILS: Final[dict[str, tuple[tuple[str, Rule], ...]]] = {
    "bad_request": (
        ("no Host", Rule("RFC 9112 §3.2")),
        ("more than one Host", Rule("RFC 9112 §3.2")),
        ("the host is", Rule("RFC 9110 §4.2.4")),
        ("Content-Length", Rule("RFC 9112 §6.3")),
        ("Transfer-Encoding", Rule("RFC 9112 §6.1")),
        ("chunked is", Rule("RFC 9112 §6.1")),
        ("the target", Rule("RFC 9112 §3.2")),
        ("the path has a % that begins no escape", Rule("RFC 3986 §2.1")),
        ("the path has an encoded NUL", Rule("RFC 3986 §7.3")),
        ("the path means one route", Rule("RFC 3986 §6.2.2")),
        ("the request line", Rule("RFC 9112 §3")),
        ("the version", Rule("RFC 9112 §2.3")),
        ("PROXY protocol:", Rule("", ("listener", "proxy_protocol_from"))),
        ("the client closed in the middle", Rule("RFC 9112 §8")),
    ),
    "head_too_large": (("too many fields", Rule("RFC 6585 §5", (_LIMIT, "head_count"))),),
    "request_timeout": (
        ("the body comes too slowly", Rule("RFC 9110 §15.5.9", (_LIMIT, "body_rate"))),
        ("no octet of the body", Rule("RFC 9110 §15.5.9", (_LIMIT, "body_timeout"))),
    ),
    "overloaded": (
        ("too many requests of this address", Rule("RFC 9110 §15.6.4", (_LIMIT, "connections_per_address"))),
        ("too many connections from this address", Rule("RFC 9110 §15.6.4", (_LIMIT, "connections_per_address"))),
    ),
    "client_gone": (
        ("it closed its sending side", Rule("RFC 9112 §9.6", (_LIMIT, "half_close_grace"))),
        ("the tunnel was idle", Rule("", (_UPSTREAM, "tunnel_timeout"))),
    ),
    "closed_early": (
        ("the server was silent for too long in the middle", Rule("RFC 9112 §8", (_UPSTREAM, "idle_timeout"))),
        ("a resource wrote", Rule("RFC 9112 §6.3", ("route", "resource"))),
    ),
    "malformed_answer": (
        ("the answer's head has more than", Rule("RFC 9110 §15.6.3", (_LIMIT, "response_head_size"))),
        ("too many fields", Rule("RFC 9110 §15.6.3", (_LIMIT, "response_head_count"))),
        ("Content-Length", Rule("RFC 9112 §6.3")),
        ("Transfer-Encoding", Rule("RFC 9112 §6.1")),
        ("101 for a protocol", Rule("RFC 9110 §15.2.2", ("route", "upgrade"))),
        ("the status line", Rule("RFC 9112 §4")),
    ),
    "misdirected": (
        ("an https URL was asked for in clear text", Rule("RFC 9110 §7.4")),
        ("the site demands", Rule("RFC 9110 §15.5.20", ("site", "tls", "client_certificates"))),
        ("the connection was opened for", Rule("RFC 9110 §15.5.20", ("tls", "misdirected"))),
    ),
}
"""For reasons that stand for several things: how the detail begins (or what is in it), and the rule then."""


def rule_of(reason: str, detail: str) -> Rule:
    """What a failure rests on; an empty rule for a reason that is not ours (a resource of somebody's may have some)."""
    for words, rule in DETAILS.get(reason, ()):
        if words in detail:
            return rule
    return _RULES.get(reason, Rule())


def known_reasons() -> frozenset[str]:
    """The reasons that have a rule."""
    return frozenset(_RULES)
