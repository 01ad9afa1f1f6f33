from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revproxy.config import units


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1h 30m", 5400.0),
        ("250ms", 0.25),
        ("1d", 86400.0),
        ("1.5s", 1.5),
        ("0s", 0.0),
        ("1m30s500ms", 90.5),
        ("12", 12.0),
        (" 12s ", 12.0),
        (7, 7.0),
        (0.25, 0.25),
    ],
)
def test_duration(text: object, seconds: float) -> None:
    assert units.parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("-5s", "negative"),
        (-1, "negative"),
        (-0.5, "negative"),
        ("", "no duration"),
        ("s", "no duration"),
        ("5 minutes", "no duration"),
        ("5m5h", "no duration"),
        ("5m5m", "no duration"),
        ("1h30", "no duration"),
        ("٣s", "no duration"),
        ("1e3s", "no duration"),
        ("5s\n5s", "no duration"),
        (True, "a duration is expected"),
        (None, "a duration is expected"),
        ([], "a duration is expected"),
        (float("inf"), "finite"),
        (float("nan"), "finite"),
        (10**400, "finite"),
        ("9" * 400, "finite"),
    ],
)
def test_no_duration(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        units.parse_duration(value)


@given(st.floats(min_value=0, max_value=1e12, allow_nan=False))
def test_duration_round_trip(seconds: float) -> None:
    text = units.format_duration(seconds)
    assert units.parse_duration(text) == seconds
    assert re.search(units.DURATION_PATTERN, text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0s"), (0.25, "250ms"), (60.0, "1m"), (75.0, "1m15s"), (3600.0, "1h"), (90000.0, "1d1h"), (1.5, "1.5s")],
)
def test_duration_text(seconds: float, text: str) -> None:
    assert units.format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("64KiB", 65536),
        ("10MB", 10_000_000),
        ("4GiB", 4 * 1024**3),
        ("1.5KiB", 1536),
        ("1TiB", 1024**4),
        ("12B", 12),
        ("12", 12),
        ("64 kib", 65536),
        (1234, 1234),
        (0, 0),
    ],
)
def test_size(text: object, octets: int) -> None:
    assert units.parse_size(text) == octets


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("64K", 'write "64KiB"'),
        ("10m", 'write "10MiB"'),
        ("10 parsecs", "units are KiB"),
        ("", "no size"),
        ("KiB", "no size"),
        ("-1KiB", "negative"),
        (-1, "negative"),
        ("1.5B", "no whole number"),
        ("0.3KiB", "no whole number"),
        (1.5, "a size is expected"),
        (True, "a size is expected"),
        (None, "a size is expected"),
    ],
)
def test_no_size(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        units.parse_size(value)


@given(
    st.one_of(
        st.integers(0, 2**70),
        st.integers(0, 2**20).map(lambda n: n * 1024),
        st.integers(0, 99).map(lambda n: n * 10**6),
    )
)
def test_size_round_trip(octets: int) -> None:
    text = units.format_size(octets)
    assert units.parse_size(text) == octets
    assert re.search(units.SIZE_PATTERN, text)


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("192.0.2.7", "192.0.2.7/32"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("::1", "::1/128"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
    ],
)
def test_network(text: str, network: str) -> None:
    assert units.parse_network(text) == ip_network(network)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("10.0.0.1/8", 'write "10.0.0.0/8" or "10.0.0.1" alone'),
        ("10.0.0", "no network"),
        ("example.com", "no network"),
        ("10.0.0.0/33", "no network"),
        ("", "no network"),
        (10, "a network is expected"),
    ],
)
def test_no_network(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        units.parse_network(value)


@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_network_round_trip(address: IPv4Address, prefix: int) -> None:
    network = IPv4Network((int(address), prefix), strict=False)
    assert units.parse_network(units.format_network(network)) == network


def test_in_networks() -> None:
    networks = (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))
    assert units.in_networks("10.1.2.3", networks)
    assert units.in_networks("::ffff:10.1.2.3", networks)
    assert units.in_networks("2001:db8::5", networks)
    assert not units.in_networks("11.1.2.3", networks)
    assert not units.in_networks("::1", networks)
    assert not units.in_networks("", networks)
    assert not units.in_networks("10.1.2.3", ())
