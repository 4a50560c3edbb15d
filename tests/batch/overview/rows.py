"""Rows of audits, made by hand: what a test says nothing of stays at zero."""

from __future__ import annotations

from pcapkit.model.audits import AuditRow, AuditStep, Workload
from pcapkit.model.vocabulary import Safety

DAY = 86_400_000_000_000
BEGIN = 1_795_000_000_000_000_000  # 2026-11-18, 11:06:40


def workload(
    name: str,
    *,
    wasted: int = 0,
    complete: int = 100,
    queries: int | None = None,
    faults: tuple[str, ...] = (),
) -> Workload:
    """A workload ``namespace/name``, or an address."""
    namespace, slash, of = name.partition("/")
    return Workload(
        namespace=namespace if slash else None,
        workload=of if slash else None,
        client_addr=None if slash else name,
        clients=1,
        lookups=complete // 2,
        complete_lookups=complete // 2,
        queries=complete if queries is None else queries,
        complete_queries=complete,
        wasted_queries=wasted,
        nxdomain_queries=wasted,
        wasted_s=wasted / 1000,
        lookups_s=complete / 1000,
        p50_s=0.001,
        p95_s=0.002,
        faults=faults,
    )


def row(
    path: str,
    *workloads: Workload,
    steps: tuple[AuditStep, ...] = (),
    first_time: int | None = BEGIN,
    seconds: float = 600,
    **more: object,
) -> AuditRow:
    """A capture of these workloads, whose numbers are sums of theirs."""
    complete = sum(w.complete_queries for w in workloads)
    wasted = sum(w.wasted_queries for w in workloads)
    values: dict[str, object] = {
        "path": path,
        "report": f"{path}/report.html",
        "error": None,
        "packets": 2 * complete,
        "lookups": complete // 2,
        "queries": sum(w.queries for w in workloads),
        "wasted_queries": wasted,
        "share": wasted / complete if complete else 0.0,
        "clients": len(workloads),
        "advice": None,
        "saves_queries": 0,
        "warnings": 0,
        "plan_edits": sum(s.edits for s in steps),
        "plan_ends": sum(s.ends_queries for s in steps),
        "plan_safety": "safe" if steps else None,
        "paths": (path,),
        "first_time": first_time,
        "last_time": None if first_time is None else first_time + int(seconds * 1e9),
        "complete_lookups": complete // 2,
        "complete_queries": complete,
        "nxdomain_queries": wasted,
        "wasted_s": wasted / 1000,
        "p95_s": 0.002,
        "workloads": workloads,
        "steps": steps,
    }
    return AuditRow(**(values | more))  # type: ignore[arg-type]


def ndots(
    value: int, *subjects: str, ends: int, safety: Safety = Safety.SAFE, names: tuple[str, ...] = ()
) -> AuditStep:
    """A step that sets ndots; each of ``names`` is to be written in full at each subject."""
    edits = len(subjects) * (1 + len(names))
    return AuditStep("set_ndots", subjects, value, None, None, (), edits, ends, ends, safety, names)


def shorter(*suffixes: str, subject: str, ends: int) -> AuditStep:
    """A step that takes suffixes out of a search list."""
    return AuditStep(
        "drop_suffix", (subject,), None, None, None, suffixes, 1, ends, ends, Safety.REVIEW
    )


def in_full(name: str, fqdn: str, *subjects: str, ends: int) -> AuditStep:
    """A step that writes a name in full."""
    return AuditStep(
        "use_fqdn", subjects, None, name, fqdn, (), len(subjects), ends, ends, Safety.SAFE
    )
