"""Everything that can be wrong with a ``Config`` as a whole, however it was made."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path as FilePath

import attrs

from revproxy.config.checks.listeners import check_listeners
from revproxy.config.checks.logs import check_logs
from revproxy.config.checks.sites import check_sites
from revproxy.config.checks.upstreams import check_upstreams
from revproxy.config.mistakes import Mistake, independent
from revproxy.config.model import Config, Route, Site
from revproxy.config.typed import typed


def validate(config: Config) -> list[Mistake]:
    """All mistakes and warnings, with paths in the model's terms (``sites[1].routes[0].proxy``) and without lines.

    Relative paths of folders and files mean the current directory.
    """
    return settle(config, None)[1]


def settle(config: Config, folder: FilePath | None) -> tuple[Config, list[Mistake]]:
    """The ``Config`` with its relative paths seen from ``folder``, and what is wrong with it (see ``validate``)."""
    if not isinstance(config, Config):
        return Config(), [Mistake(path=(), text=f"a Config is expected, not {type(config).__name__}")]
    clean, mistakes = typed(config)
    if folder is not None:
        clean = _absolute(clean, folder)
    checks: Iterable[Mistake] = (
        *check_listeners(clean),
        *check_sites(clean),
        *check_upstreams(clean),
        *check_logs(clean),
    )
    return clean, [*mistakes, *independent(checks, {mistake.path for mistake in mistakes})]


def _absolute(config: Config, folder: FilePath) -> Config:
    log = config.access_log
    if log.path and log.path != "-":
        log = attrs.evolve(log, path=os.path.join(folder.absolute(), log.path))
    sites = tuple(_site(site, folder) for site in config.sites)
    return attrs.evolve(config, sites=sites, access_log=log)


def _site(site: Site, folder: FilePath) -> Site:
    return attrs.evolve(site, routes=tuple(_route(route, folder) for route in site.routes))


def _route(route: Route, folder: FilePath) -> Route:
    if route.files is None:
        return route
    return attrs.evolve(route, files=os.path.normpath(os.path.join(folder.absolute(), route.files)))
