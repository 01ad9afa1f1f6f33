"""What is wrong with certificates and the files that ``[tls]`` and ``[site.tls]`` name, for ``check`` and at start."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timezone

from revproxy.certificates.authority import LOCAL_NAMES
from revproxy.certificates.choice import is_valid
from revproxy.certificates.files import CertificateFiles
from revproxy.certificates.folder import Finding
from revproxy.certificates.names import NameTable
from revproxy.certificates.pem import Certificate
from revproxy.certificates.sites import read_clients
from revproxy.config.hosts import normal_pattern
from revproxy.config.mistakes import Mistake, Path
from revproxy.config.model import Config

SOON = 7 * 86400.0
"""Seconds before its end at which a certificate is warned about."""


def check_certificates(config: Config, wall: Callable[[], float] = time.time) -> Iterator[Mistake]:
    """Everything that shows when the files are read. Expired ones are served and warned about, as elsewhere."""
    if not any(listener.tls for listener in config.listeners):
        return
    files = CertificateFiles(config.tls.certificates)
    for finding in files.findings:
        yield _mistake(finding, _place(config, finding.file))
    for certificate in files.certificates:
        for text in doubts(certificate, wall()):
            finding = Finding(certificate.source, text, warning=True)
            yield _mistake(finding, _place(config, certificate.source))
    for number, site in enumerate(config.sites):
        for finding in read_clients(site.tls)[1]:
            key = "client_ca" if finding.file == site.tls.client_ca else "client_crl"
            yield _mistake(finding, ("sites", number, "tls", key))
    issues = config.tls.internal or config.tls.acme is not None
    if not files.certificates and not issues and all(finding.warning for finding in files.findings):
        text = "there is no certificate at all: nobody could connect to the listeners that speak TLS"
        yield Mistake(path=("tls", "certificates"), text=text)
        return
    # Where files are wrong, that is what has to be said; who issues by other means has names for all.
    if not issues and all(finding.warning for finding in files.findings):
        yield from _check_hosts(config, files.certificates)


def _check_hosts(config: Config, certificates: Iterable[Certificate]) -> Iterator[Mistake]:
    table = NameTable((name, certificate) for certificate in certificates for name in certificate.names)
    for number, site in enumerate(config.sites):
        for place, host in enumerate(site.hosts):
            try:
                name = normal_pattern(host)
            except ValueError:
                continue
            if name != "*" and name not in LOCAL_NAMES and not covers(table, name):
                text = f'no certificate is for "{host}": browsers will warn'
                yield Mistake(
                    path=("sites", number, "hosts", place), text=text, warning=True, related=(("tls", "certificates"),)
                )
    default = config.tls.default
    if default is not None and table.find_by_label(default) is None:
        text = f'no certificate is for "{default}"'
        yield Mistake(path=("tls", "default"), text=text, related=(("tls", "certificates"),))


def covers(table: NameTable[Certificate], pattern: str) -> bool:
    """Whether a site's host, or pattern, has a certificate: for ``*.a`` one whose star stands for any label there."""
    if pattern.startswith("*."):
        return table.find_by_label("any" + pattern[1:]) is not None
    return table.find_by_label(pattern) is not None


def doubts(certificate: Certificate, now: float) -> Iterator[str]:
    """What an operator should know of a certificate that is served all the same."""
    which = f"the certificate for {certificate.shown_names}"
    if not is_valid(certificate, now):
        if certificate.not_after < now:
            yield f"{which} has expired on {_day(certificate.not_after)}: renew it"
        else:
            yield f"{which} is not valid before {_day(certificate.not_before)}"
    elif certificate.not_after - now < SOON:
        yield f"{which} expires on {_day(certificate.not_after)}: renew it"
    if certificate.lacks_chain:
        issuer = certificate.leaf.issuer.rfc4514_string()
        yield (
            f'the certificate of its issuer, "{issuer}", is missing: many clients will not trust it; add it below the'
            " certificate (certbot calls such a file fullchain.pem)"
        )


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def _mistake(finding: Finding, path: Path) -> Mistake:
    return Mistake(path=path, text=str(finding), warning=finding.warning)


def _place(config: Config, file: str) -> Path:
    """The setting that brought a file in."""
    for number, path in enumerate(config.tls.certificates):
        if file == path or file.startswith(path.rstrip("/") + "/"):
            return ("tls", "certificates", number)
    for number, path in enumerate(config.tls.certificates):
        # A key beside a file that was named.
        if file.rpartition("/")[0] == path.rpartition("/")[0]:
            return ("tls", "certificates", number)
    return ("tls", "certificates")
