"""A trial as a task: a point of a study, and what it takes to measure it.

    task = trial_task(run, definition, 12, {"threads": 8})

A task is in the store while its trial runs. Later its record has the point, and the task can be
made again from that.
"""

from __future__ import annotations

import json
from typing import Any

from benchmark.hpo.objectives.benchmark_objective import benchmark_cells
from benchmark.hpo.space.search_space import Params
from benchmark.hpo.spec.study_file import StudyDefinition
from benchmark.records import results
from benchmark.records.tasks import Ranks, Resources, Run, Task

PATH = "benchmark.hpo.trials.evaluation:TrialEvaluation"
BENCHMARK_PATH = "benchmark.hpo.trials.benchmark_evaluation:BenchmarkTrialEvaluation"


def trial_task(
    run: Run, definition: StudyDefinition, number: int, params: Params, **labels: Any
) -> Task:
    """The task of a trial by its number and point; `labels` come before the trial's own."""
    limit_s = definition.total_s
    if "benchmark" in run.manifest.conditions:
        limit_s = definition.time_s * len(benchmark_cells(run))
    own = {"study": definition.name, "trial": number, "params": params}
    return Task(
        key=str(number),
        evaluation=PATH if definition.objective.benchmark is None else BENCHMARK_PATH,
        environment="objective",
        payload={"trial": number, "params": params},
        resources=_resources(definition, params, limit_s),
        labels=labels | own,
    )


def _resources(definition: StudyDefinition, params: Params, limit_s: float) -> Resources:
    """What a trial takes; tunables may say how many ranks it has."""
    ranks = {
        key: int(params.get(value) or least) if isinstance(value, str) else value
        for key, value in definition.resources.items()
        for least in [0 if key == "gpus_per_rank" else 1]
    }
    # One process is no parallel program: it runs beside others in an allocation.
    is_parallel = ranks and (ranks["nodes"] * ranks["ranks_per_node"] > 1 or ranks["gpus_per_rank"])
    mpi = Ranks(**ranks) if is_parallel else None
    cores = max(definition.cores, mpi.cores) if mpi else definition.cores
    return Resources(cores, definition.memory_mb, limit_s, limit_s, mpi)


def stored_point(run: Run, number: int) -> Params:
    """The point of a trial in the store: in its record or task, or what a deletion left."""
    key = str(number)
    if (left := run.store.get(run.deleted_path(key))) is not None:
        held = json.loads(left)
    else:
        record = results.current_record(run, key)
        held = run.task(key).payload if record is None else record.labels
    found: Params = held["params"]
    return found
