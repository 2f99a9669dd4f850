"""The user's folders: for what can be recreated (environments, data, locks), and for settings."""

from __future__ import annotations

import os
from pathlib import Path

from benchmark.files.input_files import expanded

CACHE_VARIABLE = "AUTOML_BENCHMARK_CACHE"


def cache_folder() -> Path:
    """$AUTOML_BENCHMARK_CACHE, or automl-benchmark in the user's cache."""
    own = os.environ.get(CACHE_VARIABLE)
    if own:
        return expanded(own).absolute()
    shared = os.environ.get("XDG_CACHE_HOME")
    fix = f"name a folder with {CACHE_VARIABLE}"
    return (Path(shared) if shared else expanded("~/.cache", fix)) / "automl-benchmark"


def settings_folder() -> Path:
    """$XDG_CONFIG_HOME, or the user's .config; without a home one that does not exist."""
    usual = os.path.expanduser("~/.config")  # noqa: PTH111  # Path raises where there is no home.
    return Path(os.environ.get("XDG_CONFIG_HOME") or usual)
