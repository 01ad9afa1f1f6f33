"""Everything that can be wrong with a ``Config`` as a whole, however it was made."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path as FilePath

import attrs

from revproxy.config.admin_tables import Admin
from revproxy.config.checks.acme import check_acme
from revproxy.config.checks.admin import check_admin
from revproxy.config.checks.cache import check_cache
from revproxy.config.checks.control import check_control
from revproxy.config.checks.listeners import check_listeners
from revproxy.config.checks.logs import check_logs
from revproxy.config.checks.sites import check_sites
from revproxy.config.checks.tls import check_tls
from revproxy.config.checks.tracing import check_tracing
from revproxy.config.checks.upstreams import check_upstreams
from revproxy.config.mistakes import Mistake, independent
from revproxy.config.model import Config, Route, Site, TLSOptions, UpstreamTLS
from revproxy.config.typed import typed

Check = Callable[[Config], Iterable[Mistake]]
"""What else looks for mistakes: a room on a higher floor that knows what the configuration is for."""


def validate(config: Config, also: Iterable[Check] = ()) -> list[Mistake]:
    """All mistakes and warnings, with paths in the model's terms (``sites[1].routes[0].proxy``) and without lines.

    Relative paths of folders and files mean the current directory.
    """
    return settle(config, None, also)[1]


def settle(config: Config, folder: FilePath | None, also: Iterable[Check] = ()) -> tuple[Config, list[Mistake]]:
    """The ``Config`` with its relative paths seen from ``folder``, and what is wrong with it (see ``validate``)."""
    if not isinstance(config, Config):
        return Config(), [Mistake(path=(), text=f"a Config is expected, not {type(config).__name__}")]
    clean, mistakes = typed(config)
    if folder is not None:
        clean = _absolute(clean, folder)
    checks: list[Mistake] = [
        *check_listeners(clean),
        *check_sites(clean),
        *check_upstreams(clean),
        *check_logs(clean),
        *check_tls(clean),
        *check_acme(clean),
        *check_cache(clean),
        *check_control(clean),
        *check_admin(clean),
        *check_tracing(clean),
    ]
    kept = independent(checks, {mistake.path for mistake in mistakes})
    wrong = {mistake.path for mistake in (*mistakes, *kept) if not mistake.warning}
    more = [mistake for check in also for mistake in check(clean)]
    return clean, [*mistakes, *kept, *independent(more, wrong)]


def _absolute(config: Config, folder: FilePath) -> Config:
    log = config.access_log
    if log.path and log.path != "-":
        log = attrs.evolve(log, path=os.path.join(folder.absolute(), log.path))
    events = config.log
    if events.file:
        events = attrs.evolve(events, file=_seen_from(folder, events.file))
    sites = tuple(_site(site, folder) for site in config.sites)
    cache = config.cache
    if cache.folder:
        cache = attrs.evolve(cache, folder=_seen_from(folder, cache.folder))
    control = config.control
    if control.socket and control.socket != "off":
        control = attrs.evolve(control, socket=_seen_from(folder, control.socket))
    upstreams = tuple(attrs.evolve(each, tls=_upstream_tls(each.tls, folder)) for each in config.upstreams)
    return attrs.evolve(
        config,
        sites=sites,
        upstreams=upstreams,
        access_log=log,
        log=events,
        tls=_tls(config.tls, folder),
        cache=cache,
        control=control,
        admin=_admin(config.admin, folder),
    )


def _admin(options: Admin, folder: FilePath) -> Admin:
    def seen(file: str | None) -> str | None:
        return _seen_from(folder, file) if file else file

    return attrs.evolve(
        options,
        token_file=seen(options.token_file),
        certificate=seen(options.certificate),
        client_ca=seen(options.client_ca),
    )


def _upstream_tls(options: UpstreamTLS, folder: FilePath) -> UpstreamTLS:
    def seen(file: str | None) -> str | None:
        return _seen_from(folder, file) if file else file

    return attrs.evolve(
        options, ca=seen(options.ca), certificate=seen(options.certificate), key=seen(options.key)
    )


def _tls(options: TLSOptions, folder: FilePath) -> TLSOptions:
    acme = options.acme
    if acme is not None and acme.ca:
        acme = attrs.evolve(acme, ca=_seen_from(folder, acme.ca))
    return attrs.evolve(
        options,
        acme=acme,
        certificates=tuple(_seen_from(folder, path) for path in options.certificates),
        state=_seen_from(folder, options.state) if options.state else options.state,
    )


def _seen_from(folder: FilePath, path: str) -> str:
    return os.path.normpath(os.path.join(folder.absolute(), path)) if path else path


def _site(site: Site, folder: FilePath) -> Site:
    tls = site.tls
    if tls.client_ca or tls.client_crl:
        tls = attrs.evolve(
            tls,
            client_ca=_seen_from(folder, tls.client_ca) if tls.client_ca else tls.client_ca,
            client_crl=_seen_from(folder, tls.client_crl) if tls.client_crl else tls.client_crl,
        )
    return attrs.evolve(site, routes=tuple(_route(route, folder) for route in site.routes), tls=tls)


def _route(route: Route, folder: FilePath) -> Route:
    if route.files is None:
        return route
    return attrs.evolve(route, files=_seen_from(folder, route.files))
