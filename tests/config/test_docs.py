"""The examples in the documentation are files that can be used."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest

from revproxy.config.load import examine

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.rst").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return [dedent(found) for found in re.findall(rf"\.\. code-block:: {language}\n\n((?:    .*\n|\n)+)", PAGE)]


@pytest.mark.parametrize(
    ("text", "name"), [(text, "a.toml") for text in blocks("toml")] + [(text, "a.py") for text in blocks("python")]
)
def test_examples(text: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert examine(tmp_path / name).mistakes == ()


def test_there_are_examples() -> None:
    assert len(blocks("toml")) == 9
    assert len(blocks("python")) == 1


def test_the_mistakes_shown_are_those_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("site.toml").write_text(
        '[[site]]\n[[site.route]]\nproxy = "asets"\npath = "/%61dmin"\n'
        '[upstream.assets]\nservers = ["http://a"]\nconect_timeout = 5\n'
    )
    shown = re.findall(r"^    (site\.toml:\d.*)$", PAGE, re.MULTILINE)
    assert [str(mistake) for mistake in examine("site.toml").mistakes] == shown
