"""What rules are held against: captures as a whole, and workloads in all of them together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pcapkit.model.audits import AuditRow, Workload
from pcapkit.model.results import Results, shown_faults

#: Of fewer complete lookups nothing is concluded, here as in the first sentence of a report.
FEWEST_LOOKUPS = 20


@dataclass(frozen=True, slots=True)
class Subject:
    """One capture, all of them, or one workload.

    ``workload`` is its ``namespace/workload``, with the client's address in place of a workload
    that is not known; None for captures. ``p95_s`` is the longest of its captures' that have enough
    lookups, ``p95_in`` the one that has it where there are several; None where there is none, or
    no clock. ``faults`` is None where they are not known.
    """

    name: str
    workload: str | None
    complete_lookups: int
    queries: int
    complete_queries: int
    wasted_queries: int
    nxdomain_queries: int | None
    p95_s: float | None
    p95_in: str | None = None
    faults: frozenset[str] | None = frozenset()
    is_sum: bool = False  #: all captures of several together


def workload_key(row: Workload) -> str:
    """Return what scopes of rules are held against."""
    return f"{row.namespace or ''}/{row.workload or row.client_addr or ''}"


def workload_name(row: Workload) -> str:
    """Return how a workload is called: ``namespace/workload``, or its address."""
    if row.workload is None:
        return row.client_addr or ""
    return f"{row.namespace}/{row.workload}" if row.namespace else row.workload


def workload_subjects(found: Iterable[tuple[str, Workload]], *, several: bool) -> list[Subject]:
    """Return workloads, each once with all that several captures show of it."""
    together: dict[str, list[tuple[str, Workload]]] = defaultdict(list)
    for capture, row in found:
        together[workload_key(row)].append((capture, row))
    out = []
    for key, rows in sorted(together.items()):
        complete = sum(r.complete_lookups for _, r in rows)
        longest = max(
            (
                (r.p95_s, capture)
                for capture, r in rows
                if r.p95_s is not None and r.complete_lookups >= FEWEST_LOOKUPS
            ),
            default=(None, None),
            key=lambda each: each[0],
        )
        out.append(
            Subject(
                workload_name(rows[0][1]),
                key,
                complete,
                sum(r.queries for _, r in rows),
                sum(r.complete_queries for _, r in rows),
                sum(r.wasted_queries for _, r in rows),
                sum(r.nxdomain_queries for _, r in rows),
                longest[0],
                longest[1] if several else None,
                frozenset(code for _, r in rows for code in r.faults),
            )
        )
    return out


def subjects_of(analysis: Results) -> list[Subject]:
    """Return one analysis, and its workloads."""
    paths = [c.path for c in analysis.captures]
    name = paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
    whole = Subject(
        name,
        None,
        analysis.lookup_counts.complete,
        analysis.waste.queries,
        analysis.waste.queries - analysis.waste.by_class["incomplete"],
        analysis.waste.wasted_queries,
        analysis.transaction_counts.by_outcome["nxdomain"],
        analysis.lookup_counts.p95_s,
        faults=frozenset(shown_faults(analysis)),
    )
    return [whole, *workload_subjects(((name, w) for w in analysis.workload_rows), several=False)]


def subjects_of_rows(rows: Sequence[AuditRow]) -> list[Subject]:
    """Return the captures of an audit, all of them together, and their workloads.

    Those without an analysis are no subjects, and those that are gone.
    """
    read = sorted((r for r in rows if r.error is None and not r.gone), key=lambda r: r.path)
    out = [
        Subject(
            row.path,
            None,
            row.complete_lookups,
            row.queries,
            row.complete_queries,
            row.wasted_queries,
            row.nxdomain_queries,
            row.p95_s,
            faults=frozenset(row.faults),
        )
        for row in read
    ]
    if len(out) > 1:
        out.insert(
            0,
            Subject(
                f"all {len(out):,} captures",
                None,
                sum(s.complete_lookups for s in out),
                sum(s.queries for s in out),
                sum(s.complete_queries for s in out),
                sum(s.wasted_queries for s in out),
                sum(s.nxdomain_queries or 0 for s in out),
                None,
                is_sum=True,
            ),
        )
    return out + workload_subjects(((r.path, w) for r in read for w in r.workloads), several=True)
