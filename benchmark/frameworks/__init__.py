"""The frameworks, a folder each, and the environments that they run in.

from benchmark import frameworks

frameworks.ensure(frameworks.get("RandomForest")).python      # the interpreter to start
"""

from benchmark.frameworks.environments import Environment, ensure, environment_hash, interpreter_for
from benchmark.frameworks.framework import Framework
from benchmark.frameworks.registry import Scan, entry_of, get, of_entry, scan

__all__ = [
    "Environment",
    "Framework",
    "Scan",
    "ensure",
    "entry_of",
    "environment_hash",
    "get",
    "interpreter_for",
    "of_entry",
    "scan",
]
