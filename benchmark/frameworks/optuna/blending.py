"""Ensemble selection (Caruana et al. 2004): models added one by one, with replacement."""

import time

ROUNDS = 25


def select(tables, score_of, deadline):
    """Weights of the tables of validation predictions whose mean scores best, best table first.

    Each round adds the table that raises the mean's score most, and ends when none does or at
    `deadline` (time.monotonic()). NaN never wins.
    """
    counts = [0] * len(tables)
    counts[0] = 1
    mean, best = tables[0], score_of(tables[0])
    for size in range(1, ROUNDS):
        found = None
        for place, table in enumerate(tables):
            if time.monotonic() > deadline:
                return _shares(counts)
            candidate = (mean * size + table) / (size + 1)
            score = score_of(candidate)
            if score > best:
                found, best, following = place, score, candidate
        if found is None:
            break
        counts[found] += 1
        mean = following
    return _shares(counts)


def _shares(counts):
    return [count / sum(counts) for count in counts]
