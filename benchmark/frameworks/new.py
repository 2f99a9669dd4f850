"""Create the folder of a new framework from the template, which already works."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from benchmark.errors import BenchmarkError
from benchmark.files.input_files import expanded
from benchmark.frameworks.framework import FOLDER
from benchmark.frameworks.registry import FILE, get, plain

TEMPLATE = FOLDER / "template"
LOCKED_AS = "random-forest"


def make(name: str, parent: Path) -> Path:
    """Create the folder `parent`/`name` with a framework that trains a scikit-learn model.

    Its lock is that of random-forest, which has the same requirements, so that nothing needs to be
    resolved before the first run.

    Raises:
        BenchmarkError: the name is impossible or taken, or the folder exists or cannot be created.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise BenchmarkError(
            f'"{name}" is not a valid name of a framework; use letters, digits, . _ -'
        )
    folder = expanded(parent) / name
    _check_free(name, folder.parent)
    if folder.exists():
        raise BenchmarkError(f"{folder} exists already; choose another name or another --path.")
    try:
        folder.mkdir(parents=True)
        text = (TEMPLATE / f"{FILE}.template").read_text(encoding="utf-8")
        (folder / FILE).write_text(text.replace('"NAME"', f'"{name}"'), encoding="utf-8")
        for file in ("adapter.py", "requirements.in"):
            shutil.copyfile(TEMPLATE / file, folder / file)
        shutil.copyfile(get(LOCKED_AS).lock, folder / "requirements.lock")
    except OSError as error:
        raise BenchmarkError(
            f"{folder} cannot be created: {error.strerror}; name a folder that can be written "
            "with --path."
        ) from None
    return folder


def _check_free(name: str, parent: Path) -> None:
    """Check that no other framework has the name, ignoring case, '-' and '_'."""
    beside = parent.glob(f"*/{FILE}") if parent.is_dir() else ()
    taken = next((one.parent for one in beside if plain(one.parent.name) == plain(name)), None)
    if taken is None:
        try:
            taken = get(name).folder
        except BenchmarkError:
            return
    if taken != parent / name:
        raise BenchmarkError(f'The name "{name}" is taken by {taken}; choose another.')
