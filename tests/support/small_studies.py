"""Studies of two tunables whose objective is a command, declared in few words."""

from __future__ import annotations

from typing import Any

TUNABLES = [
    {"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1, "default": 0.5},
    {"name": "gc", "value_type": "categorical", "choices": ["G1", "Z"], "default": "Z"},
]


def declared(command: Any, **more: Any) -> dict[str, Any]:
    objective = more.pop("objective", {})
    return {
        "name": "s",
        "direction": "minimize",
        "tunables": TUNABLES,
        "trials": 1,
        "seed": 1,
        "limits": {"time": 200, "memory": 300},
        "objective": {"command": command, **objective},
        **more,
    }
