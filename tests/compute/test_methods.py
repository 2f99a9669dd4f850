"""Methods are found in folders and packages; a broken one stops nothing; who runs what."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.compute import discovery, methods
from benchmark.compute.dispatcher import Dispatcher
from benchmark.compute.local.local import LocalDispatcher
from benchmark.config.loading import Config
from benchmark.errors import ConfigError, MethodError
from benchmark.records.results import Cause
from benchmark.runs.execute import execute
from benchmark.runs.plan import Plan
from benchmark.store import Store
from tests.support.plugins import DISPATCHERS, install, install_example

SOURCE = """
from benchmark.compute.dispatcher import AutoMLMethods, Dispatcher
from .{name}_wrapper import WORD

@AutoMLMethods("random-forest")
class Own(Dispatcher):
    word = WORD

    @classmethod
    def process(cls, tests):
        for task in tests:
            tests.execute(task)
"""


def own_method(folder: Path, name: str = "condor", source: str = SOURCE) -> Path:
    """A folder NAME/ with NAME.py and a module beside it."""
    home = folder / name
    home.mkdir(parents=True)
    (home / f"{name}.py").write_text(source.replace("{name}", name))
    (home / f"{name}_wrapper.py").write_text(f'WORD = "{folder.name}"\n')
    return home


def test_a_folder_beside_local_is_a_method() -> None:
    known = discovery.known_methods()
    assert known["local"] == "benchmark.compute.local.local"
    assert discovery.load_method("local") is LocalDispatcher


def test_an_installed_package_brings_a_method(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(install_example(tmp_path))
    assert discovery.known_methods()["one-by-one"] == "automl_plugin.one_by_one:OneByOne"
    method = discovery.load_method("one-by-one")
    assert issubclass(method, Dispatcher)
    assert method.methods == ("nearest",)


def test_own_folders_are_named_by_their_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_method(tmp_path / "one")
    own_method(tmp_path / "two")
    monkeypatch.chdir(tmp_path)
    first, second = (discovery.load_method(f"./{place}/condor") for place in ("one", "two"))
    assert (first.__name__, first.methods) == ("Own", ("random-forest",))
    assert [vars(method)["word"] for method in (first, second)] == ["one", "two"]
    with pytest.raises(ConfigError, match=r"there is no .*three/three\.py"):
        discovery.load_method("./three")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import nothing_of_this_name\n", "nothing_of_this_name"),
        ("def broken(:\n", "SyntaxError"),
        ("raise SystemExit(3)\n", "SystemExit"),
        ("word = 1\n", "must hold one dispatcher; it has none"),
        (SOURCE + SOURCE.replace("Own", "Other"), "it has Own, Other"),
    ],
)
def test_a_broken_method_is_one_sentence(tmp_path: Path, source: str, words: str) -> None:
    home = own_method(tmp_path, source=source)
    with pytest.raises(MethodError) as caught:
        discovery.load_method(str(home))
    assert words in str(caught.value)
    assert str(home / "condor.py") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_subclass_in_the_module_is_the_method(tmp_path: Path) -> None:
    home = own_method(tmp_path, source=SOURCE + "\nclass Better(Own):\n    pass\n")
    assert discovery.load_method(str(home)).__name__ == "Better"


def test_a_broken_entry_point_is_told_and_the_others_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = install_example(tmp_path)
    install(site, "ruin", {DISPATCHERS: {"gone": "nowhere.at.all:Gone", "wrong": "json:dumps"}})
    monkeypatch.syspath_prepend(site)
    loaded, warnings = discovery.load_all()
    assert {"local", "one-by-one"} <= set(loaded)
    assert [text for text in warnings if "'gone'" in text and "nowhere" in text]
    assert [text for text in warnings if "'wrong'" in text and "no Dispatcher" in text]


@pytest.mark.parametrize(
    ("changes", "expected", "reason"),
    [
        ({}, {"nearest": "local", "rf": "local"}, "unset"),
        ({"s3_bucket_root": "bucket"}, {"nearest": "local", "rf": "local"}, "unset"),
        ({"job_queue_id": "q"}, {"nearest": "one-by-one", "rf": "local"}, "job_queue_id"),
        (
            {"job_queue_id": "q", "compute": {"*": "local"}},
            {"nearest": "local", "rf": "local"},
            "by 'compute'",
        ),
        (
            {"compute": {"random-forest": "one-by-one"}},
            {"nearest": "local", "rf": "one-by-one"},
            "by 'compute'",
        ),
        (
            {"compute": {"random-forest": "one-by-one", "rf": "local", "*": "one-by-one"}},
            {"nearest": "one-by-one", "rf": "local"},
            "by 'compute'",
        ),
    ],
)
def test_who_runs_what(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, object],
    expected: dict[str, str],
    reason: str,
) -> None:
    monkeypatch.syspath_prepend(install_example(tmp_path))
    config = Config.model_validate(changes)
    choice = methods.methods_of(config, {"nearest": "nearest", "rf": "random-forest"})
    assert choice.methods == expected
    assert reason in choice.reason
    assert "\n" not in choice.line
    for method in set(expected.values()):
        assert method in choice.line


def test_the_line_names_the_few_and_not_the_rest() -> None:
    choice = methods.Choice({"a": "local", "b": "local", "c": "batch"}, "why")
    assert choice.line == "Compute: batch for c; local for the rest (why)"


def test_two_methods_marked_for_one_framework_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = install_example(tmp_path)
    install(site, "copy", {DISPATCHERS: {"again": "automl_plugin.one_by_one:OneByOne"}})
    monkeypatch.syspath_prepend(site)
    with pytest.raises(ConfigError, match=r"both again and one-by-one are marked for nearest"):
        methods.methods_of(Config(job_queue_id="q"), {"nearest": "nearest"})


def test_planning_refuses_what_cannot_run_and_lets_the_rest_go_on(tmp_path: Path) -> None:
    broken = str(own_method(tmp_path, source="import nothing_of_this_name\n"))
    some = Config(compute={"*": "local", "constant": broken})
    methods.check(some, {"constant": "constant", "rf": "random-forest"})
    with pytest.raises(MethodError, match="nothing_of_this_name"):
        methods.check(some, {"constant": "constant"})
    with pytest.raises(ConfigError, match="'cloud'"):
        methods.check(Config(compute={"*": "local", "h2o": "cloud"}), {"rf": "random-forest"})


def test_a_broken_method_leaves_its_tasks_and_the_others_run(
    warm: None,
    tmp_path: Path,
    make_plan: Callable[..., Plan],
    make_config: Callable[..., Config],
    folder_store: Store,
) -> None:
    broken = str(own_method(tmp_path, "bad", source="raise RuntimeError('no cluster')\n"))
    good = str(own_method(tmp_path, "good"))
    changes = {
        "frameworks": ["constant", {"name": "constant", "as": "unlucky"}],
        "compute": {"*": good, "unlucky": broken},
    }
    plan = make_plan(folder_store, datasets=("cpu",), **changes)
    summary = execute(plan.run, make_config(**changes), plan.tasks)
    assert summary.records["constant/cpu/75"].status == "success"
    left = summary.records["unlucky/cpu/75"]
    assert left.cause is Cause.INFRASTRUCTURE
    assert "no cluster" in left.message
    assert [fault for fault in summary.faults if "no cluster" in fault]
    assert any(name.endswith("good.good") for name in sys.modules)
