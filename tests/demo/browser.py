"""A headless Chromium that tests can steer, over its DevTools protocol."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from websockets.sync.client import connect

if TYPE_CHECKING:
    from types import TracebackType

PROGRAM = shutil.which("chromium")
PATIENCE = 20.0

# Quiet: nothing but the pages under test may cause traffic, and everything goes into a folder of its own.
SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--remote-debugging-port=0",
)

# Windows' numbers, by which Chromium knows the keys that write nothing.
KEYS = {
    "Tab": 9,
    "Enter": 13,
    "Escape": 27,
    "End": 35,
    "Home": 36,
    "ArrowUp": 38,
    "ArrowDown": 40,
}

# Only the old document carries the mark; in between comes an empty one, which is "complete" as well.
MARK = "window.left = true"
ARRIVED = "!window.left && document.readyState === 'complete' && document.body.childElementCount > 0"


def trust(root: Path, home: Path) -> None:
    """Puts a root into the list that Chromium on Linux reads in a home folder."""
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True)
    for words in (("-N", "--empty-password"), ("-A", "-t", "C,,", "-n", "the local root", "-i", str(root))):
        subprocess.run(["certutil", "-d", f"sql:{database}", *words], check=True, timeout=PATIENCE)


class Browser:
    """One browser with one page in it; a context manager."""

    def __init__(self, root: Path | None = None) -> None:
        """``root`` is a certificate that the browser shall trust, as ``revproxy ca`` says how."""
        assert PROGRAM is not None
        self._folder = tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)
        environment = dict(os.environ)
        if root is not None:
            environment["HOME"] = self._folder.name
            trust(root, Path(self._folder.name))
        self._process = subprocess.Popen(
            [PROGRAM, *SWITCHES, f"--user-data-dir={self._folder.name}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        self._open = contextlib.ExitStack()
        self._numbers = itertools.count(1)
        try:
            opening = connect(self._page_address(), max_size=None, compression=None)
            self._socket = self._open.enter_context(opening)
        except BaseException:
            self._end()
            raise
        self.problems: list[str] = []
        self.requested: list[str] = []
        """Addresses that the page asked for, from ``watch`` on."""
        self.complaints: list[tuple[str, str]] = []
        """What the browser wrote to its console as an error, from ``watch`` on: the source and the text."""
        self.call("Page.enable")
        self.call("Runtime.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()
        self._end()

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def _page_address(self) -> str:
        """The address of the first page's DevTools socket; Chromium writes its port into its folder."""
        ports = Path(self._folder.name, "DevToolsActivePort")
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self._process.poll() is None, "the browser ended"
            if ports.exists() and (lines := ports.read_text().split()):
                with urllib.request.urlopen(f"http://127.0.0.1:{lines[0]}/json/list") as answer:
                    pages = [target for target in json.load(answer) if target["type"] == "page"]
                if pages:
                    return str(pages[0]["webSocketDebuggerUrl"])
            time.sleep(0.05)
        raise AssertionError("the browser did not start in time")

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """One command, and its result; what the page complains about meanwhile goes to ``problems``."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(PATIENCE))
            if message.get("method") == "Runtime.exceptionThrown":
                self.problems.append(json.dumps(message["params"]["exceptionDetails"]))
            if message.get("method") == "Network.requestWillBeSent":
                self.requested.append(message["params"]["request"]["url"])
            if message.get("method") == "Runtime.consoleAPICalled" and message["params"]["type"] == "error":
                self.complaints.append(("script", json.dumps(message["params"]["args"])))
            if message.get("method") == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
                entry = message["params"]["entry"]
                self.complaints.append((entry["source"], entry["text"]))
            if message.get("id") == number:
                assert "error" not in message, f"{method}: {message['error']}"
                return dict(message["result"])

    def watch(self) -> None:
        """From now on it is noted what the page asks the network for, and what the console says."""
        self.call("Network.enable")
        self.call("Log.enable")
        self.requested.clear()

    def press(self, key: str) -> None:
        """One key of the keyboard, by its name ("Enter") or its letter."""
        code = KEYS.get(key)
        words = {"key": key, "windowsVirtualKeyCode": code or ord(key.upper())}
        text = "\r" if key == "Enter" else key if code is None else None
        self.call("Input.dispatchKeyEvent", type="keyDown", **words, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **words)

    def type(self, text: str) -> None:
        """Text where the focus is."""
        self.call("Input.insertText", text=text)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, or of the promise that it is."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait_for(self, expression: str, seconds: float = PATIENCE) -> Any:
        """The value of ``expression``, as soon as it is a true one."""
        deadline = time.monotonic() + seconds
        # While a page changes there may be no body yet: that is "not yet", not a mistake.
        guarded = f"(() => {{ try {{ return {expression} }} catch {{ return null }} }})()"
        while not (value := self.evaluate(guarded)):
            if time.monotonic() >= deadline:
                raise AssertionError(f"not in {seconds} s: {expression}; the page says: {self.text('body')}")
            time.sleep(0.05)
        return value

    def open(self, address: str) -> None:
        """Go to a page, and wait until it and its scripts are there."""
        self.evaluate(MARK)
        result = self.call("Page.navigate", url=address)
        assert not result.get("errorText"), f"{address}: {result['errorText']}"
        self.wait_for(ARRIVED)

    def follow(self, selector: str) -> None:
        """Click on what leads to another page, and wait until that is there."""
        self.evaluate(MARK)
        self.click(selector)
        self.wait_for(ARRIVED)

    def text(self, selector: str) -> str:
        return str(self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText"))

    def click(self, selector: str) -> None:
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    def choose_file(self, selector: str, path: Path) -> None:
        """Put a file into an ``<input type=file>``, as a visitor does."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def look(self, width: int, height: int, dark: bool) -> None:
        """What kind of screen the page is shown on."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """The whole page, or only what fits on the screen."""
        # A scroll bar would be in the picture's measure and not in the picture.
        self.call("Emulation.setScrollbarsHidden", hidden=True)
        result = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(result["data"]))
