"""The figure of Elo ratings: what it says fits, and ties are in the order of the mean ranks."""

from benchmark.analysis.figures import standings, style
from benchmark.analysis.type_statistics import study
from tests.support.made_results import results


def test_one_data_set_whose_ratings_are_infinite_has_no_figure():
    frame = results([(name, "v", 0, score) for name, score in (("a", 0.9), ("b", 0.5))])
    figure = standings.elo(study(frame, "classification"), style.looks(["a", "b"]))
    assert style.is_empty(figure)


def test_ratings_without_a_lower_bound_are_ordered_by_mean_rank():
    scores = {"z": 0.9, "second": 0.8, "a": 0.5}
    frame = results([(name, data, 0, s) for name, s in scores.items() for data in "wxyv"])
    figure = standings.elo(study(frame, "classification"), style.looks(list(scores)))
    (axes,) = figure.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names in (["z", "second", "a"], ["a", "second", "z"])
    figure.draw_without_rendering()
    width = figure.bbox.width
    assert all(text.get_window_extent().x1 <= width for text in figure.texts)
