"""A small disk of its own: a tmpfs where this process may mount one, else a folder with limits."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SIZE = "8m"
_FILE_LIMIT = 12_000


@dataclass
class Volume:
    """`mounted` is False where no tmpfs could be had; then `before` limits the size of a file."""

    folder: Path
    mounted: bool
    before: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return "tmpfs" if self.mounted else "no root"

    def fill(self, left: int) -> None:
        """Leave so many bytes."""
        if not self.mounted:
            self.before = ("prlimit", f"--fsize={_FILE_LIMIT}")
            return
        free = os.statvfs(self.folder)
        (self.folder / ".filler").write_bytes(b"x" * (free.f_bavail * free.f_frsize - left))

    def empty(self) -> None:
        self.before = ()
        (self.folder / ".filler").unlink(missing_ok=True)

    def make(self, mode: str) -> None:
        """`ro` or `rw`."""
        if self.mounted:
            subprocess.run(["mount", "-o", f"remount,{mode}", self.folder], check=True)
            return
        for place in (self.folder, *(path for path in self.folder.rglob("*") if path.is_dir())):
            place.chmod(0o555 if mode == "ro" else 0o755)


@contextlib.contextmanager
def volume(folder: Path) -> Iterator[Volume]:
    """One below a folder, gone with the block."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "prove", str(folder)]
    mounted = os.geteuid() == 0
    if mounted:
        mounted = subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0
    made = Volume(folder, mounted)
    try:
        yield made
    finally:
        if mounted:
            subprocess.run(["umount", "-l", folder], check=True)
