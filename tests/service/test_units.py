"""The units: what they start exists, what they promise fits the proxy's own limits, and systemd understands them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import attrs
import pytest

from revproxy.admin.place import SYSTEM_FOLDER
from revproxy.cli import main
from revproxy.config.addresses import SystemdAddress, parse_listener
from revproxy.config.model import Limits
from revproxy.config.units import parse_duration
from revproxy.control.find import INSTANCES
from revproxy.service import install
from revproxy.service.notify import TICK
from revproxy.service.units import EXAMPLE_FOLDER, ROTATION, UNIT_FOLDER, files
from revproxy.tap import UNUSABLE

CHECKOUT = Path(__file__).resolve().parents[2]
HERE = str(Path(os.path.abspath(sys.executable)).parent)
SERVICES = ("revproxy.service", "revproxy@.service")
SOCKETS = ("revproxy.socket", "revproxy-tls.socket")


@attrs.frozen
class Unit:
    """What a unit file says."""

    text: str

    def all(self, key: str) -> list[str]:
        return re.findall(rf"^{key}=(.*)$", self.text, re.MULTILINE)

    def one(self, key: str) -> str:
        [value] = self.all(key)
        return str(value)


def unit(name: str, folder: str = EXAMPLE_FOLDER) -> Unit:
    return Unit(files(folder)[f"{UNIT_FOLDER}/{name}"])


def test_the_files_of_the_source_are_those_that_are_written() -> None:
    written = {("logrotate" if path == ROTATION else Path(path).name): text for path, text in files().items()}
    there = {path.name: path.read_text("ascii") for path in (CHECKOUT / "systemd").iterdir()}
    assert there == written


@pytest.mark.parametrize("path", sorted(files()))
def test_nothing_is_left_to_be_filled_in(path: str) -> None:
    assert re.findall(r"@[A-Z]+@", files()[path]) == []


@pytest.mark.parametrize("name", [*SERVICES, *SOCKETS])
def test_every_line_is_of_a_unit(name: str) -> None:
    for line in unit(name).text.splitlines():
        assert re.fullmatch(r"|#.*|\[(Unit|Service|Socket|Install)\]|[A-Z][A-Za-z]+=\S.*", line), line


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_started_exists(name: str) -> None:
    program, *words = shlex.split(unit(name).one("ExecStart"))
    assert program == f"{EXAMPLE_FOLDER}/twistd"
    command = [f"{HERE}/twistd", *words]
    assert command[-2:] == ["--config", unit(name).one("ConditionPathExists")]
    done = subprocess.run([*command, "--help"], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: twistd [options] revproxy" in done.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_promised_fits_the_proxy(name: str) -> None:
    said = unit(name)
    assert said.one("Type") == "notify"
    assert said.one("RestartPreventExitStatus") == str(UNUSABLE)
    assert parse_duration(said.one("TimeoutStopSec")) > Limits().drain_timeout
    assert parse_duration(said.one("WatchdogSec")) >= 4 * TICK
    assert int(said.one("LimitNOFILE")) >= 2 * Limits().connections
    assert said.one("AmbientCapabilities") == said.one("CapabilityBoundingSet") == "CAP_NET_BIND_SERVICE"
    # Where state_folder() looks.
    assert said.one("StateDirectory") in ("revproxy", "revproxy-%i")


@pytest.mark.parametrize("name", SERVICES)
def test_a_reload_asks_the_process_of_that_unit(name: str) -> None:
    said = unit(name)
    program, *words = shlex.split(said.one("ExecReload"))
    assert program == f"{EXAMPLE_FOLDER}/revproxy"
    assert words == ["reload", "--config", said.one("ConditionPathExists")]
    # The first folder where the process makes its socket, and one where the tools look for it.
    folder = f"/run/{said.one('RuntimeDirectory')}"
    assert folder == SYSTEM_FOLDER or fnmatch(folder, INSTANCES)
    done = subprocess.run([f"{HERE}/revproxy", *words, "--help"], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: revproxy reload ")


@pytest.mark.parametrize(("name", "socket"), [("http", "revproxy.socket"), ("https", "revproxy-tls.socket")])
def test_sockets_have_names_that_a_listener_can_say(name: str, socket: str) -> None:
    said = unit(socket)
    assert said.one("FileDescriptorName") == name
    assert parse_listener(f"systemd:{name}") == SystemdAddress(name)
    assert f'address = "systemd:{name}"' in said.text
    assert said.one("Service") in SERVICES


def test_rotation_is_told_by_the_signal_that_reopens() -> None:
    text = files()[ROTATION]
    assert "--signal=USR1" in text
    assert "/var/log/revproxy/" in text


def test_a_place_in_somebodys_home_stays_in_sight() -> None:
    for name in SERVICES:
        assert unit(name, "/home/me/venv/bin").one("ProtectHome") == "read-only"
        assert unit(name, "/homes/bin").one("ProtectHome") == "yes"


@pytest.mark.parametrize("folder", ["/tmp/x/bin", "/var/tmp/bin", "/opt/a b/bin", "/opt/100%/bin", "opt", '/a"'])
def test_places_that_a_unit_cannot_use(folder: str) -> None:
    with pytest.raises(ValueError, match="install into one like /opt/revproxy"):
        files(folder)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    # This checkout may lie where no service could see it.
    for path, text in files().items():
        target = tmp_path / Path(path).name
        target.write_text(text.replace(EXAMPLE_FOLDER, HERE), "utf-8")
    return tmp_path


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_nothing_wrong(written: Path) -> None:
    names = ["./revproxy.service", "./revproxy@one.service", "./revproxy.socket", "./revproxy-tls.socket"]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *names],
        cwd=written,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    # The machine's own units may have faults, too.
    assert [line for line in done.stderr.splitlines() if "revproxy" in line] == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_little_is_exposed(written: Path) -> None:
    """Of 10.0; docs/systemd.rst says what the rest is."""
    for name in ("./revproxy.service", "./revproxy@one.service"):
        done = subprocess.run(
            ["systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager", name],
            cwd=written,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr


# The tool.

Tool = Callable[..., int]


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    """Runs from an installation that every user can reach."""
    monkeypatch.setattr(sys, "executable", f"{EXAMPLE_FOLDER}/python")
    monkeypatch.setattr(install, "_obstacles", lambda folder: iter(()))
    return lambda *words: main(["install-systemd", "--root", str(tmp_path / "root"), *words])


def test_units_are_written(tool: Tool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tool() == 0
    for path, text in files().items():
        target = tmp_path / "root" / path[1:]
        assert target.read_text("ascii") == text
        assert target.stat().st_mode & 0o777 == 0o644
    assert capsys.readouterr().out.count(": written\n") == len(files())
    assert tool() == 0
    assert capsys.readouterr().out.count(": is there already\n") == len(files())
    assert not list(tmp_path.rglob("*.new"))


def test_what_somebody_changed_is_left_alone(tool: Tool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = tmp_path / "root" / UNIT_FOLDER[1:] / "revproxy.socket"
    changed.parent.mkdir(parents=True)
    changed.write_text("mine")
    assert tool() == 1
    assert capsys.readouterr().err == (
        f"revproxy: {changed}: there already and different; nothing was written (--force replaces them)\n"
    )
    assert [path for path in (tmp_path / "root").rglob("*") if path.is_file()] == [changed]
    assert changed.read_text() == "mine"
    assert tool("--force") == 0
    assert changed.read_text("ascii") == files()[f"{UNIT_FOLDER}/revproxy.socket"]


def test_a_dry_run_writes_nothing(tool: Tool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tool("--dry-run") == 0
    printed = capsys.readouterr().out
    for path, text in files().items():
        assert f"# {path}\n\n{text}" in printed
    assert not (tmp_path / "root").exists()


def test_only_root_writes_to_etc(
    tool: Tool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(path: Path, text: str) -> None:
        raise AssertionError(path)

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(install, "_write", never)
    assert main(["install-systemd"]) == 1
    assert "only root can write to /etc: run it with sudo, or see what it would write" in capsys.readouterr().err
    assert main(["install-systemd", "--dry-run"]) == 0


def test_a_folder_that_cannot_be_written(tool: Tool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "root").write_text("a file")
    assert tool() == 1
    assert re.fullmatch(r"revproxy: .*root/etc.*: Not a directory\n", capsys.readouterr().err)


def test_a_place_in_tmp_is_refused(
    tool: Tool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", "/tmp/venv/bin/python")
    assert tool() == 1
    assert "services don't see this folder" in capsys.readouterr().err


@pytest.mark.parametrize("obstacle", ["no twistd", "closed folder"])
def test_programs_that_the_service_could_not_start(
    obstacle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bin_folder = tmp_path / "venv" / "bin"
    bin_folder.mkdir(parents=True)
    if obstacle == "closed folder":
        (bin_folder / "twistd").touch()
        bin_folder.parent.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(bin_folder / "python"))
    monkeypatch.setattr(install, "files", lambda folder: files())
    words = ["install-systemd", "--root", str(tmp_path / "root")]
    assert main(words) == 1
    said = capsys.readouterr().err
    assert (
        "there is no twistd in" if obstacle == "no twistd" else f"can't go to {bin_folder.parent} (chmod o+x)"
    ) in said
    assert not (tmp_path / "root").exists()
    # What would be written can still be looked at.
    assert main([*words, "--dry-run"]) == 0
    assert said.splitlines()[0] in capsys.readouterr().err
