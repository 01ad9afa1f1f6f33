"""Every case of the table, in every way that its octets may arrive, over every transport."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.messages import (
    cases_answer_bodies,
    cases_answer_heads,
    cases_chunks,
    cases_content_length,
    cases_expect_upgrade,
    cases_fields,
    cases_hop_by_hop,
    cases_host,
    cases_methods_versions,
    cases_persistence,
    cases_targets,
    cases_transfer_encoding,
)
from tests.messages.case import Case
from tests.messages.conversation import TRANSPORTS, Feeding, Transport, run

CASES: list[Case] = [
    *cases_content_length.CASES,
    *cases_transfer_encoding.CASES,
    *cases_chunks.CASES,
    *cases_fields.CASES,
    *cases_targets.CASES,
    *cases_host.CASES,
    *cases_methods_versions.CASES,
    *cases_persistence.CASES,
    *cases_expect_upgrade.CASES,
    *cases_hop_by_hop.CASES,
    *cases_answer_heads.CASES,
    *cases_answer_bodies.CASES,
]
RUNS = [
    pytest.param(case, feeding, transport, id=f"{case.id}-{feeding.name}-{transport.name}")
    for case in CASES
    for transport in TRANSPORTS
    for feeding in transport.feedings
    if not (case.stands_alone and feeding.trailing) and not (case.clear_only and transport.scheme == b"https")
]
SECTION = re.compile(r"RFC \d+ §\d+(\.\d+)*")


@pytest.mark.parametrize(("case", "feeding", "transport"), RUNS)
def test_messages(case: Case, feeding: Feeding, transport: Transport) -> None:
    run(case, feeding, transport)


def test_the_table() -> None:
    assert len(CASES) >= 250
    assert [name for name, times in Counter(case.id for case in CASES).items() if times > 1] == []
    for case in CASES:
        assert SECTION.fullmatch(case.section), case.id
        assert case.reason and "\n" not in case.reason and len(case.reason) <= 100, case.id
        assert case.sent, case.id
    assert sum(case.stands_alone for case in CASES) < 10
