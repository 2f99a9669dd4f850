"""The reference of the command line, from the parser that reads it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from benchmark.cli.commands import ALIASES, COMMANDS, GROUPS
from benchmark.cli.parser import make_parser
from docs.generate.markdown import NOTE, prose, table

if TYPE_CHECKING:
    from collections.abc import Iterable

# What all commands take stands once, at the top.
_COMMON = ("--config", "--run", "--parallel", "--set", "--debug", "--json")


def commands() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command, by its name."""
    for action in make_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    raise LookupError("the parser has no commands")


def page() -> str:
    parsers = commands()
    first = parsers[next(iter(COMMANDS))]
    common = [action for action in arguments(first) if _names(action)[0] in _COMMON]
    parts = [
        NOTE,
        "# Commands\n",
        "`./main.py COMMAND`, with the environment of `make env` active (`. .venv/bin/activate`). "
        "Underscores serve for dashes"
        + "".join(f", and `{alias}` is `{name}`" for alias, name in ALIASES.items())
        + ". Exit codes: 0 every task has a result, 1 some have none, 2 wrong usage or "
        "configuration.\n",
        *(
            f"**{title}**\n\n"
            + table(
                ("command", "does"),
                ((f"[`{name}`](#{name})", prose(text)) for name, (_, text) in group.items()),
            )
            for title, group in GROUPS.items()
        ),
        "## What all commands take\n",
        _table(common),
    ]
    for name, parser in parsers.items():
        own = [action for action in arguments(parser) if _names(action)[0] not in _COMMON]
        parts += [f"## {name}\n", f"{prose(parser.description or '')}\n"]
        parts += [_table(own)] if own else []
    return "\n".join(parts)


def arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if action.dest != "help"]


def _table(actions: Iterable[argparse.Action]) -> str:
    return table(("argument", "meaning"), ((_shown(a), prose(_help(a))) for a in actions))


def _help(action: argparse.Action) -> str:
    """As `--help` shows it, with the default in its place."""
    return (action.help or "").replace("%(default)s", str(action.default))


def _names(action: argparse.Action) -> list[str]:
    return list(action.option_strings) or [action.dest]


def _shown(action: argparse.Action) -> str:
    """An argument as it is typed: `--seed N`, or the choices of a positional one."""
    value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else "")
    if not action.option_strings:
        shown = str(value or action.dest)
        return f"`[{shown}]`" if action.nargs in ("?", "*") else f"`{shown}`"
    if action.nargs == 0:
        value = ""
    elif not value:
        value = action.dest.upper()
    names = ", ".join(action.option_strings)
    return f"`{names} {value}`" if value else f"`{names}`"
