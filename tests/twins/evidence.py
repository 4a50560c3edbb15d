"""Which names followed one another as a walk of the search list makes them, by the rules alone.

A visit is one name with both families and all retries. A sequence is visits of names that share
their first labels, each asked because the one before it failed, or together with it. A sequence
with the base name as is in it proves its suffixes; the others are read by those, where there are
any.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise

from pcapkit.analysis.search_lists.infer import (
    Inference,
    NameSequence,
    SearchList,
    SuffixSequence,
    without_chance,
)
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN
from tests.twins.grouping import Exchange

NEAR, PAUSED, TIMER, TIMEOUT = 5_000_000, 150_000_000, 200_000_000, 40_000_000_000
Name = tuple[str, ...]


@dataclass
class Visit:
    """One name; ``ends`` is the time of the first response by type, None where there is none."""

    name: Name
    start: int
    port: int
    asked: int = 0
    done: int = 0
    answered: bool = False
    ends: dict[int, int | None] = field(default_factory=dict)
    well: set[int] = field(default_factory=set)  # types that a response settled

    @property
    def silent(self) -> bool:
        return None in self.ends.values()

    def is_over(self, time: int) -> bool:
        """Can nothing follow at ``time``?"""
        if time < self.done:
            return False
        return self.answered or time - self.done > (TIMEOUT if self.silent else PAUSED)

    def leads_to(self, other: Visit) -> bool:
        """Was the other one asked because this one failed, or together with it?"""
        if other.start < self.done:
            if other.start - self.asked >= TIMER:
                return True
            return other.port == self.port and other.start - self.start <= PAUSED
        return not self.is_over(other.start)


@dataclass
class Sequence:
    names: list[Name]
    last: Visit
    base: int = 0  # labels of the base name, 0 until it was asked as is
    closed: bool = False
    at_once: list[bool] = field(default_factory=lambda: [False])


def _shared(a: Name, b: Name) -> int:
    return next(
        (n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
    )


def _visits(exchanges: Iterable[Exchange]) -> list[Visit]:
    out: list[Visit] = []
    newest: dict[Name, Visit] = {}
    for e in exchanges:
        v = newest.get(e.name)
        again = v and e.qtype in v.well and v.done < e.time and not v.silent
        if v is None or again or not (e.time <= v.done + PAUSED or v.silent):
            v = newest[e.name] = Visit(e.name, e.time, e.port)
            out.append(v)
        if (v.ends.get(e.qtype) or 0) > e.time and v.port != e.port:
            v.ends[e.qtype] = None  # it meets a closed socket
        v.asked, v.port = e.time, e.port
        ends = [t for t in (v.ends.get(e.qtype), e.done) if t is not None]
        v.ends[e.qtype] = min(ends, default=None)
        if e.outcome in (ANSWER, NODATA, NXDOMAIN):
            v.well.add(e.qtype)
        v.answered |= e.outcome == ANSWER
        v.done = max(e.time if end is None else end for end in v.ends.values())
    return out


def _extend(s: Sequence, new: Name) -> bool:
    """Add a name where it can be the next candidate."""
    last = s.names[-1]
    common = _shared(last, new)
    if new in s.names or common == 0:
        return False
    if s.base:
        if _shared(s.names[0], new) < s.base or len(new) == s.base:
            return False
    elif common == len(new):  # the name as is, after the list
        if any(_shared(name, new) < len(new) for name in s.names):
            return False
        s.base, s.closed = len(new), True
    elif common == len(last):  # the name as is came first
        if len(s.names) > 1:
            return False
        s.base = len(last)
    s.names.append(new)
    return True


def _climbs(names: list[Name]) -> bool:
    """Is each name a parent or a child of the one before it?"""
    pairs = [sorted(pair, key=len) for pair in pairwise(names)]
    return all(len(a) < len(b) and b[-len(a) :] == a for a, b in pairs)


def sequences(exchanges: Iterable[Exchange]) -> list[tuple[NameSequence, int]]:
    """Return the distinct sequences of one client, with bits for suffixes asked at once."""
    found: list[Sequence] = []
    for v in _visits(exchanges):
        for s in reversed(found):
            if not s.closed and s.last.leads_to(v) and _extend(s, v.name):
                if s.last.silent or v.start - s.last.done <= NEAR:
                    s.at_once[-1:] = [True, True]
                else:
                    s.at_once.append(False)
                s.last = v
                break
        else:
            found.append(Sequence([v.name], v))
    found = [s for s in found if len(s.names) < 2 or not _climbs(s.names)]
    proven = {n[s.base :] for s in found if s.base for n in s.names if len(n) > s.base}
    out: dict[tuple[Name, ...], tuple[NameSequence, int]] = {}
    for s in found:
        if len(s.names) < 2:
            continue
        if proven and not s.base:
            most = min(_shared(s.names[0], n) for n in s.names)
            hits = [(sum(n[size:] in proven for n in s.names), size) for size in range(1, most + 1)]
            s.base = max(hits)[1] if hits and max(hits)[0] else 0
            if not s.base:
                continue
        key = tuple(n[s.base :] for n in s.names if not s.base or len(n) > s.base)
        seen, mask = out.get(key, (NameSequence(tuple(s.names), s.base, 0), 0))
        shown = [b for n, b in zip(s.names, s.at_once, strict=True) if len(n) != s.base]
        mask |= sum(b << bit for bit, b in enumerate(shown))
        out[key] = replace(seen, count=seen.count + 1), mask
    return list(out.values())


def search_list(shown: list[tuple[NameSequence, int]]) -> SearchList:
    """Return the search list of one client that shows these sequences."""
    suffixes = without_chance([_suffixes(s) for s, _ in shown], [mask for _, mask in shown])
    proven = [mine for mine, (s, _) in zip(suffixes, shown, strict=True) if s.base]
    return Inference().infer(proven, suffixes)


def _suffixes(shown: NameSequence) -> SuffixSequence:
    size = shown.base or min(_shared(shown.names[0], name) for name in shown.names)
    return tuple(name[size:] for name in shown.names if len(name) > size), shown.count
