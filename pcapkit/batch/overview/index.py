"""What an audit leaves beside its reports: index.html, audit.json, audit.parquet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from pcapkit.batch.overview.groups import GroupBy, grouping, with_groups
from pcapkit.batch.overview.together import together
from pcapkit.batch.overview.warnings import warnings_in
from pcapkit.files import files_at_once
from pcapkit.model.audits import AuditIndex, AuditRow, Failures, Trend
from pcapkit.report.audit_files import dump_audit, write_workloads
from pcapkit.report.html.index import render_index
from pcapkit.report.openmetrics import FILE as METRICS
from pcapkit.report.openmetrics import render_audit_metrics
from pcapkit.version import __version__

_ALWAYS = (GroupBy("workload"), GroupBy("namespace"))
_OTHER = "other"


def make_index(
    rows: Sequence[AuditRow], group_by: GroupBy | None = None, trend: Sequence[Trend] | None = None
) -> AuditIndex:
    """Return what captures, in any order, say together: ranked by waste, failures at the end."""
    ranked = sorted(rows, key=lambda r: (r.error is not None, -r.wasted_queries, r.path))
    kinds = list(_ALWAYS)
    if group_by is not None:
        kinds = [group_by, *(k for k in _ALWAYS if k != group_by)]
        ranked = list(with_groups(ranked, group_by))
    failed: dict[str, list[AuditRow]] = defaultdict(list)
    for row in ranked:
        if row.error is not None:
            failed[row.error_kind or _OTHER].append(row)
    return AuditIndex(
        captures=tuple(ranked),
        groupings=tuple(grouping(ranked, by) for by in kinds),
        together=together(ranked),
        failures=tuple(
            Failures(kind, tuple(of))
            for kind, of in sorted(failed.items(), key=lambda f: (-len(f[1]), f[0]))
        ),
        trend=None if trend is None else tuple(trend),
        warnings=warnings_in(ranked),
    )


def write_index(output: Path, index: AuditIndex, *, metrics: bool = False) -> None:
    """Write the index in its forms to the folder of an audit, all at once.

    ``metrics`` are a form of it, too.
    """
    with files_at_once(str(output)) as begin:
        begin(output / "audit.json", None).write(dump_audit(index, __version__).encode())
        write_workloads(index, begin(output / "audit.parquet", None))
        begin(output / "index.html", None).write(render_index(index, __version__).encode())
        if metrics:
            text = render_audit_metrics(index.captures, __version__, index.together)
            begin(output / METRICS, None).write(text.encode())
