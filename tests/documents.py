"""Reads the documents: their blocks, and the commands that stand in them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path for pattern in ("*.md", "docs/*.md", "examples/*/README.md") for path in ROOT.glob(pattern)
)
_BLOCK = re.compile(
    r"(?:^(?P<before>[^\n]*\S[^\n]*)\n\n)?^ *```(?P<language>\w*)\n(?P<text>.*?)^ *```$",
    flags=re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the file that the line before it names."""

    document: Path
    language: str
    text: str
    file: str | None


def blocks(document: Path) -> list[Block]:
    told = []
    for match in _BLOCK.finditer(document.read_text()):
        named = re.search(r"`([^`]+\.\w+)`:$", match["before"] or "")
        name = named[1] if named else None
        told.append(Block(document, match["language"], match["text"], name))
    return told


def commands(text: str) -> list[list[str]]:
    """The words after `./main.py` of each line that calls it; comments and pipes are left out."""
    told = []
    for line in text.replace("\\\n", " ").splitlines():
        called = re.match(r" *(?:\w+=\S+ )*\./main\.py (.*)", line)
        if called:
            words = shlex.split(called[1], comments=True)
            ends = [place for place, word in enumerate(words) if word in (">", "|", "&&", ";")]
            told.append(words[: ends[0]] if ends else words)
    return told


def inline(document: Path) -> list[list[str]]:
    """Commands within a sentence, such as `./main.py status`."""
    text = _BLOCK.sub("", document.read_text())
    found = re.findall(r"`(\./main\.py [^`]*)`", text)
    return [words for code in found for words in commands(" ".join(code.split()))]
