"""Figures of many frameworks stay readable: labels do not overlap, the rest is left out."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.path import Path
from matplotlib.text import Text

from benchmark.analysis import figures, missing
from benchmark.analysis.figures import costs, labels, pairs, standings, style
from benchmark.analysis.processing import shapes_of, studies_of
from benchmark.analysis.results.table import read_results
from benchmark.analysis.statistics import hypotheses
from benchmark.analysis.statistics.comparable import compare
from benchmark.analysis.statistics.leaderboard import leaderboard
from benchmark.analysis.type_statistics import study
from benchmark.cli import analysis as cli_analysis
from tests.support.made_results import grid, results

NAMES = tuple(f"framework {number:02}" for number in range(45))


@pytest.fixture(scope="module")
def frame(tmp_path_factory):
    path = tmp_path_factory.mktemp("many") / "compiled_results.csv"
    grid(frameworks=("constant", *NAMES), datasets=8).to_csv(path, index=False)
    return read_results(path)


@pytest.fixture(scope="module")
def found(frame):
    return study(frame, "classification")


def written(axes):
    return [text for text in axes.texts if text.get_text()]


@pytest.mark.parametrize("near", [1.0, 1.001, 1.5])
def test_names_in_the_scatter_of_times_do_not_overlap(found, frame, near):
    seconds = pd.Series({name: 0.01 * near**place for place, name in enumerate(NAMES)})
    figure = figures.pareto(found, seconds, "seconds", figures.looks(frame["MODEL"]))
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    # Without the lines to the points.
    boxes = [Text.get_window_extent(text, renderer) for text in written(figure.axes[0])]
    assert costs.BEST_NAMED - 2 <= len(boxes) < len(NAMES)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_all_are_named_if_they_are_few(frame):
    few = frame[frame["MODEL"].isin(["constant", *NAMES[:15]])]
    seconds = pd.Series(dict.fromkeys(NAMES[:15], 0.5))
    figure = figures.pareto(
        study(few, "classification"), seconds, "seconds", figures.looks(few["MODEL"])
    )
    assert len(written(figure.axes[0])) == 15


def test_names_in_the_scatter_of_times_do_not_cross_its_lines():
    names = ["constant", *(f"a framework {number}" for number in range(8))]
    frame = results(
        [
            (name, f"d{data}", 0, 0.1 * place + 0.02 * (data % 3))
            for place, name in enumerate(names)
            for data in range(6)
        ]
    )
    seconds = pd.Series({name: 0.1 * 1.8**place for place, name in enumerate(names)})
    found = study(frame, "classification")
    figure = figures.pareto(found, seconds, "seconds", figures.looks(names))
    figure.canvas.draw()
    (axes,) = figure.axes
    renderer = figure.canvas.get_renderer()
    boxes = [Text.get_window_extent(text, renderer) for text in written(axes)]
    front = next(line for line in axes.lines if line.get_drawstyle() == "steps-post")
    x, y = (np.repeat(side, 2) for side in front.get_data())
    steps = axes.transData.transform(np.column_stack([x[1:], y[:-1]]))
    assert len(boxes) == len(names)
    assert not any(Path(steps).intersects_bbox(box, filled=False) for box in boxes)


def test_lines_to_names_cross_nothing():
    """The best of a hundred frameworks, which are near each other."""
    random = np.random.default_rng(3)
    points = np.column_stack([random.lognormal(0, 0.4, 100), random.beta(8, 2, 100)])
    best = sorted(points.tolist(), key=lambda point: -point[1])[: costs.MOST_NAMED]
    figure = style.sheet("t", "s", 8.6, 5.8)
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.plot(*points.T, "o")
    style.laid_out(figure)
    named = [(x, y, f"framework {number:03}") for number, (x, y) in enumerate(best)]
    labels.beside(figure, axes, named, points, np.empty((0, 4)))
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    texts = written(axes)
    boxes = {text: Text.get_window_extent(text, renderer) for text in texts}
    lines = {
        text: text.arrow_patch.get_transform().transform_path(text.arrow_patch.get_path())
        for text in texts
        if text.arrow_patch is not None
    }
    assert costs.BEST_NAMED + 5 <= len(texts) <= len(named)
    assert len(lines) > 3
    for text, line in lines.items():
        others = [other for of, other in lines.items() if of is not text]
        assert not any(line.intersects_path(other, filled=False) for other in others)
        around = [box for of, box in boxes.items() if of is not text]
        assert not any(line.intersects_bbox(box, filled=False) for box in around)


@pytest.mark.slow
def test_names_of_rows_are_inside_the_grid_of_scatters():
    names = [f"a framework of {number:02} letters" for number in range(12)]
    frame = results([(name, data, 0, 0.5) for name in names for data in "xyz"])
    for count in (9, 10, 12):
        few = frame[frame["MODEL"].isin(names[:count])]
        figure = figures.dataset_means(compare(few, "classification"), figures.looks(names))
        figure.canvas.draw()
        renderer = figure.canvas.get_renderer()
        assert all(text.get_window_extent(renderer).x0 >= 0 for text in figure.axes[0].texts)


def test_ticks_between_powers_have_their_own_values():
    frame = pd.DataFrame({"rows": [100, 200], "features": [3, 4], "type": "classification"})
    figure = figures.dataset_shapes(frame)
    figure.canvas.draw()
    for axes in figure.axes:
        shown = [label.get_text() for label in axes.get_xticklabels()]
        assert len(set(shown)) == len(shown)


def test_ticks_of_one_axis_have_one_form():
    axes = style.sheet("", "", 6, 3).subplots()
    axes.set_xscale("log")
    axes.set_xlim(5e-7, 20_000)
    style.plain_powers(axes)
    form = axes.xaxis.get_major_formatter()
    ticks = (1e-6, 1e-4, 0.015, 0.01, 1, 1.5, 10, 10_000)
    shown = ["0.000001", "0.0001", "0.015", "0.01", "1", "1.5", "10", "10,000"]
    assert [form(value) for value in ticks] == shown


def test_the_critical_difference_has_a_row_for_each(found, frame):
    figure = figures.critical_difference(found, figures.looks(frame["MODEL"]))
    (axes,) = figure.axes
    assert len(axes.get_yticks()) == len(found.mean_ranks) > standings.MOST_JOINED
    ranks = found.mean_ranks.sort_values(kind="stable").to_numpy(float)
    (lines,) = axes.collections
    ends = [segment[:, 0] for segment in lines.get_segments()]
    assert [start for start, _ in ends] == pytest.approx(ranks)
    assert ends[0][1] == pytest.approx(min(ranks[0] + found.difference, len(ranks)))


def test_the_grid_of_scatters_shows_the_best(frame):
    comparison = compare(frame, "classification", "F1_SCORE")
    figure = figures.dataset_means(comparison, figures.looks(frame["MODEL"]))
    shown = {text.get_text() for text in (*figure.axes[0].texts, *figure.texts)}
    assert any(f"the {pairs.MOST_SCATTERED} best of 46" in text for text in shown)
    assert len(shown & {"constant", *NAMES}) == pairs.MOST_SCATTERED
    assert "constant" not in shown


def test_the_matrix_of_wins_has_no_numbers(found):
    (axes,) = figures.win_matrix(found).axes
    assert len(axes.get_xticklabels()) == 46
    assert not axes.collections


def test_a_board_fits_a_terminal_whatever_the_names(monkeypatch):
    monkeypatch.setattr(cli_analysis, "width", lambda: 80)
    names = ["constant", "a" * 200 + " (60)", "a" * 200 + " (3600)"]
    rows = [(name, f"d{n}", 0, n / 9 + len(name) / 1e3) for name in names for n in range(3)]
    board = leaderboard(results(rows), "classification")
    lines = cli_analysis._table(board).splitlines()
    assert max(map(len, lines)) <= 80
    assert "median_scaled" in lines[0]
    assert sum("aaa" in line and line.count("(60)") == 1 for line in lines) == 1
    assert board["framework"].isin(names).all()


def test_places_are_whole_beside_a_framework_without_any():
    board = leaderboard(
        results([("b", "d0", 0, 0.5), ("constant", "d0", 0, 0.4)]), "classification"
    )
    board = pd.concat([board, pd.DataFrame({"framework": ["idle"]})], ignore_index=True)
    lines = cli_analysis._table(board).splitlines()
    assert [line.split()[0] for line in lines] == ["rank", "1", "2", "-"]


@pytest.mark.slow
def test_ticks_and_headings_of_the_leaderboard_do_not_overlap(tmp_path):
    path = tmp_path / "results.csv"
    names = [f"{number}-" + "name" * 20 for number in range(60)]
    grid(frameworks=names, datasets=2).to_csv(path, index=False)
    frame = read_results(path)
    studies = {type: study(frame, type) for type in ("classification", "regression")}
    figure = figures.mean_ranks(studies, figures.looks(names))
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    for axes in figure.axes:
        titles = [axes._left_title, axes._right_title]
        for texts in (axes.get_xticklabels(), titles):
            boxes = [text.get_window_extent(renderer) for text in texts]
            assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_names_of_wide_letters_are_cut_at_the_same_width():
    assert style.width(style.short("\u65e5" * 40)) <= style.LONGEST_NAME
    assert style.short("a" * style.LONGEST_NAME) == "a" * style.LONGEST_NAME


def test_one_framework_alone_has_no_figure_that_compares(tmp_path):
    path = tmp_path / "results.csv"
    grid(frameworks=("a",), datasets=4).to_csv(path, index=False)
    frame = read_results(path)
    studies = studies_of(frame)
    drawn = dict(figures.drawn(frame, studies, missing.by_cause(frame), shapes_of(frame)))
    assert set(drawn) == {"FitTime", "DatasetShapes"}


def test_of_many_frameworks_with_missing_results_the_most_are_named(tmp_path):
    path = tmp_path / "results.csv"
    names = [f"f{number}" for number in range(15)]
    grid(frameworks=("constant", *names), datasets=2, failing=names).to_csv(path, index=False)
    said = missing.sentences(read_results(path))
    assert len(said) == missing.MOST_LISTED + 1
    assert said[-1] == "3 others have no score on 6 tasks."


def test_a_vanishing_p_is_not_shown_as_zero():
    assert hypotheses.Friedman(8000.0, 0.0, 100, 100).text == "p < 1e-300"
    assert hypotheses.Friedman(7.5, 0.0234, 5, 12).text == "p = 0.023"
