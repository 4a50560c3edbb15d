"""What one client's traffic shows of its search list: the distinct sequences of its names.

Sequences (see ``sequences.py``) are read by the suffixes that others prove; equal ones of one
client are kept once, with a count.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pcapkit.analysis.search_lists.sequences import (
    ASKED_NAME,
    NAMES,
    SEQUENCE,
    TYPES,
    AskedNames,
    Follows,
    Sequences,
    find_asked_names,
    find_sequences,
)
from pcapkit.analysis.timing import NEAR_IN_LOG_NS, NEAR_NS, NEAR_WITHOUT_CLOCK_NS, PAUSED_NS
from pcapkit.kernels.hashing import GOLDEN_RATIO, SECOND_FACTOR, find_slot, hash_bytes, slot_count
from pcapkit.kernels.interning import InternerArrays
from pcapkit.kernels.jit import helper_kernel, inline_kernel, kernel
from pcapkit.names.labels import common_labels, labels_end, name_start
from pcapkit.schema import ABSENT, Bytes, Exchanges, Hashes, Ids, Int, Integers, Row, Rows

_FOLLOWS = Follows(NEAR_NS, NEAR_IN_LOG_NS, PAUSED_NS)
_FOLLOWS_WITHOUT_CLOCK = Follows(*[NEAR_WITHOUT_CLOCK_NS] * 3)
_TWO_WAYS = 1 << 14  # lookups that are kept of names that were asked in two ways
_TAILS = 64  # different suffixes of one client that are told apart
_UNDERSCORE = 0x5F
_MOST_LABELS = 255  # more than any name has (RFC 1035 section 3.1: 255 bytes)
#: One distinct sequence of one client; ``first`` and ``last`` are the times of its beginnings, and
#: ``shared`` is how many labels all its names share from theirs. ``at_once`` has a bit for each
#: name but the base as is: it was asked at once after or before another, not only after a pause.
EVIDENCE = np.dtype(
    [
        ("first", np.int64),
        ("last", np.int64),
        ("client", np.int32),
        ("base", np.int32),
        ("shared", np.int32),
        ("size", np.int32),
        ("count", np.int32),
        ("at_once", np.uint32),
    ],
    align=True,
)
#: One lookup of a name that its client both searched first and asked as is first.
TWO_WAYS = np.dtype(
    [("time", np.int64), ("client", np.int32), ("name", np.int32), ("searched", np.uint8)],
    align=True,
)
#: A name that one client searched before it asked it as is.
MARK = np.dtype(
    [
        ("types", np.uint8),  # that it asked of it as is, at most
        ("as_is", np.uint8),  # it was asked as is first, too
    ]
)


class Gathering(NamedTuple):
    """What gathering works in."""

    latest: Ids  # by name: ABSENT, and so again when gathering is done
    asked: AskedNames  # as long as the longest client has exchanges
    sequences: Sequences  # as many
    marks: Rows  # MARK, as many
    proven: Hashes  # of suffixes


class SequenceTable(NamedTuple):
    """The hash table by which equal sequences of one client are found."""

    keys: Hashes  # of each sequence that is kept
    slots: Ids  # its number + 1; 0 is free


class Evidence(NamedTuple):
    """What the traffic of some clients shows: see :func:`evidence_of`."""

    sequences: Rows  # EVIDENCE, client by client
    members: Ids  # (sequences, NAMES): the ids of the names of each
    two_ways: Rows  # TWO_WAYS, client by client, in order of time
    left_out: Integers  # (1): sequences that did not fit, each time that they were seen


@helper_kernel
def _tail_hash(names: InternerArrays, name: Int, labels: Int) -> np.uint64:
    """Hash what is behind the first labels of a name."""
    begin = labels_end(names.arena, names.ends, name, labels)
    return hash_bytes(names.arena, begin, names.ends[name] - begin, names.seed[0])


@helper_kernel
def _sequence_key(
    names: InternerArrays, labels: Ids, s: Row, members: Ids, client: Int
) -> np.uint64:
    """Hash what a sequence says: its suffixes where the base is known, else its names.

    ``s`` (SEQUENCE) has its ``members`` (int32) among ``names``; ``labels`` (int32) is how many
    labels each name has. Sequences of another ``client`` have other keys.
    """
    key = np.uint64(client + 1) * GOLDEN_RATIO
    for j in range(s["size"]):
        name = np.int64(members[j])
        if s["base"] > 0 and labels[name] == s["base"]:
            continue
        key = (key ^ _tail_hash(names, name, s["base"])) * SECOND_FACTOR
        key ^= key >> np.uint64(29)
    return key | np.uint64(1)


@helper_kernel
def _note_tails(
    names: InternerArrays, labels: Ids, s: Row, members: Ids, proven: Hashes, count: Int
) -> Int:
    """Add the suffixes that a sequence with a known base shows to ``proven``; return how many.

    ``s`` (SEQUENCE) has its ``members`` (int32) among ``names``; ``labels`` (int32) is how many
    labels each name has. ``proven`` (uint64) are hashes, ``count`` of them until now.
    """
    for j in range(s["size"]):
        name = np.int64(members[j])
        if labels[name] == s["base"]:
            continue
        tail = _tail_hash(names, name, s["base"])
        known = False
        for k in range(count):
            known = known or proven[k] == tail
        if not known and count < proven.shape[0]:
            proven[count] = tail
            count += 1
    return count


@helper_kernel
def _shared_labels(arena: Bytes, ends: Integers, s: Row, members: Ids) -> Int:
    """Count the labels that all names of a sequence share from their beginnings.

    ``s`` (SEQUENCE) has its ``members`` (int32) among the names in ``arena``, which end at
    ``ends``.
    """
    shared = np.int64(_MOST_LABELS)
    for j in range(1, s["size"]):
        shared = min(shared, common_labels(arena, ends, members[0], members[j]))
    return shared


@helper_kernel
def _is_parent(names: InternerArrays, labels: Ids, name: Int, other: Int) -> bool:
    """Is the shorter of two names, ids of ``names``, a parent of the longer one?

    ``labels`` (int32) is how many labels each name has.
    """
    child, parent = (name, other) if labels[name] > labels[other] else (other, name)
    begin = labels_end(names.arena, names.ends, child, labels[child] - labels[parent])
    at, end = name_start(names.ends, parent), names.ends[parent]
    if labels[child] == labels[parent] or names.ends[child] - begin != end - at:
        return False
    for k in range(end - at):
        if names.arena[begin + k] != names.arena[at + k]:
            return False
    return True


@helper_kernel
def _climbs(names: InternerArrays, labels: Ids, s: Row, members: Ids) -> bool:
    """Is each name of a sequence a parent or a child of the one before it?

    Those are questions about zones, one above the other.

    ``s`` (SEQUENCE) has its ``members`` (int32) among ``names``; ``labels`` (int32) is how many
    labels each name has.
    """
    for j in range(1, s["size"]):
        if not _is_parent(names, labels, np.int64(members[j - 1]), np.int64(members[j])):
            return False
    return True


@helper_kernel
def _names_a_service(names: InternerArrays, name: Int, size: Int) -> bool:
    """Do the first ``size`` labels of a name all begin with an underscore (RFC 8552)?

    A program asks for such a service in one domain after another, each narrower or wider, by rules
    of its own: ``_ldap._tcp`` in a site and in its domain, ``_dmarc`` up the tree.
    """
    at = name_start(names.ends, name)
    for _ in range(size):
        if names.arena[at] == 0 or names.arena[at + 1] != _UNDERSCORE:
            return False
        at += np.int64(names.arena[at]) + 1
    return True


@helper_kernel
def _read_by_tails(names: InternerArrays, s: Row, members: Ids, proven: Hashes, count: Int) -> Int:
    """Return the size of the base under which most names have a proven suffix, 0 for none.

    ``s`` (SEQUENCE) has its ``members`` (int32) among ``names``; the first ``count`` of ``proven``
    (uint64) are the hashes of suffixes.
    """
    shared = _shared_labels(names.arena, names.ends, s, members)
    best, best_hits = np.int64(0), np.int64(0)
    for size in range(1, shared + 1):
        hits = np.int64(0)
        for j in range(s["size"]):
            tail = _tail_hash(names, np.int64(members[j]), size)
            for k in range(count):
                if proven[k] == tail:
                    hits += 1
                    break
        if hits > 0 and hits >= best_hits:
            best, best_hits = np.int64(size), hits
    return best


@helper_kernel
def _is_searched(labels: Ids, s: Row, members: Ids) -> bool:
    """Does a sequence end with its base name as is, after the list?"""
    return bool(s["base"] > 0 and s["closed"] and labels[members[0]] != s["base"])


@helper_kernel
def _mark_searched(labels: Ids, found: Int, work: Gathering) -> Int:
    """Mark the names that a client searched before it asked them as is; return how many.

    The first ``found`` sequences of ``work`` are those of the client; ``labels`` (int32) is how
    many labels each name has. In ``work``, ``latest`` gets the marks of names.
    """
    sequences, asked = work.sequences, work.asked.rows
    marked = 0
    for i in range(found):
        s = sequences.rows[i]
        if not _is_searched(labels, s, sequences.members[i]):
            continue
        name = np.int64(sequences.members[i, s["size"] - 1])
        if work.latest[name] < 0:
            work.latest[name] = marked
            work.marks[marked]["types"] = 0
            work.marks[marked]["as_is"] = 0
            marked += 1
        mark = work.marks[work.latest[name]]
        mark["types"] = max(mark["types"], asked[s["last"]]["types"])
    return marked


@helper_kernel
def _is_as_is(labels: Ids, s: Row, name: Int, first: Row, mark: Row) -> bool:
    """Does a sequence that begins with ``name`` show that it was asked as is first?

    One that asks fewer types than the name has otherwise may be the rest of a walk, whose other
    questions the client's cache answered.
    """
    alone = s["size"] == 1 and first["answered"] and first["types"] >= mark["types"]
    return bool(alone or s["base"] == labels[name])


@helper_kernel
def _find_two_ways(
    client: Int, labels: Ids, found: Int, work: Gathering, out: Rows, used: Int
) -> Int:
    """Append the lookups of names that one client both searched first and asked as is first.

    Goes in: the first ``found`` sequences of ``work`` are those of ``client``; ``labels`` (int32)
    is how many labels each name has. Comes out: ``out`` (TWO_WAYS), ``used`` of them until now; the
    new number is returned.
    """
    if _mark_searched(labels, found, work) == 0:
        return used
    sequences, asked = work.sequences, work.asked.rows
    for i in range(found):
        s = sequences.rows[i]
        name = np.int64(sequences.members[i, 0])
        if work.latest[name] >= 0:
            mark = work.marks[work.latest[name]]
            if _is_as_is(labels, s, name, asked[s["first"]], mark):
                mark["as_is"] = 1
    for i in range(found):
        s = sequences.rows[i]
        searched = _is_searched(labels, s, sequences.members[i])
        name = np.int64(sequences.members[i, s["size"] - 1 if searched else 0])
        if work.latest[name] < 0 or used >= out.shape[0]:
            continue
        mark, first = work.marks[work.latest[name]], asked[s["first"]]
        if mark["as_is"] and (searched or _is_as_is(labels, s, name, first, mark)):
            row = out[used]
            row["time"] = first["start"]
            row["client"] = client
            row["name"] = name
            row["searched"] = searched
            used += 1
    for i in range(found):
        work.latest[sequences.members[i, sequences.rows[i]["size"] - 1]] = ABSENT
    return used


@helper_kernel
def _suffixes_at_once(labels: Ids, s: Row, members: Ids) -> np.uint32:
    """Return which suffixes of a sequence were asked at once: a bit each, the base left out.

    ``s`` (SEQUENCE) has its ``members`` (int32); ``labels`` (int32) is how many labels each name
    has.
    """
    out, bit = np.uint32(0), np.uint32(0)
    for j in range(s["size"]):
        if s["base"] > 0 and labels[members[j]] == s["base"]:
            continue
        out |= ((s["at_once"] >> np.uint32(j)) & np.uint32(1)) << bit
        bit += np.uint32(1)
    return out


@inline_kernel
def _ends_search(entry: Int, key: tuple[Hashes, np.uint64]) -> bool:
    """Is the slot with ``entry`` free, or that of the sequence with the hash in ``key``?"""
    hashes, h = key
    return bool(entry == 0 or hashes[entry - 1] == h)


@helper_kernel
def _note_sequence(
    names: InternerArrays, row: Row, members: Ids, s: Row, client: Int, start: Int
) -> None:
    """Fill ``row`` (EVIDENCE) from ``s`` (SEQUENCE), seen for the first time, at ``start`` (ns).

    ``members`` (int32) are its ids among ``names``; ``client`` is whose it is.
    """
    row["client"] = client
    row["base"] = s["base"]
    row["shared"] = _shared_labels(names.arena, names.ends, s, members)
    row["size"] = s["size"]
    row["count"] = 1
    row["at_once"] = 0
    row["first"] = start
    row["last"] = start


@helper_kernel
def _note_sequences(
    names: InternerArrays,
    labels: Ids,
    client: Int,
    found: Int,
    work: Gathering,
    out: Evidence,
    table: SequenceTable,
    kept: Int,
) -> Int:
    """Append the distinct sequences of one client; return how many of all clients are kept.

    Goes in: the first ``found`` sequences of ``work`` are those of ``client``; ``labels`` (int32)
    is how many labels each of ``names`` has. Comes out: the sequences and members of ``out``, of
    which ``kept`` are there, and ``table``, in which they are.
    """
    rows, members, proven = work.sequences.rows, work.sequences.members, work.proven
    keys, slots = table.keys, table.slots
    tails: Int = 0
    for i in range(found):
        if rows[i]["size"] > 1 and _climbs(names, labels, rows[i], members[i]):
            rows[i]["size"] = 1
        elif rows[i]["base"] > 0:
            tails = _note_tails(names, labels, rows[i], members[i], proven, tails)
    for i in range(found):
        s = rows[i]
        if s["size"] < 2:
            continue
        if s["base"] == 0 and _names_a_service(names, np.int64(members[i, 0]), 1):
            size = _shared_labels(names.arena, names.ends, s, members[i])
            if _names_a_service(names, np.int64(members[i, 0]), size):
                continue
        if tails > 0 and s["base"] == 0:
            s["base"] = _read_by_tails(names, s, members[i], proven, tails)
            if s["base"] == 0:
                continue
        start = work.asked.rows[s["first"]]["start"]
        key = _sequence_key(names, labels, s, members[i], client)
        slot = find_slot(slots, key, _ends_search, (keys, key))
        if slots[slot] > 0:
            row = out.sequences[slots[slot] - 1]
            row["count"] += 1
            row["last"] = start
        elif kept < out.sequences.shape[0]:
            keys[kept] = key
            _note_sequence(names, out.sequences[kept], members[i], s, client, start)
            for j in range(s["size"]):
                out.members[kept, j] = members[i, j]
            kept += 1
            slots[slot] = kept
        else:
            out.left_out[0] += 1
        if slots[slot] > 0:
            row = out.sequences[slots[slot] - 1]
            row["at_once"] |= _suffixes_at_once(labels, s, members[i])
    return kept


@kernel
def gather_evidence(
    rows: Exchanges,
    bounds: Integers,
    names: InternerArrays,
    labels: Ids,
    follows: Follows,
    work: Gathering,
    table: SequenceTable,
    out: Evidence,
) -> tuple[Int, Int]:
    """Fill ``out`` with the distinct sequences of every client, and the names it asked two ways.

    Where walks that asked the name as is prove suffixes, the others are read by them, or left out.
    Returns the number of sequences, at most as many as fit, and of lookups in two ways.

    Goes in: ``rows`` (EXCHANGE), ordered by client and time; ``bounds`` (int64), where each client
    begins, and the end; all ``names`` with their ``labels`` (int32), how many each has; in
    ``follows``, how soon one asked name follows another. Scratch: ``work``, and ``table``, empty,
    for as many sequences as ``out``.
    """
    kept: Int = 0
    changed: Int = 0
    for c in range(bounds.shape[0] - 1):
        mine = rows[bounds[c] : bounds[c + 1]]
        near = follows.near
        if mine.shape[0] > 0 and mine[0]["server"] < 0:  # a log does not name its own server
            near = follows.near_in_log
        count = find_asked_names(mine, follows.paused, work.latest, work.asked)
        found = find_sequences(
            names, labels, near, follows.paused, work.asked, count, work.sequences
        )
        for k in range(mine.shape[0]):
            if mine[k]["folded"] >= 0:
                work.latest[mine[k]["folded"]] = ABSENT
        changed = _find_two_ways(c, labels, found, work, out.two_ways, changed)
        kept = _note_sequences(names, labels, c, found, work, out, table, kept)
    return kept, changed


class Scratch:
    """Working memory of :func:`evidence_of`, for one thread and any number of parts."""

    def __init__(self, names: int) -> None:
        self._latest = np.full(names, ABSENT, np.int32)  # the kernel leaves it so
        self._size = 0

    def sized(self, exchanges: int) -> Gathering:
        """Return memory for clients with up to so many exchanges."""
        if exchanges > self._size:
            self._size = exchanges
            # The system gives pages as they are first written: asked names are fewer.
            self._work = Gathering(
                self._latest,
                AskedNames(
                    np.empty(exchanges, ASKED_NAME),
                    np.empty((exchanges, TYPES), np.uint16),
                    np.empty((exchanges, TYPES), np.int64),
                ),
                Sequences(
                    np.empty(exchanges, SEQUENCE),
                    np.empty((exchanges, NAMES), np.int32),
                    np.empty(slot_count(exchanges), np.int32),
                ),
                np.empty(exchanges, MARK),
                np.empty(_TAILS, np.uint64),
            )
        return self._work


def evidence_of(
    rows: Exchanges,
    bounds: Integers,
    names: InternerArrays,
    labels: Ids,
    *,
    has_clock: bool,
    scratch: Scratch,
    most: int,
) -> Evidence:
    """Return what the clients show that begin at ``bounds``: sequences, names asked in two ways.

    ``bounds`` end with the end of ``rows``, which are in time order within a client. At ``most`` so
    many distinct sequences are kept.
    """
    most = min(most, rows.size // 2 + 1)
    out = Evidence(
        np.zeros(most, EVIDENCE),
        np.zeros((most, NAMES), np.int32),
        np.zeros(min(_TWO_WAYS, rows.size), TWO_WAYS),
        np.zeros(1, np.int64),
    )
    kept, changed = gather_evidence(
        rows,
        bounds,
        names,
        labels,
        _FOLLOWS if has_clock else _FOLLOWS_WITHOUT_CLOCK,
        scratch.sized(int(np.diff(bounds).max(initial=1))),
        SequenceTable(np.empty(most, np.uint64), np.zeros(slot_count(most), np.int32)),
        out,
    )
    return out._replace(
        sequences=out.sequences[:kept], members=out.members[:kept], two_ways=out.two_ways[:changed]
    )
