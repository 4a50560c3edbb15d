"""Analyse every capture under some folders: one report each, and an index that ranks them.

A capture that cannot be read is a row with its error; the others go on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from pcapkit.batch.catalog import Found
from pcapkit.batch.history.families import families_of
from pcapkit.errors import PcapkitError
from pcapkit.files import atomic_write
from pcapkit.model.audits import AuditRow
from pcapkit.model.results import shown_faults
from pcapkit.pipeline.analysis import Analysis
from pcapkit.pipeline.analyze import analyze
from pcapkit.pipeline.hooks import Hooks
from pcapkit.pipeline.options import Options
from pcapkit.report.html.index import render_index
from pcapkit.report.text.plans import best_plan, ended, plan_safety
from pcapkit.report.writer import report_folder, write_report
from pcapkit.text import encodable
from pcapkit.version import __version__

SCHEMA = "pcapkit.audit/1"


def row_of(path: str, analysis: Analysis, report: str | None) -> AuditRow:
    """Return what the index shows of one analysis."""
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
        families=families_of(analysis),
    )


def failed_row(path: str, problem: str) -> AuditRow:
    """Return the row of a capture that could not be analysed."""
    return AuditRow(path, None, problem, 0, 0, 0, 0, 0.0, 0, None, 0, 0)


def run_audit(
    found: Sequence[Found],
    output: Path,
    formats: Sequence[str],
    options: Options,
    *,
    say: Callable[[str], None],
    hooks: Hooks | None = None,
    each: Callable[[int, int], None] | None = None,
) -> tuple[AuditRow, ...]:
    """Analyse every capture that was found and write reports and ``index.html`` to ``output``.

    ``say`` gets one line for each capture that failed, ``each`` the captures done and to do.
    """
    rows: list[AuditRow] = []
    folders: list[Path] = []
    for number, item in enumerate(found):
        if each is not None:
            each(number, len(found))
        if item.error is not None:
            rows.append(failed_row(encodable(item.path), item.error))
            say(item.error)
            continue
        path = encodable(item.path)
        try:
            analysis = analyze(item.path, options=options, hooks=hooks)
            folder = report_folder(output, [item.path], folders)
            folders.append(folder)
            written = write_report(analysis, folder, formats, tables=analysis.table_parts)
        except Exception as problem:  # not even a fault of ours may stop the other captures
            text = str(problem)
            if not isinstance(problem, PcapkitError):
                text = f"{path}: {type(problem).__name__}: {text} (a fault of pcapkit)"
            rows.append(failed_row(path, text))
            say(text)
            continue
        page = next((p for p in written if p.name == "report.html"), written[0])
        rows.append(row_of(path, analysis, page.relative_to(output).as_posix()))
    if each is not None:
        each(len(found), len(found))
    ranked = tuple(sorted(rows, key=lambda r: (r.error is not None, -r.wasted_queries, r.path)))
    atomic_write(output / "index.html", render_index(ranked, __version__).encode())
    record = {"schema": SCHEMA, "captures": [asdict(r) for r in ranked]}
    atomic_write(output / "audit.json", (json.dumps(record, indent=2) + "\n").encode())
    return ranked
