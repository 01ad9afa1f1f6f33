"""The fuzzer's targets without a fuzzer: the seeds, and some hundred inputs of the grammar. And its judges, which must
find what is wrong in worlds that are made wrong on purpose."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import pytest

from fuzz import __main__ as command
from fuzz.grammar import CANARY_ANSWER, CANARY_REQUEST
from fuzz.mutate import flip
from fuzz.script import STEPS, Script, Step, decoded, random_script
from fuzz.seeds import GET, SCRIPTS, seeds
from fuzz.strict import Short, WrongChunks, origin_form, read_answers, read_chunks, read_requests
from fuzz.targets import TARGETS
from fuzz.verdict import Client, Transcript, Wire, mistakes
from fuzz.world import World, check_world, run
from revproxy.http import parse
from revproxy.http.framing import ChunkedDecoder, Framing

CHECKOUT = Path(__file__).resolve().parents[1]
COUNTS = {"request": 300, "response": 300, "proxy": 250}

# The targets.


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_find_nothing(name: str) -> None:
    for octets in seeds(name):
        TARGETS[name].check(octets)


@pytest.mark.parametrize("name", TARGETS)
def test_inputs_of_the_grammar_find_nothing(name: str) -> None:
    target = TARGETS[name]
    for seed in range(COUNTS[name]):
        random = Random(seed)
        octets = target.make(random)
        target.check(octets)
        for _ in range(2):
            octets = target.mutate(octets, 3000, random, flip(random))
            assert len(octets) <= 3000
        target.check(octets)


def test_the_seeds_reach_what_they_are_for() -> None:
    transcripts = [run(script) for script in SCRIPTS]
    got = b"".join(client.received for transcript in transcripts for client in transcript.clients)
    statuses = set(re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", got))
    assert {b"101", b"103", b"200", b"204", b"304", b"400", b"404", b"502", b"504"} <= statuses
    assert any(len(transcript.wires) > 1 for transcript in transcripts)
    assert any(CANARY_REQUEST in wire.received for transcript in transcripts for wire in transcript.wires)
    assert got.count(CANARY_ANSWER) > 5
    assert any(client.left for transcript in transcripts for client in transcript.clients)
    assert any(len(transcript.clients) > 1 for transcript in transcripts)


def test_any_octets_are_a_script_and_a_script_is_its_octets() -> None:
    for seed in range(50):
        random = Random(seed)
        script = random_script(random)
        assert decoded(script.encoded()) == script
        decoded(random.randbytes(random.randrange(60)))
    every = Script(255, tuple(Step(kind, 3, b"") for kind in STEPS))
    assert decoded(every.encoded()) == every


# The strict reader.


def test_it_reads_requests() -> None:
    reading = read_requests(
        b"\r\nPOST http://b?q HTTP/1.1\r\nHost:  a\t\r\nContent-Length: 03\r\n\r\nabc"
        b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n2;x\r\nhi\r\n0\r\nT: 1\r\n\r\nGET"
    )
    first, second = reading.messages
    assert (first.method, first.target, first.body, first.complete) == (b"POST", b"http://b?q", b"abc", True)
    assert first.fields == ((b"host", b"a"), (b"content-length", b"03"))
    assert (second.body, second.trailers, second.complete) == (b"hi", ((b"t", b"1"),), True)
    assert (reading.rest, reading.mistake) == (b"GET", "")


@pytest.mark.parametrize(
    "octets",
    [
        b"GET / HTTP/1.1\nHost: a\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nA : b\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\rB: c\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        b"GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\nx",
        b"GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\nx",
        b"GET / HTTP/1.1\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_it_reads_no_request(octets: bytes) -> None:
    reading = read_requests(octets)
    assert reading.messages == [] and reading.mistake


def test_it_reads_answers() -> None:
    reading = read_answers(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.0 200\r\n\r\nall of it",
        [b"GET", b"HEAD", b"GET", b"GET"],
        ended=True,
    )
    first, second, third = reading.messages
    assert (first.interim, first.body, first.complete) == ((100,), b"hi", True)
    assert (second.body, second.complete) == (b"", True)
    assert (third.body, third.complete, third.minor) == (b"all of it", True, 0)
    assert not read_answers(b"HTTP/1.0 200\r\n\r\nx", [b"GET"], ended=False).messages[0].complete
    tunnel = read_answers(b"HTTP/1.1 101 Go\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", [b"GET", b"GET"], ended=True).messages
    assert [(answer.status, answer.body) for answer in tunnel] == [(101, b"HTTP/1.1 200 OK\r\n\r\n")]
    assert read_answers(b"HTTP/1.1 99 x\r\n\r\n", [b"GET"], ended=True).mistake


def test_it_reads_chunks() -> None:
    assert read_chunks(b"1 ;\xff\r\nx\r\n00\r\n\r\nrest") == (b"x", (), b"rest")
    for octets, body in [(b"1\nx\r\n0\r\n\r\n", b""), (b"1\r\nx\r\n1\r\nyz\r\n", b"xy"), (b"0\r\na b\r\n\r\n", b"")]:
        with pytest.raises(WrongChunks) as wrong:
            read_chunks(octets)
        assert wrong.value.body == body
    with pytest.raises(Short) as short:
        read_chunks(b"5\r\nhel")
    assert short.value.body == b"hel"


def test_targets_in_origin_form() -> None:
    assert origin_form(b"GET", b"HTTP://a.b/c?d") == b"/c?d"
    assert origin_form(b"GET", b"http://a?d") == b"/?d"
    assert origin_form(b"OPTIONS", b"http://a") == b"*"
    assert origin_form(b"GET", b"/http://a") == b"/http://a"


# The verdict, on worlds that are right and wrong.


def world(
    sent: bytes,
    received: bytes,
    *,
    ended: bool = True,
    left: bool = False,
    wires: Sequence[Wire] = (),
    has_canaries: bool = False,
) -> Transcript:
    return Transcript([Client(sent, received, ended, left)], wires, has_canaries)


def seen(line: bytes, number: int, more: bytes = b"\r\n") -> bytes:
    return b"%b HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: b\r\nX-Request-ID: id%d\r\n%b" % (line, number, more)


POST = b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b"
BODY = CANARY_REQUEST
UPLOAD = POST % (len(BODY), BODY)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
HO = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nho"
SEEN_UPLOAD = seen(b"POST /b", 1, b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY))
SEEN_GET = seen(b"GET /a", 2)


def test_a_right_world_is_right() -> None:
    right = world(UPLOAD + GET, OK + HO, wires=[Wire(SEEN_UPLOAD + SEEN_GET, OK + HO)], has_canaries=True)
    assert list(mistakes(right)) == []
    right = world(UPLOAD + GET, OK + HO, wires=[Wire(SEEN_GET, HO), Wire(SEEN_UPLOAD, OK)], has_canaries=True)
    assert list(mistakes(right)) == []
    cut = world(UPLOAD, OK[:-1], ended=False, wires=[Wire(SEEN_UPLOAD, OK)])
    assert list(mistakes(cut)) == []
    gone = world(UPLOAD[:-1], b"", left=True, wires=[Wire(SEEN_UPLOAD[:-1])])
    assert list(mistakes(gone)) == []


ASK_SWITCH = b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: ws\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: ws\r\n\r\n"
SEEN_SWITCH = seen(b"GET /a", 1, b"Connection: upgrade\r\nUpgrade: ws\r\n\r\n")


def test_a_right_tunnel_is_right() -> None:
    right = world(ASK_SWITCH + GET, SWITCH + b"ab", wires=[Wire(SEEN_SWITCH + GET, SWITCH + b"ab")])
    assert list(mistakes(right)) == []


SMUGGLED = seen(b"GET /canary", 2)
WRONG = {
    "a request that came out of a body": (
        world(
            UPLOAD, OK, wires=[Wire(seen(b"POST /b", 1, b"Content-Length: 0\r\n\r\n") + SMUGGLED, OK)], has_canaries=True
        ),
        "a request came out of a body",
    ),
    "the same, where the reader of the client's octets is to find it": (
        world(UPLOAD, OK, wires=[Wire(SEEN_UPLOAD + SMUGGLED, OK + HO)]),
        "a backend saw request 2; the client sent 1",
    ),
    "an answer that came out of a body": (
        world(GET, CANARY_ANSWER, wires=[Wire(seen(b"GET /a", 1), CANARY_ANSWER)], has_canaries=True),
        "an answer came out of a body",
    ),
    "octets behind a request": (
        world(GET, OK, wires=[Wire(seen(b"GET /a", 1) + b"GET /x", OK)]),
        "octets that never became a request",
    ),
    "no request": (
        world(GET, OK, wires=[Wire(seen(b"GET /a", 1) + b"\r\n\r\n", OK)]),
        "what is no request",
    ),
    "a request that is not ours": (
        world(GET, OK, wires=[Wire(GET, OK)]),
        "without the proxy's id",
    ),
    "another body": (
        world(UPLOAD, OK, wires=[Wire(SEEN_UPLOAD[:-1] + b"x", OK)]),
        "another body",
    ),
    "another target": (
        world(GET, OK, wires=[Wire(seen(b"GET /b", 1), OK)]),
        "a backend saw request 1 as",
    ),
    "another field": (
        world(GET, OK, wires=[Wire(seen(b"GET /a", 1, b"X-A: 1\r\n\r\n"), OK)]),
        "other fields",
    ),
    "another trailer": (
        world(
            b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            OK,
            wires=[Wire(seen(b"PUT /", 1, b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n"), OK)],
        ),
        "other trailers",
    ),
    "half a request, taken for a whole one": (
        world(UPLOAD[:-1], OK, wires=[Wire(seen(b"POST /b", 1, b"Content-Length: 0\r\n\r\n"), OK)]),
        "saw request 1 complete",
    ),
    "answers that changed places": (
        world(UPLOAD + GET, HO + OK, wires=[Wire(SEEN_UPLOAD + SEEN_GET, OK + HO)]),
        "no backend gave it to that request",
    ),
    "an answer that nobody gave": (
        world(GET, OK),
        "no backend gave it to that request",
    ),
    "an answer cut short that looks complete": (
        world(GET, OK, wires=[Wire(seen(b"GET /a", 1), OK[:-1])]),
        "no backend gave it to that request",
    ),
    "the same, ended by the connection's end": (
        world(GET, b"HTTP/1.1 200 OK\r\n\r\nh", wires=[Wire(seen(b"GET /a", 1), b"HTTP/1.1 200 OK\r\n\r\nhi")]),
        "no backend gave it to that request",
    ),
    "an answer that nobody asked for": (
        world(GET, OK + HO, wires=[Wire(seen(b"GET /a", 1), OK + HO)]),
        "nobody asked for answer 2",
    ),
    "two answers too many": (
        world(GET, OK * 3, wires=[Wire(seen(b"GET /a", 1), OK * 3)]),
        "octets behind its last answer",
    ),
    "no answer": (
        world(GET, b"", wires=[Wire(seen(b"GET /a", 1), OK)]),
        "the client got 0 answers",
    ),
    "what is no answer": (
        world(GET, b"HTTP/1.1 OK\r\n\r\n", wires=[Wire(seen(b"GET /a", 1), OK)]),
        "what is no answer",
    ),
    "a chunked answer to HTTP/1.0": (
        world(
            b"GET /a HTTP/1.0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            wires=[Wire(seen(b"GET /a", 1), OK)],
        ),
        "HTTP/1.0 client can't read",
    ),
    "an upload that was sent twice": (
        world(UPLOAD, OK, wires=[Wire(SEEN_UPLOAD), Wire(SEEN_UPLOAD, OK)]),
        "saw request 1 2 times",
    ),
    "a repetition of what was answered": (
        world(GET, OK, wires=[Wire(seen(b"GET /a", 1), HO[:9]), Wire(seen(b"GET /a", 1), OK)]),
        "sent again after it was answered",
    ),
    "a tunnel that was not asked for": (
        world(GET, SWITCH, wires=[Wire(seen(b"GET /a", 1), SWITCH)]),
        "did not ask for its 101",
    ),
    "a tunnel that changes octets": (
        world(ASK_SWITCH + b"ab", SWITCH, wires=[Wire(SEEN_SWITCH + b"b", SWITCH)]),
        "saw in the tunnel",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_world_is_wrong(what: str) -> None:
    wrong, text = WRONG[what]
    assert text in "\n".join(mistakes(wrong))


def test_a_request_of_nobody_is_wrong() -> None:
    right = Transcript([Client(GET, OK, ids=[b"id1"])], [Wire(seen(b"GET /a", 1), OK)])
    assert list(mistakes(right)) == []
    wrong = Transcript([Client(GET, OK, ids=[b"id1"])], [Wire(seen(b"GET /a", 1) + SEEN_GET, OK + HO)])
    assert any("a request of nobody" in mistake for mistake in mistakes(wrong))


def test_an_answer_that_went_to_somebody_else_is_wrong() -> None:
    one, other = Client(GET, OK, ids=[b"id1"]), Client(GET, HO, ids=[b"id2"])
    wires = [Wire(seen(b"GET /a", 1) + SEEN_GET, OK + HO)]
    assert list(mistakes(Transcript([one, other], wires))) == []
    crossed = [Client(GET, HO, ids=[b"id1"]), Client(GET, OK, ids=[b"id2"])]
    assert len(list(mistakes(Transcript(crossed, wires)))) == 2


# Proxies and parsers that are broken on purpose.


def test_a_proxy_that_believes_the_wrong_framing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The classic: Content-Length wins over Transfer-Encoding, and a body becomes a request."""
    monkeypatch.setattr("revproxy.http.facts.request_framing", lambda version, fields: Framing("none"))
    upload = Step("request", 0, b"\x01\x00\x00\x00\x00\x01")
    with pytest.raises(AssertionError, match="a request came out of a body"):
        check_world(Script(0, (upload, Step("answer"))).encoded())


@pytest.mark.parametrize(
    ("change", "octets"),
    [
        (lambda data: data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"), b"\xfd2\nHI\r\n0\r\n\r\n"),
        (lambda data: data.lower() if len(data) == 1 else data, b"\x002\r\nHI\r\n0\r\n\r\n"),
    ],
    ids=["it repairs a bare LF", "it depends on how octets are cut"],
)
def test_a_wrong_decoder_is_found(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[bytes], bytes], octets: bytes
) -> None:
    right = ChunkedDecoder.feed
    TARGETS["request"].check(octets)
    monkeypatch.setattr(ChunkedDecoder, "feed", lambda decoder, data: right(decoder, change(data)))
    with pytest.raises(AssertionError):
        TARGETS["request"].check(octets)


def test_a_parser_that_forgets_a_rule_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse, "TARGET_OCTETS", bytes(range(256)))
    with pytest.raises(AssertionError):
        TARGETS["request"].check(b"\x00GET /\t HTTP/1.1\r\nHost: a\r\n\r\n")


def test_an_exception_that_is_not_documented_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object, data: bytes) -> None:
        raise KeyError(data)

    monkeypatch.setattr(parse.ResponseParser, "parse", broken)
    with pytest.raises(KeyError):
        TARGETS["response"].check(b"\x00H")
    with pytest.raises(KeyError):
        check_world(SCRIPTS[0].encoded())


def test_a_connection_that_never_ends_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(0)
    world.do(Step("request"))
    monkeypatch.setattr(type(world.proxy), "advance", lambda proxy, seconds: None)
    with pytest.raises(AssertionError, match="does not end"):
        world.finish()
    monkeypatch.undo()
    world.proxy.assert_at_rest()


# The command.


def test_what_is_found_is_kept_and_shown_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "FINDINGS", tmp_path / "findings")
    monkeypatch.setattr(command, "has_atheris", lambda: False)
    with monkeypatch.context() as broken:
        broken.setattr("revproxy.http.facts.request_framing", lambda version, fields: Framing("none"))
        assert command.main(["run", "proxy", "--time", "20", "--seed", "1"]) == 1
        shown = capsys.readouterr()
        assert "atheris is not installed" in shown.out
        (line,) = re.findall(r"-m fuzz replay (.*)", shown.out)
        assert command.main(["replay", line]) == 1
        assert "a backend saw" in capsys.readouterr().err
    assert command.main(["replay", line]) == 0
    assert "nothing is wrong" in capsys.readouterr().out


def test_the_command_line_refuses_what_it_does_not_know(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(["run", "parser"])
    assert "no such target: parser" in capsys.readouterr().err
    unknown = tmp_path / "crash-1"
    unknown.write_bytes(b"")
    with pytest.raises(SystemExit, match="--target"):
        command.main(["replay", str(unknown)])


def test_the_strict_reader_stands_alone() -> None:
    check = "import sys, fuzz.strict; sys.exit(any(name.split('.')[0] in ('revproxy', 'twisted') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", check], cwd=CHECKOUT, check=False).returncode == 0


def test_the_corpus_and_the_dictionary_are_what_libfuzzer_reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(command, "CORPUS", tmp_path)
    for name in TARGETS:
        assert {file.read_bytes() for file in command.write_corpus(name).iterdir()} == set(seeds(name))
    lines = command.write_dictionary().read_text("ascii").splitlines()
    assert len(lines) > 50
    assert all(re.fullmatch(r'"(\\x[0-9a-f]{2})+"', line) for line in lines)
