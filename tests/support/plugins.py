"""Installs the example package, or an invented one, into a site folder, without the network."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "plugin_package"
FRAMEWORKS = "automl_benchmark.frameworks"
DISPATCHERS = "automl_benchmark.dispatchers"


def install_example(site: Path) -> Path:
    """What pip would leave of tests/plugin_package: its modules and its .dist-info."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    shutil.copytree(PACKAGE / "automl_plugin", site / "automl_plugin")
    install(site, project["name"], project["entry-points"])
    return site


def install(site: Path, name: str, entry_points: Mapping[str, Mapping[str, str]]) -> Path:
    """A distribution with these entry points, by group and name."""
    info = site / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = []
    for group, points in entry_points.items():
        lines += [f"[{group}]", *(f"{key} = {value}" for key, value in points.items()), ""]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return site
