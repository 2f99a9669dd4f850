"""Figures and the report: what they show, and that hostile names cannot do harm."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from benchmark.analysis import figures, missing, process
from benchmark.analysis.processing import shapes_of, studies_of
from benchmark.analysis.report import sections, write_report
from benchmark.analysis.results.table import read_results
from benchmark.analysis.statistics.comparable import compare
from benchmark.analysis.type_statistics import study
from benchmark.errors import BenchmarkError
from tests.support.made_results import grid

HOSTILE = '</script><script>alert("1")</script>&$x^$'
EACH_TYPE = ("CriticalDifference", "ScaledScores", "Elo", "WinMatrix", "Pareto")
CLASSIC = (
    *("DatasetMeanF1Score", "DatasetMeanMSE", "DatasetShapes", "DatasetPerformance"),
    *("RawDataBoxPlotF1_SCORE", "RawDataBoxPlotMSE"),
)
FIGURES = {
    *("Leaderboard", "CriticalDifferenceAll", "FitTime", "Failures", *CLASSIC),
    *(f"{name}{kind}" for name in EACH_TYPE for kind in ("Classification", "Regression")),
}


class Tags(HTMLParser):
    """The tags of a page, whether each was closed, and the data inside of the scripts."""

    def __init__(self):
        super().__init__()
        self.seen, self.open, self.scripts, self.links = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "link", "img", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)


def parsed(page):
    tags = Tags()
    tags.feed(page)
    return tags


def records_of(page):
    return json.loads(next(text for text in parsed(page).scripts if text.startswith("{")))


@pytest.fixture
def results(tmp_path):
    def write(**shape):
        path = tmp_path / "compiled_results.csv"
        grid(**shape).to_csv(path, index=False)
        return path

    return write


@pytest.fixture
def draw(results):
    def drawn(**shape):
        frame = read_results(results(**shape))
        absent = missing.by_cause(frame)
        return dict(figures.drawn(frame, studies_of(frame), absent, shapes_of(frame)))

    return drawn


def texts(figure):
    return " ".join(text.get_text() for text in figure.findobj(lambda o: hasattr(o, "get_text")))


def rendered(figure):
    figure.canvas.draw()
    return figure


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The whole analysis of results in which `b` failed everywhere."""
    folder = tmp_path_factory.mktemp("done")
    path = folder / "compiled_results.csv"
    grid(failing=("b",)).to_csv(path, index=False)
    return process(path, folder / "figures", folder / "out" / "report.html")


def test_process_writes_figures_and_report(done):
    written = {path.name for path in done.figures}
    assert written == {f"{name}.png" for name in FIGURES} | {
        f"{name}.pdf" for name in figures.CLASSIC_NAMES
    }
    assert all(path.stat().st_size > 1000 for path in done.figures)
    assert list(done.leaderboards) == ["classification", "regression"]
    assert done.leaderboards["regression"].loc[0, "rank"] == 1
    assert done.studies["regression"].leaders == ["a"]
    assert any("imputed by the constant" in note for note in done.notes)
    assert "b has no score on 6 tasks: 6 timeout." in done.notes
    page = done.report.read_text()
    assert "<strong>a</strong> leads" in page
    assert "3 data sets \u00d7 1 seed" in page
    assert "stopped &lt;b&gt;after&lt;/b&gt; 60 s" in page
    assert "default/logs/b/1.log" in page


def test_figures_of_an_earlier_analysis_are_removed_and_nothing_else(tmp_path):
    for name in (*FIGURES, "UntilClassification", "Mine"):
        (tmp_path / f"{name}.png").touch()
        (tmp_path / f"{name}.pdf").touch()
    (tmp_path / "DatasetMeanMSE.png").unlink()
    (tmp_path / "DatasetMeanMSE.png").symlink_to("Mine.png")
    (tmp_path / "Failures.pdf").unlink()
    (tmp_path / "Failures.pdf").mkdir()
    figures.remove_others(tmp_path, [tmp_path / "Failures.png"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("Failures.pdf", "Failures.png", "Mine.pdf", "Mine.png"),
    ]
    with pytest.raises(BenchmarkError, match=r"Mine.png/.* cannot be removed: Not a directory; "):
        figures.remove_others(tmp_path / "Mine.png", [])


def test_one_board_over_all_task_types(done):
    assert done.overall.title == "All task types"
    assert done.overall.comparison.size == "6 data sets \u00d7 1 seed"
    page = done.report.read_text()
    assert "All task types: <strong>a</strong> leads" in page
    assert page.index('<h2 id="all">') < page.index('<h2 id="classification">')


def test_scores_of_every_framework_on_every_data_set(results, tmp_path):
    frame = read_results(results(frameworks=("constant", "a"), datasets=2, seeds=2, score=0.5))
    page = write_report(frame, studies_of(frame), {}, tmp_path / "r.html", {}).read_text()
    start = page.index('<table class="sortable grid" id="grid-classification">')
    assert page[start : page.index("</table>", start)].endswith(
        '<tbody><tr><td class="name">d0</td><td class="short">weighted F1</td>'
        '<td class="number best">0.5 \u00b1 0</td><td class="number best">0.5 \u00b1 0</td></tr>'
        "</tbody>"
    )


def test_the_best_on_a_data_set_has_a_score_on_all_seeds(results, tmp_path):
    frame = read_results(results(frameworks=("constant", "a"), datasets=2, seeds=2, score=0.5))
    frame.loc[(frame["MODEL"] == "a") & (frame["SEED"] == 0), "F1_SCORE"] = 0.9
    frame.loc[(frame["MODEL"] == "a") & (frame["SEED"] == 1), ["STATUS", "CAUSE"]] = [
        "failure",
        "timeout",
    ]
    page = write_report(frame, studies_of(frame), {}, tmp_path / "r.html", {}).read_text()
    assert '<td class="number">0.9 (1 of 2)</td>' in page
    assert '<td class="number best">0.5 \u00b1 0</td>' in page


def test_report_is_whole_and_needs_nothing_else(done):
    page = done.report.read_text()
    tags = parsed(page)
    assert not tags.open
    assert tags.seen.count("img") == len(FIGURES)
    assert tags.links.count("data:,") == 1  # No icon, so that a browser does not ask for one.
    links = [link for link in tags.links if link != "data:,"]
    assert all(link.startswith(("data:image/png", "#")) for link in links)
    anchors = {link[1:] for link in tags.links if link.startswith("#")}
    assert anchors <= set(re.findall(r'id="([^"]+)"', page))
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    assert [path.name for path in done.report.parent.iterdir()] == ["report.html"]


def test_report_has_every_record(done):
    data = records_of(done.report.read_text())
    columns = {column["name"]: column for column in data["columns"]}
    assert data["rows"] == 18
    model = columns["MODEL"]
    assert [model["words"][code] for code in model["codes"]] == list(grid()["MODEL"])
    assert columns["F1_SCORE"]["values"].count(None) == 9 + 3
    assert "LOGLOSS" not in columns


@pytest.mark.slow
def test_hostile_names_are_escaped_and_drawn_as_they_are(results, tmp_path):
    path = results(frameworks=("constant", HOSTILE, "<img src=x>"), failing=("<img src=x>",))
    done = process(path, tmp_path, tmp_path / "r.html", {"run": "<i>mine</i>"})
    page = done.report.read_text()
    tags = parsed(page)
    assert not tags.open
    assert tags.seen.count("script") == 2
    assert "i" not in tags.seen
    assert tags.seen.count("img") == len(FIGURES)
    assert "alert(" in page
    assert "<script>alert" not in page
    assert HOSTILE in records_of(page)["columns"][1]["words"]


@pytest.mark.slow
def test_one_type_alone(results, tmp_path):
    path = results(datasets=1)
    done = process(path, tmp_path, tmp_path / "r.html")
    assert list(done.leaderboards) == ["classification"]
    assert not [path for path in done.figures if "MSE" in path.name or "Regression" in path.name]


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape",
    [
        {"frameworks": ("a",), "datasets": 1},
        {"frameworks": ("a", "b"), "failing": ("a", "b")},
        {"frameworks": ("constant",)},
        {"frameworks": ("a" * 90, "b", "ß🙂 \u6846\u67b6", "$\\alpha_{")},
        {"frameworks": tuple(f"framework {number}" for number in range(25)), "datasets": 10},
        {"datasets": 300, "frameworks": ("constant", "a")},
        {"score": 0.5},
        {"seeds": 30, "datasets": 2},
    ],
    ids=["one", "all-failed", "constant", "names", "25", "300", "ties", "many-seeds"],
)
@pytest.mark.filterwarnings("ignore:Glyph .* missing from")
def test_every_shape_of_results_can_be_drawn(draw, shape):
    pictures = draw(**shape)
    for figure in pictures.values():
        rendered(figure)
    if shape.get("failing"):
        assert {"Leaderboard", "EloClassification"}.isdisjoint(pictures)


def test_axes_of_many_frameworks_are_few(results):
    names = tuple(f"framework {number}" for number in range(25))
    frame = read_results(results(frameworks=names, datasets=8))
    comparison = compare(frame, "classification", "F1_SCORE")
    figure = figures.dataset_means(comparison, figures.looks(names))
    assert len(figure.axes) == 1
    assert "framework 24" in texts(figure)


@pytest.mark.parametrize("infinite", [1, 3, 5, 7])
@pytest.mark.parametrize("datasets", [14, 8])
def test_infinite_scores_are_counted_at_the_edge(results, datasets, infinite):
    frame = read_results(results(datasets=datasets))
    rows = (frame["TYPE"] == "regression") & (frame["MODEL"] == "b")
    frame.loc[frame.index[rows][:infinite], "MSE"] = np.inf
    shown = figures.looks(frame["MODEL"])
    figure = rendered(figures.score_boxes(compare(frame, "regression"), shown))
    assert f"\u25c2 {min(infinite, datasets // 2)}" in texts(figure)


def test_a_rating_without_end_has_an_arrow(results):
    frame = read_results(results(frameworks=("constant", "a"), datasets=4))
    found = study(frame, "classification")
    assert found.extra["elo"]["constant"] == -np.inf
    (axes,) = figures.elo(found, figures.looks(frame["MODEL"])).axes
    # The line at 1000, the other's mark, and an arrow in place of a mark at a finite rating.
    assert sorted(line.get_marker() for line in axes.lines) == ["<", "None", "o"]


def test_failures_stand_beside_the_boxes_and_by_cause(results):
    frame = read_results(results(failing=("b",)))
    boxes = figures.score_boxes(compare(frame, "classification"), figures.looks(frame["MODEL"]))
    assert "3" in texts(boxes).split()
    shown = texts(figures.failures(missing.by_cause(frame)))
    assert "timeout" in shown
    assert "6 tasks ended without a score" in shown
    none = figures.failures(missing.by_cause(read_results(results())))
    assert "No task failed" in texts(none)


def test_scatters_count_who_wins_whatever_the_direction(results):
    frame = read_results(results(frameworks=("constant", "a"), datasets=8))
    shown = figures.looks(frame["MODEL"])
    for kind, metric in (("classification", "F1_SCORE"), ("regression", "MSE")):
        figure = figures.dataset_means(compare(frame, kind, metric), shown)
        counts = [text.get_text() for text in figure.axes[0].texts if text.get_text().isdigit()]
        # The row is the constant predictor, which wins nowhere.
        assert counts == ["0", "4"]


def test_classic_metric_is_named(results):
    frame = read_results(results())
    comparison = compare(frame, "regression", "MSE")
    shown = texts(figures.score_boxes(comparison, figures.looks(frame["MODEL"])))
    assert "Regression: MSE, scaled" in shown


def test_fits_over_their_budget_are_told(results):
    frame = read_results(results())
    frame.loc[frame["MODEL"] == "a", "FIT_S"] = 61.0
    assert "100%" in texts(figures.fit_times(frame, figures.looks(frame["MODEL"])))


@pytest.mark.parametrize("seconds", [6.657816426505338, 0.1, 1e-06, 1e-11])
def test_a_lone_fit_time_has_an_axis(seconds, recwarn):
    row = {"MODEL": ["a"], "FIT_S": [seconds], "RUNTIME": [5.0], "HARD_LIMIT": [60.0]}
    figures.fit_times(pd.DataFrame(row), figures.looks(["a"])).canvas.draw()
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.parametrize("rows", [(209, 344, 1309), (7, 7), (150, 442, 569, 1000, 1030, 48842)])
def test_every_data_set_is_in_the_histograms(rows):
    """Also the smallest and the largest, at the edges of the bins."""
    shapes = pd.DataFrame({"rows": rows, "features": rows, "type": "regression"})
    for axes in figures.dataset_shapes(shapes).axes:
        assert sum(patch.get_height() for patch in axes.patches) == len(rows)


def test_looks_go_by_sorted_name_and_differ():
    names = [f"f{number:02}" for number in range(40)]
    shown = figures.looks(reversed(names))
    assert shown == figures.looks(names)
    assert len({look.colour for look in list(shown.values())[:12]}) == 12
    assert len({(look.colour, look.mark) for look in shown.values()}) == 40


def test_report_says_when_nothing_can_be_compared(results, tmp_path):
    frame = read_results(results(frameworks=("a",), failing=("a",)))
    page = write_report(frame, studies_of(frame), {}, tmp_path / "r.html", {}).read_text()
    assert "Classification: no result can be compared yet." in page
    assert not parsed(page).open


def test_a_run_without_any_result_yet_is_analysed(results, tmp_path):
    frame = read_results(results(frameworks=("constant", "a")))
    frame[["STATUS", "CAUSE"]] = ""
    frame[["F1_SCORE", "MSE"]] = np.nan
    studies = studies_of(frame)
    notes = (
        "Not ranked, since no task has a result yet: a, constant.",
        "No result can be compared yet.",
    )
    assert {found.notes for found in studies.values()} == {notes}
    page = write_report(frame, studies, {}, tmp_path / "r.html", {}).read_text()
    assert "Classification: no result can be compared yet." in page


def test_pairs_differ_only_where_friedman_shows_that_some_do(results):
    found = studies_of(read_results(results(datasets=40)))["classification"]
    assert found.friedman.p < 0.05
    assert ">yes<" in sections.tests(found)
    unsure = replace(found, friedman=replace(found.friedman, p=0.06))
    assert ">yes<" not in sections.tests(unsure)
    assert "is not significant" in sections.tests(unsure)


def test_a_claim_that_flips_is_marked(results, tmp_path):
    frame = read_results(results(frameworks=("constant", "a", "b"), datasets=12))
    kind = frame["TYPE"] == "classification"
    frame.loc[kind & (frame["MODEL"] == "a"), "F1_SCORE"] = 0.9
    frame.loc[kind & (frame["MODEL"] == "b"), "F1_SCORE"] = 0.8
    late = frame["DATASET_ID"].isin(["d0", "d2", "d4", "d6"]) & (frame["MODEL"] == "a")
    frame.loc[late, "STATUS"] = "failure"
    frame.loc[late, "CAUSE"] = "memory"
    page = write_report(frame, studies_of(frame), {}, tmp_path / "r.html", {}).read_text()
    assert "This flips" in page
    assert "not if missing results are dropped for all" in page


def test_places_that_only_a_tie_changes_are_not_said_to_be_the_same(results, tmp_path):
    frame = read_results(results(frameworks=("constant", "a", "b"), datasets=10))
    frame.loc[frame["MODEL"] == "a", "F1_SCORE"] = 0.9
    frame.loc[frame["MODEL"] == "b", "F1_SCORE"] = 0.8
    lost = (frame["MODEL"] == "a") & frame["DATASET_ID"].isin(["d6", "d8"])
    frame.loc[lost, ["STATUS", "CAUSE"]] = ["failure", "timeout"]
    studies = {"classification": study(frame, "classification")}
    assert studies["classification"].leaders == ["a", "b"]
    page = write_report(frame, studies, {}, tmp_path / "r.html", {}).read_text()
    assert "No order of two frameworks flips" in page
    assert "No place depends" not in page


@pytest.mark.slow
def test_unwritable_places_are_told(results, tmp_path):
    path = results()
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(BenchmarkError, match="cannot be written to"):
        process(path, blocked, tmp_path / "r.html")
    frame = read_results(path)
    with pytest.raises(BenchmarkError, match="report cannot be written"):
        write_report(frame, studies_of(frame), {}, blocked / "r.html", {})


def test_import_is_light():
    code = "import sys, benchmark.analysis; print({'pandas', 'matplotlib'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"
