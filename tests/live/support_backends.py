"""Real backends as processes. All of them serve ``/hello.txt``; what else they do is in their programs."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.live.support_process import Child, free_port, python, until

if TYPE_CHECKING:
    from pathlib import Path

HELLO = b"hello from behind\n" * 100
_numbers = itertools.count(1)


class Backend(Child):
    """Something that listens and says on which port."""

    url: str
    port = 0


class Program(Backend):
    """A program of ours, started as a module, that prints ``listening on PORT`` (or a unix socket's path)."""

    def __init__(self, name: str, module: str, folder: Path, *arguments: str) -> None:
        super().__init__(
            f"{name}{next(_numbers)}", python("-m", f"tests.live.{module}", *arguments), folder / "backend"
        )
        where = self.wait_for(r"^listening on (\S+)$")[1]
        if where.isdigit():
            self.port = int(where)
            self.url = f"http://127.0.0.1:{where}"
        else:
            self.url = f"unix:{where}"


def flask_app(folder: Path) -> Backend:
    """A Flask application under waitress."""
    return Program("flask", "support_flask_app", folder)


def aiohttp_app(folder: Path, port: int = 0) -> Backend:
    """An aiohttp application."""
    return Program("aiohttp", "support_aiohttp_app", folder, str(port))


def unix_app(folder: Path) -> Backend:
    """The same aiohttp application on a unix socket."""
    folder.mkdir(parents=True, exist_ok=True)
    return Program("unix", "support_aiohttp_app", folder, f"{folder}/app.sock")


def websockets_echo(folder: Path) -> Backend:
    """A ``websockets`` server that sends messages back."""
    return Program("websockets", "support_websockets_echo", folder)


class HttpServer(Backend):
    """``python -m http.server``: HTTP/1.0, a connection per request."""

    def __init__(self, folder: Path) -> None:
        documents = folder / "documents"
        _write_documents(documents)
        super().__init__(
            f"http.server{next(_numbers)}",
            python("-m", "http.server", "--bind", "127.0.0.1", "--directory", documents, "0"),
            folder,
        )
        self.port = int(self.wait_for(r"port (\d+)")[1])
        self.url = f"http://127.0.0.1:{self.port}"


_NGINX = """
{user}daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; root {folder}/documents; {more} }}
}}
"""


class Nginx(Backend):
    """nginx with a folder of documents."""

    def __init__(self, folder: Path, more: str = "") -> None:
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if program is None:
            pytest.skip("nginx is not installed")
        _write_documents(folder / "documents")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        file = folder / "nginx.conf"
        # Its worker would change to a user that may not read a private folder.
        user = "user root root; " if os.geteuid() == 0 else ""
        file.write_text(_NGINX.format(user=user, folder=folder, port=self.port, more=more))
        super().__init__(f"nginx{next(_numbers)}", [program, "-p", folder, "-c", file, "-e", "stderr"], folder)
        until(lambda: not self.is_running or _is_open(self.port), "nginx to listen")
        assert self.is_running, self.output

    def __exit__(self, *_: object) -> None:
        # Its worker goes with the master only if the master may say so.
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _write_documents(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hello.txt").write_bytes(HELLO)
    (folder / "sub").mkdir(exist_ok=True)
    (folder / "sub" / "index.html").write_bytes(b"<p>sub</p>")
