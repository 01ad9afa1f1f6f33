"""What people ask about, before the fact: for each situation the lines that name the rule and where it is written.

The tree that decides is the real one; what a line says is what it branched on.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from revproxy.config.load import examine
from revproxy.explain.question import asked
from revproxy.explain.steps import Explanation, Places
from revproxy.explain.tool import response_head
from revproxy.explain.walk import Walk

CONFIG = """\
trusted_proxies = ["10.0.0.0/8"]
[[listener]]
address = ":80"
[[listener]]
address = ":443"
tls = true
[tls]
internal = true
[limits]
target_length = 200
head_size = 2000
head_count = 20
[[site]]
hosts = ["a.example", "*.wild.example"]
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
bypass_cookies = ["session"]
bypass_headers = ["X-Preview"]
negative_statuses = [404]
negative_ttl = "20s"
[[site.route]]
path = "/upload"
proxy = "http://127.0.0.1:9"
body_size = "1KiB"
strip = true
[[site.route]]
path = "/live"
proxy = "http://127.0.0.1:9"
upgrade = []
host = "inner.example"
forwarded = true
request_headers = { remove = ["Cookie"], set = { "X-Kind" = "live" } }
[[site.route]]
path = "/files"
files = "public"
[[site]]
hosts = ["secure.example"]
redirect_to_https = true
tls = { hsts = { max_age = "180d" } }
[[site.route]]
proxy = "http://127.0.0.1:9"
[[site]]
hosts = ["wild.wild.example"]
[[site.route]]
proxy = "http://127.0.0.1:9"
[upstream.shop]
servers = ["http://10.0.0.5:8000", { url = "http://10.0.0.6:8000", weight = 2 }]
queue = 7
"""

LINES = {text: number for number, text in reversed(list(enumerate(CONFIG.splitlines(), 1)))}


def line(text: str, after: str = "") -> str:
    """``a.toml:N`` of a line of the configuration."""
    lines = CONFIG.splitlines()
    start = lines.index(after) if after else 0
    return f"a.toml:{lines.index(text, start) + 1}"


HOSTS, SHOP, STATIC = 'hosts = ["a.example", "*.wild.example"]', 'path = "/shop"', 'path = "/static/"'
UPLOAD, LIVE, FILES = 'path = "/upload"', 'path = "/live"', 'path = "/files"'
TRUSTED = line('trusted_proxies = ["10.0.0.0/8"]')

Fragments = tuple[str, ...]
p0 = line('address = ":80"')
p1 = line(HOSTS)
p2 = line('[[site.route]]')
p3 = line('[[site.route]]', 'cache = true')
p4 = line('redirect_to_https = true')
p5 = line('target_length = 200')
p6 = line('head_size = 2000')
p7 = line('head_count = 20')
p8 = line('body_size = "1KiB"')
p9 = line('upgrade = []')
p10 = line('strip = true')
p11 = line('request_headers = { remove = ["Cookie"], set = { "X-Kind" = "live" } }')
p12 = line('host = "inner.example"')
p13 = line('queue = 7')
p14 = line('bypass_cookies = ["session"]')
p15 = line('body_size = "1KiB"')
p16 = line("forwarded = true")
p17 = line('files = "public"')
p18 = line('bypass_headers = ["X-Preview"]')

SITUATIONS: dict[str, tuple[list[str], int | None, Fragments]] = {
    "the listener of a port": (["http://a.example/static/x"], None, (f"listener  :80  ({p0})",)),
    "another port": (["http://a.example:8080/static/x"], None, ("no listener speaks http on port 8080: taken for this one",)),
    "TLS": (["https://a.example/static/x"], None, ("listener  :443 (TLS)", "the certificate for a.example, *.wild.example, from the internal authority", "RFC 6066 §3")),
    "wrong host": (["http://b.example/"], 404, ("not a.example, *.wild.example: b.example is another name", "answered with 404: no site for this host", "RFC 9110 §15.5.5")),
    "a wildcard": (["http://x.wild.example/static/x"], None, (f"*.wild.example: it lies above x.wild.example  ({p1}; RFC 9110 §7.2)",)),
    "an exact name before a wildcard": (["http://wild.wild.example/"], None, ("wild.wild.example: this very name is asked for", "not *.wild.example: a longer name matches")),
    "wrong path": (["http://a.example/none"], 404, (f"not /static/: /none does not lie under it  ({p2})", "answered with 404: no route for this path")),
    "the longest path": (["http://a.example/shop/1"], None, (f"route     /shop, GET, HEAD: it takes /shop/1  ({p3})",)),
    "method not allowed": (["DELETE", "http://a.example/shop"], 405, ("not /shop: DELETE is none of its methods (GET, HEAD)", "answered with 405", "let through: GET, HEAD", "RFC 9110 §15.5.6")),
    "an ambiguous path": (["http://a.example/static/%2e%2e/upload"], 400, ("answered with 400: the path means one route as it is written and another one when it is normalised", "RFC 3986 §6.2.2")),
    "a path that is none": (["http://a.example/%zz"], 400, ("RFC 3986 §2.1",)),
    "an untrusted client's claims": (["http://a.example/static/x", "-H", "X-Forwarded-For: 1.2.3.4"], None, (f"192.0.2.1: it is not in trusted_proxies, so what it claims is dropped (X-Forwarded-For)  ({TRUSTED}; RFC 7239 §8.1)", "~ X-Forwarded-For: 192.0.2.1, instead of 1.2.3.4")),
    "a trusted proxy": (["http://a.example/static/x", "--from", "10.0.0.1", "-H", "X-Forwarded-For: 1.2.3.4", "-H", "X-Forwarded-Proto: https"], None, ("10.0.0.1: in trusted_proxies (10.0.0.0/8), so what it claims is believed", "the client is 1.2.3.4", "it used https, as X-Forwarded-Proto says")),
    "redirect to https": (["http://secure.example/a?b"], 308, (f"answered with 308, redirected to https://secure.example/a?b: the request came in clear text  ({p4}; RFC 9110 §15.4.9)",)),
    "HSTS": (["https://secure.example/"], None, ("the answer gets Strict-Transport-Security: max-age=15552000", "RFC 6797 §6.1")),
    "414": (["http://a.example/" + "a" * 300], 414, (f"({p5}; RFC 9110 §15.5.15)",)),
    "431 for its size": (["http://a.example/", "-H", "X: " + "a" * 3000], 431, (f"({p6}; RFC 6585 §5)",)),
    "431 for its fields": (["http://a.example/", *[word for number in range(25) for word in ("-H", f"X{number}: y")]], 431, (f"({p7}; RFC 6585 §5)",)),
    "413": (["POST", "http://a.example/upload", "-H", "Content-Length: 5000"], 413, ("refused with 413", p15, "RFC 9110 §15.5.14")),
    "a body that may come": (["POST", "http://a.example/upload", "-H", "Content-Length: 500"], None, (f"500 octets; up to 1KiB are taken, then it is 413  ({p8}; RFC 9110 §15.5.14)",)),
    "expect": (["POST", "http://a.example/upload", "-H", "Content-Length: 500", "-H", "Expect: 100-continue"], None, ("100 (Continue) is sent when the server wants the body",)),
    "framing that can't be decided": (["POST", "http://a.example/upload", "-H", "Content-Length: 5", "-H", "Transfer-Encoding: chunked"], 400, ("answered with 400", "RFC 9112 §6.3")),
    "a Content-Length that is none": (["POST", "http://a.example/upload", "-H", "Content-Length: x"], 400, ("RFC 9112 §6.3",)),
    "an unknown coding": (["POST", "http://a.example/upload", "-H", "Transfer-Encoding: gzip"], 400, ("answered with 400: chunked is not the last transfer coding",)),
    "another host in the target's stead": (["http://a.example/static/x", "-H", "Host: b.example"], 404, ("no site for this host",)),
    "upgrade let through": (["http://a.example/static/x", "-H", "Connection: Upgrade", "-H", "Upgrade: websocket"], None, ("upgrade   websocket is let through; 101 makes a tunnel of the connection", "RFC 9110 §7.8")),
    "upgrade refused": (["http://a.example/live", "-H", "Connection: Upgrade", "-H", "Upgrade: websocket"], None, (f"websocket is not let through (upgrade lets nothing), so it is not asked for  ({p9}; RFC 9110 §7.8)",)),
    "upgrade that is not asked for": (["http://a.example/static/x", "-H", "Upgrade: websocket"], None, ("websocket is not asked for: Connection does not name Upgrade",)),
    "a path that is taken off": (["http://a.example/upload/x"], None, (f"GET /x: the route's path is taken off  ({p10})",)),
    "request fields that a route changes": (["http://a.example/live", "-H", "Cookie: a=b"], None, (f"- Cookie: request_headers takes it away  ({p11})", "+ X-Kind: live (request_headers says so)")),
    "the host that a route sets": (["http://a.example/live"], None, (f"~ Host: inner.example, instead of a.example (the route's host)  ({p12}; RFC 9110 §7.2)",)),
    "Forwarded": (["http://a.example/live"], None, ("+ Forwarded: ", p16, "RFC 7239 §4")),
    "fields of one connection": (["http://a.example/live", "-H", "Connection: X-Own", "-H", "X-Own: y"], None, ("- X-Own: ", "RFC 9110 §7.6.1")),
    "Max-Forwards": (["OPTIONS", "http://a.example/live", "-H", "Max-Forwards: 0"], 200, ("answered here with 200: Max-Forwards is 0", "RFC 9110 §7.6.2")),
    "files": (["http://a.example/files/x"], None, ("target    files ", p17)),
    "servers and weights": (["http://a.example/shop"], None, ("10.0.0.5:8000: gets 1 of 3 requests while it is up", "10.0.0.6:8000: gets 2 of 3 requests while it is up", "how the servers fare now only the running proxy knows")),
    "a limit that is written": (["http://a.example/shop"], None, (f"queue = 7  ({p13})",)),
    "traces of a server": (["http://a.example/static/x", "-R", "Server: Apache", "-R", "X-Powered-By: PHP"], None, ("- Server: it tells of the server", "- X-Powered-By: it tells of the server")),
    "a redirect of a server": (["http://a.example/static/x", "--status", "302", "-R", "Location: http://127.0.0.1:9/y"], None, ("~ Location: http://a.example/y, instead of http://127.0.0.1:9/y (it names the server)",)),
    "nothing cached": (["http://a.example/live"], None, ("nothing is cached here: the route has no cache = true",)),
    "nothing stored yet": (["http://a.example/static/x"], None, ("request   sent on: nothing is stored for this URL  (RFC 9111 §4)",)),
    "stored": (["http://a.example/static/x", "-R", "Cache-Control: max-age=60"], None, ("decision  stored, fresh for 60 s: the response tells how long it is fresh  (RFC 9111 §4.2.1)",)),
    "not stored: no-store": (["http://a.example/static/x", "-R", "Cache-Control: no-store"], None, ("decision  not stored: the response forbids to store it", "RFC 9111 §5.2.2.5")),
    "not stored: private": (["http://a.example/static/x", "-R", "Cache-Control: private"], None, ("not stored", "RFC 9111 §5.2.2.7")),
    "not stored: Set-Cookie on a guess": (["http://a.example/static/x", "-R", "Set-Cookie: a=b", "-R", "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT"], None, ("not stored: Set-Cookie and no explicit freshness", "set cache.ttl or send s-maxage")),
    "not stored: Authorization": (["http://a.example/static/x", "-H", "Authorization: Basic x", "-R", "Cache-Control: max-age=60"], None, ("not stored: the request carried Authorization", "RFC 9111 §3.5")),
    "not stored: Vary *": (["http://a.example/static/x", "-R", "Cache-Control: max-age=60", "-R", "Vary: *"], None, ("not stored", "RFC 9111 §4.1")),
    "negative": (["http://a.example/shop", "--status", "404", "-R", "X: y"], None, ("decision  stored, fresh for ",)),
    "a cookie that bypasses": (["http://a.example/shop", "-H", "Cookie: session=1"], None, (f"sent on: the request carries a cookie that bypasses the cache; remove the cookie's name there  ({p14})",)),
    "a field that bypasses": (["http://a.example/shop", "-H", "X-Preview: 1"], None, ("sent on: ", p18)),
    "only if cached": (["http://a.example/static/x", "-H", "Cache-Control: only-if-cached"], 504, ("answered with 504: the client wants a stored response, and none can be used", "RFC 9111 §5.2.1.7")),
    "a field that rewrites": (["http://a.example/static/x", "-H", "X-Original-URI: /admin"], None, ("the request carries a field by which servers are known to replace its host, path or method", "request_headers.remove")),
    "an unsafe method": (["POST", "http://a.example/static/x", "--status", "201"], None, ("sent on: an unsafe method is always written through to the server", "RFC 9110 §9.3.3")),
}


def explain(folder: Path, arguments: list[str]) -> Explanation:
    file = folder / "a.toml"
    (folder / "public").mkdir(exist_ok=True)
    file.write_text(dedent(CONFIG))
    examined = examine(file)
    assert examined.config is not None, examined.mistakes
    words: list[str] = []
    fields: dict[str, list[str]] = {"-H": [], "-R": [], "--from": [], "--status": []}
    rest = iter(arguments)
    for word in rest:
        fields[word].append(next(rest)) if word in fields else words.append(word)
    method, url = words if len(words) == 2 else ("GET", words[0])
    question = asked(method, url, tuple(fields["-H"]), (fields["--from"] or ["192.0.2.1"])[0])
    response = None
    if fields["-R"] or fields["--status"]:
        status = int((fields["--status"] or ["200"])[0])
        response = response_head("\n".join([f"HTTP/1.1 {status} ", *fields["-R"]]), examined.config.limits)
    return Walk(examined.config, Places("a.toml", CONFIG), question, 1e9).explain(response)


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_rule_and_its_place(name: str, tmp_path: Path) -> None:
    arguments, status, fragments = SITUATIONS[name]
    explained = explain(tmp_path, arguments)
    text = "\n".join(explained.lines)
    for fragment in fragments:
        assert fragment in text, text
    assert explained.status == status
    assert explained.json["text"] == text


def test_there_are_enough() -> None:
    assert len(SITUATIONS) >= 40


@pytest.mark.parametrize("hostile", ["\\x1b[2J", "%1b%5b2J", "<script>", "'\"><svg onload=x>", "a" * 8000])
def test_what_a_client_wrote_is_harmless(hostile: str, tmp_path: Path) -> None:
    for arguments in (
        [f"http://a.example/{hostile}".replace(" ", "%20")],
        ["http://a.example/", "-H", f"X-Forwarded-For: {hostile}", "-H", f"Cookie: {hostile}"],
        ["http://a.example/", "-H", f"Host: {hostile}"],
        ["http://a.example/live", "-H", f"Upgrade: {hostile}", "-H", "Connection: upgrade"],
    ):
        text = "\n".join(explain(tmp_path, arguments).lines)
        assert "<" not in text and "\x1b" not in text
        assert all(letter.isprintable() or letter == "\n" for letter in text)
        assert max(map(len, text.splitlines())) < 5000
