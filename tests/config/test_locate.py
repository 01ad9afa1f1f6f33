from __future__ import annotations

import sys
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from revproxy.config.locate import locate
from revproxy.config.mistakes import Path, Place

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


def _quoted(text: str) -> str:
    return '"' + "".join(f"\\u{ord(c):04x}" if c in '"\\' or ord(c) < 32 or ord(c) == 127 else c for c in text) + '"'


PLAIN_KEYS = st.text("abcXYZ019_-", min_size=1, max_size=5)
CHARACTERS = st.characters(codec="utf-8", exclude_categories=["Cs"], max_codepoint=0xFFFF)
KEYS = st.one_of(PLAIN_KEYS, st.text(CHARACTERS, max_size=4), st.sampled_from(["a.b", "[x]", "#", "=", '"', "'"]))
TEXTS = st.one_of(
    st.text(CHARACTERS, max_size=6), st.sampled_from(['"""', "'''", "]", "}", "#", "a = 1", "[a]\n", "\\"])
)
SCALARS = st.one_of(st.integers(-9, 9), st.booleans(), st.floats(allow_nan=False, allow_infinity=False), TEXTS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
DOCUMENTS = st.dictionaries(
    KEYS,
    st.one_of(
        VALUES,
        st.lists(st.dictionaries(KEYS, VALUES, max_size=3), min_size=1, max_size=3),
        st.dictionaries(KEYS, st.one_of(VALUES, st.dictionaries(KEYS, VALUES, max_size=3)), max_size=3),
    ),
    max_size=4,
)


class _Writer:
    """Writes data as TOML in a way that ``draw`` chooses, and notes the line on which it put each key."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.text = ""
        self.lines: dict[Path, int] = {}

    def choose(self, *texts: str) -> str:
        return str(self.draw(st.sampled_from(texts)))

    def mark(self, path: Path) -> None:
        self.lines[path] = self.text.count("\n") + 1

    def document(self, data: dict[str, Any]) -> None:
        later = []
        for key, value in data.items():
            as_table = isinstance(value, dict) or (
                isinstance(value, list) and value and all(isinstance(item, dict) for item in value)
            )
            if as_table and self.draw(st.booleans()):
                later.append((key, value))
            else:
                self.pair((key,), value)
        for key, value in later:
            if isinstance(value, dict):
                self.mark((key,))
                self.text += f"[ {self.key(key)} ]{self.end()}"
                for name, inner in value.items():
                    self.pair((key, name), inner)
            else:
                for number, item in enumerate(value):
                    if number == 0:
                        self.mark((key,))
                    self.mark((key, number))
                    self.text += f"[[{self.key(key)} ]]{self.end()}"
                    for name, inner in item.items():
                        self.pair((key, number, name), inner)

    def end(self) -> str:
        return self.choose("", " ", "# c = [\"'") + self.choose("\n", "\n\n", "\n # x\n")

    def key(self, key: str) -> str:
        if key and all(c in "abcXYZ019_-" for c in key) and self.draw(st.booleans()):
            return key
        if all(ord(c) >= 32 and ord(c) != 127 and c != "'" for c in key) and self.draw(st.booleans()):
            return f"'{key}'"
        return _quoted(key)

    def pair(self, path: Path, value: Any, *, inline: bool = False) -> None:
        self.text += self.choose("", "  ", "\t") if not inline else ""
        self.mark(path)
        self.text += self.key(str(path[-1])) + self.choose("=", " = ")
        self.value(path, value, inline=inline)
        if not inline:
            self.text += self.end()

    def value(self, path: Path, value: Any, *, inline: bool) -> None:
        if isinstance(value, dict):
            self.text += "{ "
            for number, (key, inner) in enumerate(value.items()):
                self.text += ", " if number else ""
                self.pair((*path, key), inner, inline=True)
            self.text += " }"
        elif isinstance(value, list):
            self.text += "["
            for number, inner in enumerate(value):
                self.text += self.choose("", " ", "\n", " # ,]\n")
                self.mark((*path, number))
                self.value((*path, number), inner, inline=True)
                self.text += ","
            self.text += self.choose("", "\n# ]\n") + "]"
        elif isinstance(value, str):
            self.text += self.string(value)
        else:
            self.text += str(value).lower() if isinstance(value, bool) else repr(value)

    def string(self, text: str) -> str:
        if self.draw(st.booleans()) and all(ord(c) >= 32 or c == "\n" for c in text) and "\x7f" not in text:
            if "'" not in text:
                return f"'''\n{text}'''"
            if '"' not in text and "\\" not in text:
                return f'"""\n{text}"""'
        return _quoted(text)


@settings(max_examples=100, deadline=None)
@given(st.data(), DOCUMENTS)
def test_located_lines_hold_their_keys(data: st.DataObject, document: dict[str, Any]) -> None:
    writer = _Writer(data.draw)
    writer.document(document)
    assert tomllib.loads(writer.text) == document
    places = locate(writer.text)
    assert {path: place.line for path, place in places.items()} == writer.lines
    lines = writer.text.split("\n")
    for path, place in places.items():
        rest = lines[place.line - 1][place.column - 1 :]
        key = path[-1]
        if isinstance(key, str):
            assert rest.startswith((key, f"'{key}'", _quoted(key)))
        elif len(path) > 2 or not rest.startswith(("'", '"')):
            assert rest
