"""The keys `metrics` of an objective and `prometheus` in it: a sentence for each fault."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from benchmark.execution.sandbox.variables import is_secret
from benchmark.files.spelling import check_keys, meant
from benchmark.hpo.objectives.metrics.measuring import STDOUT, Measuring
from benchmark.hpo.objectives.metrics.prometheus import (
    STEP_S,
    TIMEOUT_S,
    Prometheus,
    Query,
)
from benchmark.hpo.objectives.metrics.promql import WINDOW
from benchmark.hpo.objectives.metrics.readers import READERS
from benchmark.hpo.objectives.metrics.selections import WAYS, Selection, is_way, path_fault
from benchmark.hpo.objectives.patterns import checked
from benchmark.hpo.space.units import Unit, UnitError, read_seconds, unit

KEYS = (
    *("json", "csv", "delimiter", "row", "header", "columns", "patterns"),
    *("select", "reader", "file", "units", "prometheus"),
)
_SELECTION = ("path", "column", "where", "of")


def read_metrics(entry: Any, faults: list[str]) -> Measuring:
    """Where the metrics are; what is wrong goes into `faults`."""
    if entry is None:
        return Measuring()
    if isinstance(entry, str) and entry in READERS:
        entry = {"reader": entry}
    if not isinstance(entry, dict):
        faults.append(
            f"'metrics' is {entry!r}; write the name of a reader ({', '.join(READERS)}), or keys: "
            f"{', '.join(KEYS)}."
        )
        return Measuring()
    texts = {key: "patterns" for key, value in entry.items() if isinstance(value, str)}
    check_keys(entry, KEYS, "'metrics'", faults, texts)
    pairs = _mapping(entry.get("patterns"), "patterns", "regular expressions by metric", faults)
    patterns = {name: checked(str(text), f"'{name}'", faults) for name, text in pairs}
    for key in ("json", "csv", "file"):
        if entry.get(key) is not None and not isinstance(entry[key], str):
            faults.append(f"'metrics' has {entry[key]!r} as '{key}'; name a file, or stdout.")
    delimiter = entry.get("delimiter", ",")
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n':
        faults.append(f"'metrics' has the delimiter {delimiter!r}; write one character.")
        delimiter = ","
    header, row = entry.get("header", 1), entry.get("row")
    if type(header) is not int or header < 1:
        faults.append(f"'metrics' has the header {header!r}; lines are counted from 1.")
        header = 1
    if row is not None and (type(row) is not int or row <= header):
        faults.append(
            f"'metrics' has the row {row!r}; the header is row {header}, so write {header + 1} "
            "or more."
        )
    columns = entry.get("columns", False)
    if not isinstance(columns, bool):
        faults.append(f"'columns' is {columns!r}; write true or false.")
    return Measuring(
        json=entry.get("json"),
        csv=entry.get("csv"),
        delimiter=str(delimiter),
        row=row,
        header=header,
        columns=bool(columns),
        patterns=patterns,
        select=_selections(entry, faults),
        reader=_reader(entry, faults),
        file=entry.get("file") or STDOUT,
        units=read_units(entry.get("units"), faults),
        prometheus=read_prometheus(entry.get("prometheus"), faults),
    )


def read_units(entry: Any, faults: list[str]) -> dict[str, Unit]:
    """Units by metric."""
    units: dict[str, Unit] = {}
    for name, text in _mapping(entry, "units", "units by metric, such as {p99: ms}", faults):
        try:
            units[name] = unit(text)
        except UnitError as error:
            faults.append(f"The unit of '{name}': {error}")
    return units


def _reader(entry: Mapping[str, Any], faults: list[str]) -> str | None:
    reader = entry.get("reader")
    if reader is None:
        if "file" in entry:
            faults.append("'file' of 'metrics' is what a 'reader' reads; name the reader too.")
        return None
    if reader not in READERS:
        faults.append(f"'metrics' has the reader {reader!r}; {meant(reader, sorted(READERS))}")
        return None
    return str(reader)


def _selections(entry: Mapping[str, Any], faults: list[str]) -> dict[str, Selection]:
    selections: dict[str, Selection] = {}
    what = "a path or a column by metric, such as {p99: latency.p99}"
    short = "path" if entry.get("json") or not entry.get("csv") else "column"
    for name, given in _mapping(entry.get("select"), "select", what, faults):
        declared = {short: given} if isinstance(given, str) else given
        if not isinstance(declared, dict) or ("path" in declared) == ("column" in declared):
            faults.append(
                f"'select' has {declared!r} as '{name}'; give it a 'path' in the JSON document, or "
                "a 'column' of the CSV."
            )
            continue
        check_keys(declared, _SELECTION, f"'{name}' of 'select'", faults)
        selection = _selection(name, declared, faults)
        if selection is None:
            continue
        if selection.column is not None and not entry.get("csv"):
            faults.append(f"'{name}' of 'select' has a column; name the CSV file in 'csv'.")
        if selection.path is not None and not entry.get("json"):
            faults.append(f"'{name}' of 'select' has a path; name the document in 'json'.")
        selections[name] = selection
    return selections


def _selection(name: str, declared: Mapping[str, Any], faults: list[str]) -> Selection | None:
    before = len(faults)
    path, column, of = declared.get("path"), declared.get("column"), declared.get("of")
    if path is not None and (why := path_fault(path)) is not None:
        faults.append(f"The path of '{name}' is {path!r}, which is not JMESPath: {why}.")
    if column is not None and not isinstance(column, str):
        faults.append(f"The column of '{name}' is {column!r}; write its name.")
    if of is not None and not is_way(of):
        faults.append(f"'of' of '{name}' is {of!r}; write {WAYS}.")
    if "where" in declared and column is None:
        faults.append(f"'where' of '{name}' selects rows; in a path write [?key == 'text'].")
    what = "texts by column, such as {test: GET}"
    where = dict(_mapping(declared.get("where"), "where", what, faults))
    for key, text in where.items():
        if not isinstance(text, (str, int)) or isinstance(text, bool):
            faults.append(f"'where' of '{name}' has {text!r} as '{key}'; write it in quotes.")
    if len(faults) > before:
        return None
    return Selection(path, column, {key: str(text) for key, text in where.items()}, of)


def _mapping(entry: Any, key: str, what: str, faults: list[str]) -> list[tuple[str, Any]]:
    if entry is None:
        return []
    if not isinstance(entry, dict):
        faults.append(f"'{key}' is {entry!r}; write {what}.")
        return []
    return [(str(name), value) for name, value in entry.items()]


_SERVER = ("url", "queries", "step", "wait", "timeout", "auth")
_AUTH = ("bearer", "basic")
_seconds = partial(read_seconds, place="'prometheus'", least=0.1, most=3600.0)
_VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def read_prometheus(entry: Any, faults: list[str]) -> Prometheus | None:
    """The server and its queries; what is wrong goes into `faults`."""
    if entry is None:
        return None
    if not isinstance(entry, dict) or "url" not in entry or "queries" not in entry:
        faults.append("'prometheus' needs a 'url' and 'queries', PromQL by metric.")
        return None
    before = len(faults)
    check_keys(entry, _SERVER, "'prometheus'", faults)
    step_s = _seconds(entry, "step", STEP_S, faults)
    auth = _auth(entry.get("auth"), faults)
    found = Prometheus(
        url=_url(entry["url"], faults),
        queries=_queries(entry["queries"], faults),
        step_s=step_s,
        wait_s=_seconds(entry, "wait", step_s, faults, least=0.0),
        timeout_s=_seconds(entry, "timeout", TIMEOUT_S, faults),
        bearer=auth.get("bearer"),
        basic=auth.get("basic"),
    )
    return found if len(faults) == before else None


def _url(url: Any, faults: list[str]) -> str:
    parts = urlsplit(url) if isinstance(url, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        shown = "" if parts is not None and "@" in parts.netloc else f" {url!r}"
        faults.append(f"'prometheus' has the url{shown}; write such as http://localhost:9090.")
    elif "@" in parts.netloc or parts.query or parts.fragment:
        # It may hold a secret, so it is not shown.
        faults.append(
            "The 'url' of 'prometheus' has a user, a password or a query; leave it out, and name "
            "the variable that holds the secret in 'auth'."
        )
    return str(url)


def _queries(entry: Any, faults: list[str]) -> dict[str, Query]:
    if not isinstance(entry, dict) or not entry:
        faults.append("'queries' of 'prometheus' are PromQL by metric, such as {rps: sum(rps)}.")
        return {}
    queries = {}
    for name, given in entry.items():
        declared = {"query": given} if isinstance(given, str) else given
        text = declared.get("query") if isinstance(declared, dict) else None
        if not isinstance(text, str) or not text.strip():
            faults.append(f"The query of '{name}' is {given!r}; write PromQL.")
            continue
        check_keys(declared, ("query", "of"), f"'{name}' of 'queries'", faults)
        of = declared.get("of", "mean")
        if not is_way(of):
            faults.append(f"'of' of '{name}' is {of!r}; write {WAYS}.")
        elif "of" in declared and WINDOW in text:
            faults.append(f"'{name}' has one value because of {WINDOW}; leave 'of' out.")
        queries[str(name)] = Query(text.strip(), str(of))
    return queries


def _auth(entry: Any, faults: list[str]) -> dict[str, str]:
    """The names of variables, never what they hold."""
    if entry is None:
        return {}
    if not isinstance(entry, dict) or len(entry) != 1 or not entry.keys() <= set(_AUTH):
        faults.append(
            "'auth' of 'prometheus' is {bearer: VARIABLE}, whose value is a token, or "
            "{basic: VARIABLE}, whose value is user:password."
        )
        return {}
    (name,) = entry.values()
    if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
        # It may be the secret itself, so it is not shown.
        faults.append("'auth' of 'prometheus' takes the name of an environment variable.")
        return {}
    if not is_secret(name, ""):
        faults.append(
            "'auth' of 'prometheus' names a variable that the objective could read; give it a name "
            "that ends with _TOKEN or _PASSWORD."
        )
    return {str(key): name for key in entry}
