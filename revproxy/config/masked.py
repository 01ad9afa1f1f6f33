"""A configuration as a JSON value in the words of its file, without what is nobody's business."""

from __future__ import annotations

import re
from typing import Any, Final

from revproxy.config.model import Config
from revproxy.config.shape import Setting, settings
from revproxy.config.written import written

MASK: Final = "***"
_PASSWORD: Final = re.compile(r"(?<=://)[^/@\s]*@")
"""Who logs in, and by what, in a URL."""
_SECRET_FIELD: Final = re.compile(r"auth|cookie|key|token|secret|password|signature|credential", re.IGNORECASE)
"""Fields whose values are likely to prove something."""


def masked(config: Config) -> dict[str, Any]:
    """The whole of it, defaults included. Values that are not set are left out."""
    return _table(config)


def _table(table: Any, without: str = "") -> dict[str, Any]:
    made: dict[str, Any] = {}
    for setting in settings(type(table)):
        value = getattr(table, setting.name)
        if setting.name != without and value is not None:
            made[setting.key] = _value(setting, value)
    return made


def _value(setting: Setting, value: Any) -> Any:
    if setting.secret:
        return MASK
    if setting.table is not None:
        if setting.keyed:
            return {getattr(each, setting.keyed): _table(each, setting.keyed) for each in value}
        return [_table(each) for each in value] if setting.several else _table(value)
    shown = written(setting, value)
    if setting.kind == "fields":
        return {name: MASK if _SECRET_FIELD.search(name) else _safe(values) for name, values in shown.items()}
    return _safe(shown)


def _safe(value: Any) -> Any:
    if isinstance(value, list):
        return [_safe(each) for each in value]
    return _PASSWORD.sub(f"{MASK}@", value) if isinstance(value, str) else value
