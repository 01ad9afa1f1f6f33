"""TLS: settings that fit each other, files that are there. What is inside them, ``certificates/`` looks at."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from revproxy.config.hosts import normal_pattern
from revproxy.config.mistakes import Mistake, Path
from revproxy.config.model import YEAR, Config, Site

_SUBJECT = re.compile(r"(?:X-)?SSL-Client-[A-Za-z0-9-]+", re.IGNORECASE | re.ASCII)


def check_tls(config: Config) -> Iterator[Mistake]:
    """Mistakes in everything that has to do with TLS."""
    listens = [listener.tls for listener in config.listeners]
    secured = any(listens)
    options = config.tls
    if secured and not options.certificates and not options.internal and options.acme is None:
        yield Mistake(
            path=("listeners", listens.index(True), "tls"),
            text='there are no certificates: name files or folders in tls.certificates, or write "tls.internal = true"'
            " or a table [tls.acme]",
            related=(("tls", "certificates"), ("tls", "internal")),
        )
    if options.certificates and not secured:
        yield Mistake(
            path=("tls", "certificates"), text='no listener has "tls = true": nothing uses them', warning=True
        )
    for number, file in enumerate(options.certificates):
        yield from _check_there(file, ("tls", "certificates", number), "certificate", may_be_folder=True)
    if options.default is not None:
        try:
            normal_pattern(options.default)
        except ValueError as error:
            yield Mistake(path=("tls", "default"), text=str(error))
    if options.state is not None and os.path.exists(options.state) and not os.path.isdir(options.state):
        yield Mistake(path=("tls", "state"), text=f'"{options.state}" is no folder')
    yield from _check_redirects(config, secured)
    for number, site in enumerate(config.sites):
        yield from _check_site(site, ("sites", number, "tls"), secured)


def _check_redirects(config: Config, secured: bool) -> Iterator[Mistake]:
    places: list[tuple[Path, int]] = [
        *((("sites", number, "redirect_to_https"), site.redirect_to_https) for number, site in enumerate(config.sites)),
    ]
    for number, listener in enumerate(config.listeners):
        path: Path = ("listeners", number, "redirect_to_https")
        if listener.redirect_to_https and listener.tls:
            related = ((*path[:2], "tls"),)
            yield Mistake(path=path, text="what comes over TLS needs no redirect: take it away", related=related)
        else:
            places.append((path, listener.redirect_to_https))
    for path, status in places:
        if status and not secured:
            text = 'no listener has "tls = true": the redirect leads to whoever answers https under that name'
            yield Mistake(path=path, text=text, warning=True)


def _check_site(site: Site, path: Path, secured: bool) -> Iterator[Mistake]:
    tls = site.tls
    clients = tls.client_certificates != "off"
    if clients and not tls.client_ca:
        yield Mistake(
            path=(*path, "client_certificates"),
            text="client_ca is missing: the file of the authorities whose certificates are accepted",
            related=((*path, "client_ca"),),
        )
    if clients and not secured:
        # Whoever asks for certificates must not find out in production that nobody was asked.
        yield Mistake(
            path=(*path, "client_certificates"), text='no listener has "tls = true": no client can show a certificate'
        )
    for name in ("client_ca", "client_crl", "client_subject"):
        value = getattr(tls, name)
        if value is None:
            continue
        if not clients:
            yield Mistake(
                path=(*path, name),
                text='has no effect without client_certificates = "required" or "optional"',
                related=((*path, "client_certificates"),),
                warning=True,
            )
        elif name != "client_subject":
            yield from _check_there(value, (*path, name), name)
    if tls.client_subject is not None and not _SUBJECT.fullmatch(tls.client_subject):
        text = (
            f'"{tls.client_subject}": the name must begin with "X-SSL-Client-" or "SSL-Client-",'
            " which are never accepted from clients"
        )
        yield Mistake(path=(*path, "client_subject"), text=text)
    if tls.hsts is not None:
        hsts = tls.hsts
        if not secured:
            yield Mistake(path=(*path, "hsts"), text='no listener has "tls = true": it is never sent', warning=True)
        if hsts.preload and (not hsts.include_subdomains or hsts.max_age < YEAR):
            text = "the browsers' lists take only sites with include_subdomains and a max_age of 365d or more"
            related = ((*path, "hsts", "include_subdomains"), (*path, "hsts", "max_age"))
            yield Mistake(path=(*path, "hsts", "preload"), text=text, related=related)


def _check_there(file: str, path: Path, what: str, *, may_be_folder: bool = False) -> Iterator[Mistake]:
    if not file or "\0" in file:
        yield Mistake(path=path, text="no file is named")
    elif not os.path.exists(file):
        folder = os.path.dirname(file) or "."
        if os.path.isdir(folder) and not os.access(folder, os.X_OK):
            yield Mistake(path=path, text=f'"{file}" can\'t be reached: no permission for the folder "{folder}"')
        else:
            things = "file or folder" if may_be_folder else "file"
            yield Mistake(path=path, text=f'the {things} "{file}" does not exist')
    elif os.path.isdir(file):
        if not may_be_folder:
            yield Mistake(path=path, text=f'"{file}" is a folder, not a file')
        elif not os.access(file, os.R_OK | os.X_OK):
            yield Mistake(path=path, text=f'the folder "{file}" can\'t be read: no permission')
    elif not os.access(file, os.R_OK):
        yield Mistake(path=path, text=f'"{file}" can\'t be read: no permission')
