"""Tasks read one table: the same values as a copy, its test targets in no file they are given."""

from __future__ import annotations

import mmap
import multiprocessing
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from benchmark.data import Dataset, cv, embedded_names, holdout, load
from benchmark.errors import DataError
from benchmark.execution.sandbox import scratch, shared
from benchmark.execution.sandbox.scratch import scratch_root
from benchmark.execution.shared_tables import SharedTables
from benchmark.execution.worker import frames
from benchmark.files.removal import remove_tree

SEED = 3


@pytest.fixture(autouse=True)
def own_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def tables() -> Iterator[SharedTables]:
    with SharedTables() as opened:
        yield opened


def mapped(tables: SharedTables, dataset: Dataset) -> Dataset:
    return tables.dataset(dataset.name, dataset.hash, lambda: dataset)


def strange() -> Dataset:
    return Dataset.of(
        "strange",
        "classification",
        "y",
        pa.table(
            {
                "whole": pa.array([1, 2, None, 4] * 5, pa.int16()),
                "all there": pa.array(range(20), pa.int8()),
                "large": pa.array([2**53 + 2, None, -(2**63), 2**62] * 5),
                "beyond, no gap": pa.array([2**53 + 1, 2**62 + 1] * 10),
                "large, unsigned": pa.array([2**63, None, 0, 1] * 5, pa.uint64()),
                "beyond, unsigned": pa.array([2**64 - 1, 0, 2, 1] * 5, pa.uint64()),
                "small": pa.array([1.5, None, float("nan"), 2.0] * 5, pa.float32()),
                "none": pa.nulls(20),
                "flag": pa.array([True, None, False, True] * 5),
                "many": pa.array([f"level {n}" for n in range(20)]),
                "sized": pa.DictionaryArray.from_arrays(
                    pa.array([2, 0, None, 0] * 5, pa.int8()), ["a", "unused", "ü"], ordered=True
                ),
                "y": ["p", "q"] * 10,
            }
        ),
    )


def assert_same(found: pd.DataFrame, wanted: pd.DataFrame, **options: bool) -> None:
    """Categories and codes by themselves: pandas compares values of categories one at a time."""
    coded = [found, wanted]
    for name in wanted.select_dtypes("category"):
        ours, theirs = found[name].cat, wanted[name].cat
        pd.testing.assert_index_equal(ours.categories, theirs.categories)
        assert ours.ordered == theirs.ordered
        coded = [frame.assign(**{name: frame[name].cat.codes}) for frame in coded]
    pd.testing.assert_frame_equal(*coded, **options)


@pytest.mark.parametrize("name", [*embedded_names(), "strange"])
@pytest.mark.parametrize("view_bytes", [0, 1 << 40], ids=["views", "copies"])
def test_the_frames_are_what_the_table_says(
    tables: SharedTables, monkeypatch: pytest.MonkeyPatch, name: str, view_bytes: int
) -> None:
    monkeypatch.setattr(frames, "VIEW_BYTES", view_bytes)
    dataset = strange() if name == "strange" else load(name)
    part = holdout(dataset, SEED)
    payload = tables.parts(mapped(tables, dataset), "holdout", SEED).payload()
    train = frames.read_train(payload, dataset.target, dataset.categorical)
    test = frames.read_test(payload, dataset.categorical)
    table = dataset.table.select([*dataset.features, dataset.target])
    assert_same(train, table.take(part.train).to_pandas())
    wanted = table.select(dataset.features).take(part.test).to_pandas()
    # A split may leave no gap in a column of whole numbers: its type is that of the whole table.
    assert_same(test, wanted, check_dtype=False)
    assert list(test.columns) == dataset.features
    assert (test.dtypes == train.drop(columns=dataset.target).dtypes).all()


def test_what_a_task_writes_into_its_frame_is_its_own(
    tables: SharedTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "VIEW_BYTES", 0)
    dataset = load("diamonds")
    parts = tables.parts(mapped(tables, dataset), "holdout", SEED)
    before = parts.features.read_bytes()
    train = frames.read_train(parts.payload(), dataset.target, dataset.categorical)
    values = train["carat"].to_numpy()
    values.flags.writeable = True
    values[:] = -1.0
    train["cut"] = "x"
    again = frames.read_train(parts.payload(), dataset.target, dataset.categorical)
    assert (again["carat"] > 0).all()
    assert parts.features.read_bytes() == before


def test_the_targets_of_the_test_rows_are_in_no_file_of_a_task(tables: SharedTables) -> None:
    marks = [1e6 + n for n in range(200)]
    table = pa.table({"a": np.arange(200.0), "y": marks})
    dataset = Dataset.of("t", "regression", "y", table)
    part = holdout(dataset, SEED)
    payload = tables.parts(mapped(tables, dataset), "holdout", SEED).payload()
    named = [Path(value) for value in payload.values() if isinstance(value, str)]
    folders = {path.parent for path in named}
    content = b"".join(file.read_bytes() for folder in folders for file in folder.iterdir())
    for row in part.test:
        assert np.float64(marks[row]).tobytes() not in content
    assert np.float64(marks[part.train[0]]).tobytes() in content


def test_a_mapped_data_set_is_the_data_set(tables: SharedTables) -> None:
    dataset = load("credit-g")
    again = mapped(tables, dataset)
    assert again.table.equals(dataset.table)
    assert again.classes == dataset.classes
    assert again.categorical == dataset.categorical
    assert tables.parts(again, "holdout", 5).split.hash == holdout(dataset, 5).hash
    assert tables.parts(again, "cv", 5).split.hash == cv(dataset, 5).hash
    with pytest.raises(DataError, match="no split"):
        tables.parts(again, "bootstrap", 5)
    assert mapped(tables, dataset) is again


def _use(root: str, number: int, built: str, barrier: multiprocessing.synchronize.Barrier) -> None:
    import tempfile

    tempfile.tempdir = root
    with shared.SharedFolders() as folders:
        barrier.wait()

        def build(folder: Path) -> None:
            with Path(built).open("a") as file:
                file.write(f"{number}\n")
            (folder / "table").write_text("whole")

        folder = folders.hold("table-x", build)
        assert (folder / "table").read_text() == "whole"
        barrier.wait()


def test_one_of_many_processes_builds_and_the_last_one_removes(own_scratch: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(6)
    built = own_scratch / "built"
    processes = [
        context.Process(target=_use, args=(str(own_scratch), n, str(built), barrier))
        for n in range(6)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 6
    assert len(built.read_text().splitlines()) == 1
    assert [path.name for path in own_scratch.iterdir()] == ["built"]


def test_a_build_that_fails_is_built_again(own_scratch: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "part").write_text("half")
        raise OSError(28, "No space left on device")

    with shared.SharedFolders() as folders:
        with pytest.raises(OSError, match="No space"):
            folders.hold("table-x", fail)
        assert list(own_scratch.iterdir()) == []
        folder = folders.hold("table-x", lambda folder: (folder / "all").touch())
        assert (folder / "all").exists()


def test_large_tables_go_when_others_come(
    own_scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "_MOST_HELD_BYTES", 100)
    with shared.SharedFolders() as folders:
        for name in "abcd":
            folders.let_go()
            folders.hold(name, lambda folder: (folder / "table").write_bytes(bytes(80)))
        left = sorted(path.name for path in next(own_scratch.iterdir()).iterdir())
        assert left == ["b", "c", "d"]


def zero(path: Path) -> None:
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.write(bytes(100))


def zero_and_set_the_times_back(path: Path) -> None:
    facts = path.stat()
    zero(path)
    path.chmod(facts.st_mode)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def map_and_zero(path: Path) -> None:
    path.chmod(0o600)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as pages:
        pages[:100] = bytes(100)


def another_in_its_place(path: Path) -> None:
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    copy.replace(path)


CHANGES = [
    zero,
    zero_and_set_the_times_back,
    map_and_zero,
    another_in_its_place,
    lambda path: os.truncate(path, 10),
    Path.unlink,
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("file", ["features.arrow", "rows.npz", "table.arrow"])
def test_a_change_is_seen_and_the_next_one_gets_new_files(
    tables: SharedTables, own_scratch: Path, change: Callable[[Path], None], file: str
) -> None:
    dataset = load("cpu")
    check = ("cpu", dataset.hash, "holdout", SEED, False)
    before = tables.parts(mapped(tables, dataset), "holdout", SEED)
    tables.check(*check)
    content = before.features.read_bytes()
    (found,) = own_scratch.rglob(file)
    change(found)
    with pytest.raises(DataError, match=r"'cpu' .* were changed while the task ran"):
        tables.check(*check)
    again = mapped(tables, dataset)
    assert again.table.equals(dataset.table)
    after = tables.parts(again, "holdout", SEED)
    assert after.features.read_bytes() == content
    tables.check(*check)


def test_what_changed_between_tasks_is_built_anew_without_a_word(tables: SharedTables) -> None:
    dataset = load("cpu")
    parts = tables.parts(mapped(tables, dataset), "holdout", SEED)
    content = parts.features.read_bytes()
    zero(parts.features)
    after = tables.parts(mapped(tables, dataset), "holdout", SEED)
    assert after.features.read_bytes() == content


def test_a_change_that_leaves_no_trace_is_seen_by_the_content(tables: SharedTables) -> None:
    """As by root on a tmpfs: here the file's facts are noted again after it."""
    dataset = load("cpu")
    parts = tables.parts(mapped(tables, dataset), "holdout", SEED)
    zero(parts.features)
    held = tables._folders._held[f"parts-{dataset.hash}-holdout-{SEED}"]
    noted = held.files["features.arrow"]
    held.files["features.arrow"] = shared._File.of(parts.features, noted.hash)
    tables.check("cpu", dataset.hash, "holdout", SEED, False)
    with pytest.raises(DataError, match="were changed"):
        tables.check("cpu", dataset.hash, "holdout", SEED, True)


def test_files_that_another_process_has_found_changed_are_left_to_it(own_scratch: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "table").write_text("whole")

    with shared.SharedFolders() as one, shared.SharedFolders() as other:
        folder = one.hold("table-x", build)
        assert other.hold("table-x", build) == folder
        zero(folder / "table")
        assert (one.hold("table-x", build) / "table").read_text() == "whole"
        assert not other.is_intact("table-x")
        assert (other.hold("table-x", build) / "table").read_text() == "whole"
        assert one.is_intact("table-x")
        assert len(list(folder.parent.iterdir())) == 1
    assert list(own_scratch.iterdir()) == []


@pytest.mark.parametrize(
    "note", ["", "[]", '{"table": 7}', '{"table": [1, 2]}', "[" * 100_000, None]
)
def test_a_note_that_cannot_be_read_is_a_change(own_scratch: Path, note: str | None) -> None:
    """None: it is a pipe, which must not be waited for."""

    def build(folder: Path) -> None:
        (folder / "table").write_text("whole")

    with shared.SharedFolders() as one, shared.SharedFolders() as other:
        folder = one.hold("table-x", build)
        if note is None:
            (folder / "ready").unlink()
            os.mkfifo(folder / "ready")
        else:
            (folder / "ready").write_text(note)
        (folder / "table").chmod(0o600)
        (folder / "table").write_text("half")
        assert (other.hold("table-x", build) / "table").read_text() == "whole"


@pytest.mark.parametrize("planted", ["link", "file", "lock"])
def test_what_is_planted_in_a_shared_folders_place_stops_nobody(
    own_scratch: Path, planted: str
) -> None:
    home = own_scratch / "home"
    home.mkdir()
    place = scratch_root() / "table-x"
    if planted == "link":
        place.symlink_to(home)
    elif planted == "file":
        place.touch()
    else:
        place.mkdir()
        (place / "lock").symlink_to(home / "lock")
    with shared.SharedFolders() as folders:
        folder = folders.hold("table-x", lambda folder: (folder / "table").touch())
        assert folder != place
        assert (folder / "table").exists()
    assert list(home.iterdir()) == []
    assert os.path.lexists(place)


@pytest.mark.parametrize("gone", ["lock", "nothing", "ready"])
def test_a_table_that_is_being_removed_is_not_entered(
    own_scratch: Path, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    """Another process begins at any moment of the removal, and has a table of its own."""
    build = lambda folder: (folder / "table").write_text("whole")  # noqa: E731
    later = shared.SharedFolders()

    def removing(folder: Path) -> str | None:
        (folder / gone).unlink(missing_ok=True)
        later.hold("table-x", build)
        return remove_tree(folder)

    with shared.SharedFolders() as folders:
        folders.hold("table-x", build)
        monkeypatch.setattr(scratch, "remove_tree", removing)
    with later:
        monkeypatch.setattr(scratch, "remove_tree", remove_tree)
        assert (later.hold("table-x", build) / "table").read_text() == "whole"
    assert list(own_scratch.iterdir()) == []
