"""Tables as CSV, JSON Lines and Parquet files, and the small tables as frames."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any

import msgspec

from pcapkit.errors import UsageError
from pcapkit.model.columns import COLUMNS
from pcapkit.model.results import Results
from pcapkit.model.vocabulary import TABLE_FORMATS
from pcapkit.report.analysis_json import ROWS, rows
from pcapkit.report.text.formatting import iso_time, printable

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


#: Columns of row tables that may hold only nulls: what is in them otherwise.
_TYPES = {
    **dict.fromkeys(
        (
            "container",
            "server_addr",
            "qname",
            "qtype",
            "qclass",
            "rcode",
            "suffix",
            "answered_by",
            "answered_suffix",
        ),
        "string",
    ),
    **dict.fromkeys(("aa", "tc", "rd", "ra", "absolute", "repeated", "forwarded"), "bool"),
    **dict.fromkeys(("rtt_s", "duration_s", "wasted_s"), "double"),
}

#: A cell that begins so is a formula to a spreadsheet.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, dict):
            out |= {f"{key}_{k}": v for k, v in value.items()}
        else:
            out[key] = value
    return out


def small_table(analysis: Results, name: str) -> pd.DataFrame:
    """Return a table of ``SUMMARY_TABLES``: the JSON's rows, flattened."""
    import pandas as pd

    flat = [_flat(msgspec.to_builtins(row)) for row in rows(analysis, name)]
    return pd.DataFrame(flat, columns=None if flat else ROWS[name][1])


def _text_times(frame: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    out = frame.copy()
    for column in out.columns:
        if isinstance(out[column].dtype, pd.DatetimeTZDtype):
            stamps = out[column].astype("int64").tolist()
            missing = out[column].isna().tolist()
            out[column] = pd.Series(
                [None if m else iso_time(s) for s, m in zip(stamps, missing, strict=True)],
                dtype="object",
                index=out.index,
            )
    return out


def _plain(value: object) -> object:
    if isinstance(value, (list, tuple)):
        return list(value)
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, float) and value != value:
        return None
    return value.item() if hasattr(value, "item") else value


def _cell(value: object) -> str:
    value = _plain(value)
    if value is None:
        return ""
    if isinstance(value, list):
        text = " ".join(str(v) for v in value)
    elif isinstance(value, bool):
        return "true" if value else "false"
    else:
        text = str(value)
    if isinstance(value, (int, float)):
        return text
    shown = text if text.isprintable() else printable(text)  # names of the wire are in escapes
    return "'" + shown if text.startswith(_FORMULA) else shown


def write_table(
    frames: Iterable[pd.DataFrame], form: str, out: IO[bytes], *, table: str | None = None
) -> None:
    """Write a table as ``csv``, ``jsonl`` or ``parquet``; its frames follow one another.

    Parquet also says what stands in each column of ``table``: in the metadata of its field, and,
    for readers that know no Arrow, as JSON in the file's metadata under ``columns``.
    """
    if form == "parquet":
        _write_parquet(frames, out, COLUMNS.get(table or "", {}))
    elif form in ("csv", "jsonl"):
        for number, frame in enumerate(frames):
            out.write(_text(frame, form, header=not number))
    else:
        raise UsageError(f"no format {form!r}: {', '.join(TABLE_FORMATS)}")


def _text(frame: pd.DataFrame, form: str, *, header: bool) -> bytes:
    text = _text_times(frame)
    columns = list(text.columns)
    rows = zip(*(text[c].tolist() for c in columns), strict=True)
    if form == "jsonl":
        lines = ({c: _plain(v) for c, v in zip(columns, row, strict=True)} for row in rows)
        return b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    import csv
    import io

    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    if header:
        writer.writerow(columns)
    writer.writerows([_cell(v) for v in row] for row in rows)
    return buffer.getvalue().encode()


def _write_parquet(
    frames: Iterable[pd.DataFrame], out: IO[bytes], columns: Mapping[str, str]
) -> None:
    import pyarrow.parquet as pq

    writer = None
    try:
        for table in arrow_tables(frames):
            schema = _described(table.schema, columns)
            if writer is None:
                writer = pq.ParquetWriter(out, schema)
            writer.write_table(table.cast(schema))
    finally:
        if writer is not None:
            writer.close()


def _described(schema: pa.Schema, columns: Mapping[str, str]) -> pa.Schema:
    """Return a schema whose metadata says what stands in its columns."""
    for number, column in enumerate(schema):
        if (text := columns.get(column.name)) is not None:
            schema = schema.set(number, column.with_metadata({"description": text}))
    if columns:
        told = json.dumps({name: columns[name] for name in schema.names if name in columns})
        schema = schema.with_metadata({**(schema.metadata or {}), b"columns": told.encode()})
    return schema


def arrow_tables(frames: Iterable[pd.DataFrame]) -> Iterator[pa.Table]:
    """Yield a table's frames as Arrow tables, which all have the types of the first."""
    import pyarrow as pa

    schema = None
    for frame in frames:
        if schema is None:
            schema = pa.Schema.from_pandas(frame, preserve_index=False)
            for number, column in enumerate(schema):
                # One frame may have only nulls where the next one has values.
                if pa.types.is_null(column.type) and column.name in _TYPES:
                    known = column.with_type(pa.type_for_alias(_TYPES[column.name]))
                    schema = schema.set(number, known)
        yield pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
