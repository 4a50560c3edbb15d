"""The verdict: the first sentences of a report, alike on the page, the terminal and in Markdown.

The first that applies is said first, and what comes second second: too little to judge, lookups
that failed, a fault that costs more time than search misses, waste, nothing to do.
"""

from __future__ import annotations

from collections.abc import Iterator

from pcapkit.model.plans import Plan, PlanKind
from pcapkit.model.results import Finding, Results
from pcapkit.model.vocabulary import Certainty, Severity
from pcapkit.report.text.formatting import number, percent, printable
from pcapkit.report.text.plans import (
    best_plan,
    contents,
    edits_text,
    ended,
    plan_of,
    safety_sentence,
)
from pcapkit.report.text.wording import judged_queries, lookups_text
from pcapkit.words import seconds

#: Fewer complete lookups are too few to judge.
FEWEST_LOOKUPS = 20
#: What a warning advises where the capture has other packets only.
_FILTER = "the filter 'port 53'"
#: From this share on, waste is the news, with advice or without.
_MUCH = 0.05
#: Outcomes of lookups that nothing answered because something failed, and in words; the others
#: were told that there is no such name, or no such type.
_FAILED = {
    "unanswered": "without a response",
    "servfail": "with SERVFAIL",
    "refused": "with REFUSED",
    "other_rcode": "with another error",
}
_DENIED = ("nxdomain", "nodata")


def headline(analysis: Results) -> str:
    """Return the verdict: the sentence that matters most, then what comes second."""
    return " ".join(verdict(analysis))


def verdict(analysis: Results) -> list[str]:
    """Return the sentence that matters most, and what comes second, each by itself."""
    nothing = _nothing_to_judge(analysis)
    return [nothing] if nothing else list(_sentences(analysis))


def _nothing_to_judge(analysis: Results) -> str:
    """Say why there is nothing to judge; "" where there is something."""
    if analysis.packets.total == 0:
        return "Nothing to judge: the capture holds no packets."
    if not analysis.name_rows:
        if not analysis.message_counts.total and not any(_FILTER in w for w in analysis.warnings):
            return "Nothing to judge: no DNS message could be read; the warnings say why."
        if analysis.message_counts.queries:
            return "Nothing to judge: no query in this capture has a question that can be read."
        return (
            "Nothing to judge: no DNS query in this capture. Capture with the filter 'port 53', in "
            "the pod or on its node."
        )
    if judged_queries(analysis) == 0:
        return "Nothing to judge: no lookup is in the capture from its beginning to its end."
    return ""


def _sentences(analysis: Results) -> Iterator[str]:
    complete = analysis.lookup_counts.complete
    thin = complete < FEWEST_LOOKUPS
    failed, costly, waste = failures(analysis), _costly(analysis), analysis.waste
    told = bool(failed) and _explains(costly, cause_of_failures(analysis))
    if thin:
        little = f"Too little to judge: {lookups_text(complete)} from beginning to end"
        if costly is not None and not told:  # what is shown is shown, be it once
            yield f"{little}. Still, a fault is plain: {cost_text(costly)}."
        else:
            yield f"{little}."
    if failed:
        yield failed
    if costly is not None and not (told or thin):
        what = "A fault costs more than the waste" if waste.share >= _MUCH else "A fault, not waste"
        yield f"{what}: {cost_text(costly)}."
    if waste.wasted_queries:
        yield from _waste(analysis, costly)
    elif not failed and costly is None:
        yield _healthy(analysis, thin=thin)


def failures(analysis: Results) -> str:
    """Say what share of the lookups resolved, where any failed or none resolved; else ""."""
    outcomes = analysis.lookup_counts.complete_by_outcome
    failed = {key: outcomes[key] for key in _FAILED if outcomes[key]}
    total, resolved = analysis.lookup_counts.complete, outcomes["resolved"]
    if not failed and (resolved or not total):
        return ""
    parts = [f"{number(n)} failed {_FAILED[key]}" for key, n in failed.items()]
    denied = sum(outcomes[key] for key in _DENIED)
    if denied:
        what = "asked for a name or type that does not exist"
        parts.append(f"{number(denied)} {what}")
    text = f"{percent(resolved / total)} of the lookups resolved, {number(resolved)} of "
    text += f"{number(total)}: {', '.join(parts)}."
    cause = cause_of_failures(analysis)
    if cause is not None and failed and cause.code != _ITSELF:
        text += f" The cause: {printable(cause.title)}."
    return text


def cause_of_failures(analysis: Results) -> Finding | None:
    """Return the fault that is shown to leave most lookups without an answer, None if none is."""

    def count(finding: Finding) -> int:
        lookups = finding.evidence.get("failed_lookups", 0)
        return lookups if isinstance(lookups, int) else 0

    shown = [f for f in analysis.findings if f.certainty is Certainty.SHOWN and count(f)]
    return max(shown, key=count, default=None)


#: The fault that says of failed lookups what the share that resolved says: no cause of it.
_ITSELF = "failed_lookups"


def _explains(fault: Finding | None, cause: Finding | None) -> bool:
    """Has the sentence about failed lookups told of this fault?"""
    return fault is not None and (fault.code == _ITSELF or fault is cause)


def lost_s(finding: Finding) -> float:
    """Return the time that a fault cost lookups, in seconds; 0 where that is not known."""
    lost = finding.evidence.get("lost_s", 0.0)
    return lost if isinstance(lost, float) else 0.0


#: Where the evidence counts the lookups that a fault's seconds are of, the first that is there.
_LOOKUPS = ("lookups", "repeated_walks", "failed_lookups")


def cost_text(fault: Finding) -> str:
    """Return a fault with the time that it cost, and in how many lookups; "" where it cost none."""
    lost = lost_s(fault)
    if not lost:
        return ""
    counts = (fault.evidence.get(key) for key in _LOOKUPS)
    lookups = next((n for n in counts if isinstance(n, int) and n), 0)
    of = f" in {lookups_text(lookups)}" if lookups else ""
    return f"{printable(fault.title)}; it cost {seconds(lost)}{of}"


#: What several faults leave unanswered adds up to the waits for timers: a cause of so much of
#: them is told in their stead.
_TIMERS, _MOST = "resolver_stalls", 0.5
_CAUSES = ("dead_nameserver", "conntrack_race", "failed_family")


def _costly(analysis: Results) -> Finding | None:
    """Return the fault that is shown to cost most time, where that is more than misses cost."""
    shown = [f for f in analysis.findings if f.certainty is Certainty.SHOWN]
    worst = max(shown, key=lost_s, default=None)
    if worst is None or lost_s(worst) <= analysis.waste.search_s:
        return None
    if worst.code == _TIMERS:
        causes = [f for f in shown if f.code in _CAUSES and lost_s(f) >= _MOST * lost_s(worst)]
        cause = max(causes, key=lost_s, default=worst)
        return cause if lost_s(cause) > analysis.waste.search_s else worst
    return worst


def _waste(analysis: Results, costly: Finding | None) -> Iterator[str]:
    """Say what was wasted, and the plan that ends it."""
    waste = analysis.waste
    share = f"{percent(waste.share)} of these DNS queries"
    counts = f"{number(waste.wasted_queries)} of {number(judged_queries(analysis))}"
    text = f"{share} were search-path waste: {counts}."
    found = _serious(analysis)
    if (plan := best_plan(analysis)) is not None:
        yield f"{text} {_ends(analysis, plan, ' of them')} ({percent(plan.ends_share)}): " + (
            f"{contents(plan)}."
        )
        yield safety_sentence(plan)
        if any(step.code == "set_ndots" for step in plan.steps):
            names = plan_of(analysis, PlanKind.NAMES)
            alone = "they end none" if names is None else _ends(analysis, names)
            yield f"Full names (FQDNs) alone: {alone}."
    elif waste.share >= _MUCH:
        if found:
            yield f"{text} First mend what stands in the way: {printable(found[0].title)}."
        else:
            yield f"{text} No change was found that is safe to advise."
    elif costly is not None or failures(analysis):
        yield text
    else:
        only = f"only {share.replace('these DNS ', '')} were search-path waste: {counts}"
        yield _without_advice(found, only)


def _ends(analysis: Results, plan: Plan, of: str = "") -> str:
    """Say how many edits end how many of the wasted queries that the sentence is about."""
    count = min(ended(plan), analysis.waste.wasted_queries)
    return f"{edits_text(plan.edits)} {'ends' if plan.edits == 1 else 'end'} {number(count)}{of}"


def _healthy(analysis: Results, *, thin: bool) -> str:
    found = _serious(analysis)
    if thin and not found:
        return "No query was search-path waste."
    return _without_advice(found, "no query was search-path waste")


def _without_advice(found: list[Finding], why: str) -> str:
    """Say what is left to do where waste is none or little: a fault, or nothing."""
    if found:
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        return f"A fault, not waste: {printable(found[0].title)}{more}; {why}."
    return f"Nothing to do: {why}."


def _serious(analysis: Results) -> list[Finding]:
    return [f for f in analysis.findings if f.severity != Severity.INFO]
