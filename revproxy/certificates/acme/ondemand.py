"""Certificates for names that clients ask for: who may have one.

A handshake never waits. It is answered with what is there, and the name, if it may be had, is put into the folder of
requests; the process that orders takes it from there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from revproxy.certificates.acme.fetching import Fetch, FetchError
from revproxy.certificates.acme.store import Store
from revproxy.certificates.choice import ChosenContext
from revproxy.certificates.names import NameTable
from revproxy.config.acme_tables import OnDemand
from revproxy.config.checks.acme import why_not
from revproxy.config.hosts import normal_host, normal_pattern
from revproxy.wire.client_hello import ClientHello

_log = Logger()

HOUR: Final = 3600.0
MOST_REMEMBERED: Final = 10_000
"""Names whose answers are remembered; the oldest go first."""
MOST_QUESTIONS: Final = 16
"""Questions that are under way at once; names that come when there are more ask again with their next handshake."""
ASK_AGAIN: Final = 10.0
"""Seconds after which a question is asked again that was not answered."""


class Permission:
    """Which names may be had.

    :param wall: seconds since 1970.
    """

    def __init__(self, options: OnDemand, fetch: Fetch, wall: Callable[[], float]) -> None:
        self._options = options
        self._fetch = fetch
        self._wall = wall
        self._allowed = NameTable((normal_pattern(pattern), True) for pattern in options.allow)
        self._remembered: dict[str, tuple[bool, float]] = {}
        self._complaint_at = float("-inf")
        self.under_way: set[str] = set()

    def known(self, name: str) -> bool | None:
        """Whether a name may be had, as far as nobody needs to be asked."""
        if why_not(name):
            return False
        if self._options.allow and not self._allowed.find_by_suffix(name):
            return False
        if self._options.ask is None:
            return True
        answer, until = self._remembered.get(name, (False, 0.0))
        return answer if self._wall() < until else None

    async def ask(self, name: str) -> bool:
        """Whether a name may be had. Where the answer can't be had, it may not; see ``known`` as well."""
        known = self.known(name)
        url = self._options.ask
        if known is not None or url is None:
            return bool(known)
        separator = "&" if "?" in url else "?"
        self.under_way.add(name)
        try:
            answer = await self._fetch(
                "GET", f"{url}{separator}domain={quote(name, safe='')}", timeout=self._options.ask_timeout
            )
        except FetchError as reason:
            self._complain(name, str(reason))
            self._remember(name, False, ASK_AGAIN)
            return False
        finally:
            self.under_way.discard(name)
        if answer.status >= 500:
            self._complain(name, f"it answers with status {answer.status}")
            self._remember(name, False, ASK_AGAIN)
            return False
        allowed = answer.status == 200
        self._remember(name, allowed, self._options.remember)
        return allowed

    def _remember(self, name: str, allowed: bool, seconds: float) -> None:
        self._remembered.pop(name, None)
        while len(self._remembered) >= MOST_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[name] = (allowed, self._wall() + seconds)

    def _complain(self, name: str, reason: str) -> None:
        """Once a minute: scanners ask for many names."""
        if self._wall() - self._complaint_at >= 60.0:
            self._complaint_at = self._wall()
            _log.warn(
                "ACME: {url} can't say whether {name} may have a certificate: {reason}",
                url=self._options.ask,
                name=name,
                reason=reason,
            )


class Asked:
    """Turns hellos for unknown names into requests.

    :param poke: is called when there is a new one.
    """

    def __init__(
        self, permission: Permission, store: Store, poke: Callable[[], None], wall: Callable[[], float]
    ) -> None:
        self._permission = permission
        self._store = store
        self._poke = poke
        self._wall = wall
        self._requested: dict[str, float] = {}
        self._questions: set[Deferred[bool]] = set()

    def choose(self, hello: ClientHello) -> ChosenContext | None:
        """A hook of ``Certificates.asked_for_unknown``; it chooses nothing, ever."""
        name = hello.server_name
        if self._requested.get(name, 0.0) > self._wall():
            return None
        try:
            name = normal_host(name)
        except ValueError:
            return None
        known = self._permission.known(name)
        if known:
            self._request(name)
        elif known is None and name not in self._permission.under_way and len(self._questions) < MOST_QUESTIONS:
            question: Deferred[bool] = Deferred.fromCoroutine(self._permission.ask(name))
            self._questions.add(question)
            question.addCallback(self._answered, name)
            question.addErrback(self._no_answer)
            question.addBoth(lambda result: self._questions.discard(question))
        return None

    def _answered(self, allowed: bool, name: str) -> None:
        if allowed:
            self._request(name)

    def _no_answer(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            _log.failure("ACME: asking whether a name may have a certificate failed", failure)

    def _request(self, name: str) -> None:
        """Files it, once a minute at most."""
        while len(self._requested) >= MOST_REMEMBERED:
            del self._requested[next(iter(self._requested))]
        self._requested[name] = self._wall() + 60.0
        try:
            self._store.request(name, self._wall())
        except OSError as reason:
            _log.error("ACME: the request for {name} can't be kept: {reason}", name=name, reason=reason)
            return
        self._poke()

    def stop(self) -> None:
        """Gives questions up."""
        for question in list(self._questions):
            question.cancel()
