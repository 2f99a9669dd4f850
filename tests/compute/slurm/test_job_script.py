"""The script of a job."""

from __future__ import annotations

from benchmark.compute.job_script import script
from benchmark.compute.slurm.slurm import SlurmDispatcher
from benchmark.config.method_options import SlurmOptions


def test_in_an_image_nothing_of_this_machine_is_named_but_the_store() -> None:
    words = ["-m", SlurmDispatcher.wrapper, "/shared/runs", "default", "job"]
    lines = script(SlurmOptions(image="/shared/bench.sif", preamble=["module load x"]), words)
    image = "exec apptainer exec --bind /shared/runs /shared/bench.sif python -m"
    assert lines.splitlines()[1:3] == ["module load x", "unset PYTHONPATH"]
    assert lines.splitlines()[3] == f"{image} {SlurmDispatcher.wrapper} /shared/runs default job"
