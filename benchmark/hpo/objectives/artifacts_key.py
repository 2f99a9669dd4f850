"""The key `artifacts` of an objective: files of a trial's folder that are kept with its record.

artifacts: ["*.log", "plots/*.png"]
artifacts: {patterns: "*.log", largest: 1Mi, total: 10Mi}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmark.files.spelling import check_keys
from benchmark.hpo.space.units import UNITS, UnitError, in_unit

# Labels of trials.
KEPT, LEFT_OUT = "artifacts", "artifacts_left_out"
KEYS = ("patterns", "largest", "total")
LARGEST_MB, TOTAL_MB, MOST = 10, 50, 100


@dataclass(frozen=True)
class Artifacts:
    """Patterns of paths in the folder (`*` also matches `/`), and limits in bytes."""

    patterns: tuple[str, ...]
    largest: int = LARGEST_MB * 2**20
    total: int = TOTAL_MB * 2**20


def read_artifacts(entry: Any, faults: list[str]) -> Artifacts | None:
    """What is wrong goes into `faults`."""
    if entry is None:
        return None
    entry = entry if isinstance(entry, dict) else {"patterns": entry}
    check_keys(entry, KEYS, "'artifacts'", faults)
    patterns = entry.get("patterns")
    patterns = [patterns] if isinstance(patterns, str) else patterns
    if not isinstance(patterns, list) or not patterns or not all(map(_is_inner, patterns)):
        faults.append(
            f"'artifacts' has the patterns {patterns!r}; write paths in the trial's own folder, "
            "such as '*.log'."
        )
        return None
    limits = {key: _bytes(entry[key], key, faults) for key in ("largest", "total") if key in entry}
    return Artifacts(tuple(patterns), **limits)


def _is_inner(pattern: Any) -> bool:
    if not isinstance(pattern, str) or pattern.startswith("/"):
        return False
    return all(part not in ("", ".", "..") for part in pattern.split("/"))


def _bytes(value: Any, key: str, faults: list[str]) -> int:
    """A size with a unit, or a number of MB."""
    try:
        found = in_unit(value, UNITS["MiB"])
    except UnitError as error:
        faults.append(f"'artifacts': {error}.")
        return 1
    if type(found) not in (int, float) or not 0 < found < 1e6:
        faults.append(f"'artifacts' has {value!r} as '{key}'; write a size such as 10Mi.")
        return 1
    return int(found * 2**20)
