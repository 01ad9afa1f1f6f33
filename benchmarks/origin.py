"""The origin behind every proxy: nginx with one worker, static answers, keep-alive, no log."""

from __future__ import annotations

import http.client
import os
import re
import shutil
from pathlib import Path

from benchmarks import scenarios

STATUS = "/origin-status"
SBIN = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin", "/sbin"))


def find_program(name: str) -> str | None:
    """A program's path; distributions keep servers in folders that are not on everybody's PATH."""
    return shutil.which(name, path=SBIN)


def nginx_frame(folder: Path, http: str) -> str:
    """A whole nginx configuration, one worker, that keeps all its files in ``folder``."""
    # As root, nginx would drop to a user that cannot read a private temporary folder.
    user = "user root;" if os.geteuid() == 0 else ""
    return f"""
daemon off;
worker_processes 1;
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 16384; }}
http {{
    client_body_temp_path {folder}/client_body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    # Not tcp_nopush: with it, the last segment of an answer from a file waits for an acknowledgement, and the client
    # puts that off for 40 ms.
    sendfile on;
    # The default of 1,000 would close a connection every few milliseconds under this load.
    keepalive_requests 1000000000;
    keepalive_timeout 300s;
{http}
}}
"""


def write_site(folder: Path, port: int) -> Path:
    """Write the origin's files and configuration into ``folder``; the configuration's path."""
    files = folder / "files"
    files.mkdir()
    (files / "64k").write_bytes(scenarios.MEDIUM)
    (files / "kept").mkdir()
    (files / "kept" / "64k").write_bytes(scenarios.MEDIUM)
    (files / "10m").write_bytes(scenarios.LARGE)
    # nginx's own variable holds the raw target, so that the answer of each URL is its own. A string of the
    # configuration may have no more than 4,096 octets, which is enough for 1 KiB.
    page = "$request_uri\n" + scenarios.page_body(scenarios.page_target(0)).decode().partition("\n")[2]
    small = scenarios.SMALL.decode()
    upload = "$request_method $content_length\n"
    http = f"""
    access_log off;
    open_file_cache max=16 inactive=3600s;
    open_file_cache_valid 3600s;
    default_type application/octet-stream;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {files};
        location = /1k {{ default_type text/plain; return 200 "{small}"; }}
        location = /never {{
            default_type text/plain;
            add_header Cache-Control no-store;
            return 200 "{small}";
        }}
        location = /kept/1k {{
            default_type text/plain;
            add_header Cache-Control max-age=3600;
            return 200 "{small}";
        }}
        location = /kept/64k {{ add_header Cache-Control max-age=3600; }}
        location {scenarios.KEPT} {{
            default_type text/html;
            add_header Cache-Control max-age=3600;
            add_header X-Content-Type-Options nosniff;
            return 200 "{page}";
        }}
        location = {STATUS} {{ stub_status; }}
        location = /upload {{ default_type text/plain; return 200 "{upload}"; }}
        location /shop/ {{
            default_type text/html;
            add_header Cache-Control "private, no-cache";
            add_header Vary "Accept-Encoding, Cookie";
            add_header X-Content-Type-Options nosniff;
            add_header Set-Cookie "seen=1; Path=/; HttpOnly";
            return 200 "{page}";
        }}
    }}
"""
    path = folder / "origin.conf"
    path.write_text(nginx_frame(folder, http))
    return path


def parse_requests(text: str) -> int:
    """How many requests nginx has had, from what ``stub_status`` says: this one is among them."""
    match = re.search(r"^\s*\d+\s+\d+\s+(\d+)\s*$", text, re.MULTILINE)
    if match is None:
        raise ValueError(f"not the status of nginx: {text!r}")
    return int(match[1])


def requests(port: int) -> int:
    """How many requests the origin on this port has had, this one among them. Raises OSError, ValueError."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", STATUS)
        return parse_requests(connection.getresponse().read().decode("latin-1"))
    except http.client.HTTPException as error:
        raise OSError(f"the origin's status cannot be read: {error}") from None
    finally:
        connection.close()


def command(nginx: str, configuration: Path) -> tuple[str, ...]:
    return (nginx, "-p", str(configuration.parent), "-c", str(configuration))
