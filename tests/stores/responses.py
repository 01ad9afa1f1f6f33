"""Responses to store, and what is left of them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from revproxy.caching.stored import StoredHead, StoredResponse
from revproxy.http.fields import Fields
from revproxy.interfaces import Filling, IStore

KEY = b"GET https://a.example/page"
URL = b"https://a.example/page"
EN = ((b"accept-language", b"en"),)
DE = ((b"accept-language", b"de"),)
NEITHER = ((b"accept-language", None),)


def make_head(
    key: bytes = KEY, url: bytes = URL, lines: tuple[tuple[bytes, bytes], ...] = (), **more: Any
) -> StoredHead:
    """A head; whatever isn't said is ordinary."""
    more.setdefault("request_time", 1_700_000_000.25)
    more.setdefault("response_time", 1_700_000_001.5)
    fields = Fields.of(lines or [(b"Content-Type", b"text/plain"), (b"ETag", b'"1"')])
    return StoredHead(key, more.pop("status", 200), fields, url=url, **more)


def page(number: int | bytes, **more: Any) -> StoredHead:
    """The head of one of many pages, each with a key of its own."""
    url = b"https://a.example/%d" % number if isinstance(number, int) else number
    return make_head(b"GET " + url, url, **more)


def facts(head: StoredHead) -> dict[str, object]:
    """All that a store has to keep of a head."""
    return {name: getattr(head, name) for name in StoredHead.__slots__ if name != "memo"}


def fill(store: IStore, content: bytes, head: StoredHead, piece: int = 10_000) -> Filling:
    """A filling that has all its content and isn't committed."""
    filling: Filling = store.begin(head.key, len(content))
    for at in range(0, len(content), piece):
        filling.write(content[at : at + piece])
    return filling


def keep(store: IStore, head: StoredHead, content: bytes = b"content") -> StoredResponse:
    """Stores a response, which must succeed."""
    stored = fill(store, content, head).commit(head)
    assert stored is not None, "it was not stored"
    return stored


def whole(stored: StoredResponse, piece: int = 7_000) -> bytes:
    """All the content, as a client reads it."""
    content = stored.content
    if content.octets is not None:
        assert len(content.octets) == content.size
    pieces = []
    offset = 0
    while data := content.read(offset, piece):
        assert len(data) <= piece
        pieces.append(data)
        offset += len(data)
    assert offset == content.size
    return b"".join(pieces)


def octets(size: int, seed: int = 0) -> bytes:
    """Content in which every place differs from its neighbours."""
    block = bytes((place * 7 + seed) % 251 for place in range(2510))
    return (block * (size // len(block) + 1))[:size]


def new_folder() -> str:
    """An empty folder, in memory where the system has such: what is tested is not the disk's speed."""
    return tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)


@contextmanager
def folder() -> Iterator[str]:
    """A folder for the length of a block."""
    path = new_folder()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
