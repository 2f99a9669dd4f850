"""The documents' files are read, their links lead somewhere, their paths and options are there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmark.config.loading import load_config
from benchmark.files import yaml_text
from benchmark.hpo.formats import em_hpo_scripts
from docs.generate import commands
from tests.support.documents import DOCUMENTS, ROOT, Block, blocks, codes


def of_language(language: str, holding: str = "") -> list[Any]:
    """The blocks of a language in all documents, as parameters of a test."""
    return [
        pytest.param(block, id=f"{path.name}-{number}")
        for path in DOCUMENTS
        for number, block in enumerate(blocks(path))
        if block.language == language and holding in block.text
    ]


@pytest.mark.integration
def test_the_examples_of_the_python_page_run(tmp_path: Path) -> None:
    """In their order, in one folder, as one script."""
    code = [one.text for one in blocks(ROOT / "docs/python.md")]
    (tmp_path / "examples.py").write_text("\n".join(code))
    done = subprocess.run(
        [sys.executable, "examples.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Counter({'success': 8})" in done.stdout
    assert "{'x': " in done.stdout
    assert (tmp_path / "report.html").is_file()


SETTINGS = [one for one in of_language("json") if '"Version"' not in one.values[0].text]


@pytest.mark.parametrize("block", SETTINGS)
def test_a_configuration_is_one_that_the_program_takes(block: Block, tmp_path: Path) -> None:
    text = block.text if block.text.lstrip().startswith("{") else f"{{{block.text}}}"
    file = tmp_path / "batch.config"
    file.write_text(text)
    assert load_config(str(file), environment={}).file == str(file)


@pytest.mark.parametrize("block", of_language("yaml", "tunables:"))
def test_a_study_is_one_that_the_program_takes(block: Block, tmp_path: Path) -> None:
    from benchmark.hpo.spec.study_file import define

    (tmp_path / "bench.sh").write_text("#!/bin/sh\n")
    values = yaml_text.load(block.text)
    study = define({"name": "told", **values}, tmp_path, block.document.name)
    assert len(study.space.tunables) == len(values["tunables"])


@pytest.mark.parametrize("block", of_language("python"))
def test_python_is_python(block: Block) -> None:
    compile(block.text, block.document.name, "exec")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if "://" not in link:
            assert (path.parent / link).exists(), link


def test_paths_are_there() -> None:
    """What a sentence names of the program; NAME and pbs are the reader's own."""
    folders = r"(?:benchmark|docker|docs|examples|perf|prove|tests)/[\w./-]+"
    named = {code for path in DOCUMENTS for code in codes(path) if re.fullmatch(folders, code)}
    made = {"perf/results.md"}
    there = {name for name in named if re.search("NAME|pbs", name) or (ROOT / name).exists()}
    assert named - there - made == set()
    assert len(named) > 20


def test_options_are_there() -> None:
    """Those that a sentence names are some program's here."""
    taken = {
        option
        for command in commands.commands().values()
        for action in command._actions
        for option in action.option_strings
    }
    taken |= set(em_hpo_scripts._parser()._option_string_actions)
    for script in ("prove/__main__.py", "prove/aws_acceptance.py"):
        taken |= set(re.findall(r'"(--[\w-]+)"', (ROOT / script).read_text()))
    named = {
        (path.name, code.split()[0].partition("=")[0])
        for path in DOCUMENTS
        for code in codes(path)
        if re.match(r"--?[a-z]", code)
    }
    of_mount = {("clusters.md", "-o")}
    assert {one for one in named - of_mount if one[1] not in taken} == set()
    assert len(named) > 40


def test_every_page_is_in_the_site() -> None:
    text = (ROOT / "mkdocs.yml").read_text()
    listed = set(re.findall(r": ([\w/-]+\.md)$", text, flags=re.MULTILINE))
    pages = (path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md"))
    assert listed == {str(page) for page in pages}


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "--quiet", "build", "--strict", "--site-dir", tmp_path],
        cwd=ROOT,
        env={"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (built.returncode, built.stdout, built.stderr) == (0, "", "")
    pages = "".join(page.read_text() for page in tmp_path.rglob("*.html"))
    assert not re.findall(r'<(?:script|link|img)[^>]* (?:src|href)="?https?://', pages)


def test_citation_and_package_have_one_version() -> None:
    from benchmark import __version__

    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    package = (ROOT / "pyproject.toml").read_text()
    assert 'version = {attr = "benchmark.__version__"}' in package
    assert cited["version"] == __version__
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_default_configuration_has_every_key() -> None:
    from benchmark.config.loading import Config

    written = json.loads((ROOT / "batch.config.default").read_text())
    assert list(written) == list(Config.model_fields)


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_completion_in_bash() -> None:
    pytest.importorskip("shtab")
    script = subprocess.run(
        [sys.executable, ROOT / "main.py", "completion", "bash"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    asked = script + (
        "\nCOMP_WORDS=(./main.py run-analysis --mer); COMP_CWORD=2\n"
        '_shtab_main_py ./main.py --mer run-analysis; printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    told = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["--merge"]
