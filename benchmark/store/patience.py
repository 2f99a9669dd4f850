"""For how long a store that is out of reach is tried again: one outage, whoever meets it."""

from __future__ import annotations

import logging
import secrets
import time

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 5.0
_WORD_AFTER_S = 5.0
_LEAST_S = 5.0
_log = logging.getLogger("benchmark.store")


class Patience:
    """The waits between tries, longer and longer, up to `limit_s` after the outage began.

    An outage begins with a request that fails and ends with one that succeeds. What is asked for
    late in it has no more than `_LEAST_S` of its own, so that a program that asks for one thing
    after the other ends soon after its first failure.
    """

    def __init__(self, place: str, limit_s: float) -> None:
        self.limit_s = limit_s
        self._place = place
        self._since: float | None = None
        self._told = False

    def wait_s(
        self, begun: float, tries: int, reason: str, limit_s: float | None = None
    ) -> float | None:
        """Seconds until the next try of what was begun then; None when it is to fail."""
        now = time.monotonic()
        since = self._since = min(begun, self._since or begun)
        limit = self.limit_s if limit_s is None else limit_s
        wait = min(_FIRST_WAIT_S * 2.0 ** min(tries, 10), _LONGEST_WAIT_S)
        if now + wait > since + limit and now + wait > begun + min(limit, _LEAST_S):
            return None
        if now > since + _WORD_AFTER_S and not self._told:
            self._told = True
            _log.warning(
                "The store %s is out of reach (%s); trying again for up to %.0f s.",
                self._place,
                reason,
                max(0.0, since + self.limit_s - now),
            )
        return wait * (0.5 + secrets.randbelow(500) / 1000)

    def outage_s(self) -> float:
        """For how long the store has been out of reach."""
        return 0.0 if self._since is None else time.monotonic() - self._since

    def answered(self) -> None:
        """The store is in reach."""
        self._since, self._told = None, False
