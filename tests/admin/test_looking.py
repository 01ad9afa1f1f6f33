"""What can be looked at: the last requests and their explanations, figures, the configuration, the page."""

from __future__ import annotations

import json
from typing import Any

import pytest

from revproxy.admin.operator import Refusal
from revproxy.admin.page import page
from revproxy.admin.root import admin_root
from revproxy.config.acme_tables import AcmeOptions, ExternalAccount
from revproxy.config.admin_tables import Admin
from revproxy.config.masked import masked
from revproxy.config.model import (
    Cache,
    Config,
    HeaderChanges,
    Route,
    Server,
    Site,
    TLSOptions,
    UpstreamOptions,
)
from revproxy.observe.points import Points
from revproxy.observe.shown import shown
from tests.admin.asking import Asking, ScriptedOperator
from tests.observe.making import over


@pytest.fixture
def operator() -> ScriptedOperator:
    return ScriptedOperator()


@pytest.fixture
def asking(operator: ScriptedOperator) -> Asking:
    return Asking(admin_root(operator))


def test_the_page(asking: Asking) -> None:
    answer = asking.get("/")
    assert (answer.status, answer.body) == (200, page())
    assert answer.fields[b"content-type"] == b"text/html; charset=utf-8"
    assert b"default-src 'none'" in answer.fields[b"content-security-policy"]
    assert asking.ask("HEAD", "/").body == b""
    assert asking.post("/").status == 405


# Figures.


def test_figures(asking: Asking, operator: ScriptedOperator) -> None:
    points = Points()
    operator.history = [points.point(float(second), second, 0) for second in range(3)]
    value = asking.get("/figures").json
    assert value == {"at": 2.0, "now": operator.history[2], "history": operator.history}


def test_figures_before_the_first_second(asking: Asking) -> None:
    value = asking.get("/figures").json
    assert value["history"] == []
    assert value["now"]["rate"] == 0


# Requests.


def of_two_workers(arguments: dict[str, Any]) -> list[tuple[int, Any]]:
    return [(number, [shown(over(7 - at * 2 + number), number) for at in range(3)]) for number in range(2)]


def test_requests_of_all_workers_the_newest_first(asking: Asking, operator: ScriptedOperator) -> None:
    operator.answers["requests"] = of_two_workers
    found = asking.get("/requests").json["requests"]
    assert [each["id"] for each in found] == ["id-8", "id-7", "id-6", "id-5", "id-4", "id-3"]
    assert operator.ordered == [("requests", {"limit": 100, "filters": {}})]


def test_a_limit_and_filters(asking: Asking, operator: ScriptedOperator) -> None:
    operator.answers["requests"] = of_two_workers
    found = asking.get("/requests?limit=2&status=5xx&host=").json["requests"]
    assert [each["id"] for each in found] == ["id-8", "id-7"]
    assert operator.ordered == [("requests", {"limit": 2, "filters": {"status": "5xx"}})]


def test_one_workers(asking: Asking, operator: ScriptedOperator) -> None:
    operator.answers["requests"] = of_two_workers
    found = asking.get("/requests?worker=1").json["requests"]
    assert [each["worker"] for each in found] == [1, 1, 1]


@pytest.mark.parametrize(
    "query", ["limit=-1", "limit=ten", "limit=99999999999", "status=teapot", "nonsense=1", "client=nobody", "slower=x"]
)
def test_what_no_filter_says(asking: Asking, operator: ScriptedOperator, query: str) -> None:
    answer = asking.get(f"/requests?{query}")
    assert answer.status == 400
    assert answer.json["error"]
    assert operator.ordered == []


def test_one_request_with_its_explanation(asking: Asking, operator: ScriptedOperator) -> None:
    explained = {"explanation": [{"step": "site", "text": "shop.example", "place": "a.toml:3", "rfc": ""}], "text": "..."}
    record = shown(over(7), 1)
    operator.answers["request"] = lambda arguments: [(0, None), (1, record)]
    operator.answers["retrace"] = lambda arguments: [(0, None), (1, explained)]
    assert asking.get("/requests/id-7").json == {**record, **explained}
    assert operator.ordered == [("request", {"id": "id-7"}), ("retrace", {"id": "id-7"})]


def test_without_anybody_who_explains(asking: Asking, operator: ScriptedOperator) -> None:
    def refuse(arguments: dict[str, Any]) -> Any:
        raise Refusal("no such order: retrace")

    operator.answers["request"] = lambda arguments: [(0, shown(over(7), 0))]
    operator.answers["retrace"] = refuse
    answer = asking.get("/requests/id-7")
    assert (answer.status, answer.json["text"]) == (200, "no such order: retrace")


@pytest.mark.parametrize("path", ["gone", "%1b%5b2J", "a%2fb", "x" * 300, "%ff"])
def test_one_that_is_not_kept(asking: Asking, operator: ScriptedOperator, path: str) -> None:
    operator.answers["request"] = lambda arguments: [(0, None)]
    answer = asking.get(f"/requests/{path}")
    assert answer.status == 404
    assert "admin.requests" in answer.json["error"]
    assert answer.body.isascii()


def test_nothing_is_below(asking: Asking) -> None:
    assert asking.get("/requests/a/b").status == 404
    assert asking.post("/requests").status == 405
    assert asking.get("/requests/").status == 200


# The configuration.

SECRETS = ("hunter2", "s3cret")


def with_secrets() -> Config:
    changes = HeaderChanges(set=(("Authorization", "Bearer hunter2"), ("X-Api-Key", "s3cret"), ("X-Site", "shop")))
    return Config(
        sites=(Site(hosts=("a.example",), routes=(Route(path="/", proxy="pool", request_headers=changes),)),),
        upstreams=(UpstreamOptions(name="pool", servers=(Server(url="http://10.0.0.1:80"),)),),
        cache=Cache(redis="redis://me:hunter2@redis.example:6379/0"),
        tls=TLSOptions(acme=AcmeOptions(external_account=ExternalAccount(key_id="kid", key="hunter2"))),
        admin=Admin(listen="127.0.0.1:9090", token="hunter2-hunter2-hunter2"),
    )


def test_the_configuration_without_its_secrets(asking: Asking, operator: ScriptedOperator) -> None:
    operator.config = with_secrets()
    answer = asking.get("/config")
    for secret in SECRETS:
        assert secret.encode() not in answer.body
    value = answer.json
    assert value["admin"]["token"] == "***"
    assert value["cache"]["redis"] == "redis://***@redis.example:6379/0"
    assert value["tls"]["acme"]["external_account"] == {"key_id": "kid", "key": "***"}
    route = value["site"][0]["route"][0]
    assert route["request_headers"]["set"] == {"Authorization": "***", "X-Api-Key": "***", "X-Site": "shop"}
    assert value["upstream"]["pool"]["servers"] == [{"url": "http://10.0.0.1:80", "weight": 1}]
    assert value["limits"]["idle_timeout"] == "1m15s"
    assert "name" not in value["upstream"]["pool"]


def test_what_is_not_set_is_left_out() -> None:
    value = masked(Config())
    assert "token" not in value["admin"]
    assert "acme" not in value["tls"]
    json.dumps(value)
