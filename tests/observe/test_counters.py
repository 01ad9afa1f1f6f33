"""What is counted is what happened, whoever adds it up, and no client can make more of it than numbers."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revproxy.caching.cache_status import CacheStatus, appended
from revproxy.observe.counters import Counters
from revproxy.observe.histogram import BOUNDS, TOLD, Histogram
from revproxy.observe.labels import (
    METHODS,
    NO_ROUTE,
    OUTCOMES,
    UPSTREAM_REASONS,
    Outcomes,
    method_label,
    outcome_of,
    status_label,
)
from revproxy.observe.transaction import Transaction
from tests.observe.making import API, SHOP, over


def counted(*batches: list[Transaction]) -> Counters:
    counters = Counters()
    for batch in batches:
        counters.count(batch)
    return counters


def test_requests_by_route_method_and_status() -> None:
    batch = [over(status=200), over(status=200), over(status=404, method=b"HEAD"), over(labels=API, status=503)]
    counters = counted(batch)
    assert counters.routes["shop.example", "/"].requests == {("GET", "200"): 2, ("HEAD", "404"): 1}
    assert counters.routes["api.example", "/v1/"].requests == {("GET", "503"): 1}


def test_octets_and_durations() -> None:
    counts = counted([over(sent=10, received=1, total_time=0.5), over(sent=32, received=2, total_time=1.5)]).routes[
        "shop.example", "/"
    ]
    assert (counts.sent, counts.received) == (42, 3)
    assert counts.durations.count == 2
    assert counts.durations.sum == 2.0


def test_a_tunnel_says_nothing_of_how_quick_the_server_is() -> None:
    counters = counted([over(status=101, total_time=3600.0), over(total_time=0.5)])
    assert counters.sums == {"tunnels": 1}
    assert counters.routes["shop.example", "/"].durations.count == 1
    assert sum(counters.routes["shop.example", "/"].requests.values()) == 2


def test_servers() -> None:
    batch = [
        over(),
        over(connect_time=0.002, tries=3),
        over(upstream=b"10.0.0.6:80", reason="connect_failed", status=502, first_byte_time=-1.0, connect_time=-1.0),
        over(upstream=b"", tries=0),
    ]
    assert "connect_failed" in UPSTREAM_REASONS
    counters = counted(batch)
    assert set(counters.servers) == {("shop", "10.0.0.5:80"), ("shop", "10.0.0.6:80")}
    good, bad = counters.servers["shop", "10.0.0.5:80"], counters.servers["shop", "10.0.0.6:80"]
    assert (good.requests, good.retries, good.failures) == (2, 2, {})
    assert (good.first_bytes.count, good.connects.count) == (2, 1)
    assert (bad.requests, bad.failures, bad.first_bytes.count) == (1, {"connect_failed": 1}, 0)
    assert counters.reasons == {"connect_failed": 1}


def test_a_clients_fault_is_no_servers() -> None:
    counters = counted([over(reason="client_gone", status=499)])
    assert counters.reasons == {"client_gone": 1}
    assert counters.servers["shop", "10.0.0.5:80"].failures == {}


STATUS = CacheStatus(b"revproxy")


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        (b"", ""),
        (STATUS.hit(231), "hit"),
        (STATUS.hit(-5), "stale"),
        (b"revproxy; fwd=stale; fwd-status=304; ttl=60", "revalidated"),
        (b"revproxy; fwd=stale; fwd-status=200", "expired"),
        (b"revproxy; fwd=uri-miss; collapsed", "collapsed"),
        (b"revproxy; fwd=uri-miss; stored", "uri-miss"),
        (b"revproxy; fwd=bypass; detail=no-store", "bypass"),
        (b"revproxy; fwd=brand-new", "other"),
        (b"revproxy", "other"),
        (appended(b'Evil; detail="; hit, x; hit"', b"revproxy; fwd=miss"), "miss"),
        (appended(b"Far; hit", b"revproxy; fwd=uri-miss"), "uri-miss"),
        (b'revproxy; hit; ttl=3; key="a;fwd=miss\\";collapsed"', "hit"),
        (b'revproxy; fwd=uri-miss; detail="no, not; hit"', "uri-miss"),
    ],
)
def test_outcomes_of_a_cache(value: bytes, outcome: str) -> None:
    assert outcome_of(value) == outcome
    counters = counted([over(cache_status=value), over(cache_status=value)])
    assert counters.routes["shop.example", "/"].cache == ({outcome: 2} if outcome else {})


def test_values_that_were_seen_are_bounded() -> None:
    seen = Outcomes()
    for number in range(20_000):
        assert seen[b"revproxy; hit; ttl=%d" % number] == "hit"
    assert len(seen) <= 8192


@given(
    st.lists(
        st.builds(
            over,
            labels=st.sampled_from([SHOP, API, NO_ROUTE]),
            method=st.binary(max_size=20),
            status=st.integers(-1, 2000),
            cache_status=st.binary(max_size=30),
            target=st.binary(max_size=40),
        ),
        min_size=1,
        max_size=30,
    )
)
@settings(max_examples=60, deadline=None)
def test_clients_make_no_labels(batch: list[Transaction]) -> None:
    counters = counted(batch)
    assert set(counters.routes) <= {("shop.example", "/"), ("api.example", "/v1/"), ("-", "-")}
    for counts in counters.routes.values():
        for method, status in counts.requests:
            assert method in {*METHODS.values(), "other", "-"}
            assert len(status) <= 3
            assert status[0] in "0123456789"
        assert set(counts.cache) <= {*OUTCOMES, "other"}
    assert sum(sum(counts.requests.values()) for counts in counters.routes.values()) == len(batch)


def test_labels() -> None:
    assert [method_label(each) for each in (b"GET", b"get", b"BREW", b"", b"\xff" * 8192)] == [
        "GET", "other", "other", "-", "other",
    ]  # fmt: skip
    assert [status_label(each) for each in (200, 499, 299, 799, 0, -3, 12345)] == [
        "200", "499", "2xx", "7xx", "0", "0", "0",
    ]  # fmt: skip


def told(counters: Counters) -> Any:
    value = json.loads(json.dumps(counters.snapshot()))
    value["routes"] = sorted(value["routes"])
    value["servers"] = sorted(value["servers"])
    return value


def test_what_workers_took_adds_up_to_the_whole() -> None:
    batches = [[over(number, labels=(SHOP, API)[number % 2], tries=number % 3 + 1) for number in range(9)]] * 3
    whole, sum_of_all, worker = counted(*batches), Counters(), Counters()
    for batch in batches:
        worker.count(batch)
        worker.add("refused", 2)
        whole.add("refused", 2)
        sum_of_all.merge(json.loads(json.dumps(worker.take())))
    assert told(sum_of_all) == told(whole)
    assert told(worker) == told(Counters())


def test_what_is_long_gone_is_put_together() -> None:
    counters = Counters()
    for number in range(10):
        counters.route(f"site-{number}", "/").sent = 10
        counters.server("pool", f"server-{number}").requests = 1
    counters.fold(4)
    assert list(counters.routes) == [("site-7", "/"), ("site-8", "/"), ("site-9", "/"), ("other", "other")]
    assert sum(counts.sent for counts in counters.routes.values()) == 100
    assert counters.servers["other", "other"].requests == 7
    counters.route("site-10", "/").sent = 10
    counters.fold(4)
    assert len(counters.routes) == 4
    assert sum(counts.sent for counts in counters.routes.values()) == 110


# Durations.


@given(st.lists(st.floats(0, 1000), max_size=200))
def test_many_at_once_are_as_many_one_by_one(durations: list[float]) -> None:
    one_by_one, at_once = Histogram(), Histogram()
    for each in durations:
        one_by_one.add(each)
    at_once.add_all(durations)
    assert one_by_one.buckets == at_once.buckets
    assert at_once.count == len(durations)
    assert at_once.sum == pytest.approx(sum(durations))


@given(st.lists(st.floats(0.00011, 90), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99]))
def test_quantiles_are_near(durations: list[float], share: float) -> None:
    histogram = Histogram()
    histogram.add_all(durations)
    ordered = sorted(durations)
    exact = ordered[min(int(share * len(ordered)), len(ordered) - 1)]
    found = histogram.quantile(share)
    assert found is not None
    # A bucket's bounds are a quarter apart, and the rank may fall between two durations.
    below = ordered[max(int(share * len(ordered)) - 1, 0)]
    assert below / 1.3 <= found <= exact * 1.3


def test_no_durations_have_no_quantile() -> None:
    assert Histogram().quantile(0.5) is None


def test_what_took_longer_than_all_bounds() -> None:
    histogram = Histogram()
    histogram.add_all([5000.0])
    assert histogram.quantile(0.5) == BOUNDS[-1]
    assert histogram.cumulative()[-1] == (100.0, 0)
    assert histogram.count == 1


def test_what_a_collector_is_told_adds_up() -> None:
    durations = [0.0004, 0.0006, 0.003, 0.2, 7.0, 99.0]
    histogram = Histogram()
    histogram.add_all(durations)
    assert [BOUNDS[bucket] for bucket in TOLD][:5] == [0.0005, 0.001, 0.0025, 0.005, 0.01]
    for bound, number in histogram.cumulative():
        assert number == sum(each <= bound for each in durations), bound


def test_histograms_add_up() -> None:
    both, one, other = Histogram(), Histogram(), Histogram()
    for each, durations in ((one, [0.1, 0.2]), (other, [0.2, 3.0])):
        each.add_all(durations)
        both.add_all(durations)
    one.merge(json.loads(json.dumps(other.snapshot())))
    assert one.buckets == both.buckets
    assert one.sum == pytest.approx(both.sum)
    assert Counter(one.buckets).total() == 4
