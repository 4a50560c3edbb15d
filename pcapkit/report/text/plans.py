"""Plans in words and figures, alike on the page, the terminal and in Markdown.

An *edit* is one dnsConfig changed, one search list made shorter, or one name written in full, each
in one workload.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from pcapkit.model.plans import Coverage, Plan, PlanKind, Step
from pcapkit.model.results import Recommendation, Results
from pcapkit.model.vocabulary import Safety
from pcapkit.report.text.formatting import number, percent, printable
from pcapkit.report.text.wording import lookups_text
from pcapkit.words import seconds

#: Below this a capture shows too little of a day: ``safe`` says how long it was.
SHORT_S = 600
SAFE_FOR = "safe for what was seen in "
#: Packets a second that AWS lets one network interface send to its resolvers.
MOST_OUTSIDE = 1024
#: Advice that a plan takes the place of.
_PLANNED = ("set_ndots", "use_fqdn", "full_service_name")
KINDS = {
    PlanKind.SETTINGS: "dnsConfig alone",
    PlanKind.NAMES: "full names alone",
    PlanKind.BEST: "both",
}


def plan_of(analysis: Results, kind: PlanKind) -> Plan | None:
    """Return the plan of the whole capture, None where it changes nothing."""
    found = next((p for p in analysis.plans if p.subject is None and p.kind is kind), None)
    return found if found is not None and found.steps else None


def best_plan(analysis: Results) -> Plan | None:
    """Return the plan that a report leads with, None where nothing can be changed."""
    return plan_of(analysis, PlanKind.BEST)


def beside_plan(analysis: Results) -> list[Recommendation]:
    """Return the advice that is no step of a plan."""
    plan = best_plan(analysis)
    dropped = {suffix for step in (plan.steps if plan else ()) for suffix in step.suffixes}
    return [
        a
        for a in analysis.recommendations
        if a.code not in _PLANNED and not (a.code == "drop_suffix" and a.target in dropped)
    ]


def ended(plan: Plan) -> int:
    """Return how many wasted queries a plan ends."""
    return plan.before.wasted_queries - plan.after.wasted_queries


def steps_ended(plan: Plan) -> list[int]:
    """Return how many wasted queries each step ends, with the steps before it done."""
    left = [plan.before.wasted_queries, *(s.wasted_queries_after for s in plan.steps)]
    return [before - after for before, after in pairwise(left)]


def edits_text(count: int) -> str:
    """Return a count of edits in words."""
    return f"{number(count)} edit{'' if count == 1 else 's'}"


def cut_text(plan: Plan) -> str:
    """Return how many of a plan's steps are listed; nothing where all are."""
    if plan.steps_in_all <= len(plan.steps):
        return ""
    return (
        f"only the first {number(len(plan.steps))} of its {number(plan.steps_in_all)} steps are "
        "listed, those that end most an edit; the plan's own numbers are those of all"
    )


def outside_rows(plan: Plan) -> list[tuple[str, str, str, str, str]]:
    """Return packets out of the cluster by sender: a second and at most, now and after the plan."""
    after = {o.sender: o for o in plan.after.outside}
    return [
        (
            printable(now.sender or "the DNS server"),
            *(
                text
                for o in (now, after[now.sender])
                for text in (rate_text(o.packets_per_s), number(o.peak_packets_per_s))
            ),
        )  # type: ignore[misc]
        for now in plan.before.outside
        if now.sender in after
    ]


def over_limit(plan: Plan) -> str:
    """Say which sender sends more out of the cluster than clouds allow; nothing where none does."""
    over = [o for o in plan.before.outside if o.peak_packets_per_s > MOST_OUTSIDE]
    if not over:
        return ""
    after = {o.sender: o.peak_packets_per_s for o in plan.after.outside}
    busiest = max(over, key=lambda o: o.peak_packets_per_s)
    return (
        f"{printable(busiest.sender or 'the DNS server')} sends up to "
        f"{number(busiest.peak_packets_per_s)} packets a second out of the cluster, "
        f"{number(after.get(busiest.sender, 0))} after the plan; clouds let through "
        f"{number(MOST_OUTSIDE)} of one network interface to their own resolvers"
    )


def rate_text(per_second: float | None) -> str:
    """Return a rate in digits; nothing where it is not known."""
    if per_second is None:
        return ""
    return number(round(per_second)) if per_second >= 100 else f"{per_second:.1f}"


# ---- who and what ----------------------------------------------------------------------------


def subjects_text(subjects: Sequence[str]) -> str:
    """Return whom a step is for: the one, or how many of which kind."""
    if len(subjects) == 1:
        return f"{_sort(subjects[0])} {printable(subjects[0])}"
    counts: dict[str, int] = {}
    for subject in subjects:
        counts[_sort(subject)] = counts.get(_sort(subject), 0) + 1
    parts = [f"{number(n)} {sort}{'' if n == 1 else 's'}" for sort, n in counts.items()]
    spaces = {s.partition("/")[0] for s in subjects if "/" in s}
    if len(spaces) == 1:
        parts[0] += f" of namespace {printable(min(spaces))}"
    elif spaces and len(parts) == 1:
        parts[0] += f" in {number(len(spaces))} namespaces"
    return ", ".join(parts)


def _sort(subject: str) -> str:
    """Return what a subject of a plan is: a namespace has no dot, a workload names its own."""
    if "/" in subject:
        return "workload"
    return "client" if "." in subject or ":" in subject else "namespace"


def step_text(step: Step, named: Callable[[str], str] = printable, who: str = "") -> str:
    """Return what a step changes; ``named`` prints a name, ``who`` says whom it is for."""
    if step.code == "set_ndots":
        text = f"Set ndots to {step.ndots}" + (f" for {who}" if who else "")
        if step.names:
            pairs = [f"{named(base)} as {named(full)}" for base, full in step.names.items()]
            shown = ", ".join(pairs[:3]) + (f" and {len(pairs) - 3} more" if pairs[3:] else "")
            text += f"; with it write {shown}"
        return text
    if step.code == "drop_suffix":
        suffixes = " and ".join(named(s) for s in step.suffixes)
        return f"Take {suffixes} out of the search list" + (f" of {who}" if who else "")
    name, full = step.name or "", step.fqdn or ""
    where = f" in {who}" if who else ""
    form = "with its final dot" if step.final_dot else "no final dot needed"
    return f"Write {named(full)} ({form}) instead of {named(name)}{where}"


def common_subjects(plan: Plan) -> str:
    """Return whom all steps are for, where they are for the same; else nothing."""
    subjects = {s.subjects for s in plan.steps}
    return subjects_text(subjects.pop()) if len(subjects) == 1 else ""


def contents(plan: Plan) -> str:
    """Return what a plan's edits are of."""
    if len(plan.steps) == 1 and plan.steps[0].code == "set_ndots" and not plan.steps[0].names:
        return f"ndots {plan.steps[0].ndots} for {subjects_text(plan.steps[0].subjects)}"
    settings, lists, names = (plan.edits_of.get(of, 0) for of in ("ndots", "lists", "names"))
    parts = []
    if settings:
        parts.append(f"{number(settings)} dnsConfig{'' if settings == 1 else 's'}")
    if lists:
        parts.append(f"{number(lists)} shorter search list{'' if lists == 1 else 's'}")
    if names:
        parts.append(f"{number(names)} name{'' if names == 1 else 's'} written in full")
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 2 else parts)


# ---- how safe --------------------------------------------------------------------------------


def safety_text(safety: Safety, coverage: Coverage) -> str:
    """Return a verdict as what it is: below ten minutes, ``safe`` is for what was seen."""
    if safety is Safety.SAFE and is_short(coverage):
        return f"{SAFE_FOR}{seconds(coverage.duration_s)}"
    return safety.value


def is_short(coverage: Coverage) -> bool:
    """Does a verdict rest on less than ten minutes?"""
    return coverage.duration_s is not None and coverage.duration_s < SHORT_S


def safety_title(analysis: Results) -> str:
    """Return the title of a column of verdicts on the whole capture, which says what they mean."""
    for plan in analysis.plans:
        if plan.subject is None and is_short(plan.coverage):
            return f"safety ({seconds(plan.coverage.duration_s)} seen)"
    return "safety"


def safety_sentence(plan: Plan) -> str:
    """Return whether a plan is safe, and what that rests on, as a sentence."""
    if plan.safety is Safety.SAFE:
        if plan.coverage.duration_s is None:
            return f"Safe for the {lookups_text(plan.coverage.lookups)} seen."
        text = f"Safe for what was seen in {seconds(plan.coverage.duration_s)}"
        return text + (": capture longer before a roll-out." if is_short(plan.coverage) else ".")
    doubtful = sum(s.safety is not Safety.SAFE for s in plan.steps)
    if doubtful and plan.steps_in_all > len(plan.steps):
        return "Review it first."
    if not doubtful:
        return "Review it first: the capture is thin."
    if doubtful == len(plan.steps):
        return "Review it first." if doubtful == 1 else "Review every step first."
    which = "step" if doubtful == 1 else "steps"
    return f"Review {number(doubtful)} of its {number(len(plan.steps))} {which} first."


def reasons_by_steps(steps: Sequence[Step]) -> Iterator[tuple[str, str]]:
    """Yield what the verdicts of steps rest on, and which steps: ``1``, ``2 to 5, 7``."""
    found: dict[str, list[int]] = {}
    for step in steps:
        for reason in step.reasons:
            found.setdefault(reason, []).append(step.number)
    for reason, numbers in found.items():
        yield _ranges(numbers), printable(reason)


def _ranges(ascending: Sequence[int]) -> str:
    runs: list[list[int]] = []
    for value in ascending:
        if runs and runs[-1][-1] == value - 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return ", ".join(
        f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs
    )


# ---- a plan in a line, plans side by side ----------------------------------------------------


def plan_line(edits: int, ends: int, share: float, safety: str) -> str:
    """Return a plan in a line."""
    verb = "ends" if edits == 1 else "end"
    return f"{edits_text(edits)} {verb} {number(ends)} ({percent(share)}), {safety}"


def side_by_side(analysis: Results) -> list[tuple[str, Plan]]:
    """Return the plans of the whole capture with their titles: the one that leads comes first.

    Where a safe plan leads, one of fewer edits that needs a review may stand beside it.
    """
    whole = [p for p in analysis.plans if p.subject is None]
    best = [p for p in whole if p.kind is PlanKind.BEST]
    out = []
    for rank, plan in enumerate([*best, *(p for p in whole if p.kind is not PlanKind.BEST)]):
        title = KINDS[plan.kind]
        if plan.kind is PlanKind.BEST:
            title += ": the plan" if rank == 0 else ", with a review"
        out.append((title, plan))
    return out


def plan_cells(plan: Plan) -> tuple[str, str, str, str]:
    """Return a plan's edits, wasted queries ended, their share, queries left."""
    return (
        number(plan.edits),
        number(ended(plan)),
        percent(plan.ends_share),
        number(plan.after.queries),
    )


def plan_safety(plan: Plan) -> str:
    """Return how safe a plan is; nothing for one that changes nothing."""
    return safety_text(plan.safety, plan.coverage) if plan.steps else ""
