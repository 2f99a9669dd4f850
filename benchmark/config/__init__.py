"""Settings of the program: batch.config, its keys, the cache folder, plug-ins and extras.

`keys` has every key with its default and meaning, `loading` reads them from file, environment and
command line. `cache` names the folder of what can be recreated, `plugins` finds what other
packages add by entry points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmark import lazy

if TYPE_CHECKING:
    from benchmark.config.loading import Config, load_config

__all__ = ["Config", "load_config"]


def __getattr__(name: str) -> Any:  # pydantic is imported only when it is needed.
    return lazy.attribute(__name__, name, dict.fromkeys(__all__, "benchmark.config.loading"))
