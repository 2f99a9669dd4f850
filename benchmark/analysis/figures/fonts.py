"""Fonts for the characters of names in any script.

    with fonts.covering(["tool", "\u6846\u67b6"]) as absent:
        ...                            # figures made here have them
    absent                             # characters that no font of this machine has

matplotlib's own font has no Chinese, Japanese, Korean or emoji. Only missing
characters are searched in the machine's fonts, because opening all of them is slow.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font


@contextlib.contextmanager
def covering(texts: Iterable[object]) -> Iterator[str]:
    """Draw in fonts that have the texts' characters; yield those that none has, sorted.

    matplotlib warns of each such character in each text of each figure; here it does not.
    """
    wanted = {
        ord(character) for text in texts for character in str(text) if character.isprintable()
    }
    usual = font_manager.findfont(font_manager.FontProperties())
    absent = wanted - _characters(usual)
    families = list(mpl.rcParams["font.family"])
    for name in sorted({font.name for font in font_manager.fontManager.ttflist}):
        if not absent:
            break
        if "lastresort" in name.lower().replace(" ", ""):
            continue  # A font of last resort has a box for everything.
        found = absent & _characters(font_manager.findfont(name))
        if found:
            families.append(name)
            absent -= found
    with mpl.rc_context({"font.family": families}), warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="Glyph .* missing from font", category=UserWarning
        )
        yield "".join(chr(number) for number in sorted(absent))


def _characters(path: str) -> set[int]:
    """The code points of a font file; none if it cannot be read or has no outlines."""
    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):
        return set()  # A font that FreeType rejects cannot be used in figures.
    return set(font.get_charmap()) if font.scalable else set()
