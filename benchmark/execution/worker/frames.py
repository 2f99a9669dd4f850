"""The frames that an adapter is given, read from Arrow files that all tasks of the machine map.

A large table is not copied: its columns are views of the file, private to this process, so that
an adapter may write into its frame, and then has a copy of the pages that it writes.
"""

import mmap
from typing import Any, Dict, List, Optional

# Below this a copy costs nothing, and one block per kind of column is what pandas is fastest with.
VIEW_BYTES = 1 << 25
# pandas looks at its blocks one by one.
VIEW_COLUMNS = 2000


def read_train(payload: Dict[str, Any], target: str, categorical: List[str]) -> Any:
    """The training rows, the target in the last column."""
    frame = _features(payload["features"], 0, payload["train_rows"], categorical)
    frame[target] = _read(payload["target"]).column(0).to_pandas().array
    return frame


def read_test(payload: Dict[str, Any], categorical: List[str]) -> Any:
    """The test rows, without their target."""
    return _features(payload["features"], payload["train_rows"], None, categorical)


def _features(path: str, start: int, stop: Optional[int], categorical: List[str]) -> Any:
    import pandas
    import pyarrow

    with open(path, "rb") as file:
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    whole = pyarrow.py_buffer(pages)
    table = pyarrow.ipc.open_file(pyarrow.BufferReader(whole)).read_all()
    end = table.num_rows if stop is None else stop
    if len(pages) < VIEW_BYTES or table.num_columns > VIEW_COLUMNS:
        frame = table.slice(start, end - start).to_pandas()
        for column in categorical:
            if str(frame[column].dtype) != "category":
                frame[column] = frame[column].astype("category")
        return frame
    columns = {}
    for place, name in enumerate(table.column_names):
        columns[name] = _view(table.column(place).chunk(0), pages, whole.address, start, end)
    return pandas.DataFrame(columns, index=pandas.RangeIndex(end - start), copy=False)


def _view(array: Any, pages: Any, base: int, start: int, end: int) -> Any:
    """Rows `start` to `end` of a column, over the file's own pages."""
    import numpy
    import pandas
    import pyarrow

    category = isinstance(array, pyarrow.DictionaryArray)
    values = array.indices if category else array
    kind = numpy.dtype(values.type.to_pandas_dtype())
    data = values.buffers()[1]
    first = data.address - base + (values.offset + start) * kind.itemsize
    view = numpy.frombuffer(pages, dtype=kind, count=end - start, offset=first)
    if not category:
        return view
    levels = pandas.Index(array.dictionary.to_pandas())
    kind = pandas.CategoricalDtype(levels, ordered=bool(array.type.ordered))
    return pandas.Categorical.from_codes(view, dtype=kind)


def _read(path: str) -> Any:
    import pyarrow

    with pyarrow.OSFile(path, "rb") as source:
        return pyarrow.ipc.open_file(source).read_all()
