"""An admin interface with nothing behind it: its figures move, its requests come, its orders are remembered.

It plays what the page and the terminal tools ask for, over TCP on 127.0.0.1 or over a unix socket, in threads of its
own. ``python -m tests.support.fake_admin [PORT]`` serves it until Ctrl-C, to work on the page.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import math
import random
import socket
import socketserver
import sys
import threading
import time
import urllib.parse
from collections import deque
from typing import TYPE_CHECKING, Any

from revproxy.admin.page import headers, page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

JSON = dict[str, Any]

PATHS = [
    ("GET", "shop.example", "/"),
    ("GET", "shop.example", "/products/blue-teapot?ref=mail"),
    ("GET", "shop.example", "/static/app.4f1c2a.js"),
    ("GET", "shop.example", "/static/fonts/inter.woff2"),
    ("POST", "shop.example", "/cart/items"),
    ("GET", "api.example", "/v2/orders/81723"),
    ("PUT", "api.example", "/v2/orders/81723/address"),
    ("GET", "api.example", "/v2/search?q=teapot&sort=price&page=3"),
    ("GET", "media.example", "/videos/harbour-1080p.mp4"),
    ("HEAD", "media.example", "/videos/harbour-1080p.mp4"),
    ("GET", "shop.example", "/wp-login.php"),
]
UPSTREAM = {"shop.example": "10.0.0.5:8000", "api.example": "10.0.1.11:9000", "media.example": "10.0.2.4:8080"}
CACHE = ["revproxy; hit; ttl=231", "revproxy; fwd=uri-miss; stored", "revproxy; fwd=stale; fwd-status=304; stored"]
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"

HOSTILE = (
    "/<script>window.hacked = true</script>",
    "/<img src=x onerror='window.hacked=true'>",
    "/\x1b[2J\x1b[31mred\x07",
    "/line\r\none\nSet-Cookie: x",
    "/\u202egnp.exe\u2066\u200b",
    "/" + "A" * 8192,
    "/'\"><svg onload=window.hacked=true>",
    "/{{script}}${window.hacked = true}",
)


class FakeAdmin:
    """One fake proxy; a context manager. What may be changed while it runs: ``rate``, ``state``, ``upstreams``, ``restarts``, ``beat``,
    ``behind``, ``dropped``."""

    def __init__(self, rate: float = 20.0, *, empty: bool = False, hostile: bool = False, seed: int = 1) -> None:
        self.rate = rate
        """Requests a second."""
        self.restarts = 0
        """Of worker 1."""
        self.dropped = 0
        """Requests that the next event says were too many to be shown."""
        self.beat = 5.0
        """Seconds from one event of the status to the next."""
        self.behind, self.told = 0.0, 0
        """How old the status is that events tell, in seconds; how many told one."""
        self.empty = empty
        self.hostile = hostile
        self.state = "serving"
        self.orders: list[tuple[str, JSON]] = []
        """The orders that came, with what they said."""
        self.token: str | None = None
        """What must come as a bearer token."""
        self._random = random.Random(seed)
        self._records: deque[JSON] = deque(maxlen=5000)
        self._lock = threading.Lock()
        self._count = 0
        self._born = time.time()
        self._ended = threading.Event()
        self._connections: set[socket.socket] = set()
        self._listening: list[tuple[socketserver.BaseServer, threading.Thread]] = []
        self.upstreams: list[JSON] = [] if empty else self._upstreams()
        if not empty:
            for _ in range(120):
                self._happen(time.time() - 30)

    # Listening.

    def __enter__(self) -> FakeAdmin:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def listen(self, port: int = 0) -> int:
        """Serves on 127.0.0.1; returns the port."""
        server = _TCPServer(("127.0.0.1", port), _answering(self))
        self._serve(server)
        return int(server.server_address[1])

    def listen_unix(self, path: Path) -> None:
        """Serves on a unix socket."""
        self._serve(_UnixServer(str(path), _answering(self)))

    def _serve(self, server: socketserver.BaseServer) -> None:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        self._listening.append((server, thread))

    def end(self) -> None:
        """Cuts everything off, as a process that is killed."""
        self._ended.set()
        for server, thread in self._listening:
            server.shutdown()
            server.server_close()
            thread.join()
        self._listening.clear()
        with self._lock:
            open_still = list(self._connections)
        for connection in open_still:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._ended = threading.Event()

    # What it tells.

    def status(self) -> JSON:
        """GET /status."""
        now = time.time()
        uptime = now - self._born + (0 if self.empty else 273_400)
        workers = [
            {
                "number": number,
                "pid": 41_200 + number * (1 + self.restarts),
                "state": self.state,
                "started": now - uptime,
                "restarts": self.restarts if number else (0 if self.empty else 1),
                "connections": 0 if self.empty else 141 + self._random.randrange(9),
                "in_flight": 0 if self.empty else 7 + self._random.randrange(5),
                "requests": 0 if self.empty else 9_481_223 + self._count,
                "memory": 61_000_000 + number * 1_250_000,
                "cpu": 0.4 if self.empty else 3_131.7 + number,
                "descriptors": 34 if self.empty else 340,
                "most_descriptors": 65_536,
                "beat_age": 0.4,
            }
            for number in range(1 if self.empty else 2)
        ]
        certificates = [
            (["shop.example", "www.shop.example"], "/etc/revproxy/certs/shop.pem", 61.3),
            (["api.example"], "ACME", 11.2),
            (["*.media.example", "media.example"], "/etc/revproxy/certs/media.pem", 2.4),
        ]
        return {
            "version": "0.1.0",
            "pid": 41_199,
            "state": self.state,
            "ready": self.state == "serving",
            "started": now - uptime,
            "uptime": uptime,
            "config": {
                "file": None if self.empty else "/etc/revproxy/revproxy.toml",
                "generation": 1 if self.empty else 4,
                "loaded": now - uptime / 2,
                "previous": 0 if self.empty else 2,
                "last_reload": None
                if self.empty
                else {"at": now - uptime / 2, "ok": True, "text": "1 route added, 1 upstream changed"},
            },
            "workers": workers,
            "listeners": [{"address": ":80", "tls": False, "connections": 0 if self.empty else 12}]
            + ([] if self.empty else [{"address": ":443", "tls": True, "connections": 274}]),
            "upstreams": self.upstreams,
            "certificates": []
            if self.empty
            else [
                {"names": names, "source": source, "not_after": now + days * 86_400, "days_left": days}
                for names, source, days in certificates
            ],
            "cache": None if self.empty else {"store": "memory", "entries": 18_204, "octets": 231_400_000},
            "totals": {
                "connections": sum(worker["connections"] for worker in workers),
                "in_flight": sum(worker["in_flight"] for worker in workers),
                "tunnels": 0 if self.empty else 6,
                "requests": sum(worker["requests"] for worker in workers),
                "handshakes_failed": 0 if self.empty else 38,
                "refused": 0 if self.empty else 3,
            },
        }

    def _upstreams(self) -> list[JSON]:
        def server(name: str, state: str = "up", **more: Any) -> JSON:
            known = {"weight": 1, "open": 9, "idle": 6, "failures": 0, "aside_for": 0.0}
            return {"name": name, "state": state, **known, **more}

        return [
            {"name": "shop", "queued": 0, "servers": [server("http://10.0.0.5:8000", weight=2, open=17, idle=11)]},
            {
                "name": "api",
                "queued": 3,
                "servers": [
                    server("http://10.0.1.11:9000"),
                    server("http://10.0.1.12:9000", "aside", open=0, idle=0, failures=4, aside_for=8.2),
                    server("http://10.0.1.13:9000", "down", open=0, idle=0),
                ],
            },
            {"name": "media", "queued": 0, "servers": [server("http://10.0.2.4:8080", open=22, idle=3)]},
        ]

    def point(self, at: float) -> JSON:
        """One of GET /figures."""
        if self.empty:
            nothing = {"at": at, "rate": 0.0, "by_class": dict.fromkeys(("1xx", "2xx", "3xx", "4xx", "5xx"), 0.0)}
            nothing.update({"p50": None, "p90": None, "p99": None, "hits": 0.0, "cache_requests": 0.0})
            return {**nothing, "connections": 0, "in_flight": 0, "sent": 0.0, "received": 0.0}
        noise = random.Random(int(at)).random
        wave = 1 + 0.22 * math.sin(at / 37) + 0.1 * math.sin(at / 7.3) + 0.08 * noise()
        trouble = max(0.0, math.sin(at / 61) - 0.86) * 4
        rate = 46 * self.rate * wave
        failed = rate * (0.001 + 0.05 * trouble)
        p50 = 0.0041 * (1 + 0.3 * math.sin(at / 29) + 0.15 * noise()) * (1 + trouble)
        return {
            "at": at,
            "rate": rate,
            "by_class": {
                "1xx": 0.0,
                "2xx": rate * 0.86 - failed,
                "3xx": rate * (0.09 + 0.01 * noise()),
                "4xx": rate * 0.04,
                "5xx": failed,
            },
            "p50": p50,
            "p90": p50 * (3.4 + noise()),
            "p99": p50 * (11 + 7 * noise()) * (1 + trouble),
            "hits": rate * 0.55 * (0.86 + 0.06 * math.sin(at / 43)),
            "cache_requests": rate * 0.55,
            "connections": int(280 * wave),
            "in_flight": int(14 * wave + 20 * trouble),
            "sent": rate * 18_300,
            "received": rate * 740,
        }

    def figures(self) -> JSON:
        """GET /figures."""
        now = math.floor(time.time())
        history = [] if self.empty else [self.point(now - ago) for ago in range(299, -1, -1)]
        return {"at": now, "now": self.point(now), "history": history}

    def _happen(self, at: float | None = None) -> JSON:
        pick = self._random
        self._count += 1
        method, host, target = pick.choice(PATHS)
        if self.hostile:
            target = HOSTILE[self._count % len(HOSTILE)]
            host = "<b>host</b>.example"
        status = pick.choices((200, 304, 404, 502, 301), (80, 9, 4, 2, 2))[0]
        if target.startswith("/wp-"):
            status = 404
        cached = method in ("GET", "HEAD") and host != "api.example" and status < 400
        cache = pick.choices(CACHE, (8, 2, 1))[0] if cached else ""
        hit = "hit" in cache
        total = pick.lognormvariate(-7.9 if hit else -4.6, 0.9)
        moment = at if at is not None else time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 1000):03d}Z"
        failed = status == 502
        record = {
            "id": f"{0x5A3F_0000_0000 + self._count * 7919:016x}",
            "time": stamp,
            "client": f"198.51.100.{pick.randrange(1, 250)}",
            "method": method,
            "target": target,
            "host": host,
            "scheme": "https",
            "version": "1.1",
            "status": status,
            "sent": 0 if method == "HEAD" else int(pick.lognormvariate(8.6, 1.6)),
            "received": pick.randrange(200, 900) if method in ("POST", "PUT") else 0,
            "total": round(total, 6),
            "connect": None if hit else round(total * 0.06, 6),
            "first": round(total * 0.82, 6),
            "upstream": None if hit or status == 404 else UPSTREAM.get(host, "10.0.0.5:8000"),
            "tries": 0 if hit else 2 if failed else 1,
            "trace": None if hit else f"{self._count * 7919:032x}",
            "cache": cache or None,
            "reason": "connect_failed" if failed else None,
            "detail": "10.0.1.12:9000: connection refused; 10.0.1.11:9000: connection refused" if failed else None,
            "agent": f"{AGENT}<script>window.hacked=true</script>" if self.hostile else AGENT,
            "referer": None,
            "site": host if not self.hostile else "shop.example",
            "route": "/",
            "worker": self._count % 2,
        }
        with self._lock:
            self._records.append(record)
        return record

    def requests(self, query: dict[str, str]) -> JSON:
        """GET /requests."""
        with self._lock:
            records = [record for record in reversed(self._records) if _matches(record, query)]
        return {"requests": records[: int(query.get("limit", "100"))]}

    def trace(self, id: str) -> JSON | None:
        """GET /requests/ID."""
        with self._lock:
            found = [record for record in self._records if record["id"] == id]
        return {**found[0], **explained(found[0]["status"], found[0]["target"])} if found else None

    def order(self, name: str, body: JSON) -> tuple[int, JSON]:
        """Any POST."""
        self.orders.append((name, body))
        if name == "explain":
            if not str(body.get("url", "")).startswith("http"):
                return 400, {"error": f"{body.get('url')!r} is no URL", "mistakes": []}
            return 200, explained(200, body["url"])
        if name == "peers":
            for upstream in self.upstreams:
                for server in upstream["servers"]:
                    if (upstream["name"], server["name"]) == (body.get("upstream"), body.get("server")):
                        server["state"] = body["state"]
                        return 200, {"text": f"{server['name']} is {body['state']}"}
            return 404, {"error": "there is no such server", "mistakes": []}
        if name == "reload":
            plan = [
                {"kind": "route", "change": "added", "name": "shop.example /beta/", "detail": "to http://10.0.0.9:8000",
                 "touches": None, "place": "revproxy.toml:41"},
                {"kind": "upstream", "change": "changed", "name": "api", "detail": "weight of http://10.0.1.11:9000 is 2, was 1",
                 "touches": 12, "place": "revproxy.toml:63"},
            ]  # fmt: skip
            return 200, {"changed": True, "plan": plan, "text": "1 route added, 1 upstream changed"}
        if name == "rollback":
            mistakes = ["revproxy.toml:12: certificates: /etc/revproxy/certs does not exist"]
            return 422, {"error": "the configuration has 1 mistake", "mistakes": mistakes}
        if name == "purge":
            return 200, {"text": "3 responses removed", "removed": 3}
        if name == "drain":
            self.state = "draining"
            return 200, {"text": "draining"}
        return 404, {"error": "nothing is here", "mistakes": []}

    def events(self, query: dict[str, str]) -> Iterator[tuple[str, JSON]]:
        """GET /events: what happens, until it ends."""
        ended = self._ended
        last_second, last_status, due = 0.0, 0.0, time.time()
        while not ended.is_set():
            now = time.time()
            if now - last_status >= self.beat:
                last_status = now
                status = self.status()
                yield "status", {**status, "uptime": status["uptime"] - self.behind}
                self.told += 1
            if math.floor(now) > last_second:
                last_second = math.floor(now)
                yield "figures", self.point(last_second)
            while self.rate and not self.empty and due <= now:
                due += 1 / self.rate
                record = self._happen()
                if _matches(record, query):
                    yield "request", record
            if self.dropped:
                dropped, self.dropped = self.dropped, 0
                yield "dropped", {"requests": dropped}
            due = max(due, now - 1)
            ended.wait(min(0.05, 1 / self.rate if self.rate else 0.05))


def explained(status: int, what: str) -> JSON:
    """An explanation as the proxy words it, with ``what`` in it."""
    steps = [
        ("listener", ":443 (TLS)", "revproxy.toml:3", ""),
        ("client", "198.51.100.7 connected itself; what it claims in X-Forwarded-For is dropped", "revproxy.toml:9", ""),
        ("site", "shop.example", "revproxy.toml:14", "RFC 9112 §3.2"),
        ("route", f"/ takes {what}", "revproxy.toml:22", ""),
        ("route", "not /static/: the path begins otherwise", "revproxy.toml:17", ""),
        ("cache", "the key is https://shop.example/, the stored response is fresh for 231 s more", "revproxy.toml:24", "RFC 9111 §4.2"),
        ("answer", f"{status} from memory, no server was asked", "", "RFC 9110 §15"),
    ]  # fmt: skip
    value = [{"step": step, "text": text, "place": place, "rfc": rfc} for step, text, place, rfc in steps]
    return {"explanation": value, "text": "\n".join(f"{step:<10}{text}" for step, text, _, _ in steps)}


def _matches(record: JSON, query: dict[str, str]) -> bool:
    status = str(record["status"])
    wanted = query.get("status", "")
    if wanted and not (wanted == status or (wanted.endswith("xx") and wanted[0] == status[0])):
        return False
    return all(str(query[name]) in str(record[key]) for name, key in (
        ("host", "host"), ("path", "target"), ("method", "method"), ("client", "client"), ("worker", "worker"),
    ) if query.get(name))  # fmt: skip


class _TCPServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Who asked has left: that is theirs to do."""


class _UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """As above."""


def _answering(fake: FakeAdmin) -> Callable[..., http.server.BaseHTTPRequestHandler]:
    class Answering(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            with fake._lock:
                fake._connections.add(self.connection)

        def finish(self) -> None:
            with fake._lock:
                fake._connections.discard(self.connection)
            with contextlib.suppress(OSError):
                super().finish()

        def address_string(self) -> str:
            return "-"

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

        def _give(self, status: int, octets: bytes, fields: Any = ((b"Content-Type", b"application/json"),)) -> None:
            self.send_response(status)
            for name, value in fields:
                self.send_header(name.decode(), value.decode())
            self.send_header("Content-Length", str(len(octets)))
            self.end_headers()
            self.wfile.write(octets)

        def _json(self, status: int, value: Any) -> None:
            self._give(status, json.dumps(value).encode())

        def _may(self) -> bool:
            if fake.token is None or self.headers.get("Authorization") == f"Bearer {fake.token}":
                return True
            self._json(401, {"error": "the token is missing", "mistakes": []})
            return False

        def do_GET(self) -> None:
            address = urllib.parse.urlsplit(self.path)
            query = dict(urllib.parse.parse_qsl(address.query))
            path = address.path
            if path == "/":
                self._give(200, page(), headers())
            elif not self._may():
                pass
            elif path == "/status":
                self._json(200, fake.status())
            elif path == "/figures":
                self._json(200, fake.figures())
            elif path == "/requests":
                self._json(200, fake.requests(query))
            elif path.startswith("/requests/"):
                trace = fake.trace(urllib.parse.unquote(path.removeprefix("/requests/")))
                self._json(200, trace) if trace else self._json(404, {"error": "it is not kept", "mistakes": []})
            elif path == "/events":
                self._events(query)
            else:
                self._json(404, {"error": "nothing is here", "mistakes": []})

        def _events(self, query: dict[str, str]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            with contextlib.suppress(OSError):
                for kind, value in fake.events(query):
                    self.wfile.write(f"event: {kind}\ndata: {json.dumps(value)}\n\n".encode())
            self.close_connection = True

        def do_POST(self) -> None:
            octets = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            if self._may():
                self._json(*fake.order(self.path.strip("/"), json.loads(octets or b"{}")))

    return Answering


if __name__ == "__main__":
    with FakeAdmin(empty="empty" in sys.argv, hostile="hostile" in sys.argv) as running:
        port = running.listen(int(sys.argv[1]) if sys.argv[1:] and sys.argv[1].isdigit() else 0)
        print(f"http://127.0.0.1:{port}/", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
