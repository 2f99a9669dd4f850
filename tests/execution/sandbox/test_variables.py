"""Secrets of the program's environment: which are kept from a task, and who gets one by name."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.execution.runner import Runner
from benchmark.execution.sandbox.sandbox import Sandbox
from benchmark.execution.sandbox.variables import in_c_locale, is_secret, without_secrets
from benchmark.execution.work import Limits, Work
from benchmark.hpo.spec.study_file import StudyError, define
from benchmark.hpo.study.study import Study
from benchmark.hpo.trials import restore_hooks
from benchmark.records.results import Record
from benchmark.store import Store

SECRETS = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"),
    *("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    *("OPENML_APIKEY", "AUTOML_BENCHMARK_OPENML_API_KEY", "AUTOML_BENCHMARK_EC2_SSH_KEY"),
    *("HPO_TOKEN", "HF_TOKEN", "WANDB_API_KEY", "PGPASSWORD", "MYSQL_PWD", "DB_PASS", "SLURM_JWT"),
    *("GOOGLE_APPLICATION_CREDENTIALS", "METAFLOW_SERVICE_AUTH_KEY", "DOCKER_AUTH_CONFIG"),
    *("client_secret", "SSH_PRIVATE_KEY_BASE64", "AZURE_STORAGE_CONNECTION_STRING"),
)
OTHERS = (
    *("PATH", "HOME", "PWD", "OLDPWD", "TOKENIZERS_PARALLELISM", "AWS_REGION", "AWS_ENDPOINT_URL"),
    *("SSH_AUTH_SOCK", "JAVA_HOME", "OMP_NUM_THREADS", "SLURM_JOB_ID", "XDG_CACHE_HOME", "LANG"),
)
X = {"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1, "default": 0.5}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_by_its_name(name: str) -> None:
    assert is_secret(name, "v")


@pytest.mark.parametrize("name", OTHERS)
def test_no_secret_by_its_name(name: str) -> None:
    assert not is_secret(name, "v")


@pytest.mark.parametrize(
    ("value", "secret"),
    [
        ("postgresql://u:pw@host/db", True),
        ("http://:pw@proxy:3128", True),
        ("https://u:p%40@w@host", True),
        ("http://proxy:3128", False),
        ("http://user@host:80/a:b@c", False),
        ("/usr/bin:/bin", False),
    ],
)
def test_a_secret_by_its_value(value: str, secret: bool) -> None:
    assert is_secret("PLAIN", value) is secret


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED_TOKEN", "never")
    monkeypatch.setenv("GIVEN_TOKEN", "given")
    monkeypatch.setenv("PLANTED_URL", "postgresql://u:never@host/db")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")


@pytest.fixture
def first(folder_store: Store, tmp_path: Path, planted: None) -> Callable[..., Record]:
    """The record of the first trial of a study."""

    def run(objective: dict[str, Any], **more: Any) -> Record:
        study = {"name": "s", "direction": "minimize", "tunables": [X], "trials": 1, **more}
        study |= {"objective": objective, "limits": {"time": 30, "memory": 500}}
        begun = Study.begin(folder_store, define(study, tmp_path))
        (task,) = begun.ask()
        with Runner(begun.run) as runner:
            return runner.execute(task)

    return run


def test_a_work_gets_what_it_asks_for(planted: None) -> None:
    limits = Limits(20, 300, 1)
    asking = Work(Path(sys.executable), {"argv": ["env"]}, limits, secrets=("GIVEN_TOKEN", "NONE"))
    plain = Work(Path(sys.executable), {"argv": ["env"]}, limits)
    with Sandbox() as sandbox:
        assert b"GIVEN_TOKEN=given\n" in (log := sandbox.run(asking).log)
        assert b"never" not in log
        assert b"PATH=" in log
        assert b"LC_ALL=" not in log
        assert b"LC_CTYPE=C.UTF-8\n" in log
        # The same zygote: what one task asked for is not the next one's.
        assert b"given" not in sandbox.run(plain).log


SEEN = 'test "$GIVEN_TOKEN" = given && test -z "$PLANTED_TOKEN$PLANTED_URL" && echo 1'


def test_commands_and_hooks_of_a_study(first: Callable[..., Record], tmp_path: Path) -> None:
    left = tmp_path / "restored"
    record = first(
        {
            "command": ["sh", "-c", SEEN],
            "prepare": ["sh", "-c", SEEN],
            "restore": ["sh", "-c", f"{SEEN} > {left}"],
        },
        secrets=["GIVEN_TOKEN"],
    )
    assert (record.status, record.message) == ("success", "")
    assert left.read_text() == "1\n"
    assert "not_restored" not in record.labels


def test_a_python_objective(first: Callable[..., Record], tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "import os\n"
        "def objective(trial):\n"
        "    assert not {'PLANTED_TOKEN', 'PLANTED_URL'} & set(os.environ)\n"
        "    return float(os.environ['GIVEN_TOKEN'] == 'given')\n"
    )
    record = first({"python": "own.py:objective"}, secrets="GIVEN_TOKEN")
    assert (record.message, record.labels["values"]) == ("", [1.0])


def test_a_restore_hook_that_asks_for_none(
    folder_store: Store, tmp_path: Path, planted: None
) -> None:
    objective = {"command": ["true"], "restore": ["true"]}
    study = {"name": "s", "direction": "minimize", "tunables": [X], "objective": objective}
    begun = Study.begin(folder_store, define(study, tmp_path))
    hook = restore_hooks.Hook(["sh", "-c", 'test -z "$PLANTED_TOKEN$LC_ALL"'], {}, 20)
    restore_hooks.mark(begun.run, "0", hook, "over")
    assert restore_hooks.put_back(begun.run, "0") is None


def test_a_secret_in_the_place_of_its_name_is_not_repeated(tmp_path: Path) -> None:
    study = {"name": "s", "direction": "minimize", "tunables": [X], "secrets": ["hunter2!"]}
    with pytest.raises(StudyError, match="names of environment variables") as raised:
        define(study | {"objective": {"command": ["true"]}}, tmp_path)
    assert "hunter2" not in str(raised.value)


def test_what_the_program_has_stays() -> None:
    assert without_secrets(os.environ).items() <= os.environ.items()
    assert without_secrets({"A": "b", "C_TOKEN": "d"}) == {"A": "b"}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (
            {"LC_ALL": "de_DE.UTF-8", "LANG": "en_US.UTF-8", "LC_COLLATE": "C"},
            {"LC_COLLATE": "de_DE.UTF-8", "LC_CTYPE": "C.UTF-8"},
        ),
        (
            {"LANG": "de_DE.utf8", "LC_NUMERIC": "de_DE.utf8", "LANGUAGE": "de:fr"},
            {"LC_COLLATE": "de_DE.utf8", "LC_CTYPE": "C.UTF-8"},
        ),
        (
            {"LANG": "de_DE.UTF-8", "LC_ALL": "", "LC_COLLATE": "C"},
            {"LC_COLLATE": "C", "LC_CTYPE": "C.UTF-8"},
        ),
        (
            {"LANG": "de_DE@euro"},
            {"LC_COLLATE": "de_DE@euro", "LC_CTYPE": "de_DE@euro"},
        ),
        ({"LC_ALL": "C"}, {"LC_COLLATE": "C", "LC_CTYPE": "C"}),
        ({}, {}),
    ],
)
def test_messages_and_numbers_of_tasks_do_not_depend_on_the_locale(
    given: dict[str, str], kept: dict[str, str]
) -> None:
    assert in_c_locale({"A": "b", **given}) == {"A": "b", **kept}
