"""One line for each request, with what happened; no octet of a client's makes a line of its own."""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING

import pytest

from tests.live.support_backends import HELLO
from tests.live.support_client import RawClient, request
from tests.live.support_process import until
from tests.live.support_proxy import TWISTD, Front

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.live.conftest import Started
    from tests.live.support_proxy import Proxy
    from tests.live.support_scripted import Accepted, Scripted

COMBINED = re.compile(
    r'(?P<client>\S+) - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] "(?P<request>(?:[^"\\]|\\.)*)" '
    r'(?P<status>\d{3}) (?P<sent>\d+) "(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)" '
    r'id=(?P<id>\S+) host="(?P<host>(?:[^"\\]|\\.)*)" upstream=(?P<upstream>\S+) total=\d+\.\d+ '
    r"connect=(?:\d+\.\d+|-) first=(?:\d+\.\d+|-) received=(?P<received>\d+) (?P<rest>.*)"
)


def script(accepted: Accepted) -> None:
    """Answers whatever comes, without a body on either side."""
    while accepted.read_head():
        accepted.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def combined_lines(proxy: Proxy, count: int) -> list[re.Match[str]]:
    matches = [COMBINED.fullmatch(line) for line in proxy.lines(count)]
    assert all(matches), proxy.log.read_text()
    return [match for match in matches if match]


@pytest.mark.parametrize("form", ["combined", "json"])
def test_one_line_for_each_of_many_requests(started: Started, proxy_to: Callable[..., Proxy], form: str) -> None:
    proxy = proxy_to(started.backend("nginx").url, log_format=form)

    def ask_often(name: str) -> None:
        with RawClient(proxy.port) as client:
            for number in range(100):
                assert client.ask("GET", f"/hello.txt?{name}{number}").status == 200

    threads = [threading.Thread(target=ask_often, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if form == "json":
        records = proxy.records(400)
        targets = {record["target"] for record in records}
        assert {record["sent"] for record in records} == {len(HELLO)}
        ids = {record["id"] for record in records}
    else:
        matches = combined_lines(proxy, 400)
        targets = {match["request"].split()[1] for match in matches}
        assert {match["sent"] for match in matches} == {str(len(HELLO))}
        ids = {match["id"] for match in matches}
    assert targets == {f"/hello.txt?{name}{number}" for name in "abcd" for number in range(100)}
    assert len(ids) == 400
    # The end writes nothing twice.
    assert proxy.end() == 0
    assert len(proxy.lines(400)) == 400


def test_the_id_is_what_the_backend_saw(started: Started, proxy_to: Callable[..., Proxy]) -> None:
    proxy = proxy_to(started.backend("aiohttp").url)
    with RawClient(proxy.port) as client:
        seen = dict(json.loads(client.ask("POST", "/seen", "Referer: http://r/", "User-Agent: me", body=b"12345").body)["fields"])
    record = proxy.records(1)[0]
    assert record["id"] == seen["X-Request-ID"]
    assert (record["method"], record["target"], record["version"], record["status"]) == ("POST", "/seen", "1.1", 200)
    assert (record["received"], record["referer"], record["agent"]) == (5, "http://r/", "me")
    assert (record["client"], record["host"]) == ("127.0.0.1", "example.com")
    assert record["upstream"] == started.backend("aiohttp").url.removeprefix("http://")
    assert record["reason"] is None
    assert 0 <= record["connect"] <= record["first"] <= record["total"]


HOSTILE = (
    request("GET", '/"quoted"\\'),
    request("GET", "/%0a%0d", 'User-Agent: x" 200 5 "-" "y', 'Referer: \\" \\'),
    b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\nUser-Agent: \xe2\x80\xa8\xc2\x85\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: \x1b[2J\r\n\r\n",
    b"GET /\n127.0.0.1 - - forged HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\nb\r\n\r\n",
    b"G\x00T / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\r\n\r\n\r\nnonsense\r\n\r\n",
)


@pytest.mark.parametrize("form", ["combined", "json"])
def test_hostile_octets_forge_nothing(stage: Scripted, proxy_to: Callable[..., Proxy], form: str) -> None:
    proxy = proxy_to(stage.url, log_format=form)
    with stage.play(script):
        for octets in HOSTILE:
            with RawClient(proxy.port) as client:
                client.send(octets)
                assert client.read_answer().status in (200, 400)
    if form == "json":
        assert {record["status"] for record in proxy.records(len(HOSTILE))} == {200, 400}
    else:
        assert {match["status"] for match in combined_lines(proxy, len(HOSTILE))} == {"200", "400"}
    octets = proxy.log.read_bytes()
    assert octets.isascii()
    assert not any(octet < 32 and octet != 10 for octet in octets)


def test_a_connection_without_a_request_leaves_no_line(started: Started, proxy_to: Callable[..., Proxy]) -> None:
    proxy = proxy_to(started.backend("nginx").url)
    with RawClient(proxy.port):
        pass
    with RawClient(proxy.port) as client:
        assert client.ask("GET", "/hello.txt").status == 200
    assert proxy.end() == 0
    assert len(proxy.lines(1)) == 1


def test_standard_output(started: Started, tmp_path: Path) -> None:
    command = [str(TWISTD), "-n", "--pidfile=", "revproxy", "--to", started.backend("nginx").url, "--listen", "127.0.0.1:0"]
    with Front("stdout", command, tmp_path) as front:
        port = int(front.wait_for(r"listens on http://\S+?:(\d+)/")[1])
        with RawClient(port) as client:
            assert client.ask("GET", "/hello.txt?out").status == 200
        until(lambda: '"GET /hello.txt?out HTTP/1.1" 200' in front.output, "the line")
