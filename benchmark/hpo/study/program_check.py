"""What can be known of a command before it is started: that it cannot be.

Only what no trial could fix is refused. Where a hook may make the file, or a tunable is in its
name, the first trials show it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from benchmark.hpo.objectives.objective import Objective
from benchmark.hpo.spec.documents import StudyError

_INTERPRETERS = ("python", "python3", "sh", "bash")
_SCRIPTS = (".py", ".sh")


def check_startable(objective: Objective, files: Mapping[str, Path], folder: Path) -> None:
    """Refuse commands whose file is missing, not executable, or says not what runs it.

    Raises:
        StudyError: names the file and the fix.
    """
    made = bool(objective.prepare or objective.reset)
    for argv in (objective.argv, objective.prepare, objective.reset, objective.restore):
        if not argv or "{" in argv[0]:
            continue
        program = argv[0]
        kept = files.get(os.path.normpath(program))
        if kept is not None:
            _check_program(program, kept)
        elif Path(program).is_absolute():
            continue
        elif "/" in program and not made:
            raise StudyError(
                f"The command's '{program}' is not in {folder}; put it there, or name it by its "
                "whole path."
            )
        elif program in _INTERPRETERS and len(argv) > 1 and not made:
            script = argv[1]
            wanted = script.endswith(_SCRIPTS) and "{" not in script and not script.startswith("-")
            if wanted and not Path(script).is_absolute() and os.path.normpath(script) not in files:
                raise StudyError(
                    f"The command's script '{script}' is not in {folder}; put it there, or name it "
                    "by its whole path."
                )


def check_found(objective: Objective, files: Mapping[str, object]) -> None:
    """Refuse a program that is not on this machine, where trials run on this one.

    Raises:
        StudyError: names it.
    """
    if "PATH" in objective.environment:
        return
    for argv in (objective.argv, objective.prepare, objective.reset, objective.restore):
        program = argv[0] if argv else ""
        if not program or "{" in program or os.path.normpath(program) in files:
            continue
        absent = Path(program).is_absolute() or "/" not in program
        if absent and program not in ("python", "python3") and shutil.which(program) is None:
            raise StudyError(
                f"The command's program '{program}' is not on this machine, or not executable; "
                "install it, put a script of that name beside the study file, or fix its name."
            )


def _check_program(name: str, path: Path) -> None:
    if not os.access(path, os.X_OK):
        raise StudyError(
            f"The command's '{name}' is not executable; run `chmod +x {path}`, or write its "
            f"interpreter before it, such as [sh, {name}]."
        )
    with path.open("rb") as file:
        begin = file.read(4)
    if not begin.startswith((b"#!", b"\x7fELF")):
        raise StudyError(
            f"The command's '{name}' does not say what runs it; write #!/bin/sh or the like as "
            "its first line, or its interpreter before it in the command."
        )
