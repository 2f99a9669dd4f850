"""Names with any punctuation become paths, and paths become tasks again."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.records.layout import OUT, Layout, dataset_path, segment, shown, task_key
from benchmark.store import open_store

NAMES = [
    "a/b",
    "..",
    ".",
    ".hidden",
    "/",
    "../../etc",
    "ünï—雪",
    "x" * 300,
    "雪" * 300,
    "100%",
    "a%2Fb",
]
NAMES += ["h2o@3.44", "a b", "a\\b", "a\nb", "a#1", "a?b", "a:b", "~", "%", "%2E%2E"]


NAMES += [
    "h2o@3.44.0.3",
    "tpot (3600)",
    "a+b",
    "A+B",
    "-",
    "..json",
    "1.json",
    "0001-aside.json",
    "x,;='\"&",
]


class Place(Layout):
    """A run's paths without the run."""

    def __init__(self, name: str) -> None:
        self.name = name


@pytest.mark.parametrize("name", NAMES)
def test_a_segment_is_one_safe_short_segment(name: str) -> None:
    encoded = segment(name)
    assert encoded
    assert "/" not in encoded
    assert "\\" not in encoded
    assert not encoded.startswith(".")
    assert len(encoded.encode()) <= 120
    assert encoded.isascii()
    assert encoded.isprintable()
    assert " " not in encoded


def test_segments_of_different_names_differ() -> None:
    names = [*NAMES, "x" * 299, "x" * 301, "x" * 299 + "y", "a%252Fb", "A/b"]
    assert len({segment(name) for name in names}) == len(names)


@pytest.mark.parametrize("name", [name for name in NAMES if len(name) < 300])
def test_a_segment_is_shown_as_the_name_it_was(name: str) -> None:
    assert shown(segment(name)) == name


def test_a_plain_name_stays_as_it_is() -> None:
    assert (
        task_key("tuned-random-forest", "credit_g.v1", 75) == "tuned-random-forest/credit_g.v1/75"
    )


@pytest.mark.parametrize("run", ["r", "a/b", "out", "attempts/x"])
@pytest.mark.parametrize("name", NAMES)
def test_every_path_leads_back_to_its_task(tmp_path: Path, name: str, run: str) -> None:
    key, place = task_key(name, name, 1), Place(run)
    assert len(key.split("/")) == 3
    store = open_store(str(tmp_path / "store"))
    attempts = [place.attempt_path(key, 7), place.attempt_path(key, 12345, aside=True)]
    paths = [
        place.out_path(key),
        place.task_path(key),
        place.predictions_path(key),
        place.predictions_path(key, 3),
        dataset_path(name),
        *attempts,
    ]
    for path in paths:
        assert store.create(path, b"x") is True
    assert set(store.list()) == set(paths)
    assert [place.key_of(path) for path in paths] == [key, key, None, None, None, None, None]
    assert [place.attempt_of(path) for path in paths[:-2]] == [None] * 5
    assert list(map(place.attempt_of, attempts)) == [(key, 7, False), (key, 12345, True)]
    assert [place.key_of(path) for path in store.list(*place.below(OUT, [name]))] == [key]
    assert store.list(*place.below(OUT, [f"{name}2"])) == []
    assert [p.name for p in tmp_path.iterdir()] == ["store"]


@settings(max_examples=200)
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=150), min_size=2),
    st.integers(1, 99_999),
)
def test_paths_of_different_names_differ(names: list[str], number: int) -> None:
    place = Place("r")
    keys = {name: task_key(name, "d", number) for name in names}
    assert len(set(keys.values())) == len(set(names))
    for key in keys.values():
        assert place.key_of(place.out_path(key)) == key
        assert place.attempt_of(place.attempt_path(key, number)) == (key, number, False)


@pytest.mark.parametrize(
    "path",
    [
        "r/attempts/f/d/1/0001.txt",
        "r/attempts/f/d/1/x0001.json",
        "r/attempts/f/d/1/-1.json",
        "r/attempts/f/d/1/1_0.json",
        "r/attempts/0001.json",
        "other/attempts/f/d/1/0001.json",
        "r/attempts",
        "r/out/f/d/1.csv",
        "r/outer/f/d/1.json",
        "",
    ],
)
def test_what_is_no_path_of_a_run_is_none(path: str) -> None:
    assert Place("r").attempt_of(path) is None
    assert Place("r").key_of(path) is None
