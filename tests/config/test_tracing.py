"""The table [tracing]: what is right, what is not, and that what is secret stays so."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from revproxy.config.load import examine
from revproxy.config.masked import masked


def told(folder: Path, text: str) -> list[str]:
    file = folder / "a.toml"
    file.write_text(f'[[site]]\n[[site.route]]\nproxy = "http://127.0.0.1:1"\n[tracing]\n{text}\n')
    return [str(mistake) for mistake in examine(str(file)).mistakes]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sample_one_in = 0",
        'endpoint = "http://127.0.0.1:4318/v1/traces"',
        'endpoint = "https://collector.example/v1/traces"\nservice = "shop"\nheaders = { Authorization = "Bearer a" }',
    ],
)
def test_what_is_right(tmp_path: Path, text: str) -> None:
    assert told(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sample_one_in = -1", "sample_one_in"),
        ("sample = 1", 'unknown key "sample"'),
        ('endpoint = "127.0.0.1:4318"', 'a URL is expected, such as "http://127.0.0.1:4318/v1/traces"'),
        ('endpoint = "grpc://127.0.0.1:4317"', "a URL is expected"),
        ('endpoint = "http://"', "a URL is expected"),
        ('endpoint = "http://a:b/"', "a URL is expected"),
        ('endpoint = "http://a b/"', "a URL is expected"),
        ('endpoint = "http://me:secret@a/v1/traces"', "takes no name and password: set headers"),
        ('endpoint = "http://127.0.0.1:4318"', "has no path: collectors listen at /v1/traces"),
        ('headers = { A = "b" }', "has no effect without endpoint"),
        ('service = ""', "a name of printable characters"),
        ('endpoint = "http://a/v1/traces"\nheaders = { "A B" = "c" }', '"A B" is no name of a field'),
        ('endpoint = "http://a/v1/traces"\nheaders = { Host = "c" }', "Host can't be set: it is made here"),
        ('endpoint = "http://a/v1/traces"\nheaders = { A = "c\\n" }', "a.toml:6"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, said: str) -> None:
    mistakes = told(tmp_path, text)
    assert len(mistakes) == 1, mistakes
    assert said in mistakes[0]
    assert "secret" not in mistakes[0]


def test_the_package_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec

    def find(name: str, *more: Any) -> Any:
        return None if name.startswith("opentelemetry") else real(name, *more)

    monkeypatch.setattr("revproxy.config.checks.tracing.find_spec", find)
    assert told(tmp_path, "") == []
    (mistake,) = told(tmp_path, 'endpoint = "http://127.0.0.1:4318/v1/traces"')
    assert 'pip install "txrevproxy[otel]"' in mistake


def test_what_is_secret_stays_so(tmp_path: Path) -> None:
    text = 'endpoint = "http://a/v1/traces"\nheaders = { Authorization = "Bearer hush" }'
    assert told(tmp_path, text) == []
    config = examine(str(tmp_path / "a.toml")).config
    assert config is not None
    shown = masked(config)
    assert "hush" not in str(shown)
    assert shown["tracing"]["endpoint"] == "http://a/v1/traces"
