"""The map of the house in CONTRIBUTING.md: its parts are there, and imports point down."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.documents import ROOT

PACKAGE = ROOT / "benchmark"
# What a prompt asks for by `from benchmark import compute`; docs/decisions.md says why.
UPWARDS = {("compute", "runs"), ("analysis", "runs"), ("runs", "cli")}


def levels() -> list[list[str]]:
    """The names of each line of the map, from the top."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    table = text[text.index("| part |") :].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    return [re.findall(r"`benchmark/(\w+)(?:/|\.py)`", cell) for cell in cells]


def imported(file: Path) -> Iterator[str]:
    """The parts that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        names = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names = [f"benchmark.{one}" for one in names] if module == "benchmark" else [module]
        yield from (name.split(".")[1] for name in names if name.startswith("benchmark."))


def test_every_part_is_on_the_map() -> None:
    there = {
        path.stem
        for path in PACKAGE.iterdir()
        if not path.name.startswith("__") and (path.is_dir() or path.suffix == ".py")
    }
    named = [name for line in levels() for name in line]
    assert sorted(named) == sorted(there)


def test_imports_point_down() -> None:
    height = {name: number for number, names in enumerate(levels()) for name in names}
    lowest = max(height.values())
    upwards = {
        (part, other, str(file))
        for file in PACKAGE.rglob("*.py")
        for part in [file.relative_to(PACKAGE).with_suffix("").parts[0]]
        if part != "__init__"
        for other in imported(file)
        if other in height and other != part and height[part] < lowest
        if height[other] <= height[part] and (part, other) not in UPWARDS
    }
    assert upwards == set()
