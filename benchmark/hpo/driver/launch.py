"""What every way of starting a study needs: its configuration, and a driver that runs on alone."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.compute import discovery
from benchmark.compute.driving import driving
from benchmark.config.extras import program, python_path
from benchmark.config.loading import PREFIX, Config
from benchmark.files.output_files import place_of
from benchmark.hpo.driver import deployment
from benchmark.hpo.driver.deployment import TriggeredFlow
from benchmark.hpo.driver.local_workers import tune_by_workers
from benchmark.hpo.driver.loop import Tuned, tune
from benchmark.hpo.driver.worker import living
from benchmark.hpo.spec.study_file import StudyDefinition, StudyError, check_resumable
from benchmark.hpo.study.source_files import check_found
from benchmark.hpo.study.store import run_name
from benchmark.hpo.study.study import Study
from benchmark.records.results import Record
from benchmark.store import Store

LOGS = Path("log")
_DRIVER = "import sys; from benchmark.cli import main; sys.exit(main())"


@dataclass(frozen=True)
class Triggered:
    """A study whose driver runs on by itself; what it prints is in `log`."""

    name: str
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def facts(self) -> dict[str, Any]:
        return {"study": self.name, "pid": self.pid, "log": str(self.log)}

    @property
    def sentence(self) -> str:
        return f"Study '{self.name}' runs on as process {self.pid}; its log is {self.log}"

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for the driver and return its exit code, as of `tune`.

        Raises:
            subprocess.TimeoutExpired: it runs on.
        """
        return self.process.wait(timeout_s)


def prepared(
    definition: StudyDefinition, base: Config, files: Mapping[str, object]
) -> tuple[str, Config]:
    """The compute method of a study, and the configuration with the study's own limits.

    `files` are those that every trial gets, by name.

    Raises:
        StudyError: nothing here measures its trials.
        ConfigError: the method cannot serve it.
    """
    if definition.objective.is_external:
        raise StudyError(
            f"The trials of '{definition.name}' are measured by clients of the HPO service; go on "
            f"with it by `{program()} serve`, or say what measures them with --command."
        )
    check_resumable(definition)
    method = (base.compute or {}).get("*", "local")
    if definition.max_parallelism and method != "local":
        raise StudyError(
            f"The workers of '{definition.name}' run on this machine and its trials would run by "
            f"{method}; take 'max_parallelism' out, or start tune --resume {definition.name} "
            "--worker on each machine."
        )
    if definition.cores == 0 and (method != "local" or deployment.is_deployed(base)):
        raise StudyError(
            f"The trials of '{definition.name}' have limits: {{cores: 0}}, so they share this "
            f"machine's cores, and would run by {method if method != 'local' else 'metaflow'}; "
            "give 'cores' a number above 0, or run them by the method local."
        )
    config = base.model_copy(
        update={
            "cores": definition.cores,
            "memory": definition.memory_mb,
            "runtime": definition.time_s,
            "hard_limit": definition.time_s,
            "parallel": definition.max_parallelism or definition.at_once,
        }
    )
    found = discovery.load_method(method)
    found.check(config)
    if method == "batch" and base.ecr_repo:
        raise StudyError(
            f"'ecr_repo' is {base.ecr_repo}, which has images of frameworks and none for trials; "
            "name an image's definition in 'job_definition_id' and unset 'ecr_repo', or use "
            "another method in 'compute'."
        )
    if base.max_cost is not None and found.rate(config) is not None:
        raise StudyError(
            f"'max_cost' is {base.max_cost:g}, and it does not hold for studies; unset it, and "
            f"limit '{definition.name}' with stop: {{cost: {base.max_cost:g}}} in its file."
        )
    if method == "local":
        check_found(definition.objective, files)
    return method, config


@contextlib.contextmanager
def taken(store: Store, name: str, begin: Callable[[], Study]) -> Iterator[Study]:
    """The study, with this process as its one driver while the block lasts.

    No one leads a study that workers share, so that those of other machines can join.

    Raises:
        StudyError: workers are at it.
        StoreError: another process drives it.
    """
    with contextlib.ExitStack() as held:
        held.enter_context(driving(store, run_name(name)))
        others = living(store, run_name(name))
        if others:
            raise StudyError(
                f"The study '{name}' has {len(others)} workers; join them with tune --resume "
                f"{name} --worker, or end them."
            )
        study = begin()
        if study.definition.max_parallelism:
            held.close()
        yield study


def drive(
    study: Study,
    config: Config,
    method: str,
    on_record: Callable[[Record], None] | None,
    *,
    detach: bool = False,
    ask: Callable[[Sequence[str]], bool] | None = None,
    on_stop: Callable[[], None] | None = None,
) -> Tuned:
    """Run the trials, by workers where the study says so."""
    if study.definition.max_parallelism:
        return tune_by_workers(study, config, on_record, on_stop)
    return tune(study, config, method, on_record, detach=detach, ask=ask, on_stop=on_stop)


def nothing_left(study: Study) -> str | None:
    """Why a driver would have nothing to run, in a sentence; None if trials are left."""
    if (study.left and not study.why_stop) or study.unfinished():
        return None
    most = max(study.definition.trials, study.asked)
    why = study.why_stop or f"it has all of its {most} trial{'s'[: most != 1]}"
    return f"Study '{study.definition.name}' has nothing left to run: {why.rstrip('.')}."


def trigger(
    definition: StudyDefinition, config: Config, arguments: Sequence[str] = ()
) -> Triggered | TriggeredFlow:
    """Let a study of the store run on without this process.

    That is a driver in a session of its own, which gets the `arguments` of `tune` as well, or the
    workers of a flow where `metaflow` of the configuration names an orchestrator.

    Raises:
        BenchmarkError: the orchestrator does not take it.
    """
    if deployment.is_deployed(config):
        return deployment.trigger_flow(definition, config)
    name = definition.name
    LOGS.mkdir(exist_ok=True)
    log = LOGS / f"{name.replace('/', '-')}.log"
    # As variables, because a command line is seen by everyone on the machine.
    settings = config.model_dump(mode="json", include=config.model_fields_set)
    variables = {
        f"{PREFIX}{key.upper()}": value if isinstance(value, str) else json.dumps(value)
        for key, value in settings.items()
        if value is not None
    }
    with place_of(log).open("ab") as sink:
        process = subprocess.Popen(
            [sys.executable, "-c", _DRIVER, "tune", "--resume", name, *arguments],
            env=os.environ | variables | {"PYTHONPATH": python_path()},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Triggered(name, log, process)
