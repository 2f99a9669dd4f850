"""A run that stops when its question is answered: what the manifest holds, and where it stands.

A question is fixed with the grid before any of its results is looked at: its data sets, or its
splits (a data set and a seed), are put into a random order. Where the grid grows or the question
changes, a new order is drawn over the whole grid, so that the guarantee of the new claims holds
whatever was seen before; results that are there are used again. What was claimed before
is kept under `earlier`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from benchmark.analysis.early_stop.question import (
    ALPHA,
    DATASET,
    MARGIN,
    SPLIT,
    UNITS,
    Question,
    check_ranges,
)
from benchmark.errors import BenchmarkError, StoreError
from benchmark.records.tasks import Cell, Manifest, Run

ALL = "all"


@dataclass(frozen=True)
class Until:
    """The question of a command line; None for all tasks. `seed` draws the order of the units."""

    question: Question | None
    alpha: float = ALPHA
    margin: float = MARGIN
    seed: int | None = None
    unit: str = DATASET

    @classmethod
    def parse(
        cls,
        text: str | None,
        alpha: float | None,
        margin: float | None,
        seed: int | None,
        unit: str | None = None,
    ) -> Until | None:
        """Read --until and the options beside it; None where no question is named.

        Raises:
            BenchmarkError: one of them is not valid, or is given without --until.
        """
        if text is None or text == ALL:
            named = {"--alpha": alpha, "--margin": margin, "--order-seed": seed, "--unit": unit}
            for name, value in named.items():
                if value is not None:
                    raise BenchmarkError(f"{name} is {value}, and it needs --until QUESTION.")
            return None if text is None else cls(None)
        check_ranges(ALPHA if alpha is None else alpha, MARGIN if margin is None else margin)
        if seed is not None and seed < 0:
            raise BenchmarkError(f"--order-seed is {seed}; it must be at least 0.")
        if unit is not None and unit not in UNITS:
            raise BenchmarkError(f'--unit is "{unit}"; it must be one of: {", ".join(UNITS)}.')
        return cls(
            Question.parse(text),
            ALPHA if alpha is None else alpha,
            MARGIN if margin is None else margin,
            seed,
            DATASET if unit is None else unit,
        )


def planned(
    manifest: Manifest,
    present: Run | None,
    wanted: Until | None,
    looked: Callable[[Run], dict[str, Any]],
) -> Manifest:
    """The manifest with its question: the wanted one, else that of the present run.

    `looked` returns what a run has looked at and claims, to be kept where the question changes.

    Raises:
        BenchmarkError: the question cannot be put to this grid.
    """
    before = present.manifest.until if present else None
    if wanted is None:
        if before is None:
            return manifest
        asked = question_of(before)
    elif wanted.question is None:
        if before is None or present is None:
            return replace(manifest, until=None)
        return replace(
            manifest, until={"question": ALL, "earlier": _earlier(present, before, looked)}
        )
    else:
        asked = wanted
    if asked.question is None:
        return replace(manifest, until=before)
    grown = present is None or len(present.manifest.cells) != len(manifest.cells)
    same = before is not None and question_of(before) == replace(asked, seed=None)
    if same and not grown and asked.seed in (None, (before or {}).get("seed")):
        return replace(manifest, until=before)
    earlier = (
        _earlier(present, before, looked) if present is not None and before is not None else []
    )
    return replace(manifest, until=_drawn(manifest, asked, earlier))


def question_of(until: dict[str, Any]) -> Until:
    """The question that a manifest holds, without the seed of its order.

    Raises:
        StoreError: it holds something else.
    """
    try:
        if until["question"] == ALL:
            return Until(None)
        unit = until.get("unit", DATASET)
        asked = Question.parse(until["question"])
        found = Until(asked, until["alpha"], until["margin"], unit=unit)
        check_ranges(found.alpha, found.margin)
        UNITS[unit]
    except (KeyError, TypeError, AttributeError, BenchmarkError) as error:
        raise StoreError(f"The manifest's 'until' is broken: {error}.") from None
    return found


def is_asked(manifest: Manifest) -> bool:
    """Whether the run has a question, and stops when it is answered."""
    return manifest.until is not None and question_of(manifest.until).question is not None


def columns_of(manifest: Manifest) -> Callable[[Cell], list[Any]]:
    """Question, alpha, margin, and the place of a cell in the order, from 1; else None."""
    until = manifest.until
    if until is None or not is_asked(manifest):
        return lambda _: [None] * 4
    head = [until["question"], until["alpha"], until["margin"]]
    by_split = question_of(until).unit == SPLIT
    places = {
        tuple(one) if by_split else one: place
        for order in until["orders"].values()
        for place, one in enumerate(order, 1)
    }
    return lambda cell: [*head, places[(cell.dataset, cell.seed) if by_split else cell.dataset]]


def _drawn(manifest: Manifest, asked: Until, earlier: list[dict[str, Any]]) -> dict[str, Any]:
    """A new question with a new random order of the units of each task type."""
    import numpy as np

    question = asked.question
    seed = secrets.randbits(32) if asked.seed is None else asked.seed
    random = np.random.default_rng(seed)
    orders = {}
    for type, cells in by_type(manifest).items():
        question.among(checked_grid(cells)) if question else None
        by_split = asked.unit == SPLIT
        names = sorted({cell.dataset for cell in cells})
        splits = sorted({(cell.dataset, cell.seed) for cell in cells})
        units: list[Any] = list(map(list, splits)) if by_split else names
        orders[type] = [units[place] for place in random.permutation(len(units))]
    return {
        "question": str(question),
        "alpha": asked.alpha,
        "margin": asked.margin,
        "seed": seed,
        **({"unit": SPLIT} if asked.unit == SPLIT else {}),
        "orders": orders,
        "earlier": earlier,
    }


def _earlier(
    present: Run, before: dict[str, Any], looked: Callable[[Run], dict[str, Any]]
) -> list[dict[str, Any]]:
    """The questions until now, and what was claimed."""
    entry = {key: value for key, value in before.items() if key != "earlier"}
    if before.get("question") != ALL:
        entry["looked"] = looked(present)
    return [*before.get("earlier", []), entry]


def by_type(manifest: Manifest) -> dict[str, list[Cell]]:
    found: dict[str, list[Cell]] = {}
    for cell in manifest.cells:
        found.setdefault(manifest.datasets[cell.dataset]["type"], []).append(cell)
    return dict(sorted(found.items()))


def checked_grid(cells: Iterable[Cell]) -> list[str]:
    """The frameworks, in the order of their names.

    Raises:
        BenchmarkError: some framework is not planned on some data set and seed.
    """
    there = {(cell.framework, cell.dataset, cell.seed) for cell in cells}
    frameworks = sorted({name for name, _, _ in there})
    for dataset, seed in sorted({(dataset, seed) for _, dataset, seed in there}):
        for name in frameworks:
            if (name, dataset, seed) not in there:
                raise BenchmarkError(
                    f"--until needs all frameworks on all data sets, and {name} is not planned on "
                    f"{dataset} with the seed {seed}; plan it, or start another run with --run "
                    "NAME."
                )
    return frameworks
