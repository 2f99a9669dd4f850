#!/usr/bin/env python3
"""./main.py COMMAND: hands over to benchmark.cli."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}; run `make env`.")

from benchmark.cli import main

if __name__ == "__main__":
    sys.exit(main())
