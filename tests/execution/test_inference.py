"""Inference times per row: what is measured, and that whatever ends the timing costs no success."""

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from benchmark.config.loading import Config
from benchmark.errors import SetupError
from benchmark.execution.runner import Runner
from benchmark.execution.sandbox.sandbox import Sandbox
from benchmark.execution.work import Limits, Work
from benchmark.execution.worker import inference
from benchmark.records import results
from benchmark.runs.plan import draft, plan
from benchmark.store import open_store

MEANS = ("cgroup", "namespace", "subreaper", "process-group")
SIZES = ["1", "10", "100", "1000", "10000"]
TOML = """
name = "{name}"
description = "ends in odd ways once its predictions are safe"
python = ">=3.11,<3.14"
environment = "random-forest"
version_of = "numpy"
preload = ["numpy", "pandas"]
"""
ADAPTER = """
import os, signal, time
import numpy as np

calls = 0

def fit(train, problem, limits):
    return train.drop(columns=[problem.target]).dtypes

def predict(model, frame, problem):
    global calls
    calls += 1
    assert frame.dtypes.equals(model), "the dtypes differ"
    assert list(frame.index) == list(range(len(frame))), "the index differs"
    if calls > 1:
{timing}
    share = np.full((len(frame), len(problem.classes)), 1 / len(problem.classes))
    return {{"predictions": [problem.classes[0]] * len(frame), "probabilities": share,
            "classes": problem.classes}}

def describe(model):
    return {{"models": 1, "leaderboard": None, "version": "1"}}
"""
LATER = "        if len(frame) == 100: "
ENDINGS = {
    "raises": (LATER + "raise RuntimeError('worn out')", "RuntimeError: worn out"),
    "exits": (LATER + "os._exit(0)", "ended by itself during inference"),
    "sys-exits": (LATER + "raise SystemExit(1)", "SystemExit: 1"),
    "crashes": (LATER + "os.abort()", "SIGABRT"),
    "is-killed": (LATER + "os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
    "hangs": ("        time.sleep(600)", "hard limit of {limit_s:g} s during inference"),
    "takes-4-gb": (LATER + "bytearray(4_000_000_000)", "more than its 700 MiB during inference"),
}


def planned(folder, codes, **changes):
    for name, code in codes.items():
        framework = folder / "frameworks" / name
        framework.mkdir(parents=True)
        (framework / "framework.toml").write_text(TOML.format(name=name))
        (framework / "adapter.py").write_text(ADAPTER.format(timing=code))
    values = {
        "frameworks_path": [str(folder / "frameworks")],
        "frameworks": list(codes),
        "seeds": [1],
        "cores": 1,
        "memory": 700,
        "runtime": 2,
        "hard_limit": 1000,
    }
    config = Config(**(values | changes))
    return plan(open_store(str(folder / "runs")), draft(config, datasets=["penguins"]))


def one_core():
    return [min(os.sched_getaffinity(0))]


# How the time is taken does not depend on the means; each takes seconds.
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in MEANS[1:]]


@pytest.fixture(scope="module", params=[MEANS[0], *SLOW])
def means(request):
    entry = {"argv": ["/bin/true"]}
    with Sandbox(one_core(), request.param) as sandbox:
        try:
            sandbox.run(Work(python=Path(sys.executable), entry=entry, limits=Limits(300, 300, 1)))
        except SetupError as error:
            pytest.skip(f"{request.param} does not work on this machine: {error}")
    return request.param


@pytest.fixture(scope="module")
def records(means, tmp_path_factory):
    """By framework its record and its run; only the one that hangs has a short hard limit."""
    folder = tmp_path_factory.mktemp("timing")
    codes = {name: ending[0] for name, ending in ENDINGS.items()} | {"well": "        pass"}
    hanging = {"hangs": codes.pop("hangs")}
    found = executed(planned(folder / "others", codes), means)
    for limit_s in (3, 6, 18, 54, 162):  # on a busy machine it takes a while until it is timed
        made = planned(folder / f"hanging-{limit_s}", hanging, hard_limit=limit_s)
        found |= executed(made, means)
        if "during inference" in found["hangs"][0].message:
            break
    return found


def executed(made, means):
    """By framework its record and its run."""
    with Runner(made.run, one_core(), means) as runner:
        return {t.labels["framework"]: (runner.execute(t), made.run) for t in made.tasks}


def test_every_batch_size_is_timed(records):
    record, _ = records["well"]
    assert (record.status, record.message) == ("success", "")
    assert list(record.inference_s_per_row) == SIZES
    assert all(0 < s <= record.inference_s for s in record.inference_s_per_row.values())


@pytest.mark.parametrize("name", ENDINGS)
def test_whatever_ends_the_timing_leaves_a_success(records, name):
    record, run = records[name]
    assert (record.status, record.cause) == ("success", None), record.message
    assert record.message.startswith("Inference timing was cut: ")
    limit_s = run.tasks[0].resources.hard_limit_s
    assert ENDINGS[name][1].replace("{limit_s:g}", f"{limit_s:g}") in record.message
    assert list(record.inference_s_per_row) == ([] if name == "hangs" else SIZES[:2])
    assert record.metrics["accuracy"] is not None
    assert results.predictions(run, record) is not None


@pytest.mark.parametrize("name", [*ENDINGS, "well"])
def test_the_parts_add_up_also_where_the_timing_was_cut(records, name):
    record, _ = records[name]
    parts = (record.setup_s, record.fit_s, record.predict_s, record.inference_s)
    assert record.overhead_s > 0
    assert sum(parts) + record.overhead_s == pytest.approx(record.total_s)
    assert record.inference_s > 0


def test_an_interrupt_during_the_timing_keeps_the_success(means, tmp_path):
    mark, ended = tmp_path / "timing", threading.Event()
    code = f"{LATER}open({str(mark)!r}, 'w').close() or time.sleep(600)"
    made = planned(tmp_path, {"waits": code})
    with Runner(made.run, one_core(), means) as runner:

        def interrupt() -> None:
            while not mark.exists() and not ended.wait(0.002):
                pass
            runner.interrupt()

        thread = threading.Thread(target=interrupt)
        thread.start()
        record = runner.execute(made.tasks[0])
        ended.set()
        thread.join()
    assert record.status == "success", record.message
    assert "interrupted" in record.message
    assert record.is_result


def batches(pretended, whole, hard_limit_s=100.0, left_s=100.0):
    """Batch sizes that are measured where `pretended(rows)` is what a call takes."""
    request = {"hard_limit_s": hard_limit_s, "deadline": time.monotonic() + left_s}
    calls = []

    def once(rows):
        calls.append(rows)
        return pretended(rows)

    return dict(inference._batches(request, inference.Point(*whole), once)), calls


def test_a_fast_model_is_timed_five_times_each_after_one_call_to_warm_up():
    found, calls = batches(lambda rows: 1e-6, (50, 1e-6))
    assert list(found) == SIZES
    assert calls == [1] * 6 + [10] * 5 + [100] * 5 + [1000] * 5 + [10000] * 5
    assert found["1000"] == pytest.approx(1e-9)


def test_the_median_of_the_calls_counts():
    times = iter([9.0e-3, 1e-3, 2e-3, 3e-3, 8e-3, 9e-3])
    found, _ = batches(lambda rows: next(times) if rows == 1 else 1e-6, (50, 1e-3))
    assert found["1"] == pytest.approx(3e-3)


def test_a_slow_model_is_called_once_each():
    found, calls = batches(lambda rows: 0.2 + rows * 1e-6, (1000, 0.2))
    assert list(found) == SIZES
    assert calls == [1, 1, 10, 100, 1000, 10000]


def test_a_size_that_would_take_too_long_is_left_out_with_the_larger():
    found, calls = batches(lambda rows: rows * 1e-3, (50, 0.05))
    assert list(found) == ["1", "10", "100", "1000"]
    assert 10000 not in calls


def test_one_slow_call_is_the_only_one():
    found, calls = batches(lambda rows: 30.0, (50, 30.0))
    assert (list(found), calls) == (["1"], [1])


def test_nothing_is_timed_shortly_before_the_hard_limit():
    assert batches(lambda rows: 1e-3, (50, 1.0), left_s=1.5) == ({}, [])
