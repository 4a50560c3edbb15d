"""Settings that change within a capture: one client's time cut into periods.

An address is given to another pod, or a pod comes back with another resolv.conf. The first shows as
search lists whose first suffixes never share a time; the second as names that stop (or start) being
searched at one moment, with none going back. One such name alone is explained by a final dot.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pcapkit.analysis.search_lists.infer import NameSequence
from pcapkit.names.labels import Labels

#: More changes than this at one address are a mixture, not periods.
_MOST = 4
_FEWEST_NAMES = 2


@dataclass(frozen=True, slots=True)
class Change:
    """When one name was searched first, and when it was asked as is first (first time, last)."""

    searched: tuple[int, int]
    as_is: tuple[int, int]


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


def change_of_ndots(changes: Sequence[Change]) -> int | None:
    """Return the time at which names stopped, or started, being searched; None where none did.

    ``changes`` holds every name that was asked in both ways.
    """
    if len(changes) < _FEWEST_NAMES:
        return None
    stopped = all(c.searched[1] < c.as_is[0] for c in changes)
    started = all(c.as_is[1] < c.searched[0] for c in changes)
    if not stopped and not started:
        return None
    before = max(c.searched[1] if stopped else c.as_is[1] for c in changes)
    after = min(c.as_is[0] if stopped else c.searched[0] for c in changes)
    return after if before < after else None
