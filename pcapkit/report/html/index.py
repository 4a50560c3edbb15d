"""The page over all captures of an audit: the plan for all, sums by groups, captures, failures.

Its tables are whole without scripts; a script sorts and filters them. Names stay plain text until
they become cells, where they are escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from markupsafe import Markup, escape

from pcapkit.model.audits import (
    AuditIndex,
    AuditRow,
    Failures,
    Grouping,
    SharedStep,
    Together,
    Trend,
    Warnings,
)
from pcapkit.report.html.page import environment, static
from pcapkit.report.html.policy import Assets
from pcapkit.report.html.sections.tables import Context, left_out
from pcapkit.report.text.audits import (
    change_text,
    failure_kind,
    file_texts,
    group_title,
    grouping_title,
    index_evidence,
    index_figures,
    origin_sentence,
    plan_notes,
    reason,
    row_marks,
    row_plan,
    shared_step_text,
    step_captures,
    step_safety,
    step_who,
    trend_title,
    verdict,
    warned_in,
    warning_text,
)
from pcapkit.report.text.formatting import number, percent, printable
from pcapkit.words import seconds

#: So many rows of each table are on the page; programs find all of them in the files beside it.
_MOST_ROWS, _MOST_STEPS, _MOST_FAILURES = 2_000, 500, 1_000
_MOST_SUBJECTS = 200
#: So many rows are shown at first where there is a script.
_FIRST, _FIRST_STEPS, _FIRST_GROUPS = 100, 12, 15
_WIDTH, _HEIGHT = 120, 24  # of the picture of a trend
#: The class of a cell with a bar: how long that is, in percent.
_WIDTH_CLASS = re.compile(r'<td class="bar w(\d+)">')


@dataclass(frozen=True, slots=True)
class _Column:
    """A column: ``kind`` is ``number``, ``name`` or ``text``; ``narrow`` pages have it, too."""

    title: str
    kind: str = "number"
    narrow: bool = False


#: A cell: text, which is escaped, or markup.
_Cell = str | Markup


def render_index(index: AuditIndex, version: str) -> str:
    """Return the index as one self-contained page; links lead to the reports beside it."""
    first, *then = verdict(index)
    sections = [*_sections(index)]
    tables = [t for s in sections for t in (*s["tables"], *(f["table"] for f in s["failures"]))]
    widths = sorted({int(w) for t in tables for w in _WIDTH_CLASS.findall(t["body"])})
    columns = environment().get_template("columns.css").render(tables=tables, widths=widths)
    assets = Assets(
        static("style.css") + static("index.css") + columns,
        static("tables.js") + static("script.js"),
    )
    return (
        environment()
        .get_template("index.html")
        .render(
            headline=_unbroken(first),
            then=_unbroken(" ".join(then)),
            evidence=index_evidence(index),
            figures=index_figures(index),
            sections=sections,
            assets=assets,
            version=version,
        )
    )


def _unbroken(text: str) -> str:
    return text.replace(" %", "\u00a0%")


def _sections(index: AuditIndex) -> Iterator[Context]:
    if index.together is not None and index.together.steps:
        yield _plan(index.together)
    for number_of, grouping in enumerate(index.groupings):
        if grouping.groups:
            yield _grouping(grouping, f"group-{number_of + 1}")
    if good := [row for row in index.captures if row.error is None]:
        yield _captures(good, index.groupings[0] if index.groupings else None)
    if index.trend is not None:
        yield _trends(index.trend)
    if index.failures:
        yield _failures(index.failures)
    if index.warnings:
        yield _warnings(index.warnings)


def _table(
    identity: str,
    label: str,
    columns: Sequence[_Column],
    rows: Sequence[Sequence[_Cell]],
    *,
    first: int,
    total: int | None = None,
) -> Context:
    """Return a table as the template takes it; ``total`` counts the rows that there are in all."""
    return {
        "id": identity,
        "label": label,
        "heads": [(column.title, column.kind) for column in columns],
        "columns": [(column.title, column.kind, column.narrow) for column in columns],
        "body": Markup("\n").join(map(_row, rows)),
        "count": len(rows),
        "first": first,
        "left_out": left_out(len(rows), total),
        "rest": "audit.json",
    }


def _row(cells: Sequence[_Cell]) -> Markup:
    text = "".join(
        c if isinstance(c, Markup) and c.startswith("<td") else f"<td>{escape(c)}</td>"
        for c in cells
    )
    return Markup(f"<tr>{text}</tr>")  # noqa: S704 - escaped in each cell


def _share(share: float) -> Markup:
    """Return the cell of a share, with a bar as long."""
    width = min(100, max(0, round(100 * share)))
    return Markup('<td class="bar w{}">{}</td>').format(width, percent(share))


def _folded(summary: str, items: Sequence[str], most: int) -> Markup:
    """Return a list that is shown to whom asks for it."""
    more = len(items) - most
    text = ", ".join(map(printable, items[:most])) + (
        f" and {number(more)} more" if more > 0 else ""
    )
    return Markup("<details><summary>{}</summary>{}</details>").format(summary, text)


# ---- sections --------------------------------------------------------------------------------


def _plan(plan: Together) -> Context:
    columns = (
        _Column("change", "text", narrow=True),
        _Column("for", "text", narrow=True),
        _Column("edits"),
        _Column("waste ended", narrow=True),
        _Column("of all waste"),
        _Column("in captures"),
        _Column("safety", "text", narrow=True),
    )
    rows = [_step(step, plan) for step in plan.steps[:_MOST_STEPS]]
    return {
        "id": "plan",
        "title": "The plan for all captures",
        "before": [_unbroken(origin_sentence(plan))],
        "tables": [
            _table("steps", "steps", columns, rows, first=_FIRST_STEPS, total=len(plan.steps))
        ],
        "notes": list(plan_notes(plan)),
        "failures": [],
    }


def _step(step: SharedStep, plan: Together) -> Sequence[_Cell]:
    who: _Cell = step_who(step)
    if len(step.subjects) > 1:
        who = _folded(who, step.subjects, _MOST_SUBJECTS)
    share = step.ends_queries / plan.wasted_queries if plan.wasted_queries else 0.0
    safety = Markup('<span class="safety {}">{}</span>').format(
        step.safety.value, step_safety(step)
    )
    return (
        shared_step_text(step),
        who,
        number(step.edits),
        number(step.ends_queries),
        percent(share),
        step_captures(step),
        safety,
    )


def _grouping(grouping: Grouping, identity: str) -> Context:
    title = grouping_title(grouping)
    columns = (
        _Column(title, "name", narrow=True),
        _Column("wasted", narrow=True),
        _Column("queries"),
        _Column("share", narrow=True),
        _Column("NXDOMAIN"),
        _Column("time lost"),
        _Column("lookups"),
        _Column("captures"),
        _Column("faults", "text"),
    )
    rows = [
        (
            group_title(grouping, group),
            number(group.wasted_queries),
            number(group.queries),
            _share(group.share),
            number(group.nxdomain_queries),
            seconds(group.wasted_s),
            number(group.lookups),
            number(group.captures),
            ", ".join(group.faults),
        )
        for group in grouping.groups[:_MOST_ROWS]
    ]
    return {
        "id": identity,
        "title": f"Waste by {title}",
        "before": [],
        "tables": [
            _table(
                f"{identity}-rows",
                f"waste by {title}",
                columns,
                rows,
                first=_FIRST_GROUPS,
                total=len(grouping.groups),
            )
        ],
        "notes": [printable(note) for note in grouping.notes],
        "failures": [],
    }


def _captures(rows: Sequence[AuditRow], grouping: Grouping | None) -> Context:
    grouped = any(row.group is not None for row in rows)
    columns = [_Column("capture", "name", narrow=True)]
    if grouped:
        columns.append(_Column("group", "name"))
    columns += [
        _Column("wasted", narrow=True),
        _Column("queries"),
        _Column("share"),
        _Column("lookups’ p95"),
        _Column("clients"),
        _Column("plan", "text", narrow=True),
        _Column("faults", "text"),
        _Column("warnings"),
    ]
    others = grouping.others if grouping is not None else ""
    cells = []
    for row in rows:
        group = [printable(row.group or others)] if grouped else []
        cells.append(
            [
                _capture(row),
                *group,
                number(row.wasted_queries),
                number(row.queries),
                _share(row.share),
                seconds(row.p95_s),
                number(row.clients),
                Markup('<td class="plan">{}</td>').format(_unbroken(row_plan(row))),
                ", ".join(row.faults),
                number(row.warnings) if row.warnings else "",
            ]
        )
    return {
        "id": "captures",
        "title": "Captures",
        "before": [],
        "tables": [_table("captures-rows", "captures", columns, cells, first=_FIRST)],
        "notes": [],
        "failures": [],
    }


def _capture(row: AuditRow) -> Markup:
    """Return a capture with the link to its report, the files it is read from, and its mark."""
    path = printable(row.path)
    text = escape(path)
    if row.report is not None:
        text = Markup('<a href="{}">{}</a>').format(quote(row.report), path)
    if len(row.paths) > 1:
        text += _folded(f"{number(len(row.paths))} files read as one", file_texts(row), 100)
    if mark := row_marks(row):
        text += Markup(' <span class="mark">{}</span>').format(mark)
    return text


def _trends(trends: Sequence[Trend]) -> Context:
    columns = (
        _Column("workload", "name", narrow=True),
        _Column("runs", "text", narrow=True),
        _Column("share", narrow=True),
        _Column("change since the last run"),
        _Column("", "text", narrow=True),
    )
    rows = [
        (
            trend_title(trend),
            _picture(trend),
            _share(trend.points[-1].share) if trend.points else "",
            change_text(trend),
            Markup('<span class="trend {0}">{0}</span>').format(trend.verdict),
        )
        for trend in trends[:_MOST_ROWS]
    ]
    return {
        "id": "trend",
        "title": "Trend",
        "before": [] if trends else ["There is no earlier night to compare with."],
        "tables": [
            _table("trend-rows", "trend", columns, rows, first=_FIRST_GROUPS, total=len(trends))
        ]
        if trends
        else [],
        "notes": [],
        "failures": [],
    }


def _picture(trend: Trend) -> Markup:
    """Return the shares of the last runs as a line, with the intervals in which they lie."""
    points = trend.points
    if len(points) < 2:
        return Markup("")
    top = max(max(p.high for p in points), 0.01)
    x = [round(n * _WIDTH / (len(points) - 1), 1) for n in range(len(points))]

    def line(values: Sequence[float], at: Sequence[float]) -> str:
        return " ".join(
            f"{a},{round(_HEIGHT - 1 - (_HEIGHT - 2) * min(v / top, 1), 1)}"
            for a, v in zip(at, values, strict=True)
        )

    band = line([p.high for p in points], x) + " " + line([p.low for p in points][::-1], x[::-1])
    said = (
        f"{percent(points[0].share)} to {percent(points[-1].share)} in {number(len(points))} runs"
    )
    return Markup(
        '<svg class="runs" viewBox="0 0 {} {}" role="img" aria-label="{}">'
        '<polygon points="{}"/><polyline points="{}"/></svg>'
    ).format(_WIDTH, _HEIGHT, said, band, line([p.share for p in points], x))


def _failures(failures: Sequence[Failures]) -> Context:
    columns = (_Column("capture", "name", narrow=True), _Column("reason", "name", narrow=True))
    kinds = []
    for number_of, of in enumerate(failures):
        kind = failure_kind(of.kind)
        rows = [(printable(row.path), reason(row)) for row in of.rows[:_MOST_FAILURES]]
        identity = f"failed-{number_of + 1}"
        kinds.append(
            {
                "title": f"{kind.title}: {number(len(of.rows))}",
                "action": kind.action,
                "table": _table(identity, kind.title, columns, rows, first=10, total=len(of.rows)),
            }
        )
    return {
        "id": "failures",
        "title": "Could not be analysed",
        "before": [],
        "tables": [],
        "notes": [],
        "failures": kinds,
    }


def _warnings(warnings: Sequence[Warnings]) -> Context:
    columns = (
        _Column("captures", narrow=True),
        _Column("warning", "text", narrow=True),
        _Column("in", "name", narrow=True),
    )
    rows = [(number(len(of.rows)), warning_text(of), _warned(of)) for of in warnings[:_MOST_ROWS]]
    return {
        "id": "warnings",
        "title": "Warnings",
        "before": [],
        "tables": [
            _table(
                "warnings-rows", "warnings", columns, rows, first=_FIRST_GROUPS, total=len(warnings)
            )
        ],
        "notes": [],
        "failures": [],
    }


def _warned(of: Warnings) -> Markup:
    """Return the first capture with a warning, and the others for whom asks."""
    first, *others = of.rows
    text = Markup("{}").format(warned_in(of, first))
    if first.report is not None:
        text = Markup('<a href="{}">{}</a>').format(quote(first.report), warned_in(of, first))
    if others:
        paths = [row.path for row in others]
        text += Markup(" ") + _folded(f"and {number(len(others))} more", paths, _MOST_SUBJECTS)
    return text
