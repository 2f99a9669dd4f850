"""Attempts that were lost with their machine and that AWS Batch has made again.

They could say nothing themselves. They are ended here by AWS's word: why, when, and what the time
has cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from benchmark.compute.aws.clients import Aws
from benchmark.compute.batch.jobs import cause_of, describe
from benchmark.compute.submissions import Submission
from benchmark.execution.machine import billing
from benchmark.records import results
from benchmark.records.results import Attempt, Cause, Record
from benchmark.records.tasks import Run, Task

# The clocks of AWS and of the machine may differ by so much.
_SKEW_S = 2.0


def tried_again(known: Iterable[Submission], last: Mapping[str, int]) -> dict[str, str]:
    """By task, the job that has started more than one attempt of it, or the array's child.

    `last` are the numbers of the tasks' last attempts.
    """
    found = {}
    for one in known:
        for key in last.keys() & one.positions.keys():
            index = one.positions[key]
            if last[key] > one.since[index] + 1:
                found[key] = f"{one.job}:{index}" if len(one.keys) > 1 else str(one.job)
    return found


def end(aws: Aws, run: Run, retried: Mapping[str, str]) -> None:
    """End the attempts of these tasks (with their jobs) that others have followed.

    Raises:
        BenchmarkError: AWS does not answer, or denies to.
    """
    lost = {key: attempts for key in retried if (attempts := results.unended(run, key))}
    jobs = describe(aws, (retried[key] for key in lost))
    for key, attempts in lost.items():
        facts = jobs.get(retried[key], {}).get("attempts") or []
        for attempt in attempts:
            results.settle(run, attempt, _ended(run.task(key), attempt, facts))


def took_s(facts: Mapping[str, Any]) -> float | None:
    """For how long a job, or an attempt of it, had a container; None where AWS does not say."""
    if not facts.get("startedAt") or not facts.get("stoppedAt"):
        return None
    return float(facts["stoppedAt"] - facts["startedAt"]) / 1000


def _away_s(facts: Mapping[str, Any], moment: float) -> float:
    """How far the moment is from the time in which AWS's attempt had a container."""
    return float(max(facts["startedAt"] / 1000 - moment, moment - facts["stoppedAt"] / 1000, 0))


def _ended(task: Task, attempt: Attempt, facts: Iterable[Mapping[str, Any]]) -> Record:
    """How it ended by AWS's word; of an attempt that AWS does not know, that it did."""
    begun = datetime.fromisoformat(attempt.begun).timestamp()
    near = {away: one for one in facts if took_s(one) and (away := _away_s(one, begun)) <= _SKEW_S}
    one = near[min(near)] if near else {}
    took = took_s(one)
    if took is None:
        return results.failure(task, Cause.INFRASTRUCTURE, results.NO_TRACE, host=attempt.host)
    cause, message = cause_of(one)
    if cause.is_result:  # It was not the task's last word, so it is none.
        cause = Cause.INFRASTRUCTURE
    return results.failure(
        task,
        cause,
        message,
        host=attempt.host,
        total_s=took,
        cost=billing.cost(attempt.host, task.resources, took),
        ended=datetime.fromtimestamp(one["stoppedAt"] / 1000, UTC).isoformat("T", "milliseconds"),
    )
