"""A metric of the user's own: refused at planning where it cannot work, called in the sandbox."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmark.analysis.comparison import compare
from benchmark.analysis.results.table import read_results
from benchmark.config.loading import load_config
from benchmark.errors import ConditionsDifferError, ConfigError
from benchmark.execution import own_metric
from benchmark.execution.runner import Runner
from benchmark.records.results import Cause
from benchmark.runs.compiled import compile_results
from benchmark.runs.plan import Narrowing, draft, plan
from benchmark.store import open_store

COST = """
import numpy as np

PRICES = {"Adelie": 1.0, "Chinstrap": 2.0, "Gentoo": 5.0}

def cost(truth, predictions, probabilities, classes):
    assert isinstance(truth, np.ndarray) and isinstance(predictions, np.ndarray)
    assert probabilities.shape == (len(truth), len(classes))
    assert np.allclose(probabilities.sum(axis=1), 1)
    assert classes == sorted(PRICES)
    return sum(PRICES[t] for t, p in zip(truth, predictions) if t != p) / len(truth)

def bias(truth, predictions, probabilities, classes):
    assert probabilities is None and classes is None
    return np.float32(np.mean(predictions - truth))
"""


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch, warm):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(COST)


def entry(function="mine.py:cost", **changes):
    return {"name": "cost", "function": function, "direction": "minimize"} | changes


def drafted(make_config, metric, datasets=("penguins",), **changes):
    return draft(make_config(metric=metric, **changes), Narrowing(datasets=datasets))


BOTH = {
    "multiclass": entry(needs_probabilities=True),
    "regression": entry("mine.py:bias", name="bias", direction="maximize"),
}


def test_the_value_stands_beside_all_the_others(make_config, folder_store):
    planned = plan(folder_store, drafted(make_config, BOTH, ("penguins", "cpu")))
    with Runner(planned.run) as runner:
        records = {t.labels["dataset"]: runner.execute(t) for t in planned.tasks}
    classes, numbers = records["penguins"], records["cpu"]
    assert (classes.status, numbers.status) == ("success", "success"), classes.message
    assert (classes.metric, numbers.metric) == ("cost", "bias")
    assert 0 < classes.metrics["cost"] < 5
    assert classes.metrics["log_loss"] > 0
    assert classes.metrics["accuracy"] > 0
    assert numbers.metrics["rmse"] > 0
    assert abs(numbers.metrics["bias"]) < numbers.metrics["rmse"]

    counts = compile_results(planned.run, Path("compiled_results.csv"))
    assert counts["success"] == 2
    frame = read_results("compiled_results.csv")
    rows = frame.set_index("DATASET_ID")
    assert list(rows.loc[["penguins", "cpu"], "METRIC_DIRECTION"]) == ["minimize", "maximize"]
    assert rows.loc["penguins", "SCORE"] == classes.metrics["cost"]
    for size in (1, 10, 100, 1000, 10000):
        assert float(rows.loc["penguins", f"INFERENCE_S_{size}"]) > 0
    assert compare(frame, "classification").gains.iloc[0, 0] == -classes.metrics["cost"]
    assert compare(frame, "regression").gains.iloc[0, 0] == numbers.metrics["bias"]


def test_a_changed_function_is_another_run(make_config, folder_store):
    plan(folder_store, drafted(make_config, BOTH, ("penguins", "cpu")))
    plan(folder_store, drafted(make_config, BOTH, ("cpu",)))
    Path("mine.py").write_text(COST.replace("5.0", "6.0"))
    with pytest.raises(ConditionsDifferError, match="'metric' is") as refusal:
        plan(folder_store, drafted(make_config, BOTH, ("penguins", "cpu")))
    assert "import numpy" not in str(refusal.value)
    assert "mine.py:cost" in str(refusal.value)


def test_the_text_goes_with_the_run(make_config, folder_store):
    planned = plan(folder_store, drafted(make_config, BOTH))
    Path("mine.py").unlink()
    with Runner(planned.run) as runner:
        record = runner.execute(planned.tasks[0])
    assert record.metrics["cost"] > 0, record.message


def test_a_function_of_an_installed_module(make_config, folder_store):
    wanted = drafted(make_config, {"multiclass": entry("os.path:join", name="joined")}, ("cpu",))
    held = wanted.manifest.conditions["metric"]["multiclass"]
    assert held["source"] is None
    assert len(held["hash"]) == 64
    with pytest.raises(ConfigError, match=r"joined .os\.path:join. raised TypeError"):
        drafted(make_config, {"multiclass": entry("os.path:join", name="joined")})
    assert json.loads(wanted.manifest.to_bytes())["conditions"]["metric"]["multiclass"] == held


WRONG = {
    "a file that is missing": (entry("none.py:cost"), "none.py, which cannot be read"),
    "a function that is missing": (entry("mine.py:price"), "mine.py has no function 'price'"),
    "no function": (entry("mine.py:PRICES"), "PRICES is no function"),
    "a module that is missing": (entry("no_such_module:f"), "No module named 'no_such_module'"),
    "a text": (entry("bad.py:text"), "returned 'good' (str) and no number"),
    "nothing": (entry("bad.py:nothing"), "returned None"),
    "a truth value": (entry("bad.py:truth"), "returned True (bool)"),
    "NaN": (entry("bad.py:nan"), "returned NaN"),
    "other arguments": (entry("bad.py:two"), "raised TypeError"),
    "a crash": (entry("bad.py:crash"), "failed: It crashed during the metric (SIGABRT)"),
    "an early end": (entry("bad.py:leave"), "failed: It ended by itself"),
    "much memory": (entry("bad.py:greedy"), "more than its 1500 MiB"),
    "a broken file": (entry("broken.py:f"), "SyntaxError"),
    "a module without a file": (entry("time:time"), "time is no Python file"),
    "a built-in name": (entry(name="auc"), "which is the name of a built-in metric"),
    "a negated loss": (entry(name="neg_cost", direction="maximize"), 'name it without "neg_"'),
    "AUC as a loss": (entry(name="AUC"), "to be minimized, and auc is to be maximized"),
}
BAD = """
import os

def text(*arguments): return "good"
def nothing(*arguments): pass
def truth(*arguments): return True
def nan(*arguments): return float("nan")
def two(truth, predictions): return 1.0
def crash(*arguments): os.abort()
def leave(*arguments): os._exit(0)
def greedy(*arguments): return float(len(bytearray(4_000_000_000)))
"""


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_work_is_refused_at_planning(make_config, what):
    Path("bad.py").write_text(BAD)
    Path("broken.py").write_text("def f(:")
    metric, words = WRONG[what]
    with pytest.raises(ConfigError) as refusal:
        drafted(make_config, {"multiclass": metric})
    assert words in str(refusal.value)
    assert "multiclass" in str(refusal.value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (entry(direction="up"), 'the direction "up"; write "maximize" or "minimize"'),
        (entry("cost"), 'the function "cost"; write it as'),
        (entry("mine.py:"), 'the function "mine.py:"'),
        (entry(name="my cost"), 'the name "my cost"'),
        (entry(needs_probabilities="yes"), 'with "needs_probabilities" "yes"'),
        (entry(better="up"), 'the unknown key "better"'),
        ({"name": "cost"}, 'without "function"'),
        (3, "holds 3; write a metric's name"),
    ],
)
def test_the_configuration_says_what_is_wrong(value, words):
    with pytest.raises(ConfigError) as refusal:
        load_config(overrides={"metric": {"binary": value}}, environment={})
    assert words in str(refusal.value)
    assert "'metric[\"binary\"]'" in str(refusal.value)


def test_one_that_hangs_is_ended(make_config, monkeypatch):
    monkeypatch.setattr(own_metric, "LIMIT_S", 1.0)
    Path("slow.py").write_text("def f(*arguments):\n    while True: pass\n")
    with pytest.raises(ConfigError, match="ended at the hard limit of 1 s during the metric"):
        drafted(make_config, {"multiclass": entry("slow.py:f")})


def test_two_directions_of_one_name_are_refused(make_config):
    both = {"binary": entry(), "multiclass": entry(direction="maximize")}
    with pytest.raises(ConfigError, match="to be maximized and minimized"):
        drafted(make_config, both)


FAULTY = """
def odd(truth, predictions, probabilities, classes):
    if len(set(predictions)) > 1:
        return 1.0
    %s
"""


def executed(make_config, body):
    """`constant` predicts one class only, the trial at planning all of them."""
    Path("faulty.py").write_text(FAULTY % body)
    metric = {"multiclass": entry("faulty.py:odd", name="odd")}
    planned = plan(open_store("store"), drafted(make_config, metric))
    with Runner(planned.run) as runner:
        return runner.execute(planned.tasks[0])


def test_a_metric_that_raises_is_no_fault_of_the_frameworks(make_config):
    record = executed(make_config, "raise KeyError('price')")
    assert (record.status, record.cause) == ("failure", Cause.SETUP)
    assert not record.is_result
    assert "The metric odd (faulty.py:odd) raised KeyError: 'price'" in record.message
    assert record.metrics["accuracy"] > 0


def test_a_metric_that_is_undefined_is_so(make_config):
    record = executed(make_config, "return float('nan')")
    assert record.status == "success"
    assert record.metrics["odd"] is None
    assert "odd (faulty.py:odd) returned NaN" in record.message


def test_an_infinite_one_stays_so(make_config):
    assert executed(make_config, "return float('inf')").metrics["odd"] == float("inf")


def test_adapters_are_told_a_built_in_metric_and_the_own_name(make_config, folder_store):
    framework = Path("frameworks/tells")
    framework.mkdir(parents=True)
    (framework / "framework.toml").write_text(
        'name = "tells"\ndescription = "tells what it was told"\npython = ">=3.11,<3.14"\n'
        'environment = "random-forest"\nversion_of = "numpy"\n'
    )
    constant = Path(own_metric.__file__).parents[1] / "frameworks" / "constant" / "adapter.py"
    (framework / "adapter.py").write_text(
        constant.read_text()
        + "\n\ndef setup(problem, limits):\n    global told\n    told = problem\n"
        + "\n\ndef describe(model):\n"
        + "    return {'leaderboard': [{'metric': told.metric, 'own': told.own_metric}]}\n"
    )
    changes = {"frameworks": ["tells"], "frameworks_path": ["frameworks"]}
    for metric, expected in (
        ({"multiclass": entry()}, {"metric": "log_loss", "own": "cost"}),
        ({"multiclass": "accuracy"}, {"metric": "accuracy", "own": None}),
    ):
        wanted = drafted(make_config, metric, run=str(expected["metric"]), **changes)
        planned = plan(folder_store, wanted)
        with Runner(planned.run) as runner:
            assert runner.execute(planned.tasks[0]).leaderboard == [expected]


def test_probabilities_are_those_given_where_their_sum_is_right():
    given = np.array([[0.1, 0.2, 0.7], [0.7, 0.2, 0.1], [0.4999, 0.3, 0.2], [1 + 1e-7, 0, -1e-7]])
    table = own_metric.bounded(given)
    assert table[:2].tolist() == given[:2].tolist()
    assert table.sum(axis=1) == pytest.approx(1, abs=1e-15)
    assert table[2].tolist() == (given[2] / given[2].sum()).tolist()
    assert table[3].tolist() == [1, 0, 0]
