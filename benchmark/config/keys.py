"""Every key of batch.config: its type, default, meaning and validation.

The texts below the keys are the reference of the configuration; docs/generate reads them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator

from benchmark.config.method_options import (
    AwsOptions,
    KubernetesOptions,
    MetaflowOptions,
    RayOptions,
    SlurmOptions,
)
from benchmark.config.value_types import LARGEST, Count, Number, Switch, Text, Word, finite

TYPES = ("classification", "regression")


def _label(text: str) -> str:
    if text and not (len(text) <= 100 and text[0].isalnum() and text.isprintable()):
        raise ValueError(
            "is not a name for results; write at most 100 printable characters that start with a "
            'letter or a digit, such as "small-forest"'
        )
    return text


def _framework(text: str) -> str:
    if not re.fullmatch(
        r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(@[A-Za-z0-9][A-Za-z0-9._+!-]{0,99})?", text
    ):
        raise ValueError(
            "is not a framework's name; write letters, digits, '.', '_' and '-', and a version "
            'after an \'@\', such as "flaml" or "flaml@2.3.0"'
        )
    return text


class FrameworkEntry(BaseModel, extra="forbid", frozen=True, populate_by_name=True):
    """A framework of the run; `label` is its name in the results."""

    name: Annotated[str, AfterValidator(_framework)]
    """A framework, or `NAME@VERSION`."""
    label: Annotated[str, AfterValidator(_label)] = Field(default="", alias="as")
    """Its name in the results; unset: `name`."""
    params: Annotated[dict[str, Any], AfterValidator(finite)] = Field(default_factory=dict)
    """The adapter's `problem.params`."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        if not isinstance(value, str | dict):
            raise ValueError(f'is {json.dumps(value)[:80]}; write a name, or {{"name": …}}')
        return {"name": value} if isinstance(value, str) else value

    @property
    def as_name(self) -> str:
        """The name in the results: `as` if given, else the framework's own."""
        return self.label or self.name


class OwnMetric(BaseModel, extra="forbid", frozen=True):
    """A metric of the user's own: `function` is `file.py:name` or `package.module:name`."""

    name: str
    """Its name in the results."""
    function: str
    """`path/to/file.py:name` or `package.module:name`."""
    direction: Literal["maximize", "minimize"]
    """Which scores are better."""
    needs_probabilities: bool = False
    """A framework that gives no probabilities fails."""


def _metric(value: Any) -> Any:
    """A built-in metric's name, or an own one; each error is one sentence."""
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
                    f'knows no suite {json.dumps(study)[:80]}; write "starter" or "embedded", an '
                    'OpenML suite with its type such as [271, "classification"], or one OpenML '
                    'task or data set such as "task-59" or "openml-61"'
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


class Config(BaseModel, extra="forbid", frozen=True):
    """Every key of batch.config. Times are in seconds, memory in MB, cost in USD."""

    studies: Annotated[list[Any], BeforeValidator(_studies)] = [
        [130, "regression"],
        [135, "classification"],
    ]
    """What data: OpenML studies `[id or alias, type]`, single ones `"task-59"` and `"openml-61"`,
    and the suites that ship with the program, `"starter"` and `"embedded"`."""
    cores: Count = 2
    """Cores of a task, which is bound to them."""
    memory: Annotated[int, Field(ge=16, le=LARGEST, strict=True)] = 3500
    """MB (of 2^20 bytes) of a task's whole process tree."""
    runtime: Number = 10800
    """Seconds: the budget that the framework is given."""
    hard_limit: Number = 12600
    """Seconds after which the task's processes are killed. At least `runtime`."""

    s3_bucket_root: Text = None
    """The store: a folder if it has a slash, else an S3 bucket; unset: `./runs`."""
    s3_folder: Text = None
    """A folder in the store; no leading, one trailing slash."""
    openml_api_key: Text = Field(default=None, repr=False)
    """Only needed for data sets that are not public."""
    repo_ssh_key: Text = Field(default=None, repr=False)
    """Accepted but not used: no key leaves your machine."""
    ec2_ssh_key: Text = Field(default=None, repr=False)
    """Accepted but not used: no key leaves your machine."""
    job_queue_id: Text = None
    """batch: the queue of AWS Batch."""
    job_definition_id: Text = None
    """batch: the template from which one definition per framework is derived."""
    job_name: Text = None
    """The prefix of names of jobs and of AWS resources."""
    ecr_repo: Text = None
    """batch: the repository of the images."""
    cluster_image: Text = None
    """baremetal: the AMI; unset: the latest Amazon Linux 2023."""
    ec2_template: Text = None
    """baremetal: the launch template."""
    cluster_size: Count = 100
    """baremetal: the maximum number of machines. batch: of tasks at once."""
    cluster_type: Word = "c4.xlarge"
    """baremetal: the instance type if `instance_types` is empty."""

    run: str = "default"
    """The run's name."""
    frameworks: list[FrameworkEntry] | None = None
    """Names, `NAME@VERSION`, or `{"name": …, "as": …, "params": {…}}`; unset: all of tier 1."""
    frameworks_path: list[Word] = []
    """Folders with frameworks of your own."""
    datasets: list[Word] = []
    """YAML files that declare data of your own; if given without `studies`, they are the only
    data."""
    seeds: Annotated[int | list[int], BeforeValidator(_seeds)] = 10
    """The number of classic seeds, or a list of seeds."""
    split: Literal["holdout", "cv", "openml"] = "holdout"
    """`holdout` is 70 % train by seed, `cv` ten folds, `openml` the folds of the task itself."""
    metric: dict[
        Literal["binary", "multiclass", "regression"],
        Annotated[str | OwnMetric, BeforeValidator(_metric)],
    ] = {}
    """The metric that ranks, by kind of problem; unset: `auc`, `log_loss` and `rmse`. Others are
    `f1_weighted`, `balanced_accuracy`, `accuracy`, `mse`, `mae`, `r2`, or one of your own."""
    compute: dict[Word, Word] | None = None
    """Which method runs which framework, such as `{"*": "local", "h2o": "batch"}`; unset: local,
    or with a key of AWS what the methods are marked for."""
    parallel: Count | None = None
    """Tasks that run at the same time; unset: as many as the cores allow."""
    max_attempts: Count = 3
    """Attempts of a task that ended `interrupted` or `infrastructure`, per command."""
    max_cost: Number | None = None
    """USD; no task is started that could exceed it."""
    instance_types: list[Word] = []
    """baremetal: the instance types that EC2 may choose from, of one architecture."""
    on_demand: Switch = False
    """batch: use on-demand machines. baremetal: use them if no spot capacity is available."""
    slurm: SlurmOptions = SlurmOptions()
    """What is asked of Slurm beside cores, memory and time."""
    metaflow: MetaflowOptions = MetaflowOptions()
    """Options for Metaflow besides its own configuration."""
    kubernetes: KubernetesOptions = KubernetesOptions()
    """What is asked of Kubernetes in addition to cores, memory and time."""
    ray: RayOptions = RayOptions()
    """What is asked of Ray in addition to cores and memory."""
    aws: AwsOptions = AwsOptions()
    """What machines on AWS have besides their type."""

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
                "'-' and starts with a letter or digit; '/' separates its parts, as in \"a/b\""
            )
        if self.run.split("/")[0] in ("datasets", "code"):
            raise ValueError(f"'run' is \"{self.run}\", which is reserved; choose another")
        labels = [entry.as_name for entry in self.frameworks or []]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ValueError(
                f'\'frameworks\' names "{twice[0]}" twice; give one of them another name with "as"'
            )
        return self

    @property
    def store_url(self) -> str:
        """The store of results: s3://bucket/folder/, or the folder ./runs."""
        root = self.s3_bucket_root or "./runs"
        if "/" not in root and root not in (".", ".."):
            root = f"s3://{root}"
        return root.rstrip("/") + "/" + (self.s3_folder or "")


def model_at(path: Sequence[str]) -> type[BaseModel]:
    """The model of the values at a key and the keys within it; the innermost one that has one."""
    model: type[BaseModel] = Config
    for name in path:
        field = model.model_fields.get(name)
        model = next(_models(field.annotation), model) if field else model
    return model


def _models(kind: Any) -> Iterator[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for part in get_args(kind):
        yield from _models(part)
