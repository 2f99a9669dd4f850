"""Writes figures as PNG and PDF; needs no display."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.analysis.figures.style import DOTS_PER_INCH
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save(figure: Figure, folder: str | Path, name: str, *, pdf: bool = True) -> list[Path]:
    """Write a figure as NAME.pdf, unless `pdf` is False, and NAME.png; return their paths.

    Raises:
        BenchmarkError: the folder cannot be written.
    """
    paths = [Path(folder) / f"{name}.{ending}" for ending in (("pdf", "png") if pdf else ("png",))]
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        # The PNG is first, while the renderer still has the sizes of the texts. A higher level of
        # compression takes three times as long and saves a tenth.
        figure.savefig(paths[-1], dpi=DOTS_PER_INCH, pil_kwargs={"compress_level": 3})
        if pdf:
            figure.savefig(paths[0], metadata={"CreationDate": None})
    except OSError as error:
        raise BenchmarkError(
            f"The figure {name} cannot be written to {folder}: {error.strerror}; "
            "choose another folder."
        ) from None
    return paths
