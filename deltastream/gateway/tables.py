"""Answers as tables: CSV (RFC 4180) and Arrow streams, from one set of typed columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from deltastream.gateway.meta import iso
from deltastream.gateway.problems import Problem

__all__ = ["Column", "Table", "arrow", "csv_text", "encoded"]

_ARROW: Final = "application/vnd.apache.arrow.stream"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        kind: "text", "number" (float64), "count" (int64) or "time" (nanoseconds UTC).
        values: None where there is nothing.
    """

    kind: Literal["text", "number", "count", "time"]
    values: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of one length by name, and the zone that its times are told in."""

    zone: ZoneInfo
    columns: Mapping[str, Column]


def encoded(table: Table, media: str, meta: bytes) -> bytes:
    """The table in that media type, Arrow or else CSV.

    Args:
        meta: the answer's ``meta`` as JSON: metadata of an Arrow schema. CSV has no place for it.

    Raises:
        Problem: not_acceptable, where Arrow is asked for and pyarrow is not installed.
    """
    return arrow(table, meta) if media == _ARROW else csv_text(table)


def csv_text(table: Table) -> bytes:
    """A header and a record per row, CRLF after each; nothing where there is no value.

    Text that a spreadsheet would take for a formula gets an apostrophe before it. Numbers have no
    grouping, a point, and all the digits it takes to read the same number back.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(table.columns)
    writer.writerows(zip(*(_cells(column, table.zone) for column in table.columns.values()), strict=True))
    return text.getvalue().encode()


def _cells(column: Column, zone: ZoneInfo) -> Sequence[Any]:
    if column.kind == "time":
        return [None if value is None else iso(value, zone) for value in column.values]
    if column.kind == "text":
        return [
            f"'{value}" if value is not None and value.startswith(_FORMULA) else value
            for value in column.values
        ]
    return column.values


def arrow(table: Table, meta: bytes) -> bytes:
    """An Arrow IPC stream of one record batch, ``meta`` in the schema's metadata.

    Raises:
        Problem: not_acceptable, where pyarrow is not installed.
    """
    try:
        import pyarrow as pa
    except ModuleNotFoundError:
        raise Problem(
            "not_acceptable",
            "Arrow needs the package pyarrow on the server; ask for application/json or text/csv.",
        ) from None
    types = {
        "text": pa.string(),
        "number": pa.float64(),
        "count": pa.int64(),
        "time": pa.timestamp("ns", table.zone.key),
    }
    schema = pa.schema(
        [(name, types[column.kind]) for name, column in table.columns.items()], metadata={"meta": meta}
    )
    arrays = [
        pa.array(column.values, type=kind)
        for column, kind in zip(table.columns.values(), schema.types, strict=True)
    ]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as stream:
        stream.write_batch(pa.record_batch(arrays, schema=schema))
    data: bytes = sink.getvalue().to_pybytes()
    return data
