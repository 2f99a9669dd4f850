"""The environments that frameworks run in: built by uv into a cache, once and atomically.

environment = ensure(get("random-forest"), report=print)
environment.python                              # the interpreter that starts the worker
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.config.cache import CACHE_VARIABLE, cache_folder
from benchmark.errors import SetupError
from benchmark.files.removal import clear
from benchmark.frameworks.interpreters import interpreter_for, minor_version
from benchmark.frameworks.uv import clean_variables, run_uv

if TYPE_CHECKING:
    # Not in an image while its environment is built (compute/images/context.py).
    from benchmark.frameworks.framework import Framework

READY = ".ready"
IMPORT_S = 300
# The packages' own tests are half of what could be compiled, and nothing imports them.
NOT_COMPILED = r"[/\\]tests[/\\]"

__all__ = [
    "Environment",
    "ensure",
    "environment_hash",
    "folder_name",
    "interpreter_for",
    "is_ready",
    "verify",
]


@dataclass(frozen=True)
class Environment:
    """A built environment. `version` is the framework's; `size_mb` counts hard links in full."""

    name: str
    python: Path
    hash: str
    folder: Path
    version: str | None
    build_s: float
    size_mb: float


def environment_hash(framework: Framework, minor: str | None = None) -> str:
    """sha256 (16 hex digits) over the lock, the Python minor version and the machine.

    `minor` is the Python of an image, such as "3.9"; by default that of the interpreter here.
    Nothing is built, and nothing started if the harness's own interpreter is used.

    Raises:
        SetupError: the lock cannot be read, or no interpreter satisfies the specifier.
    """
    return _hash(framework, minor or minor_version(interpreter_for(framework.python)))


def is_ready(framework: Framework, cache: Path | None = None) -> bool:
    """Whether its environment is in the cache, by default this machine's; False also if it could
    not be built."""
    try:
        name = folder_name(framework, environment_hash(framework))
    except SetupError:
        return False
    return _marker((cache or cache_folder()) / "environments" / name) is not None


def ensure(framework: Framework, report: Callable[[str], None] | None = None) -> Environment:
    """The framework's environment, built if it is not in the cache.

    Of two processes one builds and the other waits. An unfinished folder is removed and built
    again. `report` is called with a sentence on each slow step.

    Raises:
        SetupError: uv, an interpreter or a package is missing; the message has uv's error.
    """
    base = interpreter_for(framework.python)
    digest = _hash(framework, minor_version(base))
    folder = cache_folder() / "environments" / folder_name(framework, digest)
    marker = _marker(folder)
    if marker is None:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with _locked(Path(f"{folder}.lock")):
                marker = _marker(folder) or _build(framework, base, folder, report)
        except OSError as error:
            raise SetupError(
                f"The environment {folder} cannot be written: {error.strerror}; name another place "
                f"with {CACHE_VARIABLE}, or with --to if that was given."
            ) from None
    return Environment(
        name=framework.environment,
        python=folder / "bin" / "python",
        hash=digest,
        folder=folder,
        version=marker["packages"].get(canonical(framework.version_of)),
        build_s=marker["build_s"],
        size_mb=marker["size_mb"],
    )


def verify(framework: Framework, environment: Environment) -> float:
    """Import in the environment what the framework preloads; return the duration in seconds.

    Raises:
        SetupError: a module cannot be imported, or `version_of` is not installed.
    """
    if environment.version is None:
        raise SetupError(
            f"The environment of {framework.name} lacks {framework.version_of}, which its "
            f"'version_of' names; correct {framework.folder / 'framework.toml'} or "
            f"{framework.lock}."
        )
    begin = time.monotonic()
    program = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    try:
        done = subprocess.run(
            [str(environment.python), "-I", "-c", program, *framework.preload],
            cwd=environment.folder,
            env=clean_variables(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=IMPORT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SetupError(
            f"The environment of {framework.name} does not work: {error}; remove it with `setup "
            f"--remove {framework.name}` and build it again."
        ) from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise SetupError(
            f"The environment of {framework.name} was built, but {', '.join(framework.preload)} "
            f"cannot be imported in it: {lines[-1][:300]}."
        )
    return time.monotonic() - begin


def folder_name(framework: Framework, digest: str) -> str:
    """The name of the environment's folder, in a cache and in a file."""
    return f"{framework.environment}-{digest}"


def _hash(framework: Framework, minor: str) -> str:
    try:
        lock = framework.lock.read_text(encoding="utf-8")
    except OSError as error:
        raise SetupError(f"The lock {framework.lock} cannot be read: {error.strerror}.") from None
    text = "\n".join([lock, minor, platform.system(), platform.machine()])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _marker(folder: Path) -> dict[str, Any] | None:
    """A finished build; None if there is no usable one."""
    try:
        marker = json.loads((folder / READY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    whole = isinstance(marker, dict) and {"packages", "build_s", "size_mb"} <= marker.keys()
    return marker if whole and (folder / "bin" / "python").exists() else None


def _build(
    framework: Framework, base: Path, folder: Path, report: Callable[[str], None] | None
) -> dict[str, Any]:
    begin = time.monotonic()
    if report:
        report(
            f"Building the environment {framework.environment} in {folder}; this may take a "
            "minute or two."
        )
    try:
        clear(folder)
    except OSError as error:
        raise SetupError(
            f"{folder} cannot be rebuilt, because it cannot be removed: {error.strerror}."
        ) from None
    python = str(folder / "bin" / "python")
    sync = ["pip", "sync", "--require-hashes", "--no-python-downloads"]
    for place in places_beside_the_index(framework):
        sync += ["--find-links", place]
    plain = ["--no-project", "--no-python-downloads"]
    steps = [
        # Relocatable: it may be packed, or run at another path.
        ["venv", "--relocatable", *plain, "--python", str(base), str(folder)],
        [*sync, "--python", python, str(framework.lock.absolute())],
    ]
    for step in steps:
        fault = run_uv(step, folder.parent)
        if fault:
            raise SetupError(
                f"The environment of {framework.name} cannot be built from {framework.lock}: "
                f"{fault}."
            )
    _compile(folder, python)
    marker = {
        "packages": _packages(folder),
        "build_s": round(time.monotonic() - begin, 3),
        "size_mb": round(sum(_sizes(folder)) / 1e6, 1),
    }
    if report:
        report(
            f"Built the environment {framework.environment} in {marker['build_s']:.0f} s, "
            f"{marker['size_mb']:.0f} MB."
        )
    temporary = folder / (READY + ".tmp")
    temporary.write_text(json.dumps(marker), encoding="utf-8")
    temporary.replace(folder / READY)
    return marker


def _compile(folder: Path, python: str) -> None:
    """Write the bytecode of the packages; files for other versions of Python are left out."""
    for place in folder.glob("lib/python*/site-packages"):
        subprocess.run(
            [python, "-I", "-m", "compileall", "-qq", "-j", "0", "-x", NOT_COMPILED, "."],
            cwd=place,
            env=clean_variables(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )


def places_beside_the_index(framework: Framework) -> list[str]:
    """The framework's own page of wheels, or the one that the user's variables name instead.

    uv reads UV_FIND_LINKS by itself, and nothing of pip's.
    """
    if not framework.find_links or "UV_FIND_LINKS" in os.environ:
        return []
    return os.environ.get("PIP_FIND_LINKS", "").split() or [framework.find_links]


def _packages(folder: Path) -> dict[str, str]:
    places = [str(path) for path in folder.glob("lib/python*/site-packages")]
    found = metadata.distributions(path=places)
    return {canonical(package.name): package.version for package in found}


def canonical(name: str) -> str:
    """A package's canonical name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _sizes(folder: Path) -> Iterator[int]:
    for root, _, files in os.walk(folder):
        for file in files:
            yield Path(root, file).lstat().st_size


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
