"""The summary on a terminal: the verdict, faults, the plan, the worst names."""

from __future__ import annotations

import re

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pcapkit.model.plans import Plan
from pcapkit.model.results import Results
from pcapkit.model.vocabulary import Safety
from pcapkit.report.text.formatting import number, printable, shorten
from pcapkit.report.text.plans import (
    beside_plan,
    best_plan,
    common_subjects,
    cut_text,
    is_short,
    over_limit,
    plan_cells,
    reasons_by_steps,
    safety_text,
    safety_title,
    side_by_side,
    step_text,
    steps_ended,
    subjects_text,
)
from pcapkit.report.text.verdict import cost_text, headline
from pcapkit.report.text.wording import (
    action_text,
    certainty_text,
    client_texts,
    evidence,
    is_assumed,
    misses_text,
    overall,
    queries_text,
    setting_text,
)
from pcapkit.words import seconds

_STEPS, _REASONS, _NAMES, _ADVICE, _FAULTS = 6, 4, 5, 3, 5
_STEP_WIDTH = 60  # of a name in a step; the page has all of it
_SAFETY_STYLE = {"safe": "green", "review": "yellow", "unsafe": "red"}
_SEVERITY_STYLE = {"error": "red", "warning": "yellow", "info": "dim"}


def _table(*columns: tuple[str, bool]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title, is_number in columns:
        table.add_column(
            title,
            justify="right" if is_number else "left",
            no_wrap=True,
            header_style="dim",
            vertical="top",
        )
    return table


def _print_plan(plan: Plan, analysis: Results, console: Console) -> None:
    """Print the steps, what their verdicts rest on, and the plans side by side."""
    everyone = common_subjects(plan)
    table = _table(
        ("", True),
        ("the plan" + (f", for {everyone}" if everyone else ""), False),
        ("edits", True),
        ("waste\nended", True),
        ("queries\nleft", True),
        ("safety", False),
    )
    action = table.columns[1]
    action.no_wrap, action.overflow, action.ratio = False, "fold", 1
    table.expand = True
    steps = plan.steps[:_STEPS]
    for step, ended in zip(steps, steps_ended(plan), strict=False):
        who = "" if everyone else subjects_text(step.subjects)
        table.add_row(
            str(step.number),
            Text(step_text(step, lambda name: shorten(name, _STEP_WIDTH), who)),
            number(step.edits),
            number(ended),
            number(step.queries_after),
            _safety(step.safety, plan),
        )
    console.print()
    console.print(table)
    if (more := len(plan.steps) - _STEPS) > 0:
        console.print(Text(f"   and {number(more)} more in the report", style="dim"))
    for said in filter(None, (cut_text(plan), over_limit(plan))):
        _print_wrapped(Text(said, style="dim"), console, "   ", "     ")
    reasons = list(reasons_by_steps(steps))
    for which, reason in reasons[:_REASONS]:
        line = Text(f"{'step' if which.isdigit() else 'steps'} {which}: {reason}", style="dim")
        _print_wrapped(line, console, "   ", "     ")
    if (more := len(reasons) - _REASONS) > 0:
        console.print(Text(f"   and {more} more in the report", style="dim"))
    console.print()
    others = _table(
        ("plans side by side", False),
        ("edits", True),
        ("waste\nended", True),
        ("of all\nwaste", True),
        ("queries\nleft", True),
        ("safety", False),
    )
    for title, other in side_by_side(analysis):
        safety = _safety(other.safety, other) if other.steps else Text()
        others.add_row(title, *plan_cells(other), safety)
    console.print(others)


def _safety(safety: Safety, plan: Plan) -> Text:
    """Return a verdict; below ten minutes, ``safe`` says for how long."""
    short = safety is Safety.SAFE and is_short(plan.coverage)
    seen = f" ({seconds(plan.coverage.duration_s)} seen)" if short else ""
    return Text(safety.value + seen, style=_SAFETY_STYLE[safety.value])


#: Stands for a blank at which a line must not end: between a number and its unit.
_TIGHT = "\ue000"
_NUMBER_AND_UNIT = re.compile(r"(?<=\d) (?=(?:%|µs|ms|s|min|h)(?!\w))")


def _print_wrapped(line: Text, console: Console, first: str = "", rest: str = "") -> None:
    """Print a text in lines, between whose words no number loses its unit."""
    tight = Text(_NUMBER_AND_UNIT.sub(_TIGHT, line.plain), style=line.style)
    tight.spans = line.spans
    for k, part in enumerate(tight.wrap(console, max(20, console.width - len(rest)))):
        part.rstrip()
        part.plain = part.plain.replace(_TIGHT, " ")
        console.print(Text.assemble(rest if k else first, part))


def _settings(analysis: Results) -> Table:
    """Return what each ndots would have sent, and a final dot on every name."""
    table = _table(
        ("setting", False),
        ("queries", True),
        ("wasted", True),
        ("broken", True),
        ("p50 ", True),
        (safety_title(analysis), False),
    )
    for row in overall(analysis):
        if not (row.observed or row.setting.is_ndots or row.setting.is_fqdn_of_all):
            continue  # the page has all of them
        mark = " (now)" if row.observed else ""
        table.add_row(
            Text(
                shorten(printable(setting_text(row.setting)), 30) + mark,
                style="bold" if row.observed else "",
            ),
            number(row.queries),
            number(row.wasted_queries),
            number(row.broken_lookups),
            seconds(row.p50_s) + ("*" if is_assumed(row.p50_s, row) else " "),
            Text(row.safety.value, style=_SAFETY_STYLE[row.safety.value]),
        )
    return table


def _names(analysis: Results, width: int) -> Table:
    table = _table(
        ("name", False),
        ("lookups", True),
        ("queries", True),
        ("wasted", True),
        ("lost to misses", True),
    )
    for name in analysis.name_rows[:_NAMES]:
        if name.wasted_queries:
            table.add_row(
                Text(shorten(name.base_name, max(16, width - 47))),
                number(name.lookups),
                number(name.queries),
                number(name.wasted_queries),
                misses_text(name.search_s),
            )
    return table


def _print_faults(analysis: Results, console: Console, *, verbose: bool) -> None:
    """Print the faults with what they cost; what else was excluded, where it is asked for."""
    for rank, fault in enumerate(analysis.findings[: None if verbose else _FAULTS], 1):
        if rank == 1:
            console.print()
        line = Text(f"{fault.severity.value}: ", style=_SEVERITY_STYLE[fault.severity.value])
        line.append(cost_text(fault) or printable(fault.title), style="none")
        line.append(f" ({fault.code})", style="dim")
        if doubt := certainty_text(fault):
            line.append(f"; {doubt}", style="dim")
        _print_wrapped(line, console, "", "  ")
        for rival in fault.excludes if verbose else ():
            _print_wrapped(Text(printable(rival), style="dim"), console, "  ", "    ")
    if (more := len(analysis.findings) - _FAULTS) > 0 and not verbose:
        console.print(Text(f"and {more} more in the report", style="dim"))
    if analysis.findings:
        console.print(Text("pcapkit explain CODE says what each means, and what to do", "dim"))


def _print_advice(analysis: Results, console: Console) -> None:
    """Print the advice that is no step of the plan."""
    who, beside = client_texts(analysis), beside_plan(analysis)
    if beside:
        console.print()
        console.print(Text("beside the plan (do not add to its saving):", style="dim"))
    for advice in beside[:_ADVICE]:
        line = Text(f"{action_text(advice, who)} ")
        line.append(f"Saves {queries_text(advice.saves_queries)} alone; ")
        line.append(
            safety_text(advice.safety, advice.coverage), style=_SAFETY_STYLE[advice.safety.value]
        )
        if advice.safety is not Safety.SAFE and advice.reasons:
            line.append(f": {printable(advice.reasons[0])}")
        _print_wrapped(line, console, "- ", "  ")
    if (more := len(beside) - _ADVICE) > 0:
        console.print(Text(f"  and {more} more in the report", style="dim"))


def render_terminal(analysis: Results, console: Console, *, verbose: bool = False) -> None:
    """Print the summary; it fits 80 columns, and names never act as markup.

    ``verbose`` adds what settings would send, other advice, and what else each fault could be.
    """
    _print_wrapped(Text(headline(analysis), style="bold"), console)
    if analysis.waste.queries == 0:
        return
    _print_wrapped(Text(evidence(analysis), style="dim"), console)
    _print_faults(analysis, console, verbose=verbose)
    if (plan := best_plan(analysis)) is not None:
        _print_plan(plan, analysis, console)
    if verbose and analysis.what_if_rows:
        console.print()
        console.print(_settings(analysis))
        if any(is_assumed(row.p50_s, row) for row in overall(analysis)):
            console.print(Text("* assumed: rests on answers that the capture does not show", "dim"))
    if any(n.wasted_queries for n in analysis.name_rows):
        console.print()
        console.print(_names(analysis, console.width))
    if verbose:
        _print_advice(analysis, console)
    elif analysis.what_if_rows:
        console.print()
        console.print(Text("-v adds what each setting would send, and other advice", style="dim"))
    console.print()
