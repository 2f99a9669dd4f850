"""Two servers on one PostgreSQL: no trial in two hands while leased, none lost."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError

from benchmark.errors import StoreError
from benchmark.hpo import Client
from benchmark.hpo.service.backends.database import DatabaseBackend
from benchmark.hpo.service.core.endings import GIVEN, Ending, kept_in
from benchmark.hpo.service.core.errors import ConflictError, NotFoundError, PausedError
from benchmark.hpo.service.core.service import Service
from benchmark.hpo.storages import journal_database
from benchmark.hpo.storages.journal_database import JournalTable, engine_of
from benchmark.hpo.storages.storage import open_storage
from prove.rows import until

pytestmark = pytest.mark.integration
TUNABLES: list[dict[str, Any]] = [
    {"name": f"x{n}", "value_type": "double", "lower_bound": 0, "upper_bound": 1} for n in range(3)
]


@pytest.mark.parametrize(
    "trials", [200, pytest.param(2000, marks=pytest.mark.soak)], ids=["few", "many"]
)
def test_two_servers(serve: Callable[..., Any], postgres: str, trials: int) -> None:
    clients = 16
    servers = [serve("--no-grpc", "--storage", postgres) for _ in range(2)]
    urls = [server.url for server in servers]
    founded = Client(urls[0]).create(
        "e",
        direction="minimize",
        tunables=TUNABLES,
        trials=trials,
        algorithm="random",
        parallel=clients,
        lease_s=600,
    )
    guard = threading.Lock()
    held: set[int] = set()
    twice: list[int] = []
    told: list[int] = []
    faults: list[BaseException] = []

    def work(url: str) -> None:
        try:
            for trial in Client(url).experiment("e"):
                with guard:
                    if trial.number in held:
                        twice.append(trial.number)
                    held.add(trial.number)
                trial.tell(sum(trial.params.values()))
                told.append(trial.number)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(urls[n % 2],)) for n in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(1200)
    assert not faults, faults
    assert not twice
    assert sorted(told) == list(range(trials))
    found = founded.trials(limit=10_000)
    assert [trial["status"] for trial in found] == ["success"] * trials


def test_a_lease_of_a_killed_server_is_kept_and_ends(
    serve: Callable[..., Any], postgres: str
) -> None:
    one, other = (serve("--no-grpc", "--storage", postgres) for _ in range(2))
    declared: dict[str, Any] = {"direction": "minimize", "tunables": TUNABLES, "trials": 2}
    Client(one.url).create("e", **declared)
    (first,) = Client(one.url).experiment("e").ask(lease_s=600)
    (short,) = Client(one.url).experiment("e").ask(lease_s=0.001)
    one.kill()
    survivor = Client(other.url).experiment("e")
    (again,) = survivor.ask(count=2)
    assert (again.number, again.params) == (short.number, short.params)
    survivor.post(f"/trials/{first.number}/heartbeat", {"lease": first.lease})


def test_four_servers_leave_connections_of_a_default_database_free(postgres: str) -> None:
    backends = [DatabaseBackend(postgres, None) for _ in range(4)]
    with contextlib.ExitStack() as held:
        for backend in backends:
            pool: Any = backend._engine.pool
            for _ in range(pool.size() + pool._max_overflow):
                held.enter_context(backend._engine.connect())
        admin = held.enter_context(engine_of(postgres).connect())
        query = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        # Of 100, the default, PostgreSQL keeps three for superusers.
        assert int(admin.execute(text(query)).scalar_one()) < 97
        facts = admin.connection.driver_connection.info.get_parameters()  # type: ignore[union-attr]
        assert (facts["connect_timeout"], facts["tcp_user_timeout"]) == ("10", "20000")


def test_leases_are_written_with_the_journal(postgres: str) -> None:
    """In a round of ask and tell there are two commits that wait for the disk."""
    backends = [DatabaseBackend(postgres, None) for _ in range(2)]
    one, other = (Service(backend) for backend in backends)
    declared = {"direction": "minimize", "tunables": TUNABLES, "trials": 9, "algorithm": "random"}
    one.create("e", declared)
    statements: list[str] = []

    def held() -> list[int]:
        with backends[1]._engine.connect() as connection:
            rows = connection.execute(text("SELECT number FROM service_leases ORDER BY number"))
            return [row[0] for row in rows]

    one.call("e", lambda experiment: experiment.ask())
    event.listen(
        backends[0]._engine,
        "before_cursor_execute",
        lambda *arguments: statements.extend(arguments[2].split("; ")),
    )
    one.call("e", lambda experiment: experiment.ask())
    one.call("e", lambda experiment: experiment.tell(1, Ending("success", (1.0,))))
    words = [statement.split()[0] for statement in statements]
    assert words == ["WITH", "WITH"]
    assert held() == [0]
    with other.use("e") as there:
        assert [given.number for given in there.ask(key="k", lease_s=0.0)] == [2]
        assert [given.number for given in there.ask(key="k", lease_s=60.0)] == [2]  # still its own
        (again,) = one.call("e", lambda experiment: experiment.ask(lease_s=0.0))
        assert again.number == 3
        (given,) = there.ask()
        assert (given.number, given.again) == (3, True)
        one.call("e", lambda experiment: experiment.enqueue([{"x0": 0.5, "x1": 0.5, "x2": 0.5}]))
        with pytest.raises(ConflictError), one.use("e") as here:
            here.tell(3, Ending("success", (1.0,)), again.token)
        assert [given.number for given in there.ask()] == [4]
        assert held() == [0, 2, 3, 4]
        with pytest.raises(ZeroDivisionError), there._opened.leases.exclusive():
            raise ZeroDivisionError
        there.tell(3, Ending("failure"))
    assert held() == [0, 2, 4]
    assert one.call("e", lambda experiment: experiment.running()) == [0, 2, 4]
    other.delete("e")
    other.create("e", declared)
    assert [given.number for given in one.call("e", lambda found: found.ask())] == [0]
    other.delete("e")
    other.create("e", declared)
    with pytest.raises(NotFoundError, match="no trial 0"):
        one.call("e", lambda found: found.tell(0, Ending("failure")))
    for service in (one, other):
        service.close()


def test_four_connections_serve_more_experiments_than_that(postgres: str) -> None:
    service = Service(DatabaseBackend(postgres, None, connections=4))
    declared = {"direction": "minimize", "tunables": TUNABLES, "trials": 5, "algorithm": "random"}
    names = [f"e{number}" for number in range(12)]
    for name in names:
        service.create(name, declared)

    def run(name: str) -> int:
        with service.use(name) as found:
            for _ in range(5):
                (given,) = found.ask()
                found.tell(given.number, Ending("success", (1.0,)))
            return found.counts().told

    with ThreadPoolExecutor(len(names)) as threads:
        assert list(threads.map(run, names)) == [5] * len(names)
    engine = engine_of(postgres)
    with engine.connect() as connection:
        counted = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        assert connection.execute(text(counted)).scalar() <= 4 + 1
    engine.dispose()
    service.close()


def test_a_late_renewal_reads_the_journal_once(postgres: str) -> None:
    service = Service(DatabaseBackend(postgres, None))
    declared = {"direction": "minimize", "tunables": TUNABLES, "trials": 9, "algorithm": "random"}
    service.create("e", declared)
    statements: list[str] = []
    with service.use("e") as experiment:
        (given,) = experiment.ask(lease_s=0.0)
        engine = experiment._opened.leases._engine  # type: ignore[attr-defined]
        event.listen(
            engine,
            "before_cursor_execute",
            lambda *arguments: statements.extend(arguments[2].split("; ")),
        )
        assert experiment.heartbeat(given.number, given.token) == 0.0
        words = [statement.split()[0] for statement in statements]
        with pytest.raises(ConflictError):  # as any other lease that is not its own
            experiment.heartbeat(given.number, "\0")
    # The first SELECT is of the lock's number, which is kept.
    assert words == ["UPDATE", "SELECT", "BEGIN", "SET", "SELECT", "SELECT", "INSERT", "COMMIT"]
    service.close()


def test_leases_hold_over_a_compaction(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (Service(DatabaseBackend(postgres, None)) for _ in range(2))
    declared = {"direction": "minimize", "tunables": TUNABLES, "trials": 9, "algorithm": "random"}
    one.create("e", declared)
    assert [given.number for given in one.call("e", lambda found: found.ask())] == [0]
    with other.use("e") as there:
        (short,) = there.ask(lease_s=0.001)
        assert short.number == 1
        monkeypatch.setattr("benchmark.hpo.storages.study_journal._COMPACTED_FROM", 1)
        Service(DatabaseBackend(postgres, None)).call("e", lambda found: found.running())
        # This server has not read what was compacted.
        time.sleep(0.01)
        (again,) = one.call("e", lambda found: found.ask())
        assert (again.number, again.again) == (1, True)
        assert [given.number for given in one.call("e", lambda found: found.ask())] == [2]
        assert there.heartbeat(0, kept_in(there.trial(0), GIVEN)["lease"]) == 600.0
        with pytest.raises(ConflictError):
            there.heartbeat(1, short.token)
    for service in (one, other):
        service.close()


def running(one: Service, **more: Any) -> None:
    declared = {"direction": "minimize", "tunables": TUNABLES, "trials": 9, "algorithm": "random"}
    one.create("e", declared | more)


def test_an_ask_without_the_lock_is_made_again_where_another_server_has_written(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.hpo.service.backends.database_leases._SHARED_S", 0.0)
    one, other = (Service(DatabaseBackend(postgres, None)) for _ in range(2))
    running(one, trials=4)
    with one.use("e") as here, other.use("e") as there:
        assert [given.number for given in here.ask()] == [0]
        # Each of these is unknown to the first server when it asks.
        (theirs,) = there.ask(key="k")
        (same,) = here.ask(key="k")
        assert (same.number, same.token, same.again) == (1, theirs.token, True)
        there.set_state("paused")
        with pytest.raises(PausedError):
            here.ask()
        there.set_state("running")
        there.enqueue([{"x0": 0.5, "x1": 0.5, "x2": 0.5}])
        (queued,) = here.ask()
        assert (queued.number, queued.params["x0"]) == (2, 0.5)
        assert [given.number for given in there.ask(count=3)] == [3]
        assert here.ask() == []
        there.change({"trials": 6, "parallel": 5})
        assert [given.number for given in here.ask()] == [4]
        assert here.ask() == []
        there.tell(1, Ending("failure"))
        assert [given.number for given in here.ask()] == [5]
        there.tell(3, Ending("failure"))
        there.set_state("paused")
        with pytest.raises(PausedError):
            here.ask()
        there.set_state("running")
        there.change({"trials": 9})
        assert [given.number for given in here.ask()] == [6]
    for service in (one, other):
        service.close()


def test_a_trial_that_another_server_asks_without_the_lock_is_not_free(postgres: str) -> None:
    one, other = (Service(DatabaseBackend(postgres, None)) for _ in range(2))
    running(one)
    with one.use("e") as here, other.use("e") as there:
        assert [given.number for given in there.ask()] == [0]
        leases = here._opened.leases
        with leases.exclusive():
            assert [given.number for given in there.ask()] == [1]
            here.optimizer.refresh()  # another request's
            assert here.running() == [0, 1]
            assert leases.free([0, 1]) == []
            assert leases.may_have_ended([1])
    for service in (one, other):
        service.close()


def test_a_trial_is_given_to_one_client_although_the_lock_was_lost(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backends = [DatabaseBackend(postgres, None) for _ in range(2)]
    one, other = (Service(backend) for backend in backends)
    running(one, trials=2)
    with one.use("e") as here, other.use("e") as there:
        assert [given.number for given in here.ask(lease_s=0.0)] == [0]
        free = here._opened.leases.free
        locks = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"

        def meanwhile(numbers: list[int]) -> list[int]:
            monkeypatch.undo()
            found = free(numbers)
            with backends[1]._engine.begin() as connection:
                connection.execute(text(locks))
            assert [given.again for given in there.ask()] == [True]
            return found

        monkeypatch.setattr(here._opened.leases, "free", meanwhile)
        with pytest.raises(DBAPIError):  # the server answers 503
            here.ask()
        assert here.running() == [0, 1]
        assert there.heartbeat(0, kept_in(there.trial(0), GIVEN)["lease"]) == 600.0
    for service in (one, other):
        service.close()


def test_a_server_that_stands_still_does_not_keep_the_others_waiting(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (Service(DatabaseBackend(postgres, None)) for _ in range(2))
    running(one)
    with one.use("e") as here, other.use("e") as there:
        assert [given.number for given in here.ask(lease_s=0.0)] == [0]
        monkeypatch.setattr("benchmark.hpo.service.backends.database_leases._SILENT_MS", 50)
        with pytest.raises(DBAPIError), here._opened.leases.exclusive():
            monkeypatch.undo()
            assert [given.number for given in there.ask()] == [0]
        assert [given.number for given in here.ask()] == [1]
    for service in (one, other):
        service.close()


def test_a_tune_that_writes_all_the_time_does_not_keep_an_ask_waiting(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(DatabaseBackend(postgres, None))
    running(service)
    engine = engine_of(postgres, isolation_level="AUTOCOMMIT")
    writers: list[threading.Thread] = []
    with service.use("e") as experiment, engine.connect() as connection:
        tune = open_storage(postgres, experiment.definition.name)
        study_id = tune.get_study_id_from_name(experiment.definition.name)
        waits = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        take_all = experiment.optimizer.take_all

        def overtaken(*arguments: Any) -> Any:
            """`tune` writes between the plan and the append, unless it has to wait."""
            assert len(writers) < 50, "planned again without an end"
            attr = (study_id, f"written {len(writers)}", True)
            writers.append(threading.Thread(target=tune.set_study_user_attr, args=attr))
            writers[-1].start()
            until(
                lambda: not writers[-1].is_alive() or connection.execute(waits).scalar(), "tune", 60
            )
            return take_all(*arguments)

        monkeypatch.setattr(experiment.optimizer, "take_all", overtaken)
        assert [given.number for given in experiment.ask()] == [0]
        for writer in writers:
            writer.join(60)
        attrs = tune.get_study_user_attrs(study_id)
        assert sum(name.startswith("written") for name in attrs) == len(writers)
        experiment.tell(0, Ending("success", (1.0,)))
        assert [trial.state.name for trial in tune.get_all_trials(study_id)] == ["COMPLETE"]
    engine.dispose()
    service.close()


def test_a_program_that_stands_still_in_its_append_does_not_keep_a_server_waiting(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_database, "_SILENT_MS", 200)
    table = JournalTable(engine_of(postgres))
    journal = table.open("e")
    still, goes_on = threading.Event(), threading.Event()
    faults: list[str] = []

    def stand_still(_: Any, __: Any, statement: str, *___: Any) -> None:
        if "INSERT" in statement:
            still.set()
            goes_on.wait(60)

    def write() -> None:
        with pytest.raises(StoreError) as fault:
            journal.append_at(0, [{}])
        faults.append(str(fault.value))

    event.listen(table.engine, "before_cursor_execute", stand_still)
    writer = threading.Thread(target=write)
    writer.start()
    assert still.wait(60)
    server = engine_of(postgres)
    with server.begin() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 30000"))
        journal.keep_out(connection)
    goes_on.set()
    writer.join(60)
    assert len(faults) == 1
    assert journal.read_from(0) == []
    server.dispose()
    table.engine.dispose()
