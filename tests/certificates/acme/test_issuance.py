"""Certificates that are had, kept and renewed; failures that are waited out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from twisted.internet.task import deferLater

from revproxy.certificates.acme.fetching import Answer, FetchError
from revproxy.certificates.acme.issuance import AT_ONCE
from revproxy.certificates.acme.issued import STAND_IN
from revproxy.config.acme_tables import AcmeCertificate, ExternalAccount
from tests.certificates.acme.authority import TERMS, problem
from tests.certificates.acme.stage import DAY, Process, Stage
from tests.certificates.making import make, pem_of
from tests.certificates.shaking import shake


def served(process: Process, name: str = "a.example") -> x509.Certificate:
    found: x509.Certificate = shake(process.certificates, name).served
    return found


def issuer(process: Process, name: str = "a.example") -> str:
    return served(process, name).issuer.rfc4514_string()


def names(process: Process, name: str = "a.example") -> list[str]:
    value = served(process, name).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return value.get_values_for_type(x509.DNSName)


def test_a_self_signed_one_serves_until_there_is_one(stage: Stage) -> None:
    process = stage.start()
    assert [each.source for each in process.certificates.all] == [STAND_IN]
    assert names(process) == ["a.example", "b.example"]
    assert "until there is a certificate" in issuer(process)
    assert [text for level, text in stage.said if level == "warn"] == [
        "ACME: there is no certificate for a.example, b.example yet: a self-signed one is served until acme.example has"
        " issued one"
    ]
    assert stage.run() == []
    assert issuer(process, "b.example") == "CN=played issuer"
    assert names(process, "b.example") == ["a.example", "b.example"]
    assert len(process.certificates.all) == 1
    assert "acme.example has issued a certificate for a.example, b.example" in stage.said[-1][1]


def test_the_terms_and_the_contact_are_told(stage: Stage) -> None:
    stage.start(contact=("ops@example.com", "mailto:more@example.com"))
    stage.run()
    (account,) = stage.authority.accounts
    assert account["termsOfServiceAgreed"] is True
    assert account["contact"] == ["mailto:ops@example.com", "mailto:more@example.com"]
    assert any(TERMS in text for _, text in stage.said)


def test_all_is_kept_for_the_next_process(stage: Stage) -> None:
    first = stage.start()
    stage.run()
    number = served(first).serial_number
    stage.end(first)
    again = stage.start()
    assert served(again).serial_number == number
    stage.run(3600)
    assert len(stage.authority.accounts) == len(stage.authority.orders) == 1


def test_files_are_for_their_owner_alone(stage: Stage) -> None:
    stage.start()
    stage.run()
    for path in stage.state.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_one_process_orders_and_all_serve(stage: Stage) -> None:
    first, second = stage.start(), stage.start()
    stage.run(30)
    assert len(stage.authority.orders) == 1
    assert served(first).serial_number == served(second).serial_number
    stage.end(first)
    stage.run(70 * DAY, step=7200)
    assert len(stage.authority.orders) == 2
    assert issuer(second) == "CN=played issuer"


def test_it_is_renewed_ahead_of_its_end(stage: Stage) -> None:
    process = stage.start()
    stage.run()
    number = served(process).serial_number
    stage.run(58 * DAY, step=7200)
    assert served(process).serial_number == number
    stage.run(2 * DAY, step=7200)
    assert served(process).serial_number != number
    assert len(stage.authority.orders) == 2


def window(stage: Stage, start: float, end: float) -> bytes:
    def text(days: float) -> str:
        from datetime import datetime, timezone

        return datetime.fromtimestamp(stage.wall() + days * DAY, timezone.utc).isoformat()

    value = {"suggestedWindow": {"start": text(start), "end": text(end)}, "explanationURL": "https://acme.example/why"}
    return json.dumps(value).encode()


def test_the_servers_window_counts(stage: Stage) -> None:
    stage.authority.window = window(stage, 20, 22)
    stage.start()
    stage.run()
    known_as = stage.authority.last_id
    assert ("GET", f"/renewal/{known_as}") in stage.authority.asked
    stage.run(20.5 * DAY, step=7200)
    assert len(stage.authority.orders) == 1
    stage.run(0.6 * DAY, step=7200)
    assert [order.replaces for order in stage.authority.orders] == ["", known_as]


def test_a_window_that_moves_into_the_past_means_now(stage: Stage) -> None:
    stage.authority.window = window(stage, 20, 22)
    stage.start()
    stage.run(60)
    stage.authority.window = window(stage, -2, -1)
    stage.run(11 * 3600, step=600)
    assert stage.authority.count("/renewal") == 2
    assert len(stage.authority.orders) == 1
    stage.run(2 * 3600, step=600)
    assert len(stage.authority.orders) == 2
    # The new one's window is said to be in the past as well: nobody orders in a circle.
    stage.run(9 * 3600, step=600)
    assert len(stage.authority.orders) == 2
    assert any("https://acme.example/why" in text for _, text in stage.said)


def test_a_window_that_can_not_be_had_changes_nothing(stage: Stage) -> None:
    stage.authority.window = b"{}"
    stage.authority.faults["/renewal"] = [FetchError("cut off"), problem(404, "malformed", "which one?")]
    stage.start()
    assert stage.run(DAY, step=600) == []
    assert len(stage.authority.orders) == 1
    assert 3 <= stage.authority.count("/renewal") <= 5


def test_a_predecessor_that_was_replaced_already(stage: Stage) -> None:
    stage.authority.window = window(stage, -2, -1)
    stage.start()
    stage.run()
    stage.authority.faults["/order"] = [problem(409, "alreadyReplaced", "by another order")]
    stage.run(13 * 3600, step=600)
    assert [order.replaces for order in stage.authority.orders] == ["", ""]
    assert [text for level, text in stage.said if level == "error"] == []


def test_names_that_change_are_ordered_anew(stage: Stage) -> None:
    first = stage.start("a.example")
    stage.run()
    stage.end(first)
    second = stage.start("a.example", "c.example")
    assert names(second) == ["a.example"]
    stage.run()
    assert names(second) == names(second, "c.example") == ["a.example", "c.example"]


def test_another_kind_of_key(stage: Stage) -> None:
    first = stage.start()
    stage.run()
    stage.end(first)
    second = stage.start(key_type="rsa")
    stage.run()
    assert isinstance(served(second).public_key(), rsa.RSAPublicKey)
    assert len(stage.authority.orders) == 2


def test_listed_names(stage: Stage) -> None:
    wanted = (AcmeCertificate(names=("x.example", "y.example")), AcmeCertificate(names=("z.example",)))
    process = stage.start(certificates=wanted)
    stage.run()
    assert names(process, "y.example") == ["x.example", "y.example"]
    assert names(process, "z.example") == ["z.example"]
    assert len(stage.authority.accounts) == 1


def test_names_with_a_file_are_not_ordered(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_bytes(make("a.example").pem)
    process = stage.start(tls={"certificates": (str(tmp_path / "a.pem"),)})
    stage.run()
    assert names(process, "b.example") == ["b.example"]
    assert issuer(process, "a.example") == "CN=a.example"


def test_the_internal_authority_stands_in(stage: Stage) -> None:
    listed = (AcmeCertificate(names=("a.example",)),)
    process = stage.start(tls={"internal": True}, certificates=listed)
    assert "local root" in issuer(process)
    stage.run()
    assert issuer(process) == "CN=played issuer"
    assert "local root" in issuer(process, "b.example")


def test_names_that_nobody_outside_knows_are_left_out(stage: Stage) -> None:
    process = stage.start("a.example", "localhost", "127.0.0.1", "*")
    stage.run()
    assert names(process) == ["a.example"]


def test_a_preferred_chain(stage: Stage) -> None:
    stage.authority.other_chains = True
    process = stage.start(preferred_chain="other root")
    stage.run()
    (certificate,) = process.certificates.all
    assert certificate.chain[-1].issuer.rfc4514_string() == "CN=other root"


def test_a_preferred_chain_that_is_not_offered(stage: Stage) -> None:
    stage.authority.other_chains = True
    process = stage.start(preferred_chain="no such root")
    assert stage.run() == []
    (certificate,) = process.certificates.all
    assert certificate.chain[-1].issuer.rfc4514_string() == "CN=played root"


def test_many_are_had_a_few_at_once(stage: Stage) -> None:
    wanted = tuple(AcmeCertificate(names=(f"n{number}.example",)) for number in range(40))
    stage.authority.window = window(stage, 20, 22)
    process = stage.start(certificates=wanted)
    under_way = 0

    async def fetch(method: str, url: str, *more: object) -> Answer:
        nonlocal under_way
        under_way += 1
        most.append(under_way)
        await deferLater(stage.clock, 0.5)
        under_way -= 1
        return await stage.authority(method, url, *more)  # type: ignore[arg-type]

    most: list[int] = []
    process.issuance._server._fetch = fetch  # type: ignore[assignment]  # its names are of no interest
    stage.run(240, step=0.5)
    assert len(stage.authority.orders) == 40
    assert stage.authority.count("/renewal") == 40
    assert 2 <= max(most) <= AT_ONCE
    assert len(stage.authority.accounts) == 1
    assert issuer(process, "n39.example") == "CN=played issuer"


# The account.


def test_a_changed_contact_is_told(stage: Stage) -> None:
    stage.start(contact=("one@example.com",))
    stage.run()
    stage.close()
    stage.start("c.example", contact=("two@example.com",))
    stage.run()
    (account,) = stage.authority.accounts
    assert account["contact"] == ["mailto:two@example.com"]


@pytest.mark.parametrize("status", ["revoked", "deactivated"])
def test_an_account_that_has_gone_is_replaced(stage: Stage, status: str) -> None:
    stage.start()
    stage.run()
    stage.close()
    stage.authority.accounts[0]["status"] = status
    process = stage.start("c.example")
    (said,) = stage.run()
    assert "is of no use any more" in said
    assert [account["status"] for account in stage.authority.accounts] == [status, "valid"]
    assert issuer(process, "c.example") == "CN=played issuer"
    (old,) = stage.state.glob("acme/*/account.json.old")
    assert old.stat().st_mode & 0o077 == 0


def test_an_account_that_goes_while_we_run(stage: Stage) -> None:
    stage.start()
    stage.run()
    stage.authority.accounts[0]["status"] = "deactivated"
    stage.run(62 * DAY, step=7200)
    assert [account["status"] for account in stage.authority.accounts] == ["deactivated", "valid"]
    assert len(stage.authority.orders) == 2


def test_an_external_account(stage: Stage) -> None:
    stage.authority.external = "kid-1"
    stage.start(external_account=ExternalAccount(key_id="kid-1", key="c2VjcmV0LWtleS1vZi10aGUtY3VzdG9tZXI"))
    assert stage.run() == []
    assert len(stage.authority.orders) == 1


def test_an_external_account_that_is_missing(stage: Stage) -> None:
    stage.authority.external = "kid-1"
    stage.start()
    (said,) = stage.run()
    assert "[tls.acme.external_account]" in said
    assert "a.example" in said
    assert stage.authority.count("/account") == 0


# Failures.


def test_a_name_that_can_not_be_verified(stage: Stage) -> None:
    stage.authority.validate = lambda kind, name, token: name != "b.example"
    process = stage.start()
    (said,) = stage.run()
    assert said == (
        "ACME: no certificate for a.example, b.example: acme.example could not verify b.example by tls-alpn-01: not what"
        " was expected (unauthorized); the next try is at 2027-01-15 08:02:05 UTC"
    )
    assert "until there is a certificate" in issuer(process)
    assert stage.progress()["failures"] == 1
    # Nothing is asked before its time, not even by another process.
    count = len(stage.authority.asked)
    stage.run(100)
    stage.close()
    stage.start()
    stage.run(10)
    assert len(stage.authority.asked) == count
    stage.authority.validate = lambda kind, name, token: True
    stage.run(60)
    assert len(stage.authority.orders) == 2
    assert stage.progress()["failures"] == 0
    # The second try begins with the other challenge.
    assert stage.authority.tried == ["tls-alpn-01", "tls-alpn-01", "http-01", "http-01"]


def test_tries_grow_rare(stage: Stage) -> None:
    stage.authority.validate = lambda kind, name, token: False
    stage.start("a.example")
    stage.run(3600, step=30)
    assert len(stage.authority.orders) == 5
    stage.run(30 * DAY, step=7200)
    assert len(stage.authority.orders) < 50


def test_challenges_without_a_listener_are_not_tried(stage: Stage) -> None:
    from revproxy.config.model import Listener

    stage.authority.validate = lambda kind, name, token: False
    stage.start("a.example", listeners=(Listener(address=":443", tls=True),))
    stage.run(3600, step=30)
    assert set(stage.authority.tried) == {"tls-alpn-01"}


def test_challenges_that_are_not_offered(stage: Stage) -> None:
    stage.authority.kinds = ["dns-01"]
    stage.start("a.example")
    (said,) = stage.run()
    assert "offers dns-01 for a.example, and not tls-alpn-01 or http-01" in said


def test_a_rate_limit_is_kept(stage: Stage) -> None:
    stage.authority.faults["/order"] = [problem(429, "rateLimited", "too many certificates", "7200")]
    stage.start()
    (said,) = stage.run()
    assert "too many certificates (rateLimited)" in said
    stage.run(7100, step=50)
    assert stage.authority.count("/order") == 1
    stage.run(300, step=50)
    assert len(stage.authority.orders) == 1


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        (FetchError("connection refused"), "can't be asked: connection refused"),
        (Answer(503, {}, b"<html>busy"), "out of order (status 503)"),
        (Answer(200, {}, b"<html>welcome"), "is no directory of an ACME server"),
        (Answer(200, {}, b'{"newNonce": 5}'), "is no directory of an ACME server"),
        (Answer(404, {}, b""), "https://acme.example/directory is not there (status 404)"),
    ],
)
def test_a_server_that_is_out_of_order_is_left_alone(stage: Stage, fault: Answer | FetchError, word: str) -> None:
    stage.authority.faults["/directory"] = [fault]
    stage.start(certificates=(AcmeCertificate(names=("a.example",)), AcmeCertificate(names=("b.example",))))
    said = stage.run()
    assert all(word in text for text in said)
    count = len(stage.authority.asked)
    stage.run(90)
    assert len(stage.authority.asked) == count
    stage.close()
    process = stage.start("a.example")
    stage.run(20)
    assert len(stage.authority.asked) == count
    stage.run(30)
    assert issuer(process) == "CN=played issuer"
    (file,) = stage.state.glob("acme/*/server.json")
    assert json.loads(file.read_text())["failures"] == 0


@pytest.mark.parametrize("path", ["/nonce", "/account", "/order", "/authorization", "/challenge", "/finalize", "/certificate"])
@pytest.mark.parametrize(
    "fault",
    [
        FetchError("cut off"),
        Answer(500, {}, b""),
        Answer(200, {}, b""),
        Answer(200, {}, b"[1]"),
        Answer(200, {}, b'{"status": "invalid"}'),
        Answer(200, {}, b'{"status": 5, "authorizations": 7, "challenges": 8, "error": 9, "identifier": 1}'),
        problem(403, "unauthorized", "no\nand no\x1b[2J", subproblems=[{"identifier": {"value": "a"}}, 5]),
    ],
    ids=lambda fault: str(getattr(fault, "status", "cut")) + str(getattr(fault, "body", b"")[:12]),
)
def test_whatever_goes_wrong_is_said_and_waited_out(stage: Stage, path: str, fault: Answer | FetchError) -> None:
    stage.authority.faults[path] = [fault]
    process = stage.start()
    for text in stage.run(30):
        assert "\x1b" not in text
        assert "\n" not in text
    assert len(stage.authority.asked) < 60
    stage.run(3600, step=60)
    assert issuer(process) == "CN=played issuer"
    assert not any((stage.state / "acme").glob("*/challenges/*"))


def test_nonces_that_are_not_taken_are_taken_again(stage: Stage) -> None:
    stage.authority.faults["/order"] = [problem(400, "badNonce", "old") for _ in range(5)]
    stage.start()
    assert stage.run() == []
    assert len(stage.authority.orders) == 1


def test_a_server_that_takes_no_nonce(stage: Stage) -> None:
    stage.authority.faults["/account"] = [problem(400, "badNonce", "old") for _ in range(100)]
    stage.start()
    (said,) = stage.run()
    assert "takes none of its own nonces" in said
    assert stage.authority.count("/account") == 10


def test_a_certificate_for_somebody_else(stage: Stage) -> None:
    other = make("a.example", "b.example")
    stage.authority.faults["/certificate"] = [Answer(200, {}, pem_of(other.certificate))]
    stage.start()
    (said,) = stage.run()
    assert "has issued a certificate for another key" in said


def test_an_order_that_takes_its_time(stage: Stage) -> None:
    ready = b'{"status": "processing"}'
    stage.authority.faults["/finalize"] = []
    stage.start()
    stage.authority.faults["/order/0"] = [Answer(200, {"retry-after": ("3",)}, ready) for _ in range(4)]
    stage.run(5, step=1)
    assert stage.authority.orders[0].status == "ready"
    stage.run(30, step=1)
    assert stage.authority.orders[0].status == "valid"


def test_a_server_that_never_decides(stage: Stage) -> None:
    stage.start()
    stage.authority.faults["/order/0"] = [Answer(200, {}, b'{"status": "processing"}') for _ in range(1000)]
    said = stage.run(400, step=5)
    assert "has not decided about the order within 300 s" in said[0]
    assert stage.authority.count("/order") < 40


def test_stopping_in_the_middle_is_no_failure(stage: Stage) -> None:
    process = stage.start()
    stage.authority.faults["/order/0"] = [Answer(200, {}, b'{"status": "processing"}') for _ in range(1000)]
    stage.run(5)
    assert stage.progress()["failures"] == 1
    stage.end(process)
    assert stage.progress()["failures"] == 0
    stage.authority.faults.clear()
    stage.start()
    stage.run(10)
    assert stage.progress()["renew_at"] > 0


def test_a_process_that_is_killed_in_the_middle_counts_as_a_failure(stage: Stage) -> None:
    process = stage.start()
    stage.authority.faults["/order/0"] = [Answer(200, {}, b'{"status": "processing"}') for _ in range(1000)]
    stage.run(5)
    # Nothing of it runs on, and the kernel takes the lock back.
    stage.processes.remove(process)
    process.store.unlock()
    stage.start()
    stage.run(60)
    assert len(stage.authority.orders) == 1
    assert stage.progress()["problem"] == "it was not brought to an end"


def test_a_folder_that_can_not_be_written_stops_orders(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    process = stage.start()

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(process.store, "write_progress", full)
        said = stage.run(60)
        assert stage.authority.orders == []
    assert len(said) == 1
    assert "No space left on device" in said[0]
    stage.run(130)
    assert len(stage.authority.orders) == 1


def test_a_disk_that_is_full_when_the_certificate_comes(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    process = stage.start()

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(process.store, "write_certificate", full)
        (said,) = stage.run(60)
    assert "No space left on device" in said
    stage.run(120)
    assert issuer(process) == "CN=played issuer"


def test_a_certificate_that_was_broken_on_disk_is_served_on_and_ordered_anew(stage: Stage) -> None:
    process = stage.start()
    stage.run()
    number = served(process).serial_number
    (file,) = stage.state.glob("acme/*/certificates/a.example/certificate.pem")
    file.write_bytes(b"-----BEGIN")
    assert "cut off" in stage.run(5)[0]
    assert served(process).serial_number == number
    stage.close()
    again = stage.start()
    stage.run()
    assert issuer(again) == "CN=played issuer"
    assert served(again).serial_number != number


def test_what_is_left_of_a_died_process_is_taken_away(stage: Stage) -> None:
    process = stage.start()
    process.store.publish("t" * 43, b"left")
    stage.run()
    assert process.store.answer_of_token("t" * 43) is None


def test_another_directory_begins_anew(stage: Stage) -> None:
    process = stage.start()
    stage.run()
    assert len(os.listdir(stage.state / "acme")) == 1
    other = process.store.__class__(str(stage.state), "https://other.example/directory")
    other.open()
    assert other.names() == []
    assert len(os.listdir(stage.state / "acme")) == 2
