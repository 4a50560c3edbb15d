"""What tallies count of one part, in one compiled pass over its lookups.

Lookups are read client by client, so that distinct clients are counted without a set of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.lookups.outcomes import RESOLVED
from pcapkit.analysis.lookups.reading import Readings
from pcapkit.analysis.lookups.waste import CLASSES, HIT, WASTED
from pcapkit.kernels.hashing import SEED, hash_ids
from pcapkit.kernels.jit import helper_kernel, inline_kernel, kernel
from pcapkit.model.vocabulary import LOOKUP_OUTCOMES, TRANSACTION_OUTCOMES

#: Bins of the timeline, from the first message to the last.
BINS = 120
#: Lookups of one part that may be shown as examples, one a base name.
EXAMPLES = 3
#: Lookups of one base name that one name answered.
GROUP = np.dtype(
    [
        ("base", np.int32),
        ("answered_by", np.int32),  # -1: none
        ("first", np.int64),  # start of the earliest, which decides the kind
        ("address", np.int64),  # its client
        ("outcome", np.int64),
        ("lookups", np.int64),
        ("lost_ns", np.int64),
        ("clients", np.int64),
        ("classes", np.int64, (CLASSES,)),
        ("client", np.int32),  # the last that was counted, within its part
    ],
    align=True,
)
BY_CLIENT = np.dtype(
    [(key, np.int64) for key in ("lookups", "queries", "wasted", "lost_ns", "first", "last")]
)


class Counts(NamedTuple):
    """What one part adds; ``suffixes`` counts queries, wasted ones and answers under each suffix.

    ``durations`` holds those of complete lookups that did not resolve, ``resolved`` those of the
    ones that did, as they were and without their waste. ``worst`` are lookups that wasted most, -1
    where there are fewer.
    """

    clients: npt.NDArray[Any]  # BY_CLIENT
    groups: npt.NDArray[Any]  # GROUP
    suffixes: npt.NDArray[np.int64]  # (suffixes of all lists, 3)
    timeline: npt.NDArray[np.int64]  # (classes, BINS)
    outcomes: npt.NDArray[np.int64]  # of transactions
    lookup_outcomes: npt.NDArray[np.int64]
    classes: npt.NDArray[np.int64]
    durations: npt.NDArray[np.int64]
    resolved: npt.NDArray[np.int64]  # (2, lookups)
    worst: npt.NDArray[np.int64]
    totals: npt.NDArray[np.int64]  # _GROUPS to _LOST_NS


_GROUPS, DURATIONS, HITS, RETRIES, COMPLETE, LOST_NS = range(6)


class _Work(NamedTuple):
    """What the pass reads beside the lookups, and its room."""

    slots: npt.NDArray[np.int32]  # number of a group plus 1, 0 is free; a power of two long
    addresses: npt.NDArray[np.int64]
    suffix_at: npt.NDArray[np.int64]  # where the suffixes of a client's list begin
    wasted: npt.NDArray[np.bool_]
    start: int
    bin_ns: int  # 0 without a clock
    seed: np.uint64


@helper_kernel
def _group(look: Any, work: Any, out: Any) -> Any:
    """Return the group of a lookup; a new one where there is none."""
    mask = np.uint64(work.slots.shape[0] - 1)
    slot = np.int64(hash_ids(look["base"], look["answered_by"], work.seed) & mask)
    while work.slots[slot] > 0:
        g = out.groups[work.slots[slot] - 1]
        if g["base"] == look["base"] and g["answered_by"] == look["answered_by"]:
            return np.int64(work.slots[slot] - 1)
        slot = np.int64((np.uint64(slot) + np.uint64(1)) & mask)
    new = out.totals[_GROUPS]
    out.totals[_GROUPS] = new + 1
    work.slots[slot] = new + 1
    g = out.groups[new]
    g["base"] = look["base"]
    g["answered_by"] = look["answered_by"]
    g["lookups"] = 0
    g["lost_ns"] = 0
    g["clients"] = 0
    g["classes"][:] = 0
    g["client"] = -1
    return new


@inline_kernel
def _is_before(time: Any, address: Any, other_time: Any, other_address: Any) -> Any:
    """Does a lookup come before another one? By the times of their first queries, then clients."""
    return time < other_time or (time == other_time and address < other_address)


@helper_kernel
def _note_worst(lookups: Any, number: Any, addresses: Any, worst: Any) -> None:
    """Keep a lookup if it is among those that wasted most, the earlier one of two alike."""
    wasted, base = lookups[number]["wasted"], lookups[number]["base"]
    new = number
    for k in range(worst.shape[0]):
        old = worst[k]
        if old < 0:
            worst[k] = new
            return
        more = lookups[old]["wasted"]
        earlier = _is_before(
            lookups[new]["start"],
            addresses[lookups[new]["client"]],
            lookups[old]["start"],
            addresses[lookups[old]["client"]],
        )
        if more > wasted or (more == wasted and not earlier):
            if lookups[old]["base"] == base:
                return
            continue
        worst[k] = new
        if lookups[old]["base"] == base:
            return
        new, wasted = old, more  # it moves down, in the place of a worse one of the new base


@kernel
def count_lookups(lookups: Any, transactions: Any, work: Any, out: Any) -> None:
    """Add up the lookups of one part."""
    bin_first, bin_last, place = np.int64(1), np.int64(0), np.int64(0)
    for number in range(lookups.shape[0]):
        look = lookups[number]
        client = np.int64(look["client"])
        c = out.clients[client]
        if c["lookups"] == 0:
            c["first"] = look["start"]
            c["last"] = look["end"]
        c["lookups"] += 1
        c["queries"] += look["queries"]
        c["wasted"] += look["wasted"]
        c["last"] = max(c["last"], look["end"])
        out.lookup_outcomes[look["outcome"]] += 1
        at = _group(look, work, out)
        g = out.groups[at]
        g["lookups"] += 1
        if g["client"] != client:
            g["client"] = client
            g["clients"] += 1
        address = work.addresses[client]
        if g["lookups"] == 1 or _is_before(look["start"], address, g["first"], g["address"]):
            g["first"] = look["start"]
            g["address"] = address
            g["outcome"] = look["outcome"]
        if look["wasted"] > 0:
            _note_worst(lookups, number, work.addresses, out.worst)
        if look["complete"]:
            lost, took = look["wasted_ns"], look["end"] - look["start"]
            c["lost_ns"] += lost
            g["lost_ns"] += lost
            out.totals[LOST_NS] += lost
            out.totals[COMPLETE] += 1
            if look["outcome"] == RESOLVED:
                hit = out.totals[HITS]
                out.totals[HITS] = hit + 1
                out.resolved[0, hit] = took
                out.resolved[1, hit] = took - lost
            else:
                other = out.totals[DURATIONS]
                out.totals[DURATIONS] = other + 1
                out.durations[other] = took
        for i in range(look["first"], look["first"] + look["queries"]):
            t = transactions[i]
            kind = np.int64(t["waste_class"])
            out.outcomes[t["outcome"]] += 1
            out.classes[kind] += 1
            out.totals[RETRIES] += t["retries"]
            g["classes"][kind] += 1
            if t["suffix"] >= 0:
                under = out.suffixes[work.suffix_at[client] + t["suffix"]]
                under[0] += 1
                under[1] += work.wasted[kind]
                under[2] += kind == HIT
            if work.bin_ns > 0:
                if not bin_first <= t["time"] <= bin_last:
                    place = max(np.int64(0), (t["time"] - work.start) // work.bin_ns)
                    place = min(place, np.int64(BINS - 1))
                    bin_first = work.start + place * work.bin_ns
                    bin_last = bin_first + work.bin_ns - 1
                out.timeline[kind, place] += 1


def count_part(
    part: Readings, suffix_at: npt.NDArray[np.int64], suffixes: int, start: int, bin_ns: int
) -> Counts:
    """Count one part; ``suffix_at`` is where each client's list begins among ``suffixes``.

    The timeline begins at ``start``; a ``bin_ns`` of 0 leaves it empty.
    """
    size, clients = part.lookups.size, len(part.clients)
    work = _Work(
        np.zeros(1 << max(4, (2 * size).bit_length()), np.int32),
        np.array([c.client for c in part.clients], np.int64),
        suffix_at,
        WASTED,
        start,
        bin_ns,
        SEED,
    )
    out = Counts(
        np.zeros(clients, BY_CLIENT),
        np.empty(size, GROUP),
        np.zeros((suffixes, 3), np.int64),
        np.zeros((CLASSES, BINS), np.int64),
        np.zeros(len(TRANSACTION_OUTCOMES), np.int64),
        np.zeros(len(LOOKUP_OUTCOMES), np.int64),
        np.zeros(CLASSES, np.int64),
        np.empty(size, np.int64),
        np.empty((2, size), np.int64),
        np.full(EXAMPLES, -1, np.int64),
        np.zeros(6, np.int64),
    )
    count_lookups(part.lookups, part.transactions, work, out)
    others, hits = int(out.totals[DURATIONS]), int(out.totals[HITS])
    return out._replace(
        groups=out.groups[: out.totals[_GROUPS]].copy(),
        durations=out.durations[:others],
        resolved=out.resolved[:, :hits],
    )
