"""What the rules of a gate are held against in a comparison: its second side, and what changed."""

from __future__ import annotations

from collections.abc import Sequence

from pcapkit.batch.gate.subjects import Subject, workload_subjects
from pcapkit.batch.sides import Side
from pcapkit.model.comparison import Change, Comparison


def subjects_of_side(side: Side, name: str) -> list[Subject]:
    """Return one side, which is called so, and its workloads."""
    workloads = side.workloads
    whole = Subject(
        name,
        None,
        side.complete,
        side.waste.queries,
        side.waste.queries - side.waste.by_class["incomplete"],
        side.waste.wasted_queries,
        None if workloads is None else sum(w.nxdomain_queries for w in workloads),
        side.p95_s,
        faults=frozenset(side.faults),
    )
    return [whole, *workload_subjects([(name, w) for w in workloads or ()], several=False)]


def changes_of(comparison: Comparison) -> Sequence[Change]:
    """Return how the queries of a lookup changed: of all clients, then of those on both sides."""
    out = []
    for subject in comparison.subjects:
        queries = subject.measure("queries_per_lookup")
        who = subject.subject
        key = who if who is None or "/" in who else f"/{who}"
        name = who or comparison.after
        out.append(Change(name, key, queries.change, queries.verdict))
    return out
