"""A study as one HTML file: what was found first, then what it rests on.

write_report(run, definition, Path("report-sqlite"))
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from benchmark.analysis.figures.saving import save
from benchmark.analysis.report.html import filter_box, listed, number, table
from benchmark.analysis.report.page import facts_line, figure, page, write_page
from benchmark.hpo import export
from benchmark.hpo.figures import CAPTIONS, Trials, drawn
from benchmark.hpo.objective import told_apart
from benchmark.hpo.verdict import known

if TYPE_CHECKING:
    from benchmark.hpo.study_file import StudyDefinition
    from benchmark.hpo.verdict import Verdict
    from benchmark.results import Record
    from benchmark.tasks import Run

MOST_LISTED = 2_000
HEADINGS = {"MESSAGE": "message"}


def write_report(run: Run, definition: StudyDefinition, folder: Path) -> Path:
    """Write `report.html` and the figures (PDF and PNG) into a folder; returns the report's path.

    Raises:
        BenchmarkError: the folder cannot be written.
    """
    records = export.trial_records(run)
    trials = Trials(records, definition)
    images = {name: save(drawing, folder / "figures", name)[1] for name, drawing in drawn(trials)}
    places = {"best": "Best", "figures": "Figures", "trials": "Trials"}
    parts = [
        _answer(trials, known(run, definition)),
        facts_line(_conditions(run, definition)),
        _best(trials),
        '<h2 id="figures">Figures</h2>',
        *(figure(name, png.read_bytes(), CAPTIONS[name]) for name, png in images.items()),
        _every(trials),
    ]
    title = f"Study {definition.name}"
    return write_page(page(title, places, parts), folder / "report.html")


def _answer(trials: Trials, verdict: Verdict | None) -> str:
    states = [record.status for record in trials.records]
    counted = (
        f"{len(states)} of {trials.definition.trials} trials: {states.count('success')} "
        f"successes, {states.count('failure')} failures, {states.count('prune')} pruned"
    )
    found = _found(trials, verdict)
    return f'<div class="answer"><p class="first">{found}</p><p>{counted}.</p></div>'


def _found(trials: Trials, verdict: Verdict | None) -> str:
    """The best in a sentence, beside the first trial (the default where one is declared)."""
    front = export.best_of(trials.records, trials.definition)
    if not front:
        return "No trial has a value that keeps the constraints yet."
    if len(trials.directions) > 1:
        names = listed([f"trial {record.task}" for record in front])
        return f"{len(front)} trials are on the Pareto front: {names}."
    name = next(iter(trials.directions))
    value = front[0].labels["values"][0]
    said = f"Trial <strong>{front[0].task}</strong> has the best {escape(name)}, {number(value)}"
    start = _default(trials)
    if start is None or start.task == front[0].task:
        return f"{said}."
    base = start.labels["values"][0]
    gain = f", {(value - base) / abs(base):+.1%}" if base else ""
    said = f"{said}; the default (trial {start.task}) has {number(base)}{gain}"
    if verdict:
        return f"{said}, in one trial each. {escape(str(verdict))}"
    confirm = "<code>tune --confirm</code> says whether that is more than noise"
    return f"{said}. One trial each: {confirm}."


def _default(trials: Trials) -> Record | None:
    """The first successful trial at the defaults."""
    default = trials.definition.space.default()
    found = (record for record in trials.good if record.labels["params"] == default)
    return None if default is None else next(found, None)


def _conditions(run: Run, definition: StudyDefinition) -> dict[str, object]:
    objective = definition.objective
    return {
        "direction": ", ".join(f"{n} {d}" for n, d in definition.directions.items()),
        "algorithm": definition.algorithm,
        "limits": f"{definition.time_s:g} s, {definition.memory_mb} MB, {definition.cores} "
        f"core{'s' if definition.cores != 1 else ''}",
        "repeats": objective.repeats,
        "store": run.store.url,
    }


def _best(trials: Trials) -> str:
    """The best's tunables beside their defaults; of several directions every one on the front."""
    heading = '<h2 id="best">Best</h2>'
    front = export.best_of(trials.records, trials.definition)
    if not front:
        return f"{heading}<p>None yet.</p>"
    defaults = {t.name: t for t in trials.definition.space.tunables if t.has_default}
    if len(trials.directions) > 1:
        return heading + table(_rows(trials, front), HEADINGS, _formats(trials), identity="front")
    alike = export.choices(trials.records, trials.definition)
    rows = [
        {
            "Tunable": name,
            "Best": told_apart(value, alike.get(name, ())),
            "Default": told_apart(defaults[name].default, alike.get(name, ()))
            if name in defaults
            else "",
        }
        for name, value in front[0].labels["params"].items()
    ]
    changed = [row["Best"] != row["Default"] for row in rows]
    return heading + table(pd.DataFrame(rows), {}, {}, identity="best-params", leaders=changed)


def _every(trials: Trials) -> str:
    """A row for each trial; of very many the first ones, for the CSV has all."""
    heading = '<h2 id="trials">Trials</h2>'
    if not trials.records:
        return f"{heading}<p>None yet.</p>"
    shown = trials.records[:MOST_LISTED]
    left = len(trials.records) - len(shown)
    more = f"<p>{left} more are in experiment-data.csv.</p>" if left else ""
    rows = _rows(trials, shown)
    return (
        heading
        + filter_box("every-trial", "trials")
        + table(rows, HEADINGS, _formats(trials), identity="every-trial")
        + more
    )


def _rows(trials: Trials, records: list[Record]) -> pd.DataFrame:
    names = export.tunable_names(trials.records, trials.definition)
    alike = export.choices(trials.records, trials.definition)
    rows: list[dict[str, Any]] = []
    for record in records:
        params = record.labels.get("params") or {}
        row: dict[str, Any] = {"trial": int(record.task), "state": record.cause or record.status}
        row |= {name: record.metrics.get(name) for name in trials.directions}
        row |= {
            f"{name} ": told_apart(params[name], alike.get(name, ())) if name in params else ""
            for name in names
        }
        row |= {"seconds": record.total_s, "MESSAGE": record.message}
        rows.append(row)
    frame = pd.DataFrame(rows)
    return frame.astype(dict.fromkeys([*trials.directions, "seconds"], float))


def _formats(trials: Trials) -> dict[str, str]:
    return {"trial": "d", "seconds": ".3g", **dict.fromkeys(trials.directions, ".6g")}
