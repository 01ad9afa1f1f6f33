"""What happens to the proxy meanwhile: reloads, good and bad, killed workers, upgrades, a server that comes and goes."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from tests.live.support_backends import Program
from tests.live.support_process import free_port, until
from tests.live.support_proxy import Proxy

DRAIN: Final = 8.0
"""Seconds that exchanges in flight may take after an upgrade; nothing that the clients do lasts longer, but tunnels."""


class Site:
    """The configuration, in its versions: each reload changes a route, an upstream, a store, a limit, a listener."""

    def __init__(self, folder: Path, files: str, app: str, doubtful: str) -> None:
        self.file = folder / "soak.toml"
        self.version = 0
        self.ports = free_port(), free_port()
        self._extra = free_port()
        self._servers = files, app, doubtful

    def write(self, *, usable: bool = True) -> None:
        """The next version; one that can't be used ends with nonsense."""
        self.version += 1
        files, app, doubtful = self._servers
        number = self.version
        self.file.write_text(
            f"""
workers = 2
[[listener]]
address = "127.0.0.1:{self.ports[0]}"
[[listener]]
address = "127.0.0.1:{self.ports[1]}"
tls = true
{f'[[listener]]{chr(10)}address = "127.0.0.1:{self._extra}"' if number % 2 else ""}
[tls]
certificates = "certs"
[[site]]
hosts = ["*"]
[[site.route]]
path = "/"
proxy = "doubtful"
cache = {{ ttl = "{1 + number % 3}s" }}
response_headers = {{ set = {{ X-Version = "{number}" }} }}
[[site.route]]
path = "/plain"
proxy = "doubtful"
strip = true
[[site.route]]
path = "/app"
proxy = "app"
strip = true
[[site.route]]
path = "/files"
proxy = "files"
strip = true
[upstream.app]
servers = ["{app}"]
[upstream.files]
servers = ["{files}"]
connections = {100 + number % 2}
[upstream.doubtful]
servers = ["{files}", "{doubtful}"]
[cache]
memory = "{8 + number % 4}MiB"
[limits]
drain_timeout = "{DRAIN}s"
idle_timeout = "{30 + number % 5}s"
[access_log]
path = "off"
{"" if usable else "[nonsense]"}
"""
        )


class Disturbances:
    """Does them, and keeps count of what it did and when."""

    def __init__(self, proxy: Proxy, site: Site, folder: Path, doubtful: Program) -> None:
        self.proxy = proxy
        self.pids = [proxy.process.pid]
        """The masters; the last one is in charge."""
        self.done: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.kills: list[float] = []
        """Seconds of the monotonic clock."""
        self.upgrades: list[float] = []
        self._earlier = 0
        """How many configurations the process in charge can go back to."""
        self._site = site
        self._folder = folder
        self._doubtful = doubtful

    @property
    def pid(self) -> int:
        return self.pids[-1]

    def status(self) -> dict[str, Any]:
        return self.proxy.status(pid=self.pid)

    def reload(self) -> None:
        """Something else from now on."""
        self._site.write()
        code, told = self.proxy.order("POST", "/reload", {}, pid=self.pid)
        self._note("reloads", code, 200, told)
        self._earlier += 1

    def reload_nonsense(self) -> None:
        """Must change nothing."""
        self._site.write(usable=False)
        code, told = self.proxy.order("POST", "/reload", {}, pid=self.pid)
        self._note("refused reloads", code, 422, told)

    def roll_back(self) -> None:
        """To the configuration before, if there is one."""
        if not self._earlier:
            return
        self._earlier -= 1
        code, told = self.proxy.order("POST", "/rollback", {}, pid=self.pid)
        self._note("rollbacks", code, 200, told)

    def kill(self) -> None:
        """The second worker, without a warning; the first one lives on and shows what it gathers."""
        workers = self.status()["workers"]
        pid = workers[-1]["pid"]
        if len(workers) < 2 or not pid:
            return
        self.kills.append(time.monotonic())
        os.kill(pid, signal.SIGKILL)
        until(lambda: self.status()["workers"][-1]["pid"] not in (0, None, pid), "a worker in its place")
        self.done["killed workers"] += 1

    def upgrade(self) -> None:
        """A new process in place of all there are."""
        self._site.write()
        self.upgrades.append(time.monotonic())
        code, told = self.proxy.order("POST", "/upgrade", {}, pid=self.pid)
        self._note("upgrades", code, 200, told)
        self._earlier = 0
        if code == 200:
            self.pids.append(int(told["pid"]))

    def restart_server(self) -> None:
        """One server of the two that answer most requests is killed and comes back."""
        port = self._doubtful.port
        self._doubtful.kill()
        time.sleep(0.5)
        self._doubtful = Program("doubtful", "support_aiohttp_app", self._folder, str(port))
        self.done["restarted servers"] += 1

    def one(self, *, upgrades: bool) -> None:
        """Any of them, reloads more often than the others."""
        rare = [self.kill, self.restart_server, self.roll_back, self.reload_nonsense]
        if upgrades:
            rare.append(self.upgrade)
        random.choice([self.reload, self.reload, self.reload, *rare])()

    def end(self) -> None:
        """Ends the last process in order, and sees that none is left."""
        self._doubtful.kill()
        os.kill(self.pid, signal.SIGTERM)
        until(lambda: not any(os.path.exists(f"/proc/{pid}/exe") for pid in self.pids[1:]), "the last process to end")
        self.proxy.wait()

    def _note(self, what: str, code: int, wanted: int, told: object) -> None:
        self.done[what] += 1
        if code != wanted:
            self.wrong.append(f"{what}: {code} {told}"[:300])
