"""Hold rules against what was found: what fails, with its value and limit, and what is too thin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pcapkit.batch.gate.growth import Growth
from pcapkit.batch.gate.rules import Check, Rule
from pcapkit.batch.gate.subjects import FEWEST_LOOKUPS, Subject
from pcapkit.report.text.formatting import number, percent
from pcapkit.words import seconds, some


class State(StrEnum):
    """How a rule came out for one subject."""

    FAILED = "failed"
    PASSED = "passed"
    NOT_JUDGED = "not judged"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One rule for one subject; ``reason`` has the value and the limit, or why it is not judged."""

    rule: Rule
    subject: str
    state: State
    reason: str


def judge(
    rules: Sequence[Rule], subjects: Sequence[Subject], growths: Sequence[Growth] = ()
) -> tuple[Verdict, ...]:
    """Judge each rule for all that it means, in the order of rules and subjects.

    ``growths`` are what rules that look back are held against.
    """
    out: list[Verdict] = []
    for rule in rules:
        if rule.looks_back:
            found = list(_looked_back(rule, growths))
        else:
            found = [_verdict(rule, s) for s in subjects if _is_judged(rule, s)]
        if not found:
            found = [_of_nothing(rule, "no earlier run" if rule.looks_back else "no capture")]
        out += found
    return tuple(out)


def _of_nothing(rule: Rule, missing: str) -> Verdict:
    if rule.scope is None:
        return Verdict(rule, "captures", State.NOT_JUDGED, f"there is {missing} to judge by")
    return Verdict(rule, rule.scope, State.NOT_JUDGED, "no such workload was seen")


def _is_meant(rule: Rule, workload: str | None) -> bool:
    return rule.scope is None if workload is None else rule.means(workload)


def _is_judged(rule: Rule, subject: Subject) -> bool:
    """Percentiles and faults are of each capture, and not of all of them once more."""
    if subject.is_sum and rule.check in (Check.LOOKUP_P95, Check.FAULT):
        return False
    return _is_meant(rule, subject.workload)


def _verdict(rule: Rule, subject: Subject) -> Verdict:
    def of(state: State, reason: str) -> Verdict:
        return Verdict(rule, subject.name, state, reason)

    if rule.check is Check.FAULT:
        if subject.faults is None:
            return of(State.NOT_JUDGED, "its faults are not known")
        shown = sorted(subject.faults & rule.codes)
        return (
            of(State.FAILED, f"shown: {some(shown)}; limit: none")
            if shown
            else of(State.PASSED, "none is shown")
        )
    if (complete := subject.complete_lookups) < FEWEST_LOOKUPS:
        what = "1 complete lookup" if complete == 1 else f"{complete} complete lookups"
        return of(State.NOT_JUDGED, f"too little to judge: {what}, fewer than {FEWEST_LOOKUPS}")
    if rule.check is Check.LOOKUP_P95:
        if subject.p95_s is None:
            why = "no clock, or too few lookups in each capture"
            return of(State.NOT_JUDGED, f"how long its lookups take is not known: {why}")
        where = f" in {subject.p95_in}" if subject.p95_in is not None else ""
        value, limit = f"p95 of lookups is {seconds(subject.p95_s)}{where}", seconds(rule.limit)
        return _compared(of, subject.p95_s, rule.limit, value, limit)
    if rule.check is Check.NXDOMAIN:
        if subject.nxdomain_queries is None:
            return of(State.NOT_JUDGED, "how many queries got NXDOMAIN is not known")
        part, whole, what = subject.nxdomain_queries, subject.queries, "NXDOMAIN"
    else:
        part, whole, what = subject.wasted_queries, subject.complete_queries, "waste"
    share = part / whole if whole else 0.0
    value = f"{what} is {percent(share)} ({number(part)} of {number(whole)} queries)"
    return _compared(of, share, rule.limit, value, percent(rule.limit))


def _compared(
    of: Callable[[State, str], Verdict], found: float, limit: float, value: str, limit_text: str
) -> Verdict:
    return (
        of(State.FAILED, f"{value}, above {limit_text}")
        if found > limit
        else of(State.PASSED, f"{value}, not above {limit_text}")
    )


def _looked_back(rule: Rule, growths: Sequence[Growth]) -> Iterator[Verdict]:
    for growth in growths:
        if _is_meant(rule, growth.workload):
            state, reason = _changed(rule, growth)
            yield Verdict(rule, growth.name, state, reason)


def _changed(rule: Rule, growth: Growth) -> tuple[State, str]:
    if rule.check is Check.NEW_WASTE:
        if growth.new_waste is None:
            return State.NOT_JUDGED, "too few nights or lookups before to judge what is new"
        if growth.new_waste:
            return State.FAILED, f"new waste: {some(sorted(growth.new_waste))}; limit: none"
        return State.PASSED, "no new waste"
    if growth.change is None:
        return State.NOT_JUDGED, "too little to judge how the queries of a lookup changed"
    if not growth.is_shown:
        return State.PASSED, "no growth of the queries of a lookup is shown"
    value = f"queries per lookup grew by {percent(growth.change)}"
    if growth.change > rule.limit:
        return State.FAILED, f"{value}, above {percent(rule.limit)}"
    return State.PASSED, f"{value}, not above {percent(rule.limit)}"
