"""What can be refused before anything is submitted, one sentence each."""

from __future__ import annotations

import logging
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmark.compute import methods
from benchmark.compute.faults import PassingError, patiently
from benchmark.compute.slurm.commands import call
from benchmark.config.loading import Config
from benchmark.errors import ConfigError, as_config_errors

PATIENCE_S = 60.0
_log = logging.getLogger("benchmark.compute")


@dataclass(frozen=True)
class Partition:
    """A partition: `time_s` is None where it has no limit; the largest node's cores and MB."""

    name: str
    is_default: bool
    is_up: bool
    time_s: float | None
    cores: int
    memory_mb: int
    nodes: int


def check(config: Config, cores: int, memory_mb: int, time_s: float | None = None) -> None:
    """Refuse what the cluster would never start; nothing is submitted.

    Raises:
        ConfigError: with what is wrong, in one sentence.
    """
    options = config.slurm
    if shutil.which("sbatch") is None:
        raise ConfigError(
            "'compute' names Slurm and sbatch is not on PATH; run this on a machine of the "
            "cluster, such as its login node."
        )
    check_slurm_conf()
    methods.check_store_is_shared(config)
    with as_config_errors():
        found = _partitions_soon()
    names = (options.partition or "").split(",")
    chosen = [one for one in found if one.name in names or (names == [""] and one.is_default)]
    if options.partition and len({one.name for one in chosen}) < len(set(names)):
        there = ", ".join(dict.fromkeys(one.name for one in found)) or "none"
        raise ConfigError(
            f"'slurm' has the partition '{options.partition}', and the cluster has {there}."
        )
    wanted_s = time_s or config.hard_limit + options.reserve_s
    if chosen:
        _check_fits(chosen, cores, memory_mb, wanted_s)


def check_slurm_conf() -> None:
    """Refuse a SLURM_CONF that is not there: each command of Slurm would wait a minute for it."""
    file = os.environ.get("SLURM_CONF")
    if file and not Path(file).is_file():
        raise ConfigError(
            f"SLURM_CONF is {file}, and there is no such file; correct it, or unset it to use "
            "Slurm's own."
        )


def _check_fits(chosen: list[Partition], cores: int, memory_mb: int, wanted_s: float) -> None:
    name = "/".join(dict.fromkeys(one.name for one in chosen))
    if not any(one.is_up for one in chosen):
        raise ConfigError(f"The partition {name} is down; name another in 'slurm'.")
    limits = [one.time_s for one in chosen if one.time_s is not None]
    if len(limits) == len(chosen) and max(limits) < wanted_s:
        raise ConfigError(
            f"The partition {name} allows {max(limits):g} s and a job would ask for {wanted_s:g} "
            "s (its limit and 'reserve_s' of 'slurm'); lower the limit, or name another partition."
        )
    if max(one.cores for one in chosen) < cores:
        most = max(one.cores for one in chosen)
        raise ConfigError(
            f"A job would ask for {cores} cores, and the nodes of the partition {name} have "
            f"{most} at most; set it lower, or name another partition."
        )
    if max(one.memory_mb for one in chosen) < memory_mb:
        most = max(one.memory_mb for one in chosen)
        raise ConfigError(
            f"A job would ask for {memory_mb} MiB ('reserve_mb' of 'slurm' included), and the "
            f"nodes of the partition {name} have {most} at most; set it lower, or name another "
            "partition."
        )


def _partitions_soon() -> list[Partition]:
    """The partitions; a controller that restarts is waited for."""
    try:
        return partitions()
    except PassingError as fault:
        _log.warning("%s Trying again for %g s.", fault, PATIENCE_S)
    return patiently(partitions, PATIENCE_S)


def partitions() -> list[Partition]:
    """The partitions by kind of node."""
    found = []
    for line in call("sinfo", "-h", "-o", "%P|%a|%l|%c|%m|%D").splitlines():
        name, state, limit, cores, memory, nodes = line.split("|")
        found.append(
            Partition(
                name=name.rstrip("*"),
                is_default=name.endswith("*"),
                is_up=state == "up",
                time_s=seconds(limit),
                cores=_number(cores),
                memory_mb=_number(memory),
                nodes=_number(nodes),
            )
        )
    return found


def seconds(limit: str) -> float | None:
    """A limit such as 1:00, 30:00, 2:00:00 or 7-00:00:00; None where there is none."""
    days, dash, clock = limit.rpartition("-")
    parts = clock.split(":")
    if not all(part.isdigit() for part in (*parts, days or "0")):
        return None
    if dash:  # days-hours[:minutes[:seconds]]
        parts = [*parts, "0", "0"][:3]
    total = 0
    for part in parts:
        total = 60 * total + int(part)
    return float(int(days or 0) * 86400 + total)


def _number(text: str) -> int:
    found = re.match(r"\d+", text)
    return int(found[0]) if found else 0
