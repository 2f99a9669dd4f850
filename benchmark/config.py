"""batch.config, checked and typed: defaults < file < environment < command line.

config = load_config()                       # ./batch.config, or the quickstart
config = load_config(overrides={"cores": 1})
config.hard_limit                            # seconds
"""

from __future__ import annotations

import difflib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from benchmark import json_text
from benchmark.cache import CACHE_VARIABLE
from benchmark.config_keys import (
    TYPES,
    Config,
    FrameworkEntry,
    MetaflowOptions,
    OwnMetric,
    PilotOptions,
    SlurmOptions,
)
from benchmark.errors import ConfigError
from benchmark.input_files import read_input

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PREFIX", "QUICKSTART", "TYPES", "Config", "LoadedConfig", "SlurmOptions", "load_config"]

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


class LoadedConfig(BaseModel):
    """A configuration and where it came from."""

    model_config = ConfigDict(frozen=True)

    values: Config
    quickstart: bool
    file: str | None


BUILT_IN = "quickstart"
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
        ConfigError: a key is unknown, a value impossible, the file missing or no JSON object.
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
        raise ConfigError(f"The configuration file {file} is no UTF-8 text: {error}.") from None
    if not text.strip():
        raise ConfigError(
            f"The configuration file {file} is empty; copy batch.config.default to it, or remove "
            "it for the quickstart."
        )
    try:
        values = json_text.load(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file} is not JSON: {error}; mend that place.") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{file} holds a {type(values).__name__}; it must be a JSON object.")
    return values


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable == CACHE_VARIABLE:
            continue
        try:
            value = json_text.load(text) if text else None
        except json_text.RepeatedKeyError as error:
            raise ConfigError(f"{variable} is not JSON: {error}; remove one of them.") from None
        except (ValueError, RecursionError):
            value = text
        field = Config.model_fields.get(variable[len(PREFIX) :].lower())
        if field is not None and field.annotation in (str, str | None) and value is not None:
            value = text
        values[variable[len(PREFIX) :].lower()] = value
    return values


def _unknown(key: str, place: str) -> str:
    near = difflib.get_close_matches(key, Config.model_fields, n=1, cutoff=0.5)
    mend = f"did you mean '{near[0]}'?" if near else "batch.config.default lists the keys."
    return f"{place}: unknown key '{key}'; {mend}"


def _sentence(error: ValidationError, places: Mapping[str, str], file: str) -> str:
    sentences = []
    for fault in error.errors():
        message = fault["msg"].removeprefix("Value error, ")
        if not fault["loc"]:
            sentences.append(f"{_place_of(message, places, file)}: {message}.")
            continue
        key = str(fault["loc"][0])
        inner = "".join(f"[{json.dumps(part)}]" for part in fault["loc"][1:])
        place = places.get(key, file)
        if fault["type"] == "value_error":
            sentences.append(f"{place}: '{key}' {message}.")
        elif fault["type"] == "extra_forbidden":
            name = str(fault["loc"][-1])
            within = tuple(map(str, fault["loc"][1:-1]))
            sentences.append(f"{place}: '{key}': {_unknown_inside(name, key, within)}")
        elif fault["type"] == "missing":
            outer = "".join(f"[{json.dumps(part)}]" for part in fault["loc"][1:-1])
            sentences.append(f"{place}: '{key}{outer}' has no '{fault['loc'][-1]}'; add it.")
        elif fault["loc"][-1] == "[key]":
            allowed = fault.get("ctx", {}).get("expected", "other keys")
            found = json.dumps(fault["input"], default=str)[:80]
            sentences.append(f"{place}: '{key}' has the key {found}; it takes {allowed}.")
        else:
            field = Config.model_fields.get(key)
            secret = field is not None and not field.repr
            # A preamble sets what a machine needs, passwords of proxies among it.
            secret = secret or (key == "slurm" and fault["loc"][1:2] in _WITH_PREAMBLE)
            value = "not shown" if secret else json.dumps(fault["input"], default=str)[:80]
            asked = message[0].lower() + message[1:]
            sentences.append(f"{place}: '{key}{inner}' is {value}; {asked}.")
    return " ".join(dict.fromkeys(sentences))


def _unknown_inside(name: str, key: str, inside: tuple[str, ...] = ()) -> str:
    """The sentence for a name that a part of a key's value does not take."""
    models: dict[str, type[BaseModel]] = {
        "frameworks": FrameworkEntry,
        "slurm": SlurmOptions,
        "metaflow": MetaflowOptions,
    }
    model = models.get(key, OwnMetric)
    if inside == ("pilot",):
        model = PilotOptions
    fields = [field.alias or known for known, field in model.model_fields.items()]
    near = difflib.get_close_matches(name, fields, n=1, cutoff=0.5)
    mend = f"did you mean '{near[0]}'?" if near else f"it takes {', '.join(fields)}."
    return f"unknown key '{name}'; {mend}"


def _place_of(message: str, places: Mapping[str, str], file: str) -> str:
    named = re.match(r"'(\w+)'", message)
    return places.get(named.group(1), file) if named else file
