"""What a run's results say: statistics, figures and one report.

    from benchmark import analysis
    analysis.process("compiled_results.csv").leaderboards["classification"]

    analysis.generate_tests()           # the tasks that batch.config asks for
    analysis.download_data()            # their data sets into the store
    analysis.analysis_suite()           # compiles the run's results, then `process`

Light to import: `process` loads pandas and matplotlib when it is called. The other functions are
those of `benchmark.api`, which lies above the drivers and is loaded by name when one is first used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import lazy

if TYPE_CHECKING:
    from benchmark.analysis.processing import Analysis

_MODULES = {
    "Analysis": "benchmark.analysis.processing",
    **dict.fromkeys(("analysis_suite", "download_data", "generate_tests"), "benchmark.api"),
}
__all__ = ["Analysis", "analysis_suite", "download_data", "generate_tests", "process"]


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
        export: a folder for tables in LaTeX and Markdown, all scores as Parquet, and AMLB's form;
            with it all figures are also PDFs, and otherwise only the classic ones.

    Raises:
        BenchmarkError: the results cannot be used or a file cannot be written.
    """
    from benchmark.analysis import processing
    from benchmark.analysis.results.table import read_results

    frame = read_results(results, merge=merge)
    before = None
    if against is not None:
        before = (Path(against).name, read_results(against, merge=merge))
    return processing.process(frame, figures, report, facts or {}, before=before, export=export)


def __getattr__(name: str) -> Any:
    return lazy.attribute(__name__, name, _MODULES)


def __dir__() -> list[str]:
    return list(__all__)
