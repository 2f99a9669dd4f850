"""How values look at a prompt and in a notebook."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from benchmark.analysis.processing import Analysis
from benchmark.hpo import HPORunner
from benchmark.hpo.study.study import Study
from benchmark.notebook import LONGEST_LINE, Shown
from benchmark.records.results import Cause, Record
from benchmark.runs.summary import Summary

GOOD = Record(
    "flaml/credit-g/1",
    "success",
    metric="auc",
    metrics={"auc": 0.7912345678, "f1": 0.5},
    total_s=8.4567,
    labels={"framework": "flaml"},
)
BAD = Record(
    "constant/<b>x</b>/2",
    "failure",
    Cause.TIMEOUT,
    "It took\nlonger than\x1b[31m its limit.",
    labels={"framework": "constant"},
)


class Texts(HTMLParser):
    """The texts of a page, and its tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def texts(value: Shown) -> list[str]:
    return Texts(value._repr_html_()).texts


def test_a_record_is_one_line_with_the_metric_that_ranks() -> None:
    assert repr(GOOD) == "<Record flaml/credit-g/1: success, auc 0.791235, 8.46 s>"


def test_a_failed_record_has_its_message_on_the_same_line_without_control_characters() -> None:
    line = repr(BAD)
    assert line == (
        "<Record constant/<b>x</b>/2: timeout, It took longer than\\u001b[31m its limit.>"
    )
    assert len(repr(Record("1", "failure", Cause.SETUP, "long " * 1000))) <= LONGEST_LINE + 2


def test_a_record_as_a_table_has_what_it_knows() -> None:
    found = texts(GOOD)
    assert found[found.index("total_s") + 1] == "8.4567"
    assert "peak_memory_mb" not in found
    assert "b" not in Texts(BAD._repr_html_()).tags


def test_a_summary_counts_causes_and_lists_what_did_not_succeed() -> None:
    summary = Summary({record.task: record for record in (GOOD, BAD)}, faults=["One."])
    assert repr(summary) == "<Summary of 2 tasks: 1 success, 1 timeout, 1 fault>"
    found = texts(summary)
    assert found[found.index("framework") :][:6] == [
        *("framework", "success", "timeout"),
        *("constant", "0", "1"),
    ]
    assert BAD.task in found
    assert found.count(GOOD.task) == 0


def test_an_empty_summary() -> None:
    assert repr(Summary()) == "<Summary of 0 tasks: none>"


def test_a_long_table_says_how_many_more_there_are() -> None:
    records = {str(n): Record(str(n), "failure", Cause.DATA, "Lost.") for n in range(50)}
    assert "… and 30 more" in texts(Summary(records))


def test_an_analysis_shows_its_boards_and_the_figure_of_them(tmp_path: Path) -> None:
    board = pd.DataFrame({"rank": [1, 2], "framework": ["flaml", "gama"], "mean_rank": [1.25, 2.0]})
    drawn = tmp_path / "Leaderboard.png"
    drawn.write_bytes(b"png")
    analysis = Analysis({"regression": board}, [drawn], tmp_path / "report.html", [])
    assert repr(analysis).startswith("<Analysis: regression: flaml is first of 2; ")
    page = Texts(analysis._repr_html_())
    assert {"Regression", "flaml", "1.25"} <= set(page.texts)
    assert page.tags.count("img") == 1


@pytest.mark.slow
def test_a_study_says_its_trials_and_its_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "objective.py").write_text(
        "def objective(trial):\n"
        "    if trial.number == 1:\n"
        "        raise ValueError('no')\n"
        "    return trial.suggest_int('x', 3, 3)\n"
    )
    found = HPORunner("objective.py:objective", trials=2, name="three").run()
    assert repr(found) == "<Study three: 2 of 2 trials, best value 3 with x=3>"
    page = Texts(found._repr_html_())
    assert {"1 success, 1 framework", "x", "3"} <= set(page.texts)
    assert page.tags.count("img") == 1
    assert repr(Study(found.run, found.definition)) == repr(found)
