from __future__ import annotations

import sys
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from revproxy.config.locate import locate
from revproxy.config.mistakes import Path, Place
from tests.config.toml_texts import DOCUMENTS, TomlWriter, quoted

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DOCUMENT = '''\
# [not.a.table] a = 1
top = 1            # a comment with a = "quote
"quoted key" = """
[in] = a string
also = 1
"""
literal = \'\'\'
x = 1\'\'\'
a.b . "c.d" = { x = 1, "y" = [1, [2, 3]], z.w = 'q' }

[table]
many = [
    "one",   # ] = ,
    "two", { k = "}" },

    "three" ]
when = 1979-05-27 07:32:00Z
esc = "a \\" b # = ["
"\\u0061\\tb" = true

[[site]]
hosts = []
  [[site.route]]
  path = "/"
  [[site.route]]
  path = "/x"
    [site.route.request_headers]
    set = { "X-A" = "1" }
[[site]]
[[site.route]]
  path = "/y"
[upstream."a b".deep]
u = 1
[upstream."a b"]
'''


def test_every_kind_of_key() -> None:
    places = locate(DOCUMENT)
    expected: dict[Path, tuple[int, int]] = {
        ("top",): (2, 1),
        ("quoted key",): (3, 1),
        ("literal",): (7, 1),
        ("a",): (9, 1),
        ("a", "b"): (9, 3),
        ("a", "b", "c.d"): (9, 7),
        ("a", "b", "c.d", "x"): (9, 17),
        ("a", "b", "c.d", "y"): (9, 24),
        ("a", "b", "c.d", "y", 1): (9, 34),
        ("a", "b", "c.d", "y", 1, 1): (9, 38),
        ("a", "b", "c.d", "z", "w"): (9, 45),
        ("table",): (11, 2),
        ("table", "many"): (12, 1),
        ("table", "many", 0): (13, 5),
        ("table", "many", 2, "k"): (14, 14),
        ("table", "many", 3): (16, 5),
        ("table", "when"): (17, 1),
        ("table", "esc"): (18, 1),
        ("table", "a\tb"): (19, 1),
        ("site", 0): (21, 3),
        ("site", 0, "route", 0): (23, 10),
        ("site", 0, "route", 0, "path"): (24, 3),
        ("site", 0, "route", 1, "path"): (26, 3),
        ("site", 0, "route", 1, "request_headers", "set", "X-A"): (28, 13),
        ("site", 1): (29, 3),
        ("site", 1, "route", 0, "path"): (31, 3),
        ("upstream", "a b", "deep", "u"): (33, 1),
        ("upstream", "a b"): (34, 11),
    }
    assert {path: places[path] for path in expected} == {path: Place(*at) for path, at in expected.items()}
    assert set(places) == set(_paths(tomllib.loads(DOCUMENT)))


def test_line_ends_of_windows() -> None:
    assert locate("a = 1\r\n\r\n[b]\r\nc = [1,\r\n 2]\r\n")[("b", "c", 1)] == Place(5, 2)


def test_gets_lost_without_harm() -> None:
    assert locate("a = 1\n= = =") == {("a",): Place(1, 1)}
    assert locate("a = [[[") != {}
    assert locate("a = 'x") == {("a",): Place(1, 1)}


def _paths(data: Any, path: Path = ()) -> list[Path]:
    found = [path] if path else []
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in pairs:
        found += _paths(value, (*path, key))
    return found


@settings(max_examples=100, deadline=None)
@given(st.data(), DOCUMENTS)
def test_located_lines_hold_their_keys(data: st.DataObject, document: dict[str, Any]) -> None:
    writer = TomlWriter(data.draw)
    writer.document(document)
    assert tomllib.loads(writer.text) == document
    places = locate(writer.text)
    assert {path: place.line for path, place in places.items()} == writer.lines
    lines = writer.text.split("\n")
    for path, place in places.items():
        rest = lines[place.line - 1][place.column - 1 :]
        key = path[-1]
        if isinstance(key, str):
            assert rest.startswith((key, f"'{key}'", quoted(key)))
        elif len(path) > 2 or not rest.startswith(("'", '"')):
            assert rest
