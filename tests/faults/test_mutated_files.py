"""Whatever is in a file, its reader returns a value or refuses it with an error of ours."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.data.formats.tables import Reading, read_table
from benchmark.errors import BenchmarkError
from benchmark.hpo.service.backends.store import StoreBackend
from benchmark.hpo.service.core.terms import Terms
from benchmark.hpo.spec.study_file import define, read_study
from benchmark.records.record import Record
from benchmark.records.tasks import Run
from benchmark.store import FolderStore
from tests.support.process_trees import flat_memory

RECORD = Record(
    task="forest/iris/0",
    status="success",
    metric="auc",
    metrics={"auc": 0.9, "acc": None},
    labels={"framework": "forest", "seed": 0},
    fit_s=1.5,
)
STUDY = """
name: mine
direction: minimize
objective: {command: "echo 1"}
trials: 10
tunables:
  - {name: heap, value_type: integer, lower_bound: 256, upper_bound: 4096, step: 256}
  - {name: gc, value_type: categorical, choices: [G1, Z]}
  - {name: ratio, value_type: double, lower_bound: 0.1, upper_bound: 0.9, when: "gc == 'Z'"}
forbidden: ["gc == 'Z' and heap < 512", {gc: G1, heap: 512}]
"""
CSV = "x,y,z,target\n" + "".join(f"{n},{n / 3},2024-01-{n + 1:02},a{n % 2}\n" for n in range(20))
ARFF = "@relation r\n@attribute x numeric\n@attribute 'c d' {a,'b c'}\n@attribute t date\n@data\n"
ARFF += "".join(f"{n},'b c',\"2024-01-01\"\n" for n in range(10))
TOKENS = [
    *(
        b"[",
        b"{",
        b'"',
        b"\\",
        b"\x00",
        b"\xff",
        b"\n",
        b",",
        b":",
        b"-",
        b"#",
        b"'",
        b"&a *a",
        b"!!",
    ),
    *(
        b"null",
        b"true",
        b"NaN",
        b"1e999",
        b"1" * 400,
        b"[" * 2000,
        b'"\\ud800"',
        b"..",
        b"\xef\xbb\xbf",
    ),
]


def mutated(generator: random.Random, whole: bytes) -> bytes:
    data = bytearray(whole)
    for _ in range(generator.randrange(1, 6)):
        place = generator.randrange(len(data) + 1)
        other = min(len(data), place + generator.randrange(1, 40))
        kind = generator.randrange(6)
        if kind == 0:
            data[place:other] = b""
        elif kind == 1:
            data[place:place] = generator.choice(TOKENS)
        elif kind == 2:
            data[place:other] = generator.choice(TOKENS)
        elif kind == 3:
            data[place:place] = data[place:other] * generator.randrange(1, 4)
        elif kind == 4 and place < len(data):
            data[place] = generator.randrange(256)
        elif generator.random() < 0.2:
            del data[place:]
    return bytes(data)


def manifest(folder: Path) -> tuple[bytes, Callable[[bytes], Any]]:
    store = FolderStore(folder / "store")
    tunable = {"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}
    declared = {"name": "e", "objective": {"command": "true"}, "direction": "minimize"}
    definition = define({**declared, "tunables": [tunable]}, folder, "the study")
    backend = StoreBackend(store)
    backend.create(definition, Terms("e", ""))
    path = "studies/e/manifest.json"
    whole = store.get(path)
    assert whole is not None

    def read(data: bytes) -> Any:
        store.put(path, data)
        Run.open(store, "studies/e")
        backend.open("e").close.close()

    return whole, read


def record(_: Path) -> tuple[bytes, Callable[[bytes], Any]]:
    return RECORD.to_bytes(), Record.from_bytes


def study(folder: Path) -> tuple[bytes, Callable[[bytes], Any]]:
    file = folder / "study.yaml"
    return STUDY.encode(), lambda data: (file.write_bytes(data), read_study(file))


def table(name: str, whole: bytes) -> Callable[[Path], tuple[bytes, Callable[[bytes], Any]]]:
    def made(folder: Path) -> tuple[bytes, Callable[[bytes], Any]]:
        file = folder / name
        return whole, lambda data: (file.write_bytes(data), read_table(file, Reading()))

    return made


def parquet(folder: Path) -> tuple[bytes, Callable[[bytes], Any]]:
    file = folder / "t.parquet"
    pq.write_table(pa.table({"x": [1, 2, 3], "c": ["a", "b", None]}), file)
    return table("t.parquet", file.read_bytes())(folder)


KINDS = {
    "record": record,
    "manifest": manifest,
    "study": study,
    "csv": table("t.csv", CSV.encode()),
    "arff": table("t.arff", ARFF.encode()),
    "parquet": parquet,
}


@pytest.mark.parametrize(
    "count",
    [10, pytest.param(1700, marks=[pytest.mark.integration, pytest.mark.soak])],
    ids=["few", "many"],
)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore")
def test_mutated_files(tmp_path: Path, kind: str, count: int) -> None:
    whole, read = KINDS[kind](tmp_path)
    read(whole)
    generator = random.Random(7)
    with flat_memory(50) as step:
        for _ in range(count):
            data = mutated(generator, whole)
            try:
                read(data)
            except BenchmarkError as error:
                assert "Traceback" not in str(error)
            except BaseException as error:
                said = f"{kind}: {type(error).__name__}: {error} of {data!r}"
                raise AssertionError(said) from error
            step()
