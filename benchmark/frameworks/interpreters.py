"""The Python interpreters of this machine, each verified by starting it."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import SetupError
from benchmark.frameworks.uv import clean_variables, find_uv

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

MINORS = tuple(range(14, 5, -1))
START_S = 20
_OLDEST_OF_UV = 8
_PATCHES = range(40)
_PROGRAM = (
    "import sys, sysconfig, platform\n"
    "plain = platform.python_implementation() == 'CPython' and sys.maxsize > 2**32 "
    "and not sysconfig.get_config_var('Py_GIL_DISABLED')\n"
    "print('%d.%d.%d' % sys.version_info[:3] if plain else '')"
)


def interpreter_for(specifier: str) -> Path:
    """The absolute path of an interpreter whose version satisfies a specifier (">=3.11,<3.14").

    The harness's own if it does; else the first working one on PATH, in the folders of
    uv, pyenv, asdf, mise, rye and conda, and in uv's list. A version manager's shim that does not
    start does not count, nor does one without wheels (PyPy, 32 bit, free-threaded).

    Raises:
        SetupError: there is none; the message has the version and how to get it.
    """
    from packaging.specifiers import SpecifierSet

    wanted = SpecifierSet(specifier)
    if wanted.contains("{}.{}.{}".format(*sys.version_info[:3])):
        return Path(sys.executable)
    dead: list[Path] = []
    tried: set[Path] = set()
    for candidate in _candidates(wanted):
        if candidate in tried:
            continue
        tried.add(candidate)
        version = _version(candidate)
        if version is None:
            dead.append(candidate)
        elif wanted.contains(version):
            return candidate
    minors = [minor for minor in MINORS if _is_possible(wanted, minor)]
    example = f"3.{minors[0]}" if minors else specifier.strip("=<>~!.* ")
    shims = f" ({dead[0]} does not start)" if dead else ""
    get = f"`uv python install {example}` gets one"
    if minors and minors[0] < _OLDEST_OF_UV:
        get = f"`pyenv install {example}` or `conda create -n py python={example}` gets one"
    raise SetupError(
        f"No Python {specifier} was found on PATH or in the folders of uv, pyenv, asdf, mise, rye "
        f"and conda{shims}; where downloads are allowed, {get}."
    )


def lowest_minor(specifier: str) -> str:
    """The oldest minor version that a specifier allows, such as "3.11".

    Raises:
        SetupError: it allows none that is known.
    """
    from packaging.specifiers import SpecifierSet

    wanted = SpecifierSet(specifier)
    for minor in reversed(MINORS):
        if _is_possible(wanted, minor):
            return f"3.{minor}"
    raise SetupError(f"No known version of Python is {specifier}; correct the key 'python'.")


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


def _is_possible(wanted: SpecifierSet, minor: int) -> bool:
    return any(wanted.contains(f"3.{minor}.{patch}") for patch in _PATCHES)


def _candidates(wanted: SpecifierSet) -> Iterator[Path]:
    """Candidates for an interpreter of the version, cheap places first, new versions first."""
    folders = [Path(folder or ".").absolute() for folder in os.get_exec_path()]
    folders += [Path("/usr/local/bin"), Path("/usr/bin")]
    on_path = [path for folder in dict.fromkeys(folders) for path in _listed(folder)]
    named = [path for path in (*on_path, *_managed()) if _minor(path) is not None]
    for path in sorted(named, key=lambda path: -(_minor(path) or 0)):
        if _is_possible(wanted, _minor(path) or 0):
            yield path
    yield from (path for path in (*on_path, *_managed()) if _minor(path) is None)
    yield from _listed_by_uv()


def _listed(folder: Path) -> list[Path]:
    try:
        found = sorted(folder.glob("python3*"))
    except OSError:
        return []  # A folder on PATH without read access is skipped.
    names = re.compile(r"python3(\.\d+)?")
    return [path for path in found if names.fullmatch(path.name) and os.access(path, os.X_OK)]


def _managed() -> Iterator[Path]:
    """The interpreters in the folders of uv and the version managers."""
    home = Path(os.path.expanduser("~"))  # noqa: PTH111  # It stays ~ where there is no home.
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share")

    def root(variable: str, default: Path) -> Path:
        return Path(os.environ.get(variable) or default)

    conda = [root("MAMBA_ROOT_PREFIX", home / "micromamba"), Path("/opt/conda"), home / ".conda"]
    conda += [home / name for name in ("miniconda3", "anaconda3", "miniforge3", "mambaforge")]
    if executable := os.environ.get("CONDA_EXE"):
        conda.append(Path(executable).parents[1])
    places = [
        (root("UV_PYTHON_INSTALL_DIR", data / "uv/python"), "*/bin/python3"),
        (root("PYENV_ROOT", home / ".pyenv"), "versions/*/bin/python3"),
        (root("ASDF_DATA_DIR", home / ".asdf"), "installs/python/*/bin/python3"),
        (root("MISE_DATA_DIR", data / "mise"), "installs/python/*/bin/python3"),
        (root("RYE_HOME", home / ".rye"), "py/*/bin/python3"),
        (root("RYE_HOME", home / ".rye"), "py/*/install/bin/python3"),
        (Path("/opt/python"), "*/bin/python3"),
        *((folder, "bin/python3") for folder in conda),
        *((folder, "envs/*/bin/python3") for folder in conda),
    ]
    for folder, pattern in places:
        try:
            yield from sorted(folder.glob(pattern), reverse=True)
        except OSError:
            continue  # A path without read access is skipped.


def _minor(path: Path) -> int | None:
    """The minor version that a path names: python3.9, or .../3.9.18/bin/python3."""
    named = re.fullmatch(r"python3\.(\d+)", path.name)
    place = path.parent.parent.name if path.parent.name == "bin" else ""
    named = named or re.search(r"(?<!\d)3\.(\d+)", place)
    return int(named[1]) if named else None


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
        # uv's list is one of several places; the others still count.
        return


def _version(python: Path) -> str | None:
    """The version that the interpreter reports when it is started; None if it does not start."""
    try:
        facts = python.stat()
    except OSError:
        return None
    return _started(python, facts.st_mtime_ns, facts.st_size)


@functools.lru_cache(maxsize=256)
def _started(python: Path, mtime_ns: int, size: int) -> str | None:  # noqa: ARG001
    """Cached per process and file: a runner needs it before every task."""
    try:
        done = subprocess.run(
            [str(python), "-I", "-c", _PROGRAM],
            capture_output=True,
            text=True,
            timeout=START_S,
            check=True,
            env=clean_variables(os.environ),
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
