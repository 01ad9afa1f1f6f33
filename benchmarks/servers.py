"""The proxies that are measured: how each is configured and started, and whether it can be at all."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import attrs

from benchmarks.origin import command, find_program, nginx_frame

CHECKOUT = Path(__file__).resolve().parent.parent
PROXIES = Path(__file__).resolve().parent / "proxies"


class MissingError(Exception):
    """This proxy cannot be started here; the text says what is not there."""


@attrs.frozen
class Place:
    """Where a proxy is to stand."""

    folder: Path
    """Its own, empty; its configuration and its access log go there."""
    listen: int
    origin: int


@attrs.frozen
class Launch:
    """What is to be run."""

    argv: tuple[str, ...]
    env: dict[str, str] = attrs.field(factory=dict)
    cwd: Path | None = None


@attrs.frozen
class Contestant:
    """A proxy that can be measured."""

    name: str
    title: str
    prepare: Callable[[Place], Launch]
    version: Callable[[], str]
    share: float = 1.0
    """The part of all rounds that it takes part in: enough to place one that is not steered by."""
    idle: bool = True
    """Whether its memory per idle connection is measured."""


def descriptors() -> int:
    """How many files a program that we start may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def program(name: str) -> str:
    path = find_program(name)
    if path is None:
        raise MissingError(f"{name} is not installed")
    return path


def first_line(*argv: str) -> str:
    """The first line that a program prints, on whichever stream."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
    return (done.stdout + done.stderr).strip().partition("\n")[0]


def need_library(*names: str) -> None:
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise MissingError(f'the library "{name}" is not installed (pip install ".[bench]")')


def library_versions(*names: str) -> Callable[[], str]:
    return lambda: ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)


def nginx(place: Place) -> Launch:
    # The log's buffer makes nginx quicker than its default of a write per request; ours writes in batches,
    # too. A body of 16 KiB would just not fit into the default buffer and go through a file.
    http = f"""
    access_log {place.folder}/access.log combined buffer=64k flush=1s;
    client_body_buffer_size 32k;
    upstream origin {{
        server 127.0.0.1:{place.origin};
        keepalive 1024;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{place.listen} backlog=4096;
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
        }}
    }}
"""
    path = place.folder / "nginx.conf"
    path.write_text(nginx_frame(place.folder, http))
    return Launch(command(program("nginx"), path))


def nginx_version() -> str:
    return first_line(program("nginx"), "-v").removeprefix("nginx version: ")


def haproxy(place: Place) -> Launch:
    # Two descriptors a connection, and some to spare; HAProxy refuses to start with a larger maxconn.
    maxconn = min(16000, (descriptors() - 200) // 2)
    path = place.folder / "haproxy.cfg"
    path.write_text(
        f"""
global
    nbthread 1
    maxconn {maxconn}
    log stdout format raw local0 info
defaults
    mode http
    log global
    option httplog
    option forwardfor
    http-reuse always
    timeout connect 5s
    timeout client 120s
    timeout server 120s
    timeout http-keep-alive 120s
frontend clients
    bind 127.0.0.1:{place.listen} backlog 4096
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Host %[req.hdr(Host)]
    default_backend origin
backend origin
    server one 127.0.0.1:{place.origin}
"""
    )
    return Launch((program("haproxy"), "-db", "-f", str(path)))


def haproxy_version() -> str:
    return first_line(program("haproxy"), "-v").partition(" - ")[0].replace(" version", "")


def caddy(place: Place) -> Launch:
    path = place.folder / "Caddyfile"
    path.write_text(
        f"""
{{
    admin off
    auto_https off
    grace_period 1s
}}
http://:{place.listen} {{
    bind 127.0.0.1
    log {{
        output file {place.folder}/access.log
    }}
    reverse_proxy 127.0.0.1:{place.origin} {{
        transport http {{
            keepalive 120s
            keepalive_idle_conns_per_host 1024
        }}
    }}
}}
"""
    )
    home = str(place.folder)
    env = {"GOMAXPROCS": "1", "HOME": home, "XDG_DATA_HOME": home, "XDG_CONFIG_HOME": home}
    return Launch((program("caddy"), "run", "--adapter", "caddyfile", "--config", str(path)), env=env)


def twistd() -> str:
    return str(Path(sys.executable).with_name("twistd"))


def ours_environment() -> dict[str, str]:
    """What makes ``twistd`` find the plugin of this checkout, installed or not."""
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(CHECKOUT), os.environ.get("PYTHONPATH", ""))))}


def ours(place: Place) -> Launch:
    env = ours_environment()
    try:
        asked = subprocess.run(
            (twistd(), "revproxy", "--help"),
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            cwd=CHECKOUT,
            env={**os.environ, **env},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingError(f'"twistd revproxy --help" cannot be run: {error}') from None
    if asked.returncode != 0 or "--config" not in asked.stdout:
        said = (asked.stderr.strip() or asked.stdout.strip()).splitlines()[-1:]
        raise MissingError('"twistd revproxy --help" fails: ' + "".join(said))
    path = place.folder / "revproxy.toml"
    # All load comes from one address and on few connections; only what counts those is raised.
    path.write_text(
        f"""
[[listener]]
address = "127.0.0.1:{place.listen}"

[limits]
connections = 20000
connections_per_address = 20000
requests_per_connection = 1000000000

[access_log]
path = "{place.folder}/access.log"

[[site]]
hosts = ["*"]

  [[site.route]]
  path = "/"
  proxy = "origin"

[upstream.origin]
servers = ["http://127.0.0.1:{place.origin}"]
connections_per_server = 1024
idle_connections = 1024
"""
    )
    return Launch((twistd(), "-n", "--pidfile=", "revproxy", "--config", str(path)), env=env, cwd=CHECKOUT)


def ours_version() -> str:
    import revproxy._version

    return f"revproxy {revproxy._version.VERSION}, Python {sys.version.partition(' ')[0]}"


def python_proxy(file: str, *libraries: str) -> Callable[[Place], Launch]:
    """One of the small programs in ``proxies/``."""

    def prepare(place: Place) -> Launch:
        need_library(*libraries)
        script = str(PROXIES / file)
        log = str(place.folder / "access.log")
        return Launch((sys.executable, script, str(place.listen), str(place.origin), log), cwd=place.folder)

    return prepare


def prototype(path: Path) -> Contestant:
    """A sketch that is started as ``python PATH LISTEN_PORT ORIGIN_PORT none ACCESS_LOG``."""

    def prepare(place: Place) -> Launch:
        if not path.is_file():
            raise MissingError(f"there is no file {path}")
        log = str(place.folder / "access.log")
        return Launch(
            (sys.executable, str(path.resolve()), str(place.listen), str(place.origin), "none", log)
        )

    return Contestant("prototype", "prototype", prepare, lambda: path.name)


CONTESTANTS: tuple[Contestant, ...] = (
    Contestant("nginx", "nginx proxy_pass", nginx, nginx_version),
    Contestant("ours", "revproxy", ours, ours_version),
    Contestant("haproxy", "HAProxy", haproxy, haproxy_version, share=0.3),
    Contestant(
        "caddy", "Caddy", caddy, lambda: "Caddy " + first_line(program("caddy"), "version"), share=0.3
    ),
    Contestant(
        "twisted",
        "Twisted's ReverseProxyResource",
        python_proxy("twisted_site.py", "twisted"),
        library_versions("twisted"),
        share=0.2,
    ),
    Contestant(
        "aiohttp",
        "aiohttp",
        python_proxy("aiohttp_proxy.py", "aiohttp"),
        library_versions("aiohttp"),
        share=0.2,
    ),
    Contestant(
        "flask",
        "Flask + requests",
        python_proxy("flask_proxy.py", "flask", "requests"),
        library_versions("flask", "requests"),
        share=0.1,
        idle=False,
    ),
    Contestant(
        "stdlib",
        "http.server + http.client",
        python_proxy("stdlib_proxy.py"),
        lambda: f"Python {sys.version.partition(' ')[0]}",
        share=0.1,
        idle=False,
    ),
)
