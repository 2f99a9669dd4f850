"""Results for tests: by hand, task by task, or a whole grid with plausible scores."""

import math

import numpy as np
import pandas as pd

from benchmark.analysis.results.table import CLASSIC

NAN, INF = math.nan, math.inf


def results(rows, metric="auc", type="classification"):
    """A frame from (framework, data set, seed, score); a score may be a status or a cause."""
    table = []
    for framework, dataset, seed, score in rows:
        failed = isinstance(score, str)
        status = ("failure" if score else "") if failed else "success"
        number = NAN if failed else float(score)
        table.append(
            {
                **{"MODEL": framework, "DATASET_ID": dataset, "TYPE": type, "SEED": seed},
                **{"STATUS": status, "CAUSE": score if failed else ""},
                **{"METRIC": metric, "SCORE": number, "F1_SCORE": number, "MSE": number},
                "FIT_S": NAN if failed else 2.0,
            }
        )
    return pd.DataFrame(table)


def grid(frameworks=("constant", "a", "b"), datasets=6, seeds=1, failing=(), score=None):
    """Compiled results: classification and regression in turn, the constant predictor worst."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(datasets):
        kind = ("classification", "regression")[number % 2]
        for name in frameworks:
            for seed in range(seeds):
                drawn = 0.3 if name == "constant" else random.uniform(0.5, 1)
                value = drawn if score is None else score
                if kind == "regression":
                    value = 1.5 - value
                failed = name in failing
                rows.append(
                    {
                        **dict.fromkeys(CLASSIC, ""),
                        **{"ID": len(rows), "MODEL": name, "DATASET_ID": f"d{number}"},
                        **{"TYPE": kind, "SEED": seed},
                        ("F1_SCORE" if number % 2 == 0 else "MSE"): "" if failed else value,
                        "STATUS": "failure" if failed else "success",
                        "CAUSE": "timeout" if failed else "",
                        "MESSAGE": "stopped <b>after</b> 60 s" if failed else "",
                        **{"FIT_S": "" if failed else 3.5, "PREDICT_S": "" if failed else 0.25},
                        **{"RUNTIME": 60, "HARD_LIMIT": 90, "RUN": "default", "HOST": "h"},
                        **{
                            "ROWS": 100 * 3 ** (number % 9),
                            "FEATURES": 4 + number,
                            "VERSION": "1.2",
                        },
                        "LOG": f"default/logs/{name}/1.log",
                    }
                )
    return pd.DataFrame(rows)
