"""A dispatcher over Slurm's double that waits for nothing long, and what is asked of it."""

from __future__ import annotations

import time

from benchmark.compute.cluster import Pace
from benchmark.compute.slurm.slurm import SlurmDispatcher
from benchmark.results import Record
from tests.support.slurm_double import SlurmDouble

DATASETS = ("penguins", "cpu", "concrete")


class Quick(SlurmDispatcher):
    pace = Pace(0.05, 0.05, settle_s=0.1, stuck_s=0.2, find_s=0.2, patience_s=30.0)


def told(dispatcher: SlurmDispatcher, number: int) -> list[Record]:
    found: list[Record] = []
    end = time.monotonic() + 30
    while len(found) < number and time.monotonic() < end:
        found += dispatcher.completed(timeout_s=0.5)
    return found


def sent(dispatcher: SlurmDispatcher, double: SlurmDouble, number: int = 1) -> None:
    while len(double.jobs()) < number:
        dispatcher.completed(timeout_s=0.05)
