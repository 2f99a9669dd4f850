"""Writes figures as PNG and PDF; needs no display."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmark.analysis.figures.style import DOTS_PER_INCH
from benchmark.errors import BenchmarkError


def save(figure: Figure, folder: str | Path, name: str, *, pdf: bool = True) -> list[Path]:
    """Write a figure as NAME.pdf, unless `pdf` is False, and NAME.png; return their paths.

    Raises:
        BenchmarkError: the folder cannot be written.
    """
    paths = [Path(folder) / f"{name}.{ending}" for ending in (("pdf", "png") if pdf else ("png",))]
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        # The PNG is first, while the renderer still has the sizes of the texts.
        _write_png(figure, paths[-1])
        if pdf:
            figure.savefig(paths[0], metadata={"CreationDate": None})
    except OSError as error:
        raise BenchmarkError(
            f"The figure {name} cannot be written to {folder}: {error.strerror}; "
            "choose another folder."
        ) from None
    return paths


def _write_png(figure: Figure, path: Path) -> None:
    """Write without the opacity, which is full everywhere and costs a fifth of the encoding.

    A higher level of compression takes three times as long and saves a tenth.
    """
    from PIL import Image

    canvas = figure.canvas
    if not isinstance(canvas, FigureCanvasAgg):  # Not made by `style.sheet`.
        figure.set_dpi(DOTS_PER_INCH)
        canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    dots = np.asarray(canvas.buffer_rgba())[:, :, :3]  # type: ignore[no-untyped-call]
    resolution = (DOTS_PER_INCH, DOTS_PER_INCH)
    Image.fromarray(np.ascontiguousarray(dots)).save(path, compress_level=3, dpi=resolution)
