"""What a proxy needs to be started and measured: where it stands, what is run, who it is."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

import attrs

from benchmarks.certificate import Certificate
from benchmarks.origin import find_program


class MissingError(Exception):
    """This proxy cannot be started here; the text says what is not there."""


@attrs.frozen
class Place:
    """Where a proxy is to stand."""

    folder: Path
    """Its own, empty; its configuration and its access log go there."""
    listen: int
    origin: int
    certificate: Certificate | None = None
    """What it shows; None where clients speak clear text."""


@attrs.frozen
class Launch:
    """What is to be run."""

    argv: tuple[str, ...]
    env: dict[str, str] = attrs.field(factory=dict)
    cwd: Path | None = None


@attrs.frozen
class Contestant:
    """A proxy that can be measured, as it is set up for one group of scenarios."""

    name: str
    title: str
    prepare: Callable[[Place], Launch]
    version: Callable[[], str]
    group: str = "plain"
    share: float = 1.0
    """The part of all rounds that it takes part in: enough to place one that is not steered by."""
    idle: bool = True
    """Whether its memory per idle connection is measured."""
    scenarios: tuple[str, ...] = ()
    """The only ones that it takes part in; none named: all of its group."""

    def takes_part(self, scenario: str) -> bool:
        return not self.scenarios or scenario in self.scenarios


def descriptors() -> int:
    """How many files a program that we start may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def program(name: str) -> str:
    path = find_program(name)
    if path is None:
        raise MissingError(f"{name} is not installed")
    return path


def first_line(*argv: str) -> str:
    """The first line that a program prints, on whichever stream."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
    return (done.stdout + done.stderr).strip().partition("\n")[0]


def need_library(*names: str) -> None:
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise MissingError(f'the library "{name}" is not installed (pip install ".[bench]")')


def library_versions(*names: str) -> Callable[[], str]:
    return lambda: ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
