"""Memory per idle connection.

As a program, ``python -m benchmarks.idle PORT COUNT [CERTIFICATE]``: opens COUNT connections one after the other, over
TLS where a certificate is named, makes one request on each, says so, and holds them open until it is told that memory
has been read. It is a process of its own so that its descriptors and its work are not the benchmark's.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import attrs

from benchmarks.certificate import NAME, Certificate
from benchmarks.cpu import memory, settle

REQUEST = b"GET /1k HTTP/1.1\r\nHost: %s:%d\r\n\r\n"
WARMING = 200
"""Connections made and closed before memory is first read: pools and caches are not per connection."""
CLIENT_SECONDS = 120


@attrs.frozen
class IdleResult:
    """Octets of the proxy's process tree before and while ``connections`` are open."""

    proxy: str
    connections: int
    before: int
    after: int
    faults: tuple[str, ...] = ()
    scenario: str = "idle"

    @property
    def per_connection(self) -> float:
        """Octets."""
        return (self.after - self.before) / self.connections


def answered(port: int, context: ssl.SSLContext | None = None) -> socket.socket:
    """A connection on which one request was answered in full."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    if context is not None:
        connection = context.wrap_socket(connection, server_hostname=NAME)
    connection.sendall(REQUEST % (NAME.encode() if context else b"127.0.0.1", port))
    received = b""
    while b"\r\n\r\n" not in received:
        data = connection.recv(65536)
        if not data:
            raise ConnectionError("closed before the head's end")
        received += data
    head, _, body = received.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(head.partition(b"\r\n")[0].decode("latin-1"))
    if b"transfer-encoding: chunked" in head.lower():
        while not received.endswith(b"0\r\n\r\n"):
            data = connection.recv(65536)
            if not data:
                raise ConnectionError("closed before the body's end")
            received += data
        return connection
    length = next(
        int(line.partition(b":")[2])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    while len(body) < length:
        data = connection.recv(65536)
        if not data:
            raise ConnectionError("closed before the body's end")
        body += data
    return connection


def is_open(connection: socket.socket) -> bool:
    """Whether the other side has not closed it meanwhile. Over TLS there may be something to read all the same."""
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except (BlockingIOError, ssl.SSLWantReadError):
        return True
    except OSError:
        return False


def still_open(connections: list[socket.socket]) -> int:
    """How many are open."""
    return sum(map(is_open, connections))


def client(port: int, count: int, chain: str | None = None) -> None:
    context = None
    if chain is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(chain)
    for _ in range(WARMING):
        answered(port, context).close()
    print("warm", flush=True)
    sys.stdin.readline()
    connections = [answered(port, context) for _ in range(count)]
    print("open", flush=True)
    sys.stdin.readline()
    print(still_open(connections), flush=True)
    for connection in connections:
        connection.close()


def measure(
    scenario: str, proxy: str, root: int, port: int, count: int, certificate: Certificate | None = None
) -> IdleResult:
    """Let the client hold ``count`` connections to the proxy whose process is ``root``."""
    argv = [sys.executable, "-m", "benchmarks.idle", str(port), str(count)]
    environment = dict(os.environ)
    if certificate is not None:
        argv.append(str(certificate.chain))
        environment |= certificate.environment()
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parent.parent,
        env=environment,
    )
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    before = after = 0
    faults: list[str] = []
    try:
        if _line(process) == "warm":
            settle(root)
            before = memory(root)
            process.stdin.write("\n")
            process.stdin.flush()
        if _line(process) == "open":
            settle(root)
            after = memory(root)
            process.stdin.write("\n")
            process.stdin.flush()
            kept = int(_line(process) or 0)
            if kept != count:
                faults.append(f"{count - kept} of {count} connections were closed meanwhile")
        else:
            process.kill()
            said = process.stderr.read().strip().splitlines()
            faults.append("the client failed: " + "".join(said[-1:]))
    finally:
        process.kill()
        process.communicate()
    return IdleResult(proxy, count, before, after, tuple(faults), scenario)


def _line(process: subprocess.Popen[str]) -> str:
    """The client's next line; empty if it ended or took too long."""
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], CLIENT_SECONDS)
    return process.stdout.readline().strip() if readable else ""


if __name__ == "__main__":
    client(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
