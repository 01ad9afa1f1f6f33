"""Uses a proxy for some minutes in every way there is, disturbs it all the while, and says what was lost.

The proxy runs with two workers, a TLS listener, a cache and servers of which one comes and goes. Clients of nine kinds
(``clients.py``) go on until the time is over; meanwhile it is reloaded, upgraded, rolled back, and one of its workers is
killed, again and again (``disturbances.py``). What a killed worker carried may be lost, and so may a tunnel when the
process that carries it is replaced and its drain is over; anything else that goes wrong is an error, and the exit code
is 1. Memory and descriptors are taken while all clients rest: at the start, after the last upgrade, at the end.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.live.support_backends import Nginx, Program
from tests.live.support_process import until
from tests.live.support_proxy import Proxy
from tests.live.support_tls import write_certificates
from tests.soak.clients import DOWNLOAD, KINDS, Client, Failure, Signals, Tally, Tunnel
from tests.soak.disturbances import DRAIN, Disturbances, Site
from tests.soak.figures import Held, held

AFTERMATH: Final = 2.0
"""Seconds after the end of a worker in which clients notice."""
MORE_DESCRIPTORS: Final = 12
"""How many more may be open at the end: connections to servers that are kept."""
MORE_MEMORY: Final = 0.25
"""The share by which memory may grow between the last upgrade and the end."""
LEAST_GROWTH: Final = 16 << 20


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=5.0, help="how long (5); fractions are fine")
    parser.add_argument("--seed", type=int, default=None, help="of the order in which things happen")
    return parser.parse_args(words)


class Soak:
    """One run."""

    def __init__(self, folder: Path, seconds: float, files: Nginx, app: Program, doubtful: Program) -> None:
        self._seconds = seconds
        self.site = Site(folder, files.url, app.url, doubtful.url)
        self.site.write()
        self.proxy = Proxy(folder, "--config", self.site.file, listen=False)
        self.tally = Tally()
        self.disturbed = Disturbances(self.proxy, self.site, folder / "doubtful", doubtful)
        self._signals = Signals()
        self._clients: list[Client] = [
            kind(self.site.ports, self.tally, self._signals) for kind, count in KINDS for _ in range(count)
        ]
        self.held: dict[str, Held] = {}

    def run(self) -> None:
        """Until the time is over."""
        self.proxy.await_start()
        until(lambda: self.proxy.order("GET", "/readyz")[0] == 200, "all workers to serve")
        for client in self._clients:
            client.start()
        try:
            # Whatever is made once is made before anything is measured.
            self._go_on(self._seconds * 0.1, upgrades=False)
            self._rest("at the start")
            self._go_on(self._seconds * 0.4, upgrades=True)
            self.disturbed.upgrade()
            self._go_on(self._seconds * 0.1, upgrades=False)
            self._rest("after the last upgrade")
            self._go_on(self._seconds * 0.4, upgrades=False)
            self._rest("at the end")
        finally:
            self._signals.ended.set()
            for client in self._clients:
                client.join()
            self.disturbed.end()

    def _go_on(self, seconds: float, *, upgrades: bool) -> None:
        self._signals.resting.clear()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.disturbed.one(upgrades=upgrades)
            time.sleep(random.uniform(0.2, 1.0))

    def _rest(self, name: str) -> None:
        """Lets everybody rest, those who drain end, and looks."""
        self._signals.resting.set()
        for client in self._clients:
            client.idle.wait(30)
        root = self.disturbed.pid
        until(lambda: self.disturbed.status()["totals"]["connections"] == 0, "connections to end")
        # An old process and stores that were replaced go in their time.
        previous = held(root)
        for _ in range(40):
            time.sleep(0.5)
            now = held(root)
            if (now.processes, now.descriptors) == (previous.processes, previous.descriptors) and now.processes <= 3:
                break
            previous = now
        self.held[name] = held(root)


def explained(failure: Failure, disturbed: Disturbances) -> str:
    """Why something may have gone wrong; empty where nothing explains it."""
    if any(failure.began - AFTERMATH <= at <= failure.ended for at in disturbed.kills):
        return "carried by a killed worker"
    if failure.kind == Tunnel.kind and any(
        at <= failure.ended <= at + DRAIN + AFTERMATH for at in disturbed.upgrades
    ):
        return "tunnel of a replaced process, after its drain"
    return ""


def _row(name: str, *values: object) -> None:
    print(f"{name:46}" + "".join(f"{value!s:>24}" for value in values))


def report(soak: Soak, seconds: float) -> list[str]:
    """Prints what happened; what should not have."""
    wrong = list(soak.disturbed.wrong)
    print(f"\n{seconds:.0f} s\n")
    _row("what clients did", "well", "lost")
    lost = Counter(failure.kind for failure in soak.tally.failures)
    for kind, _ in KINDS:
        _row(f"  {kind.kind}", f"{soak.tally.done[kind.kind]:,}", lost[kind.kind])
    _row("  in all", f"{soak.tally.done.total():,}", lost.total())
    print(f"  (a download is {DOWNLOAD >> 20} MiB)\n")
    print("what happened")
    for name, number in sorted(soak.disturbed.done.items()):
        _row(f"  {name}", number)
    print("\nwhat was lost, and why")
    reasons: Counter[str] = Counter()
    for failure in soak.tally.failures:
        why = explained(failure, soak.disturbed)
        reasons[why or "ERROR"] += 1
        if not why:
            wrong.append(f"{failure.kind}: {failure.text}")
    for why, number in sorted(reasons.items()):
        _row(f"  {why}", number)
    if not reasons:
        print("  nothing")
    print()
    _row("what is held", *soak.held)
    _row("  processes", *(each.processes for each in soak.held.values()))
    _row("  descriptors", *(each.descriptors for each in soak.held.values()))
    _row("  memory, MiB", *(f"{each.memory / (1 << 20):.1f}" for each in soak.held.values()))
    return wrong + grown(list(soak.held.values()))


def grown(seen: Sequence[Held]) -> list[str]:
    """What the processes hold at the end and did not after the last upgrade."""
    if len(seen) < 2:
        return []
    before, after = seen[-2:]
    wrong = []
    if after.descriptors > before.descriptors + MORE_DESCRIPTORS:
        wrong.append(f"descriptors: {before.descriptors} became {after.descriptors}")
    if after.memory > before.memory + max(before.memory * MORE_MEMORY, LEAST_GROWTH):
        wrong.append(f"memory: {before.memory:,} became {after.memory:,} octets")
    return wrong


@contextmanager
def arranged(folder: Path, seconds: float) -> Iterator[Soak]:
    """The servers, the proxy, the clients."""
    write_certificates(folder / "certs", "localhost", "127.0.0.1")
    documents = folder / "nginx" / "documents"
    documents.mkdir(parents=True)
    (documents / "large").write_bytes(bytes(DOWNLOAD))
    with (
        Nginx(folder / "nginx") as files,
        Program("app", "support_aiohttp_app", folder, "0") as app,
        Program("doubtful", "support_aiohttp_app", folder / "doubtful", "0") as doubtful,
    ):
        soak = Soak(folder, seconds, files, app, doubtful)
        with soak.proxy:
            yield soak


def main(words: Sequence[str] | None = None) -> int:
    """Runs it; the exit code."""
    chosen = _arguments(words)
    if chosen.seed is not None:
        random.seed(chosen.seed)
    seconds = chosen.minutes * 60
    with tempfile.TemporaryDirectory(prefix="soak-") as folder, arranged(Path(folder), seconds) as soak:
        began = time.monotonic()
        soak.run()
        wrong = report(soak, time.monotonic() - began)
        output = soak.proxy.output
    if "Traceback" in output:
        wrong.append(output[output.index("Traceback") :][:2000])
    if not soak.tally.done:
        wrong.append("nobody was answered")
    print("\nno errors" if not wrong else f"\n{len(wrong)} errors:")
    for text in wrong[:20]:
        print(f"  {text}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
