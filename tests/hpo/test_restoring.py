"""Restore hooks run once their trial is over, and never while it runs somewhere."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import pytest

from benchmark.cli import main
from benchmark.errors import SetupError
from benchmark.hpo.spec.study_file import define
from benchmark.hpo.study.study import Study
from benchmark.hpo.trials import restore_hooks
from benchmark.records.tasks import Run
from benchmark.store import Store, open_store
from benchmark.store.holder import Holder
from tests.support.small_studies import with_objective


@pytest.fixture
def run(folder_store: Store, tmp_path: Path) -> Run:
    return Study.begin(folder_store, define(with_objective({"command": ["true"]}), tmp_path)).run


@pytest.fixture
def restored(tmp_path: Path) -> Path:
    return tmp_path / "restored"


def hook(restored: Path) -> restore_hooks.Hook:
    return restore_hooks.Hook(["touch", str(restored)], {}, 20)


def rewrite(run: Run, **more: Any) -> None:
    """Change the one mark, as its writer would have written it elsewhere; None leaves out."""
    (path,) = run.store.list(f"{run.name}/unrestored")
    said = json.loads(run.store.get(path) or b"")
    said["holder"] |= more.pop("holder", {})
    said = {name: value for name, value in (said | more).items() if value is not None}
    run.store.put(path, json.dumps(said).encode())


def test_a_hook_that_fails_is_forgotten_by_a_command(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """The study keeps its script, so that a fault in it cannot be fixed there."""
    restore_hooks.mark(run, "0", restore_hooks.Hook(["false"], {}, 20), "its lock")
    rewrite(run, holder={"place": "an earlier boot", "pid": 1})
    with pytest.raises(SetupError, match="exit code 1; make it succeed on this machine") as caught:
        restore_hooks.put_all_back(run)
    node = platform.node()
    assert f"studies resume s --restored {node}`; then resume." in str(caught.value)
    words = ["studies", "resume", "s", "--set", f"s3_bucket_root={run.store.url}", "--restored"]
    with run.store.lock("its lock"):
        assert main([*words, node]) == 2
    assert run.store.list(f"{run.name}/unrestored")
    assert main([*words, "other"]) == 2
    err = capsys.readouterr().err
    assert f"waits on the machine 'other'; there are of {node}." in " ".join(err.split())
    assert main(["studies", "stop", *words[2:], node]) == 2
    assert main([*words, node]) == 0
    assert f"Forgot the restore hooks of {node}: trial 0" in capsys.readouterr().out
    restore_hooks.put_all_back(run)


def test_after_a_reboot_or_a_restart_of_the_container(run: Run, restored: Path) -> None:
    restore_hooks.mark(run, "0", hook(restored), "its lock")
    rewrite(run, holder={"place": "an earlier boot", "pid": 1})
    restore_hooks.put_all_back(run)
    assert restored.exists()
    assert not run.store.list(f"{run.name}/unrestored")


@pytest.mark.parametrize("holder", [{}, {"place": "another container", "pid": 1}])
def test_not_while_its_runner_lives(run: Run, restored: Path, holder: dict[str, Any]) -> None:
    marks, beside = restore_hooks.Marks(), restore_hooks.Marks()
    marks.add(run, "0", hook(restored))
    rewrite(run, holder=holder)
    other = Run.open(open_store(run.store.url), run.name)
    beside.put_all_back(other)
    assert not restored.exists()
    marks.put_all_back(run)
    assert restored.exists()
    marks.add(run, "1", hook(restored))
    restored.unlink()
    marks.close()
    beside.put_all_back(other)
    assert restored.exists()


@pytest.mark.parametrize(
    "more",
    [
        {"machine": "another one"},
        {"lock": None, "holder": {"place": "of an earlier version, elsewhere"}},
        {"lock": None},
        {"holder": {"pid": None, "no such": 1}},
    ],
    ids=["of another machine", "unknown", "alive", "broken"],
)
def test_not_where_it_cannot_be_told(run: Run, restored: Path, more: dict[str, Any]) -> None:
    restore_hooks.mark(run, "0", hook(restored), "its lock")
    rewrite(run, **more)
    restore_hooks.put_all_back(run)
    assert not restored.exists()
    assert run.store.list(f"{run.name}/unrestored")


def test_a_mark_of_an_earlier_version_whose_process_is_dead(run: Run, restored: Path) -> None:
    restore_hooks.mark(run, "0", hook(restored), "")
    rewrite(run, lock=None, machine=None, holder={"started": "-1"})
    assert Holder.here().life.value == "alive"
    restore_hooks.put_all_back(run)
    assert restored.exists()
