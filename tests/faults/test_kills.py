"""Every task keeps one outcome, whatever is killed."""

import os

import pytest

from prove.playground import ROLES, Playground, play, schedule
from prove.program import configure
from prove.rows import Stage


@pytest.mark.integration
def test_fifty_kills(tmp_path):
    stage = Stage(tmp_path, int(os.environ.get("SEED", "1")), 50)
    ground = Playground(configure(tmp_path / "ground", seeds=50))
    play(ground, schedule(stage.dice("kills"), stage.kills))
    assert ground.faults == []
    assert ground.killed.total() == 50
    assert set(ground.killed) == set(ROLES)
