"""What an audit keeps of a capture: the row of an analysis, or of what could not be analysed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pcapkit.addresses import packed
from pcapkit.batch.history.families import families_of
from pcapkit.batch.overview.warnings import kinds_of
from pcapkit.cluster.pods import Cluster
from pcapkit.model.audits import AuditRow, AuditStep
from pcapkit.model.clients import Client
from pcapkit.model.plans import Plan
from pcapkit.model.results import Results, shown_faults
from pcapkit.report.text.plans import best_plan, ended, plan_safety, steps_ended
from pcapkit.report.text.wording import judged_queries


def row_of(
    path: str,
    analysis: Results,
    report: str | None,
    *,
    paths: Sequence[str] = (),
    cluster: Cluster | None = None,
) -> AuditRow:
    """Return what an audit keeps of one analysis; ``paths`` where it is of several files.

    ``cluster`` is what ``--pods`` says, which tells the nodes of clients.
    """
    best = analysis.recommendations[0] if analysis.recommendations else None
    plan = best_plan(analysis)
    lookups = analysis.lookup_counts
    times = [c for c in analysis.captures if c.first_time is not None and c.last_time is not None]
    return AuditRow(
        path=path,
        report=report,
        error=None,
        packets=analysis.packets.total,
        lookups=lookups.total,
        queries=analysis.waste.queries,
        wasted_queries=analysis.waste.wasted_queries,
        share=analysis.waste.share,
        clients=len({(c.client_addr, c.container) for c in analysis.client_rows})
        + analysis.other_clients.count,
        advice=best.action if best else None,
        saves_queries=best.saves_queries if best else 0,
        warnings=len(analysis.warnings),
        faults=shown_faults(analysis),
        plan_edits=plan.edits if plan else 0,
        plan_ends=ended(plan) if plan else 0,
        plan_safety=plan_safety(plan) if plan else None,
        paths=tuple(paths) or (path,),
        first_time=min((c.first_time for c in times if c.first_time is not None), default=None),
        last_time=max((c.last_time for c in times if c.last_time is not None), default=None),
        complete_lookups=lookups.complete,
        complete_queries=judged_queries(analysis),
        nxdomain_queries=analysis.transaction_counts.by_outcome["nxdomain"],
        wasted_s=analysis.waste.wasted_s,
        p95_s=lookups.p95_s,
        workloads=analysis.workload_rows,
        steps=tuple(_steps(plan)) if plan else (),
        families=families_of(analysis),
        nodes=_nodes(analysis.client_rows, cluster) if cluster is not None else (),
        warned=kinds_of(analysis.warnings, (path, *paths)),
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


def _steps(plan: Plan) -> Iterable[AuditStep]:
    for step, ends in zip(plan.steps, steps_ended(plan), strict=True):
        yield AuditStep(
            code=step.code,
            subjects=step.subjects,
            ndots=step.ndots,
            name=step.name,
            fqdn=step.fqdn,
            suffixes=step.suffixes,
            edits=step.edits,
            saves_queries=step.saves_queries,
            ends_queries=ends,
            safety=step.safety,
            names=tuple(sorted(step.names)),
        )


def _nodes(clients: Iterable[Client], cluster: Cluster) -> tuple[str, ...]:
    """Return the nodes on which clients run, as far as they are known."""
    found: set[str] = set()
    for client in clients:
        address = packed(client.client_addr)
        sharing = cluster.nodes.get(address)
        pod = cluster.pod_at(address, client.last_time) if sharing is None else None
        found.update(p.node for p in (*(sharing or ()), *([pod] if pod else ())) if p.node)
    return tuple(sorted(found))
