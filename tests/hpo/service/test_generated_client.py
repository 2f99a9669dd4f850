"""A TypeScript client that is generated from the service's OpenAPI, as its page describes it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from benchmark.hpo import Client
from tests.support.documents import blocks

ROOT = Path(__file__).parents[3]
PINS = ROOT / "tests/support/typescript"
GENERATE = "npx openapi-typescript openapi.json -o hpo.d.ts --default-non-nullable=false"
COMPILE = "npx tsc --strict --target es2022 --module nodenext tune.ts"


def page(language: str, beginning: str) -> str:
    """The block of the page in this language that begins so."""
    found = [b.text for b in blocks(ROOT / "docs/service.md") if b.language == language]
    (text,) = (text for text in found if text.startswith(beginning))
    return text


def ended(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )


def test_the_page_names_the_versions_that_are_tested() -> None:
    commands = page("sh", "npm init")
    pinned = json.loads((PINS / "package.json").read_text())["devDependencies"]
    assert f"npm install {' '.join(f'{n}@{v}' for n, v in pinned.items())}\n" in commands
    assert f"\n{GENERATE}\n" in commands
    assert f"\n{COMPILE} && node tune.js http" in commands


@pytest.mark.integration
def test_a_generated_client_asks_and_tells(serve: Callable[..., Any], tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: apt-get install npm")
    server = serve("--no-grpc")
    for file in ("package.json", "package-lock.json"):
        shutil.copy(PINS / file, tmp_path)
    install = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"]
    installed = ended(install, tmp_path)
    if installed.returncode != 0 and "network" in installed.stderr:
        pytest.skip("npm's registry cannot be reached")
    assert installed.returncode == 0, installed.stderr
    with urlopen(f"{server.url}/openapi.json") as answer:
        (tmp_path / "openapi.json").write_bytes(answer.read())
    generated = ended(GENERATE.split(), tmp_path)
    assert generated.returncode == 0, generated.stderr

    program = page("ts", "import createClient")
    (tmp_path / "tune.ts").write_text(program)
    compiled = ended(COMPILE.split(), tmp_path)
    assert compiled.returncode == 0, compiled.stdout
    ran = ended(["node", "tune.js", server.url], tmp_path)
    assert ran.returncode == 0, ran.stderr
    experiment = Client(server.url).experiment("typescript")
    assert json.loads(ran.stdout) == experiment.best()
    assert (experiment.summary()["state"], experiment.summary()["told"]) == ("finished", 20)

    # What the service would refuse does not compile.
    mistakes = (
        ('"minimize"', '"smallest"'),
        ("trial.params.x", "trial.parameters.x"),
        ("upper_bound: 1", "upper_bound: true"),
        ('data.state !== "running"', 'data.state !== "over"'),
        ("{ value, lease", '{ value: "low", lease'),
    )
    for place, (right, wrong) in enumerate(mistakes):
        assert program.count(right) == 1
        (tmp_path / f"wrong{place}.ts").write_text(program.replace(right, wrong))
    files = [f"wrong{place}.ts" for place in range(len(mistakes))]
    refused = ended([*COMPILE.removesuffix("tune.ts").split(), "--noEmit", *files], tmp_path)
    assert [file for file in files if f"{file}(" not in refused.stdout] == []
