"""A metric of the user's own: the function found, called once, and what it returned checked."""

import hashlib
import importlib
import importlib.util
import math
import numbers
import sys
import traceback
from typing import Any, Dict, Optional

_MESSAGE = 500


def score(payload: Dict[str, Any]) -> Dict[str, Any]:
    """The function's value on the payload's data, or a sentence on what is wrong.

    `function` is `file.py:name` (its text lies at `source`) or `package.module:name`; `hash`, where
    it is given, is that of the file it must come from. Without `data` it is found and not called.
    """
    try:
        found = _Function(payload["function"], payload.get("source"))
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        return _fault("cannot be loaded: " + _sentence(error))
    if payload.get("hash") not in (None, found.hash):
        return _fault("has changed since the run was planned")
    if not payload.get("data"):
        return {"status": "success", "hash": found.hash}
    try:
        value = found.value(*_arguments(payload))
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        return _fault("raised " + _sentence(error))
    return _checked(value, found.hash)


def _checked(value: Any, digest: str) -> Dict[str, Any]:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return _fault("returned %s and no number" % _kind(value))
    number = float(value)
    # JSON has no form for NaN and infinity.
    plain = number if math.isfinite(number) else str(number)
    return {"status": "success", "hash": digest, "value": plain}


class _Function:
    """What the name stands for, and the hash of the file that it is in."""

    def __init__(self, function: str, source: Optional[str]) -> None:
        place, _, name = function.rpartition(":")
        if source:
            spec = importlib.util.spec_from_file_location("own_metric", source)
            if spec is None or spec.loader is None:
                raise ImportError("%s is no Python file" % place)
            module = importlib.util.module_from_spec(spec)
            sys.modules["own_metric"] = module
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(place)
        if not hasattr(module, name):
            raise AttributeError("%s has no function '%s'" % (place, name))
        self.value = getattr(module, name)
        if not callable(self.value):
            raise TypeError("%s is no function but %s" % (name, _kind(self.value)))
        path = source or getattr(module, "__file__", None)
        if not path:
            raise ImportError("%s is no Python file, so a change could not be seen" % place)
        with open(path, "rb") as file:
            self.hash = hashlib.sha256(file.read()).hexdigest()


def _arguments(payload: Dict[str, Any]) -> Any:
    """truth, predictions, probabilities (n x k or None), classes (k, or None)."""
    import numpy
    import pyarrow

    with pyarrow.OSFile(payload["data"], "rb") as source:
        table = pyarrow.ipc.open_file(source).read_all()
    columns = [table.column(n).to_numpy() for n in range(table.num_columns)]
    probabilities = numpy.column_stack(columns[2:]) if len(columns) > 2 else None
    return columns[0], columns[1], probabilities, payload["classes"]


def _fault(message: str) -> Dict[str, Any]:
    return {"status": "failure", "cause": "setup", "message": message}


def _kind(value: Any) -> str:
    return "%s (%s)" % (repr(value)[:60], type(value).__name__)


def _sentence(error: BaseException) -> str:
    return ("%s: %s" % (type(error).__name__, error))[:_MESSAGE].rstrip(": ")
