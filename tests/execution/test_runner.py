"""Frameworks that misbehave: each ends with its own cause, and none harms the next task."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmark.execution.runner import Runner
from benchmark.execution.sandbox import zygotes
from benchmark.records.results import Cause
from tests.support.written_adapters import FIT, GOOD, executed

PREDICT = "\ndef predict(model, frame, problem):\n    answer = good(model, frame, problem)\n"

KEEP = "\ngood = predict\n"

FAILING = {
    "raises": (FIT + "    raise RuntimeError('no such luck')\n", "framework", "no such luck"),
    "sleeps": (
        FIT + "    import time; time.sleep(600)\n",
        "timeout",
        "hard limit of {limit_s:g} s during fit",
    ),
    "spins": (FIT + "    while True: pass\n", "timeout", "hard limit"),
    "takes-4-gb": (FIT + "    return bytearray(4_000_000_000)\n", "memory", "700 MiB"),
    "asks-too-much": (FIT + "    return np.zeros(10**17)\n", "memory", "allocate"),
    "exits": (FIT + "    import os; os._exit(0)\n", "framework", "ended by itself during fit"),
    "sys-exits": (FIT + "    raise SystemExit(0)\n", "framework", "ended by itself during fit"),
    "crashes": (FIT + "    import os; os.abort()\n", "framework", "SIGABRT"),
    "cannot-import": ("import no_such_module_here\n", "setup", "no_such_module_here"),
    "returns-nan": (
        KEEP + PREDICT + "    answer['probabilities'][0, 0] = float('nan')\n    return answer\n",
        "framework",
        "",
    ),
    "returns-too-few": (
        KEEP + PREDICT + "    answer['predictions'].pop()\n    return answer\n",
        "framework",
        "",
    ),
    "knows-other-classes": (
        KEEP + PREDICT + "    answer['predictions'][0] = 'stranger'\n    return answer\n",
        "framework",
        "stranger",
    ),
    "returns-three-rows": (
        KEEP
        + PREDICT
        + "    return {'predictions': answer['predictions'][:3],\n"
        + "        'probabilities': answer['probabilities'][:3], 'classes': answer['classes']}\n",
        "framework",
        "3 rows; the test part has 104 rows",
    ),
    "misses-a-label": (
        KEEP + PREDICT + "    answer['predictions'][2] = None\n    return answer\n",
        "framework",
        "missing value in row 2",
    ),
    "sums-to-two": (
        KEEP + PREDICT + "    answer['probabilities'][5] *= 2\n    return answer\n",
        "framework",
        "row 5 sum to 2; they must sum to 1",
    ),
    "is-negative": (
        KEEP + PREDICT + "    answer['probabilities'][0] = [-1, 1, 1]\n    return answer\n",
        "framework",
        "negative value -1",
    ),
    "gives-probabilities-of-strangers": (
        KEEP + PREDICT + "    answer['classes'] = ['a', 'b', 'c']\n    return answer\n",
        "framework",
        'unknown class "a"',
    ),
    "gives-no-probabilities": (
        KEEP + PREDICT + "    answer['probabilities'] = None\n    return answer\n",
        "framework",
        "no probabilities, which the task's metric log_loss needs",
    ),
    "cannot-set-up": (
        "\ndef setup(problem, limits):\n    raise OSError('no java here')\n",
        "setup",
        "setup() failed: OSError: no java here",
    ),
    "returns-nothing": (
        "\ndef predict(model, frame, problem):\n    return None\n",
        "framework",
        "",
    ),
    "kills-itself": (
        FIT + "    import os, signal\n    os.kill(os.getpid(), signal.SIGKILL)\n",
        "framework",
        "killed itself during fit (SIGKILL)",
    ),
    "ends-its-group": (
        FIT + "    import os, signal\n    os.killpg(0, signal.SIGTERM)\n",
        "framework",
        "killed itself during fit (SIGTERM)",
    ),
    "leaves-with-a-text": (
        FIT + "    raise SystemExit('there is no licence')\n",
        "framework",
        "SystemExit: there is no licence",
    ),
    "speaks-in-surrogates": (
        FIT + "    raise RuntimeError('odd \\ud800 and \\x1b[31m red')\n",
        "framework",
        "odd \ufffd and \ufffd[31m red",
    ),
    "exits-at-import": ("import os\nos._exit(3)\n", "setup", "during import (exit code 3)"),
    "leaves-at-import": ("raise SystemExit('no key')\n", "setup", "SystemExit: no key"),
    "has-no-fit": ("del fit\n", "setup", "no function fit()"),
    "exits-in-setup": (
        "\ndef setup(problem, limits):\n    import os\n    os._exit(0)\n",
        "setup",
        "during setup",
    ),
}

# What a task leaves in place of the worker's outcome; test_task_files.py has more.
FAILING |= {
    "leaves-a-pipe": (
        FIT + "    import os\n    os.mkfifo('outcome.json')\n    os._exit(0)\n",
        "framework",
        "outcome.json is not a regular file",
    ),
    "leaves-no-predictions": (
        FIT + "    import json, os\n"
        "    said = {'status': 'success', 'setup_s': 1, 'fit_s': 1, 'predict_s': 1}\n"
        "    json.dump(said, open('outcome.json', 'w'))\n    os.mkfifo('predictions.arrow')\n"
        "    os._exit(0)\n",
        "framework",
        "predictions.arrow is not a regular file",
    ),
}

# A result stands, whatever becomes of its report: a note says what.
REPORTS = {
    "raises": ("    raise ValueError('no idea')\n", "describe() failed: ValueError: no idea."),
    "exits": ("    import os; os._exit(1)\n", "describe() did not return. It ended by itself"),
    "kills-itself": (
        "    import os; os.kill(os.getpid(), 9)\n",
        "did not return. It killed itself during describe (SIGKILL).",
    ),
    "takes-4-gb": ("    return bytearray(4_000_000_000)\n", "did not return. It took more than"),
    "returns-a-list": ("    return ['what', 'is']\n", "returned ['what', 'is'], not a dict."),
}

ENDURED = {
    "floods": FIT + "    for _ in range(20000): print('x' * 1000)\n    return 1\n",
    "closes-all": FIT + "    import os\n    os.closerange(0, 4096)\n    return 1\n",
    "forks-200": FIT
    + "    import os, time\n    for _ in range(200):\n"
    + "        if os.fork() == 0:\n            time.sleep(600)\n    return 1\n",
    "kills-its-parent": FIT
    + "    import os, signal\n    try:\n        os.kill(os.getppid(), signal.SIGTERM)\n"
    + "    except OSError:\n        pass\n    return 1\n",
    "changes-directory": FIT + "    import os\n    os.chdir('/')\n    return 1\n",
    "clobbers-environment": FIT + "    import os\n    os.environ.clear()\n    return 1\n",
    "sees-its-own-secret-only": FIT
    + "    import os\n    assert 'PLANTED_TOKEN' not in os.environ\n"
    + "    assert os.environ['GIVEN_TOKEN'] == 'given'\n    return 1\n",
    "sets-up": "\ndef setup(problem, limits):\n    global up\n"
    + "    up = (problem.target, limits.cores)\n"
    + FIT
    + "    assert up == (problem.target, limits.cores)\n    return 1\n",
    "overruns": FIT + "    import time\n    time.sleep(limits.runtime_s + 0.5)\n    return 1\n",
    "tells-its-way": "\ndef describe(model):\n"
    + "    way = [[s / 100, float(s)] for s in range(2500)]\n"
    + "    odd = [[0.5, float('nan')], ['x', 1], [1]]\n"
    + "    return {'trajectory': odd + way, 'models': np.int64(3)}\n",
    "describes-nothing": "\ndel describe\n",
    "describes-in-odd-forms": "\ndef describe(model):\n"
    + "    row = {('a', 1): np.float32(0.5), 'b': float('nan'), 'c': np.arange(2), 'd': object}\n"
    + "    return {'models': 1, 'leaderboard': [row], 'version': '\\ud800'}\n",
} | {f"report-{name}": f"\ndef describe(model):\n{code}" for name, (code, _) in REPORTS.items()}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """The runs, and the records by framework; only what never ends has a short hard limit."""
    codes = {name: fault[0] for name, fault in FAILING.items()} | ENDURED | {"well": ""}
    codes = {name: GOOD + code for name, code in codes.items()}
    endless = {name: codes.pop(name) for name in ("sleeps", "spins")}
    folder = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLANTED_TOKEN", "planted")
        patch.setenv("GIVEN_TOKEN", "given")
        others, found = executed(folder / "others", codes, "penguins")
    for limit_s in (3, 10, 30, 100):  # on a busy machine it takes a while until they are fitted
        place = folder / f"endless-{limit_s}"
        ended, more = executed(place, endless, "penguins", hard_limit=limit_s)
        if all("during fit" in record.message for record in more.values()):
            break
    return (others, ended), found | more


@pytest.mark.parametrize("name", FAILING)
def test_a_failure_has_its_cause(records, name):
    record = records[1][name]
    _, cause, words = FAILING[name]
    assert (record.status, record.cause) == ("failure", Cause(cause)), record.message
    ended = records[0][1]
    assert (
        words.replace("{limit_s:g}", f"{ended.tasks[0].resources.hard_limit_s:g}") in record.message
    )
    assert record.message


@pytest.mark.parametrize("name", [*ENDURED, "well"])
def test_what_is_odd_but_works_is_a_success(records, name):
    record = records[1][name]
    assert record.status == "success", record.message
    assert record.metrics["accuracy"] is not None


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_that_fails_is_a_note(records, name):
    record = records[1][f"report-{name}"]
    assert REPORTS[name][1] in record.message
    assert record.metrics["log_loss"] == pytest.approx(records[1]["well"].metrics["log_loss"])
    assert record.models is None


def test_a_report_in_odd_forms_is_kept_plain(records):
    record = records[1]["describes-in-odd-forms"]
    assert record.leaderboard == [
        {"('a', 1)": 0.5, "b": None, "c": [0, 1], "d": "<class 'object'>"}
    ]
    assert (record.models, record.version, record.message) == (1, "\ufffd", "")
    assert "no attribute 'describe'" in records[1]["describes-nothing"].message


def test_every_task_left_one_record_and_a_log(records):
    runs, found = records
    no_result = sum(cause == "setup" for _, cause, _ in FAILING.values())
    outs = [path for run in runs for path in run.store.list("default/out")]
    assert len(outs) == len(FAILING) - no_result + len(ENDURED) + 1
    for record in found.values():
        assert record.log
        assert any(run.store.get(record.log) is not None for run in runs)
    log = runs[0].store.get(found["raises"].log)
    assert b"no such luck" in log
    assert b"Traceback" in log


def test_a_flood_does_not_fill_the_store(records):
    runs, found = records
    assert len(runs[0].store.get(found["floods"].log)) < 3_000_000


def test_memory_and_times_are_recorded(records):
    found = records[1]
    assert found["takes-4-gb"].peak_memory_mb == pytest.approx(700, rel=0.05)
    assert found["sleeps"].total_s >= 3
    json.loads(found["well"].to_bytes())


def test_the_parts_of_a_task_add_up(records):
    for name in ("well", "sets-up", "forks-200"):
        record = records[1][name]
        parts = (record.setup_s, record.fit_s, record.predict_s, record.inference_s)
        assert record.overhead_s > 0
        assert sum(parts) + record.overhead_s == pytest.approx(record.total_s)


def test_an_overrun_of_the_budget_is_a_number(records):
    found = records[1]
    assert found["overruns"].overrun_s == pytest.approx(found["overruns"].fit_s - 2)
    assert found["overruns"].overrun_s >= 0.5
    assert found["well"].overrun_s == pytest.approx(max(0.0, found["well"].fit_s - 2))
    assert found["sleeps"].overrun_s is None


def test_a_trajectory_is_kept_thinned_and_finite(records):
    record = records[1]["tells-its-way"]
    assert len(record.trajectory) == 1000
    assert record.trajectory[0] == [0.0, 0.0]
    assert record.trajectory[-1] == [24.99, 2499.0]
    assert record.models == 3
    assert records[1]["well"].trajectory is None


NUMBERS = """
import numpy as np

def fit(train, problem, limits):
    return train[problem.target].mean()

def predict(model, frame, problem):
    numbers = np.full(len(frame), model)
    return {"predictions": %s, "probabilities": None, "classes": None}

def describe(model):
    return {"models": 1, "leaderboard": None, "version": "1"}
"""

UNUSABLE_NUMBERS = {
    "gives-nan": ("np.where(np.arange(len(frame)) == 4, np.nan, numbers)", "nan in row 4"),
    "gives-infinity": ("numbers * np.inf", "inf in row 0"),
    "gives-words": ("['many'] * len(frame)", "not numeric"),
    "gives-too-many": ("np.append(numbers, 1.0)", "64 rows; the test part has 63 rows"),
    "gives-a-square": ("np.outer(numbers, numbers)", "not one a row"),
}


@pytest.fixture(scope="module")
def regressions(tmp_path_factory):
    codes = {name: NUMBERS % fault[0] for name, fault in UNUSABLE_NUMBERS.items()}
    folder = tmp_path_factory.mktemp("numbers")
    return executed(folder, codes | {"well": NUMBERS % "numbers"}, "cpu")[1]


@pytest.mark.parametrize("name", UNUSABLE_NUMBERS)
def test_unusable_numbers_are_a_failure_with_a_sentence(regressions, name):
    record = regressions[name]
    assert (record.status, record.cause) == ("failure", Cause.FRAMEWORK)
    assert UNUSABLE_NUMBERS[name][1] in record.message


def test_usable_numbers_are_a_success(regressions):
    assert regressions["well"].metrics["rmse"] > 0


def test_the_worker_speaks_python_3_6():
    import ast

    import benchmark.execution.worker as worker

    folder = Path(worker.__file__).parent
    above = [folder.parent / "__init__.py", folder.parents[1] / "__init__.py"]
    for file in [*folder.glob("*.py"), *above]:
        tree = ast.parse(file.read_text(), feature_version=(3, 6))
        for node in ast.walk(tree):
            assert not (isinstance(node, ast.ImportFrom) and node.module == "__future__"), file


def test_an_interrupt_while_the_libraries_are_imported(make_plan, folder_store, tmp_path):
    begun, task = tmp_path / "begun", make_plan(folder_store).tasks[0]
    importing = tmp_path / "importing.py"
    importing.write_text(f"open({str(begun)!r}, 'w').close()\nimport time; time.sleep(600)\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zygotes, "WORKER", importing)
        with Runner(make_plan(folder_store).run) as runner, ThreadPoolExecutor(1) as pool:
            running = pool.submit(runner.execute, task)
            while not begun.exists() and not running.done():
                time.sleep(0.01)
            runner.interrupt()
            record = running.result(600)
    assert (record.cause, record.message) == (Cause.INTERRUPTED, "The task was interrupted.")
