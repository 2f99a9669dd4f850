"""How long a model takes per row, in batches of 1, 10, 100, 1,000 and 10,000 rows.

Measured when the task's outcome is safe, so that whatever ends the task here (the hard limit,
memory, a crash, an interrupt) leaves it a success with the times that were had by then.

The rule. A batch is rows of the test frame, drawn with replacement (seeded), in memory, dtypes
kept. One call with one row warms up. Then each size gets up to 5 calls, a new batch each, and no
more once they have taken 30 ms; its time is their median. All together may take 2 % of the hard
limit, 10 s at most, and half of what is left before it: a size that would not fit is left out,
with the larger ones. Its time is expected on the line through the last two sizes, and
before there are two from the predictions of the whole test frame. The warm-up is tried if these
would fit into half of the time left, and counts as the time of one row if no other call fits.
"""

import json
import os
import statistics
import time
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Tuple

TIMING = "inference.json"
BATCHES = (1, 10, 100, 1000, 10000)
REPEATS = 5
BATCH_S = 0.03
SHARE = 0.02
MOST_S = 10.0

Point = NamedTuple("Point", [("rows", int), ("seconds", float)])


def measure(request: Dict[str, Any], frame: Any, predict_s: float, call: Any) -> None:
    """Time `call(batch)` and write what was measured to TIMING after every batch size.

    `predict_s` is how long the whole test frame took. Never raises: a fault of the model's is noted
    in the file.
    """
    timing: Dict[str, Any] = {"since": time.monotonic(), "s_per_row": {}}
    if not len(frame):
        return
    path = os.path.join(request["work"], TIMING)
    _write(path, timing)
    try:
        once = _timed(frame, request["seed"], call)
        whole = Point(len(frame), predict_s)
        for name, s_per_row in _batches(request, whole, once):
            timing["s_per_row"][name] = s_per_row
            _write(path, timing)
        timing["total_s"] = time.monotonic() - timing["since"]
    except BaseException as error:
        timing["cut"] = ("%s: %s" % (type(error).__name__, error))[:500].rstrip(": ")
    _write(path, timing)


def _timed(frame: Any, seed: int, call: Any) -> Callable[[int], float]:
    """A function that times the call with a new batch of so many rows."""
    import numpy

    random = numpy.random.RandomState(seed % 2**32)

    def once(rows: int) -> float:
        batch = frame.iloc[random.randint(len(frame), size=rows)].reset_index(drop=True)  # nosec B311 # rows
        start = time.perf_counter()
        call(batch)
        return time.perf_counter() - start

    return once


def _batches(
    request: Dict[str, Any], whole: Point, once: Callable[[int], float]
) -> Iterator[Tuple[str, float]]:
    """Each batch size that fits, with its seconds per row."""
    left_s = request["deadline"] - time.monotonic()
    if whole.seconds > left_s / 2:
        return
    end = time.monotonic() + min(MOST_S, SHARE * request["hard_limit_s"], left_s / 2)
    expected_s = once(1)
    yield "1", expected_s
    points: List[Point] = []
    for rows in BATCHES:
        expected_s = _expected(points, rows, whole) if points else expected_s
        if time.monotonic() + expected_s > end:
            return
        seconds = [once(rows)]
        while len(seconds) < REPEATS and sum(seconds) + seconds[-1] <= BATCH_S:
            seconds.append(once(rows))
        points.append(Point(rows, statistics.median(seconds)))
        yield str(rows), points[-1].seconds / rows


def _expected(points: List[Point], rows: int, whole: Point) -> float:
    """How long a larger batch will take, from the line through the last two points."""
    last = points[-1]
    if len(points) == 1:
        return min(last.seconds * rows, whole.seconds * max(1.0, rows / whole.rows))
    before = points[-2]
    slope = max(0.0, (last.seconds - before.seconds) / (last.rows - before.rows))
    return last.seconds + slope * (rows - last.rows)


def _write(path: str, timing: Dict[str, Any]) -> None:
    with open(path + ".tmp", "w") as file:
        json.dump(timing, file)
    os.rename(path + ".tmp", path)
