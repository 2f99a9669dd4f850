"""Every task keeps one outcome, whatever is killed; the short form is a row of `make prove`."""

import os

import pytest

from prove.playground import ROLES, Playground, play, schedule
from prove.program import SIDE_BY_SIDE, configure
from prove.rows import Stage
from tests.support.killing_studies import faults
from tests.support.killing_studies import play as play_studies


@pytest.mark.integration
@pytest.mark.soak
def test_fifty_kills(tmp_path):
    stage = Stage(tmp_path, int(os.environ.get("SEED", "1")), 50)
    ground = Playground(configure(tmp_path / "ground", seeds=50, **SIDE_BY_SIDE))
    play(ground, schedule(stage.dice("kills"), stage.kills))
    assert ground.faults == []
    assert ground.killed.total() == 50
    assert set(ground.killed) == set(ROLES)


@pytest.mark.integration
@pytest.mark.soak
def test_studies_whose_processes_are_killed(tmp_path):
    """The form of 200 trials and 30 kills is `python tests/faults/killing_studies.py`."""
    trials = int(os.environ.get("TRIALS", "60"))
    kills = play_studies(tmp_path, trials, trials // 6, seed=int(os.environ.get("SEED", "3")))
    assert faults(tmp_path, trials) == []
    assert kills.total() >= trials // 8
