"""People's own files: declared, typed, split and checked; whatever is wrong is one sentence."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.data import Catalogue, Dataset
from benchmark.data.cache import Entry
from benchmark.data.download import download
from benchmark.data.formats import tables
from benchmark.errors import DataError
from tests.support.openml_server import Fault, OpenMLServer

CSV = "n,word,flag,day,zip,y\n" + "".join(
    f"{n},{'NA' if n % 3 else 'None'},{'true' if n % 2 else 'false'},"
    f"2026-01-{n % 28 + 1:02d},0{n % 7},{n % 2}\n"
    for n in range(40)
)
SMALL = "a,y\n1,2\n3,4\n"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOML_BENCHMARK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def declare(tmp_path: Path) -> Callable[..., Catalogue]:
    """The catalogue of one declaration and the files beside it."""

    def make(yaml: str, **files: str | bytes) -> Catalogue:
        folder = tmp_path / "data"
        folder.mkdir(exist_ok=True)
        for name, content in files.items():
            path = folder / name.replace("__", ".")
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        (folder / "sales.yaml").write_text(yaml)
        return Catalogue([], [str(folder / "sales.yaml")])

    return make


def had(catalogue: Catalogue) -> Dataset:
    found = catalogue.ready(catalogue.names())
    assert catalogue.faults == {}
    return next(iter(found.values())).load()


def test_types_are_inferred_and_can_be_set(declare: Callable[..., Catalogue]) -> None:
    plain = had(declare("file: s.csv\ntarget: y\n", s__csv=CSV))
    assert (plain.name, plain.type) == ("sales", "regression")
    assert plain.categorical == ["word", "flag"]
    assert set(plain.table.column("word").to_pylist()) == {"NA", "None"}
    assert plain.table.column("zip").to_pylist()[1] == 1
    assert plain.table.schema.field("n").type == pa.int64()
    text = "file: s.csv\ntarget: y\ntype: classification\nname: mine\nmissing: ['NA']\n"
    text += "columns: {zip: category, n: number, day: ignore}\n"
    own = had(declare(text, s__csv=CSV))
    assert (own.name, own.type, own.classes) == ("mine", "classification", ["0", "1"])
    assert own.categorical == ["word", "flag", "zip"]
    assert own.table.column("zip").to_pylist()[1] == "01"
    assert set(own.table.column("word").to_pylist()) == {None, "None"}
    assert "day" not in own.features
    assert own.hash != plain.hash


def test_the_same_table_in_every_format_is_the_same_data(
    declare: Callable[..., Catalogue], tmp_path: Path
) -> None:
    hashes = {had(declare("file: s.csv\ntarget: y\n", s__csv="x,y\n1.5,2\n2.5,3\n,4\n")).hash}
    hashes.add(had(declare("file: s.tsv\ntarget: y\n", s__tsv="x\ty\n1.5\t2\n2.5\t3\n\t4\n")).hash)
    text = "file: s.csv\ntarget: y\nseparator: ';'\ndecimal: ','\n"
    hashes.add(had(declare(text, s__csv="x;y\n1,5;2\n2,5;3\n;4\n")).hash)
    table = pa.table({"x": [1.5, 2.5, None], "y": [2.0, 3.0, 4.0]})
    pq.write_table(table, tmp_path / "data" / "s.parquet")
    hashes.add(had(declare("file: s.parquet\ntarget: y\n")).hash)
    arff = "@relation s\n@attribute x numeric\n@attribute y numeric\n@data\n1.5,2\n2.5,3\n?,4\n"
    hashes.add(had(declare("file: s.arff\ntarget: y\n", s__arff=arff)).hash)
    assert len(hashes) == 1


def test_quotes_that_open_nothing(declare: Callable[..., Catalogue]) -> None:
    text = 'a,y\n5" pipe,1\n"6"" pipe",2\n"two\nlines",3\n'
    read = had(declare("file: s.csv\ntarget: y\n", s__csv=text))
    assert read.table.column("a").to_pylist() == ['5" pipe', '6" pipe', "two\nlines"]


def test_split_files_and_split_columns(declare: Callable[..., Catalogue]) -> None:
    text = "train: a.csv\ntest: b.csv\ntarget: y\n"
    files = had(declare(text, a__csv=SMALL, b__csv="y,a\n5,1.5\n"))
    assert files.folds is not None
    train, test = files.folds.rows_of(0)
    assert (list(train), list(test)) == ([0, 1], [2])
    assert files.table.column("a").to_pylist() == [1.0, 3.0, 1.5]
    rows = "".join(f"{n},{n},{'test' if n % 4 == 0 else 'train'},{n % 5}\n" for n in range(20))
    text = "file: s.csv\ntarget: y\nsplit_column: {}\ncolumns: {{{}: ignore}}\n"
    words = had(declare(text.format("part", "fold"), s__csv="a,y,part,fold\n" + rows))
    assert words.folds is not None
    assert list(words.folds.rows_of(0)[1]) == [0, 4, 8, 12, 16]
    assert words.features == ["a"]
    numbers = had(declare(text.format("fold", "part"), s__csv="a,y,part,fold\n" + rows))
    assert numbers.folds is not None
    assert numbers.folds.count == 5


def test_an_unchanged_file_is_read_once(
    declare: Callable[..., Catalogue], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = had(declare("file: s.csv\ntarget: y\n", s__csv=CSV)).hash
    path = tmp_path / "data" / "s.csv"
    with monkeypatch.context() as patch:
        patch.setattr(tables.pc_csv, "read_csv", None)
        catalogue = Catalogue([], [str(tmp_path / "data" / "sales.yaml")])
        assert had(catalogue).hash == first
    path.write_text(CSV + "99,None,true,2026-01-01,01,1\n")
    assert had(Catalogue([], [str(tmp_path / "data" / "sales.yaml")])).hash != first


def test_a_file_that_changes_while_it_is_read(
    declare: Callable[..., Catalogue], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    read = tables.pc_csv.read_csv

    def read_and_append(*arguments: Any, **named: Any) -> pa.Table:
        table = read(*arguments, **named)
        with (tmp_path / "data" / "s.csv").open("a") as file:
            file.write("5,6\n")
        return table

    monkeypatch.setattr(tables.pc_csv, "read_csv", read_and_append)
    catalogue = declare("file: s.csv\ntarget: y\n", s__csv=SMALL)
    assert catalogue.ready(catalogue.names()) == {}
    assert "s.csv changed while it was read" in catalogue.faults["sales"]


WIDE = ",".join(f"c{n}" for n in range(50_000)) + "\n" + ",".join("1" * 50_000) + "\n"
BAD: dict[str, tuple[str, dict[str, str | bytes], str]] = {
    "wrong target": ("file: s.csv\ntarget: yy", {"s__csv": SMALL}, 'no column "yy"'),
    "two targets": ("file: s.csv\ntarget: a,y", {"s__csv": SMALL}, "names 2 targets"),
    "text for numbers": (
        "file: s.csv\ntarget: word\ntype: regression",
        {"s__csv": CSV},
        "not numeric",
    ),
    "missing target": ("file: s.csv\ntarget: y", {"s__csv": "a,y\n1,\n2,\n"}, "in every row"),
    "one row": ("file: s.csv\ntarget: y", {"s__csv": "a,y\n1,2\n"}, "one row with a target"),
    "no row": ("file: s.csv\ntarget: y", {"s__csv": "a,y\n"}, "no rows"),
    "50,000 columns": ("file: s.csv\ntarget: c0", {"s__csv": WIDE}, "50000 columns"),
    "0 bytes": ("file: s.csv\ntarget: y", {"s__csv": ""}, "is empty"),
    "zip": ("file: s.csv\ntarget: y", {"s__csv": b"PK\x03\x04rest"}, "is a zip archive; unpack"),
    "climbs": ("file: ../s.csv\ntarget: y", {}, "leads out of its folder"),
    "link": ("file: link.csv\ntarget: y", {}, "leads out of its folder"),
    "absent": ("file: t.csv\ntarget: y", {}, "t.csv cannot be read: No such file"),
    "folder": ("file: .\ntarget: y", {}, "is a folder; name a file"),
    "fifo": ("file: fifo.csv\ntarget: y", {}, "regular file"),
    "no parquet": ("file: s.parquet\ntarget: y", {"s__parquet": b"PAR1 no"}, "as parquet"),
    "no format": ("file: s.dat\ntarget: y", {"s__dat": SMALL}, "is not a known format"),
    "ragged": ("file: s.csv\ntarget: y", {"s__csv": "a,y\n1,2\n3\n"}, "Expected 2 columns"),
    "ragged line": (
        "file: s.csv\ntarget: y",
        {"s__csv": 'a,y\r\n"x\r\ny",2\r\n\r\n3\r\n'},
        "s.csv cannot be read as csv: line 5: ",
    ),
    "open quote": (
        "file: s.csv\ntarget: y",
        {"s__csv": 'a,y\n1,2\n"3,4\n5,6\n'},
        "s.csv is not CSV: the quote that opens in line 3 is never closed",
    ),
    "open quote at the end of a line": (
        "file: s.csv\ntarget: y",
        {"s__csv": 'a,y\n"1\n""\n",2\n3,"4\n5,6\n'},
        "the quote that opens in line 5 is never closed",
    ),
    "open quote in the header": (
        "file: s.tsv\ntarget: y",
        {"s__tsv": 'a\t"y\n1\t2\n'},
        "the quote that opens in line 1 is never closed",
    ),
    "open quote in another encoding": (
        "file: s.csv\ntarget: y\nencoding: utf-16\nseparator: ;",
        {"s__csv": 'a;y\n1;"2\n'.encode("utf-16")},
        "the quote that opens in line 2 is never closed",
    ),
    "latin": (
        "file: s.csv\ntarget: y",
        {"s__csv": "a,y\nü,2\nx,3\n".encode("latin1")},
        "encoding",
    ),
    "semicolons": ("file: s.csv\ntarget: y", {"s__csv": "a;y\n1;2,5\n"}, 'as "separator" and'),
    "semicolons alone": (
        "file: s.csv\ntarget: y",
        {"s__csv": "a;y\n1;2\n2;3\n"},
        'declare "separator": ";"',
    ),
    "two columns": (
        "file: s.csv\ntarget: y",
        {"s__csv": "a,a,y\n1,2,3\n4,5,6\n"},
        'two columns "a"',
    ),
    "not a number": (
        "file: s.csv\ntarget: y\ncolumns: {word: number}",
        {"s__csv": CSV},
        "cannot be read as number",
    ),
    "no such column": ("file: s.csv\ntarget: y\ncolumns: {q: date}", {"s__csv": SMALL}, '"q"'),
    "odd split": (
        "file: s.csv\ntarget: y\nsplit_column: a",
        {"s__csv": "a,y,b\ntrain,1,2\ntset,3,4\n"},
        'holds "tset"',
    ),
    "differing parts": (
        "train: s.csv\ntest: t.csv\ntarget: y",
        {"s__csv": SMALL, "t__csv": "b,y\n1,2\n"},
        "differ in columns",
    ),
}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=[pytest.mark.slow] if case == "50,000 columns" else [])
        for case in BAD
    ],
)
def test_a_file_that_cannot_be_used_is_a_sentence(
    declare: Callable[..., Catalogue], tmp_path: Path, case: str
) -> None:
    text, files, words = BAD[case]
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "link.csv").symlink_to("/etc/passwd")
    os.mkfifo(folder / "fifo.csv")
    catalogue = declare(text, **files)
    assert catalogue.ready(catalogue.names()) == {}
    sentence = catalogue.faults["sales"]
    assert words in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_two_declarations_of_one_url_fetch_it_once(declare: Callable[..., Catalogue]) -> None:
    with OpenMLServer() as server:
        server.answers["/s.csv"] = CSV.encode()
        server.delay_s = 0.3
        one = f"{{name: one, url: '{server.url}/s.csv', target: y}}"
        catalogue = declare(f"- {one}\n- {one.replace('one', 'two').replace('y}', 'n}')}\n")
        found = catalogue.ready(catalogue.names())
        assert catalogue.faults == {}
        assert [entry.load().target for entry in found.values()] == ["y", "n"]
        assert len(server.asked) == 1


def test_a_url_is_fetched_once_goes_on_and_is_checked(
    declare: Callable[..., Catalogue], tmp_path: Path
) -> None:
    content = CSV.encode()
    with OpenMLServer() as server:
        server.answers["/s.csv"] = content
        url = f"{server.url}/s.csv?token=abc123secret"
        server.faults["/s.csv"] = Fault("cut", times=1)
        dataset = had(declare(f"url: {url}\ntarget: y\n"))
        assert dataset.description["source"] == f"{server.url}/s.csv"
        assert len(server.asked) == 2
        had(declare(f"url: {url}\ntarget: y\n"))
        assert len(server.asked) == 2
        wrong = declare(f"url: {url}\ntarget: y\nsha256: {'f' * 64}\n")
        assert wrong.ready(wrong.names()) == {}
        assert "has the sha256" in wrong.faults["sales"]
        assert "secret" not in wrong.faults["sales"]
        right = f"url: {url}\ntarget: y\nsha256: {hashlib.sha256(content).hexdigest()}\n"
        assert had(declare(right)).hash == dataset.hash
        gone = declare(f"url: {server.url}/no.csv?token=abc123secret\ntarget: y\n")
        server.answers["/no.csv"] = b""
        assert gone.ready(gone.names()) == {}
        assert "is empty" in gone.faults["sales"]
    kept = declare(right)
    entries = kept.ready(kept.names(), refresh=False)
    assert isinstance(entries["sales"], Entry)


def test_a_table_in_s3(declare: Callable[..., Catalogue], s3: str) -> None:
    from benchmark.store import open_store

    open_store(f"{s3}tables").put("s.csv", CSV.encode())
    assert had(declare(f"url: {s3}tables/s.csv\ntarget: y\n")).table.num_rows == 40
    missing = declare(f"url: {s3}tables/t.csv\ntarget: y\n")
    assert missing.ready(missing.names()) == {}
    assert "There is no s3://" in missing.faults["sales"]


def test_an_absolute_path_may_lead_anywhere(
    declare: Callable[..., Catalogue], tmp_path: Path
) -> None:
    (tmp_path / "elsewhere.csv").write_text(SMALL)
    assert had(declare(f"file: {tmp_path}/elsewhere.csv\ntarget: y\n")).table.num_rows == 2


def test_a_draft_of_bad_and_good_sets_leaves_the_bad_out(
    declare: Callable[..., Catalogue], make_config: Callable[..., Any], tmp_path: Path
) -> None:
    from benchmark.runs.plan import draft

    text = "- {name: good, file: s.csv, target: y}\n- {name: bad, file: t.csv, target: y}\n"
    declare(text, s__csv=CSV)
    path = str(tmp_path / "data" / "sales.yaml")
    wanted = draft(make_config(studies=[], datasets=[path]))
    assert [cell.dataset for cell in wanted.manifest.cells] == ["good"]
    assert "t.csv" in wanted.faults["bad"]
    declare(text.replace("s.csv", "u.csv"))
    with pytest.raises(DataError, match=r"t\.csv.*1 more"):
        draft(make_config(studies=[], datasets=[path]))


@pytest.mark.parametrize("damage", [b"", b"PAR1 and nothing", None])
def test_a_damaged_copy_is_made_again_from_the_files(
    declare: Callable[..., Catalogue], tmp_path: Path, damage: bytes | None
) -> None:
    catalogue = declare("file: s.csv\ntarget: y\n", s__csv=CSV)
    whole = catalogue.ready(["sales"])["sales"].objects()
    (copy,) = (tmp_path / "cache/datasets/own").glob("sales~*.parquet")
    if damage is None:
        copy.unlink()
    else:
        copy.write_bytes(damage)
    assert catalogue.ready(["sales"])["sales"].objects() == whole
    assert catalogue.faults == {}


@pytest.mark.parametrize("step", ["mkdir", "replace"])
def test_a_cache_that_cannot_be_written_is_done_without(
    declare: Callable[..., Catalogue], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Neither a read-only folder nor a full disk ends a run: the data set is in memory."""
    catalogue = declare("file: s.csv\ntarget: y\ncolumns: {zip: category}\n", s__csv=CSV)
    known = had(catalogue)
    file = tmp_path / "data" / "s.csv"

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, step, refuse)
    assert had(catalogue).hash == known.hash
    assert catalogue.notes == []
    file.write_text(CSV + "9,x,true,2026-01-01,1,1\n")
    entry = catalogue.ready(["sales"])["sales"]
    assert entry.load().table.num_rows == known.table.num_rows + 1
    assert sorted(entry.objects()) == [".json", ".parquet"]
    (note,) = catalogue.notes
    assert "Read-only file system" in note
    assert "Until then each command reads own data sets again." in note


def test_a_downloaded_file_is_read_from_a_cache_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OpenMLServer() as server:
        server.answers["/s.csv"] = CSV.encode()
        url = f"{server.url}/s.csv"
        folder = tmp_path / "downloads"
        kept = download(url, folder)

        def refuse(path: Path, *_: object, **__: object) -> None:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

        monkeypatch.setattr(Path, "mkdir", refuse)
        assert download(url, folder) == kept
        assert download(url, folder, refresh=True) == kept
        with pytest.raises(DataError, match="cannot be written: Read-only file system; make it"):
            download(f"{server.url}/other.csv", folder)
