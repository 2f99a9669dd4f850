"""OpenML's server with recordings, generated data, tasks and suites."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.openml_server import RECORDED, OpenMLServer

KEY = "0planted1key2of3a4test5"
TASKS = {
    59: (61, "class", "classification", {"folds": 10}),
    60: (561, "class", "regression", {"folds": 3, "repeats": 2}),
    8: (42585, "species", "classification", {"folds": 1}),
    9: (42585, "species", "classification", {"splits": False}),
    10: (42585, "colour", "classification", {}),
    7: (40675, "class", "clustering", {}),
}
SPARSE = """@relation words
@attribute count numeric
@attribute colour {red,green}
@attribute label {no,yes}
@data
{0 1.5}
{1 green, 2 yes}
{0 2, 2 yes}
{0 3}
"""


@contextmanager
def stocked() -> Iterator[OpenMLServer]:
    with OpenMLServer() as started:
        started.key = KEY
        for number in RECORDED:
            started.add_recording(number)
        for number, (data, target, kind, more) in TASKS.items():
            started.add_task(number, data, target, kind, **more)
        started.add_generated(900, SPARSE, "label")
        started.add_generated(901, SPARSE, "colour,label")
        started.add_generated(902, SPARSE, "")
        started.add_generated(904, SPARSE, "label", parquet=b"PAR1 broken")
        started.add_generated(903, SPARSE.replace("1 green, 2", "1 blue, 2"), "label")
        started.add_suite(135, "mixed-tasks", tasks=[59, 60, 8])
        started.add_suite(130, "old-style", data=[61, 561])
        started.add_suite(1, "of-runs", tasks=[59], entity="run")
        yield started
