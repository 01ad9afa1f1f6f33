"""What each site demands of a connection over TLS, by its hosts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs
from cryptography import x509

from revproxy.certificates.contexts import ClientAuthorities
from revproxy.certificates.folder import Finding, read_file
from revproxy.certificates.names import NameTable
from revproxy.config.hosts import normal_pattern
from revproxy.config.model import Config, SiteTLS


@attrs.frozen
class SiteSecurity:
    """What one site demands."""

    hosts: tuple[str, ...]
    """Its names and patterns; none for names that no site is for."""
    profile: str
    clients: ClientAuthorities | None = None

    @property
    def session_id(self) -> bytes:
        """Equal where sessions may be resumed: a site keeps its own when others come and go around it."""
        hosts = ",".join(sorted(self.hosts)).encode("utf-8")
        return b"%b %b %b" % (hosts, self.profile.encode("ascii"), self.clients.digest if self.clients else b"")


@attrs.frozen(eq=False)
class Sites:
    """The sites, and what is wrong with the files they name."""

    table: NameTable[SiteSecurity]
    nobody: SiteSecurity
    """For names that no site is for."""
    all: tuple[SiteSecurity, ...]
    hosts: tuple[str, ...]
    """All names and patterns, as ``normal_pattern`` has them, in their order."""
    findings: tuple[Finding, ...]

    def find(self, name: str) -> SiteSecurity:
        """The site of a name that a client asks for."""
        return self.table.find_by_suffix(name) or self.nobody


def read_sites(config: Config) -> Sites:
    """Reads what the sites' client_ca and client_crl name."""
    table: NameTable[SiteSecurity] = NameTable()
    findings: list[Finding] = []
    hosts: list[str] = []
    securities: list[SiteSecurity] = []
    for site in config.sites:
        clients, found = read_clients(site.tls)
        findings.extend(found)
        security = SiteSecurity(tuple(map(normal_pattern, site.hosts)), site.tls.profile or config.tls.profile, clients)
        securities.append(security)
        for host in site.hosts:
            pattern = normal_pattern(host)
            hosts.append(pattern)
            table.add(pattern, security)
    return Sites(table, SiteSecurity((), config.tls.profile), tuple(securities), tuple(hosts), tuple(findings))


_NONE: Final = ClientAuthorities(True, ())


def read_clients(options: SiteTLS) -> tuple[ClientAuthorities | None, list[Finding]]:
    """The authorities of a site's clients; with something wrong, nobody's certificate is accepted."""
    if options.client_certificates == "off":
        return None, []
    if not options.client_ca:
        # ``check`` has an error for it, which a Config made in Python may not have been shown to.
        return _NONE, []
    findings: list[Finding] = []
    certificates = _read(options.client_ca, x509.load_pem_x509_certificates, findings)
    revocations: list[x509.CertificateRevocationList] = []
    if options.client_crl:
        revocations = _read(options.client_crl, _load_revocations, findings)
        findings.extend(_missing_lists(certificates, revocations, options.client_crl))
    if any(not finding.warning for finding in findings):
        return _NONE, findings
    required = options.client_certificates == "required"
    return ClientAuthorities(required, tuple(certificates), tuple(revocations)), findings


def _read(file: str, load: object, findings: list[Finding]) -> list:  # type: ignore[type-arg]
    try:
        return list(load(read_file(file)))  # type: ignore[operator]
    except OSError as reason:
        findings.append(Finding(file, f"the file can't be read: {reason.strerror or reason}"))
    except ValueError as reason:
        findings.append(Finding(file, f"this is no PEM file of what is expected: {reason}"))
    return []


def _load_revocations(octets: bytes) -> list[x509.CertificateRevocationList]:
    end = b"-----END X509 CRL-----"
    parts = [part + end for part in octets.split(end)[:-1]]
    if not parts:
        raise ValueError('there is no line "-----BEGIN X509 CRL-----"')
    return [x509.load_pem_x509_crl(part[part.index(b"-----BEGIN X509 CRL") :]) for part in parts]


def _missing_lists(
    certificates: list[x509.Certificate], revocations: list[x509.CertificateRevocationList], file: str
) -> Iterator[Finding]:
    known = {each.issuer for each in revocations}
    for each in certificates:
        if revocations and each.subject not in known:
            text = f"there is no revocation list of {each.subject.rfc4514_string()}: its clients will be refused"
            yield Finding(file, text, warning=True)
