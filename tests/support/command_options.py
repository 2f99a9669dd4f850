"""Programs of the documents' commands, and whether each takes the options that are typed."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import sys
import tomllib

from benchmark.cli.commands import COMMANDS
from benchmark.cli.parser import parse
from tests.support.documents import ROOT, calls

# How each program of others is asked which options it takes.
HELP = {
    "curl": ("curl", "--help", "all"),
    "git": ("git", "clone", "-h"),
    "mkdir": ("mkdir", "--help"),
    "prometheus": ("prometheus", "--help"),
    "sbatch": ("sbatch", "--help"),
}
WITHOUT_OPTIONS = (
    *(".", "apptainer", "cd", "chmod", "export", "metaflow", "pre-commit", "printf", "uv"),
)


def ours(words: list[str]) -> None:
    numbered = ["1" if word == "N" else word for word in words]
    if numbered != ["--version"]:
        assert parse(numbered).command in COMMANDS


def made(words: list[str]) -> None:
    """A target of the Makefile; a variable is one that it heeds, and what it hands on is taken."""
    told = run(["make", "-n", "-C", str(ROOT), f"PYTHON={sys.executable}", *words])
    assert told.returncode == 0, told.stderr
    for variable in (word.partition("=")[0] for word in words if "=" in word):
        assert f"$({variable})" in (ROOT / "Makefile").read_text()
    for line in told.stdout.splitlines():
        package = re.search(r"/python (-m (?:prove|perf)\b.*)", line)
        if package:
            of_python(calls(package[1])[0])


def of_python(words: list[str]) -> None:
    """A file or a package of the repository, with options that its help names."""
    if words[0] == "$FLOW":
        return  # Metaflow itself is asked, in the tests of the method.
    target = words[:2] if words[0] == "-m" else words[:1]
    if target == ["-m", "pytest"]:
        assert (ROOT / words[2]).is_file()
        return
    place = ROOT / target[-1].replace(".", "/") if words[0] == "-m" else ROOT / target[0]
    assert (place / "__main__.py").is_file() or place.is_file()
    accepts((sys.executable, *target, "--help"), words[len(target) :])


def installed(words: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert words[0] == "install"
    if words[1] == "-r":
        assert (ROOT / words[2]).is_file()
    elif words[1] == "torch":
        assert words[2:] == ["--index-url", "https://download.pytorch.org/whl/cpu"]
    else:
        extra = re.fullmatch(r"\.(?:\[(\w+)\])?", words[2])
        assert words[1] == "-e"
        assert extra is not None
        assert extra[1] is None or extra[1] in project["optional-dependencies"]


def of_docker(words: list[str]) -> None:
    """What stands after an image that is run is for the program in it."""
    names = [word for word in words if word.startswith("automl-benchmark")]
    end = words.index(names[0]) if words[0] == "run" else len(words)
    if names == ["automl-benchmark-service"] and words[0] == "run":
        ours(["serve", *words[end + 1 :]])
    if shutil.which("docker"):
        accepts(("docker", words[0], "--help"), words[:end])


def of_others(program: str, words: list[str]) -> None:
    if program not in HELP:
        assert program in WITHOUT_OPTIONS, f"say in HELP how {program} tells its options"
        assert not [word for word in words if word.startswith("-")]
    elif shutil.which(program) and "--" in told_by(HELP[program]):
        # sbatch tells nothing on a machine without a cluster's configuration.
        accepts(HELP[program], words)


def accepts(asked: tuple[str, ...], words: list[str]) -> None:
    options = {word.partition("=")[0] for word in words if word.startswith("-")}
    missing = {o for o in options if not re.search(rf"(?<![\w-]){o}(?![\w-])", told_by(asked))}
    assert missing == set(), asked


@functools.cache
def told_by(asked: tuple[str, ...]) -> str:
    told = run(list(asked))
    return told.stdout + told.stderr


def run(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
