"""``revproxy ca``: where the root is, and how to trust it."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from revproxy.cli import main

CONFIG = '[[listener]]\naddress = ":443"\ntls = true\n[tls]\ninternal = true\nstate = "here"\n[[site]]\n[[site.route]]\nproxy = "http://a"\n'


def test_it_says_where_the_root_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.toml").write_text(CONFIG)
    assert main(["ca", str(tmp_path / "a.toml")]) == 0
    text = capsys.readouterr().out
    root = tmp_path / "here" / "authority" / "root.pem"
    assert text.startswith(f"The root of the internal authority is {root}\n")
    assert f"curl --cacert {root} " in text
    for system in ("Debian", "macOS", "Firefox", "curl"):
        assert system in text
    assert main(["ca", "--pem", str(tmp_path / "a.toml")]) == 0
    pem = capsys.readouterr().out
    assert pem == root.read_text()
    assert len(ssl.PEM_cert_to_DER_cert(pem)) > 300


def test_without_a_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    assert main(["ca"]) == 0
    assert str(tmp_path / "state" / "authority" / "root.pem") in capsys.readouterr().out


def test_what_can_not_be_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "here").touch()
    (tmp_path / "a.toml").write_text(CONFIG)
    assert main(["ca", str(tmp_path / "a.toml")]) == 2
    assert "is no folder" in capsys.readouterr().err
    (tmp_path / "a.toml").write_text(CONFIG.replace("here", "here/below"))
    assert main(["ca", str(tmp_path / "a.toml")]) == 2
    assert "tls.state: can't keep anything in" in capsys.readouterr().err
    assert main(["ca", str(tmp_path / "gone.toml")]) == 2
