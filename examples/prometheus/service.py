"""A service with a cache (`service.py serve --workers 4 --cache 9`), and its load (`load SECONDS`).

An answer is computed by one of the workers, unless it is in the cache, which takes memory. What
Prometheus scrapes at /metrics is all that is measured.
"""

import argparse
import functools
import hashlib
import random
import resource
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = 18090
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


def answer(key: str, rounds: int) -> bytes:
    """Expensive, and 64 kB of the cache."""
    return hashlib.pbkdf2_hmac("sha256", key.encode(), b"salt", rounds, dklen=32) * 2048


class Service(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, workers: int, cache: int) -> None:
        super().__init__(("127.0.0.1", PORT), Handler)
        self.workers = ThreadPoolExecutor(workers)
        self.compute = functools.lru_cache(cache)(lambda key: answer(key, 2000))
        self.lock = threading.Lock()
        self.counts, self.sum_s = [0] * (len(BUCKETS) + 1), 0.0

    def took(self, seconds: float) -> None:
        with self.lock:
            self.sum_s += seconds
            for place, bound in enumerate((*BUCKETS, float("inf"))):
                self.counts[place] += seconds <= bound

    def metrics(self) -> str:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        with self.lock:
            bounds = (*map(str, BUCKETS), "+Inf")
            rows = [
                f'answer_seconds_bucket{{le="{bound}"}} {count}'
                for bound, count in zip(bounds, self.counts, strict=True)
            ]
            rows += [f"answer_seconds_sum {self.sum_s}", f"answer_seconds_count {self.counts[-1]}"]
        rows.append(f"cpu_seconds_total {usage.ru_utime + usage.ru_stime}")
        rows.append(f"memory_bytes {usage.ru_maxrss * 1024}")
        return "\n".join(rows) + "\n"


class Handler(BaseHTTPRequestHandler):
    server: Service
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/metrics":
            body = self.server.metrics().encode()
        else:
            begun = time.perf_counter()
            body = self.server.workers.submit(self.server.compute, self.path).result()[:64]
            self.server.took(time.perf_counter() - begun)
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def load(seconds: float, clients: int = 4) -> None:
    """Some keys are asked for much more often than others."""
    end = time.monotonic() + seconds

    def client(number: int) -> None:
        draw = random.Random(number)
        while time.monotonic() < end:
            key = int(draw.paretovariate(0.7)) % 2000
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/{key}", timeout=30).read()

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve")
    serve.add_argument("--workers", type=int, default=4)
    serve.add_argument("--cache", type=int, default=100)
    commands.add_parser("load").add_argument("seconds", type=float)
    given = parser.parse_args()
    if given.command == "load":
        load(given.seconds)
    else:
        Service(given.workers, given.cache).serve_forever()
