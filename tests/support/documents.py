"""Reads the documents: their blocks, and the commands that stand in them.

A block without a language is what a reader types, a command a line; `sh` is a script. What a
program prints is `text`.
"""

from __future__ import annotations

import functools
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "docs/tutorials/*.md", "examples/*/README.md")
    for path in ROOT.glob(pattern)
)
_BLOCK = re.compile(
    r"(?:^(?P<before>[^\n]*\S[^\n]*)\n\n)?^ *```(?P<language>\w*)\n(?P<text>.*?)^ *```$",
    flags=re.MULTILINE | re.DOTALL,
)
_HEADING = re.compile(r"^#+ (.*)$", flags=re.MULTILINE)
_JOINTS = ("&&", "||", "|", ";")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, the file that the line before it names, and under
    which heading it stands."""

    document: Path
    language: str
    text: str
    file: str | None
    heading: str = ""

    @property
    def commands(self) -> list[str]:
        """The lines that call the program, as they stand."""
        return [line for line in self.text.splitlines() if line.startswith("./main.py ")]

    @property
    def typed(self) -> list[str]:
        """What a reader types: each line without its comment; a line that goes on is one."""
        lines = self.text.replace("\\\n", " ").splitlines() if self.language == "" else []
        bare = (" ".join(re.sub(r"\s+# .*", "", line).split()) for line in lines)
        return [line for line in bare if line]

    @property
    def place(self) -> tuple[str, str]:
        """The document's path in the repository, and the heading."""
        return str(self.document.relative_to(ROOT)), self.heading


@functools.cache
def blocks(document: Path) -> tuple[Block, ...]:
    """The document's fenced blocks, in order."""
    told = []
    text = document.read_text()
    found = list(_BLOCK.finditer(text))
    within = [match.span("text") for match in found]
    headings = [
        match
        for match in _HEADING.finditer(text)
        if not any(begin <= match.start() < end for begin, end in within)
    ]
    for match in found:
        named = re.search(r"`([^`]+\.\w+)`:$", match["before"] or "")
        name = named[1] if named else None
        above = [one[1] for one in headings if one.start() < match.start("text")]
        told.append(Block(document, match["language"], match["text"], name, above[-1]))
    return tuple(told)


def section(document: str, heading: str) -> list[Block]:
    """The blocks under a heading; a heading that is not there is a mistake."""
    found = [one for one in blocks(ROOT / document) if one.heading == heading]
    assert found, f"{document} has no block under '{heading}'"
    return found


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


def codes(document: Path) -> list[str]:
    """What stands as code within the sentences, on one line each."""
    text = _BLOCK.sub("", document.read_text())
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", text)]


def inline(document: Path) -> list[list[str]]:
    """Commands within a sentence, such as `./main.py status`."""
    return [words for code in codes(document) for words in commands(code)]


def calls(line: str) -> list[list[str]]:
    """The programs that a line calls with their words: without variables that it sets and files
    that it writes to; what a shell would compute, `$(…)`, is the word `COMPUTED`."""
    told: list[list[str]] = [[]]
    words = shlex.split(re.sub(r"\$\([^()]*\)", "COMPUTED", line))
    for word, before in zip(words, ["", *words], strict=False):
        is_file = ">" in (word, before)
        is_variable = not told[-1] and re.match(r"\w+=", word)
        if word not in _JOINTS and not is_file and not is_variable:
            told[-1].append(word.removesuffix(";"))
        if word in _JOINTS or word.endswith(";"):
            told.append([])
    return [words for words in told if words]
