"""Rows of the HPO service whose servers and database are killed while clients ask and tell."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import optuna

from benchmark.hpo import Client
from benchmark.hpo.client import ClientError, Trial
from benchmark.hpo.study.study import Study
from benchmark.records import results
from benchmark.store import Store, open_store
from prove import postgres
from prove.kills import contents
from prove.rows import NotShownError, Stage, check, row, until
from prove.server import Server

TUNABLES = [
    {"name": f"x{n}", "value_type": "double", "lower_bound": 0, "upper_bound": 1} for n in range(3)
]
# A step that is reported before the trial ends.
STEP = 7
Fault = tuple[int, Callable[[], None]]


@row(1, "HPO service: SIGKILL of the server; two clients tell each trial at once, and try again")
def service_kills(stage: Stage) -> str:
    found = []
    for kind in ("journal", "SQLite"):
        kills, folder = max(1, stage.kills // 8), stage.folder / kind
        folder.mkdir()
        chosen = [] if kind == "journal" else ["--storage", f"sqlite:///{folder}/studies.db"]
        server = Server(folder, "--no-grpc", *chosen)
        server.start()
        trials = 25 * kills + 50
        dice = stage.dice(f"service-kills {kind}")
        try:
            faults = [(dice.randint(1, 40), restarting(server)) for _ in range(kills)]
            found.append(f"{kind}: {killed_service([server], faults, trials)}")
        finally:
            server.end()
    return "; ".join(found)


@row(1, "HPO service, two servers on one PostgreSQL: SIGKILL of a server, of the database")
def database_kills(stage: Stage) -> str:
    if postgres.program("initdb") is None:
        raise NotShownError("PostgreSQL is not installed")
    kills, dice = max(4, stage.kills // 4), stage.dice("database-kills")
    # While one server is down, the clients of the other one go on.
    trials = 80 * kills + 50
    with postgres.serving() as database:
        servers = [Server(stage.folder, "--no-grpc", "--storage", database.url) for _ in "ab"]
        kinds = database_faults(servers, database, dice.randrange(10**6))
        chosen = [list(kinds)[n % len(kinds)] for n in range(kills)]
        dice.shuffle(chosen)
        try:
            for server in servers:
                server.start()
            faults = [(dice.randint(1, 40), kinds[name]) for name in chosen]
            found = killed_service(servers, faults, trials)
        finally:
            for server in servers:
                server.end()
    told = ", ".join(f"{number} {name}" for name, number in Counter(chosen).items())
    return f"planned {told}: {found}"


def restarting(server: Server) -> Callable[[], None]:
    """SIGKILL of the server and its next start."""

    def fault() -> None:
        server.kill()
        server.start()

    return fault


def database_faults(
    servers: Sequence[Server], database: postgres.Postgres, chosen: int
) -> dict[str, Callable[[], None]]:
    """What is done to two servers and their database, by name; afterwards all run again."""

    def stopped(number: int) -> Callable[[], None]:
        def fault() -> None:
            database.stop(number)
            database.start()

        return fault

    def session() -> None:
        database.kill_session(chosen)
        until(database.answers, "PostgreSQL's recovery")

    return {
        "server": restarting(servers[chosen % len(servers)]),
        "database": stopped(signal.SIGKILL),
        "database session": session,
        "immediate shutdown": stopped(signal.SIGQUIT),
    }


def ending(number: int, teller: int) -> dict[str, Any]:
    """What a client tells of a trial: every part of it says which trial and whose it is."""
    value = number + teller / 4
    return {
        "status": "success",
        "values": [value],
        "metrics": {"m": value, f"of {teller}": value},
        "constraints": [-value, -1.0] if teller else [-value],
        "intermediate": {"0": value, str(1 + teller): value},
        "cost": value,
        "message": f"client {teller}",
    }


def tell_twice(trial: Trial) -> int:
    """Two clients tell the trial at once, each another ending; which of them was not refused."""
    accepted: list[int] = []

    def tell(teller: int) -> None:
        try:
            trial.tell(**ending(trial.number, teller))
            accepted.append(teller)
        except ClientError as error:
            check(error.status == 409, f"trial {trial.number}: {error}")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(tell, (0, 1)))
    check(len(accepted) == 1, f"trial {trial.number}: {len(accepted)} of two tells were accepted")
    return accepted[0]


class Acknowledged:
    """What the service has confirmed to clients: points, queued points, endings, attributes."""

    def __init__(self, trials: int) -> None:
        self.trials = trials
        self.asked: dict[int, dict[str, float]] = {}
        self.queued: dict[int, dict[str, float]] = {}
        self.told: dict[int, int] = {}
        self.faults: list[BaseException] = []

    def work(self, url: str) -> None:
        """One client, until the experiment is finished."""
        try:
            experiment = Client(url, patience_s=600).experiment("e")
            for trial in experiment:
                number = trial.number
                check(number not in self.asked, f"trial {number} was given to two clients")
                self.asked[number] = trial.params
                trial.report(STEP, number / 8)
                if number % 10 == 0 and number < self.trials / 2:
                    point = {f"x{n}": (number + n) / (self.trials + 3) for n in range(3)}
                    self.queued[experiment.enqueue([point])[0]] = point
                accepted = tell_twice(trial)
                trial.annotate(of=number)
                self.told[number] = accepted
        except BaseException as error:
            self.faults.append(error)

    def check(self, found: list[dict[str, Any]]) -> None:
        """Every trial is as it was confirmed, and there is no other."""
        numbers = [trial["number"] for trial in found]
        check(numbers == list(range(self.trials)), f"{self.trials} trials, {len(numbers)} found")
        check(len(self.told) == self.trials, f"{len(self.told)} of {self.trials} were confirmed")
        for trial in found:
            wanted = self.of(trial["number"])
            differing = [key for key in wanted if trial[key] != wanted[key]]
            check(not differing, f"trial {trial['number']} is not as confirmed: {differing}")

    def of(self, number: int) -> dict[str, Any]:
        """One trial as it was confirmed."""
        wanted = ending(number, self.told[number])
        wanted["intermediate"] |= {str(STEP): number / 8}
        point = self.queued.get(number, self.asked[number])
        return wanted | {"params": point, "attributes": {"of": number}}


def killed_service(
    servers: Sequence[Server], faults: Sequence[Fault], trials: int, clients: int = 8
) -> str:
    """Do each fault after so many more results, then compare all with what was confirmed.

    Compared are what every server answers, the records in the store, and the storage itself.
    """
    client = Client(servers[0].url, patience_s=600)
    client.create("e", direction="minimize", tunables=TUNABLES, trials=trials, algorithm="random")
    confirmed = Acknowledged(trials)
    threads = [
        threading.Thread(target=confirmed.work, args=(servers[n % len(servers)].url,), daemon=True)
        for n in range(clients)
    ]
    for thread in threads:
        thread.start()
    hit = 0
    for more, fault in faults:
        aim = len(confirmed.told) + more
        until(
            lambda aim=aim: (
                len(confirmed.told) >= min(aim, trials)
                or confirmed.faults
                or not any(thread.is_alive() for thread in threads)
            ),
            f"{more} results",
        )
        if len(confirmed.told) == trials or confirmed.faults:
            break
        fault()
        hit += 1
    for thread in threads:
        thread.join(900)
    check(not confirmed.faults, f"a client failed: {confirmed.faults[:1]}")
    check(hit >= len(faults) / 2, f"only {hit} of {len(faults)} faults hit")
    for server in servers:
        confirmed.check(Client(server.url).experiment("e").trials(limit=10_000))
    for server in servers:
        server.kill(signal.SIGTERM)
    check_stored(open_store(str(servers[0].folder / "runs")), confirmed)
    return (
        f"{hit} faults, {trials} trials, each told twice at once, one of two accepted; "
        f"{len(confirmed.queued)} queued points; trials, records and storage equal to what was "
        "confirmed in every value"
    )


def check_stored(store: Store, confirmed: Acknowledged) -> None:
    """The storage, read without a server, and the records are what was confirmed."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = Study.open(store, "e")
    records = {int(record.task): record for record in results.records(study.run)}
    check(records.keys() == confirmed.told.keys(), f"{len(records)} records")
    trials = study.optimizer.trials()
    check(len(trials) == confirmed.trials, f"{len(trials)} trials in the storage")
    for trial in trials:
        wanted = confirmed.of(trial.number)
        steps = {int(step): value for step, value in wanted["intermediate"].items()}
        point = (wanted["values"], wanted["params"], steps)
        found = (trial.values, study.optimizer.params_of(trial), trial.intermediate_values)
        attrs = trial.user_attrs
        same = found == point and trial.state.name == "COMPLETE"
        same = same and trial.system_attrs["constraints"] == wanted["constraints"]
        same = same and attrs["metrics"] == wanted["metrics"]
        check(same, f"trial {trial.number} in the storage is not what was told")
        metrics = wanted["metrics"] | {"value": wanted["values"][0]}
        same = contents(records[trial.number]) == (*point, metrics)
        check(same, f"the record of trial {trial.number} is not what was told")
