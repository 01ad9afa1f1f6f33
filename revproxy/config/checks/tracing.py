"""Tracing: where spans go, and what it takes to send them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from urllib.parse import urlsplit

from revproxy.config.checks.fields import check_field
from revproxy.config.mistakes import Mistake, Path
from revproxy.config.model import Config

_MADE_HERE = frozenset({"content-type", "content-length", "host", "connection", "transfer-encoding"})


def check_tracing(config: Config) -> Iterator[Mistake]:
    """Mistakes in ``[tracing]``."""
    options = config.tracing
    if options is None:
        return
    path: Path = ("tracing", "endpoint")
    if options.endpoint is None:
        if options.headers:
            text = "has no effect without endpoint: nothing is sent"
            yield Mistake(path=("tracing", "headers"), text=text, related=(path,), warning=True)
    else:
        yield from _check_endpoint(options.endpoint, path)
        if find_spec("opentelemetry") is None or find_spec("google.protobuf") is None:
            text = 'the package that spans are written with is missing: pip install "txrevproxy[otel]"'
            yield Mistake(path=path, text=text)
    if not options.service or not options.service.isprintable():
        yield Mistake(path=("tracing", "service"), text="a name of printable characters is expected")
    for name, value in options.headers:
        here: Path = ("tracing", "headers", name)
        if name.lower() in _MADE_HERE:
            yield Mistake(path=here, text=f"{name} can't be set: it is made here")
        else:
            yield from check_field(name, value, here)


def _check_endpoint(url: str, path: Path) -> Iterator[Mistake]:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and url.isascii() and url.isprintable()
        usable = usable and " " not in url and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        text = 'a URL is expected, such as "http://127.0.0.1:4318/v1/traces"'
        yield Mistake(path=path, text=text)
    elif parts.username is not None:
        yield Mistake(path=path, text="takes no name and password: set headers")
    elif parts.path in ("", "/"):
        text = "has no path: collectors listen at /v1/traces"
        yield Mistake(path=path, text=text, warning=True)
