"""The algorithms by the names that study files use, as samplers and pruners of Optuna.

`optuna_tpe_multivariate` models all tunables together (the default, as in Optuna since version 5),
`optuna_tpe` one at a time. `auto` chooses by the study (`chosen`). `grid` goes through every
admitted point and needs no sampler. Any other sampler of Optuna's is named by its import path, such
as `package.module:Sampler`.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import math
import warnings
from typing import TYPE_CHECKING, Any

from benchmark.config.extras import install
from benchmark.errors import BenchmarkError
from benchmark.files.spelling import meant
from benchmark.hpo.sandboxed.python_trial import made_pruner

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

    from benchmark.hpo.space.search_space import Space

DEFAULT = "optuna_tpe_multivariate"
# The default of the HPO service and the scripts, whose clients rely on it.
CLASSIC_DEFAULT = "optuna_tpe"
GRID = "grid"
AUTO = "auto"
BAYESIAN = ("optuna_tpe", "optuna_tpe_multivariate", "optuna_skopt", "hyperopt", "gp")
ALGORITHMS = (*BAYESIAN, "random", GRID, "qmc", "cmaes", "nsga2")
# Optuna's TPE uses the last reported value of a pruned trial; others ignore it.
LEARNS_PRUNED = ("optuna_tpe", "optuna_tpe_multivariate")
SEVERAL_VALUES = (*("optuna_tpe", "optuna_tpe_multivariate", "gp", "random"), GRID, "qmc", "nsga2")
MANY_TUNABLES = 10
PRUNERS = {
    "none": "NopPruner",
    "median": "MedianPruner",
    "percentile": "PercentilePruner",
    "hyperband": "HyperbandPruner",
    "successive_halving": "SuccessiveHalvingPruner",
    "wilcoxon": "WilcoxonPruner",
    "threshold": "ThresholdPruner",
    "patient": "PatientPruner",
}

_NEEDS = {
    "gp": ("torch", "gp"),
    "optuna_skopt": ("skopt", "optimizers"),
    "hyperopt": ("hyperopt", "optimizers"),
}


# Optuna's own samplers, with their arguments.
_TPE = {"constant_liar": True}
_QUIET = {"warn_independent_sampling": False}
# Options that are the program's own to set, and the types of those that a study file can have.
_HIDDEN = ("seed", "warn_independent_sampling", "warn_asynchronous_seeding")
_KINDS: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "str": (str,),
    "None": (type(None),),
}
# The least values of options that Optuna compares with nothing, or in the middle of a study.
_LEAST = {
    **dict.fromkeys(("n_startup_trials", "prior_weight", "bootstrap_count"), 0),
    **dict.fromkeys(("n_ei_candidates", "inc_popsize", "min_resource", "max_resource"), 1),
    **dict.fromkeys(("popsize", "reduction_factor"), 2),
}
_OPTUNAS: dict[str, tuple[str, dict[str, Any]]] = {
    "optuna_tpe": ("TPESampler", {"multivariate": False, **_TPE}),
    "optuna_tpe_multivariate": ("TPESampler", {"multivariate": True, **_TPE}),
    "random": ("RandomSampler", {}),
    GRID: ("RandomSampler", {}),
    "qmc": ("QMCSampler", _QUIET),
    "cmaes": ("CmaEsSampler", _QUIET),
    "gp": ("GPSampler", {}),
    "nsga2": ("NSGAIISampler", {}),
}


# `auto`: a Gaussian process takes up to some seconds per ask, which pays where trials take longer.
_GP_LIMIT_S, _GP_TRIALS, _GP_TUNABLES = 30.0, 300, 20
_CMAES_TRIALS = 200


class AlgorithmError(BenchmarkError):
    """The algorithm is unknown, or does not support the study."""


def check_algorithm(name: str, directions: int = 1) -> None:
    """Refuse an algorithm that is unknown or does not support that many directions.

    Raises:
        AlgorithmError: the message lists the known ones.
    """
    if name not in ALGORITHMS and ":" not in name:
        raise AlgorithmError(f"There is no algorithm '{name}'; {meant(name, ALGORITHMS)}")
    if directions > 1 and name in ALGORITHMS and name not in SEVERAL_VALUES:
        raise AlgorithmError(
            f"The algorithm '{name}' supports one direction, but the study has {directions}; "
            "choose "
            f"{', '.join(SEVERAL_VALUES)}."
        )


def chosen(
    space: Space, directions: int, trials: int, limit_s: float | None, is_plain: bool
) -> tuple[str, str]:
    """The algorithm that `auto` selects, and the reason.

    Args:
        space: without tunables where a Python objective declares them.
        directions: their number.
        trials: the budget.
        limit_s: the time limit of a trial, None if none is declared.
        is_plain: there are no pruner, no constraints and no forbidden combinations.
    """
    tunables = space.tunables
    size = space.size() if tunables else None
    if directions > 1:
        return DEFAULT, f"there are {directions} directions"
    if size is not None and size <= trials:
        return GRID, f"the space has {size} points, no more than the {trials} trials"
    slow = limit_s is not None and limit_s >= _GP_LIMIT_S
    small = 0 < len(tunables) <= _GP_TUNABLES and trials <= _GP_TRIALS
    if slow and small and importlib.util.find_spec("torch") is not None:
        return "gp", (
            f"a trial may take {limit_s:g} s, and there are at most {_GP_TRIALS} trials and "
            f"{_GP_TUNABLES} tunables"
        )
    smooth = len(tunables) > 1 and all(one.kind == "double" and not one.when for one in tunables)
    if smooth and is_plain and trials >= _CMAES_TRIALS:
        return "cmaes", f"there are {trials} trials, and all tunables are continuous"
    return DEFAULT, "no other is better in general"


def warnings_of(name: str, tunables: int, constrained: bool) -> list[str]:
    """Warnings on choices that may be intended but rarely work well."""
    found = []
    if name == "cmaes" and constrained:
        found.append(
            "cmaes does not see the constraints, and may search where they are violated; "
            f"{DEFAULT} does."
        )
    if name in BAYESIAN and tunables > MANY_TUNABLES:
        found.append(
            f"{tunables} tunables with {name}: a model over more than {MANY_TUNABLES} needs many "
            "trials to be better than random points; tune layer by layer, or more trials."
        )
    return found


def check_options(name: str, options: Mapping[str, Any], *, stored: bool = False) -> None:
    """Refuse options that the sampler of Optuna's does not have, or whose values it rejects.

    Of a study that is `stored` they may be below their least values.

    Raises:
        AlgorithmError: the message names the option, and those there are.
    """
    from optuna import samplers

    if not options:
        return
    kind, fixed = _OPTUNAS.get(name, ("", {}))
    known: dict[str, set[str]] = {}
    if kind and name != GRID:
        known = _kinds_of(getattr(samplers, kind))
    hidden = {*_HIDDEN, *(fixed.keys() - _TPE.keys())}
    known = {key: kinds for key, kinds in known.items() if kinds <= _KINDS.keys()}
    known = {key: kinds for key, kinds in known.items() if key not in hidden}
    for key, value in options.items():
        if key not in known:
            there = meant(key, known) if known else "it has none."
            raise AlgorithmError(f"The algorithm '{name}' has no option '{key}'; {there}")
        _check_kind(name, key, value, known[key], least=None if stored else _LEAST.get(key))
    sampler_of(name, 0, options)


def _kinds_of(made: type) -> dict[str, set[str]]:
    """The parameters of a class of Optuna's, and the names of their types."""
    found = {}
    for one in inspect.signature(made).parameters.values():
        kind = one.annotation
        found[one.name] = set((kind if isinstance(kind, str) else kind.__name__).split(" | "))
    return found


def _check_kind(name: str, key: str, value: Any, known: set[str], *, least: float | None) -> None:
    types = {one for kind in known for one in _KINDS.get(kind, ())}
    if type(value) not in types or (isinstance(value, float) and not math.isfinite(value)):
        kinds = " or ".join(sorted(known - {"None"}))
        raise AlgorithmError(
            f"The option '{key}' of '{name}' is {value!r}; write a value of the type {kinds}."
        )
    if least is not None and isinstance(value, (int, float)) and value < least:
        raise AlgorithmError(
            f"The option '{key}' of '{name}' is {value!r}; write a number of at least {least}."
        )


def sampler_of(
    name: str, seed: int | None, options: Mapping[str, Any] | None = None
) -> BaseSampler:
    """The sampler with a seed.

    Raises:
        AlgorithmError: it is unknown, or its package is not installed.
    """
    from optuna import samplers
    from optuna.exceptions import ExperimentalWarning

    check_algorithm(name)
    if name in _NEEDS:
        module, extra = _NEEDS[name]
        try:
            importlib.import_module(module)
        except ImportError:
            raise AlgorithmError(
                f"The algorithm '{name}' needs the package {module}, which is not installed; "
                f"install the extra '{extra}': {install(extra)}"
            ) from None
    if name in ("optuna_skopt", "hyperopt"):
        from benchmark.hpo.samplers.model_sampler import HyperoptSampler, SkoptSampler

        return HyperoptSampler(seed) if name == "hyperopt" else SkoptSampler(seed)
    if ":" in name:
        return _own_sampler(name, seed)
    kind, arguments = _OPTUNAS[name]
    if name == "cmaes":
        # For choices, which it cannot model; its own default draws them at random.
        arguments = {**arguments, "independent_sampler": sampler_of("optuna_tpe", seed)}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            made: BaseSampler = getattr(samplers, kind)(
                seed=seed, **arguments | dict(options or {})
            )
    except (TypeError, ValueError) as error:
        said = str(error).rstrip(".")
        raise AlgorithmError(f"The algorithm '{name}' rejects {options}: {said}.") from None
    return made


def portable_sampler(
    name: str, seed: int | None, options: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A sampler as created in the sandbox, which has Optuna but not this program.

    Raises:
        AlgorithmError: it is one of our own samplers, or a grid.
    """
    check_algorithm(name)
    if ":" in name:
        module, _, kind = name.partition(":")
        return {"module": module, "class": kind, "arguments": {"seed": seed}}
    if name not in _OPTUNAS or name == GRID:
        others = ", ".join(other for other in _OPTUNAS if other != GRID)
        raise AlgorithmError(
            f"The algorithm '{name}' needs declared tunables, but this study has none; declare "
            f"them, or choose {others}."
        )
    kind, arguments = _OPTUNAS[name]
    return {
        "module": "optuna.samplers",
        "class": kind,
        "arguments": {"seed": seed, **arguments, **(options or {})},
    }


def _own_sampler(path: str, seed: int | None) -> BaseSampler:
    from optuna.samplers import BaseSampler

    module, _, attribute = path.partition(":")
    try:
        made = getattr(importlib.import_module(module), attribute)(seed=seed)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise AlgorithmError(f"The sampler '{path}' cannot be created: {error}.") from None
    if not isinstance(made, BaseSampler):
        raise AlgorithmError(f"'{path}' is not an Optuna sampler.")
    return made


def pruner_of(name: str, params: dict[str, Any] | None = None) -> BasePruner:
    """A pruner by its name, with Optuna's parameter names.

    Raises:
        AlgorithmError: it is unknown, or refuses the parameters.
    """
    from optuna import pruners
    from optuna.exceptions import ExperimentalWarning

    if name not in PRUNERS:
        raise AlgorithmError(f"There is no pruner '{name}'; {meant(name, PRUNERS)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            made: BasePruner = made_pruner(pruner_request(name, params), pruners)
    except (TypeError, ValueError) as error:
        raise AlgorithmError(f"The pruner '{name}' refuses {params}: {error}.") from None
    return made


def check_pruner(name: str, options: Mapping[str, Any]) -> None:
    """Refuse options whose values Optuna would convert, or compare with numbers.

    Raises:
        AlgorithmError: the message names the option.
    """
    from optuna import pruners

    known = _kinds_of(pruners.PatientPruner) | _kinds_of(getattr(pruners, PRUNERS[name]))
    for key, value in options.items():
        if key in known:
            _check_kind(name, key, value, known[key], least=_LEAST.get(key))
    pruner_of(name, dict(options))


def pruner_request(name: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The class of a pruner with its parameters, as `made_pruner` takes them."""
    values = dict(params or {})
    if name == "percentile":
        values.setdefault("percentile", 25.0)
    return {"class": PRUNERS[name], **values}
