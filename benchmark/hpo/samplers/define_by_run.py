"""The optimizer of a study whose Python objective declares its tunables by asking for them.

A trial is asked without a point. The study's sampler runs in the sandbox with the past trials
(see python_objective.py), and its suggestions are written to the storage with the trial's result.
"""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import TYPE_CHECKING, Any

from benchmark.hpo.samplers.optimizer import Optimizer
from benchmark.hpo.samplers.proposal import Asked
from benchmark.hpo.sandboxed.python_trial import exact_choices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna.trial import FrozenTrial

    from benchmark.hpo.space.search_space import Params


class OpenOptimizer(Optimizer):
    """Assigns trial numbers, and receives points with the results."""

    def params_of(self, trial: FrozenTrial) -> Params:
        """The objective's suggested values."""
        return dict(trial.params)

    def ask(self, params: Params | None = None, held: Params | None = None) -> Asked:  # noqa: ARG002
        """A new trial without a point, durable when this returns."""
        template = self._optuna.trial.FrozenTrial(
            number=-1,
            state=self._optuna.trial.TrialState.RUNNING,
            value=None,
            datetime_start=datetime.now(),
            datetime_complete=None,
            params={},
            distributions={},
            user_attrs={},
            system_attrs={},
            intermediate_values={},
            trial_id=-1,
        )
        storage = self.storage
        trial_id = storage.create_new_trial(self.study_id, template_trial=template)
        return Asked(storage.get_trial_number_from_id(trial_id), {})

    def begin_with(self, more: Sequence[Params] = ()) -> list[Params]:  # noqa: ARG002
        return []

    def suggested(self, number: int, labels: dict[str, Any]) -> None:
        """Write the objective's suggested values to a trial that has not ended."""
        storage = self.storage
        trial_id = storage.get_trial_id_from_study_id_trial_number(self.study_id, number)
        trial = storage.get_trial(trial_id)
        if trial.state.is_finished():
            return
        exact_choices()
        from_json = self._optuna.distributions.json_to_distribution
        for name, text in (labels.get("distributions") or {}).items():
            if name not in trial.params:
                distribution = from_json(text)
                inner = distribution.to_internal_repr(labels["params"][name])
                # A storage has one list of choices for a name. Trials that ran at the same time may
                # have used two; then the value is in the record only.
                with contextlib.suppress(ValueError):
                    storage.set_trial_param(trial_id, name, inner, distribution)
        for key, value in (labels.get("system_attrs") or {}).items():
            if key.startswith("constraints:") and labels.get("constraints"):
                continue  # these are written with the values
            storage.set_trial_system_attr(trial_id, key, value)
