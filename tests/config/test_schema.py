from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from revproxy.config.model import Config
from revproxy.config.schema import schema
from revproxy.config.shape import settings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.toml"))
SCHEMA = schema()


def errors(text: str) -> list[str]:
    return [error.json_path for error in Draft202012Validator(SCHEMA).iter_errors(tomllib.loads(text))]


def test_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_examples(file: Path) -> None:
    assert errors(file.read_text()) == []


SITE = '[[site]]\n[[site.route]]\nproxy = "http://a"\n'


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", "$"),
        ("site = []", "$.site"),
        ("[[site]]\n", "$.site[0]"),
        ("x = 1\n" + SITE, "$"),
        (SITE + 'files = "x"', "$.site[0].route[0]"),
        (SITE + 'body_size = "5 parsecs"', "$.site[0].route[0].body_size"),
        (SITE + '[limits]\nhead_timeout = "soon"', "$.limits.head_timeout"),
        (SITE + "[limits]\nhead_timeout = 0", "$.limits.head_timeout"),
        (SITE + "[limits]\nhead_count = 0", "$.limits.head_count"),
        (SITE + '[access_log]\nformat = "xml"', "$.access_log.format"),
        (SITE + "[upstream.a]\nservers = []", "$.upstream.a.servers"),
        (SITE + "[upstream.a]\nservers = [{weight = 1}]", "$.upstream.a.servers[0]"),
        (SITE + '[upstream.a]\nname = "b"\nservers = ["http://a"]', "$.upstream.a"),
    ],
)
def test_refuses(text: str, path: str) -> None:
    assert errors(text) == [path]


def test_defaults_are_valid_and_everything_is_described() -> None:
    for table in (SCHEMA, *SCHEMA["$defs"].values()):
        assert table["description"]
        for name, value in table["properties"].items():
            assert value["description"], name
            if "default" in value:
                part = {"$defs": SCHEMA["$defs"], **value}
                assert Draft202012Validator(part).is_valid(value["default"]), name


def test_every_attribute_is_there() -> None:
    def compare(table: type[Any], properties: dict[str, Any], without: str = "") -> None:
        known = [setting for setting in settings(table) if setting.name != without]
        assert list(properties) == [setting.key for setting in known]
        for setting in known:
            if setting.table is not None:
                compare(setting.table, SCHEMA["$defs"][setting.table.__name__]["properties"], setting.keyed)

    compare(Config, SCHEMA["properties"])
