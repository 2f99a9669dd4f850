"""The arguments of the commands that tune: tune, studies, dashboard, serve."""

from __future__ import annotations

import ipaddress
import math
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING

from benchmark.hpo.report.log_levels import LEVELS

if TYPE_CHECKING:
    import argparse

_LAST_PORT = 65535
CLIENT_VERBS = (
    *("count", "list", "show", "new", "delete", "config", "result", "next"),
    "recommended",
)


def _port(text: str) -> int:
    """Parse a port number."""
    if not text.isdecimal() or int(text) > _LAST_PORT:
        raise ArgumentTypeError(f"'{text}' is not a port; write a number from 0 to {_LAST_PORT}")
    return int(text)


def _number(text: str) -> int:
    """Parse the number of a trial."""
    if not (text.isascii() and text.isdecimal()):
        raise ArgumentTypeError(f"'{text}' is not a trial's number; write 0 or more")
    return int(text)


def _rate(text: str) -> float:
    """Parse a rate; below 1 request a second the token bucket would never hold a token."""
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not rate >= 1:
        raise ArgumentTypeError(f"'{text}' is not a rate; write requests a second, 1 or more")
    return rate


def _network(text: str) -> str:
    """Parse an IP address or network."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise ArgumentTypeError(
            f"'{text}' is not an address; write one like 10.0.0.7, or a network like 10.0.0.0/8"
        ) from None


def _count(text: str) -> int:
    """Parse a count of 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"'{text}' is not a count; write a whole number of 1 or more")
    return int(text)


def add(name: str, command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command `name`, if it is one on studies."""
    if name == "tune":
        _of_tune(command)
    if name == "studies":
        _of_studies(command)
    if name == "dashboard":
        command.add_argument("study", nargs="?", metavar="STUDY", help="its name")
        command.add_argument(
            "--port", type=_port, default=8080, help="default: 8080; 0: any free port"
        )
        command.add_argument(
            "--host",
            default="127.0.0.1",
            help="the address to listen on (default: 127.0.0.1); any client can delete",
        )
        command.add_argument(
            "--storage", metavar="URL", help="show all studies of a database instead of STUDY"
        )
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
    command.add_argument(
        *("-m", "--mode"),
        type=int,
        choices=(1, 2, 3),
        default=1,
        help="1 and 2: run it here; 3: hand it to a background process (default: 1)",
    )
    command.add_argument(
        *("-n", "--namespace"), metavar="NAME", help="for Metaflow: a tag on the runs"
    )
    command.add_argument(
        "--confirm",
        metavar="N",
        help="at the end measure best and default in N new pairs, 7 or more, and test whether "
        "the best is better; until-decided[:MAX]: until the test decides, in at most MAX pairs "
        "(default: 50)",
    )
    command.add_argument(
        "--measure-noise",
        type=_count,
        metavar="N",
        help="with --confirm: first run the default N times, to show noise, drift and an A/A check",
    )
    command.add_argument("--trials", type=_count, metavar="N", help="the total number of trials")
    for flag, default, text in (
        ("--log-level", "INFO", "the level of messages; WARNING omits the line of each trial"),
        ("--optuna-log-level", "WARNING", "the level of Optuna's messages"),
    ):
        command.add_argument(
            flag,
            choices=LEVELS,
            default=default,
            type=str.upper,
            help=f"{text} (default: {default})",
        )
    command.add_argument(
        "--worker", action="store_true", help="with --resume: be one of the study's workers"
    )
    command.add_argument(
        "--trials-per-task", type=_count, metavar="N", help="a worker ends after N trials"
    )
    command.add_argument("--algorithm", metavar="NAME", help="such as optuna_tpe or random")
    command.add_argument(
        "--command",
        dest="objective_command",
        metavar="COMMAND",
        help="the objective for a file without one, such as a service's search_space",
    )


def _of_studies(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "action",
        nargs="?",
        default="list",
        choices=(
            *("list", "show", "best", "export", "report", "import"),
            *("pause", "resume", "stop", "delete", "migrate"),
        ),
        help="what to do with studies of the store (default: list)",
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
    command.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="where FILE has a tunable, metric or value: a column, or a JMESPath in a row",
    )
    command.add_argument("--rows", metavar="PATH", help="where a JSON file has its rows (JMESPath)")
    command.add_argument(
        "--format",
        choices=("json", "env", "args"),
        default="json",
        help="output of best: JSON, NAME=value lines, or shell arguments",
    )
    command.add_argument("--output", metavar="FOLDER", help="the output of export and report")
    command.add_argument(
        "--trial",
        type=_number,
        metavar="N",
        help="of delete: only this trial, which has ended; no later one gets its number",
    )
    command.add_argument("--yes", action="store_true", help="do not ask")


def _of_service(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "what", nargs="?", choices=("client",), help="client: send a request to a service over gRPC"
    )
    command.add_argument(
        "verb",
        nargs="?",
        choices=CLIENT_VERBS,
        help="the client's request; HPO_HOST and HPO_PORT set the address (localhost, 50051)",
    )
    command.add_argument("--port", type=_port, default=8085, help="HTTP port (default: 8085)")
    command.add_argument(
        "--grpc-port", type=_port, default=50051, help="gRPC port (default: 50051)"
    )
    command.add_argument("--no-grpc", action="store_true", help="HTTP only")
    command.add_argument(
        "--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1)"
    )
    command.add_argument(
        "--storage",
        metavar="URL",
        help="postgresql://… for several servers, sqlite:///FILE, a folder, or memory "
        "(default: a journal for each experiment in the store)",
    )
    command.add_argument(
        "--token-file",
        metavar="F",
        help="lines 'read TOKEN' and 'write TOKEN'; clients must send one",
    )
    command.add_argument(
        "--insecure", action="store_true", help="accept other machines without tokens"
    )
    command.add_argument(
        "--rate",
        type=_rate,
        default=5000.0,
        help="requests per second from one address (default: 5000)",
    )
    command.add_argument(
        "--trusted-proxy",
        action="append",
        default=[],
        type=_network,
        metavar="ADDRESS",
        help="a proxy, or a network of them, with a trusted X-Forwarded-For; may be repeated",
    )
    command.add_argument(
        "--access-log",
        metavar="FILE",
        help="append a line of JSON for each HTTP request; - for standard error",
    )
    group = command.add_argument_group("serve client")
    group.add_argument("--name", help="the experiment")
    group.add_argument("--file", help="for new: the search space as JSON")
    group.add_argument("--trial", type=int, help="the trial's number")
    group.add_argument("--result", help="SUCCESS, FAILURE or PRUNE")
    group.add_argument(
        *("--value_type", "--value-type"),
        default="double",
        help="type of the value (default: double)",
    )
    group.add_argument("--value", type=float, help="the trial's measured value")
