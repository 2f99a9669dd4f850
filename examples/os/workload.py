"""Writes many small files and a few large ones, reads them again: how many files a second."""

import json
import tempfile
import time
from pathlib import Path

SMALL, LARGE = 1500, 3


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        started = time.perf_counter()
        for number in range(SMALL):
            (folder / f"small-{number}").write_bytes(b"x" * 8192)
        for number in range(LARGE):
            (folder / f"large-{number}").write_bytes(b"x" * (32 << 20))
        total = sum(len(path.read_bytes()) for path in folder.iterdir())
        seconds = time.perf_counter() - started
    print(json.dumps({"files_per_s": (SMALL + LARGE) / seconds, "mb": total / 2**20}))


if __name__ == "__main__":
    main()
