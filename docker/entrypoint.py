"""The image's entry point: one task, named or by its place in a list of the store.

entrypoint.py STORE RUN TASK         the task with this key
entrypoint.py STORE RUN --job NAME   the task in {run}/jobs/NAME.json at the array's index, which
                                     AWS Batch and Kubernetes set

Credentials come only from the AWS SDK's own variables or the container's role.
"""

from __future__ import annotations

import argparse
import os
import sys

from benchmark.compute.jobs import own_key
from benchmark.errors import BenchmarkError
from benchmark.store import open_store


def main() -> int:
    parser = argparse.ArgumentParser("entrypoint.py", description=__doc__)
    parser.add_argument("store", help="s3://bucket/folder/, or a folder that is mounted")
    parser.add_argument("run")
    parser.add_argument("task", nargs="?")
    parser.add_argument("--job", metavar="NAME")
    options = parser.parse_args()
    if bool(options.task) == bool(options.job):
        parser.error("give either a TASK or --job NAME")
    key = options.task
    try:
        if options.job:
            key = own_key(open_store(options.store), options.run, options.job, os.environ)
    except BenchmarkError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    command = [sys.executable, "-m", "benchmark.execution", options.store, options.run, key]
    return os.execv(sys.executable, command)  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
