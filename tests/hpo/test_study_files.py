"""Study files: search spaces of the service, faults, and values that come back from a table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark.hpo.report import export
from benchmark.hpo.space.operators import ExpressionError
from benchmark.hpo.spec.study_file import StudyError, define, read_study
from benchmark.hpo.study.study import Study
from benchmark.hpo.study.trial_import import Mapping, import_rows, read_rows
from benchmark.hpo.trials.trial_record import value_of
from benchmark.records import results
from benchmark.store import Store


def test_the_service_s_search_space_is_taken(tmp_path: Path) -> None:
    space = {
        "experiment_name": "petclinic",
        "experiment_id": "a123",
        "total_trials": 7,
        "parallel_trials": 1,
        "value_type": "double",
        "hpo_algo_impl": "optuna_tpe",
        "objective_function": "transaction_response_time",
        "direction": "minimize",
        "tunables": [
            {
                "name": "cpu",
                "value_type": "double",
                "lower_bound": 1,
                "upper_bound": 3,
                "step": 0.01,
            }
        ],
    }
    file = tmp_path / "search_space.json"
    file.write_text(json.dumps({"operation": "EXP_TRIAL_GENERATE_NEW", "search_space": space}))
    study = read_study(file, {"objective": {"command": "./measure.sh {cpu}"}})
    assert (study.name, study.trials, study.space.size()) == ("petclinic", 7, 201)
    for metrics in ({"value": 3.0}, {"transaction_response_time": 3.0, "throughput": 9.0}):
        assert value_of(study, "value", {"cpu": 1, **metrics}) == 3
    with pytest.raises(ExpressionError, match="transaction_response_time"):
        value_of(study, "value", {"cpu": 1, "throughput": 9.0})


def test_every_fault_of_a_study_file(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("name: ../x\ntrials: 0\ntunables: []\nobjective: {}\nseed: a\nfoo: 1\n")
    with pytest.raises(StudyError) as caught:
        read_study(file)
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("has 7 faults:")
    for said in ("'../x'", "'trials'", "no tunables", "'objective'", "'seed'", "'foo'"):
        assert sum(said in line for line in lines[1:]) == 1
    file.write_text("name: s\ndirecton: minimize\nobjectiv: {}\ntunables: [{name: x}]\n")
    with pytest.raises(StudyError) as caught:
        read_study(file)
    said = ["'direction'?", "'objective'?", "value_type None; write one of"]
    lines = str(caught.value).splitlines()[1:]
    assert [part in line for part, line in zip(said, lines, strict=True)] == [True] * 3, lines
    file.write_text("name: s\ntunables:\n- {name: x, when: 'a == 'b''}\n")
    with pytest.raises(StudyError, match="in double quotes: when:"):
        read_study(file)
    file.write_text("name: [")
    with pytest.raises(StudyError, match="is not YAML"):
        read_study(file)


# Formulas, texts that begin like a guarded one, spaces, line ends, control characters, look-alikes.
HOSTILE_CHOICES = [
    *("=1+1", "'=x", "''=x", "@a", "\tx", " a", "a", " =a", "' a", "a ", "-", "+", "'-5", "-5", -5),
    *("'", "a,b", '=a"b', "a\nb", "\nb", "x\r\ny", "x\ry", "\x1b[2J", "\u202ea", "\x00", " 5", "5"),
    *("1", 1, True, "true", "null", "inf", "+1"),
]


def test_every_choice_comes_back_from_an_exported_table(
    folder_store: Store, tmp_path: Path
) -> None:
    names = ["before", "after"]
    before, after = (
        Study.begin(
            folder_store,
            define(
                {
                    "name": name,
                    "direction": "minimize",
                    "objective": {"command": "true"},
                    "tunables": [
                        {"name": "c", "value_type": "categorical", "choices": HOSTILE_CHOICES}
                    ],
                },
                tmp_path,
            ),
        )
        for name in names
    )
    rows = [{"c": choice, "value": at} for at, choice in enumerate(HOSTILE_CHOICES)]
    assert not import_rows(before, rows).skipped
    file = tmp_path / "experiment-data.csv"
    records = list(results.records(before.run))
    file.write_bytes(export.table(records, before.definition).encode())
    assert not {"\x1b", "\x00", "\r", "\u202e"} & set(file.read_bytes().decode())
    assert not import_rows(after, read_rows(file, Mapping())).skipped
    found = {record.metrics["value"]: record for record in results.records(after.run)}
    read = [found[at].labels["params"]["c"] for at in range(len(HOSTILE_CHOICES))]
    assert [(type(one), one) for one in read] == [(type(one), one) for one in HOSTILE_CHOICES]
