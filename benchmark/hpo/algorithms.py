"""The algorithms by the names that study files use, as samplers and pruners of Optuna.

`optuna_tpe` looks at one tunable at a time, `optuna_tpe_multivariate` at all together (the default
of Optuna itself since version 5). `grid` goes through every admitted point and needs no sampler.
Any other sampler of Optuna's is named by its import path, such as `package.module:Sampler`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchmarkError
from benchmark.extras import install
from benchmark.hpo.spelling import meant

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

DEFAULT = "optuna_tpe"
GRID = "grid"
BAYESIAN = ("optuna_tpe", "optuna_tpe_multivariate", "optuna_skopt", "hyperopt", "gp")
ALGORITHMS = (*BAYESIAN, "random", GRID, "qmc", "cmaes", "nsga2")
# Optuna's TPE takes the last value that a pruned trial reported; others pass it over.
LEARNS_PRUNED = ("optuna_tpe", "optuna_tpe_multivariate")
SEVERAL_VALUES = (*("optuna_tpe", "optuna_tpe_multivariate", "gp", "random"), GRID, "qmc", "nsga2")
MANY_TUNABLES = 10
PRUNERS = {
    "none": "NopPruner",
    "median": "MedianPruner",
    "percentile": "PercentilePruner",
    "hyperband": "HyperbandPruner",
    "successive_halving": "SuccessiveHalvingPruner",
}
_NEEDS = {
    "gp": ("torch", "gp"),
    "optuna_skopt": ("skopt", "optimizers"),
    "hyperopt": ("hyperopt", "optimizers"),
}


# The samplers of Optuna's own, with what they are made with.
_TPE = {"constant_liar": True}
_QUIET = {"warn_independent_sampling": False}
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


class AlgorithmError(BenchmarkError):
    """There is no such algorithm, or it cannot do what the study asks."""


def check_algorithm(name: str, directions: int = 1) -> None:
    """Refuse an algorithm that is unknown or cannot serve that many directions.

    Raises:
        AlgorithmError: says which there are.
    """
    if name not in ALGORITHMS and ":" not in name:
        raise AlgorithmError(f"There is no algorithm '{name}'; {meant(name, ALGORITHMS)}")
    if directions > 1 and name in ALGORITHMS and name not in SEVERAL_VALUES:
        raise AlgorithmError(
            f"The algorithm '{name}' serves one direction and the study has {directions}; choose "
            f"{', '.join(SEVERAL_VALUES)}."
        )


def sampler_of(name: str, seed: int | None) -> BaseSampler:
    """The sampler with a seed.

    Raises:
        AlgorithmError: it is unknown, or its package is not installed.
    """
    from optuna import samplers

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
    if name == "optuna_skopt":
        from benchmark.hpo.skopt_sampler import SkoptSampler

        return SkoptSampler(seed)
    if name == "hyperopt":
        from benchmark.hpo.hyperopt_sampler import HyperoptSampler

        return HyperoptSampler(seed)
    if ":" in name:
        return _own_sampler(name, seed)
    kind, arguments = _OPTUNAS[name]
    if name == "cmaes":
        # For choices, which it has no model of; its own default draws them at random.
        arguments = {**arguments, "independent_sampler": sampler_of(DEFAULT, seed)}
    made: BaseSampler = getattr(samplers, kind)(seed=seed, **arguments)
    return made


def portable_sampler(name: str, seed: int | None) -> dict[str, Any]:
    """A sampler as the sandbox makes it, which has Optuna and nothing of this program.

    Raises:
        AlgorithmError: it is one of ours, or goes through a grid.
    """
    check_algorithm(name)
    if ":" in name:
        module, _, kind = name.partition(":")
        return {"module": module, "class": kind, "arguments": {"seed": seed}}
    if name not in _OPTUNAS or name == GRID:
        others = ", ".join(other for other in _OPTUNAS if other != GRID)
        raise AlgorithmError(
            f"The algorithm '{name}' needs declared tunables, and this study has none; declare "
            f"them, or choose {others}."
        )
    kind, arguments = _OPTUNAS[name]
    return {
        "module": "optuna.samplers",
        "class": kind,
        "arguments": {"seed": seed, **arguments},
    }


def _own_sampler(path: str, seed: int | None) -> BaseSampler:
    from optuna.samplers import BaseSampler

    module, _, attribute = path.partition(":")
    try:
        made = getattr(importlib.import_module(module), attribute)(seed=seed)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise AlgorithmError(f"The sampler '{path}' cannot be made: {error}.") from None
    if not isinstance(made, BaseSampler):
        raise AlgorithmError(f"'{path}' is no sampler of Optuna's.")
    return made


def pruner_of(name: str, params: dict[str, Any] | None = None) -> BasePruner:
    """A pruner by its name, with parameters as Optuna calls them.

    Raises:
        AlgorithmError: it is unknown, or refuses the parameters.
    """
    from optuna import pruners

    if name not in PRUNERS:
        raise AlgorithmError(f"There is no pruner '{name}'; {meant(name, PRUNERS)}")
    values = dict(params or {})
    if name == "percentile":
        values.setdefault("percentile", 25.0)
    try:
        made: BasePruner = getattr(pruners, PRUNERS[name])(**values)
    except (TypeError, ValueError) as error:
        raise AlgorithmError(f"The pruner '{name}' refuses {params}: {error}.") from None
    return made
