"""The parts of ``benchmarks/`` that compute: what a figure means is tested, how large it is never."""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path

import pytest

from benchmarks import load, scenarios
from benchmarks.__main__ import arguments, command_of, make_plan
from benchmarks.contestants import earlier
from benchmarks.cpu import Stat, parse_machine, parse_rollup, parse_stat, tree
from benchmarks.launching import Contestant, Launch, Place
from benchmarks.load import LoadError, parse_result
from benchmarks.measure import Measurement, Outcome, Plan, Tools
from benchmarks.processes import Cores, Processes, on_cores


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
        assert marks == ({1} if scenario.name in ("cookies", "cache-browser") else {0})
        assert all(request.count(b"\r\n\r\n") == 1 for request in requests)

    def test_pages_that_may_be_kept_are_as_long_as_the_others(self) -> None:
        # The origin makes both from one string of its configuration.
        target = scenarios.page_target(7, scenarios.KEPT)
        assert target.startswith("/kept/")
        assert len(target) == len(scenarios.page_target(7))

    def test_names_of_groups_stand_for_their_scenarios(self) -> None:
        assert scenarios.named([]) == scenarios.NAMES
        assert scenarios.named(["tls-10m", "1k"]) == ("1k", "tls-10m")
        tls = scenarios.named(["tls"])
        assert tls == ("tls-1k", "tls-10m", "tls-full", "tls-resumed", "tls-idle")
        assert scenarios.named(["cache", "tls"]) == (*tls, *scenarios.named(["cache"]))
        of_groups = [name for group in scenarios.GROUPS for name in scenarios.named([group])]
        assert tuple(of_groups) == scenarios.NAMES

    def test_the_upload_has_16_kib(self) -> None:
        assert len(scenarios.UPLOAD) == 16 * 1024


class TestOptions:
    def test_quick_is_two_rounds_of_a_second_with_all(self) -> None:
        plan = make_plan(arguments(["--quick"]), 20000)
        assert (plan.rounds, plan.seconds, plan.even) == (2, 1, True)
        assert all(plan.share(one) == 1.0 for one in plan.contestants)
        assert plan.idle_connections == 5000
        assert [idle.name for idle in plan.idles] == ["idle", "tls-idle"]

    def test_a_choice(self) -> None:
        plan = make_plan(arguments(["--scenario", "1k,10m", "--only", "ours", "--only", "nginx"]), 20000)
        assert [one.name for one in plan.scenarios] == ["1k", "10m"]
        assert {one.name for one in plan.contestants} == {"ours", "nginx"}
        assert plan.idles == ()
        assert {one.name for one in plan.contestants_of("plain")} == {"ours", "nginx"}
        assert plan.contestants_of("tls") == []
        assert plan.wanted == ("1k", "10m")

    def test_a_group(self) -> None:
        plan = make_plan(arguments(["--scenario", "cache", "--only", "ours,ours-off,varnish"]), 20000)
        assert plan.wanted == ("cache-hit", "cache-browser", "cache-64k", "cache-pass")
        found = plan.contestants_of("cache")
        assert [one.name for one in found] == ["ours", "ours-off", "varnish"]
        assert [one.name for one in found if one.takes_part("cache-hit")] == ["ours", "varnish"]
        hits = make_plan(arguments(["--scenario", "cache-hit"]), 20000)
        assert "ours-off" not in [one.name for one in hits.contestants_of("cache")]

    def test_another_revision_is_measured_beside_ours_in_every_group(self) -> None:
        chosen = arguments(["--against", "v1", "--only", "nginx"])
        plan = make_plan(chosen, 20000, earlier("v1", Path("/elsewhere")))
        for group in scenarios.GROUPS:
            found = plan.contestants_of(group)
            assert {one.name for one in found} == {"nginx", "ours", "ours@v1"}
            assert all(plan.share(one) == 1.0 for one in found)

    def test_the_command_that_measures_the_same_again(self, tmp_path: Path) -> None:
        assert command_of(arguments([])) == "python -m benchmarks --rounds 10 --seconds 2"
        argv = ["--scenario", "tls,1k", "--only", "ours", "--even", "--against", "v1", "--rst"]
        command = command_of(arguments([*argv, "--json", str(tmp_path / "figures")]))
        assert command == (
            "python -m benchmarks --scenario tls,1k --only ours --rounds 10 --seconds 2 --even --against v1"
        )
        again = arguments(command.split()[3:])
        assert make_plan(again, 20000) == make_plan(arguments(argv), 20000)

    def test_the_estimate_counts_what_will_run(self) -> None:
        def estimate(*argv: str) -> float:
            return make_plan(arguments(argv), 20000).estimate()

        one = estimate("--only", "ours", "--scenario", "cache-pass")
        assert estimate("--only", "ours,ours-off", "--scenario", "cache-pass") == 2 * one
        assert estimate("--only", "ours,ours-off", "--scenario", "cache-hit") == one
        assert estimate("--only", "ours", "--scenario", "cache-pass", "--rounds", "5") == one / 2

    def test_few_descriptors_mean_fewer_connections(self) -> None:
        assert make_plan(arguments([]), 1024).idle_connections == 824

    @pytest.mark.parametrize(
        "argv", [
            ["--scenario", "2k"],
            ["--only", "ngnix"],
            ["--rounds", "0"],
            ["--seconds", "0"],
            ["--idle-connections", "0"],
            ["--readme", "/no/such/file"],
        ],
    )
    def test_mistakes_are_refused(self, argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as stopped:
            arguments(argv)
        assert stopped.value.code == 2
        assert argv[0] in capsys.readouterr().err


class TestProcesses:
    def test_cores(self) -> None:
        assert Cores.choose({0, 1, 2, 3}) == Cores(proxy=3, load=0, many=frozenset({0, 1, 2}))
        assert Cores.choose({5}) == Cores(proxy=None, load=None)

    def test_a_choice_of_cores_ends_with_its_block(self) -> None:
        before = os.sched_getaffinity(0)
        with pytest.raises(KeyboardInterrupt), on_cores({min(before)}):
            assert os.sched_getaffinity(0) == {min(before)}
            raise KeyboardInterrupt
        assert os.sched_getaffinity(0) == before
        with on_cores(frozenset()):
            assert os.sched_getaffinity(0) == before

    def test_the_end_of_a_program_is_waited_for(self, tmp_path: Path) -> None:
        with Processes() as processes:
            code = "import sys; print('so long'); sys.exit(3)"
            short = processes.start("short", [sys.executable, "-c", code], output=tmp_path / "a", core=None)
            code = "import time; time.sleep(600)"
            long = processes.start("long", [sys.executable, "-c", code], output=tmp_path / "b", core=None)
            assert short.ends_within(30)
            assert short.last_words() == "so long"
            assert not long.ends_within(0)
            assert not long.ends_within(-1)

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


class TestMeasurement:
    def test_who_ends_at_once_is_skipped_with_its_last_words(self, tmp_path: Path) -> None:
        def prepare(place: Place) -> Launch:
            return Launch((sys.executable, "-c", "import sys; sys.exit('no such port')"))

        contestant = Contestant("x", "X", prepare, lambda: "1", "tls")
        plan = Plan((contestant,), (), 1, 1, even=True, idles=scenarios.IDLES, idle_connections=1)
        outcome = Outcome()
        measurement = Measurement(plan, outcome, Tools("wrk", "nginx", None), Cores(None, None), tmp_path)
        with Processes() as processes:
            measurement._group(processes, "tls")
        assert outcome.notes == ["tls, x: skipped: it ended: no such port"]
        assert (outcome.idle, outcome.versions) == ([], {})
