"""run-analysis: the leaderboard, the figures and the report of compiled results."""

from __future__ import annotations

import argparse
import contextlib
import csv
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.cli.output import notice, report, width
from benchmark.cli.progress import counted
from benchmark.cli.runs.question import claim_lines
from benchmark.errors import BenchmarkError
from benchmark.files.input_files import check_regular, expanded

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.analysis.processing import Analysis

COMPILED = "compiled_results.csv"
MATPLOTLIB = "MPLCONFIGDIR"


def run_analysis(options: argparse.Namespace) -> int:
    if options.fail_on_regression and not options.against:
        raise BenchmarkError(
            "--fail-on-regression needs the older run to compare with: --against RUN."
        )
    paths = [Path(path) for path in options.results or ()] or [_compiled(options)]
    with _drawing():
        from benchmark.analysis import processing
        from benchmark.analysis.results.table import read_results

        frame = _narrowed(options, paths, read_results(paths, merge=options.merge))
        notice(f"{_compared(frame, paths)}; figures go to {options.figures}/.")
        before = (options.against, _older(options)) if options.against else None
        found = processing.process(
            *(frame, options.figures, options.report, {}), before=before, export=options.export
        )
    for note in found.notes:
        notice(f"note: {note}")
    report(options, _facts(options, paths, found), _lines(options, found))
    regressed = options.fail_on_regression and found.change and found.change.regressions
    return 1 if regressed else 0


def _lines(options: argparse.Namespace, found: Analysis) -> Iterator[str]:
    if found.overall:
        yield f"all task types\n{_table(found.overall.board)}\n"
    for kind, board in found.leaderboards.items():
        yield f"{kind}\n{_table(board)}\n"
        standing = found.studies[kind].standing
        if standing:
            yield from claim_lines(standing)
            yield ""
    if found.change:
        from benchmark.analysis.comparison import lines

        yield f"changes since {options.against}"
        yield from lines(found.change)
        yield ""
    for files in (found.figures, found.tables):
        for folder in dict.fromkeys(file.parent for file in files):
            yield f"{folder}/: {counted(sum(file.parent == folder for file in files), 'file')}"
    yield str(found.report)


def _compared(frame: pd.DataFrame, paths: list[Path]) -> str:
    """Such as `Comparing 48 tasks of run 'forests' in compiled_results.csv`."""
    runs = sorted(set(frame["RUN"].dropna().astype(str)) - {""}) if "RUN" in frame.columns else []
    named = f"run {runs[0]!r} in " if len(runs) == 1 else f"{len(runs)} runs in " if runs else ""
    files = ", ".join(map(str, paths))
    return f"Comparing {counted(len(frame), 'task')} of {named}{files}"


def _table(board: pd.DataFrame) -> str:
    """A leaderboard as text, on a terminal without columns for which it is too narrow."""
    # A mean of RMSE over data sets would add up unlike scales.
    board, most = board.drop(columns="mean_rmse", errors="ignore"), width()
    board = board.rename(columns={"scaled_score": "median_scaled"})
    board["rank"] = board["rank"].map(lambda place: f"{place:.0f}", na_action="ignore")
    if most is not None:
        # The middle of a long name is left out: ends tell versions and budgets apart.
        most_name = max(min(most // 2, most - 44), 12)
        board["framework"] = [_short(str(name), most_name) for name in board["framework"]]
    for column in ("success_share", "mean_f1", "wins", "median_fit_s", None):
        text = board.to_string(index=False, float_format=lambda value: f"{value:.3f}", na_rep="-")
        if most is None or column is None or len(text.partition("\n")[0]) <= most:
            break
        board = board.drop(columns=column, errors="ignore")
    return text


def _short(name: str, most: int) -> str:
    if len(name) <= most:
        return name
    half = (most - 1) // 2
    return f"{name[: most - 1 - half]}…{name[-half:]}"


def _facts(options: argparse.Namespace, paths: list[Path], found: Analysis) -> dict[str, Any]:
    boards = {kind: board.to_dict(orient="records") for kind, board in found.leaderboards.items()}
    facts: dict[str, Any] = {
        "results": [str(path) for path in paths],
        "leaderboards": boards,
        "overall": found.overall.board.to_dict(orient="records") if found.overall else None,
        "figures": [str(path) for path in found.figures],
        "tables": [str(path) for path in found.tables],
        "report": str(found.report),
        "notes": found.notes,
    }
    if found.change:
        facts["change"] = {
            "against": options.against,
            "frameworks": found.change.frameworks.reset_index().to_dict(orient="records"),
            "datasets": found.change.datasets.to_dict(orient="records"),
            "regressions": list(found.change.regressions),
            "notes": list(found.change.notes),
        }
    return facts


def _older(options: argparse.Namespace) -> pd.DataFrame:
    """The results to compare with: a file of them, or else a run of the store."""
    from benchmark.analysis.results.table import read_results

    path = Path(options.against)
    if path.is_file():
        return read_results(path, merge=options.merge)
    from benchmark.cli.runs.status import write_results
    from benchmark.cli.session import loaded_configuration, stored
    from benchmark.runs.plan import existing

    config = loaded_configuration(options, run=options.against).values
    plan = existing(config, stored(config))
    with tempfile.TemporaryDirectory(prefix="automl-benchmark-") as folder:
        file = Path(folder) / COMPILED
        write_results(plan, file)
        return read_results(file, merge=options.merge)


def _compiled(options: argparse.Namespace) -> Path:
    """compiled_results.csv, written from the store where it is absent or a run is named.

    A file that has only the named run's rows may still be older than its last results, so a named
    run is compiled again; where the store does not have it, such a file is used.
    """
    path = Path(COMPILED)
    if options.run is None and path.exists():
        return path
    from benchmark.cli.runs.status import write_results
    from benchmark.cli.session import configuration, stored
    from benchmark.runs.plan import existing

    config = configuration(options)
    try:
        plan = existing(config, stored(config))
    except BenchmarkError as error:
        if options.run is not None and _runs_in(path) == {options.run}:
            notice(f"note: {error} {path} has that run's results and is used unchanged.")
            return path
        if options.run is None:
            raise BenchmarkError(f"There are no results at {path} to analyse. {error}") from None
        raise
    counts = write_results(plan, path)
    tasks = counted(sum(counts.values()), "task")
    notice(f"{path}: {tasks} of run '{plan.run.name}' in {plan.run.store.url}")
    return path


def _runs_in(path: Path) -> set[str]:
    """The runs that the rows of a compiled file name; empty if it is not such a file."""
    try:
        check_regular(path)
        with path.open(encoding="utf-8-sig", newline="") as file:
            return {row.get("RUN") or "" for row in csv.DictReader(file)}
    except (OSError, ValueError, csv.Error):
        return set()


def _narrowed(options: argparse.Namespace, paths: list[Path], frame: pd.DataFrame) -> pd.DataFrame:
    """The rows selected by --framework, --dataset and --seed, or all.

    Raises:
        BenchmarkError: a name is in none of the rows.
    """
    wanted = {"MODEL": options.framework, "DATASET_ID": options.dataset, "SEED": options.seed}
    for column, values in wanted.items():
        if values:
            present = set(frame[column])
            strangers = [value for value in values if value not in present]
            if strangers:
                known = ", ".join(str(value) for value in sorted(present))
                source = " and ".join(map(str, paths))
                raise BenchmarkError(f"{source} has no {column} '{strangers[0]}'; it has {known}.")
            frame = frame[frame[column].isin(values)]
            if "DRAWN" in frame.columns:  # A question is about its whole grid.
                frame = frame.assign(DRAWN=float("nan"))
    return frame


@contextlib.contextmanager
def _drawing() -> Iterator[None]:
    """Give matplotlib a temporary folder if it cannot write to the user's; silence its log."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    with contextlib.ExitStack() as stack:
        if not os.environ.get(MATPLOTLIB) and not _home_can_be_written():
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="automl-benchmark-"))
            os.environ[MATPLOTLIB] = folder
            stack.callback(os.environ.pop, MATPLOTLIB)
        yield


def _home_can_be_written() -> bool:
    """Whether matplotlib can create its folders for settings and its list of fonts."""
    try:
        home = expanded(os.environ.get("HOME") or "~")
    except BenchmarkError:
        return False
    for variable, usual in (("XDG_CONFIG_HOME", ".config"), ("XDG_CACHE_HOME", ".cache")):
        folder = Path(os.environ.get(variable) or home / usual) / "matplotlib"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return False
        if not os.access(folder, os.W_OK):
            return False
    return True
