"""Settings that change within a capture: one client's time cut into periods.

An address is given to another pod, or a pod comes back with another resolv.conf. The first shows as
search lists whose first suffixes never share a time; the second as names that stop (or start) being
searched at one moment, with none going back. One such name alone is explained by a final dot.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from pcapkit.analysis.search_lists.infer import NameSequence
from pcapkit.names.labels import Labels

#: More changes than this at one address are a mixture, not periods.
_MOST = 4
_FEWEST_NAMES = 2
#: Lookups before and after a change that only one name shows.
_OFTEN = 3


@dataclass(frozen=True, slots=True)
class TwoWays:
    """One lookup of a name that was both searched first and asked as is first."""

    time: int
    name: int
    searched: bool


def changes_of_list(
    sequences: Sequence[NameSequence], starts: Collection[Labels]
) -> list[tuple[int, Labels, int]]:
    """Return where the walks begin with another suffix than before; nothing for mixtures.

    Each is the time of the last walk before, the suffix, and the time of its first walk. A walk
    begins with the list's first suffix. Where several suffixes are first ones (``starts``), and the
    times of their walks do not overlap, each has its period.
    """
    spans: dict[Labels, tuple[int, int]] = {}
    for shown in sequences:
        suffix = next((n[shown.base :] for n in shown.names if n[shown.base :] in starts), None)
        if suffix is not None:
            first, last = spans.get(suffix, (shown.first, shown.last))
            spans[suffix] = min(first, shown.first), max(last, shown.last)
    ordered = sorted((first, last, suffix) for suffix, (first, last) in spans.items())
    if len(ordered) - 1 > _MOST:
        return []
    pairs = list(zip(ordered, ordered[1:], strict=False))
    if any(earlier[1] >= later[0] for earlier, later in pairs):
        return []
    return [(earlier[1], later[2], later[0]) for earlier, later in pairs]


def changes_of_ndots(lookups: Sequence[TwoWays]) -> list[int]:
    """Return the times at which names stopped, or started, being searched; none for mixtures.

    ``lookups`` are those of every name that was asked in both ways, in order of time. Both sides of
    a change show the same names: two at least, or one again and again.
    """
    runs = [list(run) for _, run in groupby(lookups, key=lambda x: x.searched)]
    runs = _without_strays(runs)
    if len(runs) - 1 > _MOST:
        return []
    for earlier, later in pairwise(runs):
        both = {x.name for x in earlier} & {x.name for x in later}
        often = min(len(earlier), len(later)) >= _OFTEN
        if len(both) < _FEWEST_NAMES and not (both and often):
            return []
    return [later[0].time for later in runs[1:]]


def _without_strays(runs: list[list[TwoWays]]) -> list[list[TwoWays]]:
    """Leave out single lookups between others of the other way: a name with its final dot."""
    kept: list[list[TwoWays]] = []
    for k, run in enumerate(runs):
        stray = len(run) == 1 and 0 < k < len(runs) - 1
        if kept and kept[-1][0].searched == run[0].searched:
            kept[-1] += run
        elif not stray:
            kept.append(list(run))
    return kept
