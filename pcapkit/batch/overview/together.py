"""The plan for all captures of an audit, put together from their own.

The plan of a capture was replayed on that capture, so what its steps end adds up over captures. The
same change for the same subject is one edit, in however many captures it is. Where plans ask for
different things of one subject, the one that changes least is taken, and what another one would
have ended is left out: it was not replayed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pcapkit.batch.overview.groups import workload_title
from pcapkit.model.audits import AuditRow, AuditStep, SharedStep, Together
from pcapkit.model.vocabulary import Safety
from pcapkit.words import some

_WORST = (Safety.SAFE, Safety.REVIEW, Safety.UNSAFE)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A step of the plan of a capture, ``row`` by number; ``subjects`` are those that it is for."""

    row: int
    step: AuditStep


#: What a change is of one subject, so that two of one topic cannot both be: its ndots, its search
#: list, one name.
_Topic = tuple[str, str, str]  # subject, what, name
#: What is asked for there.
_Value = tuple[str, ...]


def together(rows: Sequence[AuditRow]) -> Together | None:
    """Return the plan for all captures, those that end most first; None where none has any."""
    good = [row for row in rows if row.error is None]
    asked = [_Asked(n, step) for n, row in enumerate(good) for step in row.steps]
    if not asked:
        return None
    settled, conflicts = _settle(asked)
    taken = [a for a in asked if all(settled[t] == _value(a.step) for t in _topics(a.step))]
    where = _captures_by_subject(good)
    steps = [_shared(part, good, where) for part in _parts(taken)]
    steps.sort(key=lambda s: (-s.ends_queries, s.edits, s.code, s.subjects, s.name or ""))
    ends = sum(s.ends_queries for s in steps)
    planned = [row for row in good if row.steps]
    return Together(
        captures=len(planned),
        steps=tuple(steps),
        edits=_edits([a.step for a in taken]),
        saves_queries=sum(s.saves_queries for s in steps),
        ends_queries=ends,
        wasted_queries=sum(row.wasted_queries for row in good),
        safety=_worst(s.safety for s in steps) if steps else Safety.REVIEW,
        seen_s=_seen(planned),
        conflicts=tuple(conflicts),
        left_out_queries=sum(row.plan_ends for row in planned) - ends,
    )


# ---- the same change -------------------------------------------------------------------------


def _topics(step: AuditStep) -> Iterator[_Topic]:
    what = {"set_ndots": "ndots", "drop_suffix": "list"}.get(step.code, "name")
    for subject in step.subjects:
        yield subject, what, step.name or ""


def _value(step: AuditStep) -> _Value:
    if step.code == "set_ndots":
        return (str(step.ndots),)
    if step.code == "drop_suffix":
        return tuple(sorted(step.suffixes))
    return ((step.fqdn or "").rstrip("."),)


def _parts(asked: Sequence[_Asked]) -> Iterator[list[_Asked]]:
    """Yield steps that ask for the same of subjects that overlap, in order of the captures."""
    parent = list(range(len(asked)))

    def top(n: int) -> int:
        while parent[n] != n:
            parent[n] = parent[parent[n]]
            n = parent[n]
        return n

    first: dict[tuple[_Topic, _Value], int] = {}
    for n, a in enumerate(asked):
        for topic in _topics(a.step):
            other = top(first.setdefault((topic, _value(a.step)), n))
            parent[top(n)] = other
    parts: dict[int, list[_Asked]] = defaultdict(list)
    for n, a in enumerate(asked):
        parts[top(n)].append(a)
    yield from parts.values()


def _shared(
    part: Sequence[_Asked], rows: Sequence[AuditRow], where: dict[str, set[int]]
) -> SharedStep:
    steps = [a.step for a in part]
    subjects = sorted({s for step in steps for s in step.subjects})
    mine = {a.row for a in part}
    everywhere = mine.union(*(where.get(s, ()) for s in subjects))
    one = steps[0]
    return SharedStep(
        code=one.code,
        subjects=tuple(subjects),
        ndots=one.ndots,
        name=one.name,
        # the form with its final dot asks for no more than the one without
        fqdn=max((s.fqdn for s in steps if s.fqdn is not None), key=len, default=None),
        suffixes=one.suffixes,
        names=tuple(sorted({name for step in steps for name in step.names})),
        edits=_edits(steps),
        saves_queries=sum(s.saves_queries for s in steps),
        ends_queries=sum(s.ends_queries for s in steps),
        safety=_worst(s.safety for s in steps),
        captures=len(mine),
        captures_of_subjects=len(everywhere),
        seen_s=_seen([rows[n] for n in sorted(mine)]),
    )


def _edits(steps: Iterable[AuditStep]) -> int:
    """Count the changes, each once for each subject, with the names that they oblige to write.

    For which of several subjects a name is to be written is not told: such names count as often as
    the one step says that has most of them.
    """
    topics: set[_Topic] = set()
    names: set[_Topic] = set()
    more: dict[tuple[tuple[str, ...], tuple[str, ...]], int] = defaultdict(int)
    for step in steps:
        topics.update(_topics(step))
        if len(step.subjects) == 1:
            names.update((step.subjects[0], "name", name) for name in step.names)
        elif step.names:
            key = step.subjects, step.names
            more[key] = max(more[key], step.edits - len(step.subjects))
    return len(topics | names) + sum(more.values())


def _worst(of: Iterable[Safety]) -> Safety:
    return max(of, key=_WORST.index)


def _seen(rows: Iterable[AuditRow]) -> float | None:
    spans = []
    for row in rows:
        if row.first_time is None or row.last_time is None:
            return None
        spans.append((row.last_time - row.first_time) / 1e9)
    return sum(spans)


def _captures_by_subject(rows: Sequence[AuditRow]) -> dict[str, set[int]]:
    """Return in which captures each subject occurs: a workload, a namespace, an address."""
    where: dict[str, set[int]] = defaultdict(set)
    for n, row in enumerate(rows):
        for workload in row.workloads:
            where[workload_title(workload)].add(n)
            if workload.namespace is not None:
                where[workload.namespace].add(n)
    return where


# ---- where plans differ ----------------------------------------------------------------------


def _settle(asked: Sequence[_Asked]) -> tuple[dict[_Topic, _Value | None], list[str]]:
    """Return what is taken for each topic, None for nothing, and what to say of conflicts."""
    wanted: dict[_Topic, dict[_Value, set[int]]] = defaultdict(lambda: defaultdict(set))
    for a in asked:
        for topic in _topics(a.step):
            wanted[topic][_value(a.step)].add(a.row)
    settled: dict[_Topic, _Value | None] = {}
    said: dict[tuple[str, tuple[_Value, ...], _Value | None], list[str]] = defaultdict(list)
    for topic, values in wanted.items():
        taken = settled[topic] = _least(topic[1], list(values))
        if len(values) > 1:
            what = f"the name {topic[2]}" if topic[1] == "name" else topic[1]
            said[what, tuple(sorted(values)), taken].append(topic[0])
    return settled, [
        _conflict(what, values, taken, subjects) for (what, values, taken), subjects in said.items()
    ]


def _least(what: str, values: Sequence[_Value]) -> _Value | None:
    """Return which of some values changes least: None where none does.

    The higher ndots changes how fewer names are asked for; a list that keeps more answers more.
    Names that stand for different things are left as they are.
    """
    if len(values) == 1:
        return values[0]
    if what == "ndots":
        return max(values, key=lambda value: int(value[0]))
    if what == "list":
        fewest = min(values, key=len)
        return fewest if all(set(fewest) <= set(v) for v in values) else None
    return None


def _conflict(
    what: str, values: Sequence[_Value], taken: _Value | None, subjects: Sequence[str]
) -> str:
    who = some(sorted(subjects))
    asked = (", or " if what == "list" else " and ").join(" and ".join(v) for v in values)
    if what == "ndots":
        return (
            f"{who}: plans of different captures set ndots to {asked}; {' '.join(taken or ())} is "
            "taken, which changes less."
        )
    if what == "list":
        kept = "nothing is taken out" if taken is None else f"only {' and '.join(taken)}"
        return f"{who}: plans of different captures take {asked} out of the search list; {kept}."
    return f"{who}: {what} stands for {asked} in different captures; it is left as it is."
