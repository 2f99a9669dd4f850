"""The key `warm_start` of a study: earlier studies from which this one starts.

warm_start: [db-2025]
warm_start: [{study: db-2025, names: {threads: worker_threads}}]    # ours: theirs
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from benchmark.files.spelling import check_keys, meant
from benchmark.hpo.space.search_space import Space


@dataclass(frozen=True)
class PastStudy:
    """A study of the same store; `names` has its names of tunables by our own."""

    study: str
    names: dict[str, str] = field(default_factory=dict)


def read_warm_start(
    entry: Any, space: Space | None, directions: int, faults: list[str]
) -> tuple[PastStudy, ...]:
    """What is wrong goes into `faults`; `space` is None if it has faults of its own."""
    if entry is None:
        return ()
    found = []
    for one in entry if isinstance(entry, list) else [entry]:
        declared = {"study": one} if isinstance(one, str) else one
        declared = declared if isinstance(declared, dict) else {}
        names = declared.get("names", {})
        are_texts = isinstance(names, dict) and all(isinstance(one, str) for one in names.values())
        if not isinstance(declared.get("study"), str) or not are_texts:
            faults.append(
                f"'warm_start' has {one!r}; write names of studies of this store, or {{study: NAME,"
                " names: {ours: theirs}}."
            )
            continue
        check_keys(declared, ("study", "names"), "'warm_start'", faults)
        for name in names if space else ():
            if space is not None and name not in space.names:
                faults.append(
                    f"'warm_start' has the name {name!r}, which is not a tunable; "
                    f"{meant(name, space.names)}"
                )
        found.append(PastStudy(declared["study"], dict(names)))
    if directions > 1 or (space is not None and not space.tunables):
        faults.append("'warm_start' needs declared tunables and one direction; leave it out.")
    return tuple(found)
