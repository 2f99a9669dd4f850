"""Frameworks are found by their names and aliases; a broken one stops nothing."""

import sys
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from benchmark.errors import BenchmarkError
from benchmark.execution.worker.task import load_adapter
from benchmark.frameworks import get, scan

TOML = 'description = "mine"\nversion_of = "numpy"\n'


def write(folder: Path, name: str, text: str) -> Path:
    home = folder / name
    home.mkdir(parents=True)
    (home / "framework.toml").write_text(text)
    (home / "adapter.py").write_text("pass\n")
    (home / "requirements.lock").write_text("numpy==2.4.6\n")
    return home


def test_the_shipped_ones_are_whole() -> None:
    found = scan()
    assert found.warnings == ()
    assert {"constant", "random-forest", "tuned-random-forest"} <= set(found.frameworks)
    for framework in found.frameworks.values():
        lock = framework.lock.read_text()
        assert "--hash=sha256:" in lock
        assert "://" not in lock
        assert SpecifierSet(framework.python)
    assert get("constant").lock == get("random-forest").lock


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("constantpredictor", "constant"),
        ("ConstantPredictor", "constant"),
        ("RandomForest", "random-forest"),
        ("random_forest", "random-forest"),
        ("TUNEDRANDOMFOREST", "tuned-random-forest"),
    ],
)
def test_names_and_aliases(name: str, found: str) -> None:
    assert get(name).name == found


def test_the_nearest_name_is_offered() -> None:
    with pytest.raises(BenchmarkError, match="did you mean tuned-random-forest"):
        get("TunedRandomForrest")
    with pytest.raises(BenchmarkError, match=r"there are .*constant"):
        get("zzz")


def test_own_folders(tmp_path: Path) -> None:
    write(tmp_path, "mine", TOML + 'aliases = ["My"]\n')
    write(tmp_path, "sharing", TOML + 'environment = "random-forest"\n')
    alone = write(tmp_path / "other", "alone", TOML)
    found = scan([tmp_path, alone]).frameworks
    assert {"mine", "sharing", "alone", "constant"} <= set(found)
    assert get("MY", [tmp_path]).folder == tmp_path / "mine"
    assert found["sharing"].lock == found["random-forest"].lock


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("description = ", "cannot be read"),
        (TOML + "prelaod = []\n", 'did you mean "preload"'),
        (TOML + 'tier = "one"\n', '"tier" is'),
        ('description = "x"\n', 'lacks the key "version_of"'),
        (TOML + 'python = "three"\n', "specifier"),
        (TOML + 'environment = "nowhere"\n', '"nowhere"'),
        (TOML + 'name = "RandomForest"\n', "is taken"),
        (TOML + 'name = "a/b"\n', "is not a valid name"),
    ],
)
def test_a_broken_one_is_a_warning(tmp_path: Path, text: str, words: str) -> None:
    write(tmp_path, "broken", text)
    write(tmp_path, "good", TOML)
    found = scan([tmp_path])
    assert "good" in found.frameworks
    assert len(found.warnings) == 1
    assert words in found.warnings[0]


def test_a_folder_without_frameworks_and_files_that_are_missing(tmp_path: Path) -> None:
    assert "There is no framework.toml" in scan([tmp_path / "no"]).warnings[0]
    (write(tmp_path, "bare", TOML) / "adapter.py").unlink()
    assert "adapter.py, which is missing" in scan([tmp_path]).warnings[0]
    with pytest.raises(BenchmarkError, match="which is missing"):
        get("bare", [tmp_path])


def test_the_adapters_hash_is_of_its_code(tmp_path: Path) -> None:
    home = write(tmp_path, "mine", TOML)
    before = get("mine", [tmp_path]).adapter_hash
    assert get("mine", [tmp_path]).adapter_hash == before
    (home / "adapter.py").write_text("raise SystemExit\n")
    assert get("mine", [tmp_path]).adapter_hash != before


@pytest.mark.parametrize("packages", [["my_core"], []], ids=["package", "namespace"])
def test_what_an_adapter_imports_from_its_folder_is_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packages: list[str]
) -> None:
    home = write(tmp_path, "beside", TOML)
    text = "import my_core.model\n\nfit = predict = my_core.model.fit\n"
    (home / "adapter.py").write_text(text)
    (home / "my_core").mkdir()
    (home / "my_core" / "model.py").write_text("def fit(): return 5\n")
    for package in packages:
        (home / package / "__init__.py").touch()
    (home / "my_core" / "circle").symlink_to(home)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "modules", {**sys.modules})
    assert load_adapter(str(home / "adapter.py")).fit() == 5
    before = get("beside", [tmp_path]).adapter_hash
    (home / "my_core" / "model.py").write_text("def fit(): return 6\n")
    assert get("beside", [tmp_path]).adapter_hash != before
