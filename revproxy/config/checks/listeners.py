"""Listeners: addresses that can be bound, each only once."""

from __future__ import annotations

import os
from collections.abc import Iterator

from revproxy.config.addresses import ListenerAddress, UnixAddress, overlap, parse_listener
from revproxy.config.mistakes import Mistake, Path
from revproxy.config.model import Config


def check_listeners(config: Config) -> Iterator[Mistake]:
    """Mistakes in the addresses of the listeners."""
    seen: list[tuple[Path, ListenerAddress]] = []
    for number, listener in enumerate(config.listeners):
        path: Path = ("listeners", number, "address")
        try:
            address = parse_listener(listener.address)
        except ValueError as error:
            yield Mistake(path=path, text=str(error))
            continue
        if isinstance(address, UnixAddress):
            yield from _check_folder(address, path)
        for other_path, other in seen:
            if overlap(address, other):
                text = f'"{listener.address}" is taken already by another listener ("{other}")'
                yield Mistake(path=path, text=text, related=(other_path,))
                break
        seen.append((path, address))


def _check_folder(address: UnixAddress, path: Path) -> Iterator[Mistake]:
    folder = os.path.dirname(address.path)
    if not os.path.isdir(folder):
        yield Mistake(path=path, text=f'the folder of "{address}" does not exist')
    elif os.path.isdir(address.path):
        yield Mistake(path=path, text=f'"{address.path}" is a folder, not a socket')
