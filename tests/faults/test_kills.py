"""Every task keeps one outcome, whatever is killed."""

import os

import pytest
from killing import ROLES, play


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
