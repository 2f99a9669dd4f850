"""Two runs against each other: changes, intervals, regressions."""

import numpy as np
import pytest

from benchmark.analysis.comparison import _paired, against, lines
from benchmark.errors import BenchmarkError
from tests.support.made_results import grid, results


def run(shift=0.0, seeds=5, datasets=8, failing=(), metric="auc", spread=0.01):
    """Three frameworks; `tool` scores 0.8 plus `shift`, with noise that differs by run."""
    random = np.random.default_rng(int(1000 * abs(shift)) + 1)
    rows = []
    for number in range(datasets):
        for seed in range(seeds):
            for name, score in (("constant", 0.5), ("best", 0.9), ("tool", 0.8 + shift)):
                noise = 0.0 if name != "tool" else random.normal(0, spread)
                failed = name == "tool" and (number, seed) in failing
                rows.append((name, f"d{number}", seed, "timeout" if failed else score + noise))
    return results(rows, metric=metric)


def test_a_run_against_itself_has_not_changed():
    found = against(run(), run())
    assert found.regressions == ()
    assert found.frameworks["change"].abs().max() == 0
    assert found.frameworks["new_failures"].sum() == 0
    assert len(found.datasets) == 3 * 8


def test_a_worse_release_is_told_by_framework_and_data_set():
    found = against(run(shift=-0.1), run())
    # 0.1 of AUC where constant and best are 0.4 apart.
    assert found.frameworks.loc["tool", "change"] == pytest.approx(-0.25, abs=0.03)
    assert found.frameworks.loc["tool", "high"] < 0
    assert found.frameworks.loc["best", "change"] == 0
    assert found.regressions == (found.regressions[0],)
    assert found.regressions[0].startswith("tool got worse by 0.2")
    # All of 8 data sets are lower, and one framework alone has changed.
    assert found.frameworks.loc["tool", "p"] == 2**-8
    assert found.regressions[0].endswith("(p = 0.0039, adjusted).")


def test_a_better_release_is_no_regression():
    found = against(run(shift=0.05), run())
    assert found.regressions == ()
    assert found.frameworks.loc["tool", "low"] > 0


def test_a_loss_that_shrinks_is_better():
    found = against(run(shift=-0.1, metric="log_loss"), run(metric="log_loss"))
    assert found.regressions == ()
    assert found.frameworks.loc["tool", "change"] > 0


def test_noise_alone_is_no_regression():
    found = against(run(shift=0.001, spread=0.02), run(spread=0.02))
    assert found.frameworks.loc["tool", "low"] < 0 < found.frameworks.loc["tool", "high"]
    assert found.regressions == ()


@pytest.mark.parametrize(
    ("now", "before", "regressed"),
    [
        (2, 0, False),  # 0.25
        (4, 0, False),  # 0.0625
        (7, 0, True),  # 0.0078
        (7, 5, False),
        (20, 6, True),
        (0, 9, False),
    ],
)
def test_more_new_failures_than_chance_has_are_a_regression(now, before, regressed):
    tasks = [(number, seed) for seed in range(5) for number in range(8)]
    found = against(run(failing=set(tasks[:now])), run(failing=set(tasks[40 - before :])))
    row = found.frameworks.loc["tool"]
    assert (row["new_failures"], row["mended"]) == (now, before)
    texts = [text for text in found.regressions if f"fails on {now} tasks" in text]
    assert bool(texts) == regressed
    assert len(found.regressions) == len(texts)


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_framework_that_lost_all_scores_has_regressed(seeds):
    tasks = {(0, seed) for seed in range(seeds)}
    before = run(datasets=1, seeds=seeds)
    found = against(run(datasets=1, seeds=seeds, failing=tasks), before)
    count = "1 task" if seeds == 1 else "2 tasks"
    assert found.regressions == (f"tool fails on {count} that it had a score on.",)


def test_one_seed_has_no_interval_by_data_set():
    found = against(run(shift=-0.1, seeds=1), run(seeds=1))
    assert found.datasets["low"].isna().all()
    assert found.regressions[0].startswith("tool got worse by")
    assert len(found.regressions) == 1


def test_few_data_sets_are_judged_by_their_tasks():
    found = against(run(shift=-0.1, datasets=2, seeds=10), run(datasets=2, seeds=10))
    assert found.frameworks.loc["tool", "p"] == 2**-20
    assert len(found.regressions) == 1
    assert against(run(shift=-0.1, datasets=2, seeds=2), run(datasets=2, seeds=2)).regressions == ()


def noise(random, frameworks=3, datasets=8, seeds=3):
    """Results of frameworks that differ by skill and, from run to run, by noise alone."""
    return results(
        [
            (f"f{name}", f"d{number}", seed, 0.7 + 0.02 * name + random.normal(0, 0.05))
            for name in range(frameworks)
            for number in range(datasets)
            for seed in range(seeds)
        ],
        metric="auc",
    )


@pytest.mark.slow
def test_unchanged_releases_do_not_fail():
    # perf/analysis.py --false-alarms counts how many of hundreds do.
    random = np.random.default_rng(0)
    for _ in range(6):
        found = against(noise(random), noise(random))
        assert found.regressions == ()
        assert not any("regression" in text for text in lines(found))


def test_infinitely_bad_scores_are_compared():
    """R² of a model that diverged; on one data set the change has no mean then."""
    runs = [
        results(
            [
                (name, f"d{number}", seed, -np.inf if (name, number, seed) == bad else 0.5 + shift)
                for number in range(3)
                for seed in range(2)
                for name, shift in (("tool", 0.1), ("best", 0.2))
            ],
            metric="r2",
        )
        for bad in (("tool", 0, 0), ("tool", 0, 1))
    ]
    found = against(*runs)
    assert found.regressions == ()
    assert found.frameworks["p"].tolist() == [1.0, 1.0]


def test_exchanging_the_runs_turns_the_test_round():
    random = np.random.default_rng(1)
    for _ in range(2):
        one, two = noise(random, 2, 6, 2), noise(random, 2, 6, 2)
        there, back = (
            _paired(*pair, "classification")["even"] for pair in ((one, two), (two, one))
        )
        assert there.to_numpy() == pytest.approx(-back.to_numpy(), abs=1e-12)


def test_other_conditions_and_versions_are_noted():
    now, before = run(), run()
    now["RUNTIME"], before["RUNTIME"] = "3600", "60"
    now["DATASET_HASH"] = now["DATASET_ID"] + "new"
    before["DATASET_HASH"] = now["DATASET_HASH"].where(now["DATASET_ID"] != "d1", "old")
    notes = against(now, before).notes
    assert "The budget in s is 3600 now and was 60." in notes
    assert "The data set d1 has changed." in notes


def test_regression_tasks_are_compared_too():
    found = against(grid(datasets=4, seeds=2), grid(datasets=4, seeds=2))
    assert set(found.datasets["type"]) == {"classification", "regression"}


def test_nothing_in_common_and_other_metrics_are_told():
    with pytest.raises(BenchmarkError, match="no task in common"):
        against(run(), run().assign(MODEL="other"))
    with pytest.raises(BenchmarkError, match="d0 is scored by log_loss now and was by auc"):
        against(run(metric="log_loss"), run())


def test_names_that_differ_by_white_space_only_are_told():
    for column, name in (("MODEL", "tool "), ("DATASET_ID", " d3"), ("DATASET_ID", "d\u00a03")):
        now = run()
        now[column] = now[column].replace(name.replace("\u00a0", "").strip(), name)
        with pytest.raises(BenchmarkError, match=f"Of the two runs: the {column} .* white space"):
            against(now, run())


def test_tasks_without_a_result_are_not_compared():
    now = run()
    late = (now["MODEL"] == "tool") & (now["SEED"] == 0)
    now.loc[late, ["STATUS", "SCORE"]] = ["", np.nan]
    found = against(now, run())
    assert found.frameworks.loc["tool", "new_failures"] == 0
    assert found.datasets.set_index("framework").loc["tool", "seeds"].tolist() == [4] * 8


def test_lines_for_a_terminal():
    said = lines(against(run(shift=-0.1, failing={(0, 0)}), run()))
    tool = next(text for text in said if text.startswith("tool: -0.2"))
    assert " to -0.2" in tool
    assert tool.endswith("over 8 data sets, 1 new failure, 0 fixed")
    assert [text[:28] for text in said if text.startswith("regression: ")] == [
        "regression: tool got worse b"
    ]
    alone = [text for text in said if text.startswith("lower, not judged alone: ")]
    assert "tool on d" in alone[0]
    assert alone[-1] == "lower, not judged alone: 3 more data sets"
