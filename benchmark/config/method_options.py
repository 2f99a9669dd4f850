"""The options of methods: what each asks of its engine besides cores, memory and time."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

from benchmark.config.value_types import LARGEST, Count, Number, Switch, Text, Word, a_number


class PilotOptions(BaseModel, extra="forbid", frozen=True):
    """Allocations in which workers pull tasks: `jobs` at once, each of `nodes` nodes."""

    jobs: Count = 1
    """Allocations at once."""
    nodes: Count = 1
    """Nodes of each."""
    cores: Count | None = None
    """Cores on every node; unset: those of a task."""
    memory: Count | None = None
    """MB on every node; unset: those of the tasks that fit, with `reserve_mb` for each."""
    time_s: Number = 14400
    """The duration of an allocation in seconds."""
    idle_s: Number = 300
    """Seconds without work after which an allocation ends."""


def _lines(value: Any) -> Any:
    return value.splitlines() if isinstance(value, str) else value


class SlurmOptions(BaseModel, extra="forbid", frozen=True):
    """Options for Slurm besides cores, memory and time. Seconds and MB."""

    partition: Text = None
    """As in `sbatch`."""
    account: Text = None
    """As in `sbatch`."""
    qos: Text = None
    """As in `sbatch`."""
    gres: Text = None
    """As in `sbatch`."""
    constraint: Text = None
    """As in `sbatch`."""
    flags: list[Word] = []
    """More options of `sbatch`, such as `["--exclude=n9"]`; they take precedence."""
    preamble: Annotated[list[str], BeforeValidator(_lines)] = []
    """Lines of the job's script before the program: `module load …`, proxies."""
    python: Text = None
    """The interpreter on the nodes; unset: this one."""
    cache: Text = None
    """The folder of environments on a node, `$TMPDIR/…` for its own disk, `~` for your home here; a
    `.tar` or `.tar.gz` of `setup --to` is unpacked once per node, below its TMPDIR; unset: as here.
    """
    image: Text = None
    """An Apptainer image of `setup --apptainer` in which tasks run; for the method `slurm`."""
    logs: Text = None
    """Folder for one file per job: output before a task's own log; unset: beside the results."""
    throttle: Count | None = None
    """Array elements that run at once; unset: `parallel`."""
    reserve_s: Annotated[float, Field(ge=0, le=LARGEST), BeforeValidator(a_number)] = 300
    """Seconds requested in addition to `hard_limit`, for the harness."""
    reserve_mb: Annotated[int, Field(ge=0, le=LARGEST, strict=True)] = 1024
    """MB requested in addition to `memory`, for the harness."""
    mpi: Literal["auto", "srun", "mpirun"] = "auto"
    """The launcher of MPI programs."""
    pilot: PilotOptions = PilotOptions()
    """The allocations in which workers pull tasks."""


class MetaflowOptions(BaseModel, extra="forbid", frozen=True):
    """Options for Metaflow besides its own configuration."""

    namespace: Text = None
    """The namespace of the runs, which are tagged with it. Unset: Metaflow's own."""
    orchestrator: Literal["argo_workflows", "step_functions"] | None = None
    """Where `tune -m 3` starts a study's workers; unset: a driver on this machine."""
    deploy: Switch = True
    """Deploy the flow of such a study first, if it is not deployed."""


class KubernetesOptions(BaseModel, extra="forbid", frozen=True):
    """What is asked of Kubernetes in addition to cores, memory and time. Seconds and MB."""

    image: Text = None
    """The image of the pods: complete (`NAME:TAG`, `NAME@sha256:…`), or a repository that
    `init-compute --push` has filled, from which each framework takes its own tag."""
    namespace: str = Field(default="default", pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
    """The namespace of the jobs."""
    context: Text = None
    """The context of the kubeconfig; unset: its current one. Not used inside a pod."""
    service_account: Text = None
    """The service account of the pods, such as one with a cloud role for the bucket."""
    secret: Text = None
    """A Secret of the namespace whose keys become environment variables, such as
    AWS_ACCESS_KEY_ID."""
    pull_secret: Text = None
    """A Secret of the namespace with the password of the image's registry."""
    claim: Text = None
    """A PersistentVolumeClaim that is mounted at the results folder; unset: results in S3."""
    node_selector: dict[str, str] = {}
    """Labels of the nodes that may run tasks."""
    tolerations: list[dict[str, str | int]] = []
    """Taints that are tolerated, as in a pod: `{"key": "…", "operator": "Exists"}`."""
    priority_class: Text = None
    """The PriorityClass of the pods."""
    throttle: Count | None = None
    """Pods of a job at once; unset: `parallel`, or 500."""
    reserve_s: Annotated[float, Field(ge=0, le=LARGEST), BeforeValidator(a_number)] = 600
    """Seconds that a pod may last beyond `hard_limit`: to pull the image, and for the harness."""
    reserve_mb: Annotated[int, Field(ge=0, strict=True)] = 1024
    """MB requested in addition to `memory`, for the harness."""
    ttl_s: Annotated[int, Field(ge=0, strict=True)] = 86400
    """Seconds after which Kubernetes removes a finished job whose driver never came back."""


class RayOptions(BaseModel, extra="forbid", frozen=True):
    """What is asked of Ray in addition to cores and memory."""

    address: Text = None
    """The cluster, `HOST:PORT` or `auto`; unset: the variable RAY_ADDRESS."""
    python: Text = None
    """The interpreter on the nodes; unset: that of Ray's own workers."""
    code: Text = None
    """The folder of this program on the nodes; unset: as here."""
    resources: dict[str, Number] = {}
    """Custom resources that each task takes."""
    reserve_mb: Annotated[int, Field(ge=0, strict=True)] = 1024
    """MB requested in addition to `memory`, for the harness."""


class AwsOptions(BaseModel, extra="forbid", frozen=True):
    """What machines on AWS have besides their type. `init-compute --create` uses it."""

    subnets: list[Annotated[str, Field(pattern=r"^subnet-[0-9a-f]+$")]] = []
    """Subnets of the machines, all in one VPC; unset: those of the default VPC that are the default
    of their zone."""
    security_groups: list[Annotated[str, Field(pattern=r"^sg-[0-9a-f]+$")]] = []
    """Security groups of the machines; unset: one is created that lets nothing in."""
    stuck: Literal["wait", "stop"] = "wait"
    """What becomes of a run whose jobs AWS Batch does not start for want of capacity, or for a
    reason that it does not know: it waits, or it ends. Jobs that can never start end it anyway."""
    on_demand_queue: Text = None
    """The job queue of AWS Batch to which jobs move that wait for spot capacity."""
    shared_memory_mb: Count | None = None
    """MB of /dev/shm in a container of AWS Batch, a part of its memory; unset: half of `memory`."""
    batch_image: Annotated[str | None, Field(pattern=r"^ami-[0-9a-f]+$")] = None
    """The AMI of Batch's machines, with the ECS agent; unset: AWS's own. `cluster_image` is that of
    fleets."""
    disk_gb: Annotated[int, Field(ge=8, le=16384, strict=True)] = 30
    """The size of a machine's root disk (gp3), on which environments, images and temporary files
    are."""
