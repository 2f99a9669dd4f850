"""What the cluster would never start: refused before, or known by its reason to wait."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmark.compute.slurm.commands import element
from benchmark.compute.slurm.slurm import SlurmDispatcher
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError
from tests.support.slurm_double import SlurmDouble


@pytest.mark.parametrize(
    ("reason", "hopeless"),
    [
        ("PartitionTimeLimit", True),
        ("PartitionConfig", True),
        ("BadConstraints", True),
        ("InvalidAccount", True),
        ("AssocMaxCpuPerJobLimit", True),
        ("QOSMaxMemoryPerJob", True),
        ("launch failed requeued held", True),
        ("JobHeldAdmin", True),
        ("QOSMaxCpuPerNode", True),
        ("AssocMaxMemPerNode", True),
        ("ReservationDeleted", True),
        ("Reservation", False),
        ("Priority", False),
        ("Resources", False),
        ("BeginTime", False),
        ("JobArrayTaskLimit", False),
        ("QOSMaxJobsPerUserLimit", False),
        ("AssocGrpCpuLimit", False),
        ("ReqNodeNotAvail, UnavailableNodes:n1", False),
    ],
)
def test_which_reasons_to_wait_never_clear(reason: str, hopeless: bool) -> None:
    assert element("PENDING", reason).is_hopeless is hopeless
    assert not element("RUNNING", reason).is_hopeless


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"slurm": {"partition": "nope"}}, "'nope', and the cluster has main, short, closed"),
        ({"slurm": {"partition": "closed"}}, "closed is down"),
        ({"slurm": {"partition": "short"}}, "short allows 60 s and a job would ask for 360"),
        ({"cores": 5}, "5 cores, and the nodes of the partition main have 4"),
        ({"memory": 7500}, "8524 MiB .* have 8000"),
        ({"s3_bucket_root": "memory://x"}, "no node of the cluster sees"),
    ],
)
def test_what_the_cluster_would_never_start_is_refused(
    slurm_double: SlurmDouble, make_config: Callable[..., Config], changes: dict, words: str
) -> None:
    with pytest.raises(BenchmarkError, match=words):
        SlurmDispatcher.check(make_config(**changes))
    SlurmDispatcher.check(make_config())


def test_without_slurm_it_is_refused(
    make_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BenchmarkError, match="sbatch is not on PATH"):
        SlurmDispatcher.check(make_config())
