"""Runs the cases on both ways and tells which differ; the exit code is 1 if any does, or if one could not be held."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.websocket_suite.compare import Difference, Outcome, differences, outcomes
from tests.websocket_suite.servers import echo_and_proxy


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.websocket_suite", description=__doc__)
    parser.add_argument("case", nargs="*", help="an id such as 1.1.1, or a glob such as '9.*'; without any, all run")
    parser.add_argument("--without", metavar="CASE", action="append", default=[], help="an id or a glob to leave out")
    parser.add_argument("--through", metavar="URL", default="", help="the ws:// URL of a proxy to use in place of ours")
    parser.add_argument("--at-once", metavar="NUMBER", type=int, default=2, help="cases that run at the same time")
    return parser.parse_args(words)


def _counted(found: dict[str, Outcome]) -> str:
    verdicts = Counter((outcome.behavior, outcome.behavior_close) for outcome in found.values())
    shown = [f"{number} {one}/{other}" for (one, other), number in verdicts.most_common()]
    compressed = sum("permessage-deflate" in outcome.extensions for outcome in found.values())
    return ", ".join([*shown, f"{compressed} compressed"])


def _print_table(found: Sequence[Difference]) -> None:
    for difference in found:
        print(f"\ncase {difference.case}")
        for way, seen in (("direct", difference.direct), ("proxied", difference.proxied)):
            for outcome in sorted(seen, key=str):
                print(f"  {way:8} {outcome}")


async def _run(arguments: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as folder, echo_and_proxy(Path(folder)) as (direct_url, proxied_url, proxy):
        proxied_url = arguments.through or proxied_url
        ways: list[dict[str, Outcome]] = []
        for name, url in (("direct", direct_url), ("proxied", proxied_url)):
            began = time.monotonic()
            ways.append(await outcomes(url, arguments.case, without=arguments.without, at_once=arguments.at_once))
            print(f"{name}: {len(ways[-1])} cases in {time.monotonic() - began:.0f} s: {_counted(ways[-1])}", flush=True)
        found, wavering = await differences(direct_url, proxied_url, *ways)
        broken = not proxy.is_running or "Traceback" in proxy.output
        if broken:
            print(f"the proxy failed:\n{proxy.output}")
    if wavering:
        print(f"the server's answer varies by itself, with and without the proxy: {', '.join(wavering)}")
    _print_table(found)
    unheld = sorted(case for case, outcome in ways[0].items() if not outcome.ran)
    if unheld:
        print(f"cases that could not be held with the server itself: {', '.join(unheld)}")
    print(f"{len(ways[0])} cases, {len(found)} differ through the proxy")
    return int(broken or bool(found) or bool(unheld) or not ways[0])


def main(words: Sequence[str] | None = None) -> int:
    """Runs what the command line asks for."""
    return asyncio.run(_run(_arguments(words)))


if __name__ == "__main__":
    sys.exit(main())
