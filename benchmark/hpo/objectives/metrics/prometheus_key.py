"""The key `prometheus` of `metrics`, read and checked: a sentence for each fault."""

from __future__ import annotations

import re
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from benchmark.execution.sandbox.variables import is_secret
from benchmark.files.spelling import check_keys
from benchmark.hpo.objectives.metrics.prometheus import (
    STEP_S,
    TIMEOUT_S,
    Prometheus,
    Query,
)
from benchmark.hpo.objectives.metrics.promql import WINDOW
from benchmark.hpo.objectives.metrics.selections import WAYS, is_way
from benchmark.hpo.space.units import read_seconds

KEYS = ("url", "queries", "step", "wait", "timeout", "auth")
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
    check_keys(entry, KEYS, "'prometheus'", faults)
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
