"""The limits of one run of an objective, and the ranks of an MPI program; both may have units.

limits: {time: 2min, memory: 1.5Gi, cores: 2}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.files.spelling import check_keys
from benchmark.hpo.space.units import UNITS, UnitError, in_unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmark.hpo.space.search_space import Space
    from benchmark.hpo.space.tunables import Tunable

_LIMITS = {"time": 600.0, "memory": 1500, "cores": 1}
_OR = {"time": "", "memory": "", "cores": ", or 0 for trials that share all cores"}
_MOST_AGAIN = 100
# The program's MB, here as everywhere, are 2^20 bytes.
_UNITS = {"time": "s", "memory": "MiB", "cores": "cores"}


def with_unit(key: str, value: Any, unit: str, faults: list[str]) -> Any:
    """A text with a unit as a number in the wanted one; any other value as it is."""
    try:
        return in_unit(value, UNITS[unit])
    except UnitError as error:
        faults.append(f"'{key}': {error}.")
        return 1


def read_limits(entry: Any, faults: list[str]) -> dict[str, Any]:
    """Limits of one run: seconds, MB, cores (0: all of the machine, shared by its trials)."""
    entry = {} if entry is None else entry
    if not isinstance(entry, dict):
        faults.append(f"'limits' is {entry!r}; it takes time (seconds), memory (MB) and cores.")
        return dict(_LIMITS)
    check_keys(entry, _LIMITS, "'limits'", faults)
    texts = {key for key, value in entry.items() if isinstance(value, str)}
    entry = {
        key: with_unit(f"limits: {key}", entry[key], _UNITS[key], faults)
        for key in entry
        if key in _LIMITS
    }
    if "memory" in texts and entry["memory"] >= 1:
        entry["memory"] = int(entry["memory"])
    for key, value in entry.items():
        whole = key == "time" or type(value) is int
        shared = key == "cores" and type(value) is int and value == 0
        if type(value) not in (int, float) or not (0 < value < 1e9 or shared) or not whole:
            number = "number" if key == "time" else "whole number"
            faults.append(f"'limits' has {value!r} as '{key}'; write a {number} above 0{_OR[key]}.")
    return {key: entry.get(key, least) for key, least in _LIMITS.items()}


_RANKS = {"nodes": 1, "ranks_per_node": 1, "threads_per_rank": 1, "gpus_per_rank": 0}


def read_resources(
    entry: Any, tunables: Sequence[str], faults: list[str], space: Space
) -> dict[str, Any]:
    """Of an MPI program: each a whole number, or a tunable's name; empty where it is none.

    `space` has those of the tunables whose values are checked.
    """
    if not entry:
        return {}
    known = (*_RANKS, "time_s")
    if not isinstance(entry, dict):
        faults.append(f"'resources' is {entry!r}; it takes {', '.join(known)}.")
        return {}
    before = len(faults)
    check_keys(entry, known, "'resources'", faults)
    if len(faults) > before:
        return {}
    for key, value in entry.items():
        if key == "time_s":
            fits = type(value) in (int, float) and 0 < value < 1e9
        else:
            fits = value in tunables if isinstance(value, str) else type(value) is int
            fits = fits and (isinstance(value, str) or value >= min(1, _RANKS[key]))
        if not fits:
            faults.append(
                f"'resources' has {value!r} as '{key}'; write a number, or the name of a tunable."
            )
        elif isinstance(value, str):
            faults += _wrong_ranks(key, value, space)
    return dict(entry) if set(entry) == {"time_s"} else _RANKS | entry


def _wrong_ranks(key: str, name: str, space: Space) -> list[str]:
    """What is wrong with a tunable that gives a number of ranks: other values than such numbers."""
    least = min(1, _RANKS[key])
    return [
        f"'resources' has the tunable '{name}' as '{key}', whose values are {tunable.words}; give "
        f"it whole numbers from {least} on."
        for tunable in space.tunables
        if tunable.name == name and not _are_whole(tunable, least)
    ]


def _are_whole(tunable: Tunable, least: int) -> bool:
    if tunable.kind == "categorical":
        return all(type(choice) is int and choice >= least for choice in tunable.choices)
    low, step = tunable.low or 0, tunable.step or 0
    is_stepped = step > 0 and float(low).is_integer() and float(step).is_integer()
    return low >= least and (tunable.kind == "integer" or is_stepped)


@dataclass(frozen=True)
class Remeasure:
    """The best `top` trials are run `runs` times more before one of them is chosen.

    With `asked` in any case, else only where they differ by less than the noise that is seen.
    """

    top: int = 4
    runs: int = 3
    asked: bool = False


def read_remeasure(entry: Any, directions: int, faults: list[str]) -> Remeasure | None:
    """`remeasure` of a study file; None if it is off."""
    if entry is None or entry is False:
        return None if entry is False or directions > 1 else Remeasure()
    counts = entry if isinstance(entry, dict) else {}
    good = all(type(value) is int and 0 < value <= _MOST_AGAIN for value in counts.values())
    if not counts or not counts.keys() <= {"top", "runs"} or not good or counts.get("top") == 1:
        faults.append(
            f"'remeasure' is {entry!r}; write false, or {{top: 4, runs: 3}}: how many of the best "
            f"trials are run how often again (at most {_MOST_AGAIN})."
        )
    elif directions > 1:
        faults.append("'remeasure' needs a study of one direction; leave it out.")
    else:
        return Remeasure(**counts, asked=True)
    return None
