"""The environment that a study declares for its Python objective: resolved once, built anywhere.

    environment: {python: "3.12", packages: ["scikit-learn==1.7.*", xgboost]}

Its lock stands in the study's manifest, so that every machine and every later day has the same.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path
from typing import Any

from benchmark.config.cache import cache_folder
from benchmark.files.spelling import check_keys
from benchmark.frameworks import locks
from benchmark.frameworks.environments import ensure
from benchmark.frameworks.framework import Framework

KEYS = ("python", "packages")
_HERE = ">=3.11"
_MINOR = re.compile(r"3\.\d{1,2}")
# What the worker needs beside the objective's own; Python 3.9 has no newer one.
_OPTUNA = "optuna>=4"


def read_environment(entry: Any, faults: list[str]) -> dict[str, Any]:
    """The study's `environment`, with a version specifier as `python`; {} without one."""
    if entry is None:
        return {}
    if not isinstance(entry, dict):
        faults.append(f"'environment' is {entry!r}; it takes python (a version) and packages.")
        return {}
    check_keys(entry, KEYS, "'environment'", faults)
    packages, python = (
        default if entry.get(key) in (None, "") else entry[key]
        for key, default in (("packages", []), ("python", _HERE))
    )
    if isinstance(packages, dict):
        packages = [f"{name}=={version}" if version else name for name, version in packages.items()]
    if not isinstance(packages, list) or not all(_is_requirement(one) for one in packages):
        faults.append(f"'environment' has the packages {packages!r}; write a list of requirements.")
        packages = []
    python = f"=={python}.*" if _MINOR.fullmatch(str(python)) else str(python)
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        SpecifierSet(python)
    except InvalidSpecifier:
        faults.append(f"'environment' has the python {python!r}; write a version such as '3.12'.")
    return {"python": python, "packages": packages}


def locked(declared: dict[str, Any]) -> dict[str, Any]:
    """The declaration with its lock, resolved now.

    Raises:
        SetupError: no versions fit together, or there is no such interpreter; it says why.
    """
    requirements = "\n".join([*declared["packages"], _OPTUNA]) + "\n"
    with tempfile.TemporaryDirectory(prefix="automl-benchmark-study-") as folder:
        framework = _framework(declared["python"], Path(folder), None)
        lock = locks.resolve(framework, requirements)
    return {**declared, "lock": lock}


def python_of(declared: dict[str, Any]) -> Path:
    """The interpreter of the environment, built if it is not in the cache.

    Raises:
        SetupError: it cannot be built; it says what uv said.
    """
    digest = hashlib.sha256(declared["lock"].encode()).hexdigest()[:16]
    folder = cache_folder() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"study-{digest}.lock"
    if not file.is_file():
        file.write_text(declared["lock"], encoding="utf-8")
    return ensure(_framework(declared["python"], folder, file)).python


def _framework(python: str, folder: Path, lock: Path | None) -> Framework:
    """The environment as the builder of frameworks' environments takes it."""
    return Framework(
        name="the study's environment",
        folder=folder,
        description="",
        version_of="optuna",
        environment_folder=folder,
        environment="study",
        python=python,
        lock_file=lock,
    )


def _is_requirement(text: Any) -> bool:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        Requirement(text)
    except (InvalidRequirement, TypeError):
        return False
    return True
