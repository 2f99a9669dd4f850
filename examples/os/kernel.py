"""Sets kernel settings and puts them back.

python kernel.py set TRIAL.json
python kernel.py restore

What was there before is written down first, once and outside of the trial, where whoever restores
finds it.
"""

import json
import os
import sys
from pathlib import Path

BEFORE = Path(os.environ.get("KERNEL_BEFORE", "/var/tmp/hpo-example-os.json"))


def main(arguments: list[str]) -> None:
    if arguments[0] == "restore":
        restore()
        return
    wanted = json.loads(Path(arguments[1]).read_text())["params"]
    if not BEFORE.exists():
        staged = BEFORE.with_suffix(".new")
        staged.write_text(json.dumps({name: place(name).read_text().strip() for name in wanted}))
        staged.rename(BEFORE)
    for name, value in wanted.items():
        write(name, str(value))


def restore() -> None:
    if BEFORE.exists():
        for name, value in json.loads(BEFORE.read_text()).items():
            write(name, value)
        BEFORE.unlink()


def write(name: str, value: str) -> None:
    try:
        place(name).write_text(value)
    except OSError as error:
        sys.exit(f"{name} cannot be set to {value}: {error.strerror}; this needs root.")


def place(name: str) -> Path:
    return Path("/proc/sys") / name.replace(".", "/")


if __name__ == "__main__":
    main(sys.argv[1:])
