"""The frameworks: a folder per framework, and the environments that they run in.

from benchmark import frameworks

frameworks.ensure(frameworks.get("RandomForest")).python      # the interpreter to start
"""

from benchmark.frameworks.environments import Environment, ensure, environment_hash, interpreter_for
from benchmark.frameworks.registry import Framework, Scan, all_frameworks, get, scan
from benchmark.frameworks.versions import entry_of, framework_of, of_entry

__all__ = [
    "Environment",
    "Framework",
    "Scan",
    "all_frameworks",
    "ensure",
    "entry_of",
    "environment_hash",
    "framework_of",
    "get",
    "interpreter_for",
    "of_entry",
    "scan",
]
