"""The stages before a measurement: `wait_ready`, until the system answers, and `warm_up`, a load.

wait_ready: {http: "http://localhost:8080/health", timeout: 30s}
wait_ready: {port: 5432}                 # or "db:5432"
wait_ready: {command: [pg_isready], timeout: 1min}

warm_up: {time: 30s}                                  # the measured command, again and again
warm_up: {until: steady, pattern: "tps = ([0-9.]+)"}  # what the measured command prints
warm_up: {until: steady, command: [./load.sh, 5s]}    # its last line is a number
warm_up: {until: steady, command: [./load.sh], window: 10, within: 2%, timeout: 5min}

Steady: the standard deviation of the last `window` values is at most `within` of their mean. This
is the test of Georges, Buytaert and Eeckhout, Statistically Rigorous Java Performance Evaluation
(OOPSLA 2007, section 4.2), with their window of 10 and their larger limit of 2 %.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from benchmark.files.spelling import check_keys
from benchmark.hpo.objectives.metrics.measured_values import share
from benchmark.hpo.objectives.patterns import checked
from benchmark.hpo.space.templates import filled, names_in
from benchmark.hpo.space.tunables import Tunable
from benchmark.hpo.space.units import read_seconds

READY_BEFORE = "ready_before"
"""The label of a trial for which something answered before `prepare` had run."""
_WAIT_READY = ("http", "port", "command", "timeout")
TIMEOUT_S = 30.0
_LARGEST_PORT = 65535
# Combinations of values that are tried in an address; few addresses have more than one tunable.
_MOST_POINTS = 1000


@dataclass(frozen=True)
class WaitReady:
    """A URL that answers below 400, a port that takes connections, or a command that ends with 0.

    `address` is a URL or HOST:PORT, in which `{name}` is a tunable's value.
    """

    address: str = ""
    command: tuple[str, ...] = ()
    timeout_s: float = TIMEOUT_S

    @property
    def words(self) -> tuple[str, ...]:
        """Every text that may have places for tunables."""
        return (self.address, *self.command)

    def request(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The settings for the worker in the sandbox, without the command; `fault` is why an
        address cannot be asked.
        """
        address = filled(self.address, params)
        shown = address or f"'{' '.join(self.command)}'"
        fault = port_fault(address) if address else None
        parts = _parts("" if fault else address)
        http = parts.scheme in ("http", "https")
        query = f"?{parts.query}" if parts.query else ""
        return {
            "fault": None if fault is None else f"{address!r} of 'wait_ready' {fault}",
            "host": parts.hostname,
            "port": None if fault else parts.port or (443 if parts.scheme == "https" else 80),
            "path": f"{parts.path or '/'}{query}" if http else None,
            "tls": parts.scheme == "https",
            "timeout_s": self.timeout_s,
            "shown": shown,
        }


def port_fault(address: str) -> str | None:
    """What is wrong with a URL or HOST:PORT, mostly its port, to be read after the address."""
    try:
        parts = _parts(address)
    except ValueError as error:
        return f"is no address: {error}"
    _, colon, port = parts.netloc.rpartition("@")[2].rpartition("]")[2].rpartition(":")
    if not colon and parts.scheme:
        return None  # the scheme's own
    number = port.lstrip("0") if port.isascii() and port.isdecimal() else ""
    if number and len(number) <= len(str(_LARGEST_PORT)) and int(number) <= _LARGEST_PORT:
        return None
    return f"has the port {port[:40]!r}; ports are whole numbers from 1 to {_LARGEST_PORT}"


def port_faults(ready: WaitReady | None, tunables: Iterable[Tunable]) -> list[str]:
    """A sentence if the port is not one: as it is written, or at a bound of a tunable in it."""
    if ready is None or not ready.address:
        return []
    inside = set(names_in(ready.address))
    found = [tunable for tunable in tunables if tunable.name in inside]
    if inside - {tunable.name for tunable in found}:
        return []  # {host}, or a name that is a fault by itself
    values = [
        [*(one.choices or (one.low, one.high)), *([] if one.when is None else [None])]
        for one in found
    ]
    for point in itertools.islice(itertools.product(*values), _MOST_POINTS):
        params = {one.name: value for one, value in zip(found, point, strict=True)}
        address = filled(ready.address, params)
        fault = port_fault(address)
        if fault is not None:
            where = [
                f"{name} = {value}" if value is not None else f"{name} is inactive"
                for name, value in params.items()
            ]
            shown = f" where {' and '.join(where)}" if where else ""
            return [f"'wait_ready' has {address!r}{shown}, which {fault}."]
    return []


def _parts(address: str) -> SplitResult:
    return urlsplit(address if "://" in address else f"//{address}")


def read_wait_ready(
    entry: Any, argv: Callable[[Mapping[str, Any], str], tuple[str, ...]], faults: list[str]
) -> WaitReady | None:
    """The key of an objective; `argv` reads a command."""
    if entry is None:
        return None
    ways = ("http", "port", "command")
    if not isinstance(entry, dict) or sum(way in entry for way in ways) != 1:
        faults.append(
            f"'wait_ready' is {entry!r}; give it one of: an 'http' URL, a 'port', a 'command'."
        )
        return None
    check_keys(entry, _WAIT_READY, "'wait_ready'", faults)
    timeout_s = read_seconds(entry, "timeout", TIMEOUT_S, faults, place="'wait_ready'")
    if "command" in entry:
        return WaitReady(command=argv(entry, "command"), timeout_s=timeout_s)
    address = _address(entry, faults)
    return None if address is None else WaitReady(address, timeout_s=timeout_s)


def _address(entry: Mapping[str, Any], faults: list[str]) -> str | None:
    if "http" in entry:
        url = entry["http"]
        if isinstance(url, str) and url.startswith(("http://", "https://")):
            return url
        faults.append(f"'wait_ready' has {url!r} as 'http'; write a URL such as http://localhost/.")
        return None
    port = entry["port"]
    if type(port) is int and 0 < port <= _LARGEST_PORT:
        return f"127.0.0.1:{port}"
    host, colon, number = port.rpartition(":") if isinstance(port, str) else ("", "", "")
    if host and colon and (number.isdecimal() or "{" in number):
        return str(port)
    faults.append(
        f"'wait_ready' has {port!r} as 'port'; write a number from 1 to 65535, or host:5432."
    )
    return None


_WARM_UP = ("time", "until", "command", "pattern", "window", "within", "timeout")
STEADY = "steady"
# A label of trials: of each warm-up its runs, and whether they became steady.
WARM_UPS = "warm_ups"
_WINDOW, _WITHIN, _LONGEST_S = 10, 0.02, 300.0


@dataclass(frozen=True)
class WarmUp:
    """Runs of `command` (empty: the measured one), for `time_s` at most.

    With `within` they end sooner, once the last `window` values are steady: the last number that
    `pattern` finds on standard output, or without it the last line.
    """

    command: tuple[str, ...]
    time_s: float
    window: int = _WINDOW
    within: float | None = None
    pattern: str | None = None

    def request(self, params: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """The settings for the worker in the sandbox, without the command."""
        return {
            "time_s": self.time_s,
            "window": self.window,
            "within": self.within,
            "pattern": self.pattern,
        }


def read_warm_up(
    entry: Any, argv: Callable[[Mapping[str, Any], str], tuple[str, ...]], faults: list[str]
) -> WarmUp | None:
    """The key of an objective; `argv` reads a command."""
    if entry is None:
        return None
    if not isinstance(entry, dict) or ("time" in entry) == ("until" in entry):
        faults.append(
            f"'warm_up' is {entry!r}; write {{time: 30s}}, or {{until: steady, command: [./load.sh]"
            "}, whose last line is a number, or {until: steady, pattern: 'tps = ([0-9.]+)'}."
        )
        return None
    check_keys(entry, _WARM_UP, "'warm_up'", faults)
    command = argv(entry, "command")
    if "time" in entry:
        for key in ("pattern", "window", "within", "timeout"):
            if key in entry:
                faults.append(f"'warm_up' has '{key}', which belongs to 'until'; leave it out.")
        return WarmUp(command, read_seconds(entry, "time", _LONGEST_S, faults, place="'warm_up'"))
    if entry["until"] != STEADY or not entry.keys() & {"command", "pattern"}:
        faults.append(
            f"'warm_up' has {entry['until']!r} as 'until' and {entry.get('command')!r} as 'command'"
            "; write {until: steady, command: [./load.sh]}, whose last line is a number, or "
            "{until: steady, pattern: 'tps = ([0-9.]+)'}."
        )
    pattern = entry.get("pattern")
    if pattern is not None:
        pattern = checked(str(pattern), "'warm_up'", faults)
    window, within = entry.get("window", _WINDOW), share(entry.get("within", _WITHIN))
    if type(window) is not int or not 3 <= window <= 1000:
        faults.append(f"'warm_up' has the window {window!r}; write a whole number from 3 to 1000.")
        window = _WINDOW
    if within is None:
        faults.append(f"'warm_up' has {entry['within']!r} as 'within'; write a share such as 2%.")
    timeout_s = read_seconds(entry, "timeout", _LONGEST_S, faults, place="'warm_up'")
    return WarmUp(command, timeout_s, window, within, pattern)
