"""run-analysis: the leaderboard, the figures and the report of compiled results."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    import pandas as pd


def run_analysis(options: argparse.Namespace) -> int:
    from benchmark import analysis

    found = analysis.process(options.results, options.figures, options.report)
    for kind, board in found.leaderboards.items():
        print(f"{kind}\n{_table(board)}\n")
    for note in found.notes:
        print(f"note: {note}", file=sys.stderr)
    for figure in found.figures:
        print(figure)
    print(found.report)
    return 0


def _table(board: pd.DataFrame) -> str:
    return board.to_string(index=False, float_format=lambda value: f"{value:.3f}", na_rep="-")
