"""Whether auto-sklearn has found anything: it says nothing where it has not, and keeps a dummy."""

import traceback
from collections import Counter


def succeeded(status):
    """Whether a run ended with a model; what is said behind it is of its budget alone."""
    return status.startswith("Success")


def complaint_of(automl):
    """Why a fitted auto-sklearn is no result, by its runs; by its ensemble where they are unknown.

    Its table of runs cannot be made of every search, which says nothing about the model.
    """
    try:
        statuses = automl.cv_results_["status"]
    except Exception:
        traceback.print_exc()
        kinds = [type(model).__name__ for _, model in automl.get_models_with_weights()]
        return None if any("Dummy" not in kind for kind in kinds) else complaint([])
    return complaint(statuses)


def complaint(statuses):
    """Why the runs with these statuses are no result; None where one has succeeded."""
    counts = Counter(statuses)
    if any(map(succeeded, counts)):
        return None
    statuses = ", ".join(f"{count} {status.lower()}" for status, count in counts.items())
    return f"no inner run of auto-sklearn succeeded ({statuses or 'none ended'})"
