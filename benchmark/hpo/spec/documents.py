"""Files of keys and values, YAML or JSON, and the parts of a study in files of their own.

    layers: [container.yaml, os.yaml]
    objective: {application: pgbench, value: tps}

What parts say is put into the study's values, so that the manifest needs no other file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.config.cache import settings_folder
from benchmark.errors import BenchmarkError
from benchmark.files import json_text
from benchmark.files.input_files import read_input
from benchmark.files.numbers import vanished, vanishes
from benchmark.files.spelling import check_keys, meant
from benchmark.files.value_faults import shown
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
        reason = (
            error.strerror if isinstance(error, OSError) else "it is not UTF-8; save it as UTF-8"
        )
        fix = "; name a file that is there" if isinstance(error, FileNotFoundError) else ""
        raise StudyError(f"The study file {file} cannot be read: {reason}{fix}.") from None
    values, texts = _json(text, file) if file.suffix == ".json" else _yaml(text, file)
    if not isinstance(values, dict):
        raise StudyError(f"The study file {file} must hold keys and values; write name: first.")
    _as_written(values, texts)
    if (number := _vanished(values, texts)) is not None:
        raise StudyError(f"The study file {file} cannot be used: {vanished(number)}; correct it.")
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


def _vanished(value: Any, text: Any) -> str | None:
    """A number that was read as 0 and is not, as it is written."""
    if isinstance(value, dict) and len(value) == len(text):
        pairs = zip(value.values(), text.values(), strict=True)
    elif isinstance(value, list):
        pairs = zip(value, text, strict=True)
    else:
        return text if isinstance(value, float) and vanishes(text, value) else None
    return next(filter(None, (_vanished(*pair) for pair in pairs)), None)


def _json(text: str, file: Path) -> tuple[Any, Any]:
    """The values, and the same with numbers as they are written."""
    try:
        values = json_text.load(text, rounded=True)
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
        return yaml_text.load(text, rounded=True), yaml_text.load(text, numbers=False)
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


APPLICATIONS = "applications"
ENDINGS = (".yaml", ".yml", ".json")
LAYER_KEYS = ("name", "tunables", "forbidden")


def put_in(
    values: Mapping[str, Any], folder: Path, place: str, faults: list[str]
) -> tuple[dict[str, Any], tuple[Path, ...]]:
    """The values with their parts in place, and the folders that parts have files in.

    What is wrong within a part goes into `faults`; `place` is the study's file.

    Raises:
        StudyError: parts cannot be read, all of them in one answer.
    """
    whole, unread, also = dict(values), list[str](), tuple[Path, ...]()
    layers = whole.get("layers")
    if isinstance(layers, list):
        whole |= _layers(layers, folder, list(whole.get("forbidden") or []), faults, unread)
    objective = whole.get("objective")
    if isinstance(objective, dict) and "application" in objective:
        try:
            file = _application(objective["application"], folder)
            own = {key: value for key, value in objective.items() if key != "application"}
            whole["objective"] = {**read_document(file), **own}
            also = (file.absolute().parent,)
        except StudyError as error:
            unread.append(str(error))
    if unread:  # without these parts their names would be unknown to the rest
        raise StudyError(faults_of(place, [*unread, *faults]))
    return whole, also


def _layers(
    entries: list[Any], folder: Path, forbidden: list[Any], faults: list[str], unread: list[str]
) -> dict[str, Any]:
    layers: dict[str, Any] = {}
    for entry in entries:
        if not isinstance(entry, str):
            unread.append(f"'layers' holds {shown(entry)}; name the files, such as container.yaml.")
            continue
        try:
            values = read_document(folder / entry)
        except StudyError as error:
            unread.append(str(error))
            continue
        check_keys(values, LAYER_KEYS, f"The layer {entry}", faults)
        name = str(values.get("name") or Path(entry).stem)
        if name in layers:
            faults.append(f"Two layers are named '{name}'; give {entry} another 'name'.")
        layers[name] = layers.get(name, []) + (values.get("tunables") or [])
        forbidden += values.get("forbidden") or []
    return {"layers": layers, "forbidden": forbidden}


def _application(name: Any, folder: Path) -> Path:
    """The file of a registered application: beside the study, here, or in the user's own folder."""
    if not isinstance(name, str) or not name or "/" in name or name.startswith("."):
        raise StudyError(f"'application' is {name!r}; write the name that it is registered by.")
    shared = settings_folder()
    places = [folder, Path(), shared / "automl-benchmark"]
    for place in places:
        for ending in ENDINGS:
            file = place / APPLICATIONS / f"{name}{ending}"
            if file.is_file():
                return file
    known = sorted({f.stem for p in places for f in (p / APPLICATIONS).glob("*.*")})
    raise StudyError(
        f"There is no application '{name}'; {meant(name, known, 'registered are')} Put "
        f"{APPLICATIONS}/{name}.yaml beside the study file or into {places[-1]}."
    )
