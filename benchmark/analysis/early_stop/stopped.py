"""What the results of a run that stops early claim, and the part of them that a board may use.

    standing = standing_of(frame, "classification")      # None for a run without a question
    standing.sentences()
    covered(frame, "classification", standing)

A board describes data sets, or splits, on which all frameworks were looked at: the first of the
random order, until the first framework retired. Results beyond them depend on what was seen before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.analysis.early_stop import sequential
from benchmark.analysis.early_stop.question import Question
from benchmark.analysis.early_stop.standing import (
    NO_RESULT,
    NONE,
    RESULT,
    TRIED,
    Design,
    Outcomes,
    Standing,
    blocks,
)
from benchmark.analysis.statistics.comparable import Comparison, compare, of_type

if TYPE_CHECKING:
    Ends = NDArray[np.float64]

_COLUMNS = ("UNTIL", "ALPHA", "MARGIN")


def standing_of(frame: pd.DataFrame, type: str) -> Standing | None:
    """Where the question of a run stands on one task type, as `status` has it.

    None where the results have no question, or are of several.
    """
    if "DRAWN" not in frame.columns:
        return None
    rows = frame[frame["TYPE"] == type]
    if rows["DRAWN"].isna().any() or rows.empty:
        return None
    asked = rows[list(_COLUMNS)].drop_duplicates()
    by_dataset = rows.groupby("DATASET_ID")["DRAWN"].nunique().max() == 1
    by = ["DATASET_ID"] if by_dataset else ["DATASET_ID", "SEED"]
    drawn = rows.groupby(by)["DRAWN"].agg(["min", "max"]).sort_values("min")
    places = np.arange(1, len(drawn) + 1)
    whole = (drawn.to_numpy() == places[:, None]).all()
    if len(asked) > 1 or not whole:
        return None
    question, alpha, margin = asked.iloc[0]
    found = compare(frame, type, all_rows=True)
    pairs = [(str(dataset), int(seed)) for dataset, seed in found.gains.index]
    frameworks = tuple(str(name) for name in found.gains.columns)
    if len(rows) != len(pairs) * len(frameworks):
        return None
    order = blocks([str(one) if by_dataset else one for one in drawn.index], pairs)
    about = Question.parse(question)
    design = Design(type, about, float(alpha), float(margin), frameworks, order)
    cause = rows.set_index(["MODEL", "DATASET_ID", "SEED"])["CAUSE"]
    outcomes = Outcomes(design)
    ran, gains = found.ran.to_numpy(bool), found.gains.to_numpy(float)
    for place, (dataset, seed) in enumerate(pairs):
        for k, name in enumerate(frameworks):
            gain = gains[place, k]
            tried = cause[name, dataset, seed] in TRIED
            state = RESULT if ran[place, k] else NO_RESULT if tried else NONE
            outcomes.add(name, dataset, seed, state, None if np.isnan(gain) else float(gain))
    return Standing.of(outcomes)


def covered(frame: pd.DataFrame, type: str, standing: Standing | None) -> pd.DataFrame:
    """The type's rows on what all frameworks were looked at on; at least the first drawn."""
    rows = of_type(frame, type)
    if standing is None:
        return rows
    return rows[rows["DRAWN"] <= max(1, int(standing.ran.min()))]


def ahead(standing: Standing, comparison: Comparison) -> dict[str, tuple[Ends, Ends]]:
    """By how much `standing.reference` is ahead of each framework in the full grid.

    Intervals by "ranks" and "scores" (0 is the worst and 1 the best of a data set), their ends as
    of the data sets that all frameworks ran on; of each kind, all hold together with 1 - alpha.
    Empty where such a data set has no result of some framework, or a value is not known yet.
    """
    design, seen = standing.design, int(standing.ran.min())
    splits = [(name, seed) for name, seeds in design.order[:seen] for seed in seeds]
    # What a failed split counts as can depend on splits that did not run.
    unknown = design.is_by_split and comparison.gains.isna().to_numpy().any()
    if unknown or not splits or set(comparison.gains.index) != set(splits):
        return {}
    names = [name for name, _ in design.order[:seen]]
    table = comparison.filled.loc[splits] if design.is_by_split else comparison.means.loc[names]
    means = table[list(design.frameworks)].to_numpy(float)
    if not np.isfinite(means).all():
        return {}
    found = {}
    for kind, paired, most in (
        ("ranks", sequential.paired_ranks, means.shape[1] - 1),
        ("scores", sequential.paired_scores, 1),
    ):
        ends = sequential.confidence_sequences(paired(means), len(design.order), design.alpha)
        low, high = (most * (2 * end[-1, standing.reference] - 1) for end in ends)
        found[kind] = low, high
    return found


def scope(standing: Standing) -> str:
    """What a board of these results is about."""
    size = len(standing.design.order)
    seen = max(1, int(standing.ran.min()))
    if seen == size:
        return "All frameworks ran on all data sets."
    return (
        f"The board describes the first {seen} of {standing.design.counted(size)}, in random "
        "order, on which all frameworks ran; the guarantee covers the claims alone."
    )
