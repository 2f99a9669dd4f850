"""AMLB's form of results: its columns, its names of metrics and budgets, and results written in it.

    to_amlb(frame).to_csv("results.csv", index=False)

In it a result is larger where it is better, so that a loss stands as `neg_logloss` with its sign
turned; a failure has no result, and `info` says why, the cause first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from benchmark.analysis.results.cells import RETIRED
from benchmark.analysis.results.metrics import canonical, known_direction
from benchmark.execution.metrics import METRICS
from benchmark.execution.worker.inference import BATCHES

FIXED = (
    *("id", "task", "framework", "constraint", "fold", "type", "result", "metric", "mode"),
    *("version", "params", "app_version", "utc", "duration", "training_duration"),
    *("predict_duration", "models_count", "seed", "info"),
)
# AMLB's name of a metric and ours. Its `f1` and `auc_ovr` are averaged otherwise than ours, so
# those two keep our names.
MEASURES = {
    **{"acc": "accuracy", "auc": "auc", "balacc": "balanced_accuracy"},
    **{"f1_weighted": "f1_weighted", "logloss": "log_loss", "mae": "mae", "mse": "mse"},
    **{"r2": "r2", "rmse": "rmse"},
}
_THEIRS = {ours: amlb for amlb, ours in MEASURES.items()}
COLUMNS = (*FIXED, *MEASURES, *(f"infer_batch_size_df_{size}" for size in BATCHES))
# Written only where the name of a metric of the user's own does not say which way is better.
DIRECTION = "metric_direction"
LONGEST_INFO = 500
# Where compiled results have the same thing, by AMLB's name of it.
_ALIKE = {
    **{"version": "VERSION", "duration": "TOTAL_S", "training_duration": "FIT_S"},
    **{"predict_duration": "PREDICT_S", "models_count": "MODELS", "mode": "MODE"},
    **{"params": "PARAMS", "app_version": "HARNESS"},
    **{"acc": "ACCURACY", "balacc": "BALANCED_ACCURACY", "f1_weighted": "F1_SCORE"},
    **{"logloss": "LOGLOSS", "mae": "MAE", "mse": "MSE", "r2": "R2_SCORE", "rmse": "RMSE"},
}


def constraint(runtime_s: float, cores: int) -> str:
    """A budget as AMLB names it: 3600 s on 8 cores is 1h8c."""
    for unit, seconds in (("h", 3600), ("m", 60)):
        if runtime_s % seconds == 0:
            return f"{runtime_s / seconds:g}{unit}{cores}c"
    return f"{runtime_s:g}s{cores}c"


def constraints(rows: pd.DataFrame) -> pd.Series[str]:
    """Each row's budget as AMLB names it, by RUNTIME and CORES where it has no CONSTRAINT."""
    import pandas as pd

    pairs = pd.DataFrame({name: _text(rows, name) for name in ("RUNTIME", "CORES")})
    names = {pair: _named(*pair) for pair in pairs.drop_duplicates().itertuples(index=False)}
    budgets = [names[pair] for pair in pairs.itertuples(index=False)]
    return _own(rows, "CONSTRAINT", pd.Series(budgets, index=rows.index, dtype=object))


def _named(runtime: str, cores: str) -> str:
    """The name of a budget; "" where one of the two is no number."""
    try:
        return constraint(float(runtime), int(cores))
    except ValueError:
        return ""


def address(dataset: str) -> str:
    """A data set as AMLB writes it, for what comes from OpenML."""
    source, _, number = dataset.partition("-")
    if number.isdecimal() and source in ("task", "openml"):
        return f"openml.org/{'t' if source == 'task' else 'd'}/{number}"
    return dataset


def parameters(framework: Mapping[str, Any]) -> str:
    """A framework's parameters as AMLB writes them, a Python literal; "" for none.

    Args:
        framework: its entry in a run's manifest.
    """
    return repr(framework["params"]) if framework.get("params") else ""


def direction(metric: str, sign: int) -> str:
    """ "maximize", as of all results, for a metric that a reader would not know by its name alone.

    Args:
        metric: its name in this program; one of the user's own may be another's in AMLB.
        sign: 1 where larger values are better, or -1.
    """
    if metric in METRICS:
        return ""
    clear = metric == canonical(metric) and metric not in MEASURES and not metric.startswith("neg_")
    known = known_direction(metric)
    return "" if clear and (known == sign or (known is None and sign < 0)) else "maximize"


def name(metric: str, sign: int) -> str:
    """A metric's name in AMLB's form, where a loss is negated."""
    return ("" if sign > 0 else "neg_") + _THEIRS.get(metric, metric)


def to_amlb(frame: pd.DataFrame) -> pd.DataFrame:
    """Results in AMLB's columns, a row for every task that was started.

    Args:
        frame: the results, see `table.read_results`. What they do not say is left empty.

    Raises:
        BenchmarkError: a metric is unknown, so that it cannot be said which way is better.
    """
    import pandas as pd

    rows = frame[frame["STATUS"] != ""] if "STATUS" in frame.columns else frame
    if "CAUSE" in rows.columns:
        rows = rows[rows["CAUSE"] != RETIRED]
    result, metric, ways = _result(rows)
    failed = result.isna()
    problem = _text(rows, "PROBLEM")
    table = {
        "id": _own(rows, "AMLB_ID", rows["DATASET_ID"].astype(str).map(address)),
        "task": rows["DATASET_ID"],
        "framework": rows["MODEL"],
        "constraint": constraints(rows),
        "fold": rows["SEED"],
        "type": problem.where(problem != "", rows["TYPE"]),
        "result": result,
        "metric": metric,
        "utc": _text(rows, "ENDED").str[:19],
        "seed": _own(rows, "AMLB_SEED", rows["SEED"].astype(str)),
        "info": _info(rows).where(failed, ""),
        "auc": rows["AUC"].where(problem == "binary") if "AUC" in rows.columns else "",
    }
    for theirs, ours in _ALIKE.items():
        table[theirs] = rows[ours] if ours in rows.columns else ""
    if "MODELS" in rows.columns:
        table["models_count"] = rows["MODELS"].round().astype("Int64")
    for size in BATCHES:
        column = f"INFERENCE_S_{size}"
        present = column in rows.columns
        table[f"infer_batch_size_df_{size}"] = rows[column] * size if present else ""
    columns = list(COLUMNS)
    if (ways != "").any():
        table[DIRECTION] = ways
        columns.append(DIRECTION)
    return pd.DataFrame(table, index=rows.index).reindex(columns=columns, fill_value="")


def _result(rows: pd.DataFrame) -> tuple[pd.Series[float], pd.Series[str], pd.Series[str]]:
    """The score with AMLB's sign, the metric with AMLB's name, and its direction where needed."""
    import pandas as pd

    from benchmark.analysis.results.scores import judged

    results = pd.Series(float("nan"), rows.index)
    metrics, ways = (pd.Series("", rows.index, dtype=object) for _ in range(2))
    for kind, part in rows.groupby("TYPE"):
        gains, metric_of, sign_of = judged(part, str(kind))
        names = {one: name(metric, sign_of[one]) for one, metric in metric_of.items()}
        directions = {one: direction(metric, sign_of[one]) for one, metric in metric_of.items()}
        results[part.index], metrics[part.index] = gains, part["DATASET_ID"].map(names)
        ways[part.index] = part["DATASET_ID"].map(directions)
    return results, metrics, ways


def _own(rows: pd.DataFrame, column: str, ours: pd.Series[str]) -> pd.Series[str]:
    """What a file of AMLB's form gave, for rows that were read from one."""
    text = _text(rows, column)
    return text.where(text != "", ours)


def _info(rows: pd.DataFrame) -> pd.Series[str]:
    cause = _text(rows, "CAUSE")
    return (cause + ": " + _text(rows, "MESSAGE")).str[:LONGEST_INFO].where(cause != "", "")


def _text(rows: pd.DataFrame, column: str) -> pd.Series[str]:
    import pandas as pd

    if column not in rows.columns:
        return pd.Series("", index=rows.index, dtype=object)
    return rows[column].fillna("").astype(str)
