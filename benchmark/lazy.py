"""Public names of a package that are imported on first use, so that commands start at once."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any


def attribute(package: str, name: str, modules: Mapping[str, str]) -> Any:
    """`name` of the module that `modules` has for it; for the `__getattr__` of a package (PEP 562).

    Raises:
        AttributeError: `modules` has no such name.
    """
    if name not in modules:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return getattr(importlib.import_module(modules[name]), name)
