"""Units in metrics, bounds, limits and expressions: converted exactly, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmark.cli.studies.studies import lines
from benchmark.execution.runner import Runner
from benchmark.hpo.objectives.metrics.measured_values import MeasureError
from benchmark.hpo.objectives.metrics.measuring import Measuring
from benchmark.hpo.objectives.metrics.pattern_values import of_pattern
from benchmark.hpo.report import trial_line
from benchmark.hpo.space.expressions import Expression
from benchmark.hpo.space.operators import ExpressionError
from benchmark.hpo.space.units import UNITS, Unit, UnitError, in_unit, quantity, unit
from benchmark.hpo.spec.study_file import StudyError, define
from benchmark.hpo.study.study import Study
from benchmark.store import Store

MS, SECONDS = UNITS["ms"], Unit("s", "s", UNITS["s"].size, found=True)


@pytest.mark.parametrize(
    ("text", "number", "base"),
    [
        *(("812us", 0.000812, "s"), ("1.2s", 1.2, "s"), ("-3 ms", -0.003, "s")),
        *(("1m30s", 90.0, "s"), ("1h2m3.5s", 3723.5, "s"), ("5e-3 s", 0.005, "s")),
        *(("256Mi", 256 * 2**20, "bytes"), ("1.5GiB", 1.5 * 2**30, "bytes"), ("2MB", 2e6, "bytes")),
        *(("500m", 0.5, "cores"), ("2vCPU", 2.0, "cores"), ("12.3k", 12300.0, "")),
    ],
)
def test_quantities(text: str, number: float, base: str) -> None:
    found = quantity(text)
    assert found is not None
    assert (found.number, found.base) == (number, base)


@pytest.mark.parametrize(
    "text",
    [
        "41",
        "",
        "ms",
        "1.2.3s",
        "4 potatoes",
        "1_000ms",
        "٣ms",
        "1e400s",
        "1e-400s",
        "1e-320ns",
        "1e999999999s",
        "nan s",
    ],
)
def test_what_is_no_quantity(text: str) -> None:
    assert quantity(text) is None


@pytest.mark.parametrize("text", ["9" * 100_000, "9" * 5000 + "s", "1m" + "9" * 5000 + "s"])
def test_a_long_text_is_no_quantity(text: str) -> None:
    assert quantity(text) is None


def test_a_number_in_another_unit_is_exact() -> None:
    assert in_unit("1.5Gi", UNITS["MiB"]) == 1536
    assert in_unit("1.2s", MS) == 1200
    assert in_unit("1.02m", UNITS["s"]) == 61.2
    assert in_unit(7, MS) == 7
    with pytest.raises(UnitError):
        in_unit("7", MS)
    with pytest.raises(UnitError):
        in_unit("7 MB", MS)


@pytest.mark.parametrize(
    ("rule", "names", "units", "holds"),
    [
        ("p99 <= 20 ms", {"p99": 1.2}, {"p99": SECONDS}, False),
        ("p99 <= 20 ms", {"p99": 0.0012}, {"p99": SECONDS}, True),
        ("p99 <= 20ms", {"p99": 21}, {"p99": MS}, False),
        ("p99 <= 200", {"p99": 150}, {"p99": MS}, True),
        ("p50 <= p99", {"p50": 0.5, "p99": 600}, {"p50": SECONDS, "p99": MS}, True),
        ("heap * 2 > 1.5Gi", {"heap": 800}, {"heap": UNITS["MiB"]}, True),
        ("(p99 - p50) / p50 > 2", {"p50": 1, "p99": 4}, {"p50": SECONDS, "p99": SECONDS}, True),
        ("cpu < 500m", {"cpu": 0.4}, {"cpu": UNITS["cores"]}, True),
        ("p99 > 0", {"p99": 1}, {"p99": SECONDS}, True),
        ("gc == '4 ms'", {"gc": "4 ms"}, {}, True),
    ],
)
def test_expressions_convert(
    rule: str, names: dict[str, Any], units: dict[str, Unit], holds: bool
) -> None:
    assert Expression(rule).is_true(names, units) is holds


@pytest.mark.parametrize(
    ("rule", "units", "said"),
    [
        ("p99 <= 20 ms", {}, "metrics: {units: {p99: s}}"),
        ("p99 <= 20", {"p99": SECONDS}, "a number without a unit; write one, such as 20 ms"),
        ("p99 <= 20 MB", {"p99": SECONDS}, "it compares seconds with bytes"),
        ("p99 <= 20m", {"p99": SECONDS}, "it compares seconds with cores"),
        ("p99 * p99 <= 20 ms", {"p99": SECONDS}, "it compares seconds^2 with seconds"),
        ("p99 + 3 <= 20 ms", {"p99": SECONDS}, "a number without a unit"),
    ],
)
def test_only_like_is_compared(rule: str, units: dict[str, Unit], said: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        Expression(rule).is_true({"p99": 1.2}, units)
    assert said in str(caught.value)


def test_metrics_with_units(tmp_path: Path) -> None:
    units: dict[str, Unit] = {}
    source = Measuring(json="stdout", units={"p99": MS, "up": UNITS["min"]})
    printed = '{"p50": "812us", "p99": "1.20s", "tps": 5, "mem": "256Mi", "up": "1.5m"}'
    found = source.read(tmp_path, printed, None, units)
    assert found == {"p50": 0.000812, "p99": 1200, "tps": 5, "mem": 256 * 2**20, "up": 1.5}
    assert {name: unit.base for name, unit in units.items()} == {
        **{"p50": "s", "p99": "s", "up": "s"},
        "mem": "bytes",
    }
    report = (Path(__file__).with_name("reports") / "wrk.txt").read_text()
    with pytest.raises(MeasureError, match="measured in s, and 'units' declares MiB"):
        Measuring(reader="wrk", units={"latency_p99": UNITS["MiB"]}).read(tmp_path, report)
    texts: dict[str, str] = {}
    assert Measuring().read(tmp_path, '{"a": 1, "b": "1.02m", "c": "3MB"}', texts)["c"] == 3e6
    assert set(texts) == {"b"}


def test_a_pattern_takes_the_unit_into_its_group(tmp_path: Path) -> None:
    printed = "    99%    1.20s\n"
    found = Measuring(patterns={"p99": r"99%\s+(\S+)"}).read(tmp_path, printed)
    assert found == {"p99": 1.2}
    with pytest.raises(MeasureError, match=r"'1\.20' for 'p99' is followed by 's'"):
        Measuring(patterns={"p99": r"99%\s+([\d.]+)"}).read(tmp_path, printed)
    assert Measuring(patterns={"p99": r"99%\s+([\d.]+)s"}).read(tmp_path, printed) == {"p99": 1.2}


def study(**changes: Any) -> dict[str, Any]:
    return {
        "name": "s",
        "direction": "minimize",
        "objective": {"command": ["./run"]},
        "tunables": [
            {
                "name": "heap",
                "value_type": "integer",
                "lower_bound": "256Mi",
                "upper_bound": "4Gi",
                "default": "1Gi",
            },
            {
                "name": "pause",
                "value_type": "double",
                "unit": "ms",
                "lower_bound": 1,
                "upper_bound": "0.2s",
                "when": "heap >= 1Gi",
            },
        ],
    } | changes


def test_bounds_limits_and_rules_of_a_study() -> None:
    found = define(
        study(
            limits={"time": "2min", "memory": "1.50001Gi", "cores": "2vCPU"},
            stop={"time": "1h"},
            forbidden=["heap > 2Gi and pause < 10 ms"],
            initial=[{"heap": "512Mi"}],
        ),
        Path(),
    )
    heap, pause = found.space.tunables
    assert (heap.low, heap.high, heap.default) == (256, 4096, 1024)
    assert (pause.low, pause.high) == (1, 200)
    assert (found.time_s, found.memory_mb, found.cores, found.stop.time_s) == (120, 1536, 2, 3600)
    assert found.space.initial == ({"heap": 512},)
    assert found.space.forbidding({"heap": 3000, "pause": 5.0}) is not None
    assert found.space.forbidding({"heap": 2048, "pause": 5.0}) is None
    assert found.space.fault({"heap": 512, "pause": 5.0}) is not None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"limits": {"time": "2 weeks"}}, "'2 weeks' is not a number with a unit such as s"),
        ({"limits": {"memory": "2min"}}, "such as MiB"),
        ({"limits": {"memory": "200kB"}}, "as 'memory'; write a whole number above 0"),
        ({"limits": {"cores": "500m"}}, "0.5 as 'cores'"),
        (
            {"objective": {"command": ["x"], "metrics": {"units": {"a": "sm"}}}},
            "'sm' is not a unit",
        ),
        ({"objective": {"command": ["x"], "metrics": {"reader": "wkr"}}}, "did you mean 'wrk'"),
        (
            {
                "tunables": [
                    {"name": "a", "value_type": "integer", "lower_bound": 1, "upper_bound": "4Gi"}
                ]
            },
            "has a unit in '4Gi' and none in its 'lower_bound'",
        ),
        (
            {
                "tunables": [
                    {"name": "a", "value_type": "double", "lower_bound": "1s", "upper_bound": "4Gi"}
                ]
            },
            "'4Gi' is not a number with a unit such as s",
        ),
    ],
)
def test_faults_of_units(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyError) as caught:
        define(study(**changes), Path())
    assert said in str(caught.value)


FITTED = """
def objective(trial):
    trial.set_user_attr("fit_time", 30)
    return trial.suggest_float("x", 0, 1)
"""


@pytest.mark.parametrize(
    ("constraint", "shown"),
    [
        ("fit_time <= 5 s", "(infeasible: fit_time <= 5 s (fit_time 30 ms))"),
        ("fit_time <= 20 ms", "(infeasible: fit_time <= 20 ms (fit_time 30 ms))"),
    ],
)
def test_attributes_of_a_python_objective_have_declared_units(
    folder_store: Store, tmp_path: Path, warm: None, constraint: str, shown: str
) -> None:
    (tmp_path / "own.py").write_text(FITTED)
    objective = {
        "python": "own.py:objective",
        "metrics": {"units": {"fit_time": "ms"}},
        "constraints": [constraint],
    }
    more = {"tunables": None, "limits": {"time": 200, "memory": 500}}
    begun = Study.begin(folder_store, define(study(objective=objective, **more), tmp_path))
    with Runner(begun.run) as runner:
        record = runner.execute(begun.ask()[0])
    assert record.status == "success", record.message
    line = trial_line.line(record, begun.definition, folder_store)
    assert (shown in line) == (constraint == "fit_time <= 20 ms")


def test_other_metrics_have_no_effect_beside_python(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(FITTED)
    objective = {"python": "own.py:objective", "metrics": {"json": "a", "units": {"a": "s"}}}
    with pytest.raises(StudyError, match="'metrics' has no effect beside 'python'"):
        define(study(objective=objective), tmp_path)


@pytest.mark.parametrize(
    ("objective", "shown"),
    [
        ({"metrics": {"units": {"p99": "ms"}}, "value": "p99"}, "value 12.5 ms"),
        ({"value": "p99"}, "value 12.5"),
        ({"metrics": {"units": {"p99": "ms"}}, "value": "2 * p99"}, "value 25"),
        ({"metrics": {"json": "stdout", "select": {"a": "text"}}, "value": "a"}, "value 0.5 s"),
        ({"metrics": {"json": "stdout", "select": {"a": "text"}}}, "value 0.5 s"),
    ],
)
def test_a_value_is_shown_with_its_unit(
    folder_store: Store, tmp_path: Path, warm: None, objective: dict[str, Any], shown: str
) -> None:
    command = {"command": ["echo", '{"p99": 12.5, "text": "500ms"}']}
    begun = Study.begin(folder_store, define(study(objective=command | objective), tmp_path))
    with Runner(begun.run) as runner:
        record = runner.execute(begun.ask()[0])
    assert begun.tell(record)
    assert trial_line.ending(record, begun.definition) == shown
    assert f"best: trial 0: {shown}" in lines(begun.run, begun.definition)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("p99 <= 15 furlong", "'furlong' is not a unit; units are us, ms, s"),
        ("p99 <= 3sek", r"'sek' is not a unit \(did you mean 'sec'\?\); units are us"),
        ("p99 if 3", "is not an expression \\("),
    ],
)
def test_an_unknown_unit_is_named(text: str, said: str) -> None:
    with pytest.raises(ExpressionError, match=said):
        Expression(text)


def test_an_unknown_unit_of_a_measured_value_or_a_bound_is_named() -> None:
    with pytest.raises(UnitError, match="such as s: 'furlong' is not a unit; units are us"):
        in_unit("15 furlong", unit("s"))
    with pytest.raises(MeasureError, match="not a finite number: 'furlong' is not a unit; units"):
        of_pattern("p99", "p99 (.+)", "p99 15 furlong", None)
