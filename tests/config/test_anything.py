"""Whatever stands in a file, the answer is a ``Config`` or a list of mistakes with places, never an exception."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from revproxy.config.load import examine
from revproxy.config.model import Config
from revproxy.config.shape import Setting
from revproxy.config.shape import settings as settings_of
from tests.config.toml_texts import SCALARS, TomlWriter

TEXTS = st.sampled_from(
    [
        "",
        "*",
        "/",
        "a",
        "a b",
        ":80",
        ":0",
        "http://a",
        "unix:/a",
        "5s",
        "64KiB",
        "10.0.0.0/8",
        "::1",
        "\0",
        "\n",
        "é",
        "a:b",
        "%",
        "[::",
        "json:x",
    ]
)


def _table(table: type[Any], without: str = "") -> st.SearchStrategy[dict[str, Any]]:
    known = {each.key: _value(each) for each in settings_of(table) if each.name != without}
    exact = st.fixed_dictionaries({}, optional=known)
    return st.one_of(exact, exact, st.dictionaries(st.sampled_from([*known, "x", ""]), SCALARS | TEXTS, max_size=2))


def _value(setting: Setting) -> st.SearchStrategy[Any]:
    good: st.SearchStrategy[Any]
    if setting.table is not None:
        good = _table(setting.table, setting.keyed)
    elif setting.kind == "fields":
        good = st.dictionaries(TEXTS, TEXTS | st.lists(TEXTS, max_size=2), max_size=2)
    else:
        good = TEXTS | st.integers(-2, 2) | st.booleans()
    if setting.keyed:
        good = st.dictionaries(TEXTS, good, max_size=2)
    elif setting.several:
        good = st.lists(good | TEXTS, max_size=2)
    return st.one_of(good, good, good, SCALARS)


@settings(max_examples=150, deadline=None)
@given(st.data(), _table(Config))
def test_tables(data: st.DataObject, document: dict[str, Any]) -> None:
    writer = TomlWriter(data.draw)
    writer.document(document)
    _examine(writer.text.encode(), "a.toml")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=20) | st.text("[]{}=.\"'#\n\\ab1", max_size=20).map(str.encode))
def test_octets(source: bytes) -> None:
    _examine(source, "a.toml")


def _examine(source: bytes, name: str) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_bytes(source)
        examination = examine(file)
    assert examination.config is not None or examination.mistakes
    for mistake in examination.mistakes:
        assert "\n" not in str(mistake)
        assert mistake.place is not None or len(mistake.path) <= 1, mistake
