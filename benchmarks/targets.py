"""What the project has set out to reach, and whether the measured figures reach it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import attrs

from benchmarks.idle import IdleResult
from benchmarks.rounds import Sample, ratio
from benchmarks.scenarios import IDLES, NAMES

Figure = Literal["rate", "cpu"]
KIB = 1024
IDLE_KIB: Mapping[str, float] = {"idle": 5.0, "tls-idle": 35.0}
"""The most that an idle connection may take."""


@attrs.frozen
class Target:
    """A bound on our figure divided by another proxy's in the same rounds."""

    scenario: str
    figure: Figure
    against: str
    bound: float
    of: str = ""
    """Whose figure it is; empty for that of whoever is judged."""

    @property
    def at_most(self) -> bool:
        """CPU is to be small, a rate large."""
        return self.figure == "cpu"

    def text(self) -> str:
        what = "CPU per request" if self.figure == "cpu" else "req/s"
        sign = "<=" if self.at_most else ">="
        whose = f" of {self.of}" if self.of else ""
        return f"{self.scenario}: {what}{whose} {sign} {self.bound:g} x {self.against}'s"

    def met(self, value: float) -> bool:
        return value <= self.bound if self.at_most else value >= self.bound


# The bounds on the CPU of handshakes are what those on their number mean for a server that fills its core, which takes
# more clients than one core can run.
TARGETS: tuple[Target, ...] = (
    Target("1k", "cpu", "nginx", 1.7),
    Target("1k", "rate", "nginx", 0.75),
    Target("1k", "rate", "caddy", 2.5),
    Target("1k", "rate", "twisted", 8.0),
    Target("1k", "cpu", "ours", 1.05, of="ours-two"),
    Target("browser", "cpu", "nginx", 1.7),
    Target("browser", "rate", "nginx", 0.75),
    Target("browser", "rate", "caddy", 2.5),
    Target("browser", "rate", "twisted", 8.0),
    Target("10m", "rate", "nginx", 1.5),
    Target("10m", "cpu", "nginx", 0.8),
    Target("newconn", "rate", "nginx", 0.5),
    Target("tls-1k", "rate", "nginx", 0.75),
    Target("tls-10m", "rate", "nginx", 1.0),
    Target("tls-full", "rate", "nginx", 0.7),
    Target("tls-full", "cpu", "nginx", 1.43),
    Target("tls-resumed", "rate", "nginx", 0.6),
    Target("tls-resumed", "cpu", "nginx", 1.67),
    Target("cache-hit", "rate", "nginx", 1.1),
    Target("cache-hit", "cpu", "nginx", 0.9),
    Target("cache-browser", "rate", "nginx", 0.95),
    Target("cache-browser", "cpu", "nginx", 1.1),
    Target("cache-64k", "rate", "nginx", 0.9),
    Target("cache-pass", "cpu", "ours-off", 1.05),
)


@attrs.frozen
class Verdict:
    """A target and what was measured; ``met`` is None where nothing was."""

    text: str
    value: str
    met: bool | None


def judge(
    samples: Sequence[Sample],
    idle: Sequence[IdleResult],
    proxy: str = "ours",
    wanted: Collection[str] = NAMES,
) -> list[Verdict]:
    """Hold every target of the wanted scenarios against the figures of ``proxy``."""
    verdicts = []
    for target in TARGETS:
        if target.scenario in wanted:
            value = ratio(samples, target.scenario, target.of or proxy, target.against, target.figure)
            if value is None:
                verdicts.append(Verdict(target.text(), "not measured", None))
            else:
                verdicts.append(Verdict(target.text(), f"{value:.2f}", target.met(value)))
    verdicts += [_judge_idle(idle, one.name, proxy) for one in IDLES if one.name in wanted]
    return verdicts


def _judge_idle(idle: Sequence[IdleResult], scenario: str, proxy: str) -> Verdict:
    bound = IDLE_KIB[scenario]
    text = f"{scenario}: memory <= {bound:g} KiB per connection"
    found = [one for one in idle if one.scenario == scenario and one.proxy == proxy and not one.faults]
    if not found:
        return Verdict(text, "not measured", None)
    kib = found[-1].per_connection / KIB
    return Verdict(text, f"{kib:.1f} KiB", kib <= bound)
