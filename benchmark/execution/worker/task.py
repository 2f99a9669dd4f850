"""The task itself: an adapter, a command, a script or a metric; its outcome in a file."""

import importlib.util
import json
import os
import random
import runpy
import site
import sys
import tempfile
import time
import traceback
from types import SimpleNamespace
from typing import Any, Dict, List, Optional

from benchmark.execution.worker import frames, inference, scoring

OUTCOME = "outcome.json"
STAGE = "stage"
PREDICTIONS = "predictions.arrow"
_MESSAGE = 2000


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
        code = error.code if isinstance(error.code, int) else 1
    except BaseException as error:
        traceback.print_exc()
        _write(request, _fault(error))
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
    seed = request["seed"]
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % 2**32)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


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
    # The zygote has neither of these, so that nobody's packages are taken for a framework's.
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
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        if code and not isinstance(error.code, int):
            sys.stderr.write("%s\n" % error.code)
    except BaseException:
        traceback.print_exc()
        code = 1
    _flush()
    os._exit(code)


def _perform_adapter(request: Dict[str, Any]) -> None:
    payload = request["payload"]
    problem = SimpleNamespace(**payload["problem"])
    limits = SimpleNamespace(**payload["limits"])
    times: Dict[str, float] = {}
    clock = time.monotonic()
    _stage(request, "setup")
    try:
        adapter = load_adapter(request["entry"]["adapter"])
    except Exception as error:
        traceback.print_exc()
        message = "The adapter cannot be imported: " + _sentence(error)
        _write(request, {"status": "failure", "cause": "setup", "message": message})
        return
    if hasattr(adapter, "setup") and not _set_up(request, adapter, problem, limits):
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
    _stage(request, "describe")
    classes = _write_predictions(answer, os.path.join(request["work"], PREDICTIONS))
    outcome: Dict[str, Any] = {"status": "success", "classes": classes}
    outcome.update(times)
    try:
        outcome["description"] = adapter.describe(model)
    except Exception as error:
        outcome["description"] = {"fault": _sentence(error)}
    _write(request, outcome)
    _stage(request, "inference")
    inference.measure(
        request, frame, times["predict_s"], lambda batch: adapter.predict(model, batch, problem)
    )


def _set_up(request: Dict[str, Any], adapter: Any, problem: Any, limits: Any) -> bool:
    """Call the adapter's own setup; what it starts runs on, what it returns is not used.

    A setup that raises says nothing about the framework's models, so the task has no result.
    """
    try:
        adapter.setup(problem, limits)
    except MemoryError:
        raise
    except Exception as error:
        traceback.print_exc()
        message = "The adapter's setup() failed: " + _sentence(error)
        _write(request, {"status": "failure", "cause": "setup", "message": message})
        return False
    return True


def load_adapter(path: str) -> Any:
    """An adapter's module by its file."""
    spec = importlib.util.spec_from_file_location("framework_adapter", path)
    if spec is None or spec.loader is None:
        raise ImportError("%s is no Python file" % path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["framework_adapter"] = module
    spec.loader.exec_module(module)
    return module


def _write_predictions(answer: Dict[str, Any], path: str) -> Optional[List[str]]:
    """predictions, then a column for each class that the framework gave a probability for."""
    import numpy
    import pyarrow

    predictions = numpy.asarray(answer["predictions"])
    if predictions.dtype.kind not in "fiub":
        predictions = numpy.array([str(value) for value in predictions.tolist()], dtype=object)
    if predictions.ndim != 1:
        raise ValueError(
            "predict() returned predictions of shape %s, not one a row" % (predictions.shape,)
        )
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


def _fault(error: BaseException) -> Dict[str, Any]:
    cause = "memory" if isinstance(error, MemoryError) else "framework"
    return {"status": "failure", "cause": cause, "message": _sentence(error)}


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
    with open(path + ".tmp", "w", encoding="utf-8", errors="replace") as file:
        json.dump(outcome, file, default=_plain)
    os.rename(path + ".tmp", path)


def _plain(value: Any) -> Any:
    """numpy's numbers and arrays as Python's, anything else as its text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue
