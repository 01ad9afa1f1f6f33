"""Speaking with an ACME server: its directory, signed requests, nonces, problems (RFC 8555 §6 and §7.1.1)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

import attrs
from acme import messages
from acme.jws import JWS
from josepy.errors import DeserializationError
from josepy.json_util import decode_b64jose
from josepy.jwa import ES256
from josepy.jwk import JWK

from revproxy.certificates.acme.fetching import Answer, Fetch, FetchError

NONCE_TRIES: Final = 10
"""How often a request is sent again with another nonce."""
LONGEST_TEXT: Final = 600
"""Characters of a server's words in a log line."""

_JOSE: Final = "application/jose+json"


class AcmeError(Exception):
    """Something was not had. The text says who said what."""

    def __init__(self, text: str, *, kind: str = "", retry_after: float = 0.0, is_server: bool = False) -> None:
        super().__init__(printable(text))
        self.kind = kind
        """The type of the server's problem without its prefix (RFC 8555 §6.7); empty where there was none."""
        self.retry_after = retry_after
        """Seconds for which the server wants to be left alone; 0 where it has not said."""
        self.is_server = is_server
        """Whether it has to do with the server or the account, so that other orders would fail as well."""


def printable(text: str) -> str:
    """A server's words as one line of a log."""
    line = "".join(each if each.isprintable() else " " for each in text)
    return line if len(line) <= LONGEST_TEXT else line[:LONGEST_TEXT] + "..."


@attrs.frozen
class Signer:
    """Who signs requests: a key, and the account's URL once there is one."""

    key: JWK
    uri: str | None = None


class AcmeServer:
    """An ACME server.

    :param url: of its directory.
    :param wall: seconds since 1970.
    """

    def __init__(self, fetch: Fetch, url: str, wall: Callable[[], float]) -> None:
        self._fetch = fetch
        self._wall = wall
        self.url = url
        self.host = url.partition("://")[2].partition("/")[0]
        """What messages call it."""
        self.directory: messages.Directory | None = None
        self._nonces: list[str] = []

    async def open(self) -> messages.Directory:
        """Reads the directory. Raises AcmeError."""
        answer = await self._send("GET", self.url)
        if answer.status != 200:
            raise self._refusal(answer, f"{self.url} is not there", is_server=True)
        try:
            found = json.loads(answer.body)
            directory = messages.Directory.from_json(found)
            for name in ("newNonce", "newAccount", "newOrder"):
                if not isinstance(directory[name], str):
                    raise TypeError
        except (ValueError, KeyError, TypeError, AttributeError, DeserializationError):
            raise AcmeError(f"{self.url} is no directory of an ACME server", is_server=True) from None
        self.directory = directory
        return directory

    async def get(self, url: str) -> Answer:
        """What lies open (RFC 9773 §4.1). Raises AcmeError."""
        return await self._send("GET", url)

    async def post(self, signer: Signer, url: str, payload: Mapping[str, Any] | None) -> Answer:
        """A signed request; ``payload`` None asks for what lies there (RFC 8555 §6.3). Raises AcmeError."""
        octets = b"" if payload is None else json.dumps(payload).encode("ascii")
        for _ in range(NONCE_TRIES):
            body = self._signed(signer, url, octets, await self._nonce())
            answer = await self._send("POST", url, body)
            self._keep_nonce(answer)
            if answer.status < 400:
                return answer
            error = self._refusal(answer, f"{url} can't be had")
            if error.kind != "badNonce":
                raise error
        raise AcmeError(f"{self.host} takes none of its own nonces", is_server=True)

    def _signed(self, signer: Signer, url: str, payload: bytes, nonce: str) -> bytes:
        try:
            octets = decode_b64jose(nonce)
        except DeserializationError:
            raise AcmeError(f"{self.host} gives a nonce that is none", is_server=True) from None
        signed = JWS.sign(payload, signer.key, ES256, octets, url, signer.uri)
        text: str = signed.json_dumps()
        return text.encode("ascii")

    async def _nonce(self) -> str:
        """RFC 8555 §7.2."""
        if not self._nonces:
            directory = self.directory or await self.open()
            self._keep_nonce(await self._send("HEAD", directory["newNonce"]))
            if not self._nonces:
                raise AcmeError(f"{self.host} gives no nonce", is_server=True)
        return self._nonces.pop()

    def _keep_nonce(self, answer: Answer) -> None:
        nonce = answer.field("replay-nonce")
        # They grow old; a few are enough for orders that go on at once.
        if nonce and len(self._nonces) < 8:
            self._nonces.append(nonce)

    async def _send(self, method: str, url: str, body: bytes | None = None) -> Answer:
        if not url.startswith("https://"):
            raise AcmeError(f'{self.host} names a URL that is not safe: "{url}"', is_server=True)
        try:
            answer = await self._fetch(method, url, body, _JOSE if body is not None else "")
        except FetchError as reason:
            raise AcmeError(f"{self.host} can't be asked: {reason}", is_server=True) from None
        if answer.status >= 500:
            raise self._refusal(answer, f"{self.host} is out of order", is_server=True)
        return answer

    def _refusal(self, answer: Answer, otherwise: str, *, is_server: bool = False) -> AcmeError:
        retry_after = seconds_of(answer.field("retry-after"), self._wall()) or 0.0
        kind, text = "", f"{otherwise} (status {answer.status})"
        try:
            problem = json.loads(answer.body)
            if isinstance(problem, dict) and ("type" in problem or "detail" in problem):
                kind, said = read_problem(problem)
                text = f"{self.host} says: {said}"
        except ValueError:
            pass
        return AcmeError(text, kind=kind, retry_after=retry_after, is_server=is_server)


def read_problem(problem: object) -> tuple[str, str]:
    """The type of a problem document (RFC 9457, RFC 8555 §6.7) without its prefix, and its words."""
    if not isinstance(problem, dict):
        return "", "something that can't be read"
    kind = str(problem.get("type", "")).removeprefix(messages.ERROR_PREFIX)
    detail = str(problem.get("detail") or problem.get("title") or "no details")
    parts = [f"{detail} ({kind})" if kind else detail]
    below = problem.get("subproblems")
    if isinstance(below, list):
        for each in below[:10]:
            name = each.get("identifier") if isinstance(each, dict) else None
            said = read_problem(each)[1]
            parts.append(f'{name.get("value")}: {said}' if isinstance(name, dict) else said)
    return kind, "; ".join(parts)


def seconds_of(text: str, now: float) -> float | None:
    """Retry-After (RFC 9110 §10.2.3) as seconds from ``now``; None for what is none."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None
