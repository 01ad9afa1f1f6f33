"""Revocation answers for our own certificates (OCSP, RFC 6960), fetched ahead of time and stapled to handshakes.

Theory of operation. A certificate that names a responder is asked about when it comes into force, and again in the
middle of each answer's validity. An answer is kept only if it is about this certificate, signed by its issuer or by a
responder that the issuer has appointed, good, and valid now; it is given up when its validity ends. Nothing waits for
it: a handshake gets what is there, or nothing. What fails is said once per certificate until it works again.

Pure but for ``Stapling``: requests and answers are octets here, and a test's clock is as good as the wall's.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import attrs
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from revproxy.certificates.pem import Certificate, signs

_log = Logger()

SKEW: Final = 300.0
"""Seconds by which a responder's clock may be ahead of ours."""
RETRY: Final = 600.0
"""Seconds after which a question that failed is asked again."""
LONGEST: Final = 86400.0
"""Seconds for which an answer that names no end is used, and after which any is asked for again."""

Ask = Callable[[str, bytes], "Deferred[bytes]"]
"""Sends a request to a responder's URL and gives the answer's octets."""


class StapleError(ValueError):
    """An answer is of no use. The text says why."""


@attrs.frozen
class Staple:
    """An answer that may be sent, and its times in seconds since 1970."""

    octets: bytes
    until: float
    ask_again: float


def request_for(certificate: Certificate) -> bytes:
    """The question about a certificate. Raises StapleError where its issuer is not known."""
    # SHA-1 names the issuer here and protects nothing; it is what every responder knows (RFC 5019 §2.1.1).
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate.leaf, _issuer(certificate), hashes.SHA1())
    return builder.build().public_bytes(Encoding.DER)


def read_answer(octets: bytes, certificate: Certificate, now: float) -> Staple:
    """Checks an answer (RFC 6960 §3.2). Raises StapleError."""
    try:
        answer = ocsp.load_der_ocsp_response(octets)
        if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise StapleError(f"the responder refuses: {answer.response_status.name.lower()}")
        issuer = _issuer(certificate)
        if answer.serial_number != certificate.leaf.serial_number:
            raise StapleError("the answer is about another certificate")
        if not _names_issuer(answer, certificate.leaf, issuer):
            raise StapleError("the answer is about a certificate of another issuer")
        _check_signature(answer, issuer, now)
        status = answer.certificate_status
        this_update, next_update = answer.this_update_utc, answer.next_update_utc
    except (ValueError, UnsupportedAlgorithm) as reason:
        if isinstance(reason, StapleError):
            raise
        raise StapleError(f"the answer can't be read: {reason}") from None
    if status is not ocsp.OCSPCertStatus.GOOD:
        raise StapleError(f"the responder says that the certificate is {status.name.lower()}")
    begins = this_update.timestamp()
    if begins > now + SKEW:
        raise StapleError("the answer is from the future")
    until = next_update.timestamp() if next_update is not None else begins + LONGEST
    if until <= now:
        raise StapleError("the answer is out of date")
    return Staple(octets, until, min(now + LONGEST, max(now, (begins + until) / 2), until))


def _issuer(certificate: Certificate) -> x509.Certificate:
    if not certificate.chain:
        raise StapleError("its issuer is not in the file: add the chain")
    return certificate.chain[0]


def _names_issuer(answer: ocsp.OCSPResponse, leaf: x509.Certificate, issuer: x509.Certificate) -> bool:
    asked = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, answer.hash_algorithm).build()
    return (asked.issuer_name_hash, asked.issuer_key_hash) == (answer.issuer_name_hash, answer.issuer_key_hash)


def _check_signature(answer: ocsp.OCSPResponse, issuer: x509.Certificate, now: float) -> None:
    """RFC 6960 §4.2.2.2: the issuer itself signs, or whom it appoints in a certificate that the answer brings along."""
    moment = datetime.datetime.fromtimestamp(now, datetime.timezone.utc)
    if _is_signed_by(answer, issuer):
        return
    for delegate in answer.certificates:
        if signs(issuer, delegate) and _may_answer(delegate) and _is_signed_by(answer, delegate):
            if not delegate.not_valid_before_utc <= moment <= delegate.not_valid_after_utc:
                raise StapleError("the responder's own certificate has expired")
            return
    raise StapleError("the answer is signed by somebody whom the issuer has not appointed")


def _may_answer(delegate: x509.Certificate) -> bool:
    try:
        usage = delegate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return ExtendedKeyUsageOID.OCSP_SIGNING in usage


def _is_signed_by(answer: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    key, signed, octets = signer.public_key(), answer.signature, answer.tbs_response_bytes
    digest = answer.signature_hash_algorithm
    try:
        if isinstance(key, rsa.RSAPublicKey) and digest is not None:
            key.verify(signed, octets, padding.PKCS1v15(), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey) and digest is not None:
            key.verify(signed, octets, ec.ECDSA(digest))
        elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
            key.verify(signed, octets)
        else:
            return False
    except InvalidSignature:
        return False
    return True


@attrs.define(eq=False)
class _Asked:
    """One certificate that names a responder."""

    certificate: Certificate
    staple: Staple | None = None
    next_time: float = 0.0
    is_asking: bool = False
    said: str = ""


class Stapling:
    """The answers for all certificates in force.

    :param ask: sends a request.
    :param wall: seconds since 1970.
    """

    def __init__(self, ask: Ask, wall: Callable[[], float]) -> None:
        self._ask = ask
        self._wall = wall
        self._asked: dict[bytes, _Asked] = {}

    def of(self, certificate: Certificate) -> Callable[[], bytes]:
        """What a handshake calls for a certificate's answer; it gives nothing where there is none."""
        fingerprint = certificate.fingerprint

        def answer() -> bytes:
            asked = self._asked.get(fingerprint)
            if asked is None or asked.staple is None or asked.staple.until <= self._wall():
                return b""
            return asked.staple.octets

        return answer

    def cover(self, certificates: Sequence[Certificate]) -> None:
        """These are in force now; others are forgotten."""
        wanted: Iterable[Certificate] = (each for each in certificates if each.responder)
        self._asked = {
            each.fingerprint: self._asked.get(each.fingerprint) or _Asked(each) for each in wanted
        }

    def tick(self, now: float) -> None:
        """Asks what is due; for the sweep's ``on_tick``."""
        wall = self._wall()
        for asked in self._asked.values():
            # A time further away than any that was set is one from before the clock was set back.
            if not wall < asked.next_time <= wall + LONGEST and not asked.is_asking:
                self._ask_for(asked)

    def _ask_for(self, asked: _Asked) -> None:
        try:
            request = request_for(asked.certificate)
        except StapleError as mistake:
            self._failed(asked, str(mistake))
            return
        asked.is_asking = True
        answered: Deferred[Any] = self._ask(asked.certificate.responder, request)
        answered.addCallback(self._answered, asked)
        answered.addErrback(self._no_answer, asked)

    def _answered(self, octets: bytes, asked: _Asked) -> None:
        asked.staple = read_answer(octets, asked.certificate, self._wall())
        asked.next_time = asked.staple.ask_again
        asked.is_asking = False
        if asked.said:
            asked.said = ""
            _log.info("OCSP: {responder} answers again", responder=asked.certificate.responder)

    def _no_answer(self, failure: Failure, asked: _Asked) -> None:
        name = failure.type.__name__ if failure.type is not None else "an error"
        self._failed(asked, failure.getErrorMessage() or name)

    def _failed(self, asked: _Asked, reason: str) -> None:
        asked.is_asking = False
        asked.next_time = self._wall() + RETRY
        if reason != asked.said:
            asked.said = reason
            _log.warn(
                "OCSP: no answer to staple to the certificate for {names} ({responder}): {reason}",
                names=asked.certificate.shown_names,
                responder=asked.certificate.responder,
                reason=reason,
            )
