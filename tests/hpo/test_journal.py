"""The journal's lock: a torn tail is cut, a killed holder blocks nobody."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from benchmark.errors import StoreError
from benchmark.hpo.samplers.optimizer import Optimizer
from benchmark.hpo.samplers.proposal import Told
from benchmark.hpo.space.space_file import read_space
from benchmark.hpo.storages.journal_file import cut_torn_tail
from benchmark.hpo.storages.storage import open_storage

X = {"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}

_HOLDER = """
import sys
from pathlib import Path
from benchmark.hpo.storages.journal_file import FlockLock
FlockLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_torn_tail_is_cut_by_the_next_append(tmp_path: Path) -> None:
    place = tmp_path / "journal"
    study = optuna.create_study(storage=open_storage(str(place), "s"), study_name="s")
    study.tell(study.ask(), 1.0)
    whole = place.read_bytes()
    place.write_bytes(whole + b'{"op_code":4,"wor')
    again = optuna.load_study(storage=open_storage(str(place), "s"), study_name="s")
    again.tell(again.ask(), 2.0)
    last = optuna.load_study(storage=open_storage(str(place), "s"), study_name="s")
    assert [trial.value for trial in last.trials] == [1.0, 2.0]
    assert place.read_bytes().startswith(whole)


def test_nothing_is_cut_from_what_is_whole(tmp_path: Path) -> None:
    place = tmp_path / "journal"
    for data, cut in ((b"", 0), (b"a\n", 0), (b"a\n" + b"x" * 200_000, 200_000), (b"abc", 3)):
        place.write_bytes(data)
        assert cut_torn_tail(place) == cut
        assert place.read_bytes() == data[: len(data) - cut]


def test_a_killed_holder_blocks_nobody(tmp_path: Path) -> None:
    place = tmp_path / "journal"
    storage = open_storage(str(place), "s")
    command = [sys.executable, "-c", _HOLDER, str(place)]
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        holder.send_signal(signal.SIGKILL)
    study = optuna.create_study(storage=storage, study_name="s")
    assert study.ask().number == 0


def ended(place: Path) -> tuple[int, int]:
    """Write a study with one trial that ended in several lines; where these begin and end."""
    optimizer = Optimizer(
        read_space({"tunables": [X]}), ["minimize"], "random", 1, open_storage(str(place), "s"), "s"
    )
    optimizer.ask()
    begin = place.stat().st_size
    told = Told("success", (1.0,), (-1.0,), {0: 0.5, 1: 0.25}, {"m": 2.0}, {"told": '{"batch":9}'})
    assert optimizer.tell(0, told)
    return begin, place.stat().st_size


def facts(place: Path) -> tuple[str, dict[int, float], set[str], set[str], list[float] | None]:
    (trial,) = optuna.load_study(storage=open_storage(str(place), "s"), study_name="s").trials
    attrs = set(trial.user_attrs), set(trial.system_attrs)
    return (trial.state.name, trial.intermediate_values, *attrs, trial.values)


NOTHING = ("RUNNING", {}, set[str](), set[str](), None)
WHOLE = ("COMPLETE", {0: 0.5, 1: 0.25}, {"metrics", "told"}, {"constraints"}, [1.0])


def test_a_kill_at_any_byte_leaves_all_of_an_ending_or_nothing(tmp_path: Path) -> None:
    place, hurt = tmp_path / "journal", tmp_path / "hurt"
    begin, end = ended(place)
    data = place.read_bytes()
    assert data[begin:end].count(b"\n") == 6
    newlines = [at + 1 for at in range(begin, end) if data[at : at + 1] == b"\n"]
    for cut in sorted({*range(begin, end, 41), *newlines, end - 1, end}):
        hurt.write_bytes(data[:cut])
        assert facts(hurt) == (WHOLE if cut == end else NOTHING), cut
        # The next append cuts what is incomplete, and all that follows is read as it was written.
        study = optuna.load_study(storage=open_storage(str(hurt), "s"), study_name="s")
        study.set_user_attr("next", 1)
        assert hurt.read_bytes().startswith(data[: end if cut == end else begin] + b'{"op_code":2')
        assert facts(hurt) == (WHOLE if cut == end else NOTHING), cut


def test_a_reader_goes_on_after_an_incomplete_append_was_cut(tmp_path: Path) -> None:
    place = tmp_path / "journal"
    begin, end = ended(place)
    data = place.read_bytes()
    lines = data[begin:end].splitlines(keepends=True)
    place.write_bytes(data[:begin] + b"".join(lines[:3]))
    reader = optuna.load_study(storage=open_storage(str(place), "s"), study_name="s")
    assert reader.trials[0].user_attrs == {}
    writer = optuna.load_study(storage=open_storage(str(place), "s"), study_name="s")
    for number in range(5):
        writer.set_user_attr(f"attribute {number} of the study", number)
    reader.set_user_attr("mine", 1)
    assert len(reader.user_attrs) == 6
    reader.tell(0, 3.0)
    assert writer.trials[0].values == [3.0]


def test_the_lines_are_read_by_optuna_itself(tmp_path: Path) -> None:
    place = tmp_path / "journal"
    ended(place)
    backend = optuna.storages.journal.JournalFileBackend(str(place))
    (trial,) = optuna.load_study(
        storage=optuna.storages.JournalStorage(backend), study_name="s"
    ).trials
    assert (trial.values, trial.intermediate_values) == ([1.0], {0: 0.5, 1: 0.25})


@pytest.mark.parametrize("other", [None, b"", "copy"], ids=["removed", "empty", "replaced"])
def test_a_file_of_sqlite_that_is_no_longer_there_is_not_written(
    tmp_path: Path, other: bytes | str | None
) -> None:
    place, aside = tmp_path / "s.db", tmp_path / "aside.db"
    storage = open_storage(f"sqlite:///{place}", "s")
    optimizer = Optimizer(read_space({"tunables": [X]}), ["minimize"], "random", 1, storage, "s")
    first, second = optimizer.ask(), optimizer.ask()
    optimizer.tell(first.number, Told("success", (1.0,)))
    place.rename(aside)
    if other is not None:
        place.write_bytes(aside.read_bytes() if isinstance(other, str) else other)
    for call in (optimizer.ask, lambda: optimizer.tell(second.number, Told("success", (2.0,)))):
        with pytest.raises(StoreError, match=r"s\.db was removed or replaced while it was open"):
            call()
    aside.replace(place)
    assert optimizer.tell(second.number, Told("success", (2.0,)))
    again = open_storage(f"sqlite:///{place}", "s")
    (found,) = again.get_all_studies()
    assert [trial.value for trial in again.get_all_trials(found._study_id)] == [1.0, 2.0]


def test_a_journal_that_is_gone_or_an_earlier_copy_is_not_written(tmp_path: Path) -> None:
    place, aside = tmp_path / "journal", tmp_path / "aside"
    storage = open_storage(str(place), "s")
    optimizer = Optimizer(read_space({"tunables": [X]}), ["minimize"], "random", 1, storage, "s")
    first, second = optimizer.ask(), optimizer.ask()
    earlier = place.read_bytes()
    optimizer.tell(first.number, Told("success", (1.0,)))
    place.rename(aside)
    calls = (optimizer.ask, lambda: optimizer.tell(second.number, Told("success", (2.0,))))
    for found in ("cannot be (read|written): No such file", "is shorter than what was read of it"):
        for call in (*calls, optimizer.trials):
            with pytest.raises(StoreError, match=f"journal {place} {found}"):
                call()
        place.write_bytes(earlier)
    assert place.read_bytes() == earlier
    aside.replace(place)
    optimizer.tell(second.number, Told("success", (2.0,)))
    assert [trial.values for trial in optimizer.trials()] == [[1.0], [2.0]]
