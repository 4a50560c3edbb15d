"""A short report in Markdown, for a pull request or a ticket."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pcapkit.model.results import Results
from pcapkit.report.text.formatting import number, percent, printable
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

_NAMES = 10
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


def render_markdown(analysis: Results) -> str:
    """Return the verdict, the settings, the worst names, the advice and the faults."""
    lines = [
        "# DNS search-path report",
        "",
        plain(headline(analysis)),
        "",
        plain(evidence(analysis)),
    ]
    if settings := overall(analysis):
        rows = [
            (
                setting_text(w.setting) + (" (in force)" if w.observed else ""),
                number(w.queries),
                number(w.wasted_queries),
                w.safety.value,
            )
            for w in settings
        ]
        lines += _table(("setting", "#queries", "#wasted", "safety"), rows)
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
    for rank, advice in enumerate(analysis.recommendations, 1):
        lines += [
            f"{rank}. {plain(action_text(advice, who))} "
            f"Saves {queries_text(advice.saves_queries)} "
            f"({percent(advice.saves_share)}); {advice.safety.value}"
            + (f": {plain('; '.join(advice.reasons))}" if advice.reasons else "")
            + "."
        ]
        if advice.patch is not None and advice.code == "set_ndots":
            block = ("```yaml", *advice.patch.splitlines(), "```")
            lines += ["", *(f"   {line}" for line in block), ""]
    if analysis.findings:
        lines += ["", "Faults:", ""]
    for fault in analysis.findings:
        lines.append(
            f"- {fault.severity.value}: {plain(fault.title)} ({code(fault.code)}"
            + (f"; {plain(doubt)}" if (doubt := certainty_text(fault)) else "")
            + f"). {plain(fault.action)}"
        )
        lines += [f"  - {plain(rival)}" for rival in fault.excludes]
    return "\n".join(lines).rstrip() + "\n"
