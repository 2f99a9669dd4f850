"""batch.config, checked and typed: defaults < file < environment < command line.

config = load_config()                       # ./batch.config, or the quickstart
config = load_config(overrides={"cores": 1})
config.hard_limit                            # seconds
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from benchmark.config.cache import CACHE_VARIABLE
from benchmark.config.keys import TYPES, Config, model_at
from benchmark.errors import ConfigError
from benchmark.files import json_text
from benchmark.files.input_files import read_input
from benchmark.files.spelling import meant, nearest
from benchmark.files.value_faults import correction

__all__ = ["PREFIX", "QUICKSTART", "TYPES", "Config", "LoadedConfig", "load_config"]

PREFIX = "AUTOML_BENCHMARK_"
DEFAULT_FILE = "batch.config"

QUICKSTART: dict[str, Any] = {
    "studies": ["starter"],
    "frameworks": ["constant", "random-forest", "tuned-random-forest", "optuna", "flaml"],
    "seeds": 1,
    "cores": 1,
    "memory": 1500,
    "runtime": 15,
    "hard_limit": 60,
    "compute": {"*": "local"},
}


class LoadedConfig(BaseModel, frozen=True):
    """A configuration and its sources."""

    values: Config
    quickstart: bool
    file: str | None


BUILT_IN = "quickstart"
# The starts of the messages in `keys` about a single text.
_OF_A_TEXT = ("is not a ", "holds a character")
_WITH_PREAMBLE = ((), ("preamble",))


def load_config(
    path: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> LoadedConfig:
    """Read the layers and check them.

    Args:
        path: the configuration file, or `quickstart` for its values; without it `batch.config`,
            and where there is none the quickstart's values.
        overrides: the command line's values, by key; None means not given.
        environment: variables to read `AUTOML_BENCHMARK_<KEY>` from; the process's own by default.

    Raises:
        ConfigError: a key is unknown, a value impossible, the file missing or not a JSON object.
    """
    environment = os.environ if environment is None else environment
    file = Path(path) if path else Path(DEFAULT_FILE)
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    is_absent = not path and not file.exists() and not file.is_symlink()
    quickstart = is_absent or path == BUILT_IN
    base = QUICKSTART if quickstart else _read(file)
    layers = [
        ("the quickstart" if quickstart else str(file), base),
        ("the environment", _from_environment(environment)),
        ("the command line", {k: v for k, v in (overrides or {}).items() if v is not None}),
    ]
    for place, layer in layers:
        for key, value in layer.items():
            where = f"{PREFIX}{key.upper()}" if place == "the environment" else place
            if key not in Config.model_fields:
                raise ConfigError(_unknown(key, where))
            places[key] = where
            if value is None or (value == "" and place != "the command line"):
                values.pop(key, None)
            else:
                values[key] = value
    try:
        checked = Config(**values)
    except ValidationError as error:
        raise ConfigError(_sentence(error, places, str(file))) from None
    return LoadedConfig(
        values=checked, quickstart=quickstart, file=None if quickstart else str(file)
    )


def _read(file: Path) -> dict[str, Any]:
    try:
        text = read_input(file)
    except FileNotFoundError:
        raise ConfigError(
            f"There is no configuration file {file}; copy batch.config.default to it."
        ) from None
    except IsADirectoryError:
        raise ConfigError(
            f"The configuration file {file} is a folder; name the file in it."
        ) from None
    except OSError as error:
        raise ConfigError(
            f"The configuration file {file} cannot be read: {error.strerror}."
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"The configuration file {file} is not UTF-8 text: {error}.") from None
    if not text.strip():
        raise ConfigError(
            f"The configuration file {file} is empty; copy batch.config.default to it, or remove "
            "it for the quickstart."
        )
    try:
        values = json_text.load(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file} is not JSON: {error}; fix it there.") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{file} holds a {type(values).__name__}; it must be a JSON object.")
    return values


def json_or_text(text: str, place: str) -> Any:
    """The value of JSON, or the text if it is none; also a number that would be read as 0.

    Raises:
        ConfigError: a list or an object has a key twice, or such a number.
    """
    try:
        return json_text.load(text)
    except json_text.InexactError as error:
        if text.lstrip().startswith(("{", "[")):
            raise ConfigError(f"{place} is not JSON: {error}; correct it.") from None
        return text
    except (ValueError, RecursionError):
        return text


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable == CACHE_VARIABLE:
            continue
        value = json_or_text(text, variable) if text else None
        field = Config.model_fields.get(variable[len(PREFIX) :].lower())
        if field is not None and field.annotation in (str, str | None) and value is not None:
            value = text
        values[variable[len(PREFIX) :].lower()] = value
    return values


def _unknown(key: str, place: str) -> str:
    near = nearest(key, Config.model_fields, 0.5)
    hint = f"did you mean '{near}'?" if near else "batch.config.default lists the keys."
    return f"{place}: unknown key '{json.dumps(key)[1:80].removesuffix(chr(34))}'; {hint}"


def _sentence(error: ValidationError, places: Mapping[str, str], file: str) -> str:
    sentences = []
    for fault in error.errors():
        message = fault["msg"].removeprefix("Value error, ")
        if not fault["loc"]:
            named = re.match(r"'(\w+)'", message)
            sentences.append(f"{places.get(named[1], file) if named else file}: {message}.")
            continue
        key = str(fault["loc"][0])
        inner = "".join(f"[{json.dumps(part)}]" for part in fault["loc"][1:])
        place = places.get(key, file)
        if fault["type"] == "value_error":
            whole = f"'{key}{inner}'"
            if message.startswith(_OF_A_TEXT):
                found = json.dumps(fault["input"])[:80]
                whole += "" if _is_secret(key, fault) else f" is {found}, which"
            sentences.append(f"{place}: {whole} {message}.")
        elif fault["type"] == "extra_forbidden":
            name = str(fault["loc"][-1])
            within = tuple(map(str, fault["loc"][1:-1]))
            sentences.append(f"{place}: '{key}': {_unknown_inside(name, (key, *within))}")
        elif fault["type"] == "missing":
            outer = "".join(f"[{json.dumps(part)}]" for part in fault["loc"][1:-1])
            sentences.append(f"{place}: '{key}{outer}' has no '{fault['loc'][-1]}'; add it.")
        elif fault["loc"][-1] == "[key]":
            allowed = fault.get("ctx", {}).get("expected", "other keys")
            found = json.dumps(fault["input"], default=str)[:80]
            sentences.append(f"{place}: '{key}' has the key {found}; it takes {allowed}.")
        else:
            found = json.dumps(fault["input"], default=str)[:80]
            value = "not shown" if _is_secret(key, fault) else found
            sentences.append(f"{place}: '{key}{inner}' is {value}; {correction(fault)}.")
    return " ".join(dict.fromkeys(sentences))


def _is_secret(key: str, fault: ErrorDetails) -> bool:
    """Whether the value may hold a secret; a preamble may also set passwords of proxies."""
    field = Config.model_fields.get(key)
    is_preamble = key == "slurm" and fault["loc"][1:2] in _WITH_PREAMBLE
    return is_preamble or (field is not None and not field.repr)


def _unknown_inside(name: str, path: Sequence[str]) -> str:
    """The message for an unknown name in a part of a key's value."""
    model = model_at(path)
    fields = [field.alias or known for known, field in model.model_fields.items()]
    return f"unknown key '{name}'; {meant(name, fields, 'it takes', 0.5)}"
