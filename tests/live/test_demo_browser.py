"""The demo as a visitor sees it, in a headless Chromium: straight from the backend, and through the proxy."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

import pytest

from tests.demo.browser import PROGRAM, Browser
from tests.demo.process import Demo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed")

STATUS = "document.getElementById('status').textContent"
PAGES = ["", "upload", "download", "slow", "events", "echo", "redirect", "landed", "cookies", "failures"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as one:
        yield one


@pytest.fixture(scope="module", params=["backend", "proxied"])
def demo(request: pytest.FixtureRequest) -> Iterator[Demo]:
    proxied = request.param == "proxied"
    running = Demo("--with-proxy") if proxied else Demo()
    try:
        running.wait_for("open http" if proxied else "demo backend")
        yield running
    finally:
        running.end()


@pytest.fixture
def page(browser: Browser, demo: Demo) -> Iterator[Browser]:
    browser.problems.clear()
    yield browser
    assert browser.problems == []


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [1200, 360])
def test_a_page_fits_the_screen(page: Browser, demo: Demo, name: str, width: int) -> None:
    page.look(width, 740, dark=width == 360)
    page.open(f"{demo.url}/{name}")
    assert page.text("h1")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_home_page_tells_whether_a_proxy_is_there(page: Browser, demo: Demo) -> None:
    page.open(demo.url)
    got = page.wait_for("document.querySelector('[data-field=server] .got').textContent.replace('…', '')")
    if demo.proxied:
        assert "came through the proxy" in page.text("#passed")
        assert got != "demo-backend/1.0"
        assert "X-Request-Id" in page.text("#received")
    else:
        assert "No proxy" in page.text("#direct")
        assert got == "demo-backend/1.0"


def test_a_file_goes_up_through_the_form(page: Browser, demo: Demo, tmp_path: Path) -> None:
    content = random.Random(1).randbytes(5_000_000)
    path = tmp_path / "file to upload.bin"
    path.write_bytes(content)
    page.open(f"{demo.url}/upload")
    page.choose_file("#file", path)
    page.click("form button[type=submit]")
    page.wait_for("document.getElementById('compared').textContent")
    assert page.text("#sha256") == hashlib.sha256(content).hexdigest()
    assert "the same" in page.text("#compared")
    assert "5000000 octets" in page.text("#size")


def test_a_download_is_read_to_its_end(page: Browser, demo: Demo) -> None:
    page.open(f"{demo.url}/download")
    page.click("#measure")
    assert "64.0 MiB" in page.wait_for(f"{STATUS}.startsWith('Read') && {STATUS}")


def test_a_download_can_be_left(page: Browser, demo: Demo) -> None:
    page.open(f"{demo.url}/download")
    page.click("#sizes input[value='4GiB']")
    page.click("#measure")
    page.wait_for(f"{STATUS}.includes('4.0 GiB')")
    page.click("#stop")
    page.wait_for(f"{STATUS}.startsWith('Stopped after')")


def test_lines_show_as_they_come(page: Browser, demo: Demo) -> None:
    page.open(f"{demo.url}/slow")
    page.click("#start")
    page.wait_for("document.querySelectorAll('#lines > div').length == 2", 5)
    assert "line 2 of 20" in page.text("#lines") and "line 20" not in page.text("#lines")
    page.click("#stop")
    page.wait_for(f"{STATUS}.startsWith('Stopped')")


def test_events_show_as_they_come(page: Browser, demo: Demo) -> None:
    page.open(f"{demo.url}/events")
    page.click("#start")
    page.wait_for("document.querySelectorAll('#events > li').length == 2", 5)
    page.click("#stop")
    assert "event number 2" in page.text("#events")


def test_the_web_socket_answers(page: Browser, demo: Demo) -> None:
    page.open(f"{demo.url}/echo")
    page.wait_for("!document.getElementById('send').disabled")
    page.evaluate("document.getElementById('message').value = 'Is <b>anybody</b> there?'")
    page.click("#send")
    page.wait_for("!!document.querySelector('#log .theirs')")
    assert page.text("#log .theirs") == "Is <b>anybody</b> there?"
    page.click("#toggle")
    page.wait_for(f"{STATUS}.startsWith('Not connected')")


def test_the_redirect_stays_at_the_public_address(page: Browser, demo: Demo) -> None:
    page.open(f"{demo.url}/redirect")
    page.follow("#go")
    page.wait_for("document.getElementById('here').textContent.includes('http')")
    assert page.text("#here") == f"{demo.url}/landed"
    assert ("the proxy rewrote" if demo.proxied else "no proxy") in page.text("#verdict")


def test_cookies_come_back(page: Browser, demo: Demo) -> None:
    page.open(f"{demo.url}/cookies")
    for button, expected in (("#bake", "oatmeal"), ("#forget", "none yet")):
        page.follow(button)
        assert expected in page.text("#received")


@pytest.mark.parametrize(
    ("address", "alone", "proxied"),
    [
        ("failures/error", "500", "500"),
        ("failures/nowhere", "404", "404"),
        ("failures/no-answer", "No answer", "502"),
        ("failures/cut", "the connection was cut", "the connection was cut"),
        ("failures/cut?framing=chunked", "the connection was cut", "the connection was cut"),
    ],
)
def test_failures_look_like_failures(page: Browser, demo: Demo, address: str, alone: str, proxied: str) -> None:
    page.open(f"{demo.url}/failures")
    page.click(f"#cases [data-address='{address}']")
    text = page.wait_for(f"/complete|cut|No answer/.test({STATUS}) && {STATUS}")
    assert (proxied if demo.proxied else alone) in text
