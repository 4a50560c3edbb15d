"""Which queries are one lookup, by the rules alone, for one client over UDP.

Its exchanges are read in time order. Each is, in this order: the question of a walk's current
candidate asked again; that candidate asked for another type; the next candidate of a walk whose
current one has failed; or the first of a walk of its own. Candidates and walks are looked at from
the newest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from pcapkit.codes import ANSWER, NODATA, NXDOMAIN

MS = 1_000_000
JOIN, NEAR, PAUSED, NEXT, JOIN_AT_PORT = 8 * MS, 5 * MS, 150 * MS, 500 * MS, 1000 * MS
TIMER, WHOLE_TIMER, TIMEOUT, WALK = 200 * MS, 950 * MS, 40_000 * MS, 80_000 * MS
A, AAAA = 1, 28
OTHER_PORT, HALF = 1 << 10, 1 << 11


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
    server: int = 0
    refused: bool = False  # unanswered, and ICMP says that its server is not there for the client

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
    #: by type, the first exchange whose response counts: those before meet a closed socket
    since: dict[int, int] = field(default_factory=dict)

    def ask(self, e: Exchange) -> None:
        """Add an exchange; a response that comes after a query from a new port is lost."""
        q = self.questions.setdefault(e.qtype, [])
        if q and q[-1].port != e.port and (self.earliest(e.qtype) or 0) > e.time:
            self.since[e.qtype] = len(q)
        q.append(e)

    def counted(self, qtype: int) -> list[Exchange]:
        """Return the exchanges of a question whose responses count."""
        return [e for e in self.questions[qtype][self.since.get(qtype, 0) :] if e.done is not None]

    def earliest(self, qtype: int) -> int | None:
        """Return when the first response to a question came."""
        return min((e.done for e in self.counted(qtype) if e.done is not None), default=None)

    def ended(self, qtype: int, time: int) -> bool:
        """Had a question a response by then?"""
        first = self.earliest(qtype)
        return first is not None and first <= time

    def answered(self, time: int) -> bool:
        """Has some question an answer by then?"""
        return any(
            e.outcome == ANSWER and e.came(time) for t in self.questions for e in self.counted(t)
        )

    def absent(self, time: int) -> bool:
        """Is it said not to exist, for some type?"""
        return any(
            any(e.done is not None and e.outcome == NXDOMAIN for e in q)
            and (self.earliest(t) or 0) <= time
            for t, q in self.questions.items()
        )

    def silent(self, time: int) -> bool:
        """Was the last query of some question without response by then?"""
        return any(not q[-1].came(time) for q in self.questions.values())

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
        pending = [q[-1].time for t, q in self.questions.items() if not self.ended(t, time)]
        began = min(time, *(q[-1].time for q in self.questions.values()))
        awaited = [
            q[-1].time
            for t, q in self.questions.items()
            if not self.ended(t, time) and not q[-1].refused
        ]
        if any(time - t < TIMER for t in awaited) and time - began < WHOLE_TIMER:
            return None
        ends = [self.earliest(t) or 0 for t in self.questions if self.ended(t, time)]
        for t, q in self.questions.items():
            if self.ended(t, time) and q[-1].time > (self.earliest(t) or 0):  # asked once more
                ends.append((q[-1].done or 0) if q[-1].came(time) else q[-1].time)
        return max(pending + ends)


@dataclass(frozen=True)
class Habits:
    """What a client does with all its names."""

    begin: int  # of the capture
    after_as_is: bool
    asks_both: bool
    keeps_port: bool
    searched_dots: int = -1


@dataclass
class Walk:
    """One lookup; ``base`` is set where it may walk the list, ``mode`` once two names show it."""

    start: int
    first: tuple[str, ...]
    base: tuple[str, ...] | None
    mode: str  # "list", "as is", or "open"
    candidates: list[Candidate]
    closed: bool = False
    cut: bool = False  # its first suffixes were asked before the capture
    parallel: bool = False
    apart: bool = False  # each family goes on by itself
    one_port: bool = False  # an earlier candidate may be asked for more, from the port of all
    over: set[tuple[str, ...]] = field(default_factory=set)  # bases at which it is seen no more

    def is_over(self, time: int) -> bool:
        """Can no further candidate follow?"""
        c = self.candidates[-1]
        if self.closed or time > self.until():
            return True
        return time > c.latest + PAUSED and c.answered(time) and not c.absent(time)

    def until(self) -> int:
        return max(self.start + WALK, self.candidates[-1].latest + TIMEOUT)


def _good(e: Exchange) -> bool:
    return e.outcome in (ANSWER, NODATA, NXDOMAIN)


def _repeats(c: Candidate, e: Exchange, habits: Habits) -> bool:
    q = c.questions[e.qtype]
    last, waited = q[-1], e.time - q[-1].time
    if waited > TIMEOUT:
        return False
    if e.ident == last.ident:
        settled = c.settled()
        if habits.keeps_port and settled and e.time - PAUSED > c.latest:
            return False
        if not last.came(e.time) or last.port == e.port:
            return True
        if len(c.ports) > 1 or not settled or c.latest > e.time:
            return True
    if not c.ended(e.qtype, e.time):
        keeps_id = len(q) > 1 and len({x.ident for x in q}) == 1 and last.port != e.port
        if keeps_id:
            return False
        return waited >= TIMER or (last.done is None and _turned_away(c, last, e, habits))
    newest = max((x for x in q if x.came(e.time)), key=lambda x: x.done or 0)
    return not _good(newest) and e.time - (newest.done or 0) <= JOIN


def _turned_away(c: Candidate, last: Exchange, e: Exchange, habits: Habits) -> bool:
    """Is the next server asked at once, or the only one again, which is known not to listen?"""
    if e.time - last.time > PAUSED:
        return False
    apart = len(c.ports) > 1 or not habits.asks_both
    return e.server != last.server or (last.refused and apart)


def _begins_again(w: Walk, e: Exchange) -> bool:
    """Is it another walk for another type, where all suffixes were asked for one, and answered?"""
    first, last = w.candidates[0], w.candidates[-1]
    batch = first is not last and not first.left and first.first.port == e.port
    return batch and e.qtype not in first.questions and not last.silent(e.time)


def _goes_on_apart(c: Candidate, e: Exchange) -> bool:
    """Has this type come to its end at a candidate, from the same port?"""
    q = c.questions.get(e.qtype)
    if q is None or {x.port for x in q} != {e.port} or not q[-1].came(e.time):
        return False
    if any(x.done is not None and x.outcome not in (NODATA, NXDOMAIN) for x in q):
        return False
    return e.time - (q[-1].done or 0) <= PAUSED


def _follows_apart(w: Walk, c: Candidate, e: Exchange) -> bool:
    """Does a type come to a candidate from the one before it?"""
    at = next(k for k, x in enumerate(w.candidates) if x is c)
    return at > 0 and _goes_on_apart(w.candidates[at - 1], e)


def _joins(w: Walk, c: Candidate, e: Exchange, habits: Habits) -> bool:
    if e.time - w.start > WALK:
        return False
    if w.one_port and _follows_apart(w, c, e):
        return True
    if _begins_again(w, e):
        return False
    if any(not c.ended(t, e.time) for t in c.questions):
        return True
    came = [x.done for q in c.questions.values() for x in q if x.done and x.done <= e.time]
    gap = e.time - max(came)
    join = PAUSED if habits.asks_both and e.qtype in (A, AAAA) else JOIN
    return gap <= join or (gap <= JOIN_AT_PORT and e.port in c.ports)


def _in_batch(w: Walk, position: int, e: Exchange) -> bool:
    """Is this the next suffix of a walk whose candidates are asked whatever the answers?"""
    c = w.candidates[-1]
    if w.mode == "as is" or w.base is None or position - max(c.position, 0) != 1:
        return False
    return e.time - c.latest <= PAUSED and e.port in c.ports


def _due(w: Walk, position: int, base: tuple[str, ...], e: Exchange, habits: Habits) -> int | None:
    """Return how long after the walk's current candidate this follows as its next, or None."""
    c = w.candidates[-1]
    if w.closed or c.name == e.name or (e.qtype not in c.questions and e.port not in c.ports):
        return None
    as_is_first = w.first == base
    if position < 0 and (w.mode == "as is" or w.base != base):
        return None
    if position >= 0:
        own = w.first if w.mode == "as is" or (w.mode == "open" and w.base != base) else w.base
        if own != base or position <= c.position or (as_is_first and not habits.after_as_is):
            return None
    end, answered = c.finished(e.time), c.answered(e.time)
    if end is None or (answered and not c.absent(e.time)):
        return 0 if _goes_on_apart(c, e) or _in_batch(w, position, e) else None
    limit = NEXT
    if as_is_first and len(base) - 1 <= habits.searched_dots:
        limit = NEAR
    elif c.silent(e.time):
        limit = TIMEOUT
    elif (position > c.position + 1 and c.position >= 0) or as_is_first or answered:
        limit = PAUSED
    return e.time - end if e.time - end <= limit else None


def group(
    exchanges: Sequence[Exchange],
    search: Sequence[tuple[str, ...]],
    *,
    begin: int,
    after_as_is: bool,
) -> list[Walk]:
    """Read the exchanges of one client, in time order, into walks.

    The capture begins at ``begin``. They are read again where they contradict what the resolver
    is known to do (``after_as_is``), or what the client does with names of as many dots.
    """
    habits = _habits(exchanges, begin)
    walks = _group(exchanges, search, habits)
    searched = [len(w.base) - 1 for w in walks if w.mode == "list" and w.closed and w.base]
    dots = max(searched, default=-1)
    as_is = [w for w in walks if w.mode == "as is" and len(w.candidates) > 1]
    if (as_is and not after_as_is) or any(len(w.first) - 1 <= dots for w in as_is):
        habits = replace(habits, after_as_is=after_as_is, searched_dots=dots)
        walks = _group(exchanges, search, habits)
    return walks


def _habits(exchanges: Sequence[Exchange], begin: int) -> Habits:
    together = list(pairwise(exchanges))
    pairs = sum(
        a.name == b.name and {a.qtype, b.qtype} == {A, AAAA} and b.time - a.time <= PAUSED
        for a, b in together
    )
    kept = [a.port == b.port for a, b in together if a.name != b.name]
    asked = [sum(a.qtype == t for a, _ in together) for t in (A, AAAA)]
    both = pairs > 0 and pairs * 4 >= min(asked[0], max(asked[1], 1))
    return Habits(begin, True, both, sum(kept) * 2 > len(kept))


def _group(
    exchanges: Iterable[Exchange], search: Sequence[tuple[str, ...]], habits: Habits
) -> list[Walk]:
    walks: list[Walk] = []
    for e in exchanges:
        bases = {
            p: e.name[: -len(s)]
            for p, s in enumerate(search)
            if len(e.name) > len(s) and e.name[-len(s) :] == s
        }
        if _at_same_name(walks, e, bases, len(search), habits):
            continue
        if not _continues(walks, e, bases, len(search), habits):
            early = e.time - habits.begin <= PAUSED
            at = next((p for p in sorted(bases) if p == 0 or early), -1)
            c = Candidate(e.name, at if at > 0 else -1, {e.qtype: [e]})
            base = bases.get(at)
            walks.append(Walk(e.time, e.name, base, "open" if base else "as is", [c]))
    return walks


def _at_same_name(
    walks: list[Walk], e: Exchange, bases: dict[int, tuple[str, ...]], suffixes: int, habits: Habits
) -> bool:
    other = None
    here = [(w, c) for w in walks for c in w.candidates if c.name == e.name and not c.left]
    for w, c in sorted(here, key=lambda one: -one[1].first.packet):
        same_port = e.port in c.ports
        long_ago = c.settled() and e.time - c.latest > JOIN_AT_PORT
        if not same_port and (other or long_ago):
            continue
        if e.time > max(w.start + WALK, c.latest + TIMEOUT):
            continue
        again = e.qtype in c.questions
        if _repeats(c, e, habits) if again else _joins(w, c, e, habits):
            if same_port:
                if not again and c is not w.candidates[-1]:
                    if _follows_apart(w, c, e):
                        w.apart = True
                    else:
                        w.parallel = True
                c.ask(e)
                return True
            other = c
    if other is None:
        return False
    if e.qtype in other.questions and other.questions[e.qtype][-1].ident != e.ident:
        if _continues(walks, e, bases, suffixes, habits):
            return True
    other.ask(e)
    return True


def _continues(
    walks: list[Walk], e: Exchange, bases: dict[int, tuple[str, ...]], suffixes: int, habits: Habits
) -> bool:
    found = []
    for order, (position, base) in enumerate([*sorted(bases.items()), (-1, e.name)]):
        for age, w in enumerate(reversed(walks)):
            if base not in (w.base, w.first) or base in w.over:
                continue
            if w.is_over(e.time):
                w.over.add(base)
                continue
            gap = _due(w, position, base, e, habits)
            if gap is not None:
                c = w.candidates[-1]
                rank = (position if position >= 0 else suffixes) - c.position
                rank += OTHER_PORT * (e.port not in c.ports)
                rank += HALF * (habits.asks_both and len(c.questions) == 1)
                found.append((rank, gap, -order, -age, w, position))
    if not found:
        return False
    *_, w, position = min(found, key=lambda f: f[:4])
    if w.mode == "open":
        listed = position < 0 or bases[position] == w.base
        w.mode = "list" if listed else "as is"
    c = w.candidates[-1]
    w.cut |= len(w.candidates) == 1 and w.mode == "list" and c.position >= 0
    apart = _goes_on_apart(c, e)
    if (apart or _in_batch(w, position, e)) and (c.finished(e.time) is None or c.answered(e.time)):
        if apart:
            w.apart = True
        else:
            w.parallel = True
    if w.apart or e.port in c.ports:
        w.one_port = True
    else:
        c.left = True
    w.candidates.append(Candidate(e.name, position, {e.qtype: [e]}))
    w.closed |= position < 0
    return True
