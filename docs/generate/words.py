"""Find the words of words.txt in messages, docstrings and comments of the program's modules.

    python -m docs.generate.words benchmark/cli benchmark/errors.py

Names of fields and keys, which are single words, are not checked; codespell checks the pages.
"""

from __future__ import annotations

import io
import re
import sys
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

WORDS = Path(__file__).with_name("words.txt")
_TEXT = {tokenize.COMMENT, tokenize.STRING}
if sys.version_info >= (3, 12):
    _TEXT.add(tokenize.FSTRING_MIDDLE)
_CODE = re.compile(r"`[^`\n]*`|\{[^}]*\}|[./]\w+")


def replacements() -> dict[str, str]:
    """The words to avoid with their replacements."""
    lines = WORDS.read_text(encoding="utf-8").splitlines()
    return dict(line.split("->", 1) for line in lines if line)


def found(source: str, words: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    """(line number, word) for each word in texts of two words or more."""
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, words))})\b", re.IGNORECASE)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        text = _CODE.sub(" ", token.string)
        if token.type in _TEXT and len(text.split()) > 1:
            for match in pattern.finditer(text):
                line = token.start[0] + text.count("\n", 0, match.start())
                yield line, match.group().lower()


def main(places: Sequence[str]) -> int:
    """Print each finding as `file:line: word ==> replacement`; return 1 if there are any."""
    words = replacements()
    findings = [
        f"{path}:{line}: {word} ==> {words[word]}"
        for place in places
        for path in sorted(Path(place).rglob("*.py") if Path(place).is_dir() else [Path(place)])
        for line, word in found(path.read_text(encoding="utf-8"), words)
    ]
    print("\n".join(findings), end="\n" if findings else "")
    return int(bool(findings))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
