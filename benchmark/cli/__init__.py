"""The command line: parse, call, print.

Every module below is imported only by the command that needs it, so that `--help` is instant.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "local": ("runs:local", "run one task on this machine and print its record"),
    "execute-compute": ("runs:execute_compute", "run every task from scratch"),
    "resume-compute": ("runs:resume_compute", "run the tasks that have no result"),
    "status": ("runs:show_status", "where the run stands"),
    "fetch-results": ("runs:fetch_results", "compile the records to compiled_results.csv"),
    "run-analysis": (
        "analysis:run_analysis",
        "statistics, figures into ./figures/, and the report",
    ),
    "file-compute": ("files:file_compute", "run the tasks of a task file that have no result"),
    "export-failures": ("files:export_failures", "write the tasks without a result to a file"),
    "delete-runs": ("files:delete_runs", "delete the results of the tasks in a task file"),
    "get-logs": ("files:get_logs", "download the logs to ./log/"),
    "download-data": ("files:download_data", "put the data sets of the studies into the store"),
    "frameworks": ("frameworks:list_frameworks", "list the frameworks"),
    "setup": ("frameworks:setup", "build frameworks' environments"),
}
ALIASES = {"perform-analysis": "run-analysis"}
NARROWED = ("execute-compute", "resume-compute", "status", "export-failures", "get-logs")
FILED = ("file-compute", "export-failures", "delete-runs")
CONFIGURED = (
    *dict.fromkeys(NARROWED + FILED),
    *("local", "fetch-results", "download-data", "frameworks", "setup"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code (0, 1: a fault outside the frameworks, 2: wrong use)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(_with_plain_names(arguments))
    module, _, function = COMMANDS[options.command][0].partition(":")
    try:
        command = getattr(importlib.import_module(f"benchmark.cli.{module}"), function)
        code: int = command(options)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except Exception as error:
        if options.debug:
            raise
        return _explain(error)


def _explain(error: Exception) -> int:
    from benchmark.errors import BenchmarkError

    root = Path(__file__).absolute().parents[2]
    if isinstance(error, BenchmarkError):
        print(f"error: {error}", file=sys.stderr)
    elif isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("benchmark"):
        print(
            f"error: the package {error.name} is not installed for {sys.executable}; run "
            f"`make env` in {root} and use {root}/.venv/bin/python, or install its "
            "pre-requirements.txt and requirements.txt.",
            file=sys.stderr,
        )
    else:
        print(
            f"error: {type(error).__name__}: {error} (our fault; --debug shows where)",
            file=sys.stderr,
        )
    return 2


def _with_plain_names(arguments: list[str]) -> list[str]:
    """`download_data` is `download-data`, and `perform-analysis` is `run-analysis`."""
    for place, word in enumerate(arguments):
        if not word.startswith("-"):
            plain = word.replace("_", "-")
            plain = ALIASES.get(plain, plain)
            if plain in COMMANDS:
                return [*arguments[:place], plain, *arguments[place + 1 :]]
            break
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="main.py",
        description="An AutoML benchmark that loses no result.",
        epilog="Without a batch.config the program is in quickstart: the embedded starter suite, "
        "light frameworks, a short budget, results in ./runs.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (_, text) in COMMANDS.items():
        description = text[0].upper() + text[1:] + "."
        command = commands.add_parser(name, help=text, description=description)
        command.add_argument("--debug", action="store_true", help="show tracebacks")
        if name in CONFIGURED:
            _configured(command)
        if name in NARROWED:
            _narrowed(command)
        _special(name, command)
    return parser


def _configured(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("configuration")
    group.add_argument("--config", metavar="FILE", help="instead of batch.config")
    group.add_argument("--run", metavar="NAME", help="the run's name (default: default)")
    group.add_argument("--parallel", type=int, metavar="N", help="tasks side by side")
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any key of batch.config, such as --set runtime=60",
    )


def _narrowed(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("only some tasks")
    group.add_argument("--framework", action="append", metavar="NAME")
    group.add_argument("--dataset", action="append", metavar="NAME")
    group.add_argument("--seed", action="append", type=int, metavar="N")


def _special(name: str, command: argparse.ArgumentParser) -> None:
    if name == "local":
        command.add_argument("model", help="a framework, such as random-forest")
        command.add_argument("openml_id", help="a data set's name or OpenML id")
        command.add_argument("type", help="classification or regression")
        command.add_argument("seed", type=int)
    if name == "execute-compute":
        command.add_argument(
            "--overwrite", action="store_true", help="set the run's results aside and start again"
        )
    if name in FILED:
        command.add_argument("file_path", help="JSON lines, or a classic pickled list")
    if name in ("file-compute", "export-failures"):
        command.add_argument(
            "--cause", action="append", metavar="CAUSE", help="those that ended so, also results"
        )
    if name == "delete-runs":
        command.add_argument("--yes", action="store_true", help="do not ask")
    if name == "get-logs":
        command.add_argument("--output", default="log", metavar="FOLDER")
    if name in ("status", "frameworks"):
        command.add_argument("--json", action="store_true", help="for programs")
    if name == "fetch-results":
        command.add_argument("--output", default="compiled_results.csv", metavar="FILE")
    if name == "setup":
        command.add_argument("name", nargs="*", help="frameworks (default: those configured)")
    if name == "run-analysis":
        command.add_argument("--results", default="compiled_results.csv", metavar="FILE")
        command.add_argument("--figures", default="figures", metavar="FOLDER")
        command.add_argument("--report", default="report.html", metavar="FILE")
