"""What holds for the whole test run: where CI is set, a skipped test is a failure."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

IN_CI = os.environ.get("CI", "") not in ("", "0", "false")


def _skipped(session: pytest.Session) -> list[pytest.TestReport | pytest.CollectReport]:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    return list(reporter.stats.get("skipped", [])) if reporter is not None else []


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """The machine of CI has everything: a test that skips itself there tests nothing, unseen."""
    if IN_CI and exitstatus == 0 and _skipped(session):
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if IN_CI and skipped:
        terminalreporter.section("skipped, which CI does not allow", red=True)
        for report in skipped:
            terminalreporter.line(report.nodeid)


@pytest.fixture(scope="session", autouse=True)
def _own_runtime_folder() -> Iterator[None]:
    """Control sockets of proxies that say nothing of theirs: else tools started by another process of the run, or by
    hand at the same time, would find these too and ask which one is meant. Short, since addresses of sockets are."""
    folder = tempfile.mkdtemp(prefix="rp")
    before = os.environ.get("RUNTIME_DIRECTORY")
    os.environ["RUNTIME_DIRECTORY"] = folder
    yield
    if before is None:
        del os.environ["RUNTIME_DIRECTORY"]
    else:
        os.environ["RUNTIME_DIRECTORY"] = before
    shutil.rmtree(folder, ignore_errors=True)
