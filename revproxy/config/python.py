"""A configuration that is a Python file: it is run, and its ``config`` is what it says."""

from __future__ import annotations

import re
import sys
import traceback
from pathlib import Path as FilePath
from types import ModuleType
from typing import Any

import attrs

from revproxy.config import model
from revproxy.config.imports import describe, extend_path
from revproxy.config.mistakes import ConfigMistakes, Mistake, Place
from revproxy.config.model import Config
from revproxy.config.suggest import did_you_mean
from revproxy.errors import ConfigError

MODULE = "revproxy_site"
"""The ``__name__`` that the file sees."""

_UNKNOWN_ARGUMENT = re.compile(r"(?P<name>\w+)\.__init__\(\) got an unexpected keyword argument '(?P<word>\w+)'")


def run(file: FilePath, source: bytes) -> Config:
    """The ``config`` of a Python file. Modules beside it can be imported. Raises ``ConfigMistakes``."""
    name = str(file)
    try:
        code = compile(source, name, "exec", dont_inherit=True)
    except SyntaxError as error:
        place = Place(error.lineno or 1, error.offset or 0)
        raise ConfigMistakes([Mistake(path=(), text=f"{error.msg}", file=name, place=place)]) from None
    except ValueError as error:
        raise ConfigMistakes([Mistake(path=(), text=describe(error), file=name)]) from None
    extend_path(file.parent)
    module = ModuleType(MODULE)
    module.__file__ = name
    # Classes that look up their module by name (attrs, dataclasses, pickle) must find it.
    sys.modules[MODULE] = module
    try:
        exec(code, module.__dict__)
    except ConfigMistakes:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 -- whatever the file's code raises is told to its author
        raise ConfigMistakes([_raised(error, name)]) from None
    found: Any = getattr(module, "config", None)
    if isinstance(found, Config):
        return found
    if found is None:
        names = [each for each in vars(module) if not each.startswith("_")]
        close = [each for each in names if isinstance(vars(module)[each], Config)]
        hint = f'; "{close[0]}" is one: call it "config"' if close else ": config = Config(...)"
        raise ConfigMistakes([Mistake(path=(), text=f'the file must define "config"{hint}', file=name)])
    text = f"a Config is expected, not {type(found).__name__}"
    raise ConfigMistakes([Mistake(path=("config",), text=text, file=name)])


def _raised(error: BaseException, name: str) -> Mistake:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame.lineno for frame in frames if frame.filename == name and frame.lineno]
    text = "sys.exit() was called" if isinstance(error, SystemExit) else _explained(error)
    if frames and frames[-1].filename != name and not _is_ours(frames[-1].filename):
        text += f" (raised in {frames[-1].filename}, line {frames[-1].lineno})"
    return Mistake(path=(), text=text, file=name, place=Place(own[-1]) if own else None)


def _is_ours(file: str) -> bool:
    """Whether an error was raised by the model itself: its line would tell an author nothing."""
    return file.startswith("<attrs") or FilePath(file).parent == FilePath(__file__).parent


def _explained(error: BaseException) -> str:
    if isinstance(error, ConfigError):
        return " ".join(str(error).split())
    match = _UNKNOWN_ARGUMENT.search(str(error)) if isinstance(error, TypeError) else None
    table = getattr(model, match["name"], None) if match else None
    if match is None or not isinstance(table, type) or not attrs.has(table):
        return describe(error)
    known = [attribute.name for attribute in attrs.fields(table)]
    return f'{match["name"]} has no "{match["word"]}"{did_you_mean(match["word"], known)}'
