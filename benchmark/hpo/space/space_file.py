"""Read and check a declared search space; all faults are reported at once.

Tunables are as in the HPO service (name, value_type, lower_bound, upper_bound, step, choices),
with the additional keys log, when, default, layer and unit; `layers` are lists of tunables by name.
Bounds may have units: `lower_bound: 256Mi, upper_bound: 4Gi` is a tunable in Mi, from 256 to 4096.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from types import NoneType
from typing import Any

from benchmark.files.spelling import check_keys, meant
from benchmark.hpo.space import rules
from benchmark.hpo.space.search_space import Space, SpaceError
from benchmark.hpo.space.tunables import LARGEST, Kind, Tunable
from benchmark.hpo.space.units import UNITS, Unit, UnitError, in_unit, unit, unit_of

Declared = list[tuple[Any, str | None]]

KINDS: dict[str, Kind] = {
    "double": "double",
    "float": "double",
    "integer": "integer",
    "int": "integer",
    "categorical": "categorical",
}
KEYS = (
    *("name", "value_type", "lower_bound", "upper_bound", "step", "choices"),
    *("log", "when", "default", "layer", "unit"),
)
_LARGEST_EXACT = 2**53
_NAME = re.compile(r"[^\s{}=\x00-\x1f\x7f\ud800-\udfff]{1,200}")


def read_space(values: Mapping[str, Any], *, stored: bool = False) -> Space:
    """The space of a study file: its keys tunables, layers, forbidden and initial.

    These are lists, `layers` lists by name: `StudySpec` checks it.

    One that is `stored` may have rules that are refused in a new one.

    Raises:
        SpaceError: the message lists every fault, a line each.
    """
    faults: list[str] = []
    tunables: list[Tunable] = []
    declared = [(_in_unit(entry, faults), layer) for entry, layer in _declared(values)]
    for place, (entry, layer) in enumerate(declared):
        tunable = _tunable(entry, layer, declared[:place], faults)
        if tunable is not None:
            tunables.append(tunable)
            if not isinstance(tunable.layer, (str, NoneType)) and not stored:
                faults.append(
                    f"The tunable '{tunable.name}' has {tunable.layer!r} as 'layer'; write a text."
                )
    if not declared and not faults:
        faults.append("The space has no tunables; declare at least one under 'tunables'.")
    names = _names(declared)
    forbidden = rules.read_forbidden(
        values.get("forbidden") or [], names, tunables, _units(declared), faults, stored=stored
    )
    space = Space(tuple(tunables), forbidden)
    if not faults:
        rules.check(space, faults)
    initial = _initial(values.get("initial") or [], space, faults) if not faults else ()
    if faults:
        raise SpaceError("\n".join(faults))
    return Space(space.tunables, forbidden, initial)


def declared_names(values: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of all tunables, including faulty ones."""
    return tuple(_names(_declared(values)))


def _names(declared: Declared) -> list[str]:
    """The names of entries that have one."""
    named = (entry.get("name") for entry, _ in declared if isinstance(entry, dict))
    return [name for name in named if isinstance(name, str)]


def _choices(declared: Declared) -> list[Any]:
    """The choices of all entries that have some."""
    lists = (entry.get("choices") for entry, _ in declared if isinstance(entry, dict))
    return [choice for choices in lists if isinstance(choices, list) for choice in choices]


def _declared(values: Mapping[str, Any]) -> Declared:
    """Every entry with its layer, from `tunables` and from `layers`."""
    layers = (values.get("layers") or {}).items()
    return [
        *((entry, None) for entry in values.get("tunables") or []),
        *((entry, str(layer)) for layer, entries in layers for entry in entries),
    ]


def _tunable(entry: Any, layer: str | None, before: Declared, faults: list[str]) -> Tunable | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        faults.append(f"A tunable is {entry!r}; give each a 'name' and a 'value_type'.")
        return None
    name, earlier = entry["name"], _names(before)
    before_it = len(faults)

    def fault(text: str) -> None:
        faults.append(f"The tunable '{name}' {text}")

    if not _NAME.fullmatch(name):
        fault(
            "has a name with a space, a brace, '=' or a control character, or none; choose another."
        )
    if name in earlier:
        fault("is declared twice; give one of the two another name.")
    check_keys(entry, KEYS, f"The tunable '{name}'", faults)
    value_type = entry.get("value_type")
    kind = KINDS.get(str(value_type).lower())
    if kind is None and (value_type is not None or len(faults) == before_it):
        kinds = ("double", "integer", "categorical")
        fault(f"has the value_type {value_type!r}; {meant(value_type, kinds, 'write one of')}")
    if kind is None:
        return None
    if kind == "categorical":
        _check_choices(entry, fault)
    else:
        _check_bounds(entry, kind, fault)
    when = None
    if entry.get("when") is not None:
        when = rules.read_rule(entry["when"], _units(before), fault)
    if when is not None and when.names - set(earlier):
        unknown = sorted(when.names - set(earlier))[0]
        fault(
            f"has a condition on '{unknown}', which is not an earlier tunable; "
            f"{rules.suggestion(unknown, when, earlier, _choices(before))}"
        )
    if len(faults) > before_it:
        return None
    integer = kind == "integer"
    bound = {
        key: int(entry[key]) if integer else entry[key]
        for key in ("lower_bound", "upper_bound", "step")
        if entry.get(key) is not None
    }
    tunable = Tunable(
        name=name,
        kind=kind,
        low=bound.get("lower_bound"),
        high=bound.get("upper_bound"),
        step=bound.get("step"),
        log=bool(entry.get("log", False)),
        choices=tuple(entry.get("choices") or ()) if kind == "categorical" else (),
        when=when,
        default=entry.get("default"),
        has_default="default" in entry,
        layer=entry.get("layer", layer),
        unit=UNITS.get(str(entry.get("unit"))),
    )
    if tunable.has_default and not tunable.admits(tunable.default):
        fault(
            f"has the default {tunable.default!r}, which is not one of its values; they are "
            f"{tunable.words}."
        )
        return None
    if tunable.has_default:
        # The types of values distinguish points, too.
        return replace(tunable, default=tunable.typed(tunable.default))
    return tunable


_BOUNDS = ("lower_bound", "upper_bound", "step", "default")


def _in_unit(entry: Any, faults: list[str]) -> Any:
    """The entry with its bounds as numbers in its unit, by default that of the first bound with
    one."""
    if not isinstance(entry, dict) or entry.get("choices") is not None:
        return entry
    bounds = {key: entry[key] for key in _BOUNDS if entry.get(key) is not None}
    texts = [bound for bound in bounds.values() if isinstance(bound, str)]
    if not texts and "unit" not in entry:
        return entry
    owner = f"The tunable '{entry.get('name')}'"
    try:
        own = unit(entry["unit"]) if "unit" in entry else unit_of(texts[0])
    except UnitError as error:
        faults.append(f"{owner}: {error}")
        return entry
    if own is None:
        return entry  # no number at all, which is a fault found later
    bare = [key for key, bound in bounds.items() if not isinstance(bound, str)]
    if "unit" not in entry and own.base and bare:
        faults.append(
            f"{owner} has a unit in {texts[0]!r} and none in its '{bare[0]}'; write it with both, "
            f"or once as unit: {own.name}."
        )
    try:
        numbers = {key: in_unit(bound, own) for key, bound in bounds.items()}
    except UnitError as error:
        faults.append(f"{owner}: {error}.")
        return entry
    rest = {key: value for key, value in entry.items() if key != "unit"}
    return rest | numbers | ({"unit": own.name} if own.base else {})


def _units(declared: Declared) -> dict[str, Unit]:
    """The units of the entries that have one, by name."""
    entries = (entry for entry, _ in declared if isinstance(entry, dict))
    return {
        str(entry.get("name")): UNITS[entry["unit"]]
        for entry in entries
        if isinstance(entry.get("unit"), str) and entry["unit"] in UNITS
    }


def _check_choices(entry: Mapping[str, Any], fault: Any) -> None:
    choices = entry.get("choices")
    if not isinstance(choices, list) or not choices:
        fault("is categorical and has no choices; list them under 'choices'.")
        return
    kinds = (bool, int, float, str, type(None))
    strange = [c for c in choices if not isinstance(c, kinds)]
    endless = [
        c for c in choices if isinstance(c, (int, float)) and not abs(c) <= sys.float_info.max
    ]
    if strange:
        fault(f"has the choice {strange[0]}; a choice is a text, number, boolean or null.")
    elif endless:
        found = str(endless[0]) if isinstance(endless[0], float) else "above 1.8e308"
        fault(
            f"has a choice that is not a finite number ({found}); leave it out, or write it as a "
            "text."
        )
    elif repeated := [c for c, n in Counter((type(c), c) for c in choices).items() if n > 1]:
        twice = repeated[0][1]
        fault(
            f"lists the choice {json.dumps(twice, ensure_ascii=False)} twice; list each once, and "
            "write versions such as 1.10 in quotes."
        )
    for key in ("lower_bound", "upper_bound", "step", "log"):
        if entry.get(key) not in (None, False):
            fault(f"is categorical and has '{key}'; leave it out, or make it a number.")


def _check_bounds(entry: Mapping[str, Any], kind: str, fault: Any) -> None:
    numbers = {}
    for key in ("lower_bound", "upper_bound", "step"):
        value = entry.get(key)
        if value is None:
            if key != "step":
                fault(f"has no '{key}'.")
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            fault(f"has {value!r} as '{key}'; write a number.")
        elif not abs(value) <= LARGEST:
            fault(f"has {value!r} as '{key}'; write a finite number.")
        elif kind == "integer" and value != int(value):
            fault(f"is an integer and has {value!r} as '{key}'; write a whole number.")
        elif kind == "integer" and abs(value) > _LARGEST_EXACT:
            fault(f"has {value!r} as '{key}'; integers reach to 2^53.")
        else:
            numbers[key] = value
    if entry.get("choices"):
        fault("is a number and has choices; leave them out, or make it categorical.")
    if not isinstance(entry.get("log", False), bool):
        fault(f"has {entry['log']!r} as 'log'; write true or false.")
    _check_reach(entry, numbers, fault)


def _check_reach(entry: Mapping[str, Any], numbers: Mapping[str, Any], fault: Any) -> None:
    """Check bounds and step together."""
    low, high = numbers.get("lower_bound"), numbers.get("upper_bound")
    if low is None or high is None:
        return
    if low > high:
        fault(f"has the lower_bound {low!r} above the upper_bound {high!r}; swap them.")
    if entry.get("log") is True and low <= 0:
        fault(f"is logarithmic and has the lower_bound {low!r}; it must be above 0.")
    step = numbers.get("step")
    if step is not None and step <= 0:
        fault(f"has the step {step!r}; it must be above 0.")
    elif step is not None and step > high - low > 0:
        fault(f"has the step {step!r}, which is longer than from {low!r} to {high!r}.")
    elif step is not None and (high - low) / 2 / step > _LARGEST_EXACT:
        fault(f"has more than 2^53 steps of {step!r} to {high!r}; write a longer step, or none.")


def _initial(entries: Any, space: Space, faults: list[str]) -> tuple[dict[str, Any], ...]:
    points = []
    for number, declared in enumerate(entries, 1):
        entry = _point_in_units(declared, space)
        points.append(entry)
        fault = space.fault(entry)
        if fault is not None:
            faults.append(f"Initial point {number}: {fault}")
    return tuple(space.typed(entry) for entry in points) if not faults else ()


def _point_in_units(point: Mapping[str, Any], space: Space) -> dict[str, Any]:
    """A point whose texts with units are converted to numbers in their tunable's unit."""
    known = space.units
    found = dict(point)
    for name in known.keys() & point.keys():
        with contextlib.suppress(UnitError):  # a text, which the space refuses
            found[name] = in_unit(point[name], known[name])
    return found
