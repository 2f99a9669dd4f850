"""Files of keys and values, YAML or JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.errors import BenchmarkError
from benchmark.files import json_text
from benchmark.files.input_files import read_input
from benchmark.hpo.objectives.objective import HOOKS


class StudyError(BenchmarkError):
    """A study file is wrong, or a study cannot go on; `faults` are the sentences of its keys."""

    def __init__(self, message: str, faults: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults)


def faults_of(place: str, faults: Sequence[str]) -> str:
    """One fault as a sentence, several in a line each."""
    many = [f"{place} has {len(faults)} faults:", *(f"- {fault}" for fault in faults)]
    return f"{place}: {faults[0]}" if len(faults) == 1 else "\n".join(many)


def read_document(file: Path) -> dict[str, Any]:
    """The keys and values of a file.

    Raises:
        StudyError: it cannot be read, or holds something else.
    """
    try:
        text = read_input(file)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        fix = "; name a file that is there" if isinstance(error, FileNotFoundError) else ""
        raise StudyError(f"The study file {file} cannot be read: {reason}{fix}.") from None
    values, texts = _json(text, file) if file.suffix == ".json" else _yaml(text, file)
    if not isinstance(values, dict):
        raise StudyError(f"The study file {file} must hold keys and values; write name: first.")
    _as_written(values, texts)
    return values


def _as_written(values: dict[str, Any], texts: dict[str, Any]) -> None:
    """Let words of commands, variables and versions stay as they are written: `1.10`, `1e-5`."""
    for key in values.keys() & {"command", *HOOKS, "environment"}:
        values[key] = _words(values[key], texts[key])
    for key in values.keys() & {"objective", "wait_ready", "warm_up"}:
        if isinstance(values[key], dict):
            _as_written(values[key], texts[key])


def _words(value: Any, text: Any) -> Any:
    if isinstance(value, list):
        return [_words(*pair) for pair in zip(value, text, strict=True)]
    if isinstance(value, dict) and len(value) == len(text):
        pairs = zip(value.items(), text.values(), strict=True)
        return {key: _words(one, its) for (key, one), its in pairs}
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return text if is_number and str(value) != text else value


def _json(text: str, file: Path) -> tuple[Any, Any]:
    """The values, and the same with numbers as they are written."""
    try:
        values = json_text.load(text)
        if "\\u" in text:
            json.dumps(values, ensure_ascii=False).encode()
        return values, json_text.load(text, numbers=str)
    except UnicodeEncodeError:
        raise StudyError(
            f"The study file {file} has half of a surrogate pair, which is not text; remove it."
        ) from None
    except (ValueError, RecursionError) as error:
        raise StudyError(f"The study file {file} is not JSON: {error}.") from None


def _yaml(text: str, file: Path) -> tuple[Any, Any]:
    import yaml

    from benchmark.files import yaml_text

    try:
        return yaml_text.load(text), yaml_text.load(text, numbers=False)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        said = yaml_text.reason(error)
        line = _line_of(error, text)
        quoted = any(f"{key}:" in line for key in ("when", "value", "prune", "failure", "cost"))
        fix = _QUOTED if quoted and any(mark in line for mark in "'\"") else ""
        raise StudyError(f"The study file {file} is not YAML: {said}.{fix}") from None


_QUOTED = " An expression with a quote in it stands in double quotes: when: \"gc == 'G1'\"."


def _line_of(error: Exception, text: str) -> str:
    """The line at which the reader stopped."""
    mark = getattr(error, "problem_mark", None)
    lines = text.splitlines()
    return lines[mark.line] if mark is not None and mark.line < len(lines) else ""
