"""The tables of docs/caching.rst are what the policy does."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import pytest

from revproxy.caching.decisions import Forward, GatewayTimeout, Revalidate, Serve
from revproxy.caching.options import DEFAULT_OPTIONS, CacheOptions
from revproxy.caching.policy import on_failure, on_request
from revproxy.caching.reasons import Reason
from revproxy.caching.vary import matching
from tests.caching.scenes import NOW, answer, controls, fields, stored

PAGE = (Path(__file__).parents[2] / "docs" / "caching.rst").read_text("utf-8")


def rows(title: str) -> list[list[str]]:
    """The rows of a list-table, its header left out."""
    table = PAGE.split(f".. list-table:: {title}\n")[1].split("\n\n\n")[0]
    found: list[list[str]] = []
    for line in table.splitlines():
        if line.startswith("   * -"):
            found.append([])
        if line.startswith(("   * -", "     -")):
            found[-1].append(line[7:].strip())
    return found[1:]


def literals(cell: str) -> list[str]:
    return re.findall("``([^`]*)``", cell)


def written(cell: str) -> str:
    """Fields as a cell of the page has them, in the way of the scenes."""
    return " | ".join(literals(cell)).replace("(in a minute)", "@60").replace("(an hour ago)", "@-3600")


@pytest.mark.parametrize("row", rows("Stored"), ids=" ".join)
def test_stored(row: list[str]) -> None:
    status, response, request, reason = row
    assert answer(written(response), int(status), request=written(request)).reason.detail == literals(reason)[0]


OUTCOMES = {Forward: "sent on", Revalidate: "validated", GatewayTimeout: "504"}


@pytest.mark.parametrize("row", rows("Used"), ids=" ".join)
def test_used(row: list[str]) -> None:
    response, request, after, outcome, reason = row
    now = NOW + float(after)
    variants = [stored(written(response))]
    selected = matching(variants, fields(written(request)), now)
    decision = on_request(b"GET", controls(written(request)), selected, variants, DEFAULT_OPTIONS, now)
    assert decision.reason.detail == literals(reason)[0]
    if isinstance(decision, Serve):
        assert outcome == ("from the store, stale" if decision.stale else "from the store")
    else:
        assert outcome == OUTCOMES[type(decision)]


@pytest.mark.parametrize("row", rows("Failed"), ids=" ".join)
def test_failed(row: list[str]) -> None:
    response, request, after, status, outcome, reason = row
    failed = 0 if status == "no answer" else int(status)
    found = stored(written(response))
    decision = on_failure(found, controls(written(request)), failed, DEFAULT_OPTIONS, NOW + float(after))
    assert decision.reason.detail == literals(reason)[0]
    assert outcome == ("from the store, stale" if isinstance(decision, Serve) else "the failure")


def test_every_reason_is_on_the_page() -> None:
    there = [(literals(detail)[0], meaning, source, remedy) for detail, meaning, source, remedy in rows("Reasons")]
    assert there == [(reason.detail, reason.sentence, reason.source, reason.remedy) for reason in Reason]


def test_the_options_that_the_page_names_are_there() -> None:
    names = {found.name for found in attrs.fields(CacheOptions)}
    for name, value in re.findall(r"^\w.* \(``(\w+) = (.*)``\)$", PAGE, re.MULTILINE):
        assert str(getattr(DEFAULT_OPTIONS, name)).lower() == value.strip('"')
    for reason in Reason:
        for name in re.findall(r"cache\.(\w+)", f"{reason.source} {reason.remedy}"):
            assert name in names, reason
