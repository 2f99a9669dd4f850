#!/usr/bin/env python3
"""./main.py COMMAND: hands over to benchmark.cli, in the environment of `make env` if need be."""

import importlib.util
import os
import sys
from pathlib import Path

_OLD = sys.version_info < (3, 11)
if _OLD or not importlib.util.find_spec("obstore"):
    _own = Path(__file__).resolve().parent / ".venv"
    _python = str(_own / "bin" / "python")
    if Path(sys.prefix).resolve() != _own.resolve() and os.access(_python, os.X_OK):
        os.execv(_python, [_python, *sys.argv])  # noqa: S606  # nosec B606 # our own
if _OLD:
    sys.exit(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}; run `make env`.")

from benchmark.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
