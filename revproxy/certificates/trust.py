"""How a person makes a machine or a program trust the internal authority: what ``revproxy ca`` prints."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from revproxy.certificates.authority import Authority

_TEXT = """\
The root of the internal authority is {file}
  {name}, valid until {until:%Y-%m-%d}
  SHA-256 {fingerprint}

Whoever trusts it trusts every certificate that this proxy issues: trust it on machines for development and inside your
own network, and keep {key} to yourself.

Debian, Ubuntu:
  sudo cp {file} /usr/local/share/ca-certificates/revproxy-{number}.crt
  sudo update-ca-certificates
Fedora, RHEL:
  sudo trust anchor {file}
macOS:
  sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {file}
Firefox (on Linux it has a list of its own):
  Settings, "View Certificates...", Authorities, "Import...": choose the file, "Trust this CA to identify websites"
Chrome and Chromium on Linux:
  certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n "{name}" -i {file}
curl, for one request:
  curl --cacert {file} https://localhost/
Python (requests, httpx, ssl):
  SSL_CERT_FILE={file} python ...   (requests: REQUESTS_CA_BUNDLE)

On another machine, take the certificate there first: "revproxy ca --pem" prints it.
"""


def trust_text(authority: Authority) -> str:
    """Where the root is, and what to do with it."""
    root = authority.root
    name = str(root.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    return _TEXT.format(
        file=authority.file,
        key=authority.file.removesuffix(".pem") + ".key",
        name=name,
        number=name.rpartition(" ")[2],
        until=root.not_valid_after_utc,
        fingerprint=root.fingerprint(hashes.SHA256()).hex(":").upper(),
    )


def root_pem(authority: Authority) -> str:
    """The certificate, to be taken elsewhere."""
    return authority.root.public_bytes(Encoding.PEM).decode("ascii")
