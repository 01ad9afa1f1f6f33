"""Which certificates are wanted, of which names."""

from __future__ import annotations

from collections.abc import Callable

from revproxy.config.checks.acme import MOST_NAMES, why_not
from revproxy.config.hosts import normal_pattern
from revproxy.config.model import Config


def wanted_certificates(config: Config, is_covered: Callable[[str], bool]) -> list[tuple[str, ...]]:
    """The names of each certificate that is wanted, in the order of the configuration.

    They are listed in ``[[tls.acme.certificate]]``, or else one certificate for each site. ``is_covered`` tells for
    which names there is a certificate file: these need nothing.
    """
    options = config.tls.acme
    if options is None:
        return []
    listed = [certificate.names for certificate in options.certificates]
    if not listed and not config.tls.internal:
        listed = [site.hosts for site in config.sites]
    wanted: list[tuple[str, ...]] = []
    seen: set[str] = set()
    for hosts in listed:
        names = []
        for host in hosts:
            if why_not(host):
                continue
            name = normal_pattern(host)
            if name not in seen and not is_covered(name):
                seen.add(name)
                names.append(name)
        wanted.extend(tuple(names[at : at + MOST_NAMES]) for at in range(0, len(names), MOST_NAMES))
    return wanted
