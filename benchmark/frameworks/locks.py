"""Locks: requirements resolved to exact versions with hashes, by uv.

uv prefers the versions of an existing lock, so that only what must change does.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from benchmark.errors import SetupError
from benchmark.files.input_files import read_input
from benchmark.frameworks.environments import places_beside_the_index
from benchmark.frameworks.framework import Framework
from benchmark.frameworks.interpreters import interpreter_for, lowest_minor
from benchmark.frameworks.uv import run_uv

IN = "requirements.in"
LOCK = "requirements.lock"
OVERRIDES = "overrides.txt"


def requirements_of(framework: Framework) -> str:
    """The text of its requirements.in.

    Raises:
        SetupError: it cannot be read.
    """
    path = framework.environment_folder / IN
    try:
        return read_input(path)
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(
            f"{framework.name} needs {path} for this, which cannot be read: {error}."
        ) from None


def resolve(framework: Framework, requirements: str, header: str | None = None) -> str:
    """The lock of requirements for the Python versions of a framework, close to its present lock.

    Files that the requirements name (`-r`, `-c`) are looked for beside requirements.in, and
    overrides.txt there is uv's `--overrides`. A lock is universal if the present one is or
    there is none.

    Raises:
        SetupError: uv finds no compatible versions; the message has the reason.
    """
    present = framework.environment_folder / LOCK
    known = present.read_text(encoding="utf-8") if present.is_file() else None
    universal = known is None or "--universal" in known[:1000]
    with tempfile.TemporaryDirectory(prefix="automl-benchmark-lock-") as place:
        folder = Path(place)
        for file in framework.environment_folder.iterdir():
            if file.suffix in (".in", ".txt", ".lock") and file.is_file():
                shutil.copy(file, folder / file.name)
        (folder / IN).write_text(requirements, encoding="utf-8")
        arguments = ["pip", "compile", IN, "-o", LOCK, "--generate-hashes", "--no-annotate"]
        arguments += ["--no-python-downloads", "--python", str(interpreter_for(framework.python))]
        arguments += ["--python-version", lowest_minor(framework.python)]
        for wheels in places_beside_the_index(framework):
            arguments += ["--find-links", wheels]
        arguments += ["--universal"] if universal else []
        arguments += ["--overrides", OVERRIDES] if (folder / OVERRIDES).is_file() else []
        arguments += ["--custom-compile-command", header] if header else ["--no-header"]
        fault = run_uv(arguments, folder)
        if fault:
            raise SetupError(f"The requirements of {framework.name} cannot be resolved: {fault}.")
        return (folder / LOCK).read_text(encoding="utf-8")


def versions(lock: str) -> dict[str, set[str]]:
    """The versions of each package in a lock, by its canonical name; there may be several."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", lock, flags=re.MULTILINE):
        found.setdefault(canonical(name), set()).add(version)
    return found


def canonical(name: str) -> str:
    """A package's canonical name."""
    return re.sub(r"[-_.]+", "-", name).lower()
