"""Runs in the container: workers that answer requests, each with some computing and some memory."""

import json
import multiprocessing
import sys
import time

SECONDS = 3.0


def work(_: int) -> list[float]:
    """Answer one request after the other; how long each took, in seconds."""
    held = bytearray(8 << 20)
    found = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        started = time.perf_counter()
        answer = sum(number * number for number in range(16_000)) % 256
        held[:4096] = bytes([answer]) * 4096
        found.append(time.perf_counter() - started)
    return found


if __name__ == "__main__":
    workers = int(sys.argv[1])
    with multiprocessing.Pool(workers) as pool:
        answered = pool.map(work, range(workers), chunksize=1)
    times = sorted(took for each in answered for took in each)
    last = times[int(len(times) * 0.99)]
    print(json.dumps({"requests_per_s": len(times) / SECONDS, "p99_ms": 1000 * last}))
