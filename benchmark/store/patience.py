"""How long an unreachable store is retried: one outage, shared by all requests."""

from __future__ import annotations

import logging
import secrets
import time

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 5.0
_WORD_AFTER_S = 5.0
_LEAST_S = 5.0
_log = logging.getLogger("benchmark.store")


class Patience:
    """Increasing waits between tries, up to `limit_s` after the start of the outage.

    An outage starts with a request that fails and ends with one that succeeds. A request late in
    it is retried for `_LEAST_S` at most, so that a program that sends one request after another
    ends soon after its first failure.
    """

    def __init__(self, place: str, limit_s: float) -> None:
        self.limit_s = limit_s
        self._place = place
        self._since: float | None = None
        self._logged = False

    def wait_s(
        self, started: float, tries: int, reason: str, limit_s: float | None = None
    ) -> float | None:
        """Seconds until the next try of a request that began at `started`; None to give up."""
        now = time.monotonic()
        since = self._since = min(started, self._since or started)
        limit = self.limit_s if limit_s is None else limit_s
        wait = min(_FIRST_WAIT_S * 2.0 ** min(tries, 10), _LONGEST_WAIT_S)
        if now + wait > since + limit and now + wait > started + min(limit, _LEAST_S):
            return None
        if now > since + _WORD_AFTER_S and not self._logged:
            self._logged = True
            _log.warning(
                "The store %s is unreachable (%s); retrying for up to %.0f s.",
                self._place,
                reason,
                max(0.0, since + self.limit_s - now),
            )
        return wait * (0.5 + secrets.randbelow(500) / 1000)

    def outage_s(self) -> float:
        """For how long the store has been unreachable."""
        return 0.0 if self._since is None else time.monotonic() - self._since

    def answered(self) -> None:
        """Note that the store is reachable."""
        self._since, self._logged = None, False
