"""hyperopt's TPE as a sampler of Optuna's: `tpe.suggest` called with Trials that are built here."""

from __future__ import annotations

import math
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from benchmark.hpo.samplers.model_sampler import Known, ModelSampler, is_stepped, steps


class HyperoptSampler(ModelSampler):
    """hyperopt's tree of Parzen estimators."""

    def propose(
        self, known: Known, search_space: dict[str, BaseDistribution], seed: int | None
    ) -> dict[str, Any]:
        from hyperopt import tpe
        from hyperopt.base import Domain, Trials

        domain = Domain(lambda _: 0.0, {n: _expression(n, search_space[n]) for n in search_space})
        trials = Trials()
        pairs = zip(known.points, known.losses, strict=True)
        trials.insert_trial_docs(
            [_document(place, domain, point, loss) for place, (point, loss) in enumerate(pairs)]
        )
        trials.refresh()
        asked = tpe.suggest([len(known.points)], domain, trials, seed or 0, n_startup_jobs=1)[0]
        return {name: values[0] for name, values in asked["misc"]["vals"].items()}


def _document(place: int, domain: Any, point: dict[str, Any], loss: float) -> dict[str, Any]:
    """A past trial in hyperopt's form."""
    from hyperopt.base import JOB_STATE_DONE

    return {
        "state": JOB_STATE_DONE,
        "tid": place,
        "spec": None,
        "result": {"status": "ok", "loss": loss},
        "misc": {
            "tid": place,
            "cmd": domain.cmd,
            "workdir": None,
            "idxs": {name: [place] for name in point},
            "vals": {name: [value] for name, value in point.items()},
        },
        "exp_key": None,
        "owner": None,
        "version": 0,
        "book_time": None,
        "refresh_time": None,
    }


def _expression(name: str, distribution: Any) -> Any:
    from hyperopt import hp

    if isinstance(distribution, CategoricalDistribution):
        return hp.choice(name, list(range(len(distribution.choices))))
    if is_stepped(distribution):
        return hp.quniform(name, 0, steps(distribution), 1)
    low, high = distribution.low, distribution.high
    if isinstance(distribution, IntDistribution):
        return hp.qloguniform(name, math.log(low), math.log(high), 1)
    if distribution.log:
        return hp.loguniform(name, math.log(low), math.log(high))
    return hp.uniform(name, low, high)
