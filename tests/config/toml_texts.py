"""TOML texts made of data, in every way in which TOML can be written, with the line of each key."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from revproxy.config.mistakes import Path


def quoted(text: str) -> str:
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


class TomlWriter:
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
        return quoted(key)

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
        return quoted(text)
