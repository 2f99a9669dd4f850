"""Declarations of OpenML data sets: read from the file, whatever the set's own target is."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.data import Catalogue, Dataset, load
from benchmark.data.openml.fetch import Fetched, Job, fetch, openml_cache
from benchmark.data.openml.file import OpenMLFile, without_ignored
from benchmark.data.splits import split
from tests.support.openml_server import OpenMLServer
from tests.support.openml_stock import KEY
from tests.support.preloaded import preloaded

WRITTEN = """@relation r
@attribute id integer
@attribute x integer
@attribute gap numeric
@attribute zone {a,b}
@attribute code numeric
@attribute word string
@attribute part {train,test}
@data
1,9007199254740993,-9,a,01,u,train
2,5,1.5,?,1,v,test
3,7,-9.0,b,1.0,u,train
4,6,2,?,1e5,?,train
5,8,3,b,?,v,test
6,9,4,a,123456789012345678901234567890,u,train
"""
LABELS = ["01", "1", "1.0", "1e5", "123456789012345678901234567890"]


@pytest.fixture(scope="module")
def server() -> Iterator[OpenMLServer]:
    table = pa.table(
        {
            "id": [7, 8, 9, 10],
            "n": pa.array([1, None, 300, 4], pa.int16()),
            "label": pa.array([2**53, 2**53 + 1, None, 5]),
            "y": pa.array([1.5, None, 2.5, 3.5]),
        }
    )
    sink = io.BytesIO()
    pq.write_table(table, sink)
    with OpenMLServer() as started:
        started.add_generated(920, WRITTEN, "zone", row_id_attribute="id")
        started.add_generated(921, WRITTEN, "", ignore_attribute="id,part")
        started.add_generated(922, WRITTEN, "y", parquet=sink.getvalue(), row_id_attribute="id")
        started.add_generated(923, WRITTEN, "zone", parquet=b"PAR1 broken", status="deactivated")
        small = WRITTEN.replace(LABELS[-1], "2")
        started.add_generated(924, small, "zone")
        yield started


@pytest.fixture
def place(
    server: OpenMLServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[OpenMLServer]:
    for name, value in server.configure(tmp_path).items():
        monkeypatch.setenv(name, value)
    libraries = preloaded("minio", "pandas", "sklearn.metrics", "benchmark.data.cache")
    monkeypatch.setattr("benchmark.data.openml.fetch.subprocess", libraries)
    server.asked.clear()
    yield server


@pytest.fixture
def declare(tmp_path: Path) -> Callable[..., Catalogue]:
    """The catalogue of declarations, by name."""

    def make(**declarations: str) -> Catalogue:
        path = tmp_path / "sets.yaml"
        lines = [f"- {{name: {name}, {rest}}}" for name, rest in declarations.items()]
        path.write_text("\n".join(lines))
        return Catalogue([], [str(path)])

    return make


def loaded(catalogue: Catalogue) -> dict[str, Dataset]:
    return {name: entry.load() for name, entry in catalogue.ready(catalogue.names()).items()}


def test_a_declaration_reads_the_file_for_its_own_target(
    place: OpenMLServer, declare: Callable[..., Catalogue]
) -> None:
    catalogue = declare(
        code="openml: 920, target: code, type: classification",
        category="openml: 920, target: code, columns: {code: category}",
        word="openml: 920, target: word, missing: ['-9'], columns: {code: number}",
        zone="openml: 920, target: zone",
        x="openml: 920, target: x, missing: ['7'], columns: {code: ignore}",
        without="openml: 921, target: x, columns: {code: category}",
        labels="openml: 922, target: label, type: classification, columns: {id: integer}",
        broken="openml: 923, target: code, type: classification",
        parts="openml: 921, target: word, columns: {code: ignore}, split_column: part",
    )
    found = loaded(catalogue)
    # The 30 digits are a label, a category and a float, but no feature of the declared kind.
    assert list(catalogue.faults) == ["zone"], catalogue.faults
    refused = 'OpenML data set 920: The attribute "code" holds 123456789012345678901234567890'
    assert refused in catalogue.faults["zone"]
    for name in ("code", "category", "broken"):
        dataset = found[name]
        # The row whose own target is missing is dropped, and no other.
        assert dataset.table.column("code").to_pylist() == LABELS
        assert dataset.table.column("zone").to_pylist() == ["a", None, "b", None, "a"]
        assert dataset.table.column("x").to_pylist()[0] == 2**53 + 1
        assert dataset.description["source"].startswith("OpenML data set 92")
    assert found["code"].features == ["x", "gap", "zone", "word", "part"]
    assert found["broken"].features == ["id", "x", "gap", "zone", "word", "part"]
    assert "OpenML's status of data set 923 is deactivated" in found["broken"].description["notes"]
    assert found["word"].table.column("gap").to_pylist() == [None, 1.5, None, 3, 4]
    assert found["word"].table.column("code").to_pylist() == [1, 1, 1, None, float(LABELS[-1])]
    assert found["x"].table.num_rows == 5
    assert (found["without"].type, found["without"].table.num_rows) == ("regression", 6)
    assert found["labels"].table.column("label").to_pylist() == [
        *(str(2**53), str(2**53 + 1), "5"),
    ]
    assert found["labels"].table.column("y").to_pylist() == [1.5, None, 3.5]
    assert found["labels"].features == ["id", "n", "y"]
    # Without the row that has no word.
    assert list(split(found["parts"], "openml", 0).test) == [1, 3]
    assert found["parts"].features == ["x", "gap", "zone"]
    # Each file is fetched once, and of a data set with a parquet that can be read no ARFF.
    downloads = [path for path in place.asked if "/download/" in path]
    assert len(downloads) == len(set(downloads)) == 3


def test_what_the_client_has_needs_no_network(
    place: OpenMLServer, declare: Callable[..., Catalogue]
) -> None:
    # As an earlier version left it: the set with its default target, and the client's own files.
    assert fetch([Job("openml-924")]).done == {"openml-924"}
    sets = {
        "code": "openml: 924, target: code, type: classification",
        "zone": "openml: 924, target: zone",
    }
    place.stop()
    try:
        found = loaded(declare(**sets))
        first, again = found["code"], loaded(declare(**sets))["code"]
    finally:
        place.start()
    assert first.table.column("code").to_pylist() == [*LABELS[:-1], "2"]
    # For the default target it is what it was, so that runs go on.
    assert load("openml-924").table.num_rows == 4
    assert found["zone"].hash == load("openml-924").hash
    assert again.hash == first.hash


def test_a_damaged_file_is_fetched_again(
    place: OpenMLServer, declare: Callable[..., Catalogue], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The one that finds the damage comes first.
    sets = {"other": "openml: 922, target: n", "labels": "openml: 922, target: y"}
    monkeypatch.setattr("benchmark.data.sources.PARALLEL", 1)
    before = loaded(declare(**sets))
    file = OpenMLFile.kept(openml_cache().folder, 922)
    assert file is not None
    content = bytearray(file.path.read_bytes())
    content[60] ^= 1
    file.path.write_bytes(content)
    # What was read of it before stays; what is read now is refused.
    changed = declare(**sets | {"other": "openml: 922, target: n, type: classification"})
    assert loaded(changed)["labels"].hash == before["labels"].hash
    assert "OpenML data set 922" in changed.faults["other"]
    assert "was damaged and has been removed" in changed.faults["other"]
    assert {name: one.hash for name, one in loaded(declare(**sets)).items()} == {
        name: one.hash for name, one in before.items()
    }


def test_all_that_read_a_damaged_file_say_the_same(
    place: OpenMLServer, declare: Callable[..., Catalogue]
) -> None:
    loaded(declare(first="openml: 922, target: y"))
    file = OpenMLFile.kept(openml_cache().folder, 922)
    assert file is not None
    content = file.path.read_bytes()
    file.path.write_bytes(content[:60] + bytes([content[60] ^ 1]) + content[61:])
    kinds = ("classification", "regression")
    sets = {
        f"{target}-{kind}": f"openml: 922, target: {target}, type: {kind}"
        for kind in kinds
        for target in "ny"
    }
    changed = declare(**sets)
    assert loaded(changed) == {}
    (sentence,) = set(changed.faults.values())
    assert "OpenML data set 922" in sentence
    assert "was damaged and has been removed" in sentence


def test_a_set_that_openml_does_not_have_is_a_fault_of_the_declaration(
    place: OpenMLServer, declare: Callable[..., Catalogue]
) -> None:
    catalogue = declare(gone="openml: 12, target: y", here="openml: 922, target: y")
    assert list(loaded(catalogue)) == ["here"]
    assert list(catalogue.faults) == ["gone"]
    assert "has no data set 12" in catalogue.faults["gone"]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"number": 5}', b'{"ignored": 1, "notes": []}'])
def test_a_broken_description_of_a_file_is_none(tmp_path: Path, content: bytes) -> None:
    data = tmp_path / "data.arff"
    data.write_text(WRITTEN)
    file = OpenMLFile.of(5, data, ["id", "x, 'zone'"], ["a note"])
    file.keep(tmp_path)
    assert OpenMLFile.kept(tmp_path, 5) == file
    (tmp_path / "files" / "5.json").write_bytes(content)
    assert OpenMLFile.kept(tmp_path, 5) is None


@pytest.mark.parametrize(
    ("ignored", "kept", "left"),
    [
        (["a"], set(), ["b", "c,d", "e"]),
        (["c,d"], set(), ["a", "b", "e"]),
        (["a, 'b'", "e"], {"e"}, ["c,d", "e"]),
        ([], set(), ["a", "b", "c,d", "e"]),
    ],
)
def test_ignored_columns(ignored: list[str], kept: set[str], left: list[str]) -> None:
    table = pa.table({name: [1] for name in ("a", "b", "c,d", "e")})
    assert without_ignored(table, ignored, kept).column_names == left


def fetched(*names: str) -> Fetched:
    return fetch([Job(name) for name in names], KEY, patience_s=60.0, silence_s=30.0)


def test_a_file_without_a_checksum_that_was_cut_at_a_line_is_fetched_again(
    place: OpenMLServer, tmp_path: Path
) -> None:
    rows = "@relation r\n@attribute a numeric\n@attribute y {u,v}\n@data\n" + "1,u\n2,v\n" * 5
    place.add_generated(905, rows, "y", rows=10, md5_checksum="")
    place.add_generated(906, rows, "y", rows=11, md5_checksum="")
    place.add_generated(907, rows, "y", md5_checksum="")
    names = ["openml-905", "openml-906", "openml-907"]
    found = fetched(*names)
    assert found.done == {"openml-905", "openml-907"}
    assert "is damaged" in found.faults["openml-906"]
    for number in (905, 907):
        path = next(tmp_path.rglob(f"datasets/{number}/dataset.arff"))
        path.write_text(rows.removesuffix("2,v\n"))
        openml_cache().drop(f"openml-{number}")
    assert fetched("openml-905", "openml-907").faults == {}
    assert load("openml-905").table.num_rows == 10
    assert load("openml-907").table.num_rows == 9  # Nobody knows better.
