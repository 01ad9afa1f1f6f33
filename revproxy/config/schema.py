"""The JSON Schema (2020-12) of the TOML file, made from the model: editors complete and check with it."""

from __future__ import annotations

from typing import Any

from revproxy.config.model import Config
from revproxy.config.shape import Setting, choices_of_one, settings
from revproxy.config.units import DURATION_PATTERN, SIZE_PATTERN, WORKERS
from revproxy.config.written import written


def schema() -> dict[str, Any]:
    """The schema of a whole file, as values of JSON."""
    definitions: dict[str, Any] = {}
    top = _table(Config, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "revproxy",
        **top,
        "$defs": dict(sorted(definitions.items())),
    }


def _table(table: type[Any], definitions: dict[str, Any], without: str = "") -> dict[str, Any]:
    """The schema of one class. ``without`` is the attribute that stands elsewhere (the name of a named table)."""
    known = [setting for setting in settings(table) if setting.name != without]
    made: dict[str, Any] = {
        "description": (table.__doc__ or "").strip().replace("``", '"'),
        "type": "object",
        "additionalProperties": False,
        "properties": {setting.key: _setting(setting, definitions) for setting in known},
    }
    needed = [setting.key for setting in known if setting.required or _is_empty_by_default(setting)]
    if needed:
        made["required"] = needed
    for group in choices_of_one(table):
        made["oneOf"] = [{"required": [setting.key]} for setting in group]
    return made


def _is_empty_by_default(setting: Setting) -> bool:
    return setting.several and setting.least is not None and len(setting.default) < setting.least


def _setting(setting: Setting, definitions: dict[str, Any]) -> dict[str, Any]:
    one = _one(setting, definitions)
    if setting.keyed:
        made: dict[str, Any] = {"type": "object", "additionalProperties": one}
    elif setting.several:
        made = {"type": "array", "items": one}
        if setting.least is not None:
            made["minItems"] = int(setting.least)
        if setting.alone:
            made = {"anyOf": [one, made]}
    else:
        made = one
    described = {"description": _description(setting), **made}
    if not setting.required:
        default = written(setting, setting.default) if setting.table is None else None
        if default is not None:
            described["default"] = default
    return described


def _description(setting: Setting) -> str:
    return f"{setting.help} When it is hit: {setting.answer}." if setting.answer else setting.help


def _one(setting: Setting, definitions: dict[str, Any]) -> dict[str, Any]:
    if setting.table is not None:
        name = setting.table.__name__
        if name not in definitions:
            definitions[name] = {}
            definitions[name] = _table(setting.table, definitions, without=setting.keyed)
        reference = {"$ref": f"#/$defs/{name}"}
        if setting.switch:
            return {"anyOf": [{"type": "boolean"}, reference]}
        return {"anyOf": [{"type": "string"}, reference]} if setting.short else reference
    if setting.kind == "duration":
        return {"anyOf": [{"type": "string", "pattern": DURATION_PATTERN}, {"type": "number", **_bounds(setting)}]}
    if setting.kind == "size":
        return {"anyOf": [{"type": "string", "pattern": SIZE_PATTERN}, {"type": "integer", **_bounds(setting)}]}
    if setting.kind in ("count", "rate"):
        return {"type": "integer", **_bounds(setting)}
    if setting.kind == "redirect":
        return {"enum": [True, False, 301, 308]}
    if setting.kind == "workers":
        return {"anyOf": [{"type": "integer", "minimum": 1, "maximum": WORKERS}, {"const": "auto"}]}
    if setting.kind == "flag":
        return {"type": "boolean"}
    if setting.kind == "fields":
        text = {"type": "string"}
        return {"type": "object", "additionalProperties": {"anyOf": [text, {"type": "array", "items": text}]}}
    made: dict[str, Any] = {"type": "string"}
    if setting.choices:
        made["enum"] = list(setting.choices)
    return made


def _bounds(setting: Setting) -> dict[str, float]:
    bounds = {}
    if setting.least is not None:
        bounds["minimum"] = setting.least
    if setting.most is not None:
        bounds["maximum"] = setting.most
    return bounds
