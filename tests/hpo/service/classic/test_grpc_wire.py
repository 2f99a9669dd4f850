"""The classic contract over gRPC: every method, its codes and words; the client command."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from benchmark.cli import main
from benchmark.errors import StoreError
from benchmark.hpo.samplers.optimizer import Optimizer
from benchmark.hpo.service.classic import grpc_wire
from benchmark.hpo.service.classic import hpo_pb2 as pb
from benchmark.hpo.service.classic.grpc_wire import METHODS, SERVICE, start
from benchmark.hpo.service.core.service import Service
from benchmark.hpo.service.web.guard import Buckets, read_tokens

NAME = "petclinic"
Call = Callable[..., Any]


@pytest.fixture
def port(service: Service) -> Iterator[int]:
    server, port = start(service, "127.0.0.1", 0, None)
    yield port
    server.stop(0).wait()


def connected(port: int) -> grpc.Channel:
    """A connection of its own; channels to one address share one otherwise."""
    return grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)])


def asked(channel: grpc.Channel, method: str, request: Any, *metadata: tuple[str, str]) -> Any:
    """The answer, or code and words of a refusal, once there is a connection."""
    unary = channel.unary_unary(
        f"/{SERVICE}/{method}",
        request_serializer=METHODS[method][0].SerializeToString,
        response_deserializer=METHODS[method][1].FromString,
    )
    try:
        return unary(request, timeout=300, metadata=metadata, wait_for_ready=True)
    except grpc.RpcError as error:
        said: Any = error
        return said.code().name, said.details()


def calling(port: int, *metadata: tuple[str, str]) -> Call:
    """Calls, each on a new connection."""

    def call(method: str, request: Any) -> Any:
        with connected(port) as channel:
            return asked(channel, method, request, *metadata)

    return call


@pytest.fixture
def call(port: int) -> Call:
    return calling(port)


@pytest.mark.parametrize("limits", [{"rest_s": 0.5}, {"rest_s": 600.0, "age_s": 0.5}], ids=str)
def test_an_idle_and_an_old_connection_are_closed(
    service: Service, limits: dict[str, float]
) -> None:
    """The only place of a server is free again, though its client never hangs up."""
    server, port = start(service, "127.0.0.1", 0, None, most=1, **limits)
    with connected(port) as resting, connected(port) as next_one:
        for channel in (resting, next_one):
            assert asked(channel, "NumberExperiments", pb.NumberExperimentsParams()).count == 0
    server.stop(0).wait()


def details(**changes: Any) -> Any:
    tunable = pb.ExperimentDetails.Tunable
    values: dict[str, Any] = {
        "experiment_name": NAME,
        "total_trials": 3,
        "parallel_trials": 1,
        "direction": "minimize",
        "hpo_algo_impl": "optuna_tpe",
        "objective_function": "response_time",
        "value_type": "double",
        "tuneables": [
            tunable(name="memory", value_type="double", lower_bound=150, upper_bound=300, step=1),
            tunable(name="gc", value_type="categorical", choices=["G1", "Z"]),
        ],
    }
    return pb.ExperimentDetails(**(values | changes))


def named(name: str = NAME) -> Any:
    return pb.ExperimentNameParams(experiment_name=name)


def result(number: int, ended: str = "SUCCESS", value: float = -1.5, name: str = NAME) -> Any:
    return pb.ExperimentTrialResult(
        experiment_name=name, trial=number, result=ended, value_type="double", value=value
    )


def test_an_experiment_from_new_to_delete(call: Call, service: Service) -> None:
    assert call("NewExperiment", details()).trial_number == 0
    assert call("NewExperiment", details()) == ("ALREADY_EXISTS", "Experiment already exists!")
    assert call("NumberExperiments", pb.NumberExperimentsParams()).count == 1
    assert list(call("ExperimentsList", pb.ExperimentsListParams()).experiment) == [NAME]
    found = call("GetExperimentDetails", named())
    assert (found.direction, found.hpo_algo_impl, found.started) == ("minimize", "optuna_tpe", True)
    assert [one.name for one in found.tuneables] == ["memory", "gc"]
    config = {
        one.name: one
        for one in call("GetTrialConfig", pb.ExperimentTrial(experiment_name=NAME, trial=0)).config
    }
    assert 150 <= config["memory"].value <= 300
    assert config["gc"].text in ("G1", "Z")
    early = ("FAILED_PRECONDITION", "Experiment has not yet finished running!")
    assert call("GetRecommendedConfig", named()) == early
    call("UpdateTrialResult", result(0))
    assert call("GenerateNextConfig", named()).trial_number == 1
    call("UpdateTrialResult", result(1, "FAILURE"))
    assert call("GenerateNextConfig", named()).trial_number == 2
    call("UpdateTrialResult", result(2, "PRUNE"))
    assert call("GenerateNextConfig", named()).trial_number == -1
    with service.use(NAME) as experiment:
        states = [trial.state.name for trial in experiment.optimizer.trials()]
    assert states == ["COMPLETE", "FAIL", "PRUNED"]
    best = call("GetRecommendedConfig", named())
    assert (best.experiment_name, best.direction) == (NAME, "minimize")
    assert best.optimal_value.objective_function == "response_time"
    assert best.optimal_value.value == -1.5
    assert {one.name for one in best.tunables} == {"memory", "gc"}
    call("DeleteExperiment", named())
    assert call("NumberExperiments", pb.NumberExperimentsParams()).count == 0


@pytest.mark.parametrize(
    ("method", "request_", "said"),
    [
        ("GetExperimentDetails", named("x"), ("NOT_FOUND", "Could not find experiment: x")),
        (
            "GetTrialConfig",
            pb.ExperimentTrial(experiment_name="x", trial=0),
            ("NOT_FOUND", "Could not find experiment: x"),
        ),
        (
            "GetTrialConfig",
            pb.ExperimentTrial(experiment_name=NAME, trial=7),
            ("INVALID_ARGUMENT", f"Invalid trial number 7 for experiment: {NAME}"),
        ),
        ("UpdateTrialResult", result(0, name="x"), ("NOT_FOUND", "Experiment not found!")),
        (
            "UpdateTrialResult",
            result(7),
            ("INVALID_ARGUMENT", "Requested trial exceeds the completed trial limit!"),
        ),
        (
            "UpdateTrialResult",
            result(-1),
            ("INVALID_ARGUMENT", "Trial number cannot be negative!"),
        ),
        (
            "UpdateTrialResult",
            result(0, 9),  # type: ignore[arg-type]
            ("INVALID_ARGUMENT", "Trial result status is invalid!"),
        ),
        (
            "UpdateTrialResult",
            result(0, value=float("nan")),
            ("INVALID_ARGUMENT", "Value and value type do not match!"),
        ),
        ("GenerateNextConfig", named("x"), ("NOT_FOUND", "Experiment not found!")),
        ("GetRecommendedConfig", named("x"), ("NOT_FOUND", "Experiment not found!")),
        ("DeleteExperiment", named("x"), ("NOT_FOUND", "Experiment not found!")),
        (
            "NewExperiment",
            details(experiment_name="y", hpo_algo_impl="xyz"),
            ("INVALID_ARGUMENT", "HPO algorithm not supported!"),
        ),
        (
            "NewExperiment",
            details(experiment_name="y", direction="xyz"),
            ("INVALID_ARGUMENT", "Direction not supported!"),
        ),
        (
            "NewExperiment",
            details(experiment_name=""),
            ("INVALID_ARGUMENT", "Parameters cannot be empty or null!"),
        ),
    ],
)
def test_refusals(call: Call, method: str, request_: Any, said: tuple[str, str]) -> None:
    call("NewExperiment", details())
    assert call(method, request_) == said


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 1e301])
def test_what_is_no_finite_number_changes_nothing(call: Call, value: float) -> None:
    call("NewExperiment", details())
    if abs(value) != 1e301:
        refused = call("UpdateTrialResult", result(0, value=value))
        assert refused == ("INVALID_ARGUMENT", "Value and value type do not match!")
    for key in ("exact_lower_bound", "exact_upper_bound", "step"):
        bounds = {"exact_lower_bound": 0.0, "exact_upper_bound": 1.0, key: value}
        made = pb.ExperimentDetails.Tunable(name="x", value_type="double", **bounds)
        code, said = call("NewExperiment", details(experiment_name="y", tuneables=[made]))
        assert code == "INVALID_ARGUMENT"
        assert f"as '{key.removeprefix('exact_')}'" in said
    assert call("NumberExperiments", pb.NumberExperimentsParams()).count == 1
    assert call("UpdateTrialResult", result(0)) == pb.ExperimentTrialReply()


def version(*fields: tuple[str, int, int]) -> Any:
    """A message of another version of the contract: names, numbers and types of its fields."""
    file = descriptor_pb2.FileDescriptorProto(name="other.proto", syntax="proto3")
    message = file.message_type.add(name="Other")
    for name, number, kind in fields:
        message.field.add(name=name, number=number, type=kind, label=1)  # type: ignore[arg-type]
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)  # type: ignore[no-untyped-call]
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("Other"))


FLOAT, DOUBLE, INT32, TEXT = 2, 1, 5, 9


@pytest.mark.parametrize("kind", [FLOAT, DOUBLE, INT32])
def test_bounds_as_every_version_of_the_contract_types_them(call: Call, kind: int) -> None:
    names = (("value_type", 1, TEXT), ("name", 3, TEXT))
    other = version(*names, ("lower_bound", 2, kind), ("upper_bound", 4, kind))
    bounds = (-4, 9) if kind == INT32 else (-0.1, 98.7)
    sent = other(name="ram", value_type="double", lower_bound=bounds[0], upper_bound=bounds[1])
    tuneables = [pb.ExperimentDetails.Tunable.FromString(sent.SerializeToString())]
    assert call("NewExperiment", details(tuneables=tuneables)).trial_number == 0
    (found,) = call("GetExperimentDetails", named()).tuneables
    assert (found.exact_lower_bound, found.exact_upper_bound) == bounds
    shown = other.FromString(found.SerializeToString())
    if kind != DOUBLE:
        assert (shown.lower_bound, shown.upper_bound) == (sent.lower_bound, sent.upper_bound)


@pytest.mark.parametrize("kind", [FLOAT, DOUBLE])
def test_results_as_every_version_types_them(call: Call, service: Service, kind: int) -> None:
    call("NewExperiment", details(total_trials=1))
    names = (("experiment_name", 1, TEXT), ("trial", 2, INT32), ("value_type", 4, TEXT))
    other = version(*names, ("value", 5, kind))
    sent = other(experiment_name=NAME, trial=0, value_type="double", value=98.7)
    call("UpdateTrialResult", pb.ExperimentTrialResult.FromString(sent.SerializeToString()))
    with service.use(NAME) as experiment:
        assert experiment.trial(0).values == [98.7]
    best = call("GetRecommendedConfig", named()).optimal_value
    assert version(("value", 2, kind)).FromString(best.SerializeToString()).value == sent.value


def test_bounds_in_full_precision(call: Call) -> None:
    exact = pb.ExperimentDetails.Tunable(
        name="cpu", value_type="double", exact_lower_bound=0.1234567891, exact_upper_bound=0.5
    )
    assert call("NewExperiment", details(tuneables=[exact])).trial_number == 0
    (found,) = call("GetExperimentDetails", named()).tuneables
    assert (found.exact_lower_bound, found.exact_upper_bound) == (0.1234567891, 0.5)


def test_tokens(service: Service, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("read " + "r" * 20 + "\nwrite " + "w" * 20 + "\n")
    server, port = start(service, "127.0.0.1", 0, read_tokens(file))
    try:
        assert calling(port)("NewExperiment", details())[0] == "UNAUTHENTICATED"
        reader = calling(port, ("authorization", "Bearer " + "r" * 20))
        assert reader("NewExperiment", details())[0] == "PERMISSION_DENIED"
        assert reader("NumberExperiments", pb.NumberExperimentsParams()).count == 0
        writer = calling(port, ("authorization", "Bearer " + "w" * 20))
        assert writer("NewExperiment", details()).trial_number == 0
    finally:
        server.stop(0).wait()


def test_the_client_command(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HPO_PORT", str(port))
    space = {
        "experiment_name": NAME,
        "experiment_id": "a1",
        "total_trials": 2,
        "direction": "minimize",
        "objective_function": "t",
        "tunables": [
            {"name": "cpu", "value_type": "double", "lower_bound": 0.5, "upper_bound": 1.5},
            {"name": "gc", "value_type": "categorical", "choices": ["G1", "Z"]},
        ],
    }
    file = tmp_path / "space.json"
    file.write_text(json.dumps({"search_space": space}))

    def said(*words: str, code: int = 0) -> str:
        assert main(["serve", "client", *words]) == code
        told = capsys.readouterr()
        return told.out or told.err

    assert "Trial Number: 0" in said("new", "--file", str(file))
    assert "already exists" in said("new", "--file", str(file), code=2)
    assert "Number of running experiments: 1" in said("count")
    assert NAME in said("list")
    assert "response" not in said("show", "--name", NAME)
    assert "cpu" in said("config", "--name", NAME, "--trial", "0")
    ended = ("--name", NAME, "--result", "SUCCESS", "--value_type", "double", "--value", "98.7")
    assert "Success: Updated Trial Result" in said("result", "--trial", "0", *ended)
    assert "already completed" in said("result", "--trial", "0", *ended, code=2)
    assert "Next Trial: 1" in said("next", "--name", NAME)
    said("result", "--trial", "1", *ended)
    assert "Optimal Value: 98.7" in said("recommended", "--name", NAME)
    assert f"Deleted: {NAME}" in said("delete", "--name", NAME)
    assert "needs --name" in said("show", code=2)
    monkeypatch.setenv("HPO_PORT", "1")
    assert "No HPO service answers at localhost:1" in said("count", code=2)
    monkeypatch.setenv("HPO_PORT", str(port))

    def full(_: Service) -> list[str]:
        raise StoreError("The store is full.")

    monkeypatch.setattr(Service, "names", full)
    assert said("count", code=2) == "error: The store is full.\n"


def test_a_rate(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that stands, for on a slow machine a second may pass between two calls."""
    monkeypatch.setattr(grpc_wire, "Buckets", partial(Buckets, clock=lambda: 0.0))
    server, port = start(service, "127.0.0.1", 0, None, rate=2.0)
    try:
        call = calling(port)
        answers = [call("NumberExperiments", pb.NumberExperimentsParams()) for _ in range(3)]
    finally:
        server.stop(0).wait()
    assert [one.count for one in answers[:2]] == [0, 0]
    assert answers[2] == ("RESOURCE_EXHAUSTED", "Too many requests; try again in a second.")


def test_a_slow_sampler_is_waited_for_by_its_own_clients(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("slow", "other"):
        call("NewExperiment", details(experiment_name=name, parallel_trials=200, total_trials=200))
    proposing, go_on = Optimizer.propose, threading.Event()

    def propose(self: Optimizer, *arguments: Any) -> Any:
        assert self.study.study_name != "slow" or go_on.wait(300)
        return proposing(self, *arguments)

    monkeypatch.setattr(Optimizer, "propose", propose)
    with ThreadPoolExecutor(120) as pool:
        waiting = [pool.submit(call, "GenerateNextConfig", named("slow")) for _ in range(120)]
        try:
            answers = [one.result() for one in itertools.islice(as_completed(waiting), 50)]
            assert call("GenerateNextConfig", named("other")).trial_number > 0
        finally:
            go_on.set()
    refused = [one for one in answers if isinstance(one, tuple)]
    assert len(refused) >= 40  # some suggestions were ready
    assert {code for code, _ in refused} == {"UNAVAILABLE"}
