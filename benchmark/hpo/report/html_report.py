"""A study as one HTML file: the result first, then its evidence.

write_report(run, definition, Path("report-sqlite"))
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pandas as pd

from benchmark.analysis.figures.style import PLAIN, number, save
from benchmark.analysis.report.html import table
from benchmark.analysis.report.page import facts_line, figures, page, write_page
from benchmark.hpo.objectives.artifacts_key import KEPT, LEFT_OUT
from benchmark.hpo.objectives.objective import told_apart
from benchmark.hpo.report import export
from benchmark.hpo.report.columns import columns
from benchmark.hpo.report.figures import CAPTIONS, Trials, drawn
from benchmark.hpo.report.hypervolume import hypervolume
from benchmark.hpo.report.trial_line import counts
from benchmark.hpo.report.verdict import Verdict, known
from benchmark.hpo.space.search_space import identity
from benchmark.hpo.spec.stop_rules import IMPORTED
from benchmark.templates import macros

if TYPE_CHECKING:
    from collections.abc import Callable

    from markupsafe import Markup

    from benchmark.hpo.spec.study_file import StudyDefinition
    from benchmark.records.results import Record
    from benchmark.records.tasks import Run

MOST_LISTED = 2_000
HEADINGS = {"MESSAGE": "message"}


def write_report(run: Run, definition: StudyDefinition, folder: Path) -> Path:
    """Write `report.html` and the figures (PDF and PNG) into a folder; return the report's path.

    Raises:
        BenchmarkError: the folder cannot be written.
    """
    records = export.trial_records(run)
    trials = Trials(records, definition)
    images = {name: save(drawing, folder / "figures", name)[1] for name, drawing in drawn(trials)}
    places = {"best": "Best", "figures": "Figures", "trials": "Trials"}
    parts = [
        _answer(trials, known(run, definition, records)),
        facts_line(_conditions(run, definition)),
        _best(trials),
        figures((name, png.read_bytes(), CAPTIONS[name]) for name, png in images.items()),
        _every(trials),
        _artifacts(run, trials, folder),
    ]
    title = f"Study {definition.name}"
    return write_page(page(title, places, parts), folder / "report.html")


def _html(macro: str) -> Callable[..., Markup]:
    made: Callable[..., Markup] = getattr(macros("study/report.html"), macro)
    return made


def _answer(trials: Trials, verdict: Verdict | None) -> Markup:
    """The best, compared with the first trial (the default if declared)."""
    front = export.best_of(trials.records, trials.definition)
    several = len(trials.directions) > 1
    return _html("answer")(
        counts(trials.records, trials.definition),
        [f"trial {record.task}" for record in front],
        hypervolume(trials.records, trials.definition) if front and several else None,
        _first(trials, front[0]) if front and not several else None,
        verdict,
    )


def _first(trials: Trials, best: Record) -> dict[str, Any]:
    """The best trial in words."""
    value = best.labels["values"][0]
    fresh = export.configuration(best).get(export.FRESH) or ()
    start = _default(trials, best)
    default = None
    if start is not None and identity(start.labels["params"]) != identity(best.labels["params"]):
        base = start.labels["values"][0]
        gain = f", {(value - base) / abs(base):+.1%}" if base else ""
        broken = not export.is_feasible(start)
        default = {
            "trial": start.task,
            "value": number(base, PLAIN),
            "gain": gain,
            "broken": broken,
        }
    return {
        "trial": best.task,
        "name": next(iter(trials.directions)),
        "value": number(value, PLAIN),
        "again": ["failed" if value is None else number(value, PLAIN) for value in fresh],
        "default": default,
    }


def _default(trials: Trials, best: Record) -> Record | None:
    """The first successful trial at the defaults, if that and the best were both measured here, or
    both elsewhere."""
    default = trials.definition.space.default()
    if default is None:
        return None
    mine = identity(default)
    imported = bool(best.labels.get(IMPORTED))
    comparable = (one for one in trials.good if bool(one.labels.get(IMPORTED)) == imported)
    return next((one for one in comparable if identity(one.labels["params"]) == mine), None)


def _conditions(run: Run, definition: StudyDefinition) -> dict[str, object]:
    objective = definition.objective
    return {
        "direction": ", ".join(f"{n} {d}" for n, d in definition.directions.items()),
        "algorithm": definition.algorithm,
        "limits": f"{definition.time_s:g} s, {definition.memory_mb} MiB, "
        f"{definition.cores or 'shared'} core{'s' if definition.cores != 1 else ''}",
        "repeats": objective.repeats,
        "store": run.store.url,
    }


def _best(trials: Trials) -> Markup:
    """The best's tunables and their defaults; with several directions every trial on the front."""
    front = export.best_of(trials.records, trials.definition)
    if not front:
        return _html("best")("")
    defaults = {t.name: t for t in trials.definition.space.tunables if t.has_default}
    if len(trials.directions) > 1:
        shown = table(_rows(trials, front), HEADINGS, _formats(trials), identity="front")
        return _html("best")(shown)
    choices = export.choices(trials.records, trials.definition)
    units = {name: unit.name for name, unit in trials.definition.space.units.items()}
    rows = [
        {
            "Tunable": f"{name} ({units[name]})" if name in units else name,
            "Best": told_apart(value, choices.get(name, ())),
            "Default": told_apart(defaults[name].default, choices.get(name, ()))
            if name in defaults
            else "",
        }
        for name, value in front[0].labels["params"].items()
    ]
    changed = [row["Best"] != row["Default"] for row in rows]
    shown = table(pd.DataFrame(rows), {}, {}, identity="best-params", leaders=changed)
    return _html("best")(shown)


def _every(trials: Trials) -> Markup:
    """A row for each trial; only the first ones of very many: the CSV has all."""
    if not trials.records:
        return _html("trials")("", 0)
    rows = _rows(trials, trials.records[:MOST_LISTED])
    shown = table(rows, HEADINGS, _formats(trials), identity="every-trial")
    return _html("trials")(shown, len(trials.records) - len(rows))


def _artifacts(run: Run, trials: Trials, folder: Path) -> Markup:
    """The files that trials left; those of the best are copied beside the report."""
    best = {record.task for record in export.best_of(trials.records, trials.definition)}
    lines: list[dict[str, Any]] = []
    for record in trials.records:
        for kept in record.labels.get(KEPT, ()):
            copied = record.task in best
            link = quote(_copied(run, kept["path"], folder)) if copied else ""
            lines.append({"trial": record.task, "why": "", "link": link, **kept})
        for why in record.labels.get(LEFT_OUT, ()):
            lines.append({"trial": record.task, "why": why})
    return _html("artifacts")(lines[:MOST_LISTED], len(lines) - MOST_LISTED, run.store.url)


def _copied(run: Run, path: str, folder: Path) -> str:
    """Copy a stored file into the report's folder; return where it is from there."""
    inner = path.removeprefix(f"{run.name}/")
    copy = folder / inner
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_bytes(run.store.get(path) or b"")
    return inner


def _rows(trials: Trials, records: list[Record]) -> pd.DataFrame:
    names = export.tunable_names(trials.records, trials.definition)
    headed = columns(trials.directions, names)
    choices = export.choices(trials.records, trials.definition)
    rows: list[dict[str, Any]] = []
    for record in records:
        params = record.labels.get("params") or {}
        row: dict[str, Any] = {"trial": int(record.task), "state": export.state(record)}
        values = zip(trials.definition.directions, headed.directions.values(), strict=True)
        row |= {head: record.metrics.get(name) for name, head in values}
        row |= {
            head: told_apart(params[name], choices.get(name, ())) if name in params else ""
            for name, head in headed.tunables.items()
        }
        said = record.message or export.infeasible(record, trials.definition)
        row |= {"seconds": record.total_s, "MESSAGE": said}
        rows.append(row)
    frame = pd.DataFrame(rows)
    return frame.astype(dict.fromkeys([*headed.directions.values(), "seconds"], float))


def _formats(trials: Trials) -> dict[str, str]:
    values = columns(trials.directions, ()).directions.values()
    return {"trial": "d", "seconds": ".3g", **dict.fromkeys(values, PLAIN)}
