"""Optuna's journal storage with checked writes and group commit.

    storage = StudyJournal(JournalFile(path))
    storage.commit(Change(lambda state: logs, trial=3))

A change is checked against the state at the journal's end and appended there only if no other
process has appended meanwhile; else the new logs are read and it is checked again. So a trial is
ended by one append, of one process. Changes of several threads become one append and one sync.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, overload, runtime_checkable

from optuna.exceptions import DuplicatedStudyError
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from benchmark.hpo.storages.batching import Batching
from benchmark.hpo.storages.optuna_private import (
    JournalOperation,
    JournalParts,
    JournalState,
    counted_trials,
    study_ids,
    trials_by_id,
    writes_only,
)

Logs = list[dict[str, Any]]

_COMPACTED_FROM = 4000


class Journal(Protocol):
    """The backend of a StudyJournal."""

    def append_at(self, first: int, logs: Logs) -> bool:
        """Append durably, all or nothing, if `first` is the end."""

    def read_from(self, first: int) -> Logs:
        """The logs from a number on."""


@runtime_checkable
class Compactable(Journal, Protocol):
    """A journal that replaces old logs by a shorter list."""

    def snapshot(self) -> tuple[Logs, int]:
        """Logs that lead to the state at a number, and that number."""

    def compact(self, first: int, logs: Logs) -> bool:
        """Replace the logs before a number by these; False if others have replaced more."""


class Companion(Protocol):
    """Writes what follows from the logs, in the same statement; and knows who writes when."""

    def append(self, first: int, logs: Logs, state: JournalState) -> Callable[[], bool]:
        """The append of these logs to this state, to be called without the state's lock."""

    def ordered(self) -> contextlib.AbstractContextManager[Any]:
        """Keep other processes from writing meanwhile, if any does write."""

    def is_ordered(self) -> bool:
        """Whether this thread keeps other processes from writing."""


class OvertakenError(Exception):
    """Another process has appended since the state was looked at."""


class CompactedError(Exception):
    """The logs from that number on were replaced by a snapshot, which must be read instead."""


@dataclass(frozen=True)
class Change:
    """What to append: to the `trial`, or as new trials of the `study`.

    `logs` gets the state before; it returns None to append nothing, or raises.
    """

    logs: Callable[[JournalState], Logs | None]
    trial: int | None = None
    study: int | None = None


@dataclass
class _Plan:
    """Changes in one append: the logs, each answer, and the changes that wait for the next one."""

    logs: Logs
    answers: dict[int, Any]
    later: list[tuple[int, Change]]
    refused: bool = False


class StudyJournal(JournalParts):
    """Optuna's storage over a journal that several processes append to.

    Without `follow`, others' changes are seen only after `refresh` and after own writes:
    one statement then serves many reads.
    """

    def __init__(self, journal: Any) -> None:
        self._journal: Journal = journal
        self.follows = True
        self.others = 0
        """How many logs of other processes were read."""
        self.commit: Batching[Change, Any] = Batching(self._commit)
        self._ordered: Batching[Change, Any] = Batching(self._commit_ordered)
        self._look: Batching[None, None] = Batching(self._refresh)
        self._stale = False
        self._written: Logs = []
        self._loaded = 0
        self.companion: Companion | None = None
        super().__init__(journal)
        if isinstance(journal, Compactable):
            self._compact(journal)

    @property
    def journal(self) -> Any:
        """Its backend."""
        return self._journal

    def refresh(self) -> None:
        """Read what others have appended.

        Raises:
            KeyError: the study was deleted.
        """
        self._look(None)

    def refresh_by(self, read: Callable[[int], Logs]) -> int | None:
        """`refresh` by a read of the caller's, of the logs from a number on.

        Returns how many trials there were by that read; None if a snapshot had to be read.
        """
        with self.turn:
            first, count = self.state.log_number_read, counted_trials(self.state)
        try:
            logs = read(first)
        except CompactedError:
            self.refresh()
            return None
        with self.turn:
            # Other threads may have read or appended meanwhile.
            self._apply(logs[self.state.log_number_read - first :])
        return count + len([n for n in logs if n["op_code"] == JournalOperation.CREATE_TRIAL])

    def write(self, changes: Sequence[Change]) -> Sequence[Any]:
        """Commit changes of trials: an answer or an exception for each.

        Where several processes write, each waits for its turn: an append that is overtaken has to
        be made again.
        """
        if self.companion is None or self.companion.is_ordered():
            return self.commit.all(changes)
        return self._ordered.all(changes)

    def _commit_ordered(self, changes: list[Change]) -> Sequence[Any]:
        assert self.companion is not None
        with self.companion.ordered():
            return self.commit.all(changes)

    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> int:
        # Optuna appends a log even if the study exists; each start would leave one.
        with self.turn:
            self._read()
            if any(s.study_name == study_name for s in self.state.get_all_studies()):
                raise DuplicatedStudyError(f"The study '{study_name}' already exists.")
        return super().create_new_study(directions, study_name)

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        try:
            return super().get_trial_id_from_study_id_trial_number(study_id, trial_number)
        except KeyError:
            if not self.follows:
                self.refresh()
            return super().get_trial_id_from_study_id_trial_number(study_id, trial_number)

    def trials_in_order(self, study_id: int) -> Sequence[FrozenTrial]:
        """The trials by number, without a copy of the list: thousands cost no more than few."""
        with self.turn:
            self.synchronize()
            return _InOrder(*trials_by_id(self.state, study_id))

    def _refresh(self, calls: list[None]) -> list[None]:
        """One read serves all callers that waited when it started."""
        with self.turn:
            self._read()
        return calls

    def _commit(self, changes: list[Change]) -> list[Any]:
        answers: dict[int, Any] = {}
        left = list(enumerate(changes))
        refreshed = False
        while left:
            with self.turn:
                first = self.state.log_number_read
                plan = _plan(left, self.state)
                # Not as the thread's own: Optuna raises if a thread's own log changes nothing.
                logs = [{**log, "worker_id": f"{self.writer}batch"} for log in plan.logs]
                append: Callable[[], bool] = partial(self._journal.append_at, first, logs)
                if self.companion is not None:
                    append = self.companion.append(first, logs, self.state)
            if plan.refused and not refreshed:
                # What others have appended may change that.
                self.refresh()
                refreshed = True
                continue
            if logs and not self._append(first, logs, append):
                continue
            answers |= plan.answers
            left = plan.later
        return [answers[place] for place in range(len(changes))]

    def _append(self, first: int, logs: Logs, append: Callable[[], bool]) -> bool:
        """Append outside of the lock, so that others read while the disk writes."""
        is_end = self._tried(append)
        with self.turn:
            if is_end and self.state.log_number_read == first:
                self.state.apply_logs(_as_read(logs))
            else:
                self._read()
        return is_end

    def _tried(self, append: Callable[[], bool]) -> bool:
        try:
            return append()
        except BaseException:
            self._stale = True  # a failing database may have committed
            raise

    def append_own(self, logs: Logs) -> None:
        journal = self._journal
        while not self._tried(partial(journal.append_at, self.state.log_number_read, logs)):
            self._read()
        self._written = logs

    def synchronize(self) -> None:
        if self._written:
            logs, self._written = self._written, []
            self.state.apply_logs(_as_read(logs))
        elif self.follows or self._stale:
            self._read()

    def _read(self) -> None:
        try:
            logs = self._journal.read_from(self.state.log_number_read)
        except CompactedError:
            self._load()
        else:
            self._apply(logs)
        self._stale = False

    def _apply(self, logs: Logs) -> None:
        self.others += sum(not log["worker_id"].startswith(self.writer) for log in logs)
        self.state.apply_logs(logs)

    def _load(self) -> None:
        """Read the snapshot and the logs appended since."""
        assert isinstance(self._journal, Compactable)
        snapshot, self._loaded = self._journal.snapshot()
        self.restart(snapshot, self._loaded)
        self.others += 1
        self._read()

    def _compact(self, journal: Compactable) -> None:
        """Replace a long history by its resulting state."""
        state = self.state
        long = state.log_number_read - self._loaded >= max(_COMPACTED_FROM, counted_trials(state))
        # Ids also count deleted trials, which a snapshot does not have.
        if long and study_ids(state) == [0]:
            study, trials = state.get_study(0), state.get_all_trials(0, None)
            logs = study_logs(
                study.study_name, study.directions, study.user_attrs, study.system_attrs, trials
            )
            journal.compact(state.log_number_read, logs)


class _InOrder(Sequence["FrozenTrial"]):
    """A study's trials as they were counted; later ones do not appear."""

    def __init__(self, trials: dict[int, FrozenTrial], ids: list[int]) -> None:
        self._trials, self._ids, self._length = trials, ids, len(ids)

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, place: int) -> FrozenTrial: ...
    @overload
    def __getitem__(self, place: slice) -> list[FrozenTrial]: ...
    def __getitem__(self, place: int | slice) -> FrozenTrial | list[FrozenTrial]:
        if isinstance(place, int):
            return self._trials[self._ids[range(self._length)[place]]]
        return [self[one] for one in range(self._length)[place]]


def _plan(left: list[tuple[int, Change]], state: JournalState) -> _Plan:
    plan = _Plan([], {}, [])
    touched: set[int | None] = set()
    made: Counter[int] = Counter()
    for place, change in left:
        if change.trial is not None and change.trial in touched:
            # It is checked against the state after the earlier one.
            plan.later.append((place, change))
            continue
        try:
            new = change.logs(state)
        except OvertakenError as error:
            plan.answers[place] = error
            continue
        except Exception as error:
            plan.answers[place] = error
            plan.refused = True
            continue
        plan.answers[place] = new is not None
        if change.study is not None and new is not None:
            known = counted_trials(state, change.study)
            plan.answers[place] = known + made[change.study]
            made[change.study] += len(new)
        if new:
            touched.add(change.trial)
            plan.logs += new
    return plan


def trial_logs(study_id: int, trials: Iterable[FrozenTrial]) -> Logs:
    """Logs that create trials of these templates."""
    gathered = _Gathered()
    maker = writes_only(JournalStorage(gathered))
    for trial in trials:
        maker.create_new_trial(study_id, template_trial=trial)
    return gathered.logs


def study_logs(
    name: str,
    directions: Sequence[StudyDirection],
    user_attrs: dict[str, Any],
    system_attrs: dict[str, Any] | None = None,
    trials: Iterable[FrozenTrial] = (),
) -> Logs:
    """Logs that create a complete study as the first of its journal."""
    operation = JournalOperation
    ways = [direction.value for direction in directions]
    logs: Logs = [{"op_code": operation.CREATE_STUDY, "study_name": name, "directions": ways}]
    for code, key, attrs in (
        (operation.SET_STUDY_USER_ATTR, "user_attr", user_attrs),
        (operation.SET_STUDY_SYSTEM_ATTR, "system_attr", system_attrs or {}),
    ):
        logs += [{"op_code": code, "study_id": 0, key: {k: v}} for k, v in attrs.items()]
    logs += trial_logs(0, trials)
    return [{**log, "worker_id": ""} for log in logs]


class _Gathered(BaseJournalBackend):
    """Keeps the logs that a storage would append."""

    def __init__(self) -> None:
        self.logs: Logs = []

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:  # noqa: ARG002
        return iter(())

    def append_logs(self, logs: Logs) -> None:
        self.logs += logs


def _as_read(logs: Logs) -> Any:
    """The logs as a reader gets them."""
    return json.loads(json.dumps(logs))
