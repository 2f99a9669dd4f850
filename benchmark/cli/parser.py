"""The arguments of the commands, and one sentence for wrong usage."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import NoReturn

from benchmark import __version__
from benchmark.cli.commands import (
    ALIASES,
    BY_CAUSE,
    COMMANDS,
    DETACHED,
    FILED,
    GROUPS,
    NARROWED,
    TOLD_AS_JSON,
    UNTIL,
)
from benchmark.cli.options import choice, each, flag, integer, number, value
from benchmark.cli.studies import arguments as study_arguments
from benchmark.config.extras import program
from benchmark.files.spelling import nearest

_NAME = PurePath(program()).name
# What people type in place of the commands that do it.
_MEANT = {"report": "run-analysis or studies report", "run": "execute-compute"}
_HELP = "\n".join(
    [
        f"usage: {_NAME} COMMAND [options]\n",
        "Compare AutoML frameworks, or tune any system; one record for each evaluation.\n",
        *(
            f"{title}:\n" + "".join(f"  {name:18}{text}\n" for name, (_, text) in group.items())
            for title, group in GROUPS.items()
        ),
        f"`{_NAME} COMMAND --help` shows the options of a command, --version the",
        "version. Without a batch.config the program runs the quickstart: the",
        "embedded starter suite, light frameworks, a short budget, results in ./runs.\n",
    ]
)


class Parser(argparse.ArgumentParser):
    """Reports what is wrong in one sentence, without the usage before it."""

    commands: Mapping[str, Parser] | None = None
    """Of the program's own parser: each command's."""

    def format_help(self) -> str:
        """The help of a command; of the program, its commands in groups."""
        return super().format_help() if self.commands is None else _HELP

    def refuse(self, strangers: Sequence[str]) -> NoReturn:
        """Report unknown arguments and suggest the closest option of this command."""
        typed = next((word for word in strangers if word.startswith("-")), "").partition("=")[0]
        near = nearest(typed, self._option_string_actions)
        hint = f"; did you mean {near}?" if near else ""
        if typed in self._option_string_actions:
            hint = f"; options follow the command: {self.prog} … {typed}"
        self.error(f"unrecognized arguments: {' '.join(strangers)}{hint}")

    def error(self, message: str) -> NoReturn:
        stop = "" if message.endswith("?") else "."
        wrong = f"{message[0].upper()}{message[1:]}".rstrip(".")
        from benchmark.cli.output import notice

        what = "shows what it takes" if self.commands is None else "shows the commands"
        notice(f"error: {wrong}{stop} `{self.prog} --help` {what}.")
        raise SystemExit(2)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = make_parser()
    if not arguments:
        parser.print_help()
        raise SystemExit(0)
    options, strangers = parser.parse_known_args(_with_plain_name(parser, list(arguments)))
    if strangers and parser.commands:
        parser.commands[options.command].refuse(strangers)
    return options


def _with_plain_name(parser: Parser, arguments: list[str]) -> list[str]:
    """Replace underscores and aliases: `download_data` is `download-data`."""
    for place, word in enumerate(arguments):
        if not word.startswith("-"):
            plain = word.replace("_", "-")
            plain = ALIASES.get(plain, plain)
            if plain not in COMMANDS:
                near = _MEANT.get(plain) or nearest(plain, [*COMMANDS, *ALIASES], 0.5)
                hint = f"; did you mean {near}?" if near else ""
                parser.error(f"there is no command '{word}'{hint}")
            return [*arguments[:place], plain, *arguments[place + 1 :]]
    return arguments


def make_parser() -> Parser:
    """The parser of every command, as the reference and the shells' completion read it."""
    parser = Parser(prog=_NAME, usage="%(prog)s COMMAND [options]")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", prog=_NAME, required=True)
    for name, (_, text) in COMMANDS.items():
        description = text[0].upper() + text[1:] + "."
        command = commands.add_parser(name, help=text, description=description)
        flag(command, "--debug", "show tracebacks")
        if name in TOLD_AS_JSON:
            flag(command, "--json", "only JSON on standard output, for programs")
            _configured(command)
        if name in NARROWED:
            _narrowed(name, command)
        if name in DETACHED:
            flag(command, "--detach", "on Ctrl-C leave tasks on a cluster or in a cloud running")
        _special(name, command)
        _of_compute(name, command)
        if name in UNTIL:
            _of_question(name, command)
        study_arguments.add(name, command)
    parser.commands = commands.choices
    return parser


def _configured(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("configuration")
    value(group, "--config", "FILE", "instead of batch.config; or quickstart")
    value(group, "--run", "NAME", "the run's name (default: that of the configuration)")
    value(group, "--parallel", "N", "tasks that run at the same time", type=integer)
    each(
        group, "--set", "KEY=VALUE", "any key of batch.config, such as --set runtime=60", default=[]
    )


def _narrowed(name: str, command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("only some tasks (each may be repeated)")
    each(group, "--framework", "NAME", "its name in the results")
    each(group, "--dataset", "NAME", "such as penguins")
    each(group, "--seed", "N", "such as 75", type=integer)
    if name in BY_CAUSE:
        each(group, "--cause", "CAUSE", BY_CAUSE[name])


def _special(name: str, command: argparse.ArgumentParser) -> None:
    if name == "local":
        command.add_argument("model", help="a framework, such as random-forest")
        command.add_argument("openml_id", help="a data set's name or OpenML id")
        command.add_argument("type", help="classification or regression")
        command.add_argument("seed", type=integer, help="seed of the split and of the framework")
    if name == "execute-compute":
        flag(command, "--overwrite", "set the run's results aside and start again")
    if name in FILED:
        command.add_argument("file_path", help="JSON lines, or a classic pickled list")
    if name in ("delete-runs", "clean-s3"):
        flag(command, "--yes", "do not ask")
    if name == "download-data":
        flag(command, "--check", "describe each data set and report what is suspicious")
        each(command, "--dataset", "NAME", "only this data set (may be repeated)")
        value(command, "--info", "FOLDER", "for study_TYPE_info.csv (default: here)", default=".")
    if name == "get-logs":
        value(command, "--output", "FOLDER", "for RUN/ with its logs (default: log)", default="log")
    if name == "fetch-results":
        value(command, "--output", "FILE", "default: compiled_results.csv")
        choice(
            command,
            "--format",
            choices=("classic", "amlb"),
            default="classic",
            help="amlb: the results.csv of the AutoML benchmark of OpenML (default: classic)",
        )
    if name == "frameworks":
        choice(
            command,
            "action",
            nargs="?",
            choices=("new", "check", "lock"),
            help="new: create a working folder; check: run the contract test; lock: resolve "
            "requirements.in",
        )
        command.add_argument("what", nargs="?", metavar="NAME", help="a name, or a folder")
        command.add_argument("--path", default=".", help="where `new` creates the folder")
    if name == "setup":
        command.add_argument("name", nargs="*", help="frameworks (default: those configured)")
        flag(command, "--all", "every known framework")
        value(
            command,
            "--to",
            "DIR",
            "build there, such as on a disk shared by all nodes; a name that ends with .tar "
            "or .tar.gz creates one file, which nodes unpack",
        )
        value(
            command,
            "--apptainer",
            "DIR",
            "build nothing; write the definition file for `apptainer build`",
        )
        flag(command, "--list-size", "show the disk space of each environment")
        each(command, "--remove", "NAME", "remove its environment")
    if name == "run-analysis":
        each(
            command,
            "--results",
            "FILE",
            "default: compiled_results.csv (may be repeated, with --merge)",
        )
        value(command, "--figures", "FOLDER", "default: figures", default="figures")
        value(command, "--report", "FILE", "default: report.html", default="report.html")
        flag(
            command, "--merge", "accept results of different budgets or runs, distinguished by name"
        )
        value(command, "--against", "RUN", "report what changed since this run, or file of results")
        flag(
            command,
            "--fail-on-regression",
            "exit with code 1 if a framework got worse than in --against",
        )
        value(
            command,
            "--export",
            "FOLDER",
            "for papers: figures as PDF; LaTeX, Markdown, Parquet, AMLB's results.csv",
        )
    if name == "completion":
        choice(command, "shell", choices=("bash", "zsh"), help="which shell")
    if name == "status":
        flag(command, "--jobs", "list each task or trial with its state, such as RUNNING")
        flag(command, "--watch", "stay and show the progress until the run ends")


def _of_question(name: str, command: argparse.ArgumentParser) -> None:
    replay = name == "replay"
    if replay:
        command.add_argument("results", metavar="RESULTS", help="compiled results, or AMLB's file")
    whole = "" if replay else "; all: run every task (resume-compute keeps the run's question)"
    value(
        command,
        "--until",
        "QUESTION",
        "stop when it is answered: best, top:K, order (of all pairs) or against:NAME" + whole,
        required=replay,
    )
    value(
        command,
        "--alpha",
        "A",
        "chance that any claim is wrong (default: 0.05)",
        type=number,
        default=0.05 if replay else None,
    )
    value(
        command,
        "--margin",
        "M",
        "frameworks are practically equal if one wins a share of the data sets within M "
        "of one half (default: 0.01)",
        type=number,
        default=0.01 if replay else None,
    )
    choice(
        command,
        "--unit",
        choices=("dataset", "split"),
        help="what is drawn, and won or lost: a data set by its mean over all seeds (default), or "
        "each data set and seed",
    )
    if replay:
        value(
            command,
            "--orders",
            "N",
            "random orders (default: %(default)s)",
            type=integer,
            default=200,
        )
        value(
            command,
            "--seed",
            "S",
            "seed of the orders (default: %(default)s)",
            type=integer,
            default=0,
        )
    else:
        value(
            command,
            "--order-seed",
            "S",
            "draws the random order (default: a random number)",
            type=integer,
        )


def _of_compute(name: str, command: argparse.ArgumentParser) -> None:
    if name in ("execute-compute", "resume-compute", "file-compute", "estimate"):
        value(command, "--max-cost", "USD", "start no task that could cost more", type=number)
    if name == "estimate":
        each(
            command,
            "--past",
            "RUN",
            "also use the times in the results of this run of the store (may be repeated)",
        )
    if name in ("init-compute", "refresh-compute"):
        flag(command, "--create", "create what is missing in the AWS account")
        flag(command, "--destroy", "remove what --create has created, and nothing else")
        flag(command, "--yes", "do not ask")
        each(command, "--framework", "NAME", "default: those configured")
        value(command, "--push", "REGISTRY", "send the images to HOST[:PORT][/NAME]")
        value(
            command, "--base", "IMAGE", "a Debian with Python (default: python:3.x-slim-bookworm)"
        )
        value(command, "--network", "MODE", "how a build reaches the network, such as host")
