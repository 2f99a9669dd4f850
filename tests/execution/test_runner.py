"""Frameworks that misbehave: each ends with its own cause, and none harms the next task."""

import json
from pathlib import Path

import pytest

from benchmark.config import load_config
from benchmark.execution.runner import Runner
from benchmark.results import Cause
from benchmark.runs.plan import draft, plan
from benchmark.store import open_store

TOML = """
name = "{name}"
description = "misbehaves"
python = ">=3.11,<3.14"
environment = "random-forest"
version_of = "numpy"
preload = ["numpy", "pandas"]
"""

GOOD = """
import numpy as np

def fit(train, problem, limits):
    return problem

def predict(model, frame, problem):
    share = np.full((len(frame), len(problem.classes)), 1 / len(problem.classes))
    return {"predictions": [problem.classes[0]] * len(frame), "probabilities": share,
            "classes": problem.classes}

def describe(model):
    return {"models": 1, "leaderboard": None, "version": "1"}
"""

FIT = "\ndef fit(train, problem, limits):\n"
PREDICT = "\ndef predict(model, frame, problem):\n    answer = good(model, frame, problem)\n"
KEEP = "\ngood = predict\n"

FAILING = {
    "raises": (FIT + "    raise RuntimeError('no such luck')\n", "framework", "no such luck"),
    "sleeps": (
        FIT + "    import time; time.sleep(600)\n",
        "timeout",
        "hard limit of 6 s during fit",
    ),
    "spins": (FIT + "    while True: pass\n", "timeout", "hard limit"),
    "takes-4-gb": (FIT + "    return bytearray(4_000_000_000)\n", "memory", "700 MB"),
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
    "returns-nothing": (
        "\ndef predict(model, frame, problem):\n    return None\n",
        "framework",
        "",
    ),
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
    "describes-a-list": "\ndef describe(model):\n    return ['what', 'is', 'this']\n",
    "describes-oddly": "\ndef describe(model):\n"
    + "    return {'models': 'many', 'leaderboard': {'a': 1}, 'version': 3}\n",
    "describes-badly": "\ndef describe(model):\n    raise ValueError('no idea')\n",
}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """All of them in one runner, one after the other, with a well-behaved one at the end."""
    folder = tmp_path_factory.mktemp("hostile")
    codes = {name: fault[0] for name, fault in FAILING.items()} | ENDURED | {"well": ""}
    for name, code in codes.items():
        framework = folder / "frameworks" / name
        framework.mkdir(parents=True)
        (framework / "framework.toml").write_text(TOML.format(name=name))
        (framework / "adapter.py").write_text(GOOD + code)
    overrides = {
        "frameworks_path": [str(folder / "frameworks")],
        "frameworks": list(codes),
        "runtime": 2,
        "hard_limit": 6,
        "memory": 700,
    }
    config = load_config(overrides=overrides, environment={}).values
    planned = plan(open_store(str(folder / "runs")), draft(config, datasets=["penguins"]))
    tasks = sorted(planned.tasks, key=lambda task: task.labels["framework"] == "well")
    with Runner(planned.run, [0]) as runner:
        found = {task.labels["framework"]: runner.execute(task) for task in tasks}
    return planned.run, found


@pytest.mark.parametrize("name", FAILING)
def test_a_failure_has_its_cause(records, name):
    record = records[1][name]
    _, cause, words = FAILING[name]
    assert (record.status, record.cause) == ("failure", Cause(cause)), record.message
    assert words in record.message
    assert record.message


@pytest.mark.parametrize("name", [*ENDURED, "well"])
def test_what_is_odd_but_works_is_a_success(records, name):
    record = records[1][name]
    assert record.status == "success", record.message
    assert record.metrics["accuracy"] is not None


def test_every_task_left_one_record_and_a_log(records):
    run, found = records
    assert len(run.store.list("default/out")) == len(FAILING) - 1 + len(ENDURED) + 1
    for record in found.values():
        assert record.log
        assert run.store.get(record.log) is not None
    log = run.store.get(found["raises"].log)
    assert b"no such luck" in log
    assert b"Traceback" in log


def test_a_flood_does_not_fill_the_store(records):
    run, found = records
    assert len(run.store.get(found["floods"].log)) < 3_000_000


def test_memory_and_times_are_recorded(records):
    found = records[1]
    assert found["takes-4-gb"].peak_memory_mb == pytest.approx(700, rel=0.05)
    assert found["sleeps"].total_s >= 6
    assert found["well"].overhead_s is not None
    json.loads(found["well"].to_bytes())


def test_the_worker_speaks_python_3_6():
    import ast

    import benchmark.execution.worker as worker

    folder = Path(worker.__file__).parent
    above = [folder.parent / "__init__.py", folder.parents[1] / "__init__.py"]
    for file in [*folder.glob("*.py"), *above]:
        tree = ast.parse(file.read_text(), feature_version=(3, 6))
        for node in ast.walk(tree):
            assert not (isinstance(node, ast.ImportFrom) and node.module == "__future__"), file
