"""Studies of two layers with a tunable each, declared in few words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmark.hpo.study.study import Study
from benchmark.records.results import Record

A = {"name": "a", "value_type": "integer", "lower_bound": 0, "upper_bound": 9, "default": 9}

B = {"name": "b", "value_type": "integer", "lower_bound": 0, "upper_bound": 3, "default": 3}


def declared(**more: Any) -> dict[str, Any]:
    return {
        "name": "s",
        "direction": "minimize",
        "layers": {"os": [A], "jvm": [B]},
        "seed": 1,
        "limits": {"time": 200, "memory": 300},
        "objective": {"command": ["true"]},
        **more,
    }


def told(study: Study, value: Callable[[dict[str, Any]], float]) -> list[dict[str, Any]]:
    """Ask and tell to the end without running anything."""
    points = []
    while tasks := study.ask():
        (task,) = tasks
        params = task.payload["params"]
        values = [value(params)]
        study.tell(
            Record(
                task.key,
                "success",
                metrics={"value": values[0]},
                labels=task.labels | {"values": values},
                begun="2026-01-01T00:00:00+00:00",
                ended="2026-01-01T00:00:10+00:00",
            )
        )
        points.append(params | {"layer": task.labels.get("layer"), "drift": "drift" in task.labels})
        if study.why_stop:
            break
    return points
