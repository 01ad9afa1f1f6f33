"""Files and folders: every usual layout is understood, every mistake is told in full."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from revproxy.certificates import folder as folder_module
from revproxy.certificates.folder import LARGEST, look, read_groups, understand
from revproxy.certificates.pem import Certificate
from tests.certificates.making import Pair, encrypted, make, make_root, new_key, pem_of, write

ROOT = make_root()
MIDDLE = ROOT.issue(subject="middle", ca=True)
LEAF = MIDDLE.issue("a.example", "*.a.example", "127.0.0.1", "::1")
OTHER = MIDDLE.issue("b.example")


def load(*paths: Path) -> tuple[list[Certificate], list[str]]:
    understood = [understand(group) for group in read_groups(map(str, paths))]
    return (
        [certificate for each in understood for certificate in each.certificates],
        [("warning: " if finding.warning else "") + str(finding) for each in understood for finding in each.findings],
    )


def is_whole(certificate: Certificate, pair: Pair = LEAF) -> bool:
    return certificate.leaf == pair.certificate and certificate.chain == (MIDDLE.certificate,)


CHAIN = pem_of(LEAF.certificate, MIDDLE.certificate)


@pytest.mark.parametrize(
    "files",
    [
        {"a__pem": CHAIN + pem_of(LEAF.key)},
        {"a__pem": pem_of(LEAF.key) + CHAIN},
        {"a__pem": CHAIN, "a__key": pem_of(LEAF.key)},
        {"tls__crt": CHAIN, "tls__key": pem_of(LEAF.key)},
        {"fullchain__pem": CHAIN, "privkey__pem": pem_of(LEAF.key)},
        {
            "cert__pem": pem_of(LEAF.certificate),
            "chain__pem": pem_of(MIDDLE.certificate),
            "fullchain__pem": CHAIN,
            "privkey__pem": pem_of(LEAF.key),
        },
        {"a__crt": pem_of(LEAF.certificate), "a__key": pem_of(LEAF.key), "ca__pem": pem_of(MIDDLE.certificate)},
        {"a__pem": pem_of(ROOT.certificate, MIDDLE.certificate, LEAF.certificate, LEAF.key)},
        {"a__pem": b"# a comment\r\n" + pem_of(LEAF.key, MIDDLE.certificate, LEAF.certificate).replace(b"\n", b"\r\n")},
        {
            "a__pem": pem_of(LEAF.certificate),
            "a__key": LEAF.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
            "m__crt": pem_of(MIDDLE.certificate),
        },
    ],
)
def test_layouts(files: dict[str, bytes], tmp_path: Path) -> None:
    write(tmp_path, **files)
    (tmp_path / "README").write_text("no certificate")
    certificates, findings = load(tmp_path)
    assert findings == []
    assert [is_whole(each) for each in certificates] == [True]
    assert certificates[0].names == ("a.example", "*.a.example", "127.0.0.1", "[::1]")
    assert not certificates[0].lacks_chain


def test_folders_in_a_folder_as_certbot_and_kubernetes_have_them(tmp_path: Path) -> None:
    for name, pair in (("a.example", LEAF), ("b.example", OTHER)):
        (tmp_path / "archive" / name).mkdir(parents=True)
        (tmp_path / "live" / name).mkdir(parents=True)
        write(
            tmp_path / "archive" / name,
            cert1__pem=pem_of(pair.certificate, MIDDLE.certificate),
            key1__pem=pem_of(pair.key),
        )
        for link, target in (("fullchain.pem", "cert1.pem"), ("privkey.pem", "key1.pem")):
            (tmp_path / "live" / name / link).symlink_to(Path("..", "..", "archive", name, target))
    certificates, findings = load(tmp_path / "live")
    assert findings == []
    assert [each.names[0] for each in certificates] == ["a.example", "b.example"]
    (tmp_path / "live" / "..data").symlink_to(tmp_path / "archive")
    assert len(load(tmp_path / "live")[0]) == 2


@pytest.mark.parametrize("beside", ["a.key", "a-key.pem", "a.key.pem", "a.pem.key"])
def test_a_file_by_itself_and_its_key_beside_it(beside: str, tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_bytes(CHAIN)
    (tmp_path / beside).write_bytes(pem_of(LEAF.key))
    # What else lies there was not named.
    (tmp_path / "b.pem").write_bytes(b"nonsense")
    certificates, findings = load(tmp_path / "a.pem")
    assert findings == []
    assert is_whole(certificates[0])


def test_two_kinds_of_key_for_one_name(tmp_path: Path, rsa_key: rsa.RSAPrivateKey) -> None:
    with_rsa = MIDDLE.issue("a.example", key=rsa_key)
    write(
        tmp_path,
        ecdsa__pem=pem_of(LEAF.certificate),
        ecdsa__key=pem_of(LEAF.key),
        rsa__pem=pem_of(with_rsa.certificate, rsa_key),
        ca__pem=pem_of(MIDDLE.certificate),
    )
    certificates, findings = load(tmp_path)
    assert findings == []
    assert [each.schemes & {0x0403, 0x0804} for each in certificates] == [{0x0403}, {0x0804}]


def test_a_renewal_with_the_same_key_beside_the_old_one(tmp_path: Path) -> None:
    renewed = MIDDLE.issue("a.example", key=LEAF.key, days=90)
    write(tmp_path, a__pem=CHAIN, b__pem=pem_of(renewed.certificate, MIDDLE.certificate), a__key=pem_of(LEAF.key))
    (certificate,) = load(tmp_path)[0]
    assert certificate.leaf == renewed.certificate


def small_rsa() -> bytes:
    key = rsa.generate_private_key(65537, 1024)
    return make("a.example", key=key).pem


MISTAKES: list[tuple[dict[str, bytes], list[str]]] = [
    (
        {"a__pem": CHAIN, "a__key": pem_of(OTHER.key)},
        ["a.key: the private key does not belong to the certificate in @/a.pem: their public keys differ"],
    ),
    (
        {"a__pem": pem_of(LEAF.certificate, OTHER.key)},
        ["a.pem: the private key does not belong to the certificate in the same file: their public keys differ"],
    ),
    (
        # The good pair is no part of the complaint.
        {"a__pem": LEAF.pem, "b__crt": pem_of(OTHER.certificate), "b__key": pem_of(new_key())},
        ["b.key: the private key does not belong to the certificate in @/b.crt: their public keys differ"],
    ),
    (
        {"a__pem": CHAIN},
        ["a.pem: the private key is missing: put it into the same file, or beside it under the same name with .key"],
    ),
    ({"a__key": pem_of(LEAF.key)}, ["warning: a.key: there is no certificate for this key"]),
    ({"a__pem": b""}, ["a.pem: the file is empty"]),
    ({"a__pem": b"hello"}, ['a.pem: this is not PEM: there is no line "-----BEGIN CERTIFICATE-----"']),
    ({"a__pem": CHAIN[:300]}, ["a.pem: the file is cut off: a block has no -----END line"]),
    (
        {"a__pem": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"},
        ["a.pem: certificate 1 of the file can't be read: "],
    ),
    (
        {"a__pem": CHAIN + b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"},
        ["a.pem: the private key can't be read: "],
    ),
    (
        {"a__cer": LEAF.certificate.public_bytes(Encoding.DER)},
        ["a.cer: this is not PEM but DER or PKCS #12: convert it"],
    ),
    (
        {"a__pem": CHAIN, "a__key": encrypted(LEAF.key)},
        ["a.key: the private key has a passphrase", "a.pem: the private key"],
    ),
    ({"a__pem": small_rsa()}, ["a.pem: an RSA key of 1024 bits is refused by today's clients"]),
    ({"a__pem": make(subject="no name at all").pem}, ["warning: a.pem: the certificate names no host"]),
    (
        {"ca__pem": pem_of(ROOT.certificate), "x__pem": pem_of(MIDDLE.certificate)},
        ["warning: : there is no certificate with"],
    ),
    ({}, ["warning: : there are no certificates in this folder: no file ends with .pem, .crt"]),
]


@pytest.mark.parametrize(("files", "told"), MISTAKES)
def test_mistakes(files: dict[str, bytes], told: list[str], tmp_path: Path) -> None:
    write(tmp_path, **files)
    _, findings = load(tmp_path)
    assert len(findings) == len(told), findings
    for finding, expected in zip(findings, told, strict=True):
        here = re.sub(rf"^(warning: )?{re.escape(str(tmp_path))}/?", r"\1", finding)
        assert here.startswith(expected.replace("@", str(tmp_path))), findings


def test_a_root_by_itself_is_no_certificate_of_a_server(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_bytes(pem_of(ROOT.certificate))
    assert load(tmp_path / "a.pem") == ([], [f"{tmp_path}/a.pem: there is no certificate with a private key"])


def test_what_can_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(name: str) -> bytes:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.pem").touch()
    monkeypatch.setattr(folder_module, "read_file", refused)
    assert load(tmp_path / "a.pem")[1] == [
        f"{tmp_path}/a.pem: the file can't be read: no permission (the proxy runs as user id {os.geteuid()})"
    ]


def test_what_is_gone_no_file_or_too_large(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.pem")
    (tmp_path / "b.pem").write_bytes(b"x" * (LARGEST + 1))
    found = load(tmp_path / "a.pem", tmp_path / "b.pem", tmp_path / "c.pem")[1]
    assert [line.partition("read: ")[2] for line in found] == [
        "it is no file",
        "it is larger than 1 MiB",
        "no such file or directory",
    ]


def test_missing_chains_are_noticed(tmp_path: Path) -> None:
    write(tmp_path, leaf__pem=LEAF.pem)
    assert load(tmp_path)[0][0].lacks_chain
    # Signed by a root that is there, or by itself: nothing is missing.
    for octets in (ROOT.issue("a.example").pem + pem_of(ROOT.certificate), make("a.example").pem):
        write(tmp_path, leaf__pem=octets)
        (certificate,) = load(tmp_path)[0]
        assert (certificate.lacks_chain, certificate.chain) == (False, ())


def test_a_change_of_any_file_shows(tmp_path: Path) -> None:
    write(tmp_path, a__pem=LEAF.pem, b__pem=OTHER.pem)
    before, digest = look([str(tmp_path)]), read_groups([str(tmp_path)])[0].digest
    assert look([str(tmp_path)]) == before
    assert read_groups([str(tmp_path)])[0].digest == digest
    write(tmp_path, new__pem=b"x")
    os.replace(tmp_path / "new.pem", tmp_path / "b.pem")
    assert look([str(tmp_path)]) != before
    assert read_groups([str(tmp_path)])[0].digest != digest
    os.unlink(tmp_path / "b.pem")
    assert len(look([str(tmp_path)])) == 1
    assert look([str(tmp_path / "a.pem")]) != look([str(tmp_path / "gone.pem")])
