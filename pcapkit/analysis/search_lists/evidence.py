"""What one client's traffic shows of its search list: the distinct sequences of its names.

Sequences (see ``sequences.py``) are read by the suffixes that others prove; equal ones of one
client are kept once, with a count.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.search_lists.sequences import (
    NAMES,
    SEQUENCE,
    TYPES,
    VISIT,
    find_sequences,
    find_visits,
)
from pcapkit.analysis.timing import NEAR_IN_LOG_NS, NEAR_NS, NEAR_WITHOUT_CLOCK_NS
from pcapkit.kernels.interning import hash_bytes
from pcapkit.kernels.jit import helper_kernel, kernel
from pcapkit.names.labels import common_labels, labels_end
from pcapkit.schema import NO_TIME

_SLOTS = 1 << 12
_TAILS = 64  # different suffixes of one client that are told apart
#: One distinct sequence of one client; ``first`` and ``last`` are the times of its beginnings, and
#: ``shared`` is how many labels all its names share from theirs.
EVIDENCE = np.dtype(
    [
        ("first", np.int64),
        ("last", np.int64),
        ("client", np.int32),
        ("base", np.int32),
        ("shared", np.int32),
        ("size", np.int32),
        ("count", np.int32),
    ],
    align=True,
)
#: A name that one client both searched first and asked as is first, and when it did so.
CHANGE = np.dtype(
    [
        ("client", np.int32),
        ("name", np.int32),
        ("searched_first", np.int64),
        ("searched_last", np.int64),  # NO_TIME: never
        ("as_is_first", np.int64),
        ("as_is_last", np.int64),
    ],
    align=True,
)


@helper_kernel
def _key(names: Any, labels: Any, s: Any, members: Any, client: Any) -> Any:
    """Hash what a sequence says: its suffixes where the base is known, else its names."""
    arena, ends, seed = names[0], names[1], names[5][0]
    key = np.uint64(client + 1) * np.uint64(0x9E3779B97F4A7C15)
    for j in range(s["size"]):
        name = np.int64(members[j])
        begin = labels_end(arena, ends, name, s["base"])
        part = hash_bytes(arena, begin, ends[name] - begin, seed)
        if s["base"] > 0 and labels[name] == s["base"]:
            continue
        key = (key ^ part) * np.uint64(0xC2B2AE3D27D4EB4F)
        key ^= key >> np.uint64(29)
    return key | np.uint64(1)


@helper_kernel
def _note_tails(names: Any, labels: Any, s: Any, members: Any, proven: Any, count: Any) -> Any:
    """Add the suffixes that a sequence with a known base shows to ``proven`` (their hashes)."""
    arena, ends, seed = names[0], names[1], names[5][0]
    for j in range(s["size"]):
        name = np.int64(members[j])
        if labels[name] == s["base"]:
            continue
        begin = labels_end(arena, ends, name, s["base"])
        tail = hash_bytes(arena, begin, ends[name] - begin, seed)
        known = False
        for k in range(count):
            known = known or proven[k] == tail
        if not known and count < proven.shape[0]:
            proven[count] = tail
            count += 1
    return count


@helper_kernel
def _shared_labels(arena: Any, ends: Any, s: Any, members: Any) -> Any:
    """Count the labels that all names of a sequence share from their beginnings."""
    shared = np.int64(255)
    for j in range(1, s["size"]):
        shared = min(shared, common_labels(arena, ends, members[0], members[j]))
    return shared


@helper_kernel
def _read_by_tails(names: Any, s: Any, members: Any, proven: Any, count: Any) -> Any:
    """Return the size of the base under which most names have a proven suffix, 0 for none."""
    arena, ends, seed = names[0], names[1], names[5][0]
    shared = _shared_labels(arena, ends, s, members)
    best, best_hits = np.int64(0), np.int64(0)
    for size in range(1, shared + 1):
        hits = np.int64(0)
        for j in range(s["size"]):
            name = np.int64(members[j])
            begin = labels_end(arena, ends, name, size)
            tail = hash_bytes(arena, begin, ends[name] - begin, seed)
            for k in range(count):
                if proven[k] == tail:
                    hits += 1
                    break
        if hits > 0 and hits >= best_hits:
            best, best_hits = np.int64(size), hits
    return best


@helper_kernel
def _find_changes(
    client: Any,
    labels: Any,
    visits: Any,
    found: Any,
    sequences: Any,
    members: Any,
    mark_of: Any,
    marks: Any,
    changes: Any,
    used: Any,
) -> Any:
    """Append the names of one client that were searched first, and asked as is first; return used.

    ``marks`` is scratch, a CHANGE each for as many names as there are sequences; ``mark_of`` is -1
    for every name, and is so again afterwards.
    """
    marked = 0
    for i in range(found):
        s = sequences[i]
        if s["base"] > 0 and s["closed"] and labels[members[i, 0]] != s["base"]:
            name = np.int64(members[i, s["size"] - 1])
            time = visits[s["first"]]["start"]
            if mark_of[name] < 0:
                mark_of[name] = marked
                mark = marks[marked]
                mark["client"] = client
                mark["name"] = name
                mark["searched_first"] = mark["searched_last"] = time
                mark["as_is_last"] = NO_TIME
                marked += 1
            mark = marks[mark_of[name]]
            mark["searched_first"] = min(mark["searched_first"], time)
            mark["searched_last"] = max(mark["searched_last"], time)
    if marked == 0:
        return used
    for i in range(found):
        s = sequences[i]
        if mark_of[members[i, 0]] < 0:
            continue
        v = visits[s["first"]]
        mark = marks[mark_of[members[i, 0]]]
        alone = s["size"] == 1 and v["answered"]
        if alone or s["base"] == labels[members[i, 0]]:
            if mark["as_is_last"] == NO_TIME or v["start"] < mark["as_is_first"]:
                mark["as_is_first"] = v["start"]
            mark["as_is_last"] = max(mark["as_is_last"], v["start"])
    for i in range(found):
        s = sequences[i]
        name = np.int64(members[i, s["size"] - 1])
        if s["base"] == 0 or mark_of[name] < 0:
            continue
        mark = marks[mark_of[name]]
        if mark["as_is_last"] != NO_TIME and used < changes.shape[0]:
            changes[used] = mark
            used += 1
        mark_of[name] = -1
    return used


@kernel
def gather_evidence(
    rows: Any,
    bounds: Any,
    names: Any,
    labels: Any,
    near: Any,
    latest: Any,
    visits: Any,
    types: Any,
    dones: Any,
    sequences: Any,
    members: Any,
    keys: Any,
    slots: Any,
    evidence: Any,
    shown: Any,
    marks: Any,
    changes: Any,
    heads: Any,
    proven: Any,
) -> Any:
    """Fill ``evidence`` and ``shown`` with the distinct sequences of every client.

    ``rows`` are ordered by client and time; ``bounds`` is where each client begins. Where walks
    that asked the name as is prove suffixes, the others are read by them, or left out. Returns the
    number of entries, at most as many as fit, and that of ``changes``.
    """
    kept, changed = 0, 0
    mask = np.uint64(slots.shape[0] - 1)
    for c in range(bounds.shape[0] - 1):
        mine = rows[bounds[c] : bounds[c + 1]]
        here = near
        if near == NEAR_NS and mine.shape[0] > 0 and mine[0]["server"] < 0:
            here = NEAR_IN_LOG_NS  # a server's log, which does not name its server
        count = find_visits(mine, here, latest, visits, types, dones)
        heads[:] = -1
        found = find_sequences(names, labels, here, visits, count, heads, sequences, members)
        for k in range(mine.shape[0]):
            if mine[k]["folded"] >= 0:
                latest[mine[k]["folded"]] = -1
        changed = _find_changes(
            c, labels, visits, found, sequences, members, latest, marks, changes, changed
        )
        tails = 0
        for i in range(found):
            if sequences[i]["base"] > 0:
                tails = _note_tails(names, labels, sequences[i], members[i], proven, tails)
        for i in range(found):
            s = sequences[i]
            if s["size"] < 2:
                continue
            if tails > 0 and s["base"] == 0:
                s["base"] = _read_by_tails(names, s, members[i], proven, tails)
                if s["base"] == 0:
                    continue
            start = visits[s["first"]]["start"]
            key = _key(names, labels, s, members[i], c)
            slot = np.int64(key & mask)
            while slots[slot] >= 0 and keys[slots[slot]] != key:
                slot = np.int64((np.uint64(slot) + np.uint64(1)) & mask)
            at = np.int64(slots[slot])
            if at >= 0:
                evidence[at]["count"] += 1
                evidence[at]["last"] = start
                continue
            if kept >= evidence.shape[0]:
                continue
            slots[slot] = kept
            keys[kept] = key
            evidence[kept]["client"] = c
            evidence[kept]["base"] = s["base"]
            evidence[kept]["shared"] = _shared_labels(names[0], names[1], s, members[i])
            evidence[kept]["size"] = s["size"]
            evidence[kept]["count"] = 1
            evidence[kept]["first"] = start
            evidence[kept]["last"] = start
            for j in range(s["size"]):
                shown[kept, j] = members[i, j]
            kept += 1
    return kept, changed


#: Distinct sequences that are kept; a capture with more has shown its search lists long before.
LIMIT = 1 << 18
_CHANGES = 1 << 14


class Scratch:
    """Working memory of :func:`evidence_of`, for one thread and any number of parts."""

    def __init__(self, names: int) -> None:
        self.latest = np.full(names, -1, np.int32)  # by name; the kernel leaves it so
        self.heads, self.proven = np.empty(_SLOTS, np.int32), np.empty(_TAILS, np.uint64)
        self.make_room(1)

    def make_room(self, exchanges: int) -> None:
        """Have room for a client with so many exchanges."""
        self.size = exchanges
        # The system gives pages as they are first written: there are fewer visits than exchanges.
        self.visits, self.sequences = np.empty(exchanges, VISIT), np.empty(exchanges, SEQUENCE)
        self.types = np.empty((exchanges, TYPES), np.uint16)
        self.dones = np.empty((exchanges, TYPES), np.int64)
        self.members = np.empty((exchanges, NAMES), np.int32)
        self.marks = np.empty(exchanges, CHANGE)


def evidence_of(
    rows: npt.NDArray[Any],
    bounds: npt.NDArray[np.int64],
    names: Any,
    labels: npt.NDArray[np.int32],
    *,
    has_clock: bool,
    scratch: Scratch | None = None,
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32], npt.NDArray[Any]]:
    """Return the distinct sequences (EVIDENCE), the names of each, (sequences, names), and CHANGEs.

    ``bounds`` is where each client begins in ``rows``, which are in time order within one.
    """
    scratch = scratch or Scratch(labels.size)
    if (most := int(np.diff(bounds).max(initial=1))) > scratch.size:
        scratch.make_room(most)
    room = min(LIMIT, rows.size // 2 + 1)
    slots = np.full(1 << (room * 2).bit_length(), -1, np.int32)
    evidence = np.zeros(room, EVIDENCE)
    shown = np.zeros((room, NAMES), np.int32)
    changes = np.zeros(min(_CHANGES, rows.size // 4 + 1), CHANGE)
    kept, changed = gather_evidence(
        rows,
        bounds,
        names,
        labels,
        NEAR_NS if has_clock else NEAR_WITHOUT_CLOCK_NS,
        scratch.latest,
        scratch.visits,
        scratch.types,
        scratch.dones,
        scratch.sequences,
        scratch.members,
        np.empty(room, np.uint64),
        slots,
        evidence,
        shown,
        scratch.marks,
        changes,
        scratch.heads,
        scratch.proven,
    )
    return evidence[:kept], shown[:kept], changes[:changed]
