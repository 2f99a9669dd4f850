"""Writes a directory to begin with: config.json, objective_fn.py, a README and a notebook."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmark.config.extras import program
from benchmark.errors import BenchmarkError
from benchmark.hpo.formats.project import CONFIG, OBJECTIVE, base_name

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
        raise BenchmarkError(f"The folder {folder} cannot be written: {reason}.") from None
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
