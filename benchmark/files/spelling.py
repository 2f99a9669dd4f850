"""Suggestions for an unknown name.

meant("tme", ("time", "memory"))         # "did you mean 'time'?"
meant("x", ("time", "memory"))           # "there are time, memory."
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

# Of a longer text the start is compared, because comparing takes quadratic time.
_LONGEST = 200
# Of more names only the nearest are shown.
_SHOWN = 12


def nearest(name: Any, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name with the most similar spelling, if any is as similar as `cutoff` (0 to 1)."""
    near = difflib.get_close_matches(str(name)[:_LONGEST], list(known), n=1, cutoff=cutoff)
    return near[0] if near else None


def is_typo(name: str, known: str) -> bool:
    """Whether one name is the other with one letter lost, added or wrong within it, two swapped, or
    one doubled.

    Similar names of two things, such as p95 and p99 or loss and val_loss, are not.
    """
    matcher = difflib.SequenceMatcher(None, name, known, autojunk=False)
    edits = [edit for edit in matcher.get_opcodes() if edit[0] != "equal"]
    if not edits:
        return False
    (_, start, _, begin, _), (_, _, end, _, last) = edits[0], edits[-1]
    one, two = name[start:end], known[begin:last]
    if any(letter.isdigit() for letter in one + two):
        return False
    is_swapped = len(one) == 2 and one == two[::-1]
    is_within = start > 0 and end < len(name)
    is_doubled = start > 0 and len(one + two) == 1 and one + two == name[start - 1]
    return is_swapped or is_doubled or (is_within and len(one) < 2 and len(two) < 2)


def meant(
    name: Any, known: Collection[str], otherwise: str = "there are", cutoff: float = 0.6
) -> str:
    """The end of a message on an unknown name: the nearest one, or the known ones.

    Of very many known ones it lists the nearest, in the order of their likeness, and how many more
    there are.
    """
    near = nearest(name, known, cutoff)
    if near is not None:
        return f"did you mean '{near}'?"
    shown = list(known)
    if len(shown) > _SHOWN:
        shown = difflib.get_close_matches(str(name)[:_LONGEST], shown, n=_SHOWN, cutoff=0.0)
        shown.append(f"and {len(known) - _SHOWN} more")
    return f"{otherwise} {', '.join(shown) or 'none'}."


def not_a_choice(written: str, read: Any, choices: Iterable[Any]) -> str:
    """The message on an argument that is none of its choices, as it was `written` and `read`."""
    return f"'{written}' is not a choice; {meant(read, [*map(str, choices)], 'write one of')}"


def check_keys(
    entry: Iterable[Any],
    known: Collection[str],
    owner: str,
    faults: list[str],
    places: Mapping[Any, str] | None = None,
) -> None:
    """Add a fault for each unknown key of `owner`; `places` has the right place of some keys."""
    for key in entry:
        if key not in known:
            place = (places or {}).get(key)
            fix = f"it belongs in '{place}'." if place else meant(key, known)
            faults.append(f"{owner} has the unknown key '{key}'; {fix}")
