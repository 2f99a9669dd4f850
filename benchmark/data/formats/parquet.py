"""Read parquet with the metadata of its columns, for users' files and OpenML's.

table = read_parquet(Path("sales.parquet"), named={"y"})
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def read_parquet(path: Path, named: Collection[str] = ()) -> pa.Table:
    """A parquet file's columns, with the types in its metadata.

    An index that pandas stored is left out unless it is `named`. Arrow stores categories of
    anything but text as plain values, and notes in the metadata that they were categories.

    Raises:
        pyarrow.ArrowException, OSError, ValueError: it is not parquet.
    """
    with pq.ParquetFile(path) as file:
        table = file.read()
        metadata = file.metadata.metadata or {}
    pandas = json.loads(metadata.get(b"pandas", b"{}"))
    index = {name for name in pandas.get("index_columns", ()) if isinstance(name, str)}
    table = table.drop_columns(
        [name for name in table.column_names if name in index and name not in named]
    )
    for name in _categories(metadata, pandas):
        place = table.schema.get_field_index(name)
        if place >= 0 and not pa.types.is_dictionary(table.schema.field(place).type):
            table = table.set_column(place, name, _category(table.column(place)))
    return table.replace_schema_metadata(None)


def lost_orders(path: Path, table: pa.Table) -> list[str]:
    """A note on each category that the file calls ordered, but whose order it does not have."""
    with pq.ParquetFile(path) as file:
        metadata = file.metadata.metadata or {}
    pandas = json.loads(metadata.get(b"pandas", b"{}"))
    ordered = {
        str(column.get("field_name") or column.get("name"))
        for column in pandas.get("columns", ())
        if (column.get("metadata") or {}).get("ordered")
    }
    ordered |= {
        one.name for one in _written_schema(metadata) if getattr(one.type, "ordered", False)
    }
    return [
        f'the order of the categories of column "{one.name}" is not in the file, so they have none'
        for one in table.schema
        if one.name in ordered and pa.types.is_dictionary(one.type) and not one.type.ordered
    ]


def _written_schema(metadata: dict[bytes, bytes]) -> Iterable[pa.Field]:
    if b"ARROW:schema" not in metadata:
        return ()
    schema: Iterable[pa.Field] = pa.ipc.read_schema(
        pa.py_buffer(base64.b64decode(metadata[b"ARROW:schema"]))
    )
    return schema


def _categories(metadata: dict[bytes, bytes], pandas: dict[str, Any]) -> list[str]:
    found = [
        str(column.get("field_name") or column.get("name"))
        for column in pandas.get("columns", ())
        if column.get("pandas_type") == "categorical"
    ]
    found += [one.name for one in _written_schema(metadata) if pa.types.is_dictionary(one.type)]
    return list(dict.fromkeys(found))


def _category(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """Levels in their natural order; the file does not have the original order."""
    array = column.combine_chunks()
    levels = array.unique().drop_null()
    levels = levels.take(pc.sort_indices(levels))
    return pa.DictionaryArray.from_arrays(pc.index_in(array, levels), levels)
