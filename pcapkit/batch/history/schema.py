"""The columns of a run's Parquet file: one row for each workload of each capture.

A capture without workloads (an idle one, or one that could not be read) has one row all the same.
Columns of the run and of the capture are repeated in each of its rows; ``row`` is 0 in the first of
a capture, and ``families`` stands only there. Columns may be added, never renamed or dropped: files
that lack some are read with nulls in their place.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

from pcapkit.model.audits import AuditRow, Family, Workload

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = "pcapkit.history/1"


Record = TypeVar("Record", AuditRow, Workload)


@dataclass(frozen=True, slots=True)
class Column:
    """One column; ``of`` is ``run``, ``capture`` or ``workload``, ``field`` that of their record.

    ``type`` is an alias of Arrow's types, ``time`` for nanoseconds UTC, ``texts`` for a list of
    them, ``families`` for one of what names under one domain cost.
    """

    name: str
    type: str
    of: str
    field: str
    description: str


COLUMNS: tuple[Column, ...] = (
    Column("run", "string", "run", "name", "name of the run: a hash of what it found"),
    Column("run_time", "time", "run", "time", "latest packet of the run, UTC"),
    Column("run_number", "int64", "run", "number", "number of the run among those of its day"),
    Column("pcapkit_version", "string", "run", "version", "version of pcapkit that wrote it"),
    Column("row", "int64", "capture", "", "number of this row among those of its capture, from 0"),
    Column("capture", "string", "capture", "path", "path of the capture; of a set, of its first"),
    Column("paths", "texts", "capture", "paths", "paths of all files that are read as one"),
    Column("capture_group", "string", "capture", "group", "what --group-by makes of the capture"),
    Column("error", "string", "capture", "error", "why the capture could not be analysed"),
    Column("error_kind", "string", "capture", "error_kind", "one word for it"),
    Column("packets", "int64", "capture", "packets", "packets of the capture"),
    Column("first_time", "time", "capture", "first_time", "first packet, UTC; null without clock"),
    Column("last_time", "time", "capture", "last_time", "last packet, UTC; null without a clock"),
    Column("capture_clients", "int64", "capture", "clients", "clients of the capture"),
    Column("capture_lookups", "int64", "capture", "lookups", "lookups of the capture"),
    Column(
        "capture_complete_lookups",
        "int64",
        "capture",
        "complete_lookups",
        "lookups of it that the capture shows from their first candidate to their end",
    ),
    Column("capture_queries", "int64", "capture", "queries", "transactions of the capture"),
    Column(
        "capture_complete_queries",
        "int64",
        "capture",
        "complete_queries",
        "transactions of its complete lookups",
    ),
    Column(
        "capture_wasted_queries",
        "int64",
        "capture",
        "wasted_queries",
        "those of them that only the search list caused",
    ),
    Column(
        "capture_nxdomain_queries",
        "int64",
        "capture",
        "nxdomain_queries",
        "transactions of the capture that were answered with NXDOMAIN",
    ),
    Column("capture_wasted_s", "double", "capture", "wasted_s", "seconds that its lookups lost"),
    Column("capture_p95_s", "double", "capture", "p95_s", "95th percentile of complete lookups"),
    Column("capture_faults", "texts", "capture", "faults", "codes of the faults that are shown"),
    Column("warnings", "int64", "capture", "warnings", "warnings of the analysis"),
    Column("plan_edits", "int64", "capture", "plan_edits", "edits of the best plan"),
    Column("plan_ends", "int64", "capture", "plan_ends", "wasted queries that the plan ends"),
    Column("plan_safety", "string", "capture", "plan_safety", "safe, review or unsafe"),
    Column(
        "families",
        "families",
        "capture",
        "families",
        "families of names that waste most, the worst first; in the first row of a capture only",
    ),
    Column("namespace", "string", "workload", "namespace", "namespace of the workload"),
    Column("workload", "string", "workload", "workload", "name of the workload"),
    Column(
        "client_addr",
        "string",
        "workload",
        "client_addr",
        "address in place of a workload that is not known",
    ),
    Column("clients", "int64", "workload", "clients", "clients of the workload"),
    Column("lookups", "int64", "workload", "lookups", "lookups of the workload"),
    Column("complete_lookups", "int64", "workload", "complete_lookups", "complete ones of them"),
    Column("queries", "int64", "workload", "queries", "transactions of the workload"),
    Column(
        "complete_queries",
        "int64",
        "workload",
        "complete_queries",
        "transactions of its complete lookups",
    ),
    Column(
        "wasted_queries",
        "int64",
        "workload",
        "wasted_queries",
        "those of them that only the search list caused",
    ),
    Column(
        "nxdomain_queries",
        "int64",
        "workload",
        "nxdomain_queries",
        "transactions of the workload that were answered with NXDOMAIN",
    ),
    Column("wasted_s", "double", "workload", "wasted_s", "seconds that its lookups lost"),
    Column("lookups_s", "double", "workload", "lookups_s", "seconds of its complete lookups"),
    Column("p50_s", "double", "workload", "p50_s", "median of its complete lookups"),
    Column("p95_s", "double", "workload", "p95_s", "95th percentile of its complete lookups"),
    Column("faults", "texts", "workload", "faults", "codes of faults shown at its clients"),
)
#: Without these a file is none of ours.
ESSENTIAL = ("capture", "complete_lookups", "complete_queries")


def _arrow_type(name: str) -> pa.DataType:
    import pyarrow as pa

    if name == "time":
        return pa.timestamp("ns", tz="UTC")
    if name == "texts":
        return pa.list_(pa.string())
    if name == "families":
        counts = [(f.name, pa.int64()) for f in fields(Family)[1:]]
        return pa.list_(pa.struct([("family", pa.string()), *counts]))
    return pa.type_for_alias(name)


def arrow_schema() -> pa.Schema:
    """Return the columns in their order, each with its description as metadata."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field(c.name, _arrow_type(c.type), metadata={"description": c.description})
            for c in COLUMNS
        ],
        metadata={"pcapkit_schema": SCHEMA},
    )


def table_of(run: Mapping[str, Any], rows: Sequence[AuditRow]) -> pa.Table:
    """Return the table of a run: ``run`` are the values of its own columns by their fields."""
    import pyarrow as pa

    flat = [(n, row, w) for row in rows for n, w in enumerate(row.workloads or (None,))]
    schema = arrow_schema()
    columns = []
    for column, field in zip(COLUMNS, schema, strict=True):
        values = [_value(column, run, *place) for place in flat]
        columns.append(pa.array(values, field.type))
    return pa.table(columns, schema=schema)


def _value(
    column: Column, run: Mapping[str, Any], number: int, row: AuditRow, workload: Workload | None
) -> Any:
    if column.of == "run":
        return run[column.field]
    if column.of == "workload":
        value = None if workload is None else getattr(workload, column.field)
        return list(value) if isinstance(value, tuple) else value
    if column.name == "row":
        return number
    if column.name == "families":
        return [plain(f) for f in row.families] if number == 0 else None
    value = getattr(row, column.field)
    return list(value) if isinstance(value, tuple) else value


def plain(record: Any) -> dict[str, Any]:
    """Return the fields of a record by their names."""
    return {f.name: getattr(record, f.name) for f in fields(record)}


def completed(table: pa.Table) -> pa.Table:
    """Return a table with all columns of today: nulls for those that it lacks, others left out.

    Raises ValueError where it is no table of a run, or has a column of another type.
    """
    import pyarrow as pa

    if lacking := [name for name in ESSENTIAL if name not in table.column_names]:
        raise ValueError(f"no run of pcapkit: there is no column {lacking[0]}")
    schema = arrow_schema()
    columns = []
    for field in schema:
        if field.name not in table.column_names:
            columns.append(pa.nulls(len(table), field.type))
            continue
        try:
            columns.append(table.column(field.name).cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            kind = table.schema.field(field.name).type
            raise ValueError(f"column {field.name} is {kind}, not {field.type}") from None
    return pa.table(columns, schema=schema)


def rows_of(table: pa.Table) -> tuple[AuditRow, ...]:
    """Return what ``table_of`` was made from, as far as the columns hold it.

    ``table`` is a completed one. Rows of one capture follow one another.
    """
    import pyarrow as pa

    columns = {}
    for column in COLUMNS:
        values = table.column(column.name)
        if column.type == "time":
            values = values.cast(pa.int64())
        columns[column.name] = values.to_pylist()
    begins = _beginnings(columns)
    ends = [*begins[1:], len(table)]
    return tuple(_row(columns, *span) for span in zip(begins, ends, strict=True) if span[1])


def _beginnings(columns: Mapping[str, Sequence[Any]]) -> list[int]:
    """Return where captures begin: at row 0; at another path, where rows have no number."""
    numbers, names = columns["row"], columns["capture"]
    return [
        at
        for at, (number, name) in enumerate(zip(numbers, names, strict=True))
        if number == 0 or at == 0 or (number is None and name != names[at - 1])
    ]


def _row(columns: Mapping[str, Sequence[Any]], start: int, end: int) -> AuditRow:
    capture = {c.field: columns[c.name][start] for c in COLUMNS if c.of == "capture" and c.field}
    wasted, queries = capture["wasted_queries"], capture["complete_queries"]
    capture["share"] = wasted / queries if wasted and queries else 0.0
    capture["families"] = tuple(Family(**f) for f in capture["families"] or ())
    workloads = []
    for at in range(start, end):
        values = {c.field: columns[c.name][at] for c in COLUMNS if c.of == "workload"}
        if values["lookups"] is not None or values["complete_lookups"] is not None:
            workloads.append(_record(Workload, values))
    return _record(AuditRow, capture | {"workloads": tuple(workloads)})


def _record(kind: type[Record], values: Mapping[str, Any]) -> Record:
    """Make a record of values that may be missing."""
    hints = _hints(kind)
    given: dict[str, Any] = {f.name: values.get(f.name) for f in fields(kind)}
    for field in fields(kind):
        value = given[field.name]
        if value is None:
            given[field.name] = _absent(field, hints[field.name])
        elif isinstance(value, list):
            given[field.name] = tuple(value)
    return kind(**given)


_HINTS: dict[Any, dict[str, Any]] = {}


def _hints(kind: Any) -> dict[str, Any]:
    if kind not in _HINTS:
        _HINTS[kind] = typing.get_type_hints(kind)
    return _HINTS[kind]


def _absent(field: Field[Any], hint: Any) -> Any:
    """Return what stands for a value that is not there: None where that is allowed."""
    if isinstance(hint, types.UnionType) and type(None) in typing.get_args(hint):
        return None
    if field.default is not MISSING:
        return field.default
    return "" if hint is str else 0
