"""Runs of a command that measured nothing: the record of such a trial, with its reason."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from pathlib import Path

from benchmark.execution.work import by_signal, memory_note, signal_words
from benchmark.hpo.trials.trial_record import Trial
from benchmark.records.results import Cause, Record

# The shell's own codes for what cannot be started.
_NOT_STARTED = (126, 127)
# What a shell adds to the number of the signal that ended its command.
_BY_SIGNAL = 128
_STARTING = ("prepare", "apply", "reset")
_BACKGROUND = " Start a server in the background: [sh, -c, 'server &']; hook_time is the limit."
# What the JVM prints below an exception: its stack.
_FRAME = re.compile(r"\s*(at \S+\(.*\)|\.\.\. \d+ (more|common frames omitted))\s*")


@dataclass(frozen=True)
class Ran:
    """One run of a command: where it left its files, all that it printed, its exit code, what of
    the output was on standard output, and when it ran, in seconds since 1970."""

    folder: Path
    output: str
    code: int | None
    stdout: str = ""
    window: tuple[float, float] | None = None


def last_line(output: str) -> str:
    """The last line that is not empty, nor in a stack of the JVM; empty if there is none."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    above = (line for line in reversed(lines) if not _FRAME.fullmatch(line))
    return next(above, lines[-1] if lines else "")


def ended(trial: Trial, ran: Ran) -> Record | None:
    """The record of a run that measured nothing; None where there is something to read."""
    objective, outcome = trial.definition.objective, trial.outcome
    if outcome.cause is not None:
        return trial.failed(outcome.cause, outcome.message)
    if ran.code is not None and ran.code < 0:
        return _killed(trial, ran, -ran.code)
    why = objective.prune.of_code(ran.code)
    if why is not None:
        return trial.pruned(why)
    why = objective.failure.of_code(ran.code) or objective.failure.of_output(ran.output)
    if why is not None:
        return trial.failed(Cause.FRAMEWORK, why)
    why = objective.prune.of_output(ran.output)
    if why is not None:
        return trial.pruned(why)
    return _stopped(trial, ran) if ran.code != 0 else None


def _killed(trial: Trial, ran: Ran, number: int) -> Record:
    """As a command without hooks is recorded, whose end the sandbox itself has seen."""
    hook = trial.labels.get("stopped")
    where = f" during {hook['step']}" if hook else ""
    kills = trial.outcome.memory_kills
    cause, message = by_signal(number, where, kills, Cause.FRAMEWORK)
    last = last_line(ran.output) if cause is Cause.FRAMEWORK else ""
    return trial.failed(
        cause, message + (f" The last line of output: {last[:300]}" if last else "")
    )


def _stopped(trial: Trial, ran: Ran) -> Record:
    hook = trial.labels.get("stopped")
    what = f"The {hook['step']} hook" if hook else "The command"
    last = last_line(ran.output)
    if hook and hook.get("said"):
        late = hook["step"] == "wait_ready" and not hook.get("wrong")
        cause = Cause.TIMEOUT if late else Cause.FRAMEWORK
        message = str(hook["said"])[:500].rstrip(".") + "."
        # Where the command has run, the last line is the command's.
        is_quoted = last and not hook.get("measured")
        message += f" The last line of output: {last[:300]}" if is_quoted else ""
        return trial.failed(cause, message)
    if ran.code is None:
        limit_s = trial.definition.objective.hook_s if hook else trial.definition.time_s
        more = _BACKGROUND if hook and hook["step"] in _STARTING else ""
        message = f"{what} was ended at its limit of {limit_s:g} s.{more}"
        return trial.failed(Cause.TIMEOUT, message)
    shown = f": {last[:300]}" if last else "."
    number = ran.code - _BY_SIGNAL
    is_signal = number in set(signal.Signals)
    by = f", a shell's code for {signal_words(number)}" if is_signal else ""
    said = f"{what} ended with the exit code {ran.code}{by}{shown}"
    if number == signal.SIGKILL and trial.outcome.memory_kills:
        said = f"{said.rstrip('.')}.{memory_note(trial.outcome.memory_kills)}"
    if ran.code in _NOT_STARTED:
        said = f"{what} did not start (exit code {ran.code}){shown}"
        if ran.code == _NOT_STARTED[0]:
            said += " (chmod +x makes a file executable; its first line names what runs it)"
    return trial.failed(Cause.FRAMEWORK, said)
