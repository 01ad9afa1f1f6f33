from __future__ import annotations

from pathlib import Path

from revproxy.config.model import Limits
from revproxy.config.table import rows, text

PAGE = Path(__file__).parents[2] / "docs" / "limits.rst"


def test_the_committed_page_is_what_the_model_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == text(), "run: python -m revproxy.config.table > docs/limits.rst"


def test_rows() -> None:
    found = {row.key: row for row in rows()}
    assert (found["limits.head_size"].default, found["limits.head_size"].answer) == ("32KiB", "431")
    assert found["limits.idle_timeout"].default == "1m15s"
    assert found["limits.body_rate"].default == "256/s"
    assert found["site.route.body_size"].default == "not set"
    assert found["upstream.NAME.connect_timeout"].answer == "next server, then 504"


def test_every_limit_says_what_happens_when_it_is_hit() -> None:
    limits = [row for row in rows() if row.key.startswith("limits.")]
    assert len(limits) == len(Limits.__attrs_attrs__)
    assert all(row.answer for row in limits)
