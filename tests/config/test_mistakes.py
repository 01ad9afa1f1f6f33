from __future__ import annotations

from revproxy.config.mistakes import ConfigMistakes, Mistake, Place, in_order, independent, spell
from revproxy.config.suggest import did_you_mean, nearest
from revproxy.errors import ConfigError


def test_path_as_written() -> None:
    assert spell(("site", 1, "route", 0, "proxy")) == "site[1].route[0].proxy"
    assert spell(("upstream", "a b", 'q"', "")) == 'upstream."a b"."q\\"".""'
    assert spell(()) == ""


def test_a_line_can_not_be_forged() -> None:
    assert "\n" not in str(Mistake(path=("a\n/etc/x:1: y",), text="z"))
    assert str(Mistake(path=("\x1b[2J",), text="\r\u202e☃")) == '"\\x1b[2J": \\r\\u202e☃'


def test_text() -> None:
    assert str(Mistake(path=("a",), text="t", file="f", place=Place(3, 2))) == "f:3:2: a: t"
    assert str(Mistake(path=("a",), text="t", file="f", place=Place(3))) == "f:3: a: t"
    assert str(Mistake(path=(), text="t", file="f")) == "f: t"
    assert str(Mistake(path=("a",), text="t", warning=True)) == "a: warning: t"


def test_error_holds_the_whole_text() -> None:
    error = ConfigMistakes([Mistake(path=("a",), text="t"), Mistake(path=("b",), text="u")])
    assert isinstance(error, ConfigError)
    assert str(error) == "a: t\nb: u"
    assert [mistake.key for mistake in error.mistakes] == ["a", "b"]


def test_echoes_are_left_out() -> None:
    below = Mistake(path=("a", "b", 0), text="")
    related = Mistake(path=("c",), text="", related=(("a", "b", "x"),))
    beside = Mistake(path=("a", "c"), text="", related=(("d",),))
    assert independent([below, related, beside], {("a", "b")}) == [beside]
    assert independent([below, related, beside], {()}) == []


def test_order() -> None:
    late = Mistake(path=("a",), text="", place=Place(3, 4))
    early = Mistake(path=("a",), text="", place=Place(3, 2))
    nowhere = Mistake(path=("a",), text="")
    assert in_order([late, early, nowhere]) == [nowhere, early, late]


def test_suggestions() -> None:
    assert nearest("Listen-ers", ["listener", "site"]) == "listener"
    assert nearest("zzz", ["listener", "site"]) is None
    assert did_you_mean("sites", ["site"]) == '; did you mean "site"?'
    assert did_you_mean("zzz", ["b", "a"]) == '; there is "a", "b"'
    assert did_you_mean("zzz", []) == ""
    assert did_you_mean("zzz", map(str, range(9))) == ""
