"""The result of a query: a table on a terminal, CSV, JSON Lines."""

from __future__ import annotations

import json
from datetime import date, time
from decimal import Decimal
from typing import IO, TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pcapkit.report.table_files import write_table
from pcapkit.report.text.formatting import iso_time, printable

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 1000  # that a terminal shows


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return str(value)


def _columns(result: pa.Table) -> dict[str, list[Any]]:
    """Return columns of plain values by name; a name that is there already gets a number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    out: dict[str, list[Any]] = {}
    for name, column in zip(result.column_names, result.columns, strict=True):
        free, number = name, 1
        while free in out:
            number += 1
            free = f"{name}_{number}"
        if pa.types.is_timestamp(column.type):
            moments = pc.cast(column, pa.timestamp("ns", tz=column.type.tz)).cast(pa.int64())
            out[free] = [iso_time(moment) for moment in moments.to_pylist()]
        else:
            out[free] = [_plain(value) for value in column.to_pylist()]
    return out


def write_result(result: pa.Table, form: str, out: IO[bytes]) -> None:
    """Write a result as ``csv`` or ``jsonl``; times as ISO 8601, UTC."""
    import pandas as pd

    columns = _columns(result)
    if form == "csv":
        columns = {
            name: [json.dumps(v) if isinstance(v, dict) else v for v in values]
            for name, values in columns.items()
        }
    frame = pd.DataFrame({n: pd.Series(v, dtype=object) for n, v in columns.items()})
    write_table([frame], form, out)


def render_result(result: pa.Table, console: Console) -> None:
    """Print a result; names never act as markup, and a terminal obeys nothing of them.

    Cells are cut to the width of a terminal, and whole elsewhere.
    """
    columns = _columns(result.slice(0, _ROWS))
    if list(columns) == ["explain_key", "explain_value"]:
        for line in "\n".join(columns["explain_value"]).splitlines():
            console.print(Text(printable(line)))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, values in columns.items():
        is_number = any(isinstance(v, (int, float)) for v in values)
        table.add_column(
            Text(printable(name)),
            justify="right" if is_number else "left",
            header_style="dim",
            no_wrap=True,
        )
    for row in zip(*columns.values(), strict=True):
        table.add_row(*(Text(printable(_cell(value))) for value in row))
    if not console.is_terminal:
        console.width = _width(columns)
    console.print(table)
    if result.num_rows > _ROWS:
        more = f"and {result.num_rows - _ROWS:,} more rows (--format csv has all)"
        console.print(Text(more, style="dim"))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list) and not any(isinstance(v, (dict, list)) for v in value):
        return " ".join(_cell(v) for v in value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)


def _width(columns: dict[str, list[Any]]) -> int:
    """Return columns of the terminal that all of a table takes."""
    from rich.cells import cell_len

    widths = (
        max(map(cell_len, [printable(name), *(printable(_cell(v)) for v in values)]))
        for name, values in columns.items()
    )
    return max(1, sum(width + 2 for width in widths))
