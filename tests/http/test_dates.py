"""HTTP-date: three forms in, one out (RFC 9110 §5.6.7)."""

from __future__ import annotations

import calendar
import email.utils

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revproxy.http.dates import format_date, parse_date

NOW = 1_800_000_000  # 15 January 2027


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
        (b"Sunday, 06-Nov-94 08:49:37 GMT", 784111777),
        (b"Sun Nov  6 08:49:37 1994", 784111777),
        (b"Sun Nov 16 08:49:37 1994", 784975777),
        (b"Thu, 01 Jan 1970 00:00:00 GMT", 0),
        (b"Wed, 31 Dec 1969 23:59:59 GMT", -1),
        (b"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799),
        (b"Fri, 30 Dec 2016 23:59:60 GMT", calendar.timegm((2016, 12, 31, 0, 0, 0))),
        (b"sun, 06 nov 1994 08:49:37 gmt", 784111777),
        (b"SUN, 06 NOV 1994 08:49:37 GMT", 784111777),
        # The name of the day says nothing that the date does not.
        (b"Mon, 06 Nov 1994 08:49:37 GMT", 784111777),
        (b"Sun, 29 Feb 2004 00:00:00 GMT", calendar.timegm((2004, 2, 29, 0, 0, 0))),
        (b"Saturday, 01-Jan-77 00:00:00 GMT", calendar.timegm((2077, 1, 1, 0, 0, 0))),
        (b"Saturday, 01-Mar-77 00:00:00 GMT", calendar.timegm((1977, 3, 1, 0, 0, 0))),
        (b"Sunday, 01-Jan-78 00:00:00 GMT", calendar.timegm((1978, 1, 1, 0, 0, 0))),
        (b"Friday, 01-Jan-27 00:00:00 GMT", calendar.timegm((2027, 1, 1, 0, 0, 0))),
        (b"Saturday, 01-Jan-00 00:00:00 GMT", calendar.timegm((2000, 1, 1, 0, 0, 0))),
    ],
)
def test_dates(value: bytes, expected: int) -> None:
    assert parse_date(value, NOW) == expected


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"0",
        b"-1",
        b"now",
        b"Sun, 06 Nov 1994 08:49:37",
        b"Sun, 06 Nov 1994 08:49:37 UTC",
        b"Sun, 06 Nov 1994 08:49:37 EST",
        b"Sun, 06 Nov 1994 08:49:37 +0000",
        b"Sun, 06 Nov 1994 08:49:37 GMT ",
        b" Sun, 06 Nov 1994 08:49:37 GMT",
        b"Sun,  06 Nov 1994 08:49:37 GMT",
        b"Sun,06 Nov 1994 08:49:37 GMT",
        b"Sun, 6 Nov 1994 08:49:37 GMT",
        b"Sun, 06 Nov 94 08:49:37 GMT",
        b"Sun, 06-Nov-1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 8:49:37 GMT",
        b"Sun, 06 Nov 1994 08.49.37 GMT",
        b"Sun, 06 Nov 1994 24:00:00 GMT",
        b"Sun, 06 Nov 1994 23:60:00 GMT",
        b"Sun, 06 Nov 1994 23:59:61 GMT",
        b"Sun, 31 Feb 1994 08:49:37 GMT",
        b"Sun, 29 Feb 2003 08:49:37 GMT",
        b"Sun, 00 Nov 1994 08:49:37 GMT",
        b"Sun, 06 Now 1994 08:49:37 GMT",
        b"Sun, 06 Nov 0000 08:49:37 GMT",
        b"Son, 06 Nov 1994 08:49:37 GMT",
        b"Sunday, 06 Nov 1994 08:49:37 GMT",
        b"Sun, 06-Nov-94 08:49:37 GMT",
        b"Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        b'"Sun, 06 Nov 1994 08:49:37 GMT"',
        b"1994-11-06T08:49:37Z",
        "Sun, 06 Nov ١٩٩٤ 08:49:37 GMT".encode(),
        b"Sun, 06 Nov 1994 08:49:37 GMT\n",
    ],
)
def test_what_is_no_date(value: bytes) -> None:
    assert parse_date(value, NOW) is None


@given(st.binary(max_size=40), st.floats())
def test_any_octets_are_a_date_or_none(value: bytes, now: float) -> None:
    parse_date(value, NOW)
    parse_date(b"Sunday, 06-Nov-94 08:49:37 GMT", now if now == now else 0)


@given(st.integers(0, 253402300799))
def test_what_is_formatted_is_read_again(instant: int) -> None:
    assert parse_date(format_date(instant), NOW) == instant


@given(st.integers(0, 253402300799))
def test_formatted_as_the_library_does(instant: int) -> None:
    assert format_date(instant) == email.utils.formatdate(instant, usegmt=True).encode()


def test_instants_that_no_date_can_name() -> None:
    assert format_date(-5) == b"Thu, 01 Jan 1970 00:00:00 GMT"
    assert format_date(1e18) == b"Fri, 31 Dec 9999 23:59:59 GMT"
    assert format_date(0.9) == b"Thu, 01 Jan 1970 00:00:00 GMT"
