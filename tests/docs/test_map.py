"""The code map in CONTRIBUTING.md: its parts are there, and imports point down."""

from __future__ import annotations

import ast
import functools
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.support.documents import ROOT

PACKAGE = ROOT / "benchmark"
# The packages with a table of their own, and how that begins.
TABLES = {
    "benchmark": "| part |",
    "benchmark/hpo": "| part of hpo |",
    "benchmark/hpo/service": "| part of the service |",
}
# A folder with more modules, or a module with more lines, hides its structure.
MOST_MODULES = 14
MOST_LINES = 400
CATCHING = ("isinstance", "contextlib.suppress", "app.add_exception_handler")


def levels(package: str) -> list[list[str]]:
    """The names of each line of a package's table, from the top."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    table = text[text.index(TABLES[package]) :].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    return [re.findall(rf"`{package}/(\w+)(?:/|\.py)`", cell) for cell in cells]


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_of(file): file for file in PACKAGE.rglob("*.py")}


@dataclass
class Module:
    """What the tests ask of a module's code. The tree itself is not kept: the garbage collector
    would look through those of all modules again and again.
    """

    imported: list[str] = field(default_factory=list)
    # Each class by its name: its bases, and whether it has nothing but a docstring.
    classes: dict[str, tuple[set[str], bool]] = field(default_factory=dict)
    caught: set[str] = field(default_factory=set)


@functools.cache
def code(file: Path) -> Module:
    """A module's imports wherever in it, also for types alone, its classes and what it catches."""
    found = Module()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found.imported += [alias.name for alias in node.names if alias.name in FILES]
        elif isinstance(node, ast.ImportFrom):
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            names = [name if name in FILES else str(node.module) for name in full]
            found.imported += [name for name in names if name in FILES]
        elif isinstance(node, ast.ClassDef):
            plain = all(isinstance(part, ast.Expr) for part in node.body)
            found.classes[node.name] = ({*map(ast.unparse, node.bases)}, plain)
        elif isinstance(node, ast.ExceptHandler) and node.type is not None:
            found.caught |= names_in(node.type)
        elif isinstance(node, ast.Call) and dotted(node.func) in CATCHING:
            found.caught |= names_in(node)
    return found


def imported(file: Path) -> list[str]:
    return code(file).imported


def dotted(node: ast.expr) -> str:
    """A name such as `contextlib.suppress`; ast.unparse takes as long as parsing does."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def names_in(node: ast.AST) -> set[str]:
    attributes = {one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute)}
    return attributes | {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


@pytest.mark.parametrize("package", TABLES)
def test_every_part_is_on_the_map(package: str) -> None:
    there = {
        path.stem
        for path in (ROOT / package).iterdir()
        if not path.name.startswith("__") and (path.is_dir() or path.suffix == ".py")
    }
    named = [name for line in levels(package) for name in line]
    assert sorted(named) == sorted(there)


@pytest.mark.parametrize("package", TABLES)
def test_imports_point_down(package: str) -> None:
    height = {name: number for number, names in enumerate(levels(package)) for name in names}
    free = max(height.values()) if package == "benchmark" else len(height)
    prefix = package.replace("/", ".") + "."
    upwards = {
        (part, other, str(file))
        for file in (ROOT / package).rglob("*.py")
        for part in [file.relative_to(ROOT / package).with_suffix("").parts[0]]
        if part in height
        for name in imported(file)
        if name.startswith(prefix)
        for other in [name.removeprefix(prefix).partition(".")[0]]
        if other in height and other != part and height[part] < free
        if height[other] <= height[part]
    }
    assert upwards == set()


def test_no_folder_has_too_many_modules() -> None:
    count = Counter(
        str(file.parent.relative_to(PACKAGE))
        for file in PACKAGE.rglob("*.py")
        if not file.name.startswith("__")
    )
    assert {folder: number for folder, number in count.items() if number > MOST_MODULES} == {}


def test_no_module_is_too_long() -> None:
    files = [*PACKAGE.rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    lines = {str(file): file.read_text().count("\n") for file in files}
    assert {file: number for file, number in lines.items() if number > MOST_LINES} == {}


def test_a_package_lists_its_public_names() -> None:
    """In `__all__`, where it has more than a docstring; the others are folders of modules."""
    for file in PACKAGE.rglob("__init__.py"):
        _, *lines = ast.parse(file.read_text()).body
        assigned = {
            ast.unparse(one.targets[0]): one for one in lines if isinstance(one, ast.Assign)
        }
        assert ("__all__" in assigned) == bool(lines), file
        if not lines:
            continue
        public = set(ast.literal_eval(assigned["__all__"].value))
        kinds = (ast.FunctionDef, ast.ClassDef)
        own = {one.name for one in lines if isinstance(one, kinds) and one.name[0] != "_"}
        assert own <= public, file


def test_no_modules_import_each_other_in_a_circle() -> None:
    order = TopologicalSorter({name: {*imported(file)} - {name} for name, file in FILES.items()})
    order.prepare()  # A circle is an error that names its modules.


def test_no_parts_of_a_package_import_each_other_in_a_circle() -> None:
    """The modules and packages of each folder, by what is in them."""
    uses: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for name, file in FILES.items():
        for other in imported(file):
            ours, theirs = name.split("."), other.split(".")
            pairs = enumerate(zip(ours, theirs, strict=False))
            depth = next((n for n, (mine, its) in pairs if mine != its), 0)
            if depth:
                uses[".".join(ours[:depth])][ours[depth]].add(theirs[depth])
    for parts in uses.values():
        TopologicalSorter(parts).prepare()


def test_an_error_of_its_own_is_caught_or_has_data() -> None:
    """A subclass of BenchmarkError that no caller tells from it needs no name."""
    classes = {name: one for file in FILES.values() for name, one in code(file).classes.items()}
    caught = set().union(*(code(file).caught for file in FILES.values()))
    errors = {"BenchmarkError"}
    for _ in range(3):
        errors |= {name for name, (bases, _) in classes.items() if bases & errors}
    assert {name for name in errors if classes[name][1]} - caught == set()
