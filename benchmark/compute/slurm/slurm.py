"""The method slurm: `sbatch --array`, an element a task."""

from __future__ import annotations

from benchmark.compute.arrays import ArrayDispatcher
from benchmark.compute.cluster import Cluster
from benchmark.compute.slurm import checks
from benchmark.compute.slurm.commands import Slurm
from benchmark.config.loading import Config


class SlurmDispatcher(ArrayDispatcher):
    """Array jobs of Slurm."""

    wrapper = "benchmark.compute.slurm.slurm_wrapper"

    @classmethod
    def check(cls, config: Config) -> None:
        """Refuse what the cluster would never start."""
        checks.check(config, config.cores, config.memory + config.slurm.reserve_mb)

    @classmethod
    def brings_environments(cls, config: Config) -> bool:
        return config.slurm.image is not None

    def cluster(self) -> Cluster:
        return Slurm(self.config.slurm)
