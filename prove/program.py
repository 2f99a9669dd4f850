"""The program as a user starts it: a folder, a `batch.config`, none of our variables."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmark.config.loading import PREFIX

ROOT = Path(__file__).parents[1]
FOREST = {"name": "random-forest", "as": "forest", "params": {"n_estimators": 30}}
CONFIG: dict[str, Any] = {
    "studies": ["starter"],
    "frameworks": ["constant", FOREST],
    "seeds": 1,
    "cores": 1,
    "memory": 1000,
    "runtime": 10,
    "hard_limit": 300,
    "compute": {"*": "local"},
    "parallel": 1,  # Each runner is a process that imports what measures.
}
# As many runners as the machine has cores, where what they do side by side is what is shown.
SIDE_BY_SIDE: dict[str, Any] = {"parallel": None}


def configure(folder: Path, **changes: Any) -> Path:
    """A folder with a small `batch.config`, some of its keys changed."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "batch.config").write_text(json.dumps(CONFIG | changes))
    return folder


def environment(**variables: str) -> dict[str, str]:
    """This process's variables but for the program's own; the cache of environments stays."""
    cache = f"{PREFIX}CACHE"
    kept = {n: v for n, v in os.environ.items() if n == cache or not n.startswith(PREFIX)}
    return kept | variables


def run_main(
    folder: Path,
    *arguments: str | Path,
    as_root: bool = True,
    before: tuple[str, ...] = (),
    root: Path = ROOT,
    timeout_s: float = 900,
    **variables: str,
) -> subprocess.CompletedProcess[str]:
    """main.py in a folder, to its end.

    With `as_root=False` a file's mode binds it even if this process is root's. `before` stands
    before the command, `root` is the tree of the program.
    """
    return subprocess.run(
        [*before, sys.executable, root / "main.py", *arguments],
        cwd=folder,
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        preexec_fn=None if as_root else _heed_modes,
    )


def _heed_modes() -> None:
    """Give up root's right to pass over the modes of files (CAP_DAC_OVERRIDE and _READ_SEARCH)."""
    drop_from_bounding_set = 24
    for capability in (1, 2):
        ctypes.CDLL(None).prctl(drop_from_bounding_set, capability, 0, 0, 0)
