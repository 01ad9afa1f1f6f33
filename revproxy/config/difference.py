"""What differs between two configurations, in the words of their files: what a reload would change.

Things with names are matched by them: listeners by address, upstreams by name, sites by their hosts (those that share
one are the same site), routes by path and methods. What is left of each pair is told setting by setting. A secret is
never shown, only that it is another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import attrs

from revproxy.config.mistakes import Path
from revproxy.config.model import Config, Listener, Route, Server, Site, UpstreamOptions
from revproxy.config.shape import Setting, settings
from revproxy.config.written import without_password, written

NOT_SET: Final = "not set"


@attrs.frozen
class Change:
    """One thing that differs."""

    kind: str
    """listener, site, route, upstream, or the name of a setting or table at the top of the file."""
    change: str
    """added, removed, changed or moved (the same, in another place)."""
    name: str
    """As operators know it: the address, the hosts, a host with a path, the upstream's name; empty for tables."""
    detail: str
    """What differs, in words."""
    path: Path = ()
    """Where it is written, in the model's terms: in the old configuration for what is removed, else in the new one."""


def difference(old: Config, new: Config) -> tuple[Change, ...]:
    """All that differs; nothing where the two are equal."""
    if old == new:
        return ()
    changes = [
        *_things("listener", ("listeners",), Listener, old.listeners, new.listeners, lambda each: each.address),
        *_sites(old.sites, new.sites),
        *_things("upstream", ("upstreams",), UpstreamOptions, old.upstreams, new.upstreams, lambda each: each.name),
        *_tables(old, new),
    ]
    # Two that are not equal differ, even where nothing above has words for it.
    return tuple(changes) or (Change("configuration", "changed", "", "something without a name of its own"),)


def _things(
    kind: str,
    path: Path,
    table: type[Any],
    old: Sequence[Any],
    new: Sequence[Any],
    key: Callable[[Any], Any],
    named: Callable[[Any], str] | None = None,
) -> Iterator[Change]:
    """Of things that a key tells apart."""
    named = named or key
    before, after = _keyed(old, key), _keyed(new, key)
    for name, place in before.items():
        if name not in after:
            yield Change(kind, "removed", named(old[place]), _summary(old[place]), (*path, place))
    for name, place in after.items():
        here = (*path, place)
        if name not in before:
            yield Change(kind, "added", named(new[place]), _summary(new[place]), here)
            continue
        details = list(_details(table, old[before[name]], new[place]))
        if details:
            yield Change(kind, "changed", named(new[place]), "; ".join(details), here)
    yield from _moves(kind, path, list(before), list(after), lambda name: named(new[after[name]]))


def _keyed(things: Sequence[Any], key: Callable[[Any], Any]) -> dict[Any, int]:
    found: dict[Any, int] = {}
    for place, each in enumerate(things):
        name = key(each)
        # Where two have one name (an address with a port that the kernel chooses), they are told apart by their order.
        while name in found:
            name = (name, "again")
        found[name] = place
    return found


def _moves(
    kind: str, path: Path, before: list[Any], after: list[Any], named: Callable[[Any], str]
) -> Iterator[Change]:
    before = [name for name in before if name in after]
    kept = [name for name in after if name in before]
    for old, new in zip(before, kept, strict=True):
        if old != new:
            yield Change(kind, "moved", named(new), "the order in the file", (*path, after.index(new)))
            return


def _sites(old: Sequence[Site], new: Sequence[Site]) -> Iterator[Change]:
    pairs = _matched(old, new)
    matched = set(pairs.values())
    for place, site in enumerate(old):
        if place not in matched:
            yield Change("site", "removed", _hosts(site), _summary(site), ("sites", place))
    for place, site in enumerate(new):
        path: Path = ("sites", place)
        if place not in pairs:
            yield Change("site", "added", _hosts(site), _summary(site), path)
            continue
        before = old[pairs[place]]
        details = list(_details(Site, before, site, but=("routes",)))
        if details:
            yield Change("site", "changed", _hosts(site), "; ".join(details), path)
        yield from _routes(before, site, ("sites", pairs[place]), path)
    order = [pairs[place] for place in sorted(pairs)]
    if order != sorted(order):
        place = next(place for place, was in zip(sorted(pairs), sorted(order), strict=True) if pairs[place] != was)
        yield Change("site", "moved", _hosts(new[place]), "the order in the file", ("sites", place))


def _matched(old: Sequence[Site], new: Sequence[Site]) -> dict[int, int]:
    """The place in the old one of each site of the new one that was there before."""
    pairs: dict[int, int] = {}
    free = dict(enumerate(old))
    for is_same in (lambda a, b: set(a.hosts) == set(b.hosts), lambda a, b: set(a.hosts) & set(b.hosts)):
        for place, site in enumerate(new):
            if place not in pairs:
                was = next((number for number, other in free.items() if is_same(other, site)), None)
                if was is not None:
                    pairs[place] = was
                    del free[was]
    return pairs


def _routes(old: Site, new: Site, old_path: Path, path: Path) -> Iterator[Change]:
    def named(route: Route) -> str:
        return f"{new.hosts[0] if new.hosts else ''}{route.path}" + "".join(f" {one}" for one in route.methods)

    def key(route: Route) -> tuple[str, frozenset[str]]:
        return route.path, frozenset(route.methods)

    for change in _things("route", (), Route, old.routes, new.routes, key, named):
        above = old_path if change.change == "removed" else path
        yield attrs.evolve(change, path=(*above, "routes", *change.path))


def _hosts(site: Site) -> str:
    return ", ".join(site.hosts)


def _tables(old: Config, new: Config) -> Iterator[Change]:
    """Everything else at the top of the file."""
    for setting in settings(Config):
        if setting.name in ("listeners", "sites", "upstreams"):
            continue
        before, after = getattr(old, setting.name), getattr(new, setting.name)
        if before == after:
            continue
        if setting.table is not None and not setting.several and before is not None and after is not None:
            details = list(_details(setting.table, before, after))
        else:
            details = [_detail(setting, before, after, named=False)]
        yield Change(setting.key, "changed", "", "; ".join(details), (setting.name,))


def _summary(thing: Any) -> str:
    """What was added or removed, in a few words."""
    if isinstance(thing, UpstreamOptions):
        return ", ".join(server.url for server in thing.servers)
    if isinstance(thing, Site):
        return ", ".join(f"{route.path} to {_target(route)}" for route in thing.routes[:3]) + (
            f" and {len(thing.routes) - 3} more" if len(thing.routes) > 3 else ""
        )
    if isinstance(thing, Route):
        return f"to {_target(thing)}"
    return "TLS" if isinstance(thing, Listener) and thing.tls else ""


def _target(route: Route) -> str:
    return route.proxy or route.files or type(route.resource).__name__


def _details(table: type[Any], old: Any, new: Any, but: Sequence[str] = (), prefix: str = "") -> Iterator[str]:
    """The settings that differ, each in words."""
    for setting in settings(table):
        before, after = getattr(old, setting.name), getattr(new, setting.name)
        if setting.name in but or before == after:
            continue
        if setting.table is not None and not setting.several and before is not None and after is not None:
            yield from _details(setting.table, before, after, prefix=f"{prefix}{setting.key}.")
        else:
            yield prefix + _detail(setting, before, after)


def _detail(setting: Setting, old: Any, new: Any, *, named: bool = True) -> str:
    name = f"{setting.key}: " if named else ""
    if getattr(setting, "secret", False):
        return f"{name}another value"
    if setting.several or setting.kind == "fields":
        return name + _list_detail(setting, tuple(old or ()), tuple(new or ()))
    if setting.table is not None:
        return f"{name}{'added' if old is None else 'removed'}"
    before, after = _value(setting, old), _value(setting, new)
    # Two that are written alike differ in what is not shown, or are objects of a program.
    return f"{name}{before} -> {after}" if before != after else f"{name}another value"


def _list_detail(setting: Setting, old: tuple[Any, ...], new: tuple[Any, ...]) -> str:
    before = [_value(setting, each) for each in old]
    after = [_value(setting, each) for each in new]
    words = [f"+{each}" for each in after if each not in before] + [f"-{each}" for each in before if each not in after]
    if not words:
        words = ["another order"] if sorted(before) == sorted(after) and before != after else ["other values"]
    return " ".join(words)


def _value(setting: Setting, value: Any) -> str:
    """One value as people write it."""
    if value is None:
        return NOT_SET
    if isinstance(value, Server):
        return value.url if value.weight == 1 else f"{value.url} weight {value.weight}"
    if setting.table is not None:
        first = settings(setting.table)[0]
        return _value(first, getattr(value, first.name)) if not first.several else _joined(getattr(value, first.name))
    if setting.kind == "fields":
        # A value may prove something; that it differs is enough.
        return str(value[0])
    shown = written(attrs.evolve(setting, several=False), value)
    if isinstance(shown, bool):
        return "true" if shown else "false"
    return without_password(str(shown))


def _joined(values: Sequence[Any]) -> str:
    return ", ".join(map(str, values))
