"""Real ACME servers for the live tests.

Pebble is the small one of the people who run Let's Encrypt. Names are looked up at ``pebble-challtestsrv``, which says that every name is at 127.0.0.1. Pebble loses all it knows
when it ends, refuses a part of all nonces, and sends to ports of our choice. acme2certifier knows renewal information (RFC 9773), and
asks for names at ports that are not ours to take; so it is told to believe us.
"""

from __future__ import annotations

import json
import shutil
import ssl
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.certificates.making import make_root, pem_of
from tests.live.support_process import Child, free_port, python

KEY_ID = "kid-1"
MAC_KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


def require_pebble() -> None:
    """Skips where there is none; CI installs it."""
    for program in ("pebble", "pebble-challtestsrv"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: apt install pebble")


class Names(Child):
    """A DNS server that knows every name, as ours."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.management = free_port()
        super().__init__(
            "names",
            [
                *("pebble-challtestsrv", "-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""),
                *("-defaultIPv4", "127.0.0.1", "-dns01", f"127.0.0.1:{self.port}"),
                *("-management", f"127.0.0.1:{self.management}"),
            ],
            folder,
        )
        self.wait_for(r"[Mm]anagement")

    def answer(self, name: str, address: str) -> None:
        """Gives a name another address."""
        body = json.dumps({"host": name, "addresses": [address]}).encode()
        url = f"http://127.0.0.1:{self.management}/add-a"
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=10) as answer:
            answer.read()


class Pebble(Child):
    """An ACME server."""

    def __init__(
        self,
        folder: Path,
        names: Names,
        *,
        http_port: int,
        tls_port: int,
        port: int = 0,
        external: bool = False,
        nonce_reject: int = 20,
        alternate_roots: int = 0,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.management = free_port()
        root = make_root("the authority of the ACME server's own certificate")
        own = root.issue("127.0.0.1", "localhost")
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(pem_of(root.certificate))
        (folder / "own.pem").write_bytes(pem_of(own.certificate))
        (folder / "own.key").write_bytes(pem_of(own.key))
        options: dict[str, Any] = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self.management}",
            "certificate": str(folder / "own.pem"),
            "privateKey": str(folder / "own.key"),
            "httpPort": http_port,
            "tlsPort": tls_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": external,
        }
        if external:
            options["externalAccountMACKeys"] = {KEY_ID: MAC_KEY}
        (folder / "pebble.json").write_text(json.dumps({"pebble": options}), "utf-8")
        # env becomes pebble: the process is the same.
        environment = [
            "PEBBLE_VA_NOSLEEP=1",
            f"PEBBLE_WFE_NONCEREJECT={nonce_reject}",
            "PEBBLE_AUTHZREUSE=0",
            f"PEBBLE_ALTERNATE_ROOTS={alternate_roots}",
        ]
        super().__init__(
            "pebble",
            ["env", *environment, "pebble", "-config", folder / "pebble.json", "-dnsserver", f"127.0.0.1:{names.port}", "-strict"],
            folder,
        )
        self.wait_for(r"ACME directory available")

    @property
    def directory(self) -> str:
        return f"https://127.0.0.1:{self.port}/dir"

    def manage(self, path: str) -> bytes:
        """What the management interface tells."""
        context = ssl.create_default_context(cafile=str(self.ca))
        with urllib.request.urlopen(
            f"https://127.0.0.1:{self.management}{path}", timeout=10, context=context
        ) as answer:
            octets: bytes = answer.read()
        return octets

    def root(self, number: int = 0) -> bytes:
        """A root of the certificates it issues, as PEM."""
        return self.manage(f"/roots/{number}")


class RenewalServer(Child):
    """acme2certifier: an ACME server that tells when it would like certificates to be renewed."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        issuer = make_root("the issuer")
        root = make_root("the authority of the ACME server's own certificate")
        self.ca = folder / "own-ca.pem"
        self.ca.write_bytes(pem_of(root.certificate))
        (folder / "own.pem").write_bytes(root.issue("127.0.0.1").pem)
        (folder / "issuer.pem").write_bytes(pem_of(issuer.certificate))
        (folder / "issuer.key").write_bytes(pem_of(issuer.key))
        (folder / "issuer.crl").write_bytes(pem_of(issuer.revokes()))
        (folder / "issued").mkdir()
        (folder / "acme_srv.cfg").write_text(
            f"""
            [DEFAULT]
            debug: True
            [CAhandler]
            handler_module: acme2certifier.cahandlers.openssl_ca_handler
            issuing_ca_key: {folder}/issuer.key
            issuing_ca_cert: {folder}/issuer.pem
            issuing_ca_crl: {folder}/issuer.crl
            cert_validity_days: 30
            cert_save_path: {folder}/issued
            [DBhandler]
            handler_module: acme2certifier.dbhandlers.wsgi_handler
            dbfile: {folder}/server.db
            [Challenge]
            challenge_validation_disable: True
            [Renewalinfo]
            renewalthreshold_pctg: 85
            """.replace("\n            ", "\n"),
            "utf-8",
        )
        self.port = free_port()
        environment = ["ACME2CERTIFIER_I_KNOW_THE_RISK=1", f"ACME_SRV_CONFIGFILE={folder}/acme_srv.cfg"]
        super().__init__(
            "acme2certifier",
            ["env", *environment, *python("-m", "tests.live.support_acme2certifier", str(self.port))],
            folder,
        )
        self.wait_for("^ready$")

    @property
    def directory(self) -> str:
        return f"https://127.0.0.1:{self.port}/directory"
