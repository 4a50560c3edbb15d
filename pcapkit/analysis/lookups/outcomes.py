"""What a walk comes to: its base name, what its queries got and were good for, how it ended.

Names are local names (see ``base_names.py``) in walks, and ids in the rows that are described.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pcapkit.analysis.lookups.base_names import Lists, Reading
from pcapkit.analysis.lookups.state import LIST, NO_ROW, NO_SUFFIX, OPEN, Walks
from pcapkit.analysis.lookups.waste import ABSOLUTE_MISS, SEARCH_MISS, waste_class
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, OTHER_RCODE, REFUSED, SERVFAIL, UNANSWERED
from pcapkit.kernels.hashing import GOLDEN_RATIO, SECOND_FACTOR
from pcapkit.kernels.jit import helper_kernel
from pcapkit.schema import (
    ABSENT,
    NO_TIME,
    Bytes,
    Exchanges,
    Ids,
    Int,
    Integers,
    Lookups,
    Row,
    Transactions,
)

#: Indexes of model.LOOKUP_OUTCOMES.
RESOLVED, WAITED, FAILED, DENIED, BROKEN, EMPTY, MISSING = range(7)
_PLAIN_BYTES = 512  # the most that a response has without EDNS (RFC 1035 section 4.2.1)
#: Entries of ``Described.used``.
LOOKUPS, TRANSACTIONS = range(2)


class Grouped(NamedTuple):
    """What is described: the exchanges of a part, grouped into walks of its search lists."""

    rows: Exchanges
    walks: Walks
    lists: Lists


class Described(NamedTuple):
    """What a description is written to, and what it needs beside the walks."""

    lookups: Lookups
    transactions: Transactions
    used: Integers  # how many lookups, and transactions
    probes: Bytes  # by local name: is it one that client libraries ask by themselves?
    base_of: Ids  # by lookup: the local name of its base
    name_of: Ids  # by transaction: the local name of its candidate
    previous: Ids  # by local name: the last lookup of that base, NO_ROW
    searched: Ids  # by local name: 1 + the last client that searched it first
    capture_end: int
    has_clock: bool


@helper_kernel
def _outcome(rows: Exchanges, w: Walks, question: Int) -> Int:
    """An answer if any exchange has one, else the outcome of the last response."""
    newest = np.int64(NO_ROW)
    x = np.int64(w.questions[question]["first"])
    while x >= 0:
        e = rows[x]
        if e["outcome"] != UNANSWERED:
            if e["outcome"] == ANSWER:
                return np.int64(ANSWER)
            if newest < 0 or e["response_time"] > rows[newest]["response_time"]:
                newest = x
        x = np.int64(w.next_exchange[x])
    return np.int64(rows[newest]["outcome"]) if newest >= 0 else np.int64(UNANSWERED)


@helper_kernel
def _counts_more(new: Row, known: Row) -> bool:
    """Does one response count more than another: an answer more than none, then the later one?"""
    is_answer, was_answer = new["outcome"] == ANSWER, known["outcome"] == ANSWER
    if is_answer == was_answer:
        return bool(new["response_time"] > known["response_time"])
    return bool(is_answer)


@helper_kernel
def _fill_transaction(rows: Exchanges, w: Walks, question: Int, t: Row, lookup: Row) -> bool:
    """Fill ``t`` (TRANSACTION) from a ``question`` of ``w``; False where no query was captured.

    Its exchanges are in ``rows``. Of its ``lookup`` (LOOKUP) ``end`` and ``large`` are kept up.
    """
    q = w.questions[question]
    t["first"] = NO_ROW
    t["response"] = NO_ROW
    sent = 0
    x = np.int64(q["first"])
    while x >= 0:
        e = rows[x]
        if e["query_packet"] >= 0:
            if sent == 0:
                t["first"] = x
                t["time"] = e["query_time"]
            sent += 1
            ended = e["query_time"]
            if e["response_time"] != NO_TIME:
                ended = max(ended, e["response_time"])  # clocks may go back
                known = np.int64(t["response"])
                if known < 0 or _counts_more(e, rows[known]):
                    t["response"] = x
            if e["tc"] or e["response_bytes"] > _PLAIN_BYTES:
                lookup["large"] = 1
            lookup["end"] = max(lookup["end"], ended)
        x = np.int64(w.next_exchange[x])
    if sent == 0:
        return False
    t["qtype"] = q["qtype"]
    t["retries"] = sent - 1
    t["outcome"] = _outcome(rows, w, question)
    return True


@helper_kernel
def choose_base(
    w: Walks, reading: Reading, labels: Ids, walk: Row, client: Row
) -> tuple[Int, bool]:
    """Return the base of a walk, and whether it is ambiguous.

    A first candidate that ended the walk can be read several ways. ``walk`` (WALK) is one of ``w``,
    of a ``client`` (CLIENT), with the ``reading`` of its list; ``labels`` (int32) is how many each
    local name has.
    """
    name = np.int64(w.candidates[walk["first"]]["name"])
    if walk["mode"] == LIST and walk["base"] >= 0:
        return np.int64(walk["base"]), False
    if walk["mode"] != OPEN and walk["candidates"] > 1:
        return name, False
    chosen, ambiguous = name, False
    most = max(np.int64(client["low"]), np.int64(client["value"]))
    for p in range(reading.starts.shape[0]):
        base = np.int64(reading.bases[name, p])
        if not reading.starts[p] or base < 0 or not 0 < labels[base] <= most:
            continue
        if not ambiguous or labels[base] < labels[chosen]:
            chosen, ambiguous = base, True
    return chosen, ambiguous


@helper_kernel
def _lookup_outcome(transactions: Transactions, count: Int) -> Int:
    """The first of LOOKUP_OUTCOMES, ``resolved`` left out, that any transaction has."""
    for code, outcome in (
        (UNANSWERED, WAITED),
        (SERVFAIL, FAILED),
        (REFUSED, DENIED),
        (OTHER_RCODE, BROKEN),
        (NODATA, EMPTY),
    ):
        for k in range(count):
            if transactions[k]["outcome"] == code:
                return outcome
    return MISSING


@helper_kernel
def suffix_of(reading: Reading, name: Int, base: Int) -> Int:
    """Return the position of the suffix under which a local ``base`` is ``name``, or NO_SUFFIX."""
    for p in range(reading.starts.shape[0]):
        if reading.bases[name, p] == base:
            return np.int64(p)
    return np.int64(NO_SUFFIX)


@helper_kernel
def _first_existing(transactions: Transactions, names: Ids, count: Int) -> Int:
    """Return the first of the local ``names`` of ``count`` ``transactions`` that has NODATA."""
    for k in range(count):
        if transactions[k]["outcome"] == NODATA:
            return np.int64(names[k])
    return np.int64(ABSENT)


@helper_kernel
def classify(
    reading: Reading,
    out: Described,
    lookup: Row,
    transactions: Transactions,
    names: Ids,
    base: Int,
    answered: Int,
    caches: bool,
) -> None:
    """Give every transaction of a lookup its class, and count what follows from it.

    Goes in: the ``reading`` of the list, and whether its resolver ``caches``; the local ``names``
    (int32) of the ``transactions`` (TRANSACTION), that of the ``base``, and the one that was
    ``answered``, or ABSENT; ``out`` knows probes. Comes out: ``lookup`` (LOOKUP) and transactions.
    """
    resolved = bool(answered >= 0)
    count = np.int64(lookup["queries"])
    exists = np.int64(ABSENT) if resolved else _first_existing(transactions, names, count)
    # c-ares keeps a cache: a walk that stops at a failed suffix went on inside it.
    cached = caches and lookup["ambiguous"] and lookup["outcome"] == MISSING
    probe = bool(out.probes[base] != 0)
    shape = np.uint64(lookup["complete"]) + GOLDEN_RATIO
    for k in range(count):
        t = transactions[k]
        t["suffix"] = suffix_of(reading, np.int64(names[k]), base)
        is_base = bool(names[k] == base or (lookup["mode"] == OPEN and not cached))
        t["waste_class"] = waste_class(
            lookup["complete"] != 0,
            t["outcome"],
            t["qtype"],
            probe,
            resolved and names[k] == answered,
            names[k] == exists,
            resolved,
            is_base,
        )
        lookup["retries"] += t["retries"]
        if t["outcome"] == NXDOMAIN:
            lookup["nxdomain"] += 1
            lookup["denied"] |= 1 if is_base else 0
        lookup["wasted"] += 1 if t["waste_class"] in (ABSOLUTE_MISS, SEARCH_MISS) else 0
        part = (np.uint64(t["suffix"] + 1) << np.uint64(32)) | (
            np.uint64(t["qtype"]) << np.uint64(8)
        )
        shape = (shape ^ part ^ np.uint64(t["outcome"])) * SECOND_FACTOR
        shape ^= shape >> np.uint64(29)
    lookup["shape"] = shape


@helper_kernel
def fill_transactions(
    grouped: Grouped, walk: Row, lookup: Row, transactions: Transactions, names: Ids
) -> None:
    """Fill the ``transactions`` (TRANSACTION) of a ``walk`` (WALK), and what ``lookup`` sums up.

    The walk is one of ``grouped``; ``names`` (int32) get the local name of each transaction.
    """
    w = grouped.walks
    count = 0
    candidate = np.int64(walk["first"])
    while candidate >= 0:
        question = np.int64(w.candidates[candidate]["question"])
        while question >= 0:
            if _fill_transaction(grouped.rows, w, question, transactions[count], lookup):
                names[count] = w.candidates[candidate]["name"]
                count += 1
            question = np.int64(w.questions[question]["after"])
        candidate = np.int64(w.candidates[candidate]["after"])
    lookup["queries"] = count


@helper_kernel
def set_outcome(lookup: Row, transactions: Transactions, names: Ids) -> Int:
    """Set when a lookup began and how it ended; return the local name that was answered, ABSENT."""
    count = np.int64(lookup["queries"])
    hit = np.int64(NO_ROW)
    first = np.int64(0)
    for k in range(count):
        if transactions[k]["time"] < transactions[first]["time"]:
            first = np.int64(k)
        if transactions[k]["outcome"] == ANSWER:
            if hit < 0 or transactions[k]["time"] < transactions[hit]["time"]:
                hit = np.int64(k)
    lookup["start"] = transactions[first]["time"]
    lookup["exchange"] = transactions[first]["first"]
    if hit < 0:
        lookup["outcome"] = _lookup_outcome(transactions, count)
        return np.int64(ABSENT)
    lookup["outcome"] = RESOLVED
    asked = transactions[hit]["time"]
    for k in range(count):
        if names[k] == names[hit]:
            asked = min(asked, transactions[k]["time"])
    lookup["wasted_ns"] = asked - lookup["start"]
    return np.int64(names[hit])
