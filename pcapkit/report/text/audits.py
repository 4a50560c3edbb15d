"""Audits in words: the verdict, the plan for all captures, why captures failed.

So the page and the terminal say it alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pcapkit.model.audits import (
    AuditIndex,
    AuditRow,
    Group,
    Grouping,
    SharedStep,
    Together,
    Trend,
    Warnings,
)
from pcapkit.model.plans import Coverage
from pcapkit.model.vocabulary import Safety
from pcapkit.report.text.formatting import iso_time, number, percent, printable
from pcapkit.report.text.plans import (
    SAFE_FOR,
    SHORT_S,
    edits_text,
    plan_line,
    safety_text,
    subjects_text,
)
from pcapkit.report.text.wording import Figure, lookups_text
from pcapkit.words import seconds


@dataclass(frozen=True, slots=True)
class FailureKind:
    """A kind of failure in words, and what to do about it."""

    title: str
    action: str


#: By the word of ``AuditRow.error_kind``.
FAILURE_KINDS: Mapping[str, FailureKind] = {
    "missing": FailureKind(
        "No such file",
        "Check the path; if something removes files while an audit runs, audit a copy of them.",
    ),
    "permission": FailureKind(
        "No permission to read",
        "Give the user of this audit the right to read them: tcpdump writes files as root, or as "
        "the user that its option -Z names.",
    ),
    "unreachable": FailureKind(
        "The host or service does not answer", "Look at the network and the address; run it again."
    ),
    "credentials": FailureKind(
        "Credentials are missing or refused",
        "Set what the reason of each names, in the environment of the audit.",
    ),
    "changed": FailureKind(
        "Changed while it was read", "They are still being written: run it again when they are not."
    ),
    "empty": FailureKind(
        "Empty", "Nothing was captured, or copying failed: look where they come from."
    ),
    "not-a-capture": FailureKind(
        "Not a capture",
        "The bytes are of no format that is known here: leave them out, or convert them to pcap.",
    ),
    "damaged": FailureKind(
        "Damaged from the beginning",
        "Nothing of them can be read: copy them again from where they come from.",
    ),
    "unreadable": FailureKind("Cannot be read", "The reason of each says what stands in the way."),
    "options": FailureKind(
        "The options do not fit", "The reason of each names the option: change it, run it again."
    ),
    "too-large": FailureKind(
        "Needs more memory than there is",
        "Run it again with fewer workers, or on a larger machine.",
    ),
    "crashed": FailureKind(
        "The process that read it died",
        "It died again when it ran alone: analyze one of them by itself, with more memory.",
    ),
    "timeout": FailureKind(
        "Not done within the time limit",
        "Run it again with a longer limit, or on a faster machine.",
    ),
    "disk-full": FailureKind(
        "No space left where reports are written", "Make room there, and run it again."
    ),
    "fault": FailureKind(
        "A fault of pcapkit", "Please report it, with the capture if you may pass it on."
    ),
}
_OTHER = FailureKind("Other reasons", "The reason of each says what stands in the way.")


def failure_kind(kind: str) -> FailureKind:
    """Return what a kind of failure is called, and what to do about it."""
    return FAILURE_KINDS.get(kind, _OTHER)


def reason(row: AuditRow) -> str:
    """Return why a capture failed, without its path, which stands beside it."""
    return printable((row.error or "").removeprefix(f"{row.path}: "))


def warning_text(of: Warnings) -> str:
    """Return what captures are warned of: in general, where there are several."""
    return printable(of.kind if len(of.rows) > 1 else of.text_of(of.rows[0]))


def warned_in(of: Warnings, row: AuditRow) -> str:
    """Return which capture is warned, and of what where the others are of something else."""
    text = of.text_of(row)
    return printable(row.path if text == of.kind or len(of.rows) == 1 else f"{row.path}: {text}")


# ---- the verdict -----------------------------------------------------------------------------


def verdict(audit: AuditIndex) -> list[str]:
    """Return the sentences over an audit, of which the first is its headline."""
    return list(_sentences(audit))


def _sentences(audit: AuditIndex) -> Iterator[str]:
    good = [r for r in audit.captures if r.error is None]
    failed = len(audit.captures) - len(good)
    if not good:
        yield (
            f"No capture could be analysed: {number(failed)} failed."
            if failed
            else "There is no capture yet."
        )
        return
    queries = sum(r.queries for r in good)
    judged = sum(r.complete_queries for r in good)
    wasted = sum(r.wasted_queries for r in good)
    text = f"{captures_text(len(good))}: "
    if not queries:
        yield text + f"no DNS query in {'it' if len(good) == 1 else 'them'}."
    elif not judged:
        yield text + "no lookup is in one from its beginning to its end."
    else:
        share = percent(wasted / judged)
        text += f"{share} of the DNS queries were search-path waste"
        yield f"{text}: {number(wasted)} of {number(judged)}."
    if audit.together is not None and audit.together.steps:
        yield _plan_sentence(audit.together)
        yield _safety_sentence(audit.together)
    elif wasted:
        yield "No change was found that is safe to advise."
    elif judged:
        yield "Nothing to do: no query was search-path waste."
    if failed:
        yield f"{captures_text(failed)} could not be analysed."
    if gone := sum(r.gone for r in audit.captures):
        yield (
            f"{captures_text(gone)} {'is' if gone == 1 else 'are'} no longer there: what an "
            "earlier run found is kept, and counts ('--prune' removes it)."
        )
    if warned := sum(bool(r.warnings) for r in good):
        yield f"{captures_text(warned)} {'has' if warned == 1 else 'have'} warnings."


def captures_text(count: int) -> str:
    """Return a count of captures in words."""
    return f"{number(count)} capture{'' if count == 1 else 's'}"


def _plan_sentence(plan: Together) -> str:
    verb = "ends" if plan.edits == 1 else "end"
    share = plan.ends_queries / plan.wasted_queries if plan.wasted_queries else 0.0
    return (
        f"{edits_text(plan.edits)} {verb} {number(plan.ends_queries)} of them ({percent(share)})."
    )


def origin_sentence(plan: Together) -> str:
    """Say what the plan for all captures is made of."""
    if plan.captures == 1:
        return "It is the plan of the one capture that has any, and was replayed on it."
    return (
        f"Put together from the plans of {number(plan.captures)} captures; each was replayed on "
        "its own capture, never on the others."
    )


def _safety_sentence(plan: Together) -> str:
    if plan.safety is Safety.SAFE:
        if plan.seen_s is None:
            return "Safe for the lookups seen."
        text = f"Safe for what was seen in {seconds(plan.seen_s)}"
        return text + (": capture longer before a roll-out." if plan.seen_s < SHORT_S else ".")
    doubtful = sum(s.safety is not Safety.SAFE for s in plan.steps)
    if doubtful == len(plan.steps):
        return "Review it first." if doubtful == 1 else "Review every change first."
    return f"Review {number(doubtful)} of the {number(len(plan.steps))} changes first."


# ---- the plan --------------------------------------------------------------------------------


def shared_step_text(
    step: SharedStep, named: Callable[[str], str] = printable, who: str = ""
) -> str:
    """Return what a change is; ``named`` prints a name, ``who`` says whom it is for."""
    if step.code == "set_ndots":
        text = f"Set ndots to {step.ndots}" + (f" for {who}" if who else "")
        if step.names:
            names, more = ", ".join(map(named, step.names[:3])), len(step.names) - 3
            text += f"; with it write {names}"
            text += f" and {number(more)} more" if more > 0 else ""
        return text
    if step.code == "drop_suffix":
        suffixes = " and ".join(named(s) for s in step.suffixes)
        return f"Take {suffixes} out of the search list" + (f" of {who}" if who else "")
    where = f" in {who}" if who else ""
    return f"Write {named(step.fqdn or '')} instead of {named(step.name or '')}{where}"


def step_who(step: SharedStep) -> str:
    """Return whom a change is for."""
    return subjects_text(step.subjects)


def step_safety(step: SharedStep) -> str:
    """Return how safe a change is: where it was replayed, and for how long that was seen."""
    return safety_text(step.safety, Coverage(0, 0, step.seen_s))


def step_captures(step: SharedStep) -> str:
    """Return how many captures have a change in their plans, of those that show its subjects."""
    if step.captures == step.captures_of_subjects:
        return number(step.captures)
    return f"{number(step.captures)} of {number(step.captures_of_subjects)}"


def plan_notes(plan: Together) -> Iterator[str]:
    """Yield what a reader of the plan should know: what it left out, and where plans differ."""
    if any(s.captures < s.captures_of_subjects for s in plan.steps):
        yield (
            "A change “in 2 of 5” captures is in the plans of two; the other three show its "
            "subject, too, and were not replayed under it."
        )
    if plan.left_out_queries > 0:
        yield (
            f"The plans of captures end {number(plan.left_out_queries)} wasted queries more, which "
            "count nowhere here: by steps that reports do not list, or that the plan of another "
            "capture contradicts."
        )
    for conflict in plan.conflicts:
        yield printable(conflict)


# ---- a capture in a line ---------------------------------------------------------------------


def row_plan(row: AuditRow) -> str:
    """Return the plan of a capture in a line."""
    if row.plan_safety is None:
        return "no change that is safe" if row.wasted_queries else "nothing to do"
    share = row.plan_ends / row.wasted_queries if row.wasted_queries else 0.0
    return plan_line(row.plan_edits, row.plan_ends, share, row.plan_safety)


def short_row_plan(row: AuditRow) -> str:
    """Return the plan of a capture in few words: edits, the share of the waste that they end."""
    if not row.plan_edits or row.plan_safety is None:
        return ""
    ends = percent(row.plan_ends / row.wasted_queries) if row.wasted_queries else ""
    safety = row.plan_safety
    if safety.startswith(SAFE_FOR):
        safety = f"safe ({safety.removeprefix(SAFE_FOR)} seen)"
    return f"{edits_text(row.plan_edits)}, {ends}, {safety}"


def row_marks(row: AuditRow) -> str:
    """Return what is to be said of a capture beside its path: that it is gone."""
    return "no longer there" if row.gone else ""


def file_texts(row: AuditRow) -> list[str]:
    """Return the files that are read as one, without the folder that all of them are in."""
    folder = row.paths[0].rpartition("/")[0] + "/"
    return [printable(path.removeprefix(folder)) for path in row.paths]


# ---- groups, figures -------------------------------------------------------------------------


def grouping_title(grouping: Grouping) -> str:
    """Return what groups of a kind are called; those of an expression are parts of paths."""
    words = ("namespace", "workload", "node", "day")
    return grouping.by if grouping.by in words else "part of the path"


def group_title(grouping: Grouping, group: Group) -> str:
    """Return what a group is called."""
    return grouping.others if group.name is None else printable(group.name)


def index_figures(index: AuditIndex) -> list[Figure]:
    """Return the large figures under the headline."""
    good = [row for row in index.captures if row.error is None]
    failed = len(index.captures) - len(good)
    judged = sum(row.complete_queries for row in good)
    wasted = sum(row.wasted_queries for row in good)
    return [
        Figure("captures", number(len(good)), f"{number(failed)} failed" if failed else "all read"),
        Figure(
            "queries",
            number(sum(row.queries for row in good)),
            f"in {lookups_text(sum(row.lookups for row in good))}",
        ),
        Figure(
            "wasted",
            number(wasted),
            f"{percent(wasted / judged)} of complete lookups’ queries" if judged else "",
        ),
        Figure(
            "time lost",
            seconds(sum(row.wasted_s for row in good)),
            "before the right names were asked",
        ),
    ]


def index_evidence(index: AuditIndex) -> str:
    """Return what an audit rests on, in a few words."""
    good = [row for row in index.captures if row.error is None]
    parts = [f"{number(sum(row.packets for row in good))} packets"]
    first = [row.first_time for row in good if row.first_time is not None]
    last = [row.last_time for row in good if row.last_time is not None]
    if first and last:
        parts.append(f"{_minute(min(first))} to {_minute(max(last))} UTC")
    return " · ".join(parts)


def _minute(nanoseconds: int) -> str:
    text = iso_time(nanoseconds) or ""
    return text[:16].replace("T", " ")


# ---- the trend -------------------------------------------------------------------------------


def trend_title(trend: Trend) -> str:
    """Return what a workload of the trend is called."""
    name = trend.workload or trend.client_addr or "unknown"
    return printable(f"{trend.namespace}/{name}" if trend.workload and trend.namespace else name)


def change_text(trend: Trend) -> str:
    """Return a change of a share in points of percent, with its interval; nothing for none."""
    if trend.change is None:
        return ""
    text = f"{100 * trend.change:+.1f} points"
    if trend.change_low is None or trend.change_high is None:
        return text
    return f"{text} ({100 * trend.change_low:+.1f} to {100 * trend.change_high:+.1f})"
