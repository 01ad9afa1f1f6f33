"""Values of the model as they would be written in TOML: for the schema, the documentation and lists of routes."""

from __future__ import annotations

import re
from typing import Any, Final

from revproxy.config.shape import Setting
from revproxy.config.units import format_duration, format_network, format_size


def written(setting: Setting, value: Any) -> Any:
    """The value of a setting (no table) in the types of TOML and JSON; None stays None."""
    if value is None or setting.kind == "table":
        return None
    if setting.several:
        return [_one(setting, item) for item in value]
    return _one(setting, value)


def _one(setting: Setting, value: Any) -> Any:
    if setting.kind == "duration":
        return format_duration(value)
    if setting.kind == "size":
        return format_size(value)
    if setting.kind == "network":
        return format_network(value)
    if setting.kind == "redirect":
        return value or False
    if setting.kind == "workers":
        return value or "auto"
    if setting.kind == "fields":
        fields: dict[str, Any] = {}
        for name, text in value:
            fields.setdefault(name, []).append(text)
        return {name: texts[0] if len(texts) == 1 else texts for name, texts in fields.items()}
    if setting.kind == "resource":
        return f"{type(value).__module__}.{type(value).__qualname__}"
    return value


_PASSWORD: Final = re.compile(r"(?<=://)[^/@\s]*@")
"""Who logs in, and by what, in a URL."""


def without_password(text: str) -> str:
    """A value that is to be shown: a URL in it names nobody who logs in."""
    return _PASSWORD.sub("***@", text)
