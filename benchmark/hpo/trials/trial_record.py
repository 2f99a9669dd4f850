"""The record of a trial: what was measured, or why it ended otherwise."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmark.execution.work import Outcome
from benchmark.files import spelling
from benchmark.files.numbers import plain_number
from benchmark.hpo.objectives.metrics.csv_rows import plain_name
from benchmark.hpo.objectives.metrics.measured_values import MeasureError
from benchmark.hpo.objectives.metrics.measuring import BARE
from benchmark.hpo.objectives.metrics.readers import has_same_names
from benchmark.hpo.objectives.objective import VALUE_UNITS
from benchmark.hpo.space.operators import DimensionError, ExpressionError, UnknownNameError, same
from benchmark.hpo.space.units import Unit
from benchmark.hpo.spec.stop_rules import WRONG, WRONG_UNIT
from benchmark.hpo.spec.study_file import StudyDefinition
from benchmark.records.results import Cause, Record, failure
from benchmark.records.tasks import Task


@dataclass
class Trial:
    """A trial on its way to its record; `seconds` grows with each run of the objective.

    `labels` are what the record says beside metrics: `intermediate`, `distributions` and the like;
    `texts` is what was found where a metric belongs and is no number; `units` are those of metrics
    that have one, `seen_units` those of the values of earlier runs, None of a number alone;
    `constraint_runs`, `attr_runs` and `step_runs` what a Python objective set by name, and
    reported, in each run.
    """

    task: Task
    definition: StudyDefinition
    outcome: Outcome
    params: dict[str, Any]
    labels: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    units: dict[str, Unit] = field(default_factory=dict)
    seen_units: dict[str, Unit | None] = field(default_factory=dict)
    constraint_runs: list[dict[str, float]] = field(default_factory=list)
    attr_runs: list[dict[str, Any]] = field(default_factory=list)
    step_runs: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    peak_mb: float | None = None

    @property
    def constraints(self) -> dict[str, float]:
        """The median of each constraint over the runs that set it."""
        return medians(self.constraint_runs)

    def add_units(self, metrics: Mapping[str, float], units: Mapping[str, Unit]) -> None:
        """The units of a run's metrics.

        Raises:
            MeasureError: a metric has another unit than in an earlier run, or one of both has none.
        """
        for name, value in metrics.items():
            unit = units.get(name)
            # A 0 needs no unit.
            if (unit or value) and self.seen_units.setdefault(name, unit) != unit:
                raise MeasureError(f"'{name}' has different units in the repeats of the trial.")
        self.units |= units

    def ran(self, outcome: Outcome) -> None:
        """Another run of the objective has ended."""
        self.outcome = outcome
        self.seconds += outcome.wall_s
        if outcome.peak_memory_mb is not None:
            self.peak_mb = max(self.peak_mb or 0.0, outcome.peak_memory_mb)

    def blame_study(self, *, certain: bool) -> None:
        """Label a trial that read its output and found nothing of what the study file names.

        Without `certain` another trial may have it, unless this one has the default values.
        """
        if certain or self.params == self.definition.space.default():
            self.labels[WRONG] = True

    def pruned(self, message: str, metrics: dict[str, float] | None = None) -> Record:
        return Record(
            self.task.key,
            "prune",
            message=message,
            metrics=dict(metrics or {}),
            labels=self._labels(metrics),
            **self._facts(),
        )

    def failed(self, cause: Cause, message: str, metrics: dict[str, float] | None = None) -> Record:
        found = failure(self.task, cause, message, metrics=dict(metrics or {}), **self._facts())
        found.labels.update(self._labels(metrics))
        return found

    def measured(self, runs: Sequence[dict[str, float]]) -> Record:
        """The record of runs that have metrics: the median of each, values, constraints, rules."""
        objective = self.definition.objective
        shared = set.intersection(*(set(found) for found in runs))
        metrics = {
            name: statistics.median(found[name] for found in runs)
            for name in runs[0]
            if name in shared
        }
        if len(runs) > 1:
            self.labels["spread"] = {
                name: statistics.stdev(found[name] for found in runs) for name in metrics
            }
            self.labels["runs"] = [dict(found) for found in runs]
        names, unclear = clear_names(metrics, self.params)
        units = with_short_names(self.definition.space.units | self.units, metrics)
        try:
            why = objective.failure.of_metrics(names, units)
            if why is not None:
                return self.failed(Cause.FRAMEWORK, why, metrics)
            why = objective.prune.of_metrics(names, units)
            if why is not None:
                return self.pruned(why, metrics)
            values = [
                value_of(self.definition, name, names, self.texts, units)
                for name in self.definition.directions
            ]
            constraints = [rule.number(names, units) for rule in objective.constraints]
            constraints += self.constraints.values()
            self._cost(metrics)
        except ExpressionError as error:
            if isinstance(error, UnknownNameError) and error.name not in self.texts and metrics:
                is_typo = error.near is not None and spelling.is_typo(error.name, error.near)
                never = has_same_names(objective.measuring.reader, error.name)
                self.blame_study(certain=is_typo or never)
            # A 0 needs no unit; any other number is printed with the same one in every trial.
            elif isinstance(error, DimensionError) and all(
                value or name in units for name, value in metrics.items()
            ):
                self.labels[WRONG] = WRONG_UNIT
            said = f"{error}{self._text_in(str(error))}"
            said += two_meanings(said, unclear, metrics, self.params)
            return self.failed(Cause.FRAMEWORK, said, metrics)
        self.labels |= {"values": values, "constraints": constraints}
        shown = {name: self._unit_of(name, names, units) for name in self.definition.directions}
        if any(shown.values()):
            self.labels[VALUE_UNITS] = {name: unit for name, unit in shown.items() if unit}
        labels = self._labels(metrics)
        metrics |= dict(zip(self.definition.directions, values, strict=True))
        return Record(
            task=self.task.key,
            status="success",
            metric=next(iter(self.definition.directions)),
            metrics=dict(metrics),
            labels=labels,
            fit_s=self.seconds,
            **self._facts(),
        )

    def _unit_of(
        self, direction: str, names: Collection[str], units: Mapping[str, Unit]
    ) -> str | None:
        """The unit of a value that is a metric itself, and not computed of some."""
        expression = self.definition.objective.values.get(direction)
        metric = expression.text if expression is not None else direction
        if expression is None and direction not in names:
            (metric,) = [name for name in names if name not in self.definition.space.names][:1]
        unit = units.get(metric)
        return None if unit is None else unit.name

    def is_narrow(self, runs: Sequence[dict[str, float]]) -> bool:
        """Whether runs are enough: the 95 % t-interval of their mean value is narrow."""
        objective = self.definition.objective
        if objective.within is None or len(runs) < objective.least:
            return False
        from scipy.stats import t

        units = self.definition.space.units | self.units
        name = next(iter(self.definition.directions))
        try:
            values = [
                value_of(self.definition, name, named(run, self.params), self.texts, units)
                for run in runs
            ]
        except ExpressionError:
            return False  # what is missing is said once all runs have ended
        error = statistics.stdev(values) / math.sqrt(len(values))
        half = float(t.ppf(0.975, len(values) - 1)) * error
        return half <= objective.within * abs(statistics.mean(values))

    def _text_in(self, said: str) -> str:
        """What stands where a metric belongs that a sentence names."""
        found = next((name for name in self.texts if f"'{name}'" in said), None)
        if found is None:
            return ""
        return f" '{found}' was measured as {self.texts[found]}, which is no finite number."

    def _labels(self, metrics: dict[str, float] | None) -> dict[str, Any]:
        labels = {**self.task.labels, **self.labels}
        try:
            cost = self._cost(metrics or {})
        except ExpressionError:
            cost = None  # of a trial that failed; a metric that it needs was not measured
        return labels if cost is None else labels | {"cost": cost}

    def _cost(self, metrics: dict[str, float]) -> float | None:
        """What it cost; None without a rule for that.

        Raises:
            ExpressionError: it cannot be computed.
        """
        rule = self.definition.objective.cost
        if rule is None:
            return None
        time = {"seconds": self.seconds, "hours": self.seconds / 3600}
        names = named(metrics, self.params) | self.params | time
        return rule.number(names, self.definition.space.units | self.units)

    def _facts(self) -> dict[str, Any]:
        return {
            "peak_memory_mb": self.peak_mb,
            "baseline_memory_mb": self.outcome.baseline_memory_mb,
            "sandbox": self.outcome.sandbox,
        }


def medians(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The median of each number, finite or not, over the runs that have it; of others, and where
    opposite infinities have no median, the last."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys(name for run in runs for name in run):
        values = [run[name] for run in runs if name in run]
        numbers = all(type(value) in (int, float) and not math.isnan(value) for value in values)
        middle = statistics.median(values) if numbers else math.nan
        found[name] = values[-1] if math.isnan(middle) else middle
    return found


def named(metrics: Mapping[str, float], params: Mapping[str, Any]) -> dict[str, Any]:
    """Tunables and metrics by the names that expressions have for them."""
    short = {new: metrics[old] for new, old in _plain_names(metrics).items()}
    return {**short, **params, **metrics}


def clear_names(
    metrics: Mapping[str, float], params: Mapping[str, Any]
) -> tuple[dict[str, Any], set[str]]:
    """The same without the names of a tunable and a metric that differ, and these names."""
    unclear = {
        name for name in metrics.keys() & params.keys() if not same(metrics[name], params[name])
    }
    both = named(metrics, params)
    return {name: value for name, value in both.items() if name not in unclear}, unclear


def two_meanings(
    said: str, unclear: Collection[str], metrics: Mapping[str, float], params: Mapping[str, Any]
) -> str:
    """What a sentence about a name lacks that a tunable and a metric have: sentences, or none."""
    return "".join(
        f" '{name}' is {params[name]!r} as a tunable and was measured as "
        f"{plain_number(metrics[name])}; give one of the two another name."
        for name in sorted(unclear)
        if f"'{name}'" in said
    )


def with_short_names(units: Mapping[str, Unit], metrics: Mapping[str, float]) -> dict[str, Unit]:
    """The units of metrics also by the names that expressions have for them."""
    short = _plain_names(metrics)
    return {**units, **{new: units[old] for new, old in short.items() if old in units}}


def _plain_names(metrics: Mapping[str, float]) -> dict[str, str]:
    """For metrics whose names no expression can have, `p(95)`: `p_95`, if it names only one."""
    short = {name: plain_name(name).strip("_") for name in metrics}
    often = Counter(short.values())
    return {new: old for old, new in short.items() if new != old and often[new] == 1}


def value_of(
    definition: StudyDefinition,
    name: str,
    names: dict[str, Any],
    texts: Collection[str] = (),
    units: Mapping[str, Unit] | None = None,
) -> float:
    """A direction's value: its expression, the metric of its name, or the only metric there is.

    An expression that is a name alone is that of a number without one. `texts` are the names of
    what was measured beside the metrics and is not a number: with any, no metric is the only one.

    Raises:
        ExpressionError: there is none.
    """
    expression = definition.objective.values.get(name)
    metrics = {key: value for key, value in names.items() if key not in definition.space.names}
    also = {new for name in metrics if (new := plain_name(name).strip("_")) != name}
    metrics = {key: value for key, value in metrics.items() if key not in also}
    if expression is not None:
        # Who prints a number and nothing else need not say its name.
        bare = expression.text.isidentifier() and metrics.keys() == {BARE} and not texts
        return expression.number(
            {expression.text: metrics[BARE], **names} if bare else names, units
        )
    if name not in metrics and len(metrics) == 1 and len(definition.directions) == 1 and not texts:
        return float(next(iter(metrics.values())))
    if name not in metrics:
        raise UnknownNameError(
            f"There is no metric '{name}' among {', '.join(metrics) or 'none'}; give the objective "
            "a 'value'.",
            name,
            None,
        )
    return float(metrics[name])
