"""A configured cache in the real process: the second answer is a stored one, and field, log and server tell so."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live.support_client import RawClient, ask
from tests.live.support_process import until
from tests.live.support_proxy import Proxy
from tests.live.support_scripted import Accepted, Scripted
from tests.stores.redis_server import RedisServer

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n"


def say(fields: bytes) -> Callable[[Accepted], None]:
    def script(accepted: Accepted) -> None:
        if accepted.read_head():
            accepted.send(HEAD + fields + b"\r\nhello")

    return script


def configured(folder: Path, stage: Scripted, more: str) -> Proxy:
    text = f'[[listener]]\naddress = "127.0.0.1:0"\n[[site]]\n[[site.route]]\nproxy = "{stage.url}"\n{more}'
    return Proxy.configured(folder, text, listen=False)


@pytest.mark.parametrize("kept", ["", '[cache]\nfolder = "kept"\n'], ids=["memory", "folder"])
def test_the_second_answer_is_a_stored_one(kept: str, tmp_path: Path) -> None:
    with Scripted(say(b"Cache-Control: max-age=60\r\n")) as stage:
        with configured(tmp_path, stage, "cache = true\n" + kept) as proxy, RawClient(proxy.port) as client:
            first, second = client.ask("GET", "/a"), client.ask("GET", "/a")
            assert first.body == second.body == b"hello"
            assert first.get("Cache-Status").startswith("revproxy; fwd=uri-miss; stored; ttl=")
            assert second.get("Cache-Status").startswith("revproxy; hit; ttl=")
            assert second.get("Age") in ("0", "1", "2")
            miss, hit = proxy.records(2)
            assert miss["cache"] == first.get("Cache-Status") and miss["upstream"]
            assert hit["cache"] == second.get("Cache-Status") and hit["upstream"] is None
        if kept:
            # Another process finds what the first one stored.
            with configured(tmp_path, stage, "cache = true\n" + kept) as proxy, RawClient(proxy.port) as client:
                assert client.ask("GET", "/a").get("Cache-Status").startswith("revproxy; hit; ttl=")


def test_redis_gets_it_too(tmp_path: Path) -> None:
    server = RedisServer()
    stage = Scripted(say(b"Cache-Control: max-age=60\r\n"))
    try:
        with stage, configured(tmp_path, stage, f'cache = true\n[cache]\nredis = "{server.url}"\n') as proxy:
            numbers = itertools.count()

            def is_kept() -> bool:
                # What is asked before the connection to Redis is there is kept in memory alone.
                ask(proxy.port, "GET", f"/{next(numbers)}")
                return server.command("DBSIZE") not in (b"", b":0\r\n")

            until(is_kept, "something in Redis")
    finally:
        server.stop()


def test_options_of_a_route_are_obeyed(tmp_path: Path) -> None:
    more = """
        [site.route.cache]
        ttl = "1h"
        force = true
        bypass_cookies = ["session"]
        key = { query = "except", parameters = ["utm_*"] }
        [cache]
        name = "edge"
    """
    asked = (("/a?b=1",), ("/a?b=1&utm_source=x",), ("/a?b=2",), ("/a?b=1", "Cookie: session=1"))
    with Scripted(say(b"Cache-Control: no-store\r\n")) as stage, configured(tmp_path, stage, more) as proxy:
        told = [ask(proxy.port, "GET", target, *lines).get("Cache-Status") for target, *lines in asked]
    assert told[0].startswith("edge; fwd=uri-miss; stored; ttl=3")
    assert told[1].startswith("edge; hit; ttl=")
    assert told[2].startswith("edge; fwd=uri-miss")
    assert told[3] == "edge; fwd=bypass; detail=bypass-cookie"


def test_files_and_resources_of_twisted_stand_behind_it_as_well(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "a.txt").write_text("a file")
    (tmp_path / "counting.py").write_text(
        "from twisted.web.resource import Resource\n"
        "class Counting(Resource):\n"
        "    isLeaf, count = True, 0\n"
        "    def render_GET(self, request):\n"
        "        self.count += 1\n"
        "        request.setHeader(b'Cache-Control', b'max-age=60')\n"
        "        return b'%d' % self.count\n"
        "counting = Counting()\n"
    )
    text = """
        [[listener]]
        address = "127.0.0.1:0"
        [[site]]
        [[site.route]]
        path = "/files"
        files = "public"
        cache = { ttl = "1m" }
        [[site.route]]
        path = "/count"
        resource = "counting:counting"
        cache = true
        [[site.route]]
        path = "/"
        resource = "counting:counting"
    """
    with Proxy.configured(tmp_path, text, listen=False) as proxy, RawClient(proxy.port) as client:
        assert client.ask("GET", "/files/a.txt").body == b"a file"
        # Another file of that name: what is still being read of the old one stays as it is.
        (tmp_path / "b.txt").write_text("another")
        (tmp_path / "b.txt").replace(tmp_path / "public" / "a.txt")
        hit = client.ask("GET", "/files/a.txt")
        assert (hit.body, "; hit; " in hit.get("Cache-Status")) == (b"a file", True)
        part = client.ask("GET", "/files/a.txt", "Range: bytes=2-")
        assert (part.status, part.body) == (206, b"file")
        assert [client.ask("GET", "/count").body for _ in range(3)] == [b"1", b"1", b"1"]
        other = client.ask("GET", "/")
        assert (other.body, "Cache-Status" in other) == (b"2", False)


def test_nothing_is_opened_where_no_route_is_cached(tmp_path: Path) -> None:
    stage = Scripted(say(b"Cache-Control: max-age=60\r\n"))
    with stage, configured(tmp_path, stage, '[cache]\nfolder = "kept"\n') as proxy:
        assert "Cache-Status" not in ask(proxy.port, "GET", "/a")
        [record] = proxy.records(1)
        assert "cache" not in record
    assert not (tmp_path / "kept").exists()
