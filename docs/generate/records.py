"""The reference of records and their causes, from the classes that are written."""

from __future__ import annotations

import dataclasses

from benchmark.records.results import Cause, Record
from benchmark.runs.compiled import COLUMNS
from docs.generate.markdown import NOTE, prose, table, texts_of


def page() -> str:
    texts = texts_of(Record)
    fields = [
        (f"`{field.name}`", f"`{_type(str(field.type))}`", prose(texts[field.name]))
        for field in dataclasses.fields(Record)
    ]
    causes = [
        (f"`{cause.value}`", _yes(cause.is_result), _yes(cause.is_retried)) for cause in Cause
    ]
    return "\n".join(
        [
            NOTE,
            "# Records\n",
            "A record says how an attempt ended. That of a result lies in `RUN/out/`, one JSON "
            "object a file, created once; every attempt has one in `RUN/attempts/`.\n",
            table(("field", "type", "meaning"), fields),
            "## Causes\n",
            "[The user guide](../user-guide.md#causes) says when each is given.\n",
            table(("cause", "is a result", "tried again by itself"), causes),
            "## Columns of compiled_results.csv\n",
            "In this order; [the user guide](../user-guide.md#results) says what they mean.\n",
            ", ".join(f"`{column}`" for column in COLUMNS) + "\n",
        ]
    )


def _type(annotation: str) -> str:
    return annotation.replace(" | None", "?").replace("Any", "…")


def _yes(truth: bool) -> str:
    return "yes" if truth else "no"
