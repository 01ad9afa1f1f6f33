"""A shop and its API behind a proxy of two workers, with visitors: what the page and the terminal tools are shown on."""

from __future__ import annotations

import itertools
import random
import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from tests.certificates.making import make_root, pem_of
from tests.live.support_backends import Nginx
from tests.live.support_client import RawClient
from tests.live.support_process import Child, free_port, until
from tests.live.support_proxy import REVPROXY, Proxy

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

API, SHOP = "api.example.com", "shop.example.com"

# limit_rate makes some answers take long, and costs nobody a processor.
_PLACES = """
    listen 127.0.0.1:{second}; listen 127.0.0.1:{third};
    location / {{ default_type text/html; return 200 "<h1>A shop</h1>"; }}
    location /v1/ {{ default_type application/json; return 200 '{{"items": [1, 2, 3]}}'; }}
    location /v1/reports/ {{ root {folder}; try_files /report.json =404; limit_rate 100k; output_buffers 1 4k; }}
    location /v1/orders/0 {{ default_type application/json; return 404 '{{"error": "no such order"}}'; }}
    location /v1/import {{ return 503; }}
    location /static/ {{ root {folder}; try_files /picture.bin =404; add_header Cache-Control "max-age=60"; }}
    location /old {{ return 301 /; }}
"""

_CONFIG = """\
workers = {workers}

[[listener]]
address = "127.0.0.1:{port}"

[[listener]]
address = "127.0.0.1:{tls_port}"
tls = true

[tls]
certificates = "certs"

[[site]]
hosts = ["shop.example.com", "www.shop.example.com"]

  [[site.route]]
  path = "/static/"
  proxy = "shop"
  cache = true

  [[site.route]]
  path = "/"
  proxy = "shop"

[[site]]
hosts = ["api.example.com"]

  [[site.route]]
  path = "/v1/"
  proxy = "api"

[upstream.shop]
servers = ["{first}"]

[upstream.api]
servers = ["{second}", {{ url = "{third}", weight = 2 }}, "{dead}"]

[access_log]
path = "off"
{more}"""

VISITS: tuple[tuple[int, str, str, Callable[[int], str]], ...] = (
    (12, SHOP, "GET", lambda n: f"/static/img/{n % 40}.webp"),
    (3, SHOP, "GET", lambda n: f"/products/{n % 90}"),
    (1, SHOP, "GET", lambda n: "/"),
    (1, SHOP, "GET", lambda n: "/old"),
    (7, API, "GET", lambda n: f"/v1/products?page={n % 9 + 1}"),
    (2, API, "POST", lambda n: "/v1/cart"),
    (2, API, "GET", lambda n: f"/v1/reports/{n % 12 + 1}"),
    (1, API, "GET", lambda n: f"/v1/orders/0{n % 90}"),
    (1, API, "GET", lambda n: "/wp-login.php"),
)
"""How often, the host, the method, and the target by a number."""


class Shop:
    """The proxy and its servers, running; a context manager.

    :param days: how long the certificates last, by name.
    :param more: the end of the configuration.
    """

    def __init__(self, folder: Path, *, workers: int = 2, days: dict[str, float] | None = None, more: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "files").mkdir()
        (folder / "files" / "report.json").write_bytes(b"1" * 10_900)
        (folder / "files" / "picture.bin").write_bytes(bytes(range(256)) * 30)
        second, third, self.dead = free_port(), free_port(), free_port()
        self.server = Nginx(folder / "nginx", _PLACES.format(second=second, third=third, folder=folder / "files"))
        self.first, self.second, self.third, dead = (
            f"http://127.0.0.1:{port}" for port in (self.server.port, second, third, self.dead)
        )
        root = make_root("an authority")
        (folder / "certs").mkdir()
        for name, left in (days or {SHOP: 61.5, API: 11.5}).items():
            (folder / "certs" / f"{name}.pem").write_bytes(root.issue(name, days=left).pem + pem_of(root.certificate))
        self.port, self.tls_port = free_port(), free_port()
        self.text = _CONFIG.format(
            workers=workers,
            port=self.port,
            tls_port=self.tls_port,
            first=self.first,
            second=self.second,
            third=self.third,
            dead=dead,
            more=more,
        )
        self.folder = folder
        # One for all that are started: the tools look there.
        self.runtime = Path(tempfile.mkdtemp(prefix="rp"))
        self.proxy = self.start()

    def tool(self, *words: str) -> Child:
        """One of the ``revproxy`` tools, running; it finds the proxy by itself."""
        return Child(words[0], [REVPROXY, *words], self.folder / words[0], variables=self.variables)

    @property
    def variables(self) -> dict[str, str]:
        """Of the environment in which the tools find the proxy."""
        return {"RUNTIME_DIRECTORY": str(self.runtime)}

    def start(self) -> Proxy:
        """The proxy, once all its workers serve; a new one where the one before has ended."""
        self.proxy = Proxy.configured(self.folder, self.text, listen=False, runtime=self.runtime)
        until(lambda: self.proxy.order("GET", "/readyz")[0] == 200, "all workers to serve")
        return self.proxy

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.proxy.is_running:
            self.proxy.end()
        self.proxy.__exit__(None, None, None)
        shutil.rmtree(self.runtime, ignore_errors=True)
        self.server.__exit__(None, None, None)


class Visitors:
    """Some who ask for this and that, each on a connection of its own, at a pace.

    :param pause: seconds between two requests of one visitor.
    """

    def __init__(self, port: int, *, number: int = 3, pause: float = 0.02, seed: int = 7) -> None:
        self.answered = 0
        self._port = port
        self._pause = pause
        self._enough = threading.Event()
        self._numbers = itertools.count()
        self._seed = seed
        self._threads = [threading.Thread(target=self._run, args=(each,)) for each in range(number)]

    def _run(self, number: int) -> None:
        chance = random.Random(self._seed + number)
        weights = [often for often, *_ in VISITS]
        client: RawClient | None = None
        while not self._enough.wait(self._pause * chance.uniform(0.3, 1.7)):
            (_, host, method, target), count = chance.choices(VISITS, weights)[0], chance.randrange(1000)
            try:
                client = client or RawClient(self._port)
                answer = client.ask(method, target(count), "User-Agent: visitor/1.0", host=host)
                self.answered += 1
                if answer.get("Connection") == "close":
                    raise EOFError
            except (OSError, AssertionError, EOFError):
                if client is not None:
                    client.close()
                client = None
        if client is not None:
            client.close()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()
