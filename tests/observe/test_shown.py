"""A request as it is shown to people: nothing of a client's stays dangerous or long, and filters take what they say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from revproxy.http.facts import RequestFacts
from revproxy.http.fields import Fields
from revproxy.observe.labels import NO_ROUTE
from revproxy.observe.shown import LONG, filter_of, shown
from tests.observe.making import over
from tests.support.fake_admin import FakeAdmin


def test_it_is_what_the_page_expects() -> None:
    with FakeAdmin(rate=0) as fake:
        expected = set(fake.requests({})["requests"][0])
    found = shown(over(), 3)
    assert set(found) == expected | {"listener"}
    assert found["id"] == "id-1"
    assert found["time"] == "2023-11-14T22:13:21.250Z"
    assert (found["method"], found["target"], found["version"], found["worker"]) == ("GET", "/a?b", "1.1", 3)
    assert (found["site"], found["route"]) == ("shop.example", "/")
    assert (found["total"], found["connect"], found["first"]) == (0.012, 0.0, 0.01)


def test_what_is_not_known_is_null() -> None:
    t = over(connect_time=-1.0, first_byte_time=-1.0, upstream=b"", method=b"", target=b"", labels=NO_ROUTE, facts=None)
    found = shown(t, 0)
    for name in ("connect", "first", "upstream", "cache", "reason", "detail", "agent", "referer"):
        assert found[name] is None, name
    assert (found["method"], found["target"], found["site"]) == ("", "", "-")


HOSTILE = [
    b"<script>alert(1)</script>",
    b"\x1b[2J\x1b]0;owned\x07",
    b"a\r\nSet-Cookie: x",
    b"\xe2\x80\xaegnp.exe",
    b"\x00\x7f\x80\x9b31m",
    b"A" * 8192,
    b'"}],"x":[{"',
    b"\xff" * 8192,
]


@pytest.mark.parametrize("octets", HOSTILE)
def test_hostile_octets(octets: bytes) -> None:
    t = over(method=octets, target=octets, host=octets, upstream=octets, cache_status=octets, request_id=octets)
    t.detail = octets.decode("latin-1") + "\u202e\udc80"
    t.facts = RequestFacts(11, Fields.of([(b"Host", b"a"), (b"User-Agent", octets), (b"Referer", octets)]))
    text = json.dumps(shown(t, 0), ensure_ascii=False)
    assert text.replace("…", "").isascii()
    assert text.isprintable()
    for value in shown(t, 0).values():
        assert len(str(value)) <= LONG
    assert len(text) < 16 * LONG


def test_short_values_are_whole() -> None:
    assert shown(over(target=b"/" + b"a" * 100), 0)["target"] == "/" + "a" * 100
    cut = shown(over(target=b"/" + b"a" * 1000), 0)["target"]
    assert len(cut) == LONG
    assert cut.endswith("…")


@pytest.mark.parametrize(
    ("arguments", "takes"),
    [
        ({}, True),
        ({"status": ""}, True),
        ({"status": "200"}, True),
        ({"status": "404"}, False),
        ({"status": "2xx"}, True),
        ({"status": "5XX"}, False),
        ({"host": "shop"}, True),
        ({"host": "SHOP.example"}, True),
        ({"host": "shop.example:8080"}, True),
        ({"host": "*.example"}, True),
        ({"host": "*.other"}, False),
        ({"path": "/a"}, True),
        ({"path": "a?b"}, True),
        ({"path": "/b"}, False),
        ({"method": "get"}, True),
        ({"method": "POST"}, False),
        ({"client": "192.0.2.9"}, True),
        ({"client": "192.0.2.0/24"}, True),
        ({"client": "192.0.2."}, True),
        ({"client": "10.0.0.0/8"}, False),
        ({"client": "2001:db8::/32"}, False),
        ({"upstream": "10.0.0.5"}, True),
        ({"upstream": "10.0.0.6"}, False),
        ({"reason": "connect_failed"}, False),
        ({"slower": "0.001"}, True),
        ({"slower": "1"}, False),
        ({"status": "2xx", "path": "/b"}, False),
    ],
)
def test_filters(arguments: dict[str, Any], takes: bool) -> None:
    assert filter_of(arguments).takes(over()) is takes


def test_one_workers_requests() -> None:
    assert filter_of({"worker": "2"}).worker == 2
    assert filter_of({"worker": ""}).worker is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"status": "teapot"}, "status is a number such as 404 or a class such as 5xx, not 'teapot'"),
        ({"status": "4x4"}, "status is a number"),
        ({"client": "nobody"}, "client is an address or a network"),
        ({"slower": "slow"}, "slower is a number of seconds"),
        ({"worker": "-1"}, "worker is a number"),
        ({"worker": "9" * 99}, "worker is a number"),
        ({"colour": "red"}, "there is no filter 'colour'"),
    ],
)
def test_wrong_filters(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        filter_of(arguments)


def test_a_client_that_is_a_socket_is_in_no_network() -> None:
    assert not filter_of({"client": "192.0.2.0/24"}).takes(over(client=b"unix:"))
