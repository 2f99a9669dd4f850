"""The task itself: an adapter, a command, a script or a metric; its outcome in a file."""

import importlib.util
import json
import math
import os
import random
import runpy
import signal
import site
import sys
import tempfile
import time
import traceback
from types import SimpleNamespace
from typing import Any, Callable, Dict, List, Optional

from benchmark.execution.worker import frames, inference, scoring
from benchmark.execution.worker.cgroups import Group
from benchmark.execution.worker.keeper import OWN_SIGNAL, SAFE

OUTCOME = "outcome.json"
STAGE = "stage"
PREDICTIONS = "predictions.arrow"
# In the first two nothing of the framework's models has run.
BEFORE_FIT = ("import", "setup")
STAGES = (*BEFORE_FIT, "fit", "predict", "describe", "inference", "the metric")
_MESSAGE = 2000
# Of what describe() returns: rows of its leaderboard, levels, bytes.
_ROWS, _LEVELS, _DESCRIPTION = 200, 20, 1 << 23


def perform(request: Dict[str, Any]) -> None:
    """Run the request's entry and end the process; never returns."""
    code = 1
    try:
        _settle_in(request)
        if "argv" in request["entry"]:
            _execute(request)
        if "script" in request["entry"]:
            _run_script(request["entry"])
        if "metric" in request["entry"]:
            _stage(request, "the metric")
            _write(request, scoring.score(request["payload"]))
        else:
            _perform_adapter(request)
        code = 0
    except SystemExit as error:
        code = _exit_code(error)
        if code and not isinstance(error.code, int):
            _fail(request, error)
            code = 0
    except BaseException as error:
        _fail(request, error)
        code = 0
    finally:
        _flush()
        os._exit(code)


def _settle_in(request: Dict[str, Any]) -> None:
    """Everything that a fork shares and a task must have for itself."""
    work = request["work"]
    temporary = os.path.join(work, "tmp")
    os.makedirs(temporary, exist_ok=True)
    os.chdir(work)
    os.environ.update(request.get("env") or {})
    os.environ["TMPDIR"] = temporary
    # Else joblib takes /dev/shm, where a task that is ended leaves its folder.
    os.environ["JOBLIB_TEMP_FOLDER"] = temporary
    tempfile.tempdir = None
    _note_own_signals(os.path.join(request["work"], OWN_SIGNAL))
    seed = request["seed"]
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % 2**32)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def _note_own_signals(path: str) -> None:
    """Have this process leave a note before it ends itself by a signal, as none has a sender."""
    if sys.version_info < (3, 8):
        return
    own = os.getpid()
    aims = {"os.kill": (own, -own, 0, -1), "os.killpg": (own, 0)}
    fatal = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def hook(event: str, arguments: Any) -> None:
        if event not in ("os.kill", "os.killpg", "signal.pthread_kill"):
            return
        target, number = arguments
        if number not in fatal or target not in aims.get(event, (target,)):
            return
        try:
            with open(path, "w") as file:
                file.write(str(int(number)))
        except OSError as error:
            sys.stderr.write("%s cannot be written: %s\n" % (path, error))

    sys.addaudithook(hook)


def _execute(request: Dict[str, Any]) -> None:
    argv = request["entry"]["argv"]
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    try:
        os.execvp(argv[0], argv)  # noqa: S606  # nosec B606 # the study's own command
    except OSError as error:
        sys.stderr.write("%s cannot be started: %s\n" % (argv[0], error.strerror))
        _flush()
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def _run_script(entry: Dict[str, Any]) -> None:
    """A Python script as a new interpreter would run it, but for what the zygote has imported."""
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    # The zygote has neither of these, so that no one's packages are taken for a framework's.
    if sys.prefix == sys.base_prefix and os.path.isdir(site.getusersitepackages()):
        sys.path.append(site.getusersitepackages())
    for name in [name for name in sys.modules if name.split(".")[0] == "benchmark"]:
        del sys.modules[name]
    sys.argv = [entry["script"]] + entry["arguments"]
    sys.path.insert(0, os.path.dirname(entry["script"]))
    code = 0
    try:
        runpy.run_path(entry["script"], run_name="__main__")
    except SystemExit as error:
        code = _exit_code(error)
        if code and not isinstance(error.code, int):
            sys.stderr.write("%s\n" % error.code)
    except BaseException:
        traceback.print_exc()
        code = 1
    _flush()
    os._exit(code)


def _perform_adapter(request: Dict[str, Any]) -> None:
    """Fit and predict, then write the result; what comes after that cannot undo it."""
    payload = request["payload"]
    problem = SimpleNamespace(**payload["problem"])
    limits = SimpleNamespace(**payload["limits"])
    times: Dict[str, float] = {}
    clock = time.monotonic()
    _stage(request, "import")
    adapter = _guarded(
        request, "The adapter cannot be imported", lambda: load_adapter(request["entry"]["adapter"])
    )
    if adapter is None:
        return
    _stage(request, "setup")
    if hasattr(adapter, "setup") and not _guarded(
        request, "The adapter's setup() failed", lambda: (adapter.setup(problem, limits),)
    ):
        return
    train = frames.read_train(payload, problem.target, problem.categorical)
    clock = _lap(times, "setup_s", clock)
    _stage(request, "fit")
    model = adapter.fit(train, problem, limits)
    clock = _lap(times, "fit_s", clock)
    _stage(request, "predict")
    frame = frames.read_test(payload, problem.categorical)
    clock = _lap(times, "setup_s", clock)
    answer = adapter.predict(model, frame, problem)
    clock = _lap(times, "predict_s", clock)
    classes = _write_predictions(answer, os.path.join(request["work"], PREDICTIONS))
    outcome: Dict[str, Any] = {"status": "success", "classes": classes}
    outcome.update(times)
    _write(request, outcome)
    group = Group(request["cgroup"]) if request.get("cgroup") else None
    if group and group.oom_kills():
        return
    with open(os.path.join(request["work"], SAFE), "w"):
        _stage(request, "describe")
    _describe(request, adapter, model, outcome)
    _stage(request, "inference")
    inference.measure(
        request, frame, times["predict_s"], lambda batch: adapter.predict(model, batch, problem)
    )


def _guarded(request: Dict[str, Any], what: str, step: Callable[[], Any]) -> Any:
    """The step's result; None where it failed, which says nothing about the framework's models.

    What it starts runs on. The task then has no result, and the cause `setup`.
    """
    try:
        return step()
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        message = "%s: %s" % (what, _sentence(error))
        _write(request, {"status": "failure", "cause": "setup", "message": message})
        return None


def _describe(request: Dict[str, Any], adapter: Any, model: Any, outcome: Dict[str, Any]) -> None:
    """Add what the adapter reports of its search, or why there is nothing of it."""
    try:
        description = adapter.describe(model)
        if isinstance(description, dict) and isinstance(description.get("leaderboard"), list):
            description = dict(description, leaderboard=description["leaderboard"][:_ROWS])
        description = _plain(description, _LEVELS)
        size = len(json.dumps(description))
        if size > _DESCRIPTION:
            raise ValueError("it returned %d bytes, more than %d" % (size, _DESCRIPTION))
    except BaseException as error:
        traceback.print_exc()
        description = {"fault": _sentence(error)}
    _write(request, dict(outcome, description=description))


def load_adapter(path: str) -> Any:
    """An adapter's module by its file, which imports what is beside it as a script does."""
    sys.path.insert(0, os.path.dirname(path))
    spec = importlib.util.spec_from_file_location("framework_adapter", path)
    if spec is None or spec.loader is None:
        raise ImportError("%s is no Python file" % path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["framework_adapter"] = module
    spec.loader.exec_module(module)
    for name in ("fit", "predict"):
        if not callable(getattr(module, name, None)):
            raise AttributeError("it has no function %s()" % name)
    return module


def _write_predictions(answer: Dict[str, Any], path: str) -> Optional[List[str]]:
    """predictions, then a column for each class that the framework gave a probability for."""
    import numpy
    import pandas
    import pyarrow

    predictions = numpy.asarray(answer["predictions"])
    if predictions.ndim != 1:
        raise ValueError(
            "predict() returned predictions of shape %s, not one a row" % (predictions.shape,)
        )
    if predictions.dtype.kind not in "fiub":
        # A missing prediction is not the class "None" or "nan".
        gaps = pandas.isnull(predictions)
        values = predictions.tolist()
        texts = [None if gaps[row] else str(value) for row, value in enumerate(values)]
        predictions = numpy.array(texts, dtype=object)
    columns = [pyarrow.array(predictions)]
    names = ["prediction"]
    classes: Optional[List[str]] = None
    if answer.get("probabilities") is not None:
        probabilities = numpy.asarray(answer["probabilities"], dtype="float64")
        classes = [str(value) for value in answer["classes"]]
        if probabilities.ndim != 2 or probabilities.shape != (len(predictions), len(classes)):
            raise ValueError(
                "predict() returned probabilities of shape %s for %d rows and %d classes"
                % (probabilities.shape, len(predictions), len(classes))
            )
        for number in range(len(classes)):
            columns.append(pyarrow.array(numpy.ascontiguousarray(probabilities[:, number])))
            names.append("p%d" % number)
    table = pyarrow.Table.from_arrays(columns, names=names)
    with pyarrow.OSFile(path + ".tmp", "wb") as sink:
        writer = pyarrow.RecordBatchFileWriter(sink, table.schema)
        writer.write_table(table)
        writer.close()
    os.rename(path + ".tmp", path)
    return classes


def _fail(request: Dict[str, Any], error: BaseException) -> None:
    """Write the error as the outcome, unless a result is safe already."""
    traceback.print_exc()
    if os.path.exists(os.path.join(request["work"], SAFE)):
        return
    cause = "memory" if isinstance(error, MemoryError) else "framework"
    _write(request, {"status": "failure", "cause": cause, "message": _sentence(error)})


def _exit_code(error: SystemExit) -> int:
    return error.code if isinstance(error.code, int) else int(error.code is not None)


def _sentence(error: BaseException) -> str:
    text = "%s: %s" % (type(error).__name__, error)
    return text[:_MESSAGE].rstrip(": ")


def _lap(times: Dict[str, float], name: str, since: float) -> float:
    now = time.monotonic()
    times[name] = times.get(name, 0.0) + now - since
    return now


def _stage(request: Dict[str, Any], name: str) -> None:
    with open(os.path.join(request["work"], STAGE), "w") as file:
        file.write(name)


def _write(request: Dict[str, Any], outcome: Dict[str, Any]) -> None:
    path = os.path.join(request["work"], OUTCOME)
    text = json.dumps(outcome, allow_nan=False)
    with open(path + ".tmp", "w") as file:
        file.write(text)
    os.rename(path + ".tmp", path)


def _plain(value: Any, levels: int) -> Any:
    """What JSON has a form for: numpy's numbers and arrays as Python's, NaN and infinity as null,
    anything else as its text."""
    if hasattr(value, "tolist") and not isinstance(value, type):
        value = value.tolist()
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict) and levels:
        return {_plain_key(key): _plain(part, levels - 1) for key, part in value.items()}
    if isinstance(value, (list, tuple)) and levels:
        return [_plain(part, levels - 1) for part in value]
    return str(value)[:_MESSAGE]


def _plain_key(key: Any) -> str:
    return str(key)[:_MESSAGE]


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue
