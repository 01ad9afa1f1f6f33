"""``revproxy explain`` without a file: the running proxy explains."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

from revproxy.control.client import Admin, Refused, Unreachable
from revproxy.control.paint import Look

OK: Final = 0
FAILED: Final = 1
UNUSABLE: Final = 2
_ID: Final = re.compile(r"[A-Za-z0-9_-]{8,256}")
_OFFLINE: Final = ("fetch", "response", "response_header", "status")


def run(arguments: argparse.Namespace, find: Callable[[], Admin]) -> int:
    """Asks, prints, and gives the exit code."""
    if any(getattr(arguments, name) for name in _OFFLINE):
        print("revproxy explain: answers are explained with --config FILE", file=sys.stderr)
        return UNUSABLE
    words = arguments.words
    if len(words) > 2:
        print("revproxy explain: write [METHOD] URL, or an id", file=sys.stderr)
        return UNUSABLE
    try:
        answer = _ask(find(), arguments, words)
    except (Unreachable, Refused) as reason:
        look = Look.of(sys.stderr)
        for line in f"revproxy explain: {reason}".split("\n"):
            print(look.text(line), file=sys.stderr)
        return FAILED
    if arguments.json:
        print(json.dumps(answer, indent=2))
        return OK
    look = Look.of(sys.stdout)
    for line in str(answer.get("text") or "nothing is known of it").split("\n"):
        print(look.text(line))
    return OK


def _ask(admin: Admin, arguments: argparse.Namespace, words: list[str]) -> Any:
    if len(words) == 1 and is_id(words[0]):
        return admin.ask("GET", f"/requests/{quote(words[0], safe='')}")
    method, url = ("GET", words[0]) if len(words) == 1 else words
    body = {"method": method, "url": url, "headers": arguments.header, "client": arguments.client}
    return admin.ask("POST", "/explain", body)


def is_id(word: str) -> bool:
    """Whether it is a request's id, and no URL: those have a dot, a colon or a slash."""
    return _ID.fullmatch(word) is not None
