"""Orders to all workers: understood as they are meant, or refused with a word on what is missing."""

from __future__ import annotations

from typing import Any

import pytest

from revproxy.admin.root import admin_root
from tests.admin.asking import Asking, ScriptedOperator


@pytest.fixture
def operator() -> ScriptedOperator:
    return ScriptedOperator()


@pytest.fixture
def asking(operator: ScriptedOperator) -> Asking:
    return Asking(admin_root(operator))


def test_explain(asking: Asking, operator: ScriptedOperator) -> None:
    explained = {"explanation": [], "text": "so it is"}
    operator.answers["explain"] = lambda arguments: [(0, explained), (1, explained)]
    asked = {"method": "GET", "url": "http://a.example/", "headers": ["A: b"], "client": "192.0.2.1"}
    assert asking.post("/explain", asked).json == explained
    assert operator.ordered == [("explain", asked)]


def test_explain_without_a_worker(asking: Asking) -> None:
    assert asking.post("/explain", {"url": "http://a/"}).status == 503


@pytest.mark.parametrize("selection", [{"url": "http://a/"}, {"host": "a"}, {"tag": "t"}, {"everything": True}])
def test_purge(asking: Asking, operator: ScriptedOperator, selection: dict[str, Any]) -> None:
    operator.answers["purge"] = lambda arguments: [(0, 2), (1, 1)]
    assert asking.post("/purge", selection).json == {"text": "3 responses removed", "removed": 3}
    assert operator.ordered == [("purge", selection)]


def test_a_purge_of_one(asking: Asking, operator: ScriptedOperator) -> None:
    operator.answers["purge"] = lambda arguments: [(0, 1), (1, None)]
    assert asking.post("/purge", {"host": "a"}).json["text"] == "1 response removed"


def test_nothing_to_purge(asking: Asking, operator: ScriptedOperator) -> None:
    operator.answers["purge"] = lambda arguments: [(0, None)]
    answer = asking.post("/purge", {"host": "a"})
    assert (answer.status, answer.json["error"]) == (409, "nothing is cached: no route has a cache")


@pytest.mark.parametrize("state", ["up", "down"])
def test_peers(asking: Asking, operator: ScriptedOperator, state: str) -> None:
    operator.answers["peers"] = lambda arguments: [(0, True), (1, False)]
    answer = asking.post("/peers", {"upstream": "shop", "server": "10.0.0.5:80", "state": state})
    assert answer.status == 200
    assert "10.0.0.5:80" in answer.json["text"]


def test_no_such_server(asking: Asking, operator: ScriptedOperator) -> None:
    operator.answers["peers"] = lambda arguments: [(0, False)]
    answer = asking.post("/peers", {"upstream": "shop", "server": "nobody", "state": "down"})
    assert answer.status == 404
    assert "'nobody'" in answer.json["error"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("explain", {}),
        ("explain", {"url": 7}),
        ("explain", {"url": "http://a/", "headers": "A: b"}),
        ("explain", {"url": "http://a/", "headers": [1]}),
        ("explain", {"url": "http://a/", "method": 1}),
        ("explain", {"uri": "http://a/"}),
        ("purge", {}),
        ("purge", {"url": "http://a/", "host": "a"}),
        ("purge", {"url": "http://a/", "everything": True}),
        ("purge", {"url": ["http://a/"]}),
        ("purge", {"everything": "yes"}),
        ("purge", {"all": True}),
        ("peers", {}),
        ("peers", {"upstream": "shop", "server": "a", "state": "aside"}),
        ("peers", {"upstream": "shop", "state": "up"}),
        ("peers", {"upstream": 1, "server": "a", "state": "up"}),
        ("peers", {"upstream": "shop", "server": "a", "state": "up", "for": "10s"}),
    ],
)
def test_what_is_not_understood_orders_nothing(
    asking: Asking, operator: ScriptedOperator, path: str, body: dict[str, Any]
) -> None:
    answer = asking.post(f"/{path}", body)
    assert answer.status == 400
    assert answer.json["error"]
    assert operator.ordered == []
