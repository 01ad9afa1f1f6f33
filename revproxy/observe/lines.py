"""Transactions → lines of the access log. A client's octets are escaped, so that no line can be forged."""

from __future__ import annotations

import json
import time
from typing import Final

from revproxy.http.fields import Fields
from revproxy.observe.transaction import Transaction

_ESCAPED: Final = {
    **{octet: f"\\x{octet:02x}" for octet in (*range(32), *range(127, 256))},
    ord('"'): '\\"',
    ord("\\"): "\\\\",
}


def escape(octets: bytes) -> str:
    """Octets as one harmless piece of a line: controls, quotes, backslashes and what is not ASCII are escaped."""
    text = octets.decode("latin-1")
    if octets.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return text.translate(_ESCAPED)


class LineFormat:
    """Formats transactions; knows the fields of each only through the facts kept with them."""

    def __init__(self, form: str) -> None:
        self.render = json_line if form == "json" else self._combined
        self._second = -1
        self._stamp = ""

    def _combined(self, transaction: Transaction) -> str:
        """The combined format, then what it lacks: id, upstream, times, octets received, the reason of a failure."""
        t = transaction
        second = int(t.started)
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(second))
        referer, agent = _described(t)
        return (
            f'{t.client.decode("latin-1")} - - [{self._stamp}] "{request_line(t)}" {t.status} {t.sent} '
            f'"{referer}" "{agent}" id={t.request_id.decode("latin-1")} host="{escape(t.host)}" '
            f"upstream={t.upstream.decode('latin-1') or '-'} total={t.total_time:.4f} "
            f"connect={_seconds(t.connect_time)} first={_seconds(t.first_byte_time)} received={t.received} "
            + (f'tries={t.tries} reason={t.reason} detail="{escape(t.detail.encode())}"' if t.reason else "reason=-")
        )


def json_line(transaction: Transaction) -> str:
    """A JSON object in one line, with the same facts."""
    t = transaction
    referer, agent = _described(t)
    return json.dumps(
        {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(t.started)) + f".{int(t.started % 1 * 1000):03d}Z",
            "id": t.request_id.decode("latin-1"),
            "client": t.client.decode("latin-1"),
            "method": escape(t.method),
            "target": escape(t.target),
            "version": f"{t.version // 10}.{t.version % 10}",
            "scheme": t.scheme.decode("ascii"),
            "host": escape(t.host),
            "status": t.status,
            "sent": t.sent,
            "received": t.received,
            "referer": referer,
            "agent": agent,
            "upstream": t.upstream.decode("latin-1") or None,
            "tries": t.tries,
            "total": round(t.total_time, 6),
            "connect": _rounded(t.connect_time),
            "first": _rounded(t.first_byte_time),
            "reason": t.reason or None,
            "detail": t.detail or None,
        }
    )


def request_line(transaction: Transaction) -> str:
    """The request line as it came, escaped; ``-`` where none was understood."""
    if not transaction.method:
        return "-"
    return (
        f"{escape(transaction.method)} {escape(transaction.target)} "
        f"HTTP/{transaction.version // 10}.{transaction.version % 10}"
    )


def describe_client(fields: Fields) -> tuple[str, str]:
    """Referer and User-Agent, escaped; ``-`` where there is none."""
    referer, agent = fields.get(b"referer"), fields.get(b"user-agent")
    return (escape(referer) if referer else "-"), (escape(agent) if agent else "-")


def _described(transaction: Transaction) -> tuple[str, str]:
    facts = transaction.facts
    if facts is None:
        return "-", "-"
    if facts.log_agent is None or facts.log_referer is None:
        facts.log_referer, facts.log_agent = describe_client(facts.fields)
    return facts.log_referer, facts.log_agent


def _seconds(value: float) -> str:
    return f"{value:.4f}" if value >= 0 else "-"


def _rounded(value: float) -> float | None:
    return round(value, 6) if value >= 0 else None
