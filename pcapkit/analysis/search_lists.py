"""Infer each client's search list from the sequences that its traffic shows.

A sequence that contains the base name itself proves its suffixes; one that does not (the walk ended
at a suffix that answered) gives them where some of its names have suffixes that are already proven,
or, where nothing is proven, up to the longest common beginning. Nothing here knows any suffix in
advance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pcapkit.analysis.suffixes import Labels


@dataclass(frozen=True, slots=True)
class Seen:
    """Names that followed one another; ``base`` is how many labels the base name has, 0 unknown.

    ``first`` and ``last`` are the times at which such a sequence began.
    """

    names: tuple[Labels, ...]
    base: int
    count: int
    first: int = 0
    last: int = 0


@dataclass(frozen=True, slots=True)
class SearchList:
    """Suffixes in the order of the walk; ``starts`` are those that a walk may begin with."""

    suffixes: tuple[Labels, ...] = ()
    starts: frozenset[Labels] = field(default_factory=frozenset)


Walk = tuple[list[Labels], int]


def _common(left: Labels, right: Labels) -> int:
    n = 0
    for a, b in zip(left, right, strict=False):
        if a != b:
            break
        n += 1
    return n


def _walked(seen: Seen, base: int) -> Walk:
    return [name[base:] for name in seen.names if len(name) > base], seen.count


def _reading(names: Sequence[Labels], known: set[Labels]) -> int:
    """Return the size of the base under which most names have a known suffix, 0 where none has."""
    shared = min(_common(names[0], name) for name in names)
    best: tuple[int, int] = (0, 0)
    for size in range(1, shared + 1):
        best = max(best, (sum(name[size:] in known for name in names), size))
    return best[1] if best[0] else 0


def infer(sequences: Iterable[Seen]) -> SearchList:
    """Return the search list that the distinct sequences of one client show."""
    walks: list[Walk] = []
    known: set[Labels] = set()
    open_ended = []
    for seen in sequences:
        if not seen.base:
            open_ended.append(seen)
            continue
        walk = _walked(seen, seen.base)
        walks.append(walk)
        known.update(walk[0])
    proven = bool(known)
    for seen in open_ended:
        if size := _reading(seen.names, known):
            walks.append(_walked(seen, size))
        elif not proven:
            shared = min(_common(seen.names[0], name) for name in seen.names)
            walks.append(_walked(seen, shared))
    return _ordered(walks if proven else _most_supported(walks))


def _most_supported(walks: list[Walk]) -> list[Walk]:
    """Where no base name was seen, keep the walks that more than one name agrees on, if any do."""
    support: Counter[Labels] = Counter(suffix for walk, _ in walks for suffix in set(walk))
    if support and max(support.values()) > 1:
        return [(w, n) for w, n in walks if any(support[suffix] > 1 for suffix in w)]
    return walks


def _ordered(walks: list[Walk]) -> SearchList:
    before: Counter[tuple[Labels, Labels]] = Counter()
    seen: dict[Labels, int] = {}
    for walk, count in walks:
        for i, suffix in enumerate(walk):
            seen.setdefault(suffix, len(seen))
            for later in walk[i + 1 :]:
                before[suffix, later] += count
    rank = {s: sum(before[t, s] > before[s, t] for t in seen) for s in seen}
    suffixes = tuple(sorted(seen, key=lambda s: (rank[s], seen[s])))
    return SearchList(suffixes, frozenset(s for s in seen if rank[s] == 0))
