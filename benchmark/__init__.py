"""An AutoML benchmark, and a tuner for any system, that loses no result."""

import importlib
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["MOVED", "__version__"]
__version__ = "0.1.0"

# Modules under names that they had before. Tasks in stores name their evaluation by import path,
# and pages documented some of the others.
MOVED = {
    "benchmark.hpo.benchmark_evaluation": "benchmark.hpo.trials.benchmark_evaluation",
    "benchmark.hpo.evaluation": "benchmark.hpo.trials.evaluation",
    "benchmark.hpo.order": "benchmark.hpo.study.task_order",
    "benchmark.hpo.study_file": "benchmark.hpo.spec.study_file",
    "benchmark.record": "benchmark.records.record",
    "benchmark.results": "benchmark.records.results",
    "benchmark.tasks": "benchmark.records.tasks",
}


class _MovedModules:
    """Imports a module of `MOVED` under its earlier name; asked when nothing else has found it."""

    def find_spec(self, name: str, *_: object) -> "ModuleSpec | None":
        # importlib.abc, which has Loader, would cost each start several milliseconds.
        return ModuleSpec(name, self) if name in MOVED else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """Python makes an empty module, which `exec_module` replaces."""

    def exec_module(self, module: "ModuleType") -> None:
        sys.modules[module.__name__] = importlib.import_module(MOVED[module.__name__])


sys.meta_path.append(_MovedModules())
