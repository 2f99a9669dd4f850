"""The contract test: it passes what works, and says of what does not where and why."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmark.frameworks import Framework, get
from benchmark.frameworks.new import make
from benchmark.frameworks.registry import of_folder
from benchmark.runs.contract import DATASETS, Check, contract

pytestmark = pytest.mark.usefixtures("warm")


@pytest.fixture(autouse=True)
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit that is late because the machine is busy is worth no note."""
    monkeypatch.setattr("benchmark.runs.contract.BUDGET_S", 100.0)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """The template, in random-forest's environment, which the tests have anyway."""
    folder = make("mine", tmp_path)
    text = (folder / "framework.toml").read_text()
    (folder / "framework.toml").write_text('environment = "random-forest"\n' + text)
    return folder


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A copy of the constant predictor, which is trained in no time."""
    folder = tmp_path / "plain"
    shutil.copytree(get("constant").folder, folder)
    text = (folder / "framework.toml").read_text().replace('"constant"', '"plain"')
    lines = [line for line in text.splitlines() if not line.startswith("aliases")]
    (folder / "framework.toml").write_text("\n".join(lines))
    return folder


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment is not imported once more, which takes 1 to 3 s; the first test does that."""
    monkeypatch.setattr("benchmark.runs.contract.verify", lambda *_: 0.1)


def changed(folder: Path, before: str, after: str) -> Framework:
    text = (folder / "adapter.py").read_text()
    assert text.count(before) == 1
    (folder / "adapter.py").write_text(text.replace(before, after))
    return of_folder(folder)


def told(framework: Framework) -> dict[str, Check]:
    return {check.name.partition(" ")[0]: check for check in contract(framework)}


@pytest.mark.slow
def test_the_template_keeps_the_contract(mine: Path) -> None:
    found = list(contract(of_folder(mine)))
    assert {check.state for check in found} == {"ok"}, found
    names = [check.name.partition(" ")[0] for check in found]
    assert names == [
        *("framework.toml", "requirements.lock", "adapter.py", "environment"),
        *DATASETS,
        "same",
    ]


def test_no_better_than_a_constant_is_worth_a_note(verified: None) -> None:
    found = list(contract(get("constant")))
    assert {check.state for check in found} == {"ok", "note"}
    notes = [check for check in found if check.state == "note"]
    assert len(notes) == len(DATASETS)
    assert all("no better than a constant" in note.message for note in notes)


def test_what_the_sandbox_finds_is_told(plain: Path, verified: None) -> None:
    framework = changed(plain, 'model["classes"],', '["a", "b", "c"],')
    found = told(framework)
    assert found["titanic"].state == "wrong"
    assert "framework" in found["titanic"].message
    assert found["cpu"].state != "wrong"
    assert "same" not in found


def test_what_depends_on_more_than_the_seed_is_worth_a_note(plain: Path, verified: None) -> None:
    after = 'model["mean"] + __import__("time").time_ns() % 1000003)'
    framework = changed(plain, 'model["mean"])', after)
    assert told(framework)["same"].state == "note"


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("def describe(model):", "def described(model):", "no function describe()"),
        ("def fit(train, problem, limits):", "def fit(train):", "fit() must take 3 arguments"),
        ("import sklearn\n", "import sklearn\nimport benchmark.data\n", "imports from benchmark"),
        ("import sklearn\n", "import sklearn (\n", "it is no Python at line"),
    ],
)
def test_an_adapter_that_cannot_work_is_not_run(
    mine: Path, before: str, after: str, words: str, verified: None
) -> None:
    found = told(changed(mine, before, after))
    assert found["adapter.py"].state == "wrong"
    assert words in found["adapter.py"].message
    assert not set(DATASETS) & set(found)


def test_a_requirement_that_is_not_locked_is_told(tmp_path: Path) -> None:
    folder = make("mine", tmp_path)
    with (folder / "requirements.in").open("a") as file:
        file.write("xgboost>=2  # soon\n")
    framework = of_folder(folder)
    check = next(c for c in contract(framework) if c.name == "requirements.lock")
    assert check.state == "wrong"
    assert "lacks xgboost" in check.message
    assert "frameworks lock" in check.message
