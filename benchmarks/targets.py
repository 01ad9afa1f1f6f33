"""What the project has set out to reach, and whether the measured figures reach it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import attrs

from benchmarks.idle import IdleResult
from benchmarks.rounds import Sample, ratio

Figure = Literal["rate", "cpu"]
KIB = 1024
IDLE_KIB = 5.0


@attrs.frozen
class Target:
    """A bound on our figure divided by another proxy's in the same rounds."""

    scenario: str
    figure: Figure
    against: str
    bound: float

    @property
    def at_most(self) -> bool:
        """CPU is to be small, a rate large."""
        return self.figure == "cpu"

    def text(self) -> str:
        what = "CPU per request" if self.figure == "cpu" else "req/s"
        sign = "<=" if self.at_most else ">="
        return f"{self.scenario}: {what} {sign} {self.bound:g} x {self.against}'s"

    def met(self, value: float) -> bool:
        return value <= self.bound if self.at_most else value >= self.bound


TARGETS: tuple[Target, ...] = (
    Target("1k", "cpu", "nginx", 1.7),
    Target("1k", "rate", "nginx", 0.75),
    Target("1k", "rate", "caddy", 2.5),
    Target("1k", "rate", "twisted", 8.0),
    Target("browser", "cpu", "nginx", 1.7),
    Target("browser", "rate", "nginx", 0.75),
    Target("browser", "rate", "caddy", 2.5),
    Target("browser", "rate", "twisted", 8.0),
    Target("10m", "rate", "nginx", 1.5),
    Target("10m", "cpu", "nginx", 0.8),
    Target("newconn", "rate", "nginx", 0.5),
)


@attrs.frozen
class Verdict:
    """A target and what was measured; ``met`` is None where nothing was."""

    text: str
    value: str
    met: bool | None


def judge(samples: Sequence[Sample], idle: Sequence[IdleResult], proxy: str = "ours") -> list[Verdict]:
    """Hold every target against the figures of ``proxy``."""
    verdicts = []
    for target in TARGETS:
        value = ratio(samples, target.scenario, proxy, target.against, target.figure)
        if value is None:
            verdicts.append(Verdict(target.text(), "not measured", None))
        else:
            verdicts.append(Verdict(target.text(), f"{value:.2f}", target.met(value)))
    text = f"idle: memory <= {IDLE_KIB:g} KiB per connection"
    found = [result for result in idle if result.proxy == proxy and not result.faults]
    if found:
        kib = found[-1].per_connection / KIB
        verdicts.append(Verdict(text, f"{kib:.1f} KiB", kib <= IDLE_KIB))
    else:
        verdicts.append(Verdict(text, "not measured", None))
    return verdicts
