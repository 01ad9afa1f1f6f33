"""The man page says of every tool what it takes and how it ends, and nothing else; and it is well formed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from revproxy import cli
from revproxy.control import client, completion
from revproxy.tap import Options

PAGE = Path(__file__).resolve().parents[1] / "docs" / "revproxy.1"
TOOLS = {tool.name: tool for tool in completion.tools(cli._parser())}
COMMON = "Which proxy"


def parts(kind: str) -> dict[str, str]:
    """The sections (Sh) or subsections (Ss) of the page, by what they are called."""
    found: dict[str, str] = {}
    for line in PAGE.read_text("utf-8").splitlines(keepends=True):
        if line.startswith((f".{kind} ", ".Sh ")):
            name = line.split(" ", 1)[1].strip() if line.startswith(f".{kind} ") else ""
            found[name] = ""
        elif found:
            found[next(reversed(found))] += line
    return found


def options(text: str) -> list[str]:
    """The options that are described in a part of it."""
    described = re.findall(r"^\.It ((?:Fl .*)+)$", text, re.MULTILINE)
    return [f"-{name}" for line in described for name in re.findall(r"Fl (-?[\w-]+)(?= |$)", line)]


SUBSECTIONS = {name.split()[0] if name != COMMON else name: text for name, text in parts("Ss").items() if name}


def test_every_tool_is_there_and_no_other() -> None:
    assert set(SUBSECTIONS) - {"The", COMMON} == set(TOOLS)


@pytest.mark.parametrize("name", TOOLS)
def test_its_options_are_those_that_it_takes(name: str) -> None:
    described = options(SUBSECTIONS[name])
    if f".Sx {COMMON}" in SUBSECTIONS[name]:
        described += options(SUBSECTIONS[COMMON])
    taken = [each for option in TOOLS[name].options for each in option.names if each not in ("-h", "--help")]
    assert sorted(described) == sorted(taken)


def test_the_options_of_the_proxy_itself() -> None:
    taken = {f"--{name.rstrip('=')}" for name in Options().longOpt} - {"--help"}
    assert {each for each in options(SUBSECTIONS["The"]) if each.startswith("--")} == taken


def test_exit_codes() -> None:
    section = parts("Sh")["EXIT STATUS"]
    told = {int(code) for code in re.findall(r"^\.It Li (\d+)$", section, re.MULTILINE)}
    assert told == {cli.OK, client.FAILED, cli.UNUSABLE}


def test_what_a_tool_is_for_is_said_in_its_own_words() -> None:
    for name, tool in TOOLS.items():
        first = SUBSECTIONS[name].strip().splitlines()[0]
        assert first[0].isupper(), name
        assert first.split()[0].lower() == tool.help.split()[0], name


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_it_is_well_formed() -> None:
    done = subprocess.run(
        ["groff", "-ww", "-b", "-mandoc", "-Tascii", str(PAGE)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "REVPROXY(1)" in done.stdout
    widest = max(len(re.sub(r".\x08|\x1b\[\d*m", "", line)) for line in done.stdout.splitlines())
    assert widest <= 80
