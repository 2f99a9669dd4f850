"""H2O AutoML in a Java process of the task's own, started in setup() and ended with the task."""

import os
import random
import sys
import tempfile
import uuid
from pathlib import Path

import h2o
from h2o.automl import H2OAutoML, get_leaderboard
from h2o.backend import H2OLocalServer

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "shared"))
import frames

java = frames.beside(__file__, "java")

METRICS = {
    "log_loss": "logloss",
    "balanced_accuracy": "mean_per_class_error",
    "rmse": "RMSE",
    "mse": "MSE",
    "mae": "MAE",
    "r2": "RMSE",
}
USUAL = {"binary": "AUC", "multiclass": "logloss", "regression": "RMSE"}
TARGET = "target"
# XGBoost's memory lies outside of the heap, and Python and the JVM itself need some as well.
PYTHON_MB, HEAP_SHARE, LEAST_HEAP_MB = 400, 0.6, 256
# H2O gives up after 60 s, which a busy machine may need. The hard limit holds in any case.
START_S = 600


def setup(problem, limits):
    """Start the server on a free port of its own and connect to it."""
    cores = max(1, int(limits.cores))
    heap_mb = max(LEAST_HEAP_MB, int(HEAP_SHARE * (limits.memory_mb - PYTHON_MB)))
    java.choose()
    os.environ["DO_NOT_TRACK"] = "1"  # as telemetry=False, which h2o.connect of 2023 does not take
    H2OLocalServer._TIME_TO_START = START_S
    # From a random port upwards it takes the first pair that is free. Not from the task's seed:
    # the tasks of a seed run side by side.
    base = random.SystemRandom().randrange(20000, 50000, 2)
    server = H2OLocalServer.start(
        nthreads=cores,
        max_mem_size=heap_mb << 20,
        port="%d+" % base,
        # Servers of one name on a machine join into one cluster. H2O's own name comes from the
        # generator that the worker seeds, so tasks with one seed would have the same.
        name="task-%s" % uuid.uuid4().hex,
        ice_root=str(Path.cwd()),
        enable_assertions=False,
        verbose=False,
        jvm_custom_args=[
            "-XX:ActiveProcessorCount=%d" % cores,
            "-XX:+UseSerialGC",
            # Java asks no TMPDIR, and XGBoost's libraries would stay where it unpacks them.
            "-Djava.io.tmpdir=%s" % tempfile.gettempdir(),
            "-XX:-UsePerfData",
        ],
    )
    h2o.connect(server=server, verbose=False)
    h2o.no_progress()


def fit(train, problem, limits):
    """H2O's own search within the budget; the data go over as a CSV file."""
    features = train.drop(columns=[problem.target])
    columns = frames.Columns(features, problem.categorical)
    labels = None
    data, types = _sheet(columns, features)
    if problem.type == "regression":
        data[TARGET], types[TARGET] = train[problem.target].to_numpy(dtype=float), "real"
    else:
        labels = frames.Labels(train[problem.target])
        data[TARGET], types[TARGET] = ["y%d" % code for code in labels.codes], "enum"
    sort = METRICS.get(problem.metric, USUAL[problem.type])
    settings = {
        "max_runtime_secs": max(1, int(limits.runtime_s)),
        "sort_metric": sort,
        "stopping_metric": sort,
        "seed": problem.seed % 2**31,
        "verbosity": "warn",
    }
    settings.update(problem.params)
    automl = H2OAutoML(**settings)
    automl.train(y=TARGET, training_frame=_sent(data, types, "train.csv"))
    if automl.leader is None:
        raise RuntimeError("H2O built no model within %g s" % limits.runtime_s)
    return frames.Model(automl, columns, labels, settings["sort_metric"])


def predict(model, frame, problem):
    """The leader's labels (for two classes by the threshold of the best F1) and probabilities."""
    sent = _sent(*_sheet(model.columns, frame), "test.csv")
    table = model.automl.leader.predict(sent).as_data_frame()
    h2o.remove(sent)
    if model.labels is None:
        return frames.numbers_answer(table["predict"])
    order = [int(name[1:]) for name in table.columns if name != "predict"]
    codes = [int(label[1:]) for label in table["predict"]]
    return model.labels.answer(codes, table.drop(columns=["predict"]).to_numpy(), order)


def describe(model):
    """Every model that was built, by the metric, with its training time."""
    board = get_leaderboard(model.automl, "ALL").as_data_frame()
    return {
        "models": len(board),
        "leaderboard": board.to_dict("records"),
        "objective": model.objective,
        "version": h2o.__version__,
    }


def _sheet(columns, frame):
    """Levels as plain words, which no CSV reader takes for a number or a quote; and H2O's types."""
    data = columns.plain(frame)
    types = dict.fromkeys(data.columns, "real")
    for name in columns.categories:
        codes = data[name].cat.codes
        data[name] = [None if code < 0 else "v%d" % code for code in codes]
        types[name] = "enum"
    return data, types


def _sent(data, types, name):
    path = Path.cwd() / name
    data.to_csv(path, index=False, na_rep="")
    sent = h2o.import_file(str(path), header=1, sep=",", col_types=types)
    path.unlink()
    return sent
