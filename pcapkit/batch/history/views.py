"""A history as tables for SQL: runs, captures, workloads, and the trend of each workload."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcapkit.batch.history.intervals import wilson
from pcapkit.batch.history.runs import History, no_history, read_tables, runs_of
from pcapkit.batch.history.schema import COLUMNS, arrow_schema
from pcapkit.batch.history.timeline import timeline

if TYPE_CHECKING:
    import pyarrow as pa

_CAPTURE = [c for c in COLUMNS if c.of == "capture" and c.field]


def _without_prefix(name: str) -> str:
    return "path" if name == "capture" else name.removeprefix("capture_")


_CAPTURES = ", ".join(f"{c.name} as {_without_prefix(c.name)}" for c in _CAPTURE)
_WORKLOADS = ", ".join(c.name for c in COLUMNS if c.of == "workload")
#: The views by their names. ``history`` is the whole table, a row for each workload and capture.
VIEWS = {
    "captures": f"""
        select run, run_time, pcapkit_version, {_CAPTURES}
        from history where coalesce("row", 0) = 0 order by run_time, run, path""",
    "workloads": f"""
        select run, run_time, capture, {_WORKLOADS}
        from history where complete_lookups is not null order by run_time, run, capture""",
    "runs": """
        select *, wasted_queries / nullif(complete_queries, 0) as share from (
            select run, run_time, any_value(pcapkit_version) as pcapkit_version,
                count(*) filter (first) as captures,
                count(error) filter (first) as failed,
                count(distinct (namespace, workload)) filter (workload is not null) as workloads,
                cast(sum(capture_lookups) filter (first) as bigint) as lookups,
                cast(sum(capture_queries) filter (first) as bigint) as queries,
                cast(sum(capture_complete_queries) filter (first) as bigint) as complete_queries,
                cast(sum(capture_wasted_queries) filter (first) as bigint) as wasted_queries
            from (select *, coalesce("row", 0) = 0 as first from history)
            group by run, run_time)
        order by run_time, run""",
}
#: All that a query may name.
TABLES: tuple[str, ...] = ("runs", "captures", "workloads", "trend", "history")


def history_table(tables: Sequence[pa.Table]) -> pa.Table:
    """Return all runs as one table, whose times are UTC without saying so."""
    import pyarrow as pa

    schema = arrow_schema()
    whole = pa.concat_tables(tables) if tables else schema.empty_table()
    for number, field in enumerate(schema):
        if pa.types.is_timestamp(field.type):
            plain = whole.column(number).cast(pa.int64()).cast(pa.timestamp("ns"))
            whole = whole.set_column(number, field.name, plain)
    return whole


def trend_table(history: History) -> pa.Table:
    """Return a row for each workload and night, with the change since its night before."""
    import pyarrow as pa

    line = timeline(history)
    rows: list[dict[str, Any]] = []
    for key, points in sorted(line.points.items(), key=lambda p: tuple(t or "" for t in p[0])):
        last = None
        for point in points:
            night = line.nights[point.night]
            rate = point.queries / point.lookups if point.lookups else None
            share = None
            if point.queries and point.lookups:
                share = wilson(point.wasted, point.queries, point.lookups)
            rows.append(
                {
                    "namespace": key[0],
                    "workload": key[1],
                    "client_addr": key[2],
                    "day": night.day,
                    "run": night.run,
                    "time": night.time,
                    "complete_lookups": point.lookups,
                    "complete_queries": point.queries,
                    "wasted_queries": point.wasted,
                    "queries_per_lookup": rate,
                    "share": share and share.value,
                    "share_low": share and share.low,
                    "share_high": share and share.high,
                    "change": rate / last - 1 if rate and last else None,
                }
            )
            last = rate or last
    text, count, value = pa.string(), pa.int64(), pa.float64()
    types = [text, text, text, text, text, pa.timestamp("ns"), *[count] * 3, *[value] * 5]
    return pa.Table.from_pylist(rows, pa.schema(list(zip(_TREND, types, strict=True))))


_TREND = (
    "namespace",
    "workload",
    "client_addr",
    "day",
    "run",
    "time",
    "complete_lookups",
    "complete_queries",
    "wasted_queries",
    "queries_per_lookup",
    "share",
    "share_low",
    "share_high",
    "change",
)


def load_tables(where: str | Path, wanted: Sequence[str]) -> tuple[dict[str, pa.Table], list[str]]:
    """Return the tables under ``wanted`` views, by name, and warnings. Raises InputError."""
    tables, warnings = read_tables(where)
    if not tables:
        raise no_history(where, warnings)
    out = {}
    if set(wanted) - {"trend"}:
        out["history"] = history_table(tables)
    if "trend" in wanted:
        out["trend"] = trend_table(History(runs_of(tables)))
    return out, list(warnings)
