"""Elements whose end Slurm tells late, or that it does not start again."""

from __future__ import annotations

from dataclasses import replace

from benchmark.config import Config
from benchmark.results import Cause
from benchmark.runs.plan import Plan
from tests.support.slurm_double import SlurmDouble
from tests.support.slurm_driving import Quick, sent, told


class Patient(Quick):
    pace = replace(Quick.pace, stuck_s=20.0)


def test_accounting_that_is_late_is_waited_for(
    plan: Plan, config: Config, slurm_double: SlurmDouble
) -> None:
    slurm_double.configure(accounting=True)
    with Patient(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks)
        sent(dispatcher, slurm_double)
        slurm_double.purge(7)
        assert dispatcher.completed(timeout_s=1) == []
        for index in range(3):
            slurm_double.set(7, index, "CANCELLED")
        assert {record.cause for record in told(dispatcher, 3)} == {Cause.INTERRUPTED}


def test_an_element_that_is_held_after_a_failed_launch_is_cancelled_and_accounted(
    plan: Plan, config: Config, slurm_double: SlurmDouble
) -> None:
    with Quick(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks)
        sent(dispatcher, slurm_double)
        slurm_double.set(7, 1, "PENDING", "launch failed requeued held")
        (record,) = told(dispatcher, 1)
    assert (record.task, record.cause) == (plan.tasks[1].key, Cause.INFRASTRUCTURE)
    assert "launch failed requeued held" in record.message
    assert "scancel 7_1" in slurm_double.calls("scancel")
