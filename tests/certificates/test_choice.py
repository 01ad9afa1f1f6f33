"""The context that a hello is answered with: names, kinds of keys, protocols, client certificates, tickets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL

from revproxy.certificates.choice import Choice, ChosenContext
from revproxy.certificates.pem import Certificate
from revproxy.certificates.sites import read_sites
from revproxy.config.model import Config, Site, SiteTLS, TLSOptions
from revproxy.wire.client_hello import ClientHello
from revproxy.wire.handshake import HandshakeRefused
from tests.certificates.making import NOW, Pair, client_of, make, make_root, pem_of
from tests.certificates.shaking import Shaken, carry, client_context, shake

ROOT = make_root()
MIDDLE = ROOT.issue(subject="middle", ca=True)
MOMENT = NOW.timestamp()
TLS_1_2, TLS_1_3 = SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION


def served(pair: Pair) -> Certificate:
    return Certificate(pair.certificate, (MIDDLE.certificate,), pair.key)


def choose_from(
    *pairs: Pair, sites: Sequence[Site] = (), default: str | None = None, refuses: bool = False, **more: Any
) -> Choice:
    config = Config(sites=tuple(sites), tls=TLSOptions(**more))
    found = read_sites(config)
    assert found.findings == ()
    return Choice(list(map(served, pairs)), found, default=default, refuses=refuses, now=MOMENT)


A = MIDDLE.issue("a.example", "www.a.example")
B = MIDDLE.issue("*.b.example")
C = MIDDLE.issue("exact.b.example")


@pytest.mark.parametrize(
    ("name", "pair"),
    [
        ("a.example", A),
        ("www.a.example", A),
        ("x.b.example", B),
        ("exact.b.example", C),
        # One label alone stands for the star; whatever is unknown gets the first.
        ("x.y.b.example", A),
        ("b.example", A),
        ("c.example", A),
        ("", A),
    ],
)
def test_names(name: str, pair: Pair) -> None:
    shaken = shake(choose_from(A, B, C), name)
    assert shaken.served == pair.certificate
    assert shaken.chosen.server_name == name
    chain = shaken.client.get_peer_cert_chain(as_cryptography=True)
    assert chain == [pair.certificate, MIDDLE.certificate]


def test_the_default_is_the_first_sites() -> None:
    sites = [Site(hosts=("*.b.example", "exact.b.example")), Site(hosts=("a.example",))]
    assert shake(choose_from(A, B, C, sites=sites)).served == C.certificate


def test_the_default_can_be_named() -> None:
    assert shake(choose_from(A, B, C, default="x.b.example")).served == B.certificate
    assert shake(choose_from(A, B, C, default="x.b.example"), "c.example").served == B.certificate


def test_an_unknown_name_is_refused_where_that_is_asked_for() -> None:
    choice = choose_from(A, refuses=True)
    with pytest.raises(HandshakeRefused) as caught:
        shake(choice, "c.example")
    assert (caught.value.alert, caught.value.reason) == (112, 'there is no certificate for "c.example"')
    # Who asks for no name has asked for no unknown one.
    assert shake(choice).served == A.certificate


def test_without_any_certificate() -> None:
    with pytest.raises(HandshakeRefused, match="there is no certificate"):
        shake(choose_from(), "a.example")


RSA_ONLY = b"ECDHE-RSA-AES128-GCM-SHA256"


class Fixed:
    """Chooses what was chosen before."""

    def __init__(self, chosen: ChosenContext) -> None:
        self.chosen = chosen

    def choose(self, hello: ClientHello) -> ChosenContext:
        return self.chosen


def test_two_kinds_of_key_for_one_name(rsa_key: rsa.RSAPrivateKey) -> None:
    with_rsa = MIDDLE.issue("a.example", key=rsa_key)
    choice = choose_from(with_rsa, A)

    def chosen(choice: Choice, **hello: Any) -> Any:
        asked = ClientHello(server_name="a.example", **hello)
        return shake(Fixed(choice.choose(asked))).served

    both = (0x0804, 0x0401, 0x0403)
    for versions, ciphers in (((0x0304, 0x0303), ()), ((0x0303,), (0xC02B, 0xC02F))):
        hello = {"versions": versions, "ciphers": ciphers}
        assert chosen(choice, **hello, signature_algorithms=both) == A.certificate
        assert chosen(choice, **hello, signature_algorithms=(0x0401, 0x0804)) == with_rsa.certificate
        # Nothing fits: OpenSSL may tell the client so.
        assert chosen(choose_from(A), **hello, signature_algorithms=(0x0804,)) == A.certificate
    # In TLS 1.2 a scheme names a hash alone, in TLS 1.3 the curve as well.
    assert chosen(choice, versions=(0x0303,), ciphers=(0xC02B,), signature_algorithms=(0x0503,)) == A.certificate
    assert chosen(choice, versions=(0x0304,), signature_algorithms=(0x0503, 0x0804)) == with_rsa.certificate


def test_a_client_whose_ciphers_are_for_rsa_gets_rsa(rsa_key: rsa.RSAPrivateKey) -> None:
    with_rsa = MIDDLE.issue("a.example", key=rsa_key)
    context = client_context(version=TLS_1_2, ciphers=RSA_ONLY)
    assert shake(choose_from(A, with_rsa), "a.example", context).served == with_rsa.certificate
    assert shake(choose_from(A, with_rsa), "a.example", client_context(version=TLS_1_2)).served == A.certificate


def test_of_two_certificates_the_valid_one() -> None:
    expired = MIDDLE.issue("a.example", since=-60, days=-30)
    later = MIDDLE.issue("a.example", days=60)
    assert shake(choose_from(expired, A, later), "a.example").served == A.certificate
    assert shake(choose_from(expired), "a.example").served == expired.certificate


# Versions and protocols.


def test_intermediate_and_modern() -> None:
    for profile, version, works in [
        ("intermediate", TLS_1_2, True),
        ("intermediate", TLS_1_3, True),
        ("modern", TLS_1_3, True),
        ("modern", TLS_1_2, False),
        ("intermediate", SSL.TLS1_1_VERSION, False),
    ]:
        context = client_context(version=version, ciphers=b"DEFAULT:@SECLEVEL=0")
        if works:
            shaken = shake(choose_from(A, profile=profile), "a.example", context)
            assert shaken.client.get_protocol_version() == version
        else:
            with pytest.raises(SSL.Error):
                shake(choose_from(A, profile=profile), "a.example", context)


def test_a_profile_of_a_sites_own() -> None:
    sites = [Site(hosts=("a.example",), tls=SiteTLS(profile="modern"))]
    with pytest.raises(SSL.Error):
        shake(choose_from(A, sites=sites), "a.example", client_context(version=TLS_1_2))
    shake(choose_from(A, sites=sites), "www.a.example", client_context(version=TLS_1_2))


@pytest.mark.parametrize(
    ("cipher", "works"),
    [
        (b"ECDHE-ECDSA-AES128-GCM-SHA256", True),
        (b"ECDHE-ECDSA-CHACHA20-POLY1305", True),
        (b"ECDHE-ECDSA-AES256-SHA384", False),
        (b"ECDHE-ECDSA-AES128-SHA", False),
    ],
)
def test_ciphers(cipher: bytes, works: bool) -> None:
    context = client_context(version=TLS_1_2, ciphers=cipher)
    if works:
        assert shake(choose_from(A), "", context).client.get_cipher_name() == cipher.decode()
    else:
        with pytest.raises(SSL.Error):
            shake(choose_from(A), "", context)


def test_groups() -> None:
    shaken = shake(choose_from(A))
    assert shaken.server.get_group_name() in ("X25519MLKEM768", "x25519")
    for curve, works in ((ec.SECP256R1(), True), (ec.SECP384R1(), True), (ec.SECP521R1(), False)):
        context = client_context()
        context.set_tmp_ecdh(curve)
        if works:
            shake(choose_from(A), "", context)
        else:
            with pytest.raises(SSL.Error):
                shake(choose_from(A), "", context)


def test_application_protocols() -> None:
    def spoken(*alpn: bytes) -> bytes:
        return shake(choose_from(A), "", client_context(alpn=alpn)).client.get_alpn_proto_negotiated()

    assert spoken(b"h2", b"http/1.1") == b"http/1.1"
    assert spoken(b"http/1.0", b"http/1.1") == b"http/1.1"
    assert spoken(b"http/1.0") == b"http/1.0"
    assert spoken() == b""
    with pytest.raises(HandshakeRefused) as caught:
        spoken(b"ftp")
    assert caught.value.alert == 120


# Client certificates.

CLIENTS = make_root("clients")
STRANGERS = make_root("strangers")
ALICE = client_of(CLIENTS, "alice")


@pytest.fixture
def demanding(tmp_path: Path) -> Callable[..., Choice]:
    """A choice of two sites, of which a.example demands client certificates."""

    def make_choice(mode: str, crl: bytes = b"") -> Choice:
        (tmp_path / "ca.pem").write_bytes(pem_of(CLIENTS.certificate))
        (tmp_path / "crl.pem").write_bytes(crl)
        tls = SiteTLS(
            client_certificates=mode,
            client_ca=str(tmp_path / "ca.pem"),
            client_crl=str(tmp_path / "crl.pem") if crl else None,
        )
        sites = [Site(hosts=("a.example",), tls=tls), Site(hosts=("www.a.example",))]
        return choose_from(A, sites=sites)

    return make_choice


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
@pytest.mark.parametrize("mode", ["optional", "required"])
def test_who_may_enter(mode: str, version: int, demanding: Callable[..., Choice]) -> None:
    choice = demanding(mode)

    def enter(pair: Pair | None, name: str = "a.example") -> Shaken:
        return shake(choice, name, client_context(version=version, pair=pair))

    shaken = enter(ALICE)
    assert shaken.server.get_peer_certificate(as_cryptography=True) == ALICE.certificate
    assert shaken.chosen.clients is not None
    # A certificate that is shown must be good, also where none need be shown.
    for wrong in (client_of(STRANGERS, "alice"), client_of(CLIENTS, "late", since=-60, days=-30), make("alice")):
        with pytest.raises(SSL.Error):
            enter(wrong)
    with pytest.raises(SSL.Error):
        enter(CLIENTS.issue(subject="a server", usage=ExtendedKeyUsageOID.SERVER_AUTH))
    if mode == "required":
        with pytest.raises(SSL.Error):
            enter(None)
    else:
        assert enter(None).server.get_peer_certificate() is None
    # The other site of the same certificate asks nobody.
    other = enter(ALICE, "www.a.example")
    assert other.server.get_peer_certificate() is None
    assert other.chosen.clients is None


def test_the_client_is_told_whose_certificates_count(demanding: Callable[..., Choice]) -> None:
    shaken = shake(demanding("optional"), "a.example")
    assert [name.CN for name in shaken.client.get_client_ca_list()] == ["clients"]


def test_revoked_certificates(demanding: Callable[..., Choice]) -> None:
    bob = client_of(CLIENTS, "bob")
    choice = demanding("required", crl=pem_of(CLIENTS.revokes(bob.certificate)))
    shake(choice, "a.example", client_context(pair=ALICE))
    with pytest.raises(SSL.Error):
        shake(choice, "a.example", client_context(pair=bob))
    # A list that is out of date proves nothing.
    late = demanding("required", crl=pem_of(CLIENTS.revokes(days=-1)))
    with pytest.raises(SSL.Error):
        shake(late, "a.example", client_context(pair=ALICE))


# Resumption.


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
def test_sessions_are_resumed(version: int) -> None:
    choice = choose_from(A, B)
    context = client_context(version=version)
    first = shake(choice, "a.example", context)
    assert not first.resumed
    assert shake(choice, "a.example", context, first.session).resumed
    # Another certificate has other keys: a full handshake, and no failure.
    assert not shake(choice, "x.b.example", context, first.session).resumed


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
def test_a_ticket_of_one_site_opens_no_other(version: int, demanding: Callable[..., Choice]) -> None:
    choice = demanding("required")
    context = client_context(version=version)
    outside = shake(choice, "www.a.example", context)
    assert shake(choice, "www.a.example", context, outside.session).resumed
    with pytest.raises(SSL.Error):
        shake(choice, "a.example", context, outside.session)


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
def test_a_resumed_session_still_knows_its_client(version: int, demanding: Callable[..., Choice]) -> None:
    choice = demanding("required")
    context = client_context(version=version, pair=ALICE)
    first = shake(choice, "a.example", context)
    again = shake(choice, "a.example", context, first.session)
    assert again.resumed
    assert again.server.get_peer_certificate(as_cryptography=True) == ALICE.certificate


def test_contexts_that_stay_as_they_are_keep_their_keys() -> None:
    config = Config(sites=(Site(hosts=("a.example",)),))
    sites = read_sites(config)

    def choice(*pairs: Pair, before: Choice | None) -> Choice:
        return Choice(list(map(served, pairs)), sites, default=None, refuses=False, now=MOMENT, before=before)

    old = choice(A, B, before=None)
    context = client_context()
    # Kept: a client's connection that is freed without close_notify spoils its session.
    first = shake(old, "a.example", context)
    assert shake(choice(A, C, before=old), "a.example", context, first.session).resumed
    assert not shake(choice(A, C, before=None), "a.example", context, first.session).resumed


def test_no_renegotiation() -> None:
    shaken = shake(choose_from(A), "a.example", client_context(version=TLS_1_2))
    shaken.client.renegotiate()
    try:
        shaken.client.do_handshake()
    except SSL.WantReadError:
        pass
    carry(shaken.client, shaken.server)
    with pytest.raises(SSL.WantReadError):
        shaken.server.recv(10)
    carry(shaken.server, shaken.client)
    with pytest.raises(SSL.Error, match="no renegotiation"):
        shaken.client.do_handshake()
