"""A driver loop of one's own: the one in the guide, killed and run again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from benchmark.compute import discovery
from benchmark.compute.dispatcher import Dispatcher
from benchmark.compute.local import local
from benchmark.config.loading import Config
from benchmark.hpo.driver.loop import tune
from benchmark.hpo.spec.study_file import define
from benchmark.hpo.study.study import Study
from benchmark.hpo.study.task_order import InOrder
from benchmark.records import results
from benchmark.records.results import Record
from benchmark.records.tasks import Resources, Task
from benchmark.store import Store, open_store
from tests.support.documents import ROOT, blocks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmark.records.tasks import Run

STUDY = """
name: db
direction: minimize
trials: 9
algorithm: random
objective: {command: "echo {x}"}
tunables: [{name: x, value_type: double, lower_bound: 0, upper_bound: 1}]
"""


class Kill(BaseException):
    """The process ends here."""


class Settling:
    """A dispatcher whose tasks have a record as soon as they are waited for."""

    most = 1000
    order: list[str] = []  # noqa: RUF012  # shared on purpose

    def __init__(self, run: Run, config: Config) -> None:
        self.run = run
        self.config = config
        self._waiting: list[Task] = []

    def submit(self, tasks: Sequence[Task]) -> None:
        self._waiting += tasks

    def completed(self, timeout_s: float) -> list[Record]:
        assert timeout_s > 0
        if Settling.most == 0:
            raise Kill
        Settling.most -= 1
        task = self._waiting.pop()
        Settling.order.append(task.key)
        labels = {**task.labels, "values": [task.payload["params"]["x"]], "constraints": []}
        record = Record(task.key, "success", metric="value", metrics={"value": 1}, labels=labels)
        return [results.settle(self.run, results.begin(self.run, task), record)]

    def close(self) -> None:
        self._waiting = []


@pytest.mark.parametrize("most", [0, 1, 3])
def test_the_guides_loop_forgets_no_trial_of_a_killed_run(
    most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = (
        block
        for block in blocks(ROOT / "docs/studies.md")
        if block.language == "python" and "InOrder" in block.text
    )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "db.yaml").write_text(STUDY)
    monkeypatch.setattr(local, "LocalDispatcher", Settling)
    monkeypatch.setattr(Settling, "most", most)
    monkeypatch.setattr(Settling, "order", [])
    with pytest.raises(Kill):
        exec(compile(block.text, "docs/studies.md", "exec"), {})
    assert len(Settling.order) == most
    Settling.most = 1000
    exec(compile(block.text, "docs/studies.md", "exec"), {})
    assert sorted(Settling.order) == [str(number) for number in range(8)]
    assert Settling.order.index("0") < min(map(Settling.order.index, "123"))
    study = Study.open(open_store("runs"), "db")
    assert study.unfinished() == []
    assert {trial.state.name for trial in study.optimizer.trials()} == {"COMPLETE"}


def test_many_interrupted_trials_are_submitted_without_comparing_each_with_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resources = Resources(cores=1, memory_mb=300, runtime_s=20, hard_limit_s=20)
    tasks = [Task(str(n), "package:Evaluation", "", {}, resources) for n in range(3)]
    taken: list[Task] = []

    class Taker:
        def submit(self, ready: Sequence[Task]) -> None:
            taken.extend(ready)

    def compare(one: Task, other: object) -> bool:
        raise AssertionError("tasks are compared")

    with monkeypatch.context() as patch:
        patch.setattr(Task, "__eq__", compare)
        InOrder(Taker()).submit(tasks)  # type: ignore[arg-type]
    assert taken == tasks


def test_trials_of_a_killed_driver_are_submitted_together(
    folder_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs of a batch system may have them, which a dispatcher looks for as it is given tasks."""
    portions: list[list[str]] = []

    class Portions(Settling, Dispatcher):
        def submit(self, tasks: Sequence[Task]) -> None:
            portions.append([task.key for task in tasks])
            super().submit(tasks)

    study = Study.begin(
        folder_store, define(yaml.safe_load(STUDY) | {"trials": 5, "parallel": 3}, tmp_path)
    )
    study.ask(4)
    monkeypatch.setattr(Settling, "most", 1000)
    monkeypatch.setattr(discovery, "load_method", lambda _: Portions)
    tuned = tune(Study.open(folder_store, "db"), Config(), "slurm")
    assert len(tuned.records) == 5
    assert portions == [["0", "1", "2"], ["3"], ["4"]]
