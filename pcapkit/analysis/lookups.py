"""Group exchanges into lookups: one walk of the search list each, with retries and both families.

Reading goes through one client's exchanges in time order and keeps the walks that may still go on.
A query either repeats a question of a walk's current candidate (a retry), asks that candidate for
another type (the other family), asks the next candidate of a walk whose current one has failed, or
opens a walk. Ports and IDs only break ties: Go changes both with every query, c-ares keeps one port.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from pcapkit.analysis.search_lists import (
    LONGEST_TIMEOUT_NS,
    NEAR_NS,
    NEAR_WITHOUT_CLOCK_NS,
    Labels,
    SearchList,
)
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, UNANSWERED
from pcapkit.layout import NO_TIME, TCP

#: The other family of a candidate follows its first within this time of the last answer.
JOIN_NS = 8_000_000
#: The next candidate follows within this time (a busy pod may be kept from running).
NEXT_NS = 500_000_000
#: No resolver's retry timer is shorter (c-ares adapts down to a quarter of a second).
SHORTEST_TIMER_NS = 200_000_000


@dataclass(slots=True)
class Exchange:
    """One exchange as plain values; see transactions.EXCHANGE."""

    number: int
    time: int
    done: int  #: NO_TIME where unanswered
    labels: Labels
    name: int  #: folded name id
    qtype: int
    port: int
    message_id: int
    server: int
    transport: int
    outcome: int
    tc: bool
    orphan: bool


@dataclass(slots=True)
class Candidate:
    """One name of a walk: its exchanges by type."""

    labels: Labels
    name: int
    position: int  #: index in the suffix list; -1 as is
    asked: dict[int, list[Exchange]] = field(default_factory=dict)

    def answered(self, at: int) -> bool:
        """Does it have an answer by the time ``at``?"""
        return any(
            e.outcome == ANSWER and e.done != NO_TIME and e.done <= at and not e.tc
            for es in self.asked.values() for e in es
        )  # fmt: skip

    def finished(self, at: int) -> int | None:
        """Return when its last answer came, or its last timer began; None while one is awaited."""
        latest = NO_TIME
        for es in self.asked.values():
            answers = [e.done for e in es if e.done != NO_TIME and e.done <= at]
            if answers:
                latest = max(latest, min(answers))
            elif at - es[-1].time >= SHORTEST_TIMER_NS:
                latest = max(latest, es[-1].time)
            else:
                return None
        return latest

    def silent(self) -> bool:
        """Did any type of it get no response at all?"""
        return any(all(e.done == NO_TIME for e in es) for es in self.asked.values())


@dataclass(slots=True)
class Walk:
    """One lookup while it is read, and after."""

    base: Labels | None  #: the base if it walks the list first; None where it cannot
    mode: str  #: ``list``, ``as_is`` or ``open`` (one candidate that can be read both ways)
    candidates: list[Candidate]
    cut_start: bool = False
    closed: bool = False
    parallel: bool = False  #: candidates were asked before others had answered (busybox)

    @property
    def current(self) -> Candidate:
        """The candidate asked last."""
        return self.candidates[-1]

    def at(self, name: int) -> Candidate:
        """The newest candidate of this name."""
        return next(c for c in reversed(self.candidates) if c.name == name)

    @property
    def first(self) -> Exchange:
        """Its first exchange."""
        return next(iter(self.candidates[0].asked.values()))[0]


class Reader:
    """Reads the exchanges of one client, in time order, into walks."""

    def __init__(
        self, search: SearchList, *, has_clock: bool, searches_after_as_is: bool = True
    ) -> None:
        self._searches_after_as_is = searches_after_as_is
        self._positions = {suffix: i for i, suffix in enumerate(search.suffixes)}
        self._starts = search.starts
        self._sizes = sorted({len(s) for s in search.suffixes}, reverse=True)
        self._join = JOIN_NS if has_clock else NEAR_WITHOUT_CLOCK_NS
        self._next = NEXT_NS if has_clock else 20_000
        self._near = NEAR_NS if has_clock else NEAR_WITHOUT_CLOCK_NS
        self._at_name: dict[int, list[Walk]] = defaultdict(list)
        self._at_base: dict[Labels, list[Walk]] = defaultdict(list)
        self.walks: list[Walk] = []

    def add(self, e: Exchange) -> None:
        """Take the next exchange."""
        if e.orphan:
            self._add_orphan(e)
            return
        for walk in self._by_port(e):
            candidate = walk.at(e.name)
            if self._repeats(candidate, e) or self._joins(walk, candidate, e):
                candidate.asked.setdefault(e.qtype, []).append(e)
                return
        if not self._continue(e):
            self._open(e)

    def _add_orphan(self, e: Exchange) -> None:
        for walk in reversed(self._at_name[e.name]):
            asked = walk.at(e.name).asked
            if e.qtype not in asked and e.time - walk.first.time < SHORTEST_TIMER_NS:
                walk.cut_start = True
                asked[e.qtype] = [e]
                return
        self._open(e).cut_start = True

    def _by_port(self, e: Exchange) -> list[Walk]:
        """Walks at this name, those of the same port first, then the newest."""
        walks = self._at_name.get(e.name)
        if not walks:
            return []
        if len(walks) > 8:
            del walks[:-8]
        same = [w for w in reversed(walks) if any(
            x.port == e.port for es in w.at(e.name).asked.values() for x in es)]  # fmt: skip
        return same + [w for w in reversed(walks) if w not in same]

    def _joins(self, walk: Walk, candidate: Candidate, e: Exchange) -> bool:
        """Is this the same candidate asked for another type?"""
        asked = candidate.asked
        if e.qtype in asked or e.time - walk.first.time > 2 * LONGEST_TIMEOUT_NS:
            return False
        exchanges = [x for es in asked.values() for x in es]
        pending = any(
            all(x.done == NO_TIME or x.done > e.time for x in es) for es in asked.values()
        )
        if pending:
            return True
        gap = e.time - max(x.done for x in exchanges if x.done != NO_TIME and x.done <= e.time)
        return gap <= self._join or (
            gap <= 1_000_000_000 and any(x.port == e.port for x in exchanges)
        )

    def _repeats(self, candidate: Candidate, e: Exchange) -> bool:
        """Is this a question of a candidate asked again within the walk?"""
        asked = candidate.asked
        if e.qtype not in asked:
            return False
        last = asked[e.qtype][-1]
        waited = e.time - last.time
        if waited > LONGEST_TIMEOUT_NS:
            return False
        same_port = last.port == e.port
        answered = [x for x in asked[e.qtype] if x.done != NO_TIME and x.done <= e.time]
        if e.transport == TCP and last.transport != TCP:
            return any(x.tc for es in asked.values() for x in es if x.done <= e.time)
        if e.qtype == 0 and same_port and waited <= self._near:
            return True  # a question that does not decode hides its type: these are two families
        if not answered:
            same = e.message_id == last.message_id and (same_port or e.server != last.server)
            return waited >= SHORTEST_TIMER_NS or same
        if e.message_id == last.message_id and (
            last.done == NO_TIME or same_port or (e.server != last.server and waited <= self._join)
        ):
            return True
        newest = max(answered, key=lambda x: x.done)
        gap = e.time - newest.done
        if newest.tc or newest.outcome not in (ANSWER, NODATA, NXDOMAIN):
            return gap <= self._join or (same_port and waited <= LONGEST_TIMEOUT_NS)
        others = (es for qtype, es in asked.items() if qtype != e.qtype)
        return any(
            (es[-1].done == NO_TIME or es[-1].done > e.time)
            and e.time - es[-1].time >= SHORTEST_TIMER_NS
            for es in others
        )

    def readings(self, labels: Labels) -> list[tuple[int, Labels]]:
        """Return every (position, base) under which a name can be a candidate of the list."""
        out = []
        for size in self._sizes:
            if size < len(labels) and (p := self._positions.get(labels[-size:])) is not None:
                out.append((p, labels[:-size]))
        return out

    def _continue(self, e: Exchange) -> bool:
        """Add the exchange to the walk whose next candidate it is, if there is one."""
        best: tuple[tuple[int, int], Walk, int] | None = None
        for position, base in [*self.readings(e.labels), (-1, e.labels)]:
            for walk in self._at_base.get(base, ()):
                gap = self._due(walk, position, base, e)
                if gap is None:
                    continue
                step = position - walk.current.position if position >= 0 else len(self._positions)
                if best is None or (step, gap) < best[0]:
                    best = (step, gap), walk, position
        if best is None:
            return False
        self._step(best[1], best[2], e)
        return True

    def _due(self, walk: Walk, position: int, base: Labels, e: Exchange) -> int | None:
        """Return how long after the current candidate's end this is its successor, or None."""
        current = walk.current
        if walk.closed or e.qtype not in current.asked or current.name == e.name:
            return None
        if position < 0:
            if walk.mode == "as_is" or walk.base != base:
                return None
        elif walk.mode == "as_is" or (walk.mode == "open" and walk.base != base):
            if walk.candidates[0].labels != base or position <= current.position:
                return None
        elif walk.base != base or position <= current.position:
            return None
        if position >= 0 and not self._searches_after_as_is and self._listed_after(walk, base):
            return None
        parallel = e.time - walk.first.time <= self._join and any(
            x.port == e.port for es in current.asked.values() for x in es
        )
        if current.answered(e.time):
            return None
        end = current.finished(e.time)
        if end is None:
            return 0 if parallel and position > 0 else None
        gap = e.time - end
        if current.silent():
            limit = LONGEST_TIMEOUT_NS
        elif position > current.position + 1 and current.position >= 0:
            limit = self._near  # a suffix is passed over: only what follows at once is the same walk
        elif position > 0 and walk.candidates[0].labels == base:
            limit = self._near
        else:
            limit = self._next
        return gap if gap <= limit else None

    def _listed_after(self, walk: Walk, base: Labels) -> bool:
        """Would this candidate come from the list after the name as is?"""
        return walk.candidates[0].labels == base

    def _step(self, walk: Walk, position: int, e: Exchange) -> None:
        if walk.mode == "open":
            from_list = position < 0 or (
                walk.base is not None and e.labels[: len(e.labels) - self._size(position)] == walk.base
            )
            walk.mode = "list" if from_list else "as_is"
        if walk.current.finished(e.time) is None:
            walk.parallel = True  # its earlier candidates may be asked for more types
        else:
            self._at_name[walk.current.name] = [
                w for w in self._at_name[walk.current.name] if w is not walk
            ]
        walk.candidates.append(Candidate(e.labels, e.name, position, {e.qtype: [e]}))
        walk.closed = position < 0
        self._at_name[e.name].append(walk)

    def _size(self, position: int) -> int:
        return next(len(s) for s, p in self._positions.items() if p == position)

    def _open(self, e: Exchange) -> Walk:
        start = next(
            (
                (p, base) for p, base in self.readings(e.labels)
                if e.orphan or e.labels[len(base) :] in self._starts
            ),
            None,
        )  # fmt: skip
        candidate = Candidate(e.labels, e.name, -1, {e.qtype: [e]})
        if start is None:
            walk = Walk(None, "as_is", [candidate])
        else:
            candidate.position = start[0] if e.orphan else -1
            walk = Walk(start[1], "open", [candidate])
            self._keep(start[1], walk)
        self._keep(e.labels, walk)
        self._at_name[e.name].append(walk)
        self.walks.append(walk)
        return walk

    def _keep(self, base: Labels, walk: Walk) -> None:
        walks = self._at_base[base]
        walks.append(walk)
        if len(walks) > 16:
            del walks[:8]


def outcome_of(exchanges: list[Exchange]) -> int:
    """Outcome of one transaction: an answer if any has one, else that of the last response."""
    answered = [x for x in exchanges if x.outcome != UNANSWERED]
    if any(x.outcome == ANSWER for x in answered):
        return ANSWER
    return max(answered, key=lambda x: x.done).outcome if answered else UNANSWERED


def exchanges_of_client(rows: Any, order: Any, labels_of: Any) -> list[Exchange]:
    """Turn the rows of one client, already in time order, into plain values."""
    columns = (
        "query_time response_time folded qtype client_port message_id server transport outcome tc"
        " query_packet"
    ).split()
    values = [rows[c][order].tolist() for c in columns]
    return [
        Exchange(
            int(n), time, done, labels_of(name), name, qtype, port, message_id, server, transport,
            outcome, bool(tc), packet < 0,
        )
        for n, time, done, name, qtype, port, message_id, server, transport, outcome, tc, packet
        in zip(order.tolist(), *values, strict=True)
    ]  # fmt: skip
