"""The summary on a terminal: the verdict, the settings, the worst names, the advice."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pcapkit.model.results import Results
from pcapkit.model.settings import Change
from pcapkit.model.vocabulary import Safety
from pcapkit.report.text.formatting import number, printable, seconds, shorten
from pcapkit.report.text.verdict import headline
from pcapkit.report.text.wording import (
    action_text,
    certainty_text,
    client_texts,
    evidence,
    overall,
    queries_text,
    setting_text,
)

_NAMES, _ADVICE, _FAULTS = 10, 5, 5
_SAFETY_STYLE = {"safe": "green", "review": "yellow", "unsafe": "red"}
_SEVERITY_STYLE = {"error": "red", "warning": "yellow", "info": "dim"}


def _table(*columns: tuple[str, bool]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title, is_number in columns:
        table.add_column(
            title, justify="right" if is_number else "left", no_wrap=True, header_style="dim"
        )
    return table


def _settings(analysis: Results) -> Table:
    table = _table(
        ("setting", False),
        ("queries", True),
        ("wasted", True),
        ("broken", True),
        ("p50", True),
        ("safety", False),
    )
    for row in overall(analysis):
        if row.setting.change is Change.DROP and row.safety is Safety.UNSAFE:
            continue  # nobody would; the page has it
        mark = " (in force)" if row.observed else ""
        table.add_row(
            Text(
                shorten(printable(setting_text(row.setting)), 30) + mark,
                style="bold" if row.observed else "",
            ),
            number(row.queries),
            number(row.wasted_queries),
            number(row.broken_lookups),
            seconds(row.p50_s),
            Text(row.safety.value, style=_SAFETY_STYLE[row.safety.value]),
        )
    return table


def _names(analysis: Results, width: int) -> Table:
    table = _table(
        ("name", False), ("lookups", True), ("queries", True), ("wasted", True), ("time lost", True)
    )
    for name in analysis.name_rows[:_NAMES]:
        if name.wasted_queries:
            table.add_row(
                Text(shorten(name.base_name, max(16, width - 42))),
                number(name.lookups),
                number(name.queries),
                number(name.wasted_queries),
                seconds(name.wasted_s),
            )
    return table


def _print_faults(analysis: Results, console: Console) -> None:
    for rank, fault in enumerate(analysis.findings[:_FAULTS], 1):
        if rank == 1:
            console.print()
        line = Text(f"{fault.severity.value}: ", style=_SEVERITY_STYLE[fault.severity.value])
        line.append(printable(fault.title), style="none")
        line.append(f" ({fault.code})", style="dim")
        if doubt := certainty_text(fault):
            line.append(f"; {doubt}", style="dim")
        console.print(line)
        for rival in fault.excludes:
            text = Text(printable(rival), style="dim")
            for part in text.wrap(console, max(20, console.width - 2)):
                part.rstrip()
                console.print(Text.assemble("  ", part))
    if (more := len(analysis.findings) - _FAULTS) > 0:
        console.print(Text(f"and {more} more in the report", style="dim"))
    if analysis.findings:
        console.print(Text("pcapkit explain CODE says what each means, and what to do", "dim"))


def render_terminal(analysis: Results, console: Console) -> None:
    """Print the summary; it fits 80 columns, and names never act as markup."""
    console.print(Text(headline(analysis), style="bold"))
    if analysis.waste.queries == 0:
        return
    console.print(Text(evidence(analysis), style="dim"))
    if analysis.what_if_rows:
        console.print()
        console.print(_settings(analysis))
    if any(n.wasted_queries for n in analysis.name_rows):
        console.print()
        console.print(_names(analysis, console.width))
    who = client_texts(analysis)
    for rank, advice in enumerate(analysis.recommendations[:_ADVICE], 1):
        if rank == 1:
            console.print()
        line = Text(f"{action_text(advice, who)} ")
        line.append(f"Saves {queries_text(advice.saves_queries)}; ")
        line.append(advice.safety.value, style=_SAFETY_STYLE[advice.safety.value])
        if advice.safety.value != "safe" and advice.reasons:
            line.append(f": {printable(advice.reasons[0])}")
        for k, part in enumerate(line.wrap(console, max(20, console.width - 3))):
            part.rstrip()
            console.print(Text.assemble("   " if k else f"{rank}. ", part))
    if (more := len(analysis.recommendations) - _ADVICE) > 0:
        console.print(Text(f"   and {more} more in the report", style="dim"))
    _print_faults(analysis, console)
    console.print()
