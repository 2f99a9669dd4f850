"""A wall clock that can be moved under a whole process tree: a library of ours is loaded first.

clock = Clock(folder)
subprocess.run(command, env=os.environ | clock.variables)
clock.move(-86_400)
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

from prove.rows import NotShownError

SOURCE = Path(__file__).with_name("clock.c")


class Clock:
    """Processes started with `variables` see the machine's wall clock, moved; monotonic ones as
    they are. Raises NotShownError where there is no C compiler."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise NotShownError("there is no C compiler; apt-get install gcc")
        library = folder / "clock.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, SOURCE], check=True)
        self._file = folder / "clock"
        self._file.write_bytes(struct.pack("q", 0))
        self.variables = {"LD_PRELOAD": str(library), "PROVE_CLOCK": str(self._file)}

    def move(self, seconds: int) -> None:
        """From the true time, for all of them at once."""
        with self._file.open("r+b") as file:
            file.write(struct.pack("q", seconds))
