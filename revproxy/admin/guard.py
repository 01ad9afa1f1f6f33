"""Who may use the admin interface over TCP. Everything is refused that is not known to be meant.

A page from elsewhere can have the operator's browser send requests here (CSRF), and can even have a name of its own
lead here (DNS rebinding). So ``Host`` must be a name that is known to be ours, or an address, which no such name is;
``Origin`` and ``Sec-Fetch-Site``, where a browser sends them, must say that the request comes from our own page. Then
whoever asks must prove who it is: by the token, or by a session that a one-time token began. Only the page itself is
for everybody: nothing is in it, and it asks for the token.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from ipaddress import IPv6Address, ip_address
from typing import Final

import attrs
from twisted.logger import Logger
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request

from revproxy.admin.answers import answer, answer_octets
from revproxy.admin.sessions import SESSION, Sessions

_log = Logger()

COOKIE: Final = b"revproxy_session"
COMPLAIN_EVERY: Final = 10.0
"""Seconds between two lines of the log about refused requests."""
_HOST: Final = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")


@attrs.frozen
class Refused:
    """Why a request is not let in."""

    status: int
    text: str


@attrs.frozen
class Rules:
    """What is asked of clients.

    :param token: what they must send; None where their certificates are enough.
    :param hosts: names, in lower case, by which they may reach us, beside addresses and localhost.
    """

    token: bytes | None
    hosts: frozenset[str] = frozenset()
    is_secure: bool = False
    """Whether TLS is spoken."""


def host_refusal(values: Iterable[bytes], hosts: frozenset[str]) -> Refused | None:
    """What is wrong with the Host fields of a request; None if nothing is."""
    given = list(values)
    match = _HOST.fullmatch(given[0]) if len(given) == 1 else None
    if match is None:
        return Refused(400, "exactly one Host is expected")
    name = match[1].decode("ascii").lower().rstrip(".")
    if name == "localhost" or name in hosts or _is_address(name):
        return None
    return Refused(421, "this Host is none of ours; admin.allowed_hosts in the configuration adds names")


def _is_address(name: str) -> bool:
    try:
        if name.startswith("["):
            IPv6Address(name[1:-1])
        else:
            ip_address(name)
    except ValueError:
        return False
    return True


def origin_refusal(request: Request, *, is_secure: bool) -> Refused | None:
    """Whether a browser says that somebody else's page asks; None if not. Host has been looked at."""
    headers = request.requestHeaders
    origins = headers.getRawHeaders(b"origin") or []
    if origins:
        host = (request.getHeader(b"host") or b"").lower()
        own = (b"https://" if is_secure else b"http://") + host
        if [each.lower() for each in origins] != [own]:
            return Refused(403, "a page from elsewhere may not ask here (Origin)")
    site = request.getHeader(b"sec-fetch-site")
    if site not in (None, b"same-origin", b"none"):
        # Somebody followed a link to the page.
        if request.method == b"GET" and request.path == b"/" and request.getHeader(b"sec-fetch-mode") == b"navigate":
            return None
        return Refused(403, "a page from elsewhere may not ask here (Sec-Fetch-Site)")
    return None


class Guard(Resource):
    """Stands before the tree of the admin interface.

    :param sessions: of browsers; None where there are none.
    :param now: seconds of a clock that never goes back.
    """

    def __init__(self, root: IResource, rules: Rules, sessions: Sessions | None, now: Callable[[], float]) -> None:
        super().__init__()
        self.rules = rules
        self._root = root
        self._sessions = sessions
        self._now = now
        self._complained = float("-inf")
        self._refused = 0

    def getChildWithDefault(self, path: bytes, request: Request) -> IResource:
        """Whatever answers: the tree, or a refusal."""
        refusal = (
            host_refusal(request.requestHeaders.getRawHeaders(b"host") or (), self.rules.hosts)
            or origin_refusal(request, is_secure=self.rules.is_secure)
        )
        if refusal is None and self._is_login(request):
            return _Login(self._begin(request), is_secure=self.rules.is_secure)
        if refusal is None and not self._is_known(request):
            refusal = Refused(401, "the token is missing or wrong: send it as Authorization: Bearer ...")
        if refusal is not None:
            self._complain(request, refusal)
            return _Refusing(refusal)
        found: IResource = self._root.getChildWithDefault(path, request)
        return found

    def _is_known(self, request: Request) -> bool:
        token = self.rules.token
        if token is None or (request.path == b"/" and request.method in (b"GET", b"HEAD")):
            return True
        given = request.requestHeaders.getRawHeaders(b"authorization") or []
        if len(given) == 1:
            scheme, _, sent = given[0].partition(b" ")
            if scheme.lower() == b"bearer" and is_same(sent.strip(), token):
                return True
        session = request.getCookie(COOKIE)
        return session is not None and self._sessions is not None and self._sessions.knows(session)

    @staticmethod
    def _is_login(request: Request) -> bool:
        return request.path == b"/" and request.method == b"GET" and b"token" in (request.args or {})

    def _begin(self, request: Request) -> str | None:
        tokens = (request.args or {})[b"token"]
        if len(tokens) != 1 or self._sessions is None:
            return None
        return self._sessions.begin(tokens[0])

    def _complain(self, request: Request, refusal: Refused) -> None:
        """Says so in the log, seldom, and without anything that the client sent."""
        self._refused += 1
        now = self._now()
        if now - self._complained >= COMPLAIN_EVERY:
            self._complained = now
            peer = getattr(request.getClientAddress(), "host", None) or "-"
            _log.warn(
                "admin: {count} request(s) refused, the last one of {peer}: {text}",
                count=self._refused,
                peer=peer,
                text=refusal.text,
            )
            self._refused = 0


def is_same(given: bytes, expected: bytes) -> bool:
    """Compares in a time that says nothing of where they differ, nor how long the expected one is."""
    return hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(expected).digest())


class _Refusing(Resource):
    isLeaf = True

    def __init__(self, refusal: Refused) -> None:
        super().__init__()
        self._refusal = refusal

    def render(self, request: Request) -> int:
        if self._refusal.status == 401:
            request.responseHeaders.setRawHeaders(b"www-authenticate", [b'Bearer realm="revproxy"'])
        answer(request, self._refusal.status, {"error": self._refusal.text, "mistakes": []})
        return NOT_DONE_YET


class _Login(Resource):
    """Gives a browser its session, and leads it away from the address that has the token in it."""

    isLeaf = True

    def __init__(self, session: str | None, *, is_secure: bool) -> None:
        super().__init__()
        self._session = session
        self._is_secure = is_secure

    def render(self, request: Request) -> int:
        request.responseHeaders.setRawHeaders(b"referrer-policy", [b"no-referrer"])
        if self._session is None:
            text = "this link was used already, or is too old: have a new one made"
            answer(request, 401, {"error": text, "mistakes": []})
            return NOT_DONE_YET
        cookie = b"%b=%b; Path=/; Max-Age=%d; HttpOnly; SameSite=Strict" % (
            COOKIE, self._session.encode("ascii"), int(SESSION)
        )  # fmt: skip
        request.responseHeaders.setRawHeaders(b"set-cookie", [cookie + (b"; Secure" if self._is_secure else b"")])
        request.responseHeaders.setRawHeaders(b"location", [b"/"])
        answer_octets(request, 303, b"text/plain; charset=utf-8", b"")
        return NOT_DONE_YET
