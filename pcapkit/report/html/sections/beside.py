"""Advice that is no step of the plan."""

from __future__ import annotations

from pcapkit.model.results import Results
from pcapkit.report.html.sections.patches import how_to_apply
from pcapkit.report.html.sections.tables import Context
from pcapkit.report.text.formatting import number, percent, printable
from pcapkit.report.text.plans import beside_plan, safety_text
from pcapkit.report.text.wording import action_text, client_texts, queries_text
from pcapkit.words import seconds


def beside(analysis: Results) -> Context | None:
    """Advice that is no step of the plan."""
    who = client_texts(analysis)
    rows = [
        {
            "action": action_text(a, who),
            "saves": f"saves {queries_text(a.saves_queries)}, {percent(a.saves_share)}"
            + (f", {number(a.saves_upstream)} of them upstream" if a.saves_upstream else "")
            + (f"; {seconds(a.saves_s)} of lookup time" if a.saves_s else ""),
            "safety": a.safety.value,
            "said": safety_text(a.safety, a.coverage),
            "reasons": [printable(r) for r in a.reasons],
            "clients": ", ".join(printable(c) for c in a.clients) if len(a.clients) > 1 else "",
            "patches": [how_to_apply(shape, text) for shape, text in a.patches.items()],
        }
        for a in beside_plan(analysis)
    ]
    return {"rows": rows} if rows else None
