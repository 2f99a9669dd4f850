"""Score over time: each search by its own measure, whatever its unit and direction."""

import numpy as np
import pytest

from benchmark.analysis import figures
from benchmark.analysis.report.tables import records
from benchmark.analysis.trajectories import MOST_TASKS, reached, read_trajectories, share
from benchmark.errors import BenchmarkError
from tests.support.made_results import grid

TIMES = np.array([0.5, 1.0, 2.0, 4.0, 9.0])


@pytest.mark.parametrize(
    ("points", "shares"),
    [
        ([[1, 10.0], [2, 20.0], [4, 50.0]], [0, 0.25, 1, 1]),
        # A loss falls.
        ([[1, 0.5], [2, 0.4], [4, 0.1]], [0, 0.25, 1, 1]),
        ([[1, 3.0]], [1, 1, 1, 1]),
        ([[1, 3.0], [4, 3.0]], [1, 1, 1, 1]),
        # What gets worse in between was not the best.
        ([[1, 0.0], [2, 0.5], [3, 0.2], [4, 1.0]], [0, 0.5, 1, 1]),
        ([[2, 1.0], [9, 2.0]], [np.nan, 0, 0, 1]),
    ],
)
def test_share_of_its_own_improvement(points, shares):
    found = share(np.array(points, dtype=float), TIMES)
    assert np.allclose(found, [np.nan, *shares], equal_nan=True)


def test_median_begins_where_half_have_a_model():
    early, late = np.array([[1.0, 0.0], [2.0, 1.0]]), np.array([[4.0, 0.0], [9.0, 1.0]])
    table = reached({"two": [early, late], "three": [early, early, late]}, TIMES)
    assert np.allclose(table["two"], [np.nan, np.nan, np.nan, 0.5, 1.0], equal_nan=True)
    assert np.allclose(table["three"], [np.nan, 0, 1, 1, 1], equal_nan=True)


@pytest.fixture
def frame():
    table = grid(frameworks=("constant", "a", "b"), datasets=4)
    table["TRAJECTORY"] = ""
    table.loc[table["MODEL"] == "a", "TRAJECTORY"] = "[[3,0.7],[0.5,0.4]]"
    return table


def test_what_is_told_is_read_by_time(frame):
    found = read_trajectories(frame)
    assert list(found) == ["a"]
    assert len(found["a"]) == 4
    assert found["a"][0].tolist() == [[0.5, 0.4], [3, 0.7]]
    assert read_trajectories(frame.drop(columns="TRAJECTORY")) == {}


def test_of_many_tasks_an_even_choice_is_read(frame):
    many = frame[frame["MODEL"] == "a"].sample(2 * MOST_TASKS + 1, replace=True, random_state=0)
    assert MOST_TASKS / 2 < len(read_trajectories(many)["a"]) <= MOST_TASKS


@pytest.mark.parametrize("text", ["[[1,2],", "[1,2]", "[[1,null]]", '{"a":1}', "[[1,2,3]]"])
def test_what_is_no_trajectory_is_told(frame, text):
    frame.loc[1, "TRAJECTORY"] = text
    with pytest.raises(BenchmarkError, match="list of \\[seconds, score\\]"):
        read_trajectories(frame)


@pytest.mark.parametrize("many", [1, 25])
def test_the_figure_has_a_line_for_each_that_told(frame, many):
    searches = {f"f{n}": read_trajectories(frame)["a"] for n in range(many)}
    figure = figures.score_over_time(frame, searches, figures.looks(searches))
    figure.canvas.draw()
    budgets = 1
    assert len(figure.axes[0].lines) == many + budgets


def test_the_table_of_records_leaves_them_out(frame):
    assert "TRAJECTORY" not in records(frame)
    assert "DATASET_ID" in records(frame)
