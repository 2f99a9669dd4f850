"""The script of a job."""

from __future__ import annotations

import pytest

from benchmark.compute.job_script import script
from benchmark.compute.slurm.slurm import SlurmDispatcher
from benchmark.config.method_options import SlurmOptions


def test_in_an_image_nothing_of_this_machine_is_named_but_the_store() -> None:
    words = ["-m", SlurmDispatcher.wrapper, "/shared/runs", "default", "job"]
    lines = script(SlurmOptions(image="/shared/bench.sif", preamble=["module load x"]), words)
    image = "exec apptainer exec --bind /shared/runs /shared/bench.sif python -m"
    assert lines.splitlines()[1:3] == ["module load x", "unset PYTHONPATH"]
    assert lines.splitlines()[3] == f"{image} {SlurmDispatcher.wrapper} /shared/runs default job"


@pytest.mark.parametrize("cache", ["~/environments", "~/environments.tar"])
def test_the_home_of_a_place_of_environments_is_expanded(
    monkeypatch: pytest.MonkeyPatch, cache: str
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    lines = script(SlurmOptions(cache=cache, python="~/bin/python"), ["-m", "x"]).splitlines()
    assert any(f'"/home/me{cache[1:]}"' in line for line in lines)
    assert lines[-1] == "exec /home/me/bin/python -m x"
    assert '="$TMPDIR/kept"' in script(SlurmOptions(cache="$TMPDIR/kept"), ["-m", "x"])
