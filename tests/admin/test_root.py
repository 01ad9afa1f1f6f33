"""What the control socket and the admin listener answer: status, orders, and clean refusals."""

from __future__ import annotations

from typing import Any

import pytest

from revproxy.admin.operator import Refusal
from revproxy.admin.root import admin_root
from revproxy.config.mistakes import ConfigMistakes, Mistake, Place
from revproxy.errors import ConfigError
from tests.admin.asking import STATUS, Asking, ScriptedOperator, said


@pytest.fixture
def operator() -> ScriptedOperator:
    return ScriptedOperator()


@pytest.fixture
def asking(operator: ScriptedOperator) -> Asking:
    return Asking(admin_root(operator))


def test_status_is_what_the_operator_says(asking: Asking) -> None:
    answer = asking.get("/status")
    assert (answer.status, answer.json) == (200, STATUS)
    assert answer.fields[b"content-type"] == b"application/json"
    assert answer.fields[b"cache-control"] == b"no-store"
    assert answer.fields[b"server"] == b"revproxy"


def test_head_is_a_get_without_content(asking: Asking) -> None:
    answer = asking.ask("HEAD", "/status")
    assert answer.status == 200
    assert answer.body == b""
    assert int(answer.fields[b"content-length"]) > 100


def test_health_needs_nobody(asking: Asking, operator: ScriptedOperator) -> None:
    operator.failure = RuntimeError("no status")
    assert asking.get("/healthz").json == {"alive": True}


@pytest.mark.parametrize(("ready", "status"), [(True, 200), (False, 503)])
def test_readiness(asking: Asking, operator: ScriptedOperator, ready: bool, status: int) -> None:
    operator.status_value = {**STATUS, "ready": ready, "state": "serving" if ready else "draining"}
    answer = asking.get("/readyz")
    assert answer.status == status
    assert answer.json == {"ready": ready, "state": "serving" if ready else "draining"}


@pytest.mark.parametrize("order", ["rollback", "drain", "upgrade"])
def test_orders(asking: Asking, operator: ScriptedOperator, order: str) -> None:
    answer = asking.post(f"/{order}")
    assert (answer.status, answer.json) == (200, {"text": f"{order} done"})
    assert operator.ordered == [(order, None)]


@pytest.mark.parametrize(("body", "plan"), [({}, False), ({"plan": True}, True), ({"plan": False}, False), (b"", False)])
def test_reload(asking: Asking, operator: ScriptedOperator, body: Any, plan: bool) -> None:
    assert asking.post("/reload", body).status == 200
    assert operator.ordered == [("reload", plan)]


@pytest.mark.parametrize(
    ("failure", "status", "error", "mistakes"),
    [
        (Refusal("it is draining already"), 409, "it is draining already", []),
        (Refusal("no such thing", 404), 404, "no such thing", []),
        (ConfigError("a.toml: can't be read\nmore"), 422, "a.toml: can't be read", ["a.toml: can't be read", "more"]),
        (
            ConfigMistakes([Mistake(path=("site",), text="wrong", file="a.toml", place=Place(3))]),
            422,
            "the configuration has 1 mistake",
            ["a.toml:3: site: wrong"],
        ),
    ],
)
def test_failures_that_are_understood(
    asking: Asking, operator: ScriptedOperator, failure: Exception, status: int, error: str, mistakes: list[str]
) -> None:
    operator.failure = failure
    answer = asking.post("/reload", {})
    assert (answer.status, answer.json) == (status, {"error": error, "mistakes": mistakes})


@pytest.mark.parametrize("body", [b"{", b"[]", b"7", b"\xff", b"[" * 60000])
def test_a_body_that_is_no_object(asking: Asking, operator: ScriptedOperator, body: bytes) -> None:
    answer = asking.post("/reload", body)
    assert answer.status == 400
    assert "JSON" in answer.json["error"]
    assert operator.ordered == []


def test_an_argument_of_the_wrong_type(asking: Asking, operator: ScriptedOperator) -> None:
    assert asking.post("/reload", {"plan": "yes"}).status == 400
    assert operator.ordered == []


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded"])
def test_forms_of_other_pages_order_nothing(asking: Asking, operator: ScriptedOperator, media: str) -> None:
    assert asking.post("/drain", b"{}", Content_Type=media).status == 415
    assert operator.ordered == []


def test_a_broken_form_orders_nothing(asking: Asking, operator: ScriptedOperator) -> None:
    assert asking.post("/drain", b"{}", Content_Type="multipart/form-data; boundary=a").status == 400
    assert operator.ordered == []


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [("POST", "/status", b"GET, HEAD"), ("GET", "/drain", b"POST"), ("PUT", "/reload", b"POST"), ("FOO", "/reload", b"POST")],
)
def test_other_methods(asking: Asking, operator: ScriptedOperator, method: str, path: str, allow: bytes) -> None:
    answer = asking.ask(method, path)
    assert (answer.status, answer.fields[b"allow"]) == (405, allow)
    assert operator.ordered == []


@pytest.mark.parametrize("path", ["/nothing", "//", "/status/x", "/status/", "/drain/now"])
def test_nothing_there(asking: Asking, path: str) -> None:
    answer = asking.get(path)
    assert (answer.status, answer.json["error"]) == (404, "nothing is here")


def test_large_bodies_are_refused_before_they_are_read(asking: Asking, operator: ScriptedOperator) -> None:
    head = b"POST /drain HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    assert said(asking.raw(head + b"Content-Length: 65537\r\n\r\n")).status == 413
    whole = head + b"Content-Length: 70000\r\n\r\n" + b" " * 70000
    assert said(asking.raw(whole)).status == 413
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n" + b"%x\r\n%b\r\n" % (70000, b" " * 70000) + b"0\r\n\r\n"
    assert said(asking.raw(chunked)).status == 413
    assert operator.ordered == []


def test_who_leaves_is_not_answered(operator: ScriptedOperator) -> None:
    from twisted.internet.defer import Deferred
    from twisted.internet.error import ConnectionDone
    from twisted.python.failure import Failure

    waiting: Deferred[Any] = Deferred()

    async def drain() -> dict[str, Any]:
        await waiting
        operator.ordered.append(("drained", None))
        return {}

    operator.drain = drain  # type: ignore[method-assign]
    asking = Asking(admin_root(operator))
    protocol, wire = asking.connect()
    protocol.dataReceived(
        b"POST /drain HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    )
    protocol.connectionLost(Failure(ConnectionDone()))
    waiting.callback(None)
    assert operator.ordered == [("drained", None)]
    assert wire.value() == b""
