"""What the README and the pages in docs/ say can be done, can be done; and every page is there and is linked."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from revproxy.config.load import examine, load
from revproxy.errors import ProxyError
from revproxy.http.fields import BACKEND_TRACES, CLIENT_CLAIMS, FORBIDDEN_TRAILERS, FRAMING, HOP_BY_HOP
from revproxy.http.rewrite import REWRITTEN
from tests.certificates.making import make_root, pem_of
from tests.demo.process import free_port

CHECKOUT = Path(__file__).resolve().parents[1]
DOCS = CHECKOUT / "docs"
EXAMPLES = CHECKOUT / "examples" / "programming"
PAGES = [CHECKOUT / "README.rst", CHECKOUT / "CHANGELOG.rst", *sorted(DOCS.glob("*.rst"))]
PATIENCE = 30.0


def name(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks(path: Path, language: str) -> list[str]:
    found = re.findall(rf"^\.\. code-block:: {language}\n\n((?:    .*\n|\n)+)", read(path), re.MULTILINE)
    return [dedent(block).strip("\n") + "\n" for block in found]


# The pages themselves.


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_pages_render_without_a_warning(page: Path) -> None:
    # configuration.rst links in the way of another tool; docutils alone does not know that role.
    text = re.sub(r":doc:`([a-z-]+)`", r"``\1``", read(page))
    rendered = subprocess.run(
        [sys.executable, "-m", "docutils", "--report=1", "--halt=5", "--no-file-insertion", "--no-raw"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert rendered.returncode == 0
    assert rendered.stderr == ""


def links(page: Path) -> set[Path]:
    """The files that a page links to."""
    text = read(page)
    targets = [DOCS / f"{found}.rst" for found in re.findall(r":doc:`([a-z-]+)`", text)]
    for found in re.findall(r"`[^`]*?<([^`>]+)>`_", text):
        if "://" not in found:
            targets.append(page.parent / found)
    return {target.resolve() for target in targets}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    assert [str(target) for target in links(page) if not target.is_file()] == []


def test_every_page_is_in_the_index() -> None:
    assert {page.resolve() for page in PAGES} - links(DOCS / "index.rst") == {DOCS / "index.rst"}
    assert DOCS / "index.rst" in links(CHECKOUT / "README.rst")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_that_are_named_are_there(page: Path) -> None:
    for named in re.findall(r"``((?:tests|examples|docs|benchmarks)/[\w./-]*)``", read(page)):
        assert (CHECKOUT / named).exists(), named
    for named in re.findall(r"``((?:http|wire|upstream|downstream|resources|service|observe|config)/\w+\.py)``", read(page)):
        assert (CHECKOUT / "revproxy" / named).is_file(), named


# Configurations.

TOML = [(page, text) for page in PAGES for text in blocks(page, "toml")]


@pytest.mark.parametrize(("page", "text"), TOML, ids=[name(page) for page, _ in TOML])
def test_configurations_can_be_used(page: Path, text: str, tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    (tmp_path / "certs").mkdir()
    root = make_root("somebody")
    (tmp_path / "certs" / "shop.example.pem").write_bytes(root.issue("shop.example").pem + pem_of(root.certificate))
    (tmp_path / "certs" / "clients.pem").write_bytes(pem_of(root.certificate))
    file = tmp_path / "revproxy.toml"
    file.write_text(text, encoding="utf-8")
    assert examine(file).mistakes == ()
    load(file)


def test_there_are_configurations() -> None:
    assert {"README.rst", "docs/configuration.rst", "docs/forwarding.rst"} <= {name(page) for page, _ in TOML}


# Python.


def test_the_readmes_tree_is_a_tree(tmp_path: Path) -> None:
    (tmp_path / "tree.py").write_text(blocks(CHECKOUT / "README.rst", "python")[0], encoding="utf-8")
    # In a process of its own: it starts the upstream's clock on the real reactor.
    check = "from tree import hosts; assert type(hosts.find(b'shop.example')).__name__ == 'Routes', hosts"
    subprocess.run([sys.executable, "-W", "ignore", "-c", check], cwd=tmp_path, check=True, timeout=PATIENCE)


def test_the_readmes_python_configuration(tmp_path: Path) -> None:
    file = tmp_path / "site.py"
    file.write_text(blocks(CHECKOUT / "README.rst", "python")[1], encoding="utf-8")
    assert examine(file).mistakes == ()


def test_snippets_come_from_the_examples() -> None:
    def bare(text: str) -> str:
        return "\n".join(line.strip() for line in text.strip().splitlines())

    examples = [bare(read(path)) for path in EXAMPLES.glob("*.py")]
    snippets = blocks(DOCS / "programming.rst", "python")
    assert len(snippets) == 6
    for snippet in snippets:
        assert any(bare(snippet) in example for example in examples), snippet


def test_examples_are_typed() -> None:
    files = [str(path) for path in sorted(EXAMPLES.glob("*.py"))]
    mypy = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", *files],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert mypy.returncode == 0, mypy.stdout


class Backend(http.server.BaseHTTPRequestHandler):
    """Answers with the path and the Host that it was asked for."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = f"{self.path} of {self.headers['Host']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: pytest's output is for results."""


@pytest.fixture(scope="module")
def backend() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend) as server:
        server.daemon_threads = True
        # Kept-alive connections would have a thread each that waits.
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def running(example: str, backend: str) -> Iterator[Callable[..., tuple[int, str]]]:
    """Starts an example as its first lines say; gives a function that asks it for a path."""
    port = free_port()
    file = str(EXAMPLES / example)
    twistd = [str(Path(sys.executable).parent / "twistd"), "-n", "--pidfile=", "revproxy", "--config", file]
    if "twistd -n revproxy --config" in read(EXAMPLES / example):
        command = [*twistd, "--listen", f"127.0.0.1:{port}"]
    elif "python proxy_in_a_program.py 127.0.0.1:8080" in read(EXAMPLES / example):
        command = [sys.executable, file, f"127.0.0.1:{port}", backend]
    else:
        command = [sys.executable, file, str(port), backend]
    process = subprocess.Popen(
        command,
        env={**os.environ, "BACKEND": backend},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

    def ask(path: str, host: str = "localhost", data: bytes | None = None, method: str | None = None) -> tuple[int, str]:
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, {"Host": host}, method=method)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, error.read().decode()
            except urllib.error.URLError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    try:
        yield ask
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=PATIENCE)
        assert "Traceback" not in output, output
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_proxy_in_a_site(backend: str) -> None:
    with running("proxy_in_a_site.py", backend) as ask:
        assert ask("/") == (200, "the site itself; the backend is below /app/\n")
        assert ask("/app/a/b?c=d") == (200, "/a/b?c=d of localhost")


def test_cached_proxy(backend: str) -> None:
    with running("cached_proxy.py", backend) as ask:
        assert ask("/a") == (200, "/a of localhost")
        assert ask("/a") == (200, "/a of localhost")


def test_hosts_and_routes(backend: str) -> None:
    with running("hosts_and_routes.py", backend) as ask:
        assert ask("/health") == (200, "ok\n")
        assert ask("/api/users") == (200, "/users of localhost")
        assert ask("/else") == (200, "/else of localhost")
        assert ask("/api/users", method="DELETE")[0] == 405
        assert ask("/api/users", host="other.example") == (200, "/api/users of app.internal")


def test_any_resource(backend: str) -> None:
    with running("any_resource.py", backend) as ask:
        assert ask("/guestbook", data=b"hello") == (201, "")
        assert ask("/guestbook") == (200, "hello\n")
        assert ask("/klein/slow") == (200, "slow, but here\n")
        assert ask("/klein/nothing")[0] == 404
        assert ask("/a") == (200, "/a of localhost")


def test_streaming_responder(backend: str) -> None:
    with running("streaming_responder.py", backend) as ask:
        assert ask("/sha256") == (200, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n")
        upload = bytes(3_000_000)
        assert ask("/sha256", data=upload) == (200, hashlib.sha256(upload).hexdigest() + "\n")
        assert ask("/else")[0] == 404


def test_proxy_in_a_program(backend: str) -> None:
    with running("proxy_in_a_program.py", backend) as ask:
        assert ask("/a") == (200, "/a of localhost")


def test_every_example_is_run() -> None:
    tests = {test.removeprefix("test_") for test in globals() if test.startswith("test_")}
    assert {path.stem for path in EXAMPLES.glob("*.py")} - tests == set()


# Tables that repeat what the code says.


def every(kind: type[ProxyError]) -> list[type[ProxyError]]:
    """All kinds of it."""
    return [found for below in kind.__subclasses__() for found in (below, *every(below))]


def test_operations_lists_every_reason() -> None:
    told = dict(re.findall(r"^``(\w+)`` +(\d{3}) ", read(DOCS / "operations.rst"), re.MULTILINE))
    # What has no reason of its own is never raised itself.
    kinds: list[type[ProxyError]] = [ProxyError, *(kind for kind in every(ProxyError) if "reason" in vars(kind))]
    assert told == {kind.reason: str(kind.status) for kind in kinds}


def test_forwarding_names_every_field() -> None:
    page = read(DOCS / "forwarding.rst").lower()
    requests, answers, trailers = re.split(r"^answers\n---|^trailers\n---", page, flags=re.MULTILINE)[:3]
    trailers = trailers.partition("whom to trust")[0]

    def missing(names: frozenset[bytes], text: str) -> list[str]:
        return sorted(field for raw in names if f"``{(field := raw.decode())}``" not in text)

    assert missing(HOP_BY_HOP | FRAMING | CLIENT_CLAIMS, requests) == []
    assert missing(HOP_BY_HOP | FRAMING | BACKEND_TRACES | REWRITTEN, answers) == []
    named_above = HOP_BY_HOP | FRAMING | CLIENT_CLAIMS | BACKEND_TRACES
    assert missing(frozenset(FORBIDDEN_TRAILERS - named_above), trailers) == []
