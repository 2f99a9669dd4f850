"""The page of packages, from their docstrings and imports."""

from __future__ import annotations

import ast
import functools
from graphlib import TopologicalSorter
from pathlib import Path

import benchmark
from docs.generate.markdown import NOTE, prose, table

_ROOT = Path(benchmark.__file__).parent
# Packages whose parts are layers, in the tables of CONTRIBUTING.md.
_LAYERED = ("benchmark", "benchmark.hpo", "benchmark.hpo.service")
# Adapters and scripts run elsewhere, and are no packages of this program.
_ELSEWHERE = ("frameworks/", "compute/baremetal/scripts/", "compute/metaflow/scripts/")


def page() -> str:
    """A section for each package with packages in it: what each is for and what it imports."""
    text = f"""{NOTE}
# Packages

What each package is for, as its `__init__.py` states. Where a table has imports, they point down
only, and are those of packages in the same table.
"""
    for init in sorted(_ROOT.rglob("__init__.py")):
        parts = sorted(one for one in init.parent.iterdir() if _is_package(one))
        if parts and _is_package(init.parent):
            text += f"\n## {_name(init.parent)}\n\n{_section(_name(init.parent), parts)}"
    return text


def _section(name: str, parts: list[Path]) -> str:
    rows = {_name(one): [f"`{one.name}`", prose(_purpose(one))] for one in parts}
    if name not in _LAYERED:
        return table(("package", "what it is for"), rows.values())
    imports = {_name(one): sorted(_imported(one) & set(rows) - {_name(one)}) for one in parts}
    for one, others in imports.items():
        rows[one].append(", ".join(other.rpartition(".")[2] for other in others))
    order = [*TopologicalSorter(imports).static_order()][::-1]
    return table(("package", "what it is for", "imports"), [rows[one] for one in order])


def _is_package(folder: Path) -> bool:
    place = folder.relative_to(_ROOT).as_posix() + "/"
    elsewhere = any(place.startswith(one) and place != "frameworks/" for one in _ELSEWHERE)
    return (folder / "__init__.py").exists() and not elsewhere


def _name(folder: Path) -> str:
    return ".".join(("benchmark", *folder.relative_to(_ROOT).parts))


def _purpose(folder: Path) -> str:
    """The first sentence of a package's docstring."""
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    return " ".join(text.partition("\n\n")[0].split())


def _imported(folder: Path) -> set[str]:
    """The names that modules below the folder import, with the packages around each."""
    found = set().union(*map(_imports, folder.rglob("*.py")))
    return {".".join(name.split(".")[:n]) for name in found for n in range(1, 6)}


@functools.cache
def _imports(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
        elif isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
    return found
