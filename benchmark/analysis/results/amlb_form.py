"""AMLB's form of results: its columns, its names of metrics and budgets, and results written in it.

    to_amlb(frame).to_csv("results.csv", index=False)

In it a result is larger where it is better, so that a loss stands as `neg_logloss` with its sign
turned; a failure has no result, and `info` says why, the cause first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmark.analysis.results.cells import RETIRED
from benchmark.analysis.results.metrics import canonical
from benchmark.execution.worker.inference import BATCHES

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

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
COLUMNS = (*FIXED, *MEASURES, *(f"infer_batch_size_df_{size}" for size in BATCHES))
# Written only where a metric of the user's own is better when larger: its name does not say so.
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
    told = [names[pair] for pair in pairs.itertuples(index=False)]
    return _own(rows, "CONSTRAINT", pd.Series(told, index=rows.index, dtype=object))


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


def needs_direction(metric: str) -> bool:
    """Whether a reader must be told that larger values of a metric are better."""
    from benchmark.analysis.results.metrics import known_direction

    return not metric.startswith("neg_") and known_direction(metric) != 1


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
    result, metric = _result(rows)
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
    if any(needs_direction(name) for name in metric.unique() if name):
        table[DIRECTION] = pd.Series("maximize", index=rows.index)
        columns.append(DIRECTION)
    return pd.DataFrame(table, index=rows.index).reindex(columns=columns, fill_value="")


def _result(rows: pd.DataFrame) -> tuple[pd.Series[float], pd.Series[str]]:
    """The score with AMLB's sign, and the metric with AMLB's name."""
    import pandas as pd

    from benchmark.analysis.results.scores import judged

    theirs = {ours: amlb for amlb, ours in MEASURES.items()}
    results, metrics = pd.Series(float("nan"), rows.index), pd.Series("", rows.index, dtype=object)
    for kind, part in rows.groupby("TYPE"):
        gains, metric_of, sign_of = judged(part, str(kind))
        names = {
            dataset: ("" if sign_of[dataset] > 0 else "neg_") + theirs.get(canonical(name), name)
            for dataset, name in metric_of.items()
        }
        results[part.index], metrics[part.index] = gains, part["DATASET_ID"].map(names)
    return results, metrics


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
