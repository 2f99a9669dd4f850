"""A Python objective in the sandbox: `python trial_worker.py REQUEST.json`.

Runs on the objective's own interpreter and imports nothing of the program, only Optuna. The point
is given; `trial.suggest_*` hands it out, `trial.report` and `trial.should_prune` work on the past
trials that came with the request.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

ANSWER = "trial-answer.json"


def main(path: str) -> int:
    import optuna

    request = json.loads(Path(path).read_text(encoding="utf-8"))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = dict(request["pruner"])
    made = getattr(optuna.pruners, pruner.pop("class"))(**pruner)
    study = optuna.create_study(
        directions=request["directions"],
        pruner=made,
        sampler=optuna.samplers.RandomSampler(seed=request["number"]),
    )
    for past in request["history"]:
        study.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState[past["state"]],
                values=past["values"],
                intermediate_values={int(k): v for k, v in past["intermediate"].items()},
            )
        )
    study.enqueue_trial(request["params"])
    trial = study.ask()
    objective = _load(request["function"])
    answer: dict[str, Any] = {"status": "success", "values": None}
    try:
        returned = objective(trial)
        values = list(returned) if isinstance(returned, (list, tuple)) else [returned]
        answer["values"] = [None if value is None else float(value) for value in values]
    except optuna.TrialPruned as error:
        answer = {"status": "prune", "message": str(error)}
    frozen = study.trials[-1]
    answer["intermediate"] = {str(k): v for k, v in frozen.intermediate_values.items()}
    # What the objective suggested beyond the declared tunables would be lost without a word.
    answer["undeclared"] = sorted(set(frozen.params) - set(request["params"]))
    answer["user_attrs"] = frozen.user_attrs
    text = json.dumps(answer, default=str)
    Path(ANSWER + ".tmp").write_text(text, encoding="utf-8")
    Path(ANSWER + ".tmp").rename(ANSWER)
    return 0


def _load(function: str) -> Any:
    place, _, name = function.rpartition(":")
    sys.path.insert(0, str(Path.cwd()))
    if not place.endswith(".py"):
        return getattr(importlib.import_module(place), name)
    spec = importlib.util.spec_from_file_location("objective", place)
    if spec is None or spec.loader is None:
        raise ImportError(f"{place} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules["objective"] = module
    spec.loader.exec_module(module)
    return getattr(module, name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
