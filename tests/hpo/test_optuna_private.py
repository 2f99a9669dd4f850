"""Private names of Optuna are used in one module, and there are as this version of Optuna has them.

After an update of Optuna the first test names what was removed or renamed; the module to change is
`benchmark/hpo/storages/optuna_private.py`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

import benchmark
from benchmark.hpo.storages import optuna_private

PACKAGE = Path(benchmark.__file__).parent
MODULE = Path(optuna_private.__file__)
# It runs beside an objective, in an interpreter that may lack this program.
ALONE = PACKAGE / "hpo" / "sandboxed" / "python_trial.py"
USED = {
    "study": {"_storage", "_study_id", "_stop_flag", "_thread_local"},
    "trial": {"_trial_id"},
    "frozen_study": {"_study_id"},
    "memory": {
        *("_lock", "_get_trial", "_set_trial", "_studies", "_max_trial_id"),
        *("_trial_id_to_study_id_and_number", "_prev_waiting_trial_number"),
        *("_check_study_id", "_update_cache"),
    },
    "journal": {
        *("_thread_lock", "_replay_result", "_worker_id_prefix", "_write_log"),
        "_sync_with_backend",
    },
    "state": {
        *("_trials", "_studies", "_study_id_to_trial_ids", "log_number_read", "worker_id"),
        *("_last_created_trial_id_by_this_process", "apply_logs", "get_study", "get_trial"),
        *("get_all_studies", "get_all_trials"),
    },
    "file": {"_file_path", "_lock", "_log_number_offset"},
    "database": {
        *("_build_frozen_trial_from_trial_model", "_set_trial_attr_without_commit"),
        *("_set_trial_value_without_commit", "scoped_session"),
    },
    "cached": {"_backend"},
    "sampler": {"_gprs_cache_list", "_constraints_gprs_cache_list"},
}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("optuna")
    file = JournalFileBackend(str(folder / "journal"))
    journal = JournalStorage(file)
    study = optuna.create_study(storage=journal)
    database = f"sqlite:///{folder}/studies.db"
    return {
        "study": study,
        "trial": study.ask(),
        "frozen_study": journal.get_all_studies()[0],
        "memory": InMemoryStorage(),
        "journal": journal,
        "state": getattr(journal, "_replay_result", None),
        "file": file,
        "database": RDBStorage(database),
        "cached": getattr(optuna.create_study(storage=database), "_storage", None),
        "sampler": vars(optuna.samplers.GPSampler()),
    }


@pytest.mark.parametrize("part", USED)
def test_optuna_has_the_names(parts: dict[str, Any], part: str) -> None:
    there = parts[part] if isinstance(parts[part], dict) else dir(parts[part])
    assert USED[part] - {*there} == set(), f"Optuna {optuna.__version__} has changed its {part}"


def attributes(tree: ast.AST) -> Iterator[ast.Attribute]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and "__" not in node.attr:
            yield node


def test_the_table_above_is_complete() -> None:
    written = ast.parse(MODULE.read_text())
    texts = {one.value for one in ast.walk(written) if isinstance(one, ast.Constant)}
    named = {one.attr for one in attributes(written)} | {
        text for text in texts if isinstance(text, str) and text.startswith("_")
    }
    assert named - set().union(*USED.values()) == set()


def test_no_other_module_uses_a_private_name() -> None:
    private = {name for names in USED.values() for name in names if name.startswith("_")}
    found = []
    for file in (PACKAGE / "hpo").rglob("*.py"):
        text = file.read_text()
        if file in (MODULE, ALONE) or not any(name in text for name in ("optuna.", *private)):
            continue
        tree = ast.parse(text)
        found += [
            f"{file}:{node.lineno}: import of {node.module}"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            and str(node.module).startswith("optuna.")
            and any(part.startswith("_") for part in [*str(node.module).split(".")])
        ]
        heirs = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef)
            and any(ast.unparse(base).endswith("Parts") for base in node.bases)
        ]
        inherited = {id(node) for heir in heirs for node in attributes(heir)}
        found += [
            f"{file}:{node.lineno}: {ast.unparse(node)}"
            for node in attributes(tree)
            if node.attr in private
            and (id(node) in inherited or ast.unparse(node.value) not in ("self", "cls"))
        ]
    assert found == []
