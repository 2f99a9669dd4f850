"""The classic contract over gRPC: package helloworld, service HpoService.

Numbers have the types of all its versions. A parser keeps a field of another type than the declared
one among the unknown ones, so that a message may carry a number as each version wants it, and
another message reads the same bytes.
"""

from __future__ import annotations

import contextlib
import logging
import struct
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc

from benchmark.errors import BenchmarkError
from benchmark.hpo.service.classic import contract, phrases
from benchmark.hpo.service.classic import hpo_pb2 as pb
from benchmark.hpo.service.classic.contract import PhraseError
from benchmark.hpo.service.core import views
from benchmark.hpo.service.core.errors import ForbiddenError
from benchmark.hpo.service.core.experiment import Experiment
from benchmark.hpo.service.core.service import Service, limited_to
from benchmark.hpo.service.web.guard import RATE, Buckets, Right, right_of
from benchmark.hpo.space.templates import plain

SERVICE = "helloworld.HpoService"
METHODS: dict[str, tuple[Any, Any]] = {
    "NumberExperiments": (pb.NumberExperimentsParams, pb.NumberExperimentsReply),
    "ExperimentsList": (pb.ExperimentsListParams, pb.ExperimentsListReply),
    "NewExperiment": (pb.ExperimentDetails, pb.NewExperimentsReply),
    "DeleteExperiment": (pb.ExperimentNameParams, pb.ExperimentDeletedReply),
    "GetExperimentDetails": (pb.ExperimentNameParams, pb.ExperimentDetails),
    "GetTrialConfig": (pb.ExperimentTrial, pb.TrialConfig),
    "UpdateTrialResult": (pb.ExperimentTrialResult, pb.ExperimentTrialReply),
    "GenerateNextConfig": (pb.ExperimentNameParams, pb.NewExperimentsReply),
    "GetRecommendedConfig": (pb.ExperimentNameParams, pb.RecommendedConfigReply),
}
# Marks what the server said itself, beside what is said where none answers.
REFUSED = "hpo-refused"
_WRITING = ("NewExperiment", "DeleteExperiment", "UpdateTrialResult", "GenerateNextConfig")
_THREADS = 256
_LARGEST = 4 << 20
# A client connects again by itself, so an idle connection costs it nothing to lose. A call that
# never sends its request keeps its connection until it is too old.
_REST_S, _HELLO_S, _AGE_S, _AGE_GRACE_S = 60.0, 10.0, 1800.0, 60.0
_log = logging.getLogger("benchmark.hpo.service")
_CODES = {
    phrases.EXISTS: grpc.StatusCode.ALREADY_EXISTS,
    phrases.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
}


def start(
    service: Service,
    host: str,
    port: int,
    tokens: dict[bytes, Right] | None,
    *,
    rate: float = RATE,
    most: int = 1024,
    rest_s: float = _REST_S,
    age_s: float = _AGE_S,
) -> tuple[grpc.Server, int]:
    """A server that answers when this returns, and its port.

    `rate` is calls a second of one host, `most` the connections at once; one without a call for
    `rest_s` seconds is closed, and any after `age_s`, at a call's end if that is within 60 s.

    Raises:
        BenchmarkError: the port cannot be had.
    """
    threads = futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="grpc")
    options = [
        ("grpc.max_receive_message_length", _LARGEST),
        ("grpc.so_reuseport", 0),
        ("grpc.max_allowed_incoming_connections", most),
        ("grpc.max_connection_idle_ms", int(1e3 * rest_s)),
        ("grpc.max_connection_age_ms", int(1e3 * age_s)),
        ("grpc.max_connection_age_grace_ms", int(1e3 * _AGE_GRACE_S)),
        ("grpc.server_handshake_timeout_ms", int(1e3 * _HELLO_S)),
    ]
    server = grpc.server(threads, options=options)
    server.add_generic_rpc_handlers((_handlers(Wire(service), tokens, rate),))
    shown = f"[{host}]" if ":" in host and not host.startswith("[") else host
    try:
        found = server.add_insecure_port(f"{shown}:{port}")
    except RuntimeError:
        found = 0
    if not found:
        raise BenchmarkError(
            f"The gRPC port {port} of {host} cannot be had; choose another with --grpc-port, or "
            "pass --no-grpc."
        )
    server.start()
    return server, found


def _handlers(wire: Wire, tokens: dict[bytes, Right] | None, rate: float) -> grpc.GenericRpcHandler:
    buckets = Buckets(rate)
    made = {
        name: grpc.unary_unary_rpc_method_handler(
            _guarded(getattr(wire, name), tokens, buckets, writes=name in _WRITING),
            request_deserializer=request.FromString,
            response_serializer=reply.SerializeToString,
        )
        for name, (request, reply) in METHODS.items()
    }
    return grpc.method_handlers_generic_handler(SERVICE, made)


def _guarded(
    method: Callable[[Any], Any],
    tokens: dict[bytes, Right] | None,
    buckets: Buckets,
    *,
    writes: bool,
) -> Callable[[Any, grpc.ServicerContext], Any]:
    """The method after its rate and token were looked at, with every fault as a status."""

    def call(request: Any, context: grpc.ServicerContext) -> Any:
        if not buckets.take(context.peer().rpartition(":")[0]):
            too_many = "Too many requests; try again in a second."
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, too_many)
        right = None
        if tokens is not None:
            metadata = {key.lower(): value for key, value in context.invocation_metadata() or ()}
            header = metadata.get("authorization")
            right = right_of(tokens, header if isinstance(header, str) else None)
            if right is None:
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "A token is needed.")
            if writes and right.kind != "write":
                context.abort(grpc.StatusCode.PERMISSION_DENIED, "This token may only read.")
        try:
            with limited_to(right.patterns if right else ()):
                return method(request)
        except ForbiddenError as error:
            refused: tuple[grpc.StatusCode, str] = (grpc.StatusCode.PERMISSION_DENIED, str(error))
        except WireError as error:
            refused = (error.kind, str(error))
        except PhraseError as error:
            refused = (_CODES.get(str(error), grpc.StatusCode.INVALID_ARGUMENT), str(error))
        except BenchmarkError as error:
            _log.warning("%s", error)
            refused = (grpc.StatusCode.UNAVAILABLE, str(error))
        except Exception:
            _log.exception("A call failed")
            refused = (grpc.StatusCode.INTERNAL, "The server failed; its log says where.")
        context.set_trailing_metadata(((REFUSED, "1"),))
        return context.abort(*refused)

    return call


class WireError(BenchmarkError):
    """A refusal with a status of its own."""

    def __init__(self, kind: grpc.StatusCode, said: str) -> None:
        super().__init__(said)
        self.kind = kind


class Wire:
    """The methods, by their names in the contract."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def NumberExperiments(self, _: Any) -> Any:  # noqa: N802
        return pb.NumberExperimentsReply(count=len(self._service.names()))

    def ExperimentsList(self, _: Any) -> Any:  # noqa: N802
        return pb.ExperimentsListReply(experiment=self._service.titles())

    def NewExperiment(self, request: Any) -> Any:  # noqa: N802
        number = contract.new(self._service, _search_space(request))
        return pb.NewExperimentsReply(trial_number=number)

    def DeleteExperiment(self, request: Any) -> Any:  # noqa: N802
        contract.delete(self._service, request.experiment_name)
        return pb.ExperimentDeletedReply()

    def GetExperimentDetails(self, request: Any) -> Any:  # noqa: N802
        with self._using(request.experiment_name) as experiment:
            return _details(experiment)

    def GetTrialConfig(self, request: Any) -> Any:  # noqa: N802
        with self._using(request.experiment_name) as experiment:
            try:
                found = contract.configuration(
                    self._service, request.experiment_name, request.trial
                )
            except PhraseError:
                raise WireError(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    f"Invalid trial number {request.trial} for experiment: "
                    f"{request.experiment_name}",
                ) from None
            kinds = {tunable.name: tunable.kind for tunable in experiment.definition.space.tunables}
        tunables = {one["tunable_name"]: one["tunable_value"] for one in found}
        return pb.TrialConfig(config=_configs(tunables, kinds))

    def UpdateTrialResult(self, request: Any) -> Any:  # noqa: N802
        results = {0: "success", 1: "failure", 2: "prune"}
        if request.result not in results:
            raise PhraseError(phrases.RESULT_INVALID)
        contract.tell_checked(
            self._service,
            {
                "experiment_name": request.experiment_name,
                "trial_number": request.trial,
                "trial_result": results[request.result],
                "result_value_type": request.value_type or "double",
                "result_value": _number(request, "value", pb.DoubleResult),
            },
        )
        return pb.ExperimentTrialReply()

    def GenerateNextConfig(self, request: Any) -> Any:  # noqa: N802
        try:
            number = contract.subsequent(self._service, request.experiment_name)
        except PhraseError as error:
            if not str(error).startswith(phrases.COMPLETED):
                raise
            number = -1
        return pb.NewExperimentsReply(trial_number=number)

    def GetRecommendedConfig(self, request: Any) -> Any:  # noqa: N802
        with contract.using(self._service, request.experiment_name) as experiment:
            if not experiment.is_finished:
                raise WireError(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    "Experiment has not yet finished running!",
                )
            best = views.best(experiment)
            if not best:
                raise WireError(
                    grpc.StatusCode.FAILED_PRECONDITION, "No trial of the experiment succeeded!"
                )
            facts, definition = experiment.terms.facts, experiment.definition
            kinds = {tunable.name: tunable.kind for tunable in definition.space.tunables}
            return pb.RecommendedConfigReply(
                experiment_name=experiment.terms.experiment,
                direction=next(iter(definition.directions.values())),
                optimal_value=_optimum(
                    best[0]["values"][0],
                    objective_function=str(facts.get("objective_function", "")),
                    value_type=str(facts.get("value_type", "double")),
                ),
                tunables=_configs(best[0]["params"], kinds),
            )

    @contextlib.contextmanager
    def _using(self, name: str) -> Iterator[Experiment]:
        """The experiment; that there is none is said as clients of this wire know it."""
        try:
            with contract.using(self._service, name) as experiment:
                yield experiment
        except PhraseError as error:
            if str(error) != phrases.NOT_FOUND:
                raise
            said = f"Could not find experiment: {name}"
            raise WireError(grpc.StatusCode.NOT_FOUND, said) from None


def _configs(params: dict[str, Any], kinds: dict[str, Any]) -> list[Any]:
    """Numbers as numbers, categoricals as text."""
    made = []
    for name, value in params.items():
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        config = pb.TunableConfig(name=name, value_type=kinds[name], text=plain(value))
        if is_number:
            config.value = float(value)
            config.exact_value = float(value)
        made.append(config)
    return made


def _search_space(request: Any) -> dict[str, Any]:
    """As the body of the REST wire; what proto3 cannot leave out is left out where it is empty."""
    space = {
        "experiment_name": request.experiment_name,
        "experiment_id": request.experiment_id or request.experiment_name,
        "total_trials": request.total_trials,
        "parallel_trials": request.parallel_trials or 1,
        "direction": request.direction,
        "hpo_algo_impl": request.hpo_algo_impl or "optuna_tpe",
        "objective_function": request.objective_function or "value",
        "value_type": request.value_type or "double",
        "tunables": [_tunable(tunable) for tunable in request.tuneables],
    }
    if request.slo_class:
        space["slo_class"] = request.slo_class
    return space


def _tunable(tunable: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"name": tunable.name, "value_type": tunable.value_type}
    if tunable.choices:
        return found | {"choices": list(tunable.choices)}
    for name in ("lower_bound", "upper_bound"):
        found[name] = _number(tunable, name, pb.Int32Bounds, pb.DoubleBounds)
    if tunable.step:
        found["step"] = tunable.step
    return found


def _details(experiment: Any) -> Any:
    definition, facts = experiment.definition, experiment.terms.facts
    texts = ("experiment_id", "objective_function", "value_type", "slo_class")
    tuneables = []
    for tunable in definition.space.tunables:
        made = pb.ExperimentDetails.Tunable(name=tunable.name, value_type=tunable.kind)
        if tunable.kind == "categorical":
            made.choices.extend(plain(choice) for choice in tunable.choices)
        else:
            _set_bounds(made, tunable.low, tunable.high)
            made.step = tunable.step or 0.0
        tuneables.append(made)
    return pb.ExperimentDetails(
        experiment_name=experiment.terms.experiment,
        total_trials=definition.trials,
        parallel_trials=definition.parallel,
        direction=next(iter(definition.directions.values())),
        hpo_algo_impl=definition.algorithm,
        tuneables=tuneables,
        started=True,
        **{key: str(facts[key]) for key in texts if key in facts},
    )


_INT32 = 2**31


def _optimum(value: float, **texts: str) -> Any:
    """The best value, for clients of every version."""
    made = pb.RecommendedConfigReply.OptimalValue(value=value, exact_value=value, **texts)
    made.MergeFromString(pb.DoubleOptimum(value=value).SerializeToString())
    return made


def _set_bounds(tunable: Any, low: float, high: float) -> None:
    """Give a tunable its bounds, for clients of every version."""
    tunable.lower_bound, tunable.exact_lower_bound = low, low
    tunable.upper_bound, tunable.exact_upper_bound = high, high
    whole = pb.Int32Bounds(lower_bound=_int32(low), upper_bound=_int32(high))
    tunable.MergeFromString(whole.SerializeToString())


def _number(message: Any, name: str, *others: Any) -> float:
    """A number as exact as its client sent it; `others` are the messages of other versions."""
    if message.HasField(f"exact_{name}"):
        return float(getattr(message, f"exact_{name}"))
    declared = getattr(message, name)
    if declared:
        return _shortest(declared)
    data = message.SerializeToString()
    # What a client left out is zero in every type.
    return float(next(filter(None, (getattr(one.FromString(data), name) for one in others)), 0))


def _shortest(value: float) -> float:
    """The decimal of fewest digits that is the same float of 32 bits: 98.7 comes as 98.69999695."""
    for digits in range(6, 9):
        short = float(f"{value:.{digits}g}")
        if _as_float32(short) == value:
            return short
    return value


def _as_float32(value: float) -> float:
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return float("inf")


def _int32(value: float) -> int:
    return max(-_INT32, min(_INT32 - 1, int(value)))
