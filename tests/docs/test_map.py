"""The code map in CONTRIBUTING.md: its parts are there, and imports point down."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from tests.support.documents import ROOT

PACKAGE = ROOT / "benchmark"


def levels() -> list[list[str]]:
    """The names of each line of the map, from the top."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    table = text[text.index("| part |") :].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    return [re.findall(r"`benchmark/(\w+)(?:/|\.py)`", cell) for cell in cells]


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_of(file): file for file in PACKAGE.rglob("*.py")}


def imported(file: Path) -> Iterator[str]:
    """The modules that a module imports, wherever in it, also for types alone."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            names = [name if name in FILES else str(node.module) for name in full]
        else:
            continue
        yield from (name for name in names if name in FILES)


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
        for other in {name.partition(".")[2].partition(".")[0] for name in imported(file)}
        if other in height and other != part and height[part] < lowest
        if height[other] <= height[part]
    }
    assert upwards == set()


def test_no_modules_import_each_other_in_a_circle() -> None:
    order = TopologicalSorter({name: {*imported(file)} - {name} for name, file in FILES.items()})
    order.prepare()  # A circle is an error that names its modules.
