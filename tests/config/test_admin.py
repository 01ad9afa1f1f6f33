"""[admin]: what is not open to everybody by accident."""

from __future__ import annotations

from pathlib import Path

import pytest

from revproxy.config.load import examine

SITE = '\n[[site]]\nhosts = ["*"]\n[[site.route]]\nproxy = "http://127.0.0.1:8000"\n'
TOKEN = "0123456789abcdef"


def told(folder: Path, text: str) -> list[tuple[str, bool]]:
    file = folder / "revproxy.toml"
    file.write_text(f"[admin]\n{text}\n{SITE}", "utf-8")
    for name in ("admin.pem", "ca.pem", "token"):
        (folder / name).write_text("", "utf-8")
    return [(str(mistake), mistake.warning) for mistake in examine(file).mistakes]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "requests = 0",
        f'listen = "127.0.0.1:9090"\ntoken = "{TOKEN}"',
        'listen = "[::1]:9090"\ntoken_file = "token"',
        'listen = ":9090"\ncertificate = "admin.pem"\nclient_ca = "ca.pem"',
        f'listen = "10.0.0.1:9090"\ncertificate = "admin.pem"\ntoken = "{TOKEN}"\nallowed_hosts = "admin.example"',
    ],
)
def test_what_is_right(tmp_path: Path, text: str) -> None:
    assert told(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('listen = "127.0.0.1:9090"', "anybody who can reach it could stop the proxy"),
        ('listen = "127.0.0.1:9090"\ncertificate = "admin.pem"', "anybody who can reach it"),
        ('listen = "127.0.0.1:9090"\ntoken = ""', "it has 0 characters: 16 are the least"),
        ('listen = "127.0.0.1:9090"\ntoken = "short"', "it has 5 characters"),
        ('listen = "127.0.0.1:9090"\ntoken = "with space and more"', "without spaces"),
        ('listen = "127.0.0.1:9090"\ntoken = "ünïcodeünïcodeünïcode"', "printable ASCII"),
        (f'listen = "127.0.0.1:9090"\ntoken = "{TOKEN}"\ntoken_file = "token"', "in a file: take one"),
        ('listen = "127.0.0.1:9090"\ntoken_file = "gone"', "there is no file"),
        ('listen = "127.0.0.1:9090"\nclient_ca = "ca.pem"', "set certificate as well"),
        (f'listen = "unix:/run/a.sock"\ntoken = "{TOKEN}"', "an address and a port"),
        (f'listen = "9090"\ntoken = "{TOKEN}"', "only a port"),
        (f'listen = ":8080"\ntoken = "{TOKEN}"\ncertificate = "admin.pem"', "is a public listener's address"),
        (f'listen = "127.0.0.1:1"\ntoken = "{TOKEN}"\nallowed_hosts = ["a/b"]', "no name that a Host field could hold"),
        ("requests = 1000000", "100000"),
        ("requests = -1", "0"),
        ("request = 7", 'did you mean "requests"'),
    ],
)
def test_mistakes(tmp_path: Path, text: str, said: str) -> None:
    mistakes = told(tmp_path, text)
    assert any(said in mistake and not warning for mistake, warning in mistakes), mistakes
    assert not any("with space and" in mistake or TOKEN in mistake for mistake, _ in mistakes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'token = "{TOKEN}"', "has no effect without listen"),
        (f'listen = ":9090"\ntoken = "{TOKEN}"', "in clear text"),
        (f'listen = "10.0.0.1:9090"\ntoken = "{TOKEN}"', "in clear text"),
    ],
)
def test_warnings(tmp_path: Path, text: str, said: str) -> None:
    ((mistake, warning),) = told(tmp_path, text)
    assert said in mistake
    assert warning
