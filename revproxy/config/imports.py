"""Resources that a TOML file names: "package.module:name" becomes the object, if it is a Twisted resource."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path as FilePath
from typing import Any

from revproxy.config.suggest import did_you_mean

_REFERENCE = re.compile(r"(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*):(?P<name>[^\W\d]\w*(\.[^\W\d]\w*)*)")


def import_resource(reference: str, folder: FilePath) -> Any:
    """The resource that a reference names.

    Modules beside the configuration, in ``folder``, are found as well, after those that are installed. Raises
    ``ValueError`` with a text for the operator.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise ValueError(f'"{reference}" names no resource: write "package.module:name"')
    extend_path(folder)
    try:
        found: Any = importlib.import_module(match["module"])
    except (Exception, SystemExit) as error:  # noqa: BLE001 -- whatever a module's code raises is told to its author
        raise ValueError(f'"{match["module"]}" can\'t be imported: {describe(error)}') from None
    where = match["module"]
    for name in match["name"].split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise ValueError(f'"{where}" has no "{name}"{did_you_mean(name, _public(found))}') from None
        where += f".{name}"
    wrong = resource_mistake(found)
    if wrong:
        raise ValueError(f'"{reference}" {wrong}')
    return found


def resource_mistake(value: object) -> str:
    """Why a value is no Twisted resource, to be read after its name; empty if it is one."""
    # Imported here: a configuration without resources is read without Twisted.
    from twisted.web.resource import IResource

    if IResource.providedBy(value):
        return ""
    if isinstance(value, type):
        return "is a class: a resource made from it is expected"
    if callable(value):
        return "is a function: the resource that it makes is expected"
    return f"is no Twisted resource (IResource) but of type {type(value).__name__}"


def extend_path(folder: FilePath) -> None:
    """Lets modules of a folder be imported, also later on; installed ones of the same name win."""
    name = str(folder.resolve())
    if name not in sys.path:
        sys.path.append(name)


def describe(error: BaseException) -> str:
    """An exception in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _public(value: object) -> list[str]:
    return [name for name in dir(value) if not name.startswith("_")]
