"""The sample backend itself, over real sockets and without a proxy."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import time
from typing import TYPE_CHECKING

import pytest
from websockets.sync.client import connect

from tests.demo.process import Demo

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    backend = Demo()
    try:
        backend.wait_for("demo backend")
        yield backend
    finally:
        assert backend.end() == 0
    assert len(backend.lines) == 1, f"it prints one line, and no traceback: {backend.output}"


@pytest.fixture
def client(demo: Demo) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", demo.port, timeout=20)
    yield connection
    connection.close()


def get(client: http.client.HTTPConnection, path: str, **fields: str) -> tuple[http.client.HTTPResponse, str]:
    client.request("GET", path, headers={name.replace("_", "-"): value for name, value in fields.items()})
    answer = client.getresponse()
    return answer, answer.read().decode("utf-8")


PAGES = ["/", "/upload", "/download", "/slow", "/events", "/echo", "/redirect", "/landed", "/cookies", "/failures"]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_whole_and_loads_nothing_from_elsewhere(client: http.client.HTTPConnection, path: str) -> None:
    answer, page = get(client, path)
    assert answer.status == 200
    assert page.startswith("<!DOCTYPE html>") and page.rstrip().endswith("</html>")
    assert answer.getheader("Content-Type") == "text/html; charset=utf-8"
    assert "default-src 'self'" in (answer.getheader("Content-Security-Policy") or "")
    assert 'src="http' not in page and 'href="http' not in page and "src=\"//" not in page
    # Relative links work behind a route that strips a prefix, too.
    assert 'href="/' not in page and 'src="/' not in page and 'action="/' not in page
    assert page.count('aria-current="page"') == 1


@pytest.mark.parametrize("path", PAGES)
def test_what_a_page_refers_to_is_there(client: http.client.HTTPConnection, path: str) -> None:
    _, page = get(client, path)
    for part in page.split('"'):
        if part.startswith("static/"):
            answer, content = get(client, "/" + part)
            assert (answer.status, bool(content)) == (200, True), part


def test_head_has_the_fields_and_no_body(client: http.client.HTTPConnection) -> None:
    client.request("HEAD", "/")
    answer = client.getresponse()
    assert answer.read() == b""
    assert int(answer.getheader("Content-Length") or 0) > 1000


def test_it_boasts_of_its_software_so_that_the_proxy_can_remove_it(client: http.client.HTTPConnection) -> None:
    answer, _ = get(client, "/")
    assert answer.getheader("Server") == "demo-backend/1.0"
    assert answer.getheader("X-Powered-By") == "twisted.web"


def test_the_home_page_shows_and_escapes_what_arrived(client: http.client.HTTPConnection) -> None:
    _, page = get(client, "/?q=<b>", X_Forwarded_For="192.0.2.7", X_Odd="<script>alert(1)</script>&", Via="1.1 p")
    assert "192.0.2.7" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;" in page and "<script>alert" not in page
    assert "GET /?q=&lt;b&gt; HTTP/1.1" in page
    assert 'id="passed"' in page and 'id="direct"' not in page


def test_without_via_the_home_page_says_that_there_is_no_proxy(client: http.client.HTTPConnection) -> None:
    _, page = get(client, "/")
    assert 'id="direct"' in page and 'id="passed"' not in page


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("kind", ["application/octet-stream", "multipart/form-data", "application/x-www-form-urlencoded"])
def test_an_upload_is_counted_and_digested(client: http.client.HTTPConnection, method: str, kind: str) -> None:
    body = b"0123456789abcdef" * 100_000
    client.request(method, "/upload/body", body, {"Content-Type": kind})
    report = json.loads(client.getresponse().read())
    assert report["size"] == len(body)
    assert report["sha256"] == hashlib.sha256(body).hexdigest()
    assert report["pieces"] > 1


def test_a_chunked_upload_is_taken_as_it_comes(client: http.client.HTTPConnection) -> None:
    def slowly() -> Iterator[bytes]:
        for _ in range(3):
            yield b"x" * 1000
            time.sleep(0.1)

    client.request("POST", "/upload/body", slowly(), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    report = json.loads(client.getresponse().read())
    assert report["size"] == 3000
    assert report["pieces"] >= 3
    assert report["first_after"] < 0.1 <= report["seconds"]


def test_the_slow_stream_sends_each_line_when_it_is_due(client: http.client.HTTPConnection) -> None:
    started = time.monotonic()
    client.request("GET", "/slow/lines?lines=3")
    answer = client.getresponse()
    came = []
    while line := answer.readline():
        came.append((line, time.monotonic() - started))
    assert [line for line, _ in came] == [b"line 1 of 3\n", b"line 2 of 3\n", b"line 3 of 3\n"]
    assert came[0][1] < 0.4
    assert came[2][1] >= 0.9


@pytest.mark.parametrize("asked", ["0", "-1", "x", "1001", ""])
def test_the_slow_stream_refuses_odd_numbers_of_lines(client: http.client.HTTPConnection, asked: str) -> None:
    answer, text = get(client, f"/slow/lines?lines={asked}")
    assert answer.status == 400 and text.startswith("lines:")


def test_events_go_on_where_the_browser_was(client: http.client.HTTPConnection) -> None:
    client.request("GET", "/events/stream", headers={"Last-Event-ID": "41"})
    answer = client.getresponse()
    assert answer.getheader("Content-Type") == "text/event-stream"
    lines = [answer.readline() for _ in range(5)]
    assert lines == [b"retry: 1000\n", b"\n", b"id: 42\n", b"event: tick\n", b"data: event number 42\n"]


def test_the_web_socket_says_everything_back(demo: Demo) -> None:
    with connect(f"ws://127.0.0.1:{demo.port}/echo/socket") as socket_:
        for message in ("hello", "ünïcödé ☃", b"\x00\xff", "x" * 200_000):
            socket_.send(message)
            assert socket_.recv(10) == message


def test_the_web_socket_refuses_what_is_no_handshake(client: http.client.HTTPConnection) -> None:
    assert get(client, "/echo/socket")[0].status == 400


def test_the_redirect_names_the_backend(client: http.client.HTTPConnection, demo: Demo) -> None:
    answer, _ = get(client, "/redirect/away")
    assert (answer.status, answer.getheader("Location")) == (302, f"{demo.url}/landed")


def test_cookies_are_baked_counted_shown_and_forgotten(client: http.client.HTTPConnection) -> None:
    client.request("POST", "/cookies/bake", headers={"Cookie": "visits=4"})
    answer = client.getresponse()
    answer.read()
    assert (answer.status, answer.getheader("Location")) == (303, "../cookies")
    visits, flavour = answer.headers.get_all("Set-Cookie", [])
    assert visits.startswith("visits=5;") and "HttpOnly" in visits
    assert flavour.startswith("flavour=oatmeal;") and "Domain=127.0.0.1" in flavour

    _, page = get(client, "/cookies", Cookie="visits=5; odd=<i>")
    assert "&lt;i&gt;" in page and "none yet" not in page

    client.request("POST", "/cookies/bake?forget=1")
    answer = client.getresponse()
    answer.read()
    assert [cookie.partition("=")[0] for cookie in answer.headers.get_all("Set-Cookie", [])] == ["visits", "flavour"]
    assert all("Max-Age=0" in cookie for cookie in answer.headers.get_all("Set-Cookie", []))


@pytest.mark.parametrize(("asked", "size"), [("1MB", 1_000_000), ("64KiB", 65536), ("100001", 100_001), ("0", 0)])
def test_a_download_has_the_size_asked_for(client: http.client.HTTPConnection, asked: str, size: int) -> None:
    client.request("GET", f"/download/file?size={asked}")
    answer = client.getresponse()
    assert answer.getheader("Content-Length") == str(size)
    assert len(answer.read()) == size


@pytest.mark.parametrize("asked", ["x", "-5", "1025GiB", "1.5MB"])
def test_a_download_of_no_size_is_refused(client: http.client.HTTPConnection, asked: str) -> None:
    assert get(client, f"/download/file?size={asked}")[0].status == 400


def test_a_download_waits_for_its_reader_in_constant_memory(client: http.client.HTTPConnection, demo: Demo) -> None:
    before = resident(demo)
    client.request("GET", "/download/file?size=512GiB")
    answer = client.getresponse()
    for _ in range(100):
        assert len(answer.read(1 << 20)) == 1 << 20
    time.sleep(0.3)
    assert resident(demo) - before < 32 << 20


def resident(demo: Demo) -> int:
    """The resident memory of the backend, in octets."""
    with open(f"/proc/{demo.process.pid}/statm") as file:
        return int(file.read().split()[1]) * 4096


def test_failures_fail_as_they_say(client: http.client.HTTPConnection) -> None:
    answer, _ = get(client, "/failures/error")
    assert answer.status == 500
    assert get(client, "/failures/nowhere")[0].status == 404
    with pytest.raises(http.client.RemoteDisconnected):
        get(client, "/failures/no-answer")


@pytest.mark.parametrize("query", ["", "?framing=chunked"])
def test_an_answer_that_is_cut_has_a_beginning_and_no_end(client: http.client.HTTPConnection, query: str) -> None:
    with pytest.raises(http.client.IncompleteRead) as caught:
        get(client, f"/failures/cut{query}")
    assert b"The beginning" in caught.value.partial or query


def test_a_visitor_who_leaves_in_the_middle_leaves_no_trace(demo: Demo) -> None:
    for path in ("/slow/lines", "/events/stream", "/failures/cut", "/download/file?size=1GiB"):
        with socket.create_connection(("127.0.0.1", demo.port), timeout=5) as visitor:
            visitor.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
            assert visitor.recv(10)
    # The fixture sees, at the end, that nothing was printed; here it goes on serving.
    with socket.create_connection(("127.0.0.1", demo.port), timeout=5) as visitor:
        visitor.sendall(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert visitor.recv(15) == b"HTTP/1.1 200 OK"
