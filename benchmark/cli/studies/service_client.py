"""The gRPC client of the HPO service, with the classic verbs.

HPO_HOST and HPO_PORT are the service's address, HPO_TOKEN the token it requires.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError

from benchmark.cli.output import report
from benchmark.config.extras import program
from benchmark.errors import BenchmarkError
from benchmark.files import json_text
from benchmark.files.input_files import read_input
from benchmark.hpo.service.classic import hpo_pb2 as pb
from benchmark.hpo.service.classic.grpc_wire import METHODS, REFUSED, SERVICE

_TIMEOUT_S = 60.0
_PORT = "50051"


def client(options: argparse.Namespace) -> int:
    """Run one verb and print the service's answer."""
    if options.verb is None:
        raise BenchmarkError("The client needs a verb: count, list, show, new, delete, …")
    verb, needed = _VERBS[options.verb]
    for name in needed:
        if getattr(options, name) is None and (name, options.result) != ("value", "FAILURE"):
            raise BenchmarkError(f"`serve client {options.verb}` needs --{name}.")
    facts, lines = verb(options)
    report(options, facts, lines)
    return 0


Answer = tuple[Any, list[str]]


def _count(_: argparse.Namespace) -> Answer:
    found = _call("NumberExperiments", pb.NumberExperimentsParams()).count
    return {"count": found}, [f"Number of running experiments: {found}"]


def _list(_: argparse.Namespace) -> Answer:
    names = list(_call("ExperimentsList", pb.ExperimentsListParams()).experiment)
    return {"experiments": names}, ["Running Experiments:", *(f" {name}" for name in names)]


def _show(options: argparse.Namespace) -> Answer:
    return _as_json(_call("GetExperimentDetails", _name(options)))


def _new(options: argparse.Namespace) -> Answer:
    message = _details(_read(Path(options.file)))
    number = _call("NewExperiment", message).trial_number
    return {"trial_number": number}, [
        f"Adding new experiment: {message.experiment_name}",
        f"Trial Number: {number}",
    ]


def _delete(options: argparse.Namespace) -> Answer:
    _call("DeleteExperiment", _name(options))
    return {"deleted": options.name}, [f"Deleted: {options.name}"]


def _config(options: argparse.Namespace) -> Answer:
    request = pb.ExperimentTrial(experiment_name=options.name, trial=options.trial)
    return _as_json(_call("GetTrialConfig", request))


def _result(options: argparse.Namespace) -> Answer:
    results = pb.ExperimentTrialResult.Result
    if options.result not in results.keys():  # noqa: SIM118  a protobuf enum is not a mapping
        raise BenchmarkError(f"--result is '{options.result}'; write {', '.join(results.keys())}.")
    request = pb.ExperimentTrialResult(
        experiment_name=options.name,
        trial=options.trial,
        result=options.result,
        value_type=options.value_type,
        value=options.value or 0.0,
        exact_value=options.value or 0.0,
    )
    _call("UpdateTrialResult", request)
    return {"updated": options.trial}, ["Success: Updated Trial Result"]


def _next(options: argparse.Namespace) -> Answer:
    number = _call("GenerateNextConfig", _name(options)).trial_number
    return {"trial_number": number}, [f"Next Trial: {number}"]


def _recommended(options: argparse.Namespace) -> Answer:
    found = _call("GetRecommendedConfig", _name(options))
    values = {one.name: one.text or one.exact_value for one in found.tunables}
    facts = {
        "experiment_name": found.experiment_name,
        "direction": found.direction,
        "objective_function": found.optimal_value.objective_function,
        "value": found.optimal_value.exact_value,
        "tunables": values,
    }
    return facts, [
        f"Recommended configuration for experiment: {found.experiment_name}",
        f"\tDirection: {found.direction}",
        f"\tObjective Function: {found.optimal_value.objective_function}",
        f"\tOptimal Value: {found.optimal_value.exact_value}",
        "\tTunables:",
        *(f"\t\t{name}: {value}" for name, value in values.items()),
    ]


def _name(options: argparse.Namespace) -> Any:
    return pb.ExperimentNameParams(experiment_name=options.name)


_VERBS: dict[str, tuple[Callable[[argparse.Namespace], Answer], tuple[str, ...]]] = {
    "count": (_count, ()),
    "list": (_list, ()),
    "show": (_show, ("name",)),
    "new": (_new, ("file",)),
    "delete": (_delete, ("name",)),
    "config": (_config, ("name", "trial")),
    "result": (_result, ("name", "trial", "result", "value")),
    "next": (_next, ("name",)),
    "recommended": (_recommended, ("name",)),
}


def _as_json(message: Any) -> Answer:
    facts = MessageToDict(message)
    return facts, [json.dumps(facts, indent=2)]


def _read(file: Path) -> dict[str, Any]:
    """A search space, bare or in its request; tunables under either spelling."""
    try:
        values = json_text.load(read_input(file))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise BenchmarkError(f"The file {file} cannot be read as JSON: {reason}.") from None
    if isinstance(values, dict):
        values = values.get("search_space", values)
    if not isinstance(values, dict):
        raise BenchmarkError(f"The file {file} must hold a search space; write an object.")
    return values


def _details(values: dict[str, Any]) -> Any:
    fields = {key: value for key, value in values.items() if key not in ("tunables", "tuneables")}
    declared = values.get("tuneables", values.get("tunables")) or []
    try:
        fields["tuneables"] = [_tunable(dict(entry)) for entry in declared]
        return ParseDict(fields, pb.ExperimentDetails())
    except (ParseError, TypeError, ValueError) as error:
        raise BenchmarkError(f"The search space cannot be sent: {error}.") from None


def _tunable(entry: dict[str, Any]) -> dict[str, Any]:
    """Add every bound in full precision too, because a float rounds it."""
    for bound in ("lower_bound", "upper_bound"):
        if bound in entry:
            entry[f"exact_{bound}"] = entry[bound]
    if "choices" in entry:
        entry["choices"] = [str(choice) for choice in entry["choices"]]
    return entry


def address_of(variables: Mapping[str, str]) -> str:
    """HOST:PORT of the service's gRPC wire."""
    port = variables.get("HPO_PORT", _PORT)
    # For a Service named `hpo`, Kubernetes sets HPO_PORT to the URL of its first port.
    return f"{variables.get('HPO_HOST', 'localhost')}:{_PORT if '://' in port else port}"


def _call(method: str, request: Any) -> Any:
    """The answer.

    Raises:
        BenchmarkError: the service refuses, or cannot be reached.
    """
    address = address_of(os.environ)
    token = os.environ.get("HPO_TOKEN")
    metadata = (("authorization", f"Bearer {token}"),) if token else None
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=METHODS[method][0].SerializeToString,
            response_deserializer=METHODS[method][1].FromString,
        )
        try:
            return call(request, timeout=_TIMEOUT_S, metadata=metadata)
        except grpc.RpcError as error:
            reply: Any = error
            answered = any(key == REFUSED for key, _ in reply.trailing_metadata() or ())
            if reply.code() == grpc.StatusCode.UNAVAILABLE and not answered:
                raise BenchmarkError(
                    f"No HPO service answers at {address}; start one with `{program()} serve`, or "
                    "set HPO_HOST and HPO_PORT."
                ) from None
            raise BenchmarkError(str(reply.details())) from None
