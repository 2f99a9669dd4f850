"""Records of ended trials, which are written behind the answers."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from benchmark.errors import StoreError
from benchmark.hpo.service.backends.store import StoreBackend
from benchmark.hpo.service.core import records
from benchmark.hpo.service.core.endings import Ending
from benchmark.hpo.service.core.service import Service
from benchmark.hpo.study.deletion import delete
from benchmark.hpo.study.store import JOURNAL
from benchmark.records import results
from benchmark.store import FolderStore, Store
from prove.rows import until

DECLARED: dict[str, Any] = {
    "direction": "minimize",
    "tunables": [{"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}],
    "trials": 20,
    "algorithm": "random",
}


def test_a_record_that_is_missing_is_written_although_the_study_was_founded_again(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(StoreBackend(folder_store))
    service.create("e", DECLARED)
    recorder = service._recorder
    with service.use("e") as old:
        recorder.unsure(old)
    service.delete("e")
    service.create("e", DECLARED)
    with service.use("e") as new:
        run = new.run
        assert run is not None
        new.ask()
        recorder._thread.submit(int).result()
        with monkeypatch.context() as patch:
            patch.setattr(new, "_on_told", lambda *_: None)  # the write failed
            new.tell(0, Ending("success", (1.0,)))
        recorder.unsure(old)
        recorder.unsure(new)
        monkeypatch.setattr(old, "is_current", lambda: False)
        recorder.flush(new)
        assert run.store.get(run.out_path("0")) is not None
    service.close()


def test_records_wait_once_for_a_database_that_does_not_answer(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(StoreBackend(folder_store))
    service.create("e", DECLARED)
    now, looks = [0.0], []

    def drops() -> bool:
        looks.append(now[0])
        now[0] += 20.0
        raise StoreError("Connection timed out.")

    with service.use("e") as experiment:
        recorder, run = service._recorder, experiment.run
        recorder._thread.submit(int).result()
        assert run is not None
        monkeypatch.setattr(experiment, "is_current", drops)
        monkeypatch.setattr(records, "monotonic", lambda: now[0])
        all_told = threading.Event()
        recorder._thread.submit(all_told.wait, 60)  # it is away after all three
        for given in experiment.ask(3):
            experiment.tell(given.number, Ending("success", (1.0,)))
        all_told.set()
        recorder._thread.submit(int).result()
        assert looks == [0.0]
        # What stands under its name may be another experiment by now.
        assert run.store.list(f"{run.name}/out") == []
        now[0] = 300.0
        experiment.ask()
        experiment.tell(3, Ending("success", (1.0,)))
        recorder._thread.submit(int).result()
        assert looks == [0.0, 300.0]
        monkeypatch.undo()
        recorder.reached()
        recorder._thread.submit(int).result()
        assert sorted(run.store.list(f"{run.name}/out")) == [run.out_path(str(n)) for n in range(4)]
    service.close()


def test_records_that_wait_together_are_written_after_one_look(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(StoreBackend(folder_store))
    service.create("e", DECLARED)
    with service.use("e") as experiment:
        recorder, run, looks = service._recorder, experiment.run, []
        assert run is not None
        all_told = threading.Event()
        recorder._thread.submit(all_told.wait, 60)
        monkeypatch.setattr(experiment, "is_current", lambda: bool(looks.append(1) or True))
        for given in experiment.ask(20):
            experiment.tell(given.number, Ending("success", (1.0,)))
        all_told.set()
        recorder.flush(experiment)
        written = {run.out_path(str(number)) for number in range(20)}
        assert set(run.store.list(f"{run.name}/out")) == written
        assert len(looks) == 2  # 16 and 4
    service.close()


def test_a_server_that_ends_leaves_records_for_the_next_one(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each is two syncs of the disk: thousands would take longer than a server has to end."""
    service = Service(StoreBackend(folder_store))
    service.create("e", DECLARED)
    now, create = [0.0], type(folder_store).create

    def slowly(store: Any, path: str, content: bytes) -> bool:
        now[0] += 1.0
        return create(store, path, content)

    all_told = threading.Event()
    with service.use("e") as experiment:
        recorder, run = service._recorder, experiment.run
        assert run is not None
        recorder._thread.submit(all_told.wait, 60)
        for given in experiment.ask(20):
            experiment.tell(given.number, Ending("success", (float(given.number),)))
    with monkeypatch.context() as patch:
        patch.setattr(records, "monotonic", lambda: now[0])
        patch.setattr(type(run.store), "create", slowly)
        ending = threading.Thread(target=service.close)
        ending.start()
        until(lambda: recorder._closed, "the end", 60)
        all_told.set()
        ending.join()
    assert len(run.store.list(f"{run.name}/out")) == 16
    assert "Some records of 'e' are written when a server opens it again" in caplog.text
    service = Service(StoreBackend(folder_store))
    with service.use("e") as experiment:
        service._recorder.flush(experiment)
    found = {record.task: record.labels["values"] for record in results.records(run)}
    assert found == {str(number): [float(number)] for number in range(20)}
    service.close()


def test_repeats_of_a_trial_do_not_hold_up_the_records(folder_store: Store) -> None:
    service = Service(StoreBackend(folder_store))
    service.create("e", DECLARED)
    with service.use("e") as experiment:
        run = experiment.run
        assert run is not None
        run.store.put(run.out_path("leader-5-0"), b"{}")
        experiment.ask()
        service._recorder.unsure(experiment)
        experiment.tell(0, Ending("success", (1.0,)))
        service._recorder.flush(experiment)
        assert run.store.get(run.out_path("0")) is not None
    service.close()


def test_records_without_their_journal_are_not_mixed_with_those_of_other_trials(
    folder_store: FolderStore,
) -> None:
    first, second = (Service(StoreBackend(folder_store)) for _ in range(2))
    first.create("e", DECLARED)
    with first.use("e") as experiment:
        experiment.tell(experiment.ask()[0].number, Ending("success", (1.0,)))
        assert experiment.run is not None
    first.close()
    (journal,) = folder_store.root.rglob(JOURNAL)
    journal.unlink()
    with pytest.raises(StoreError, match="'e' has records of trials and no journal at"):
        second.use("e").__enter__()
    assert not journal.exists()
    delete(experiment.run, experiment.definition)
    second.create("e", DECLARED)
    with second.use("e") as experiment:
        assert experiment.ask()[0].number == 0
    second.close()
