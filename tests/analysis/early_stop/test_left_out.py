"""What is left out of a comparison: which framework on which data set, and why."""

import pandas as pd

from benchmark.analysis.report.sections import _left_out
from benchmark.analysis.statistics.comparable import NOT_PLANNED, compare
from tests.support.made_results import results

ROWS = [
    *(("a", "x", seed, 0.9) for seed in range(3)),
    *(("a", "y", seed, 0.8) for seed in range(3)),
    *(("a", "z", seed, "timeout") for seed in range(3)),
    *(("b", "x", 0, 0.9), ("b", "x", 1, "infrastructure"), ("b", "x", 2, "data")),
    *(("b", "y", 0, 0.8), ("b", "y", 1, ""), ("b", "y", 2, "")),
    *(("b", "z", seed, 0.7) for seed in range(3)),
    *(("c", "x", seed, 0.9) for seed in range(3)),
    *(("c", "z", seed, 0.9) for seed in range(3)),
    *(("never", name, seed, "setup") for name in "xyz" for seed in range(3)),
]


def test_each_pair_is_named_with_its_causes():
    found = compare(results(ROWS), "classification")
    assert found.left_out.to_dict("split")["data"] == [
        ["b", "x", "data", 1],
        ["b", "x", "infrastructure", 1],
        ["b", "y", "not started", 2],
        ["c", "y", NOT_PLANNED, 3],
    ]
    note = next(note for note in found.notes if "left out" in note)
    assert note == (
        "5 pairs of data set and seed left out for all frameworks, since 7 tasks there have no "
        "result: b on x (1 data, 1 infrastructure), b on y (2 not started), "
        "c on y (3 not in the results)."
    )
    assert found.gains.index.to_list() == [("x", 0), ("z", 0), ("z", 1), ("z", 2)]
    page = _left_out(found.left_out)
    assert page.count("<tr") == 5


def test_many_are_counted_in_the_note_and_listed_in_the_table():
    rows = [("a", f"d{n}", 0, 0.5) for n in range(12)]
    rows += [("b", f"d{n}", 0, 0.5 if n == 0 else "interrupted") for n in range(12)]
    found = compare(results(rows), "classification")
    assert found.notes[0].endswith(" and 3 more.")
    assert len(found.left_out) == 11


def test_nothing_is_left_out():
    found = compare(results([("a", "x", 0, 0.5), ("b", "x", 0, "memory")]), "classification")
    assert found.left_out.empty
    assert _left_out(found.left_out) == ""
    classic = pd.DataFrame(
        {
            **{"MODEL": ["a", "a", "b"], "DATASET_ID": ["x", "y", "x"], "SEED": [1, 1, 1]},
            **{"TYPE": ["classification"] * 3, "F1_SCORE": [0.5, 0.6, 0.4], "MSE": [None] * 3},
        }
    )
    assert compare(classic, "classification").left_out.empty


def test_the_table_of_very_many_is_cut_with_their_number():
    rows = [("a", f"d{n}", 0, 0.5) for n in range(61)]
    rows += [("b", f"d{n}", 0, 0.5 if n == 0 else "interrupted") for n in range(61)]
    page = _left_out(compare(results(rows), "classification").left_out)
    assert page.count("<tr") == 51
    assert page.endswith("<p>and 10 more</p>")
