"""OCSP: which answers are stapled, which are not, and when a responder is asked."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from revproxy.certificates.choice import Choice
from revproxy.certificates.ocsp import LONGEST, RETRY, StapleError, Stapling, read_answer, request_for
from revproxy.certificates.pem import Certificate
from revproxy.certificates.sites import read_sites
from revproxy.config.model import Config
from tests.certificates.making import DAY, NOW, Pair, make, make_root
from tests.certificates.shaking import client_context, shake

MOMENT = NOW.timestamp()
ROOT = make_root()
MIDDLE = ROOT.issue(subject="middle", ca=True)
URL = "http://ocsp.example/"
LEAF = MIDDLE.issue("a.example", responder=URL)
SERVED = Certificate(LEAF.certificate, (MIDDLE.certificate,), LEAF.key)
APPOINTED = MIDDLE.issue(subject="responder", usage=ExtendedKeyUsageOID.OCSP_SIGNING)


def answer(
    *,
    about: Pair = LEAF,
    issuer: Pair = MIDDLE,
    by: Pair = MIDDLE,
    brings: Pair | None = None,
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
    begins: float = -1,
    ends: float | None = 6,
) -> bytes:
    revoked = status is ocsp.OCSPCertStatus.REVOKED
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=about.certificate,
            issuer=issuer.certificate,
            algorithm=hashes.SHA1(),
            cert_status=status,
            this_update=NOW + datetime.timedelta(days=begins),
            next_update=None if ends is None else NOW + datetime.timedelta(days=ends),
            revocation_time=NOW if revoked else None,
            revocation_reason=x509.ReasonFlags.key_compromise if revoked else None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.NAME, by.certificate)
    )
    if brings is not None:
        builder = builder.certificates([brings.certificate])
    return builder.sign(by.key, hashes.SHA256()).public_bytes(Encoding.DER)


def test_the_question_is_about_the_certificate() -> None:
    request = ocsp.load_der_ocsp_request(request_for(SERVED))
    assert request.serial_number == LEAF.certificate.serial_number
    assert SERVED.responder == URL
    with pytest.raises(StapleError, match="add the chain"):
        request_for(Certificate(LEAF.certificate, (), LEAF.key))


def test_good_answers(rsa_key: rsa.RSAPrivateKey) -> None:
    staple = read_answer(answer(), SERVED, MOMENT)
    assert (staple.until, staple.ask_again) == (MOMENT + 6 * DAY, MOMENT + DAY)
    assert read_answer(answer(by=APPOINTED, brings=APPOINTED), SERVED, MOMENT).until == MOMENT + 6 * DAY
    # In the middle of a short validity.
    assert read_answer(answer(ends=0.5), SERVED, MOMENT).ask_again == MOMENT
    assert read_answer(answer(begins=-0.25, ends=0.75), SERVED, MOMENT).ask_again == MOMENT + 0.25 * DAY
    assert read_answer(answer(begins=-0.5, ends=None), SERVED, MOMENT).until == MOMENT - 0.5 * DAY + LONGEST
    with_rsa = MIDDLE.issue(subject="responder", key=rsa_key, usage=ExtendedKeyUsageOID.OCSP_SIGNING)
    read_answer(answer(by=with_rsa, brings=with_rsa), SERVED, MOMENT)


STRANGER = make_root("stranger")
OF_STRANGER = STRANGER.issue(subject="responder", usage=ExtendedKeyUsageOID.OCSP_SIGNING)
NOT_APPOINTED = MIDDLE.issue(subject="responder")
A_SERVER = MIDDLE.issue(subject="responder", usage=ExtendedKeyUsageOID.SERVER_AUTH)
LATE = MIDDLE.issue(subject="responder", usage=ExtendedKeyUsageOID.OCSP_SIGNING, since=-60, days=-1)
NAMESAKE = make(subject="middle", ca=True)
REFUSAL = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"", "the answer can't be read"),
        (b"<html>", "the answer can't be read"),
        (REFUSAL.public_bytes(Encoding.DER), "the responder refuses: try_later"),
        (answer(about=MIDDLE.issue("a.example")), "about another certificate"),
        (answer(issuer=NAMESAKE), "of another issuer"),
        (answer(by=STRANGER), "whom the issuer has not appointed"),
        (answer(by=NAMESAKE), "whom the issuer has not appointed"),
        (answer(by=OF_STRANGER, brings=OF_STRANGER), "whom the issuer has not appointed"),
        (answer(by=NOT_APPOINTED, brings=NOT_APPOINTED), "whom the issuer has not appointed"),
        (answer(by=A_SERVER, brings=A_SERVER), "whom the issuer has not appointed"),
        (answer(by=STRANGER, brings=APPOINTED), "whom the issuer has not appointed"),
        (answer(by=APPOINTED), "whom the issuer has not appointed"),
        (answer(by=LATE, brings=LATE), "the responder's own certificate has expired"),
        (answer(status=ocsp.OCSPCertStatus.REVOKED), "says that the certificate is revoked"),
        (answer(status=ocsp.OCSPCertStatus.UNKNOWN), "says that the certificate is unknown"),
        (answer(begins=1), "from the future"),
        (answer(begins=-9, ends=-1), "out of date"),
    ],
)
def test_bad_answers(octets: bytes, text: str) -> None:
    with pytest.raises(StapleError, match=text):
        read_answer(octets, SERVED, MOMENT)


def test_a_forged_octet_is_noticed() -> None:
    octets = bytearray(answer())
    octets[-5] ^= 1
    with pytest.raises(StapleError):
        read_answer(bytes(octets), SERVED, MOMENT)


class Desk:
    """Stapling under a clock that only a test moves, and questions that it answers by hand."""

    def __init__(self) -> None:
        self.now = MOMENT
        self.asked: list[tuple[str, bytes]] = []
        self.answers: list[Deferred[bytes]] = []
        self.stapling = Stapling(self._ask, lambda: self.now)

    def _ask(self, url: str, request: bytes) -> Deferred[bytes]:
        self.asked.append((url, request))
        self.answers.append(Deferred())
        return self.answers[-1]

    def tick(self, seconds: float = 0) -> list[dict[str, Any]]:
        self.now += seconds
        with capturedLogs() as logs:
            self.stapling.tick(0.0)
        return list(logs)


def test_answers_are_fetched_ahead_and_renewed() -> None:
    desk = Desk()
    staple = desk.stapling.of(SERVED)
    desk.stapling.cover([SERVED, Certificate(APPOINTED.certificate, (), APPOINTED.key)])
    desk.tick()
    desk.tick(1)
    assert [url for url, _ in desk.asked] == [URL]
    assert staple() == b""
    kept = answer()
    desk.answers[0].callback(kept)
    assert staple() == kept
    desk.tick(DAY - 60)
    assert len(desk.asked) == 1
    desk.tick(120)
    assert len(desk.asked) == 2
    # While nothing better comes the old one is good until its end.
    with capturedLogs() as logs:
        desk.answers[1].errback(OSError("nobody there"))
    assert [event["reason"] for event in logs] == ["nobody there"]
    assert staple() == kept
    desk.tick(RETRY)
    assert len(desk.asked) == 3
    with capturedLogs() as logs:
        desk.answers[2].errback(OSError("nobody there"))
    assert logs == []
    desk.now = MOMENT + 6 * DAY
    assert staple() == b""
    desk.tick()
    with capturedLogs() as logs:
        desk.answers[3].callback(answer(begins=-7, ends=-6))
    assert [event["reason"] for event in logs] == ["the answer is out of date"]
    desk.tick(RETRY)
    with capturedLogs() as logs:
        desk.answers[4].callback(answer(ends=20))
    assert "answers again" in logs[0]["log_format"]
    assert staple()


def test_a_clock_that_is_set_back_stops_no_questions() -> None:
    desk = Desk()
    desk.stapling.cover([SERVED])
    desk.now = MOMENT + 900 * DAY
    desk.tick()
    desk.answers[0].errback(OSError("nobody there"))
    desk.now = MOMENT
    desk.tick()
    assert len(desk.asked) == 2
    desk.answers[1].callback(answer())
    desk.tick(60)
    assert len(desk.asked) == 2


def test_what_is_gone_is_forgotten_and_what_stays_is_kept() -> None:
    desk = Desk()
    desk.stapling.cover([SERVED])
    desk.tick()
    desk.answers[0].callback(answer())
    staple = desk.stapling.of(SERVED)
    desk.stapling.cover([SERVED])
    assert staple()
    desk.stapling.cover([])
    assert staple() == b""


def test_a_certificate_without_its_chain_is_complained_about_once() -> None:
    desk = Desk()
    desk.stapling.cover([Certificate(LEAF.certificate, (), LEAF.key)])
    assert len(desk.tick()) == 1
    assert desk.tick(RETRY) == []
    assert desk.asked == []


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def test_clients_get_it(version: int) -> None:
    desk = Desk()
    sites = read_sites(Config())
    choice = Choice([SERVED], sites, default=None, refuses=False, now=MOMENT, staple=desk.stapling.of)
    got: list[bytes] = []

    def stapled(connection: Any, octets: bytes, data: Any) -> bool:
        got.append(octets)
        return True

    def connect() -> None:
        context = client_context(version=version)
        context.set_ocsp_client_callback(stapled)
        shake(choice, "a.example", context, wants_ocsp=True)

    connect()
    desk.stapling.cover([SERVED])
    desk.tick()
    octets = answer()
    desk.answers[0].callback(octets)
    connect()
    assert got == [b"", octets]
    # Who does not ask gets none.
    shake(choice, "a.example", client_context(version=version))
