"""An analysis as JSON (schema ``pcapkit.analysis/1``); tables as CSV, JSON Lines and Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from datetime import datetime, timedelta
from itertools import chain, islice
from operator import attrgetter
from typing import IO, TYPE_CHECKING, Any

from pcapkit.errors import UsageError
from pcapkit.model import Analysis, Client, Finding, Name, Recommendation, WhatIf

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
    moment = datetime(1970, 1, 1) + timedelta(seconds=seconds)
    return f"{moment.isoformat()}.{rest:09d}Z"


#: Values that hold no others.
_SCALARS = (str, int, float, type(None))
#: So many values are written at once; there may be a million.
_BATCH = 4096


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of one kind: their fields as columns, all alike long; records have columns of theirs."""

    columns: dict[str, list[Any] | _Rows]

    def dicts(self) -> list[dict[str, Any]]:
        columns = [c.dicts() if isinstance(c, _Rows) else c for c in self.columns.values()]
        return [dict(zip(self.columns, row, strict=True)) for row in zip(*columns, strict=True)]

    def lines(self, indent: str = "") -> Iterator[str]:
        """Yield each row as JSON."""
        form = indent + "{" + ", ".join(f"{json.dumps(name)}: %s" for name in self.columns) + "}"
        return map(form.__mod__, zip(*map(_texts, self.columns.values()), strict=True))


def _texts(values: list[Any] | _Rows) -> Iterator[str]:
    """Yield each value as JSON."""
    if isinstance(values, _Rows):
        return values.lines()
    kinds = set(map(type, values))
    if all(issubclass(kind, _SCALARS) for kind in kinds):
        batches = (values[n : n + _BATCH] for n in range(0, len(values), _BATCH))
        return chain.from_iterable(map(_scalars, batches))
    if kinds <= {list, tuple}:
        inner = _texts(list(chain.from_iterable(values)))
        return (f"[{', '.join(islice(inner, len(value)))}]" for value in values)
    return map(json.dumps, values)


def _scalars(values: list[Any]) -> list[str]:
    """Return values that hold no others as JSON, with one call for all."""
    # JSON escapes the line breaks of strings, so those that are left divide the values.
    return json.dumps(values, separators=("\n", ": "))[1:-1].split("\n")


def _rows(names: Iterable[str], records: Sequence[Any]) -> _Rows:
    """Return records as rows of JSON values."""
    columns: dict[str, list[Any] | _Rows] = {}
    for name in names:
        values = list(map(attrgetter(name), records))
        if name in ("first_time", "last_time"):
            values = list(map(iso_time, values))
        columns[name] = values
        if values and is_dataclass(kind := type(values[0])):
            columns[name] = _rows(_fields(kind), values)
    return _Rows(columns)


def _fields(kind: type[Any]) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind))


#: What is told of a capture, and of a name.
_CAPTURE = (
    "path", "format", "compression", "link_types", "snaplen", "packets", "bytes", "first_time",
    "last_time", "duration_s", "truncated_tail",
)  # fmt: skip
_NAME = tuple(name for name in _fields(Name) if name != "by_class")


def _parts(analysis: Analysis) -> dict[str, Any]:
    """Return the parts of the analysis: plain JSON values, and rows."""
    lookups = asdict(analysis.lookup_counts)
    duration = {k: lookups.pop(f"{k}_s") for k in ("p50", "p95", "p99")}
    return {
        "schema": SCHEMA,
        "pcapkit_version": analysis.pcapkit_version,
        "options": dict(analysis.options),
        "captures": _rows(_CAPTURE, analysis.captures),
        "packets": asdict(analysis.packets),
        "messages": asdict(analysis.messages),
        "transactions": asdict(analysis.transaction_counts),
        "lookups": lookups | {"duration_s": duration},
        "waste": asdict(analysis.waste),
        "vantage": asdict(analysis.vantage),
        "clients": _rows(_fields(Client), analysis.client_rows),
        "names": _rows(_NAME, analysis.name_rows),
        "what_if": _rows(_fields(WhatIf), analysis.what_if_rows),
        "findings": _rows(_fields(Finding), analysis.findings),
        "recommendations": _rows(_fields(Recommendation), analysis.recommendations),
        "warnings": list(analysis.warnings),
    }


def analysis_json(analysis: Analysis) -> dict[str, Any]:
    """Return the analysis as plain JSON values."""
    return {
        key: part.dicts() if isinstance(part, _Rows) else part
        for key, part in _parts(analysis).items()
    }


def dump_json(analysis: Analysis) -> str:
    """Return the analysis as JSON text: a line for each part, or for each row of one."""
    parts = []
    for key, part in _parts(analysis).items():
        if isinstance(part, _Rows):
            rows = ",\n".join(part.lines(indent="    "))
            text = f"[\n{rows}\n  ]" if rows else "[]"
        else:
            text = json.dumps(part)
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
