"""The arguments of the commands that tune: tune, studies, dashboard, serve."""

from __future__ import annotations

import argparse

from benchmark.cli.options import (
    choice,
    connections,
    count,
    each,
    flag,
    integer,
    network,
    number,
    port,
    rate,
    trial_number,
    value,
)
from benchmark.hpo.report.log_levels import LEVELS

REQUESTS = ("count", "list", "show", "new", "delete", "config", "result", "next", "recommended")


def add(name: str, command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command `name`, if it is one on studies."""
    if name == "tune":
        _of_tune(command)
    if name == "studies":
        _of_studies(command)
    if name == "dashboard":
        command.add_argument("study", nargs="?", metavar="STUDY", help="its name")
        command.add_argument(
            "--port", type=port, default=8080, help="default: 8080; 0: any free port"
        )
        command.add_argument(
            "--host",
            default="127.0.0.1",
            help="the address to listen on (default: 127.0.0.1); who reaches it can delete trials",
        )
        value(command, "--storage", "URL", "show all studies of a database instead of STUDY")
    if name == "serve":
        _of_service(command)


def _of_tune(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "study", nargs="?", metavar="FILE", help="a study file, its folder, or `new`"
    )
    command.add_argument("folder", nargs="?", metavar="DIR", help="the directory that `new` writes")
    command.add_argument(
        *("-r", "--resume", "--resume-study"),
        metavar="NAME",
        help="resume a study of the store",
    )
    command.add_argument(
        *("--name", "--study-name"), metavar="STUDY", help="the study's name (default: the file's)"
    )
    choice(
        command,
        *("-m", "--mode"),
        type=integer,
        choices=(1, 2, 3),
        default=1,
        help="1 and 2: run it here; 3: hand it to a background process (default: 1)",
    )
    command.add_argument(
        *("-n", "--namespace"), metavar="NAME", help="for Metaflow: a tag on the runs"
    )
    value(
        command,
        "--confirm",
        "N",
        "at the end measure best and default in N new pairs, 7 or more, and test whether "
        "the best is better; until-decided[:MAX]: until the test decides, in at most MAX pairs "
        "(default: 50)",
    )
    value(
        command,
        "--measure-noise",
        "N",
        "with --confirm: first run the default N times, to show noise, drift and an A/A check",
        type=count,
    )
    value(command, "--trials", "N", "the total number of trials", type=count)
    for name, default, text in (
        ("--log-level", "INFO", "the level of messages; WARNING omits the line of each trial"),
        ("--optuna-log-level", "WARNING", "the level of Optuna's messages"),
    ):
        choice(
            command,
            name,
            metavar="LEVEL",
            choices=LEVELS,
            default=default,
            type=str.upper,
            help=f"{text}: {', '.join(LEVELS)} (default: {default})",
        )
    flag(command, "--worker", "with --resume: be one of the study's workers")
    value(command, "--trials-per-task", "N", "a worker ends after N trials", type=count)
    value(command, "--algorithm", "NAME", "such as optuna_tpe or random")
    value(
        command,
        "--command",
        "COMMAND",
        "the objective for a file without one, such as a service's search_space",
        dest="objective_command",
    )


def _of_studies(command: argparse.ArgumentParser) -> None:
    choice(
        command,
        "action",
        nargs="?",
        metavar="ACTION",
        default="list",
        choices=(
            *("list", "show", "best", "export", "report", "import"),
            *("pause", "resume", "stop", "delete", "migrate"),
        ),
        help="list (default); show: progress and best; best: the best values; export: files of all "
        "trials; report: a page with figures; import: add trials of a file; pause, resume: no new "
        "trials until resumed; stop: end after the running trials; delete: remove it; migrate: "
        "see STUDY",
    )
    command.add_argument(
        "name",
        nargs="?",
        metavar="STUDY",
        help="its name; import also takes a file; migrate takes the URL of a database and moves "
        "its "
        "studies from Optuna's tables into journals",
    )
    command.add_argument("file", nargs="?", metavar="FILE", help="the file to import: CSV or JSON")
    each(
        command,
        "--map",
        "NAME=PATH",
        "where FILE has a tunable, metric or value: a column, or a JMESPath in a row",
        default=[],
    )
    value(command, "--rows", "PATH", "where a JSON file has its rows (JMESPath)")
    choice(
        command,
        "--format",
        choices=("json", "env", "args"),
        default="json",
        help="output of best: JSON, NAME=value lines, or shell arguments",
    )
    value(command, "--output", "FOLDER", "the output of export and report")
    value(
        command,
        "--trial",
        "N",
        "of delete: only this trial, which has ended; no later one gets its number",
        type=trial_number,
    )
    value(
        command,
        "--restored",
        "MACHINE",
        "of resume: this machine was put back by hand; forget the restore hooks that failed there",
    )
    flag(command, "--yes", "do not ask")


def _of_service(command: argparse.ArgumentParser) -> None:
    choice(
        command,
        "what",
        nargs="?",
        choices=("client",),
        help="client: send a request to a service over gRPC",
    )
    choice(
        command,
        "verb",
        nargs="?",
        metavar="REQUEST",
        choices=REQUESTS,
        help=f"{', '.join(REQUESTS[:-1])} or {REQUESTS[-1]}; HPO_HOST and HPO_PORT set the "
        "address (localhost, 50051)",
    )
    command.add_argument("--port", type=port, default=8085, help="HTTP port (default: 8085)")
    command.add_argument("--grpc-port", type=port, default=50051, help="gRPC port (default: 50051)")
    flag(command, "--no-grpc", "HTTP only")
    command.add_argument(
        "--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1)"
    )
    value(
        command,
        "--storage",
        "URL",
        "postgresql://… for several servers, sqlite:///FILE, a folder, or memory "
        "(default: a journal for each experiment in the store)",
    )
    value(
        command,
        "--connections",
        "N",
        "the most connections to the database of --storage (default: 20)",
        type=connections,
        default=20,
    )
    value(
        command, "--token-file", "F", "lines 'read TOKEN' and 'write TOKEN'; clients must send one"
    )
    flag(command, "--insecure", "accept other machines without tokens")
    command.add_argument(
        "--rate",
        type=rate,
        default=5000.0,
        help="requests per second from one address (default: 5000)",
    )
    each(
        command,
        "--trusted-proxy",
        "ADDRESS",
        "a proxy, or a network of them, with a trusted X-Forwarded-For; may be repeated",
        default=[],
        type=network,
    )
    value(
        command,
        "--access-log",
        "FILE",
        "append a line of JSON for each HTTP request; - for standard error",
    )
    group = command.add_argument_group("serve client")
    group.add_argument("--name", help="the experiment")
    group.add_argument("--file", help="for new: the search space as JSON")
    group.add_argument("--trial", type=integer, help="the trial's number")
    group.add_argument("--result", help="SUCCESS, FAILURE or PRUNE")
    group.add_argument(
        *("--value_type", "--value-type"),
        default="double",
        help="type of the value (default: double)",
    )
    group.add_argument("--value", type=number, help="the trial's measured value")
