"""The report of a study and its figures, from the very first trial on."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.cli.studies.studies import lines
from benchmark.errors import BenchmarkError
from benchmark.hpo.report.export import best_of, dominates, trial_records
from benchmark.hpo.report.figures import Trials, drawn, importances
from benchmark.hpo.report.figures.trials import Axis
from benchmark.hpo.report.html_report import write_report
from benchmark.hpo.report.hypervolume import hypervolume
from benchmark.hpo.report.repeats import pair_tasks
from benchmark.hpo.report.verdict import judge
from benchmark.hpo.spec.study_file import define
from benchmark.hpo.spec.study_spec import Remeasure
from benchmark.hpo.study.study import Study
from benchmark.hpo.study.trial_import import import_rows
from benchmark.records import results
from benchmark.records.results import Record
from benchmark.store import Store

ODD = "a<b>&'odd"
TUNABLES = [
    {"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1, "default": 0.5},
    {
        "name": "pool",
        "value_type": "integer",
        "lower_bound": 1,
        "upper_bound": 4096,
        "log": True,
        "default": 8,
    },
    {"name": ODD, "value_type": "categorical", "choices": [True, "<i>", None], "default": "<i>"},
    {
        "name": "g1",
        "value_type": "integer",
        "lower_bound": 0,
        "upper_bound": 9,
        "when": "x > 0.5",
        "default": 3,
    },
]


def study(store: Store, direction: Any = "minimize") -> Study:
    values = {
        "name": "s",
        "direction": direction,
        "tunables": TUNABLES,
        "objective": {"command": ["true"], "constraints": ["p99 <= 90"]},
    }
    return Study.begin(store, define(values, Path()))


def test_a_best_that_differs_from_the_default_in_its_type_alone(
    folder_store: Store, tmp_path: Path
) -> None:
    flag = {"name": "flag", "value_type": "categorical", "choices": [0, False, 2], "default": 0}
    values = {
        **{"name": "s", "direction": "minimize", "tunables": [flag]},
        "objective": {"command": ["true"]},
    }
    begun = Study.begin(folder_store, define(values, tmp_path))
    import_rows(begun, [{"flag": False, "value": 3}, {"flag": 0, "value": 10}])
    (best,) = best_of(trial_records(begun.run), begun.definition)
    assert best.labels["params"]["flag"] is False
    tasks = pair_tasks(begun.run, begun.definition, 2)
    assert {repr(task.payload["params"]["flag"]) for task in tasks} == {"False", "0"}
    assert "None of 2 pairs" in judge(begun.run, begun.definition, 2).why
    path = write_report(begun.run, begun.definition, tmp_path / "report")
    assert "-70.0%" in path.read_text().replace("\u2212", "-")


def test_a_default_of_elsewhere_is_no_base_for_a_best_of_here(
    folder_store: Store, tmp_path: Path
) -> None:
    x = {"name": "x", "value_type": "integer", "lower_bound": 0, "upper_bound": 9, "default": 5}
    values = {
        **{"name": "s", "direction": "minimize", "tunables": [x], "algorithm": "random"},
        "objective": {"command": ["true"]},
    }
    begun = Study.begin(folder_store, define(values, tmp_path))
    import_rows(begun, [{"x": 5, "value": 10}])
    (task,) = begun.ask()
    assert task.payload["params"] != {"x": 5}
    record = Record(task.key, "success", metrics={"value": 3.0}, labels=task.labels)
    record.labels.update(values=[3.0], constraints=[])
    begun.tell(results.settle(begun.run, results.begin(begun.run, task), record))
    page = write_report(begun.run, begun.definition, tmp_path / "report").read_text()
    assert "the default (trial" not in page


def rows(count: int) -> list[dict[str, Any]]:
    generator = random.Random(1)
    found = []
    for _ in range(count):
        x, pool = generator.random(), generator.randint(1, 4096)
        row = {
            "x": x,
            "pool": pool,
            ODD: generator.choice(["<i>", True]),
            "g1": 4,
            "p99": 100 * x,
        }
        found.append(row | {"value": x * x + pool / 1e5, "cost": x, "speed": x - pool / 1e4})
    return found


def trials(study: Study) -> Trials:
    from benchmark.hpo.report.export import trial_records

    return Trials(trial_records(study.run), study.definition)


@pytest.mark.parametrize("p99", [300, 20])
def test_an_infeasible_default_is_named_beside_the_gain(
    folder_store: Store, tmp_path: Path, p99: int
) -> None:
    heap = {"name": "heap", "value_type": "integer", "lower_bound": "256Mi", "upper_bound": "4Gi"}
    values = {
        **{"name": "s", "direction": "minimize", "tunables": [heap | {"default": "1Gi"}]},
        "objective": {"command": ["true"], "value": "time", "constraints": ["p99 <= 200"]},
    }
    begun = Study.begin(folder_store, define(values, tmp_path))
    found = [{"heap": 1024, "time": 10, "p99": p99}, {"heap": 512, "time": 5, "p99": 20}]
    assert import_rows(begun, found).imported == 2
    page = write_report(begun.run, begun.definition, tmp_path / "report").read_text()
    assert ("violates a constraint" in page) == (p99 == 300)
    assert "  heap = 512 Mi" in lines(begun.run, begun.definition)


@pytest.mark.parametrize("count", [0, 1, pytest.param(40, marks=pytest.mark.slow)])
def test_a_report_of_any_length(folder_store: Store, tmp_path: Path, count: int) -> None:
    begun = study(folder_store)
    import_rows(begun, [*rows(count), *([{"x": 0.5, "state": "failure"}] if count else [])])
    path = write_report(begun.run, begun.definition, tmp_path / "report")
    page = path.read_text()
    assert "a<b>" not in page
    assert "<i>" not in page
    assert page.count("<figure>") == len(list((tmp_path / "report" / "figures").glob("*.png")))
    assert "<h1>Study s</h1>" in page
    names = {path.stem for path in (tmp_path / "report" / "figures").glob("*.pdf")}
    if count == 40:
        assert names == {"history", "importance", "slice", "parallel_coordinates", "contour"}
        assert page.count("<tr") >= 41
    else:
        assert "history" in names


def test_several_directions_have_a_front(folder_store: Store, tmp_path: Path) -> None:
    begun = study(folder_store, {"cost": "minimize", "speed": "maximize"})
    import_rows(begun, rows(20))
    page = write_report(begun.run, begun.definition, tmp_path).read_text()
    assert "on the Pareto front" in page
    assert (tmp_path / "figures" / "pareto_front.png").is_file()


@pytest.mark.parametrize(
    ("directions", "values", "volume"),
    [
        ({"a": "minimize", "b": "minimize"}, [[0, 0], [4, 2]], 1.0),
        ({"a": "minimize", "b": "minimize"}, [[0, 2], [4, 0]], 0.0),
        ({"a": "minimize", "b": "maximize"}, [[0, 0], [2, 3], [4, 4]], 0.375),
        ({"a": "minimize", "b": "minimize"}, [[0, 4], [1, 1], [4, 0], [3, 3]], 9 / 16),
        ({"a": "minimize", "b": "minimize", "c": "minimize"}, [[0, 1, 1], [2, 0, 0]], 0.0),
        (
            {"a": "minimize", "b": "minimize", "c": "minimize"},
            [[0, 1, 2], [1, 0, 1], [1, 1, 0], [2, 2, 2]],
            0.375,
        ),
        ({"a": "minimize", "b": "minimize"}, [[1, 2], [1, 3]], None),
        ({"a": "minimize", "b": "minimize"}, [], None),
        ({"a": "minimize"}, [[1], [2]], None),
    ],
)
def test_the_hypervolume_of_a_front(
    folder_store: Store, directions: dict[str, str], values: list[list[float]], volume: float | None
) -> None:
    """Of the box from the worst to the best values; a trial that breaks a constraint is not in."""
    records = [Record(str(n), "success", labels={"values": one}) for n, one in enumerate(values)]
    wrong = Record("99", "success", labels={"values": [-9.0] * len(directions), "constraints": [1]})
    found = hypervolume([*records, wrong], study(folder_store, directions).definition)
    assert found == (None if volume is None else pytest.approx(volume))


@pytest.mark.parametrize("directions", [{"a": "maximize"}, {"a": "minimize", "b": "maximize"}])
def test_the_best_of_many(folder_store: Store, directions: dict[str, str]) -> None:
    """Those that none dominates, equal ones too, in their order; of one direction the first."""
    generator = random.Random(2)
    many = [[float(generator.randint(0, 9)) for _ in directions] for _ in range(60)]
    records = [Record(str(n), "success", labels={"values": one}) for n, one in enumerate(many)]
    signs = [1 if way == "minimize" else -1 for way in directions.values()]
    scores = [tuple(s * v for s, v in zip(signs, one, strict=True)) for one in many]
    none_better = [
        record
        for record, score in zip(records, scores, strict=True)
        if not any(dominates(other, score) for other in scores)
    ]
    found = best_of(records, study(folder_store, directions).definition)
    assert found == (none_better if len(directions) > 1 else none_better[:1])


def test_the_best_of_the_figures_is_that_of_the_report(folder_store: Store) -> None:
    """A leader that was lucky once is not marked, as its fresh runs decide."""
    definition = replace(study(folder_store).definition, remeasure=Remeasure(top=2, runs=3))
    labels = [{"fresh": [9.0, 8.0, 8.5]}, {"fresh": [3.0, 3.1, 3.2]}, {}]
    records = [
        Record(str(n), "success", labels={"params": {"x": n}, "values": [float(n)], **more})
        for n, more in enumerate(labels)
    ]
    found = Trials([Record("7", "failure"), *records], definition)
    assert found.good[found.best() or 0] is best_of(records, definition)[0] is records[1]
    assert Trials([Record("7", "failure")], definition).best() is None


def test_what_makes_the_difference_is_important(folder_store: Store) -> None:
    begun = study(folder_store)
    import_rows(begun, rows(40))
    shares = importances(trials(begun))
    # g1 is not in every trial, so that nothing can be said of it beside the others.
    assert set(shares) == {"x", "pool", ODD}
    assert max(shares, key=lambda name: shares[name]) == "x"


def test_choices_of_other_types_have_places_of_their_own() -> None:
    axis = Axis("c", (0, False, "0", "false", "x", None))
    assert [axis.place(value) for value in axis.values] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert axis.choices == ("0", "false", '"0"', '"false"', "x", "")


def test_all_of_one_value(folder_store: Store) -> None:
    begun = study(folder_store)
    import_rows(begun, [row | {"value": 1.0} for row in rows(6)])
    names = [name for name, _ in drawn(trials(begun))]
    assert "importance" not in names
    assert "contour" in names


def test_undeclared_tunables_are_shown_too(folder_store: Store) -> None:
    begun = study(folder_store)
    records = [
        Record(
            str(number),
            "success",
            metrics={"value": float(number)},
            labels={"values": [float(number)], "params": {"own": number, "kind": "ab"[number % 2]}},
        )
        for number in range(8)
    ]
    found = Trials(records, begun.definition)
    assert [axis.name for axis in found.axes] == ["own", "kind"]
    assert len(list(drawn(found))) == 5


def test_a_folder_that_cannot_be_written(folder_store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    begun = study(folder_store)
    with pytest.raises(BenchmarkError, match="choose another"):
        write_report(begun.run, begun.definition, tmp_path / "file" / "report")
