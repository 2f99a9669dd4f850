"""What may have been meant by a name that is unknown.

meant("tme", ("time", "memory"))         # "did you mean 'time'?"
meant("x", ("time", "memory"))           # "there are time, memory."
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_SHOWN = 40


def nearest(name: Any, known: Iterable[str]) -> str | None:
    """The known name that is spelt most like this one, if any is."""
    near = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.6)
    return near[0] if near else None


def meant(name: Any, known: Collection[str], otherwise: str = "there are") -> str:
    """The end of a sentence about an unknown name: the nearest one, or all there are."""
    near = nearest(name, known)
    if near is not None:
        return f"did you mean '{near}'?"
    shown = [*list(known)[:_SHOWN], *(["…"] if len(known) > _SHOWN else [])]
    return f"{otherwise} {', '.join(shown) or 'none'}."


def check_keys(entry: Iterable[Any], known: Collection[str], owner: str, faults: list[str]) -> None:
    """A fault for each key that `owner` does not have."""
    for key in entry:
        if key not in known:
            faults.append(f"{owner} has the unknown key '{key}'; {meant(key, known)}")
