"""Plans of the first of two analyses: which of their steps came true, and did they keep their word?

A step that sets an ndots has come true where all of its subjects that are seen again have that
value; one that takes suffixes out of search lists where theirs no longer have these; one that
writes a name in full where the name is asked again and wastes nothing any more.
Steps are counted from the first on: the number that a plan gives a step has all earlier ones done.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from pcapkit.batch.sides import Side
from pcapkit.cluster.conventions import namespace_of
from pcapkit.model.clients import Client
from pcapkit.model.comparison import PlanPromise, Subject
from pcapkit.model.plans import Plan, PlanKind, Step
from pcapkit.model.vocabulary import Source


def plan_promises(
    before: Side, after: Side, subjects: Sequence[Subject]
) -> tuple[PlanPromise, ...]:
    """Return what became of the plans, one for each of ``subjects`` that has any.

    Of a subject's plans it is the one that came true and saves most, else the one of which most
    came true, else the best one.
    """
    seen = _Seen(before, after)
    out = []
    for subject in subjects:
        plans = [p for p in before.plans if p.subject == subject.subject and p.steps]
        if plans:
            done = [seen.done(p) for p in plans]
            ranked = zip(plans, done, strict=True)
            plan, steps = max(ranked, key=lambda r: _rank(*r))
            out.append(_promise(plan, steps, subject))
    return tuple(out)


def _rank(plan: Plan, done: int) -> tuple[bool, int, bool]:
    saved = sum(s.saves_queries for s in plan.steps[:done])
    return done == len(plan.steps), saved, plan.kind is PlanKind.BEST


def _promise(plan: Plan, done: int, subject: Subject) -> PlanPromise:
    after = plan.steps[done - 1].queries_after if done else plan.after.queries
    promised = after / plan.before.queries - 1 if plan.before.queries else 0.0
    measure = subject.measure("queries_per_lookup")
    measured, verdict = None, "not_applied"
    if done:
        measured, verdict = measure.change, "too_little_data"
        if measure.change is not None and measure.verdict != verdict:
            verdict = "kept" if measure.change.low <= promised else "not_kept"
    return PlanPromise(plan.subject, plan.kind, len(plan.steps), done, promised, measured, verdict)


class _Seen:
    """What the second analysis shows of the steps of plans."""

    def __init__(self, before: Side, after: Side) -> None:
        self._old, self._new = _by_title(before.clients), _by_title(after.clients)
        self._before, self._after = before, after

    def done(self, plan: Plan) -> int:
        """Return how many steps of a plan came true, from the first on."""
        for count, step in enumerate(plan.steps):
            if not self._came_true(step):
                return count
        return len(plan.steps)

    def _came_true(self, step: Step) -> bool:
        if step.ndots is not None:
            found = [s for s in step.subjects if s in self._new]
            return bool(found) and all(self._has(s, step.ndots) for s in found)
        if step.suffixes:
            lists = [c.search for s in step.subjects for c in self._new.get(s, ()) if c.search]
            return bool(lists) and not any(set(known) & set(step.suffixes) for known in lists)
        return step.name is not None and self._is_in_full(step.name)

    def _has(self, subject: str, ndots: int) -> bool:
        """Have all clients of a subject this ndots, and does the traffic say so?"""
        old = {c.ndots.value for c in self._old.get(subject, ())}
        return all(
            c.ndots.value == ndots
            and (
                c.ndots.source != Source.ASSUMED
                or not all(c.ndots.low <= value <= c.ndots.high for value in old)
            )
            for c in self._new[subject]
        )

    def _is_in_full(self, name: str) -> bool:
        full = {n.fqdn for n in self._before.names if n.base_name == name and n.fqdn}
        rows = [n for n in self._after.names if n.base_name == name or n.fqdn in full]
        return bool(rows) and not any(n.wasted_queries for n in rows)


def _by_title(clients: Sequence[Client]) -> Mapping[str, Sequence[Client]]:
    """Return clients by what plans call their subjects: workload, else namespace, else address."""
    out: dict[str, list[Client]] = defaultdict(list)
    for client in clients:
        for title in _titles(client):
            out[title].append(client)
    return out


def _titles(client: Client) -> Iterator[str]:
    space = client.namespace or namespace_of(client.search[:1])
    if space and client.workload:
        yield f"{space}/{client.workload}"
    if space:
        yield space
    yield client.client_addr
