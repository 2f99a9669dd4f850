"""Functions to be tuned. Each trial runs this file, so it imports nothing.

A function of a test module would import pytest and the service in every trial.
"""

from __future__ import annotations

from typing import Any


def squared(trial: Any) -> float:
    value: float = trial.suggest_float("x", -4, 4, step=0.5)
    return (value - 2) ** 2
