"""Who is let in over TCP, and who is not: tokens, sessions, rebound names, other people's pages."""

from __future__ import annotations

import re

import pytest
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from revproxy.admin.guard import Guard, Rules
from revproxy.admin.root import admin_root
from revproxy.admin.sessions import MOST, ONE_TIME, SESSION, Sessions
from tests.admin.asking import Asking, Said, ScriptedOperator

TOKEN = "correct-horse-battery-staple"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Guarded:
    """The admin interface behind its guard."""

    def __init__(self, *, token: str | None = TOKEN, hosts: tuple[str, ...] = (), is_secure: bool = False) -> None:
        self.operator = ScriptedOperator()
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.sessions = Sessions(self.clock.seconds)
        rules = Rules(token.encode() if token is not None else None, frozenset(hosts), is_secure)
        root = admin_root(self.operator, self.sessions)
        self.asking = Asking(Guard(root, rules, self.sessions, self.clock.seconds))

    def get(self, path: str = "/status", **fields: str) -> Said:
        return self.asking.get(path, **fields)

    def log_in(self, token: str) -> Said:
        return self.get(f"/?token={token}")


def cookie_of(answer: Said) -> str:
    match = re.fullmatch(rb"revproxy_session=([\w-]{43}); (.*)", answer.fields[b"set-cookie"])
    assert match is not None
    return match[1].decode()


# The token.


def test_with_the_token() -> None:
    assert Guarded().get(**BEARER).status == 200
    assert Guarded().get(Authorization=f"bearer  {TOKEN} ").status == 200


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN.upper()}",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN}, Bearer {TOKEN}",
    ],
)
@pytest.mark.parametrize("path", ["/status", "/metrics", "/healthz", "/requests/x", "/events", "/nothing", "//", "/config"])
def test_without_it(path: str, sent: str | None) -> None:
    guarded = Guarded()
    answer = guarded.get(path, **({} if sent is None else {"Authorization": sent}))
    assert answer.status == 401
    assert answer.fields[b"www-authenticate"] == b'Bearer realm="revproxy"'
    assert TOKEN.encode() not in answer.body
    assert guarded.operator.ordered == []


def test_two_tokens_are_none() -> None:
    raw = f"GET /status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nAuthorization: Bearer x\r\n\r\n"
    assert b" 401 " in Guarded().asking.raw(raw.encode())


@pytest.mark.parametrize("order", ["drain", "reload", "purge", "login"])
def test_no_order_without_it(order: str) -> None:
    guarded = Guarded()
    assert guarded.asking.post(f"/{order}", {"everything": True} if order == "purge" else {}).status == 401
    assert guarded.operator.ordered == []


def test_where_certificates_are_enough() -> None:
    assert Guarded(token=None).get().status == 200


def test_the_page_itself_is_for_everybody() -> None:
    answer = Guarded().get("/")
    assert answer.status == 200
    assert b"<!doctype html>" in answer.body
    assert TOKEN.encode() not in answer.body
    assert Guarded().asking.post("/", {}).status == 401


# Host.


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:9090", "127.0.0.1:9090", "[::1]:9090", "192.0.2.7", "admin.example", "Admin.Example.:80"]
)
def test_hosts_that_are_ours(host: str) -> None:
    assert Guarded(hosts=("admin.example",)).get(Host=host, **BEARER).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9090", "localhost.evil.example", "xadmin.example", "127.0.0.1.evil.example"]
)
def test_a_name_that_was_made_to_lead_here(host: str) -> None:
    answer = Guarded(hosts=("admin.example",)).get(Host=host, **BEARER)
    assert answer.status == 421
    assert "admin.allowed_hosts" in answer.json["error"]


@pytest.mark.parametrize("host", ["", "a b", "localhost/", "user@localhost", "localhost:", "localhost:123456", "[::1", "[x]"])
def test_hosts_that_are_none(host: str) -> None:
    assert Guarded().get(Host=host, **BEARER).status in (400, 421)


def test_two_hosts_and_none() -> None:
    for lines in (b"Host: localhost\r\nHost: localhost\r\n", b""):
        raw = b"GET /status HTTP/1.1\r\n" + lines + f"Authorization: Bearer {TOKEN}\r\n\r\n".encode()
        assert b" 400 " in Guarded().asking.raw(raw)


# Origin.


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 200),
        ({"Origin": "http://localhost"}, 200),
        ({"Origin": "HTTP://LOCALHOST"}, 200),
        ({"Origin": "https://localhost"}, 403),
        ({"Origin": "http://localhost:81"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Sec_Fetch_Site": "same-origin"}, 200),
        ({"Sec_Fetch_Site": "none"}, 200),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "whatever"}, 403),
    ],
)
def test_pages_from_elsewhere(fields: dict[str, str], status: int) -> None:
    guarded = Guarded()
    assert guarded.get(**BEARER, **fields).status == status
    guarded = Guarded()
    assert guarded.asking.post("/drain", {}, **BEARER, **fields).status == status
    assert len(guarded.operator.ordered) == (status == 200)


def test_under_tls_the_page_is_https() -> None:
    guarded = Guarded(is_secure=True)
    assert guarded.get(**BEARER, Origin="https://localhost").status == 200
    assert guarded.get(**BEARER, Origin="http://localhost").status == 403


def test_a_link_to_the_page_may_be_followed() -> None:
    fields = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert Guarded().get("/", **fields).status == 200
    assert Guarded().get("/status", **fields, **BEARER).status == 403
    assert Guarded().get("/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors").status == 403


# Browsers.


def test_a_one_time_token_begins_a_session() -> None:
    guarded = Guarded()
    made = guarded.asking.post("/login", {}, **BEARER).json
    assert made["seconds"] == ONE_TIME
    answer = guarded.log_in(made["token"])
    assert (answer.status, answer.fields[b"location"], answer.body) == (303, b"/", b"")
    assert answer.fields[b"set-cookie"].endswith(b"; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict")
    assert answer.fields[b"referrer-policy"] == b"no-referrer"
    cookie = cookie_of(answer)
    assert guarded.get(Cookie=f"other=1; revproxy_session={cookie}").status == 200
    assert guarded.get(Cookie=f"revproxy_session={cookie}x").status == 401
    assert guarded.get(Cookie="revproxy_session=").status == 401


def test_it_is_good_once() -> None:
    guarded = Guarded()
    token = guarded.sessions.one_time()
    assert guarded.log_in(token).status == 303
    again = guarded.log_in(token)
    assert again.status == 401
    assert b"set-cookie" not in again.fields


def test_it_is_good_for_a_minute() -> None:
    guarded = Guarded()
    token = guarded.sessions.one_time()
    guarded.clock.advance(ONE_TIME)
    assert guarded.log_in(token).status == 401


@pytest.mark.parametrize("token", ["", TOKEN, "x" * 8000, "%00", "a&token=b"])
def test_no_other_token_logs_in(token: str) -> None:
    """The lasting one neither: it is not to stand in anybody's history."""
    guarded = Guarded()
    guarded.sessions.one_time()
    assert guarded.log_in(token).status == 401


def test_sessions_end() -> None:
    guarded = Guarded()
    cookie = cookie_of(guarded.log_in(guarded.sessions.one_time()))
    guarded.clock.advance(SESSION - 1)
    assert guarded.get(Cookie=f"revproxy_session={cookie}").status == 200
    guarded.clock.advance(1)
    assert guarded.get(Cookie=f"revproxy_session={cookie}").status == 401


def test_somebody_logs_out() -> None:
    sessions = Sessions(lambda: 1.0)
    session = sessions.begin(sessions.one_time().encode())
    assert session is not None
    assert sessions.knows(session.encode())
    sessions.end(session.encode())
    assert not sessions.knows(session.encode())


def test_sessions_are_bounded() -> None:
    sessions = Sessions(lambda: 1.0)
    made = [sessions.one_time() for _ in range(MOST + 1)]
    assert sessions.begin(made[0].encode()) is None
    assert sessions.begin(made[-1].encode()) is not None


def test_a_session_does_not_let_other_pages_in() -> None:
    guarded = Guarded()
    cookie = cookie_of(guarded.log_in(guarded.sessions.one_time()))
    fields = {"Cookie": f"revproxy_session={cookie}"}
    assert guarded.asking.post("/drain", {}, **fields).status == 200
    guarded.operator.ordered.clear()
    assert guarded.asking.post("/drain", {}, **fields, Origin="http://evil.example").status == 403
    assert guarded.asking.post("/drain", b"{}", **fields, Content_Type="text/plain").status == 415
    assert guarded.operator.ordered == []


def test_a_cookie_is_for_tls_alone_where_tls_is() -> None:
    guarded = Guarded(is_secure=True)
    assert guarded.log_in(guarded.sessions.one_time()).fields[b"set-cookie"].endswith(b"; Secure")


# What the log says.


@implementer(ILogObserver)
class Lines:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        if event.get("log_format", "").startswith("admin:"):
            self.lines.append(event["log_format"].format(**event))


def test_refusals_are_told_seldom_and_without_tokens() -> None:
    lines = Lines()
    globalLogPublisher.addObserver(lines)
    try:
        guarded = Guarded()
        for _ in range(5):
            guarded.get(f"/status?token={TOKEN}", Authorization="Bearer guess", Host="localhost")
        guarded.clock.advance(10.0)
        guarded.get(Host="evil\x1b[2J.example")
    finally:
        globalLogPublisher.removeObserver(lines)
    assert len(lines.lines) == 2
    assert "1 request(s) refused, the last one of 127.0.0.1" in lines.lines[0]
    assert "5 request(s)" in lines.lines[1]
    text = "".join(lines.lines)
    assert TOKEN not in text
    assert "guess" not in text
    assert text.isprintable()
