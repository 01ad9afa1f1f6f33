"""The parts of ``benchmarks/`` that make figures of rounds, and text of figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import report, scenarios, table
from benchmarks.__main__ import arguments, make_plan
from benchmarks.contestants import CONTESTANTS, earlier
from benchmarks.idle import IdleResult
from benchmarks.measure import Outcome, Plan
from benchmarks.rounds import Change, Sample, Summary, change, foreign, order, ratio, rounds_of, summarise
from benchmarks.targets import TARGETS, Target, judge


def sample(
    proxy: str,
    round: int,
    rate: float,
    cpu: float = 10.0,
    faults: tuple[str, ...] = (),
    scenario: str = "1k",
) -> Sample:
    return Sample(scenario, proxy, round, rate, cpu, 100, 900, 1000, faults=faults)


class TestRounds:
    @pytest.mark.parametrize(
        ("share", "rounds", "expected"),
        [
            (1.0, 4, {0, 1, 2, 3}),
            (0.5, 4, {0, 2}),
            (0.3, 10, {0, 3, 6}),
            (0.1, 10, {0}),
            (0.1, 1, {0}),
        ],
    )
    def test_a_share_is_spread_evenly(self, share: float, rounds: int, expected: set[int]) -> None:
        assert rounds_of(share, rounds) == expected

    def test_each_round_has_everybody_in_its_own_order(self) -> None:
        proxies = list("abcdef")
        orders = [order(proxies, number) for number in range(10)]
        assert all(sorted(one) == proxies for one in orders)
        assert len({tuple(one) for one in orders}) > 5
        assert order(proxies, 3) == orders[3]

    def test_ratios_are_taken_within_a_round(self) -> None:
        # The machine became three times slower after the first round; ours is always half as quick.
        samples = [
            sample("nginx", 0, 900.0, 10.0),
            sample("ours", 0, 450.0, 20.0),
            sample("nginx", 1, 300.0, 30.0),
            sample("ours", 1, 150.0, 60.0),
            sample("nginx", 2, 300.0, 30.0),
        ]
        assert ratio(samples, "1k", "ours", "nginx", "rate") == 0.5
        assert ratio(samples, "1k", "ours", "nginx", "cpu") == 2.0
        assert ratio(samples, "64k", "ours", "nginx", "rate") is None

    def test_a_round_with_errors_counts_for_nothing_but_is_counted(self) -> None:
        samples = [
            sample("nginx", 0, 100.0),
            sample("nginx", 1, 100.0, faults=("3 read errors",)),
            sample("ours", 0, 80.0),
            sample("ours", 1, 9999.0),
            sample("ours", 2, 0.0, 0.0, faults=("no answer at all",)),
        ]
        found = summarise(samples, "1k", "ours")
        assert found.rate_ratio == 0.8
        assert (found.rounds, found.faulty) == (3, 1)

    def test_nothing_sound_gives_no_figures(self) -> None:
        found = summarise([sample("ours", 0, 5.0, faults=("x",))], "1k", "ours")
        assert found == Summary("ours", None, None, None, None, None, None, rounds=1, faulty=1)
        assert foreign([], "1k") is None

    def test_figures_that_are_not_measured_are_none(self) -> None:
        samples = [
            Sample("tls-full", "ours", 0, 100.0, 10.0, None, None, 100, reused=0.25),
            Sample("tls-full", "ours", 1, 100.0, 10.0, None, None, 100, reused=0.75),
        ]
        found = summarise(samples, "tls-full", "ours")
        assert (found.p50, found.p99, found.reused) == (None, None, 0.5)

    def test_a_change_is_taken_from_rounds_in_which_both_were_sound(self) -> None:
        samples = [
            sample("ours", 0, 100.0, 22.0),
            sample("ours@v1", 0, 80.0, 20.0),
            sample("ours", 1, 50.0, 44.0),
            sample("ours@v1", 1, 40.0, 40.0),
            sample("ours", 2, 1.0, 1.0, faults=("x",)),
            sample("ours@v1", 2, 80.0, 20.0),
        ]
        assert change(samples, "1k", "ours", "ours@v1") == Change("1k", 33.0, 30.0, 1.1, 1.25, rounds=2)
        assert change(samples, "64k", "ours", "ours@v1") == Change("64k", None, None, None, None, rounds=0)


class TestTargets:
    def test_bounds(self) -> None:
        cpu, rate = Target("1k", "cpu", "nginx", 1.7), Target("1k", "rate", "caddy", 2.5)
        assert [cpu.met(1.7), cpu.met(1.71)] == [True, False]
        assert [rate.met(2.5), rate.met(2.49)] == [True, False]
        assert cpu.text() == "1k: CPU per request <= 1.7 x nginx's"

    def test_verdicts(self) -> None:
        samples = [sample("nginx", 0, 100.0, 10.0), sample("ours", 0, 80.0, 18.0)]
        idle = [IdleResult("ours", 10, 1000, 1000 + 10 * 4096)]
        verdicts = {verdict.text: verdict for verdict in judge(samples, idle)}
        assert len(verdicts) == len(TARGETS) + 2
        assert verdicts["1k: CPU per request <= 1.7 x nginx's"].met is False
        assert verdicts["1k: req/s >= 0.75 x nginx's"].met is True
        assert verdicts["1k: req/s >= 2.5 x caddy's"].met is None
        assert verdicts["idle: memory <= 5 KiB per connection"].value == "4.0 KiB"
        assert verdicts["tls-idle: memory <= 35 KiB per connection"].met is None

    def test_only_what_was_wanted_is_judged(self) -> None:
        found = [verdict.text for verdict in judge([], [], wanted=("10m", "tls-idle"))]
        assert found == [
            "10m: req/s >= 1.5 x nginx's",
            "10m: CPU per request <= 0.8 x nginx's",
            "tls-idle: memory <= 35 KiB per connection",
        ]

    def test_every_target_is_about_what_is_measured(self) -> None:
        groups = {scenario.name: scenario.group for scenario in scenarios.SCENARIOS}
        for target in TARGETS:
            names = {one.name for one in CONTESTANTS if one.group == groups[target.scenario]}
            assert {"ours", target.against} <= names

    def test_a_faulty_idle_measurement_is_no_verdict(self) -> None:
        idle = [IdleResult("ours", 10, 1000, 1000, ("3 of 10 connections were closed meanwhile",))]
        assert [verdict.met for verdict in judge([], idle) if "idle" in verdict.text] == [None, None]


class TestTable:
    ROWS = (("proxy", "req/s"), ("nginx", "1,000"), ("b", "-"))

    def test_plain(self) -> None:
        assert table.plain(self.ROWS) == "proxy  req/s\nnginx  1,000\nb          -"

    def test_grid(self) -> None:
        assert table.grid(self.ROWS).splitlines() == [
            "+-------+-------+",
            "| proxy | req/s |",
            "+=======+=======+",
            "| nginx | 1,000 |",
            "+-------+-------+",
            "| b     |     - |",
            "+-------+-------+",
        ]

    def test_a_row_of_figures(self) -> None:
        summary = Summary("ours", 12345.6, 0.8, 24.04, 1.5, 1500.0, 12000.0, rounds=10, faulty=1)
        rows = table.load_rows([summary], {"ours": "revproxy"})
        expected = ("revproxy", "12,346", "0.80", "24.0", "1.50", "1.50", "12.00", "9 (+1 with errors)")
        assert rows[1] == expected
        empty = table.load_rows([Summary("ours", None, None, None, None, None, None, 1, 1)], {"ours": "x"})
        assert set(empty[1][1:-1]) == {"-"}

    def test_the_column_of_what_was_reused(self) -> None:
        summary = Summary("ours", 100.0, 1.0, 10.0, 1.0, None, None, rounds=1, faulty=0, reused=0.9996)
        rows = table.load_rows([summary], {"ours": "x"}, "hits")
        assert rows[0][-2:] == ("hits", "rounds")
        # Nothing less than all is shown as all.
        assert rows[1][-4:] == ("-", "-", "99.9 %", "1")
        assert [table.percent(part) for part in (None, 0.0, 1.0)] == ["-", "0.0 %", "100.0 %"]

    def test_a_row_of_a_change(self) -> None:
        rows = table.change_rows([Change("1k", 33.04, 30.0, 1.1014, 1.25, rounds=10)])
        assert rows[1] == ("1k", "33.0", "30.0", "1.101", "1.250", "10")


class TestReport:
    PAGE = "before\n\n.. benchmark tls begins\n\nold\n\n.. benchmark tls ends\n\nafter\n"

    def plan(self, *argv: str) -> Plan:
        return make_plan(arguments(argv), 20000)

    def test_a_section_takes_the_place_of_what_was_between_its_markers(self) -> None:
        page = report.replaced(self.PAGE, "tls", "new \\1\n")
        assert page == "before\n\n.. benchmark tls begins\n\nnew \\1\n\n.. benchmark tls ends\n\nafter\n"
        assert report.replaced(page, "tls", "new \\1\n") == page
        with pytest.raises(ValueError, match="benchmark cache begins"):
            report.replaced(self.PAGE, "cache", "new")

    def test_a_section_has_its_own_group_alone(self) -> None:
        outcome = Outcome(
            samples=[
                sample("nginx", 0, 100.0, scenario="tls-1k"),
                sample("ours", 0, 80.0, scenario="tls-1k"),
                sample("ours", 0, 80.0, scenario="1k"),
            ],
            versions={"nginx": "nginx/1", "ours": "revproxy 1", "varnish": "varnish 1"},
            negotiated={"nginx": "TLSv1.3 X", "ours": "TLSv1.3 X"},
        )
        plan = self.plan("--scenario", "tls-1k,1k,cache-hit")
        section = report.group_section(plan, outcome, "tls", "make bench")
        assert section is not None
        assert "tls-1k: HTTPS" in section
        assert "1k: 1 KiB" not in section
        assert "| tls-1k: req/s >= 0.75 x nginx's |     0.80 | met |" in section
        assert "Negotiated with nginx, ours: TLSv1.3 X.\n" in section
        assert section.endswith("Measured: nginx/1; revproxy 1.\n")
        assert section.startswith("What ``make bench`` printed")
        assert report.group_section(plan, outcome, "cache", "make bench") is None

    def test_the_report_tells_what_changed_against_another_revision(self) -> None:
        chosen = arguments(["--against", "v1", "--scenario", "1k"])
        plan = make_plan(chosen, 20000, earlier("v1", Path("/elsewhere")))
        outcome = Outcome(samples=[sample("ours", 0, 100.0, 11.0), sample("ours@v1", 0, 80.0, 10.0)])
        text = report.report(plan, outcome, rst=False)
        assert "ours against ours@v1\n" in text
        assert "1k              11.0    10.0  1.100        1.250       1\n" in text
        assert report.changes(self.plan("--scenario", "1k"), outcome, rst=False) == []

    def test_the_readme_has_the_markers(self) -> None:
        page = Path(__file__).parents[1].joinpath("README.rst").read_text(encoding="utf-8")
        for group in scenarios.GROUPS:
            assert "\nnew figures\n" in report.replaced(page, group, "new figures")
