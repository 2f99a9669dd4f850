"""Launches the solver on so many nodes with so many ranks each, and says how long the job took.

python job.py NODES RANKS_PER_NODE BLOCKS

Within a Slurm job by srun, else by mpirun on this machine, else as processes of this machine, where
the number of nodes is only a number.
"""

import json
import os
import shutil
import subprocess
import sys
import time

# Open MPI refuses root and more ranks than cores unless it is told otherwise; others ignore these.
OPEN_MPI = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}


def main(nodes: int, ranks_per_node: int, blocks: int) -> int:
    ranks = nodes * ranks_per_node
    solver = [sys.executable, "solver.py", str(blocks)]
    started = time.perf_counter()
    if "SLURM_JOB_ID" in os.environ:
        code = run("srun", f"--nodes={nodes}", f"--ntasks={ranks}", *solver)
    elif shutil.which("mpirun"):
        code = run("mpirun", "-n", str(ranks), *solver)
    else:
        code = run(*solver, str(ranks))
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "ranks": ranks}))
    return code


def run(*command: str) -> int:
    return subprocess.run(command, env=OPEN_MPI | os.environ, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
