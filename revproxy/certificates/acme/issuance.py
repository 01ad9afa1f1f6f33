"""Certificates that are had from an ACME server, kept in the state folder, and renewed ahead of their end.

Theory of operation. Every process looks at the state folder every few seconds and serves what lies there. One of them
holds the folder's lock; it alone speaks with the server: it asks ``renewal.decide`` about each certificate and starts
what is due, a few at once. If it dies, the kernel gives the lock to whoever asks next. Challenges are answered by any
process, out of the folder. What fails is kept there too, so a restart neither forgets nor repeats it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timezone
from typing import Any, Final

import attrs
from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.logger import Logger

from revproxy.certificates.acme import renewal
from revproxy.certificates.acme.account import Account, open_account
from revproxy.certificates.acme.admission import Admission
from revproxy.certificates.acme.ari import certificate_id, read_window
from revproxy.certificates.acme.challenges import ChallengeAnswers, SharedPlace
from revproxy.certificates.acme.fetching import Fetch
from revproxy.certificates.acme.issued import IssuedCertificates, StandIns
from revproxy.certificates.acme.ondemand import Asked, Permission
from revproxy.certificates.acme.order import Order, Wish, new_key
from revproxy.certificates.acme.renewal import AskWindow, Held, Issue, Progress
from revproxy.certificates.acme.server import AcmeError, AcmeServer, seconds_of
from revproxy.certificates.acme.store import Store, progress_of
from revproxy.certificates.acme.wanted import wanted_certificates
from revproxy.certificates.checks import covers
from revproxy.certificates.collection import Certificates, InThread
from revproxy.certificates.names import NameTable
from revproxy.config.acme_tables import AcmeOptions
from revproxy.config.model import Config

_log = Logger()

EVERY: Final = 5.0
"""Seconds between two looks at the folder."""
AT_ONCE: Final = 4
"""Orders that are under way together."""
DAY: Final = 86400.0
LEFT_ALONE: Final = 7 * DAY
"""Seconds for which what is of no use any more is kept."""
OPENED_AGAIN: Final = 6 * 3600.0
"""Seconds after which directory and account are looked at again."""
_SERVER: Final = "server.json"


@attrs.frozen
class Means:
    """What the world is reached by."""

    fetch: Fetch
    """Asks the ACME server."""
    ask: Fetch
    """Asks the ``ask`` URL."""
    wall: Callable[[], float]
    """Seconds since 1970."""
    random: renewal.Random
    in_thread: InThread
    """Calls what blocks."""
    sleep: Callable[[float], Awaitable[None]]


class Issuance:
    """All that ``[tls.acme]`` is for. Raises ConfigError where the state folder can't be used."""

    def __init__(
        self, config: Config, options: AcmeOptions, certificates: Certificates, store: Store, means: Means
    ) -> None:
        self._config = config
        self._options = options
        self._certificates = certificates
        self._store = store
        self._means = means
        self._server = AcmeServer(means.fetch, options.directory_url, means.wall)
        self._account: Account | None = None
        self._opened = 0.0
        self._opening = DeferredLock()
        store.open()
        self.answers = ChallengeAnswers(store)
        certificates.first_asked.append(self.answers.choose)
        self._permission: Permission | None = None
        self._asked: Asked | None = None
        self._admission: Admission | None = None
        if options.on_demand is not None:
            self._permission = Permission(options.on_demand, means.ask, means.wall)
            self._admission = Admission(options.on_demand, self._permission, store, means.in_thread)
            self._asked = Asked(self._permission, store, self.poke, means.wall)
            certificates.asked_for_unknown.append(self._asked.choose)
        self._issued = IssuedCertificates(store)
        self._stand_ins = StandIns()
        self._progress: dict[str, Progress] = {}
        """By first names; only while we hold the lock."""
        self._trouble = Progress((self._server.host,))
        """Failures of the server as a whole."""
        self._running: dict[str, Deferred[None]] = {}
        self._is_crowded = False
        self._look: Deferred[None] | None = None
        self._next_look = float("-inf")
        self._stopped = False
        self._said: set[str] = set()
        self._provided: tuple[bytes, ...] | None = None
        self._told_missing: frozenset[tuple[str, ...]] = frozenset()
        self._known_wanted: tuple[tuple[bytes, ...], list[tuple[str, ...]]] | None = None
        self._wanted_names: frozenset[str] = frozenset()
        self._serve()

    # What every process does.

    def poke(self) -> None:
        """There is something to do."""
        self._next_look = float("-inf")

    def tick(self, now: float) -> None:
        """Looks at everything, every few seconds; for the sweep's ``on_tick``."""
        if self._look is None and now >= self._next_look and not self._stopped:
            self._next_look = now + EVERY
            self.look()

    def look(self) -> Deferred[None]:
        """Looks at everything now."""
        self._look = look = Deferred.fromCoroutine(self._look_at_all())
        look.addErrback(self._complain)
        look.addBoth(self._look_is_over)
        return look

    def _look_is_over(self, result: object) -> None:
        self._look = None

    def _complain(self, failure: Any) -> None:
        if failure.check(CancelledError):
            return
        if failure.check(OSError):
            self._say_once(f"the state folder {self._store.folder} can't be used: {failure.getErrorMessage()}")
        else:
            _log.failure("ACME: looking at the certificates failed", failure)

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            _log.error("ACME: {text}", text=text)

    async def _look_at_all(self) -> None:
        store, in_thread = self._store, self._means.in_thread
        self._issued.take(await in_thread(self._issued.look))
        self._serve()
        if not store.is_locked:
            # In this thread: it takes no time, and is not given to somebody who has been stopped in between.
            if not store.lock():
                return
            try:
                await in_thread(self._take_over)
            except BaseException:
                # Without knowing what has failed already, nothing may be tried.
                store.unlock()
                raise
        await self._start_what_is_due()
        self._said.clear()

    def _wanted(self) -> list[tuple[str, ...]]:
        """The names of the certificates that are wanted and that no file is for."""
        files = self._certificates.from_files
        key = tuple(certificate.fingerprint for certificate in files)
        if self._known_wanted is None or self._known_wanted[0] != key:
            table = NameTable((name, certificate) for certificate in files for name in certificate.names)
            wanted = wanted_certificates(self._config, lambda name: covers(table, name))
            self._known_wanted = (key, wanted)
            self._wanted_names = frozenset(name for names in wanted for name in names)
        return self._known_wanted[1]

    def _is_covered(self, name: str) -> bool:
        """Whether a name needs no certificate on demand."""
        return self._issued.get(name) is not None or name in self._wanted_names

    def _serve(self) -> None:
        """Puts what there is into force, and what stands in for the rest."""
        now = self._means.wall()
        wanted = self._wanted()
        first = {names[0] for names in wanted}
        serving = [
            certificate
            # Those that are wanted win over what is left of an earlier configuration.
            for name, certificate in sorted(self._issued.items(), key=lambda item: (item[0] not in first, item[0]))
            if name in first or certificate.not_after > now
        ]
        missing = [names for names in wanted if self._issued.get(names[0]) is None]
        if self._certificates.authority is not None:
            missing = []
        elif not wanted and not self._certificates.from_files:
            # All names are had on demand: who asks for another one gets this, and not the first customer's.
            missing = [("localhost",)]
        stand_ins = self._stand_ins.for_names(missing, now)
        # The first is what is served where there is nothing better.
        certificates = [*serving, *stand_ins] if wanted else [*stand_ins, *serving]
        provided = tuple(each.fingerprint for each in certificates)
        if provided == self._provided:
            return
        self._provided = provided
        for names in missing:
            if wanted and names not in self._told_missing:
                _log.warn(
                    "ACME: there is no certificate for {names} yet: a self-signed one is served until {host} has"
                    " issued one",
                    names=", ".join(names),
                    host=self._server.host,
                )
        self._told_missing = frozenset(missing)
        self._certificates.provide("acme", certificates)

    # What the process with the lock does.

    def _take_over(self) -> None:
        self._store.withdraw_all()
        found = {name: self._store.read_progress(name) for name in self._store.names()}
        self._progress = {name: progress for name, progress in found.items() if progress is not None}
        self._trouble = progress_of(self._store.read_json(_SERVER)) or self._trouble

    async def _start_what_is_due(self) -> None:
        now = self._means.wall()
        if now < self._trouble.next_time:
            return
        requested: set[str] = set()
        if self._admission is not None:
            requested = await self._admission.admit(self._progress, self._is_covered, now)
        questions: list[tuple[str, Progress, Held]] = []
        for name, progress in self._candidates():
            if name in self._running:
                continue
            held = self._issued.held(name)
            step = renewal.decide(progress, held, self._options.key_type, now, requested=name in requested)
            if isinstance(step, AskWindow) and held is not None:
                questions.append((name, progress, held))
            elif isinstance(step, Issue):
                if self._is_full():
                    return
                if name in requested and self._admission is not None:
                    await self._admission.begins(now)
                self._run(name, self._issue(name, progress, held, step.reason))
            if name in requested:
                await self._means.in_thread(self._store.fulfil, name)
        # Orders come first: a thousand questions after a start must not keep them waiting.
        for name, progress, held in questions:
            if self._is_full():
                return
            self._run(name, self._ask_window(name, progress, held))

    def _is_full(self) -> bool:
        """Whether nothing more may be begun now; the next one to end makes room."""
        self._is_crowded = len(self._running) >= AT_ONCE
        return self._is_crowded or self._stopped

    def _candidates(self) -> Iterator[tuple[str, Progress]]:
        wanted = self._wanted()
        for names in wanted:
            progress = self._progress.get(names[0])
            if progress is None or progress.names != names:
                progress = Progress(names)
            yield names[0], attrs.evolve(progress, on_demand=False)
        if self._permission is not None:
            first = {names[0] for names in wanted}
            for name, progress in list(self._progress.items()):
                if progress.on_demand and name not in first:
                    yield name, progress

    def _run(self, name: str, coroutine: Any) -> None:
        running: Deferred[None] = Deferred.fromCoroutine(coroutine)
        self._running[name] = running
        running.addErrback(self._complain)
        running.addBoth(self._run_is_over, name)

    def _run_is_over(self, result: object, name: str) -> None:
        self._running.pop(name, None)
        if self._is_crowded:
            self._is_crowded = False
            self.poke()

    async def _issue(self, name: str, before: Progress, held: Held | None, reason: str) -> None:
        means, store = self._means, self._store
        if before.on_demand and not await self._still_permitted(name, before, held):
            return
        _log.info("ACME: ordering a certificate for {names}: {reason}", names=", ".join(before.names), reason=reason)
        await self._keep(name, renewal.begun(before, means.wall(), means.random))
        try:
            server, account = await self._open()
            wish = Wish(
                names=before.names,
                key=await means.in_thread(new_key, self._options.key_type),
                challenges=self._challenges(before.failures),
                preferred_chain=self._options.preferred_chain,
                replaces=self._replaced(name),
            )
            place = SharedPlace(store, means.in_thread)
            octets = await Order(server, account, place, means.sleep, means.wall).fulfil(wish)
            await means.in_thread(store.write_certificate, name, octets)
        except CancelledError:
            # Nothing failed, we are told to stop.
            store.write_progress(name, before)
            raise
        except AcmeError as error:
            self._account = None
            await self._failed(name, before, error)
            return
        except OSError as error:
            await self._failed(name, before, AcmeError(f"it can't be kept in {store.folder}: {error}"))
            return
        except Exception as error:  # noqa: BLE001  # of one order; the others go on
            _log.failure("ACME: an order went wrong in a way that nobody thought of")
            await self._failed(name, before, AcmeError(f"{type(error).__name__}: {error}"))
            return
        await self._succeeded(name, before)

    async def _succeeded(self, name: str, before: Progress) -> None:
        means = self._means
        self._issued.take(await means.in_thread(self._issued.look))
        held = self._issued.held(name)
        if held is None:
            await self._failed(name, before, AcmeError("the certificate can't be read again"))
            return
        progress = renewal.issued(before, held, means.wall(), means.random)
        await self._keep(name, progress)
        if self._trouble.failures:
            self._trouble = Progress(self._trouble.names)
            await means.in_thread(self._store.write_json, _SERVER, attrs.asdict(self._trouble))
        _log.info(
            "ACME: {host} has issued a certificate for {names}, valid until {end}; it is renewed about {renewal}",
            host=self._server.host,
            names=", ".join(before.names),
            end=_day(held.not_after),
            renewal=_day(progress.renew_at),
        )
        self._serve()
        self.poke()

    async def _failed(self, name: str, before: Progress, error: AcmeError) -> None:
        means = self._means
        now = means.wall()
        if error.is_server:
            # Nobody else's order would do better: all wait together, and this one has not failed by itself.
            trouble = renewal.failed(self._trouble, str(error), now, means.random, retry_after=error.retry_after)
            if now >= self._trouble.next_time:
                self._trouble = trouble
                await means.in_thread(self._store.write_json, _SERVER, attrs.asdict(trouble))
            await self._keep(name, before)
            next_time = self._trouble.next_time
        else:
            progress = renewal.failed(before, str(error), now, means.random, retry_after=error.retry_after)
            await self._keep(name, progress)
            next_time = progress.next_time
        _log.error(
            "ACME: no certificate for {names}: {error}; the next try is at {next}",
            names=", ".join(before.names),
            error=error,
            next=_moment(next_time),
        )

    async def _keep(self, name: str, progress: Progress) -> None:
        self._progress[name] = progress
        await self._means.in_thread(self._store.write_progress, name, progress)

    async def _still_permitted(self, name: str, before: Progress, held: Held | None) -> bool:
        """Asked for each order, so a name that has gone is not renewed for ever."""
        permission = self._permission
        if permission is not None and await permission.ask(name):
            return True
        now = self._means.wall()
        _log.info("ACME: {name} may have no certificate (any more)", name=name)
        if held is None or now > held.not_after + LEFT_ALONE:
            self._progress.pop(name, None)
            await self._means.in_thread(self._store.forget, name)
        else:
            await self._keep(name, attrs.evolve(before, next_time=now + DAY, problem="it is not permitted any more"))
        return False

    async def _open(self) -> tuple[AcmeServer, Account]:
        """The server's directory and our account there."""
        await self._opening.acquire()
        try:
            now = self._means.wall()
            if self._account is None or now - self._opened > OPENED_AGAIN:
                await self._server.open()
                self._account = await open_account(self._server, self._store, self._options)
                self._opened = now
            return self._server, self._account
        finally:
            self._opening.release()

    def _challenges(self, failures: int) -> tuple[str, ...]:
        """The preferred first, and another first after a failure: perhaps only one of two ports is open."""
        usable = self._options.challenges
        if not any(not listener.tls for listener in self._config.listeners):
            usable = tuple(each for each in usable if each != "http-01") or usable
        at = failures % len(usable)
        return usable[at:] + usable[:at]

    def _replaced(self, name: str) -> str | None:
        certificate = self._issued.get(name)
        directory = self._server.directory
        if certificate is None or directory is None or "renewalInfo" not in directory.to_partial_json():
            return None
        return certificate_id(certificate.leaf)

    async def _ask_window(self, name: str, progress: Progress, held: Held) -> None:
        """RFC 9773 §4."""
        means = self._means
        certificate = self._issued.get(name)
        window, ask_after = None, None
        try:
            directory = self._server.directory or await self._server.open()
            base = directory.to_partial_json().get("renewalInfo")
            known_as = certificate_id(certificate.leaf) if certificate is not None else None
            if isinstance(base, str) and known_as is not None:
                answer = await self._server.get(f"{base.rstrip('/')}/{known_as}")
                ask_after = seconds_of(answer.field("retry-after"), means.wall())
                window = read_window(answer.body) if answer.status == 200 else None
            else:
                ask_after = DAY
        except AcmeError as error:
            _log.info("ACME: no renewal window for {names}: {error}", names=", ".join(progress.names), error=error)
        told = renewal.told_window(progress, held, window, ask_after, means.wall(), means.random)
        if window is not None and window != progress.window:
            _log.info(
                "ACME: {host} wants {names} to be renewed between {start} and {end}{why}: it is done at {time}",
                host=self._server.host,
                names=", ".join(progress.names),
                start=_moment(window.start),
                end=_moment(window.end),
                why=f" ({window.explanation!r})" if window.explanation else "",
                time=_moment(max(told.renew_at, means.wall())),
            )
            if told.renew_at <= means.wall():
                self.poke()
        await self._keep(name, told)

    def stop(self) -> None:
        """Gives up what is under way, and the lock."""
        self._stopped = True
        certificates = self._certificates
        if self.answers.choose in certificates.first_asked:
            certificates.first_asked.remove(self.answers.choose)
        if self._asked is not None and self._asked.choose in certificates.asked_for_unknown:
            certificates.asked_for_unknown.remove(self._asked.choose)
        for running in [*self._running.values(), *([self._look] if self._look is not None else [])]:
            running.cancel()
        if self._asked is not None:
            self._asked.stop()
        self._store.unlock()


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%d")


def _moment(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
