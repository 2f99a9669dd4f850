"""Several versions of one framework in a run: "h2o@3.44.0.3" and "h2o".

The requirements are resolved once with that version. Its lock goes into the run's manifest, from
which a resume and every other machine build the same environment.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from benchmark.config.cache import cache_folder
from benchmark.errors import BenchmarkError, SetupError
from benchmark.frameworks import locks
from benchmark.frameworks.framework import Framework


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
    found = locks.versions(lock).get(locks.canonical(framework.version_of), set())
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
    requirements = _with_version(locks.requirements_of(framework), framework.version_of, version)
    parts = [requirements, framework.python]
    for name in (locks.LOCK, locks.OVERRIDES):
        file = framework.environment_folder / name
        parts.append(file.read_text(encoding="utf-8") if file.is_file() else "")
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    path = _folder() / f"resolved-{digest}.lock"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    try:
        lock = locks.resolve(framework, requirements)
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
        if locks.canonical(requirement.name) != locks.canonical(package):
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
    known = locks.versions(framework.lock.read_text(encoding="utf-8"))
    return max(known.get(locks.canonical(framework.version_of), ()), default=None)


def _folder() -> Path:
    return cache_folder() / "locks"


def _write(path: Path, text: str) -> None:
    if path.is_file():
        return
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        staged.write_text(text, encoding="utf-8")
        staged.replace(path)
    except OSError as error:
        raise SetupError(f"The lock {path} cannot be written: {error.strerror}.") from None
