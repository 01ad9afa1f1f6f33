"""Cache-Status and Age: every member is what RFC 9211 says, and reads back."""

from __future__ import annotations

from typing import Any

import http_sf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revproxy.caching.cache_status import FORWARDED, CacheStatus, appended, render_age
from revproxy.caching.reasons import Reason

OURS = CacheStatus()


def test_hits() -> None:
    # RFC 9211 §3
    assert OURS.hit(376) == b"revproxy; hit; ttl=376"
    assert OURS.hit(376.9) == b"revproxy; hit; ttl=376"
    assert OURS.hit(0.5) == b"revproxy; hit; ttl=0"
    assert OURS.hit(-0.5) == b"revproxy; hit; ttl=-1"
    assert OURS.hit(-412) == b"revproxy; hit; ttl=-412"
    assert OURS.hit(1e30) == b"revproxy; hit; ttl=999999999999999"
    assert OURS.hit(float("inf")) == b"revproxy; hit; ttl=999999999999999"
    assert OURS.hit(-1e30) == b"revproxy; hit; ttl=-999999999999999"
    assert OURS.hit_with(None) == b"revproxy; hit"
    assert OURS.hit_with(5, detail="stale-if-error") == b"revproxy; hit; ttl=5; detail=stale-if-error"
    assert OURS.hit_with(5, key=b'/a"b\\') == b'revproxy; hit; ttl=5; key="/a\\"b\\\\"'


def test_forwarded() -> None:
    assert OURS.forward("uri-miss") == b"revproxy; fwd=uri-miss"
    assert OURS.forward("stale", status=304) == b"revproxy; fwd=stale; fwd-status=304"
    assert OURS.forward("uri-miss", collapsed=True) == b"revproxy; fwd=uri-miss; collapsed"
    assert OURS.forward("uri-miss", collapsed=False) == b"revproxy; fwd=uri-miss; collapsed=?0"
    assert (
        OURS.forward("vary-miss", status=200, stored=True, ttl=9.9, detail="a b", key=b"k")
        == b'revproxy; fwd=vary-miss; fwd-status=200; stored; ttl=9; key="k"; detail="a b"'
    )


@pytest.mark.parametrize("why", ["", "hit", "URI-MISS", "because"])
def test_only_what_the_rfc_names_is_a_reason(why: str) -> None:
    with pytest.raises(ValueError):
        OURS.forward(why)


def test_the_policys_reasons_can_be_said() -> None:
    for reason in Reason:
        assert not reason.forward or reason.forward in FORWARDED
        assert read(OURS.hit_with(1, detail=reason.detail))["detail"] == reason.detail


def read(member: bytes) -> dict[str, object]:
    """One member, by somebody else's parser."""
    members: Any = http_sf.parse(member, tltype="list")
    ((item, parameters),) = members
    found: dict[str, object] = {"": str(item)}
    for name, value in parameters.items():
        found[name] = value if isinstance(value, (bool, int)) else str(value)
    return found


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(sorted(FORWARDED)),
    st.one_of(st.none(), st.integers(100, 599)),
    st.booleans(),
    st.one_of(st.none(), st.booleans()),
    st.one_of(st.none(), st.floats(-1e20, 1e20)),
    st.text(max_size=20),
    st.binary(max_size=20),
)
def test_a_member_reads_back(
    why: str, status: int | None, stored: bool, collapsed: bool | None, ttl: float | None, detail: str, key: bytes
) -> None:
    member = OURS.forward(why, status=status, stored=stored, collapsed=collapsed, ttl=ttl, detail=detail, key=key)
    found = read(member)
    assert found.pop("") == "revproxy" and found.pop("fwd") == why
    assert found.pop("fwd-status", None) == status
    assert found.pop("stored", False) is stored
    assert found.pop("collapsed", None) is collapsed
    told = found.pop("ttl", None)
    assert (told is None) is (ttl is None)
    if ttl is not None and abs(ttl) < 1e14:
        assert isinstance(told, int) and told <= ttl < told + 1
    assert ("detail" in found) is bool(detail) and ("key" in found) is bool(key)
    if detail.isascii() and detail.isprintable():
        assert found.get("detail", "") == detail
    if key.isascii() and key.decode("ascii").isprintable():
        assert str(found.get("key", "")).encode() == key


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"revproxy", b"revproxy; hit"),
        (b"edge-1.example:443/a", b"edge-1.example:443/a; hit"),
        (b"Example CDN", b'"Example CDN"; hit'),
        (b"1st", b'"1st"; hit'),
        (b"100%", b'"100%"; hit'),
        (b"", b'""; hit'),
        (b"a\r\nb", b'"a%0D%0Ab"; hit'),
    ],
)
def test_a_name_is_a_token_or_a_string(name: bytes, shown: bytes) -> None:
    # RFC 9211 §2
    assert CacheStatus(name).hit_with(None) == shown
    assert CacheStatus(name).hit(5) == shown + b"; ttl=5"


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        (None, b"revproxy; hit; ttl=1"),
        (b"", b"revproxy; hit; ttl=1"),
        (b"OriginCache; hit; ttl=1100", b"OriginCache; hit; ttl=1100, revproxy; hit; ttl=1"),
        (b'"CDN Company Here"; hit, B; fwd=miss', b'"CDN Company Here"; hit, B; fwd=miss, revproxy; hit; ttl=1'),
        # Not a list of structured fields: it would take ours with it.
        (b"HIT from somewhere", b"revproxy; hit; ttl=1"),
        (b"A; hit,", b"revproxy; hit; ttl=1"),
        (b'A; detail="', b"revproxy; hit; ttl=1"),
        (b"\xff", b"revproxy; hit; ttl=1"),
    ],
)
def test_ours_stands_last(existing: bytes | None, expected: bytes) -> None:
    # RFC 9211 §2, §3
    assert appended(existing, OURS.hit(1)) == expected


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, b"0"), (0.99, b"0"), (59.5, b"59"), (-3, b"0"), (2**31, b"2147483648"), (1e20, b"2147483648")],
)
def test_age(seconds: float, shown: bytes) -> None:
    # RFC 9111 §5.1, §1.2.2
    assert render_age(seconds) == shown
