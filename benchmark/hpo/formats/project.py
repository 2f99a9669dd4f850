"""A directory as users of HPO platforms have it: config.json and objective_fn.py.

    definition = read_project(Path("my-study"), {"trials": 50})

An obproject.toml and a flow beside them are left alone. A study without a name is called after its
directory, with a number of its own for each time that it is started. `write_project` writes one to
begin with.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.config.extras import program
from benchmark.errors import BenchmarkError
from benchmark.files.input_files import read_input
from benchmark.files.spelling import nearest
from benchmark.hpo.spec.documents import read_document
from benchmark.hpo.spec.study_file import StudyDefinition, StudyError, define, written_names
from benchmark.hpo.study.store import study_names
from benchmark.store import Store

CONFIG = "config.json"
OBJECTIVE = "objective_fn.py"
FUNCTION = "objective"
_RENAMED = {
    "n_trials": "trials",
    "study_name": "name",
    "max_parallelism": "max_parallelism",
    "trials_per_task": "trials_per_task",
    "direction": "direction",
    "directions": "directions",
    "algorithm": "algorithm",
    "sampler": "algorithm",
    "pruner": "pruner",
    "seed": "seed",
    "limits": "limits",
    "storage": "storage",
    "tunables": "tunables",
}


@dataclass(frozen=True)
class Project:
    """A directory that was read: its study, and the keys of config.json that say nothing here."""

    definition: StudyDefinition
    ignored: tuple[str, ...]


def is_project(path: Path) -> bool:
    """Whether this is such a directory; a study file in it goes first."""
    return (path / CONFIG).is_file()


def read_project(folder: Path, store: Store, changes: Mapping[str, Any]) -> Project:
    """Read such a directory; `changes` are keys of ours over the file's.

    Raises:
        StudyError: a file is missing, or says every fault in it.
    """
    document, faults = read_document(folder / CONFIG), list[str]()
    given = {key: value for key, value in document.items() if value is not None}
    names = written_names({key: given[key] for key in given if key in _RENAMED}, _RENAMED, faults)
    values = {ours: given[key] for key, ours in _RENAMED.items() if key in given}
    if not {"direction", "directions"} & values.keys():
        values["direction"] = "minimize"
    environment = document.get("environment") or {}
    if not isinstance(environment, dict) or any(map(environment.get, ("packages", "python"))):
        values["environment"] = environment
    file = folder / str(document.get("objective_function_file") or OBJECTIVE)
    if values.get("max_parallelism") and not values.get("trials_per_task"):
        # Without tasks of so many trials it is only how many run side by side.
        values["parallel"] = values.pop("max_parallelism")
        names["parallel"] = "max_parallelism"
    try:
        values["objective"] = python_objective(file, FUNCTION)
    except StudyError as error:
        faults.append(str(error))
        values["objective"] = {"python": f"{file.name}:{FUNCTION}"}
    values |= {key: value for key, value in changes.items() if value is not None}
    values.setdefault("name", next_name(folder, store))
    place = str(folder / CONFIG)
    definition = define(values, folder.absolute(), place, faults=faults, names=names)
    return Project(definition, tuple(_ignored(document)))


def _ignored(document: Mapping[str, Any]) -> Iterator[str]:
    """The keys without a meaning here, with the one that was meant if it is similar."""
    known = (*_RENAMED, "environment", "objective_function_file")
    for key in document:
        if key not in known:
            near = nearest(key, known, 0.7)
            yield key if near is None else f"{key} (did you mean '{near}'?)"


def next_name(folder: Path, store: Store) -> str:
    """The directory's name with the first number that no study of the store has."""
    base = base_name(folder)
    taken = {name.rpartition("/")[2] for name in study_names(store) if name.startswith(f"{base}/")}
    return f"{base}/{1 + max((int(number) for number in taken if number.isdigit()), default=0)}"


def base_name(folder: Path) -> str:
    """The directory's name as the name of a study."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", folder.resolve().name).lstrip("-_.")[:60] or "study"


def python_objective(file: Path, function: str) -> dict[str, Any]:
    """The objective of a study, with the modules beside the file that it imports.

    Raises:
        StudyError: there is no such file, it is no Python, or it starts a study when imported.
    """
    _check_guarded(file, function)
    return {"python": f"{file.name}:{function}", "files": sorted(imported_beside(file))}


def _check_guarded(file: Path, function: str) -> None:
    """Each trial imports the file: what starts a study must not run then."""
    for node in _parsed(file).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef, ast.If)):
            continue
        for call in (part for part in ast.walk(node) if isinstance(part, ast.Call)):
            named = call.func.attr if isinstance(call.func, ast.Attribute) else ""
            named = call.func.id if isinstance(call.func, ast.Name) else named
            given = {argument.id for argument in call.args if isinstance(argument, ast.Name)}
            if named == "HPORunner" or (named == "optimize" and function in given):
                raise StudyError(
                    f"Each trial imports {file}, which calls {named} in line {call.lineno} each "
                    "time; put what starts a study below `if __name__ == '__main__':`."
                )


def imported_beside(file: Path) -> set[str]:
    """The files and packages of a module's own folder that it imports, and these in their turn.

    Raises:
        StudyError: it cannot be read.
    """
    found: set[str] = set()
    waiting = [file]
    while waiting:
        for name in _imports(waiting.pop()):
            module, package = file.parent / f"{name}.py", file.parent / name
            if module.is_file() and module.name not in found and module != file:
                found.add(module.name)
                waiting.append(module)
            elif (package / "__init__.py").is_file() and name not in found:
                found.add(name)
                waiting += package.rglob("*.py")
    return found


def _parsed(file: Path) -> ast.Module:
    try:
        return ast.parse(read_input(file))
    except (OSError, UnicodeDecodeError) as error:
        reason = (
            error.strerror if isinstance(error, OSError) else "it is not UTF-8; save it as UTF-8"
        )
        raise StudyError(f"The objective's file {file} cannot be read: {reason}.") from None
    except (SyntaxError, ValueError) as error:
        raise StudyError(f"The objective's file {file} is no Python: {error}.") from None


def _imports(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(_parsed(file)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


_OBJECTIVE = '''"""What is tuned: `objective(trial)` returns a value, or one for each direction."""


def objective(trial):
    x = trial.suggest_float("x", -5.0, 5.0)
    kind = trial.suggest_categorical("kind", ["narrow", "wide"])
    width = 1.0 if kind == "narrow" else 4.0
    return (x - 2.0) ** 2 / width + (0.5 if kind == "wide" else 0.0)
'''
_README = """# {name}

```
{program} tune {name}                         # run it
{program} tune {name} --resume-study {study}   # go on with it
{program} studies report {study}               # look at it
```

`config.json` says how many trials, how many at a time and in which direction; `objective_fn.py`
has the function `objective(trial)`, as Optuna users write it. `study.ipynb` does the same in a
notebook.
"""
_CELLS = (
    ("markdown", "# {name}\n\nRuns the study of this directory and looks at what it found."),
    (
        "code",
        "from benchmark.hpo import HPORunner\n\n"
        'runner = HPORunner(".", trials=15, name="{name}/notebook")\n'
        "found = runner.run()  # in a busy notebook: await runner.run_async()\n"
        "found.best_value, found.best_params",
    ),
    ("code", "found.frame()"),
    (
        "code",
        "from IPython.display import Image\n\n"
        'report = found.report("report")\n'
        'Image(report.parent / "figures" / "history.png")',
    ),
)


def write_project(folder: Path) -> list[Path]:
    """Write the files into a new or empty folder and return their paths.

    Raises:
        BenchmarkError: the folder has files, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise BenchmarkError(f"The folder {folder} is not empty; name another.")
        texts = {
            CONFIG: json.dumps(_config(base_name(folder)), indent=2) + "\n",
            OBJECTIVE: _OBJECTIVE,
            "README.md": _README.format(
                name=folder.name, study=base_name(folder), program=program()
            ),
            "study.ipynb": json.dumps(_notebook(base_name(folder)), indent=1) + "\n",
        }
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        reason = error.strerror
        raise BenchmarkError(
            f"The folder {folder} cannot be written: {reason}; name one that can."
        ) from None
    return [folder / name for name in texts]


def _config(name: str) -> dict[str, Any]:
    return {
        "n_trials": 30,
        "max_parallelism": 2,
        "direction": "minimize",
        "study_name": name,
        "objective_function_file": OBJECTIVE,
        "limits": {"time": 60, "memory": 500},
    }


def _notebook(name: str) -> dict[str, Any]:
    cells: list[dict[str, Any]] = []
    for number, (kind, text) in enumerate(_CELLS):
        cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}}
        cell["source"] = text.replace("{name}", name).splitlines(keepends=True)
        if kind == "code":
            cell |= {"execution_count": None, "outputs": []}
        cells.append(cell)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
