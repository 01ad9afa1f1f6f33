"""Figures as text for a collector: Prometheus' text format 0.0.4, and OpenMetrics 1.0 for who asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

import attrs

from revproxy.observe.histogram import Histogram

PLAIN: Final = b"text/plain; version=0.0.4; charset=utf-8"
OPEN: Final = b"application/openmetrics-text; version=1.0.0; charset=utf-8"

Value = int | float | Histogram
Series = tuple[tuple[str, ...], Value]
"""The values of a metric's labels, and the figure."""


@attrs.frozen
class Metric:
    """What one name stands for. Those of counters end in ``_total``."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


def is_open_wanted(accept: bytes) -> bool:
    """Whether a client's Accept prefers OpenMetrics: it names the type, and no less than text/plain."""
    weights = {b"application/openmetrics-text": 0.0, b"text/plain": 0.0}
    for member in accept.lower().split(b","):
        media, *parameters = (part.strip() for part in member.split(b";"))
        weight = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition(b"=")
            if name.strip() == b"q":
                try:
                    weight = float(value)
                except ValueError:
                    weight = 0.0
        if media in weights:
            weights[media] = max(weights[media], weight)
    open_weight, plain_weight = weights.values()
    return open_weight > 0 and open_weight >= plain_weight


def exposition(metrics: Sequence[Metric], found: Mapping[str, Iterable[Series]], *, is_open: bool) -> bytes:
    """The text. Metrics without series are not in it."""
    lines = []
    for metric in metrics:
        series = list(found.get(metric.name, ()))
        if not series:
            continue
        # OpenMetrics calls a counter's family without the suffix of its samples (§5.1).
        family = metric.name.removesuffix("_total") if is_open and metric.kind == "counter" else metric.name
        lines.append(f"# HELP {family} {_escaped_help(metric.help)}\n")
        lines.append(f"# TYPE {family} {metric.kind}\n")
        for labels, value in series:
            named = [f'{name}="{_escaped(label)}"' for name, label in zip(metric.labels, labels, strict=True)]
            if isinstance(value, Histogram):
                lines.extend(_histogram(metric.name, named, value))
            else:
                lines.append(f"{metric.name}{_braced(named)} {_number(value)}\n")
    if is_open:
        lines.append("# EOF\n")
    return "".join(lines).encode("utf-8")


def _histogram(name: str, named: list[str], histogram: Histogram) -> Iterable[str]:
    for bound, number in histogram.cumulative():
        yield f"{name}_bucket{_braced([*named, _bound(repr(bound))])} {number}\n"
    count = histogram.count
    yield f"{name}_bucket{_braced([*named, _bound('+Inf')])} {count}\n"
    yield f"{name}_sum{_braced(named)} {_number(histogram.sum)}\n"
    yield f"{name}_count{_braced(named)} {count}\n"


def _bound(text: str) -> str:
    return f'le="{text}"'


def _braced(named: Sequence[str]) -> str:
    return "{" + ",".join(named) + "}" if named else ""


def _number(value: int | float) -> str:
    return repr(value) if isinstance(value, int) else repr(round(value, 6))


def _escaped(text: str) -> str:
    # What is no character at all (a lone surrogate of an odd file name) has no octets in UTF-8.
    text = text.encode("utf-8", "replace").decode("utf-8")
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _escaped_help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
