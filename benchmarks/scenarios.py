"""What is asked of every proxy: the requests, the connections that carry them, the answers that must come."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Literal

import attrs

KIB = 1024
MIB = 1024 * KIB

URL_COUNT = 2000
PAGE_FILLER = "The quick brown fox jumps over the lazy dog. " * 40

RANDOM = b"\x01"
"""Stands in a request where the load generator writes something new each time (``requests.lua``)."""

SHOP = "/shop/"
KEPT = "/kept/"
"""The same pages, which may be kept for an hour. As long as the other, for the sake of the origin's configuration."""


def page_target(number: int, root: str = SHOP) -> str:
    """One of the URLs that a browser walks through; all have the same length."""
    return f"{root}section-{number % 40:02d}/item-{number:04d}?sort=price&from={number:04d}"


def page_body(target: str) -> bytes:
    """1 KiB that begins with the target, so that an answer for another URL is seen."""
    return (target + "\n" + PAGE_FILLER)[:KIB].encode()


def noise(size: int) -> bytes:
    """``size`` octets that nothing can compress, the same in every run."""
    return random.Random(size).randbytes(size)


SMALL = page_body("/1k")
MEDIUM = noise(64 * KIB)
LARGE = noise(10 * MIB)
UPLOAD = noise(8 * KIB).hex().encode()
"""Text, since NUL and 1 have a meaning of their own in the load generator's file."""
UPLOAD_ANSWER = b"POST 16384\n"

BROWSER_FIELDS = (
    ("Connection", "keep-alive"),
    ("sec-ch-ua", '"Chromium";v="130", "Google Chrome";v="130", "Not?A_Brand";v="99"'),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", '"Linux"'),
    ("Upgrade-Insecure-Requests", "1"),
    (
        "User-Agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 "
        "(KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
    ),
    (
        "Accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
    ),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-User", "?1"),
    ("Sec-Fetch-Dest", "document"),
    ("Referer", "http://shop.example/shop/section-01/"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Accept-Language", "en-GB,en;q=0.9,de;q=0.8"),
)
COOKIE = "_ga=GA1.1.1234567890.1700000000; consent=yes; basket=3f2c9a71; session="


@attrs.frozen
class Ask:
    """One request and the body that its answer must have."""

    target: str
    answer: bytes
    method: str = "GET"
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def render(self, host: str) -> bytes:
        """The octets of the request, as the load generator sends them."""
        lines = [f"{self.method} {self.target} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in self.fields]
        if self.body:
            lines.append(f"Content-Length: {len(self.body)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + self.body


Group = Literal["plain", "tls", "cache"]
GROUPS: tuple[Group, ...] = ("plain", "tls", "cache")
"""Scenarios of one group are measured with the same proxies, set up for it: clear text, TLS in front, caches."""

Load = Literal["requests", "full", "resumed"]
"""Requests by wrk, or a connection for each request, by ``openssl s_time``, with a full or a resumed handshake."""


@attrs.frozen
class Scenario:
    """A kind of traffic."""

    name: str
    title: str
    connections: int
    asks: Callable[[], Sequence[Ask]]
    count_octets: bool = False
    """Count octets, not whole answers: where few fit into a round, those begun and not ended matter."""
    group: Group = "plain"
    load: Load = "requests"
    reuse: str = ""
    """What is shown as a part of all answers: those that did not reach the origin, or came over a resumed session."""


@attrs.frozen
class IdleScenario:
    """The measurement that is no load: memory per idle connection (``idle.py``)."""

    name: str
    title: str
    group: Group


def _one(ask: Ask) -> Callable[[], Sequence[Ask]]:
    return lambda: (ask,)


def _pages(session: str, root: str = SHOP) -> Callable[[], Sequence[Ask]]:
    """All URLs with a browser's fields; ``session`` is the last part of the cookie."""

    def asks() -> Sequence[Ask]:
        targets = [page_target(number, root) for number in range(URL_COUNT)]
        fields = (*BROWSER_FIELDS, ("Cookie", COOKIE + session))
        return [Ask(target=target, answer=page_body(target), fields=fields) for target in targets]

    return asks


SCENARIOS: tuple[Scenario, ...] = (
    Scenario("1k", "1 KiB, 32 keep-alive connections", 32, _one(Ask("/1k", SMALL))),
    Scenario("browser", "2,000 URLs with a browser's fields, 32 connections", 32, _pages("0123456789abcdef")),
    Scenario("cookies", "the same with a new cookie in each request", 32, _pages(RANDOM.decode())),
    Scenario("64k", "64 KiB, 32 connections", 32, _one(Ask("/64k", MEDIUM))),
    Scenario("10m", "10 MiB, 8 connections", 8, _one(Ask("/10m", LARGE)), count_octets=True),
    Scenario(
        "post16k",
        "POST of 16 KiB, 32 connections",
        32,
        _one(Ask("/upload", UPLOAD_ANSWER, "POST", body=UPLOAD)),
    ),
    Scenario(
        "newconn",
        "1 KiB, a new connection per request, 32 at a time",
        32,
        _one(Ask("/1k", SMALL, fields=(("Connection", "close"),))),
    ),
    Scenario("1000conn", "1 KiB, 1,000 keep-alive connections", 1000, _one(Ask("/1k", SMALL))),
    Scenario("tls-1k", "HTTPS, 1 KiB, 32 keep-alive connections", 32, _one(Ask("/1k", SMALL)), group="tls"),
    Scenario(
        "tls-10m", "HTTPS, 10 MiB, 8 connections", 8, _one(Ask("/10m", LARGE)), count_octets=True, group="tls"
    ),
    Scenario(
        "tls-full",
        "1 KiB, a new connection with a full handshake per request, 8 at a time",
        8,
        _one(Ask("/1k", SMALL)),
        group="tls",
        load="full",
    ),
    Scenario(
        "tls-resumed",
        "1 KiB, a new connection with a resumed handshake per request, 8 at a time",
        8,
        _one(Ask("/1k", SMALL)),
        group="tls",
        load="resumed",
        reuse="resumed",
    ),
    Scenario(
        "cache-hit",
        "hits of 1 KiB, one object, 32 connections",
        32,
        _one(Ask("/kept/1k", SMALL)),
        group="cache",
        reuse="hits",
    ),
    Scenario(
        "cache-browser",
        "hits of 1 KiB, 2,000 objects, a browser's fields with a new cookie in each request, 32 connections",
        32,
        _pages(RANDOM.decode(), KEPT),
        group="cache",
        reuse="hits",
    ),
    Scenario(
        "cache-64k",
        "hits of 64 KiB, one object, 32 connections",
        32,
        _one(Ask("/kept/64k", MEDIUM)),
        group="cache",
        reuse="hits",
    ),
    Scenario(
        "cache-pass",
        "answers of 1 KiB with no-store, 32 connections",
        32,
        _one(Ask("/never", SMALL)),
        group="cache",
        reuse="hits",
    ),
)

IDLES: tuple[IdleScenario, ...] = (
    IdleScenario("idle", "memory of the process tree (PSS) per idle connection", "plain"),
    IdleScenario("tls-idle", "memory of the process tree (PSS) per idle TLS connection", "tls"),
)

EVERYTHING: tuple[Scenario | IdleScenario, ...] = (*SCENARIOS, *IDLES)
NAMES = tuple(one.name for group in GROUPS for one in EVERYTHING if one.group == group)


def named(wanted: Sequence[str]) -> tuple[str, ...]:
    """The scenarios that names of scenarios and of groups stand for; none named: all."""
    of = {one.name: one.group for one in EVERYTHING}
    return tuple(name for name in NAMES if not wanted or name in wanted or of[name] in wanted)
