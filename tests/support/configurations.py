"""batch.config as a test writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmark.config.loading import LoadedConfig, load_config
from benchmark.errors import ConfigError


def load(
    file: object = None,
    environment: dict[str, str] | None = None,
    overrides: dict[str, Any] | None = None,
) -> LoadedConfig:
    """Load from a batch.config that holds `file`; a str is written as it is."""
    if file is not None:
        text = file if isinstance(file, str) else json.dumps(file)
        Path("batch.config").write_text(text, encoding="utf-8")
    return load_config(overrides=overrides, environment=environment or {})


def refused(*layers: Any, **keywords: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(*layers, **keywords)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert "pydantic" not in sentence
    return sentence
