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

@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "a.toml"
    file.write_text(dedent(CONFIG))
    return file


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "http://a.example/static/x", "-R", "Cache-Control: private", "--config=a.toml", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    steps = told["explanation"]
    assert {"step": "route", "text": "/static/: it takes /static/x", "place": "a.toml:11", "rfc": ""} in steps
    (decision,) = [step for step in steps if step["step"] == "decision"]
    assert decision["text"].startswith("not stored: ")
    assert (decision["place"], decision["rfc"]) == ("", "RFC 9111 §5.2.2.7")
    assert told["text"].splitlines()[0] == told["request"] == "GET http://a.example/static/x"


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
    assert "answer    404 (cache-control: private)\n" in printed


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
    assert "Cache-Control: s-maxage=60" in printed
    assert "decision  stored, fresh for " in printed
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
    assert "site      *: no other site's hosts take a.example  (site.py; RFC 9110 §7.2)\n" in printed
    assert f"target    files {tmp_path / 'public'}  (site.py)\n" in printed
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
    assert "route     /: it takes /  (a.toml:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], ("+ traceparent: 00-", "(a new trace begins)  (a.toml:1)")),
        (
            ["-H", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "-H", "tracestate: a=b"],
            ("~ traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-", "(the client's trace goes on)  (a.toml:1)"),
        ),
        (
            ["-H", "traceparent: nonsense", "-H", "tracestate: a=b"],
            ("(a new trace begins)", "- tracestate: it belongs to no trace that can be understood  (a.toml:1)"),
        ),
    ],
)
def test_a_trace_goes_on_or_begins(
    lines: list[str], words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a.toml").write_text(
        '[tracing]\n[[site]]\nhosts = ["a.example"]\n[[site.route]]\nproxy = "http://127.0.0.1:9"\n'
    )
    assert main(["explain", "http://a.example/", *lines, "--config", "a.toml"]) == 0
    told = capsys.readouterr().out
    for word in words:
        assert word in told, told
    assert ("- tracestate" in told) is ("nonsense" in str(lines))
