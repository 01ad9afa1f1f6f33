"""What ``docs/coming-from.rst`` shows of other programs is what those programs take; ours is tested with all pages."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from textwrap import dedent

import pytest

from tests.certificates.making import make_root, pem_of
from tests.live.support_process import free_port

PAGE = Path(__file__).resolve().parents[1] / "docs" / "coming-from.rst"
LEAST = 12
"""Tasks that have to be there."""


def snippets(beginning: str) -> list[str]:
    text = PAGE.read_text("utf-8")
    found = re.findall(rf"^\.\. code-block:: {beginning}\n\n((?:    .*\n|\n)+)", text, re.MULTILINE)
    return [dedent(block).strip("\n") + "\n" for block in found]


NGINX, CADDY, OURS = snippets("nginx"), snippets("text\n    :class: caddy"), snippets("toml")


def program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The files that the configurations name."""
    root = make_root("somebody")
    leaf = root.issue("shop.example").pem
    key = leaf.index(b"-----BEGIN PRIVATE KEY")
    end = leaf.index(b"-----END PRIVATE KEY-----\n") + len(b"-----END PRIVATE KEY-----\n")
    folder = tmp_path / "certs"
    folder.mkdir()
    (folder / "shop.example.key").write_bytes(leaf[key:end])
    (folder / "shop.example.pem").write_bytes(leaf[:key] + leaf[end:])
    (folder / "clients.pem").write_bytes(pem_of(root.certificate))
    (tmp_path / "public").mkdir()
    return tmp_path


def test_every_task_is_shown_in_all_three() -> None:
    assert len(NGINX) == len(CADDY) == len(OURS) >= LEAST


@pytest.mark.parametrize("text", NGINX, ids=range(len(NGINX)))
def test_nginx_takes_it(text: str, files: Path) -> None:
    nginx = program("nginx")
    # It binds what it is to listen to, even where it only looks; ports below 1024 are not everybody's.
    text = re.sub(r"listen (?:127\.0\.0\.1:)?\d+", lambda _: f"listen 127.0.0.1:{free_port()}", text)
    text = text.replace("certs/", f"{files}/certs/").replace("alias public/", f"alias {files}/public/")
    text = text.replace("proxy_cache_path cache", f"proxy_cache_path {files}/cache")
    text = text.replace("access_log access.log", f"access_log {files}/access.log")
    file = files / "nginx.conf"
    temporary = " ".join(
        f"{name}_temp_path {files}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file.write_text(
        f"pid {files}/nginx.pid; error_log stderr; events {{}}\nhttp {{ access_log off; {temporary}\n{text}\n}}\n"
    )
    done = subprocess.run(
        [nginx, "-t", "-p", str(files), "-c", str(file), "-e", "stderr"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr.replace('[warn] the "user" directive', "")


@pytest.mark.parametrize("text", CADDY, ids=range(len(CADDY)))
def test_caddy_takes_it(text: str, files: Path) -> None:
    caddy = program("caddy")
    (files / "Caddyfile").write_text(text)
    homes = {name: str(files / "home") for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    done = subprocess.run(
        [caddy, "validate", "--config", "Caddyfile", "--adapter", "caddyfile"],
        capture_output=True,
        text=True,
        check=False,
        cwd=files,
        env={**os.environ, **homes},
    )
    assert done.returncode == 0, done.stderr
    assert "Valid configuration" in done.stdout + done.stderr
