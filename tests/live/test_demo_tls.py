"""``make demo TLS=1`` as a visitor sees it: HTTPS through the internal authority, in a Chromium that trusts it."""

from __future__ import annotations

import hashlib
import random
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.demo.browser import PROGRAM, Browser
from tests.demo.process import Demo
from tests.live.support_client import curl
from tests.live.support_process import CHECKOUT
from tests.live.test_demo_browser import STATUS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def demo(state: Path) -> Iterator[Demo]:
    running = Demo("--with-proxy", "--tls", state=state)
    try:
        running.wait_for(rf"open {running.url}/ in a browser")
        yield running
    finally:
        running.end()
    assert "Traceback" not in running.output


@pytest.fixture(scope="module")
def browser(demo: Demo, state: Path) -> Iterator[Browser]:
    with Browser(state / "authority" / "root.pem") as one:
        yield one


def secure_contexts(browser: Browser) -> bool:
    return bool(browser.evaluate("window.isSecureContext && location.protocol === 'https:'"))


def test_it_says_how_to_trust_its_root(demo: Demo, state: Path) -> None:
    # Whoever asked whether it is ready shook hands in order.
    assert "handshake" not in demo.output
    command = demo.wait_for(r"For one request:  curl (--cacert .*)")[1]
    assert str(state) in command
    done = curl(*command.split())
    assert done.code == 0, done.error
    assert b'id="passed"' in done.body
    program = re.search(r"How to trust it:  (\S+) ca$", demo.output, re.MULTILINE)
    assert program
    told = subprocess.run(
        [program[1], "ca"], env={"STATE_DIRECTORY": str(state)}, capture_output=True, text=True, check=True
    )
    assert str(state / "authority" / "root.pem") in told.stdout


def test_make_asks_for_it() -> None:
    for given, expected in (("1", True), ("yes", True), ("0", False), ("", False)):
        done = subprocess.run(
            ["make", "--dry-run", "--no-print-directory", "demo", f"TLS={given}", "PORT=9000"],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert ("--with-proxy --tls --port 9000" in done.stdout) is expected, done.stdout


def test_a_root_that_can_not_be_kept_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    demo = Demo("--with-proxy", "--tls", state=tmp_path / "file" / "state")
    assert demo.process.wait(20) == 1
    demo.end()
    assert len(demo.lines) == 1 and demo.output.startswith("demo: tls.state: can't keep anything in "), demo.output


@pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed")
@pytest.mark.skipif(shutil.which("certutil") is None, reason="certutil is not installed (libnss3-tools)")
class TestInTheBrowser:
    """What a browser checks that nobody else does: its own idea of certificates, and of what may be on a secure page."""

    def test_the_page_is_shown_and_counts_as_secure(self, browser: Browser, demo: Demo) -> None:
        browser.open(demo.url)
        assert secure_contexts(browser)
        assert "came through the proxy" in browser.text("#passed")
        assert browser.problems == []

    def test_without_that_trust_it_is_refused(self, demo: Demo) -> None:
        with Browser() as other, pytest.raises(AssertionError, match="ERR_CERT_AUTHORITY_INVALID"):
            other.open(demo.url)

    def test_an_upload(self, browser: Browser, demo: Demo, tmp_path: Path) -> None:
        content = random.Random(1).randbytes(3_000_000)
        path = tmp_path / "file to upload.bin"
        path.write_bytes(content)
        browser.open(f"{demo.url}/upload")
        browser.choose_file("#file", path)
        browser.click("form button[type=submit]")
        browser.wait_for("document.getElementById('compared').textContent")
        assert browser.text("#sha256") == hashlib.sha256(content).hexdigest()

    def test_a_download(self, browser: Browser, demo: Demo) -> None:
        browser.open(f"{demo.url}/download")
        browser.click("#measure")
        assert "64.0 MiB" in browser.wait_for(f"{STATUS}.startsWith('Read') && {STATUS}")

    def test_a_web_socket(self, browser: Browser, demo: Demo) -> None:
        browser.open(f"{demo.url}/echo")
        browser.wait_for("!document.getElementById('send').disabled")
        browser.evaluate("document.getElementById('message').value = 'Is anybody there?'")
        browser.click("#send")
        browser.wait_for("!!document.querySelector('#log .theirs')")
        assert browser.text("#log .theirs") == "Is anybody there?"

    def test_a_redirect_stays_with_https(self, browser: Browser, demo: Demo) -> None:
        browser.open(f"{demo.url}/redirect")
        browser.follow("#go")
        browser.wait_for("document.getElementById('here').textContent.includes('https')")
        assert browser.text("#here") == f"{demo.url}/landed"

    @pytest.mark.parametrize(
        ("address", "text"), [("failures/no-answer", "502"), ("failures/cut", "the connection was cut")]
    )
    def test_what_is_cut_looks_cut(self, browser: Browser, demo: Demo, address: str, text: str) -> None:
        browser.open(f"{demo.url}/failures")
        browser.click(f"#cases [data-address='{address}']")
        assert text in browser.wait_for(f"/complete|cut|No answer/.test({STATUS}) && {STATUS}")
