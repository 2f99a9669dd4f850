"""Files that a trial leaves: kept by pattern and size, never through a link."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from benchmark.cli.studies.studies import lines
from benchmark.execution.runner import Runner
from benchmark.hpo.report.html_report import write_report
from benchmark.hpo.spec.study_file import StudyError, define
from benchmark.hpo.study.study import Study
from benchmark.hpo.trials.artifacts import keep_artifacts
from benchmark.store import Store


def declared(artifacts: Any, text: str = "echo 1") -> dict[str, Any]:
    tunable = {"name": "x", "value_type": "integer", "lower_bound": 1, "upper_bound": 9}
    return {
        "name": "s",
        "direction": "minimize",
        "tunables": [tunable | {"default": 4}],
        "trials": 1,
        "limits": {"time": 200, "memory": 300},
        "objective": {"command": ["sh", "-c", text], "artifacts": artifacts},
    }


TEXT = "mkdir plots; echo '<b>' > 'plots/a b.txt'; echo no > other; ln -s /etc/passwd l.txt; echo 1"


def test_files_of_a_trial_are_kept_and_shown(
    folder_store: Store, tmp_path: Path, warm: None
) -> None:
    study = Study.begin(folder_store, define(declared("*.txt", TEXT), tmp_path))
    with Runner(study.run) as runner:
        record = runner.execute(study.ask()[0])
    assert study.tell(record)
    path = "studies/s/artifacts/0/0001/plots/a%20b.txt"
    assert folder_store.list("studies/s/artifacts") == [path]
    assert folder_store.get(path) == b"<b>\n"
    assert record.labels["artifacts"] == [{"name": "plots/a b.txt", "bytes": 4, "path": path}]
    assert record.labels["artifacts_left_out"] == ["l.txt is a link"]
    shown = lines(study.run, study.definition)
    assert shown[-2:] == [
        f"  artifact: {folder_store.url}/{path} (4 bytes)",
        "  not kept: l.txt is a link",
    ]
    html = write_report(study.run, study.definition, tmp_path / "report").read_text()
    assert '<a href="artifacts/0/0001/plots/a%2520b.txt">' in html
    copied = tmp_path / "report/artifacts/0/0001/plots/a%20b.txt"
    assert copied.read_bytes() == b"<b>\n"


@pytest.fixture
def study(folder_store: Store, tmp_path: Path) -> Study:
    (tmp_path / "own.txt").write_text("the study's own")
    values = declared({"patterns": "*", "largest": "1Ki", "total": "2Ki"})
    values["objective"]["files"] = ["own.txt"]
    return Study.begin(folder_store, define(values, tmp_path))


def test_what_is_not_a_file_of_the_trial_is_left_out(study: Study, tmp_path: Path) -> None:
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    for place in (folder, outside, folder / ".runs"):
        place.mkdir()
    (outside / "secret").write_text("secret")
    (folder / "escape").symlink_to(outside)
    os.link(outside / "secret", folder / "hard")
    os.mkfifo(folder / "pipe")
    os.truncate(os.open(folder / "sparse", os.O_CREAT | os.O_WRONLY), 2**40)
    (folder / ".runs" / "0.output").write_text("ours")
    (folder / "own.txt").write_text("the study's own")
    for name in "abc":
        (folder / name).write_bytes(b"x" * 900)
    (folder / "last").write_bytes(b"x" * 100)
    wanted = study.definition.objective.artifacts
    assert wanted is not None
    labels = keep_artifacts(study.run, "0", 1, folder, wanted)
    assert [kept["name"] for kept in labels["artifacts"]] == ["a", "b", "last"]
    assert labels["artifacts_left_out"] == [
        "c is beyond the limits of a trial: 100 files, and 'total'",
        "escape is a link",
        "hard is a link",
        "pipe is not a regular file",
        "sparse has 1,048,576.000 MiB, more than 0.001",
    ]
    assert len(study.run.store.list("studies/s/artifacts")) == 3


@pytest.mark.parametrize(
    ("artifacts", "said"),
    [
        ([], "has the patterns []; write paths in the trial's own folder"),
        ("/etc/*", "has the patterns ['/etc/*']"),
        (["a/../../b"], "has the patterns ['a/../../b']"),
        ([1], "has the patterns [1]"),
        ({"patterns": "*", "largest": 0}, "has 0 as 'largest'; write a size such as 10Mi."),
        ({"patterns": "*", "total": "5 s"}, "'artifacts': "),
        ({"pattern": "*"}, "did you mean 'patterns'"),
    ],
)
def test_faults_of_artifacts(tmp_path: Path, artifacts: Any, said: str) -> None:
    with pytest.raises(StudyError) as caught:
        define(declared(artifacts), tmp_path)
    assert said in str(caught.value)
