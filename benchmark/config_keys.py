"""Every key of batch.config: its type, its default, what it means, what it refuses.

The texts below the keys are the reference of the configuration; docs/generate reads them.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

TYPES = ("classification", "regression")


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"is {json.dumps(value)}; write a number")
    return value


Number = Annotated[float, Field(gt=0, allow_inf_nan=False), BeforeValidator(_no_boolean)]
Count = Annotated[int, Field(ge=1, strict=True)]


def _empty_is_unset(value: Any) -> Any:
    return None if value == "" else value


Text = Annotated[str | None, BeforeValidator(_empty_is_unset)]


class FrameworkEntry(BaseModel):
    """A framework of the run; `label` is its name in the results."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    name: str
    """A framework, or `NAME@VERSION`."""
    label: str = Field(default="", alias="as")
    """Its name in the results; unset: `name`."""
    params: dict[str, Any] = Field(default_factory=dict)
    """What its adapter is given as `problem.params`."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def as_name(self) -> str:
        """The name in the results: `as` where it is given, else the framework's own."""
        return self.label or self.name


class PilotOptions(BaseModel):
    """An allocation in which workers pull tasks: `jobs` of them at once, each of `nodes` nodes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    jobs: Count = 1
    """Allocations at once."""
    nodes: Count = 1
    """Nodes of each."""
    cores: Count | None = None
    """Cores taken of every node; unset: those of a task."""
    memory: Count | None = None
    """MB taken of every node; unset: those of the tasks that fit, with `reserve_mb` for each."""
    time_s: Number = 14400
    """Seconds that an allocation lasts."""
    idle_s: Number = 300
    """Seconds without anything to do after which an allocation ends."""


def _lines(value: Any) -> Any:
    return value.splitlines() if isinstance(value, str) else value


class SlurmOptions(BaseModel):
    """What is asked of Slurm beside cores, memory and time. Seconds and MB."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    partition: Text = None
    """As `sbatch` has it."""
    account: Text = None
    """As `sbatch` has it."""
    qos: Text = None
    """As `sbatch` has it."""
    gres: Text = None
    """As `sbatch` has it."""
    constraint: Text = None
    """As `sbatch` has it."""
    flags: list[str] = []
    """More options of `sbatch`, such as `["--exclude=n9"]`; they win."""
    preamble: Annotated[list[str], BeforeValidator(_lines)] = []
    """Lines of the job's script before the program: `module load …`, proxies."""
    python: Text = None
    """The interpreter on the nodes; unset: this one."""
    cache: Text = None
    """Where environments are on a node, `$TMPDIR/…` on its own disk; a `.tar` or `.tar.gz` of
    `setup --to` is unpacked once a node, below its TMPDIR; unset: as here."""
    image: Text = None
    """An Apptainer image of `setup --apptainer` in which tasks run; for the method `slurm`."""
    logs: Text = None
    """Folder of a file a job: what is said before a task's own log; unset: beside the results."""
    throttle: Count | None = None
    """How many elements of an array run at once; unset: `parallel`."""
    reserve_s: Annotated[float, Field(ge=0), BeforeValidator(_no_boolean)] = 300
    """Seconds asked for beside `hard_limit`, for the harness."""
    reserve_mb: Annotated[int, Field(ge=0, strict=True)] = 1024
    """MB asked for beside `memory`, for the harness."""
    mpi: Literal["auto", "srun", "mpirun"] = "auto"
    """What starts MPI programs."""
    pilot: PilotOptions = PilotOptions()
    """The allocations in which workers pull tasks."""


class MetaflowOptions(BaseModel):
    """What is asked of Metaflow beside its own configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    namespace: Text = None
    """The namespace in which runs are found; they are tagged with it. Unset: Metaflow's own."""
    orchestrator: Literal["argo_workflows", "step_functions"] | None = None
    """Where `tune -m 3` starts a study's workers; unset: a driver on this machine."""
    deploy: bool = True
    """Deploy the flow of such a study first, if it is not deployed."""


class OwnMetric(BaseModel):
    """A metric of the user's own: `function` is `file.py:name` or `package.module:name`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """Its name in the results."""
    function: str
    """`path/to/file.py:name` or `package.module:name`."""
    direction: Literal["maximize", "minimize"]
    """Which scores are better."""
    needs_probabilities: bool = False
    """A framework that gives no probabilities fails."""


def _metric(value: Any) -> Any:
    """A built-in metric's name, or an own one; each fault is one sentence."""
    if isinstance(value, (str, OwnMetric)):
        return value
    form = (
        '{"name": "cost", "function": "costs.py:cost", "direction": "minimize", '
        '"needs_probabilities": false}'
    )
    if not isinstance(value, dict):
        raise ValueError(
            f"holds {json.dumps(value)}; write a metric's name, or one of your own as {form}"
        )
    for key in value:
        if key not in OwnMetric.model_fields:
            raise ValueError(f'holds a metric with the unknown key "{key}"; write it as {form}')
    for key in ("name", "function", "direction"):
        if not isinstance(value.get(key), str) or not value[key]:
            raise ValueError(f'holds a metric without "{key}"; write it as {form}')
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,63}", value["name"]):
        raise ValueError(
            f'holds a metric with the name "{value["name"]}"; a name has letters, digits and "_" '
            "and starts with a letter"
        )
    place, _, function = value["function"].rpartition(":")
    if not place or not function.isidentifier():
        raise ValueError(
            f'holds a metric with the function "{value["function"]}"; write it as '
            '"path/to/file.py:name" or "package.module:name"'
        )
    if value["direction"] not in ("maximize", "minimize"):
        raise ValueError(
            f'holds a metric with the direction "{value["direction"]}"; write "maximize" or '
            '"minimize"'
        )
    if not isinstance(value.get("needs_probabilities", False), bool):
        raise ValueError(
            f'holds a metric with "needs_probabilities" {json.dumps(value["needs_probabilities"])};'
            " write true or false"
        )
    return OwnMetric(**value)


_STUDY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_ONE_OF_OPENML = re.compile(r"(task|openml)-[1-9][0-9]{0,8}")


def _studies(value: Any) -> Any:
    """A study is [id, type], an embedded suite, or one OpenML task or data set by its name."""
    if not isinstance(value, list):
        raise ValueError('must be a list such as [[130, "regression"]] or ["starter"]')
    for study in value:
        if isinstance(study, str):
            if study not in ("starter", "embedded") and not _ONE_OF_OPENML.fullmatch(study):
                raise ValueError(
                    f'knows no suite "{study}"; write "starter" or "embedded", or one OpenML task '
                    'or data set such as "task-59" or "openml-61"'
                )
        elif not (
            isinstance(study, list)
            and len(study) == 2
            and isinstance(study[0], (int, str))
            and not isinstance(study[0], bool)
            and _STUDY.fullmatch(str(study[0]))
            and study[1] in TYPES
        ):
            raise ValueError(
                f"holds {json.dumps(study)}; a study is an OpenML id (or alias) with its type, "
                'such as [130, "regression"], or "starter" or "embedded"'
            )
    return value


def _seeds(value: Any) -> Any:
    if isinstance(value, list):
        if not value or not all(type(v) is int and 0 <= v < 2**32 for v in value):
            raise ValueError(
                f"is {json.dumps(value)}; write a number of seeds, or a list of whole numbers "
                "from 0 to 2^32-1"
            )
        if len(set(value)) != len(value):
            raise ValueError("names a seed twice; name each once")
    elif type(value) is not int or not 1 <= value <= 1000:
        raise ValueError("must be a number of seeds from 1 to 1000, or a list of seeds")
    return value


class Config(BaseModel):
    """Every key of batch.config. Times are in seconds, memory in MB, cost in USD."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    studies: Annotated[list[Any], BeforeValidator(_studies)] = [
        [130, "regression"],
        [135, "classification"],
    ]
    """What data: OpenML studies `[id or alias, type]`, single ones `"task-59"` and `"openml-61"`,
    and the suites that ship with the program, `"starter"` and `"embedded"`."""
    cores: Count = 2
    """Cores of a task; it is bound to them."""
    memory: Annotated[int, Field(ge=16, strict=True)] = 3500
    """MB of a task's whole process tree."""
    runtime: Number = 10800
    """Seconds: the budget that the framework is told."""
    hard_limit: Number = 12600
    """Seconds; then the task's processes are killed. At least `runtime`."""

    s3_bucket_root: Text = None
    """The store: a folder if it has a slash, else an S3 bucket; unset it is `./runs`."""
    s3_folder: Text = None
    """A folder in the store; no leading, one trailing slash."""
    openml_api_key: Text = Field(default=None, repr=False)
    """Only needed for data sets that are not public."""
    repo_ssh_key: Text = Field(default=None, repr=False)
    """Accepted and not used: no key leaves your machine."""
    ec2_ssh_key: Text = Field(default=None, repr=False)
    """Accepted and not used: no key leaves your machine."""
    job_queue_id: Text = None
    """batch: the queue of AWS Batch."""
    job_definition_id: Text = None
    """batch: the template from which one definition per framework is derived."""
    job_name: Text = None
    """What names of jobs, and of what is made on AWS, begin with."""
    ecr_repo: Text = None
    """batch: the repository of the images."""
    cluster_image: Text = None
    """baremetal: the AMI; unset it is the latest Amazon Linux 2023."""
    ec2_template: Text = None
    """baremetal: the launch template."""
    cluster_size: Count = 100
    """baremetal: machines at most. batch: as many tasks at once."""
    cluster_type: str = "c4.xlarge"
    """baremetal: the instance type where `instance_types` is empty."""

    run: str = "default"
    """The run's name."""
    frameworks: list[FrameworkEntry] | None = None
    """Names, `NAME@VERSION`, or `{"name": …, "as": …, "params": {…}}`; unset: all of tier 1."""
    frameworks_path: list[str] = []
    """Folders with frameworks of your own."""
    datasets: list[str] = []
    """YAML files that declare data of your own; where they are given and `studies` is not, they
    are all."""
    seeds: Annotated[int | list[int], BeforeValidator(_seeds)] = 10
    """How many of the classic seeds, or a list of seeds."""
    split: Literal["holdout", "cv", "openml"] = "holdout"
    """`holdout` is 70 % train by seed, `cv` ten folds, `openml` the folds of the task itself."""
    metric: dict[
        Literal["binary", "multiclass", "regression"],
        Annotated[str | OwnMetric, BeforeValidator(_metric)],
    ] = {}
    """The metric that ranks, by kind of problem; unset `auc`, `log_loss` and `rmse`. Others are
    `f1_weighted`, `balanced_accuracy`, `accuracy`, `mse`, `mae`, `r2`, or one of your own."""
    compute: dict[str, str] | None = None
    """Which method runs which framework, such as `{"*": "local", "h2o": "batch"}`; unset: local,
    or with a key of AWS what the methods are marked for."""
    parallel: Count | None = None
    """Tasks side by side; unset: as many as the cores allow."""
    max_attempts: Count = 3
    """Attempts of a task that ended `interrupted` or `infrastructure`, per command."""
    max_cost: Number | None = None
    """USD; no task is started that could lead beyond it."""
    instance_types: list[str] = []
    """baremetal: what EC2 may choose from, of one architecture."""
    on_demand: bool = False
    """batch: machines on demand. baremetal: where no spot capacity is to be had."""
    slurm: SlurmOptions = SlurmOptions()
    """What is asked of Slurm beside cores, memory and time."""
    metaflow: MetaflowOptions = MetaflowOptions()
    """What is asked of Metaflow beside its own configuration."""

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        if self.hard_limit < self.runtime:
            raise ValueError(
                f"'hard_limit' is {self.hard_limit:g} s and 'runtime' {self.runtime:g} s; the hard "
                "limit kills the task, so set it to at least the runtime"
            )
        folder = self.s3_folder
        if folder and {".", ".."} & set(folder.split("/")):
            raise ValueError(f"'s3_folder' is {json.dumps(folder)}; leave '.' and '..' out of it")
        if folder and (folder.startswith("/") or not folder.endswith("/") or "//" in folder):
            raise ValueError(
                f"'s3_folder' is {json.dumps(folder)}; it takes no leading and one trailing "
                f'slash: "{re.sub("/+", "/", folder).strip("/")}/"'
            )
        if not re.fullmatch(
            r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}(/[A-Za-z0-9][A-Za-z0-9._-]{0,63})*", self.run
        ):
            raise ValueError(
                f"'run' is {json.dumps(self.run)}; a run's name has letters, digits, '.', '_' and "
                "'-' and starts with a letter or digit; '/' parts names, as in \"a/b\""
            )
        if self.run.split("/")[0] in ("datasets", "code"):
            raise ValueError(
                f"'run' is \"{self.run}\", which the store keeps for itself; choose another"
            )
        labels = [entry.as_name for entry in self.frameworks or []]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ValueError(
                f'\'frameworks\' names "{twice[0]}" twice; give one of them another name with "as"'
            )
        return self

    @property
    def store_url(self) -> str:
        """Where results go: s3://bucket/folder/, or the folder ./runs."""
        root = self.s3_bucket_root or "./runs"
        if "/" not in root and root not in (".", ".."):
            root = f"s3://{root}"
        return root.rstrip("/") + "/" + (self.s3_folder or "")
