"""The page over all captures of an audit: ranked by waste, failures at the end."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pcapkit.model.audits import AuditRow
from pcapkit.report.html.page import environment
from pcapkit.report.text.formatting import number, percent, printable
from pcapkit.report.text.plans import SAFE_FOR, edits_text, plan_line


def verdict(rows: Sequence[AuditRow]) -> str:
    """Return the sentence over an audit."""
    good = [r for r in rows if r.error is None]
    failed = len(rows) - len(good)
    queries = sum(r.queries for r in good)
    wasted = sum(r.wasted_queries for r in good)
    if not good:
        return f"No capture could be analysed: {number(failed)} failed."
    text = f"{number(len(good))} capture{'' if len(good) == 1 else 's'}: "
    if queries == 0:
        text += "no DNS query in them."
    else:
        text += f"{number(wasted)} of {number(queries)} queries were search-path waste."
    return text + (f" {number(failed)} could not be analysed." if failed else "")


def _plan(row: AuditRow) -> str:
    """Return the plan of a capture in a line."""
    if row.plan_safety is None:
        return "no change that is safe" if row.wasted_queries else "nothing to do"
    share = row.plan_ends / row.wasted_queries if row.wasted_queries else 0.0
    return plan_line(row.plan_edits, row.plan_ends, share, row.plan_safety)


def render_index(rows: Sequence[AuditRow], version: str) -> str:
    """Return the index as one self-contained page; links lead to the reports beside it."""
    shown = [
        {
            "path": printable(r.path),
            "link": quote(r.report) if r.report else None,
            "error": None if r.error is None else printable(r.error),
            "queries": number(r.queries),
            "wasted": number(r.wasted_queries),
            "share": percent(r.share),
            "width": round(100 * r.share),
            "clients": number(r.clients),
            "plan": _plan(r),
            "warnings": number(r.warnings) if r.warnings else "",
        }
        for r in rows
    ]
    return (
        environment()
        .get_template("index.html")
        .render(
            headline=verdict(rows),
            rows=[r for r in shown if r["error"] is None],
            failures=[r for r in shown if r["error"] is not None],
            version=version,
        )
    )


def _short_plan(row: AuditRow) -> str:
    """Return the plan of a capture in few words: edits, the share of the waste that they end."""
    if not row.plan_edits or row.plan_safety is None:
        return ""
    ends = percent(row.plan_ends / row.wasted_queries) if row.wasted_queries else ""
    safety = row.plan_safety
    if safety.startswith(SAFE_FOR):
        safety = f"safe ({safety.removeprefix(SAFE_FOR)} seen)"
    return f"{edits_text(row.plan_edits)}, {ends}, {safety}"


def render_index_terminal(rows: Sequence[AuditRow], console: Console) -> None:
    """Print the ranking; it fits 80 columns."""
    console.print(Text(verdict(rows), style="bold"))
    console.print()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("capture", "queries", "wasted", "share", "plan"):
        table.add_column(
            title,
            justify="left" if title in ("capture", "plan") else "right",
            header_style="dim",
            no_wrap=True,
        )
    widest = max((len(_short_plan(r)) for r in rows), default=0)
    width = max(24, console.width - widest - 27)  # the end of a path tells captures apart
    for row in rows:
        path = printable(row.path)
        name = Text(path if len(path) <= width else f"…{path[1 - width :]}")
        if row.error is not None:
            name.stylize("red")
            table.add_row(name, "failed", "", "", "")
        else:
            counts = number(row.queries), number(row.wasted_queries), percent(row.share)
            table.add_row(name, *counts, _short_plan(row))
    console.print(table)
    console.print()
