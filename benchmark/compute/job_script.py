"""The script of an array's job, and where what it prints goes."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmark.config.cache import CACHE_VARIABLE
from benchmark.config.extras import ROOT
from benchmark.config.method_options import SlurmOptions
from benchmark.files.input_files import expanded
from benchmark.frameworks.packing import is_packed
from benchmark.records.tasks import Run


def log_path(run: Run, options: SlurmOptions, name: str) -> Path:
    """One file for all elements of a job: what they say before and beside their task's own log."""
    if options.logs:
        return expanded(options.logs).absolute() / f"{name}.log"
    if "://" in run.store.url:
        return Path(f"slurm-{name}.log").absolute()
    return Path(run.store.url) / run.name / "jobs" / f"{name}.log"


def log_note(log: Path) -> str:
    """Where what a job printed can be read, a sentence."""
    if log.parent.is_dir():
        return f" Log: {log}."
    return f" The folder of its log, {log.parent}, is gone, without which no job starts."


def home_expanded(path: str) -> str:
    """A path with `~` for this user's home, which a quoted word in a script would not be; a node's
    own variables, such as $TMPDIR, stay."""
    return os.path.expanduser(path)  # noqa: PTH111  Path raises for the home of an unknown user


def script(options: SlurmOptions, words: Sequence[str]) -> str:
    """The job's script: the preamble, and then the harness in place of the shell."""
    python = home_expanded(options.python or sys.executable)
    if options.image:
        return _in_image(options, words, options.image)
    # Not quoted: a node's own variables, such as $TMPDIR, may stand in it.
    cache = f'"{home_expanded(options.cache or "")}"'
    lines = ["#!/bin/bash", *options.preamble]
    lines.append(f'export PYTHONPATH={shlex.quote(str(ROOT))}"${{PYTHONPATH:+:$PYTHONPATH}}"')
    if options.cache and is_packed(options.cache):
        unpack = f"{shlex.join([python, '-m', 'benchmark.frameworks.packing'])} {cache}"
        lines += [f"{CACHE_VARIABLE}=$({unpack}) || exit 2", f"export {CACHE_VARIABLE}"]
    elif options.cache:
        lines.append(f"export {CACHE_VARIABLE}={cache}")
    lines.append(f"exec {shlex.join([python, *words])}")
    return "\n".join(lines) + "\n"


def _in_image(options: SlurmOptions, words: Sequence[str], image: str) -> str:
    """The script where program and environments are in an Apptainer image: `words` name the store,
    which the image must see."""
    store = words[2]
    bound = [] if "://" in store else ["--bind", store]
    run = ["apptainer", "exec", *bound, home_expanded(image), "python", *words]
    lines = ["#!/bin/bash", *options.preamble, "unset PYTHONPATH", f"exec {shlex.join(run)}"]
    return "\n".join(lines) + "\n"
