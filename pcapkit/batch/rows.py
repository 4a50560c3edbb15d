"""What an audit keeps of a capture: the row of an analysis, or of what could not be analysed."""

from __future__ import annotations

from collections.abc import Sequence

from pcapkit.cluster.pods import Cluster
from pcapkit.model.audits import AuditRow
from pcapkit.model.results import Results, shown_faults
from pcapkit.report.text.plans import best_plan, ended, plan_safety


def row_of(
    path: str,
    analysis: Results,
    report: str | None,
    *,
    paths: Sequence[str] = (),
    cluster: Cluster | None = None,  # noqa: ARG001
) -> AuditRow:
    """Return what an audit keeps of one analysis; ``paths`` where it is of several files."""
    best = analysis.recommendations[0] if analysis.recommendations else None
    plan = best_plan(analysis)
    return AuditRow(
        path=path,
        report=report,
        error=None,
        packets=analysis.packets.total,
        lookups=analysis.lookup_counts.total,
        queries=analysis.waste.queries,
        wasted_queries=analysis.waste.wasted_queries,
        share=analysis.waste.share,
        clients=len({(c.client_addr, c.container) for c in analysis.client_rows}),
        advice=best.action if best else None,
        saves_queries=best.saves_queries if best else 0,
        warnings=len(analysis.warnings),
        faults=shown_faults(analysis),
        plan_edits=plan.edits if plan else 0,
        plan_ends=ended(plan) if plan else 0,
        plan_safety=plan_safety(plan) if plan else None,
        paths=tuple(paths) or (path,),
    )


def failed_row(
    path: str, problem: str, kind: str | None = None, paths: Sequence[str] = ()
) -> AuditRow:
    """Return the row of a capture that could not be analysed; ``kind`` is one word for it."""
    return AuditRow(
        path,
        None,
        problem,
        *(0, 0, 0, 0, 0.0, 0, None, 0, 0),
        paths=tuple(paths) or (path,),
        error_kind=kind,
    )
