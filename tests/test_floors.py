"""The floors of the house: who may import whom, and what no name may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

PACKAGE = Path(__file__).parents[1] / "revproxy"
PLUGINS = Path(__file__).parents[1] / "twisted" / "plugins"

FLOORS = {
    "_version": 0,
    "errors": 0,
    "config": 1,
    "observe": 1,
    "http": 1,
    "caching": 2,
    "wire": 2,
    "interfaces": 2,
    "admin": 3,
    "certificates": 3,
    "stores": 3,
    "downstream": 3,
    "upstream": 3,
    "resources": 3,
    "service": 4,
    "tap": 6,
    "": 5,
    "explain": 5,
    "control": 5,
    "cli": 6,
    "demo": 5,
}
BESIDE = {("observe", "http"), ("interfaces", "caching")}
"""Pairs on one floor of which the first may import the second."""
PURE = ("http", "caching")
IMPURE = ("twisted", "zope", "time", "socket", "os", "random", "secrets", "select", "asyncio", "threading", "ssl")
BAD_NAMES = ("handler", "manager", "processor", "helper", "util")
LONGEST = 500


@attrs.frozen
class Import:
    """One import statement's module."""

    importer: str
    line: int
    module: str
    always: bool
    """Whether it runs when the importer is imported (else in a function, or for the type checker alone)."""


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def shown(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room(module: str) -> str:
    """The room of a module of ours: the first name behind ``revproxy``."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def imports(path: Path) -> Iterator[Import]:
    def walk(node: ast.AST, always: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            inner = always and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                inner = False
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(str(path), child.lineno, alias.name, always)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}:{child.lineno}: imports are absolute"
                for alias in child.names:
                    yield Import(str(path), child.lineno, f"{child.module}.{alias.name}", always)
            yield from walk(child, inner)

    yield from walk(ast.parse(path.read_text("utf-8")), True)


def room_of_file(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def may_import(importer: str, imported: str) -> bool:
    if importer == imported or (importer, imported) in BESIDE:
        return True
    return FLOORS[imported] < FLOORS[importer]


def test_every_room_has_a_floor() -> None:
    assert {room_of_file(path) for path in sources()} <= set(FLOORS)


def test_imports_go_down() -> None:
    wrong = []
    for path in sources():
        own = room_of_file(path)
        for found in imports(path):
            if found.module.split(".")[0] != "revproxy":
                continue
            target = room(found.module)
            # ``from revproxy import X``: whatever the package shows is as high as the package.
            target = target if target in FLOORS else ""
            if not may_import(own, target) and not (own == "" and found.always is False):
                wrong.append(f"{shown(path)}:{found.line} imports {found.module}")
    assert wrong == []


def test_the_table_itself_forbids_what_it_should() -> None:
    for importer, imported in [
        ("downstream", "upstream"),
        ("upstream", "resources"),
        ("resources", "downstream"),
        ("wire", "upstream"),
        ("http", "observe"),
        ("http", "config"),
        ("config", "http"),
        ("interfaces", "downstream"),
        ("upstream", "service"),
        ("wire", "caching"),
    ]:
        assert not may_import(importer, imported)


def test_the_values_know_no_world() -> None:
    wrong = [
        f"{shown(path)}:{found.line} imports {found.module}"
        for path in sources()
        if room_of_file(path) in PURE
        for found in imports(path)
        if found.module.split(".")[0] in IMPURE
    ]
    assert wrong == []


def test_the_wire_knows_no_http() -> None:
    wrong = [
        f"{shown(path)}:{found.line}"
        for path in sources()
        if room_of_file(path) == "wire"
        for found in imports(path)
        if found.module.startswith(("revproxy.http", "twisted.web"))
    ]
    assert wrong == []


def test_nobody_installs_a_reactor_by_importing_one() -> None:
    """``twisted.web.proxy`` imports the reactor, so it may stand in one place alone."""
    wrong = []
    for path in [*sources(), *sorted(PLUGINS.glob("*.py"))]:
        inside = path.is_relative_to(PACKAGE)
        for found in imports(path):
            if not found.always:
                continue
            if found.module.startswith("twisted.internet.reactor") and not (inside and room_of_file(path) == "service"):
                wrong.append(f"{path.name}:{found.line} imports the reactor")
            if found.module.startswith("twisted.web.proxy") and not (inside and shown(path) == "resources/proxy.py"):
                wrong.append(f"{path.name}:{found.line} imports twisted.web.proxy")
    assert wrong == []


def test_names_say_what_a_thing_is() -> None:
    wrong = []
    for path in sources():
        names = [path.stem]
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                names.append(node.name)
        wrong += [f"{shown(path)}: {name}" for name in names if any(bad in name.lower() for bad in BAD_NAMES)]
    assert wrong == []


@pytest.mark.parametrize("path", sources(), ids=shown)
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= LONGEST
