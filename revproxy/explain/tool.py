"""The command line of ``revproxy explain``, and asking a server for real."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from revproxy.config.model import Config, Limits
from revproxy.errors import ProxyError
from revproxy.explain.question import Probe, asked
from revproxy.explain.steps import Places
from revproxy.explain.walk import Walk
from revproxy.http.parse import ResponseHead, ResponseParser
from revproxy.service.generation import Generation

OK, NOT_ASKED, UNUSABLE = 0, 1, 2


def run(arguments: argparse.Namespace, config: Config) -> int:
    """Explains, and gives the exit code."""
    try:
        *method, url = arguments.words
        if len(method) > 1:
            raise ValueError("write [METHOD] URL")
        question = asked(method[0] if method else "GET", url, tuple(arguments.header), arguments.client)
        response = _response(arguments, config.limits)
    except ValueError as mistake:
        print(f"revproxy explain: {mistake}", file=sys.stderr)
        return UNUSABLE
    reactor: Any = None
    if arguments.fetch:
        from twisted.internet import reactor as installed

        reactor = installed
    walk = Walk(config, Places.of_file(arguments.config), question, time.time(), reactor=reactor)
    explained = walk.explain(response, _fetch if arguments.fetch else None)
    if arguments.json:
        print(json.dumps(explained.json, indent=2))
    else:
        print("\n".join(explained.lines))
    return NOT_ASKED if explained.trouble else OK


def _response(arguments: argparse.Namespace, limits: Limits) -> ResponseHead | None:
    """The answer that somebody wrote down. Raises ValueError."""
    if arguments.response is not None:
        text = sys.stdin.read() if arguments.response == "-" else arguments.response
        head = _one_head(text)
        if arguments.status is not None or arguments.response_header:
            raise ValueError("--response is a whole head: leave --status and -R out")
    elif arguments.status is not None or arguments.response_header:
        status = 200 if arguments.status is None else arguments.status
        head = "\n".join([f"HTTP/1.1 {status:03d} ", *arguments.response_header])
    else:
        return None
    if arguments.fetch:
        raise ValueError("--fetch asks the server: leave the answer out")
    return response_head(head, limits)


def response_head(head: str, limits: Limits) -> ResponseHead:
    """A head that somebody wrote, as a server's is read. Raises ValueError."""
    octets = "\r\n".join([line.rstrip("\r") for line in head.split("\n")]).encode("utf-8") + b"\r\n\r\n"
    parser = ResponseParser(limits.response_head_size, limits.response_head_count)
    try:
        parsed = parser.parse(octets)
    except ProxyError as error:
        raise ValueError(f"the answer can't be read: {error.detail}") from None
    if parsed is None or parser.consumed != len(octets):
        raise ValueError('the answer can\'t be read: write "HTTP/1.1 200 OK", then a line for each field')
    return parsed


def _one_head(text: str) -> str:
    """The head of the final answer in what ``curl -i`` prints: interim answers come before it, content after it."""
    rest = text.replace("\r\n", "\n").lstrip("\n")
    while True:
        head, _, rest = rest.partition("\n\n")
        if not (head.startswith("HTTP/") and head.split(" ", 2)[1:2] and head.split(" ", 2)[1].startswith("1")):
            break
        if not rest.startswith("HTTP/"):
            break
    first, newline, others = head.rstrip("\n").partition("\n")
    version, _, status = first.partition(" ")
    # curl tells of HTTP/2 and later in the same form, and writes no reason.
    if version in ("HTTP/2", "HTTP/3"):
        first = f"HTTP/1.1 {status.strip()} "
    return first + newline + others


def _fetch(generation: Generation, resource: Any, probe: Probe) -> None:
    """Asks the server once, as the proxy would, and waits for the head of its answer."""
    from twisted.internet import reactor as installed

    reactor: Any = installed
    generation.start_clock()

    def ask() -> None:
        try:
            resource.respond(probe)
        except ProxyError as error:
            probe.fail(error)
        look()

    def look() -> None:
        if probe.is_answered:
            reactor.callLater(0, reactor.stop)
        else:
            reactor.callLater(0.01, look)

    reactor.callWhenRunning(ask)
    reactor.run()
