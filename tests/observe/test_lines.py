"""Lines of the access log: readable by what reads such logs, and never two lines, or other words, for one request."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revproxy.http.facts import RequestFacts
from revproxy.http.fields import Fields
from revproxy.observe.lines import LineFormat, escape
from revproxy.observe.transaction import Transaction

# What readers of Apache's and nginx's combined format look for, and then our own words.
COMBINED = re.compile(
    r'(?P<client>\S+) (?P<identity>\S+) (?P<user>\S+) \[(?P<time>[^\]]+)\] "(?P<request>(?:[^"\\]|\\.)*)" '
    r'(?P<status>\d{3}) (?P<sent>\d+) "(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)"'
    r'(?P<more>(?: [a-z]+=(?:"(?:[^"\\]|\\.)*"|[^ "]*))*)\n'
)
WORD = re.compile(r' ([a-z]+)=("(?:[^"\\]|\\.)*"|[^ "]*)')


def transaction(
    target: bytes = b"/a?b",
    referer: bytes | None = b"https://a/",
    agent: bytes | None = b"Mozilla/5.0 (X11; Linux)",
    host: bytes = b"a.example",
    detail: str = "",
    *,
    reason: str = "",
    connected: bool = True,
) -> Transaction:
    t = Transaction(b"id-1", b"192.0.2.9", b"GET", target, 11, 1_700_000_000.25, 5.0)
    pairs = [(b"Host", b"a")]
    pairs += [(b"Referer", referer)] if referer is not None else []
    pairs += [(b"User-Agent", agent)] if agent is not None else []
    t.facts = RequestFacts(11, Fields.of(pairs))
    t.host, t.status, t.sent, t.received, t.upstream, t.tries = host, 200, 1234, 5, b"127.0.0.1:8000", 1
    t.total_time = 0.25
    if connected:
        t.connect_time, t.first_byte_time = 0.0012, 0.1
    t.reason, t.detail = reason, detail
    return t


def combined(t: Transaction) -> dict[str, str]:
    """A line, taken apart; each must be exactly one."""
    line = LineFormat("combined").render(t)
    text = line.decode("ascii")
    match = COMBINED.fullmatch(text)
    assert match is not None, text
    assert all(" " <= sign <= "~" for sign in text[:-1])
    words = WORD.findall(match["more"])
    assert len({name for name, _ in words}) == len(words)
    return {**match.groupdict(), **dict(words)}


def as_json(t: Transaction) -> dict[str, Any]:
    line = LineFormat("json").render(t)
    text = line.decode("ascii")
    assert text.endswith("\n")
    assert all(" " <= sign <= "~" for sign in text[:-1])
    parsed = json.loads(text)
    assert isinstance(parsed, dict)
    return parsed


def test_a_combined_line() -> None:
    assert LineFormat("combined").render(transaction()) == (
        b'192.0.2.9 - - [14/Nov/2023:22:13:20 +0000] "GET /a?b HTTP/1.1" 200 1234 "https://a/" '
        b'"Mozilla/5.0 (X11; Linux)" id=id-1 host="a.example" upstream=127.0.0.1:8000 total=0.2500 connect=0.0012 '
        b"first=0.1000 received=5 reason=-\n"
    )


def test_a_combined_line_of_a_failure() -> None:
    t = transaction(reason="connect_failed", detail="refused by 10.0.0.5", connected=False)
    t.status = 502
    line = combined(t)
    assert (line["status"], line["connect"], line["first"], line["tries"]) == ("502", "-", "-", "1")
    assert (line["reason"], line["detail"]) == ("connect_failed", '"refused by 10.0.0.5"')


def test_a_line_of_something_that_was_no_request() -> None:
    t = Transaction(b"id-1", b"192.0.2.9", b"", b"", 11, 1_700_000_000.0, 5.0)
    t.status, t.reason = 400, "bad_request"
    line = combined(t)
    assert (line["request"], line["referer"], line["agent"], line["upstream"]) == ("-", "-", "-", "-")
    parsed = as_json(t)
    assert (parsed["method"], parsed["referer"], parsed["agent"], parsed["upstream"]) == ("", None, None, None)


def test_what_a_cache_did_is_told_only_where_one_was_asked() -> None:
    """As Cache-Status says it; ``cache`` comes before the reason, and no server is named where none was asked."""
    t = transaction()
    assert "cache" not in combined(t) and "cache" not in json.loads(LineFormat("json").render(t))
    t.cache_status = b'revproxy; fwd=miss; detail="a b"'
    line = combined(t)
    assert line["cache"] == r'"revproxy; fwd=miss; detail=\"a b\""'
    assert (line["upstream"], line["connect"], line["reason"]) == ("127.0.0.1:8000", "0.0012", "-")
    hit = transaction(connected=False)
    hit.cache_status, hit.upstream = b"revproxy; hit; ttl=59", b""
    line = combined(hit)
    assert (line["cache"], line["upstream"], line["reason"]) == ('"revproxy; hit; ttl=59"', "-", "-")
    assert (line["connect"], line["first"], line["sent"], line["received"]) == ("-", "-", "1234", "5")
    assert json.loads(LineFormat("json").render(hit))["cache"] == "revproxy; hit; ttl=59"
    failed = transaction(reason="connect_refused")
    failed.cache_status = b"revproxy; fwd=stale"
    assert combined(failed)["cache"] == '"revproxy; fwd=stale"'


def test_a_json_line() -> None:
    assert as_json(transaction()) == {
        "time": "2023-11-14T22:13:20.250Z", "id": "id-1", "client": "192.0.2.9", "method": "GET", "target": "/a?b",
        "version": "1.1", "scheme": "http", "host": "a.example", "status": 200, "sent": 1234, "received": 5,
        "referer": "https://a/", "agent": "Mozilla/5.0 (X11; Linux)", "upstream": "127.0.0.1:8000", "tries": 1,
        "total": 0.25, "connect": 0.0012, "first": 0.1, "reason": None, "detail": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"", ""),
        (b"plain text/1.0 (x; y) 'z'", "plain text/1.0 (x; y) 'z'"),
        (b'a"b', 'a\\"b'),
        (b"a\\b", "a\\\\b"),
        (b'\\"', '\\\\\\"'),
        (b"\r\n\t\x00\x1b\x7f", "\\x0d\\x0a\\x09\\x00\\x1b\\x7f"),
        (b"\x85\x9b\xa0\xad\xff", "\\x85\\x9b\\xa0\\xad\\xff"),
        ("é\u2028".encode(), "\\xc3\\xa9\\xe2\\x80\\xa8"),
    ],
)
def test_escape(octets: bytes, expected: str) -> None:
    assert escape(octets) == expected


def unescape(text: str) -> bytes:
    """What an operator's script would do."""
    return re.sub(
        r"\\(?:x([0-9a-f]{2})|(.))", lambda match: chr(int(match[1], 16)) if match[1] else match[2], text
    ).encode("latin-1")


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_nothing_is_lost_by_escaping(octets: bytes) -> None:
    assert unescape(escape(octets)) == octets


FORGERY = b'" 200 0 "-" "-"\r\n1.2.3.4 - - [x] "GET /admin HTTP/1.1" 200 1 "\\" id=x reason=-\x1b[2J\xff\xe2\x80\xa8'
hostile = st.one_of(st.binary(max_size=30), st.integers(0, len(FORGERY)).map(lambda at: FORGERY[at:]))


@settings(deadline=None)
@given(hostile, hostile, hostile, hostile, st.text(max_size=20), st.booleans(), st.booleans())
def test_no_line_can_be_forged(
    target: bytes, referer: bytes, agent: bytes, host: bytes, detail: str, failed: bool, connected: bool
) -> None:
    t = transaction(target, referer, agent, host, detail, reason="bad_request" if failed else "", connected=connected)
    for _ in range(2):  # the second time from what the facts remember
        line = combined(t)
        assert line["request"] == f"GET {escape(target)} HTTP/1.1"
        assert unescape(line["referer"]) == (referer or b"-")
        assert unescape(line["agent"]) == (agent or b"-")
        assert unescape(line["host"][1:-1]) == host
        assert (line["status"], line["client"], line["id"]) == ("200", "192.0.2.9", "id-1")
        assert line["reason"] == ("bad_request" if failed else "-")
    parsed = as_json(t)
    assert unescape(parsed["target"]) == target
    assert unescape(parsed["referer"] or "") == referer
    assert unescape(parsed["agent"] or "") == agent
    assert unescape(parsed["host"]) == host
    assert (parsed["status"], parsed["client"], parsed["reason"]) == (200, "192.0.2.9", "bad_request" if failed else None)


def test_a_detail_that_no_encoding_has_is_logged_all_the_same() -> None:
    # What the system says of a file may hold octets that are no text: Python makes lone surrogates of them.
    t = transaction(reason="internal_error", detail="no file \udcff")
    assert "no file" in combined(t)["detail"]
    assert as_json(t)["detail"] == "no file \udcff"


def test_facts_that_are_used_again_tell_the_same_and_others_do_not() -> None:
    first, second, other = transaction(agent=b"one"), transaction(agent=b"two"), transaction(agent=None)
    form = LineFormat("combined")
    second.facts = first.facts
    lines = [form.render(t).split(b'"')[5] for t in (first, second, other)]
    assert lines == [b"one", b"one", b"-"]


def test_the_stamp_follows_the_clock() -> None:
    form = LineFormat("combined")
    first, second = transaction(), transaction()
    second.started += 1
    assert b"22:13:20 +0000" in form.render(first)
    assert b"22:13:21 +0000" in form.render(second)
    assert b"22:13:20 +0000" in form.render(first)
