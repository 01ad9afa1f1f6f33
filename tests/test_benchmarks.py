"""The parts of ``benchmarks/`` that compute: what a figure means is tested, how large it is never."""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path

import pytest

from benchmarks import load, scenarios, table
from benchmarks.__main__ import arguments, make_plan
from benchmarks.cpu import Stat, parse_machine, parse_rollup, parse_stat, tree
from benchmarks.idle import IdleResult
from benchmarks.load import LoadError, parse_result
from benchmarks.processes import Cores, Processes
from benchmarks.rounds import Sample, Summary, foreign, order, ratio, rounds_of, summarise
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


class TestCPU:
    def test_a_command_with_spaces_and_brackets(self) -> None:
        text = "42 (a) (b c) S 7 42 9 0 -1 4194560 1 2 3 4 100 50 20 5 20 0 1 0 1 2 3"
        assert parse_stat(text) == Stat(pid=42, parent=7, session=9, own_ticks=150, reaped_ticks=25)

    def test_a_tree_holds_children_grandchildren_and_orphans_of_the_session(self) -> None:
        def stat(pid: int, parent: int, session: int) -> Stat:
            return Stat(pid, parent, session, 0, 0)

        stats = {
            one.pid: one
            for one in (
                stat(1, 0, 1),
                stat(10, 1, 10),
                stat(11, 10, 10),
                stat(12, 11, 12),  # a grandchild with a session of its own
                stat(13, 1, 10),  # adopted by init
                stat(20, 1, 20),
            )
        }
        assert [one.pid for one in tree(10, stats)] == [10, 11, 12, 13]

    def test_a_tree_that_is_gone_is_empty(self) -> None:
        assert tree(10, {1: Stat(1, 0, 1, 0, 0)}) == []

    def test_memory_in_octets(self) -> None:
        lines = ["5500-7fff ---p 00000000 00:00 0   [rollup]\n", "Rss:    1772 kB\n", "Pss:     494 kB\n"]
        assert parse_rollup(lines) == {"Rss": 1772 * 1024, "Pss": 494 * 1024}

    def test_the_machine_is_busy_without_its_idle_and_waiting_time(self) -> None:
        ticks = os.sysconf("SC_CLK_TCK")
        found = parse_machine(f"cpu  {ticks} {ticks} {ticks} 999 999 {ticks} {ticks} {2 * ticks} 0 0\n")
        assert (found.busy, found.stolen) == (5.0, 2.0)
        with pytest.raises(ValueError, match="all cores"):
            parse_machine("cpu0 1 2 3 4 5 6 7 8 9 10")


class TestLoad:
    LINE = (
        'RESULT {"requests": 10, "octets": 2000, "microseconds": 500000, "p50": 7, "p99": 9, '
        '"connect": 0, "read": 3, "write": 0, "status": 1, "timeout": 0}'
    )

    def test_a_result_is_found_among_other_lines(self) -> None:
        result = parse_result(f"Running 1s test\n{self.LINE}\nmore\n", 0.25)
        assert (result.requests, result.octets, result.seconds) == (10, 2000, 0.5)
        assert (result.p50, result.p99, result.cpu) == (7, 9, 0.25)
        assert result.errors == {"read": 3, "status": 1}

    def test_no_result_is_an_error_that_shows_what_was_said(self) -> None:
        with pytest.raises(LoadError, match="unable to connect"):
            parse_result("unable to connect to 127.0.0.1\n")


class TestScenarios:
    def test_every_page_has_1_kib_and_names_its_url(self) -> None:
        targets = [scenarios.page_target(number) for number in range(scenarios.URL_COUNT)]
        assert len(set(targets)) == scenarios.URL_COUNT
        assert {len(target) for target in targets} == {len(targets[0])}
        assert all(len(scenarios.page_body(target)) == 1024 for target in targets)
        assert all(scenarios.page_body(target).startswith(target.encode()) for target in targets)

    def test_a_request_as_it_is_sent(self) -> None:
        ask = scenarios.Ask("/up", b"", "POST", fields=(("Accept", "*/*"),), body=b"12345")
        assert ask.render("h:1") == (
            b"POST /up HTTP/1.1\r\nHost: h:1\r\nAccept: */*\r\nContent-Length: 5\r\n\r\n12345"
        )

    @pytest.mark.parametrize("scenario", scenarios.SCENARIOS, ids=lambda one: one.name)
    def test_the_file_for_the_load_generator(self, scenario: scenarios.Scenario, tmp_path: Path) -> None:
        file = tmp_path / "requests"
        load.write_requests(scenario, "127.0.0.1:1", file)
        requests = file.read_bytes().split(b"\0")
        assert len(requests) == len(scenario.asks())
        marks = {request.count(scenarios.RANDOM) for request in requests}
        assert marks == ({1} if scenario.name == "cookies" else {0})
        assert all(request.count(b"\r\n\r\n") == 1 for request in requests)

    def test_the_upload_has_16_kib(self) -> None:
        assert len(scenarios.UPLOAD) == 16 * 1024


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
        assert len(verdicts) == len(TARGETS) + 1
        assert verdicts["1k: CPU per request <= 1.7 x nginx's"].met is False
        assert verdicts["1k: req/s >= 0.75 x nginx's"].met is True
        assert verdicts["1k: req/s >= 2.5 x caddy's"].met is None
        assert verdicts["idle: memory <= 5 KiB per connection"].value == "4.0 KiB"

    def test_a_faulty_idle_measurement_is_no_verdict(self) -> None:
        idle = [IdleResult("ours", 10, 1000, 1000, ("3 of 10 connections were closed meanwhile",))]
        assert judge([], idle)[-1].met is None


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


class TestOptions:
    def test_quick_is_two_rounds_of_a_second_with_all(self) -> None:
        plan = make_plan(arguments(["--quick"]), 20000)
        assert (plan.rounds, plan.seconds, plan.even) == (2, 1, True)
        assert all(plan.share(one) == 1.0 for one in plan.contestants)
        assert plan.idle_connections == 5000

    def test_a_choice(self) -> None:
        plan = make_plan(arguments(["--scenario", "1k,10m", "--only", "ours", "--only", "nginx"]), 20000)
        assert [one.name for one in plan.scenarios] == ["1k", "10m"]
        assert {one.name for one in plan.contestants} == {"ours", "nginx"}
        assert plan.idle_connections == 0

    def test_few_descriptors_mean_fewer_connections(self) -> None:
        assert make_plan(arguments([]), 1024).idle_connections == 824

    @pytest.mark.parametrize(
        "argv", [["--scenario", "2k"], ["--only", "ngnix"], ["--rounds", "0"], ["--seconds", "0"]]
    )
    def test_mistakes_are_refused(self, argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as stopped:
            arguments(argv)
        assert stopped.value.code == 2
        assert argv[0] in capsys.readouterr().err


class TestProcesses:
    def test_cores(self) -> None:
        assert Cores.choose({0, 1, 2, 3}) == Cores(proxy=3, load=0)
        assert Cores.choose({5}) == Cores(proxy=None, load=None)

    def test_nothing_is_left_when_the_block_is_left_by_an_exception(self, tmp_path: Path) -> None:
        # The program starts another one and tells its id through a pipe; neither ends by itself.
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        code = (
            "import subprocess, sys, time;"
            "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
            "open(sys.argv[1], 'w').write(str(child.pid));"
            "time.sleep(600)"
        )
        argv = [sys.executable, "-c", code, str(pipe)]
        with pytest.raises(KeyboardInterrupt), Processes() as processes:
            running = processes.start("one", argv, output=tmp_path / "output", core=None)
            child = os.pidfd_open(int(pipe.read_text()))
            raise KeyboardInterrupt
        assert not running.alive()
        # Readable once it has ended, reaped or not.
        assert select.select([child], [], [], 10)[0]
        os.close(child)
