"""The arguments of the commands that tune: tune, studies, dashboard, serve."""

from __future__ import annotations

import ipaddress
import math
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING

from benchmark.hpo.logs import LEVELS

if TYPE_CHECKING:
    import argparse

_LAST_PORT = 65535
CLIENT_VERBS = (
    *("count", "list", "show", "new", "delete", "config", "result", "next"),
    "recommended",
)


def _port(text: str) -> int:
    """A port's number."""
    if not text.isdecimal() or int(text) > _LAST_PORT:
        raise ArgumentTypeError(f"'{text}' is no port; write a number from 0 to {_LAST_PORT}")
    return int(text)


def _rate(text: str) -> float:
    """Requests a second: below 1 a bucket never holds one."""
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not rate >= 1:
        raise ArgumentTypeError(f"'{text}' is no rate; write requests a second, 1 or more")
    return rate


def _network(text: str) -> str:
    """An IP address or a network of them."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise ArgumentTypeError(
            f"'{text}' is no address; write one like 10.0.0.7, or a network like 10.0.0.0/8"
        ) from None


def _count(text: str) -> int:
    """How many: 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"'{text}' is no count; write a whole number from 1 on")
    return int(text)


def add(name: str, command: argparse.ArgumentParser) -> None:
    """Add what `name` takes to its parser; what is not of studies stays as it is."""
    if name == "tune":
        _of_tune(command)
    if name == "studies":
        _of_studies(command)
    if name == "dashboard":
        command.add_argument("study", nargs="?", metavar="STUDY", help="its name")
        command.add_argument("--port", type=_port, default=8080, help="default: 8080; 0: any free")
    if name == "serve":
        _of_service(command)


def _of_tune(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "study", nargs="?", metavar="FILE", help="a study file, its folder, or `new`"
    )
    command.add_argument("folder", nargs="?", metavar="DIR", help="what `new` writes")
    command.add_argument(
        *("-r", "--resume", "--resume-study"),
        metavar="NAME",
        help="go on with a study of the store",
    )
    command.add_argument(
        *("--name", "--study-name"), metavar="STUDY", help="instead of the file's name"
    )
    command.add_argument(
        *("-m", "--mode"),
        type=int,
        choices=(1, 2, 3),
        default=1,
        help="1 and 2: run it here; 3: hand it to a process that runs on (default: 1)",
    )
    command.add_argument(
        *("-n", "--namespace"), metavar="NAME", help="of Metaflow: the runs are tagged with it"
    )
    command.add_argument(
        "--confirm",
        type=int,
        metavar="N",
        help="at the end set best and default against each other in N pairs, 6 or more",
    )
    command.add_argument("--trials", type=_count, metavar="N", help="how many in all")
    for flag, default, text in (
        ("--log-level", "INFO", "what is told; WARNING leaves out the line of each trial"),
        ("--optuna-log-level", "WARNING", "what Optuna tells"),
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
        help="the objective of a file that declares none, such as a service's search_space",
    )


def _of_studies(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "action",
        nargs="?",
        default="list",
        choices=(
            *("list", "show", "best", "export", "report", "import"),
            *("pause", "resume", "stop", "delete"),
        ),
        help="what to do with studies of the store (default: list)",
    )
    command.add_argument(
        "name", nargs="?", metavar="STUDY", help="its name; of import also its file"
    )
    command.add_argument("file", nargs="?", metavar="FILE", help="what import reads: CSV, JSON")
    command.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="where FILE has a tunable, metric or value: a column, or JMESPath in a row",
    )
    command.add_argument("--rows", metavar="PATH", help="where a JSON has its rows (JMESPath)")
    command.add_argument(
        "--format",
        choices=("json", "env", "args"),
        default="json",
        help="of best: as it is, NAME=value lines, or arguments for a shell",
    )
    command.add_argument("--output", metavar="FOLDER", help="where export and report write")
    command.add_argument("--yes", action="store_true", help="do not ask")


def _of_service(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "what", nargs="?", choices=("client",), help="client: speak to a service over gRPC"
    )
    command.add_argument(
        "verb",
        nargs="?",
        choices=CLIENT_VERBS,
        help="what the client does; HPO_HOST and HPO_PORT say where (localhost, 50051)",
    )
    command.add_argument("--port", type=_port, default=8085, help="of HTTP (default: 8085)")
    command.add_argument("--grpc-port", type=_port, default=50051, help="of gRPC (default: 50051)")
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
        "--token-file", metavar="F", help="lines 'read TOKEN' and 'write TOKEN'; asked of clients"
    )
    command.add_argument(
        "--insecure", action="store_true", help="listen beyond this machine without tokens"
    )
    command.add_argument(
        "--rate", type=_rate, default=5000.0, help="requests a second of one address (5000)"
    )
    command.add_argument(
        "--trusted-proxy",
        action="append",
        default=[],
        type=_network,
        metavar="ADDRESS",
        help="a proxy, or a network of them, whose X-Forwarded-For is believed; may be repeated",
    )
    group = command.add_argument_group("serve client")
    group.add_argument("--name", help="the experiment")
    group.add_argument("--file", help="of new: the search space as JSON")
    group.add_argument("--trial", type=int, help="the trial's number")
    group.add_argument("--result", help="SUCCESS, FAILURE or PRUNE")
    group.add_argument(
        *("--value_type", "--value-type"), default="double", help="of the value (default: double)"
    )
    group.add_argument("--value", type=float, help="what the trial measured")
