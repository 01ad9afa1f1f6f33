"""The tools' side of the control socket: answers, refusals, strangers, and streams of events."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from revproxy.control.client import Admin, Refused, Unreachable
from tests.control.conftest import Play

Answer = Callable[..., Admin]


@pytest.fixture
def answer(folder: Path) -> Iterator[Answer]:
    """Answers one request with octets, in pieces."""
    threads: list[threading.Thread] = []

    def start(*pieces: bytes, patience: float | None = None) -> Admin:
        listening = socket.socket(socket.AF_UNIX)
        path = str(folder / "1.sock")
        listening.bind(path)
        listening.listen()

        def serve() -> None:
            with listening, listening.accept()[0] as peer:
                peer.recv(65536)
                for piece in pieces:
                    peer.sendall(piece)

        threads.append(threading.Thread(target=serve))
        threads[0].start()
        return Admin(path, patience)

    yield start
    for thread in threads:
        thread.join()


def test_an_answer(play: Play, folder: Path) -> None:
    played = play(31)
    admin = Admin(str(folder / "31.sock"))
    assert admin.ask("GET", "/status")["pid"] == 31
    assert admin.ask("POST", "/purge", {"host": "a"}) == {"text": "3 responses removed", "removed": 3}
    assert played.orders == [("purge", {"host": "a"})]
    status, octets = admin.fetch("GET", "/nothing")
    assert (status, octets) == (404, b'{"error": "nothing is here", "mistakes": []}')


def test_a_refusal(play: Play, folder: Path) -> None:
    played = play(31)
    admin = Admin(str(folder / "31.sock"))
    played.answers["reload"] = 422, {"error": "2 mistakes", "mistakes": ["a:1: b", "a:2: c"]}
    with pytest.raises(Refused) as caught:
        admin.ask("POST", "/reload", {})
    assert (str(caught.value), caught.value.status, caught.value.mistakes) == ("2 mistakes", 422, ("a:1: b", "a:2: c"))


@pytest.mark.parametrize("said", [None, [], "no", {}, {"mistakes": []}])
def test_a_refusal_without_words(play: Play, folder: Path, said: object) -> None:
    play(31).answers["reload"] = 500, said
    with pytest.raises(Refused, match="the proxy answered 500"):
        Admin(str(folder / "31.sock")).ask("POST", "/reload", {})


def test_nobody(folder: Path) -> None:
    with pytest.raises(Unreachable, match=r"nowhere\.sock: nobody listens there \(No such file or directory\)"):
        Admin(str(folder / "nowhere.sock")).ask("GET", "/status")
    with pytest.raises(Unreachable, match="too long"):
        Admin("/tmp/" + "x" * 200).ask("GET", "/status")


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n<p>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"[" * 200_000,
    ],
)
def test_strangers(answer: Answer, octets: bytes) -> None:
    admin = answer(octets)
    with pytest.raises(Unreachable):
        admin.ask("GET", "/status")


def test_silence(folder: Path) -> None:
    path = str(folder / "1.sock")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(path)
        silent.listen()
        with pytest.raises(Unreachable, match=r"no answer within 0.05 s"):
            Admin(path, 0.05).ask("GET", "/status")
