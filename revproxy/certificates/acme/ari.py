"""ACME Renewal Information (RFC 9773): which certificate is meant, and what the server says."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timezone

from cryptography import x509

from revproxy.certificates.acme.renewal import Window


def certificate_id(leaf: x509.Certificate) -> str | None:
    """How a server knows a certificate (§4.1): its issuer's key and its number. None where the issuer's is not told."""
    try:
        authority = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    except x509.ExtensionNotFound:
        return None
    if authority.key_identifier is None:
        return None
    number = leaf.serial_number
    # The content of a DER INTEGER: a first bit that is set means a negative one, so there may be a zero in front.
    octets = number.to_bytes(number.bit_length() // 8 + 1, "big")
    return f"{_encoded(authority.key_identifier)}.{_encoded(octets)}"


def _encoded(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")


def read_window(octets: bytes) -> Window | None:
    """The window of a RenewalInfo object (§4.2); None for one that makes no sense."""
    try:
        found = json.loads(octets)
        window = found["suggestedWindow"]
        start, end = _moment(window["start"]), _moment(window["end"])
        explanation = found.get("explanationURL", "")
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None
    if end <= start or not isinstance(explanation, str):
        return None
    return Window(start, end, explanation)


def _moment(text: str) -> float:
    """RFC 3339 §5.6, which ``fromisoformat`` of Python 3.10 does not know in full."""
    moment = datetime.fromisoformat(_without_fraction(text.upper().replace("Z", "+00:00")))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return moment.timestamp()


def _without_fraction(text: str) -> str:
    date, dot, rest = text.partition(".")
    return date + rest.lstrip("0123456789") if dot else text
