"""A short report in Markdown, for a pull request or a ticket."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pcapkit.model.plans import Plan
from pcapkit.model.results import Results
from pcapkit.report.text.formatting import number, percent, printable
from pcapkit.report.text.plans import (
    beside_plan,
    best_plan,
    cut_text,
    over_limit,
    plan_cells,
    plan_safety,
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
    overall,
    predicted,
    queries_text,
    setting_text,
)

_STEPS, _NAMES = 20, 5
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-!|<>~&])")


def plain(text: str) -> str:
    """Return text in which no character means anything to Markdown or HTML."""
    return _SPECIAL.sub(r"\\\1", printable(text)).replace("\\<", "&lt;").replace("\\>", "&gt;")


def code(text: str) -> str:
    """Return text as a code span that its own backticks cannot end."""
    shown = printable(text).replace("|", "\\|")
    fence = "`" * (max((len(run) for run in re.findall(r"`+", shown)), default=0) + 1)
    space = " " if "`" in shown else ""
    return f"{fence}{space}{shown}{space}{fence}"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---:" if c.startswith("#") else "---" for c in columns]
    lines = [[c.lstrip("#") for c in columns], rule, *rows]
    return ["", *(f"| {' | '.join(line)} |" for line in lines), ""]


def _plan(best: Plan, analysis: Results) -> Iterator[str]:
    """Yield the steps, what their verdicts rest on, and the plans side by side."""
    rows = [
        (
            number(step.number),
            step_text(step, code),
            plain(subjects_text(step.subjects)),
            number(step.edits),
            number(ended),
            number(step.queries_after),
            plain(safety_text(step.safety, best.coverage)),
        )
        for step, ended in zip(best.steps[:_STEPS], steps_ended(best), strict=False)
    ]
    yield from ("", "## The plan")
    yield from _table(
        ("#step", "what to do", "for whom", "#edits", "#waste ended", "#queries left", "safety"),
        rows,
    )
    if (more := len(best.steps) - _STEPS) > 0:
        yield from (f"and {number(more)} more steps in the report.", "")
    for line in filter(None, (cut_text(best), over_limit(best))):
        yield from (plain(line), "")
    for which, reason in reasons_by_steps(best.steps[:_STEPS]):
        yield f"- {'step' if which.isdigit() else 'steps'} {which}: {plain(reason)}"
    yield from _table(
        ("plan", "#edits", "#waste ended", "#of all waste", "#queries left", "safety"),
        [
            (plain(title), *plan_cells(of), plain(plan_safety(of)))
            for title, of in side_by_side(analysis)
        ],
    )


def _faults(analysis: Results) -> Iterator[str]:
    """Yield each fault with what it cost, what to do, and what else was excluded."""
    if analysis.findings:
        yield from ("", "## Faults", "")
    for fault in analysis.findings:
        yield (
            f"- {fault.severity.value}: {plain(cost_text(fault) or fault.title)} "
            f"({code(fault.code)}"
            + (f"; {plain(doubt)}" if (doubt := certainty_text(fault)) else "")
            + f"). {plain(fault.action)}"
        )
        yield from (f"  - {plain(rival)}" for rival in fault.excludes)


def render_markdown(analysis: Results) -> str:
    """Return the verdict, faults, the plan, the settings, the worst names and other advice."""
    lines = [
        "# DNS search-path report",
        "",
        plain(headline(analysis)),
        "",
        plain(evidence(analysis)),
    ]
    lines += _faults(analysis)
    if (best := best_plan(analysis)) is not None:
        lines += _plan(best, analysis)
    if settings := overall(analysis):
        rows = [
            (
                plain(setting_text(w.setting)) + (" (now)" if w.observed else ""),
                number(w.queries),
                number(w.wasted_queries),
                predicted(w.p50_s, w),
                w.safety.value,
            )
            for w in settings
        ]
        columns = ("setting", "#queries", "#wasted", "#p50", plain(safety_title(analysis)))
        lines += _table(columns, rows)
    if names := [n for n in analysis.name_rows if n.wasted_queries][:_NAMES]:
        rows2 = [
            (
                code(n.base_name),
                code(n.fqdn) if n.fqdn else "",
                number(n.queries),
                number(n.wasted_queries),
            )
            for n in names
        ]
        lines += _table(("name", "answered by", "#queries", "#wasted"), rows2)
    who = client_texts(analysis)
    if beside := beside_plan(analysis):
        lines += ["", "## Beside the plan", ""]
    for advice in beside:
        lines += [
            f"- {plain(action_text(advice, who))} "
            f"Saves {queries_text(advice.saves_queries)} "
            f"({percent(advice.saves_share)}) alone; "
            + plain(safety_text(advice.safety, advice.coverage))
            + (f": {plain('; '.join(advice.reasons))}" if advice.reasons else "")
            + "."
        ]
    return "\n".join(lines).rstrip() + "\n"
