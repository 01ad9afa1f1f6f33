"""``revproxy completion bash|zsh|fish``: words that a shell may complete, from the same parser that reads them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Final

import attrs

SHELLS: Final = ("bash", "zsh", "fish")
_FILES: Final = frozenset({"FILE", "PATH", "FOLDER"})


@attrs.frozen
class Option:
    """One option of a tool."""

    names: tuple[str, ...]
    help: str
    takes: str
    """What its value is called; empty where it takes none."""
    choices: tuple[str, ...] = ()

    @property
    def is_file(self) -> bool:
        """Whether its value is the name of a file."""
        return self.takes in _FILES


@attrs.frozen
class Tool:
    """One tool, and what may stand behind it."""

    name: str
    help: str
    options: tuple[Option, ...]
    words: tuple[str, ...]
    """What may stand there by itself."""
    takes_file: bool


def tools(parser: argparse.ArgumentParser) -> list[Tool]:
    """All tools that have a help text."""
    found = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            found += [_tool(name, helps[name], sub) for name, sub in action.choices.items() if name in helps]
    return found


def _tool(name: str, help: str, parser: argparse.ArgumentParser) -> Tool:
    options: list[Option] = []
    words: list[str] = []
    takes_file = False
    for action in parser._actions:
        metavar = action.metavar if isinstance(action.metavar, str) else (action.dest or "").upper()
        choices = tuple(map(str, action.choices)) if action.choices else ()
        if action.option_strings:
            takes = "" if action.nargs == 0 else metavar
            text = (action.help or "").replace("%%", "%").replace("\n", " ")
            options.append(Option(tuple(action.option_strings), text, takes, choices))
        else:
            words += choices
            takes_file = takes_file or metavar in _FILES
    return Tool(name, help, tuple(options), tuple(words), takes_file)


def bash(found: list[Tool]) -> Iterator[str]:
    """A function for ``complete -F``."""
    yield "# revproxy completion bash > /etc/bash_completion.d/revproxy"
    yield "_revproxy() {"
    yield '    local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"'
    yield '    local tool="${COMP_WORDS[1]}"'
    yield "    if [ \"$COMP_CWORD\" -eq 1 ]; then"
    yield f"        COMPREPLY=($(compgen -W '{' '.join(tool.name for tool in found)} --help --version' -- \"$word\"))"
    yield "        return"
    yield "    fi"
    yield '    case "$tool $before" in'
    for tool in found:
        for option in tool.options:
            patterns = "|".join(f'"{tool.name} {name}"' for name in option.names)
            if option.choices:
                words = " ".join(option.choices)
                yield f"        {patterns}) COMPREPLY=($(compgen -W '{words}' -- \"$word\")); return ;;"
            elif option.is_file:
                yield f"        {patterns}) COMPREPLY=($(compgen -f -- \"$word\")); return ;;"
            elif option.takes:
                yield f"        {patterns}) COMPREPLY=(); return ;;"
    yield "    esac"
    yield '    case "$tool" in'
    for tool in found:
        words = " ".join([*(name for option in tool.options for name in option.names), *tool.words])
        files = ' $(compgen -f -- "$word")' if tool.takes_file else ""
        yield f"        {tool.name}) COMPREPLY=($(compgen -W '{words}' -- \"$word\"){files}) ;;"
    yield "    esac"
    yield "}"
    yield "complete -o filenames -F _revproxy revproxy"


def zsh(found: list[Tool]) -> Iterator[str]:
    """A function for zsh's ``compinit``."""
    yield "#compdef revproxy"
    yield "# revproxy completion zsh > a folder of $fpath/_revproxy"
    yield "_revproxy() {"
    yield "    local -a tools"
    yield "    tools=("
    for tool in found:
        yield f"        {_quoted(f'{tool.name}:{tool.help}')}"
    yield "    )"
    yield "    if (( CURRENT == 2 )); then"
    yield "        _describe 'tool' tools"
    yield "        return"
    yield "    fi"
    yield "    case $words[2] in"
    for tool in found:
        specs = []
        for option in tool.options:
            shown = option.help.replace("[", "(").replace("]", ")").replace(":", ",")
            for name in option.names:
                value = ""
                if option.choices:
                    value = f":{option.takes.lower()}:({' '.join(option.choices)})"
                elif option.is_file:
                    value = f":{option.takes.lower()}:_files"
                elif option.takes:
                    value = f":{option.takes.lower()}: "
                specs.append(_quoted(f"{name}[{shown}]{value}"))
        if tool.words:
            specs.append(_quoted(f"*:word:({' '.join(tool.words)})"))
        elif tool.takes_file:
            specs.append(_quoted("*:file:_files"))
        yield f"        {tool.name}) shift words; (( CURRENT-- )); _arguments {' '.join(specs)} ;;"
    yield "    esac"
    yield "}"
    yield '_revproxy "$@"'


def fish(found: list[Tool]) -> Iterator[str]:
    """Lines for fish's ``complete``."""
    yield "# revproxy completion fish > ~/.config/fish/completions/revproxy.fish"
    yield "complete -c revproxy -f"
    for tool in found:
        yield f"complete -c revproxy -n __fish_use_subcommand -a {tool.name} -d {_quoted(tool.help)}"
        condition = f"-n '__fish_seen_subcommand_from {tool.name}'"
        for option in tool.options:
            names = " ".join(
                f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names
            )
            value = ""
            if option.choices:
                value = f" -x -a {_quoted(' '.join(option.choices))}"
            elif option.is_file:
                value = " -r -F"
            elif option.takes:
                value = " -x"
            yield f"complete -c revproxy {condition} {names}{value} -d {_quoted(option.help)}"
        if tool.words:
            yield f"complete -c revproxy {condition} -a {_quoted(' '.join(tool.words))}"
        elif tool.takes_file:
            yield f"complete -c revproxy {condition} -F"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "'\\''") + "'"


def add_arguments(tool: argparse.ArgumentParser) -> None:
    """The arguments of ``completion``."""
    tool.description = "Print what makes a shell complete the words of revproxy; its first line says where it belongs."
    tool.add_argument("shell", choices=SHELLS, help="the shell")


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Prints; returns the exit code."""
    write = {"bash": bash, "zsh": zsh, "fish": fish}[arguments.shell]
    sys.stdout.write("\n".join(write(tools(parser))) + "\n")
    return 0
