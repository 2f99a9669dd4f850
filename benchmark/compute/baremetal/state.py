"""What a driver leaves in the store of its fleet, so that the next one finds it.

`{run}/fleet.json` is written before anything is made and names it all by a token;
`{run}/fleet/TOKEN/*.json` note which tasks were sent, each with its last attempt before.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from benchmark.compute import methods
from benchmark.records import results
from benchmark.records.results import AttemptIndex, Cause, Record
from benchmark.records.tasks import Run

METHOD = "baremetal"


@dataclass(frozen=True)
class State:
    """`token` names queue, template version and machines. `version` is None until it is made.

    `queues` are the URLs of those that were made, `machines` what EC2 said that it started: by its
    id its type, its lifecycle and when. `template` and `region` are those of the driver that made
    it: another configuration may name others, or none.
    """

    token: str
    bundle: str = ""
    version: str | None = None
    template: str = ""
    region: str = ""
    queues: Sequence[str] = ()
    machines: Mapping[str, tuple[str, str, float]] = field(default_factory=dict)

    @staticmethod
    def of(run: Run) -> State | None:
        """What an earlier driver left."""
        try:
            return State(**json.loads(run.store.get(_path(run)) or b""))
        except (ValueError, TypeError):
            return None

    @staticmethod
    def new(template: str, region: str) -> State:
        name = f"automl-benchmark-{secrets.token_hex(6)}"
        return State(name, template=template, region=region)

    def save(self, run: Run) -> None:
        run.store.put(_path(run), json.dumps(asdict(self)).encode())

    def note_sent(self, run: Run, since: Mapping[str, int]) -> None:
        path = f"{run.name}/fleet/{self.token}/{secrets.token_hex(8)}.json"
        run.store.put(path, json.dumps(dict(since)).encode())

    def sent(self, run: Run) -> dict[str, int]:
        """The tasks that were sent, with their last attempt before."""
        found: dict[str, int] = {}
        paths = run.store.list(f"{run.name}/fleet/{self.token}")
        for _, data in run.store.get_many(paths):
            try:
                noted = json.loads(data or b"{}")
            except ValueError:
                continue  # A write that was cut: the tasks are sent again, which does no harm.
            for key, since in noted.items():
                found[key] = max(since, found.get(key, 0))
        return found

    def open(self, run: Run, keys: Collection[str]) -> set[str]:
        """Those of the tasks that were sent and have no outcome yet."""
        sent = {key: since for key, since in self.sent(run).items() if key in keys}
        if not sent:
            return set()
        index = results.attempt_index(run)
        done = {one.task for one in results.current_records(run, sent, index.aside)}
        return in_queue(sent, index, results.last_attempts(run, sent)) - done

    def remove(self, run: Run) -> None:
        run.store.delete([*run.store.list(f"{run.name}/fleet/{self.token}"), _path(run)])


def in_queue(
    sent: Mapping[str, int], index: AttemptIndex, ends: Mapping[str, Record | None]
) -> set[str]:
    """Those of the sent tasks whose message is still in the queue, or with a machine.

    A worker deletes a message when its task has a result, or has ended for `data` or `setup`;
    what was set aside since is another generation.
    """
    kept = set()
    for key, since in sent.items():
        if index.aside.get(key, 0) > since:
            continue
        end = ends.get(key)
        over = end is not None and end.attempt > since
        if not (over and end and end.cause in (Cause.DATA, Cause.SETUP)):
            kept.add(key)
    return kept


def _path(run: Run) -> str:
    return methods.left_path(run, METHOD)
