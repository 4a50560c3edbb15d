"""An analysis as JSON (schema ``pcapkit.analysis/1``); tables as CSV, JSON Lines and Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import IO, TYPE_CHECKING, Any

from pcapkit.errors import UsageError
from pcapkit.model import Analysis, CaptureInfo, Client, Name, WhatIf

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = "pcapkit.analysis/1"

#: Columns of row tables that may hold only nulls: what is in them otherwise.
_TYPES = {
    **dict.fromkeys(
        ("server_addr", "qname", "qtype", "qclass", "rcode", "suffix", "answered_by",
         "answered_suffix"), "string",
    ),
    **dict.fromkeys(("aa", "tc", "rd", "ra", "absolute", "repeated", "forwarded"), "bool"),
    **dict.fromkeys(("rtt_s", "duration_s", "wasted_s"), "double"),
}  # fmt: skip

#: A cell that begins so is a formula to a spreadsheet.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def iso_time(nanoseconds: int | None) -> str | None:
    """Return ISO 8601 with nine digits and Z."""
    if nanoseconds is None:
        return None
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return f"{moment.strftime('%Y-%m-%dT%H:%M:%S')}.{rest:09d}Z"


def _capture(c: CaptureInfo) -> dict[str, object]:
    return {
        "path": c.path, "format": c.format, "compression": c.compression,
        "link_types": list(c.link_types), "snaplen": c.snaplen, "packets": c.packets,
        "bytes": c.bytes, "first_time": iso_time(c.first_time), "last_time": iso_time(c.last_time),
        "duration_s": c.duration_s, "truncated_tail": c.truncated_tail,
    }  # fmt: skip


#: Values of records that hold no records.
_PLAIN = frozenset({str, int, float, bool, type(None)})


def _row(item: Any) -> dict[str, Any]:
    """Return a record's fields, records within it too (asdict() copies each value: slow)."""
    out = {name: getattr(item, name) for name in item.__dataclass_fields__}
    for name, value in out.items():
        if type(value) not in _PLAIN and is_dataclass(value):
            out[name] = _row(value)
    return out


def _client(c: Client) -> dict[str, object]:
    return _row(c) | {"first_time": iso_time(c.first_time), "last_time": iso_time(c.last_time)}


#: What is told of a name; there may be a million of them.
_NAME = tuple(f.name for f in fields(Name) if f.name != "by_class")
_of_name = attrgetter(*_NAME)


def analysis_json(analysis: Analysis) -> dict[str, Any]:
    """Return the analysis as plain JSON values."""
    lookups = asdict(analysis.lookup_counts)
    duration = {k: lookups.pop(f"{k}_s") for k in ("p50", "p95", "p99")}
    return {
        "schema": SCHEMA,
        "pcapkit_version": analysis.pcapkit_version,
        "options": dict(analysis.options),
        "captures": [_capture(c) for c in analysis.captures],
        "packets": asdict(analysis.packets),
        "messages": asdict(analysis.messages),
        "transactions": asdict(analysis.transaction_counts),
        "lookups": lookups | {"duration_s": duration},
        "waste": asdict(analysis.waste),
        "vantage": asdict(analysis.vantage),
        "clients": [_client(c) for c in analysis.client_rows],
        "names": [
            dict(zip(_NAME, values, strict=True)) for values in map(_of_name, analysis.name_rows)
        ],
        "what_if": [_row(w) for w in analysis.what_if_rows],
        "findings": [_row(f) for f in analysis.findings],
        "recommendations": [_row(r) for r in analysis.recommendations],
        "warnings": list(analysis.warnings),
    }  # fmt: skip


def dump_json(analysis: Analysis) -> str:
    """Return the analysis as JSON text: a line for each part, or for each row of one."""
    parts = []
    for key, value in analysis_json(analysis).items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            text = "[\n" + ",\n".join(f"    {json.dumps(row)}" for row in value) + "\n  ]"
        else:
            text = json.dumps(value)
        parts.append(f"  {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, dict):
            out |= {f"{key}_{k}": v for k, v in value.items()}
        else:
            out[key] = value
    return out


def small_table(analysis: Analysis, name: str) -> pd.DataFrame:
    """Return ``clients``, ``names`` or ``what_if``: the JSON's rows, flattened."""
    kinds: dict[str, type[Any]] = {"clients": Client, "names": Name, "what_if": WhatIf}
    rows = analysis_json(analysis)[name]
    import pandas as pd

    columns = None if rows else [f.name for f in fields(kinds[name])]
    return pd.DataFrame([_flat(r) for r in rows], columns=columns)


def _text_times(frame: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    out = frame.copy()
    for column in out.columns:
        if isinstance(out[column].dtype, pd.DatetimeTZDtype):
            stamps = out[column].astype("int64").tolist()
            missing = out[column].isna().tolist()
            out[column] = pd.Series(
                [None if m else iso_time(s) for s, m in zip(stamps, missing, strict=True)],
                dtype="object", index=out.index,
            )  # fmt: skip
    return out


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return list(value)
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, float) and value != value:
        return None
    return value.item() if hasattr(value, "item") else value


def _cell(value: Any) -> str:
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
    return "'" + text if text.startswith(_FORMULA) else text


def write_table(frames: Iterable[pd.DataFrame], form: str, out: IO[bytes]) -> None:
    """Write a table as ``csv``, ``jsonl`` or ``parquet``; its frames follow one another."""
    if form == "parquet":
        _write_parquet(frames, out)
    elif form in ("csv", "jsonl"):
        for number, frame in enumerate(frames):
            out.write(_text(frame, form, header=not number))
    else:
        raise UsageError(f"no format {form!r}: csv, jsonl, parquet")


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


def _write_parquet(frames: Iterable[pd.DataFrame], out: IO[bytes]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    try:
        for frame in frames:
            if writer is None:
                schema = pa.Schema.from_pandas(frame, preserve_index=False)
                for number, column in enumerate(schema):
                    # One frame may have only nulls where the next one has values.
                    if pa.types.is_null(column.type) and column.name in _TYPES:
                        known = column.with_type(pa.type_for_alias(_TYPES[column.name]))
                        schema = schema.set(number, known)
                writer = pq.ParquetWriter(out, schema)
            writer.write_table(pa.Table.from_pandas(frame, schema=schema, preserve_index=False))
    finally:
        if writer is not None:
            writer.close()
