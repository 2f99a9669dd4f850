"""Submissions: which tasks a job of an engine carries, kept in the store so that none goes twice.

`{run}/jobs/NAME.json` lists the tasks for the job's own processes. `{run}/jobs/NAME.job.json` is
written before the job is submitted, and completed with its id afterwards. NAME is unique and is the
job's name, so a driver that was killed between the two finds the job by its name. Both go when the
last of the tasks has its outcome.
"""

from __future__ import annotations

import functools
import json
import re
import secrets
import time
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace

from benchmark.compute.jobs import job_path, write_job
from benchmark.records import results
from benchmark.records.tasks import Run

_SUFFIX = ".job.json"


@dataclass(frozen=True)
class Submission:
    """A job: `keys[n]` is the task of its element n, `since[n]` the last attempt before, `most[n]`
    the last that the engine may start by itself.

    `method` is who submitted it, `options` what else it must know to submit the job or to find it.
    `asked` is when the engine was asked and may have taken the job
    (in seconds since 1970); None before. `job` is the engine's id. `indices` are the elements that
    this driver waits for, by their task.
    """

    name: str
    method: str
    keys: tuple[str, ...]
    since: tuple[int, ...]
    created: float
    job: str | None = None
    cancelled: bool = False
    most: tuple[int, ...] = ()
    options: dict[str, str] = field(default_factory=dict, compare=False)
    asked: float | None = field(default=None, compare=False)
    indices: dict[str, int] = field(default_factory=dict, compare=False)

    def to_bytes(self) -> bytes:
        values = asdict(self)
        del values["indices"], values["asked"]
        return json.dumps(values, ensure_ascii=False).encode()

    @functools.cached_property
    def positions(self) -> dict[str, int]:
        """The number of each task's element."""
        return {key: number for number, key in enumerate(self.keys)}

    def since_of(self, key: str) -> int:
        """The last attempt of a task before this job had it."""
        return self.since[self.positions[key]] if key in self.positions else 0


def begin(  # noqa: PLR0917
    run: Run,
    method: str,
    prefix: str,
    since: Mapping[str, int],
    label: str | None = None,
    options: Mapping[str, str] | None = None,
    most: Collection[int] = (),
) -> Submission:
    """Write down what is to be submitted: the tasks of `since` with their last attempts.

    `label` says in the job's name what its tasks have in common. `most` as in `Submission`.
    """
    parts = [name_part(prefix), name_part(run.name), *([name_part(label, 30)] if label else [])]
    submission = Submission(
        name="-".join((*parts, secrets.token_hex(6))),
        method=method,
        keys=tuple(since),
        since=tuple(since.values()),
        created=time.time(),
        most=tuple(most),
        options=dict(options or {}),
        indices={key: index for index, key in enumerate(since)},
    )
    write_job(run.store, run.name, submission.name, submission.keys)
    save(run, submission)
    return submission


def save(run: Run, submission: Submission) -> None:
    run.store.put(_path(run, submission.name), submission.to_bytes())


def forget(run: Run, submission: Submission) -> None:
    """Remove it: no one waits for any of its tasks."""
    run.store.delete([_path(run, submission.name), job_path(run.name, submission.name)])


def forget_over(run: Run, others: Collection[str]) -> None:
    """Remove those of whose tasks each has a result: their driver was killed before it heard.

    One without tasks of its own, such as an allocation, may serve `others`.
    """
    known = load(run)
    keys = {key for one in known for key in one.keys or others}
    ended = results.outcomes(run, keys) if keys else ()
    done = {key for key, record in ended if record is not None and record.is_result}
    for one in known:
        if done.issuperset(one.keys or others):
            forget(run, one)


def carried_keys(run: Run) -> set[str]:
    """The tasks that are in jobs which no one has cancelled."""
    return {key for one in load(run) if not one.cancelled for key in one.keys}


def load(run: Run, method: str | None = None) -> list[Submission]:
    """What was started in the run by a method, oldest first; one that cannot be read is left out.

    One whose id is not known may have been taken by the engine, from a driver that was killed.
    """
    paths = [path for path in run.store.list(f"{run.name}/jobs") if path.endswith(_SUFFIX)]
    found = []
    for _, data in run.store.get_many(paths):
        one = _submission(data)
        if one is not None and method in (None, one.method):
            found.append(replace(one, asked=one.created) if one.job is None else one)
    return sorted(found, key=lambda one: one.created)


def find(run: Run, name: str) -> Submission | None:
    """The submission of a job, by the job's name."""
    return _submission(run.store.get(_path(run, name)))


def _submission(data: bytes | None) -> Submission | None:
    """None for a write that was cut: its job was not asked for yet."""
    try:
        values = json.loads(data or b"")
        tuples = {name: tuple(values.get(name, ())) for name in ("keys", "since", "most")}
        return Submission(**(values | tuples))
    except (ValueError, TypeError, AttributeError):
        return None


def carried(
    run: Run, known: Collection[Submission], waiting: Collection[str]
) -> dict[str, dict[str, int]]:
    """The tasks that submissions of earlier drivers still carry: by name, their index by key.

    A task belongs to the last job that was started for it, unless that was cancelled, the task was
    set aside, or an attempt of it has ended since.
    """
    index = results.attempt_index(run)
    last = {key: (one, n) for one in known for n, key in enumerate(one.keys) if key in waiting}
    mine = {
        key: (one, number)
        for key, (one, number) in last.items()
        if not one.cancelled and index.aside.get(key, 0) <= one.since[number]
    }
    ends = results.last_attempts(run, mine)
    found: dict[str, dict[str, int]] = {}
    for key, (one, number) in mine.items():
        if index.last.get(key, 0) <= one.since[number] or ends.get(key) is None:
            found.setdefault(one.name, {})[key] = number
    return found


def name_part(text: str, length: int = 40) -> str:
    """Text as a part of a name that every engine takes."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_")[:length] or "x"


def _path(run: Run, name: str) -> str:
    return job_path(run.name, name).removesuffix(".json") + _SUFFIX
