"""How an MPI program is started here: by mpirun or srun, on the nodes that it was given.

    launcher(Ranks(nodes=2, ranks_per_node=2), os.environ)
    # ["mpirun", "-np", "4", "--host", "n1,n2", "--map-by", "ppr:2:node", ...]

Where the nodes are not named, all ranks run on this machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping

from benchmark.errors import SetupError
from benchmark.records.tasks import Ranks

# The nodes by name, divided by commas; and `srun` or `mpirun` where the choice is not ours.
HOSTS_VARIABLE = "AUTOML_BENCHMARK_HOSTS"
MPI_VARIABLE = "AUTOML_BENCHMARK_MPI"


def launcher(ranks: Ranks, variables: Mapping[str, str]) -> list[str]:
    """The words before the program's own.

    Raises:
        SetupError: there is no launcher on this machine, or there are too few nodes.
    """
    hosts = [name for name in variables.get(HOSTS_VARIABLE, "").split(",") if name]
    if len(hosts or ["here"]) < ranks.nodes:
        raise SetupError(
            f"The program asks for {ranks.nodes} nodes and there are {len(hosts) or 1}; run it "
            "with the method slurm or pilot, or ask for fewer."
        )
    hosts = hosts[: ranks.nodes]
    named = variables.get(MPI_VARIABLE)
    if named != "srun" and shutil.which("mpirun") and not ranks.gpus_per_rank:
        return _mpirun(ranks, hosts)
    if named != "mpirun" and shutil.which("srun") and "SLURM_JOB_ID" in variables:
        return _srun(ranks, hosts)
    if ranks.gpus_per_rank:
        raise SetupError(
            f"The program asks for {ranks.gpus_per_rank} GPUs a rank, which only srun in a job of "
            "Slurm gives; use the method slurm with 'mpi' in 'slurm' not mpirun, or leave "
            "'gpus_per_rank' out."
        )
    raise SetupError("Neither mpirun nor srun can start an MPI program here; install one.")


def _mpirun(ranks: Ranks, hosts: list[str]) -> list[str]:
    per_node = ranks.ranks_per_node
    total = str(ranks.nodes * per_node)
    version = subprocess.run(["mpirun", "--version"], capture_output=True, text=True, check=False)
    if "Open MPI" not in version.stdout:  # MPICH and what descends from it
        return [
            "mpirun",
            "-n",
            total,
            "-ppn",
            str(per_node),
            *(["-hosts", ",".join(hosts)] * bool(hosts)),
        ]
    root = ["--allow-run-as-root"] if os.getuid() == 0 else []
    named = ["--host", ",".join(hosts)] if hosts else []
    # Open MPI counts the batch system's tasks as places; what a node has room for is decided here.
    mapped = ["--map-by", f"ppr:{per_node}:node", "--oversubscribe", "--bind-to", "none"]
    return ["mpirun", *root, "-np", total, *named, *mapped]


def _srun(ranks: Ranks, hosts: list[str]) -> list[str]:
    return [
        "srun",
        *("--overlap", "--mem=0", "--kill-on-bad-exit=1"),
        f"--nodes={ranks.nodes}",
        f"--ntasks={ranks.nodes * ranks.ranks_per_node}",
        f"--ntasks-per-node={ranks.ranks_per_node}",
        f"--cpus-per-task={ranks.threads_per_rank}",
        *([f"--gpus-per-task={ranks.gpus_per_rank}"] * bool(ranks.gpus_per_rank)),
        *([f"--nodelist={','.join(hosts)}"] * bool(hosts)),
    ]
