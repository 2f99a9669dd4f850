"""The levels of logging: the program's own and Optuna's."""

from __future__ import annotations

import logging

LEVELS = ("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG", "NOTSET")
_NAME = "benchmark"


def set_levels(own: str = "INFO", optunas: str = "WARNING") -> None:
    """Set both, by their names; Optuna's lines go to standard error as it does it."""
    import optuna

    logging.getLogger(_NAME).setLevel(own)
    optuna.logging.set_verbosity(logging.getLevelNamesMapping()[optunas])


def is_told(level: int) -> bool:
    """Whether what is of that level is printed; INFO and above where nothing was set."""
    return level >= (logging.getLogger(_NAME).level or logging.INFO)
