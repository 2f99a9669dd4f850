"""Whether auto-sklearn has found anything: it says nothing where it has not, and keeps a dummy."""

from collections import Counter


def succeeded(status):
    """Whether a run ended with a model; what is said behind it is of its budget alone."""
    return status.startswith("Success")


def complaint(statuses):
    """Why the runs with these statuses are no result; None where one has succeeded."""
    counts = Counter(statuses)
    if any(map(succeeded, counts)):
        return None
    told = ", ".join(f"{count} {status.lower()}" for status, count in counts.items())
    return f"no inner run of auto-sklearn succeeded ({told or 'none ended'})"
