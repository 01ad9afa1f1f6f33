"""Transactions → lines of the access log. A client's octets are escaped, so that no line can be forged."""

from __future__ import annotations

import json
import time
from typing import Final

from revproxy.http.facts import RequestFacts
from revproxy.http.fields import NO_FIELDS, Fields
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


_SAFE: Final = bytes(octet for octet in range(32, 127) if octet not in b'"\\')


def escaped(octets: bytes) -> bytes:
    """``escape`` as octets; the usual case costs one look."""
    return escape(octets).encode("ascii") if octets.translate(None, _SAFE) else octets


class LineFormat:
    """Formats transactions as octets; knows the fields of each only through the facts kept with them."""

    def __init__(self, form: str) -> None:
        self.render = self._json if form == "json" else self._combined
        self._second = -1
        self._stamp = b""
        self._member = b""
        self._cache = b""
        """The last value of Cache-Status, as lines have it: hits of one second share it."""

    def _combined(self, transaction: Transaction) -> bytes:
        """The combined format, then what it lacks: id, upstream, times, octets received, what a cache did if one was
        asked, the reason of a failure."""
        t = transaction
        second = int(t.started)
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(second)).encode("ascii")
        facts = t.facts
        cache = t.cache_status
        if t.reason or facts is None or not t.method:
            return self._unusual(t)
        described = facts.log_described
        if described is None:
            facts.log_described = described = _described(facts.fields)
            if facts.base is not None:
                facts.base.log_described = described
        if cache:
            if cache != self._member:
                self._member = cache
                self._cache = b'cache="%b" ' % escaped(cache)
            cache = self._cache
            if not t.upstream and not t.received:
                return self._hit(t, facts, described)
        if t.connect_time < 0 or t.first_byte_time < 0:
            return self._unusual(t)
        return (
            b'%b - - [%b] "%b %b HTTP/1.%d" %d %d %b id=%b host="%b" upstream=%b total=%.4f connect=%.4f first=%.4f '
            b"received=%d %breason=-\n"
            % (
                t.client, self._stamp, t.method, escaped(t.target), t.version - 10, t.status, t.sent, described,
                t.request_id, escaped(t.host), t.upstream, t.total_time, t.connect_time, t.first_byte_time, t.received,
                cache,
            )
        )

    def _hit(self, t: Transaction, facts: RequestFacts, described: bytes) -> bytes:
        """The same for a request that no server was asked about. What is the same for all such requests with one block
        of fields is rendered once."""
        known = facts.log_hit
        if known is None or known[0] is not t.client or known[1] is not t.host:
            before = b'%b - - [' % t.client
            middle = b'%b id=' % described
            after = b' host="%b" upstream=- total=' % escaped(t.host)
            known = facts.log_hit = (t.client, t.host, before, middle, after)
            if facts.base is not None:
                facts.base.log_hit = known
        target = t.target
        if target.translate(None, _SAFE):
            target = escaped(target)
        total = t.total_time
        return b"".join(
            (
                known[2], self._stamp, b'] "', t.method, b" ", target,
                b' HTTP/1.%d" %d %d ' % (t.version - 10, t.status, t.sent),
                known[3], t.request_id, known[4], b"0.0000" if 0 <= total < 0.00005 else b"%.4f" % total,
                b" connect=- first=- received=0 ", self._cache, b"reason=-\n",
            )
        )  # fmt: skip

    def _unusual(self, t: Transaction) -> bytes:
        described = _described(t.facts.fields) if t.facts is not None else b'"-" "-"'
        line = b'%b - - [%b] "%b" %d %d %b id=%b host="%b" upstream=%b total=%.4f connect=%b first=%b received=%d ' % (
            t.client, self._stamp, request_line(t), t.status, t.sent, described, t.request_id, escaped(t.host),
            t.upstream or b"-", t.total_time, _seconds(t.connect_time), _seconds(t.first_byte_time), t.received,
        )
        if t.cache_status:
            line += b'cache="%b" ' % escaped(t.cache_status)
        if not t.reason:
            return line + b"reason=-\n"
        return line + b'tries=%d reason=%b detail="%b"\n' % (
            t.tries,
            t.reason.encode("ascii"),
            escaped(t.detail.encode("utf-8", "backslashreplace")),
        )

    def _json(self, transaction: Transaction) -> bytes:
        return json_line(transaction).encode("ascii") + b"\n"


def json_line(transaction: Transaction) -> str:
    """A JSON object in one line, with the same facts."""
    t = transaction
    fields = t.facts.fields if t.facts is not None else NO_FIELDS
    cache = {"cache": escape(t.cache_status)} if t.cache_status else {}
    trace = {"trace": t.trace[3:35].decode("ascii")} if t.trace else {}
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
            "referer": escape(fields.get(b"referer") or b"") or None,
            "agent": escape(fields.get(b"user-agent") or b"") or None,
            "upstream": t.upstream.decode("latin-1") or None,
            "tries": t.tries,
            "total": round(t.total_time, 6),
            "connect": _rounded(t.connect_time),
            "first": _rounded(t.first_byte_time),
            **cache,
            **trace,
            "reason": t.reason or None,
            "detail": t.detail or None,
        }
    )


def request_line(transaction: Transaction) -> bytes:
    """The request line as it came, escaped; ``-`` where none was understood."""
    if not transaction.method:
        return b"-"
    version = b"%d.%d" % divmod(transaction.version, 10)
    return b"%b %b HTTP/%b" % (escaped(transaction.method), escaped(transaction.target), version)


def _described(fields: Fields) -> bytes:
    """Referer and User-Agent, quoted and escaped; ``-`` where there is none."""
    referer, agent = fields.get(b"referer"), fields.get(b"user-agent")
    return b'"%b" "%b"' % (escaped(referer) if referer else b"-", escaped(agent) if agent else b"-")


def _seconds(value: float) -> bytes:
    return b"%.4f" % value if value >= 0 else b"-"


def _rounded(value: float) -> float | None:
    return round(value, 6) if value >= 0 else None
