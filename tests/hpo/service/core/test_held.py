"""What comes between two steps of closing an experiment, or of writing its records."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from benchmark.errors import StoreError
from benchmark.hpo.service.backends.store import StoreBackend
from benchmark.hpo.service.core import records
from benchmark.hpo.service.core.endings import Ending
from benchmark.hpo.service.core.experiment import Experiment
from benchmark.hpo.service.core.service import Service
from benchmark.store import Store

DECLARED: dict[str, Any] = {
    "direction": "minimize",
    "tunables": [{"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}],
    "trials": 20,
    "algorithm": "random",
}


@pytest.mark.parametrize("call", ["tell", "use"])
def test_a_deleted_experiment_gets_no_record_once_the_database_is_back(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """What stands under its name then is another experiment of that name."""
    service = Service(StoreBackend(folder_store))
    service.create("e", DECLARED)
    now, answers = [0.0], iter([None, True])

    def answer() -> bool:
        found = next(answers, False)
        if found is None:
            now[0] += 20.0
            raise StoreError("Connection timed out.")
        return found

    with service.use("e") as experiment:
        recorder, run = service._recorder, experiment.run
        assert run is not None
        given = experiment.ask(2)
        recorder._thread.submit(int).result()
        with monkeypatch.context() as patch:
            patch.setattr(experiment, "is_current", answer)
            patch.setattr(records, "monotonic", lambda: now[0])
            experiment.tell(given[0].number, Ending("success", (1.0,)))
            recorder._thread.submit(int).result()
            # The database did not answer, so it may be another experiment's place by now.
            assert run.store.get(run.out_path("0")) is None
            if call == "use":
                patch.setattr(experiment, "_on_told", lambda *_: None)  # it is queued later
            else:
                next(answers)
            experiment.tell(given[1].number, Ending("success", (1.0,)))
            if call == "use":
                with service.use("e"):
                    recorder._thread.submit(recorder._write_guarded, experiment, [1])
            recorder._thread.submit(int).result()
            assert run.store.list(f"{run.name}/out") == []
    service.close()


def test_an_experiment_that_a_request_got_before_it_is_closed_stays_open(
    folder_store: Store,
) -> None:
    service = Service(StoreBackend(folder_store), most_open=1)
    for name in ("a", "b"):
        service.create(name, DECLARED)
    service.call("a", lambda experiment: experiment.ask())
    (held,) = service._held.values()
    opening, main = held.opening, threading.get_ident()
    inside, go_on = threading.Event(), threading.Event()
    got: list[Experiment] = []

    def request() -> None:
        with service.use("a") as found:
            got.append(found)
            inside.set()
            assert go_on.wait(60)

    class Late:
        """A lock that its closer gets after a request has had it."""

        def __enter__(self) -> None:
            if threading.get_ident() == main and not inside.is_set():
                other.start()
                assert inside.wait(60)
            opening.acquire()

        def __exit__(self, *_: object) -> None:
            opening.release()

    other = threading.Thread(target=request)
    held.opening = Late()  # type: ignore[assignment]
    service.call("b", lambda experiment: experiment.ask())
    open_one = held.experiment
    go_on.set()
    other.join(60)
    assert got == [open_one]
    service.close()
