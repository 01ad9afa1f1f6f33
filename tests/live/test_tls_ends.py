"""How connections end under TLS on both sides, and what passes through them: nothing that was cut looks complete."""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING

import pytest
from OpenSSL import SSL

from revproxy.downstream.connection import LINGER_OCTETS
from tests.live.support_client import request
from tests.live.support_process import until
from tests.live.support_tls import (
    ROOT,
    SITE,
    OpenClient,
    SecureAccepted,
    SecureClient,
    SecureScripted,
    secure_proxy,
    server_context,
)
from tests.live.test_volume import GROWTH, MIB, PIECE, receive_body, send

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.live.support_proxy import Proxy
    from tests.live.support_scripted import Scripted

LARGE = 200 * MIB
HEAD_WITHOUT_LENGTH = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
VERSIONS = [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureScripted]:
    context = server_context(tmp_path_factory.mktemp("server"), ROOT.issue("app.internal", "127.0.0.1"))
    with SecureScripted(SecureAccepted.await_end, context) as one:
        yield one


@pytest.fixture(scope="module")
def proxy(server: SecureScripted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    more = f"""
        [limits]
        body_size = "1GiB"
        [upstream.app]
        servers = ["https://127.0.0.1:{server.port}"]
        [upstream.app.tls]
        ca = "root.pem"
    """
    with secure_proxy(tmp_path_factory.mktemp("ends"), "app", more=more) as one:
        yield one
        assert "Traceback" not in one.output


def saying(octets: bytes, *, notify: bool) -> Callable[[SecureAccepted], None]:
    """A server that ends its connection behind the answer, in order or not."""

    def script(accepted: SecureAccepted) -> None:
        if accepted.read_head():
            accepted.send(octets)
            if notify:
                accepted.notify()

    return script


def play(
    server: SecureScripted, script: Callable[[SecureAccepted], None]
) -> contextlib.AbstractContextManager[Scripted]:
    return server.play(script)  # type: ignore[arg-type]  # what it accepts is secured


@pytest.mark.parametrize("newest", VERSIONS, ids=["1.2", "1.3"])
@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1"])
def test_a_body_that_ends_with_the_connection(
    server: SecureScripted, proxy: Proxy, version: bytes, newest: int
) -> None:
    script = saying(HEAD_WITHOUT_LENGTH + b"all of it", notify=True)
    with play(server, script), OpenClient(proxy.port, newest=newest) as client:
        client.send(b"GET / %b\r\nHost: %b\r\nConnection: close\r\n\r\n" % (version, SITE.encode()))
        got, end = client.read_all()
    head, _, body = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert body == (b"all of it" if version == b"HTTP/1.0" else b"9\r\nall of it\r\n0\r\n\r\n")
    assert end == "close_notify"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_body_that_ends_without_close_notify_is_incomplete_for_the_client_too(
    server: SecureScripted, proxy: Proxy, version: str
) -> None:
    script = saying(HEAD_WITHOUT_LENGTH + b"half of it", notify=False)
    with play(server, script), OpenClient(proxy.port) as client:
        client.send(f"GET /cut-{version} HTTP/{version}\r\nHost: {SITE}\r\n\r\n".encode())
        got, end = client.read_all()
    # What has no length of its own is cut; chunks show by themselves that the last one is missing (RFC 9112 §8).
    if version == "1.0":
        assert end in ("truncated", "reset")
    else:
        assert got.endswith(b"\r\n\r\na\r\nhalf of it\r\n")
    record = proxy.record_with("target", f"/cut-{version}")
    assert "without close_notify" in record["detail"], record


def test_a_length_that_is_not_reached_stays_so_although_close_notify_came(server: SecureScripted, proxy: Proxy) -> None:
    script = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", notify=True)
    with play(server, script), SecureClient(proxy.port) as client:
        answer = client.ask("GET", "/", host=SITE)
        assert (answer.get("Content-Length"), answer.body, answer.complete) == ("10", b"half", False)


def test_a_server_that_never_says_close_notify_serves_all_the_same(server: SecureScripted, proxy: Proxy) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole"
    with play(server, saying(answer, notify=False)), SecureClient(proxy.port) as client:
        for _ in range(3):
            # On one connection, while each of the server's ends behind its answer.
            assert client.ask("GET", "/", host=SITE).body == b"whole"


@pytest.mark.parametrize("newest", VERSIONS, ids=["1.2", "1.3"])
def test_a_client_that_ends_its_octets_still_gets_its_answer(server: SecureScripted, proxy: Proxy, newest: int) -> None:
    ended: list[bool] = []

    def script(accepted: SecureAccepted) -> None:
        if accepted.read_head():
            until(lambda: ended, "the client to end its octets")
            accepted.send(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nat last")

    with play(server, script), OpenClient(proxy.port, newest=newest) as client:
        client.send(request("GET", "/", host=SITE))
        client.end()
        ended.append(True)
        got, end = client.read_all()
    assert got.endswith(b"\r\n\r\nat last")
    assert end == "close_notify"


@pytest.mark.parametrize("newest", VERSIONS, ids=["1.2", "1.3"])
def test_a_client_that_says_goodbye_is_told_the_same(server: SecureScripted, proxy: Proxy, newest: int) -> None:
    with OpenClient(proxy.port, newest=newest) as client:
        client.end()
        assert client.read_all() == (b"", "close_notify")


def test_an_early_refusal_reaches_a_client_that_goes_on_sending(server: SecureScripted, proxy: Proxy) -> None:
    """The proxy's own, before a server was asked: it must read on for a while, or a reset destroys its answer."""
    with OpenClient(proxy.port) as client:
        client.send(request("POST", "/", f"Content-Length: {2**40}", host=SITE))
        for _ in range(3):
            client.send(PIECE[: LINGER_OCTETS // 4])
        got, end = client.read_all()
    assert got.startswith(b"HTTP/1.1 413 ")
    assert end == "close_notify"


def test_an_early_refusal_of_the_server_reaches_it_too(server: SecureScripted, proxy: Proxy) -> None:
    def script(accepted: SecureAccepted) -> None:
        if accepted.read_head():
            accepted.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
            accepted.notify()

    with play(server, script), OpenClient(proxy.port) as client:
        client.send(request("POST", "/", f"Content-Length: {64 * MIB}", host=SITE))
        for _ in range(3):
            client.send(PIECE[: LINGER_OCTETS // 4])
        got, end = client.read_all()
    assert got.startswith(b"HTTP/1.1 413 ") and got.endswith(b"no")
    assert end == "close_notify"


def test_hundreds_of_megabytes_in_constant_memory(server: SecureScripted, proxy: Proxy) -> None:
    def script(accepted: SecureAccepted) -> None:
        while head := accepted.read_head():
            if head.startswith(b"POST"):
                receive_body(accepted.socket, accepted.read_available(), LARGE)
                accepted.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nall")
            else:
                accepted.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE)
                send(accepted.socket, LARGE)

    before = proxy.resident()
    with play(server, script), SecureClient(proxy.port) as client:
        assert isinstance(client.socket, ssl.SSLSocket)
        client.send(request("POST", "/", f"Content-Length: {LARGE}", host=SITE))
        send(client.socket, LARGE)
        assert client.read_answer().body == b"all"
        client.send(request("GET", "/", host=SITE))
        client.read_until(b"\r\n\r\n")
        receive_body(client.socket, client.read_available(), LARGE)
    grown = proxy.resident("VmHWM") - before
    assert grown < GROWTH, f"it grew by {grown / MIB:.1f} MiB"
