"""The other proxies: how each is configured, with TLS where its place has a certificate, as a cache where told."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.certificate import INTERMEDIATE
from benchmarks.launching import Contestant, Launch, MissingError, Place, descriptors, first_line, need_library, program
from benchmarks.origin import command, nginx_frame

PROXIES = Path(__file__).resolve().parent / "proxies"


def nginx(place: Place, *, cache: bool = False) -> Launch:
    # The log's buffer makes nginx quicker than its default of a write per request; ours writes in batches,
    # too. A body of 16 KiB would just not fit into the default buffer and go through a file.
    listen, secure, store, stored = f"127.0.0.1:{place.listen} backlog=4096", "", "", ""
    if place.certificate is not None:
        listen += " ssl"
        secure = f"""
        ssl_certificate {place.certificate.chain};
        ssl_certificate_key {place.certificate.key};
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_ciphers {INTERMEDIATE};
        ssl_prefer_server_ciphers off;
        ssl_ecdh_curve X25519:prime256v1:secp384r1;
        ssl_session_cache shared:clients:16m;
        ssl_session_timeout 1d;"""
    if cache:
        # Without the cache of open files, each hit opens and closes its file.
        store = f"""
    proxy_cache_path {place.folder}/cache levels=1:2 keys_zone=store:64m max_size=1g inactive=1d use_temp_path=off;
    open_file_cache max=10000 inactive=1h;
    open_file_cache_valid 1h;"""
        stored = "\n            proxy_cache store;"
    http = f"""
    access_log {place.folder}/access.log combined buffer=64k flush=1s;
    client_body_buffer_size 32k;{store}
    upstream origin {{
        server 127.0.0.1:{place.origin};
        keepalive 1024;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {listen};{secure}
        location / {{
            proxy_pass http://origin;{stored}
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


def haproxy(place: Place, *, cache: bool = False) -> Launch:
    # Two descriptors a connection, and some to spare; HAProxy refuses to start with a larger maxconn.
    maxconn = min(16000, (descriptors() - 200) // 2)
    bind, secure, scheme, store, use, keep = f"127.0.0.1:{place.listen} backlog 4096", "", "http", "", "", ""
    if place.certificate is not None:
        bind += f" ssl crt {place.certificate.both}"
        scheme = "https"
        secure = f"""
    ssl-default-bind-options ssl-min-ver TLSv1.2
    ssl-default-bind-ciphers {INTERMEDIATE}
    ssl-default-bind-curves X25519:P-256:P-384"""
    if cache:
        store = """cache store
    total-max-size 256
    max-object-size 1048576
    max-age 3600
    process-vary on"""
        use = "\n    filter cache store\n    http-request cache-use store"
        keep = "\n    http-response cache-store store"
    path = place.folder / "haproxy.cfg"
    path.write_text(
        f"""
global
    nbthread 1
    maxconn {maxconn}
    log stdout format raw local0 info{secure}
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
{store}
frontend clients
    bind {bind}{use}
    http-request set-header X-Forwarded-Proto {scheme}
    http-request set-header X-Forwarded-Host %[req.hdr(Host)]
    default_backend origin
backend origin{keep}
    server one 127.0.0.1:{place.origin}
"""
    )
    return Launch((program("haproxy"), "-db", "-f", str(path)))


def haproxy_version() -> str:
    return first_line(program("haproxy"), "-v").partition(" - ")[0].replace(" version", "")


def caddy(place: Place) -> Launch:
    path = place.folder / "Caddyfile"
    scheme, secure = "http", ""
    if place.certificate is not None:
        scheme, secure = "https", f"\n    tls {place.certificate.chain} {place.certificate.key}"
    path.write_text(
        f"""
{{
    admin off
    auto_https off
    grace_period 1s
    default_sni localhost
}}
{scheme}://:{place.listen} {{
    bind 127.0.0.1{secure}
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


def caddy_version() -> str:
    return "Caddy " + first_line(program("caddy"), "version")


def varnish(place: Place) -> Launch:
    varnishd, logger = program("varnishd"), program("varnishncsa")
    # Requests with a cookie go past Varnish until it is told that they need not.
    path = place.folder / "cache.vcl"
    path.write_text(
        f"""
vcl 4.1;
backend origin {{
    .host = "127.0.0.1";
    .port = "{place.origin}";
}}
sub vcl_recv {{
    unset req.http.Cookie;
}}
"""
    )
    # The log is written by a program of its own, which waits until there is something to read from.
    folder = place.folder / "varnish"
    log = f"{logger} -n {folder} -t 20 -w {place.folder}/access.log"
    serve = (
        f"{varnishd} -F -j none -n {folder} -a 127.0.0.1:{place.listen} -f {path} -s malloc,256m -T none"
        " -p thread_pools=1 -p listen_depth=4096 -p timeout_idle=120"
    )
    return Launch(("/bin/sh", "-c", f"{log} & exec {serve}"))


def varnish_version() -> str:
    return first_line(program("varnishd"), "-V").partition(" (")[2].partition(" revision")[0].replace("-", " ")


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
