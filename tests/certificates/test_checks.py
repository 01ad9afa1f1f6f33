"""What ``revproxy check`` says of certificates: the setting, the file, what is wrong, what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from revproxy.certificates.checks import check_certificates
from revproxy.config.load import examine
from tests.certificates.making import client_of, make, make_root, new_key, pem_of, write

ROOT = make_root()
MIDDLE = ROOT.issue(subject="middle", ca=True)
SITE = '[[site]]\nhosts = ["a.example"]\n[[site.route]]\nproxy = "http://a"\n'
BASE = '[[listener]]\naddress = ":443"\ntls = true\n[tls]\ncertificates = "certs"\n' + SITE


def told(folder: Path, text: str = BASE) -> list[str]:
    file = folder / "site.toml"
    file.write_text(text)
    return [str(mistake).partition("site.toml:")[2] for mistake in examine(file, [check_certificates]).mistakes]


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    folder = tmp_path / "certs"
    folder.mkdir()
    return folder


def test_all_is_well(tmp_path: Path, certs: Path) -> None:
    leaf = MIDDLE.issue("a.example")
    write(certs, a__pem=leaf.pem + pem_of(MIDDLE.certificate))
    assert told(tmp_path) == []


def test_everything_at_once(tmp_path: Path, certs: Path) -> None:
    write(
        certs,
        a__pem=pem_of(make("a.example").certificate),
        a__key=pem_of(new_key()),
        b__pem=b"hello",
        c__pem=make("c.example", since=-60, days=-30).pem,
    )
    lines = told(tmp_path)
    assert [line.replace(str(certs), "@") for line in lines[:2]] == [
        '5:1: tls.certificates: @/b.pem: this is not PEM: there is no line "-----BEGIN CERTIFICATE-----"',
        "5:1: tls.certificates: @/a.key: the private key does not belong to the certificate in @/a.pem: their public keys"
        " differ",
    ]


@pytest.mark.parametrize(
    ("since", "days", "text"),
    [
        (-60, -30, "has expired on "),
        (10, 30, "is not valid before "),
        (-60, 3, "expires on "),
    ],
)
def test_dates_are_warned_about(since: float, days: float, text: str, tmp_path: Path, certs: Path) -> None:
    write(certs, a__pem=make("a.example", since=since, days=days).pem)
    (line,) = told(tmp_path)
    assert line.startswith(f"5:1: tls.certificates: warning: {certs}/a.pem: the certificate for a.example {text}20")


def test_a_missing_chain(tmp_path: Path, certs: Path) -> None:
    write(certs, a__pem=MIDDLE.issue("a.example").pem)
    (line,) = told(tmp_path)
    assert "warning: " in line
    assert 'the certificate of its issuer, "CN=middle", is missing: many clients will not trust it' in line


def test_no_certificate_for_a_host(tmp_path: Path, certs: Path) -> None:
    write(certs, a__pem=make("*.example", "b.test").pem)
    text = BASE.replace('["a.example"]', '["a.example", "x.a.example", "*.example", "*.a.example", "*", "b.test"]')
    assert told(tmp_path, text) == [
        '7:23: site[0].hosts[1]: warning: no certificate is for "x.a.example": browsers will warn',
        '7:51: site[0].hosts[3]: warning: no certificate is for "*.a.example": browsers will warn',
    ]
    assert told(tmp_path, text.replace("[tls]", "[tls]\ninternal = true")) == []


def test_no_certificate_for_the_default(tmp_path: Path, certs: Path) -> None:
    write(certs, a__pem=make("a.example").pem)
    assert told(tmp_path, BASE.replace("[tls]", '[tls]\ndefault = "b.example"')) == [
        '5:1: tls.default: no certificate is for "b.example"'
    ]


def test_no_certificate_at_all(tmp_path: Path, certs: Path) -> None:
    lines = told(tmp_path)
    assert len(lines) == 2
    assert "there are no certificates in this folder" in lines[0]
    assert "there is no certificate at all: nobody could connect" in lines[1]


def test_a_key_beside_a_file_that_is_named(tmp_path: Path, certs: Path) -> None:
    write(certs, a__pem=pem_of(make("a.example").certificate), a__key=pem_of(new_key()))
    (line,) = told(tmp_path, BASE.replace('"certs"', '["certs/a.pem"]'))
    assert line.startswith(f"5:17: tls.certificates[0]: {certs}/a.key: the private key does not belong to")


def test_files_of_clients(tmp_path: Path, certs: Path) -> None:
    write(certs, a__pem=make("a.example").pem)
    other = make_root("other")
    write(tmp_path, ca__pem=pem_of(ROOT.certificate), bad__pem=b"x", bag__pem=b"x", crl__pem=pem_of(other.revokes()))
    site = BASE + '[site.tls]\nclient_certificates = "required"\nclient_ca = "{}"\nclient_crl = "{}"\n'
    assert told(tmp_path, site.format("ca.pem", "crl.pem")) == [
        f"13:1: site[0].tls.client_crl: warning: {tmp_path}/crl.pem: there is no revocation list of CN=root: its clients"
        " will be refused"
    ]
    write(tmp_path, crl__pem=pem_of(ROOT.revokes(client_of(ROOT, "c").certificate)))
    assert told(tmp_path, site.format("ca.pem", "crl.pem")) == []
    lines = told(tmp_path, site.format("bad.pem", "bag.pem"))
    assert [line.partition(": ")[0] + line.partition("pem")[2][:42] for line in lines] == [
        "12:1: this is no PEM file of what is expected:",
        "13:1: this is no PEM file of what is expected:",
    ]


def test_nothing_is_read_where_no_listener_speaks_tls(tmp_path: Path, certs: Path) -> None:
    write(certs, b__pem=b"hello")
    (line,) = told(tmp_path, BASE.replace("tls = true\n", ""))
    assert "nothing uses them" in line
