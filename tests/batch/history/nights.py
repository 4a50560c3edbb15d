"""Rows of audits made up: nights of workloads that vary as real ones do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pcapkit.model.audits import AuditRow, Family, Workload

DAY_NS = 86_400_000_000_000
START = 20_600 * DAY_NS  # 2026-05-27


def workload(
    name: str | None,
    lookups: int,
    queries: int,
    wasted: int = 0,
    *,
    namespace: str | None = "shop",
    client_addr: str | None = None,
) -> Workload:
    """All of its lookups are complete."""
    return Workload(
        namespace=namespace,
        workload=name,
        client_addr=client_addr,
        clients=1,
        lookups=lookups,
        complete_lookups=lookups,
        queries=queries,
        complete_queries=queries,
        wasted_queries=wasted,
        nxdomain_queries=wasted,
        wasted_s=0.0,
        lookups_s=None,
        p50_s=None,
        p95_s=None,
    )


def capture(
    day: int,
    workloads: Sequence[Workload],
    *,
    path: str = "night.pcap",
    families: Sequence[Family] = (),
    clock: bool = True,
) -> AuditRow:
    """A capture whose last packet is at 03:00 of a day after START."""
    queries = sum(w.complete_queries for w in workloads)
    wasted = sum(w.wasted_queries for w in workloads)
    last = START + day * DAY_NS + DAY_NS // 8
    row = AuditRow(
        path=path,
        report="night/report.html",
        error=None,
        packets=2 * queries,
        lookups=sum(w.lookups for w in workloads),
        queries=queries,
        wasted_queries=wasted,
        share=wasted / queries if queries else 0.0,
        clients=len(workloads),
        advice="set ndots",
        saves_queries=wasted,
        warnings=0,
        paths=(path,),
        complete_lookups=sum(w.complete_lookups for w in workloads),
        complete_queries=queries,
        nxdomain_queries=wasted,
        families=tuple(families),
        workloads=tuple(workloads),
    )
    return replace(row, first_time=last - DAY_NS // 24, last_time=last) if clock else row


def failed(path: str, error: str) -> AuditRow:
    """A capture that could not be read."""
    return AuditRow(
        path, None, error, 0, 0, 0, 0, 0.0, 0, None, 0, 0, paths=(path,), error_kind="empty"
    )
