"""What the documents say can be typed: their commands parse, their files are read, their links lead
somewhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from documents import DOCUMENTS, ROOT, Block, blocks, commands, inline

from benchmark.cli.parser import COMMANDS, parse
from benchmark.config import load_config

# What stands for something else in a command of a sentence.
PLACEHOLDER = "COMMAND"
CALLED = [
    pytest.param(words, id=f"{path.relative_to(ROOT)}: {' '.join(words)}")
    for path in DOCUMENTS
    for words in [
        *(words for block in blocks(path) for words in commands(block.text)),
        *inline(path),
    ]
    if words[:1] != [PLACEHOLDER]
]
SETTINGS = [
    pytest.param(block, id=f"{block.document.name}-{number}")
    for path in DOCUMENTS
    for number, block in enumerate(blocks(path))
    if block.language == "json" and '"Version"' not in block.text
]


@pytest.mark.parametrize("words", CALLED)
def test_a_command_is_one_that_the_program_takes(words: list[str]) -> None:
    if words == ["--version"]:
        return
    assert parse(words).command in COMMANDS


def test_every_command_is_in_the_documents() -> None:
    named = {parameter.values[0][0] for parameter in CALLED}
    assert set(COMMANDS) - named == set()


@pytest.mark.parametrize("block", SETTINGS)
def test_a_configuration_is_one_that_the_program_takes(block: Block, tmp_path: Path) -> None:
    text = block.text if block.text.lstrip().startswith("{") else f"{{{block.text}}}"
    file = tmp_path / "batch.config"
    file.write_text(text)
    assert load_config(str(file), environment={}).file == str(file)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if "://" not in link:
            assert (path.parent / link).exists(), link


def test_every_page_is_in_the_site() -> None:
    text = (ROOT / "mkdocs.yml").read_text()
    listed = set(re.findall(r": ([\w/-]+\.md)$", text, flags=re.MULTILINE))
    pages = (path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md"))
    assert listed == {str(page) for page in pages}


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


def test_the_guide_to_own_data_is_followed(tmp_path: Path) -> None:
    """A stranger's folder: each file is written and each command run, as they stand."""
    (tmp_path / "main.py").symlink_to(ROOT / "main.py")
    for block in blocks(ROOT / "docs" / "own-data.md"):
        if block.file:
            (tmp_path / block.file).write_text(block.text)
        for words in commands(block.text):
            ended = subprocess.run(
                [sys.executable, "main.py", *words],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                check=False,
            )
            assert ended.returncode == 0, f"{words}\n{ended.stdout}\n{ended.stderr}"
    assert (tmp_path / "report.html").exists()
    assert len((tmp_path / "compiled_results.csv").read_text().splitlines()) == 3


def test_citation_and_package_have_one_version() -> None:
    from benchmark import __version__

    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    package = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert package is not None
    assert cited["version"] == package[1] == __version__
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_default_configuration_has_every_key() -> None:
    from benchmark.config import Config

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
