from __future__ import annotations

from typing import Any

import pytest

from revproxy.config.hosts import normal_pattern
from revproxy.config.model import Site


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("example.com", "example.com"),
        ("Example.COM.", "example.com"),
        ("*.Example.com", "*.example.com"),
        ("*", "*"),
        ("localhost", "localhost"),
        ("Bücher.example", "xn--bcher-kva.example"),
        ("*.BÜCHER.example.", "*.xn--bcher-kva.example"),
        ("127.0.0.1", "127.0.0.1"),
        ("[0:0::1]", "[::1]"),
        ("under_score.example", "under_score.example"),
    ],
)
def test_normal(text: str, normal: str) -> None:
    assert normal_pattern(text) == normal
    assert normal_pattern(normal) == normal
    assert Site(hosts=(text,)).hosts == (normal,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        (".", "label"),
        ("a..b", "label"),
        ("http://example.com", "without a scheme"),
        ("example.com/x", "without a scheme"),
        ("example.com:8080", 'write "example.com"'),
        ("::1", r'write "\[::1\]"'),
        ("[::1]:80", "a port has no place"),
        ("[::x]", "no IPv6 address"),
        ("*.", "a star"),
        ("*example.com", "a star"),
        ("a.*.com", "a star"),
        ("*.*.com", "a star"),
        ("**", "a star"),
        ("*.127.0.0.1", "an address has no names"),
        ("-a.example", "letters, digits"),
        ("a-.example", "letters, digits"),
        ("a b.example", "letters, digits"),
        ("a\n.example", "letters, digits"),
        ("1.2.3", "no IPv4"),
        ("a" * 64 + ".example", "63"),
        ("a." * 130 + "example", "253"),
        ("☃︎..example", "no host name"),
    ],
)
def test_no_pattern(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        normal_pattern(text)


def test_the_model_leaves_what_it_can_not_tidy() -> None:
    assert Site(hosts=("a b", "C.example")).hosts == ("a b", "c.example")
    bad: Any = "example.com"
    assert Site(hosts=bad).hosts is bad
