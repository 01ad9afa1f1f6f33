"""Spans on their way to a collector that answers, refuses, is slow or gone: none is lost without being counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from zope.interface import implementer

from revproxy.config.tracing_tables import Tracing
from revproxy.service.spans import (
    ANSWER_TIMEOUT,
    LAST_WORDS,
    LONGEST_PAUSE,
    MOST_SENT,
    MOST_TRIES,
    MOST_WAITING,
    SpanExporter,
    encoded,
    rejected,
)
from tests.observe.making import over

TOLD = b"00-4bf92f3577b34da6a3ce929d0e0e4736-b7ad6b7169203331-01"


class Answer:
    """A response of Twisted's client."""

    def __init__(self, code: int, octets: bytes = b"", **fields: str) -> None:
        self.code = code
        self.headers = Headers({name.replace("_", "-"): [value] for name, value in fields.items()})
        self._octets = octets

    def deliverBody(self, protocol: Any) -> None:
        protocol.makeConnection(StringTransport())
        protocol.dataReceived(self._octets)
        protocol.connectionLost(Failure(ResponseDone()))


class Collector:
    """Takes requests in place of ``Agent``."""

    def __init__(self) -> None:
        self.requests: list[Deferred[Any]] = []
        self.bodies: list[bytes] = []
        self.headers: list[Headers] = []
        self.cancelled = 0

    def request(self, method: bytes, url: bytes, headers: Headers, body: Any) -> Deferred[Any]:
        assert (method, url) == (b"POST", b"http://127.0.0.1:4318/v1/traces")
        transport = StringTransport()
        body.startProducing(transport)
        assert len(transport.value()) == body.length
        self.bodies.append(transport.value())
        self.headers.append(headers)

        def cancel(_: object) -> None:
            self.cancelled += 1

        request: Deferred[Any] = Deferred(cancel)
        self.requests.append(request)
        return request

    def answer(self, code: int, octets: bytes = b"", **fields: str) -> None:
        self.requests[-1].callback(Answer(code, octets, **fields))

    def fail(self) -> None:
        self.requests[-1].errback(Failure(ConnectionRefusedError()))


class Bench:
    """An exporter under a clock that only the test moves."""

    def __init__(self, **options: Any) -> None:
        self.clock = Clock()
        self.collector = Collector()
        self.counted: Counter[str] = Counter()
        self.exporter = SpanExporter(
            Tracing(endpoint="http://127.0.0.1:4318/v1/traces", sample_one_in=1, **options),
            self.clock,
            self.clock.seconds,
            lambda name, number: self.counted.update({name: number}),
            agent=self.collector,
        )

    def take(self, requests: int) -> None:
        """Each is one span."""
        self.exporter.take([over(number, upstream=b"", tries=0) for number in range(requests)])

    def tick(self, seconds: float = 1.0) -> None:
        self.clock.advance(seconds)
        self.exporter.tick(self.clock.seconds())


@pytest.fixture
def warnings() -> Any:
    seen: list[str] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        if event.get("log_level") in (LogLevel.warn, LogLevel.error, LogLevel.critical):
            seen.append(str(event.get("log_format", "")).format(**{**event, "failure": event.get("log_failure")}))

    globalLogPublisher.addObserver(observe)
    yield seen
    globalLogPublisher.removeObserver(observe)


def read(octets: bytes) -> Any:
    return ExportTraceServiceRequest.FromString(octets)


def test_what_a_collector_reads() -> None:
    bench = Bench(service="shop front", headers=(("Authorization", "Bearer abc"),))
    bench.exporter.take([over(trace=TOLD, status=502, reason="connect_failed")])
    bench.tick()
    message = read(bench.collector.bodies[0])
    resource = {each.key: each.value for each in message.resource_spans[0].resource.attributes}
    assert resource["service.name"].string_value == "shop front"
    assert resource["process.pid"].int_value > 0
    own, exchange = message.resource_spans[0].scope_spans[0].spans
    assert (own.kind, exchange.kind) == (2, 3)
    assert exchange.parent_span_id == own.span_id
    assert own.parent_span_id == b""
    assert len(own.trace_id) == 16
    assert own.end_time_unix_nano - own.start_time_unix_nano == 12_000_000
    assert own.status.code == 2
    attributes = {each.key: each.value for each in own.attributes}
    assert attributes["http.response.status_code"].int_value == 502
    assert attributes["url.path"].string_value == "/a"
    headers = bench.collector.headers[0]
    assert headers.getRawHeaders("content-type") == ["application/x-protobuf"]
    assert headers.getRawHeaders("authorization") == ["Bearer abc"]
    bench.collector.answer(200)
    assert bench.counted == {"spans_sent": 2}


def test_one_request_at_a_time_and_none_without_spans() -> None:
    bench = Bench()
    bench.tick()
    assert bench.collector.requests == []
    bench.take(MOST_SENT + 10)
    bench.tick()
    bench.tick()
    assert len(bench.collector.requests) == 1
    bench.collector.answer(200)
    # What waits does not wait for the next second.
    assert len(bench.collector.requests) == 2
    assert len(read(bench.collector.bodies[1]).resource_spans[0].scope_spans[0].spans) == 10
    bench.collector.answer(200)
    bench.tick()
    assert len(bench.collector.requests) == 2
    assert bench.counted == {"spans_sent": MOST_SENT + 10}


def test_the_queue_is_bounded() -> None:
    bench = Bench()
    bench.take(MOST_WAITING)
    bench.take(7)
    assert bench.counted == {"spans_lost": 7}


@pytest.mark.parametrize("how", ["503", "429", "refused", "silent"])
def test_what_failed_for_now_is_sent_again(how: str, warnings: list[str]) -> None:
    bench = Bench()
    bench.take(3)
    bench.tick()

    def fail() -> None:
        if how == "refused":
            bench.collector.fail()
        elif how == "silent":
            bench.clock.advance(ANSWER_TIMEOUT)
        else:
            bench.collector.answer(int(how))

    fail()
    bench.tick(0.5)
    assert len(bench.collector.requests) == 1
    bench.tick(0.6)
    assert len(bench.collector.requests) == 2
    fail()
    bench.tick(1.5)
    assert len(bench.collector.requests) == 2
    bench.tick(0.6)
    bench.collector.answer(200)
    assert len(set(bench.collector.bodies)) == 1
    assert bench.counted == {"spans_sent": 3}
    assert len(warnings) == 1
    # From then on it is quick again.
    bench.take(1)
    bench.tick()
    bench.collector.answer(200)
    assert bench.counted == {"spans_sent": 4}


def test_retry_after_is_kept() -> None:
    bench = Bench()
    bench.take(1)
    bench.tick()
    bench.collector.answer(503, retry_after="20")
    bench.tick(19)
    assert len(bench.collector.requests) == 1
    bench.tick(2)
    assert len(bench.collector.requests) == 2


def test_a_collector_that_is_gone_costs_a_bounded_number_of_tries() -> None:
    bench = Bench()
    bench.take(2)
    for _ in range(MOST_TRIES):
        bench.tick(LONGEST_PAUSE + 1)
        bench.collector.fail()
    assert bench.counted == {"spans_lost": 2}
    bench.tick(LONGEST_PAUSE + 1)
    assert len(bench.collector.requests) == MOST_TRIES


def test_what_is_refused_is_not_sent_again(warnings: list[str]) -> None:
    bench = Bench()
    for _ in range(3):
        bench.take(2)
        bench.tick()
        bench.collector.answer(400)
    bench.tick(60)
    assert len(bench.collector.requests) == 3
    assert bench.counted == {"spans_lost": 6}
    assert len(warnings) == 1


def test_what_is_taken_in_part() -> None:
    partial = ExportTraceServiceResponse()
    partial.partial_success.rejected_spans = 2
    partial.partial_success.error_message = "too old"
    assert rejected(partial.SerializeToString()) == (2, "too old")
    assert rejected(b"\xff\xff") == (0, "")
    bench = Bench()
    bench.take(5)
    bench.tick()
    bench.collector.answer(200, partial.SerializeToString())
    assert bench.counted == {"spans_sent": 3, "spans_lost": 2}


def test_an_answer_without_end_is_read_up_to_a_bound() -> None:
    bench = Bench()
    bench.take(1)
    bench.tick()
    bench.collector.answer(200, b"x" * 1_000_000)
    assert bench.counted == {"spans_sent": 1}


Ending = Callable[[Bench], None]


@pytest.mark.parametrize(
    ("ending", "sent", "lost"),
    [
        (lambda bench: bench.collector.answer(200), 3, 0),
        (lambda bench: bench.collector.answer(503), 0, 3),
        (lambda bench: bench.collector.fail(), 0, 3),
        (lambda bench: bench.clock.advance(LAST_WORDS), 0, 3),
    ],
)
def test_the_end_sends_what_waits_if_that_goes_quickly(ending: Ending, sent: int, lost: int) -> None:
    bench = Bench()
    bench.take(3)
    done = bench.exporter.stop()
    assert not done.called
    ending(bench)
    assert done.called
    assert (bench.counted["spans_sent"], bench.counted["spans_lost"]) == (sent, lost)
    bench.clock.advance(60)
    assert len(bench.collector.requests) == 1


def test_the_end_without_spans_is_at_once() -> None:
    assert Bench().exporter.stop().called


def test_the_end_while_a_request_is_on_its_way() -> None:
    bench = Bench()
    bench.take(1)
    bench.tick()
    bench.take(2)
    done = bench.exporter.stop()
    bench.collector.answer(200)
    assert not done.called
    bench.collector.answer(200)
    assert done.called
    assert bench.counted == {"spans_sent": 3}


def test_nothing_is_no_message() -> None:
    assert read(encoded([], "a")).resource_spans[0].scope_spans[0].spans[:] == []
