"""The levels of logging: the program's own and Optuna's."""

from __future__ import annotations

import logging

LEVELS = ("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG", "NOTSET")
_NAME = "benchmark"


def set_levels(own: str = "INFO", optunas: str = "WARNING") -> None:
    """Set both levels by name; Optuna logs to standard error."""
    import optuna

    logging.getLogger(_NAME).setLevel(own)
    optuna.logging.set_verbosity(logging.getLevelNamesMapping()[optunas])


def is_shown(level: int) -> bool:
    """Whether messages of that level are printed; by default INFO and above."""
    return level >= (logging.getLogger(_NAME).level or logging.INFO)
