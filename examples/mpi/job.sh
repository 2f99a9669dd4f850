#!/bin/sh
# job.sh NODES RANKS_PER_NODE BLOCKS: with Slurm on its nodes, with mpirun on this machine, else as that
# many processes here (the nodes are then only a number in the name of each).
set -eu
ranks=$(($1 * $2))
if [ -n "${SLURM_JOB_ID:-}" ]; then
    exec srun --nodes="$1" --ntasks="$ranks" python3 solver.py "$3"
elif command -v mpirun >/dev/null 2>&1; then
    exec mpirun -n "$ranks" python3 solver.py "$3"
fi
exec python3 solver.py "$3" --ranks "$ranks"
