"""The units for systemd, and the snippet for logrotate, as texts for one installation.

The files in ``systemd/`` of the source are these texts for an installation in ``/opt/revproxy``.
"""

from __future__ import annotations

import re
from typing import Final

EXAMPLE_FOLDER: Final = "/opt/revproxy/bin"
"""Where the programs are in the files of the source."""
UNIT_FOLDER: Final = "/etc/systemd/system"
ROTATION: Final = "/etc/logrotate.d/revproxy"

_SERVICE: Final = """\
# Written by "revproxy install-systemd". Change it by "systemctl edit NAME", which keeps what is changed apart.

[Unit]
Description=@DESCRIPTION@
After=network-online.target nss-lookup.target
Wants=network-online.target
ConditionPathExists=@CONFIG@

[Service]
Type=notify
NotifyAccess=main
ExecStart=@BIN@/twistd -n --pidfile= revproxy --config @CONFIG@
# It waits until all is done, and fails where the configuration can't be used; then nothing has changed.
ExecReload=@BIN@/revproxy reload --config @CONFIG@
Restart=on-failure
RestartSec=1s
# 2: the configuration can't be used, which a second attempt won't change.
RestartPreventExitStatus=2
# limits.drain_timeout is 10 s; a longer one asks systemd for more time when it stops.
TimeoutStopSec=20s
KillMode=mixed
WatchdogSec=30s
# Two for each connection of a client: its own and one to a server.
LimitNOFILE=65536

# Certificates and keys that only root can read: "systemctl edit" and a line each,
#     LoadCredential=example.com.pem:/etc/ssl/private/example.com.pem
# and in the configuration  tls.certificates = "/run/credentials/@UNIT@".

# A user that exists while the service runs; what it keeps is found again in /var/lib, /var/cache and /var/log.
DynamicUser=yes
StateDirectory=@DIRECTORY@
StateDirectoryMode=0700
CacheDirectory=@DIRECTORY@
CacheDirectoryMode=0700
LogsDirectory=@DIRECTORY@
RuntimeDirectory=@DIRECTORY@
WorkingDirectory=/var/lib/@DIRECTORY@
UMask=0077

# Ports below 1024. With sockets from systemd it needs neither (then also: PrivateUsers=yes).
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE

NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=@HOME@
PrivateTmp=yes
PrivateDevices=yes
PrivateIPC=yes
PrivateMounts=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
RemoveIPC=yes
KeyringMode=private
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
# AF_NETLINK: the system's resolver asks which addresses this machine has.
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
# Not MemoryDenyWriteExecute=yes: OpenSSL's callbacks into Python are code that is written at run time.

[Install]
WantedBy=multi-user.target
"""

_SOCKET: Final = """\
# Written by "revproxy install-systemd". Change it by "systemctl edit @UNIT@".
# The configuration says  address = "systemd:@NAME@"@TLS@  for it.

[Unit]
Description=revproxy, @SCHEME@

[Socket]
ListenStream=@PORT@
FileDescriptorName=@NAME@
Service=revproxy.service
Backlog=4096
NoDelay=yes

[Install]
WantedBy=sockets.target
"""

_LOGROTATE: Final = """\
# Written by "revproxy install-systemd". For  access_log.path = "/var/log/revproxy/access.log".
/var/log/revproxy/*.log /var/log/revproxy-*/*.log {
    daily
    rotate 14
    compress
    delaycompress
    missingok
    notifempty
    create
    sharedscripts
    postrotate
        systemctl kill --signal=USR1 'revproxy.service' 'revproxy@*.service' || true
    endscript
}
"""

_SAFE: Final = re.compile(r"/[A-Za-z0-9._+@/-]*")


def files(folder: str = EXAMPLE_FOLDER) -> dict[str, str]:
    """Every file by its path, for programs in ``folder``. Raises ValueError where a unit can't start them there."""
    if not _SAFE.fullmatch(folder):
        raise ValueError(f"{folder}: a unit can't name a folder with such letters; install into one like /opt/revproxy")
    if _is_below(folder, "/tmp") or _is_below(folder, "/var/tmp"):
        raise ValueError(f"{folder}: services don't see this folder (PrivateTmp=); install into one like /opt/revproxy")
    home = any(_is_below(folder, place) for place in ("/home", "/root", "/run/user"))
    common = {"BIN": folder, "HOME": "read-only" if home else "yes"}
    return {
        f"{UNIT_FOLDER}/revproxy.service": _filled(
            _SERVICE,
            common,
            UNIT="revproxy.service",
            DESCRIPTION="revproxy, a reverse proxy",
            CONFIG="/etc/revproxy/revproxy.toml",
            DIRECTORY="revproxy",
        ),
        f"{UNIT_FOLDER}/revproxy@.service": _filled(
            _SERVICE,
            common,
            UNIT="revproxy@NAME.service",
            DESCRIPTION="revproxy, a reverse proxy (%i)",
            CONFIG="/etc/revproxy/%i.toml",
            DIRECTORY="revproxy-%i",
        ),
        f"{UNIT_FOLDER}/revproxy.socket": _filled(
            _SOCKET, UNIT="revproxy.socket", NAME="http", TLS="", SCHEME="http://", PORT="80"
        ),
        f"{UNIT_FOLDER}/revproxy-tls.socket": _filled(
            _SOCKET,
            UNIT="revproxy-tls.socket",
            NAME="https",
            TLS="  and  tls = true",
            SCHEME="https://",
            PORT="443",
        ),
        ROTATION: _LOGROTATE,
    }


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _filled(text: str, values: dict[str, str] | None = None, **more: str) -> str:
    for name, value in ((values or {}) | more).items():
        text = text.replace(f"@{name}@", value)
    return text
