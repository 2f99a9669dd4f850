"""A mistake in a study is told before it has used the study up."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.compute import discovery
from benchmark.compute.dispatcher import Dispatcher, Rate
from benchmark.config.loading import Config
from benchmark.hpo.driver import launch
from benchmark.hpo.spec.stop_rules import EMPTY, IMPORTED, STOPS, DriveStop, Progress, Stop
from benchmark.hpo.spec.study_file import StudyError, define
from benchmark.hpo.study.study import Study
from benchmark.hpo.trials.objective_files import left_beside
from benchmark.records.results import Cause, Record
from benchmark.store import Store
from prove.seaweed import free_ports

Program = Callable[..., subprocess.CompletedProcess[str]]


def declared(command: Any, **more: Any) -> dict[str, Any]:
    bounds = {"lower_bound": 0, "upper_bound": 1}
    return {
        "name": "s",
        "direction": "minimize",
        "algorithm": "random",
        "trials": 9,
        "limits": {"time": 60, "memory": 300},
        "objective": {"command": command},
        "tunables": [{"name": "x", "value_type": "double", **bounds}],
        **more,
    }


def failed(message: str, cause: Cause = Cause.FRAMEWORK) -> Record:
    return Record("0", "failure", cause=cause, message=message)


def test_same_messages_but_for_numbers() -> None:
    first = DriveStop(3)
    for message in ("no x 0.25", "no x 1e-9", "no y", "no y"):
        first.add(failed(message))
    assert first.why_stop is None
    first.add(Record("0", "prune", message="no y", labels={EMPTY: True}))
    assert "3 trials all ended the same way: no y. Fix it" in str(first.why_stop)
    first.add(Record("1", "success"))
    assert first.why_stop is None


def test_same_messages_but_for_the_folder_of_a_trial() -> None:
    first = DriveStop(2)
    for name in ("tmp.TJvWFcIFRr", "tmp.PnAm6Soust"):
        first.add(failed(f'initdb: could not access directory "/tmp/x-0/fck/work/tmp/{name}": no'))
    assert "2 trials all ended the same way: initdb" in str(first.why_stop)


def test_a_file_that_lies_beside_the_study_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "churn.csv").write_text("a,b")
    for message in (
        "FileNotFoundError: [Errno 2] No such file or directory: '/tmp/x-0/w/churn.csv' Fix it.",
        "cat: churn.csv: No such file or directory. Fix it.",
    ):
        assert left_beside(message, tmp_path) == ["churn.csv"]
    assert left_beside("no: 'other.csv': No such file or directory", tmp_path) == []
    assert left_beside("churn.csv has no column 'x'", tmp_path) == []


def test_a_service_that_is_never_ready_is_a_mistake() -> None:
    first = DriveStop(2)
    for number in (1, 2):
        unready = failed(f"not ready within 30 s: try {number}", Cause.TIMEOUT)
        first.add(replace(unready, labels={"stopped": {"step": "wait_ready"}}))
    assert "2 trials all ended the same way: not ready" in str(first.why_stop)


@pytest.mark.parametrize(
    "works", [Record("0", "prune"), Record("0", "success"), failed("", Cause.TIMEOUT)]
)
def test_what_a_point_may_bring_is_no_mistake(works: Record) -> None:
    first = DriveStop(1)
    first.add(works)
    first.add(failed("no"))
    assert first.why_stop is None
    never = DriveStop(0)
    never.add(failed("no"))
    assert never.why_stop is None


def record(number: int, status: str, **more: Any) -> Record:
    now = f"2026-01-01T00:00:{number:02d}+00:00"
    more = {"labels": {"values": [1.0]}, "begun": now, "ended": now} | more
    return Record(str(number), status, **more)  # type: ignore[arg-type]


def test_a_streak_of_failures_warns_and_stops_at_any_time() -> None:
    progress = Progress({"value": "minimize"})
    stop = Stop(failure_streak=12)
    progress.add(record(0, "success"))
    warned, why = [], []
    for number in range(1, 24):
        cause = Cause.TIMEOUT if number % 2 else Cause.FRAMEWORK
        progress.add(record(number, "failure", cause=cause, message=f"no x {number}."))
        if progress.warning:
            warned.append(number)
        if progress.why_stop(stop):
            why.append(number)
    assert warned == [10, 20]
    assert why == list(range(12, 24))
    assert "The last 23 trials failed, the last one with: no x 23." in str(progress.why_stop(stop))
    assert progress.why_stop(Stop()) is None
    progress.add(record(24, "success"))
    assert (progress.warning, progress.why_stop(stop)) == (None, None)


def test_failures_between_successes_warn_at_half() -> None:
    progress, warned = Progress({"value": "minimize"}), {}
    for number in range(45):
        # Half fails until 30, then nothing does.
        status = "failure" if number % 2 and number < 30 else "success"
        cause = Cause.FRAMEWORK if status == "failure" else None
        progress.add(record(number, status, cause=cause, message="no heap." if cause else ""))
        if progress.warning:
            warned[number] = progress.warning
        assert progress.why_stop(Stop(failure_streak=2)) is None
    assert list(warned) == [9, 19]
    assert warned[9].startswith("5 of the last 10 trials failed, one with: no heap. Others ")
    assert warned[19].startswith("10 of the last 20 trials failed")


def test_a_streak_counts_over_drives(
    folder_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = declared(["true"], stop={"failures": 0, "failure_streak": 10}, trials=30)
    study = Study.begin(folder_store, define(values, tmp_path))
    for number in range(10):
        if number == 4:
            study = Study.begin(folder_store, define(values, tmp_path))
        (task,) = study.ask()
        assert study.why_stop is None
        ended = record(number, "failure", cause=Cause.FRAMEWORK, message="no", labels=task.labels)
        folder_store.put(study.run.out_path(task.key), ended.to_bytes())
        study.tell(ended)
    assert "The last 10 trials failed" in str(study.why_stop)
    assert "warning: The last 10 trials failed" in capsys.readouterr().err


@pytest.mark.parametrize("ended", ["09:00:05", "10:00:05", "11:00:05"])
def test_the_time_of_trials_is_not_of_the_wall_clock(ended: str) -> None:
    progress = Progress({"value": "minimize"})
    times = {"begun": "2026-12-01T10:00:00+00:00", "ended": f"2026-12-01T{ended}+00:00"}
    progress.add(replace(failed("no"), total_s=5.0, **times))
    assert progress.busy_s == 5


def test_imported_trials_stop_nothing_but_can_reach_the_target() -> None:
    progress, first = Progress({"value": "minimize"}), DriveStop(2)
    stop = Stop(no_improvement=3, failure_streak=3)
    labels = {IMPORTED: "0f"}
    for number in range(6):
        one = record(number, "success", labels=labels | {"values": [number]})
        progress.add(one)
        first.add(one)
    for number in range(6, 16):
        one = record(number, "failure", labels=labels, cause=Cause.FRAMEWORK)
        progress.add(one)
        first.add(one)
    assert (progress.warning, progress.why_stop(stop), first.why_stop) == (None, None, None)
    assert not first.works
    assert progress.busy_s == 0
    assert progress.why_stop(Stop(target=0.0)) == "The target of 0 is reached."
    for number in range(20, 23):
        assert progress.why_stop(stop) is None
        progress.add(record(number, "success", labels={"values": [0.5]}))
        progress.add(record(number + 10, "success", labels=labels | {"values": [-number]}))
    assert progress.why_stop(stop) == "The last 3 trials brought no improvement."


@pytest.mark.parametrize(
    ("direction", "values", "reached"),
    [("minimize", [9, 5.1], False), ("minimize", [9, 5, 7], True), ("maximize", [4, 5.5], True)],
)
def test_a_target_ends_a_study(direction: Any, values: list[float], reached: bool) -> None:
    progress = Progress({"value": direction})
    for number, value in enumerate(values):
        progress.add(record(number, "success", labels={"values": [value]}))
    why = progress.why_stop(Stop(target=5.0))
    assert why == ("The target of 5 is reached." if reached else None)


@pytest.mark.parametrize(
    ("target", "direction"), [("5", "minimize"), (True, "minimize"), (5, ["minimize", "maximize"])]
)
def test_a_target_is_a_number_of_one_direction(target: Any, direction: Any) -> None:
    with pytest.raises(StudyError, match="'target'"):
        define(declared(["true"], direction=direction, stop={"target": target}), Path())


def test_an_objective_stops_its_study() -> None:
    first = DriveStop(5, works=True)
    first.add(Record("3", "success", labels={STOPS: True}))
    assert first.why_stop == "Trial 3 called study.stop()."


@pytest.mark.parametrize("more", [{}, {"max_parallelism": 1, "trials_per_task": 2}])
def test_a_drive_ends_early(folder_store: Store, tmp_path: Path, more: dict[str, Any]) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no server')"]
    values = declared(command, stop={"failures": 2}, **more)
    study = Study.begin(folder_store, define(values, tmp_path))
    config = Config(cores=1, memory=300, parallel=1)
    tuned = launch.drive(study, config, "local", None)
    assert "no server" in str(tuned.why_stopped)
    assert not tuned.stopped
    assert 2 <= len(tuned.records) <= 4


@pytest.mark.parametrize(
    ("mode", "text", "said"),
    [
        (0o644, "#!/bin/sh", "chmod"),
        (0o755, "echo 1", "first line"),
        (None, "", "is not in"),
    ],
)
def test_what_cannot_start_is_refused(
    folder_store: Store, tmp_path: Path, mode: int | None, text: str, said: str
) -> None:
    if mode is not None:
        (tmp_path / "bench.sh").write_text(text)
        (tmp_path / "bench.sh").chmod(mode)
    with pytest.raises(StudyError, match=said):
        Study.begin(folder_store, define(declared(["./bench.sh"]), tmp_path))
    if mode is None:
        with pytest.raises(StudyError, match=r"'bench\.py' is not in"):
            Study.begin(folder_store, define(declared(["python", "bench.py"]), tmp_path))
    assert folder_store.list("studies") == []


class Paid(Dispatcher):
    """A method that costs money, and takes every configuration."""

    process = None  # type: ignore[assignment]  # no trial comes so far

    @classmethod
    def rate(cls, config: Config) -> Rate:
        return Rate(1.0, 2.0, "a machine")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"max_cost": 5}, r"'max_cost' is 5, .* limit 's' with stop: \{cost: 5\}"),
        ({"ecr_repo": "trials"}, "'ecr_repo' is trials, .* none for trials; name"),
    ],
)
def test_what_a_paid_method_would_not_keep_is_refused(
    keys: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(discovery, "load_method", lambda _: Paid)
    definition = define(declared([sys.executable, "-c", ""]), tmp_path)
    base = Config(compute={"*": "batch"})
    assert launch.prepared(definition, base, {})[0] == "batch"
    with pytest.raises(StudyError, match=said):
        launch.prepared(definition, base.model_copy(update=keys), {})


@pytest.mark.integration
def test_a_program_that_is_not_here_is_refused_before_a_study_is_stored(
    typed: Program, tmp_path: Path
) -> None:
    (tmp_path / "s.json").write_text(json.dumps(declared(["no-such-program", "{x}"])))
    ended = typed(tmp_path, "tune", "s.json")
    assert (ended.returncode, "'no-such-program' is not on" in ended.stderr) == (2, True)
    assert list((tmp_path / "runs").glob("studies*")) == []


def test_a_folder_named_as_a_study_does_not_hide_it(typed: Program, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(json.dumps(declared(["true"])))
    for value, study in ((1, "s.json"), (2, "s")):
        (tmp_path / "known.csv").write_text(f"x,value\n0.{value},{value}\n")
        ended = typed(tmp_path, "studies", "import", study, "known.csv")
        assert ended.stdout == "s: 1 of 1 rows imported, 0 known before, 0 skipped\n", ended.stderr
        (tmp_path / "s").mkdir(exist_ok=True)


def test_as_a_user(program: Program, tmp_path: Path) -> None:
    """Stopped, told, and said again when the script has changed."""
    folder = tmp_path / "work"
    folder.mkdir(exist_ok=True)
    script = folder / "bench.sh"
    script.write_text("#!/bin/sh\nexit 3\n")
    script.chmod(0o755)
    (folder / "s.json").write_text(json.dumps(declared(["./bench.sh"], stop={"failures": 2})))
    ended = program("tune", "s.json", "--json")
    assert ended.returncode == 1, ended.stderr
    assert json.loads(ended.stdout)["told"] == 2
    assert "first 2 trials" in ended.stderr
    script.write_text("#!/bin/sh\necho 1\n")
    other = program("tune", "s.json")
    assert other.returncode == 2
    assert "files (bench.sh)" in other.stderr
    assert "no success to lose" in other.stderr
    gone_on = program("tune", "--resume", "s", "--trials", "3")
    assert "bench.sh has changed since the study began" in gone_on.stderr
    shown = json.loads(program("studies", "show", "s", "--json").stdout)
    assert shown["failures"] == [
        {"message": "The command ended with the exit code 3.", "trials": 3}
    ]
    listed = program("studies").stdout.splitlines()
    assert listed[0].split() == ["STUDY", "TRIALS", "STATE", "BEST", "LAST", "OBJECTIVE"]
    assert listed[1].startswith("s ")
    assert "3/3" in listed[1]


@pytest.mark.integration
def test_a_session_that_ends_without_a_result_names_the_next_command(
    program: Program, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    queries = {"url": f"http://127.0.0.1:{port}", "queries": {"value": "sum(up)"}, "step": "1s"}
    folder = tmp_path / "work"
    folder.mkdir(exist_ok=True)
    study = declared(["sleep", "4"]) | {"name": "s", "trials": 1}
    study["objective"] = {"command": ["sleep", "4"], "metrics": {"prometheus": queries}}
    (folder / "s.json").write_text(json.dumps(study))
    ended = program("tune", "s.json", "--set", "max_attempts=1")
    assert ended.returncode == 1, ended.stderr
    assert "trial 0 has no result (infrastructure)" in ended.stderr
    assert "Fix the cause; then: tune --resume s\n" in ended.stderr
