"""The table ``[admin]``: what is kept to be looked at, and who may look at it over TCP.

Without ``listen`` all of it is to be had over the control socket alone, from this machine, by whom the proxy runs as.
"""

from __future__ import annotations

import attrs

from revproxy.config.setting import setting


@attrs.frozen(kw_only=True)
class Admin:
    """Figures, the last requests, and the page that shows them."""

    requests: int = setting(
        1000,
        "Last requests that each worker keeps to be asked about, in at most 16 MiB; 0 for none.",
        unit="count",
        least=0,
        most=100_000,
    )
    listen: str | None = setting(
        None,
        'Address for the admin interface over TCP, such as "127.0.0.1:9090". Needs a token or client_ca. Not set: the'
        " control socket alone.",
    )
    token: str | None = setting(
        None, 'What clients must send as "Authorization: Bearer ..."; 16 characters or more.', secret=True
    )
    token_file: str | None = setting(None, "File with the token in it, instead.", unit="path")
    certificate: str | None = setting(
        None, "PEM file with a certificate, its chain and its key: listen then speaks TLS.", unit="path"
    )
    client_ca: str | None = setting(
        None, "PEM file of the authorities whose certificates clients must show.", unit="path"
    )
    allowed_hosts: tuple[str, ...] = setting(
        (),
        "Names by which clients may reach listen, beside its address, localhost and the names in the certificate.",
        alone=True,
    )
