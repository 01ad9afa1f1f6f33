"""``revproxy dashboard``: the page of the running proxy in a browser, over a bridge on this machine.

Theory of operation. The admin interface listens on a unix socket, to which no browser connects. So this tool listens on
127.0.0.1 and carries each request over, for as long as it runs. Whoever can connect to a port of this machine could do
so as well, and a page of somebody else's in the same browser could try: the first visit needs a token that only this
tool knows (it is in the address that it opens) and that is good once; what it is exchanged for is a cookie that no
other site can send (SameSite=Strict, HttpOnly). Host and Origin must name the bridge itself, so that no name of
somebody else's that points to 127.0.0.1 gets an answer (DNS rebinding).
"""

from __future__ import annotations

import argparse
import hmac
import http.server
import secrets
import socket
import socketserver
import sys
import threading
import webbrowser
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from revproxy.control.client import Admin, Unreachable

OK: Final = 0
FAILED: Final = 1
COOKIE: Final = "revproxy-dashboard"
LARGEST_BODY: Final = 64 * 1024
PATIENCE: Final = 130.0
"""Seconds that a request to the bridge may take; a reload waits for every worker."""
_PASSED: Final = frozenset(
    ("content-type", "cache-control", "content-security-policy", "x-content-type-options", "referrer-policy")
    + ("x-frame-options", "cross-origin-opener-policy", "cross-origin-resource-policy")
)
"""Fields of an answer that the browser gets."""


class Bridge(socketserver.ThreadingTCPServer):
    """Listens on 127.0.0.1 and carries requests to the admin socket.

    :param find: gives the running proxy's admin interface, or raises Unreachable; asked for each request, since the
        proxy may be upgraded meanwhile.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, find: Callable[[], Admin], port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Carrying)
        self.find = find
        self.host = f"127.0.0.1:{self.server_address[1]}"
        self._token = secrets.token_urlsafe(24)
        self._session = secrets.token_urlsafe(24)
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """What to open; good once."""
        return f"http://{self.host}/?token={self._token}"

    def exchange(self, token: str) -> str | None:
        """The cookie's value for the token, the first time."""
        with self._lock:
            if self._token and hmac.compare_digest(token.encode(), self._token.encode()):
                self._token = ""
                return self._session
        return None

    def is_known(self, session: str) -> bool:
        """Whether a cookie is the one that was given."""
        return hmac.compare_digest(session.encode(), self._session.encode())

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that leaves is no event."""


class _Carrying(http.server.BaseHTTPRequestHandler):
    server: Bridge
    protocol_version = "HTTP/1.1"
    timeout = PATIENCE
    server_version = "revproxy"
    sys_version = ""

    def do_GET(self) -> None:
        """Carries it over."""
        self._serve()

    do_HEAD = do_POST = do_GET

    def log_message(self, format: str, *arguments: Any) -> None:
        """No line: the address of the first visit has the token."""

    def _serve(self) -> None:
        fault = self._fault()
        if fault:
            self._refuse(403, fault)
            return
        parts = urlsplit(self.path)
        token = parse_qs(parts.query).get("token", [""])[0]
        session = self.server.exchange(token) if token else None
        if session is not None:
            self.send_response(303)
            self.send_header("Location", "/")
            self.send_header("Set-Cookie", f"{COOKIE}={session}; Path=/; HttpOnly; SameSite=Strict")
            self.send_header("Referrer-Policy", "no-referrer")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.server.is_known(self._cookie()):
            self._carry()
        else:
            self._refuse(401, "the address is good for one visit: start revproxy dashboard again for another")

    def _fault(self) -> str:
        if self.headers.get_all("Host") != [self.server.host]:
            return "this is not the address of the dashboard"
        origin = self.headers.get("Origin")
        if origin is not None and origin != f"http://{self.server.host}":
            return "another site sent this request"
        return ""

    def _cookie(self) -> str:
        try:
            found = SimpleCookie(self.headers.get("Cookie", "")).get(COOKIE)
        except CookieError:
            return ""
        return found.value if found is not None else ""

    def _carry(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > LARGEST_BODY or "Transfer-Encoding" in self.headers:
            self._refuse(413, "that is too much")
            return
        body = self.rfile.read(int(length))
        try:
            with self._connected() as admin:
                admin.sendall(self._head(len(body)) + body)
                self._pass_back(admin)
        except (OSError, Unreachable) as reason:
            self._refuse(502, str(reason))

    def _connected(self) -> socket.socket:
        path = self.server.find().path
        admin = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            admin.settimeout(PATIENCE)
            admin.connect(path)
        except BaseException:
            admin.close()
            raise
        return admin

    def _head(self, length: int) -> bytes:
        # As HTTP/1.0, so that the answer's end is the connection's.
        media = self.headers.get("Content-Type", "")
        accept = self.headers.get("Accept", "*/*")
        lines = [f"{self.command} {self.path} HTTP/1.0", "Host: localhost", f"Accept: {accept}"]
        if self.command == "POST":
            lines += [f"Content-Type: {media}", f"Content-Length: {length}"]
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")

    def _pass_back(self, admin: socket.socket) -> None:
        answer = admin.makefile("rb")
        status = answer.readline(65536).split(b" ", 2)
        if len(status) < 2 or not status[1].isdigit():
            raise Unreachable("the proxy does not answer as revproxy does")
        self.send_response(int(status[1]))
        while (line := answer.readline(65536)).strip():
            name, _, value = line.partition(b":")
            if name.decode("latin-1").lower() in _PASSED:
                self.send_header(name.decode("latin-1"), value.decode("latin-1").strip())
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        # Events trickle: each read gives what there is.
        while octets := answer.read1(65536):
            self.wfile.write(octets)
            self.wfile.flush()

    def _refuse(self, status: int, text: str) -> None:
        octets = f"{text}\n".encode()
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(octets)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(octets)


_DESCRIPTION = """\
Open the page of the running proxy in a browser: rates, times, statuses, cache, servers, workers, certificates and
requests as they come, each with its explanation. The address works on this machine, once, until Ctrl-C.
Exit codes: 0 ended by Ctrl-C, 1 no proxy is running, 2 the command line can't be used.
"""


def add_arguments(tool: argparse.ArgumentParser) -> None:
    """The arguments of ``dashboard``, but for those that say which proxy."""
    tool.description = _DESCRIPTION
    tool.formatter_class = argparse.RawDescriptionHelpFormatter
    tool.add_argument("--no-browser", action="store_true", help="only print the address")
    tool.add_argument("--port", metavar="PORT", type=_port, default=0, help="port of 127.0.0.1 (a free one)")


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"is a port, not {text!r}")
    return int(text)


def run(arguments: argparse.Namespace, find: Callable[[], Admin]) -> int:
    """Serves the page until Ctrl-C; returns the exit code."""
    try:
        find().ask("GET", "/healthz")
        bridge = Bridge(find, arguments.port)
    except Unreachable as reason:
        print(f"revproxy: {reason}", file=sys.stderr)
        return reason.code
    except OSError as reason:
        print(f"revproxy: port {arguments.port}: {reason.strerror or reason}", file=sys.stderr)
        return FAILED
    with bridge:
        print(f"{bridge.url}\nCtrl-C ends it.", flush=True)
        if not arguments.no_browser:
            webbrowser.open(bridge.url)
        try:
            bridge.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            print(file=sys.stderr)
    return OK
