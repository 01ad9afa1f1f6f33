"""Stale responses when the server failed (RFC 9111 §4.2.4, §4.3.3; RFC 5861 §4)."""

from __future__ import annotations

import pytest

from revproxy.caching.decisions import PassOn, Serve
from revproxy.caching.options import DEFAULT_OPTIONS, CacheOptions
from revproxy.caching.policy import on_failure
from revproxy.caching.reasons import Reason
from tests.caching.scenes import NOW, controls, stored

R = Reason
GRACE = "Cache-Control: max-age=5, stale-if-error=10"


@pytest.mark.parametrize(
    ("response", "request_fields", "after", "status", "expected"),
    [
        (GRACE, "", 6, 0, R.STALE_IF_ERROR),
        (GRACE, "", 14.9, 0, R.STALE_IF_ERROR),
        (GRACE, "", 15, 0, R.TOO_STALE),
        # The errors of RFC 5861 §4, and no others.
        (GRACE, "", 6, 500, R.STALE_IF_ERROR),
        (GRACE, "", 6, 502, R.STALE_IF_ERROR),
        (GRACE, "", 6, 503, R.STALE_IF_ERROR),
        (GRACE, "", 6, 504, R.STALE_IF_ERROR),
        (GRACE, "", 6, 501, R.NOT_AN_ERROR),
        (GRACE, "", 6, 505, R.NOT_AN_ERROR),
        (GRACE, "", 6, 404, R.NOT_AN_ERROR),
        (GRACE, "", 6, 429, R.NOT_AN_ERROR),
        (GRACE, "", 6, 200, R.NOT_AN_ERROR),
        # Without permission there is none, even where the server can't be reached.
        ("Cache-Control: max-age=5", "", 6, 0, R.TOO_STALE),
        ("Cache-Control: max-age=5", "", 6, 503, R.TOO_STALE),
        ("Last-Modified: @-10", "", 6, 0, R.TOO_STALE),
        # The client's own limit, narrower or wider.
        ("Cache-Control: max-age=5", "Cache-Control: stale-if-error=10", 6, 0, R.STALE_IF_ERROR),
        ("Cache-Control: max-age=5", "Cache-Control: stale-if-error=10", 15, 0, R.TOO_STALE),
        (GRACE, "Cache-Control: stale-if-error=0", 6, 0, R.TOO_STALE),
        (GRACE, "Cache-Control: stale-if-error=x", 6, 0, R.TOO_STALE),
        (GRACE, "Cache-Control: stale-if-error=60", 20, 0, R.STALE_IF_ERROR),
        # What forbids it (§4.2.4, §5.2.2.2).
        (f"{GRACE}, must-revalidate", "", 6, 0, R.STALE_MUST_REVALIDATE),
        (f"{GRACE}, proxy-revalidate", "", 6, 0, R.STALE_MUST_REVALIDATE),
        (f"{GRACE}, s-maxage=5", "", 6, 0, R.STALE_S_MAXAGE),
        (f"{GRACE}, no-cache", "", 6, 0, R.NO_CACHE),
        (f"{GRACE}, no-cache", "", 1, 0, R.NO_CACHE),
        (f"{GRACE}, must-revalidate", "Cache-Control: stale-if-error=60", 6, 0, R.STALE_MUST_REVALIDATE),
        (f"{GRACE}, s-maxage=5", "Cache-Control: stale-if-error=60", 6, 0, R.STALE_S_MAXAGE),
        (f"{GRACE}, no-cache", "Cache-Control: stale-if-error=60", 6, 0, R.NO_CACHE),
        # A client that wanted validation of what is fresh gets it all the same.
        ("Cache-Control: max-age=5", "Cache-Control: no-cache", 1, 0, R.STALE_IF_ERROR),
        ("Cache-Control: max-age=5, must-revalidate", "Cache-Control: max-age=0", 1, 0, R.STALE_IF_ERROR),
    ],
)
def test_failures(response: str, request_fields: str, after: float, status: int, expected: Reason) -> None:
    found = stored(response)
    decision = on_failure(found, controls(request_fields), status, DEFAULT_OPTIONS, NOW + after)
    assert decision.reason is expected
    if expected is R.STALE_IF_ERROR:
        assert decision == Serve(found, int(after), int(5 - after), after >= 5, False, expected)
    else:
        assert isinstance(decision, PassOn)


@pytest.mark.parametrize(
    ("response", "options", "expected"),
    [
        ("Cache-Control: max-age=5", {"stale_if_error": 10.0}, R.STALE_IF_ERROR),
        ("Cache-Control: max-age=5, stale-if-error=0", {"stale_if_error": 10.0}, R.TOO_STALE),
        ("Cache-Control: s-maxage=5", {"stale_if_error": 10.0}, R.STALE_S_MAXAGE),
        ("Cache-Control: s-maxage=5, stale-if-error=9", {"stale_beside_s_maxage": True}, R.STALE_IF_ERROR),
        ("Cache-Control: s-maxage=5", {"stale_beside_s_maxage": True, "stale_if_error": 9.0}, R.STALE_S_MAXAGE),
        ("Cache-Control: max-age=5, must-revalidate", {"stale_if_error": 9.0}, R.STALE_MUST_REVALIDATE),
        ("Cache-Control: max-age=5, no-cache", {"stale_if_error": 9.0, "force": True}, R.STALE_IF_ERROR),
    ],
)
def test_options(response: str, options: dict[str, object], expected: Reason) -> None:
    made = CacheOptions(**options)  # type: ignore[arg-type]
    assert on_failure(stored(response), controls(), 0, made, NOW + 6).reason is expected


def test_an_invalidated_response_is_never_used() -> None:
    found = stored(GRACE, invalidated=True)
    assert on_failure(found, controls(), 0, DEFAULT_OPTIONS, NOW + 1) == PassOn(R.INVALIDATED)


def test_nothing_stored() -> None:
    assert on_failure(None, controls(), 0, DEFAULT_OPTIONS, NOW) == PassOn(R.NOTHING_STORED)
