"""The parts of ``benchmarks/`` that compute: what a figure means is tested, how large it is never."""

from __future__ import annotations

import os
import select
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks import handshakes, load, origin, ours, report, scenarios, table
from benchmarks.__main__ import arguments, command_of, make_plan
from benchmarks.certificate import Certificate, make_certificate, parse_negotiated
from benchmarks.contestants import CONTESTANTS, earlier
from benchmarks.cpu import Stat, parse_machine, parse_rollup, parse_stat, tree
from benchmarks.idle import IdleResult
from benchmarks.launching import Contestant, Launch, MissingError, Place
from benchmarks.load import LoadError, parse_result
from benchmarks.measure import Measurement, Outcome, Plan, Tools, hit_ratio
from benchmarks.processes import Cores, Processes, on_cores
from benchmarks.rounds import Change, Sample, Summary, change, foreign, order, ratio, rounds_of, summarise
from benchmarks.servers import caddy, haproxy, nginx, varnish
from benchmarks.targets import TARGETS, Target, judge
from revproxy.config.load import examine


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


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls") / "made")


class TestTLS:
    def test_the_certificate(self, certificate: Certificate) -> None:
        found = x509.load_pem_x509_certificate(certificate.chain.read_bytes())
        key = found.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert key.curve.name == "secp256r1"
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["localhost"]
        assert certificate.both.read_bytes() == certificate.chain.read_bytes() + certificate.key.read_bytes()
        assert certificate.key.stat().st_mode & 0o077 == 0

    def test_clients_offer_one_cipher(self, certificate: Certificate) -> None:
        # In a process of its own: the configuration is read when the library is loaded.
        code = (
            "import ssl; ciphers = ssl.create_default_context().get_ciphers();"
            "print(*[one['name'] for one in ciphers if one['protocol'] == 'TLSv1.3'])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **certificate.environment()},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == ["TLS_AES_128_GCM_SHA256"]

    def test_what_was_negotiated(self) -> None:
        said = (
            "depth=0 CN = localhost\nverify error:num=18:self-signed certificate\nCONNECTION ESTABLISHED\n"
            "Protocol version: TLSv1.3\nCiphersuite: TLS_AES_128_GCM_SHA256\nPeer certificate: CN = localhost\n"
            "Hash used: SHA256\nSignature type: ECDSA\nServer Temp Key: X25519, 253 bits\nDONE\n"
        )
        assert parse_negotiated(said) == "TLSv1.3 TLS_AES_128_GCM_SHA256 ECDSA X25519"
        newer = said.replace("Server Temp Key: X25519, 253 bits", "Negotiated TLS1.3 group: X25519MLKEM768")
        assert parse_negotiated(newer) == "TLSv1.3 TLS_AES_128_GCM_SHA256 ECDSA X25519MLKEM768"
        assert parse_negotiated("connect: Connection refused\n") is None

    def test_connections_are_counted_and_told_apart(self) -> None:
        full = (
            "Collecting connection statistics for 1 seconds\n****\n\n"
            "4 connections in 0.17s; 23.52 connections/user sec, bytes read 592\n"
            "4 connections in 2 real seconds, 148 bytes read per connection\n"
        )
        assert handshakes.parse_connections(full) == handshakes.Connections(4, 592, 0)
        resumed = (
            "Collecting connection statistics for 1 seconds\n\n\nNow timing with session id reuse.\nstarting\nrr*\n\n"
            "3 connections in 0.00s; inf connections/user sec, bytes read 444\n"
            "3 connections in 1 real seconds, 148 bytes read per connection\n"
        )
        assert handshakes.parse_connections(resumed) == handshakes.Connections(3, 444, 2)
        with pytest.raises(LoadError, match="handshake failure"):
            handshakes.parse_connections("ERROR\n40: sslv3 alert handshake failure\n")

    def test_a_session_resumed_in_a_full_handshake_is_an_error(self) -> None:
        counted = [handshakes.Connections(10, 1000, 0), handshakes.Connections(6, 600, 4)]
        full = handshakes.total(counted, 2.0, 0.5, resume=False)
        assert (full.requests, full.octets, full.seconds, full.cpu) == (16, 1600, 2.0, 0.5)
        assert full.errors == {"resumption": 4}
        resumed = handshakes.total(counted, 2.0, 0.5, resume=True)
        assert (resumed.errors, resumed.resumed) == ({}, 0.25)
        assert handshakes.total([], 2.0, 0.5, resume=True).resumed is None

    def test_the_request_of_a_handshake_is_whole(self) -> None:
        target = handshakes.target(scenarios.Ask("/1k", b""), "localhost:1")
        assert f"GET {target} HTTP/1.0\r\n\r\n" == (
            "GET /1k HTTP/1.1\r\nHost: localhost:1\r\nConnection: close\r\nX-Written-As: HTTP/1.0\r\n\r\n"
        )


class TestCache:
    def test_requests_that_the_origin_has_had(self) -> None:
        said = "Active connections: 1 \nserver accepts handled requests\n 12 12 345 \nReading: 0 Writing: 1 Waiting: 0 \n"
        assert origin.parse_requests(said) == 345
        with pytest.raises(ValueError, match="not the status"):
            origin.parse_requests("<html>404</html>")

    @pytest.mark.parametrize(
        ("answers", "asked", "expected"), [(100, 0, 1.0), (100, 25, 0.75), (100, 103, 0.0), (0, 0, None)]
    )
    def test_the_hit_ratio(self, answers: int, asked: int, expected: float | None) -> None:
        assert hit_ratio(answers, asked) == expected


class TestConfigurations:
    """What is written for each proxy. Whether the proxies take it, a run shows; ours can be asked."""

    @pytest.mark.parametrize("tls", [False, True])
    @pytest.mark.parametrize("store", ["none", "memory", "tiered", "disk"])
    def test_ours_is_without_a_mistake(
        self, tls: bool, store: ours.Store, certificate: Certificate, tmp_path: Path
    ) -> None:
        place = Place(tmp_path, 20001, 20002, certificate if tls else None)
        file = tmp_path / "revproxy.toml"
        file.write_text(ours.configuration(place, store))
        found = examine(file)
        assert found.mistakes == ()
        config = found.config
        assert config is not None
        assert config.listeners[0].tls is tls
        assert (config.sites[0].routes[0].cache is not None) is (store != "none")
        assert (config.cache.folder is not None) is (store in ("tiered", "disk"))

    @pytest.mark.parametrize("prepare", [nginx, haproxy, caddy], ids=lambda one: one.__name__)
    def test_others_speak_tls_where_there_is_a_certificate(
        self, prepare: object, certificate: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert callable(prepare)
        monkeypatch.setattr("benchmarks.servers.program", lambda name: f"/bin/{name}")
        for place, there in (
            (Place(tmp_path, 20001, 20002, certificate), True),
            (Place(tmp_path, 20001, 20002), False),
        ):
            launch = prepare(place)
            text = Path(launch.argv[-1]).read_text()
            assert (str(certificate.chain) in text or str(certificate.both) in text) is there

    def test_varnish_and_its_log_are_one_program_to_end(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("benchmarks.servers.program", lambda name: f"/bin/{name}")
        shell, option, line = varnish(Place(tmp_path, 20001, 20002)).argv
        assert (shell, option) == ("/bin/sh", "-c")
        assert line.startswith("/bin/varnishncsa ")
        assert " & exec /bin/varnishd " in line


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


class TestWorktree:
    @pytest.fixture
    def repository(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        """Two commits, of which the first is called v1."""
        folder = tmp_path / "repository"
        folder.mkdir()
        monkeypatch.setattr(ours, "CHECKOUT", folder)
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        for who in ("AUTHOR", "COMMITTER"):
            monkeypatch.setenv(f"GIT_{who}_NAME", "A")
            monkeypatch.setenv(f"GIT_{who}_EMAIL", "a@example.com")
        ours.git("init", "--quiet")
        for text in ("old", "new"):
            (folder / "file").write_text(text)
            ours.git("add", "file")
            ours.git("commit", "--quiet", "-m", text)
            if text == "old":
                ours.git("tag", "v1")
        yield folder

    def test_another_revision_is_there_as_long_as_it_is_needed(self, repository: Path, tmp_path: Path) -> None:
        with pytest.raises(KeyboardInterrupt), ours.worktree("v1", tmp_path / "tree") as checkout:
            assert (checkout / "file").read_text() == "old"
            assert (repository / "file").read_text() == "new"
            commit = ours.git("rev-parse", "--short", "v1")
            ours.git("tag", "--force", "v1", "HEAD")
            assert ours.revision_version("v1", checkout) == f"v1 is {commit}"
            raise KeyboardInterrupt
        assert not (tmp_path / "tree").exists()
        assert len(ours.git("worktree", "list").splitlines()) == 1

    def test_a_revision_that_is_none(self, repository: Path, tmp_path: Path) -> None:
        with pytest.raises(MissingError, match="rev-parse"), ours.worktree("v2", tmp_path / "tree"):
            raise AssertionError
        assert not (tmp_path / "tree").exists()


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

    def test_clients_believe_the_certificate_alone(self, certificate: Certificate) -> None:
        context = certificate.context()
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert len(context.get_ca_certs()) + context.cert_store_stats()["x509"] == 1
