"""What tallies count of one part, in one compiled pass over its lookups.

Lookups are read client by client, so that distinct clients are counted without a set of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.lookups.outcomes import RESOLVED
from pcapkit.analysis.lookups.reading import Readings
from pcapkit.analysis.lookups.waste import CLASSES, HIT, WASTED
from pcapkit.analysis.time_bins import TIME_BINS, time_bin
from pcapkit.codes import UNANSWERED
from pcapkit.kernels.hashing import SEED, find_slot, hash_ids, slot_count
from pcapkit.kernels.jit import helper_kernel, inline_kernel, kernel
from pcapkit.model.vocabulary import LOOKUP_OUTCOMES, TRANSACTION_OUTCOMES, WASTE_CLASSES
from pcapkit.schema import ABSENT, Ids, Int, Integers, Row, Rows, in_fewest_bytes

#: Bins of the timeline, from the first message to the last.
BINS = 120
#: Lookups of one part that may be shown as examples, one a base name.
EXAMPLES = 3
#: Lookups of one base name that one name answered.
GROUP = np.dtype(
    [
        ("base", np.int32),
        ("answered_by", np.int32),  # ABSENT: none
        ("first", np.int64),  # start of the earliest, which decides the kind
        ("lost_ns", np.int64),
        ("search_ns", np.int64),  # those of them that no timer is part of
        ("address", np.int32),  # the client of the earliest
        ("outcome", np.int32),
        ("lookups", np.int32),
        ("clients", np.int32),
        ("denied", np.int32),  # lookups that were told that the name as is does not exist
        ("classes", np.int32, (CLASSES,)),
        ("client", np.int32),  # the last that was counted, within its part
    ],
    align=True,
)
#: What one client asked; the queries and times of its complete lookups apart.
BY_CLIENT = np.dtype(
    [
        (key, np.int64)
        for key in (
            "lookups",
            "queries",
            "wasted",
            "lost_ns",
            "first",
            "last",
            "nxdomain",
            "complete",
            "complete_queries",
            "took_ns",
        )
    ]
)
#: Complete lookups of one client whose durations are in one bin; no bin without any.
CLIENT_TIME = np.dtype([("client", np.int32), ("bin", np.int32), ("lookups", np.int32)])


#: Indexes of ``Counts.totals``.
_GROUPS, DURATIONS, HITS, RETRIES, COMPLETE, LOST_NS, SEARCH_NS, _SEARCHES, _TIMES = range(9)
#: Columns of ``Counts.suffixes``.
_QUERIES, _WASTED, _ANSWERS = range(3)
#: Rows of ``Counts.resolved``.
_AS_IT_WAS, _WITHOUT_WASTE = 0, 1


#: By field of GROUP: an entry for each base name and what answered it, in few bytes; the queries
#: of each class are a field of their own.
Groups = dict[str, Integers]
GROUP_KEYS = ("base", "answered_by", "first", "address", "outcome")
GROUP_SUMS = ("lookups", "lost_ns", "search_ns", "clients", "denied")
GROUP_CLASSES = tuple(f"class {c}" for c in WASTE_CLASSES)


def packed_groups(rows: Rows) -> Groups:
    """Return groups (GROUP) in the fewest bytes that hold them."""
    out: Groups = {field: in_fewest_bytes(rows[field]) for field in (*GROUP_KEYS, *GROUP_SUMS)}
    return out | {f: in_fewest_bytes(rows["classes"][:, n]) for n, f in enumerate(GROUP_CLASSES)}


class Counts(NamedTuple):
    """What one part adds; ``suffixes`` counts queries, wasted ones and answers under each suffix.

    ``durations`` holds those of complete lookups that did not resolve, ``resolved`` those of the
    ones that did, as they were and without their waste. ``searches`` are the times that search
    misses took in the resolved ones that waited for no timer. ``worst`` are lookups that wasted
    most, ABSENT where there are fewer.
    """

    clients: Rows  # BY_CLIENT
    groups: Rows  # GROUP, of one block
    suffixes: Integers  # (suffixes of all lists, 3)
    timeline: Integers  # (classes, BINS)
    outcomes: Integers  # of transactions
    lookup_outcomes: Integers  # (2, outcomes): of lookups that are incomplete, and complete
    classes: Integers
    durations: Integers
    resolved: Integers  # (2, lookups)
    searches: Integers
    worst: Integers  # (EXAMPLES)
    times: Rows  # CLIENT_TIME
    totals: Integers  # (9): _GROUPS to _TIMES


class _CountInput(NamedTuple):
    """What the pass reads, and a hash table."""

    lookups: Rows  # LOOKUP
    transactions: Rows  # TRANSACTION
    addresses: Integers  # of each client
    suffix_begins: Integers  # where the suffixes of a client's list begin
    is_wasted: npt.NDArray[np.bool_]  # by waste class
    start: int
    bin_ns: int  # 0 without a clock
    blocks: int  # see ``Readings.blocks``
    slots: Ids  # scratch: number of a group plus 1, 0 is free
    last_times: Ids  # scratch: the last of ``Counts.times`` with each bin, ABSENT
    seed: np.uint64


@inline_kernel
def _group_ends_search(entry: Int, key: tuple[Rows, Row]) -> bool:
    """Is ``entry`` free, or the number of the group of the lookup of ``key`` (groups, lookup)?"""
    groups, lookup = key
    if entry == 0:
        return True
    group = groups[entry - 1]
    return bool(group["base"] == lookup["base"] and group["answered_by"] == lookup["answered_by"])


@helper_kernel
def _group_number(lookup: Row, given: _CountInput, out: Counts) -> Int:
    """Return the group of ``lookup`` (LOOKUP) in ``out``; a new one where there is none.

    ``given`` holds the hash table.
    """
    slots, groups = given.slots, out.groups
    h = hash_ids(lookup["base"], lookup["answered_by"], given.seed)
    slot = find_slot(slots, h, _group_ends_search, (groups, lookup))
    if slots[slot] == 0:
        new = groups[out.totals[_GROUPS]]
        out.totals[_GROUPS] += 1
        slots[slot] = out.totals[_GROUPS]
        new["base"] = lookup["base"]
        new["answered_by"] = lookup["answered_by"]
        new["lookups"] = 0
        new["lost_ns"] = 0
        new["search_ns"] = 0
        new["clients"] = 0
        new["denied"] = 0
        new["classes"][:] = 0
        new["client"] = ABSENT
    return np.int64(slots[slot] - 1)


@inline_kernel
def _is_before(time: Int, address: Int, other_time: Int, other_address: Int) -> bool:
    """Does a lookup come before another one, by its ``time``, then by its client's ``address``?

    ``other_time`` and ``other_address`` are those of the other one.
    """
    return bool(time < other_time or (time == other_time and address < other_address))


@helper_kernel
def _note_worst(lookups: Rows, number: Int, addresses: Integers, worst: Integers) -> None:
    """Keep a lookup if it is among those that wasted most, the earlier one of two alike.

    It is ``number`` of ``lookups`` (LOOKUP). ``worst`` are the numbers of those that are kept, one
    a base name; ``addresses`` are those of clients.
    """
    wasted, base = lookups[number]["wasted"], lookups[number]["base"]
    new = number
    for k in range(worst.shape[0]):
        old = worst[k]
        if old == ABSENT:
            worst[k] = new
            return
        more = lookups[old]["wasted"]
        mine, its = addresses[lookups[new]["client"]], addresses[lookups[old]["client"]]
        start, its_start = lookups[new]["start"], lookups[old]["start"]
        is_earlier = _is_before(start, mine, its_start, its)
        if start == its_start and mine == its:
            is_earlier = new < old  # in whatever order blocks come
        if more > wasted or (more == wasted and not is_earlier):
            if lookups[old]["base"] == base:
                return
            continue
        worst[k] = new
        if lookups[old]["base"] == base:
            return
        new, wasted = old, more  # it moves down, and may push out a worse one of the new base


@inline_kernel
def _count_in_group(lookup: Row, address: Int, group: Row) -> None:
    """Count ``lookup`` (LOOKUP) of the client at ``address`` in its ``group`` (GROUP)."""
    group["lookups"] += 1
    group["denied"] += lookup["denied"]
    if group["client"] != lookup["client"]:
        group["client"] = lookup["client"]
        group["clients"] += 1
    is_first = group["lookups"] == 1
    if is_first or _is_before(lookup["start"], address, group["first"], group["address"]):
        group["first"] = lookup["start"]
        group["address"] = address
        group["outcome"] = lookup["outcome"]


@inline_kernel
def _count_time(client: Int, number: Int, given: _CountInput, out: Counts) -> None:
    """Count a complete lookup of a ``client`` in the bin ``number`` of its times in ``out``.

    ``given`` holds the last row of each bin: one client's lookups follow one another.
    """
    last = np.int64(given.last_times[number])
    if last == ABSENT or out.times[last]["client"] != client:
        last = out.totals[_TIMES]
        out.totals[_TIMES] += 1
        given.last_times[number] = last
        out.times[last]["client"] = client
        out.times[last]["bin"] = number
        out.times[last]["lookups"] = 0
    out.times[last]["lookups"] += 1


@inline_kernel
def _waited(lookup: Row, transactions: Rows) -> bool:
    """Did ``lookup`` (LOOKUP) wait for a timer of its resolver, by its ``transactions``?

    Such a wait is booked to the fault behind it, not to the search list.
    """
    if lookup["retries"] > 0:
        return True
    first = np.int64(lookup["first"])
    for i in range(first, first + lookup["queries"]):
        if transactions[i]["outcome"] == UNANSWERED:
            return True
    return False


@inline_kernel
def _count_complete(lookup: Row, transactions: Rows, client: Row, group: Row, out: Counts) -> None:
    """Count the queries and times of a complete ``lookup`` (LOOKUP) in ``out``.

    They count for its ``client`` (BY_CLIENT) and its ``group`` (GROUP), too. ``transactions``
    (TRANSACTION) are those of the part.
    """
    lost, took = lookup["wasted_ns"], lookup["end"] - lookup["start"]
    client["complete"] += 1
    client["complete_queries"] += lookup["queries"]
    client["took_ns"] += took
    client["lost_ns"] += lost
    group["lost_ns"] += lost
    out.totals[LOST_NS] += lost
    out.totals[COMPLETE] += 1
    if lookup["outcome"] == RESOLVED:
        hit = out.totals[HITS]
        out.totals[HITS] = hit + 1
        out.resolved[_AS_IT_WAS, hit] = took
        out.resolved[_WITHOUT_WASTE, hit] = took - lost
        if lookup["wasted"] > 0 and not _waited(lookup, transactions):
            out.searches[out.totals[_SEARCHES]] = lost
            out.totals[_SEARCHES] += 1
            out.totals[SEARCH_NS] += lost
            group["search_ns"] += lost
    else:
        other = out.totals[DURATIONS]
        out.totals[DURATIONS] = other + 1
        out.durations[other] = took


@kernel
def count_lookups(given: _CountInput, block: Int, out: Counts) -> None:
    """Add up the lookups of one ``block`` of a part, all of ``given``, in ``out``."""
    bin_first, bin_last, at = np.int64(1), np.int64(0), np.int64(0)
    for number in range(given.lookups.shape[0]):
        lookup = given.lookups[number]
        if lookup["base"] % given.blocks != block:
            continue
        client = out.clients[lookup["client"]]
        if client["lookups"] == 0:
            client["first"] = lookup["start"]
            client["last"] = lookup["end"]
        client["lookups"] += 1
        client["first"] = min(client["first"], lookup["start"])
        client["queries"] += lookup["queries"]
        client["wasted"] += lookup["wasted"]
        client["nxdomain"] += lookup["nxdomain"]
        client["last"] = max(client["last"], lookup["end"])
        out.lookup_outcomes[1 if lookup["complete"] else 0, lookup["outcome"]] += 1
        group = out.groups[_group_number(lookup, given, out)]
        _count_in_group(lookup, given.addresses[lookup["client"]], group)
        if lookup["wasted"] > 0:
            _note_worst(given.lookups, number, given.addresses, out.worst)
        if lookup["complete"]:
            _count_complete(lookup, given.transactions, client, group, out)
            took = time_bin(lookup["end"] - lookup["start"])
            _count_time(lookup["client"], took, given, out)
        for i in range(lookup["first"], lookup["first"] + lookup["queries"]):
            t = given.transactions[i]
            waste_class = np.int64(t["waste_class"])
            out.outcomes[t["outcome"]] += 1
            out.classes[waste_class] += 1
            out.totals[RETRIES] += t["retries"]
            group["classes"][waste_class] += 1
            if t["suffix"] >= 0:
                under = out.suffixes[given.suffix_begins[lookup["client"]] + t["suffix"]]
                under[_QUERIES] += 1
                if given.is_wasted[waste_class]:
                    under[_WASTED] += 1
                if waste_class == HIT:
                    under[_ANSWERS] += 1
            if given.bin_ns > 0:
                if not bin_first <= t["time"] <= bin_last:
                    at = max(np.int64(0), (t["time"] - given.start) // given.bin_ns)
                    at = min(at, np.int64(BINS - 1))
                    bin_first = given.start + at * given.bin_ns
                    bin_last = bin_first + given.bin_ns - 1
                out.timeline[waste_class, at] += 1


def count_part(
    part: Readings, suffix_begins: Integers, suffixes: int, start: int, bin_ns: int
) -> tuple[Counts, list[Groups]]:
    """Count one part; ``suffix_begins`` is where each client's list begins among ``suffixes``.

    The timeline begins at ``start``; a ``bin_ns`` of 0 leaves it empty. Returns all that is counted
    but the groups, and those of each block.
    """
    size, clients, blocks = part.lookups.size, len(part.clients), part.blocks
    largest = size
    if blocks > 1:
        largest = int(np.bincount(part.lookups["base"] % blocks).max())
    given = _CountInput(
        part.lookups,
        part.transactions,
        np.array([c.client for c in part.clients], np.int64),
        suffix_begins,
        WASTED,
        start,
        bin_ns,
        blocks,
        np.zeros(slot_count(largest), np.int32),
        np.full(TIME_BINS, ABSENT, np.int32),
        SEED,
    )
    out = Counts(
        np.zeros(clients, BY_CLIENT),
        np.empty(largest, GROUP),
        np.zeros((suffixes, 3), np.int64),
        np.zeros((CLASSES, BINS), np.int64),
        np.zeros(len(TRANSACTION_OUTCOMES), np.int64),
        np.zeros((2, len(LOOKUP_OUTCOMES)), np.int64),
        np.zeros(CLASSES, np.int64),
        np.empty(size, np.int64),
        np.empty((2, size), np.int64),
        np.empty(size, np.int64),
        np.full(EXAMPLES, ABSENT, np.int64),
        np.empty(int(np.count_nonzero(part.lookups["complete"])), CLIENT_TIME),
        np.zeros(9, np.int64),
    )
    groups = []
    for block in range(blocks):
        out.totals[_GROUPS] = 0
        given.slots[:] = 0
        count_lookups(given, block, out)
        groups.append(packed_groups(out.groups[: out.totals[_GROUPS]]))
    others, hits = int(out.totals[DURATIONS]), int(out.totals[HITS])
    counts = out._replace(
        groups=out.groups[:0],
        durations=out.durations[:others],
        resolved=out.resolved[:, :hits],
        searches=out.searches[: out.totals[_SEARCHES]],
        times=out.times[: out.totals[_TIMES]].copy(),
    )
    return counts, groups
