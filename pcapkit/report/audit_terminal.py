"""An audit on a terminal: the verdict, the plan, what is worst, failures, warnings."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pcapkit.model.audits import (
    AuditIndex,
    AuditRow,
    Failures,
    Grouping,
    SharedStep,
    Together,
    Warnings,
)
from pcapkit.model.vocabulary import Safety
from pcapkit.report.text.audits import (
    captures_text,
    change_text,
    failure_kind,
    group_title,
    grouping_title,
    index_evidence,
    origin_sentence,
    plan_notes,
    reason,
    row_marks,
    shared_step_text,
    short_row_plan,
    step_captures,
    step_safety,
    step_who,
    trend_title,
    verdict,
    warned_in,
    warning_text,
)
from pcapkit.report.text.formatting import number, percent, printable, shorten
from pcapkit.report.text.plans import SAFE_FOR
from pcapkit.words import seconds

_STEPS, _GROUPS, _CAPTURES, _NOTES, _REASONS = 6, 5, 20, 3, 3
_NAME_WIDTH = 44
_WARNING_WIDTH = 130  # two lines, with what stands before it
_ALL = "-v prints all, index.html has them"
_SAFETY_STYLE = {Safety.SAFE: "green", Safety.REVIEW: "yellow", Safety.UNSAFE: "red"}


def render_audit_terminal(
    index: AuditIndex, console: Console, *, failures: bool = True, verbose: bool = False
) -> None:
    """Print an audit; it fits 80 columns, and names never act as markup.

    ``failures`` where nobody has said them yet; ``verbose`` prints them and all warnings whole.
    """
    _print_wrapped(Text(" ".join(verdict(index)), style="bold"), console, "", "")
    good = [row for row in index.captures if row.error is None]
    if good:
        console.print(Text(index_evidence(index), style="dim"))
    if index.together is not None and index.together.steps:
        _print_plan(index.together, console)
    for grouping in index.groupings[:1]:
        _print_groups(grouping, console)
    if index.trend:
        _print_worse(index, console)
    if good:
        _print_captures(good, console)
    if failures:
        _print_failures(index.failures, console, verbose=verbose)
    if index.warnings:
        _print_warnings(index.warnings, console, verbose=verbose)
    console.print()


def _table(*columns: tuple[str, bool], wide: int | None = None) -> Table:
    """Return a table of columns, which hold numbers or not; the one that is wide may be folded."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title, is_number in columns:
        table.add_column(
            title, justify="right" if is_number else "left", no_wrap=True, header_style="dim"
        )
    if wide is not None:
        column = table.columns[wide]
        column.no_wrap, column.overflow = False, "fold"
    return table


def _print_table(table: Table, console: Console) -> None:
    """Print a table without blanks at the ends of its lines."""
    for line in console.render_lines(table, pad=False):
        text = Text.assemble(*((part.text, part.style or "") for part in line))
        text.rstrip()
        console.print(text, no_wrap=True, overflow="ignore", crop=False)


def _print_wrapped(line: Text, console: Console, first: str, rest: str) -> None:
    for k, part in enumerate(line.wrap(console, max(20, console.width - len(rest)))):
        part.rstrip()
        console.print(Text.assemble(rest if k else first, part))


def _print_more(count: int, what: str, console: Console, where: str = "index.html") -> None:
    if count > 0:
        console.print(Text(f"   and {number(count)} more{what}: {where}", style="dim"))


def _print_plan(plan: Together, console: Console) -> None:
    console.print()
    table = _table(
        ("", True),
        ("the plan for all captures", False),
        ("edits", True),
        ("waste\nended", True),
        ("captures", True),
        ("safety", False),
        wide=1,
    )
    for rank, step in enumerate(plan.steps[:_STEPS], 1):
        table.add_row(
            str(rank),
            Text(shared_step_text(step, lambda name: shorten(name, _NAME_WIDTH), _who(step))),
            number(step.edits),
            number(step.ends_queries),
            step_captures(step),
            Text(_short(step), style=_SAFETY_STYLE[step.safety]),
        )
    _print_table(table, console)
    _print_more(len(plan.steps) - _STEPS, "", console)
    _print_wrapped(Text(origin_sentence(plan), style="dim"), console, "   ", "   ")
    notes = list(plan_notes(plan))
    for note in notes[:_NOTES]:
        _print_wrapped(Text(note, style="dim"), console, "   ", "   ")
    _print_more(len(notes) - _NOTES, " of that kind", console)


def _who(step: SharedStep) -> str:
    return shorten(step_who(step), _NAME_WIDTH)


def _short(step: SharedStep) -> str:
    text = step_safety(step)
    return f"safe ({text.removeprefix(SAFE_FOR)})" if text.startswith(SAFE_FOR) else text


def _print_groups(grouping: Grouping, console: Console) -> None:
    wasting = [g for g in grouping.groups if g.wasted_queries]
    if not wasting:
        return
    console.print()
    table = _table(
        (grouping_title(grouping), False),
        ("wasted", True),
        ("queries", True),
        ("share", True),
        ("time lost", True),
        ("captures", True),
    )
    for group in wasting[:_GROUPS]:
        table.add_row(
            Text(_end(group_title(grouping, group), max(16, console.width - 52))),
            number(group.wasted_queries),
            number(group.queries),
            percent(group.share),
            seconds(group.wasted_s),
            number(group.captures),
        )
    _print_table(table, console)
    _print_more(len(wasting) - _GROUPS, " that waste", console)


def _print_worse(index: AuditIndex, console: Console) -> None:
    """Print the workloads that waste more than in the run before."""
    worse = [trend for trend in index.trend or () if trend.verdict == "worse"]
    if not worse:
        return
    console.print()
    table = _table(("worse than in the last run", False), ("now", True), ("change", True))
    for trend in worse[:_GROUPS]:
        now = percent(trend.points[-1].share) if trend.points else ""
        table.add_row(Text(shorten(trend_title(trend), _NAME_WIDTH - 8)), now, change_text(trend))
    _print_table(table, console)
    _print_more(len(worse) - _GROUPS, "", console)


def _end(path: str, width: int) -> str:
    """Return the end of a path, which tells captures apart."""
    if cell_len(path) <= width:
        return path
    at = max(0, len(path) - width + 1)
    while cell_len(path[at:]) > width - 1:  # some characters are two cells wide
        at += 1
    return f"…{path[at:]}"


def _print_captures(rows: Sequence[AuditRow], console: Console) -> None:
    console.print()
    shown = rows[:_CAPTURES]
    plans = [", ".join(filter(None, (row_marks(r), short_row_plan(r)))) for r in shown]
    titles = ("queries", "wasted", "share")
    table = _table(("capture", False), *((title, True) for title in titles), ("plan", False))
    counts = [(number(r.queries), number(r.wasted_queries), percent(r.share)) for r in shown]
    columns = zip(titles, zip(*counts, strict=True), strict=True)
    taken = sum(max(len(title), *map(len, column)) + 2 for title, column in columns)
    widest = min(max(map(len, plans)), max(4, console.width - taken - 26))
    width = max(16, console.width - widest - taken - 2)
    for row, cells, plan in zip(shown, counts, plans, strict=True):
        shorter = plan if len(plan) <= widest else f"{plan[: widest - 1]}…"
        table.add_row(Text(_end(printable(row.path), width)), *cells, Text(shorter))
    _print_table(table, console)
    _print_more(len(rows) - _CAPTURES, "", console)


def _print_failures(failures: Sequence[Failures], console: Console, *, verbose: bool) -> None:
    for of in failures:
        kind = failure_kind(of.kind)
        console.print()
        console.print(Text(f"{kind.title}: {number(len(of.rows))}", style="red"))
        _print_wrapped(Text(kind.action, style="dim"), console, "  ", "  ")
        shown = of.rows if verbose else of.rows[:_REASONS]
        for row in shown:
            _print_wrapped(Text(f"{printable(row.path)}: {reason(row)}"), console, "  - ", "    ")
        _print_more(len(of.rows) - len(shown), "", console, _ALL)


def _print_warnings(warnings: Sequence[Warnings], console: Console, *, verbose: bool) -> None:
    """Print the kinds of warnings, the most common first: how many captures have one, and which."""
    console.print()
    rows = {row.path for of in warnings for row in of.rows}
    console.print(Text(f"Warnings: {captures_text(len(rows))}", style="yellow"))
    shown = warnings if verbose else warnings[:_REASONS]
    for of in shown:
        text = warning_text(of)
        if not verbose:
            text = _beginning(text, _WARNING_WIDTH)
        _print_wrapped(Text(f"{captures_text(len(of.rows))}: {text}"), console, "  - ", "    ")
        if verbose:
            for row in of.rows[:_CAPTURES]:
                line = Text(warned_in(of, row), style="dim")
                _print_wrapped(line, console, "    in ", "       ")
            _print_more(len(of.rows) - _CAPTURES, "", console)
        else:
            such = "in" if len(of.rows) == 1 else "such as"
            path = _end(printable(of.rows[0].path), max(16, console.width - len(such) - 5))
            console.print(Text(f"    {such} {path}", style="dim"), no_wrap=True, overflow="ignore")
    _print_more(len(warnings) - len(shown), " kinds", console, _ALL)


def _beginning(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1].rstrip()}…"
