"""What a notebook shows of an analysis: the verdict, what it rests on, and the plan's steps."""

from __future__ import annotations

from markupsafe import escape

from pcapkit.model.results import Results
from pcapkit.report.text.formatting import number
from pcapkit.report.text.plans import best_plan, plan_safety, safety_text, step_text
from pcapkit.report.text.verdict import verdict
from pcapkit.report.text.wording import evidence

_STEPS = 10


def render_notebook(analysis: Results) -> str:
    """Return a fragment of HTML without script or style, every name escaped."""
    first, *then = verdict(analysis)
    parts = [f"<p><strong>{escape(first)}</strong> {escape(' '.join(then))}</p>"]
    parts.append(f"<p>{escape(evidence(analysis))}</p>")
    if (plan := best_plan(analysis)) is not None:
        heads = "".join(f"<th>{t}</th>" for t in ("step", "what to do", "edits", "safety"))
        rows = "".join(
            f"<tr><td>{step.number}</td><td>{escape(step_text(step))}</td>"
            f"<td>{number(step.edits)}</td>"
            f"<td>{escape(safety_text(step.safety, plan.coverage))}</td></tr>"
            for step in plan.steps[:_STEPS]
        )
        more = len(plan.steps) - _STEPS
        caption = f"The plan: {escape(plan_safety(plan))}"
        caption += f"; {more} more steps in plans" if more > 0 else ""
        parts.append(f"<table><caption>{caption}</caption><tr>{heads}</tr>{rows}</table>")
    return "".join(parts)
