"""The folder for what can be recreated: environments, data, locks of builds."""

from __future__ import annotations

import os
from pathlib import Path

CACHE_VARIABLE = "AUTOML_BENCHMARK_CACHE"


def cache_folder() -> Path:
    """$AUTOML_BENCHMARK_CACHE, or automl-benchmark in the user's cache."""
    own = os.environ.get(CACHE_VARIABLE)
    if own:
        return Path(own).expanduser().absolute()
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "automl-benchmark"
