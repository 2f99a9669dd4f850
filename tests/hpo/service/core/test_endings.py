"""A trial has one ending, whole: of two clients at once, of a repeated tell, of a broken write."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.storages import RDBStorage

from benchmark.hpo.service.backends.database import DatabaseBackend
from benchmark.hpo.service.backends.store import MemoryBackend, StoreBackend
from benchmark.hpo.service.core.backend import Backend, Opened
from benchmark.hpo.service.core.counts import Tally
from benchmark.hpo.service.core.endings import Ending
from benchmark.hpo.service.core.errors import ConflictError
from benchmark.hpo.service.core.experiment import Experiment
from benchmark.hpo.service.core.service import Service
from benchmark.hpo.service.core.views import trial_view
from benchmark.records.results import Record
from benchmark.store import FolderStore, Store
from tests.support.rdb_studies import experiment_in_rdb

DECLARED: dict[str, Any] = {
    "direction": "minimize",
    "tunables": [{"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}],
    "trials": 10_000,
    "algorithm": "random",
}
FIRST = Ending("success", (1.0,), {"m": 1.0, "a": 1.0}, (-1.0, 0.0), {0: 1.0, 1: 1.5}, 1.0, "one")
SECOND = Ending("success", (2.0,), {"m": 2.0, "b": 2.0}, (-2.0,), {1: 2.0, 2: 2.5}, 2.0, "two")
OTHERS = (
    SECOND,
    Ending("failure", metrics={"m": 3.0}, intermediate={0: 3.0}, message="three"),
    Ending("infeasible", (5.0,), {"m": 5.0}, intermediate={5: 4.0}, cost=4.0),
)


class SharedBackend(DatabaseBackend):
    """As on PostgreSQL: no server believes that it is alone."""

    def open(self, study: str) -> Opened:
        return replace(super().open(study), alone=False)


POSTGRES = pytest.param("postgres", marks=pytest.mark.integration)


@pytest.fixture(params=["store", "database", "shared", "rdb", "memory", POSTGRES])
def backend(request: pytest.FixtureRequest, folder_store: Store) -> Backend:
    assert isinstance(folder_store, FolderStore)
    if request.param == "postgres":
        return DatabaseBackend(request.getfixturevalue("postgres"), None)
    url = f"sqlite:///{folder_store.root}/s.db"
    if request.param == "rdb":
        experiment_in_rdb(url, "e", DECLARED)
    kinds = {
        "store": lambda: StoreBackend(folder_store),
        "database": lambda: DatabaseBackend(url, folder_store),
        "shared": lambda: SharedBackend(url, None),
        "rdb": lambda: SharedBackend(url, None),
        "memory": MemoryBackend,
    }
    return kinds[request.param]()


@pytest.fixture
def experiment(backend: Backend) -> Iterator[Experiment]:
    service = Service(backend)
    if not backend.names():
        service.create("e", DECLARED)
    with service.use("e") as opened:
        yield opened
    service.close()


def seen(experiment: Experiment, number: int) -> dict[str, Any]:
    """What clients see of an ended trial, apart from its point and times."""
    view = trial_view(experiment, experiment.trial(number))
    return {key: view[key] for key in view if key not in ("number", "params", "seconds")}


def alone(experiment: Experiment, ending: Ending) -> dict[str, Any]:
    """What is seen of a trial that only this ending was told of."""
    number = experiment.ask()[0].number
    assert experiment.tell(number, ending)
    return seen(experiment, number)


def at_once(experiment: Experiment, number: int, *endings: Ending) -> list[object]:
    """Each client's answer: True, False (told before), or the error."""
    gate = threading.Barrier(len(endings))
    answers: list[object] = [None] * len(endings)

    def tell(place: int) -> None:
        gate.wait()
        try:
            answers[place] = experiment.tell(number, endings[place])
        except ConflictError as error:
            answers[place] = error

    threads = [threading.Thread(target=tell, args=(place,)) for place in range(len(endings))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_of_two_tells_at_once_one_is_the_record(experiment: Experiment) -> None:
    first = alone(experiment, FIRST)
    for other in OTHERS:
        wanted = [first, alone(experiment, other)]
        number = experiment.ask()[0].number
        answers = at_once(experiment, number, FIRST, other)
        winner = answers.index(True)
        assert isinstance(answers[1 - winner], ConflictError)
        assert seen(experiment, number) == wanted[winner]


def test_of_equal_tells_at_once_one_counts(experiment: Experiment) -> None:
    wanted = alone(experiment, FIRST)
    number = experiment.ask()[0].number
    answers = at_once(experiment, number, *[FIRST] * 4)
    assert sorted(answers, key=bool) == [False, False, False, True]
    assert seen(experiment, number) == wanted
    assert experiment.counts().told == 2


_NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32) | st.sampled_from(
    [0.1, 1e300]
)
_ENDINGS = st.builds(
    Ending,
    status=st.sampled_from(["success", "failure", "prune", "infeasible"]),
    metrics=st.dictionaries(st.sampled_from(["a", "b", "é"]), _NUMBERS, max_size=2),
    constraints=st.lists(_NUMBERS, max_size=2).map(tuple),
    intermediate=st.dictionaries(st.integers(0, 3), _NUMBERS, max_size=2),
    cost=st.none() | st.floats(0, 10),
    message=st.sampled_from(["", "text"]),
).flatmap(
    lambda ending: st.builds(
        lambda value: replace(ending, values=(value,) if ending.status == "success" else ()),
        _NUMBERS,
    )
)


@pytest.fixture(scope="module")
def in_memory() -> Iterator[Experiment]:
    service = Service(MemoryBackend())
    service.create("e", DECLARED)
    with service.use("e") as opened:
        yield opened
    service.close()


@settings(max_examples=30)
@given(first=_ENDINGS, second=_ENDINGS)
def test_a_repeated_tell_is_judged_by_its_content(
    in_memory: Experiment, first: Ending, second: Ending
) -> None:
    number = in_memory.ask()[0].number
    in_memory.report(number, 3, 7.0)
    assert in_memory.tell(number, first)
    before = seen(in_memory, number)
    assert in_memory.tell(number, replace(first)) is False
    reported = {3: 7.0} | first.intermediate
    if first == second or (
        # A step that the first left as it was reported is in the record already.
        not first.intermediate
        and replace(second, intermediate={}) == first
        and all(reported.get(step) == value for step, value in second.intermediate.items())
    ):
        assert in_memory.tell(number, second) is False
    else:
        with pytest.raises(ConflictError, match="another content"):
            in_memory.tell(number, second)
    assert seen(in_memory, number) == before


def test_a_tell_with_a_lease_is_refused_once_another_has_the_trial(experiment: Experiment) -> None:
    (first,) = experiment.ask(lease_s=1e-9)
    (second,) = experiment.ask()
    assert (second.number, second.again) == (first.number, True)
    with pytest.raises(ConflictError, match="another client's now"):
        experiment.tell(first.number, FIRST, first.token)
    assert experiment.running() == [first.number]
    assert experiment.trial(first.number).user_attrs.keys() == {"service"}
    assert experiment.tell(second.number, SECOND, second.token)
    assert experiment.tell(second.number, SECOND, second.token) is False
    (third,) = experiment.ask(lease_s=1e-9)
    experiment.ask()
    # Without its token the first result counts, whoever tells it.
    assert experiment.tell(third.number, FIRST)


def test_an_ending_stops_the_experiment_only_where_it_counts(experiment: Experiment) -> None:
    stopping = Ending("failure", message="The client told error.", stops=True)
    first, second = (one.number for one in experiment.ask(2))
    assert experiment.tell(first, FIRST)
    with pytest.raises(ConflictError):
        experiment.tell(first, stopping)
    assert experiment.state == "running"
    assert experiment.tell(second, stopping)
    assert (experiment.state, experiment.is_finished) == ("stopped", True)
    with pytest.raises(ConflictError, match="for good"):
        experiment.set_state("running")
    # It is read again from the trials alone.
    again = Tally(experiment.optimizer, lambda: experiment.limits, alone=True)
    assert again.counts().stopped


def test_what_was_reported_stays_beside_the_ending(experiment: Experiment) -> None:
    number = experiment.ask()[0].number
    for step in range(3):
        experiment.report(number, step, 10.0 + step)
    experiment.tell(number, FIRST)
    assert seen(experiment, number)["intermediate"] == {"0": 1.0, "1": 1.5, "2": 12.0}
    with pytest.raises(ConflictError):
        experiment.report(number, 3, 1.0)
    assert experiment.tell(number, FIRST) is False


def test_a_transaction_that_fails_leaves_nothing(
    folder_store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{folder_store.root}/s.db"
    experiment_in_rdb(url, "e", DECLARED)
    service = Service(DatabaseBackend(url, None))

    def fails(*_: object) -> None:
        raise OSError("the disk is full")

    with service.use("e") as experiment:
        number = experiment.ask()[0].number
        with monkeypatch.context() as patch:
            # The last of the ending's parts to be written.
            patch.setattr(RDBStorage, "_set_trial_value_without_commit", fails)
            with pytest.raises(OSError, match="disk"):
                experiment.tell(number, FIRST)
        trial = experiment.trial(number)
        assert (trial.state.name, trial.intermediate_values) == ("RUNNING", {})
        assert trial.user_attrs.keys() == {"service"}
        assert experiment.tell(number, SECOND)
    service.close()


def test_the_record_is_the_ending(folder_store: Store) -> None:
    service = Service(StoreBackend(folder_store))
    service.create("e", DECLARED)
    with service.use("e") as experiment:
        given = experiment.ask(6)
        for one in given:
            at_once(experiment, one.number, FIRST, SECOND)
        trials = [experiment.trial(one.number) for one in given]
    service.close()
    for trial in trials:
        record = Record.from_bytes(folder_store.get(f"studies/e/out/{trial.number}.json"))
        assert record is not None
        (winner,) = (one for one in (FIRST, SECOND) if trial.values == list(one.values))
        assert record.metrics == winner.metrics | {"value": winner.values[0]}
        assert record.labels["constraints"] == list(winner.constraints)
        steps = {int(step): value for step, value in record.labels["intermediate"].items()}
        assert (steps, record.labels["cost"]) == (winner.intermediate, winner.cost)
        assert record.message == winner.message
