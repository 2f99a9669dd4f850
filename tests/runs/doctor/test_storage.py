"""What doctor finds in a store, and the deadline of checks that hang."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmark.errors import StoreError
from benchmark.records import results
from benchmark.records.results import Cause
from benchmark.runs.doctor import storage
from benchmark.runs.doctor.finding import Asked, Finding, ok
from benchmark.runs.plan import Plan
from benchmark.store import FolderStore, Store, open_store


def levels(findings: list[Finding], subject: str) -> list[str]:
    return [finding.level for finding in findings if finding.subject == subject]


def test_bad_objects_of_a_store_are_each_named_once(
    folder_store: FolderStore, make_plan: Callable[..., Plan], caplog: pytest.LogCaptureFixture
) -> None:
    plan = make_plan(folder_store)
    one, two = (task.key for task in plan.tasks)
    run, url = plan.run, folder_store.url
    for key in (one, two):
        attempt = results.begin(run, run.task(key))
        results.settle(run, attempt, results.failure(run.task(key), Cause.TIMEOUT, "late"))
    assert list(storage.check_objects(url)) == []
    of_one = folder_store.get(run.out_path(one)) or b""
    bad = {
        run.out_path(two): of_one,
        run.out_path("no/such/1"): b"[" * 100_000,
        run.attempt_path(one, 1): of_one.replace(one.encode(), two.encode()),
        f"{run.attempts_path(one)}/notes.txt": b"mine",
        "broken/manifest.json": b'{"version": 1}',
    }
    for path, data in bad.items():
        folder_store.put(path, data)
    links = [f"{run.attempts_path(one)}/0002.json", run.out_path("a/loop/1")]
    pipe, loop = (Path(url, link) for link in links)
    loop.parent.mkdir(parents=True)
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    found = list(storage.check_objects(url))
    assert {finding.level for finding in found} == {"warning"}
    assert sorted(finding.message.split()[0] for finding in found) == sorted([*bad, *links])
    assert not caplog.records


def test_a_store_is_tried_and_left_as_it_was(folder_store: FolderStore) -> None:
    found = list(storage.check_store(str(folder_store.root)))
    assert [finding.level for finding in found] == ["ok"]
    assert [path for path in folder_store.root.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("method", "answer", "words"),
    [
        ("create", lambda self, path, data: self.put(path, data) or True, "overwrites"),
        ("get", lambda self, path: None, "does not return what"),
        ("delete", lambda self, paths: None, "does not delete"),
    ],
)
def test_a_store_that_does_not_keep_its_word(
    folder_store: FolderStore,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    answer: Callable[..., object],
    words: str,
) -> None:
    monkeypatch.setattr(FolderStore, method, answer)
    found = list(storage.check_store(str(folder_store.root)))
    assert [finding.level for finding in found] == ["fault"]
    assert words in found[0].message


def test_a_store_that_cannot_be_written(
    folder_store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Store, path: str, data: bytes) -> None:
        raise StoreError("The store cannot write: Read-only file system; choose another.")

    monkeypatch.setattr(FolderStore, "put", refuse)
    found = list(storage.check_store(str(folder_store.root)))
    assert [finding.level for finding in found] == ["fault"]
    assert "Read-only" in found[0].message
    assert found[0].mend == "choose another"


def test_a_store_on_s3(s3: str, aws: pytest.MonkeyPatch) -> None:
    assert [finding.level for finding in storage.check_store(s3)] == ["ok"]
    assert [finding.level for finding in storage.check_clock()] == ["ok"]
    assert open_store(s3).list() == []
    aws.setenv("AWS_ACCESS_KEY_ID", "AKIAREADER")
    [found] = storage.check_store(s3)
    assert (found.level, "AccessDenied" in found.message) == ("fault", True)
    aws.delenv("AWS_ACCESS_KEY_ID")
    [found] = storage.check_store(s3)
    assert (found.level, "no AWS credentials" in found.message) == ("fault", True)


def test_the_region_of_the_credentials_is_the_one_that_runs_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    [found] = storage.check_credentials()
    assert found.message == "from the environment (AWS_ACCESS_KEY_ID), region eu-west-1"


def test_a_store_in_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("in the way")
    assert levels(list(storage.check_store(str(tmp_path / "runs"))), "store") == ["fault"]
    assert levels(list(storage.check_store(str(tmp_path / "runs/x"))), "store") == ["fault"]


def test_what_hangs_is_a_finding_and_keeps_nobody_waiting() -> None:
    release = threading.Event()

    def check() -> Iterator[Finding]:
        yield ok("store", "began")
        release.wait()

    found = Asked("store", check).findings(deadline_s=0.05)
    release.set()
    assert found[-1].level == "fault"
    assert "no answer" in found[-1].message


def test_a_check_that_fails_is_a_finding() -> None:
    def check() -> Iterator[Finding]:
        yield ok("store", "began")
        raise ValueError("odd")

    found = Asked("store", check).findings()
    assert [finding.level for finding in found] == ["ok", "fault"]
    assert "ValueError: odd" in found[1].message
