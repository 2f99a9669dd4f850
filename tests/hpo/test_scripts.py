"""`python -m benchmark.hpo` says why it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark.hpo.formats import em_hpo_scripts


def test_a_study_that_fails_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "applyconfig.sh").write_text("echo no server; exit 3\n")
    x = {"name": "x", "value_type": "integer", "lower_bound": 0, "upper_bound": 3}
    space = {"application_name": "petclinic", "ml_algo_impl": "random", "tunables": [x]}
    (tmp_path / "search_space.json").write_text(json.dumps(space | {"stop": {"failures": 2}}))
    monkeypatch.chdir(tmp_path)
    assert em_hpo_scripts.main(["--trials", "4", "-e", "results"]) == 1
    said = capsys.readouterr().err
    assert "Stopped: The first 2 trials all ended the same way" in said
    assert "No trial has succeeded; results has what they printed." in said
    assert "no server" in (tmp_path / "results" / "total-output.txt").read_text()


@pytest.mark.parametrize("trials", [3.7, True, "1_0", "three"])
def test_a_number_of_trials_is_whole(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    trials: object,
) -> None:
    (tmp_path / "applyconfig.sh").write_text("exit 3\n")
    x = {"name": "x", "value_type": "integer", "lower_bound": 0, "upper_bound": 3}
    space = {"application_name": "petclinic", "total_trials": trials, "tunables": [x]}
    (tmp_path / "search_space.json").write_text(json.dumps(space))
    monkeypatch.chdir(tmp_path)
    assert em_hpo_scripts.main([]) == 2
    assert f"'n_trials' is {trials!r}; write a whole number." in capsys.readouterr().err
