"""A transaction as a JSON value, for whoever looks at it while the proxy runs, and the filters by which they choose.

All octets of clients are escaped as the access log does it, and what is long is cut: a list of a hundred requests
stays readable, and small, whatever they asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Final

import attrs

from revproxy.http.fields import NO_FIELDS
from revproxy.observe.lines import escape
from revproxy.observe.transaction import Transaction

LONG: Final = 512
"""Characters of a value that a list shows."""


def shown(transaction: Transaction, worker: int, *, longest: int = LONG) -> dict[str, Any]:
    """One request. Strings longer than ``longest`` are cut and end in "…"."""
    t = transaction
    fields = t.facts.fields if t.facts is not None else NO_FIELDS

    def text(octets: bytes | None) -> str | None:
        if not octets:
            return None
        return cut(escape(octets[: longest + 1]), longest)

    return {
        "id": cut(escape(t.request_id), longest),
        "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(t.started)) + f".{int(t.started % 1 * 1000):03d}Z",
        "client": escape(t.client),
        "method": text(t.method) or "",
        "target": text(t.target) or "",
        "host": text(t.host) or "",
        "scheme": escape(t.scheme),
        "version": f"{t.version // 10}.{t.version % 10}",
        "status": t.status,
        "sent": t.sent,
        "received": t.received,
        "total": _rounded(t.total_time),
        "connect": _rounded(t.connect_time),
        "first": _rounded(t.first_byte_time),
        "upstream": text(t.upstream),
        "tries": t.tries,
        "cache": text(t.cache_status),
        "trace": t.trace[3:35].decode("ascii") or None,
        "reason": t.reason or None,
        "detail": cut(escape(t.detail.encode("utf-8", "backslashreplace")), longest) or None,
        "agent": text(fields.get(b"user-agent")),
        "referer": text(fields.get(b"referer")),
        "site": t.labels.site,
        "route": t.labels.route,
        "listener": t.listener,
        "worker": worker,
    }


def cut(text: str, longest: int) -> str:
    """The text, or its beginning."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _rounded(value: float) -> float | None:
    return round(value, 6) if value >= 0 else None


_OF_ADDRESSES: Final = frozenset("0123456789abcdefABCDEF.:")
Condition = Callable[[Transaction], bool]


@attrs.frozen
class Filter:
    """Which requests somebody wants to see."""

    conditions: tuple[Condition, ...] = ()
    worker: int | None = None

    def takes(self, transaction: Transaction) -> bool:
        """Whether it is one of them; which worker's is for the caller to look at."""
        return all(condition(transaction) for condition in self.conditions)


def filter_of(arguments: dict[str, Any]) -> Filter:
    """The filter that is asked for, all of what is named: status ("404", "5xx"), host and path (a part of each; of the
    host also "*.example"), method, client (an address or a network, or the beginning of one), upstream (a part of a
    server's name), reason, slower (seconds), worker. Raises ValueError.
    """
    conditions = []
    worker = None
    for name, value in arguments.items():
        text = str(value).strip()
        if not text:
            continue
        if name == "worker":
            worker = _number(name, text)
        elif name in _CONDITIONS:
            conditions.append(_CONDITIONS[name](text))
        else:
            raise ValueError(f"there is no filter {name!r}; there are: {', '.join((*_CONDITIONS, 'worker'))}")
    return Filter(tuple(conditions), worker)


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError(f"{name} is a number, not {cut(text, 40)!r}")
    return int(text)


def _status(text: str) -> Condition:
    low = text.lower()
    if len(low) == 3 and low[0] in "12345" and low[1:] == "xx":
        hundred = int(low[0])
        return lambda transaction: transaction.status // 100 == hundred
    if len(low) != 3:
        raise ValueError(f"status is a number such as 404 or a class such as 5xx, not {cut(text, 40)!r}")
    status = _number("status", low)
    return lambda transaction: transaction.status == status


def _host(text: str) -> Condition:
    name = text.lower().encode("utf-8")
    if name.startswith(b"*."):
        end = name[1:]
        return lambda transaction: _without_port(transaction.host).endswith(end)
    return lambda transaction: name in transaction.host.lower()


def _without_port(host: bytes) -> bytes:
    name, colon, port = host.lower().rpartition(b":")
    return name if colon and (port.isdigit() or not port) else host.lower()


def _path(text: str) -> Condition:
    part = text.encode("utf-8")
    return lambda transaction: part in transaction.target


def _method(text: str) -> Condition:
    method = text.upper().encode("utf-8")
    return lambda transaction: transaction.method.upper() == method


def _client(text: str) -> Condition:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        if not set(text) <= _OF_ADDRESSES:
            raise ValueError(f"client is an address or a network, not {cut(text, 60)!r}") from None
        beginning = text.lower().encode("ascii")
        return lambda transaction: transaction.client.startswith(beginning)
    return lambda transaction: _is_in(transaction.client, network)


def _is_in(client: bytes, network: IPv4Network | IPv6Network) -> bool:
    try:
        return ip_address(client.decode("ascii")) in network
    except ValueError:
        return False


def _upstream(text: str) -> Condition:
    part = text.encode("utf-8")
    return lambda transaction: part in transaction.upstream


def _reason(text: str) -> Condition:
    return lambda transaction: transaction.reason == text


def _slower(text: str) -> Condition:
    try:
        seconds = float(text)
    except ValueError:
        raise ValueError(f"slower is a number of seconds, not {cut(text, 40)!r}") from None
    return lambda transaction: transaction.total_time > seconds


_CONDITIONS: Final[dict[str, Callable[[str], Condition]]] = {
    "status": _status,
    "host": _host,
    "path": _path,
    "method": _method,
    "client": _client,
    "upstream": _upstream,
    "reason": _reason,
    "slower": _slower,
}
