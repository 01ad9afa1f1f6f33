"""Spans on their way to a collector: OTLP over HTTP, in protobuf, from one worker.

Theory of operation. Spans are made of transactions that are over, a batch at a time, and wait in a bounded queue. Once
a second what waits is sent in one request; there is one at a time. A collector that is slow, full or gone costs spans
and nothing else: what finds the queue full is lost and counted. As OTLP has it, a request that failed for now (no
connection, 429, 502, 503, 504) is sent again, later each time, or when Retry-After says; one that was refused is not.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from revproxy._version import VERSION
from revproxy.config.tracing_tables import Tracing
from revproxy.http.trace_context import RANDOM, share_below
from revproxy.observe.spans import Span, spans_of
from revproxy.observe.transaction import Transaction

_log = Logger()

MOST_WAITING: Final = 4096
"""Spans that wait."""
MOST_SENT: Final = 512
"""Spans in one request."""
ANSWER_TIMEOUT: Final = 10.0
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
LONGEST_RETRY_AFTER: Final = 300.0
MOST_TRIES: Final = 6
LAST_WORDS: Final = 2.0
"""Seconds that the last request gets when the worker ends."""
MOST_ANSWER: Final = 64 * 1024
"""Octets of an answer that are read."""
_LATER: Final = frozenset({429, 502, 503, 504})


def encoded(spans: Sequence[Span], service: str) -> bytes:
    """An ExportTraceServiceRequest."""
    # The package is an extra: whoever has no endpoint needs none of it.
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.trace.v1 import trace_pb2

    def pair(key: str, value: object) -> KeyValue:
        if isinstance(value, int):
            return KeyValue(key=key, value=AnyValue(int_value=value))
        if isinstance(value, float):
            return KeyValue(key=key, value=AnyValue(double_value=value))
        return KeyValue(key=key, value=AnyValue(string_value=str(value)))

    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    of_us = (("service.name", service), ("service.version", VERSION), ("process.pid", os.getpid()))
    resource.resource.attributes.extend(pair(key, value) for key, value in of_us)
    scope = resource.scope_spans.add()
    scope.scope.name = "revproxy"
    scope.scope.version = VERSION
    for each in spans:
        span = scope.spans.add()
        span.trace_id, span.span_id, span.parent_span_id = each.trace_id, each.span_id, each.parent_id
        span.trace_state = each.trace_state
        span.name = each.name
        span.kind = trace_pb2.Span.SPAN_KIND_CLIENT if each.is_client else trace_pb2.Span.SPAN_KIND_SERVER
        span.start_time_unix_nano, span.end_time_unix_nano = each.begun, each.ended
        span.attributes.extend(pair(key, value) for key, value in each.attributes)
        if each.error:
            span.status.code = trace_pb2.Status.STATUS_CODE_ERROR
    return message.SerializeToString()  # type: ignore[no-any-return]  # made by a compiler without types


def rejected(answer: bytes) -> tuple[int, str]:
    """How many spans an ExportTraceServiceResponse says were not taken, and why."""
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    try:
        partial = ExportTraceServiceResponse.FromString(answer).partial_success
    except DecodeError:
        return 0, ""
    return partial.rejected_spans, partial.error_message


@attrs.define
class _Parcel:
    """What one request carries, as often as it is sent."""

    octets: bytes
    count: int
    tries: int = 0


class SpanExporter:
    """Sends one worker's spans.

    :param count: is told what is counted, a name and a number.
    :param now: the monotonic clock, seconds.
    :param agent: who makes requests; by default Twisted's own client.
    """

    def __init__(
        self,
        options: Tracing,
        reactor: Any,
        now: Callable[[], float],
        count: Callable[[str, int], None],
        agent: Any = None,
    ) -> None:
        assert options.endpoint is not None
        self._url = options.endpoint.encode("ascii")
        self._service = options.service
        self._below = share_below(options.sample_one_in)
        self._reactor = reactor
        self._now = now
        self._count = count
        self._pool = HTTPConnectionPool(reactor)
        self._agent = agent or Agent(reactor, connectTimeout=ANSWER_TIMEOUT, pool=self._pool)
        own = {"Content-Type": "application/x-protobuf", "User-Agent": f"revproxy/{VERSION}"}
        self._headers = Headers({name: [value] for name, value in {**own, **dict(options.headers)}.items()})
        self._waiting: deque[Span] = deque()
        self._parcel: _Parcel | None = None
        """On its way, or to be sent again."""
        self._request: Deferred[Any] | None = None
        self._not_before = float("-inf")
        self._pause = FIRST_PAUSE
        self._failing = False
        self._stopped: Deferred[None] | None = None

    def take(self, batch: Sequence[Transaction]) -> None:
        """Makes spans of requests that are over."""
        lost = 0
        waiting = self._waiting
        random = os.urandom(RANDOM * len(batch))
        for number, transaction in enumerate(batch):
            spans = spans_of(transaction, random[number * RANDOM : (number + 1) * RANDOM], self._below)
            if len(waiting) + len(spans) > MOST_WAITING:
                lost += len(spans)
            else:
                waiting.extend(spans)
        self._lose(lost)

    def tick(self, now: float) -> None:
        """Once a second: sends what waits."""
        if self._request is None and now >= self._not_before:
            self._send()

    def stop(self) -> Deferred[None]:
        """Sends what waits, if that goes quickly. Fires when there is nothing more to do."""
        done: Deferred[None] = Deferred()
        self._stopped = done
        self._reactor.callLater(LAST_WORDS, self._give_up)
        if self._request is None:
            self._send()
        return done

    def _give_up(self) -> None:
        if self._stopped is not None:
            if self._request is not None:
                self._request.cancel()
            self._end()

    def _end(self) -> None:
        done, self._stopped = self._stopped, None
        self._lose(len(self._waiting) + (self._parcel.count if self._parcel is not None else 0))
        self._waiting.clear()
        self._parcel = None
        self._pool.closeCachedConnections()
        if done is not None:
            done.callback(None)

    def _send(self) -> None:
        parcel = self._parcel
        if parcel is None:
            spans = [self._waiting.popleft() for _ in range(min(MOST_SENT, len(self._waiting)))]
            if not spans:
                if self._stopped is not None:
                    self._end()
                return
            parcel = self._parcel = _Parcel(encoded(spans, self._service), len(spans))
        parcel.tries += 1
        request: Deferred[Any] = self._agent.request(b"POST", self._url, self._headers, _Octets(parcel.octets))
        request.addCallback(_read)
        request.addTimeout(ANSWER_TIMEOUT, self._reactor)
        self._request = request
        request.addCallbacks(self._answered, self._failed)
        request.addErrback(lambda failure: _log.failure("spans can't be sent", failure))

    def _answered(self, answer: tuple[int, str, bytes]) -> None:
        status, retry_after, octets = answer
        if status in _LATER:
            self._try_later(f"it answers {status}", retry_after)
            return
        parcel = self._parcel
        self._request = self._parcel = None
        self._pause = FIRST_PAUSE
        count = parcel.count if parcel is not None else 0
        if 200 <= status < 300:
            number, why = rejected(octets)
            number = min(number, count)
            self._count("spans_sent", count - number)
            self._lose(number)
            if number:
                self._complain(f"it takes {number} of {count} spans not: {why}")
            elif self._failing:
                self._failing = False
                _log.info("the collector of spans takes them again")
        else:
            self._lose(count)
            self._complain(f"it answers {status}, so they are lost")
        if self._waiting or self._stopped is not None:
            self._send()

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError, TimeoutError):
            self._try_later("no answer came in time", "")
        else:
            self._try_later(failure.getErrorMessage() or repr(failure.value), "")

    def _try_later(self, why: str, retry_after: str) -> None:
        self._request = None
        parcel = self._parcel
        if self._stopped is not None:
            self._end()
            return
        pause = self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        if retry_after.isascii() and retry_after.isdigit():
            pause = max(pause, min(float(retry_after[:9]), LONGEST_RETRY_AFTER))
        self._not_before = self._now() + pause
        self._complain(why)
        if parcel is not None and parcel.tries >= MOST_TRIES:
            self._lose(parcel.count)
            self._parcel = None

    def _lose(self, number: int) -> None:
        if number:
            self._count("spans_lost", number)

    def _complain(self, why: str) -> None:
        """Once, until it works again."""
        if not self._failing:
            self._failing = True
            _log.warn("spans can't be sent to {url}: {why}", url=self._url.decode("ascii"), why=why)


@implementer(IBodyProducer)
class _Octets:
    """A request's content."""

    def __init__(self, octets: bytes) -> None:
        self.length = len(octets)
        self._octets = octets

    def startProducing(self, consumer: Any) -> Deferred[None]:
        """All at once."""
        consumer.write(self._octets)
        done: Deferred[None] = Deferred()
        done.callback(None)
        return done

    def pauseProducing(self) -> None:
        """Nothing is left to come."""

    def resumeProducing(self) -> None:
        """Nothing is left to come."""

    def stopProducing(self) -> None:
        """Nothing is left to come."""


def _read(response: Any) -> Deferred[tuple[int, str, bytes]]:
    """The status, Retry-After and the beginning of the content."""
    done: Deferred[tuple[int, str, bytes]] = Deferred(lambda _: content.give_up())
    retry_after = (response.headers.getRawHeaders("retry-after") or [""])[0]
    content = _Content(lambda octets: done.callback((response.code, retry_after, octets)))
    response.deliverBody(content)
    return done


class _Content(Protocol):
    """Gathers an answer's content, up to a bound."""

    def __init__(self, ended: Callable[[bytes], None]) -> None:
        self._ended: Callable[[bytes], None] | None = ended
        self._octets = b""

    def dataReceived(self, data: bytes) -> None:
        """More of it."""
        self._octets += data[: MOST_ANSWER - len(self._octets)]
        if len(self._octets) >= MOST_ANSWER:
            self.give_up()

    def give_up(self) -> None:
        """No more of it is wanted."""
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """That was all."""
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(self._octets)
