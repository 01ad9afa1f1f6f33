"""HTTP-date, in seconds since 1970 (RFC 9110 §5.6.7)."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

_DAYS: Final = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
_MONTHS: Final = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_MONTH_NUMBERS: Final = {name.lower(): number for number, name in enumerate(_MONTHS, 1)}
_EPOCH: Final = date(1970, 1, 1).toordinal()
_LATEST: Final = (date.max.toordinal() - _EPOCH + 1) * 86400 - 1

_TIME: Final = rb"([0-9]{2}):([0-9]{2}):([0-9]{2})"
_SHORT_DAY: Final = rb"(?:mon|tue|wed|thu|fri|sat|sun)"
_LONG_DAY: Final = rb"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_IMF: Final = re.compile(rb"(?i)%b, ([0-9]{2}) ([a-z]{3}) ([0-9]{4}) %b GMT" % (_SHORT_DAY, _TIME))
_RFC850: Final = re.compile(rb"(?i)%b, ([0-9]{2})-([a-z]{3})-([0-9]{2}) %b GMT" % (_LONG_DAY, _TIME))
_ASCTIME: Final = re.compile(rb"(?i)%b ([a-z]{3}) ([ 0-9][0-9]) %b ([0-9]{4})" % (_SHORT_DAY, _TIME))


def parse_date(value: bytes, now: float) -> int | None:
    """The instant that an HTTP-date names, in any of its three forms; None where it is none.

    Case does not matter, and a zone other than GMT makes a date invalid, as a cache has it (RFC 9111 §4.2). ``now``
    (seconds since 1970) tells the century of a year of two digits: one that seems to lie more than 50 years ahead is
    the last that ended so.
    """
    found = _IMF.fullmatch(value)
    if found is not None:
        day, month, year, hour, minute, second = found.groups()
        return _instant(int(year), month, int(day), int(hour), int(minute), int(second))
    found = _ASCTIME.fullmatch(value)
    if found is not None:
        month, day, hour, minute, second, year = found.groups()
        return _instant(int(year), month, int(day), int(hour), int(minute), int(second))
    found = _RFC850.fullmatch(value)
    if found is not None:
        day, month, year, hour, minute, second = found.groups()
        this_year = _year(now)
        full = this_year - this_year % 100 + int(year)
        if full < this_year - 49:
            full += 100
        instant = _instant(full, month, int(day), int(hour), int(minute), int(second))
        if instant is None or instant <= now + _FIFTY_YEARS:
            return instant
        return _instant(full - 100, month, int(day), int(hour), int(minute), int(second))
    return None


_FIFTY_YEARS: Final = 50 * 365.2425 * 86400


def _year(now: float) -> int:
    return date.fromordinal(_EPOCH + int(min(max(now, 0), _LATEST)) // 86400).year


def _instant(year: int, month: bytes, day: int, hour: int, minute: int, second: int) -> int | None:
    number = _MONTH_NUMBERS.get(month.lower())
    # 60 is a leap second, which the count of seconds since 1970 does not know.
    if number is None or hour > 23 or minute > 59 or second > 60:
        return None
    try:
        days = date(year, number, day).toordinal() - _EPOCH
    except ValueError:
        return None
    return days * 86400 + hour * 3600 + minute * 60 + second


def format_date(instant: float) -> bytes:
    """The instant as an IMF-fixdate, whole seconds, rounded down; brought inside of 1970 to 9999."""
    seconds = int(min(max(instant, 0), _LATEST))
    days, rest = divmod(seconds, 86400)
    day = date.fromordinal(_EPOCH + days)
    hour, rest = divmod(rest, 3600)
    minute, second = divmod(rest, 60)
    named = (_DAYS[day.weekday()], day.day, _MONTHS[day.month - 1], day.year)
    return b"%b, %02d %b %04d %02d:%02d:%02d GMT" % (*named, hour, minute, second)
