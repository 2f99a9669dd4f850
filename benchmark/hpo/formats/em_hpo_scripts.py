"""Studies as scripts that tune a benchmark have them: `python -m benchmark.hpo search_space.json`.

applyconfig.sh gets the tunables as positional arguments in the search space's order, runs in its
own folder, and prints a CSV, of which `slo_data_row` is the line after the header (lines counted
from 0). The variables that those scripts export (`n_trials`, `n_jobs`, `slo_data_row`, …) count
where an option is not given.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.errors import BenchmarkError
from benchmark.files.input_files import check_working_directory
from benchmark.files.safe_text import for_terminal
from benchmark.files.spelling import not_a_choice
from benchmark.hpo.report.log_levels import LEVELS, is_shown, set_levels
from benchmark.hpo.spec.documents import read_document
from benchmark.hpo.spec.study_file import StudyDefinition, classic_names, define, own_form
from benchmark.records.results import Record

SCRIPT = "applyconfig.sh"
SLO = "(125 * column_1) / (150 * column_2) / ((25 * column_3) / 100)"
_ROW = 4
_WAYS = ("minimize", "maximize")
_LIMITS = {"time": 3600.0, "memory": 1500}
# Options of the scripts that the benchmark's own script reads as variables.
_VARIABLES = {
    "benchmark": ("BENCHMARK_NAME", "techempower"),
    "iter": ("ITERATIONS", "1"),
    "dbtype": ("DB_TYPE", "docker"),
    "dbhost": ("DB_HOST", None),
    "usertunables": ("OPTIONS_VAR", None),
    "connection": ("CONNECTION", "512"),
    "s": ("BENCHMARK_SERVER", None),
    "e": ("RESULTS_DIR", None),
    "w": ("WARMUPS", "5"),
    "m": ("MEASURES", "3"),
    "i": ("SERVER_INSTANCES", "1"),
    "g": ("TFB_IMAGE", None),
    "n": ("NAMESPACE", "autotune-tfb"),
    "t": ("THREADS", "40"),
    "d": ("DURATION", "60"),
}
_COLUMN = re.compile(r"""float\(\s*data\.split\(\s*\\?["']\s*,\s*\\?["']\s*\)\[(\d+)\]\s*\)""")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study; its files are written into the results folder."""
    options = _parser().parse_args(arguments)
    set_levels(options.log_level, options.optuna_log_level)
    try:
        check_working_directory()
        return _run(options)
    except BenchmarkError as error:
        sys.stderr.write(for_terminal(f"{error}\n"))
        return 2


def definition_of(options: argparse.Namespace) -> StudyDefinition:
    """The study that the options, the variables and the search space make together.

    Raises:
        StudyError: says every fault.
    """
    file = Path(options.search_space)
    script = Path(options.script).absolute()
    document, faults = read_document(file), list[str]()
    values, names = own_form(document), classic_names(document, faults)
    row = _whole(options.slo_data_row or _exported("slo_data_row") or _ROW, "slo_data_row")
    variables = {
        name: getattr(options, key) or os.environ.get(name) or default
        for key, (name, default) in _VARIABLES.items()
    }
    # The script finds its neighbours, as it does without us.
    command = ["bash", "-c", 'cd "$0" && exec bash "$SCRIPT" "$@"', str(script.parent)]
    said = values.pop("value", None)
    values["objective"] = {
        "command": command,
        "positional": True,
        "environment": {
            "SCRIPT": f"./{script.name}",
            **{name: value for name, value in variables.items() if value is not None},
        },
        "metrics": {"csv": "stdout", "header": row, "row": row + 1, "columns": True},
        "value": expression(options.slo or (SLO if said is None else said)),
    }
    way = options.slo_direction or _exported("slo_direction")
    if way or not {"direction", "directions"} & values.keys():
        values["direction"] = way or "maximize"
    values.setdefault("trials", 2)
    for key, variable, option in (
        ("trials", "n_trials", options.trials),
        ("parallel", "n_jobs", options.jobs),
    ):
        text = option or _exported(variable)
        if text:
            values[key] = _whole(text, variable)
    values["limits"] = _limits(values.get("limits"), options, file)
    return define(values, file.absolute().parent, str(file), faults=faults, names=names)


def _limits(declared: Any, options: argparse.Namespace, file: Path) -> Any:
    """The limits of the file, with those of the options in their place."""
    asked = {key: value for key in _LIMITS if (value := getattr(options, key)) is not None}
    if declared is not None and not isinstance(declared, dict):
        return declared  # a fault of the study
    for key, value in asked.items():
        had = (declared or {}).get(key)
        if had not in (None, value):
            sys.stderr.write(
                for_terminal(f"--{key} {value:g} replaces {had!r} of 'limits' in {file}.\n")
            )
    return {**_LIMITS, **(declared or {}), **asked}


def expression(text: Any) -> Any:
    """`float(data.split(" , ")[2])` as `column_2`, for nothing of Python's is run here."""
    if not isinstance(text, str):
        return text  # a number, or a fault of the study
    return _COLUMN.sub(r"column_\1", text.replace("\\*", "*"))


def _run(options: argparse.Namespace) -> int:
    from benchmark.compute.driving import driving
    from benchmark.config.loading import load_config
    from benchmark.hpo.driver.loop import tune
    from benchmark.hpo.report import export
    from benchmark.hpo.study.store import run_name
    from benchmark.hpo.study.study import Study
    from benchmark.store import open_store

    if not Path(options.script).is_file():
        raise BenchmarkError(f"There is no {options.script}; name the script with --script.")
    definition = definition_of(options)
    config = load_config().values
    store = open_store(config.store_url)
    config = config.model_copy(
        update={"cores": 1, "memory": definition.memory_mb, "parallel": definition.parallel}
    )
    with driving(store, run_name(definition.name)):
        study = Study.begin(store, definition)
        tuned = tune(study, config, "local", _say)
        folder = Path(options.e or os.environ.get("RESULTS_DIR") or ".")
        folder.mkdir(parents=True, exist_ok=True)
        export.write(study.run, definition, folder)
        for record in export.best(study.run, definition):
            sys.stdout.write(f"Best: {export.configuration(record)}\n")
    if study.exhausted:
        sys.stderr.write("Every point of the space has been tried.\n")
    if tuned.why_stopped:
        sys.stderr.write(f"Stopped: {tuned.why_stopped}\n")
    if tuned.stopped:
        sys.stderr.write("Stopped by `studies stop`: the same command resumes the study.\n")
    if tuned.interrupted:
        sys.stderr.write("Interrupted: the same command resumes where this stopped.\n")
    for record in tuned.without_result:
        sys.stderr.write(for_terminal(f"Trial {record.task} has no result: {record.message}\n"))
    for fault in tuned.faults:
        sys.stderr.write(for_terminal(f"{fault}\n"))
    statuses = {record.status for record in export.trial_records(study.run)}
    failed = bool(statuses) and "success" not in statuses
    if failed:
        sys.stderr.write(f"No trial has succeeded; {folder} has what they printed.\n")
    return int(bool(tuned.interrupted or tuned.without_result or tuned.faults or failed))


def _say(record: Record) -> None:
    if is_shown(logging.INFO):
        params = record.labels.get("params")
        outcome = record.labels.get("values") or record.message
        line = f"Trial {record.task}: {record.status}: {outcome} {params}\n"
        sys.stdout.write(for_terminal(line))
        sys.stdout.flush()


def _exported(name: str) -> str | None:
    """A variable of the scripts, in small letters as they write it."""
    return os.environ.get(name)


def _whole(value: Any, key: str) -> int:
    if type(value) is int:
        return value
    if not isinstance(value, str) or not re.fullmatch(r"\s*[-+]?[0-9]{1,18}\s*", value):
        raise BenchmarkError(f"'{key}' is {value!r}; write a whole number.")
    return int(value)


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds") from None


def _megabytes(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of MB")
    return int(text)


def _level(text: str) -> str:
    return _one_of(LEVELS, text, text.upper())


def _way(text: str) -> str:
    return _one_of(_WAYS, text, text)


def _one_of(choices: Sequence[str], written: str, read: str) -> str:
    if read not in choices:
        raise argparse.ArgumentTypeError(not_a_choice(written, read, choices))
    return read


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmark.hpo", description=__doc__)
    place = _exported("search_space_json") or "search_space.json"
    parser.add_argument("search_space", nargs="?", default=place, metavar="FILE")
    parser.add_argument("--script", default=SCRIPT, help="what a trial runs")
    parser.add_argument("--trials", metavar="N", help="else n_trials, or the file's")
    parser.add_argument("--jobs", metavar="N", help="trials at once; else n_jobs, or the file's")
    parser.add_argument("--slo", metavar="EXPRESSION", help=f"the value; default {SLO}")
    parser.add_argument(
        *("--slo_data_row", "--slo-data-row"),
        metavar="N",
        help=f"line of the CSV with the values, counted from 0; default {_ROW}",
    )
    parser.add_argument(
        *("--slo_direction", "--slo-direction"),
        choices=_WAYS,
        type=_way,
        help="default maximize",
    )
    for key, (name, default) in _VARIABLES.items():
        flag = f"-{key}" if len(key) == 1 else f"--{key}"
        parser.add_argument(flag, dest=key, metavar=name, help=f"default {default or 'unset'}")
    for key, kind, unit in (("time", _seconds, "seconds"), ("memory", _megabytes, "MB")):
        text = f"{unit} that a trial may take; default: as the file's limits, else {_LIMITS[key]}"
        parser.add_argument(f"--{key}", type=kind, help=text)
    for name, default in (("--log-level", "INFO"), ("--optuna-log-level", "WARNING")):
        parser.add_argument(
            name,
            default=default,
            choices=LEVELS,
            type=_level,
            metavar="LEVEL",
            help=f"{', '.join(LEVELS)}; default {default}",
        )
    return parser
