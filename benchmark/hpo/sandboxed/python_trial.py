"""A Python objective in the sandbox: `python python_trial.py REQUEST.json`.

Runs on the objective's own interpreter and imports nothing of the program, only Optuna. Where the
point is given, `trial.suggest_*` hands it out; where none is, the study's sampler suggests.
`trial.report` and `trial.should_prune` work on the past trials that came with the request.
"""

from __future__ import annotations

import copy
import importlib
import importlib.util
import json
import math
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import Any

ANSWER = "trial-answer.json"
NOTES = "trial-notes.jsonl"
_LONGEST = 300


def main(path: str) -> int:
    import optuna

    folder = Path.cwd()
    request = json.loads(Path(path).read_text(encoding="utf-8"))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    exact_choices()
    study = _study(request, folder / NOTES)
    given = request["params"]
    if given is not None:
        study.enqueue_trial(given)
    trial = study.ask()
    trial.report = _exact_report(trial.report)
    # `study.stop` works inside of `study.optimize` only.
    study._thread_local.in_optimize_loop = True
    refuse_elsewhere(study, "a trial")
    if not request.get("has_past", True):
        _refuse_past(study)
    study.set_user_attr = _refusal("set_user_attr", "call trial.set_user_attr", "a trial")
    objective = _load(request["function"])
    answer: dict[str, Any] = {"status": "failure", "values": None}
    try:
        returned = objective(trial)
        values = list(returned) if isinstance(returned, (list, tuple)) else [returned]
        answer["fault"] = next((said for value in values if (said := _no_number(value))), None)
        if answer["fault"] is None:
            answer["values"] = [None if value is None else _finite(value) for value in values]
            answer["status"] = "success"
    except optuna.TrialPruned as error:
        answer |= {"status": "prune", "message": _one_line(str(error))}
    except BaseException as error:
        answer["fault"] = f"The objective failed: {_raised(error)}"
        raise
    finally:
        frozen = study._storage.get_trial(trial._trial_id)
        answer["intermediate"] = {str(k): v for k, v in frozen.intermediate_values.items()}
        answer["user_attrs"] = frozen.user_attrs
        answer["stops"] = study._stop_flag
        # Some pruners keep there how far a trial has come, for the trials after it.
        attrs = frozen.system_attrs.items()
        answer["system_attrs"] = {k: v for k, v in attrs if k != "fixed_params"}
        if given is None:
            answer["params"] = frozen.params
            to_json = optuna.distributions.distribution_to_json
            answer["distributions"] = {k: to_json(v) for k, v in frozen.distributions.items()}
        else:
            unlike = _unlike(given, frozen, is_repeat=request.get("repeats", False))
            answer["fault"] = unlike or answer.get("fault")
        (folder / (ANSWER + ".tmp")).write_text(_json(answer), encoding="utf-8")
        (folder / (ANSWER + ".tmp")).rename(folder / ANSWER)
    return 0


def _raised(error: BaseException) -> str:
    """An exception as its type and the first line of its text."""
    if isinstance(error, SystemExit):
        return f"it called sys.exit({_one_line(repr(error.code))})."
    lines = "".join(traceback.format_exception_only(type(error), error)).strip().splitlines()
    return _one_line(lines[-1 if isinstance(error, SyntaxError) else 0])


def _one_line(text: str) -> str:
    """The start of a text that may be long, of several lines, and not all of Unicode."""
    return " ".join(text.split())[:_LONGEST].encode("utf-8", "backslashreplace").decode()


def _json(value: Any, depth: int = 2) -> str:
    """A value as JSON; what JSON does not know as its text, keys among it."""
    try:
        return json.dumps(value, default=_plain)
    except (TypeError, ValueError, RecursionError):
        if isinstance(value, dict) and depth:
            pairs = (f"{json.dumps(str(k))}: {_json(v, depth - 1)}" for k, v in value.items())
            return "{" + ", ".join(pairs) + "}"
        return json.dumps(str(value) if depth else f"a {type(value).__name__}")


def _plain(value: Any) -> Any:
    """A number of numpy's as Python's own; anything else that JSON does not know as its text."""
    return value.item() if _is_of_numpy(value) else str(value)


def _is_of_numpy(value: Any) -> bool:
    return type(value).__module__ == "numpy" and getattr(value, "shape", None) == ()


def _noting(place: Path, is_open: bool) -> Any:
    """A storage in memory that notes in a file what the trial under way says of itself.

    A trial that is killed leaves no answer; its notes have all it said until then. The point is
    noted where the trial itself chooses it.
    """
    import optuna

    file = place.open("w", encoding="utf-8", buffering=1)

    def note(kind: str, key: Any, value: Any) -> None:
        file.write(_json([kind, str(key), value]) + "\n")

    class Noting(optuna.storages.InMemoryStorage):
        # The distributions of past trials: the study's own storage takes no other kind or choices.
        known: dict[str, Any] = {}  # noqa: RUF012  # there is one storage

        def set_trial_param(
            self, trial_id: int, param_name: str, param_value_internal: float, distribution: Any
        ) -> None:
            if param_name in self.known:
                optuna.distributions.check_distribution_compatibility(
                    self.known[param_name], distribution
                )
            super().set_trial_param(trial_id, param_name, param_value_internal, distribution)
            if is_open:
                value = distribution.to_external_repr(param_value_internal)
                text = optuna.distributions.distribution_to_json(distribution)
                note("params", param_name, [value, text])

        def set_trial_intermediate_value(
            self, trial_id: int, step: int, intermediate_value: float
        ) -> None:
            super().set_trial_intermediate_value(trial_id, step, intermediate_value)
            note("intermediate", step, intermediate_value)

        def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
            super().set_trial_user_attr(trial_id, key, value)
            note("user_attrs", key, value)

        def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
            super().set_trial_system_attr(trial_id, key, value)
            if key != "fixed_params":
                note("system_attrs", key, value)

    return Noting()


def exact_choices() -> None:
    """Let Optuna's categoricals tell apart what Python holds equal: 1, 1.0 and true; 0.0 and -0.0.

    A categorical keeps a choice by its place, and looks that up by ==. It looks for a choice of the
    value's own type first from now on.
    """
    from optuna.distributions import CategoricalDistribution

    general: Any = CategoricalDistribution.to_internal_repr
    if getattr(general, "exact", False):
        return

    def exact(self: CategoricalDistribution, value: Any) -> float:
        for place, choice in enumerate(self.choices):
            if type(choice) is type(value) and choice == value and repr(choice) == repr(value):
                return place
        return float(general(self, value))

    vars(exact)["exact"] = True
    patched: Any = CategoricalDistribution
    patched.to_internal_repr = exact


def _study(request: dict[str, Any], notes: Path) -> Any:
    """A study in memory with the past trials under their numbers, which pruners go by."""
    import optuna

    storage = _noting(notes, request["params"] is None)
    study = optuna.create_study(
        storage=storage,
        study_name=request["study"],
        directions=request["directions"],
        pruner=made_pruner(request["pruner"], optuna.pruners),
        sampler=_sampler(request["sampler"], request["number"]),
    )
    if lessons := {one["number"] for one in request["history"] if one.get("is_lesson")}:
        _hide(study.pruner, lessons)
    states = optuna.trial.TrialState
    from_json = optuna.distributions.json_to_distribution
    past = {trial["number"]: trial for trial in request["history"]}
    place = storage.get_study_id_from_name(request["study"])
    placeholder = optuna.trial.create_trial(state=states.FAIL)
    for number in range(request["number"]):
        ended = past.get(number)
        if ended is None:
            # Straight into the storage: a trial's number is how many there were before it.
            storage.create_new_trial(place, template_trial=placeholder)
            continue
        attrs = dict(ended["system_attrs"])
        if ended["constraints"]:
            attrs["constraints"] = ended["constraints"]
        distributions = {k: from_json(v) for k, v in ended["distributions"].items()}
        storage.known = distributions | storage.known
        study.add_trial(
            optuna.trial.create_trial(
                state=states[ended["state"]],
                values=ended["values"],
                params={k: v for k, v in ended["params"].items() if k in distributions},
                distributions=distributions,
                intermediate_values={int(k): v for k, v in ended["intermediate"].items()},
                system_attrs=attrs,
            )
        )
    return study


def _hide(pruner: Any, numbers: set[int]) -> None:
    """Let a pruner not count failures that stand as results here, for the sampler to learn from."""
    decide = pruner.prune

    def prune(study: Any, trial: Any) -> Any:
        seen = copy.copy(study)
        seen.get_trials = lambda deepcopy=True, states=None: [
            one
            for one in study.get_trials(deepcopy, states)
            if states is None or one.number not in numbers
        ]
        return decide(seen, trial)

    pruner.prune = prune


def made_pruner(declared: dict[str, Any], pruners: Any) -> Any:
    """Optuna's pruner; with `patience` it is asked once a trial has not improved for so long."""
    values = dict(declared)
    name = values.pop("class")
    if name == "PatientPruner":
        return pruners.PatientPruner(None, **values)
    patient = {key: values.pop(key) for key in ("patience", "min_delta") if key in values}
    pruner = getattr(pruners, name)(**values)
    return pruners.PatientPruner(pruner, **patient) if patient else pruner


def _sampler(declared: dict[str, Any] | None, number: int) -> Any:
    import optuna

    if declared is None:
        return optuna.samplers.RandomSampler(seed=number)
    module = importlib.import_module(declared["module"])
    return getattr(module, declared["class"])(**declared["arguments"])


def _unlike(given: dict[str, Any], trial: Any, *, is_repeat: bool = False) -> str | None:
    """What the objective asked for and the study does not declare so: it would be lost.

    In a repeat of an objective that declares its tunables itself: what its first run did not ask.
    """
    for name, value in trial.params.items():
        if name not in given and is_repeat:
            return (
                f"The objective suggests '{name}' in a repeat, which its first run did not; the "
                "tunables that it suggests may depend only on the values of others."
            )
        if name not in given:
            return (
                f"The objective suggests '{name}', which the study does not declare; add it to "
                "'tunables'."
            )
        is_choice = hasattr(trial.distributions[name], "choices")
        other = not _is_same(value, given[name], by_kind=is_choice)
        if other and is_repeat:
            return (
                f"The objective suggests '{name}' in a repeat from another range than in its first "
                f"run, so that {given[name]!r} became {value!r}; use the same range."
            )
        if other:
            return (
                f"The objective suggests '{name}' from another range than the study declares, so "
                f"that {given[name]!r} became {value!r}; declare the same."
            )
    return None


def _is_same(value: Any, other: Any, *, by_kind: bool) -> bool:
    """Whether two values are one; `by_kind`, 1 and 1.0 are not. NaN is NaN, and 0.0 is not -0.0."""
    kinds = (bool, int, float, str) if by_kind else (bool, (int, float), str)
    # An objective's own choices may be numbers of numpy's.
    plain = value.item() if _is_of_numpy(value) else value
    if any(isinstance(plain, kind) != isinstance(other, kind) for kind in kinds):
        return False
    if by_kind and isinstance(value, float):
        return str(float(value)) == str(float(other))
    return bool(value == other)


# What a trial or a callback could ask of its study without any effect, and what to do.
_ELSEWHERE = {
    "optimize": "give HPORunner or tune the number of trials",
    "ask": "give HPORunner or tune the number of trials",
    "tell": "return the value, or raise",
    "enqueue_trial": "name points in the study's 'initial'",
    "add_trial": "import results with: studies import",
    "add_trials": "import results with: studies import",
    "set_metric_names": "name the values in the study's 'direction'",
}


def refuse_elsewhere(study: Any, place: str) -> None:
    """Reject what has no effect within a trial, or a callback."""
    for name, instead in _ELSEWHERE.items():
        setattr(study, name, _refusal(name, instead, place))


def _refuse_past(study: Any) -> None:
    """Reject questions about past trials, which this study does not send into the sandbox."""

    def refuse(name: str, _: Any) -> Any:
        raise RuntimeError(
            f"study.{name} is not known within a trial of a study with 'tunables' and without "
            "'pruner', which gets no past trials; use a callback, or declare a pruner."
        )

    past = (name for name in dir(study) if name.startswith(("best_", "get_", "trials")))
    refused = {name: property(partial(refuse, name)) for name in past}
    study.__class__ = type("Study", (type(study),), refused)


def _refusal(name: str, instead: str, place: str) -> Any:
    def refuse(*_: Any, **__: Any) -> Any:
        raise RuntimeError(f"study.{name}() has no effect within {place}; {instead}.")

    return refuse


def _no_number(value: Any, did: str = "returned") -> str | None:
    """Why a value is not a measurement, in a sentence: a boolean and a text are none."""
    if value is None:  # counted by the program, which knows how many values there should be
        return None
    dtype = str(getattr(value, "dtype", ""))
    kinds = {"a boolean": (bool,), "a text": (str, bytes, bytearray), "complex": (complex,)}
    kind = next((name for name, types in kinds.items() if isinstance(value, types)), None)
    if kind is None and "bool" in dtype:
        kind = "a boolean"
    if kind is None and "complex" in dtype:
        kind = "complex"
    if kind is None and not (hasattr(value, "__float__") or hasattr(value, "__index__")):
        kind = f"of the type {type(value).__name__}"
    if kind is None:
        return None
    return f"The objective {did} {str(value)[:100]!r}, which is {kind}; it must be a number."


def _exact_report(report: Any) -> Any:
    """`trial.report` that refuses what Optuna would turn into a number: a boolean, a text."""

    def exact(value: Any, step: Any) -> None:
        fault = _no_number(value, "reported")
        if fault is None and (isinstance(step, bool) or not hasattr(step, "__index__")):
            fault = f"The objective reported the step {step!r}; it must be a whole number."
        if fault is not None:
            raise TypeError(fault)
        report(value, step)

    return exact


def _finite(value: Any) -> Any:
    """A number as JSON has it; one that is not finite as its text."""
    number = float(value)
    return number if math.isfinite(number) else str(number)


def _load(function: str) -> Any:
    place, _, name = function.rpartition(":")
    # Not the folder of this file, whose modules could be taken for others of the same names; the
    # program itself comes last, for a script that has its objective and an HPORunner.
    sys.path[0] = str(Path.cwd())
    sys.path.append(str(Path(__file__).resolve().parents[3]))
    if not place.endswith(".py"):
        return getattr(importlib.import_module(place), name)
    spec = importlib.util.spec_from_file_location("objective", place)
    if spec is None or spec.loader is None:
        raise ImportError(f"{place} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules["objective"] = module
    spec.loader.exec_module(module)
    return getattr(module, name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
