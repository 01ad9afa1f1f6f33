"""What ``revproxy explain`` prints, whole, for the situations that people ask about."""

from __future__ import annotations

import io
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from textwrap import dedent

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from revproxy.cli import main
from tests.certificates.making import make_root
from tests.demo.process import free_port
from tests.explain.process import explained

CONFIG = """\
    trusted_proxies = ["10.0.0.0/8"]
    [[listener]]
    address = ":80"
    [[listener]]
    address = ":443"
    tls = true
    [tls]
    internal = true
    [[site]]
    hosts = ["a.example"]
    [[site.route]]
    path = "/static/"
    proxy = "http://127.0.0.1:9"
    cache = true
    [[site.route]]
    path = "/shop"
    proxy = "shop"
    methods = ["GET", "HEAD"]
    response_headers = { remove = ["Pragma"], set = { "Cache-Control" = "max-age=30" } }
    [site.route.cache]
    negative_statuses = [404]
    bypass_cookies = ["session"]
    key = { query = "except", parameters = ["utm_*"], device = true }
    [[site.route]]
    path = "/shop"
    proxy = "http://127.0.0.1:9"
    methods = ["POST"]
    [[site.route]]
    path = "/app"
    proxy = "http://127.0.0.1:9"
    [[site]]
    hosts = ["secure.example"]
    redirect_to_https = true
    [[site.route]]
    proxy = "http://127.0.0.1:9"
    [upstream.shop]
    servers = ["http://10.0.0.5:8000", { url = "http://10.0.0.6:8000", weight = 2 }]
"""

STATIC = """\
    listener  :80
    site      a.example  (a.toml:9)
    route     /static/  (a.toml:11)
              3 other routes have another path
    server    http://127.0.0.1:9
    cache     with the defaults  (a.toml:14)
    key       http://a.example/static/x
    store     taken as empty: the memory of a running proxy can't be seen from here
"""
SHOP = """\
    listener  :80
    site      a.example  (a.toml:9)
    route     /shop  (a.toml:15)
              not /shop: it does not let GET through  (a.toml:24)
              2 other routes have another path
    server    shop (http://10.0.0.5:8000, http://10.0.0.6:8000 weight 2)
    cache     negative_statuses=404, bypass_cookies=session, key.query=except, key.parameters=utm_*, key.device  (a.toml:20)
"""

SITUATIONS = {
    "nothing is said of an answer": (
        ["http://a.example/static/x"],
        STATIC + "    request   sent on: nothing is stored for this URL, RFC 9111 §4\n",
    ),
    "stored": (
        ["http://a.example/static/x", "-R", "Cache-Control: max-age=60"],
        STATIC
        + """\
            request   sent on: nothing is stored for this URL, RFC 9111 §4
            answer    200
                      Cache-Control: max-age=60
            decision  stored, fresh for 60 s: the response tells how long it is fresh, RFC 9111 §4.2.1
        """,
    ),
    "a cookie on a guess": (
        ["http://a.example/static/x", "-R", "Set-Cookie: a=b", "-R", "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT"],
        STATIC
        + """\
            request   sent on: nothing is stored for this URL, RFC 9111 §4
            answer    200
                      Set-Cookie: a=b
                      Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT
            decision  not stored: Set-Cookie and no explicit freshness, RFC 9111 §3 and §7.3; set cache.ttl or send s-maxage
        """,
    ),
    "for one user": (
        ["http://a.example/static/x", "-H", "Authorization: Basic x", "-R", "Cache-Control: max-age=60"],
        STATIC
        + """\
            request   sent on: nothing is stored for this URL, RFC 9111 §4
            answer    200
                      Cache-Control: max-age=60
            decision  not stored: the request carried Authorization, and the response does not allow to share it, RFC 9111 §3.5; send public, s-maxage or must-revalidate
        """,
    ),
    "a whole head": (
        ["http://a.example/static/x", "--response", "HTTP/1.1 200 OK\nETag: x\nCache-Control: no-store\nServer: y"],
        STATIC
        + """\
            request   sent on: nothing is stored for this URL, RFC 9111 §4
            answer    200
                      ETag: x
                      Cache-Control: no-store
            decision  not stored: the response forbids to store it, RFC 9111 §5.2.2.5; send no no-store, or set cache.force and cache.ttl
        """,
    ),
    "only if cached": (
        ["http://a.example/static/x", "-H", "Cache-Control: only-if-cached"],
        STATIC
        + """\
            request   answered with 504: the client wants a stored response, and none can be used, RFC 9111 §5.2.1.7
        """,
    ),
    "the fields that a route sets count": (
        ["http://a.example/shop", "-R", "Cache-Control: no-store", "-R", "Pragma: no-cache"],
        SHOP
        + """\
            key       http://a.example/shop, device desktop
            store     taken as empty: the memory of a running proxy can't be seen from here
            request   sent on: nothing is stored for this URL, RFC 9111 §4
            answer    200
                      Cache-Control: max-age=30
            decision  stored, fresh for 30 s: the response tells how long it is fresh, RFC 9111 §4.2.1
        """,
    ),
    "a cookie that bypasses": (
        ["a.example/shop/1?utm_source=x&page=2", "-H", "Cookie: a=b; session=1", "-R", "X: y"],
        SHOP
        + """\
            key       http://a.example/shop/1?page=2, device desktop
            store     taken as empty: the memory of a running proxy can't be seen from here
            request   sent on: the request carries a cookie that bypasses the cache, cache.bypass_cookies of the route; remove the cookie's name there
            answer    200
                      Cache-Control: max-age=30
            decision  not stored: the request carries a cookie that bypasses the cache, cache.bypass_cookies of the route; remove the cookie's name there
        """,
    ),
    "an odd host": (
        ["http://A.EXAMPLE/static/x", "--status", "200", "-R", "Cache-Control: max-age=60"],
        STATIC
        + """\
            request   sent on: nothing is stored for this URL, RFC 9111 §4
            answer    200
                      Cache-Control: max-age=60
            decision  not stored: the host was not written in its canonical form, and the answer may be about the spelling, RFC 9110 §4.2.3
        """,
    ),
    "a field that rewrites": (
        ["http://a.example/static/x", "-H", "X-Original-URI: /admin", "-R", "Cache-Control: max-age=60"],
        STATIC
        + """\
            request   sent on: the request carries a field by which servers are known to replace its host, path or method, or has one dropped by Connection, a bound of the cache; remove the field with request_headers.remove
            answer    200
                      Cache-Control: max-age=60
            decision  not stored: the request carries a field by which servers are known to replace its host, path or method, or has one dropped by Connection, a bound of the cache; remove the field with request_headers.remove
        """,
    ),
    "another method": (
        ["POST", "http://a.example/static/x", "--status", "201"],
        STATIC
        + """\
            request   sent on: an unsafe method is always written through to the server, RFC 9111 §4
            answer    201
            decision  not stored: a response to POST is stored only with explicit freshness and a Content-Location that is its own target, RFC 9110 §9.3.3
        """,
    ),
    "a trusted proxy in front": (
        ["http://a.example/static/x", "--client", "10.0.0.1", "-H", "X-Forwarded-Proto: https"],
        STATIC.replace(
            "    key       http://a.example/static/x",
            "    key       https://a.example/static/x, what the trusted proxy claims",
        )
        + "    request   sent on: nothing is stored for this URL, RFC 9111 §4\n",
    ),
    "no cache here": (
        ["https://a.example/app"],
        """\
            listener  :443 (TLS)
            site      a.example  (a.toml:9)
            route     /app  (a.toml:28)
                      3 other routes have another path
            server    http://127.0.0.1:9
            cache     nothing is cached here: the route has no cache = true
        """,
    ),
    "no site": (
        ["http://b.example:8080/"],
        """\
            listener  :80
                      no listener speaks http on port 8080: taken for this one
            answer    answered with 404: no site for this host
        """,
    ),
    "no route": (
        ["http://a.example/"],
        """\
            listener  :80
            site      a.example  (a.toml:9)
                      4 other routes have another path
            answer    answered with 404: no route for this path
        """,
    ),
    "a path of two readings": (
        ["http://a.example/static/%2e%2e/app"],
        """\
            listener  :80
            site      a.example  (a.toml:9)
            route     not /static/: another reading of the path leads elsewhere  (a.toml:11)
                      3 other routes have another path
            answer    answered with 400: the path means one route as it is written and another one when it is normalised
        """,
    ),
    "a redirect": (
        ["http://secure.example/a?b"],
        """\
            listener  :80
            answer    answered with 308: redirected to https://secure.example/a?b
        """,
    ),
    "a request that is none": (
        ["http://a.example/static/x", "-H", "Transfer-Encoding: gzip"],
        """\
            listener  :80
            answer    answered with 400: chunked is not the last transfer coding
        """,
    ),
}


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "a.toml"
    file.write_text(dedent(CONFIG))
    return file


LABELS = ("listener  ", "site  ", "route  ", "server  ", "cache  ", "key  ", "store  ", "request  ", "answer  ", "decision  ")


def aligned(text: str) -> str:
    """A line as it is printed, from one that is indented for this file."""
    return text if text.startswith(LABELS) else " " * 10 + text


@pytest.mark.parametrize("name", SITUATIONS)
def test_situations(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, expected = SITUATIONS[name]
    assert main(["explain", *arguments, "--config", "a.toml"]) == 0
    first, *printed = capsys.readouterr().out.splitlines()
    assert first.split(" ")[0] == (arguments[0] if arguments[0] == "POST" else "GET")
    assert printed == [aligned(line.strip()) for line in expected.splitlines() if line.strip()]


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "http://a.example/static/x", "-R", "Cache-Control: private", "--config=a.toml", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["route"]["place"] == "a.toml:11"
    assert told["cache"]["request"]["detail"] == "miss"
    [response] = told["cache"]["response"]
    assert (response["decision"], response["detail"], response["source"]) == ("not stored", "private", "RFC 9111 §5.2.2.7")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ftp://a.example/"], '"ftp://a.example/" is no URL'),
        (["http://a.example/#top"], "leave it out"),
        (["http://a.example:x/"], "the port is none"),
        (["http://a.example/ü"], 'write other characters as escapes ("%20")'),
        (["GET", "a", "b"], "write [METHOD] URL"),
        (["http://a.example/", "-H", "x"], '"x" is no field'),
        (["http://a.example/", "-H", "X: a\r\nY: b"], "is no field"),
        (["http://a.example/", "-R", "Cache Control: x"], "the answer can't be read"),
        (["http://a.example/", "--response", "hello"], "the answer can't be read"),
        (["http://a.example/", "--response", "HTTP/1.1 200 OK", "--status", "200"], "leave --status and -R out"),
        (["http://a.example/", "--fetch", "--status", "200"], "leave the answer out"),
    ],
)
def test_what_can_not_be_explained(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", *arguments, "--config", "a.toml"]) == 2
    output = capsys.readouterr()
    assert words in output.err and output.out == ""


def test_a_configuration_that_can_not_be_used(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.toml").write_text("x = 1")
    assert main(["explain", "http://a.example/", "--config", "a.toml"]) == 2
    assert 'a.toml:1:1: x: unknown key "x"' in capsys.readouterr().err


def test_what_curl_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Interim answers in front, content behind, and the way in which it tells of HTTP/2."""
    monkeypatch.setattr(
        "sys.stdin",
        io.StringIO("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/2 404 \r\ncache-control: private\r\n\r\nbody\n\nx"),
    )
    assert main(["explain", "a.example/static/x", "--response", "-", "--config", "a.toml"]) == 0
    printed = capsys.readouterr().out
    assert "answer    404\n          cache-control: private\n" in printed


def test_the_server_is_asked(tmp_path: Path) -> None:
    """Once, as the proxy asks: what it is sent is what it would be sent."""
    asked = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers["Via"], self.headers["Accept"]))
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.send_header("Cache-Control", "s-maxage=60")
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        text = f'[[site]]\n[[site.route]]\npath = "/a"\nstrip = true\nproxy = "http://127.0.0.1:{server.server_port}"\n'
        (tmp_path / "b.toml").write_text(text + "cache = true\n")
        code, printed = explained(tmp_path, "http://a.example/a/b", "-H", "Accept: x", "--fetch", "--config", "b.toml")
        server.shutdown()
    assert code == 0
    assert "          Cache-Control: s-maxage=60\ndecision  stored, fresh for " in printed
    assert asked == [("/b", "1.1 revproxy", "x")]


def test_a_server_that_does_not_answer(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_text(f'[[site]]\n[[site.route]]\nproxy = "http://127.0.0.1:{free_port()}"\ncache = true\n')
    code, printed = explained(tmp_path, "http://a.example/", "--fetch", "--config", "b.toml")
    assert code == 1
    assert "answer    none: connect_failed" in printed


def test_a_configuration_in_python(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its tables have no lines; a cached folder of files is judged by the answer as it is."""
    (tmp_path / "public").mkdir()
    (tmp_path / "site.py").write_text(
        "from revproxy.config import Config, Route, Site\n"
        "config = Config(sites=(Site(routes=(Route(files='public', cache=True),)),))\n"
    )
    arguments = ["http://a.example:8080/x", "-R", "ETag: 'a'", "-R", "Cache-Control: max-age=5"]
    assert main(["explain", *arguments, "--config", "site.py"]) == 0
    printed = capsys.readouterr().out
    assert "site      *  (site.py)\n" in printed
    assert f"server    files {tmp_path / 'public'}\n" in printed
    assert "decision  stored, fresh for 5 s" in printed


def test_a_site_that_demands_certificates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody knows here which certificate the client has: in clear text it is refused, over TLS it is gone on."""
    (tmp_path / "ca.pem").write_bytes(make_root().certificate.public_bytes(Encoding.PEM))
    text = '[[listener]]\naddress = ":80"\n[[listener]]\naddress = ":443"\ntls = true\n[tls]\ninternal = true\n'
    text += '[[site]]\ntls = { client_certificates = "required", client_ca = "ca.pem" }\n'
    (tmp_path / "a.toml").write_text(text + '[[site.route]]\nproxy = "http://127.0.0.1:9"\n')
    assert main(["explain", "http://a.example/", "--config", "a.toml"]) == 0
    assert "answered with 421: the site demands certificates of clients" in capsys.readouterr().out
    assert main(["explain", "https://a.example/", "--config", "a.toml"]) == 0
    assert "route     /  (a.toml:10)" in capsys.readouterr().out
