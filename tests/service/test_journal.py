"""journald's native protocol, read as journald reads it."""

from __future__ import annotations

import array
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from revproxy.service import journal
from tests.service.events import failure_of, record


class FakeJournald:
    """A socket, and a parser written from the protocol's description."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(10.0)

    def receive(self) -> dict[str, str]:
        octets, ancillary, _, _ = self.socket.recvmsg(1 << 20, socket.CMSG_SPACE(4))
        if not ancillary:
            return fields_of(octets)
        (level, kind, data), = ancillary
        assert (level, kind, octets) == (socket.SOL_SOCKET, socket.SCM_RIGHTS, b"")
        (fd,) = array.array("i", data)
        with os.fdopen(fd, "rb") as file:
            # journald takes only what can't change any more.
            with pytest.raises(PermissionError):
                os.pwrite(fd, b"x", 0)
            return fields_of(os.pread(file.fileno(), os.fstat(fd).st_size, 0))


def fields_of(octets: bytes) -> dict[str, str]:
    fields: dict[str, str] = {}
    while octets:
        line, _, rest = octets.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (size,) = struct.unpack("<Q", rest[:8])
            value, rest = rest[8 : 8 + size], rest[8 + size :]
            assert rest[:1] == b"\n"
            rest = rest[1:]
        assert name.decode() not in fields
        fields[name.decode()] = value.decode()
        octets = rest
    return fields


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[FakeJournald]:
    fake = FakeJournald(tmp_path / "socket")
    yield fake
    fake.socket.close()


def test_fields(journald: FakeJournald) -> None:
    sink = journal.Journal(journald.path)
    sink.write(record("warn", "server {name} is set aside", name="a", seconds=2.5, names=("x", "y"), ünlike=1))
    fields = journald.receive()
    place = {name: fields.pop(name) for name in ("CODE_FILE", "CODE_LINE", "CODE_FUNC")}
    assert place["CODE_FILE"].endswith("events.py")
    assert int(place["CODE_LINE"]) > 0
    assert fields == {
        "MESSAGE": "server a is set aside",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "revproxy",
        "REVPROXY_PROCESS": "proxy",
        "REVPROXY_NAMESPACE": "revproxy.upstream.pool",
        "REVPROXY_NAME": "a",
        "REVPROXY_SECONDS": "2.5",
        "REVPROXY_NAMES": '["x", "y"]',
        "REVPROXY__NLIKE": "1",
    }
    sink.close()


def test_a_clients_octets_make_no_field(journald: FakeJournald) -> None:
    sink = journal.Journal(journald.path)
    sink.write(record("info", "{said}", said="x\nPRIORITY=0\nMESSAGE=forged"))
    fields = journald.receive()
    assert (fields["PRIORITY"], fields["REVPROXY_SAID"]) == ("6", "x\\nPRIORITY=0\\nMESSAGE=forged")
    assert fields["MESSAGE"] == "x; PRIORITY=0; MESSAGE=forged"
    sink.close()


def test_a_traceback_is_one_field(journald: FakeJournald) -> None:
    sink = journal.Journal(journald.path)
    made = record("failure", "oh", failure=failure_of(ValueError("x")))
    sink.write(attrs.evolve(made, repeated=7))
    fields = journald.receive()
    assert fields["REVPROXY_TRACEBACK"] == made.traceback
    assert "\n" in made.traceback
    assert (fields["PRIORITY"], fields["REVPROXY_REPEATED"], fields["CODE_FUNC"]) == ("2", "7", "failure_of")
    sink.close()


def test_what_is_too_large_for_a_datagram(journald: FakeJournald) -> None:
    sink = journal.Journal(journald.path)
    made = attrs.evolve(record("error", "large"), traceback="y" * 4_000_000 + "\nz")
    before = len(os.listdir("/proc/self/fd"))
    sink.write(made)
    assert journald.receive()["REVPROXY_TRACEBACK"] == made.traceback
    assert len(os.listdir("/proc/self/fd")) == before
    sink.close()


def test_a_journal_that_is_gone_or_full_costs_lines_and_no_time(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    sink = journal.Journal(str(path))
    with pytest.raises(FileNotFoundError):
        sink.write(record("info", "a"))
    fake = FakeJournald(path)
    with pytest.raises(BlockingIOError):
        for _ in range(10_000):
            sink.write(record("info", "a"))
    fake.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            fake.socket.recv(65536)
    fake.socket.settimeout(10.0)
    sink.write(record("info", "b"))
    assert fake.receive()["MESSAGE"] == "b"
    # It was started again: the same path, another socket.
    fake.socket.close()
    with pytest.raises(ConnectionRefusedError):
        sink.write(record("info", "c"))
    path.unlink()
    again = FakeJournald(path)
    sink.write(record("info", "d"))
    assert again.receive()["MESSAGE"] == "d"
    again.socket.close()
    sink.close()


def test_whose_standard_error_it_is() -> None:
    ours, other = socket.socketpair()
    with ours, other:
        status = os.fstat(ours.fileno())
        stream = f"{status.st_dev}:{status.st_ino}"
        assert journal.is_connected(ours.fileno(), {"JOURNAL_STREAM": stream})
        assert not journal.is_connected(other.fileno(), {"JOURNAL_STREAM": stream})
        for wrong in ("", "1:2", f"{stream}:1", "a:b", f" {stream}", f"{status.st_ino}:{status.st_dev}"):
            assert not journal.is_connected(ours.fileno(), {"JOURNAL_STREAM": wrong})
        assert not journal.is_connected(ours.fileno(), {})
        closed = ours.fileno()
    assert not journal.is_connected(closed, {"JOURNAL_STREAM": stream})
