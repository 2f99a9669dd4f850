"""completion: a script for the shell that completes commands, options, files and folders."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from benchmark.cli.parser import make_parser
from benchmark.config.extras import install
from benchmark.errors import BenchmarkError

_FOLDERS = ("FOLDER", "DIR")
_FILES = ("FILE", "F")


def completion(options: argparse.Namespace) -> int:
    try:
        import shtab
    except ModuleNotFoundError:
        raise BenchmarkError(
            "completion needs the package shtab, which is not installed; run "
            f"`{install('completion')}`."
        ) from None
    parser = make_parser()
    for action in _actions(parser):
        if action.metavar in _FOLDERS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif action.metavar in _FILES or action.dest == "file_path":
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(parser, shell=options.shell))  # nosec B604 # its name
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:  # argparse has no public way to them.
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
        else:
            yield action
