"""What a worker keeps beside its tree, and what becomes of it in a reload: the store of the cache, and ACME.

Both outlive a configuration as long as what concerns them stays the same. A store that is replaced is stopped a while
later, since answers in flight are read from it; a folder is never opened twice in one process, which LMDB forbids.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import attrs

from revproxy.certificates.collection import Certificates
from revproxy.config.model import Cache, Config
from revproxy.errors import ConfigError
from revproxy.interfaces import IStore
from revproxy.service.acme import open_acme
from revproxy.service.caching import is_caching, open_store
from revproxy.stores.memory import MemoryStore
from revproxy.stores.tiered import TieredStore
from revproxy.wire.sweep import Sweep

if TYPE_CHECKING:
    from revproxy.certificates.acme.issuance import Issuance

AFTER_USE: Final = 60.0
"""Seconds after which a store that was replaced is stopped."""
_STORE: Final = ("memory", "folder", "disk", "redis", "redis_prefix", "redis_lifetime", "redis_timeout", "largest")
"""The settings that concern the store itself."""


class CarriedStore:
    """The store that a worker uses from ``switch`` on; ``store`` is None where no route is cached."""

    def __init__(self, store: IStore | None, options: Cache | None, reactor: Any, before: CarriedStore | None) -> None:
        self.store = store
        self.options = options
        self._reactor = reactor
        self._before = before
        self._is_own = before is None or before.store is not store

    def switch(self) -> None:
        """It is used from now on."""
        before, self._before = self._before, None
        if before is None:
            return
        if not self._is_own:
            self._is_own = True
            if self.options is not None:
                resize_memory(self.store, self.options)
        elif before.store is not None:
            self._reactor.callLater(AFTER_USE, before.store.stop)

    def abandon(self) -> None:
        """It will not be used."""
        self._before = None
        if self._is_own and self.store is not None:
            self.store.stop()

    def stop(self) -> None:
        """It is not used any more."""
        if self.store is not None:
            self.store.stop()

    def figures(self) -> dict[str, Any] | None:
        """What is stored, as JSON has it."""
        store, options = self.store, self.options
        if store is None or options is None:
            return None
        usage = store.usage()
        return {
            "store": store.name,
            "entries": usage.responses,
            "octets": usage.octets,
            "most_octets": usage.most_octets,
            "evicted": usage.evicted,
            # Of what all workers see, each tells the same.
            "shared": options.folder is not None or options.redis is not None,
        }


def carry_store(config: Config, before: CarriedStore | None, reactor: Any) -> CarriedStore:
    """The store for a configuration: the one there is, where that will do. Raises ConfigError where it can't be changed
    while it is in use."""
    options = config.cache
    if not is_caching(config):
        return CarriedStore(None, None, reactor, before)
    if before is None or before.store is None or before.options is None:
        return CarriedStore(open_store(options, reactor), options, reactor, before)
    changed = [name for name in _STORE if getattr(options, name) != getattr(before.options, name)]
    if changed in ([], ["memory"]):
        return CarriedStore(before.store, options, reactor, before)
    if options.folder and before.options.folder and _is_same_folder(options.folder, before.options.folder):
        names = ", ".join(f"cache.{name}" for name in changed)
        raise ConfigError(
            f"{names}: the folder {options.folder} is open with other options, which only a new process can change: "
            "revproxy upgrade"
        )
    return CarriedStore(open_store(options, reactor), options, reactor, before)


def _is_same_folder(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def resize_memory(store: IStore | None, options: Cache) -> None:
    """Lets memory hold more or less, with what it holds."""
    memory = store.memory if isinstance(store, TieredStore) else store
    if isinstance(memory, MemoryStore) and memory.most_octets != options.memory:
        memory.resize(options.memory, options.largest)


class CarriedAcme:
    """Who has certificates issued, from ``switch`` on; ``issuance`` is None where nobody does."""

    def __init__(
        self, config: Config, certificates: Certificates | None, before: CarriedAcme | None, sweep: Sweep, reactor: Any
    ) -> None:
        self.issuance: Issuance | None = None
        self._config = config
        self._certificates = certificates if config.tls.acme is not None else None
        self._before = before
        self._sweep = sweep
        self._reactor = reactor

    def switch(self) -> None:
        """Takes over, or begins. Raises ConfigError where the state folder can't be used."""
        before, self._before = self._before, None
        if before is not None and before._concerns() == self._concerns():
            self.issuance = before.issuance
            return
        if before is not None:
            # Before another one asks for the lock that it has.
            before.stop()
        if self._certificates is not None:
            self.issuance = open_acme(self._config, self._certificates, self._reactor)
            if self.issuance is not None:
                self._sweep.on_tick.append(self.issuance.tick)
        elif before is not None and before._certificates is not None:
            before._certificates.provide("acme", ())

    def _concerns(self) -> tuple[Any, ...]:
        """What issuance depends on."""
        config = self._config
        if self._certificates is None:
            return ()
        names = tuple((site.hosts, site.tls) for site in config.sites)
        tls = attrs.evolve(config.tls, certificates=())
        return (tls, names, id(self._certificates))

    def abandon(self) -> None:
        """It will not be used."""
        self._before = None

    def stop(self) -> None:
        """Nobody does any more."""
        if self.issuance is not None:
            self.issuance.stop()
            if self.issuance.tick in self._sweep.on_tick:
                self._sweep.on_tick.remove(self.issuance.tick)
            self.issuance = None
