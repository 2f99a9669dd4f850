"""Studies of two tunables whose objective is a command, declared in few words."""

from __future__ import annotations

from typing import Any

TUNABLES = [
    {"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1, "default": 0.5},
    {"name": "gc", "value_type": "categorical", "choices": ["G1", "Z"], "default": "Z"},
]


X = TUNABLES[0]


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


def with_objective(
    objective: dict[str, Any], tunable: dict[str, Any] = X, **more: Any
) -> dict[str, Any]:
    """A study of one trial and one tunable."""
    return {
        "name": "s",
        "direction": "minimize",
        "tunables": [tunable],
        "trials": 1,
        "limits": {"time": 200, "memory": 300},
        "objective": objective,
        **more,
    }


def shell(text: str) -> list[str]:
    return ["sh", "-c", text]
