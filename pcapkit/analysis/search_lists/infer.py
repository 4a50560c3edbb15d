"""Infer each client's search list from the sequences that its traffic shows.

A sequence that contains the base name itself proves its suffixes; one that does not (the walk ended
at a suffix that answered) gives them where some of its names have suffixes that are already proven,
or, where nothing is proven, up to the longest common beginning. Nothing here knows any suffix in
advance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations

from pcapkit.names.labels import Labels, join


@dataclass(frozen=True, slots=True)
class NameSequence:
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


@lru_cache(maxsize=1 << 12)
def suffix_texts(suffixes: tuple[Labels, ...]) -> tuple[str, ...]:
    """Return the suffixes of a list in presentation form."""
    return tuple(join(suffix) for suffix in suffixes)


#: The suffixes that a sequence shows, in its order, and how often it was seen.
SuffixSequence = tuple[tuple[Labels, ...], int]
#: A suffix is there by chance if this many walks for each of its own show one that comes later.
_RARE = 100
#: Sequences that chance does not repeat.
_OFTEN = 3


def without_chance(sequences: list[SuffixSequence], at_once: list[int]) -> list[SuffixSequence]:
    """Leave out suffixes that followed, and were followed, only after pauses, as others by chance.

    ``at_once`` has a bit for each suffix of a sequence that stood next to another name at once.
    Where no suffix did, those are believed of which one is the end of one before it, as those of
    Kubernetes are; and any that is often seen.
    """
    proven: set[Labels] = set()
    seen: Counter[Labels] = Counter()
    for (suffixes, count), mask in zip(sequences, at_once, strict=True):
        proven.update(s for j, s in enumerate(suffixes) if mask >> j & 1)
        for suffix in suffixes:
            seen[suffix] += count
    kept = proven or {
        s
        for suffixes, _ in sequences
        for a, b in combinations(suffixes, 2)
        if len(a) > len(b) > 1 and a[-len(b) :] == b
        for s in (a, b)
    }
    kept |= {s for s, count in seen.items() if count >= _OFTEN}
    return [(tuple(s for s in suffixes if s in kept), count) for suffixes, count in sequences]


class Inference:
    """Infers the search lists of many clients; from equal walks once.

    The pods of a namespace walk one list. How often each walk was seen matters only where walks
    contradict one another, or where some suffixes are far rarer than others.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[tuple[Labels, ...], ...], SearchList | None] = {}

    def infer(self, proven: list[SuffixSequence], others: list[SuffixSequence]) -> SearchList:
        """Return the list of one client: from walks whose base is proven, if there are any."""
        walks = proven or _most_supported(others)
        seen: dict[Labels, int] = {}
        for walk, count in walks:
            for suffix in walk:
                seen[suffix] = seen.get(suffix, 0) + count
        if seen and min(seen.values()) * _RARE < max(seen.values()):
            return _ordered(walks)
        key = tuple({walk: None for walk, _ in walks})
        if key not in self._known:
            self._known[key] = _ordered(walks) if _agree(key) else None
        return self._known[key] or _ordered(walks)


def _agree(walks: Iterable[tuple[Labels, ...]]) -> bool:
    """Does no walk pass two suffixes in the opposite order of another one?"""
    pairs = {pair for walk in walks for pair in combinations(walk, 2)}
    return not any((later, earlier) in pairs for earlier, later in pairs)


def _most_supported(walks: list[SuffixSequence]) -> list[SuffixSequence]:
    """Where no base name was seen, keep the walks that more than one name agrees on, if any do."""
    support: Counter[Labels] = Counter(suffix for walk, _ in walks for suffix in set(walk))
    if support and max(support.values()) > 1:
        return [(w, n) for w, n in walks if any(support[suffix] > 1 for suffix in w)]
    return walks


def _ordered(walks: list[SuffixSequence]) -> SearchList:
    before: Counter[tuple[Labels, Labels]] = Counter()
    seen: Counter[Labels] = Counter()
    for walk, count in walks:
        for i, suffix in enumerate(walk):
            seen[suffix] += count
            for later in walk[i + 1 :]:
                before[suffix, later] += count
    kept = list(seen)  # in the order in which they were first seen
    while True:
        rank = {s: sum(before[t, s] > before[s, t] for t in kept) for s in kept}
        suffixes = sorted(kept, key=lambda s: rank[s])
        kept = [s for s in kept if s not in _by_chance(suffixes, seen)]
        if len(kept) == len(suffixes):
            return SearchList(tuple(suffixes), frozenset(s for s in kept if rank[s] == 0))


def _by_chance(suffixes: Sequence[Labels], seen: Mapping[Labels, int]) -> set[Labels]:
    """Return suffixes that hardly any walk shows, though a walk passes them before others.

    Of two lookups at once, ``web.shop`` and ``web``, the candidates of one can look like the next
    candidates of the other.
    """
    out: set[Labels] = set()
    most_later = 0
    for suffix in reversed(suffixes):
        if seen[suffix] * _RARE < most_later:
            out.add(suffix)
        most_later = max(most_later, seen[suffix])
    return out
