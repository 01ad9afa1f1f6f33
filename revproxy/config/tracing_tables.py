"""The table ``[tracing]``: part in distributed traces (W3C Trace Context), and where what was recorded goes (OTLP)."""

from __future__ import annotations

import attrs

from revproxy.config.setting import setting


@attrs.frozen(kw_only=True)
class Tracing:
    """Without the table traceparent and tracestate pass as any other field does."""

    sample_one_in: int = setting(
        100,
        "Of the traces that begin here one in so many is recorded, and of those that clients want recorded; what a"
        " trusted proxy wants recorded always is. 1 for all, 0 for none.",
        unit="count",
        least=0,
        most=1_000_000_000,
    )
    endpoint: str | None = setting(
        None,
        'Where spans are sent by OTLP over HTTP, such as "http://127.0.0.1:4318/v1/traces"; needs the extra "otel". Not'
        " set: none are made here.",
    )
    service: str = setting("revproxy", "The name of this service in traces.")
    headers: tuple[tuple[str, str], ...] = setting(
        (), 'Fields sent to the endpoint, such as { Authorization = "Bearer ..." }.', secret=True
    )
