"""Values of tunables in commands: flags of inactive tunables vanish, two braces are an escape."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.hpo.space.templates import filled, filled_words
from benchmark.hpo.spec.study_file import StudyError, define
from benchmark.hpo.study.study import Study
from benchmark.hpo.trials.evaluation import TrialEvaluation
from benchmark.records.tasks import Run
from benchmark.store import Store


@pytest.mark.parametrize(
    ("word", "active", "inactive"),
    [
        ("-Xmx{n}m", "-Xmx4m", "-Xmxm"),
        ("{n:-XX:ParallelGCThreads=}", "-XX:ParallelGCThreads=4", ""),
        ("{n:--size=*k}", "--size=4k", ""),
        ("a{n:-t*}b", "a-t4b", "ab"),
        ('{"n": 1, n: 2}', '{"n": 1, n: 2}', '{"n": 1, n: 2}'),
        ("${{HOME}}/{n}", "${HOME}/4", "${HOME}/"),
        ("{{n}} {n}", "{n} 4", "{n} "),
        ("{ n }", "{ n }", "{ n }"),
    ],
)
def test_templates(word: str, active: str, inactive: str) -> None:
    assert filled(word, {"n": 4}) == active
    assert filled(word, {}) == inactive


def test_only_a_word_of_templates_vanishes() -> None:
    words = ["run", "{n:-t=}", "{n}", "", "{gc:-XX:+Use*GC}"]
    assert filled_words(words, {"gc": "G1"}) == ["run", "", "", "-XX:+UseG1GC"]


def study(command: list[str] | str, **more: Any) -> dict[str, Any]:
    tunable = {"name": "n", "value_type": "integer", "lower_bound": 1, "upper_bound": 9}
    objective = {"command": command} | more
    return {"name": "s", "direction": "minimize", "objective": objective, "tunables": [tunable]}


def test_an_unknown_name_is_refused_with_the_escape() -> None:
    define(study(["run", "${{HOME}}", "{n:-t=}"], environment={"A": "{n:x}"}), Path())
    for word in ("${HOME}", "{m:-t=}"):
        with pytest.raises(StudyError, match=r"two braces: \{\{"):
            define(study(["run", word]), Path())


@pytest.mark.parametrize("word", ["{n:-t *}", "a{n:-t", "{m:x} {n: x}"])
def test_a_broken_template_is_refused(word: str) -> None:
    """A command of one text is split at its spaces, also inside of braces."""
    with pytest.raises(StudyError, match="needs a text without spaces and a closing brace"):
        define(study(["run", word], environment={"A": "{{n: x}}"}), Path())
    with pytest.raises(StudyError, match="needs a text without spaces and a closing brace"):
        define(study("run {n:-t *}"), Path())
    define(study(["awk", "{{n: 1}}", '{"n": 1}', "${x:-{y: 1}}", "{o: 1}"]), Path())


@pytest.mark.parametrize("word", ["{n:.2f}", "-n={n:08.3f}", "{n:.0%}"])
def test_a_number_format_of_python_is_a_fault(word: str) -> None:
    with pytest.raises(StudyError, match=r"which is not formatted.*declare a 'step'"):
        define(study(["run", word]), Path())
    define(study(["run", "{n:-n}", "{n:.n=}", "{n:0*}"]), Path())


def test_a_brace_that_is_never_closed_is_a_fault() -> None:
    with pytest.raises(StudyError, match="needs a text without spaces and a closing brace"):
        define(study("run {n"), Path())


@pytest.mark.parametrize(
    ("wait_ready", "said"),
    [
        ({}, "give it one of"),
        ({"http": "x", "port": 1}, "give it one of"),
        ({"http": "localhost"}, "write a URL such as"),
        ({"port": "5432"}, "write a number from 1 to 65535, or host:5432"),
        ({"port": 5432, "timeout": "2 weeks"}, "'2 weeks' is not a number with a unit"),
        ({"port": 5432, "timeout": 0}, "'timeout' of 'wait_ready' is 0; write"),
        ({"port": 5432, "tmeout": 1}, "did you mean 'timeout'"),
        ({"command": []}, "'command' is empty"),
    ],
)
def test_faults_of_wait_ready(wait_ready: Any, said: str) -> None:
    with pytest.raises(StudyError) as caught:
        define(study(["run"], wait_ready=wait_ready), Path())
    assert said in str(caught.value)


def test_a_stored_study_of_an_earlier_version_goes_on(folder_store: Store) -> None:
    """Its templates and rules would be refused in a new one, and cannot be corrected any more."""
    first = Study.begin(folder_store, define(study(["run", "{n}"], repeats=2), Path()))
    kept = first.run.manifest.conditions["study"]
    odd = {"objective": kept["objective"] | {"command": ["run", "{n:.2f}", "{n"]}}
    choices = {"name": "c", "value_type": "categorical", "choices": ["a", "b"]}
    odd |= {"tunables": [*kept["tunables"], choices], "forbidden": [{"c": "z"}, "c == 'y'"]}
    conditions = first.run.manifest.conditions | {"study": kept | odd}
    Run(first.run.name, folder_store, replace(first.run.manifest, conditions=conditions)).save()
    with pytest.raises(StudyError, match="not formatted"):
        define(kept | odd, Path())
    again = Study.open(folder_store, "s", {"trials": 30})
    (task,) = again.ask(1)
    assert TrialEvaluation()._definition(again.run).objective.argv == ("run", "{n:.2f}", "{n")
    assert task.payload["params"].keys() == {"n", "c"}
    past = define(study(["run", "{n}"]) | {"name": "new", "warm_start": ["s"]}, Path())
    assert Study.begin(folder_store, past).ask(1)
