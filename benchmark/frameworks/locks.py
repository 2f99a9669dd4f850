"""Locks: requirements resolved to exact versions with hashes, by uv.

uv prefers the versions of an existing lock, so that only what must change does.

A run may have several versions of one framework, "h2o@3.44.0.3" and "h2o" (`pinned`). Their
requirements are resolved once; the lock goes into the run's manifest, from which a resume and every
other machine build the same environment.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from benchmark.config.cache import cache_folder
from benchmark.errors import BenchmarkError, SetupError
from benchmark.files.input_files import read_input
from benchmark.files.output_files import staged
from benchmark.frameworks.environments import canonical, places_beside_the_index
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


def pinned(framework: Framework, version: str, known_locks: Mapping[str, str]) -> Framework:
    """The framework with that version; `3.5` is `3.5.0`, and the lock has the exact form.

    A lock for "name@version" in `known_locks` is used; otherwise one is resolved.

    Raises:
        BenchmarkError: this is not a version.
        SetupError: it does not exist, or no compatible packages do.
    """
    from packaging.version import InvalidVersion, Version

    try:
        wanted = Version(version)
    except InvalidVersion:
        raise BenchmarkError(
            f'"{framework.name}@{version}" does not name a version; write one such as '
            f"{framework.name}@{_present(framework) or '1.2.3'}."
        ) from None
    lock = None
    for key, text in known_locks.items():
        name, _, other = key.partition("@")
        if name == framework.name and Version(other or "0") == wanted:
            lock = text
    lock = lock or _resolved(framework, str(wanted))
    found = versions(lock).get(canonical(framework.version_of), set())
    if {Version(one) for one in found} != {wanted}:
        raise SetupError(
            f"The lock of {framework.name}@{wanted} has {framework.version_of} "
            f"{', '.join(sorted(found)) or 'not at all'}."
        )
    path = _folder() / f"{hashlib.sha256(lock.encode()).hexdigest()[:16]}.lock"
    _write(path, lock)
    written = max(found)
    environment = f"{framework.environment}@{written}"
    return replace(framework, environment=environment, lock_file=path, pinned=written)


def _resolved(framework: Framework, version: str) -> str:
    """The lock with that version, resolved once on this machine for the same requirements."""
    requirements = _with_version(requirements_of(framework), framework.version_of, version)
    parts = [requirements, framework.python]
    for name in (LOCK, OVERRIDES):
        file = framework.environment_folder / name
        parts.append(file.read_text(encoding="utf-8") if file.is_file() else "")
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    path = _folder() / f"resolved-{digest}.lock"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    try:
        lock = resolve(framework, requirements)
    except SetupError as error:
        raise SetupError(
            f"{framework.name}@{version} ({framework.version_of} {version}) cannot be had: {error}"
        ) from None
    _write(path, lock)
    return lock


def _with_version(requirements: str, package: str, version: str) -> str:
    """The requirements with another pin of one package; extras and markers stay."""
    from packaging.requirements import InvalidRequirement, Requirement

    lines, placed = [], False
    for line in requirements.splitlines():
        try:
            requirement = Requirement(line.partition(" #")[0])
        except InvalidRequirement:
            lines.append(line)
            continue
        if canonical(requirement.name) != canonical(package):
            lines.append(line)
            continue
        extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
        marker = f" ; {requirement.marker}" if requirement.marker else ""
        lines.append(f"{requirement.name}{extras}=={version}{marker}")
        placed = True
    if not placed:
        lines.append(f"{package}=={version}")
    return "\n".join(lines) + "\n"


def _present(framework: Framework) -> str | None:
    known = versions(framework.lock.read_text(encoding="utf-8"))
    return max(known.get(canonical(framework.version_of), ()), default=None)


def _folder() -> Path:
    return cache_folder() / "locks"


def _write(path: Path, text: str) -> None:
    if path.is_file():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with staged(path) as file:
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SetupError(f"The lock {path} cannot be written: {error.strerror}.") from None
