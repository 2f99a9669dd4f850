"""What an early stop would have cost and claimed, on results that are complete.

grid = Grid.of(frame, "classification")
found = replay(grid, Question.parse("best"), orders=200)
found.saved, found.statements()
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.analysis.early_stop import schedule, sequential
from benchmark.analysis.early_stop.claims import Claims
from benchmark.analysis.early_stop.question import ALPHA, DATASET, MARGIN, Question
from benchmark.analysis.early_stop.schedule import Played
from benchmark.analysis.results.cells import RETIRED
from benchmark.analysis.statistics import ranking
from benchmark.analysis.statistics.comparable import compare
from benchmark.analysis.statistics.imputation import CONSTANT, baseline
from benchmark.errors import BenchmarkError

ORDERS = 200


@dataclass(frozen=True)
class Grid:
    """The results of one task type: N data sets or splits, K frameworks.

    `means` (N, K) are the leaderboard's: mean gains over seeds, failures imputed; of a split its
    gains. `tasks` (N,) has the seeds, `seconds` (N, K) what they took (None where it is not
    recorded), `failed` (N, K) whether any of them failed, `constant` the place of the constant
    predictor, `datasets` (N,) the data set of each row.
    """

    type: str
    frameworks: tuple[str, ...]
    means: NDArray[np.float64]
    tasks: NDArray[np.int64]
    seconds: NDArray[np.float64] | None
    failed: NDArray[np.bool_]
    constant: int | None
    notes: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    unit: str = DATASET

    @classmethod
    def of(cls, frame: pd.DataFrame, type: str, unit: str = DATASET) -> Grid:
        """The part of the results that the leaderboard compares.

        Raises:
            BenchmarkError: no data set has results of all frameworks.
        """
        found = compare(frame, type)
        means = found.means if unit == DATASET else found.filled
        names = tuple(str(name) for name in means.columns)
        if means.empty:
            raise BenchmarkError(
                f"The {type} results have no data set on which all frameworks can be compared."
            )
        role = baseline(names, CONSTANT)
        notes = list(found.notes)
        if found.left_out["cause"].eq(RETIRED).any():
            notes.append(
                f"The {type} run stopped early: the full grid is here only what all frameworks ran "
                "on; `resume-compute --until all` completes it."
            )
        failed = found.gains.isna()
        seconds = _seconds(frame[frame["TYPE"] == type], found.gains)
        by: list[str | int] = [0] if unit == DATASET else [0, 1]
        if role is None and failed.to_numpy().any():
            notes.append(
                "Without a constant predictor a missing result takes the worst one of the full "
                "grid, which a run that stops early would not know."
            )
        return cls(
            type,
            names,
            means.to_numpy(float),
            found.gains.groupby(level=by).size().reindex(means.index).to_numpy().astype(np.int64),
            None if seconds is None else seconds.groupby(level=by).sum().to_numpy(float),
            failed.groupby(level=by).any().reindex(means.index).to_numpy(bool),
            None if role is None else names.index(role),
            tuple(notes),
            tuple(str(name) for name in means.index.get_level_values(0)),
            unit,
        )

    @cached_property
    def wins(self) -> NDArray[np.float64]:
        return sequential.paired_wins(self.means)

    def ran(self, played: Played, orders: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(O, N, K): which rows of the grid each framework ran on.

        Where a framework failed the constant predictor's result is needed, even if it is retired.
        """
        places = np.argsort(orders, axis=1)
        done = places[:, :, None] < played.ran[:, None, :]
        if self.constant is not None:
            done[:, :, self.constant] |= (done & self.failed).any(axis=2)
        result: NDArray[np.bool_] = done
        return result


def _seconds(rows: pd.DataFrame, gains: pd.DataFrame) -> pd.DataFrame | None:
    """What each task took, from TOTAL_S or FIT_S; None where neither is there."""
    for column in ("TOTAL_S", "FIT_S"):
        if column in rows.columns and rows[column].notna().any():
            index = [rows["DATASET_ID"].astype(str), rows["SEED"], rows["MODEL"].astype(str)]
            table = rows[column].groupby(index).sum().unstack()
            table = table.reindex(index=gains.index, columns=gains.columns)
            return table if table.to_numpy(float, na_value=0.0).any() else None
    return None


@dataclass(frozen=True)
class Replay:
    """A question on a grid, played in random orders; the first one is the example."""

    grid: Grid
    question: Question
    alpha: float
    margin: float
    seed: int
    orders: NDArray[np.int64]
    played: Played

    @cached_property
    def _ran(self) -> NDArray[np.bool_]:
        return self.grid.ran(self.played, self.orders)

    @cached_property
    def tasks(self) -> NDArray[np.int64]:
        """(O,): tasks that were run."""
        total: NDArray[np.int64] = (self._ran.sum(axis=2) * self.grid.tasks).sum(axis=1)
        return total

    @cached_property
    def saved(self) -> NDArray[np.float64]:
        """(O,): share of the tasks that was not run."""
        whole = int(self.grid.tasks.sum()) * len(self.grid.frameworks)
        shares: NDArray[np.float64] = 1 - self.tasks / whole
        return shares

    @cached_property
    def seconds(self) -> NDArray[np.float64] | None:
        """(O,): what the tasks that were run took."""
        if self.grid.seconds is None:
            return None
        total: NDArray[np.float64] = (self._ran * self.grid.seconds).sum(axis=(1, 2))
        return total

    @cached_property
    def wrong(self) -> NDArray[np.bool_]:
        """(O,): whether the full grid contradicts any statement."""
        return schedule.false_claims(self.played, self.grid.wins, self.question, self.margin)

    @cached_property
    def datasets(self) -> NDArray[np.int64]:
        """(K,): data sets or splits that each framework ran on in the example."""
        counts: NDArray[np.int64] = self._ran[0].sum(axis=0)
        return counts

    def statements(self) -> list[str]:
        """What the example claims, a sentence per framework in the order of the grid."""
        wins = self.grid.wins[self.orders[0]]
        names, played = self.grid.frameworks, self.played
        said = Claims(names, self.question, played, wins, self.alpha).sentences()
        retired = self.played.ran[0]
        for place in np.nonzero(self.datasets > retired)[0]:
            said[place] += f"; retired after {retired[place]}, then run where others failed"
        return [
            "open, and no longer needed" if sentence == "open" else sentence for sentence in said
        ]

    def leaders(self) -> list[str]:
        """The first of the full grid's leaderboard, by mean rank."""
        import pandas as pd

        index = list(self.grid.datasets) or None
        means = pd.DataFrame(self.grid.means, index, list(self.grid.frameworks))
        if self.grid.datasets:
            means = ranking.seed_means(means)
        ranks = ranking.ranks(means).mean().round(ranking.DECIMALS)
        return [str(name) for name in ranks.index[ranks == ranks.min()]]

    def facts(self) -> dict[str, Any]:
        """For --json."""
        names, total = self.grid.frameworks, int(self.grid.tasks.sum()) * len(self.grid.frameworks)
        low, high = interval(int(self.wrong.sum()), len(self.wrong))
        facts: dict[str, Any] = {
            "type": self.grid.type,
            "frameworks": len(names),
            "datasets": len(set(self.grid.datasets)) or len(self.grid.means),
            "unit": self.grid.unit,
            "tasks": total,
            "orders": len(self.orders),
            "saved_quartiles": _quartiles(self.saved),
            "false": int(self.wrong.sum()),
            "false_interval": [low, high],
            "leaders": self.leaders(),
            "notes": list(self.grid.notes),
        }
        example = {
            "tasks": int(self.tasks[0]),
            "agrees": not self.wrong[0],
            f"{self.grid.unit}s": dict(zip(names, self.datasets.tolist(), strict=True)),
            "statements": dict(zip(names, self.statements(), strict=True)),
        }
        for word in ("above", "level"):
            pairs = np.argwhere(getattr(self.played, word)[0])
            example[word] = [[names[a], names[b]] for a, b in pairs]
        if self.seconds is not None and self.grid.seconds is not None:
            facts["seconds"] = float(self.grid.seconds.sum())
            facts["saved_time_quartiles"] = _quartiles(1 - self.seconds / self.grid.seconds.sum())
            example["seconds"] = float(self.seconds[0])
        return facts | {"example": example}


def replay(
    grid: Grid,
    question: Question,
    *,
    alpha: float = ALPHA,
    margin: float = MARGIN,
    orders: int = ORDERS,
    seed: int = 0,
) -> Replay:
    """Play the schedule in random orders of the grid's rows.

    Raises:
        BenchmarkError: the question cannot be put to these frameworks.
    """
    subject = question.among(grid.frameworks)
    random = np.random.default_rng(seed)
    drawn = np.array([random.permutation(len(grid.means)) for _ in range(orders)])
    played = schedule.play(grid.wins, drawn, question, subject, alpha=alpha, margin=margin)
    return Replay(grid, question, alpha, margin, seed, drawn, played)


def interval(count: int, of: int) -> tuple[float, float]:
    """The exact 95 % interval of a share (Clopper & Pearson 1934)."""
    from scipy.stats import binomtest

    found = binomtest(count, of).proportion_ci(0.95)
    return float(found.low), float(found.high)


def _quartiles(values: Sequence[float] | NDArray[np.float64]) -> list[float]:
    return [float(value) for value in np.percentile(values, [25, 50, 75])]
