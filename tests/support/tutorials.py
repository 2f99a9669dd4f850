"""Follows a tutorial: its files are written, its commands typed, its output compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from benchmark.config.cache import CACHE_VARIABLE
from benchmark.config.loading import PREFIX
from tests.support.documents import ROOT, blocks

TUTORIALS = ROOT / "docs/tutorials"


def follow(tutorial: str, folder: Path, **more: str) -> None:
    """Do what a page says, in a folder with the program; each line of an output block must begin
    a line of what the commands before it printed."""
    (folder / "main.py").symlink_to(ROOT / "main.py")
    (folder / ".venv").symlink_to(sys.prefix)
    variables = {k: v for k, v in os.environ.items() if k == CACHE_VARIABLE or PREFIX not in k}
    printed = ""
    for block in blocks(TUTORIALS / tutorial):
        if block.language == "text":
            for line in block.text.splitlines():
                beginning = "^ *" + " +".join(map(re.escape, line.split()))
                assert re.search(beginning, printed, flags=re.MULTILINE), f"{line}\n{printed}"
        elif block.file:
            (folder / block.file).write_text(block.text)
        elif block.language == "":
            ended = subprocess.run(
                ["bash", "-ec", "\n".join([". .venv/bin/activate", *block.typed])],
                cwd=folder,
                env=variables | more,
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                check=False,
            )
            printed = ended.stdout + ended.stderr
            assert ended.returncode == 0, f"{block.text}\n{printed}"
