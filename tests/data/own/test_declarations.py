"""Declarations of data are read as they are written; a faulty one stops no other."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.cli.setup.data import _asked
from benchmark.data import Catalogue
from benchmark.data.own.declarations import declared
from benchmark.errors import BenchmarkError, DataError
from benchmark.hpo.trials.benchmark_inputs import _datasets
from benchmark.runs.plan import Narrowing, draft
from benchmark.store import Store

CSV = "a,1.0,y\n" + "".join(f"{n},{-999 if n % 2 else -999.5},{n}\n" for n in range(40))
GOOD = "{name: good, file: s.csv, target: y}"
# What pydantic and Python would say.
FOREIGN = ("Input should", "Field required", "Error", "class ", "validat", "NoneType", "unicode")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOML_BENCHMARK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def declare(tmp_path: Path) -> Callable[..., Catalogue]:
    """The catalogue of `sales`, with these lines, and of `good` in a file of its own."""
    (tmp_path / "s.csv").write_text(CSV)

    def make(text: str, ending: str = ".yaml") -> Catalogue:
        (tmp_path / f"sales{ending}").write_text(text)
        (tmp_path / "good.yaml").write_text(GOOD)
        return Catalogue([], [str(tmp_path / f"sales{ending}"), str(tmp_path / "good.yaml")])

    return make


PLAIN = "file: s.csv\ntarget: y\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file: s.csv\ntargt: y", "'targt': unknown key; did you mean 'target'?"),
        ("file: s.csv", "has no 'target'; add"),
        ("target: y", "names no source"),
        ("file: s.csv\nurl: http://x/y.csv\ntarget: y", "names file and url"),
        ("train: s.csv\ntarget: y", "one of 'train' and 'test'"),
        ("url: ftp://x/y.csv\ntarget: y", "none of http, https, s3"),
        ("file: s.csv\ntarget: [a, y]", "names 2 targets"),
        (PLAIN + "split_column: y", "another column"),
        (PLAIN + "name: ../up", "'name' is \"../up\"; write letters"),
        (PLAIN + "place: here", "'place': unknown key"),
        (PLAIN + "~: here", "unknown key"),
        ('file: "s\\0.csv"\ntarget: y', "'file' is empty or has a zero"),
        ("file: ''\ntarget: y", "'file' is empty or has a zero"),
        ("file: [s.csv]\ntarget: y", "'file' is [\"s.csv\"]; write a text"),
        ("openml: -3\ntarget: y", "'openml' is \"-3\"; write the id"),
        ("openml: 61.0\ntarget: y", "'openml' is \"61.0\"; write the id"),
        ("file: ~nobody-of-that-name/s.csv\ntarget: y", "no user here has that home folder"),
        (PLAIN + "separator: \u00a7", "'separator' must be one ASCII"),
        (PLAIN + "separator: '\\t'", 'or "\\t" in double quotes for a tab'),
        (PLAIN + "decimal: ;", "'decimal' is \";\"; write"),
        (PLAIN + "type: regresion", "'type' is \"regresion\"; write classification or"),
        (PLAIN + "format: xlsx", "'format' is \"xlsx\"; write csv, parquet or arff"),
        (PLAIN + "encoding: latin-11", "'encoding' is \"latin-11\"; write"),
        (PLAIN + 'encoding: "a\\0"', "; write an encoding"),
        (PLAIN + "sha256: 55", "'sha256' is \"55\"; write 64"),
        (PLAIN + "columns: {a: categry}", "'columns' has \"categry\" for a; write one of"),
        (PLAIN + "columns: {a: ~}", "'columns' has null for a; write one of"),
        (PLAIN + "columns: [a]", "'columns' is [\"a\"]; write a kind"),
        (PLAIN + "missing: [null]", "'missing' holds null; write"),
        (PLAIN + "missing: NULL", "'missing' is null; write"),
        (PLAIN + "missing: NA", "'missing' is \"NA\"; write a list"),
        (PLAIN + "missing: [[NA]]", "'missing' holds [\"NA\"]; write"),
        ("url: 'http://[::1/s.csv'\ntarget: y", "'url' is not a URL"),
        (PLAIN + "name: penguins", "name of another data set"),
        (PLAIN + "name: openml-61", "name of another data set"),
        ("- {file: s.csv, target: y}\n- {file: t.csv, target: y}", 'declares "sales" twice'),
        ("file: [", "is not YAML"),
        ("file: s.csv\nfile: t.csv", "occurs twice at line 2, column 1"),
        ("!!python/object/apply:os.system ['true']", "is not YAML"),
        ("just words", "declares no data set"),
        ("", "declares no data set"),
    ],
)
def test_a_faulty_declaration_is_a_sentence_and_stops_no_other(
    declare: Callable[..., Catalogue], text: str, words: str
) -> None:
    catalogue = declare(text)
    assert list(catalogue.ready(catalogue.names())) == ["good"]
    ((key, sentence),) = catalogue.faults.items()
    assert words in sentence
    assert "sales.yaml" in sentence
    assert "sales" in key
    assert "\n" not in sentence
    assert not [word for word in FOREIGN if word in sentence]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"file": "s.csv", "target": "y", "missing": [true]}', "'missing' holds true; write"),
        ('{"file": "s.csv", "target": "y", "missing": -999}', "'missing' is \"-999\"; write"),
        ('{"file": "s.csv", "target": "\\ud800"}', "half of a surrogate pair is not text"),
        ('{"file": "s.csv", "file": "t.csv"}', 'not JSON: the key "file" occurs twice'),
        ('{"file": "s.csv",}', "is not JSON: "),
    ],
)
def test_a_faulty_json(declare: Callable[..., Catalogue], text: str, words: str) -> None:
    catalogue = declare(text, ".json")
    assert list(catalogue.ready(catalogue.names())) == ["good"]
    ((_, sentence),) = catalogue.faults.items()
    assert words in sentence
    assert sentence.encode()
    assert "sales.json" in sentence


@pytest.mark.parametrize(
    "missing", ["-999", "-999.0", "1e5", "0.10", "007", "123456789012345678901", "NaN", "Infinity"]
)
def test_numbers_are_read_as_they_are_written(
    declare: Callable[..., Catalogue], tmp_path: Path, missing: str
) -> None:
    text = f"file: s.csv\ntarget: 1.0\nname: 2024\nlicence: 4.0\nmissing: [{missing}, no]\n"
    declare(text + "columns: {1.0: number, 1: ignore}")
    one = declared([str(tmp_path / "sales.yaml")]).found["2024"]
    assert (one.missing, one.target, one.licence) == ((missing, "no"), "1.0", "4.0")
    assert one.columns == {"1.0": "number", "1": "ignore"}
    if not missing.startswith("00"):  # which is not JSON
        declare(f'{{\n\t"file": "s.csv", "target": "y",\n\t"missing": [{missing}]}}', ".json")
        assert declared([str(tmp_path / "sales.json")]).found["sales"].missing == (missing,)


@pytest.mark.parametrize("ending", [".yaml", ".json"])
def test_a_number_that_means_missing(declare: Callable[..., Catalogue], ending: str) -> None:
    catalogue = declare('{"file": "s.csv", "target": "y", "missing": [-999, -999.5]}', ending)
    dataset = catalogue.ready(["sales"])["sales"].load()
    assert dataset.table.column("1.0").null_count == 40
    assert catalogue.faults == {}


def test_each_declaration_of_a_file_stands_for_itself(
    declare: Callable[..., Catalogue], tmp_path: Path
) -> None:
    bad = ["{name: b, file: s.csv}", "{name: 'a b', file: s.csv, target: y}", "[]"]
    twice = ["{name: two, file: s.csv, target: y}", "{name: two, file: s.csv, target: a}"]
    catalogue = declare("\n".join(f"- {one}" for one in [*bad, GOOD.replace("good", "c"), *twice]))
    assert list(catalogue.ready(catalogue.names())) == ["c", "good"]
    place = str(tmp_path / "sales.yaml")
    assert list(catalogue.faults) == ["b", f"{place}, data set 2", f"{place}, data set 3", "two"]
    assert f"{place}, data set 1: " in catalogue.faults["b"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("penguins", "for the embedded penguins set 'studies' to [\"starter\"] and pass"),
        ("starter", "starter is not a file of your own: name it in 'studies'"),
        ("pengins", "for the embedded penguins set 'studies'"),
        ("openml-61", "openml-61 is not a file of your own: name it in 'studies'"),
        ("godo.yaml", "no file of that name; did you mean good.yaml?"),
        ("nothing.at.all", "name a YAML or JSON file"),
        ("~nobody-of-that-name/s.yaml", "no user here has that home folder"),
        (".", "cannot be read: Is a directory"),
    ],
)
def test_a_file_that_is_not_there(
    declare: Callable[..., Catalogue],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    words: str,
) -> None:
    declare(PLAIN)
    monkeypatch.chdir(tmp_path)
    catalogue = Catalogue([], [name, "good.yaml"])
    assert list(catalogue.ready(catalogue.names())) == ["good"]
    assert words in catalogue.faults[name]


def test_what_asks_for_a_faulty_one_names_its_fault(
    declare: Callable[..., Catalogue],
    make_config: Callable[..., object],
    folder_store: Store,
    tmp_path: Path,
) -> None:
    catalogue = declare("file: s.csv\ntarget: [y]")
    files = [str(tmp_path / "sales.yaml"), str(tmp_path / "good.yaml")]
    config = make_config(studies=[], datasets=files)
    assert "names 1 targets" in draft(config).faults["sales"]
    wanted = Narrowing(datasets=["sales"])
    asked = argparse.Namespace(dataset=["sales"])
    for call in (
        lambda: draft(config, wanted),
        lambda: catalogue.find("sales"),
        lambda: _asked(asked, catalogue.names(), catalogue.faults),
    ):
        with pytest.raises(DataError, match="names 1 targets"):
            call()
    with pytest.raises(BenchmarkError, match="names 1 targets"):
        _datasets(folder_store, tuple(files))
    assert json.loads(json.dumps(catalogue.faults)) == catalogue.faults
