"""What a run's results say: statistics, figures and one report.

    from benchmark import analysis
    analysis.process("compiled_results.csv").leaderboards["classification"]

    analysis.generate_tests()           # the tasks that batch.config asks for
    analysis.download_data()            # their data sets into the store
    analysis.analysis_suite()           # compiles the run's results, then `process`

Light to import: pandas and matplotlib are loaded by `process`, and what walks over a run, which
stands in benchmark.runs.interactive, when it is first asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from benchmark.analysis.comparison import Change
    from benchmark.analysis.statistics import Statistics
    from benchmark.runs.interactive import analysis_suite, download_data, generate_tests

__all__ = ["Analysis", "analysis_suite", "download_data", "generate_tests", "process"]


@dataclass(frozen=True)
class Analysis:
    """What `process` found and wrote.

    `leaderboards` by task type, `figures` and `report` the files written, in `notes` what was
    imputed or left out, a sentence each, and all statistics by task type in `studies`. `change` is
    what changed since an older run, `tables` the files for papers, where those were asked for.
    """

    leaderboards: dict[str, pd.DataFrame]
    figures: list[Path]
    report: Path
    notes: list[str]
    studies: dict[str, Statistics] = field(default_factory=dict)
    change: Change | None = None
    tables: list[Path] = field(default_factory=list)


def process(
    results: str | Path | Sequence[str | Path] = "compiled_results.csv",
    figures: str | Path = "figures",
    report: str | Path = "report.html",
    facts: Mapping[str, object] | None = None,
    *,
    merge: bool = False,
    against: str | Path | None = None,
    export: str | Path | None = None,
) -> Analysis:
    """Read the results, compare the frameworks, draw the figures and write the report.

    Args:
        results: compiled results or AMLB's `results.csv`, or several such files.
        figures: the folder for the figures; made where it is missing.
        report: the HTML file to write.
        facts: what else the report says of the run, such as its name and limits.
        merge: take results of different budgets or manifests and tell them apart by name.
        against: an older run's results, to say what changed since.
        export: a folder for tables in LaTeX and Markdown, all scores as Parquet, and AMLB's form.

    Raises:
        BenchmarkError: the results cannot be used or a file cannot be written.
    """
    from benchmark.analysis import processing
    from benchmark.analysis.table import read_results

    frame = read_results(results, merge=merge)
    before = None
    if against is not None:
        before = (Path(against).name, read_results(against, merge=merge))
    return processing.process(frame, figures, report, facts or {}, before=before, export=export)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from benchmark.runs import interactive

    return getattr(interactive, name)


def __dir__() -> list[str]:
    return list(__all__)
