"""One ask/tell interface to every algorithm.

    optimizer = Optimizer(space, ["minimize"], "optuna_tpe", seed=1, storage=storage, name="s")
    trial = optimizer.ask()                    # Asked(number, params), already durable
    optimizer.tell(trial.number, Told("success", (0.5,)))

Optuna's storage is the durable history. The sampler itself works on a copy of it in memory
(study_sampler.py), in which failures count, and asked points are written to the storage atomically:
a kill cannot leave half a trial. A forbidden point is moved to an allowed one near it.

    proposal = optimizer.propose()             # an ask in two steps: in memory only
    trial = optimizer.take(proposal)           # durable; or optimizer.drop(proposal)

Results are passed to the sampler when the next point is proposed.
"""

from __future__ import annotations

import random
import threading
import warnings
from typing import TYPE_CHECKING, Any

from benchmark.hpo.samplers.algorithms import GRID
from benchmark.hpo.samplers.point_list import PointList
from benchmark.hpo.samplers.proposal import Asked, ExhaustedError, Proposal, ending_of
from benchmark.hpo.space.operators import same
from benchmark.hpo.space.search_space import Params, Space, SpaceError, identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import optuna
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

    from benchmark.hpo.samplers.proposal import Direction, Told
    from benchmark.hpo.samplers.safe_region import SafeRegion
    from benchmark.hpo.storages.trial_write import Admit, TrialWrite

_TRIES = 20
FORBIDDEN = "forbidden"
"""A trial's attribute: the forbidden points that preceded this proposal."""


class Optimizer:
    """Asks and tells one study; several processes may share a storage.

    One thread at a time may propose and drop; others may take and tell at the same time.
    """

    def __init__(  # noqa: PLR0917
        self,
        space: Space,
        directions: Sequence[Direction],
        algorithm: str,
        seed: int | None,
        storage: BaseStorage,
        name: str,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        import optuna

        from benchmark.hpo.samplers.study_sampler import Shadow
        from benchmark.hpo.storages import trial_write
        from benchmark.hpo.storages.deleted_trials import DeletedTrials, RemainingTrials
        from benchmark.hpo.storages.optuna_private import storage_of, study_id_of
        from benchmark.hpo.storages.study_journal import StudyJournal

        self.space = space
        study = optuna.create_study(
            study_name=name, storage=storage, directions=list(directions), load_if_exists=True
        )
        self.storage = storage_of(study)
        self._journal = self.storage if isinstance(self.storage, StudyJournal) else None
        self.study_id = study_id_of(study)
        self._deleted = DeletedTrials(self.storage, self.study_id)
        self.study = optuna.Study(name, RemainingTrials(self.storage, self.study_id))
        """In it deleted trials are blank."""
        self._optuna, self._trial_write = optuna, trial_write
        self._seed = seed
        self._algorithm = algorithm
        self._size = space.size() or 0
        self._points = PointList(space, seed)
        plain = not self._size and not space.forbidden
        self.draws = algorithm == "random" and seed is None and plain and space.draws_as_optuna
        """Whether a proposal is a draw of its own, which needs neither the sampler nor history."""
        self._random = random.Random()  # noqa: S311  # nosec B311 # points
        self._places: dict[int, int] = {}
        self._open: set[int] = set()
        self._waiting: set[int] = set()
        self._walked = 0
        self._joining = threading.Lock()
        self._asked: set[Any] = set()
        self._forgotten: set[int] = set()
        self._forbidden: list[Params] = []
        self._shadow = Shadow(directions, algorithm, seed, options)
        self._shadow.keep(self._durable_attrs())
        self.region: SafeRegion | None = None
        self._learn()

    def refresh(self) -> None:
        """Read what others have written, if the storage does not do so on every read.

        Raises:
            KeyError: the study was deleted.
        """
        if self._journal is not None and not self._journal.follows:
            self._journal.refresh()

    def trials(self) -> list[FrozenTrial]:
        """Every trial that was not deleted."""
        deleted = self.deleted
        trials = self.storage.get_all_trials(self.study_id, deepcopy=False)
        return [one for one in trials if one.number not in deleted] if deleted else trials

    @property
    def deleted(self) -> frozenset[int]:
        """The numbers of the deleted trials."""
        return self._deleted.numbers()

    def by_number(self) -> Sequence[FrozenTrial]:
        """Every trial, deleted ones too, where possible without a copy of the list."""
        if self._journal is not None:
            return self._journal.trials_in_order(self.study_id)
        return self.storage.get_all_trials(self.study_id, deepcopy=False)

    def running(self) -> list[Asked]:
        """The trials that were asked but have not ended, such as after a killed driver."""
        self._learn()
        trials = self.by_number()
        return [Asked(number, self.params_of(trials[number])) for number in sorted(self._open)]

    def params_of(self, trial: FrozenTrial) -> Params:
        """The values in their declared types: a stepped double exact to its step."""
        return self.space.typed(trial.params)

    def ask(self, params: Params | None = None, held: Params | None = None) -> Asked:
        """A new trial, durable when this returns; the point is the sampler's or `params`.

        The tunables in `held` have these values, and the sampler chooses the others.

        Raises:
            ExhaustedError: a countable space, or what `held` leaves of it, has no point left.
        """
        return self.take(self.propose(params, held))

    def propose(self, params: Params | None = None, held: Params | None = None) -> Proposal:
        """A point, the sampler's or `params`, that is not yet in the storage.

        Raises:
            ExhaustedError: a countable space has no point left.
        """
        if self.draws and params is None and not held:
            # The shadow has it when it next reads the storage, as another process's trial.
            params = self.space.draw(self._random)
            return Proposal(None, params, params, self.space.distributions(params), {}, {})
        self._learn()
        self._generator = self._shadow.begin()
        self._forbidden = []
        if params is None:
            trial = self._part(held) if held else self._proposed()
        elif fault := self.space.fault(params):
            raise SpaceError(fault)
        else:
            trial = self._fixed(params)
        frozen = self._shadow.frozen(trial)
        found = self.params_of(frozen)
        self._asked.add(identity(found))
        attrs = {k: v for k, v in frozen.system_attrs.items() if k != "fixed_params"}
        attrs |= {FORBIDDEN: self._forbidden} if self._forbidden else {}
        kept = self._shadow.attrs
        return Proposal(trial.number, found, frozen.params, frozen.distributions, attrs, kept)

    def drop(self, proposal: Proposal) -> None:
        """Discard a proposal that was not taken."""
        if proposal.place is not None:
            self._shadow.drop(proposal.place)
        self._asked.discard(identity(proposal.params))
        self._points.rewind()

    def was_taken(self, proposal: Proposal) -> bool:
        """Whether another process has asked this point meanwhile, if points are asked once."""
        if not self._size:
            return False
        mine = identity(proposal.params)
        return any(
            identity(self.params_of(trial)) == mine
            for trial in self.by_number()[self._walked :]
            if trial.number not in self._places
        )

    def take(self, proposal: Proposal) -> Asked:
        """Write the proposal to the storage as a trial, atomically."""
        return self.take_all([(proposal, {})])[0]

    def take_all(
        self, proposals: Sequence[tuple[Proposal, dict[str, Any]]], others: int | None = None
    ) -> list[Asked]:
        """Write proposals as trials with these user attributes; `others`: see `create_trials`."""
        storage, study_id = self.storage, self.study_id
        kept = {key: value for one, _ in proposals for key, value in one.study_attrs.items()}
        durable = self._durable_attrs() if kept else {}
        for key in [key for key, value in kept.items() if durable.get(key) != value]:
            storage.set_study_system_attr(study_id, key, kept[key])
        new = [proposal.template(attrs) for proposal, attrs in proposals]
        with self._joining:
            numbers = self._trial_write.create_trials(storage, study_id, new, others)
            for number, (proposal, _) in zip(numbers, proposals, strict=True):
                if proposal.place is not None:
                    self._places[number] = proposal.place
                    self._open.add(number)
        return [Asked(n, one.params) for n, (one, _) in zip(numbers, proposals, strict=True)]

    def tell(self, number: int, outcome: Told, admit: Admit | None = None) -> bool:
        """End a trial in one write; False if it had ended before, and nothing changes.

        `admit` is called with the trial before the write, and may raise to prevent it.
        """
        (first,) = self.tell_all([(number, outcome, admit)])
        if isinstance(first, BaseException):
            raise first
        return first

    def tell_all(
        self, tells: Sequence[tuple[int, Told, Admit | None]]
    ) -> list[bool | BaseException]:
        """`tell` for several trials, in a journal by one write; an error is among the answers."""
        found: list[bool | BaseException] = [False] * len(tells)
        writes = {}
        for place, (number, outcome, admit) in enumerate(tells):
            try:
                writes[place] = self._id_of(number), ending_of(outcome), admit
            except Exception as error:
                found[place] = error
        written = self._trial_write.write_trials(self.storage, list(writes.values()))
        for place, first in zip(writes, written, strict=True):
            found[place] = first
        return found

    def write(self, number: int, write: TrialWrite, admit: Admit | None = None) -> bool:
        """Write to a trial that has not ended; False if it has, and nothing changes."""
        return self._trial_write.write_trial(self.storage, self._id_of(number), write, admit)

    def delete(self, number: int, admit: Admit = lambda _: None) -> None:
        """Delete a trial; nothing learns from it, and its point is free again.

        One thread at a time may do so. `admit` is called with the trial before the write, and may
        raise to prevent it.
        """
        self._deleted.add(number, admit)

    def begin_with(self, more: Sequence[Params] = ()) -> list[Params]:
        """The points of the default, of `initial` and of `more` that have not been asked."""
        default = self.space.default()
        self._learn()
        points = [*([] if default is None else [default]), *self.space.initial, *more]
        new = {identity(point): point for point in points}
        return [point for key, point in new.items() if key not in self._asked]

    def _proposed(self) -> optuna.trial.Trial:
        """The sampler's next allowed and, if possible, new point."""
        asked = self._asked
        scarce = not self.region and self._points.is_nearly_exhausted(len(asked), _TRIES)
        if self._algorithm == GRID or scarce:
            return self._fixed(self._points.next(asked))
        for _ in range(_TRIES):
            trial = self._shadow.study.ask()
            point = self._admitted(trial, self._suggested(trial))
            if point is not None and self._is_new(point):
                return trial
            self._shadow.forget(trial)
        if self.region:
            return self._fixed(self.region.best)
        if self._points.is_countable:
            return self._fixed(self._points.next(asked))
        drawn = (self.space.draw(self._generator) for _ in range(_TRIES))
        found = next(filter(self._is_new, drawn), None)
        return self._fixed(self.space.draw(self._generator) if found is None else found)

    def _admitted(
        self, trial: optuna.trial.Trial, params: Params, held: Iterable[str] = ()
    ) -> Params | None:
        """The point; if forbidden, one near it; in a safe study a safe one; None without one."""
        near: Params | None = params
        if self.region:
            near = self.region.near(params, self._generator)
        elif self.space.forbidding(params) is not None:
            self._forbidden.append(self._shadow.forbid(trial))
            near = self.space.near(params, self._generator, [*held])
        if near is not None and near is not params:
            self._shadow.move(trial, near, self.space.distributions(near))
        return near

    def _is_new(self, params: Params) -> bool:
        """Whether the point has not been asked; always true if points are uncountable."""
        return not self._size or identity(params) not in self._asked

    def _suggested(self, trial: optuna.trial.Trial) -> Params:
        return self.space.build(lambda tunable: tunable.suggest(trial))

    def _part(self, held: Params) -> optuna.trial.Trial:
        """The sampler's next point with some tunables fixed; each point once."""
        from optuna.samplers import PartialFixedSampler

        study = self._shadow.study
        sampler = study.sampler
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # marked experimental by Optuna
            study.sampler = PartialFixedSampler(held, sampler)
        try:
            for _ in range(0 if self._algorithm == GRID else _TRIES):
                trial = self._shadow.study.ask()
                point = self._admitted(trial, self._suggested(trial), held)
                if point is not None and identity(point) not in self._asked:
                    return trial
                self._shadow.forget(trial)
        finally:
            study.sampler = sampler
        for point in self._points.all() if self._points.is_countable else ():
            agrees = all(same(point[name], v) for name, v in held.items() if name in point)
            if identity(point) not in self._asked and agrees:
                return self._fixed(point)
        raise ExhaustedError("All points with these values of the held tunables have been asked.")

    def _fixed(self, params: Params) -> optuna.trial.Trial:
        """A trial of the shadow at a given point."""
        self._shadow.study.enqueue_trial(dict(params))
        trial = self._shadow.study.ask()
        self.space.build(lambda tunable: tunable.suggest(trial))
        return trial

    def _id_of(self, number: int) -> int:
        return self.storage.get_trial_id_from_study_id_trial_number(self.study_id, number)

    def _durable_attrs(self) -> dict[str, Any]:
        return self.storage.get_study_system_attrs(self.study_id)

    def _learn(self) -> None:
        """Copy new trials from the storage into the shadow, and remove deleted ones."""
        with self._joining:
            deleted = self.deleted
            trials = self.by_number()
            for number in sorted(self._open):
                if trials[number].state.is_finished():
                    self._open.discard(number)
                    self._shadow.finish(self._places[number], trials[number])
            waiting = self._optuna.trial.TrialState.WAITING
            for number in [*sorted(self._waiting), *range(self._walked, len(trials))]:
                if trials[number].state == waiting and number not in deleted:
                    self._waiting.add(number)
                    self._asked.add(identity(self.params_of(trials[number])))
                    continue
                self._waiting.discard(number)
                if number not in self._places:
                    self._adopt(trials[number], is_deleted=number in deleted)
            self._walked = len(trials)
            for number in deleted - self._forgotten:
                self._shadow.remove(self._places[number])
                self._release(trials[number], trials)

    def _adopt(self, trial: FrozenTrial, *, is_deleted: bool) -> None:
        """A trial of another process, or of an earlier one."""
        forbidden = [
            (params, self.space.distributions(params))
            for params in trial.system_attrs.get(FORBIDDEN) or ()
        ]
        number = trial.number
        self._places[number] = self._shadow.adopt(trial, forbidden, is_deleted=is_deleted)
        if is_deleted:
            self._release(trial, self.by_number())
            return
        self._asked.add(identity(self.params_of(trial)))
        if not trial.state.is_finished():
            self._open.add(number)

    def _release(self, deleted: FrozenTrial, trials: Sequence[FrozenTrial]) -> None:
        """Let the point of a deleted trial be asked again, unless another trial has it."""
        self._forgotten.add(deleted.number)
        point = identity(self.params_of(deleted))
        others = (t for t in trials if t.number not in self._forgotten)
        if point in self._asked and all(identity(self.params_of(t)) != point for t in others):
            self._asked.discard(point)
            self._points.rewind()
