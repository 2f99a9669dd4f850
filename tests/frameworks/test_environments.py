"""Environments are built once, whole or not at all, and say why they cannot be."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmark.errors import SetupError
from benchmark.frameworks import ensure, environment_hash, get, interpreter_for, interpreters
from benchmark.frameworks.environments import is_ready

TOML = 'description = "one small package"\nversion_of = "ThreadPoolCtl"\n'


def small_lock() -> str:
    """The part of the shipped lock that is one small package."""
    lines = get("random-forest").lock.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("threadpoolctl=="))
    end = start + 1
    while end < len(lines) and lines[end].startswith(" "):
        end += 1
    return "\n".join(lines[start:end]) + "\n"


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the framework "small", and an empty cache."""
    monkeypatch.setenv("AUTOML_BENCHMARK_CACHE", str(tmp_path / "cache"))
    home = tmp_path / "own" / "small"
    home.mkdir(parents=True)
    (home / "framework.toml").write_text(TOML)
    (home / "adapter.py").write_text("pass\n")
    (home / "requirements.lock").write_text(small_lock())
    return home


@pytest.mark.integration
def test_the_shipped_environment_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOML_BENCHMARK_CACHE", str(tmp_path))
    told: list[str] = []
    built = ensure(get("random-forest"), told.append)
    assert len(told) == 2
    program = "import sklearn, pandas, pyarrow; print(sklearn.__version__)"
    done = subprocess.run(
        [built.python, "-I", "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == built.version
    assert built.folder.parent == tmp_path / "environments"
    assert built.size_mb > 100
    shared = ensure(get("constant"), told.append)
    assert shared.folder == built.folder
    assert len(told) == 2


def test_a_half_built_folder_is_built_again(small: Path) -> None:
    framework = get("small", [small])
    assert not is_ready(framework)
    built = ensure(framework)
    assert is_ready(framework)
    assert list(built.folder.glob("lib/python*/site-packages/__pycache__/threadpoolctl.*"))
    (built.folder / ".ready").unlink()
    assert not is_ready(framework)
    (built.folder / "rest-of-a-build").touch()
    again = ensure(framework)
    assert again.folder == built.folder
    assert not (again.folder / "rest-of-a-build").exists()
    (built.folder / ".ready").write_text("{")
    assert ensure(framework).version == built.version is not None


def test_two_at_a_time_build_once(small: Path) -> None:
    told: list[str] = []
    with ThreadPoolExecutor(4) as pool:
        both = list(pool.map(lambda _: ensure(get("small", [small]), told.append), range(4)))
    assert len(told) == 2
    assert len({one.folder for one in both}) == 1
    assert all(one.python.exists() for one in both)


@pytest.mark.parametrize(
    ("lock", "words"),
    [
        ("threadpoolctl==3.8.0\n", "must have a hash"),
        ("threadpoolctl==3.8.0 --hash=sha256:" + "0" * 64 + "\n", "hash mismatch"),
        ("what is this\n", "couldn't parse"),
    ],
)
def test_a_bad_lock_is_a_sentence_and_leaves_nothing_usable(
    small: Path, lock: str, words: str
) -> None:
    (small / "requirements.lock").write_text(lock)
    with pytest.raises(SetupError) as caught:
        ensure(get("small", [small]))
    message = str(caught.value)
    assert words.lower() in message.lower()
    assert "\n" not in message
    assert str(small / "requirements.lock") in message
    (small / "requirements.lock").write_text(small_lock())
    assert ensure(get("small", [small])).python.exists()


def test_the_hash_follows_the_lock_and_builds_nothing(small: Path, tmp_path: Path) -> None:
    before = environment_hash(get("small", [small]))
    (small / "requirements.lock").write_text(small_lock() + "# more\n")
    assert environment_hash(get("small", [small])) != before
    assert not (tmp_path / "cache").exists()


def test_the_harness_interpreter_serves_where_it_can() -> None:
    minor = sys.version_info.minor
    assert interpreter_for(f"==3.{minor}.*") == Path(sys.executable)


@pytest.mark.slow
def test_a_missing_version_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SetupError, match=r"No Python ==3.99.\* .*uv python install"):
        interpreter_for("==3.99.*")


def test_one_that_uv_does_not_have_is_another_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreters, "_candidates", lambda wanted: iter(()))
    with pytest.raises(SetupError, match=r"`pyenv install 3\.6` or `conda create -n py"):
        interpreter_for("==3.6.*")


def test_a_shim_that_does_not_start_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    works, shims = tmp_path / "works", tmp_path / "shims"
    for folder, body in ((shims, "exit 127"), (works, "echo 3.88.1")):
        folder.mkdir()
        (folder / "python3.88").write_text(f"#!/bin/sh\n{body}\n")
        (folder / "python3.88").chmod(0o755)
    monkeypatch.setenv("PATH", f"{shims}:{works}")
    assert interpreter_for("==3.88.*") == works / "python3.88"


@pytest.mark.parametrize(
    ("variable", "place"),
    [
        ("UV_PYTHON_INSTALL_DIR", "cpython-3.88.1-linux/bin/python3"),
        ("PYENV_ROOT", "versions/3.88.1/bin/python3"),
        ("ASDF_DATA_DIR", "installs/python/3.88.1/bin/python3"),
        ("MISE_DATA_DIR", "installs/python/3.88/bin/python3"),
        ("RYE_HOME", "py/cpython@3.88.1/bin/python3"),
        ("MAMBA_ROOT_PREFIX", "envs/any-name/bin/python3"),
        ("PATH", "python3.88"),
        ("PATH", "python3"),
    ],
)
def test_version_managers_folders_are_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, place: str
) -> None:
    """A program that says it is 3.88.1, beside one of the same version that does not start."""
    for name, body in (("dead", "exit 127"), ("place", "echo 3.88.1")):
        python = tmp_path / name / place
        python.parent.mkdir(parents=True)
        python.write_text(f"#!/bin/sh\n{body}\n")
        python.chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path / "dead"))
    monkeypatch.setenv(variable, str(tmp_path / "place"))
    assert interpreter_for("==3.88.*") == tmp_path / "place" / place


def test_the_sentence_names_a_shim_that_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim = tmp_path / "python3.89"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match=f"{shim} does not start.*uv python install 3.89"):
        interpreter_for("==3.89.*")
