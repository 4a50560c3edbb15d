"""What the rules of a gate are held against in a comparison: its second side."""

from __future__ import annotations

from pcapkit.batch.gate.subjects import Subject, workload_subjects
from pcapkit.batch.sides import Side


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
