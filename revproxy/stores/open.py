"""A store, built from what an operator wants."""

from __future__ import annotations

from typing import Any, Final

import attrs
from twisted.internet.interfaces import IReactorTime

from revproxy.interfaces import IStore
from revproxy.stores.disk import DiskStore
from revproxy.stores.memory import MemoryStore
from revproxy.stores.shared import RedisStore
from revproxy.stores.tiered import FarStore, TieredStore

KIB: Final = 1024
MIB: Final = 1024 * KIB


@attrs.frozen
class StoreOptions:
    """What is stored where. With nothing said: in memory."""

    memory_size: int = attrs.field(default=256 * MIB, validator=attrs.validators.ge(0))
    """Octets in the memory of each worker; 0: none, where there is a folder or Redis."""
    folder: str = ""
    """The folder that the workers of this machine share."""
    disk_size: int = attrs.field(default=10 * 1024 * MIB, validator=attrs.validators.ge(MIB))
    """Octets in the folder."""
    redis: str = ""
    """The URL of the Redis server that several machines share."""
    redis_prefix: str = "revproxy:"
    """What all names in Redis begin with."""
    redis_timeout: float = attrs.field(default=0.5, validator=attrs.validators.gt(0))
    """Seconds for which an answer of Redis is awaited."""
    redis_lifetime: float = attrs.field(default=86_400.0, validator=attrs.validators.ge(1))
    """Seconds for which Redis keeps what nobody stores or validates again."""
    largest: int = attrs.field(default=32 * MIB, validator=attrs.validators.ge(0))
    """Octets of content that one response may have. A store never takes what fills half of it."""

    def __attrs_post_init__(self) -> None:
        if self.folder and self.redis:
            raise ValueError("responses are stored in a folder or in Redis, not in both")
        if not self.memory_size and not self.folder and not self.redis:
            raise ValueError("without memory, a folder or Redis there is nowhere to store anything")


def open_store(options: StoreOptions, reactor: Any) -> IStore:
    """The store. Files and connections open when they are first needed, so that a store may be made before a fork.

    Raises ValueError for a Redis URL that is none, ImportError where ``txredisapi`` is needed and missing.
    """
    far: FarStore
    if options.folder:
        far = DiskStore(options.folder, options.disk_size, options.largest, reactor)
    elif options.redis:
        far = RedisStore(
            options.redis,
            options.largest,
            reactor,
            prefix=options.redis_prefix,
            timeout=options.redis_timeout,
            lifetime=options.redis_lifetime,
        )
    else:
        return _memory(options, reactor)
    if not options.memory_size:
        return far
    return TieredStore(_memory(options, reactor), far, reactor)


def _memory(options: StoreOptions, reactor: IReactorTime) -> MemoryStore:
    return MemoryStore(options.memory_size, options.largest, reactor)
