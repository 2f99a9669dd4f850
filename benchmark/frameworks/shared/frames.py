"""What adapters share: train's columns in plain form, labels as codes, and the form of an answer.

Frameworks stumble over names with spaces or brackets, mixed objects, infinities and nullable
types. So columns are named c0, c1, ... here; a column is a number (missing: NaN; infinite: missing;
beyond float32: cut), or a category of strings (missing: NaN). A date is a number of seconds.

An adapter imports this file from its folder, in the framework's own interpreter: Python 3.6 and
pandas 0.25 are the oldest.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_datetime64_any_dtype, is_numeric_dtype

LARGEST = float(np.finfo(np.float32).max)
NUMBER, CATEGORY = "number", "category"


def beside(file, name):
    """A module by its name in the folder of an adapter's file."""
    path = Path(file).resolve().with_name(name + ".py")
    spec = importlib.util.spec_from_file_location(path.parent.name + "_" + name, str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Model:
    """A fitted AutoML, the columns and labels that it was fitted on, and its objective."""

    def __init__(self, automl, columns, labels, objective):
        self.automl, self.columns, self.labels = automl, columns, labels
        self.objective = objective


class Columns:
    """Train's columns: `names` by their old names, `kinds` and `levels` by their plain ones."""

    def __init__(self, features, categorical):
        self.declared = {f"c{n}" for n, old in enumerate(features.columns) if old in categorical}
        self.names, self.kinds, self.levels = {}, {}, {}
        for place, old in enumerate(features.columns):
            column, plain = features[old], f"c{place}"
            self.names[old] = plain
            self.kinds[plain] = CATEGORY if plain in self.declared else kind_of(column)
            if self.kinds[plain] == CATEGORY:
                self.levels[plain] = sorted({v for v in _strings(column) if v is not None})

    @property
    def categories(self):
        """The plain names of the categories."""
        return [name for name, kind in self.kinds.items() if kind == CATEGORY]

    def plain(self, frame):
        """Numbers as they are, categories with train's levels; another level counts as missing."""
        out = {}
        for old, name in self.names.items():
            if self.kinds[name] == NUMBER:
                out[name] = _numbers(frame[old])
            else:
                known = set(self.levels[name])
                values = [value if value in known else None for value in _strings(frame[old])]
                out[name] = pd.Categorical(values, categories=self.levels[name])
        return pd.DataFrame(out, columns=list(self.names.values()))

    def text(self, frame, keep=()):
        """The same with categories as objects: strings, also those that train had not, or None.

        Those named in `keep` stay categories; `declared` are the ones that the data set calls so.
        """
        out = self.plain(frame)
        for old, name in self.names.items():
            if self.kinds[name] == CATEGORY and name not in keep:
                out[name] = pd.Series(_strings(frame[old]), dtype=object)
        return out

    def codes(self, frame):
        """The same as one float64 array: a category is the position of its level, or NaN."""
        out = self.plain(frame)
        table = np.empty(out.shape, dtype=np.float64)
        for place, name in enumerate(out.columns):
            if self.kinds[name] == NUMBER:
                table[:, place] = out[name]
            else:
                codes = out[name].cat.codes.to_numpy().astype(float)
                table[:, place] = np.where(codes < 0, np.nan, codes)
        return table


class Labels:
    """The classes of train, sorted, as strings; `codes` has each row's position among them."""

    def __init__(self, target):
        classes, self.codes = np.unique(
            np.array([str(value) for value in target], dtype=object).astype(str),
            return_inverse=True,
        )
        self.classes = classes.tolist()

    def answer(self, codes, probabilities, order=None):
        """What predict() returns: `order` are the codes of the probabilities' columns."""
        order = range(len(self.classes)) if order is None else order
        return {
            "predictions": np.array(self.classes, dtype=object)[np.asarray(codes, dtype=int)],
            "probabilities": np.asarray(probabilities, dtype=float),
            "classes": [self.classes[int(code)] for code in order],
        }


def numbers_answer(values):
    """What predict() returns for a regression."""
    values = np.asarray(values, dtype=float).ravel()
    return {"predictions": values, "probabilities": None, "classes": None}


def kind_of(column):
    """NUMBER or CATEGORY, by the column's type."""
    if is_bool_dtype(column):
        return CATEGORY
    if is_numeric_dtype(column) or is_datetime64_any_dtype(column):
        return NUMBER
    # Numbers in an object column, as None among them makes, are still numbers.
    present = [value for value in column if not _missing(value)]
    plain = (int, float, np.integer, np.floating)
    if all(isinstance(value, plain) and not isinstance(value, bool) for value in present):
        return NUMBER
    return CATEGORY


def _numbers(column):
    if is_datetime64_any_dtype(column):
        zone = getattr(column.dt, "tz", None)
        moments = column.dt.tz_convert(None) if zone is not None else column
        return ((moments - pd.Timestamp(0)) / pd.Timedelta(seconds=1)).to_numpy()
    dtype = getattr(column.dtype, "kind", "O")
    if isinstance(column.dtype, np.dtype) and dtype in "iu":
        return column.to_numpy()
    values = pd.to_numeric(column, errors="coerce")
    values = np.array([np.nan if _missing(value) else float(value) for value in values])
    values = np.where(np.isfinite(values), values, np.nan)
    return np.clip(values, -LARGEST, LARGEST)


def _strings(column):
    """A list of strings; None where missing."""
    if hasattr(column, "cat"):
        levels = [str(level) for level in column.cat.categories]
        return [levels[code] if code >= 0 else None for code in column.cat.codes]
    return [None if _missing(value) else str(value) for value in column]


def _missing(value):
    return value is None or value is getattr(pd, "NA", None) or value != value  # noqa: PLR0124
