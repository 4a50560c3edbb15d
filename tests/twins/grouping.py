"""Which queries are one lookup, by the rules alone, for one client over UDP.

Its exchanges are read in time order. Each is, in this order: the question of a walk's current
candidate asked again; that candidate asked for another type; the next candidate of a walk whose
current one has failed; or the first of a walk of its own. Candidates and walks are looked at from
the newest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pcapkit.codes import ANSWER, NODATA, NXDOMAIN

MS = 1_000_000
JOIN, NEAR, NEXT, JOIN_AT_PORT = 8 * MS, 5 * MS, 500 * MS, 1000 * MS
TIMER, TIMEOUT, WALK = 200 * MS, 40_000 * MS, 80_000 * MS


@dataclass(frozen=True)
class Exchange:
    """One query, and its response where it got one; names are tuples of labels."""

    packet: int
    time: int
    done: int | None
    name: tuple[str, ...]
    qtype: int
    port: int
    ident: int
    outcome: int

    def came(self, time: int) -> bool:
        """Was it answered by then?"""
        return self.done is not None and self.done <= time


@dataclass
class Candidate:
    """A name of a walk, with its questions by type."""

    name: tuple[str, ...]
    position: int
    questions: dict[int, list[Exchange]] = field(default_factory=dict)
    left: bool = False  # the walk went on

    @property
    def first(self) -> Exchange:
        return next(iter(self.questions.values()))[0]

    @property
    def ports(self) -> set[int]:
        return {e.port for q in self.questions.values() for e in q}

    @property
    def latest(self) -> int:
        return max(max(q[-1].time, *(e.done or 0 for e in q)) for q in self.questions.values())

    def settled(self) -> bool:
        """Has every question a response to its last query, and none that failed?"""
        return all(
            q[-1].done is not None and all(e.done is None or _good(e) for e in q)
            for q in self.questions.values()
        )

    def finished(self, time: int) -> int | None:
        """Return when the last question ended; None while one is awaited."""
        ends = []
        for q in self.questions.values():
            if came := [e.done for e in q if e.done is not None and e.done <= time]:
                ends.append(min(came))
            elif time - q[-1].time >= TIMER:
                ends.append(q[-1].time)
            else:
                return None
        return max(ends)


@dataclass
class Walk:
    """One lookup; ``base`` is set where it may walk the list, ``mode`` once two names show it."""

    start: int
    first: tuple[str, ...]
    base: tuple[str, ...] | None
    mode: str  # "list", "as is", or "open"
    candidates: list[Candidate]
    closed: bool = False

    def until(self) -> int:
        return max(self.start + WALK, self.candidates[-1].latest + TIMEOUT)


def _good(e: Exchange) -> bool:
    return e.outcome in (ANSWER, NODATA, NXDOMAIN)


def _repeats(c: Candidate, e: Exchange) -> bool:
    q = c.questions[e.qtype]
    last, waited = q[-1], e.time - q[-1].time
    same = e.ident == last.ident and e.port == last.port
    if waited > TIMEOUT:
        return False
    if same or (e.ident == last.ident and last.done is None):
        return True
    came = [x for x in q if x.came(e.time)]
    if not came:
        return waited >= TIMER
    newest = max(came, key=lambda x: x.done or 0)
    if not _good(newest):
        return e.time - (newest.done or 0) <= JOIN or last.port == e.port
    others = [o[-1] for t, o in c.questions.items() if t != e.qtype]
    return any(not o.came(e.time) and e.time - o.time >= TIMER for o in others)


def _joins(w: Walk, c: Candidate, e: Exchange) -> bool:
    if e.time - w.start > WALK:
        return False
    ends = []
    for q in c.questions.values():
        came = [x.done for x in q if x.done is not None and x.done <= e.time]
        if not came:
            return True
        ends.append(max(came))
    gap = e.time - max(ends)
    return gap <= JOIN or (gap <= JOIN_AT_PORT and e.port in c.ports)


def _due(w: Walk, position: int, base: tuple[str, ...], e: Exchange, after: bool) -> int | None:
    """Return how long after the walk's current candidate this follows as its next, or None."""
    c = w.candidates[-1]
    if w.closed or c.name == e.name or e.qtype not in c.questions:
        return None
    if any(x.outcome == ANSWER and x.came(e.time) for q in c.questions.values() for x in q):
        return None
    as_is_first = w.first == base
    if position < 0 and (w.mode == "as is" or w.base != base):
        return None
    if position >= 0:
        own = w.first if w.mode == "as is" or (w.mode == "open" and w.base != base) else w.base
        if own != base or position <= c.position or (as_is_first and not after):
            return None
    end = c.finished(e.time)
    if end is None:  # all at once, from one port
        return 0 if position > 0 and e.time - w.start <= JOIN and e.port in c.ports else None
    limit = NEXT
    if any(all(x.done is None for x in q) for q in c.questions.values()):
        limit = TIMEOUT
    elif (position > c.position + 1 and c.position >= 0) or (position > 0 and as_is_first):
        limit = NEAR
    return e.time - end if e.time - end <= limit else None


def group(
    exchanges: Iterable[Exchange], search: Sequence[tuple[str, ...]], *, after_as_is: bool
) -> list[Walk]:
    """Read the exchanges of one client, in time order, into walks."""
    walks: list[Walk] = []
    for e in exchanges:
        bases = {
            p: e.name[: -len(s)]
            for p, s in enumerate(search)
            if len(e.name) > len(s) and e.name[-len(s) :] == s
        }
        if not (_at_same_name(walks, e) or _continues(walks, e, bases, len(search), after_as_is)):
            c = Candidate(e.name, -1, {e.qtype: [e]})
            base = bases.get(0)
            walks.append(Walk(e.time, e.name, base, "open" if base else "as is", [c]))
    return walks


def _at_same_name(walks: list[Walk], e: Exchange) -> bool:
    other = None
    here = [(w, c) for w in walks for c in w.candidates if c.name == e.name and not c.left]
    for w, c in sorted(here, key=lambda one: -one[1].first.packet):
        same_port = e.port in c.ports
        long_ago = c.settled() and e.time - c.latest > JOIN_AT_PORT
        if not same_port and (other or long_ago):
            continue
        if e.time > max(w.start + WALK, c.latest + TIMEOUT):
            continue
        if _repeats(c, e) if e.qtype in c.questions else _joins(w, c, e):
            if same_port:
                c.questions.setdefault(e.qtype, []).append(e)
                return True
            other = c
    if other:
        other.questions.setdefault(e.qtype, []).append(e)
    return other is not None


def _continues(
    walks: list[Walk], e: Exchange, bases: dict[int, tuple[str, ...]], suffixes: int, after: bool
) -> bool:
    found = []
    for position, base in [*sorted(bases.items()), (-1, e.name)]:
        for age, w in enumerate(reversed(walks)):
            gap = _due(w, position, base, e, after) if e.time <= w.until() else None
            if gap is not None:
                step = position - w.candidates[-1].position if position >= 0 else suffixes
                found.append((step, gap, -position, -age, w, position))
    if not found:
        return False
    *_, w, position = min(found, key=lambda f: f[:4])
    if w.mode == "open":
        listed = position < 0 or bases[position] == w.base
        w.mode = "list" if listed else "as is"
    w.candidates[-1].left = w.candidates[-1].finished(e.time) is not None
    w.candidates.append(Candidate(e.name, position, {e.qtype: [e]}))
    w.closed = position < 0
    return True
