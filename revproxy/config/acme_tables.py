"""The tables of ``[tls.acme]``: certificates from an ACME server (RFC 8555)."""

# ruff: noqa: RUF009 -- setting() makes attrs fields, and the defaults it is given are frozen values

from __future__ import annotations

from typing import Final

import attrs

from revproxy.config.hosts import tidy_patterns
from revproxy.config.setting import required, setting

DIRECTORY: Final = "https://acme-v02.api.letsencrypt.org/directory"
STAGING: Final = "https://acme-staging-v02.api.letsencrypt.org/directory"
CHALLENGES: Final = ("tls-alpn-01", "http-01")


@attrs.frozen(kw_only=True)
class AcmeCertificate:
    """One certificate, for names that are asked for together."""

    names: tuple[str, ...] = required("Its names.", least=1, several=True)


@attrs.frozen(kw_only=True)
class ExternalAccount:
    """An account at the operator of the ACME server, which the ACME account is bound to (RFC 8555 §7.3.4)."""

    key_id: str = required("The key identifier that the operator of the server has given you.")
    key: str = required("The MAC key that goes with it, in base64url as it was given.", secret=True)


@attrs.frozen(kw_only=True)
class OnDemand:
    """Certificates for names that clients ask for. A name must pass both ``allow`` and ``ask`` where both are set."""

    allow: tuple[str, ...] = setting(
        (), 'Names, and patterns such as "*.example.com" (any depth below).', alone=True, converter=tidy_patterns
    )
    ask: str | None = setting(
        None, "URL that is asked with ?domain=NAME; status 200 allows the name, any other refuses it."
    )
    ask_timeout: float = setting(
        5.0,
        "Time for an answer of ask.",
        unit="duration",
        least=0.1,
        most=60,
        answer="the name is refused, and ask is asked again after 10 s",
    )
    remember: float = setting(3600.0, "Time for which an answer of ask is remembered.", unit="duration", most=86400)
    per_hour: int = setting(
        20, "New names in an hour.", unit="count", answer="the name waits; clients get what is there", most=10000
    )
    names: int = setting(
        1000, "Names in all.", unit="count", answer="further names are refused", most=100000
    )


@attrs.frozen(kw_only=True)
class AcmeOptions:
    """Certificates from an ACME server."""

    agree: bool = setting(False, "You agree to the terms of service of the server.", unit="flag")
    contact: tuple[str, ...] = setting((), "Mail addresses for word from the server's operator.", alone=True)
    directory: str | None = setting(None, "URL of the server's directory (not set: Let's Encrypt).")
    staging: bool = setting(
        False, "Use Let's Encrypt's staging server: no limits to speak of, and nobody trusts it.", unit="flag"
    )
    ca: str | None = setting(
        None, "PEM file of the authorities that the server's own certificate is from (not set: the system's).",
        unit="path",
    )  # fmt: skip
    challenges: tuple[str, ...] = setting(
        CHALLENGES, 'How names are proved, the preferred first: "tls-alpn-01" (port 443), "http-01" (port 80).',
        alone=True, least=1,
    )  # fmt: skip
    key_type: str = setting("ecdsa", "Kind of the certificates' keys.", choices=("ecdsa", "rsa"))
    preferred_chain: str | None = setting(
        None, "Common name of the root whose chain is chosen where the server offers several."
    )
    certificates: tuple[AcmeCertificate, ...] = setting(
        (), "Which certificates are wanted (none written: one for each site, with the names of its hosts).",
        key="certificate",
    )  # fmt: skip
    external_account: ExternalAccount | None = setting(None, "The account that the server's operator knows you by.")
    on_demand: OnDemand | None = setting(None, "Certificates for names that clients ask for, within limits.")

    @property
    def directory_url(self) -> str:
        """The directory in force."""
        return self.directory or (STAGING if self.staging else DIRECTORY)
