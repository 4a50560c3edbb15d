"""An audit as files for programs: ``audit.json`` and ``audit.parquet``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

import msgspec

from pcapkit.model.audits import AuditIndex, AuditRow, Trend
from pcapkit.report.analysis_json import dump_parts
from pcapkit.report.text.audits import failure_kind
from pcapkit.report.text.formatting import iso_time

SCHEMA = "pcapkit.audit/1"

#: The columns of ``audit.parquet``: name, type (pyarrow's word for it), what it says.
COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("capture", "string", "path of the capture, the first of a set that is read as one"),
    ("files", "int64", "how many files are read as one"),
    ("report", "string", "the report on it, relative to this file; null without one"),
    ("gone", "bool", "it is no longer there; what an earlier run found is kept"),
    ("error", "string", "why it could not be analysed; null where it was"),
    ("error_kind", "string", "one word for that"),
    ("group", "string", "what --group-by makes of the capture, where that is of captures"),
    ("first_time", "time", "when its first packet was seen; null without a clock"),
    ("last_time", "time", "when its last packet was seen"),
    ("namespace", "string", "the workload's namespace; null where it is not known"),
    ("workload", "string", "its name; null where it is not known"),
    ("client_addr", "string", "the client's address in place of a workload that is not known"),
    ("clients", "int64", "clients of the workload in this capture"),
    ("lookups", "int64", "lookups by applications"),
    ("complete_lookups", "int64", "those that the capture shows from beginning to end"),
    ("queries", "int64", "transactions; retries are none"),
    ("complete_queries", "int64", "those of complete lookups, which the share of waste is of"),
    ("wasted_queries", "int64", "those of complete lookups that exist because of the search list"),
    ("nxdomain_queries", "int64", "answered with NXDOMAIN"),
    ("wasted_s", "double", "seconds that lookups lost before the right name was asked"),
    ("lookups_s", "double", "seconds that all complete lookups took; null without a clock"),
    ("p50_s", "double", "seconds that half of the complete lookups took at most"),
    ("p95_s", "double", "seconds that 95 % of the complete lookups took at most"),
    ("faults", "strings", "codes of the faults that are shown at its clients"),
)


def dump_audit(audit: AuditIndex, version: str) -> str:
    """Return an audit as JSON text of schema ``pcapkit.audit/1``: a line for each row."""
    return dump_parts(
        {
            "schema": SCHEMA,
            "pcapkit_version": version,
            "captures": map(_capture, audit.captures),
            "groups": iter(audit.groupings),
            "together": audit.together,
            "failures": (
                {
                    "kind": f.kind,
                    "title": failure_kind(f.kind).title,
                    "action": failure_kind(f.kind).action,
                    "paths": [row.path for row in f.rows],
                }
                for f in audit.failures
            ),
            "warnings": (
                {
                    "kind": w.kind,
                    "example": w.text_of(w.rows[0]),
                    "paths": [row.path for row in w.rows],
                }
                for w in audit.warnings
            ),
            "trend": None if audit.trend is None else map(_trend, audit.trend),
        }
    )


def _capture(row: AuditRow) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(row)
    for key in ("first_time", "last_time"):
        plain[key] = iso_time(plain[key])
    return plain


def _trend(trend: Trend) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(trend)
    for point in plain["points"]:
        point["time"] = iso_time(point["time"])
    return plain


def write_workloads(audit: AuditIndex, out: IO[bytes]) -> None:
    """Write one row for each workload of each capture as Parquet, described in its metadata.

    A capture that failed, or in which no client was seen, is a row without a workload.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        "string": pa.string(),
        "strings": pa.list_(pa.string()),
        "int64": pa.int64(),
        "double": pa.float64(),
        "bool": pa.bool_(),
        "time": pa.timestamp("ns", "UTC"),
    }
    schema = pa.schema(
        [pa.field(name, types[of], metadata={"description": text}) for name, of, text in COLUMNS]
    )
    pq.write_table(pa.Table.from_pylist(list(_rows(audit)), schema), out, compression="zstd")


def _rows(audit: AuditIndex) -> Iterator[dict[str, Any]]:
    for row in audit.captures:
        of_capture = {
            "capture": row.path,
            "files": max(1, len(row.paths)),
            "report": row.report,
            "gone": row.gone,
            "error": row.error,
            "error_kind": row.error_kind,
            "group": row.group,
            "first_time": row.first_time,
            "last_time": row.last_time,
        }
        for workload in row.workloads:
            yield of_capture | msgspec.to_builtins(workload)
        if not row.workloads:
            yield of_capture
