"""The bridge between a browser and the admin socket: who gets through."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from revproxy.control.client import Admin
from revproxy.control.dashboard import COOKIE, Bridge
from tests.support.fake_admin import FakeAdmin


@pytest.fixture
def bridge(path: str) -> Iterator[Bridge]:
    with Bridge(lambda: Admin(path)) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def ask(
    bridge: Bridge, target: str, method: str = "GET", body: bytes | None = None, **fields: str
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(bridge.host, timeout=10)
    connection.request(method, target, body, {name.replace("_", "-"): value for name, value in fields.items()})
    return answer_of(connection)


def answer_of(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    """The answer, which has the socket for its own from now on: it is closed with it."""
    answer = connection.getresponse()
    if connection.sock is not None:
        connection.sock.close()
    return answer


def enter(bridge: Bridge) -> str:
    """The cookie that the address is exchanged for."""
    parts = urlsplit(bridge.url)
    answer = ask(bridge, f"{parts.path}?{parts.query}")
    assert (answer.status, answer.getheader("Location")) == (303, "/")
    cookie = answer.getheader("Set-Cookie") or ""
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict")
    return cookie.partition(";")[0]


def test_it_listens_on_this_machine_alone(bridge: Bridge) -> None:
    assert bridge.server_address[0] == "127.0.0.1"


def test_the_page_and_its_questions(bridge: Bridge, fake: FakeAdmin) -> None:
    cookie = enter(bridge)
    page = ask(bridge, "/", Cookie=cookie)
    assert page.status == 200
    assert b"<title>" in page.read()
    assert "default-src 'none'" in (page.getheader("Content-Security-Policy") or "")
    assert json.loads(ask(bridge, "/status", Cookie=cookie).read())["pid"] == 41_199
    body = b'{"plan": true}'
    told = ask(bridge, "/reload", "POST", body, Cookie=cookie, Content_Type="application/json", Origin=f"http://{bridge.host}")
    assert told.status == 200
    assert fake.orders == [("reload", {"plan": True})]
    assert ask(bridge, "/nothing", Cookie=cookie).status == 404


def test_events_come_as_they_happen(bridge: Bridge) -> None:
    answer = ask(bridge, "/events", Cookie=enter(bridge), Accept="text/event-stream")
    assert answer.status == 200
    assert answer.fp is not None
    lines = [answer.fp.readline() for _ in range(3)]
    assert any(line.startswith(b"event: ") for line in lines)
    answer.close()


def test_the_address_is_good_once(bridge: Bridge) -> None:
    url = bridge.url
    enter(bridge)
    parts = urlsplit(url)
    assert ask(bridge, f"/?{parts.query}").status == 401
    assert "token=" in bridge.url and bridge.url != url


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 401),
        ({"Cookie": f"{COOKIE}=guessed"}, 401),
        ({"Cookie": "\x80\xff; ==;"}, 401),
        ({"Host": "evil.example"}, 403),
        ({"Host": "localhost"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_who_is_refused(bridge: Bridge, fake: FakeAdmin, fields: dict[str, str], status: int) -> None:
    cookie = enter(bridge)
    given = {"Cookie": cookie, **fields} if status == 403 else fields
    for method, target in (("GET", "/status"), ("GET", "/"), ("POST", "/drain"), ("GET", "/?token=guessed")):
        answer = ask(bridge, target, method, b"{}" if method == "POST" else None, **given)
        assert answer.status == status
        assert b"41199" not in answer.read()
    assert fake.orders == []


def test_two_hosts_are_none(bridge: Bridge) -> None:
    cookie = enter(bridge)
    connection = http.client.HTTPConnection(bridge.host, timeout=10)
    connection.putrequest("GET", "/status", skip_host=True)
    for value in (bridge.host, "evil.example"):
        connection.putheader("Host", value)
    connection.putheader("Cookie", cookie)
    connection.endheaders()
    assert answer_of(connection).status == 403


def test_too_much(bridge: Bridge) -> None:
    answer = ask(bridge, "/reload", "POST", b"x" * 70_000, Cookie=enter(bridge), Content_Type="application/json")
    assert answer.status == 413


def test_the_proxy_is_gone(bridge: Bridge, fake: FakeAdmin) -> None:
    cookie = enter(bridge)
    fake.end()
    assert ask(bridge, "/status", Cookie=cookie).status == 502
