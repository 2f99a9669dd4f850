"""What users declare as models of pydantic: each fault is one sentence with value, place and fix.

    class Limits(Declared):
        time: Annotated[float, Field(gt=0)] = 600.0

    faults: list[str] = []
    read(Limits, {"time": -1, "tme": 5}, "'limits'", faults).time     # 600.0
    faults  # 'limits' has -1 as 'time'; write a number above 0.  'limits' has the unknown key …

A faulty key has its default, so that what depends on other keys can be checked in the same answer.
The description of a field says what to write; without one the sentence follows from its type.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from benchmark.files.spelling import check_keys, meant
from benchmark.files.value_faults import correction, shown

_D = TypeVar("_D", bound="Declared")


class Declared(BaseModel):
    """Values are read exactly: `true`, `"1"` and `1.0` do not stand for the number 1."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        populate_by_name=True,
        arbitrary_types_allowed=True,
    )

    @classmethod
    def keys(cls) -> tuple[str, ...]:
        """The keys as users write them."""
        return tuple(field.alias or name for name, field in cls.model_fields.items())


def read(
    model: type[_D],
    entry: Any,
    owner: str,
    faults: list[str],
    *,
    places: Mapping[Any, str] | None = None,
    names: Mapping[str, str] | None = None,
) -> _D:
    """The entry as a model; what is wrong goes into `faults`.

    If a key without a default is faulty or missing, the model lacks its attribute.

    Args:
        model: what the entry should be.
        entry: what was declared; None is no key at all.
        owner: the entry's name in a message: a key in quotes, or else what has the keys.
        faults: receives one sentence for each faulty key.
        places: the right places of keys that belong elsewhere.
        names: keys as they were written, where another form of the entry has other ones.
    """
    if not isinstance(entry, dict):
        if entry is not None:
            faults.append(f"{owner} is {shown(entry)}; it takes {', '.join(model.keys())}.")
        return model()
    known, written = model.keys(), names or {}
    unknown = [key for key in entry if key not in known]
    check_keys(unknown, [written.get(key, key) for key in known], owner, faults, places)
    given = {key: value for key, value in entry.items() if key in known}
    takes = {}
    for key, field in zip(known, model.model_fields.values(), strict=True):
        takes[key] = field.description or _described(field.annotation)
        kind = field.annotation
        if key in given and isinstance(kind, type) and issubclass(kind, Declared):
            given[key] = read(kind, given[key], f"'{key}'", faults)
    try:
        return model.model_validate(given)
    except ValidationError as error:
        # A union has a fault for each of its members; the first is enough.
        wrong = {str(fault["loc"][0]): fault for fault in error.errors()[::-1]}
    for key, fault in reversed(wrong.items()):
        value = fault["input"] if len(fault["loc"]) == 1 else given[key]
        faults.append(_sentence(written.get(key, key), value, takes[key], fault, owner))
    kept = {key: value for key, value in given.items() if key not in wrong}
    fields = zip(known, model.model_fields.values(), strict=True)
    if any(field.is_required() and key in wrong for key, field in fields):
        return model.model_construct(**kept)
    return model.model_validate(kept)


def _described(kind: Any) -> str | None:
    """The description of a union's member."""
    found = (part for one in get_args(kind) for part in getattr(one, "__metadata__", ()))
    return next((part.description for part in found if isinstance(part, FieldInfo)), None)


def _sentence(key: str, value: Any, takes: str | None, fault: ErrorDetails, owner: str) -> str:
    is_part = owner.startswith("'")
    if fault["type"] == "value_error":
        place = f"'{owner[1:-1]}: {key}':" if is_part else f"'{key}'"
        return f"{place} {fault['msg'].removeprefix('Value error, ')}."
    if fault["type"] == "missing":
        return f"{owner} has no '{key}'; write {takes}."
    text = repr(value) if isinstance(value, str) and len(value) <= 80 else shown(value)
    place = f"{owner} has {text} as '{key}'" if is_part else f"'{key}' is {text}"
    if fault["type"] == "literal_error":
        options = re.findall("'([^']*)'", fault["ctx"]["expected"])
        return f"{place}; {meant(value, options, 'write one of')}"
    return f"{place}; {f'write {takes}' if takes else correction(fault)}."
