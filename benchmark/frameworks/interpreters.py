"""Which Python interpreters this machine has, each one proved by starting it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MINORS = tuple(range(14, 5, -1))
START_S = 20


def interpreter_for(specifier: str) -> Path:
    """The absolute path of an interpreter whose version satisfies a specifier (">=3.11,<3.14").

    The harness's own where it does; else the first that works of those on PATH, in uv's list and
    in pyenv's folders. A version manager's shim that does not start is passed over.

    Raises:
        SetupError: there is none; the sentence says which version and how to get it.
    """
    from packaging.specifiers import SpecifierSet

    wanted = SpecifierSet(specifier)
    if wanted.contains("{}.{}.{}".format(*sys.version_info[:3])):
        return Path(sys.executable)
    tried: set[Path] = set()
    for candidate in _candidates():
        if candidate in tried:
            continue
        tried.add(candidate)
        version = _version(candidate)
        if version is not None and wanted.contains(version):
            return candidate
    minors = [minor for minor in MINORS if wanted.contains(f"3.{minor}.99")]
    example = f"3.{minors[0]}" if minors else specifier.strip("=<>~! ")
    raise SetupError(
        f"No Python {specifier} was found on PATH, in uv's list or in pyenv's folders; "
        f"install one, for example with `uv python install {example}`."
    )


def find_uv() -> Path:
    """The uv program: the one beside this interpreter, else the one on PATH.

    Raises:
        SetupError: there is none.
    """
    try:
        from uv import find_uv_bin

        return Path(find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if found is None:
        raise SetupError("uv is not installed; run `pip install -r pre-requirements.txt`.")
    return Path(found)


def clean_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables without those that would lead uv or Python into another environment."""
    foreign = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "UV_PROJECT_ENVIRONMENT", "UV_PYTHON")
    return {key: value for key, value in environment.items() if key not in foreign}


def _candidates() -> Iterator[Path]:
    for minor in MINORS:
        for folder in os.environ.get("PATH", "").split(os.pathsep):
            path = Path(folder or ".").absolute() / f"python3.{minor}"
            if path.is_file() and os.access(path, os.X_OK):
                yield path
    yield from _listed_by_uv()
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob("versions/*/bin/python3"), reverse=True)


def _listed_by_uv() -> Iterator[Path]:
    command = [str(find_uv()), "python", "list", "--only-installed", "--no-python-downloads"]
    try:
        done = subprocess.run(
            [*command, "--output-format", "json"],
            capture_output=True,
            text=True,
            timeout=START_S,
            check=True,
            env=clean_variables(os.environ),
        )
        for entry in json.loads(done.stdout):
            if entry.get("path") and entry.get("implementation", "cpython") == "cpython":
                yield Path(entry["path"])
    except (OSError, subprocess.SubprocessError, ValueError):
        # uv's list is one of three places; the others still count.
        return


def _version(python: Path) -> str | None:
    """The version that the interpreter reports when it is started; None if it does not start."""
    program = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
    try:
        done = subprocess.run(
            [str(python), "-I", "-c", program],
            capture_output=True,
            text=True,
            timeout=START_S,
            check=True,
            env=clean_variables(os.environ),
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def minor_version(python: Path) -> str:
    """The interpreter's major and minor version, such as "3.11"; its own is known unstarted.

    Raises:
        SetupError: it does not start.
    """
    if python == Path(sys.executable):
        return "{}.{}".format(*sys.version_info[:2])
    version = _version(python)
    if version is None:
        raise SetupError(f"The interpreter {python} does not start.")
    return version.rpartition(".")[0]
