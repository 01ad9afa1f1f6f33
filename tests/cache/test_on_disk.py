"""The whole proxy with its responses on disk: what is small in tables, what is large in files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from revproxy.stores.disk import DiskStore
from tests.support.caching import MIB, Cached, caching, response, told
from tests.support.dialogue import answer

FRESH = b"Cache-Control: max-age=60"
TAG = b'ETag: "a"'
LARGE = bytes(range(256)) * 2000


@contextmanager
def on_disk(folder: Path, **more: Any) -> Iterator[Cached]:
    with caching(store=lambda proxy: DiskStore(str(folder), 64 * MIB, 2 * MIB, proxy.clock), **more) as cached:
        yield cached
        cached.store.stop()


def contents(folder: Path) -> list[Path]:
    """The files of large content."""
    return [path for path in (folder / "bodies").rglob("*") if path.is_file()]


@pytest.mark.parametrize("body", [b"hello", LARGE])
def test_hits_ranges_and_validation(tmp_path: Path, body: bytes) -> None:
    with on_disk(tmp_path) as cached:
        cached.answers_with(FRESH, TAG, body=body)
        assert cached.get().body == body
        cached.advance(5)
        hit = cached.get()
        assert (hit.body, hit.get(b"age"), told(hit)) == (body, b"5", b"hit; ttl=55")
        assert cached.get(method=b"HEAD").get(b"content-length") == b"%d" % len(body)
        assert cached.get(b"/", b"Range: bytes=1-3").body == body[1:4]
        assert cached.get(b"/", b'If-None-Match: "a"').status == 304
        assert len(cached.requests) == 1
        cached.advance(60)
        cached.answers_with(FRESH, TAG, status=b"304 Not Modified")
        assert cached.get().body == body
        assert told(cached.get()) == b"hit; ttl=60"
        cached.answers_with(status=b"204 No Content")
        cached.get(method=b"DELETE")
        assert cached.stored()[0].head.invalidated


def test_many_clients_at_their_own_pace(tmp_path: Path) -> None:
    with on_disk(tmp_path) as cached:
        slow = cached.proxy.client(room=5000)
        slow.reads = False
        slow.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        quick = cached.ask()
        octets = response(FRESH, body=LARGE)
        cached.reply(octets[:200_000])
        late = cached.ask()
        cached.reply(octets[200_000:])
        for client in (quick, late):
            assert (answer(client).body, answer(client).complete) == (LARGE, True)
        assert cached.get().body == LARGE
        slow.reads = True
        cached.proxy.network.settle()
        assert answer(slow).body == LARGE
        assert len(cached.requests) == 1


def test_a_part_is_completed(tmp_path: Path) -> None:
    with on_disk(tmp_path) as cached:
        client = cached.ask()
        cached.reply(response(FRESH, TAG, body=LARGE)[:300_000]).fin()
        assert not answer(client).complete
        (stored,) = cached.stored()
        assert (stored.head.status, stored.head.total) == (206, len(LARGE))
        begin = stored.content.size
        told_range = b"Content-Range: bytes %d-%d/%d" % (begin, len(LARGE) - 1, len(LARGE))
        cached.answers_with(FRESH, TAG, told_range, status=b"206 Partial Content", body=LARGE[begin:])
        assert cached.get(b"/", b"Range: bytes=%d-" % begin).body == LARGE[begin:]
        assert cached.get().body == LARGE
        assert len(cached.requests) == 2


def test_content_that_disappears_is_fetched_again(tmp_path: Path) -> None:
    with on_disk(tmp_path) as cached:
        cached.answers_with(FRESH, body=LARGE)
        cached.get()
        files = contents(tmp_path)
        assert len(files) == 1
        for path in files:
            path.unlink()
        assert cached.get().body == LARGE
        assert len(cached.requests) == 2
        assert told(cached.get()) == b"hit; ttl=60"


def test_what_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    with on_disk(tmp_path) as cached:
        clients = [cached.ask(), cached.ask()]
        cached.reply(response(FRESH, body=LARGE)[:300_000]).cut()
        assert not any(answer(client).complete for client in clients)
        assert cached.stored() == ()
        cached.advance(2)
        assert contents(tmp_path) == []
