"""Follows a run as it goes on: each look reads only what is new since the one before.

    for standing in looks(Watch(run, tasks)):
        print(standing.results, standing.failures, standing.left_s)

A look lists the attempts and the records, and reads records that it has not seen and attempts that
were open when it last looked: as many as run at once.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from benchmark.records import packed_records, results
from benchmark.records.layout import OUT
from benchmark.records.results import AttemptIndex, Record
from benchmark.records.tasks import Run, Task
from benchmark.runs.costs.spending import forecast
from benchmark.runs.early_stop import until as early_stop
from benchmark.runs.job_states import in_engines
from benchmark.runs.status import RUNNING, WAITING

if TYPE_CHECKING:
    from benchmark.runs.early_stop.tracking import Tracker

SUCCESS = "success"
RETIRED = str(results.Cause.RETIRED)
RECENT_S = 300


@dataclass(frozen=True, slots=True)
class Ended:
    """What is kept of an attempt that has ended."""

    attempt: int
    word: str
    is_result: bool
    total_s: float | None
    ended: str
    cost: float | None


@dataclass(frozen=True)
class Standing:
    """Where the run stands at one moment.

    `cells` counts by (framework, data set) how many tasks are what: `success`, a cause, `running`
    or `waiting`. `failures` are those that came since the look before, in the order in which they
    ended. `recent` is how many results ended in the last `RECENT_S` seconds. `question` has the
    run's question, and of each task type whether it is answered. `left_s` is None
    where nothing runs, or nothing has ended yet to tell by. `spent` is what the last attempts
    of the tasks have cost, and `forecast` what all will have, in USD; None where no price is known.
    """

    run: str
    store: str
    tasks: int
    results: int
    words: dict[str, int]
    cells: dict[tuple[str, str], Counter[str]]
    failures: tuple[Record, ...]
    recent: int
    left_s: float | None
    running_now: bool
    spent: float | None = None
    forecast: float | None = None
    question: str = ""

    @property
    def retired(self) -> int:
        return self.words.get(RETIRED, 0)

    @property
    def without_result(self) -> int:
        return self.tasks - self.results - self.retired


class Watch:
    """What is known of a run's tasks, brought up to date by `look`."""

    def __init__(self, run: Run, tasks: Sequence[Task]) -> None:
        self._run = run
        self._places = {
            task.key: (str(task.labels["framework"]), str(task.labels["dataset"])) for task in tasks
        }
        self._known: dict[str, Ended] = {}
        self._tracker = _tracker(run)

    def look(self) -> Standing:
        """Read what is new. Of an undriven run this is all there is, for that was asked first."""
        driven = self._run.store.is_locked(f"driver-{self._run.name}")
        index = results.attempt_index(self._run)
        self._forget(index)
        failures = []
        for new in (self._new_records, self._new_ends):
            for record in new(index):
                self._known[record.task] = Ended(
                    record.attempt,
                    str(record.cause or record.status),
                    record.is_result,
                    record.total_s,
                    record.ended or "",
                    record.cost,
                )
                if self._tracker and record.task in self._tracker:
                    self._tracker.add(record, final=record.cause is not results.Cause.INTERRUPTED)
                if record.status == "failure":
                    failures.append(record)
        failures.sort(key=lambda record: record.ended or "")
        return self._standing(index, tuple(failures), driven)

    def _forget(self, index: AttemptIndex) -> None:
        """Drop what was set aside, and ends that a newer attempt has followed."""
        for key, known in list(self._known.items()):
            older = known.attempt <= index.aside.get(key, 0)
            again = not known.is_result and index.last.get(key, 0) > known.attempt
            if older or again:
                del self._known[key]

    def _new_records(self, index: AttemptIndex) -> Iterable[Record]:
        found = {}
        for path, e_tag in self._run.store.listed(f"{self._run.name}/{OUT}").items():
            key = self._run.key_of(path)
            if key in self._places and not (key in self._known and self._known[key].is_result):
                found[path] = e_tag
        for path, data in packed_records.read(self._run, found):
            record = results.record_at(self._run, path, data)
            if record is not None and record.attempt > index.aside.get(record.task, 0):
                yield record

    def _new_ends(self, index: AttemptIndex) -> Iterable[Record]:
        """How open attempts ended that left no result; those still open are read again."""
        opened = [key for key in self._places if key not in self._known and _begun(index, key)]
        ends = results.ends(self._run, opened, index)
        return (record for _, record in ends if record is not None)

    def _standing(
        self, index: AttemptIndex, failures: tuple[Record, ...], driven: bool
    ) -> Standing:
        cells: dict[tuple[str, str], Counter[str]] = {}
        words: Counter[str] = Counter()
        retired = self._tracker.retired() if self._tracker else {}
        alive = self._places.keys() if driven else in_engines(self._run)
        for key, place in self._places.items():
            known = self._known.get(key)
            no_trace = RUNNING if key in alive else str(results.Cause.INFRASTRUCTURE)
            word = known.word if known else no_trace if _begun(index, key) else WAITING
            if key in retired and word != RUNNING:
                word = RETIRED
            cells.setdefault(place, Counter())[word] += 1
            words[word] += 1
        since = (datetime.now(UTC) - timedelta(seconds=RECENT_S)).isoformat()
        ended = [known for known in self._known.values() if known.is_result]
        costs = [known.cost for known in self._known.values() if known.cost is not None]
        done = [known.cost for known in ended if known.cost is not None]
        spent = sum(costs) if costs else None
        return Standing(
            run=self._run.name,
            store=self._run.store.url,
            tasks=len(self._places),
            results=len(ended),
            words=dict(words.most_common()),
            cells=cells,
            failures=failures,
            recent=sum(1 for known in ended if known.ended >= since),
            left_s=self._left_s(words[RUNNING], retired) if driven else None,
            running_now=driven,
            spent=spent,
            forecast=forecast(spent, done, len(self._places) - words[RETIRED]),
            question=self._question(),
        )

    def _question(self) -> str:
        """Such as `until best: classification answered, regression open (6 pairs)`."""
        if self._tracker is None:
            return ""
        parts = []
        for one in self._tracker.standings:
            pairs = len(one.open_pairs)
            left = f"open ({pairs} pair{'s' * (pairs != 1)})"
            parts.append(f"{one.design.type} {'answered' if one.answered else left}")
        return f"until {self._tracker.standings[0].design.question}: {', '.join(parts)}"

    def _left_s(self, running: int, retired: Mapping[str, str]) -> float | None:
        """Each framework's open tasks by its own mean, or all frameworks', shared by those at work.

        Nothing is taken off for the time that running tasks have run already.
        """
        spent: defaultdict[str, float] = defaultdict(float)
        ran: Counter[str] = Counter()
        to_do: Counter[str] = Counter()
        for key, (framework, _) in self._places.items():
            known = self._known.get(key)
            if key in retired:
                continue
            if known is None or not known.is_result:
                to_do[framework] += 1
            elif known.total_s is not None:
                spent[framework] += known.total_s
                ran[framework] += 1
        if not ran or not running:
            return None
        overall = sum(spent.values()) / ran.total()
        work = sum(
            number * (spent[name] / ran[name] if ran[name] else overall)
            for name, number in to_do.items()
        )
        return work / running


def _tracker(run: Run) -> Tracker | None:
    if not early_stop.is_asked(run.manifest):
        return None
    from benchmark.runs.early_stop.tracking import Tracker

    return Tracker(run)


def looks(
    watch: Watch, every_s: float = 1.0, pause: Callable[[float], object] = time.sleep
) -> Iterator[Standing]:
    """Look again and again, until all tasks have a result or nothing drives the run any more.

    Looking takes a fifth of the time at most: the larger the run, the longer the pauses.
    """
    while True:
        begun = time.monotonic()
        standing = watch.look()
        took_s = time.monotonic() - begun
        yield standing
        if not standing.running_now or not standing.without_result:
            return
        pause(max(every_s, 4 * took_s))


def _begun(index: AttemptIndex, key: str) -> bool:
    """Whether an attempt of this generation was started."""
    return index.last.get(key, 0) > index.aside.get(key, 0)
