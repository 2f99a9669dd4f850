"""What is typed: every command with its names, and one sentence for what is wrong."""

from __future__ import annotations

from argparse import ArgumentTypeError

import pytest

from benchmark.cli import main
from benchmark.cli.commands import ALIASES, BY_CAUSE, COMMANDS, NARROWED, TOLD_AS_JSON
from benchmark.cli.parser import Parser, make_parser, parse
from benchmark.cli.session import again

ARGUMENTS = {
    "local": ["constant", "penguins", "classification", "1"],
    "file-compute": ["tasks"],
    "export-failures": ["tasks"],
    "delete-runs": ["tasks"],
    "replay": ["results.csv", "--until", "best"],
    "completion": ["bash"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_dashes_and_underscores(name: str) -> None:
    options = parse([name, *ARGUMENTS.get(name, [])])
    assert options.command == name
    assert parse([name.replace("-", "_"), *ARGUMENTS.get(name, [])]) == options


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_aliases(alias: str, name: str) -> None:
    assert parse([alias]).command == parse([alias.replace("-", "_")]).command == name


@pytest.mark.parametrize("name", NARROWED)
def test_narrowing(name: str) -> None:
    words = ["--framework", "a", "--framework", "b", "--dataset", "c", "--seed", "3"]
    options = parse([name, *ARGUMENTS.get(name, []), *words])
    assert (options.framework, options.dataset, options.seed) == (["a", "b"], ["c"], [3])


@pytest.mark.parametrize("name", BY_CAUSE)
def test_cause(name: str) -> None:
    options = parse([name, *ARGUMENTS.get(name, []), "--cause", "timeout"])
    assert options.cause == ["timeout"]


@pytest.mark.parametrize("name", TOLD_AS_JSON)
def test_json(name: str) -> None:
    assert parse([name, *ARGUMENTS.get(name, []), "--json"]).json


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help_lists_every_command_in_its_group(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(words)
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("  ")] == list(COMMANDS)
    assert max(map(len, lines)) <= 80


def test_the_help_of_a_command_fits_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    commands = make_parser().commands
    assert commands
    wide = {name for name, one in commands.items() if max(map(len, _lines(one))) > 80}
    assert wide == set()


def _lines(command: Parser) -> list[str]:
    return command.format_help().splitlines()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["statsu"], "no command 'statsu'; did you mean status?"),
        (["execute_computer"], "did you mean execute-compute?"),
        (["xyzzy"], "no command 'xyzzy'."),
        (["--debug"], "COMMAND"),
        (["status", "--framwork", "a"], "--framwork"),
        (["--json", "status"], "options follow the command: main.py status … --json."),
        (["status", "--seed", "one"], "Argument --seed: 'one' is not a whole number."),
        (["status", "--seed", "1_0"], "Argument --seed: '1_0' is not a whole number."),
        (["local", "constant", "penguins", "classification", "abc"], "'abc' is not a whole number"),
        (["estimate", "--max-cost", "1e400"], "Argument --max-cost: '1e400' is not a number."),
        (["estimate", "--max-cost", "1e-400"], "Argument --max-cost: '1e-400' is not a number."),
        (["estimate", "--max-cost", "x"], "Argument --max-cost: 'x' is not a number."),
        (
            ["fetch-results", "--format", "xml"],
            "'xml' is not a choice; write one of classic",
        ),
        (["studies", "shw"], "Argument ACTION: 'shw' is not a choice; did you mean 'show'?"),
        (["completion", "fish"], "Argument shell: 'fish' is not a choice; write one of bash, zsh."),
        (["frameworks", "chek"], "Argument action: 'chek' is not a choice; did you mean 'check'?"),
        (["serve", "clint"], "Argument what: 'clint' is not a choice; did you mean 'client'?"),
        (["serve", "client", "lst"], "Argument REQUEST: 'lst' is not a choice; did you mean 'l"),
        (["tune", "s.yaml", "-m", "4"], "'4' is not a choice; write one of 1, 2, 3."),
        (["tune", "s.yaml", "--log-level", "inf"], "'inf' is not a choice; did you mean 'INFO'?"),
        (["export-failures"], "file_path"),
        (["run-analysis", "--against", ""], "--against: it is empty; write a value, or omit"),
        (["setup", "constant", "--to="], "--to: it is empty"),
        (["status", "--run", ""], "--run: it is empty"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(words)
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("error: ")
    assert said in err
    assert "--help` shows" in err


def test_numbers_of_any_sign_and_zeros_are_read() -> None:
    words = ["status", *(f"--seed={text}" for text in ("+3", "-3", "007"))]
    assert parse(words).seed == [3, -3, 7]
    assert [parse(["estimate", "--max-cost", text]).max_cost for text in ("0e9", "+.5")] == [0, 0.5]


def test_windows_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    assert main(["doctor"]) == 2
    assert "use WSL 2" in capsys.readouterr().err


def test_what_goes_on_says_no_secret_and_keeps_tasks_and_money() -> None:
    typed = ["resume-compute", "--config", "my run.config", "--set", "runtime=6"]
    typed += ["--set", "openml_api_key=0planted", "--dataset", "penguins", "--max-cost", "5"]
    options = parse(typed)
    assert again(options, "resume-compute") == (
        "resume-compute --config 'my run.config' --set runtime=6 --max-cost 5.0 --dataset penguins"
    )
    assert again(parse(["execute-compute"]), "resume-compute") == "resume-compute"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("report", "did you mean run-analysis or studies report?"),
        ("estimat", "did you mean estimate? `main.py --help` shows the commands."),
    ],
)
def test_what_an_unknown_command_may_have_meant(
    typed: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse([typed])
    assert meant in capsys.readouterr().err


def test_choices_are_refused_in_one_way() -> None:
    """Every argument with choices, of every command."""
    commands = make_parser().commands
    assert commands
    chosen = [one for command in commands.values() for one in command._actions if one.choices]
    assert len(chosen) > 8
    for one in chosen:
        assert callable(one.type)
        with pytest.raises(ArgumentTypeError, match="'-5' is not a choice"):
            one.type("-5")
