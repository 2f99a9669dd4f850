"""A workload on a SQLite file: orders written in small transactions, then looked up.

python workload.py JOURNAL_MODE SYNCHRONOUS PAGE_SIZE CACHE_KB MMAP_MB
"""

import json
import random
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

TRANSACTIONS = 150
ROWS = 20
LOOKUPS = 3000


def main(arguments: list[str]) -> None:
    journal_mode, synchronous, page_size, cache_kb, mmap_mb = arguments
    generator = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        database = sqlite3.connect(Path(folder) / "orders.db", isolation_level=None)
        database.execute(f"PRAGMA page_size = {int(page_size)}")
        database.execute(f"PRAGMA journal_mode = {journal_mode}")
        database.execute(f"PRAGMA synchronous = {synchronous}")
        database.execute(f"PRAGMA cache_size = {-int(cache_kb)}")
        database.execute(f"PRAGMA mmap_size = {int(mmap_mb) * 2**20}")
        database.execute(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER, note TEXT)"
        )
        database.execute("CREATE INDEX by_customer ON orders (customer)")
        started = time.perf_counter()
        for _ in range(TRANSACTIONS):
            database.execute("BEGIN IMMEDIATE")
            rows = [(generator.randrange(1000), "x" * 200) for _ in range(ROWS)]
            database.executemany("INSERT INTO orders (customer, note) VALUES (?, ?)", rows)
            database.execute("COMMIT")
        written = time.perf_counter()
        for _ in range(LOOKUPS):
            customer = (generator.randrange(1000),)
            database.execute("SELECT count(*) FROM orders WHERE customer = ?", customer).fetchone()
        read = time.perf_counter()
        database.close()
    total = read - started
    print(
        json.dumps(
            {
                "transactions_per_s": (TRANSACTIONS + LOOKUPS / 100) / total,
                "write_s": written - started,
                "read_s": read - written,
            }
        )
    )


main(sys.argv[1:])
