"""Journals in SQLite and PostgreSQL: in order under concurrent appends, whole, compacted."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import socket
import threading
import urllib.request
from pathlib import Path
from typing import Any

import optuna
import pytest
from sqlalchemy import event, text

from benchmark.cli import main
from benchmark.errors import BenchmarkError, StoreError
from benchmark.hpo.samplers.optimizer import Optimizer
from benchmark.hpo.samplers.proposal import Told
from benchmark.hpo.space.space_file import read_space
from benchmark.hpo.storages import journal_database, journal_migration, study_journal
from benchmark.hpo.storages.journal_database import (
    DatabaseJournal,
    JournalTable,
    connect_args,
    engine_of,
)
from benchmark.hpo.storages.journal_migration import migrate
from benchmark.hpo.storages.storage import delete_stored, open_rdb, open_storage
from benchmark.hpo.storages.study_journal import CompactedError, OvertakenError, StudyJournal
from benchmark.hpo.storages.trial_write import create_trials
from benchmark.hpo.study import dashboard
from tests.support.rdb_studies import experiment_in_rdb

X = {"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}
POSTGRES = pytest.param("postgres", marks=pytest.mark.integration)


@pytest.fixture(params=["sqlite", POSTGRES])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        found: str = request.getfixturevalue("postgres")
        return found
    return f"sqlite:///{tmp_path}/s.db"


def optimizer_at(url: str, name: str = "s") -> Optimizer:
    storage = open_storage(url, name)
    return Optimizer(read_space({"tunables": [X]}), ["minimize"], "random", None, storage, name)


def told(number: float) -> Told:
    return Told("success", (number,), (-1.0,), {0: number}, {"m": number}, {"told": {"a": 1}})


def _append(url: str, writer: int, batches: int, seen: Any) -> None:
    """Append batches of growing size, reading between them, and hand over what was read."""
    journal = JournalTable(engine_of(url)).open("s")
    read: list[dict[str, Any]] = []
    for batch in range(batches):
        logs = [{"by": writer, "batch": batch, "of": batch % 3 + 1}] * (batch % 3 + 1)
        while not journal.append_at(len(read), logs):
            read += journal.read_from(len(read))
        read += journal.read_from(len(read))
    seen.put(read)


def test_every_process_reads_the_same_order_without_gaps(url: str) -> None:
    engine = engine_of(url)
    JournalTable(engine).open("s")
    engine.dispose()  # a child that closed its copy of the connection would lose SQLite's locks
    context = multiprocessing.get_context("fork")
    seen: Any = context.Queue()
    work = [context.Process(target=_append, args=(url, n, 20, seen)) for n in range(4)]
    for process in work:
        process.start()
    reads = [seen.get(timeout=300) for _ in work]
    for process in work:
        process.join()
    whole = JournalTable(engine_of(url)).open("s").read_from(0)
    assert len(whole) == 4 * sum(n % 3 + 1 for n in range(20))
    for read in reads:
        assert read == whole[: len(read)]
    for writer in range(4):
        own = [log["batch"] for log in whole if log["by"] == writer]
        assert own == sorted(own)
    place = 0
    while place < len(whole):  # no append stands in another
        size = whole[place]["of"]
        assert whole[place : place + size] == [whole[place]] * size
        place += size


def test_of_two_writers_at_the_same_end_one_appends(url: str) -> None:
    table = JournalTable(engine_of(url))
    one, other = table.open("s"), table.open("s")
    assert one.append_at(0, [{"n": 0}, {"n": 1}])
    assert not other.append_at(0, [{"n": 9}])
    assert other.append_at(2, [{"n": 2}])
    assert [log["n"] for log in one.read_from(0)] == [0, 1, 2]
    assert not table.create("s", [{"n": 5}])
    assert table.names() == ["s"]


def test_a_deleted_study_takes_no_more_results(url: str) -> None:
    optimizer = optimizer_at(url)
    number = optimizer.ask().number
    delete_stored(url, "s")
    with pytest.raises(KeyError, match="deleted"):
        optimizer.tell(number, told(1.0))
    optimizer_at(url).ask()
    with pytest.raises(KeyError, match="deleted"):  # of the new one, nothing is read or written
        optimizer.tell(number, told(1.0))
    assert optimizer_at(url).trials()[0].state.name == "RUNNING"


def test_an_ending_is_one_statement_and_an_ask_too(tmp_path: Path) -> None:
    optimizer = optimizer_at(f"sqlite:///{tmp_path}/s.db")
    storage = optimizer.storage
    assert isinstance(storage, StudyJournal)
    storage.follows = False
    statements: list[str] = []
    journal = storage._journal
    assert isinstance(journal, DatabaseJournal)
    event.listen(
        journal._table.engine,
        "before_cursor_execute",
        lambda *arguments: statements.append(arguments[2].split()[0]),
    )
    asked = [optimizer.ask() for _ in range(3)]
    assert statements == ["INSERT"] * 3
    assert optimizer.tell(asked[0].number, told(1.0))
    assert statements == ["INSERT"] * 4
    templates = [optimizer.trials()[0]] * 500
    assert create_trials(storage, 0, templates) == list(range(3, 503))
    assert statements == ["INSERT"] * 5


def test_new_trials_are_refused_where_another_process_has_written(url: str) -> None:
    one, other = optimizer_at(url), optimizer_at(url)
    storage = one.storage
    assert isinstance(storage, StudyJournal)
    storage.follows = False
    one.ask()
    seen = storage.others
    template = one.trials()
    other.ask()
    with pytest.raises(OvertakenError):
        create_trials(storage, 0, template, seen)
    assert len(one.trials()) == 2  # what the refused append has read
    assert create_trials(storage, 0, template, storage.others) == [2]
    assert create_trials(storage, 0, template, storage.others) == [3]  # its own are no others'


def test_changes_of_many_threads_are_one_append(tmp_path: Path) -> None:
    optimizer = optimizer_at(f"sqlite:///{tmp_path}/s.db")
    storage = optimizer.storage
    assert isinstance(storage, StudyJournal)
    append, sizes = storage._journal.append_at, []
    numbers = [optimizer.ask().number for _ in range(8)]
    entered, go = threading.Event(), threading.Event()

    def held(first: int, logs: Any) -> bool:
        entered.set()
        assert go.wait(300)
        sizes.append(len({log["trial_id"] for log in logs}))
        return append(first, logs)

    storage._journal.append_at = held  # type: ignore[method-assign]
    # Two of each trial: one of them counts.
    calls = [(number, float(turn)) for number in numbers for turn in range(2)]
    answers: list[bool] = []
    threads = [
        threading.Thread(target=lambda n, v: answers.append(optimizer.tell(n, told(v))), args=call)
        for call in calls
    ]
    threads[0].start()
    assert entered.wait(300)
    for thread in threads[1:]:
        thread.start()
    while len(storage.commit._waiting) < len(threads) - 1:
        threading.Event().wait(0.001)
    go.set()
    for thread in threads:
        thread.join()
    assert sizes == [1, 7]
    assert sorted(answers) == [False] * 8 + [True] * 8
    again = optimizer_at(f"sqlite:///{tmp_path}/s.db").trials()
    assert [trial.state.name for trial in again] == ["COMPLETE"] * 8
    assert again == optimizer.trials()


def test_two_processes_end_a_trial_once(url: str) -> None:
    one, other = optimizer_at(url), optimizer_at(url)
    for optimizer in (one, other):
        optimizer.storage.follows = False  # type: ignore[attr-defined]
    number = one.ask().number
    assert other.tell(number, told(1.0))
    assert not one.tell(number, told(2.0))
    assert (one.trials()[0].values, other.ask().number, one.ask().number) == ([1.0], 1, 2)


def test_a_long_history_is_compacted_when_it_is_opened(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_journal, "_COMPACTED_FROM", 20)
    behind = optimizer_at(url)
    storage = behind.storage
    assert isinstance(storage, StudyJournal)
    storage.follows = False
    optimizer = optimizer_at(url)
    for value in range(6):
        optimizer.tell(optimizer.ask().number, told(float(value)))
    optimizer.study.set_user_attr("kept", [1, "é"])
    pending = optimizer.ask()
    before, attrs = optimizer.trials(), optimizer.study.user_attrs
    again = optimizer_at(url)
    table = JournalTable(engine_of(url))
    with table.engine.connect() as connection:
        rows = connection.execute(text("SELECT count(*) FROM study_journal_rows")).scalar()
    assert rows == 0
    # One that had read less reads the snapshot; its own append is checked against that.
    with pytest.raises(CompactedError):
        table.open("s").read_from(0)
    assert not table.open("s").append_at(1, [{}])
    assert behind.ask().number == 7
    for reader in (again, optimizer_at(url), behind):
        assert reader.trials()[:7] == before
        assert reader.study.user_attrs == attrs
    assert again.tell(pending.number, told(9.0))
    assert optimizer.trials()[6].values == [9.0]


def test_optuna_itself_uses_the_backend(url: str) -> None:
    storage = optuna.storages.JournalStorage(JournalTable(engine_of(url)).open("s"))
    study = optuna.create_study(study_name="s", storage=storage)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    assert optimizer_at(url).trials() == study.trials


def test_a_database_that_fails_is_named_and_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    optimizer = optimizer_at(f"sqlite:///{tmp_path}/s.db")
    storage = optimizer.storage
    assert isinstance(storage, StudyJournal)
    storage.follows = False
    number = optimizer.ask().number
    append = storage._journal.append_at

    def lost(first: int, logs: Any) -> bool:
        append(first, logs)
        raise StoreError("The connection was lost after the commit.")

    with monkeypatch.context() as patch:
        patch.setattr(storage._journal, "append_at", lost)
        with pytest.raises(StoreError, match="connection"):
            optimizer.tell(number, told(1.0))
    assert optimizer.trials()[0].values == [1.0]
    assert not optimizer.tell(number, told(1.0))
    (tmp_path / "t.db").write_bytes(b"no database at all, and long enough to be read as one" * 99)
    with pytest.raises(StoreError, match=r"t\.db cannot be"):
        open_storage(f"sqlite:///{tmp_path}/t.db", "s")


def in_rdb(url: str) -> list[optuna.trial.FrozenTrial]:
    """Two studies in Optuna's own tables; the trials of the first."""
    storage = experiment_in_rdb(url, "s", {"direction": "minimize", "tunables": [X], "trials": 9})
    optimizer = Optimizer(
        read_space({"tunables": [X]}), ["minimize"], "optuna_tpe", 1, storage, "s"
    )
    for value in range(3):
        optimizer.tell(optimizer.ask().number, told(float(value)))
    optimizer.tell(optimizer.ask().number, Told("failure", attrs={"told": {"message": "no"}}))
    optimizer.ask()
    optimizer.study.enqueue_trial({"x": 0.5})
    optuna.create_study(study_name="other", storage=storage).add_trial(optimizer.trials()[0])
    return optimizer.trials()


def as_kept(trials: list[optuna.trial.FrozenTrial]) -> list[dict[str, Any]]:
    """All but the ids, which are the storage's own."""
    return [{k: v for k, v in vars(one).items() if k != "_trial_id"} for one in trials]


def test_a_study_in_optunas_tables_goes_on_and_is_migrated(url: str) -> None:
    trials = in_rdb(url)
    before = open_storage(url, "s")
    assert not isinstance(before, StudyJournal)
    assert dict(migrate(url)) == {"other": 1, "s": 6}
    after = open_storage(url, "s")
    assert isinstance(after, StudyJournal)
    assert as_kept(after.get_all_trials(0)) == as_kept(trials)
    assert after.get_study_user_attrs(0).keys() == {"service"}
    assert JournalTable(engine_of(url)).title("s") == "s"
    optimizer = optimizer_at(url)
    assert optimizer.tell(4, told(4.0))
    assert optimizer.ask().number == 6
    with pytest.raises(KeyError):
        before.get_study_id_from_name("s")
    assert dict(migrate(url)) == {}


def test_a_migration_that_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    trials = in_rdb(url)
    with monkeypatch.context() as patch:
        patch.setattr(journal_migration, "_delete", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            dict(migrate(url))
    assert JournalTable(engine_of(url)).names() == []
    assert optimizer_at(url).trials() == trials
    with pytest.raises(StoreError, match="give postgresql://"):
        dict(migrate(str(tmp_path)))


def test_the_dashboard_shows_all_studies_of_a_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    for name in ("one", "other"):
        optimizer = optimizer_at(url, name)
        optimizer.tell(optimizer.ask().number, told(float(len(name))))
    with dashboard.server_of_all(url, port=0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}/api/studies"

        def read(path: str = "") -> Any:
            with urllib.request.urlopen(address + path) as answer:
                return json.load(answer)

        found = {one["study_name"]: one["study_id"] for one in read()["study_summaries"]}
        assert found.keys() == {"one", "other"}
        for name, study_id in found.items():
            (trial,) = read(f"/{study_id}?after=0")["trials"]
            assert (trial["study_id"], trial["values"]) == (study_id, [float(len(name))])
        request = urllib.request.Request(f"{address}/{found['one']}", method="DELETE")
        urllib.request.urlopen(request).close()
        assert [one["study_name"] for one in read()["study_summaries"]] == ["other"]
        server.shutdown()
        thread.join()
    with pytest.raises(BenchmarkError, match="is not a database"):
        dashboard.server_of_all(str(tmp_path))


def test_the_command_migrates_or_names_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    in_rdb(url)
    assert main(["studies", "migrate", url]) == 0
    assert capsys.readouterr().out == "Migrated: other (1 trial)\nMigrated: s (6 trials)\n"
    assert main(["studies", "migrate", url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"migrated": {}}
    for words, fault in (
        ([], "Name the database"),
        (["mysql://a/b"], "'mysql' is not a database for studies"),
        ([f"sqlite:///{tmp_path}/none.db"], "none.db does not exist"),
        (["postgresql://u:secret@127.0.0.1:1/x"], "127.0.0.1:1/x cannot be opened"),
    ):
        assert main(["studies", "migrate", *words]) == 2
        shown = capsys.readouterr().err
        assert fault in shown
        assert "secret" not in shown
    assert not (tmp_path / "none.db").exists()


@pytest.mark.slow
def test_a_host_that_drops_packets_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(journal_database._PATIENCE, "connect_timeout", 2)
    with socket.socket() as listening, contextlib.ExitStack() as held:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        place = listening.getsockname()
        # Of a queue that is full the kernel drops what asks for a connection.
        for _ in range(4):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(place)
        url = f"postgresql://tuner@127.0.0.1:{place[1]}/studies"
        with pytest.raises(StoreError, match="timeout expired"):
            open_storage(url, "s")
        with pytest.raises(StoreError, match="timeout expired"):
            open_rdb(url)


def test_the_url_decides_how_long_a_database_is_waited_for() -> None:
    found = connect_args("postgresql://h/studies?connect_timeout=3&keepalives_idle=60")
    assert found.keys() == {"tcp_user_timeout", "keepalives_interval", "keepalives_count"}
    assert connect_args("mysql://h/studies") == {}
