"""Noise and drift of the system during tuning, from runs of the default configuration."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Sequence

from benchmark.files.numbers import plain_number
from benchmark.hpo.report import export
from benchmark.hpo.report.default_runs import CLEAR, default_values, level_of
from benchmark.hpo.report.repeats import SAME, Plan, confirmed_trial, repeat_key
from benchmark.hpo.report.verdict import DRIFT_P
from benchmark.hpo.spec.study_file import StudyDefinition
from benchmark.records import results
from benchmark.records.results import Record
from benchmark.records.tasks import Run

# A run this short that varies by this share is seldom long enough.
_SHORT_S, _NOISY = 1.0, 0.02


def drift(records: Iterable[Record], definition: StudyDefinition) -> str | None:
    """A sentence on the change of the default's first value; None if it ran less than twice."""
    values = default_values(records, definition)
    if len(values) < 2:
        return None
    return (
        f"The default ran {len(values)} times: {_measured(definition)} "
        f"{plain_number(values[0])} at first, {plain_number(values[-1])} at last, "
        f"median {plain_number(statistics.median(values))}, "
        f"spread {plain_number(statistics.stdev(values))}."
    )


def _measured(definition: StudyDefinition) -> str:
    """The metric that is the first value, or the name of its direction."""
    name = next(iter(definition.directions))
    value = definition.objective.values.get(name)
    return value.text if value is not None and {value.text} == value.names else name


def noise(values: Sequence[float], plan: Plan | None = None) -> str | None:
    """Sentences on noise and drift of the default's runs, and the gain that a plan detects.

    None if there are too few runs.
    """
    import numpy as np

    from benchmark.hpo.report import paired_test

    base, spread = level_of(values)
    if spread is None:
        return None
    array = np.array(values)
    text = f"One run of the default varies by {spread / base:.2%} ({len(values)} runs)."
    if paired_test.trend(array) < DRIFT_P:
        first, last = (float(np.median(half)) for half in np.array_split(array, 2))
        text += (
            f" The system drifts: {(last - first) / base:+.1%} from the first half of these runs "
            "to the second."
        )
    gain = paired_test.detectable(plan.pairs, spread) if plan else None
    if plan and gain:
        text += f" {plan.pairs} pairs detect a gain of {gain / base:.1%} in 80 % of cases."
    return text


def against_itself(values: Sequence[float]) -> str | None:
    """An A/A check: the second against the first of each two runs in a row; None for no two.

    Runs that do not influence the next ones differ in either direction equally often.
    """
    import numpy as np

    from benchmark.hpo.report import paired_test

    pairs = np.array(values[: len(values) // 2 * 2]).reshape(-1, 2)
    base = abs(statistics.median(values)) if values else 0.0
    if not len(pairs) or not base:
        return None
    differences = pairs[:, 1] - pairs[:, 0]
    sides = np.array([paired_test.evidence(side) for side in (differences, -differences)])
    decided = bool((sides >= paired_test.THRESHOLD).any())
    text = f"A/A check, the default against itself in {len(pairs)} pairs: "
    if decided:
        found = paired_test.estimate(differences)[0] / base
        return (
            f"{text}the second run differs from the first by {found:+.1%}, so that runs influence "
            "the next ones or the system drifts; reset it with 'prepare' or 'restore'."
        )
    if len(pairs) < paired_test.FEWEST_DECISIVE:
        runs = 2 * paired_test.FEWEST_DECISIVE
        return f"{text}too few; run the default {runs} times or more in a row."
    return f"{text}no difference found."


def noticed(records: Sequence[Record], definition: StudyDefinition) -> list[str]:
    """What the default's runs show after a session, where the study runs it now and then."""
    if not definition.default_every:
        return []
    changed = drift(records, definition)
    return [*([changed] if changed else []), *hints(records, definition)]


def hints(records: Sequence[Record], definition: StudyDefinition) -> list[str]:
    """What the default's runs show of a measurement that cannot be relied on; [] if they are few.

    That is noise and drift, noise that is as large as the gain of the best, and runs that are too
    short for their noise.
    """
    values = default_values(records, definition)
    base, spread = level_of(values)
    text = noise(values)
    if spread is None or text is None:
        return []
    found = [text]
    best = export.best_of(list(records), definition) if len(definition.directions) == 1 else []
    level = statistics.median(values)
    for record in best:
        gain = definition.signs[0] * (level - record.labels["values"][0])
        if 0 < gain < CLEAR * spread:
            found.append(
                f"The best is {gain / base:.2%} better than the default, which is not more than "
                "the noise of single runs; measure both again with --confirm until-decided, or "
                "give the objective 'repeats'."
            )
    warmups = definition.objective.warmups
    seconds = [
        one.fit_s / (warmups + len(one.labels.get("runs") or [one]))
        for one in records
        if one.status == "success" and one.fit_s
    ]
    if seconds and statistics.median(seconds) < _SHORT_S and spread > _NOISY * base:
        found.append(
            f"A run takes {statistics.median(seconds):.2g} s, of which starting the program may be "
            "a large part; let the objective measure for longer."
        )
    return found


def noise_known(run: Run, definition: StudyDefinition, plan: Plan) -> str | None:
    """`noise` from all runs of the default in the study, and the A/A check."""
    found = noise(default_values(results.records(run), definition), plan)
    check = against_itself(_in_a_row(run, definition))
    return f"{found} {check}" if found and check else found


def _in_a_row(run: Run, definition: StudyDefinition) -> list[float]:
    """The first values of the default's runs that measured the noise, one after the other."""
    best, name = confirmed_trial(run, definition), next(iter(definition.directions))
    values: list[float] = []
    if best is None:
        return values
    for number in itertools.count():
        record = results.current_record(run, repeat_key(best, SAME, number))
        if record is None:
            break
        value = record.metrics.get(name)
        if record.status == "success" and value is not None:
            values.append(value)
    return values
