"""Every task keeps one outcome, whatever is killed."""

import os

import pytest
from killing import ROLES, play
from killing_studies import faults
from killing_studies import play as play_studies


@pytest.mark.integration
def test_one_kill_of_each_role(tmp_path):
    ground = play(
        tmp_path / "ground", kills=len(ROLES), seed=int(os.environ.get("SEED", "7")), seeds=8
    )
    assert ground.faults == []
    assert set(ground.killed) == set(ROLES)


@pytest.mark.integration
def test_fifty_kills(tmp_path):
    ground = play(tmp_path / "ground", kills=50, seed=int(os.environ.get("SEED", "1")), seeds=50)
    assert ground.faults == []
    assert ground.killed.total() == 50


@pytest.mark.integration
def test_studies_whose_processes_are_killed(tmp_path):
    """The form of 200 trials and 30 kills is `python tests/faults/killing_studies.py`."""
    trials = int(os.environ.get("TRIALS", "60"))
    kills = play_studies(tmp_path, trials, trials // 6, seed=int(os.environ.get("SEED", "3")))
    assert faults(tmp_path, trials) == []
    assert kills.total() >= trials // 8
