"""Suggestions computed in advance: the sampler works while trials run, so that an ask rarely waits.

A result that arrives while a suggestion waits makes it outdated: it is replaced in the background,
and used meanwhile rather than letting a client wait. A client that tells often asks at once, so the
sampler starts a moment later and does not take the interpreter from that ask. A study with a seed
computes nothing in advance: this would depend on the clock and could not be repeated. A random
point is drawn when it is asked: that takes less time than handing it over from another thread.
"""

from __future__ import annotations

import collections
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Executor

from benchmark.errors import BenchmarkError
from benchmark.hpo.samplers.optimizer import Optimizer
from benchmark.hpo.samplers.proposal import ExhaustedError, Proposal
from benchmark.hpo.spec.study_file import StudyDefinition

DEEPEST = 8
_MOMENT_S = 0.02
# Results do not change what they propose.
_WITHOUT_HISTORY = ("random", "grid", "qmc")
_log = logging.getLogger("benchmark.hpo.service")


class Suggestions:
    """The suggestions of one experiment that no client has yet."""

    def __init__(
        self, optimizer: Optimizer, definition: StudyDefinition, background: Executor
    ) -> None:
        self._optimizer = optimizer
        self._background = background
        ahead = definition.seed is None and not optimizer.draws
        self._depth = min(definition.parallel, DEEPEST) if ahead else 0
        self._learns = definition.algorithm not in _WITHOUT_HISTORY
        self._first = collections.deque(optimizer.begin_with())
        self._ready: collections.deque[Proposal] = collections.deque()
        self._old = 0
        self._declared: set[int | None] = set()
        self._sampling = threading.Lock()
        self._state = threading.Lock()
        self._busy = False
        self._closed = False
        self._soon: threading.Timer | None = None

    def pop(self) -> Proposal | None:
        """A suggestion that is ready, or None."""
        with self._state:
            if self._ready:
                self._old = max(0, self._old - 1)
                return self._ready.popleft()
        return self._optimizer.propose() if self._optimizer.draws and not self._first else None

    def make(self) -> None:
        """Have a suggestion ready, computed now where none is.

        Raises:
            ExhaustedError: a countable space has no point left.
        """
        with self._sampling:
            if not self._ready:
                proposal = self._proposed()
                with self._state:
                    self._ready.append(proposal)

    def put_back(self, proposals: Sequence[Proposal]) -> None:
        """Suggestions that were not taken after all, as the first ones."""
        with self._state:
            self._ready.extendleft(reversed(proposals))

    def drop(self, proposal: Proposal) -> None:
        """A suggestion that cannot be taken any more."""
        with self._sampling:
            self._optimizer.drop(proposal)

    def mark_old(self) -> None:
        """A result came in: what is ready does not know it."""
        if self._learns:
            with self._state:
                self._old = sum(p.place not in self._declared for p in self._ready)
                if not self._old or self._soon is not None or self._closed:
                    return
                self._soon = threading.Timer(_MOMENT_S, self._replace)
                self._soon.daemon = True
                self._soon.start()

    def think(self) -> None:
        """Compute in the background until enough is ready and nothing of it is old."""
        with self._state:
            enough = len(self._ready) >= self._depth and not self._old
            if self._busy or self._closed or enough:
                return
            self._busy = True
        self._background.submit(self._think)

    def close(self) -> None:
        """Drop what is ready; nothing is computed any more."""
        self._closed = True
        with self._sampling, self._state:
            if self._soon is not None:
                self._soon.cancel()
            for proposal in self._ready:
                self._optimizer.drop(proposal)
            self._ready.clear()

    def _replace(self) -> None:
        with self._state:
            self._soon = None
        self.think()

    def _think(self) -> None:
        try:
            while self._step():
                pass
        except ExhaustedError:
            pass  # The next ask raises it.
        except BenchmarkError as error:
            _log.warning("No suggestion ahead: %s", error)
        except Exception:
            _log.exception("A sampler failed")
        finally:
            self._busy = False

    def _step(self) -> bool:
        """One more suggestion, or a new one in place of an old one; False where all is well."""
        with self._sampling:
            with self._state:
                missing = len(self._ready) < self._depth
                if self._closed or not (missing or self._old):
                    return False
                known = self._old
            proposal = self._proposed()
            with self._state:
                self._ready.append(proposal)
                old = self._oldest() if known and len(self._ready) > self._depth else None
                self._old = max(0, self._old - 1)
            if old is not None:
                self._optimizer.drop(old)
        return True

    def _oldest(self) -> Proposal | None:
        """Take out what was there first, unless the study's file itself asks for that point."""
        for proposal in self._ready:
            if proposal.place not in self._declared:
                self._ready.remove(proposal)
                return proposal
        return None

    def _proposed(self) -> Proposal:
        if not self._first:
            return self._optimizer.propose()
        proposal = self._optimizer.propose(self._first.popleft())
        self._declared.add(proposal.place)
        return proposal
