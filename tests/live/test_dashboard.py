"""``revproxy dashboard`` on a real proxy of two workers under load, in a headless Chromium; and its page over TCP."""

from __future__ import annotations

import re
import signal
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.demo.browser import PROGRAM, Browser
from tests.live.support_process import Child, free_port, until
from tests.live.support_shop import API, SHOP, Shop, Visitors

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed")

STATE = "document.getElementById('state-text').textContent"
ROWS = "[...document.querySelectorAll('#rows .row:not([hidden])')]"
VALUES = "[...document.querySelectorAll('.chart .value')].map(one => one.textContent)"
TRACED = "document.querySelectorAll('#trace[open] .steps li').length"
TOKEN = "the-shop-is-open-all-night"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with Browser() as one:
        one.watch()
        yield one


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with Shop(tmp_path_factory.mktemp("shop")) as one:
        yield one


@pytest.fixture(scope="module")
def visitors(shop: Shop) -> Iterator[Visitors]:
    with Visitors(shop.port) as some:
        until(lambda: some.answered > 30, "visits")
        yield some


@pytest.fixture(scope="module")
def bridge(shop: Shop) -> Iterator[Child]:
    with shop.tool("dashboard", "--no-browser") as tool:
        tool.wait_for(r"http://\S+\?token=\S+")
        yield tool


@pytest.fixture(scope="module")
def entered(chromium: Browser, bridge: Child) -> str:
    """The address of the page, once the browser has been there with the token."""
    address = bridge.wait_for(r"http://\S+")[0]
    chromium.open(address)
    assert chromium.evaluate("location.search") == ""
    return address.partition("?")[0]


@pytest.fixture
def page(chromium: Browser) -> Iterator[Browser]:
    """Nothing may go wrong in the page, and nobody but this machine may be asked, whatever a test does."""
    chromium.look(1440, 900, dark=False)
    chromium.problems.clear()
    chromium.requested.clear()
    chromium.complaints.clear()
    yield chromium
    chromium.open("data:text/html,<p>between tests</p>")
    assert chromium.problems == []
    # That no answer came is written there by the browser itself.
    assert [one for one in chromium.complaints if one[0] != "network"] == []
    assert [one for one in chromium.requested if not one.startswith(("http://127.0.0.1:", "data:"))] == []


@pytest.fixture
def open_page(page: Browser, entered: str, visitors: Visitors) -> Browser:
    page.open(entered)
    page.wait_for(f"{STATE} === 'Serving'")
    page.wait_for(f"{ROWS}.length > 10")
    assert page.complaints == []
    return page


def row(text: str) -> str:
    """The row of a table in which a text stands."""
    return f"[...document.querySelectorAll('td.name')].find(one => one.textContent.includes({text!r})).parentElement"


def test_figures_move_under_load(open_page: Browser) -> None:
    page = open_page
    page.wait_for(f"{VALUES}[0] > 5 && {VALUES}[1].includes('ms') && parseInt({VALUES}[2]) > 10 && {VALUES}[3] >= 1")
    before = page.evaluate(VALUES)
    page.wait_for(f"{VALUES}[0] !== {before[0]!r} && {VALUES}[1] !== {before[1]!r}")
    assert page.evaluate("[...document.querySelectorAll('.plot .nothing')].every(one => one.hidden)")
    assert page.evaluate("document.title").endswith("/s · revproxy")
    first = page.evaluate(f"{ROWS}[0].record.id")
    page.wait_for(f"{ROWS}[0].record.id !== {first!r}")
    hosts = set(page.evaluate(f"{ROWS}.map(one => one.record.host)"))
    assert hosts == {API, SHOP}
    page.wait_for(f"{ROWS}.some(one => one.querySelector('.c-cache').textContent === 'hit')")
    page.wait_for("document.querySelector('#totals').innerText.includes('Cached (memory)')")


def test_what_the_proxy_is_made_of(open_page: Browser, shop: Shop) -> None:
    page = open_page
    page.wait_for("document.querySelectorAll('#workers tbody tr').length === 2")
    for pid in shop.proxy.workers():
        assert f"pid {pid}" in page.text("#workers")
    share = "[...document.querySelectorAll('#workers tbody tr')].map(one => one.cells[6].innerText)"
    page.wait_for(f"{share}.every(one => one.endsWith(' %'))")
    page.wait_for(f"!!{row(f'127.0.0.1:{shop.dead}')}.querySelector('.badge.warn')")
    assert re.match(r"aside( for \d+ s)?$", page.evaluate(f"{row(str(shop.dead))}.querySelector('.badge').innerText"))
    assert page.evaluate(f"{row(shop.third[7:])}.querySelector('.badge').innerText") == "up"
    assert page.evaluate(f"{row(shop.third[7:])}.cells[2].innerText") == "2"
    days = "[...document.querySelectorAll('#certificates tbody tr')].map(one => [one.cells[0].innerText, one.cells[3].innerText])"
    assert page.evaluate(days) == [[API, "11 days"], [SHOP, "61 days"]]
    speaks = "[...document.querySelectorAll('#listeners tbody tr')].map(one => [one.cells[0].innerText, one.cells[1].innerText])"
    assert page.evaluate(speaks) == [
        [f"http://127.0.0.1:{shop.port}/", "HTTP"],
        [f"https://127.0.0.1:{shop.tls_port}/", "HTTPS"],
    ]


def test_a_click_opens_the_trace_and_its_words(open_page: Browser, shop: Shop) -> None:
    page = open_page
    page.press("/")
    page.type("path:/static/ hit")
    page.wait_for(f"{ROWS}.length && {ROWS}.every(one => one.record.target.startsWith('/static/'))")
    page.press("p")
    page.press("Escape")
    page.evaluate(f"{ROWS}[0].click()")
    page.wait_for(TRACED)
    shown = page.text("#trace")
    assert "the cache: revproxy; hit; ttl=" in shown
    line = shop.text[: shop.text.index('path = "/static/"')].count("\n")
    assert f"revproxy.toml:{line}" in shown
    id = page.evaluate("document.querySelector('#trace dd code').textContent")
    code, told = shop.proxy.order("GET", f"/requests/{id}")
    assert code == 200
    for step in told["explanation"]:
        assert step["text"] in page.evaluate("document.querySelector('#trace').textContent")
    page.press("Escape")
    page.evaluate(f"document.querySelector('#find-form [name=id]').value = {id!r}")
    page.click("#find-form button")
    page.wait_for(TRACED)


def test_a_filter_that_is_half_typed_cuts_nothing_off(open_page: Browser) -> None:
    page = open_page
    said = "document.getElementById('requests-note').innerText"
    page.press("/")
    page.type("status:4")
    page.wait_for(f"{said}.includes('status is a number such as 404')")
    assert page.evaluate("document.getElementById('filter').getAttribute('aria-invalid')") == "true"
    assert page.evaluate("document.getElementById('gone').hidden")
    before = page.evaluate(VALUES)
    page.wait_for(f"{VALUES}[0] !== {before[0]!r} || {VALUES}[1] !== {before[1]!r}")
    assert page.evaluate(STATE) == "Serving"
    page.type("xx slower:0")
    page.wait_for(f"{ROWS}.length && {ROWS}.every(one => one.record.status >= 400 && one.record.status < 500)")
    assert "status is a number" not in page.evaluate(said)
    # Only the refused ones are complained of, by the browser itself.
    page.complaints.clear()


def test_before_the_fact_it_says_the_same_as_the_proxy(open_page: Browser, shop: Shop) -> None:
    page = open_page
    page.press("e")
    page.type(f"https://{API}/elsewhere")
    page.press("Enter")
    page.wait_for("document.querySelectorAll('#explained .steps li').length > 3")
    said = page.text("#explained")
    assert "404" in said
    assert "/v1/" in said


def test_by_keys_alone(open_page: Browser) -> None:
    page = open_page
    page.press("r")
    page.press("ArrowDown")
    wanted = page.evaluate("document.activeElement.record.target")
    page.press("Enter")
    page.wait_for(TRACED)
    assert wanted in page.text("#trace-title")
    page.press("Escape")
    page.wait_for("!document.getElementById('trace').open")
    page.press("t")
    assert page.evaluate("document.documentElement.hasAttribute('data-dark')")
    page.press("t")
    page.press("t")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_on_a_phone(open_page: Browser, dark: bool) -> None:
    page = open_page
    page.look(375, 812, dark)
    assert page.evaluate("document.documentElement.hasAttribute('data-dark')") is dark
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    page.evaluate(f"{ROWS}[0].click()")
    page.wait_for(TRACED)
    box = "(({left, right, top, bottom}) => [left, right, top, bottom])(document.getElementById('trace').getBoundingClientRect())"
    assert page.evaluate(box) == [0, 375, 0, 812]
    assert page.evaluate("document.getElementById('trace-content').scrollWidth") <= 375
    page.press("Escape")


def test_a_server_is_taken_out_of_all_workers(open_page: Browser, shop: Shop) -> None:
    page = open_page
    server = row(shop.third[7:])
    for word, state in (("Take out", "down"), ("Bring back", "up")):
        page.wait_for(f"{server}.querySelector('button').textContent === {word!r}")
        page.evaluate(f"{server}.querySelector('button').click()")
        page.wait_for("document.getElementById('confirm').open")
        assert page.text("#confirm-yes") == word
        page.click("#confirm-yes")
        page.wait_for(f"{server}.querySelector('.badge').textContent === {state!r}")
        api = next(one for one in shop.proxy.status()["upstreams"] if one["name"] == "api")
        assert next(one for one in api["servers"] if one["name"] == shop.third[7:])["state"] == state


def test_reloads_while_it_is_open(open_page: Browser, shop: Shop) -> None:
    page = open_page
    file = shop.folder / "revproxy.toml"
    said = "document.getElementById('outcome').innerText"
    try:
        file.write_text(shop.text.replace("[upstream.api]", "[upstream.api"))
        page.click("#reload")
        page.wait_for(f"{said}.includes('not done')")
        line = shop.text[: shop.text.index("[upstream.api]")].count("\n") + 1
        assert f"revproxy.toml:{line}" in page.evaluate(said)
        assert page.evaluate(STATE) == "Serving"
        file.write_text(shop.text.replace("[upstream.api]\n", '[upstream.api]\nanswer_timeout = "9s"\n'))
        page.click("#plan")
        page.wait_for(f"{said}.includes('answer_timeout')")
        assert shop.proxy.status()["config"]["generation"] == 1
        page.click("#reload")
        page.wait_for("document.getElementById('facts').innerText.includes('no. 2')")
        page.wait_for("!document.getElementById('rollback').disabled")
        assert "Last reload at" in page.text("#foot")
        page.click("#rollback")
        page.wait_for("document.getElementById('confirm').open")
        page.click("#confirm-yes")
        page.wait_for(f"{said}.startsWith('Roll back:')")
    finally:
        file.write_text(shop.text)
    first = page.evaluate(f"{ROWS}[0].record.id")
    page.wait_for(f"{ROWS}[0].record.id !== {first!r}")


def test_who_gets_in_at_the_bridge(bridge: Child, entered: str) -> None:
    address = bridge.wait_for(r"http://\S+")[0]
    for url, fields, status in (
        (address, {}, 401),  # it was good once
        (f"{entered}status", {}, 401),
        (f"{entered}status", {"Host": "evil.example"}, 403),
        (f"{entered}status", {"Origin": "http://evil.example"}, 403),
    ):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(urllib.request.Request(url, headers=fields))
        caught.value.close()
        assert caught.value.code == status


def test_the_proxy_ends_and_another_comes(page: Browser, entered: str, shop: Shop) -> None:
    page.open(entered)
    page.wait_for(f"{STATE} === 'Serving' && {ROWS}.length > 10")
    assert shop.proxy.end() == 0
    page.wait_for("!document.getElementById('gone').hidden")
    assert page.evaluate(STATE) == "No answer"
    assert page.evaluate(f"{ROWS}.length") > 10
    shop.start()
    page.click("#retry")
    page.wait_for(f"document.getElementById('gone').hidden && {STATE} === 'Serving'")
    page.wait_for(f"document.getElementById('foot').textContent.includes('process {shop.proxy.process.pid}')")
    assert page.evaluate("document.querySelectorAll('#workers tbody tr').length") == 2


def test_ctrl_c_ends_the_bridge(bridge: Child) -> None:
    bridge.signal(signal.SIGINT)
    assert bridge.wait() == 0
    assert "Traceback" not in bridge.output


def test_over_tcp_with_the_token(page: Browser, tmp_path_factory: pytest.TempPathFactory) -> None:
    port = free_port()
    more = f'[admin]\nlisten = "127.0.0.1:{port}"\ntoken = "{TOKEN}"\n'
    with Shop(tmp_path_factory.mktemp("tcp"), workers=1, more=more) as shop, Visitors(shop.port, number=1):
        page.open(f"http://127.0.0.1:{port}/")
        page.wait_for("document.getElementById('token').open")
        page.type("not it")
        page.press("Enter")
        page.wait_for("!document.getElementById('token').open")
        page.wait_for("document.getElementById('token').open")
        page.type(TOKEN)
        page.press("Enter")
        page.wait_for(f"{STATE} === 'Serving' && {ROWS}.length > 3")
        page.click("#plan")
        page.wait_for("document.getElementById('outcome').innerText.includes('nothing')")
        assert TOKEN not in page.evaluate("document.documentElement.outerHTML + location.href")
        page.evaluate("sessionStorage.clear()")
        # A link that is good once: no token is asked for.
        code, told = shop.proxy.order("POST", "/login", {})
        assert code == 200
        page.open(f"http://127.0.0.1:{port}/?token={told['token']}")
        page.wait_for(f"{STATE} === 'Serving' && {ROWS}.length > 3")
        assert not page.evaluate("document.getElementById('token').open")
        assert page.evaluate("location.search") == ""
        page.click("#plan")
        page.wait_for("document.getElementById('outcome').innerText.includes('nothing')")
