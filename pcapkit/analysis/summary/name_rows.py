"""Rows of names: groups of lookups added up, the costliest as rows, the others as one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from pcapkit.analysis.lookups.waste import CLASSES, WASTED
from pcapkit.analysis.summary.counting import GROUP
from pcapkit.analysis.summary.name_kinds import kinds_of
from pcapkit.limits import OTHER_NAMES, Limits
from pcapkit.model.results import Name, OtherNames
from pcapkit.model.vocabulary import WASTE_CLASSES
from pcapkit.names.labels import Labels
from pcapkit.names.table import Folded
from pcapkit.schema import Integers, Rows, in_fewest_bytes
from pcapkit.text import characters_in_json

#: By field of GROUP: an entry for each base name and what answered it, in few bytes.
Groups = dict[str, Integers]
_NAMES = ("base", "answered_by")
#: A byte of a name is at most so many characters: ``\DDD``, its backslash escaped once more.
_LONGEST_BYTE = 5
#: Names that are looked at together, as text.
_AT_ONCE = 1 << 12
_KEYS = ("base", "answered_by", "first", "address", "outcome")
_SUMS = ("lookups", "lost_ns", "search_ns", "clients", "denied", "classes")


def packed_groups(rows: Rows) -> Groups:
    """Return groups (GROUP) in the fewest bytes that hold them."""
    out: Groups = {field: rows[field].copy() for field in _KEYS}
    return out | {field: in_fewest_bytes(rows[field]) for field in _SUMS}


def merged_groups(parts: Sequence[Groups], unknown: int) -> Groups:
    """Add up groups of all parts; the earliest lookup gives the outcome.

    Names that nobody can read, whose id is ``unknown``, have no group. With the sums come "queries"
    and "wasted".
    """
    every = [packed_groups(np.zeros(0, GROUP)), *parts]
    keys = {field: np.concatenate([p[field] for p in every]) for field in _KEYS}
    group = (keys["base"].astype(np.int64) << 32) + keys["answered_by"]
    order = np.lexsort((keys["address"], keys["first"], group))
    group = group[order]
    first = np.flatnonzero(np.append(True, group[1:] != group[:-1])[: group.size])
    del group
    known = np.flatnonzero(keys["base"][order[first]] != unknown)
    earliest = order[first[known]]
    out: Groups = {field: values[earliest] for field, values in keys.items()}
    for field in _SUMS:
        values = np.concatenate([p[field] for p in every])[order]
        if first.size < order.size:
            kind = in_fewest_bytes(values[:0], int(values.sum(dtype=np.int64))).dtype
            values = np.add.reduceat(values, first, dtype=max(kind, values.dtype))
        out[field] = values if known.size == first.size else values[known]
    out["queries"] = out["classes"].sum(axis=1, dtype=np.int64)
    out["wasted"] = out["classes"][:, WASTED].sum(axis=1, dtype=np.int64)
    return out


def costliest(
    groups: Groups, names: Folded, limits: Limits, clients: int, *, has_clock: bool
) -> tuple[Groups, OtherNames]:
    """Return the groups that waste most, as many as the limits allow, and the others summed.

    Of those that waste and ask alike, the ones that were looked up first are kept. ``clients`` are
    those of the capture: no name has more.
    """
    size = groups["base"].size
    longest = _LONGEST_BYTE * sum(names.wire_sizes(groups[key]) for key in _NAMES)
    if size <= limits.names and longest <= limits.row_characters:
        return groups, OtherNames()
    keys = ("answered_by", "base", "address", "first")
    ranks = -groups["queries"], -groups["wasted"]
    order = np.lexsort((*(groups[k] for k in keys), *ranks))
    most = min(limits.names, _fitting(groups, order[: limits.names], names, limits.row_characters))
    if size <= most:
        return groups, OtherNames()
    kept, rest = np.sort(order[:most]), order[most:]
    sums = {k: groups[k][rest].sum(axis=0, dtype=np.int64) for k in (*_SUMS, "queries", "wasted")}
    row = Name(
        OTHER_NAMES,
        None,
        "unknown",
        0,
        int(sums["lookups"]),
        int(sums["queries"]),
        int(sums["wasted"]),
        int(sums["lost_ns"]) / 1e9 * has_clock,
        min(clients, int(sums["clients"])),
        {c: n for c, n in zip(WASTE_CLASSES, sums["classes"].tolist(), strict=True) if n},
        int(sums["search_ns"]) / 1e9 * has_clock,
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
    queries, wasted = groups["queries"], groups["wasted"]
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
    by_group = np.ascontiguousarray(groups["classes"], np.int64)
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
