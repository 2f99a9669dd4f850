"""Data sets keep their types, their order of levels and their hash."""

import json

import pyarrow as pa
import pytest

from benchmark.data import Catalogue, Dataset, embedded_names, find, load
from benchmark.data.datasets import EARLIER_HASH
from benchmark.errors import DataError


def mixed() -> pa.Table:
    sizes = pa.DictionaryArray.from_arrays(
        pa.array([2, 0, None, 0], pa.int8()), pa.array(["small", "unused", "large"]), ordered=True
    )
    return pa.table(
        {
            "größe": sizes,
            "count": pa.array([1, None, 3, 4], pa.int16()),
            "ratio": pa.array([0.5, float("nan"), None, 2.0]),
            "text": pa.array(["None", "NA", None, ""]),
            "flag": pa.array([True, None, False, True]),
            "empty": pa.nulls(4),
            "y": pa.array([1, 0, 1, 1], pa.int8()),
        }
    )


@pytest.mark.parametrize("name", embedded_names())
def test_an_embedded_set_is_what_its_suite_says_and_survives_parquet(name: str) -> None:
    dataset = load(name)
    again = Dataset.from_parquet(dataset.to_parquet(), json.loads(json.dumps(dataset.description)))
    assert again.hash == dataset.hash
    assert again.table.equals(dataset.table)
    assert again.table.schema.equals(dataset.table.schema)
    assert find(name) == (name, dataset.type)
    assert dataset.target not in dataset.features


def test_types_levels_and_missing_values_survive_parquet() -> None:
    dataset = Dataset.of("mixed", "classification", "y", mixed())
    again = Dataset.from_parquet(dataset.to_parquet(), dataset.description)
    assert again.table.equals(dataset.table)
    assert again.hash == dataset.hash
    assert again.categorical == ["größe", "text", "flag"]
    sizes = again.table.column("größe").combine_chunks()
    assert sizes.dictionary.to_pylist() == ["small", "unused", "large"]
    assert sizes.type.ordered
    assert again.table.column("count").to_pylist() == [1, None, 3, 4]
    assert pa.types.is_int16(again.table.schema.field("count").type)
    assert again.table.column("ratio").to_pylist() == [0.5, None, None, 2.0]
    assert again.table.column("text").to_pylist() == ["None", "NA", None, ""]
    assert again.table.column("empty").null_count == 4


def test_the_hash_is_of_the_content_and_not_of_its_encoding() -> None:
    plain = pa.table({"a": ["x", "y", "x"], "y": ["p", "q", None]})
    coded = pa.table(
        {
            "a": pa.DictionaryArray.from_arrays(pa.array([0, 1, 0], pa.int8()), ["x", "y"]),
            "y": pa.array(["p", "q", None]).dictionary_encode(),
        }
    )
    pieces = pa.concat_tables([plain.slice(0, 1), plain.slice(1)])
    hashes = {Dataset.of("t", "classification", "y", t).hash for t in (plain, coded, pieces)}
    assert len(hashes) == 1
    for other in (
        pa.table({"a": ["x", "yx", ""], "y": ["p", "q", None]}),
        pa.table({"b": ["x", "y", "x"], "y": ["p", "q", None]}),
        pa.table({"a": ["x", None, "x"], "y": ["p", "q", None]}),
        pa.table({"a": ["x", "", "x"], "y": ["p", "q", None]}),
    ):
        hashes.add(Dataset.of("t", "classification", "y", other).hash)
    assert len(hashes) == 5


LEVELS = {
    "usual": (["x", "y"], False),
    "other order": (["y", "x"], False),
    "ordered": (["x", "y"], True),
    "ordered the other way": (["y", "x"], True),
    "one that never occurs": (["x", "y", "z"], False),
    "another that never occurs": (["w", "x", "y"], False),
}


def of_levels(levels: list[str], ordered: bool) -> Dataset:
    codes = [levels.index(value) for value in ("x", "y", "x")]
    column = pa.DictionaryArray.from_arrays(codes, levels, ordered=ordered)
    return Dataset.of("t", "classification", "y", pa.table({"a": column, "y": ["p", "q", "p"]}))


def test_the_hash_is_of_levels_and_their_order_too() -> None:
    made = {name: of_levels(*levels) for name, levels in LEVELS.items()}
    assert len({dataset.hash for dataset in made.values()}) == len(LEVELS)
    usual = made.pop("usual")
    assert EARLIER_HASH not in usual.description
    assert {one.description[EARLIER_HASH] for one in made.values()} == {usual.hash}


@pytest.mark.parametrize("name", LEVELS)
def test_a_description_with_the_hash_of_an_earlier_version_is_read(name: str) -> None:
    dataset = of_levels(*LEVELS[name])
    earlier = dataset.description.get(EARLIER_HASH, dataset.hash)
    facts = {"name": "t", "type": "classification", "target": "y", "hash": earlier}
    again = Dataset.from_parquet(dataset.to_parquet(), facts)
    assert (again.hash, again.description["hash"]) == (earlier, earlier)
    assert again.table.equals(dataset.table)


def test_rows_without_a_target_are_dropped_and_classes_are_sorted_text() -> None:
    table = pa.table({"a": [1, 2, 3, 4], "y": [10.0, None, 9.0, 10.0]})
    dataset = Dataset.of("t", "classification", "y", table)
    assert dataset.table.column("a").to_pylist() == [1, 3, 4]
    assert dataset.classes == ["10", "9"]
    assert dataset.problem_type == "binary"
    as_numbers = Dataset.of("t", "regression", "y", table)
    assert as_numbers.classes is None
    assert as_numbers.hash != dataset.hash


def test_unsigned_regression_targets_become_floats() -> None:
    table = pa.table({"a": [1, 2], "y": pa.array([1, 255], pa.uint8())})
    dataset = Dataset.of("t", "regression", "y", table)
    assert pa.types.is_float64(dataset.table.schema.field("y").type)


@pytest.mark.parametrize(
    ("table", "kind", "words"),
    [
        ({"a": [1, 2]}, "classification", 'no column "y"'),
        ({"a": [1, 2], "y": ["u", "v"]}, "regression", "not numeric"),
        ({"a": [1, 2], "y": [True, False]}, "regression", "not numeric"),
        ({"a": [1, 2], "y": [None, None]}, "regression", "missing in every row"),
        ({"a": [1, 2], "y": ["u", None]}, "classification", 'only the class "u"'),
        ({"a": [1, 2], "y": [1.0, None]}, "regression", "one row"),
        ({"a": [1, 2], "y": [1.0, float("inf")]}, "regression", "infinite"),
        ({"y": [1.0, 2.0]}, "regression", "no column but its target"),
        ({"a": [[1], [2]], "y": [1.0, 2.0]}, "regression", 'column "a"'),
        ({"a": [1, 2], "y": [1, 2]}, "clustering", "clustering"),
        ({"a": [], "y": []}, "regression", "no rows"),
        ({f"c{n}": [1, 2] for n in range(20_001)}, "regression", "20001 columns"),
    ],
)
def test_what_cannot_be_used_is_a_sentence(table: dict, kind: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        Dataset.of("t", kind, "y", pa.table(table))


def test_damaged_and_changed_parquet_is_found_out() -> None:
    dataset = load("penguins")
    with pytest.raises(DataError, match="cannot be read"):
        Dataset.from_parquet(dataset.to_parquet()[:-20], dataset.description)
    with pytest.raises(DataError, match="download it again"):
        Dataset.from_parquet(load("cpu").to_parquet(), {**load("cpu").description, "hash": "0"})


def test_suites_and_names() -> None:
    assert len(embedded_names("starter")) == 8
    assert len(embedded_names("embedded")) == 16
    assert find("31") == ("credit-g", "classification")
    assert find(43926, "regression") == ("ames", "regression")
    assert find("28") == ("openml-28", None)
    assert find("task-59", "classification") == ("task-59", "classification")
    elsewhere = Catalogue(["task-59", "openml-61"])
    assert {name: elsewhere.type_of(name) for name in elsewhere.names()} == {
        "task-59": None,
        "openml-61": None,
    }
    catalogue = Catalogue(["starter", "embedded", "starter"])
    assert catalogue.names()[0] == "breast-cancer"
    assert catalogue.type_of("breast-cancer") == "classification"
    assert len(catalogue.names()) == 16


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: find("pengiuns"), "did you mean penguins"),
        (lambda: find("task-0"), "no data set"),
        (lambda: load("openml-28"), "not been fetched.*download-data"),
        (lambda: find("cpu", "classification"), "is for regression"),
        (lambda: load("../suite"), "There is no data set"),
        (lambda: embedded_names("all"), '"starter" or "embedded"'),
        (lambda: Catalogue(["penguin"]).names(), "did you mean penguins"),
    ],
)
def test_unknown_names_get_a_mend(call, words: str) -> None:
    with pytest.raises(DataError, match=words):
        call()
