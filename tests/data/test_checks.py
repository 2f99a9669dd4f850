"""What is suspicious in a data set is found, and what is not is left in peace."""

import csv
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from benchmark.data import Dataset, checks, embedded_names, load


def of(kind: str = "classification", rows: int = 60, **columns: object) -> Dataset:
    random = np.random.RandomState(1)
    usual = {"x": random.random_sample(rows), "y": random.choice(["p", "q"], rows)}
    if kind == "regression":
        usual["y"] = random.random_sample(rows)
    return Dataset.of("t", kind, "y", pa.table(usual | columns))


LABELS = of().table.column("y").to_pylist()
NUMBERS = of("regression").table.column("y").to_numpy()
SUSPICIOUS = {
    "constant": (of(same=[3] * 60), 'column "same" has the same value in every row'),
    "empty": (of(void=pa.nulls(60)), 'column "void" has no value at all'),
    "id": (of(number=list(range(60))), 'column "number" .* looks like an id'),
    "text id": (of(name=[f"n{n}" for n in range(60)]), 'column "name" .* looks like an id'),
    "copy": (of(z=[{"p": 7, "q": 9}[v] for v in LABELS]), 'column "z" is equivalent to'),
    "line": (of("regression", fahrenheit=NUMBERS * 1.8 + 32), '"fahrenheit" is equivalent to'),
    "many": (of(a=[1] * 60, b=[2] * 60), 'each of the 2 columns "a", "b" has the same value'),
    "word": (of(w=["u", "NA", "?"] * 20), 'column "w" has the value "[?]" and "NA", which may'),
    "alone": (of(y=["p"] * 30 + ["q"] * 29 + ["r"]), 'class "r" has one member'),
    "few": (of(y=["p"] * 40 + ["q"] * 15 + ["r"] * 5), 'class "r" has fewer than 10'),
    "twice": (of(x=np.arange(60) // 2 / 7), r"of 18 test rows \(.*\) have the same features"),
}


@pytest.mark.parametrize("case", SUSPICIOUS)
def test_a_fault_is_found(case: str) -> None:
    import re

    dataset, words = SUSPICIOUS[case]
    found = checks.findings(dataset)
    assert any(re.search(words, finding) for finding in found), found


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_nothing_is_said_of_what_is_sound(kind: str) -> None:
    assert checks.findings(of(kind, other=np.random.RandomState(2).randint(0, 9, 60))) == []


@pytest.mark.parametrize("name", embedded_names())
def test_every_embedded_set_can_be_looked_at(name: str) -> None:
    dataset = load(name)
    found = checks.findings(dataset, "cv", 3)
    assert not any("is equivalent to the target" in finding for finding in found)
    shape = checks.shape(dataset)
    assert 0 <= shape["missing_share"] < 0.5
    assert shape["one_hot"] >= shape["features"]


def test_the_tables_of_a_study(tmp_path: Path) -> None:
    rows = []
    for name in ("penguins", "cpu", "titanic"):
        dataset = load(name)
        rows.append(checks.info_row(dataset.description, checks.shape(dataset)))
    written = checks.write_info(tmp_path, rows)
    assert [path.name for path in written] == [
        *("study_classification_info.csv", "study_regression_info.csv"),
    ]
    with written[0].open() as file:
        first, second = csv.DictReader(file)
    assert list(first)[:5] == ["DATASET_ID", "DATASET_NAME", "ROWS", "FEATURES", "CLASSES"]
    assert (first["DATASET_ID"], first["ROWS"], first["CLASSES"]) == ("penguins", "344", "3")
    table = load("penguins").table
    missing = sum(table.column(name).null_count for name in load("penguins").features)
    assert float(first["MISSING_SHARE"]) == pytest.approx(missing / (344 * 6), abs=1e-6)
    assert float(first["SMALLEST_CLASS"]) == pytest.approx(68 / 344, abs=1e-6)
    assert second["DATASET_ID"] == "titanic"
    with written[1].open() as file:
        assert next(csv.DictReader(file))["CLASSES"] == ""


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_infinite_values_are_one_finding_and_no_warning_of_numpy(value: float) -> None:
    table = pa.table({"a": [value, *map(float, range(29))], "y": [n * 1.5 for n in range(30)]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = checks.findings(Dataset.of("t", "regression", "y", table))
    assert found == ['1 infinite value among the features, in "a"']
