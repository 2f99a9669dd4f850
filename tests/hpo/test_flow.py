"""HPORunner in a step of a Metaflow flow, with a function of the flow's own file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("metaflow")
ROOT = Path(__file__).parents[2]
FLOW = """
from metaflow import FlowSpec, step


def objective(trial):
    return (trial.suggest_float("x", -5, 5) - 2) ** 2


class StudyFlow(FlowSpec):
    @step
    def start(self):
        from benchmark.hpo import HPORunner

        found = HPORunner(objective, trials=2).run()
        self.best, self.trials = found.best_params, len(found.records)
        self.next(self.end)

    @step
    def end(self):
        print("found", sorted(self.best), self.trials)


if __name__ == "__main__":
    StudyFlow()
"""


@pytest.mark.integration
def test_a_study_in_a_flow(tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(FLOW)
    own = {"USERNAME": "user", "METAFLOW_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "flow.py", "run"],
        cwd=tmp_path,
        env=os.environ | own,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "found ['x'] 2" in ended.stdout
    assert "trial 1: success" in ended.stdout
