"""Writes figures as PDF and PNG; needs no display."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 160


def save(figure: Figure, folder: str | Path, name: str) -> list[Path]:
    """Write a figure as NAME.pdf and NAME.png and return their paths.

    Raises:
        BenchmarkError: the folder cannot be written.
    """
    paths = [Path(folder) / f"{name}.{ending}" for ending in ("pdf", "png")]
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        figure.savefig(paths[0], metadata={"CreationDate": None})
        figure.savefig(paths[1], dpi=DOTS_PER_INCH)
    except OSError as error:
        raise BenchmarkError(
            f"The figure {name} cannot be written to {folder}: {error.strerror}; "
            "choose another folder."
        ) from None
    return paths
