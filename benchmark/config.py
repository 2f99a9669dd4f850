"""The keys of batch.config, checked and typed; config_layers.py reads them from where they stand.

config = Config(cores=1)
config.hard_limit                            # seconds
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    pass

PREFIX = "AUTOML_BENCHMARK_"
TYPES = ("classification", "regression")


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"is {json.dumps(value)}; write a number")
    return value


Number = Annotated[float, BeforeValidator(_no_boolean), Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, strict=True)]


def _empty_is_unset(value: Any) -> Any:
    return None if value == "" else value


Text = Annotated[str | None, BeforeValidator(_empty_is_unset)]


class FrameworkEntry(BaseModel):
    """A framework of the run; `label` is its name in the results."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    name: str
    label: str = Field(default="", alias="as")
    params: dict[str, Any] = Field(default_factory=dict)

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
    nodes: Count = 1
    cores: Count | None = None
    memory: Count | None = None
    time_s: Number = 14400
    idle_s: Number = 300


def _lines(value: Any) -> Any:
    return value.splitlines() if isinstance(value, str) else value


class SlurmOptions(BaseModel):
    """What is asked of Slurm beside cores, memory and time. Seconds and MB.

    `reserve_s` and `reserve_mb` are for the harness, beside what a task may take; `throttle` is how
    many elements of an array run at once; `cache` is where environments are on a node.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    partition: Text = None
    account: Text = None
    qos: Text = None
    gres: Text = None
    constraint: Text = None
    flags: list[str] = []
    preamble: Annotated[list[str], BeforeValidator(_lines)] = []
    python: Text = None
    cache: Text = None
    logs: Text = None
    throttle: Count | None = None
    reserve_s: Annotated[float, BeforeValidator(_no_boolean), Field(ge=0)] = 300
    reserve_mb: Annotated[int, Field(ge=0, strict=True)] = 1024
    mpi: Literal["auto", "srun", "mpirun"] = "auto"
    pilot: PilotOptions = PilotOptions()


class OwnMetric(BaseModel):
    """A metric of the user's own: `function` is `file.py:name` or `package.module:name`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    function: str
    direction: Literal["maximize", "minimize"]
    needs_probabilities: bool = False


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
    cores: Count = 2
    memory: Annotated[int, Field(ge=16, strict=True)] = 3500
    runtime: Number = 10800
    hard_limit: Number = 12600

    s3_bucket_root: Text = None
    s3_folder: Text = None
    openml_api_key: Text = Field(default=None, repr=False)
    repo_ssh_key: Text = Field(default=None, repr=False)
    ec2_ssh_key: Text = Field(default=None, repr=False)
    job_queue_id: Text = None
    job_definition_id: Text = None
    job_name: Text = None
    ecr_repo: Text = None
    cluster_image: Text = None
    ec2_template: Text = None
    cluster_size: Count = 100
    cluster_type: str = "c4.xlarge"

    run: str = "default"
    frameworks: list[FrameworkEntry] | None = None
    frameworks_path: list[str] = []
    datasets: list[str] = []
    seeds: Annotated[int | list[int], BeforeValidator(_seeds)] = 10
    split: Literal["holdout", "cv", "openml"] = "holdout"
    metric: dict[
        Literal["binary", "multiclass", "regression"],
        Annotated[str | OwnMetric, BeforeValidator(_metric)],
    ] = {}
    compute: dict[str, str] | None = None
    parallel: Count | None = None
    max_attempts: Count = 3
    max_cost: Number | None = None
    instance_types: list[str] = []
    on_demand: bool = False
    slurm: SlurmOptions = SlurmOptions()

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
