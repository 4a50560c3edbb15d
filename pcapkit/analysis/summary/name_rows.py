"""Rows of names: groups of lookups added up, the costliest as rows, the others as one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from pcapkit.analysis.lookups.waste import CLASSES, WASTED
from pcapkit.analysis.summary.counting import (
    GROUP,
    GROUP_CLASSES,
    GROUP_KEYS,
    GROUP_SUMS,
    Groups,
    packed_groups,
)
from pcapkit.analysis.summary.name_kinds import kinds_of
from pcapkit.limits import OTHER_NAMES, Limits
from pcapkit.model.results import Name, OtherNames
from pcapkit.model.vocabulary import WASTE_CLASSES
from pcapkit.names.labels import Labels
from pcapkit.names.table import Folded
from pcapkit.schema import Integers, fewest_bytes, in_fewest_bytes
from pcapkit.text import characters_in_json

_NAMES = ("base", "answered_by")
_WASTED = [c for c, is_wasted in zip(GROUP_CLASSES, WASTED.tolist(), strict=True) if is_wasted]
#: A byte of a name is at most so many characters: ``\DDD``, its backslash escaped once more.
_LONGEST_BYTE = 5
#: Names that are looked at together, as text.
_AT_ONCE = 1 << 12


def merged_groups(parts: Sequence[Groups], unknown: int) -> Groups:
    """Add up groups of all parts; the earliest lookup gives the outcome.

    Names that nobody can read, whose id is ``unknown``, have no group. With the sums come "queries"
    and "wasted".
    """
    every = [packed_groups(np.zeros(0, GROUP)), *parts]
    keys = {field: np.concatenate([p[field] for p in every]) for field in GROUP_KEYS}
    group = (keys["base"].astype(np.int64) << 32) + keys["answered_by"]
    order = np.lexsort((keys["address"], keys["first"], group))
    group = group[order]
    first = np.flatnonzero(np.append(True, group[1:] != group[:-1])[: group.size])
    del group
    known = np.flatnonzero(keys["base"][order[first]] != unknown)
    earliest = order[first[known]]
    out: Groups = {field: in_fewest_bytes(keys.pop(field)[earliest]) for field in GROUP_KEYS}
    for field in (*GROUP_SUMS, *GROUP_CLASSES):
        values = np.concatenate([p[field] for p in every])[order]
        if first.size < order.size:
            kind = fewest_bytes(0, int(values.sum(dtype=np.int64)))
            values = np.add.reduceat(values, first, dtype=max(kind, values.dtype))
        out[field] = in_fewest_bytes(values if known.size == first.size else values[known])
    out["queries"] = _sum_of(out, GROUP_CLASSES)
    out["wasted"] = _sum_of(out, _WASTED)
    return out


def _sum_of(groups: Groups, fields: Sequence[str]) -> Integers:
    """Return the sum of some fields of each group."""
    total = np.zeros(groups["base"].size, np.int64)
    for field in fields:
        total += groups[field]
    return in_fewest_bytes(total)


def costliest(
    groups: Groups, names: Folded, limits: Limits, clients: int, *, has_clock: bool
) -> tuple[Groups, OtherNames]:
    """Return the groups that waste most, as many as the limits allow, and the others summed.

    Of those that waste and ask alike, the ones that were looked up first are kept. ``clients`` are
    those of the capture: no name has more.
    """
    size = groups["base"].size
    if size <= limits.names:
        longest = _LONGEST_BYTE * sum(names.wire_sizes(groups[key]) for key in _NAMES)
        if longest <= limits.row_characters:
            return groups, OtherNames()
    keys = ("answered_by", "base", "address", "first")
    ranks = ~groups["queries"], ~groups["wasted"]  # the largest first, in as few bytes
    order = np.lexsort((*(groups[k] for k in keys), *ranks))
    most = min(limits.names, _fitting(groups, order[: limits.names], names, limits.row_characters))
    if size <= most:
        return groups, OtherNames()
    kept, rest = np.sort(order[:most]), order[most:]
    fields = (*GROUP_SUMS, *GROUP_CLASSES, "queries", "wasted")
    sums = {field: int(groups[field][rest].sum(dtype=np.int64)) for field in fields}
    row = Name(
        OTHER_NAMES,
        None,
        "unknown",
        0,
        sums["lookups"],
        sums["queries"],
        sums["wasted"],
        sums["lost_ns"] / 1e9 * has_clock,
        min(clients, sums["clients"]),
        {c: n for c, key in zip(WASTE_CLASSES, GROUP_CLASSES, strict=True) if (n := sums[key])},
        sums["search_ns"] / 1e9 * has_clock,
    )
    wasteful = int(np.count_nonzero(groups["wasted"][rest]))
    return {k: v[kept] for k, v in groups.items()}, OtherNames(int(rest.size), wasteful, row)


def _fitting(groups: Groups, order: Integers, names: Folded, characters: int) -> int:
    """Return how many of the first groups in ``order`` have names of so many characters at most."""
    fitting = 0
    for first in range(0, order.size, _AT_ONCE):
        piece = order[first : first + _AT_ONCE]
        sizes = np.zeros(piece.size, np.int64)
        for key in _NAMES:
            ids = groups[key][piece].astype(np.int64)
            there = np.flatnonzero(ids >= 0)
            texts = names.texts(ids[there])
            sizes[there] += np.array([characters_in_json(text) for text in texts], np.int64)
        fits = int(np.searchsorted(np.cumsum(sizes), characters, "right"))
        fitting += fits
        if fits < piece.size:
            break
        characters -= int(sizes.sum())
    return fitting


def name_rows(
    groups: Groups, names: Folded, zones: Sequence[Labels], *, has_clock: bool
) -> tuple[Name, ...]:
    """Return one row per group, most wasted queries first."""
    base, hit = groups["base"].astype(np.int32), groups["answered_by"].astype(np.int32)
    queries, wasted = (groups[k].astype(np.int64) for k in ("queries", "wasted"))
    bases = names.texts(base)
    found = iter(names.texts(hit[hit >= 0]))
    full = [next(found) + "." if h >= 0 else "" for h in hit.tolist()]
    keys = list(zip((-wasted).tolist(), (-queries).tolist(), bases, full, strict=True))
    order = np.array(sorted(range(len(keys)), key=keys.__getitem__), np.int64)
    del keys
    kinds = kinds_of(names, base, hit, groups["outcome"], groups["denied"], zones)
    dots = np.maximum(names.label_counts()[base] - 1, 0)
    lost_s = groups["lost_ns"] / 1e9 * has_clock
    search_s = groups["search_ns"] / 1e9 * has_clock
    by_group = np.stack([groups[key].astype(np.int64) for key in GROUP_CLASSES], axis=1)
    classes, width = by_group.tobytes(), by_group.itemsize * CLASSES

    @lru_cache(maxsize=1 << 12)  # names that are asked once are much alike
    def by_class(counts: bytes) -> dict[str, int]:
        each = np.frombuffer(counts, np.int64).tolist()
        return {c: n for c, n in zip(WASTE_CLASSES, each, strict=True) if n}

    counts = dots, groups["lookups"], queries, wasted, lost_s, search_s, groups["clients"]
    rows = zip(order.tolist(), *(c[order].tolist() for c in counts), strict=True)
    return tuple(
        Name(
            bases[n],
            full[n] or None,
            kinds[n],
            dot,
            lookups,
            asked,
            lost,
            seconds,
            clients,
            by_class(classes[n * width : (n + 1) * width]),
            search,
        )
        for n, dot, lookups, asked, lost, seconds, search, clients in rows
    )
