"""The page that shows a running proxy: one self-contained document, joined from its parts when first asked for.

The parts lie in ``page_parts/``: markup, style and scripts, each in a file of its own, and uPlot (MIT) for the charts
in ``page_parts/vendor/``. Joined, they need no other file and no other host. The Content-Security-Policy names the
hash of each piece, so that nothing else can run or style, whatever a client's request brings into the page; it stands
in the document too, for a server that forgets to send it.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from pathlib import Path
from typing import Final

PARTS: Final = Path(__file__).with_name("page_parts")
STYLES: Final = ("vendor/uPlot.min.css", "base.css", "panels.css", "requests.css")
SCRIPTS: Final = (
    "text.js",
    "elements.js",
    "link.js",
    "charts.js",
    "explanation.js",
    "trace.js",
    "requests.js",
    "servers.js",
    "orders.js",
    "main.js",
)
"""In the order in which they need each other."""


def page() -> bytes:
    """The whole document, UTF-8. Raises OSError where the installation lacks a part of it."""
    return _joined()[0]


def headers() -> tuple[tuple[bytes, bytes], ...]:
    """The fields that the document is to be served with."""
    # A frame could have somebody click here unknowingly: only the field can forbid it, the document itself can't.
    policy = f"{_joined()[1]}; frame-ancestors 'none'"
    return (
        (b"Content-Type", b"text/html; charset=utf-8"),
        (b"Content-Security-Policy", policy.encode("ascii")),
        (b"X-Content-Type-Options", b"nosniff"),
        (b"X-Frame-Options", b"DENY"),
        (b"Referrer-Policy", b"no-referrer"),
        (b"Cross-Origin-Opener-Policy", b"same-origin"),
        (b"Cross-Origin-Resource-Policy", b"same-origin"),
        (b"Cache-Control", b"no-store"),
    )


@functools.cache
def _joined() -> tuple[bytes, str]:
    """The document, and the policy that stands in it."""
    style = "".join(map(_part, STYLES))
    vendor = _part("vendor/uPlot.iife.min.js")
    # One function around all of it: no name of ours can be reached from elsewhere.
    script = '(() => {\n"use strict";\n' + "\n".join(map(_part, SCRIPTS)) + "})();\n"
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(vendor)} {_hash(script)}",
            f"style-src {_hash(style)}",
            "connect-src 'self'",
            "img-src data:",  # the icon in the document's head
            "form-action 'none'",
            "base-uri 'none'",
        )
    )
    text = _part("page.html")
    for name, piece in (("policy", policy), ("style", style), ("vendor", vendor), ("script", script)):
        before, mark, after = text.partition("{{" + name + "}}")
        assert mark, f"page.html has no place for its {name}"
        text = before + piece + after
    return text.encode("utf-8"), policy


def _part(name: str) -> str:
    return (PARTS / name).read_text("utf-8")


def _hash(text: str) -> str:
    """As Content Security Policy Level 3 §2.3.1 writes it; the browser hashes what stands between the tags."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"
