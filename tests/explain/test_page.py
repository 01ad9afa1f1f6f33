"""What docs/caching.rst says of the options and of ``revproxy explain`` is what there is."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest

from revproxy.cli import main
from revproxy.config import Cache, RouteCache, RouteCacheKey
from revproxy.config.load import examine
from revproxy.config.table import options

PAGE = (Path(__file__).parents[2] / "docs" / "caching.rst").read_text("utf-8")
SHOP = """\
[[listener]]
address = ":80"

[[site]]
hosts = ["example.com"]

  [[site.route]]
  path = "/"
  proxy = "http://10.0.0.4:8000"

  [[site.route]]
  path = "/shop/"
  proxy = "http://10.0.0.5:8000"

    [site.route.cache]
    bypass_cookies = ["session"]
    key = { query = "only", parameters = ["page"] }
"""


@pytest.mark.parametrize("table", [RouteCache, RouteCacheKey, Cache])
def test_the_tables_of_options(table: type) -> None:
    """``python -m revproxy.config.table cache`` prints them anew."""
    assert options(table) in PAGE


def test_the_example(tmp_path: Path) -> None:
    [text] = re.findall(r"\.\. code-block:: toml\n\n((?:    .*\n|\n)+)", PAGE)
    (tmp_path / "a.toml").write_text(dedent(text))
    assert examine(tmp_path / "a.toml").mistakes == ()


def test_what_is_shown_of_explain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("shop.toml").write_text(SHOP)
    url = "http://example.com/shop/a?page=2&x=y"
    assert main(["explain", url, "-R", "Set-Cookie: id=1", "--config", "shop.toml"]) == 0
    printed = capsys.readouterr().out
    shown = f"    $ revproxy explain '{url}' -R 'Set-Cookie: id=1' --config shop.toml\n"
    assert shown + "".join(f"    {line}\n" for line in printed.splitlines()) in PAGE
