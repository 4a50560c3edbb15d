"""Infer each client's search list from which name followed which failed name.

A stub resolver that walks its search list asks ``base + suffix`` again and again, each time at once
after the last one failed. Names that follow one another so, and share their first labels, form a
sequence; a sequence that contains the base name itself proves its suffixes, one that does not gives
them up to the longest common beginning. Nothing here knows any suffix in advance.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

Labels = tuple[str, ...]

#: A resolver asks the next candidate at once: within this time of the last answer.
NEAR_NS = 5_000_000
#: Without a clock a packet counts as 1,000 ns: this is "within a few packets".
NEAR_WITHOUT_CLOCK_NS = 4_000
#: After a candidate that was never answered, the next one waits for every timeout.
LONGEST_TIMEOUT_NS = 40_000_000_000


@dataclass(slots=True)
class Asked:
    """One visit of a name: its questions from the first query to the last response it waited for."""

    labels: Labels
    start: int
    port: int
    done: int
    answered: bool  #: it has an answer of an asked type
    silent: bool  #: some question of it got no response


@dataclass(slots=True)
class _Sequence:
    names: list[Labels]
    base: Labels | None  #: known once the base name itself was asked
    closed: bool
    last: Asked


@dataclass(frozen=True, slots=True)
class SearchList:
    """Suffixes in the order in which they are walked; ``starts`` are those a walk may begin with."""

    suffixes: tuple[Labels, ...] = ()
    starts: frozenset[Labels] = field(default_factory=frozenset)


def _common(left: Labels, right: Labels) -> int:
    n = 0
    for a, b in zip(left, right, strict=False):
        if a != b:
            break
        n += 1
    return n


def _extend(sequence: _Sequence, asked: Asked) -> bool:
    """Add a name to a sequence where it can be its next candidate."""
    last, new = sequence.names[-1], asked.labels
    if sequence.closed or new in sequence.names:
        return False
    shared = _common(last, new)
    if shared == 0:
        return False
    if sequence.base is not None:
        base = sequence.base
        if new[: len(base)] != base or len(new) == len(base):
            return False
    elif shared == len(new):  # the base name as is, after the list
        if any(name[: len(new)] != new for name in sequence.names):
            return False
        sequence.base = new
        sequence.closed = True
    elif shared == len(last):  # the base name came first
        if len(sequence.names) > 1:
            return False
        sequence.base = last
    elif any(_common(name, new) == 0 for name in sequence.names):
        return False
    sequence.names.append(new)
    sequence.last = asked
    return True


def _follows(last: Asked, item: Asked, near: int) -> bool:
    """Was ``item`` asked because ``last`` failed, or together with it (busybox asks all at once)?"""
    if item.start < last.done:
        return item.port == last.port and item.start - last.start <= near
    limit = LONGEST_TIMEOUT_NS if last.silent else near
    return not last.answered and item.start - last.done <= limit


def _sequences(asked: Iterable[Asked], near: int) -> list[_Sequence]:
    open_by_label: dict[str, list[_Sequence]] = defaultdict(list)
    out: list[_Sequence] = []
    for item in asked:
        if not item.labels:
            continue
        waiting = open_by_label[item.labels[0]]
        done = False
        for sequence in reversed(waiting):
            if _follows(sequence.last, item, near) and _extend(sequence, item):
                done = True
                break
        if not done:
            sequence = _Sequence([item.labels], None, False, item)
            waiting.append(sequence)
            out.append(sequence)
        if len(waiting) > 16:
            del waiting[:8]
    return [s for s in out if len(s.names) > 1]


def _walked(names: Sequence[Labels], base: Labels) -> list[Labels]:
    return [name[len(base) :] for name in names if len(name) > len(base)]


def _reading(names: Sequence[Labels], known: set[Labels]) -> Labels | None:
    """Return the base under which most names of a sequence have a known suffix, one at least."""
    shared = min(_common(names[0], name) for name in names)
    best: tuple[int, int] = (0, 0)
    for size in range(1, shared + 1):
        best = max(best, (sum(name[size:] in known for name in names), size))
    return names[0][: best[1]] if best[0] else None


def infer(asked: Iterable[Asked], *, near: int = NEAR_NS) -> SearchList:
    """Return the search list that the names of one client, in time order, show."""
    sequences = _sequences(asked, near)
    walks: list[list[Labels]] = []
    known: set[Labels] = set()
    for sequence in sequences:
        if sequence.base is not None:
            walk = _walked(sequence.names, sequence.base)
            walks.append(walk)
            known.update(walk)
    open_ended = [s for s in sequences if s.base is None]
    for sequence in open_ended:
        if (base := _reading(sequence.names, known)) is not None:
            walks.append(_walked(sequence.names, base))
        elif not known:
            shared = min(_common(sequence.names[0], name) for name in sequence.names)
            walks.append(_walked(sequence.names, sequence.names[0][:shared]))
    if not known:
        walks = _most_supported(walks)
    return _ordered(walks)


def _most_supported(walks: list[list[Labels]]) -> list[list[Labels]]:
    """Where no base name was seen, keep the walks that more than one name agrees on, if any do."""
    support: Counter[Labels] = Counter(suffix for walk in walks for suffix in set(walk))
    if support and max(support.values()) > 1:
        return [walk for walk in walks if any(support[suffix] > 1 for suffix in walk)]
    return walks


def _ordered(walks: list[list[Labels]]) -> SearchList:
    before: Counter[tuple[Labels, Labels]] = Counter()
    seen: dict[Labels, int] = {}
    for walk in walks:
        for i, suffix in enumerate(walk):
            seen.setdefault(suffix, len(seen))
            for later in walk[i + 1 :]:
                before[suffix, later] += 1
    rank = {
        s: sum(before[t, s] > before[s, t] for t in seen) for s in seen
    }
    suffixes = tuple(sorted(seen, key=lambda s: (rank[s], seen[s])))
    starts = frozenset(s for s in seen if rank[s] == 0)
    return SearchList(suffixes, starts)
