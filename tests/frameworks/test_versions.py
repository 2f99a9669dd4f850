"""Other versions of a framework: resolved once, locked into the run, a framework of their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.config.cache import cache_folder
from benchmark.config.loading import Config, load_config
from benchmark.errors import BenchmarkError, ConfigError, SetupError
from benchmark.frameworks import get, locks, of_entry, registry
from benchmark.runs.plan import Narrowing, chosen_frameworks, draft, plan
from benchmark.store import open_store

ONE = "threadpoolctl"


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A framework with one small package, and an empty cache."""
    monkeypatch.setenv("AUTOML_BENCHMARK_CACHE", str(tmp_path / "cache"))
    home = tmp_path / "own" / "small"
    home.mkdir(parents=True)
    (home / "framework.toml").write_text(f'description = "small"\nversion_of = "{ONE}"\n')
    (home / "adapter.py").write_text("pass\n")
    (home / "requirements.in").write_text(f"# ours\n{ONE}>=3.6  # any\n")
    (home / "requirements.lock").write_text(f"{ONE}==3.6.0 --hash=sha256:{'0' * 64}\n")
    return home


def lock_of(version: str) -> str:
    return f"{ONE}=={version} \\\n    --hash=sha256:{'1' * 64}\n"


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("h2o@3.44.0.3", ("h2o", "3.44.0.3")),
        ("h2o", ("h2o", None)),
        ("h2o@", ("h2o", "")),
    ],
)
def test_names_with_versions(name: str, parts: tuple[str, str | None]) -> None:
    assert registry.split_name(name) == parts


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("numpy\nscikit-learn==1.9.1\n", "numpy\nscikit-learn==1.7.2\n"),
        ("Scikit_Learn[tests]>=1 ; python_version > '3'\n", None),
        ("-r other.in\nnumpy\n", "-r other.in\nnumpy\nscikit-learn==1.7.2\n"),
    ],
)
def test_the_pin_is_replaced_and_the_rest_stays(before: str, after: str | None) -> None:
    wanted = after or 'Scikit_Learn[tests]==1.7.2 ; python_version > "3"\n'
    assert locks._with_version(before, "scikit-learn", "1.7.2") == wanted


def test_a_lock_that_is_known_resolves_nothing(small: Path) -> None:
    known = {"small@3.5.0": lock_of("3.5.0")}
    framework = get("small@3.5.0", [small], known)
    assert framework.lock.read_text() == lock_of("3.5.0")
    assert framework.environment == "small@3.5.0"
    assert framework.lock.is_relative_to(cache_folder())
    assert framework.content_hash != get("small", [small]).content_hash
    entry = {"name": "small", "version": "3.5.0", "lock": lock_of("3.5.0"), "paths": [str(small)]}
    assert of_entry(entry) == framework


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("small@abc", "does not name a version; write one such as small@3.6.0"),
        ("small@", 'is "small@", which is not a framework\'s name'),
        ("smal@1.0", "did you mean small?"),
    ],
)
def test_a_bad_name_is_one_sentence(small: Path, name: str, words: str) -> None:
    asked = {"frameworks": [name], "frameworks_path": [str(small)]}
    with pytest.raises(ConfigError) as caught:
        chosen_frameworks(load_config(overrides=asked, environment={}).values)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_lock_with_another_version_is_refused(small: Path) -> None:
    with pytest.raises(SetupError, match=r"small@3\.5\.0 has threadpoolctl 3\.4\.0"):
        get("small@3.5.0", [small], {"small@3.5.0": lock_of("3.4.0")})


def test_the_manifest_holds_the_lock_and_a_resume_takes_it(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planned once with a resolved lock; then uv is not asked again, whatever it would say."""
    asked: list[str] = []

    def resolve(framework: object, requirements: str, header: str | None = None) -> str:
        asked.append(requirements)
        return lock_of("3.5.0")

    monkeypatch.setattr(locks, "resolve", resolve)
    config = Config(
        studies=["starter"],
        frameworks=["small", "small@3.5", {"name": "small@3.5.0", "as": "old"}],
        frameworks_path=[str(small)],
        seeds=[75],
        s3_bucket_root=str(tmp_path / "store"),
        cores=1,
    )
    store = open_store(config.store_url)
    only = Narrowing(datasets=["cpu"])
    planned = plan(store, draft(config, only))
    manifest = json.loads(store.get("default/manifest.json") or b"")
    entry = manifest["frameworks"]["small@3.5.0"]
    assert (entry["name"], entry["version"], entry["lock"]) == ("small", "3.5.0", lock_of("3.5.0"))
    assert "lock" not in manifest["frameworks"]["small"]
    assert manifest["frameworks"]["old"] == entry
    assert "threadpoolctl==3.5" in asked[0]
    named = {task.labels["framework"] for task in planned.tasks}
    assert named == {"small", "small@3.5.0", "old"}

    monkeypatch.setattr(locks, "resolve", lambda *_: lock_of("9.9.9"))
    monkeypatch.setenv("AUTOML_BENCHMARK_CACHE", str(tmp_path / "another-machine"))
    again = plan(store, draft(config, only))
    assert again.run.manifest.frameworks == planned.run.manifest.frameworks


def test_resolving_for_real_and_once(
    small: Path, monkeypatch: pytest.MonkeyPatch, make_config: Callable[..., Config]
) -> None:
    framework = get("small@3.5.0", [small])
    assert locks.versions(framework.lock.read_text()) == {ONE: {"3.5.0"}}
    assert "--hash=sha256:" in framework.lock.read_text()
    assert str(cache_folder()) not in framework.lock.read_text()
    monkeypatch.setattr(locks, "resolve", lambda *_: pytest.fail("it was resolved again"))
    assert get("small@3.5.0", [small]) == framework


def test_wheels_from_beside_the_index_are_resolved_too(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def run(arguments: list[str], folder: Path) -> None:
        asked.extend(arguments)
        (folder / locks.LOCK).write_text(lock_of("3.5.0"))

    monkeypatch.setattr(locks, "run_uv", run)
    monkeypatch.delenv("UV_FIND_LINKS", raising=False)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    file = small / "framework.toml"
    locks.resolve(get("small", [small]), "torch==2.13.0+cpu")
    assert "--find-links" not in asked
    file.write_text(file.read_text() + 'find_links = "https://example.org/wheels/"\n')
    locks.resolve(get("small", [small]), "torch==2.13.0+cpu")
    assert asked[asked.index("--find-links") + 1] == "https://example.org/wheels/"


def test_a_version_that_does_not_exist_is_one_sentence(small: Path) -> None:
    with pytest.raises(BenchmarkError) as caught:
        get("small@99.1", [small])
    assert "small@99.1" in str(caught.value)
    assert "no version of threadpoolctl==99.1" in str(caught.value)
    assert "\n" not in str(caught.value)
