"""Names that clients ask for: who may have them, and how many."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent

from revproxy.certificates.acme.fetching import TIMEOUT, Answer, FetchError
from revproxy.certificates.acme.ondemand import ASK_AGAIN, MOST_QUESTIONS, Asked, Permission
from revproxy.config.acme_tables import OnDemand
from revproxy.wire.client_hello import UNRECOGNIZED_NAME, ClientHello
from revproxy.wire.handshake import HandshakeRefused
from tests.certificates.acme.stage import DAY, Process, Stage
from tests.certificates.acme.test_issuance import issuer, names

ALLOW = OnDemand(allow=("*.shops.example", "one.example"))
ASK = OnDemand(ask="http://127.0.0.1:9000/ask")


def begin(stage: Stage, options: OnDemand = ALLOW) -> Process:
    process = stage.start("*", on_demand=options)
    stage.run()
    assert stage.authority.asked == []
    return process


def hello(process: Process, name: str) -> str:
    """Who has issued what a client gets."""
    return issuer(process, name)


def test_nobody_waits_and_the_next_client_has_it(stage: Stage) -> None:
    process = begin(stage)
    assert "until there is a certificate" in hello(process, "a.shops.example")
    stage.run(5)
    assert hello(process, "a.shops.example") == "CN=played issuer"
    assert names(process, "a.shops.example") == ["a.shops.example"]
    assert hello(process, "one.example") != "CN=played issuer"
    stage.run(5)
    assert hello(process, "one.example") == "CN=played issuer"
    assert len(stage.authority.orders) == 2
    assert process.store.requested() == []


@pytest.mark.parametrize(
    "name", ["shops.example", "two.example", "b.one.example", "localhost", "a..shops.example", "x/../y.shops.example", "é"]
)
def test_names_that_are_not_allowed(stage: Stage, name: str) -> None:
    process = begin(stage)
    process.certificates.choose(ClientHello(name, signature_algorithms=(0x0403,), versions=(0x0304,)))
    stage.run(60)
    assert stage.authority.asked == []
    assert process.store.requested() == []


def test_names_of_sites_go_the_usual_way(stage: Stage) -> None:
    process = stage.start("a.shops.example", on_demand=ALLOW)
    hello(process, "a.shops.example")
    stage.run()
    assert len(stage.authority.orders) == 1
    assert stage.progress("a.shops.example")["on_demand"] is False


def test_another_process_is_told_through_the_folder(stage: Stage) -> None:
    begin(stage)
    second = stage.start("*", on_demand=ALLOW)
    hello(second, "a.shops.example")
    stage.run(15)
    assert hello(second, "a.shops.example") == "CN=played issuer"
    assert len(stage.authority.orders) == 1


def test_unknown_names_may_be_refused_until_then(stage: Stage) -> None:
    process = stage.start("*", on_demand=ALLOW, tls={"unknown_name": "refuse"})
    stage.run()
    with pytest.raises(HandshakeRefused) as caught:
        hello(process, "a.shops.example")
    assert caught.value.alert == UNRECOGNIZED_NAME
    stage.run(5)
    assert hello(process, "a.shops.example") == "CN=played issuer"


def test_the_url_is_asked_once(stage: Stage) -> None:
    process = begin(stage, ASK)
    for _ in range(5):
        hello(process, "a.example")
    assert stage.questions.asked == ["http://127.0.0.1:9000/ask?domain=a.example"]
    stage.run(5)
    assert hello(process, "a.example") == "CN=played issuer"
    assert len(stage.questions.asked) == 1


def test_an_answer_is_remembered_for_a_while(stage: Stage) -> None:
    process = begin(stage, ASK)
    stage.questions.status = 404
    for _ in range(3):
        hello(process, "a.example")
        stage.run(60)
    assert len(stage.questions.asked) == 1
    assert stage.authority.asked == []
    stage.run(3600, step=60)
    stage.questions.status = 200
    hello(process, "a.example")
    stage.run(10)
    assert len(stage.questions.asked) == 2
    assert hello(process, "a.example") == "CN=played issuer"


@pytest.mark.parametrize("status", [None, 500, 503])
def test_a_url_that_does_not_answer_refuses_for_a_moment(stage: Stage, status: int | None) -> None:
    process = begin(stage, ASK)
    stage.questions.status = status or 200
    stage.questions.failure = FetchError("it did not answer within 5 s") if status is None else None
    hello(process, "a.example")
    assert stage.run(ASK_AGAIN - 1) == []
    hello(process, "a.example")
    assert len(stage.questions.asked) == 1
    stage.run(2)
    stage.questions.status, stage.questions.failure = 200, None
    hello(process, "a.example")
    stage.run(10)
    assert hello(process, "a.example") == "CN=played issuer"


def test_a_url_that_does_not_answer_is_said(stage: Stage) -> None:
    process = begin(stage, ASK)
    stage.questions.failure = FetchError("connection refused")
    with capturedLogs() as logs:
        for number in range(20):
            hello(process, f"a{number}.example")
    assert [formatEvent(event) for event in logs] == [
        "ACME: http://127.0.0.1:9000/ask can't say whether a0.example may have a certificate: connection refused"
    ]


def test_both_must_agree(stage: Stage) -> None:
    process = begin(stage, OnDemand(allow=("*.shops.example",), ask="http://127.0.0.1:9000/ask?from=proxy"))
    hello(process, "a.example")
    hello(process, "b.shops.example")
    assert stage.questions.asked == ["http://127.0.0.1:9000/ask?from=proxy&domain=b.shops.example"]


def test_so_many_in_an_hour(stage: Stage) -> None:
    process = begin(stage, OnDemand(allow=("*.shops.example",), per_hour=3))
    for number in range(6):
        hello(process, f"n{number}.shops.example")
    said = stage.run(60)
    assert len(stage.authority.orders) == 3
    assert said == ["ACME: no further names on demand for now: there were 3 in the last hour (tls.acme.on_demand.per_hour)"]
    # Neither a restart nor another process begins to count anew.
    stage.close()
    again = stage.start("*", on_demand=OnDemand(allow=("*.shops.example",), per_hour=3))
    hello(again, "n9.shops.example")
    stage.run(600, step=60)
    assert len(stage.authority.orders) == 3
    stage.run(3000, step=60)
    hello(again, "n9.shops.example")
    stage.run(60)
    assert issuer(again, "n9.shops.example") == "CN=played issuer"


def test_so_many_in_all(stage: Stage) -> None:
    process = begin(stage, OnDemand(allow=("*.shops.example",), names=2))
    for number in range(4):
        hello(process, f"n{number}.shops.example")
        stage.run(10)
    assert len(stage.authority.orders) == 2
    assert ("warn", "ACME: no further names on demand for now: there are 2 of them (tls.acme.on_demand.names)") in stage.said
    assert process.store.requested() == []


def test_a_name_that_fails_is_tried_again_only_if_it_is_asked_for(stage: Stage) -> None:
    stage.authority.validate = lambda kind, name, token: False
    process = begin(stage)
    hello(process, "a.shops.example")
    stage.run(3600, step=30)
    assert len(stage.authority.orders) == 1
    for _ in range(60):
        hello(process, "a.shops.example")
        stage.run(60, step=30)
    assert 3 <= len(stage.authority.orders) <= 6


def test_a_name_is_renewed_while_it_may_be_had(stage: Stage) -> None:
    process = begin(stage, ASK)
    hello(process, "a.example")
    stage.run(10)
    stage.run(61 * DAY, step=12 * 3600)
    assert len(stage.authority.orders) == 2
    stage.questions.status = 404
    stage.run(61 * DAY, step=12 * 3600)
    assert len(stage.authority.orders) == 2
    stage.run(60 * DAY, step=12 * 3600)
    assert process.store.names() == []


def test_a_name_is_no_longer_wanted_when_on_demand_is_taken_away(stage: Stage) -> None:
    process = begin(stage)
    hello(process, "a.shops.example")
    stage.run(10)
    stage.close()
    later = stage.start("b.example")
    stage.run(100 * DAY, step=12 * 3600)
    assert {name.value for order in stage.authority.orders for name in order.names} == {"a.shops.example", "b.example"}
    assert len(stage.authority.orders) == 3
    assert "a.shops.example" not in {name for each in later.certificates.all for name in each.names}


# Questions that take their time.


class Slow:
    """Answers when a test says so."""

    def __init__(self) -> None:
        self.waiting: list[Deferred[Answer]] = []

    async def __call__(
        self, method: str, url: str, body: bytes | None = None, content_type: str = "", timeout: float = TIMEOUT
    ) -> Answer:
        self.waiting.append(Deferred())
        return await self.waiting[-1]


def test_questions_are_bounded_and_given_up_at_the_end(stage: Stage) -> None:
    slow = Slow()
    poked: list[bool] = []
    process = stage.start("a.example")
    permission = Permission(ASK, slow, stage.wall)
    asked = Asked(permission, process.store, lambda: poked.append(True), stage.wall)
    for number in range(100):
        for _ in range(2):
            assert asked.choose(ClientHello(f"n{number}.example")) is None
    assert len(slow.waiting) == MOST_QUESTIONS
    slow.waiting[0].callback(Answer(200, {}, b""))
    slow.waiting[1].callback(Answer(403, {}, b""))
    assert [name for _, name in process.store.requested()] == ["n0.example"]
    assert poked == [True]
    asked.stop()
    assert permission.under_way == set()

