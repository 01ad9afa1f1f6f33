"""Names of certificates and of sites."""

from __future__ import annotations

import pytest

from revproxy.certificates.names import NameTable, certificate_name

TABLE = NameTable(
    [("a.example", 1), ("*.a.example", 2), ("*.b.a.example", 3), ("xn--bcher-kva.example", 4), ("127.0.0.1", 5)]
)
WITH_DEFAULT = NameTable([("a.example", 1), ("*", 9)])


@pytest.mark.parametrize(
    ("name", "by_label", "by_suffix"),
    [
        ("a.example", 1, 1),
        ("x.a.example", 2, 2),
        ("x.y.a.example", None, 2),
        ("x.b.a.example", 3, 3),
        ("b.a.example", 2, 2),
        (".a.example", None, 2),
        ("example", None, None),
        ("b.example", None, None),
        ("xn--bcher-kva.example", 4, 4),
        ("127.0.0.1", 5, 5),
        ("1.127.0.0.1", None, None),
        ("", None, None),
    ],
)
def test_the_two_ways(name: str, by_label: int | None, by_suffix: int | None) -> None:
    assert (TABLE.find_by_label(name), TABLE.find_by_suffix(name)) == (by_label, by_suffix)


def test_a_site_for_everything_else() -> None:
    assert WITH_DEFAULT.find_by_suffix("b.example") == 9
    assert WITH_DEFAULT.find_by_suffix("") == 9
    assert WITH_DEFAULT.find_by_label("b.example") is None


def test_the_first_stays() -> None:
    table = NameTable([("a", 1), ("a", 2), ("*.a", 3), ("*.a", 4), ("*", 5), ("*", 6)])
    assert [table.find_by_suffix(name) for name in ("a", "b.a", "c")] == [1, 3, 5]
    assert table.exact_names() == ["a"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("*.Example.com", "*.example.com"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("*", None),
        ("w*.example.com", None),
        ("a.*.example.com", None),
        ("*.*.example.com", None),
        ("", None),
        ("a b", None),
        ("https://a", None),
        ("127.0.0.1", "127.0.0.1"),
    ],
)
def test_names_in_certificates(text: str, name: str | None) -> None:
    assert certificate_name(text) == name
