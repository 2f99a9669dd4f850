"""A study at a prompt and in a notebook: its trials and its best, and its history as a figure."""

from __future__ import annotations

import io
from collections import Counter
from typing import TYPE_CHECKING

from benchmark.hpo.report import export
from benchmark.notebook import Shown, counted, line, number, picture, table

if TYPE_CHECKING:
    from markupsafe import Markup

    from benchmark.hpo.spec.study_file import StudyDefinition
    from benchmark.records.results import Record
    from benchmark.records.tasks import Run


class ShownStudy(Shown):
    """Base of what has the `run` and the `definition` of a study."""

    run: Run
    definition: StudyDefinition

    def _line(self) -> str:
        records = export.trial_records(self.run)
        imported = sum(bool(record.labels.get("imported")) for record in records)
        more = f" (+{imported} imported)" if imported else ""
        trials = f"{len(records) - imported} of {self.definition.trials} trials{more}"
        front = export.best_of(records, self.definition)
        return f"Study {self.definition.name}: {trials}, {self._best(front)}"

    def _best(self, front: list[Record]) -> str:
        if not front:
            return "no best yet"
        if len(self.definition.directions) > 1:
            return f"{len(front)} on the Pareto front"
        best = export.configuration(front[0])
        params = ", ".join(f"{name}={number(value)}" for name, value in best["params"].items())
        value = number(best["values"][0])
        return f"best {next(iter(self.definition.directions))} {value} with {params}"

    def _html(self) -> list[Markup]:
        """How the trials ended, the best ones, and the history of all."""
        records = export.trial_records(self.run)
        ends = Counter(map(export.state, records))
        names = export.tunable_names(records, self.definition)
        front = [
            (one["trial"], *one["values"], *(one["params"].get(name, "") for name in names))
            for one in map(export.configuration, export.best_of(records, self.definition))
        ]
        parts = [line(counted(ends))]
        if front:
            parts.append(table(("trial", *self.definition.directions, *names), front))
        if records:
            parts.append(_history(records, self.definition))
        return parts


def _history(records: list[Record], definition: StudyDefinition) -> Markup:
    from benchmark.hpo.report.figures import Trials, history

    drawn = io.BytesIO()
    history(Trials(records, definition)).savefig(drawn, format="png")
    return picture(drawn.getvalue(), "Every trial's value and the best until then")
