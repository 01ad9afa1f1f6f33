"""Certificates that change while they are served: files, keys of tickets, the internal authority, what others provide."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import LogLevel, capturedLogs

from revproxy.certificates.authority import RENEWED_BEFORE, open_authority
from revproxy.certificates.choice import ChosenContext
from revproxy.certificates.collection import LOOK_EVERY, Certificates
from revproxy.certificates.contexts import PROFILES, TICKET_LIFE, ClientAuthorities, bare_context, build_context
from revproxy.certificates.pem import Certificate
from revproxy.certificates.state import state_folder
from revproxy.certificates.tickets import ticket_key_name
from revproxy.config.model import Config, Listener, Site, TLSOptions
from revproxy.errors import ConfigError
from revproxy.wire.client_hello import ClientHello
from tests.certificates.making import DAY, NOW, Pair, make, make_root, pem_of, write
from tests.certificates.shaking import Shaken, client_context, shake

MOMENT = NOW.timestamp()
A1, A2 = make("a.example"), make("a.example", days=60)
B1 = make("b.example")


class Watched:
    """Certificates of a folder, under a clock that only a test moves."""

    def __init__(self, folder: Path, sites: tuple[str, ...] = ("a.example", "b.example"), **options: Any) -> None:
        self.folder = folder / "certs"
        self.folder.mkdir(exist_ok=True)
        self.now = MOMENT
        options.setdefault("certificates", (str(self.folder),))
        self.config = Config(
            listeners=(Listener(address=":443", tls=True),),
            sites=tuple(Site(hosts=(name,)) for name in sites),
            tls=TLSOptions(state=str(folder / "state"), **options),
        )
        self.certificates: Certificates

    def begin(self, **files: bytes) -> Certificates:
        write(self.folder, **files)
        self.certificates = Certificates(self.config, wall=lambda: self.now)
        return self.certificates

    def look(self) -> list[str]:
        """Time for a look; what was said at it."""
        with capturedLogs() as logs:
            self.now += LOOK_EVERY
            self.certificates.tick(self.now)
        assert [event for event in logs if "log_failure" in event] == []
        return [
            f"{event['log_level'].name}: {event.get('finding') or event['log_format']}".replace(str(self.folder), "@")
            for event in logs
            if event["log_level"] in (LogLevel.warn, LogLevel.error, LogLevel.info)
        ]

    def replace(self, name: str, octets: bytes) -> None:
        """As a careful program does it: never half."""
        (self.folder / "new").write_bytes(octets)
        os.replace(self.folder / "new", self.folder / name)

    def serves(self, name: str = "a.example") -> Any:
        return shake(self.certificates, name).served


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


READ_AGAIN = "info: certificates: read again, {count} are in force"


def test_a_new_file_is_served_and_said_once(watched: Watched) -> None:
    watched.begin(a__pem=A1.pem)
    assert watched.look() == []
    watched.replace("a.pem", A2.pem)
    assert watched.look() == [READ_AGAIN]
    assert watched.serves() == A2.certificate
    assert watched.look() == []
    watched.replace("b.pem", B1.pem)
    assert watched.look() == [READ_AGAIN]
    assert watched.serves("b.example") == B1.certificate
    os.unlink(watched.folder / "b.pem")
    assert watched.look() == [READ_AGAIN]
    assert watched.serves("b.example") == A2.certificate


def test_the_same_octets_are_no_change(watched: Watched) -> None:
    watched.begin(a__pem=A1.pem)
    context = watched.certificates.choose(ClientHello("a.example")).context
    watched.replace("a.pem", A1.pem)
    assert watched.look() == []
    assert watched.certificates.choose(ClientHello("a.example")).context is context


def test_certificate_and_key_are_taken_together(watched: Watched) -> None:
    watched.begin(a__pem=pem_of(A1.certificate), a__key=pem_of(A1.key))
    watched.replace("a.pem", pem_of(A2.certificate))
    assert watched.look() == [
        "error: @/a.key: the private key does not belong to the certificate in @/a.pem: their public keys differ"
    ]
    assert watched.serves() == A1.certificate
    # Said once.
    assert watched.look() == []
    watched.replace("a.key", pem_of(A2.key))
    assert watched.look() == [READ_AGAIN]
    assert watched.serves() == A2.certificate


@pytest.mark.parametrize("octets", [b"", b"hello", A2.pem[:400], pem_of(A2.certificate)])
def test_a_bad_new_file_leaves_the_old_one_in_force(octets: bytes, watched: Watched) -> None:
    watched.begin(a__pem=A1.pem)
    watched.replace("a.pem", octets)
    (line,) = watched.look()
    assert line.startswith("error: @/a.pem: ")
    assert watched.serves() == A1.certificate
    assert watched.look() == []
    watched.replace("a.pem", A2.pem)
    assert watched.look() == [READ_AGAIN]
    assert watched.serves() == A2.certificate
    # It is said again if it comes back.
    watched.replace("a.pem", octets)
    assert len(watched.look()) == 1


def test_the_folder_may_vanish_for_a_while(watched: Watched) -> None:
    watched.begin(a__pem=A1.pem)
    os.rename(watched.folder, f"{watched.folder}.away")
    lines = watched.look()
    assert len(lines) == 1 and lines[0].startswith("error: ")
    assert watched.serves() == A1.certificate
    os.rename(f"{watched.folder}.away", watched.folder)
    assert watched.look() == []
    assert watched.serves() == A1.certificate


def test_other_folders_go_on_beside_a_bad_one(watched: Watched) -> None:
    (watched.folder / "x").mkdir()
    (watched.folder / "y").mkdir()
    write(watched.folder / "x", a__pem=A1.pem)
    write(watched.folder / "y", b__pem=B1.pem)
    watched.begin()
    write(watched.folder / "x", a__pem=b"broken")
    renewed = make("b.example")
    write(watched.folder / "y", b__pem=renewed.pem)
    assert len(watched.look()) == 2
    assert (watched.serves(), watched.serves("b.example")) == (A1.certificate, renewed.certificate)


def test_many_changes_under_way_and_no_failure(watched: Watched) -> None:
    """Between any two steps of a rotation somebody connects, and the key always belongs to the certificate."""
    watched.begin(a__pem=pem_of(A1.certificate), a__key=pem_of(A1.key))
    root = make_root()
    for _ in range(20):
        pair = root.issue("a.example")
        for name, octets in (("a.pem", pem_of(pair.certificate)), ("a.key", pem_of(pair.key))):
            watched.replace(name, octets)
            watched.look()
            watched.serves()
        assert watched.serves() == pair.certificate


def test_a_look_at_a_time_and_in_a_thread(watched: Watched) -> None:
    write(watched.folder, a__pem=A1.pem)
    asked: list[tuple[Callable[..., Any], Deferred[Any]]] = []

    def in_thread(function: Callable[..., Any]) -> Deferred[Any]:
        asked.append((function, Deferred()))
        return asked[-1][1]

    certificates = Certificates(watched.config, wall=lambda: watched.now, in_thread=in_thread)
    certificates.tick(1.0)
    certificates.tick(1.0 + LOOK_EVERY)
    assert len(asked) == 1
    watched.replace("a.pem", A2.pem)
    function, answer = asked[0]
    answer.callback(function())
    assert shake(certificates, "a.example").served == A2.certificate
    certificates.tick(2.0 + 2 * LOOK_EVERY)
    assert len(asked) == 2


def test_a_look_that_fails_is_logged_and_tried_again(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    write(watched.folder, a__pem=A1.pem)
    certificates = Certificates(watched.config, wall=lambda: watched.now, in_thread=_called)

    def fails(paths: Any) -> None:
        raise OSError("no more memory")

    with monkeypatch.context() as broken, capturedLogs() as logs:
        broken.setattr("revproxy.certificates.files.look", fails)
        certificates.tick(100.0)
        assert ["log_failure" in event for event in logs] == [True]
    watched.replace("a.pem", A2.pem)
    certificates.tick(200.0)
    assert shake(certificates, "a.example").served == A2.certificate


def _called(function: Callable[[], Any]) -> Deferred[Any]:
    return maybeDeferred(function)


# At start.


def test_what_is_wrong_at_start_is_said_in_full(watched: Watched) -> None:
    with pytest.raises(ConfigError) as caught:
        watched.begin(a__pem=b"x", b__pem=pem_of(B1.certificate))
    assert len(str(caught.value).splitlines()) == 2


def test_what_is_doubtful_at_start_is_served_and_said(watched: Watched) -> None:
    expired = make("a.example", since=-60, days=-30)
    certificates = watched.begin(a__pem=expired.pem)
    with capturedLogs() as logs:
        certificates.warn()
    assert "has expired on" in logs[0]["text"]
    assert watched.serves() == expired.certificate


# Keys of tickets.


@pytest.mark.parametrize("profile", ["intermediate", "modern"])
def test_the_keys_of_tickets_are_new_twice_a_day(profile: str, tmp_path: Path) -> None:
    watched = Watched(tmp_path, profile=profile)
    certificates = watched.begin(a__pem=A1.pem)
    version = SSL.TLS1_2_VERSION if profile == "intermediate" else SSL.TLS1_3_VERSION
    context = client_context(version=version)
    # All are kept: a client's connection that is freed without close_notify spoils its session.
    kept = []

    def connect(session: Any = None) -> Shaken:
        kept.append(shake(certificates, "a.example", context, session))
        return kept[-1]

    first = connect()
    watched.now += TICKET_LIFE - 60
    watched.look()
    assert connect(first.session).chosen.context is first.chosen.context
    watched.now += 60
    watched.look()
    # The keys before the newest still open tickets, but seal none.
    assert connect(first.session).resumed
    second = connect()
    assert second.chosen.context is not first.chosen.context
    assert connect(second.session).resumed
    # A change of something else in between takes nothing away.
    watched.replace("b.pem", B1.pem)
    watched.look()
    assert connect(first.session).resumed
    watched.now += TICKET_LIFE
    watched.look()
    assert not connect(first.session).resumed
    assert connect(second.session).resumed


def test_keys_do_not_stay_because_the_clock_was_set_back(watched: Watched) -> None:
    watched.now = MOMENT + 900 * DAY
    certificates = watched.begin(a__pem=A1.pem)
    first = shake(certificates, "a.example").chosen.context
    watched.now = MOMENT
    watched.look()
    second = shake(certificates, "a.example").chosen.context
    assert second is not first
    watched.now += TICKET_LIFE - 60
    watched.look()
    assert shake(certificates, "a.example").chosen.context is second


def test_old_tickets_are_for_what_they_were_made_for(watched: Watched) -> None:
    certificates = watched.begin(a__pem=A1.pem)
    context = client_context()
    first = shake(certificates, "a.example", context)
    watched.now += TICKET_LIFE
    watched.look()
    # Under another name of the same certificate's default: another site.
    assert not shake(certificates, "b.example", context, first.session).resumed
    watched.replace("a.pem", A2.pem)
    watched.look()
    again = shake(certificates, "a.example", context, first.session)
    assert not again.resumed and again.served == A2.certificate


def test_the_name_of_a_key_where_clients_must_show_certificates(tmp_path: Path) -> None:
    authorities = ClientAuthorities(True, (A1.certificate,))
    served = Certificate(A1.certificate, (), A1.key)
    for profile in PROFILES.values():
        context = build_context(served, profile, site=b"a", clients=authorities)
        name = ticket_key_name(context)
        assert len(name) == 16 and ticket_key_name(context) == name
        assert ticket_key_name(build_context(served, profile, site=b"a", clients=authorities)) != name
        # It opens nothing: the next client is asked as before.
        assert context.get_verify_mode() & SSL.VERIFY_FAIL_IF_NO_PEER_CERT
    assert ticket_key_name(bare_context(PROFILES["modern"])) == b""


# The internal authority.


def test_the_internal_authority(tmp_path: Path) -> None:
    watched = Watched(tmp_path, ("a.example", "*.b.example", "[::1]", "*"), certificates=(), internal=True)
    certificates = watched.begin()
    authority = certificates.authority
    assert authority is not None
    assert authority.file == str(tmp_path / "state" / "authority" / "root.pem")
    root = Pair(authority.root, None)
    for name in ("a.example", "x.b.example", "localhost", ""):
        # The client checks the chain.
        shaken = shake(certificates, name, client_context(trusts=root))
        assert shaken.served.issuer == authority.root.subject
    assert certificates.knows("x.b.example") and not certificates.knows("c.example")
    assert oct((tmp_path / "state").stat().st_mode)[-3:] == "700"
    assert oct((tmp_path / "state" / "authority" / "root.key").stat().st_mode)[-3:] == "600"


def test_files_go_before_the_internal_authority(tmp_path: Path) -> None:
    watched = Watched(tmp_path, internal=True)
    watched.begin(a__pem=A1.pem)
    assert watched.serves("a.example") == A1.certificate
    issued = watched.serves("b.example")
    assert issued.issuer != A1.certificate.issuer
    watched.replace("b.pem", B1.pem)
    watched.look()
    assert watched.serves("b.example") == B1.certificate


def test_internal_certificates_are_renewed_ahead(tmp_path: Path) -> None:
    watched = Watched(tmp_path, certificates=(), internal=True)
    watched.begin()
    first = watched.serves()
    assert first.not_valid_after_utc.timestamp() - MOMENT == 30 * DAY
    watched.now = first.not_valid_after_utc.timestamp() - RENEWED_BEFORE - 60
    watched.look()
    assert watched.serves() == first
    watched.now += 60
    watched.look()
    renewed = watched.serves()
    assert renewed.not_valid_after_utc.timestamp() - watched.now > 29 * DAY


def test_the_root_is_made_once(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    first = open_authority(state, MOMENT)
    assert open_authority(state, MOMENT).root == first.root
    assert open_authority(str(tmp_path / "other"), MOMENT).root.subject != first.root.subject
    assert sorted(os.listdir(state)) == ["authority"]


@pytest.mark.parametrize(
    ("name", "octets", "text"),
    [
        ("root.pem", b"x", "can't be used: this is not PEM"),
        ("root.pem", pem_of(A1.key), "can't be used: nothing is in it"),
        ("root.key", pem_of(A1.key), "root.key is not the key of root.pem"),
        ("root.key", None, "can't be read: No such file"),
    ],
)
def test_a_broken_root(name: str, octets: bytes | None, text: str, tmp_path: Path) -> None:
    open_authority(str(tmp_path), MOMENT)
    file = tmp_path / "authority" / name
    if octets is None:
        file.unlink()
    else:
        file.write_bytes(octets)
    with pytest.raises(ConfigError, match=text):
        open_authority(str(tmp_path), MOMENT)


def test_a_root_at_its_end(tmp_path: Path) -> None:
    open_authority(str(tmp_path), MOMENT)
    with pytest.raises(ConfigError, match="expires"):
        open_authority(str(tmp_path), MOMENT + 3645 * DAY)


def test_a_state_folder_that_can_not_be_had(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"tls.state: can't keep anything in .*: Not a directory; set tls.state to"):
        open_authority(str(tmp_path / "file" / "state"), MOMENT)


def test_where_state_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert state_folder(TLSOptions(state="/x"), {"STATE_DIRECTORY": "/y"}) == "/x"
    assert state_folder(TLSOptions(), {"STATE_DIRECTORY": "/y:/z"}) == "/y"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert state_folder(TLSOptions(), {}) == "/var/lib/revproxy"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert state_folder(TLSOptions(), {"XDG_STATE_HOME": "/s"}) == "/s/revproxy"
    assert state_folder(TLSOptions(), {}) == os.path.expanduser("~/.local/state/revproxy")


# What other parts bring.


def test_certificates_from_elsewhere(watched: Watched) -> None:
    certificates = watched.begin(a__pem=A1.pem)
    heard: list[int] = []
    certificates.on_change.append(lambda everything: heard.append(len(everything)))
    provided = [Certificate(B1.certificate, (), B1.key), Certificate(A2.certificate, (), A2.key)]
    certificates.provide("elsewhere", provided)
    assert watched.serves("b.example") == B1.certificate
    # A file for the name goes first.
    assert watched.serves("a.example") == A1.certificate
    assert [each.leaf for each in certificates.all] == [A1.certificate, B1.certificate, A2.certificate]
    certificates.provide("elsewhere", [])
    assert watched.serves("b.example") == A1.certificate
    assert heard == [3, 1]


def test_whoever_knows_the_hello_answers_it(watched: Watched) -> None:
    certificates = watched.begin(a__pem=A1.pem)
    context = build_context(Certificate(B1.certificate, (), B1.key), PROFILES["modern"], site=b"challenge")
    asked: list[str] = []

    def challenge(hello: ClientHello) -> ChosenContext | None:
        return ChosenContext(context, hello.server_name, is_challenge=True) if b"acme-tls/1" in hello.alpn else None

    def unknown(hello: ClientHello) -> ChosenContext | None:
        asked.append(hello.server_name)
        return None

    certificates.first_asked.append(challenge)
    certificates.asked_for_unknown.append(unknown)
    chosen = certificates.choose(ClientHello("a.example", alpn=(b"acme-tls/1",)))
    assert chosen.context is context and chosen.is_challenge
    assert watched.serves("a.example") == A1.certificate
    assert watched.serves("c.example") == A1.certificate
    assert asked == ["c.example"]


def test_leaves_are_what_browsers_want(tmp_path: Path) -> None:
    authority = open_authority(str(tmp_path), MOMENT)
    leaf = authority.issue(["a.example", "*.b.example", "127.0.0.1", "[::1]"], MOMENT)
    assert leaf.names == ("a.example", "*.b.example", "127.0.0.1", "[::1]")
    assert leaf.leaf.signature_hash_algorithm is not None
    assert leaf.leaf.public_bytes(Encoding.DER)
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate(leaf.leaf)
    context.use_privatekey(leaf.key)
    context.check_privatekey()
