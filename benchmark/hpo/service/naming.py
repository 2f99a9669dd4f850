"""The study of an experiment: any text names an experiment, and a study's name is a path."""

from __future__ import annotations

import hashlib
import re

from benchmark.hpo.service.errors import InvalidError

LONGEST = 256
# A slash within a segment of a path, until the name is read out of it.
SLASH = "\ue000"
_HASHED = re.compile(r"-[0-9a-f]{16}$")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def study_of(experiment: str) -> str:
    """The name itself where it can be a study's; else what can be of it, and a hash.

    Raises:
        InvalidError: the name is empty, too long, or has signs that no eye sees.
    """
    if not experiment.strip() or len(experiment) > LONGEST:
        raise InvalidError(
            f"The experiment's name has {len(experiment)} characters; write 1 to {LONGEST}."
        )
    if not experiment.isprintable():
        raise InvalidError(
            f"The experiment's name {experiment!r} has characters that cannot be shown; leave "
            "them out."
        )
    if _PLAIN.fullmatch(experiment):
        return experiment
    shown = re.sub(r"[^A-Za-z0-9._-]+", "-", experiment).strip("-._")[:40] or "experiment"
    return f"{shown}-{hashlib.sha256(experiment.encode()).hexdigest()[:16]}"


def is_hashed(study: str) -> bool:
    """Whether the study's name may stand for another name of its experiment."""
    return _HASHED.search(study) is not None
