"""Reads what deploys the HPO service: its Dockerfile, the compose file, the Kubernetes manifest,
the Helm chart."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docker" / "service"
DOCKERFILE = FOLDER / "Dockerfile"


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((FOLDER / "compose.yaml").read_text()))


def manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text()))


def rendered(helm: str, *values: str, release: str = "hpo") -> list[dict[str, Any]]:
    """The objects of the chart, as Helm renders it with these `--set` values."""
    chosen = [word for value in values for word in ("--set", value)]
    command = [helm, "template", release, str(FOLDER / "chart"), *chosen]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(done.stderr)
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def instructions(name: str) -> list[str]:
    """What follows an instruction of the Dockerfile, each on one line."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    return [line.split(maxsplit=1)[1] for line in text.splitlines() if line.startswith(f"{name} ")]


def entrypoint() -> list[str]:
    (words,) = instructions("ENTRYPOINT")
    return list(json.loads(words))


def health_check() -> list[str]:
    (words,) = instructions("HEALTHCHECK")
    return list(json.loads(words.partition("CMD ")[2]))
