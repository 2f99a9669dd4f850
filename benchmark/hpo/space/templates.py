"""Values of tunables in the arguments of commands and in variables.

    filled("-Xmx{heap}m", {"heap": 512})                                # -Xmx512m
    filled("{gc_threads:-XX:ParallelGCThreads=}", {"gc_threads": 4})    # -XX:ParallelGCThreads=4
    filled("{gc_threads:-XX:ParallelGCThreads=}", {})                   # empty: it is inactive
    filled("${{HOME}}", {})                                             # ${HOME}

The text of a template precedes the value, or surrounds it if it has a `*`. An argument of
only templates of inactive tunables is removed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

_PLACE = re.compile(r"\{\{([^{}]*)\}\}|\{([^{}\s:]+):([^{}\s]+)\}|\{([^{}\s]+)\}")

# A number format of Python with a precision; no option of a command looks like it.
_FORMAT = re.compile(r"[+ ]?0?[0-9]*,?\.[0-9]+[eEfFgG%]?")
# The start of a template that is not one: it has a space, no text or no end.
_BROKEN = re.compile(r"\{([^{}\s:]+):|(?<!\{)\{([^{}\s:]+)$")


def filled(text: str, params: Mapping[str, Any]) -> str:
    """The text with each `{name}` replaced by the tunable's value; an inactive one is empty."""
    return _PLACE.sub(lambda place: _value(place, params), text)


def filled_words(words: Sequence[str], params: Mapping[str, Any]) -> list[str]:
    """The arguments of a command, without removed ones."""
    found = [(word, filled(word, params)) for word in words]
    return [text for word, text in found if text or not _vanishes(word)]


def names_in(text: str) -> Iterator[str]:
    """The tunables in the templates of a text."""
    for place in _PLACE.finditer(text):
        if place[1] is None:
            yield place[2] or place[4]


def unknown_in(text: str, known: Collection[str]) -> Iterator[str]:
    """The unknown names in a text."""
    return (name for name in names_in(text) if name not in known)


def formats_in(text: str, known: Collection[str]) -> Iterator[tuple[str, str]]:
    """The tunables whose template looks like one of Python's formats, `{x:.2f}`, and its text."""
    found = ((place[2], place[3]) for place in _PLACE.finditer(text) if place[2] in known)
    return ((name, layout) for name, layout in found if _FORMAT.fullmatch(layout))


def broken_in(text: str, known: Collection[str]) -> Iterator[str]:
    """The tunables in what looks like a template and would be passed as it is written."""
    rest = _PLACE.sub("", text)
    found = (place[1] or place[2] for place in _BROKEN.finditer(rest))
    return (name for name in found if name in known)


def plain(value: Any) -> str:
    """A value as text for a command: true and false in lower case, null as empty."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _value(place: re.Match[str], params: Mapping[str, Any]) -> str:
    escaped, name, template, alone = place.groups()
    if escaped is not None:
        return f"{{{escaped}}}"
    if alone is not None:
        return plain(params.get(alone))
    value = params.get(name)
    if value is None:
        return ""
    return template.replace("*", plain(value)) if "*" in template else template + plain(value)


def _vanishes(word: str) -> bool:
    """Whether an empty argument contains a template."""
    return any(place[2] is not None for place in _PLACE.finditer(word))
