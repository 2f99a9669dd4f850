"""`python -m benchmark.hpo` says why it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark.hpo.formats import em_hpo_scripts


def test_a_study_that_fails_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "applyconfig.sh").write_text("echo no server; exit 3\n")
    x = {"name": "x", "value_type": "integer", "lower_bound": 0, "upper_bound": 3}
    space = {"application_name": "petclinic", "ml_algo_impl": "random", "tunables": [x]}
    (tmp_path / "search_space.json").write_text(json.dumps(space | {"stop": {"failures": 2}}))
    monkeypatch.chdir(tmp_path)
    assert em_hpo_scripts.main(["--trials", "4", "-e", "results"]) == 1
    said = capsys.readouterr().err
    assert "Stopped: This session's first 2 trials all ended the same way" in said
    assert "No trial has succeeded; results has what they printed." in said
    assert "no server" in (tmp_path / "results" / "total-output.txt").read_text()


def test_limits_of_the_file_hold_unless_an_option_replaces_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = {"name": "x", "value_type": "integer", "lower_bound": 0, "upper_bound": 3}
    space = {"application_name": "petclinic", "tunables": [x], "limits": {"memory": 700}}
    file = tmp_path / "search_space.json"
    file.write_text(json.dumps(space))

    def limits(*options: str) -> tuple[float, int]:
        found = em_hpo_scripts.definition_of(
            em_hpo_scripts._parser().parse_args([str(file), *options])
        )
        return found.time_s, found.memory_mb

    assert limits() == (3600, 700)
    assert limits("--time", "60") == (60, 700)
    assert capsys.readouterr().err == ""
    assert limits("--memory", "900") == (3600, 900)
    assert f"--memory 900 replaces 700 of 'limits' in {file}." in capsys.readouterr().err
    file.write_text(json.dumps(space | {"limits": None}))
    assert limits() == (3600, 1500)


@pytest.mark.parametrize("trials", [3.7, True, "1_0", "three"])
def test_a_number_of_trials_is_whole(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    trials: object,
) -> None:
    (tmp_path / "applyconfig.sh").write_text("exit 3\n")
    x = {"name": "x", "value_type": "integer", "lower_bound": 0, "upper_bound": 3}
    space = {"application_name": "petclinic", "total_trials": trials, "tunables": [x]}
    (tmp_path / "search_space.json").write_text(json.dumps(space))
    monkeypatch.chdir(tmp_path)
    assert em_hpo_scripts.main([]) == 2
    shown = repr(trials) if isinstance(trials, str) else json.dumps(trials)
    said = f"'total_trials' is {shown}; write a whole number from 1 to 10^12."
    assert said in capsys.readouterr().err
    monkeypatch.setenv("n_trials", str(trials))
    assert em_hpo_scripts.main([]) == 2
    assert f"'n_trials' is {str(trials)!r}; write a whole number." in capsys.readouterr().err


def test_all_faults_of_the_scripts_search_space_are_in_one_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A number of trials in the file is no text; one of an option or a variable is."""
    (tmp_path / "applyconfig.sh").write_text("echo a\n")
    tunable = {"name": "x", "value_type": "double", "lower_bound": 2, "upper_bound": 1}
    space = {"experiment_name": "e", "total_trials": "5", "parallel_trails": 1, "value": [1]}
    file = tmp_path / "search_space.json"
    file.write_text(
        json.dumps({"search_space": space | {"direction": "minimize", "tunables": [tunable]}})
    )
    assert em_hpo_scripts.main([str(file), "--script", str(tmp_path / "applyconfig.sh")]) == 2
    first, *lines = capsys.readouterr().err.splitlines()
    assert first.endswith("has 4 faults:")
    for said, line in zip(
        ("'parallel_trials'?", "'total_trials' is '5'", "swap them", "'value' has [1]"),
        lines,
        strict=True,
    ):
        assert said in line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--time", "x"], "argument --time: 'x' is not a number of seconds"),
        (["--memory", "1.5"], "argument --memory: '1.5' is not a whole number of MB"),
    ],
)
def test_limits_that_are_no_numbers_are_named(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        em_hpo_scripts._parser().parse_args(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith(said)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--slo-direction=minimise", "'minimise' is not a choice; did you mean 'minimize'?"),
        ("--log-level=loud", "'loud' is not a choice; write one of CRITICAL, ERROR, WARNING,"),
    ],
)
def test_an_unknown_choice_is_named_with_the_known_ones(
    capsys: pytest.CaptureFixture[str], option: str, said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        em_hpo_scripts.main([option])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
