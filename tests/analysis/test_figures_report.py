"""Figures and the report: what they show, and that hostile names cannot do harm."""

import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from benchmark.analysis import figures, process
from benchmark.analysis.report import write_report
from benchmark.analysis.statistics import leaderboard
from benchmark.analysis.table import CLASSIC, read_results
from benchmark.errors import BenchmarkError

HOSTILE = '<script>alert("1")</script>&$x^$'
FILES = {
    f"{name}.{ending}"
    for name in ("Leaderboard", "RawDataBoxPlotF1_SCORE", "RawDataBoxPlotMSE")
    for ending in ("pdf", "png")
}


class Tags(HTMLParser):
    """The tags of a page and whether each was closed."""

    def __init__(self):
        super().__init__()
        self.seen, self.open = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def table(frameworks=("constant", "a", "b"), datasets=6, seeds=1, failing=()):
    random = np.random.default_rng(0)
    rows = []
    for number in range(datasets):
        kind = ("classification", "regression")[number % 2]
        for name in frameworks:
            for seed in range(seeds):
                score = 0.5 if name == "constant" else random.uniform(0.5, 1)
                failed = name in failing
                rows.append(
                    {
                        **dict.fromkeys(CLASSIC, ""),
                        **{"ID": len(rows), "MODEL": name, "DATASET_ID": f"d{number}"},
                        **{"TYPE": kind, "SEED": seed},
                        ("F1_SCORE" if number % 2 == 0 else "MSE"): "" if failed else score,
                        "STATUS": "failure" if failed else "success",
                        "CAUSE": "timeout" if failed else "",
                        "MESSAGE": "stopped <b>after</b> 60 s" if failed else "",
                    }
                )
    return pd.DataFrame(rows)


@pytest.fixture
def results(tmp_path):
    def write(**shape):
        path = tmp_path / "compiled_results.csv"
        table(**shape).to_csv(path, index=False)
        return path

    return write


def texts(figure):
    return " ".join(text.get_text() for text in figure.findobj(lambda o: hasattr(o, "get_text")))


def test_process_writes_figures_and_report(results, tmp_path):
    done = process(results(failing=("b",)), tmp_path / "figures", tmp_path / "out" / "report.html")
    assert {path.name for path in done.figures} == FILES
    assert all(path.stat().st_size > 1000 for path in done.figures)
    assert list(done.leaderboards) == ["classification", "regression"]
    assert done.leaderboards["regression"].loc[0, "rank"] == 1
    assert any("imputed by the constant" in note for note in done.notes)
    page = done.report.read_text()
    assert "<strong>a</strong> leads" in page
    assert "3 data sets \u00d7 1 seed" in page
    assert "stopped &lt;b&gt;after&lt;/b&gt; 60 s" in page


def test_report_is_whole_and_needs_nothing_else(results, tmp_path):
    page = process(results(), tmp_path, tmp_path / "r.html").report.read_text()
    tags = Tags()
    tags.feed(page)
    assert not tags.open
    assert tags.seen.count("img") == 3
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "prefers-color-scheme: dark" in page


def test_hostile_names_are_escaped_and_drawn_as_they_are(results, tmp_path):
    path = results(frameworks=("constant", HOSTILE, "<img src=x>"), failing=("<img src=x>",))
    done = process(path, tmp_path, tmp_path / "r.html", {"run": "<i>mine</i>"})
    page = done.report.read_text()
    tags = Tags()
    tags.feed(page)
    assert "script" not in tags.seen
    assert "i" not in tags.seen
    assert tags.seen.count("img") == 3
    assert "&lt;script&gt;" in page


def test_one_type_alone(results, tmp_path):
    path = results(datasets=1)
    done = process(path, tmp_path, tmp_path / "r.html")
    assert list(done.leaderboards) == ["classification"]
    assert "RawDataBoxPlotMSE.png" not in {path.name for path in done.figures}


@pytest.mark.parametrize(
    "shape",
    [
        {"frameworks": ("a",), "datasets": 1},
        {"frameworks": ("a", "b"), "failing": ("a", "b")},
        {"frameworks": ("constant",)},
        {"frameworks": ("a" * 90, "b")},
        {"seeds": 30},
    ],
    ids=["one", "all-failed", "constant", "long-name", "many-seeds"],
)
def test_every_shape_of_results_can_be_drawn(results, shape):
    frame = read_results(results(**shape))
    figure = figures.score_boxes(frame, "classification")
    figures.as_svg(figure)
    if shape.get("failing"):
        assert "No result to compare yet" in texts(figure)


@pytest.mark.parametrize("infinite", [1, 3, 5, 7])
@pytest.mark.parametrize("datasets", [14, 8])
def test_infinite_scores_are_counted_at_the_edge(results, datasets, infinite):
    frame = read_results(results(datasets=datasets))
    rows = (frame["TYPE"] == "regression") & (frame["MODEL"] == "b")
    frame.loc[frame.index[rows][:infinite], "MSE"] = np.inf
    figure = figures.score_boxes(frame, "regression")
    figures.as_svg(figure)
    assert f"\u25c2 {min(infinite, datasets // 2)}" in texts(figure)


def test_failures_stand_beside_the_boxes(results):
    figure = figures.score_boxes(read_results(results(failing=("b",))), "classification")
    assert "3" in texts(figure).split()


def test_classic_metric_can_be_asked_for(results):
    figure = figures.score_boxes(read_results(results()), "regression", "MSE")
    assert "Regression: MSE, scaled" in texts(figure)


def test_colours_go_by_sorted_name_and_differ():
    names = [f"f{number}" for number in range(12)]
    palette = figures.colours(reversed(names))
    assert palette == figures.colours(names)
    assert len(set(palette.values())) == 12
    assert len(figures.colours(str(number) for number in range(40))) == 40


def test_svg_is_the_same_each_time(results):
    boards = {"classification": leaderboard(read_results(results()), "classification")}
    first, second = (figures.as_svg(figures.mean_ranks(boards, {})) for _ in range(2))
    assert first == second


def test_report_says_when_nothing_can_be_compared(results, tmp_path):
    frame = read_results(results(frameworks=("a",), failing=("a",)))
    boards = {"classification": leaderboard(frame, "classification")}
    page = write_report(frame, boards, {}, tmp_path / "r.html", {}).read_text()
    assert "Classification: no result can be compared yet." in page


def test_unwritable_places_are_told(results, tmp_path):
    path = results()
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(BenchmarkError, match="cannot be written to"):
        process(path, blocked, tmp_path / "r.html")
    with pytest.raises(BenchmarkError, match="report cannot be written"):
        process(path, tmp_path / "f", blocked / "r.html")


def test_import_is_light():
    code = "import sys, benchmark.analysis; print({'pandas', 'matplotlib'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"
