"""Every kind of mistake in a TOML file: the line, the key, the words."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from revproxy.config.load import Examination, examine, load
from revproxy.config.mistakes import ConfigMistakes

BASE = '[[site]]\n[[site.route]]\nproxy = "http://a"\n'


def check(folder: Path, text: str | bytes) -> Examination:
    file = folder / "site.toml"
    file.write_bytes(text if isinstance(text, bytes) else dedent(text).encode())
    return examine(file)


def told(folder: Path, text: str | bytes) -> list[tuple[int, str, str]]:
    return [
        (mistake.place.line if mistake.place else 0, mistake.key, mistake.text)
        for mistake in check(folder, text).mistakes
    ]


ONE_MISTAKE: list[tuple[str, int, str, str]] = [
    # Keys and types.
    (BASE + "[limit]\nx = 1", 4, "limit", 'unknown key "limit"; did you mean "limits"?'),
    (BASE + '[limits]\nhead-size = "1MB"', 5, "limits.head-size", 'unknown key "head-size"; did you mean "head_size"?'),
    (BASE + "[limits]\nzzz = 1", 5, "limits.zzz", 'unknown key "zzz"'),
    ('queue_timeout = "1s"\n' + BASE, 1, "queue_timeout", "it belongs to [upstream.NAME]"),
    ('hosts = ["a"]\n' + BASE, 1, "hosts", "it belongs to [[site]]"),
    ('[[sites]]\n[[sites.route]]\nproxy = "http://a"', 1, "sites", 'did you mean "site"?'),
    ('[[site]]\n[[site.routes]]\nproxy = "http://a"', 2, "site[0].routes", 'did you mean "route"?'),
    ('[[site]]\n[[site.route]]\nprox = "http://a"', 3, "site[0].route[0].prox", 'did you mean "proxy"?'),
    (BASE + "strip = 1", 4, "site[0].route[0].strip", "true or false is expected, not a whole number"),
    (BASE + 'strip = "yes"', 4, "site[0].route[0].strip", "true or false is expected, not text"),
    (BASE + "host = 1.5", 4, "site[0].route[0].host", "text in quotes is expected, not a fraction"),
    (BASE + "host = 1979-05-27", 4, "site[0].route[0].host", "not a date or time"),
    (BASE + "[limits]\nhead_count = true", 5, "limits.head_count", "a whole number is expected, not true or false"),
    (BASE + "[limits]\nhead_count = 1.5", 5, "limits.head_count", "a whole number is expected, not a fraction"),
    (BASE + 'methods = "GET"', 4, "site[0].route[0].methods", 'a list is expected, not text: write ["GET"]'),
    (BASE + "methods = [1]", 4, "site[0].route[0].methods[0]", "text in quotes is expected"),
    (BASE + 'request_headers = "x"', 4, "site[0].route[0].request_headers", "a table is expected, not text"),
    (
        BASE + 'request_headers.set = ["x"]',
        4,
        "site[0].route[0].request_headers.set",
        "a table is expected, not a list",
    ),
    (BASE + "request_headers.set.A = 1", 4, "site[0].route[0].request_headers.set.A", "text in quotes, or a list"),
    ('[site]\nhosts = ["a"]', 1, "site", "write [[site]], in two brackets"),
    ('[[site.route]]\nproxy = "http://a"', 1, "site", "write [[site]], in two brackets"),
    ('site = "x"', 1, "site", "a list is expected, not text"),
    ("site = [1]", 1, "site[0]", "a table is expected, not a whole number"),
    (BASE + '[[upstream]]\nname = "a"', 4, "upstream", "write [upstream.NAME]"),
    (BASE + 'upstream.a = "http://x"', 4, "site[0].route[0].upstream", "unknown key"),
    ('upstream.a = "http://x"\n[[site]]\n[[site.route]]\nproxy = "a"', 1, "upstream.a", "write [upstream.NAME]"),
    ("limits = 5\n" + BASE, 1, "limits", "a table is expected"),
    ("[[listener]]\nbacklog = 5\n" + BASE, 1, "listener[0].address", "address is missing"),
    # Values out of range.
    (BASE + '[limits]\nhead_timeout = "-5s"', 5, "limits.head_timeout", "a duration can't be negative"),
    (BASE + "[limits]\nhead_timeout = 0", 5, "limits.head_timeout", "0s is too little: 1ms is the least"),
    (BASE + '[limits]\nhead_timeout = "1000d"', 5, "limits.head_timeout", "1000d is too much: 365d is the most"),
    (BASE + "[limits]\nhead_timeout = inf", 5, "limits.head_timeout", "finite"),
    (BASE + '[limits]\nhead_timeout = "soon"', 5, "limits.head_timeout", "is no duration"),
    (BASE + '[limits]\nhead_size = "5K"', 5, "limits.head_size", 'write "5KiB" (1024s) or "5KB" (1000s)'),
    (BASE + "[limits]\nhead_size = 0", 5, "limits.head_size", "0B is too little: 1B is the least"),
    (BASE + f"[limits]\nhead_count = 0x{'f' * 6000}", 5, "limits.head_count", "far out of bounds"),
    (BASE + f"[limits]\nbody_size = 0x{'f' * 6000}", 5, "limits.body_size", "far out of bounds"),
    (BASE + f"[limits]\nidle_timeout = 0x{'f' * 6000}", 5, "limits.idle_timeout", "finite"),
    (BASE + "[limits]\nbody_rate = -1", 5, "limits.body_rate", "-1 is too little: 0 is the least"),
    (BASE + '[access_log]\nformat = "jsonl"', 5, "access_log.format", 'none of the choices; did you mean "json"?'),
    ('trusted_proxies = ["10.0.0.1/8"]\n' + BASE, 1, "trusted_proxies[0]", "is an address inside a network"),
    ('trusted_proxies = [\n"x",\n]\n' + BASE, 2, "trusted_proxies[0]", "no network"),
    # Listeners.
    ("listener = []\n" + BASE, 1, "listener", "at least one is needed"),
    ('[[listener]]\naddress = ":99999"\n' + BASE, 2, "listener[0].address", '"99999" is no port'),
    ('[[listener]]\naddress = "localhost:1"\n' + BASE, 2, "listener[0].address", "a listener takes no names"),
    ('[[listener]]\naddress = "unix:/no/such/folder/x.sock"\n' + BASE, 2, "listener[0].address", "does not exist"),
    ('[[listener]]\naddress = "unix:/tmp"\n' + BASE, 2, "listener[0].address", "is a folder"),
    (
        '[[listener]]\naddress = ":80"\n[[listener]]\naddress = "127.0.0.1:80"\n' + BASE,
        4,
        "listener[1].address",
        'taken already by another listener (":80")',
    ),
    # Sites.
    ("", 0, "site", "at least one is needed"),
    ("[[site]]\n", 1, "site[0].route", "at least one is needed"),
    ("[[site]]\nhosts = []\n[[site.route]]\nproxy = 'http://a'", 2, "site[0].hosts", "at least one is needed"),
    (
        "[[site]]\nhosts = ['a_b.example', 'a b']\n[[site.route]]\nproxy = 'http://a'",
        2,
        "site[0].hosts[1]",
        "no host name",
    ),
    ("[[site]]\nhosts = ['a.*.b']\n[[site.route]]\nproxy = 'http://a'", 2, "site[0].hosts[0]", "a star stands alone"),
    (
        "[[site]]\nhosts = ['a:80']\n[[site.route]]\nproxy = 'http://a'",
        2,
        "site[0].hosts[0]",
        'write "a" without a port',
    ),
    (
        "[[site]]\nhosts = ['x.example', 'X.example.']\n[[site.route]]\nproxy = 'http://a'",
        2,
        "site[0].hosts[1]",
        '"x.example" is listed already by this site',
    ),
    (BASE + BASE, 4, "site[1].hosts[0]", "the default for all other names is listed already by site 1"),
    (
        "[[site]]\nhosts = ['bücher.example']\n[[site.route]]\nproxy = 'http://a'\n"
        "[[site]]\nhosts = ['XN--bcher-kva.example']\n[[site.route]]\nproxy = 'http://a'",
        6,
        "site[1].hosts[0]",
        '"xn--bcher-kva.example" is listed already by site 1',
    ),
    # Routes.
    (BASE + 'path = "x"', 4, "site[0].route[0].path", 'must begin with a slash: write "/x"'),
    (BASE + 'path = ""', 4, "site[0].route[0].path", "must begin with a slash"),
    (BASE + 'path = "/x?y"', 4, "site[0].route[0].path", 'without "?" and "#"'),
    (BASE + 'path = "/x#y"', 4, "site[0].route[0].path", 'without "?" and "#"'),
    (BASE + 'path = "/a/../b"', 4, "site[0].route[0].path", "resolved before"),
    (BASE + 'path = "/a//b"', 4, "site[0].route[0].path", "empty segment"),
    (BASE + 'path = "/%61dmin"', 4, "site[0].route[0].path", 'write "/admin"'),
    (BASE + 'path = "/a%2fb"', 4, "site[0].route[0].path", 'write "/a%2Fb"'),
    (BASE + 'path = "/bü cher"', 4, "site[0].route[0].path", 'write "/b%C3%BC%20cher"'),
    (BASE + 'path = "/100%"', 4, "site[0].route[0].path", "two hexadecimal digits"),
    (BASE + 'path = "/a%00"', 4, "site[0].route[0].path", "NUL"),
    (BASE + '[[site.route]]\nproxy = "http://b"', 4, "site[0].route[1].path", 'route 1 of this site takes "/" already'),
    (
        BASE + 'methods = ["GET"]\n[[site.route]]\npath = "/"\nproxy = "http://b"\nmethods = ["PUT", "GET"]',
        6,
        "site[0].route[1].path",
        'route 1 of this site takes "/" already for GET',
    ),
    (BASE + 'files = "/"', 4, "site[0].route[0].files", '"proxy" and "files" are both there'),
    ("[[site]]\n[[site.route]]\npath = '/'", 2, "site[0].route[0]", 'one of "proxy", "files", "resource" is needed'),
    ("[[site]]\n[[site.route]]\nfiles = 'nope'", 3, "site[0].route[0].files", "does not exist"),
    ("[[site]]\n[[site.route]]\nfiles = 'site.toml'", 3, "site[0].route[0].files", "is no folder"),
    ("[[site]]\n[[site.route]]\nproxy = 'b'", 3, "site[0].route[0].proxy", 'there is no upstream "b"'),
    ("[[site]]\n[[site.route]]\nproxy = 'a:80'", 3, "site[0].route[0].proxy", 'did you mean "http://a:80"?'),
    ("[[site]]\n[[site.route]]\nproxy = 'ftp://a'", 3, "site[0].route[0].proxy", "a server is"),
    ("[[site]]\n[[site.route]]\nproxy = 'http://a/b'", 3, "site[0].route[0].proxy", "a path has no place"),
    ("[[site]]\n[[site.route]]\nproxy = 'http://u:p@a'", 3, "site[0].route[0].proxy", "a user name has no place"),
    ("[[site]]\n[[site.route]]\nproxy = 'http://a:0'", 3, "site[0].route[0].proxy", "1 to 65535"),
    (BASE + 'methods = ["get"]', 4, "site[0].route[0].methods[0]", 'written in capitals: "GET"'),
    (BASE + 'methods = ["G T"]', 4, "site[0].route[0].methods[0]", "is no method"),
    (BASE + 'methods = ["CONNECT"]', 4, "site[0].route[0].methods[0]", "never served"),
    (BASE + 'methods = ["PUT", "PUT"]', 4, "site[0].route[0].methods[1]", "listed twice"),
    (BASE + 'upgrade = ["h2c"]', 4, "site[0].route[0].upgrade[0]", "can't be tunnelled"),
    (BASE + 'upgrade = ["a b"]', 4, "site[0].route[0].upgrade[0]", "no name of a protocol"),
    (BASE + 'host = "http://a"', 4, "site[0].route[0].host", "is no"),
    (BASE + 'host = "a b"', 4, "site[0].route[0].host", "is no host name"),
    (BASE + 'host = "a:x"', 4, "site[0].route[0].host", '"x" is no port'),
    (BASE + 'host = "bü.example"', 4, "site[0].route[0].host", 'must be written as "xn--b-eha.example"'),
    # Header fields.
    (
        BASE + 'request_headers.set."A B" = "x"',
        4,
        'site[0].route[0].request_headers.set."A B"',
        "is no name of a field",
    ),
    (BASE + 'request_headers.set."" = "x"', 4, 'site[0].route[0].request_headers.set.""', "is no name of a field"),
    (BASE + 'request_headers.add.A = "x\\r\\ny: z"', 4, "site[0].route[0].request_headers.add.A", "control character"),
    (BASE + 'request_headers.set."" = "x"', 4, 'site[0].route[0].request_headers.set.""', "is no name of a field"),
    (BASE + 'request_headers.add.A = "x\\u0000"', 4, "site[0].route[0].request_headers.add.A", "control character"),
    (BASE + 'request_headers.add.A = "ü"', 4, "site[0].route[0].request_headers.add.A", "not ASCII"),
    (BASE + 'request_headers.add.A = " x"', 4, "site[0].route[0].request_headers.add.A", "with a space"),
    (BASE + 'request_headers.set = {A = "x", a = "y"}', 4, "site[0].route[0].request_headers.set.a", "set twice"),
    (
        BASE + 'request_headers.set.Host = "x"',
        4,
        "site[0].route[0].request_headers.set.Host",
        'use "host" of the route',
    ),
    (
        BASE + 'request_headers.set.Connection = "x"',
        4,
        "site[0].route[0].request_headers.set.Connection",
        "can't be set",
    ),
    (BASE + 'response_headers.add.Upgrade = "x"', 4, "site[0].route[0].response_headers.add.Upgrade", "can't be added"),
    (
        BASE + 'response_headers.remove = ["Content-length"]',
        4,
        "site[0].route[0].response_headers.remove[0]",
        "Content-length can't be removed",
    ),
    (
        BASE + 'request_headers.set.Transfer-Encoding = "x"',
        4,
        "site[0].route[0].request_headers.set.Transfer-Encoding",
        "frames the body itself",
    ),
    # Logs.
    (BASE + '[access_log]\npath = "x\\u0000"', 5, "access_log.path", "no file is named"),
    (BASE + '[access_log]\npath = "no/such/x.log"', 5, "access_log.path", "does not exist"),
    (BASE + '[access_log]\npath = "."', 5, "access_log.path", "is a folder"),
    (BASE + '[log]\nlevel = "warn"', 5, "log.level", 'none of the choices; did you mean "warning"?'),
    (BASE + '[log]\nformat = "syslog"', 5, "log.format", "none of the choices"),
    (BASE + '[log]\nfile = "no/such/x.log"', 5, "log.file", "does not exist"),
    (BASE + '[log]\nfile = ""', 5, "log.file", "no file is named: write a path"),
    (BASE + '[log]\nfile = "x.log"\nformat = "journal"', 5, "log.file", "take one of the two away"),
    (BASE + '[access_log]\npath = "x.log"\n[log]\nfile = "./x.log"', 7, "log.file", "the access log's file"),
]


@pytest.mark.parametrize(("text", "line", "key", "message"), ONE_MISTAKE)
def test_one_mistake(tmp_path: Path, text: str, line: int, key: str, message: str) -> None:
    mistakes = told(tmp_path, text)
    assert len(mistakes) == 1, mistakes
    assert mistakes[0][:2] == (line, key)
    assert message in mistakes[0][2]


UPSTREAM = '[[site]]\n[[site.route]]\nproxy = "up"\n[upstream.up]\n'


@pytest.mark.parametrize(
    ("text", "line", "key", "message"),
    [
        (UPSTREAM, 4, "upstream.up.servers", "servers is missing"),
        (UPSTREAM + "servers = []", 5, "upstream.up.servers", "at least one is needed"),
        (UPSTREAM + 'servers = "http://a"', 5, "upstream.up.servers", 'write ["http://a"]'),
        (UPSTREAM + "servers = [5]", 5, "upstream.up.servers[0]", "text in quotes or a table is expected"),
        (UPSTREAM + 'servers = [\n"http://a",\n"a"]', 7, "upstream.up.servers[1]", "is no server"),
        (UPSTREAM + "servers = [{weight = 2}]", 5, "upstream.up.servers[0].url", "url is missing"),
        (
            UPSTREAM + 'servers = [{url = "http://a", weight = 0}]',
            5,
            "upstream.up.servers[0].weight",
            "0 is too little: 1 is the least",
        ),
        (
            UPSTREAM + 'servers = [{url = "http://a", weight = 1001}]',
            5,
            "upstream.up.servers[0].weight",
            "1001 is too much: 1000 is the most",
        ),
        (UPSTREAM + 'servers = ["http://a", "http://A:80/"]', 5, "upstream.up.servers[1]", "is listed twice"),
        (
            UPSTREAM + 'servers = ["http://a"]\nbalance = "round-robin"',
            6,
            "upstream.up.balance",
            'did you mean "round_robin"?',
        ),
        (
            UPSTREAM.replace('"up"', '"upp"') + 'servers = ["http://a"]',
            3,
            "site[0].route[0].proxy",
            'there is no upstream "upp"; did you mean "up"?',
        ),
        (
            BASE + '[upstream."a:b"]\nservers = ["http://a"]',
            4,
            'upstream."a:b"',
            "can't be called by a route",
        ),
    ],
)
def test_one_mistake_in_an_upstream(tmp_path: Path, text: str, line: int, key: str, message: str) -> None:
    mistakes = told(tmp_path, text)
    assert len(mistakes) == 1, mistakes
    assert mistakes[0][:2] == (line, key)
    assert message in mistakes[0][2]


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("nothing", 'write "package.module:name"'),
        ("no_such_module_here:x", "ModuleNotFoundError"),
        ("revproxy.config.model:Confi", '"revproxy.config.model" has no "Confi"; did you mean "Config"?'),
        ("revproxy.config.model:Config", "is a class"),
        ("revproxy.config.load:load", "is a function"),
        ("revproxy.config.model:KIB", "is no Twisted resource (IResource) but of type int"),
        ("broken_module:x", "ZeroDivisionError"),
        ("exiting_module:x", "SystemExit"),
    ],
)
def test_resources(tmp_path: Path, reference: str, message: str) -> None:
    (tmp_path / "broken_module.py").write_text("1 / 0")
    (tmp_path / "exiting_module.py").write_text("raise SystemExit(3)")
    mistakes = told(tmp_path, f'[[site]]\n[[site.route]]\nresource = "{reference}"')
    assert len(mistakes) == 1, mistakes
    assert mistakes[0][:2] == (3, "site[0].route[0].resource")
    assert message in mistakes[0][2]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (b"a = \n", 1, "Invalid value"),
        (b"[a]\nb = 1\n[a]\n", 3, "a is there twice"),
        (b"[upstream.x]\n[upstream.x]\n", 2, "upstream.x is there twice"),
        (b"a = 1\na = 2\n", 2, "this key is there already"),
        (b'a = """\nx', 2, "no TOML"),
        (b'ok = 1\nb = "\xff"', 2, "not UTF-8"),
        (b"x = " + b"[" * 100_000, 0, "nested too deeply"),
        (b"x = " + b"1" * 10_000, 0, "limit"),
    ],
)
def test_no_toml(tmp_path: Path, text: bytes, line: int, message: str) -> None:
    mistakes = told(tmp_path, text)
    assert len(mistakes) == 1
    assert mistakes[0][:2] == (line, "")
    assert message in mistakes[0][2]


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigMistakes, match=r"none\.toml: the file can't be read: No such file"):
        load(tmp_path / "none.toml")
    with pytest.raises(ConfigMistakes, match="can't be read: Is a directory"):
        load(tmp_path)
    with pytest.raises(ConfigMistakes, match="can't be read"):
        load("a\0b")


def test_unused_upstream_is_only_a_warning(tmp_path: Path) -> None:
    result = check(tmp_path, BASE + '[upstream.spare]\nservers = ["http://b"]\n')
    assert result.config is not None
    (warning,) = result.warnings
    assert (warning.key, warning.text) == ("upstream.spare", "no route uses this upstream")
    assert str(warning).endswith("site.toml:4:11: upstream.spare: warning: no route uses this upstream")
    assert load(tmp_path / "site.toml") == result.config


def test_a_folder_that_can_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Who runs the tests may be allowed to read everything.
    monkeypatch.setattr("os.access", lambda path, mode: False)
    ((line, key, text),) = told(tmp_path, '[[site]]\n[[site.route]]\nfiles = "."\n')
    assert (line, key) == (3, "site[0].route[0].files")
    assert text == f'the folder "{tmp_path}" can\'t be read'


def test_host_without_proxy_is_only_a_warning(tmp_path: Path) -> None:
    result = check(tmp_path, '[[site]]\n[[site.route]]\nfiles = "."\nhost = "a"\n')
    assert [mistake.text for mistake in result.warnings] == ["has no effect without proxy"]


def test_what_is_not_there_is_told_once(tmp_path: Path) -> None:
    """A value that can't be read isn't also missing, empty, unknown or unused."""
    text = """
        [[listener]]
        address = 80

        [[site]]
        hosts = "example.com"

          [[site.route]]
          proxy = 5

        [[site]]
        hosts = ["*", 3]

          [[site.route]]
          proxy = "half"

          [[site.route]]
          path = 7
          proxy = "half"

        [upstream.half]
        servers = 3
        queue = -1

        [upstream.unused]
        servers = ["http://a"]
        """
    assert [(line, key) for line, key, _ in told(tmp_path, text)] == [
        (3, "listener[0].address"),
        (6, "site[0].hosts"),
        (9, "site[0].route[0].proxy"),
        (12, "site[1].hosts[1]"),
        (18, "site[1].route[1].path"),
        (22, "upstream.half.servers"),
        (23, "upstream.half.queue"),
    ]


def test_all_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
        trusted_proxys = []

        [[listener]]
        address = "8080"

        [[site]]
        hosts = ["a.example", "A.EXAMPLE"]

          [[site.route]]
          path = "static"
          files = "nowhere"

          [[site.route]]
          proxy = "asets"
          strip = "no"
          request_headers = { set = { "Host" = "x" } }

        [upstream.assets]
        servers = ["ftp://10.0.0.5", { url = "http://b", wheight = 2 }]
        connect_timeout = "3 sec"

        [limits]
        head_size = "32 K"
        """
    with pytest.raises(ConfigMistakes) as caught:
        check(tmp_path, text)
        load(tmp_path / "site.toml")
    file = tmp_path / "site.toml"
    assert str(caught.value).splitlines() == [
        f'{file}:1:1: trusted_proxys: unknown key "trusted_proxys"; did you mean "trusted_proxies"?',
        f'{file}:4:1: listener[0].address: "8080" is only a port: write ":8080" to listen on it at every address',
        f'{file}:7:23: site[0].hosts[1]: "a.example" is listed already by this site',
        f'{file}:10:3: site[0].route[0].path: "static" must begin with a slash: write "/static"',
        f'{file}:11:3: site[0].route[0].files: the folder "{tmp_path}/nowhere" does not exist',
        f'{file}:14:3: site[0].route[1].proxy: there is no upstream "asets"; did you mean "assets"?',
        f"{file}:15:3: site[0].route[1].strip: true or false is expected, not text",
        f'{file}:16:31: site[0].route[1].request_headers.set.Host: Host can\'t be set: use "host" of the route',
        f'{file}:19:12: upstream.assets.servers[0]: "ftp://10.0.0.5": a server is "http://host:port", '
        '"https://host:port" or "unix:/path/to.sock"',
        f'{file}:19:50: upstream.assets.servers[1].wheight: unknown key "wheight"; did you mean "weight"?',
        f'{file}:20:1: upstream.assets.connect_timeout: "3 sec" is no duration ("30s", "5m", "1h30m", "250ms")',
        f'{file}:23:1: limits.head_size: "32 K" is no size: write "32KiB" (1024s) or "32KB" (1000s)',
    ]
