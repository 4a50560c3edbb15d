"""What captures are summed up by: workload, namespace, node, day, or a part of their paths.

All is sums: a share is a sum over a sum, never a mean of shares.
"""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from pcapkit.errors import UsageError
from pcapkit.model.audits import AuditRow, Group, Grouping, Workload

_EXAMPLE = r"captures/([^/]+)/"
#: Without one of these, a regular expression finds one text only.
_SPECIAL = re.compile(r"[\\.^$*+?{}\[\]|()]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SEVERAL = "several nodes"


@dataclass(frozen=True, slots=True)
class GroupBy:
    """What ``--group-by`` says: one of WORDS, or ``path`` with an expression."""

    word: str
    pattern: re.Pattern[str] | None = None

    @property
    def text(self) -> str:
        """What was given."""
        return self.word if self.pattern is None else self.pattern.pattern


@dataclass(frozen=True, slots=True)
class _Counts:
    """What is summed up of one row: of a capture, or of a workload in it."""

    row: int
    of: AuditRow | Workload


def parse_group_by(text: str) -> GroupBy:
    """Parse ``--group-by``; raises UsageError that says what may be written.

    Anything but a word is a regular expression on paths, whose first group, or else all that it
    finds, is the group.
    """
    if text in WORDS:
        return GroupBy(text)
    given = f"--group-by {text!r}"
    words = f"{', '.join(WORDS)}, or a regular expression on paths such as {_EXAMPLE!r}"
    if not _SPECIAL.search(text):
        near = difflib.get_close_matches(text.lower(), WORDS, 1, 0.6)
        means = f"did you mean {near[0]}? " if near else ""
        raise UsageError(f"{given}: {means}It is one of {words}")
    try:
        pattern = re.compile(text)
    except re.error as problem:
        at = "" if problem.pos is None else f" at character {problem.pos + 1}"
        raise UsageError(f"{given}: no regular expression: {problem.msg}{at}") from None
    except (RecursionError, OverflowError):
        raise UsageError(f"{given}: no regular expression: it is too large") from None
    return GroupBy("path", pattern)


def with_groups(rows: Sequence[AuditRow], by: GroupBy) -> tuple[AuditRow, ...]:
    """Return the rows, each with its group where captures are what is grouped."""
    if by.word not in _OF_CAPTURES:
        return tuple(rows)
    name = _OF_CAPTURES[by.word].name
    return tuple(replace(row, group=name(row, by)) for row in rows)


def grouping(rows: Sequence[AuditRow], by: GroupBy) -> Grouping:
    """Sum up the captures that have been analysed; groups that waste most come first."""
    good = [row for row in rows if row.error is None]
    parts: dict[str | None, list[_Counts]] = defaultdict(list)
    if by.word in _OF_CAPTURES:
        kind = _OF_CAPTURES[by.word]
        others = kind.others
        for number, row in enumerate(good):
            parts[kind.name(row, by)].append(_Counts(number, row))
        notes = kind.notes(good, parts.keys())
    else:
        title, others = _OF_WORKLOADS[by.word]
        for number, row in enumerate(good):
            for workload in row.workloads:
                parts[title(workload)].append(_Counts(number, workload))
        notes = _unlike(good) if by.word == "workload" else iter(())
    groups = [_summed(name, of, good) for name, of in parts.items()]
    groups.sort(key=lambda g: (-g.wasted_queries, -g.queries, g.name is None, g.name or ""))
    return Grouping(by.text, others, tuple(groups), tuple(notes))


def _summed(name: str | None, counts: Sequence[_Counts], rows: Sequence[AuditRow]) -> Group:
    complete = sum(c.of.complete_queries for c in counts)
    wasted = sum(c.of.wasted_queries for c in counts)
    return Group(
        name=name,
        captures=len({c.row for c in counts}),
        workloads=len(
            {
                workload_title(w)
                for c in counts
                for w in ([c.of] if isinstance(c.of, Workload) else c.of.workloads)
            }
        ),
        clients=sum(c.of.clients for c in counts),
        lookups=sum(c.of.lookups for c in counts),
        complete_lookups=sum(c.of.complete_lookups for c in counts),
        queries=sum(c.of.queries for c in counts),
        complete_queries=complete,
        wasted_queries=wasted,
        nxdomain_queries=sum(c.of.nxdomain_queries for c in counts),
        wasted_s=sum(c.of.wasted_s for c in counts),
        share=wasted / complete if complete else 0.0,
        faults=tuple(sorted({code for c in counts for code in c.of.faults})),
    )


# ---- workloads -------------------------------------------------------------------------------


def workload_title(workload: Workload) -> str:
    """Return what a workload is called: ``namespace/name``, or the address in place of one."""
    if workload.workload is None:
        return workload.client_addr or "unknown"
    if workload.namespace is None:
        return workload.workload
    return f"{workload.namespace}/{workload.workload}"


def _namespace(workload: Workload) -> str | None:
    return workload.namespace


def _unlike(rows: Sequence[AuditRow]) -> Iterator[str]:
    """Say where addresses stand for workloads."""
    named = sum(w.workload is not None for row in rows for w in row.workloads)
    count = sum(len(row.workloads) for row in rows)
    if named < count:
        yield (
            "Clients whose workload is not known are listed by address, and two of one address "
            "are taken for the same: --pods names them."
        )


# ---- captures --------------------------------------------------------------------------------


def _node(row: AuditRow, by: GroupBy) -> str | None:
    if len(row.nodes) > 1:
        return SEVERAL
    return row.nodes[0] if row.nodes else None


def _node_notes(rows: Sequence[AuditRow], names: Iterable[str | None]) -> Iterator[str]:
    unknown = sum(not row.nodes for row in rows)
    if unknown:
        yield (
            f"The node of {unknown:,} of {len(rows):,} captures is not known: --pods tells the "
            "nodes of pods that it lists (spec.nodeName). A node's name in paths is a matter of "
            "--group-by REGEX."
        )
    if SEVERAL in names:
        yield (
            "A capture whose clients run on several nodes is counted as a whole, under "
            f"{SEVERAL!r}."
        )


def _day(row: AuditRow, by: GroupBy) -> str | None:
    if row.first_time is None:
        return None
    try:
        return f"{_EPOCH + timedelta(microseconds=row.first_time // 1000):%Y-%m-%d}"
    except OverflowError:
        return None


def _day_notes(rows: Sequence[AuditRow], names: Iterable[str | None]) -> Iterator[str]:
    yield "Days are in UTC; a capture counts, as a whole, on the day on which it begins."


def _part(row: AuditRow, by: GroupBy) -> str | None:
    """Return what the expression finds in a path; None where that is nothing."""
    found = by.pattern.search(row.path) if by.pattern is not None else None
    if found is None:
        return None
    return found[1 if found.re.groups else 0] or None


def _part_notes(rows: Sequence[AuditRow], names: Iterable[str | None]) -> Iterator[str]:
    if rows and set(names) == {None}:
        yield (
            f"The expression finds nothing in any path, such as {rows[0].path}: it is searched "
            "for in paths as they are listed here."
        )


@dataclass(frozen=True, slots=True)
class _OfCaptures:
    name: Callable[[AuditRow, GroupBy], str | None]
    others: str
    notes: Callable[[Sequence[AuditRow], Iterable[str | None]], Iterator[str]]


_OF_CAPTURES: Mapping[str, _OfCaptures] = {
    "node": _OfCaptures(_node, "node not known", _node_notes),
    "day": _OfCaptures(_day, "no clock", _day_notes),
    "path": _OfCaptures(_part, "other", _part_notes),
}
_OF_WORKLOADS: Mapping[str, tuple[Callable[[Workload], str | None], str]] = {
    "workload": (workload_title, "unknown"),
    "namespace": (_namespace, "namespace not known"),
}
#: What may be grouped by, beside expressions.
WORDS = ("namespace", "workload", "node", "day")
