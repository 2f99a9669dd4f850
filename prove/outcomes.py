"""Rows of what a framework may leave as its outcome: files and JSON of every form."""

from __future__ import annotations

import json
from typing import Any

from prove.limits import records_of
from prove.program import configure, run_main
from prove.rows import Stage, check, row
from prove.villains import villains

GENERATED = 200
TIMES = ("setup_s", "fit_s", "predict_s")


def forms() -> list[tuple[str, str]]:
    """Form and content, up to control characters and a success without predictions."""
    return [
        ("pipe", ""),
        ("folder", ""),
        ("link", "/dev/zero"),
        ("link", "outcome.json"),
        ("link", "/etc/passwd"),
        ("sparse", "{}"),
        ("text", ""),
        ("text", "[" * 100_000),
        ("text", '{"message": "' + "x" * 100_000_000 + '"}'),
        (
            "text",
            '{"status": "failure", "cause": "framework", "message": "\\ud800\\u001b[2J\\u202e"}',
        ),
        ("text", json.dumps({"status": "success", **dict.fromkeys(TIMES, 1)})),
        # One task of the run is well-behaved.
        ("none", ""),
    ]


def generated(seed: int) -> list[tuple[str, str]]:
    """Outcomes by hypothesis: the worker's keys with values of every kind, the same for a seed."""
    import hypothesis
    from hypothesis import strategies as st

    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
    words = st.sampled_from([1, 0.5, "success", "failure", "framework", "data", ["a"]])
    names = ("status", "cause", "message", "classes", "description", *TIMES)
    outcomes = st.fixed_dictionaries({}, optional=dict.fromkeys(names, values | words))
    found: list[tuple[str, str]] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=3 * GENERATED,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(outcomes)
    def collect(value: dict[str, Any]) -> None:
        if ("text", json.dumps(value)) not in found:
            found.append(("text", json.dumps(value)))

    collect()
    return found[:GENERATED]


@row(
    1,
    f"{GENERATED} outcomes by hypothesis, a pipe, links, 40 GB, 100 MB of text left as an outcome",
)
def hostile_outcomes(stage: Stage) -> str:
    given = generated(stage.seed)
    check(len(given) == GENERATED, f"hypothesis gave {len(given)} outcomes")
    outcomes = given + forms()
    # A file for each: one of them has 100 MB, which not every task should read.
    files = stage.folder / "outcomes"
    files.mkdir()
    for number, outcome in enumerate(outcomes):
        (files / str(number)).write_text(json.dumps(outcome))
    own = villains(stage.folder, "leave", outcomes=str(files))
    seeds = list(range(len(outcomes)))
    folder = configure(stage.folder / "run", **own, max_attempts=1, seeds=seeds, memory=1000)
    done = run_main(folder, "execute-compute", "--dataset", "penguins", timeout_s=3600)
    said = done.stdout + done.stderr
    check(done.returncode == 0 and "Traceback" not in said, f"the run ended so: {said[-300:]}")
    check(all(c.isprintable() or c in "\n\t" for c in said), "control characters were printed")
    found = records_of(folder)
    check(len(found) == len(outcomes), f"{len(outcomes)} tasks, {len(found)} records")
    for task, record in found.items():
        what = outcomes[int(task.rpartition("/")[2])]
        expected = None if what[0] == "none" else "framework"
        check(record.cause == expected, f"{str(what)[:200]} ended as {record.cause}")
        check(len(record.message) < 5000, f"{task} has a message of {len(record.message)}")
    done = run_main(folder, "fetch-results")
    check(done.returncode == 0, f"fetch-results ended with {done.returncode}: {done.stderr[-300:]}")
    table = (folder / "compiled_results.csv").read_text(encoding="utf-8")
    check(all(c.isprintable() or c == "\n" for c in table), "control characters are in the table")
    check(len(table) < 1000 * len(found), f"the table has {len(table):,} bytes")
    return (
        f"{len(outcomes) - 1} hostile outcomes: {len(outcomes) - 1} records with cause framework "
        "by one runner, which also ran a well-behaved task"
    )
