"""No answer names the backend, and nothing that a client claims about itself gets through."""

from __future__ import annotations

import json
import re
import struct
from typing import TYPE_CHECKING

import pytest

from tests.live.support_client import Answer, RawClient, ask, curl, request
from tests.live.support_proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.live.conftest import Started
    from tests.live.support_proxy import Front
    from tests.live.support_scripted import Accepted, Scripted


def assert_hidden(answer: Answer, port: int) -> None:
    """The whole answer is searched."""
    assert str(port).encode() not in re.sub(rb"[0-9a-f]{32}", b"", answer.octets)
    assert b"127.0.0.1" not in answer.octets
    for trace in (b"waitress", b"werkzeug", b"nginx/", b"python/", b"aiohttp", b"basehttp"):
        assert trace not in answer.head.lower()
    assert "Server" not in answer
    assert "X-Powered-By" not in answer


@pytest.mark.parametrize("backend", ["flask", "aiohttp", "http.server", "nginx"])
@pytest.mark.parametrize("target", ["/hello.txt", "/nowhere", "/login", "/sub", "/named"])
def test_no_answer_names_the_backend(started: Started, front_kind: str, backend: str, target: str) -> None:
    front = started.front(front_kind, backend)
    answer = ask(front.port, "GET", target)
    assert answer.status in (200, 301, 302, 404)
    assert_hidden(answer, started.backend(backend).port)


def test_names_are_rewritten(started: Started, front_kind: str) -> None:
    answer = ask(started.front(front_kind, "flask").port, "GET", "/named", host="www.example.com:8443")
    assert answer.get("Location") == "http://www.example.com:8443/home?next=1#there"
    assert answer.get("Content-Location") == "http://www.example.com:8443/named.html"
    assert answer.get("Refresh") == "5; url=http://www.example.com:8443/home"
    first, second = answer.all("Set-Cookie")
    assert first.startswith("a=1")
    assert "omain=127" not in first
    assert second == "b=2; Path=/"


def test_a_folder_redirect_keeps_the_public_name(started: Started, front_kind: str) -> None:
    answer = ask(started.front(front_kind, "nginx").port, "GET", "/sub", host="www.example.com")
    assert answer.status == 301
    assert answer.get("Location") == "http://www.example.com/sub/"


def test_other_places_are_left_alone(started: Started, front_kind: str) -> None:
    answer = ask(started.front(front_kind, "flask").port, "GET", "/elsewhere")
    assert answer.get("Location") == "https://login.example.net/start?back=1"


@pytest.fixture(scope="module")
def stripped(started: Started, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The Flask application below a path, clients believed that come from this machine only on a second listener."""
    text = f"""
        [[site]]
          [[site.route]]
          path = "/shop"
          proxy = "{started.backend("flask").url}"
          strip = true
          [[site.route]]
          path = "/server"
          proxy = "{started.backend("nginx").url}"
          strip = true
    """
    with Proxy.configured(tmp_path_factory.mktemp("stripped"), text) as proxy:
        yield proxy


def test_a_stripped_prefix_comes_back_in_redirects(stripped: Proxy, started: Started, tmp_path: Path) -> None:
    answer = ask(stripped.port, "GET", "/shop/login")
    assert answer.get("Location") == "/shop/home"
    assert "Path=/shop" in answer.get("Set-Cookie")
    assert_hidden(answer, started.backend("flask").port)
    named = ask(stripped.port, "GET", "/shop/named", host="shop.example")
    assert named.get("Location") == "http://shop.example/shop/home?next=1#there"
    assert ask(stripped.port, "GET", "/server/sub", host="s.example").get("Location") == "http://s.example/server/sub/"
    done = curl("--location", "--cookie-jar", str(tmp_path / "jar"), f"{stripped.url}/shop/login")
    assert done.body == b"session s3cret"


def test_paths_that_mean_two_routes_are_refused(stripped: Proxy) -> None:
    assert ask(stripped.port, "GET", "/shop/../server/hello.txt").status == 400
    assert ask(stripped.port, "GET", "/%73hop/hello.txt").status == 400
    assert ask(stripped.port, "GET", "/nowhere").status == 404


CLAIMS = (
    "X-Forwarded-For: 203.0.113.7",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-Port: 99",
    "Forwarded: for=203.0.113.7;proto=https",
    "X-Real-IP: 203.0.113.7",
    "X-Request-ID: chosen-by-the-client",
)


def seen(answer: Answer) -> dict[str, list[str]]:
    """The fields that the backend saw."""
    fields: dict[str, list[str]] = {}
    for name, value in json.loads(answer.body)["fields"]:
        fields.setdefault(name.lower(), []).append(value)
    return fields


def test_claims_of_clients_are_dropped(started: Started, front_kind: str) -> None:
    front = started.front(front_kind, "aiohttp")
    fields = seen(ask(front.port, "GET", "/seen", *CLAIMS, host="www.example.com:8080"))
    told = json.dumps(fields)
    for claim in ("203.0.113.7", "evil.example", "chosen-by-the-client", '"99"', '"https"'):
        assert claim not in told
    assert fields["x-forwarded-for"] == ["127.0.0.1"]
    assert fields["x-forwarded-proto"] == ["http"]
    assert fields["x-forwarded-host"] == ["www.example.com:8080"]
    assert fields["x-forwarded-port"] == [str(front.port)] or fields["x-forwarded-port"] == ["8080"]
    assert fields["host"] == ["www.example.com:8080"]
    assert len(fields["x-request-id"]) == 1
    if isinstance(front, Proxy):
        assert front.record_with("id", fields["x-request-id"][0])["target"] == "/seen"


@pytest.fixture(scope="module")
def trusting(started: Started, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy that believes what this machine says of its clients."""
    text = f"""
        trusted_proxies = ["127.0.0.0/8"]
        [[site]]
          [[site.route]]
          proxy = "{started.backend("aiohttp").url}"
          forwarded = true
    """
    with Proxy.configured(tmp_path_factory.mktemp("trusting"), text) as proxy:
        yield proxy


def test_claims_of_trusted_proxies_are_kept(trusting: Proxy) -> None:
    fields = seen(ask(trusting.port, "GET", "/seen", *CLAIMS))
    assert fields["x-forwarded-for"] == ["203.0.113.7, 127.0.0.1"]
    assert fields["x-forwarded-proto"] == ["https"]
    assert fields["x-forwarded-host"] == ["evil.example"]
    assert fields["x-request-id"] == ["chosen-by-the-client"]
    assert fields["forwarded"][0].startswith("for=203.0.113.7;proto=https, for=127.0.0.1")
    assert trusting.record_with("id", "chosen-by-the-client")["client"] == "203.0.113.7"


@pytest.mark.parametrize("bad", ["x" * 500, "two words", 'quote"', "ü"])
def test_request_ids_must_be_harmless_even_from_trusted_proxies(trusting: Proxy, bad: str) -> None:
    fields = seen(ask(trusting.port, "GET", "/seen", f"X-Request-ID: {bad}"))
    assert re.fullmatch(r"[0-9a-f]{32}", fields["x-request-id"][0])


def test_hop_by_hop_fields_end_here(started: Started, front_kind: str) -> None:
    fields = seen(
        ask(started.front(front_kind, "aiohttp").port, "GET", "/seen", "Connection: keep-alive, X-Hop", "X-Hop: 1",
            "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "Proxy-Authorization: Basic x", "TE: trailers",
            "X-Stays: 1")
    )  # fmt: skip
    assert not {"x-hop", "keep-alive", "proxy-connection", "proxy-authorization"} & set(fields)
    assert fields["x-stays"] == ["1"]
    assert "1.1" in fields["via"][0]


def test_hop_by_hop_fields_of_answers_end_here(stage: Scripted, stage_front: Front) -> None:
    def script(accepted: Accepted) -> None:
        accepted.read_head()
        accepted.send(
            b"HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nServer: secret/1\r\n"
            b"X-Powered-By: PHP\r\nX-AspNet-Version: 4\r\nX-Stays: 1\r\nContent-Length: 0\r\n\r\n"
        )

    with stage.play(script) as backend:
        answer = ask(stage_front.port, "GET", "/")
    assert not {"X-Hop", "X-AspNet-Version"} & {name for name, _ in answer.fields}
    assert b"timeout=5" not in answer.head
    assert answer.get("X-Stays") == "1"
    assert_hidden(answer, backend.port)


@pytest.fixture(scope="module")
def balanced(started: Started, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A listener behind a balancer that speaks the PROXY protocol."""
    text = f"""
        [[listener]]
        address = "127.0.0.1:0"
        proxy_protocol_from = ["127.0.0.0/8"]
        [[site]]
        route = [{{ proxy = "{started.backend("aiohttp").url}" }}]
    """
    with Proxy.configured(tmp_path_factory.mktemp("balanced"), text, listen=False) as proxy:
        yield proxy


SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V2 = SIGNATURE + b"\x21\x11" + struct.pack("!H4s4sHH", 12, b"\xcb\x00\x71\x07", b"\x0a\x00\x00\x01", 5555, 443)


@pytest.mark.parametrize("header", [b"PROXY TCP4 203.0.113.7 10.0.0.1 5555 443\r\n", V2], ids=["v1", "v2"])
def test_proxy_protocol_tells_the_client(balanced: Proxy, header: bytes) -> None:
    with RawClient(balanced.port) as client:
        for octet in header[:5]:
            client.send(bytes([octet]))
        client.send(header[5:] + request("GET", "/seen"))
        fields = seen(client.read_answer())
        assert fields["x-forwarded-for"] == ["203.0.113.7"]
        assert client.ask("GET", "/hello.txt").status == 200
    assert balanced.record_with("id", fields["x-request-id"][0])["client"] == "203.0.113.7"


@pytest.mark.parametrize("octets", [request("GET", "/seen"), b"PROXY TCP4 nonsense\r\n" + request("GET", "/seen")])
def test_without_a_proxy_header_there_is_no_answer_but_400(balanced: Proxy, octets: bytes) -> None:
    with RawClient(balanced.port) as client:
        client.send(octets)
        assert client.read_answer().status == 400
        assert client.is_ended()


def test_a_proxy_header_nobody_asked_for_is_garbage(started: Started) -> None:
    with RawClient(started.proxy("aiohttp").port) as client:
        client.send(b"PROXY TCP4 203.0.113.7 10.0.0.1 5555 443\r\n" + request("GET", "/seen"))
        assert client.read_answer().status == 400
        assert client.is_ended()
