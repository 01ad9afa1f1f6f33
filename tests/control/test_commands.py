"""What the tools print, and with which code they end."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from revproxy.cli import main
from revproxy.control import completion
from revproxy.control.commands import shown_status
from revproxy.control.paint import Look, painted
from tests.control.conftest import Play
from tests.support.fake_admin import FakeAdmin

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, path: str) -> Run:
    """Runs a tool on the played proxy: code, output, errors."""
    monkeypatch.setenv("COLUMNS", "120")

    def tool(*words: str) -> tuple[int, str, str]:
        code = main([*words, "--socket", path])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return tool


def answering(fake: FakeAdmin, monkeypatch: pytest.MonkeyPatch, status: int, value: Any) -> None:
    monkeypatch.setattr(fake, "order", lambda name, body: (status, value))


def test_status(run: Run) -> None:
    code, out, err = run("status")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("revproxy  serving  up 3 d")
    assert lines[1].startswith("Config    /etc/revproxy/revproxy.toml  generation 4, loaded at ")
    assert lines[1].endswith("2 earlier ones to roll back to")
    assert "6 tunnels" in lines[2]
    assert lines[3] == "Cache     18 204 entries, 221 MiB in memory" or lines[3].startswith("Cache     18")
    heads = [line.split()[0] for line in lines if line[:1].isupper() and line.split()[0].isupper()]
    assert heads == ["WORKER", "LISTENER", "UPSTREAM", "CERTIFICATE"]
    assert any(line.startswith("api") and "aside for 9 s" in line for line in lines)
    assert any(line.startswith("*.media.example") and " 2 " in line for line in lines)


def test_status_as_json(run: Run, fake: FakeAdmin) -> None:
    code, out, _ = run("status", "--json")
    assert code == 0
    assert json.loads(out)["config"]["generation"] == 4


def test_a_reload_shows_what_it_changed(run: Run, fake: FakeAdmin) -> None:
    code, out, err = run("reload")
    assert (code, err) == (0, "")
    assert out == (
        "+ route shop.example /beta/  revproxy.toml:41\n"
        "    to http://10.0.0.9:8000\n"
        "~ upstream api  touches 12 connections  revproxy.toml:63\n"
        "    weight of http://10.0.1.11:9000 is 2, was 1\n"
        "\n"
        "1 route added, 1 upstream changed\n"
    )
    assert fake.orders == [("reload", {"plan": False})]
    run("reload", "--plan")
    assert fake.orders[1:] == [("reload", {"plan": True})]


def test_a_wrong_configuration_ends_with_2(run: Run, fake: FakeAdmin, monkeypatch: pytest.MonkeyPatch) -> None:
    mistakes = ["/etc/r.toml:3:1: nonsense: unknown key", "/etc/r.toml:9:1: site: at least one is needed"]
    answering(fake, monkeypatch, 422, {"error": "the configuration has 2 mistakes", "mistakes": mistakes})
    code, out, err = run("reload")
    assert (code, out) == (2, "")
    assert err == "\n".join([*mistakes, "revproxy: the configuration has 2 mistakes; nothing has changed", ""])
    code, out, err = run("reload", "--json")
    assert (code, err) == (2, "")
    assert json.loads(out) == {"error": "the configuration has 2 mistakes", "mistakes": mistakes}


@pytest.mark.parametrize("name", ["rollback", "drain", "upgrade"])
def test_orders(run: Run, fake: FakeAdmin, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    answering(fake, monkeypatch, 200, {"text": "so it is"})
    assert run(name) == (0, "so it is\n", "")
    answering(fake, monkeypatch, 409, {"error": "not now", "mistakes": []})
    assert run(name) == (1, "", "revproxy: not now\n")


def test_nothing_is_running(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    assert main(["status", "--socket", str(folder / "none.sock")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"revproxy: {folder / 'none.sock'}: nobody listens there (No such file or directory)\n"
    assert main(["reload", "--json", "--socket", str(folder / "none.sock")]) == 1
    assert "No such file" in json.loads(capsys.readouterr().out)["error"]


@pytest.mark.parametrize("words", [["status", "now"], ["reload", "--plann"], ["drain", "--socket"], ["top", "--interval", "0"]])
def test_wrong_use(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(words) == 2
    assert "usage: revproxy" in capsys.readouterr().err


HOSTILE = "\x1b[2J\x1b]0;owned\x07\n\u202e\x9b31m<script>"


def test_what_a_terminal_would_obey_is_escaped(run: Run, fake: FakeAdmin, monkeypatch: pytest.MonkeyPatch) -> None:
    change = dict.fromkeys(("kind", "change", "name", "detail", "place"), HOSTILE)
    answering(fake, monkeypatch, 200, {"text": HOSTILE, "plan": [change]})
    _, out, _ = run("reload")
    answering(fake, monkeypatch, 422, {"error": HOSTILE, "mistakes": [HOSTILE]})
    _, _, err = run("reload")
    status = fake.status()
    status["version"] = status["state"] = status["config"]["file"] = HOSTILE
    status["cache"]["store"] = HOSTILE
    for part in ("upstreams", "listeners", "certificates", "workers"):
        for one in status[part]:
            for name in ("name", "address", "source", "state"):
                if name in one:
                    one[name] = HOSTILE
            if "names" in one:
                one["names"] = [HOSTILE]
    shown = "\n".join(painted(line, Look(), 200) for line in shown_status(status, Look(), 200))
    for text in (out, err, shown):
        assert text
        assert all(letter.isprintable() or letter == "\n" for letter in text)
        assert "\u202e" not in text


def test_a_narrow_terminal(fake: FakeAdmin) -> None:
    for width in (20, 40, 60, 80):
        for line in shown_status(fake.status(), Look(), width):
            assert len(painted(line, Look(), width)) <= width


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_completion_knows_every_tool_and_option(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    out = capsys.readouterr().out
    for word in ("check", "status", "reload", "dashboard", "plan", "no-browser", "socket", "install-systemd"):
        assert word in out
    assert "limits-table" not in out


def completed(*words: str) -> list[str]:
    """What bash proposes for the last word."""
    script = (
        'source /dev/stdin <<< "$SCRIPT"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _revproxy; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    from revproxy.cli import _parser

    text = "\n".join(completion.bash(completion.tools(_parser())))
    done = subprocess.run(
        ["bash", "-c", script, "bash", *words], env={"SCRIPT": text, "PATH": "/usr/bin:/bin"}, capture_output=True, text=True
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes() -> None:
    assert completed("revproxy", "re") == ["reload"]
    assert "--plan" in completed("revproxy", "reload", "--")
    assert completed("revproxy", "completion", "z") == ["zsh"]
    assert completed("revproxy", "tail", "--status", "") == []


def test_several_are_a_wrong_use(
    play: Play, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("revproxy.control.find.places", lambda environment, uid: [str(folder)])
    play(31, "/etc/a.toml")
    play(32, "/etc/b.toml")
    for words in (["status"], ["drain"], ["top", "--once"]):
        assert main(words) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.splitlines() == [
            "revproxy: several are running; say which, by --socket or --config:",
            f"  --socket {folder}/31.sock  (process 31, /etc/a.toml, serving)",
            f"  --socket {folder}/32.sock  (process 32, /etc/b.toml, serving)",
        ]
    assert main(["status", "--config", "/etc/b.toml"]) == 0
    assert "process 32" in capsys.readouterr().out
