"""The page in a headless Chromium, over an admin interface that is played: what it shows, at which sizes, and by keys."""

from __future__ import annotations

import contextlib
import json
import socket
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.demo.browser import PROGRAM, Browser
from tests.live.support_process import until
from tests.support.fake_admin import HOSTILE, FakeAdmin

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed")

ROWS = "[...document.querySelectorAll('#rows .row:not([hidden])')]"
FULL = f"{ROWS}.length > 20"
TRACED = "document.querySelectorAll('#trace[open] .steps li').length"
FOCUS = "document.activeElement"
CONTRAST = """(() => {
    const place = Object.assign(document.createElement('canvas'), {width: 1, height: 1});
    const pen = place.getContext('2d', {willReadFrequently: true});
    const paint = colour => { pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1); };
    const light = () => [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3).map(one => one / 255)
        .map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
        .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
    const faint = [];
    for (const one of document.querySelectorAll('body *')) {
        const written = [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim());
        if (!written || !one.getClientRects().length || one.closest(':disabled, .hidden, .row:nth-child(n + 20)')) continue;
        paint('white');
        const around = [];
        for (let at = one; at; at = at.parentElement) around.unshift(getComputedStyle(at).backgroundColor);
        around.forEach(paint);
        const behind = light();
        paint(getComputedStyle(one).color);
        const [low, high] = [behind, light()].sort((one, other) => one - other);
        const ratio = (high + 0.05) / (low + 0.05);
        if (ratio < 4.5) faint.push(`${one.outerHTML.slice(0, 80)}: ${ratio.toFixed(2)}`);
    }
    return faint;
})()"""
"""What is written too faintly to be read by everybody (WCAG 2.2, success criterion 1.4.3: 4.5 to 1)."""
CUT_OFF = (
    "[...document.querySelectorAll('button, input, a:not(.skip), td, dd, h1, h2, h3')].filter(one => {"
    " const box = one.getBoundingClientRect();"
    " return box.width && !one.closest('.facts, .hidden') && (box.left < -1 || box.right > innerWidth + 1);"
    "}).map(one => one.outerHTML.slice(0, 120))"
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with Browser() as one:
        one.watch()
        yield one


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """Nothing may go wrong in the page, and nobody but the proxy may be asked, whatever a test does."""
    chromium.problems.clear()
    chromium.requested.clear()
    chromium.look(1280, 800, dark=False)
    yield chromium
    chromium.open("data:text/html,<p>between tests</p>")
    assert chromium.problems == []
    outside = [one for one in chromium.requested if not one.startswith(("http://127.0.0.1:", "data:"))]
    assert outside == []


@pytest.fixture
def fake() -> Iterator[FakeAdmin]:
    with FakeAdmin(rate=40) as one:
        one.beat = 0.3
        yield one


def opened(browser: Browser, fake: FakeAdmin, port: int = 0) -> int:
    port = fake.listen(port)
    browser.open(f"http://127.0.0.1:{port}/")
    browser.wait_for("document.getElementById('state-text').textContent === 'Serving'")
    return port


def row(text: str) -> str:
    """The row of a table in which a text stands."""
    return f"[...document.querySelectorAll('td.name')].find(one => one.textContent.includes({text!r})).parentElement"


# What it shows.


def test_figures_move_and_charts_are_drawn(browser: Browser, fake: FakeAdmin) -> None:
    opened(browser, fake)
    values = "[...document.querySelectorAll('.chart .value')].map(one => one.textContent).join()"
    browser.wait_for(f"{values}.includes('ms') && {values}.includes('%')")
    before = browser.evaluate(values)
    browser.wait_for(f"{values} !== {json.dumps(before)}")
    drawn = (
        "[...document.querySelectorAll('.plot canvas')].map(one =>"
        " one.getContext('2d').getImageData(0, 0, one.width, one.height).data.filter(octet => octet).length > 5000)"
    )
    assert browser.evaluate(drawn) == [True] * 4
    assert browser.evaluate("[...document.querySelectorAll('.plot .nothing')].every(one => one.hidden)")
    assert "a second" in browser.evaluate("document.querySelector('#chart-rate .plot').getAttribute('aria-label')")
    assert browser.evaluate("document.title").endswith("/s · revproxy")


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (820, 1100), (390, 844)])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_fits_the_screen(browser: Browser, fake: FakeAdmin, width: int, height: int, dark: bool) -> None:
    browser.look(width, height, dark)
    opened(browser, fake)
    browser.wait_for(FULL)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(CUT_OFF) == []
    red, *_ = browser.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (red < 60) is dark
    assert browser.evaluate(CONTRAST) == []
    browser.click("#rows .row")
    browser.wait_for(TRACED)
    assert browser.evaluate(CUT_OFF) == []


def test_nothing_has_happened_yet(browser: Browser) -> None:
    with FakeAdmin(empty=True) as fake:
        opened(browser, fake)
        browser.wait_for("document.querySelectorAll('#workers td').length")
        nothing = "[...document.querySelectorAll('.plot .nothing')].map(one => one.hidden ? '' : one.textContent)"
        assert browser.evaluate(nothing) == ["No data yet"] * 4
        assert "No requests yet" in browser.text("#requests")
        assert "No upstreams are configured" in browser.text("#upstreams")
        assert "No listener speaks TLS" in browser.text("#certificates")
        assert "NaN" not in browser.text("body")
        assert "undefined" not in browser.text("body")


def test_a_status_that_was_overtaken_is_not_shown(browser: Browser, fake: FakeAdmin) -> None:
    opened(browser, fake)
    state = "document.getElementById('state-text').textContent"
    fake.behind, fake.state = 20.0, "draining"
    before = fake.told
    until(lambda: fake.told > before + 2, "events that tell of before")
    assert browser.evaluate(state) == "Serving"
    # So far back it can only be the clock.
    fake.behind = 3600.0
    browser.wait_for(f"{state} === 'Draining'")


def test_the_proxy_goes_and_comes_back(browser: Browser, fake: FakeAdmin) -> None:
    port = opened(browser, fake)
    browser.wait_for(FULL)
    fake.end()
    browser.wait_for("!document.getElementById('gone').hidden")
    assert browser.text("#state") == "No answer"
    assert "does not answer" in browser.text("#gone")
    # What was known is still there to be read.
    assert browser.evaluate(FULL)
    fake.listen(port)
    browser.click("#retry")
    browser.wait_for(
        "document.getElementById('gone').hidden && document.getElementById('state').innerText === 'Serving'"
    )


def test_workers_and_certificates(browser: Browser, fake: FakeAdmin) -> None:
    opened(browser, fake)
    browser.wait_for("document.querySelectorAll('#workers tbody tr').length === 2")
    fake.restarts = 3
    browser.wait_for("document.querySelector('#workers').innerText.includes('3 restarts')")
    assert "pid 41204" in browser.text("#workers")
    fake.state = "draining"
    browser.wait_for("document.getElementById('state').innerText === 'Draining'")
    days = "[...document.querySelectorAll('#certificates .badge')].map(one => [one.className, one.textContent])"
    assert browser.evaluate(days) == [["badge bad", "2 days"], ["badge warn", "11 days"], ["badge good", "61 days"]]


# Orders.


def test_a_server_is_taken_out_and_brought_back(browser: Browser, fake: FakeAdmin) -> None:
    opened(browser, fake)
    server = row("10.0.1.11")
    browser.wait_for(f"!!{server}")
    for before, after, state in (("Take out", "Bring back", "down"), ("Bring back", "Take out", "up")):
        assert browser.evaluate(f"{server}.querySelector('button').textContent") == before
        browser.evaluate(f"{server}.querySelector('button').click()")
        browser.wait_for("document.getElementById('confirm').open")
        assert not [name for name, _ in fake.orders[("down", "up").index(state) :]]
        browser.click("#confirm-yes")
        browser.wait_for(f"{server}.querySelector('button').textContent === {after!r}")
        assert fake.orders[-1] == ("peers", {"upstream": "api", "server": "http://10.0.1.11:9000", "state": state})
        assert browser.evaluate(f"{server}.querySelector('.badge').textContent") == state


def test_orders_tell_what_came_of_them(browser: Browser, fake: FakeAdmin) -> None:
    opened(browser, fake)
    said = "document.getElementById('outcome').innerText"
    browser.click("#plan")
    browser.wait_for(f"{said}.includes('weight of http://10.0.1.11:9000 is 2, was 1')")
    assert fake.orders == [("reload", {"plan": True})]
    browser.wait_for("!document.getElementById('rollback').disabled")
    browser.click("#rollback")
    browser.click("#confirm-yes")
    browser.wait_for(f"{said}.includes('/etc/revproxy/certs does not exist')")
    browser.click("#drain")
    browser.press("Escape")
    browser.wait_for("!document.getElementById('confirm').open")
    assert [name for name, _ in fake.orders] == ["reload", "rollback"]
    browser.evaluate("document.querySelector('#purge-form [name=kind]').value = 'host'")
    browser.evaluate("document.querySelector('#purge-form [name=value]').value = 'shop.example'")
    browser.click("#purge-form button")
    browser.wait_for(f"{said}.includes('3 responses removed')")
    assert fake.orders[2:] == [("purge", {"host": "shop.example"})]


def test_a_request_is_explained_before_it_happens(browser: Browser, fake: FakeAdmin) -> None:
    opened(browser, fake)
    browser.press("e")
    browser.type("https://shop.example/<i>a</i>")
    browser.evaluate("document.querySelector('#explain-form [name=headers]').value = 'Accept: */*\\n\\nX-One: 1'")
    browser.press("Enter")
    browser.wait_for("document.querySelectorAll('#explained .steps li').length === 7")
    question = {"method": "GET", "url": "https://shop.example/<i>a</i>", "headers": ["Accept: */*", "X-One: 1"]}
    assert fake.orders[-1] == ("explain", question)
    assert "/ takes https://shop.example/<i>a</i>" in browser.text("#explained")
    browser.evaluate("document.querySelector('#explain-form [name=url]').value = 'nonsense'")
    browser.click("#explain-form button")
    browser.wait_for("document.getElementById('explained').innerText.includes('is no URL')")


# Requests.


def test_requests_are_filtered_at_the_proxy_and_here(browser: Browser, fake: FakeAdmin) -> None:
    opened(browser, fake)
    browser.wait_for(FULL)
    browser.press("/")
    browser.type("status:404 wp-")
    only = f"{ROWS}.length && {ROWS}.every(one => one.innerText.includes('404') && one.innerText.includes('/wp-login'))"
    browser.wait_for(only)
    assert any("events?status=404" in address for address in browser.requested)
    browser.type("nowhere to be found")
    browser.wait_for("document.getElementById('requests').innerText.includes('No request matches')")
    browser.evaluate("document.getElementById('filter').select()")
    browser.type(" ")
    browser.wait_for(FULL)


def test_a_click_opens_the_trace_and_it_can_be_copied(browser: Browser, fake: FakeAdmin) -> None:
    opened(browser, fake)
    browser.wait_for(FULL)
    browser.click("#pause")
    record = fake.trace(browser.evaluate(f"{ROWS}[3].record.id"))
    assert record is not None
    browser.click("#rows .row:nth-child(4)")
    browser.wait_for(TRACED)
    shown = browser.text("#trace")
    assert record["id"] in shown
    assert record["target"] in browser.text("#trace-title")
    for step in record["explanation"]:
        assert step["text"] in shown
        assert step["place"] in shown
    link = "document.querySelector('#trace .where a')"
    assert browser.evaluate(f"{link}.href") == "https://www.rfc-editor.org/rfc/rfc9112#section-3.2"
    assert browser.evaluate(f"{link}.rel") == "noopener noreferrer"
    browser.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    browser.call("Page.bringToFront")
    browser.evaluate(
        "[...document.querySelectorAll('#trace button')].find(one => one.innerText.includes('Copy')).click()"
    )
    browser.wait_for("document.getElementById('trace').innerText.includes('Copied')")
    assert browser.evaluate("navigator.clipboard.readText()") == record["text"]


def test_a_request_that_is_not_kept_any_more(browser: Browser, fake: FakeAdmin) -> None:
    opened(browser, fake)
    browser.evaluate("document.querySelector('#find-form [name=id]').value = 'f00'")
    browser.click("#find-form button")
    browser.wait_for("document.getElementById('trace').innerText.includes('does not keep this request')")


def test_the_list_stands_still_while_it_is_read(browser: Browser, fake: FakeAdmin) -> None:
    opened(browser, fake)
    browser.wait_for(FULL)
    browser.press("p")
    before = browser.evaluate(f"{ROWS}.map(one => one.record.id)")
    browser.wait_for("/Standing still, \\d+ new/.test(document.getElementById('requests-note').textContent)")
    assert browser.evaluate(f"{ROWS}.map(one => one.record.id)") == before
    browser.press("p")
    browser.wait_for(f"{ROWS}[0].record.id !== {json.dumps(before[0])}")
    fake.dropped = 1234
    browser.wait_for("document.getElementById('requests-note').textContent.includes('1,234 more than could be shown')")
    # The rows stay at their number however many have come.
    assert browser.evaluate("document.querySelectorAll('#rows .row').length") <= 200


def test_by_keys_alone(browser: Browser, fake: FakeAdmin) -> None:
    opened(browser, fake)
    browser.wait_for(FULL)
    browser.press("Tab")
    assert browser.evaluate(f"{FOCUS}.className") == "skip"
    assert browser.evaluate(f"{FOCUS}.getBoundingClientRect().left") >= 0
    browser.press("/")
    assert browser.evaluate(f"{FOCUS}.id") == "filter"
    browser.press("ArrowDown")
    assert browser.evaluate(f"{FOCUS} === {ROWS}[0]")
    browser.press("ArrowDown")
    browser.press("End")
    browser.press("ArrowUp")
    assert browser.evaluate(f"{FOCUS} === {ROWS}.at(-2)")
    browser.press("Home")
    opened_row = browser.evaluate(f"{FOCUS}.record.id")
    browser.press("Enter")
    browser.wait_for(TRACED)
    assert browser.evaluate(f"{FOCUS}.closest('#trace') !== null")
    browser.press("Escape")
    browser.wait_for("!document.getElementById('trace').open")
    assert browser.evaluate(f"{FOCUS}.record.id") == opened_row
    browser.press("Escape")
    assert browser.evaluate(f"{FOCUS}.id") == "filter"
    # Every button is reached by Tab, and shows that it has the focus.
    reached = set()
    for _ in range(80):
        browser.press("Tab")
        reached.add(browser.evaluate(f"{FOCUS}.id || {FOCUS}.textContent.slice(0, 20)"))
        assert browser.evaluate(f"getComputedStyle({FOCUS}).outlineStyle") != "none" or browser.evaluate(
            f"{FOCUS} === document.body"
        )
    assert {"pause", "plan", "reload", "drain", "theme", "keys", "Take out", "Bring back", "Explain", "Find"} <= reached


def test_keys_are_told_and_colours_turn(browser: Browser, fake: FakeAdmin) -> None:
    opened(browser, fake)
    browser.press("?")
    browser.wait_for("document.getElementById('keys-dialog').open")
    browser.press("Escape")
    dark = "document.documentElement.hasAttribute('data-dark')"
    assert not browser.evaluate(dark)
    browser.press("t")
    assert browser.evaluate(dark)
    browser.press("t")
    browser.press("t")
    assert not browser.evaluate(dark)


# Who may not be trusted.


@pytest.mark.parametrize("width", [1280, 390])
def test_what_clients_sent_is_only_text(browser: Browser, width: int) -> None:
    browser.look(width, 844, dark=False)
    with FakeAdmin(rate=40, hostile=True) as fake:
        opened(browser, fake)
        browser.wait_for(FULL)
        browser.click("#pause")
        for target in HOSTILE:
            chosen = f"{ROWS}.find(one => one.record.target === {json.dumps(target)})"
            browser.evaluate(f"{chosen}.click()")
            browser.wait_for(TRACED)
            title = browser.evaluate("document.getElementById('trace-title').textContent")
            assert len(title) >= len(target)
            assert not set(title) & set("\x1b\x07\r\n\u202e\u2066\u200b")
            assert browser.evaluate("document.documentElement.scrollWidth") <= width
            assert browser.evaluate(CUT_OFF) == []
            browser.press("Escape")
        assert browser.evaluate("document.querySelectorAll('main script, main img, main b b, dialog img').length") == 0
        assert not browser.evaluate("window.hacked")


def test_nothing_runs_that_is_not_the_pages_own(browser: Browser, fake: FakeAdmin) -> None:
    port = opened(browser, fake)
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.setblocking(False)
        address = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/"
        markup = (
            f"<img src=x onerror='window.hacked=1'><img src='{address}'><style>body{{color:red}}</style>"
            f"<iframe srcdoc='<script>parent.hacked=1</script>'></iframe><object data='{address}'></object>"
            "<a id=lure href='javascript:window.hacked=1'>x</a>"
        )
        browser.evaluate(f"document.querySelector('main').insertAdjacentHTML('beforeend', {json.dumps(markup)})")
        script = "Object.assign(document.createElement('script'), {text: 'window.hacked = 1'})"
        browser.evaluate(f"document.querySelector('main').append({script})")
        browser.click("#lure")
        assert browser.evaluate(f"fetch('{address}').then(() => 'went out', () => 'refused')") == "refused"
        assert not browser.evaluate("window.hacked")
        assert browser.evaluate("getComputedStyle(document.body).color") != "rgb(255, 0, 0)"
        with pytest.raises(BlockingIOError):
            elsewhere.accept()
    with contextlib.closing(urllib.request.urlopen(f"http://127.0.0.1:{port}/")) as answer:
        policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_a_token_is_asked_for(browser: Browser, fake: FakeAdmin) -> None:
    fake.token = "s3cret"
    browser.open(f"http://127.0.0.1:{fake.listen()}/")
    browser.wait_for("document.getElementById('token').open")
    browser.type("s3cret")
    browser.press("Enter")
    browser.wait_for(FULL)
    browser.evaluate("sessionStorage.clear()")
