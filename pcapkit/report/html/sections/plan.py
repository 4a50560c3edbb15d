"""The plan on the page: its curve, its steps, what its settings would change, other plans."""

from __future__ import annotations

from collections.abc import Sequence

from pcapkit.limits import Limits
from pcapkit.model.plans import Plan, PlanKind, Step
from pcapkit.model.results import Results
from pcapkit.report.html.sections.patches import Patch, how_to_apply, ndots_patch
from pcapkit.report.html.sections.tables import Context, named, shortened, table
from pcapkit.report.text.formatting import number, percent, printable
from pcapkit.report.text.plans import (
    KINDS,
    best_plan,
    common_subjects,
    cut_text,
    outside_rows,
    plan_cells,
    plan_safety,
    rate_text,
    safety_text,
    side_by_side,
    step_text,
    steps_ended,
    subjects_text,
)
from pcapkit.report.text.wording import lookups_text
from pcapkit.words import seconds

#: Of the subjects of one step, and characters of them.
_MOST_SUBJECTS, _MOST_CHARACTERS = 500, 8_000
_MOST_STEPS_IN_CELL = 3


def plan(analysis: Results) -> Context | None:
    """The plan of the whole capture, and those of its workloads, namespaces or clients."""
    best = best_plan(analysis)
    if best is None:
        return None
    coverage, limits = best.coverage, analysis.limits
    seen = "" if coverage.duration_s is None else f" in {seconds(coverage.duration_s)}"
    of_subjects = [p for p in analysis.plans if p.subject is not None and p.steps]
    return {
        "charts": ["plan"],
        "everyone": common_subjects(best),
        "columns": _columns(best),
        "steps": [_step(s, n, best) for s, n in zip(best.steps, steps_ended(best), strict=True)],
        "reasons": [printable(r) for r in (*best.reasons, *filter(None, [cut_text(best)]))],
        "steps_in_all": number(max(best.steps_in_all, len(best.steps))),
        "outside": table(
            "packets out of the cluster",
            ("@sender", "#packets per s now", "#at most", "#after the plan", "#at most then"),
            outside_rows(best),
            len(best.before.outside),
            limits=limits,
        ),
        "rests_on": f"{lookups_text(coverage.lookups)} of {number(coverage.names)} names{seen}",
        "assumed": number(best.assumed_queries) if best.assumed_queries else "",
        "dns_config": _dns_config(best),
        "forms": _forms(best, limits),
        "is_shorter": any(s.suffixes for s in best.steps),
        "seen": seen,
        "side_by_side": table(
            "plans side by side",
            (
                "what it changes",
                "#edits",
                "#waste ended",
                "#of all waste",
                "#queries left",
                "safety",
            ),
            [(title, *plan_cells(p), plan_safety(p)) for title, p in side_by_side(analysis)],
        ),
        "of_subjects": _of_subjects(of_subjects, limits),
        "patches": [how_to_apply(shape, text) for shape, text in best.patches.items()],
    }


def _columns(best: Plan) -> list[tuple[str, str]]:
    """Return the columns with figures of a step, and their keys: those of which any is known."""
    columns = [
        ("edits", "edits"),
        ("waste ended", "ends"),
        ("queries left", "left"),
        ("waste left", "share"),
    ]
    if best.coverage.duration_s:
        columns += [("queries per s (peak)", "rate"), ("upstream per s (peak)", "upstream")]
    if any(s.outside_after for s in best.steps):
        columns.append(("outside per s (peak)", "outside"))
    if any(s.lookup_p95_s_after is not None for s in best.steps):
        columns.append(("lookups’ p95", "p95"))
    return columns


def _step(step: Step, ends: int, best: Plan) -> Context:
    span_s = best.coverage.duration_s
    outside = step.outside_after[:1]  # of the sender that sends most now
    return {
        "number": number(step.number),
        "action": step_text(step, named),
        "who": subjects_text(step.subjects),
        "subjects": _listed(step.subjects) if len(step.subjects) > 1 else "",
        "names": [(named(base), named(full)) for base, full in step.names.items()][3:],
        "edits": number(step.edits),
        "ends": number(ends),
        "left": number(step.queries_after),
        "share": percent(step.waste_share_after),
        "rate": _rate(_mean(step.queries_after, span_s), step.peak_queries_per_s_after),
        "upstream": _rate(
            _mean(step.upstream_queries_after, span_s), step.peak_upstream_per_s_after
        ),
        "outside": " ".join(_rate(o.packets_per_s, o.peak_packets_per_s) for o in outside),
        "p95": _assumed(seconds(step.lookup_p95_s_after), best),
        "safety": step.safety.value,
        "said": safety_text(step.safety, best.coverage),
        "reasons": [printable(r) for r in step.reasons],
    }


def _mean(count: int, span_s: float | None) -> float | None:
    return count / span_s if span_s else None


def _rate(mean: float | None, peak: int | None) -> str:
    """Return how many a second, and at most, as far as they are known."""
    text = rate_text(mean)
    return text if peak is None else f"{text} ({number(peak)})".lstrip()


def _assumed(text: str, best: Plan) -> str:
    """Mark a time after a step where the plan rests on answers that nobody saw."""
    return f"{text} (assumed)" if text and best.assumed_queries else text


def _listed(subjects: Sequence[str]) -> str:
    shown = shortened(", ".join(printable(s) for s in subjects[:_MOST_SUBJECTS]), _MOST_CHARACTERS)
    more = len(subjects) - _MOST_SUBJECTS
    return shown + (f" and {number(more)} more" if more > 0 else "")


def _dns_config(best: Plan) -> list[Patch]:
    """Return what to write into pod templates, for each ndots of the plan, and for whom."""
    subjects: dict[int, list[str]] = {}
    for step in best.steps:
        if step.ndots is not None:
            subjects.setdefault(step.ndots, []).extend(step.subjects)
    return [ndots_patch(ndots, list(dict.fromkeys(of))) for ndots, of in subjects.items()]


def _forms(best: Plan, limits: Limits) -> Context:
    """Return the forms of names that settings would change, and how many of each were seen."""
    counts: dict[tuple[str, str], int] = {}
    for step in best.steps:
        for form in step.forms:
            key = f"ndots {step.ndots}" if step.suffixes == () else "shorter list", form.form
            counts[key] = counts.get(key, 0) + form.seen
    rows = [(setting, printable(form), number(seen)) for (setting, form), seen in counts.items()]
    return table("forms of names", ("setting", "form of names", "#seen"), rows, limits=limits)


def _of_subjects(plans: Sequence[Plan], limits: Limits) -> Context:
    rows = []
    first: set[tuple[str | None, PlanKind]] = set()
    for of in plans[: limits.page_rows]:
        title = KINDS[of.kind]
        if (of.subject, of.kind) in first:
            title += ", with a review"
        first.add((of.subject, of.kind))
        steps = "; ".join(step_text(s) for s in of.steps[:_MOST_STEPS_IN_CELL])
        if (more := len(of.steps) - _MOST_STEPS_IN_CELL) > 0:
            steps += f"; and {number(more)} more"
        rows.append((printable(of.subject or ""), title, *plan_cells(of), plan_safety(of), steps))
    return table(
        "plans for one alone",
        (
            "@for",
            "what it changes",
            "#edits",
            "#waste ended",
            "#of the waste",
            "#queries left",
            "safety",
            "@steps",
        ),
        rows,
        len(plans),
        limits=limits,
        first=20,
    )
