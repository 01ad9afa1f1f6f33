from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from revproxy._version import VERSION
from revproxy.cli import main

EXAMPLES = Path(__file__).parents[1] / "examples"
GOOD = str(EXAMPLES / "revproxy.toml")


@pytest.fixture
def bad(tmp_path: Path) -> str:
    file = tmp_path / "bad.toml"
    file.write_text('[[site]]\n[[site.route]]\nproxy = "asets"\n[upstream.assets]\nservers = []\n')
    return str(file)


def test_check_a_good_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", GOOD]) == 0
    output = capsys.readouterr()
    assert output.out == f"{GOOD}: ok: 1 listener, 2 sites, 4 routes, 1 upstream\n"
    assert output.err == ""


def test_check_a_bad_file(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", bad]) == 2
    assert capsys.readouterr().out.splitlines() == [
        f'{bad}:3:1: site[0].route[0].proxy: there is no upstream "asets"; did you mean "assets"?',
        f"{bad}:5:1: upstream.assets.servers: at least one is needed",
        f"{bad}: 2 mistakes",
    ]


def test_warnings_are_printed_and_allowed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.toml"
    file.write_text('[[site]]\n[[site.route]]\nproxy = "http://a"\n[upstream.b]\nservers = ["http://b"]\n')
    assert main(["check", str(file)]) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first == f"{file}:4:11: upstream.b: warning: no route uses this upstream"
    assert last == f"{file}: ok: 1 listener, 1 site, 1 route, 1 upstream"
    file.write_text(file.read_text() + "x = 1\n[y]\n")
    assert main(["check", str(file)]) == 2
    assert capsys.readouterr().out.splitlines()[-1] == f"{file}: 2 mistakes, 1 warning"


def test_check_json(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json", bad]) == 2
    result = json.loads(capsys.readouterr().out)
    assert (result["file"], result["ok"], len(result["mistakes"])) == (bad, False, 2)
    assert result["mistakes"][1] == {
        "file": bad,
        "line": 5,
        "column": 1,
        "key": "upstream.assets.servers",
        "text": "at least one is needed",
        "warning": False,
    }
    assert main(["check", GOOD, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": GOOD, "ok": True, "mistakes": []}


def test_routes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.toml"
    file.write_text(
        """
        [[listener]]
        address = ":8080"
        [[listener]]
        address = "unix:/tmp/x.sock"
        [[site]]
        [[site.route]]
        proxy = "http://127.0.0.1:8000"
        upgrade = []
        [[site]]
        hosts = ["*.example.com", "example.com"]
        [[site.route]]
        path = "/api"
        proxy = "api"
        methods = ["GET", "POST"]
        strip = true
        rewrite_location = false
        body_size = "10MB"
        host = "api.example"
        request_headers.set = { A = "b" }
        [[site.route]]
        path = "/api/files/"
        files = "/tmp"
        [upstream.api]
        servers = ["http://10.0.0.5", { url = "http://10.0.0.6:81", weight = 2 }]
        """
    )
    assert main(["routes", str(file)]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    api = "api (http://10.0.0.5, http://10.0.0.6:81 weight 2)"
    flags = "strip host=api.example rewrite_location=false request_headers body_size=10MB"
    here = ":8080,unix:/tmp/x.sock"
    assert output.out.splitlines() == [
        f"LISTENERS               HOST           METHODS   PATH         {'TARGET':{len(api)}}  FLAGS",
        f"{here}  example.com    any       /api/files/  files /tmp",
        f"{here}  example.com    GET,POST  /api         {api}  {flags}",
        f"{here}  *.example.com  any       /api/files/  files /tmp",
        f"{here}  *.example.com  GET,POST  /api         {api}  {flags}",
        f"{here}  *              any       /            {'http://127.0.0.1:8000':{len(api)}}  upgrade=none",
    ]


def test_routes_of_python(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["routes", str(EXAMPLES / "site.py")]) == 0
    assert "resource revproxy_site.Health" in capsys.readouterr().out


def test_routes_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["routes", GOOD, "--json"]) == 0
    routes = json.loads(capsys.readouterr().out)["routes"]
    assert len(routes) == 7
    assert routes[1] == {
        "listeners": [":8080"],
        "host": "example.com",
        "methods": [],
        "path": "/api",
        "target": "api (http://127.0.0.1:9001, http://127.0.0.1:9002 weight 2)",
        "flags": ["strip", "response_headers", "body_size=10MB"],
    }


def test_routes_of_a_bad_file(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["routes", bad]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert len(output.err.splitlines()) == 2
    assert main(["routes", "--json", bad]) == 2
    assert "routes" not in json.loads(capsys.readouterr().out)


def test_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "revproxy"


def test_limits_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["limits-table"]) == 0
    assert "``limits.head_size``" in capsys.readouterr().out


def test_version_and_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"revproxy {VERSION}\n"
    assert main(["--help"]) == 0
    assert "limits-table" not in capsys.readouterr().out
    assert main([]) == 2
    assert main(["check"]) == 2
    assert main(["chek", "x"]) == 2


@pytest.mark.parametrize("path", ["/no/such/file.toml", "/", "/dev/null", "a\0b", ""])
def test_no_traceback_for_odd_files(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", path]) == 2
    output = capsys.readouterr()
    assert output.err == ""
    assert len(output.out.splitlines()) == 1


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "revproxy.cli", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}, check=False, encoding="utf-8"
    )


def test_as_a_process(bad: str) -> None:
    assert run("check", GOOD).returncode == 0
    assert run("check", bad).returncode == 2


def test_a_terminal_without_letters(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('[[site]]\n[[site.route]]\nproxy = "☃"\n', encoding="utf-8")
    result = run("check", str(file), PYTHONIOENCODING="ascii")
    assert (result.returncode, result.stderr) == (2, "")
    assert 'there is no upstream "\\u2603"' in result.stdout


def test_a_reader_that_has_seen_enough() -> None:
    command = f"{sys.executable} -m revproxy.cli schema | head -c 10"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == ('{\n  "$sche', "")
