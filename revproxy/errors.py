"""What can go wrong with an exchange: whose fault it is, which status it becomes, whether asking again is safe.

Every failure anywhere becomes a ``ProxyError`` at the boundary where it is first understood, and this file is the one
place that says which status that is. ``reason`` is a short word for logs and counters; ``detail`` is for the operator
and never reaches a client.
"""

from __future__ import annotations

from typing import ClassVar, Literal

Fault = Literal["client", "proxy", "upstream"]


class ProxyError(Exception):
    """An exchange can't go on. The class says how it is answered; the detail says to the operator why."""

    status: ClassVar[int] = 500
    fault: ClassVar[Fault] = "proxy"
    reason: ClassVar[str] = "internal_error"

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


class ConfigError(Exception):
    """The configuration can't be used. The text is complete: it names the place, the mistake and what to do."""


# The client's side.


class ClientError(ProxyError):
    """The client's request can't be served as it is."""

    fault = "client"


class BadRequest(ClientError):
    """The request is malformed or ambiguous (RFC 9110 §15.5.1)."""

    status, reason = 400, "bad_request"


class NotFound(ClientError):
    """No site or no route is there for it (RFC 9110 §15.5.5)."""

    status, reason = 404, "no_route"


class MethodNotAllowed(ClientError):
    """The route does not let this method through (RFC 9110 §15.5.6). ``allow`` is what the Allow field will say."""

    status, reason = 405, "method_not_allowed"

    def __init__(self, detail: str = "", allow: bytes = b"") -> None:
        super().__init__(detail)
        self.allow = allow


class RequestTimeout(ClientError):
    """The client was too slow in sending its request (RFC 9110 §15.5.9)."""

    status, reason = 408, "request_timeout"


class LengthRequired(ClientError):
    """The server behind speaks HTTP/1.0 and needs to know a length that the client did not tell (RFC 9110 §15.5.12)."""

    status, reason = 411, "length_required"


class ContentTooLarge(ClientError):
    """The request's body is over the limit (RFC 9110 §15.5.14)."""

    status, reason = 413, "content_too_large"


class TargetTooLong(ClientError):
    """The request's target is over the limit (RFC 9110 §15.5.15)."""

    status, reason = 414, "target_too_long"


class ExpectationFailed(ClientError):
    """The request expects what nobody here can do (RFC 9110 §15.5.18)."""

    status, reason = 417, "expectation_failed"


class Misdirected(ClientError):
    """This connection is none on which the site asked for is served (RFC 9110 §15.5.20)."""

    status, reason = 421, "misdirected"


class HeadTooLarge(ClientError):
    """The request's head is over a limit (RFC 6585 §5)."""

    status, reason = 431, "head_too_large"


class NotImplementedCoding(ClientError):
    """The request uses a transfer coding that is not understood (RFC 9112 §6.1)."""

    status, reason = 501, "transfer_coding"


class VersionNotSupported(ClientError):
    """The request's major version is not 1 (RFC 9110 §15.6.6)."""

    status, reason = 505, "version"


class ClientGone(ClientError):
    """The client left before its answer was complete. Nobody reads the status; logs show it as 499 does elsewhere."""

    status, reason = 499, "client_gone"


class ClientTooSlow(ClientError):
    """The client took nothing of its answer for too long: its connection is cut."""

    status, reason = 499, "client_too_slow"


# Our own side.


class Overloaded(ProxyError):
    """A limit of the whole process is reached (RFC 9110 §15.6.4)."""

    status, reason = 503, "overloaded"


class StoreFailed(ProxyError):
    """The store lost the content of a response that it had."""

    reason = "store_failed"


class LaggedBehind(ProxyError):
    """The client reads a response, shared with others and too large to be kept, so slowly that they can't wait."""

    status, reason = 503, "lagged_behind"


class ShuttingDown(ProxyError):
    """The proxy is stopping and the time to drain is over."""

    status, reason = 503, "shutting_down"


# The servers' side.


class UpstreamError(ProxyError):
    """The server behind failed."""

    status, fault, reason = 502, "upstream", "upstream_error"


class ConnectFailed(UpstreamError):
    """No connection could be opened: refused, unreachable, no such name. Nothing was sent."""

    reason = "connect_failed"


class ConnectTimeout(UpstreamError):
    """No connection was opened in time. Nothing was sent."""

    status, reason = 504, "connect_timeout"


class HandshakeError(ConnectFailed):
    """The server was reached, but it speaks no TLS that we believe. Nothing was sent."""

    reason = "tls_failed"


class CacheOnly(ClientError):
    """The client wants a stored response or none (RFC 9111 §5.2.1.7), and there is none."""

    status, reason = 504, "only_if_cached"


class AnswerTimeout(UpstreamError):
    """The server was silent for too long (RFC 9110 §15.6.5)."""

    status, reason = 504, "answer_timeout"


class ClosedEarly(UpstreamError):
    """The server closed before its answer was complete."""

    reason = "closed_early"


class Malformed(UpstreamError):
    """The server's answer breaks HTTP: it is not passed on, and its connection is not used again."""

    reason = "malformed_answer"


class NoServer(UpstreamError):
    """An operator wants no server of the upstream to get requests."""

    status, reason = 503, "no_server"


class QueueFull(UpstreamError):
    """Every connection is busy and too many requests wait already."""

    status, reason = 503, "queue_full"


class QueueTimeout(UpstreamError):
    """Every connection stayed busy for as long as a request may wait."""

    status, reason = 503, "queue_timeout"
