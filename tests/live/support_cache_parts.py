"""Ranges and parts of a representation: answered from the whole, stored, combined (RFC 9110 §14; RFC 9111 §3.3, §3.4)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tests.live.support_cache_checks import Check, Step, asked, check, hit, validated

if TYPE_CHECKING:
    from tests.live.support_client import Answer

CC = "Cache-Control: "
FRESH = CC + "max-age=60"
STALE = (FRESH, "Age: 100")
TAG = 'ETag: "a"'
DIGITS = b"0123456789"


def _whole(*lines: str, content: bytes = DIGITS, **wants: Any) -> Step:
    return asked(FRESH, TAG, *lines, content=content, **wants)


def _part(
    first: int, last: int, *lines: str, tag: str = TAG, of: str = "10", content: bytes = DIGITS, **wants: Any
) -> Step:
    """What a server says that is asked for a range."""
    return asked(FRESH, *([tag] if tag else []), f"Content-Range: bytes {first}-{last}/{of}", *lines, status=206,
                 content=content[first : last + 1], to=(f"Range: bytes={first}-{last}",), **wants)  # fmt: skip


def _of_whole(why: str, wanted: str, body: bytes, shown: str, *to: str, source: str = "RFC 9110 §14.2") -> Check:
    """A range of a stored whole response; ``shown`` is its Content-Range, empty where the whole is the answer."""
    if shown:
        last = hit(
            f"Range: {wanted}",
            *to,
            code=206,
            body=body,
            has=(f"Content-Range: {shown}", f"Content-Length: {len(body)}"),
        )
    else:
        last = hit(f"Range: {wanted}", *to, code=200, body=body, lacks=("Content-Range",))
    return check(source, why, _whole("Last-Modified: {-1000}", "Date: {-5}"), last)


def _has_parts(answer: Answer) -> bool:
    """Whether it is multipart/byteranges of 0-1 and 905-906."""
    boundary = re.fullmatch(r'multipart/byteranges; ?boundary="?([^"]+)"?', answer.get("Content-Type"), re.I)
    assert boundary, answer
    parts = re.split(rb"\r\n--|^--", answer.body)[1:]
    ends = parts[-1].strip() == boundary[1].encode() + b"--"
    got = [(re.search(rb"(?i)content-range: *([^\r]*)", part), part.partition(b"\r\n\r\n")[2]) for part in parts[:-1]]
    shown = [(found[1] if found else None, body) for found, body in got]
    typed = all(re.search(rb"(?i)content-type: *text/x", part) for part in parts[:-1])
    return ends and typed and shown == [(b"bytes 0-1/1000", b"01"), (b"bytes 905-906/1000", b"56")]


_RANGES = (
    _of_whole("a first part", "bytes=0-3", b"0123", "bytes 0-3/10"),
    _of_whole("one octet", "bytes=9-9", b"9", "bytes 9-9/10"),
    _of_whole("without an end", "bytes=7-", b"789", "bytes 7-9/10"),
    _of_whole("a suffix", "bytes=-3", b"789", "bytes 7-9/10"),
    _of_whole("a suffix longer than all", "bytes=-30", DIGITS, "bytes 0-9/10"),
    _of_whole("an end beyond the end", "bytes=8-100", b"89", "bytes 8-9/10"),
    _of_whole("a huge end", "bytes=8-" + "9" * 40, b"89", "bytes 8-9/10"),
    _of_whole("units have no case", "BYTES=0-3", b"0123", "bytes 0-3/10", source="RFC 9110 §14.1"),
    _of_whole("another unit is ignored", "lines=0-3", DIGITS, ""),
    _of_whole("last before first is invalid, so ignored", "bytes=5-3", DIGITS, "", source="RFC 9110 §14.1.1"),
    _of_whole("no numbers", "bytes=a-b", DIGITS, "", source="RFC 9110 §14.1.1"),
    _of_whole("nothing", "bytes=", DIGITS, "", source="RFC 9110 §14.1.1"),
    _of_whole("If-Range matches", "bytes=0-3", b"0123", "bytes 0-3/10", 'If-Range: "a"', source="RFC 9110 §13.1.5"),
    _of_whole("If-Range does not match", "bytes=0-3", DIGITS, "", 'If-Range: "b"', source="RFC 9110 §13.1.5"),
    _of_whole("If-Range compares strongly", "bytes=0-3", DIGITS, "", 'If-Range: W/"a"', source="RFC 9110 §13.1.5"),
    _of_whole("If-Range with another date", "bytes=0-3", DIGITS, "", "If-Range: {-500}", source="RFC 9110 §13.1.5"),
    _of_whole("If-Range without a form", "bytes=0-3", DIGITS, "", "If-Range: a", source="RFC 9110 §13.1.5"),
    check("RFC 9110 §13.1.5", "If-Range with the very date", _whole("Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"),
          hit("Range: bytes=0-3", "If-Range: Sun, 06 Nov 1994 08:49:37 GMT", code=206, body=b"0123")),
    check("RFC 9110 §13.1.5", "If-Range with a weak tag that is stored so", asked(FRESH, 'ETag: W/"a"', content=DIGITS),
          hit("Range: bytes=0-3", 'If-Range: W/"a"', code=200)),
    check("RFC 9110 §8.8.2.2", "a Last-Modified of the second of Date is weak", asked(FRESH, "Last-Modified: {-5}", "Date: {-5}", content=DIGITS),
          hit("Range: bytes=0-3", "If-Range: {-5}", code=200)),
    check("RFC 9110 §15.5.17", "out of range", _whole(), hit("Range: bytes=10-", code=416, has=("Content-Range: bytes */10",))),
    check("RFC 9110 §14.1.2", "a suffix of nothing", _whole(), hit("Range: bytes=-0", code=416, has=("Content-Range: bytes */10",))),
    check("RFC 9110 §13.2.2", "out of range, but If-Range does not match", _whole(), hit("Range: bytes=10-", 'If-Range: "b"', code=200)),
    check("RFC 9110 §13.2.2", "If-None-Match comes before Range", _whole(), hit("Range: bytes=0-3", 'If-None-Match: "a"', code=304)),
    check("RFC 9110 §13.2.2", "a condition that lets Range be", _whole(), hit("Range: bytes=0-3", 'If-None-Match: "b"', code=206, body=b"0123")),
    check("RFC 9110 §14.2", "HEAD has no ranges", _whole(), hit("Range: bytes=0-3", method="HEAD", code=200, has=("Content-Length: 10",), lacks=("Content-Range",))),
    check("RFC 9110 §14.2", "only where the answer were 200", asked(FRESH, TAG, status=404), hit("Range: bytes=0-3", code=404)),
    check("RFC 9110 §14.2", "POST with Range is passed on", _whole(), asked(method="POST", sends=b"x", to=("Range: bytes=0-3",), sent=("Range: bytes=0-3",))),
    check("RFC 9110 §15.3.7.2", "several ranges", _whole("Content-Type: text/x", content=DIGITS * 100),
          hit("Range: bytes=0-1,905-906", code=206, holds=_has_parts, lacks=("Content-Range",))),
    check("RFC 9110 §15.3.7.2", "of several, one can be satisfied", _whole(),
          hit("Range: bytes=2-3, 20-30", code=206, body=b"23", has=("Content-Range: bytes 2-3/10",))),
    check("RFC 9110 §14.2", "many ranges that overlap do not make more than there is", _whole(content=DIGITS * 100),
          hit("Range: bytes=" + ",".join(["0-"] * 50), holds=lambda answer: len(answer.body) < 3000, code=200)),
    check("RFC 9110 §15.3.7", "fields that a 206 must have", _whole("Vary: X-V", "Expires: {+60}", "Content-Location: /x", "Content-Type: text/x", "Date: {-5}"),
          hit("Range: bytes=0-3", code=206, body=b"0123",
              has=("Vary: X-V", "Expires: {+60}", "Content-Location: /x", "Content-Type: text/x", "Date: {-5}", TAG, FRESH))),
    check("RFC 9110 §15.3.7", "with If-Range too", _whole("Vary: X-V", "Content-Location: /x", "Date: {-5}"),
          hit("Range: bytes=0-3", 'If-Range: "a"', code=206, body=b"0123", has=("Vary: X-V", "Content-Location: /x", "Date: {-5}", TAG, FRESH))),
    check("RFC 9111 §4.3", "a stale whole is validated, then cut", asked(*STALE, TAG, content=DIGITS),
          validated(FRESH, TAG, to=("Range: bytes=0-3",), code=206, body=b"0123", unsent=("If-Modified-Since",)), hit(body=1)),
    check("RFC 9111 §4.2.4", "nor is a range of a stale one served", asked(FRESH + ", must-revalidate", "Age: 100", TAG, content=DIGITS),
          validated(status=503, to=("Range: bytes=0-3",))),
    check("RFC 9110 §14.2", "a server that ignores Range: the whole is stored",
          _whole(to=("Range: bytes=0-3",), code=200), hit(body=1), hit("Range: bytes=0-3", code=206, body=b"0123")),
)  # fmt: skip

_PARTS = (
    check("RFC 9111 §3.3", "a part answers the same range", _part(2, 5), hit("Range: bytes=2-5", code=206, body=b"2345", has=("Content-Range: bytes 2-5/10",))),
    check("RFC 9111 §3.3", "and a range within it", _part(2, 5), hit("Range: bytes=3-4", code=206, body=b"34", has=("Content-Range: bytes 3-4/10",))),
    check("RFC 9111 §3.3", "not one that goes beyond", _part(2, 5), _part(4, 7)),
    check("RFC 9111 §3.3", "not the whole", _part(2, 5), _whole()),
    check("RFC 9111 §3.3", "not HEAD", _part(2, 5), _whole(method="HEAD")),
    check("RFC 9111 §3.3", "a suffix of unknown length is not guessed", _part(2, 5, of="*"), asked(FRESH, TAG, "Content-Range: bytes 7-9/10", status=206,
          content=b"789", to=("Range: bytes=-3",))),
    check("RFC 9111 §3.3", "If-Range that the part's validator matches", _part(2, 5), hit("Range: bytes=2-5", 'If-Range: "a"', code=206, body=b"2345")),
    check("RFC 9111 §3.3", "If-Range that it does not match", _part(2, 5), _whole(to=("Range: bytes=2-5", 'If-Range: "b"'), code=200)),
    check("RFC 9111 §4.2", "a stale part is not used", asked(FRESH, "Age: 100", TAG, "Content-Range: bytes 2-5/10", status=206, content=b"2345", to=("Range: bytes=2-5",)),
          validated(FRESH, TAG, to=("Range: bytes=2-5",), code=206, body=b"2345")),
    check("RFC 9111 §3.4", "two with one strong validator make the whole", _part(0, 5), _part(4, 9), hit(code=200, body=DIGITS, has=("Content-Length: 10",), lacks=("Content-Range",))),
    check("RFC 9111 §3.4", "in the other order", _part(5, 9), _part(0, 4), hit(code=200, body=DIGITS)),
    check("RFC 9111 §3.4", "or a larger part", _part(0, 3), _part(4, 7), hit("Range: bytes=1-6", code=206, body=b"123456", has=("Content-Range: bytes 1-6/10",))),
    check("RFC 9111 §3.4", "a gap is none", _part(0, 3), _part(6, 9), _whole()),
    check("RFC 9111 §3.4", "weak validators combine nothing", _part(0, 4, tag='ETag: W/"a"'), _part(5, 9, tag='ETag: W/"a"'), _whole()),
    check("RFC 9111 §3.4", "different ones neither", _part(0, 4), _part(5, 9, tag='ETag: "b"'), _whole()),
    check("RFC 9111 §3.4", "none neither", _part(0, 4, tag=""), _part(5, 9, tag=""), _whole()),
    check("RFC 9111 §3.4", "another length of the whole neither", _part(0, 4), _part(5, 9, of="11"), _whole()),
    check("RFC 9111 §3.4", "a combined response has the new fields", _part(0, 4, "X-A: 1", "X-B: 1"), _part(5, 9, "X-A: 2"),
          hit(code=200, body=DIGITS, has=("X-A: 2", "X-B: 1"))),
    check("RFC 9110 §14.4", "a part longer than it says is not stored", asked(FRESH, TAG, "Content-Range: bytes 2-3/10", status=206, content=b"2345",
          to=("Range: bytes=2-3",)), _part(2, 3)),
    check("RFC 9110 §14.4", "nor is one shorter", asked(FRESH, TAG, "Content-Range: bytes 2-9/10", status=206, content=b"2345", to=("Range: bytes=2-9",)),
          _part(2, 9)),
    *[check("RFC 9110 §14.4", f"an invalid Content-Range is not stored: {value}", asked(FRESH, TAG, f"Content-Range: {value}", status=206, content=b"2345",
            to=("Range: bytes=2-5",)), _part(2, 5)) for value in ("bytes 5-2/10", "bytes 2-5/4", "bytes 2-5", "bytes */10", "lines 2-5/10", "")],
    check("RFC 9111 §3.3", "a 206 without Content-Range is no part that can be kept", asked(FRESH, TAG, status=206, content=b"2345", to=("Range: bytes=2-5",)), _part(2, 5)),
    check("RFC 9111 §3.3", "a 206 that nobody asked for is not the whole", asked(FRESH, TAG, "Content-Range: bytes 2-5/10", status=206, content=b"2345"), _whole()),
    check("RFC 9111 §3.3", "no-store of a part", asked(CC + "no-store", TAG, "Content-Range: bytes 2-5/10", status=206, content=b"2345", to=("Range: bytes=2-5",)), _part(2, 5)),
    check("RFC 9111 §3.3", "a 200 that broke off is not the whole", _whole(ending="cut", body=b"01234"), _whole(unsent=("If-None-Match",))),
    check("RFC 9111 §3.3", "what came of it may answer a range", _whole(ending="cut", body=b"01234"), hit("Range: bytes=1-3", code=206, body=b"123", has=("Content-Range: bytes 1-3/10",))),
    check("RFC 9111 §3.4", "and be completed", _whole(ending="cut", body=b"01234"), _part(5, 9), hit(code=200, body=DIGITS)),
    check("RFC 9111 §3.4", "not without a strong validator", asked(FRESH, ending="cut", content=DIGITS, body=b"01234"), _part(5, 9, tag=""), _whole()),
    check("RFC 9110 §15.5.17", "a 416 of the server is passed on, not stored", asked(FRESH, "Content-Range: bytes */10", status=416, to=("Range: bytes=20-",)), _whole()),
    check("RFC 9111 §4.4", "a part is invalidated as well", _part(2, 5), asked(method="DELETE"),
          validated(FRESH, TAG, to=("Range: bytes=2-5",), code=206, body=b"2345")),
)  # fmt: skip

PARTS: tuple[Check, ...] = (*_RANGES, *_PARTS)
