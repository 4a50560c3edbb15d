"""Describe each walk as a lookup: its base name, outcome, whether it is whole, and its queries.

Grouping says which exchanges belong together; this says what they mean, now that the client's
ndots and resolver are known. Names are local names (see ``base_names.py``) in walks, and ids in the
rows that are described.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pcapkit.analysis.lookups.base_names import Lists, Reading, reading_of
from pcapkit.analysis.lookups.state import AS_IS, LIST, NO_ROW, NO_SUFFIX, OPEN, Walks
from pcapkit.analysis.lookups.waste import ABSOLUTE_MISS, INCOMPLETE, SEARCH_MISS, waste_class
from pcapkit.analysis.timing import AGAIN_NS, GOES_ON_NS, WAITS_NS, WAITS_WITHOUT_CLOCK_NS
from pcapkit.codes import (
    ANSWER,
    NODATA,
    NXDOMAIN,
    OTHER_RCODE,
    REFUSED,
    SERVFAIL,
    TYPE_A,
    TYPE_AAAA,
    UNANSWERED,
)
from pcapkit.kernels.hashing import GOLDEN_RATIO, SECOND_FACTOR
from pcapkit.kernels.jit import helper_kernel, kernel
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
    Rows,
    Transactions,
)

#: Indexes of model.LOOKUP_OUTCOMES.
RESOLVED, WAITED, FAILED, DENIED, BROKEN, EMPTY, MISSING = range(7)
_PLAIN_BYTES = 512  # the most that a response has without EDNS (RFC 1035 section 4.2.1)
#: Walks of one client, the first ones of a file, that may have begun before it.
_MOST_RESTS = 8
#: ``absolute`` of a lookup.
_NOT_ABSOLUTE, _ABSOLUTE, _UNKNOWN = 0, 1, -1
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
def _choose_base(
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
def _last_time(grouped: Grouped, first: Int) -> Int:
    """Return when the exchanges from ``first`` on ended: the last response, or unanswered query."""
    newest = np.int64(NO_TIME)
    x = np.int64(first)
    while x >= 0:
        e = grouped.rows[x]
        if e["query_packet"] >= 0:
            unanswered = e["response_time"] == NO_TIME
            newest = max(newest, e["query_time"] if unanswered else e["response_time"])
        x = np.int64(grouped.walks.next_exchange[x])
    return newest


@helper_kernel
def _is_cut(
    grouped: Grouped,
    walk: Row,
    lookup: Row,
    transactions: Transactions,
    names: Ids,
    client: Row,
    suffixes: Int,
    out: Described,
) -> bool:
    """Does the capture end while a further query of this walk was still due?

    ``walk`` (WALK) is one of ``grouped``, of a ``client`` (CLIENT) whose list has so many
    ``suffixes``; ``lookup`` (LOOKUP) with its ``transactions`` (TRANSACTION) and their local
    ``names`` (int32) is what is known of it. ``out`` says when the capture ends.
    """
    if lookup["outcome"] == RESOLVED or walk["parallel"]:
        return False
    last = grouped.walks.candidates[walk["last"]]
    newest = np.int64(NO_TIME)
    sent, mine, waiting, failed, empty = 0, 0, False, False, False
    for k in range(lookup["queries"]):
        if names[k] != last["name"]:
            continue
        t = transactions[k]
        mine += 1
        sent += t["retries"] + 1
        waiting = waiting or t["outcome"] == UNANSWERED
        failed = failed or not (t["outcome"] == NXDOMAIN or t["outcome"] == NODATA)
        empty = empty or t["outcome"] == NODATA
        newest = max(newest, np.int64(_last_time(grouped, t["first"])))
    if mine == 0:
        return False
    limit = WAITS_WITHOUT_CLOCK_NS
    if out.has_clock:
        limit = WAITS_NS if waiting else GOES_ON_NS
    if out.capture_end - newest > limit:
        return False
    if waiting:
        return bool(sent <= mine)
    if failed or (empty and client["stops_on_nodata"]):
        return False
    if walk["mode"] == LIST:
        return not walk["closed"]
    if walk["mode"] == AS_IS and walk["candidates"] > 1:
        return bool(last["position"] < suffixes - 1)
    return bool(walk["mode"] == OPEN and lookup["ambiguous"] and client["known"])


@helper_kernel
def _suffix_of(reading: Reading, name: Int, base: Int) -> Int:
    for p in range(reading.starts.shape[0]):
        if reading.bases[name, p] == base and name != base:  # under '.' it is the name as is
            return np.int64(p)
    return np.int64(NO_SUFFIX)


@helper_kernel
def _may_have_holes(walk: Row, client: Row) -> bool:
    """Is this a walk of several candidates, in turn, in a log, which may lack some of its queries?

    One replica of several logs only some of a walk's queries, and a log may begin within a walk.
    """
    return bool(client["logged"] and not walk["parallel"] and walk["candidates"] > 1)


@helper_kernel
def _lacks_candidate(w: Walks, reading: Reading, walk: Row, client: Row) -> bool:
    """Does a log lack a candidate of a walk through the list?

    ``walk`` (WALK) is one of ``w``, of a ``client`` (CLIENT), with the ``reading`` of its
    list.
    """
    if walk["mode"] != LIST or not _may_have_holes(walk, client):
        return False
    if client["headless"]:
        return True
    position = np.int64(-1)
    at = np.int64(walk["first"])
    while at >= 0:
        name = np.int64(w.candidates[at]["name"])
        here = np.int64(_suffix_of(reading, name, np.int64(walk["base"])))
        if here < 0:
            here = np.int64(reading.starts.shape[0])
        if here != position + 1:
            return True
        position = here
        at = np.int64(w.candidates[at]["after"])
    return False


@helper_kernel
def _families(transactions: Transactions, names: Ids, count: Int, name: Int) -> Int:
    """Say of which families a candidate was asked: 1 for IPv4, 2 for IPv6, 3 for both.

    ``name`` is one of the local ``names`` (int32) of ``count`` ``transactions`` (TRANSACTION).
    """
    asked = 0
    for k in range(count):
        if names[k] == name:
            if transactions[k]["qtype"] == TYPE_A:
                asked |= 1
            elif transactions[k]["qtype"] == TYPE_AAAA:
                asked |= 2
    return asked


@helper_kernel
def _lacks_family(
    walk: Row, client: Row, transactions: Transactions, names: Ids, count: Int, answered: Int
) -> bool:
    """Does a log lack one family of a candidate that others of the walk were asked for?

    Goes in: ``walk`` (WALK) of a ``client`` (CLIENT); the local ``names`` (int32) of its ``count``
    ``transactions`` (TRANSACTION), and the one that was ``answered``, or ABSENT.
    """
    if not _may_have_holes(walk, client):
        return False
    both, one = False, False
    for k in range(count):
        asked = _families(transactions, names, count, np.int64(names[k]))
        both = both or asked == 3
        one = one or (asked in (1, 2) and names[k] != answered)
    return both and one


@helper_kernel
def _first_existing(transactions: Transactions, names: Ids, count: Int) -> Int:
    """Return the first of the local ``names`` of ``count`` ``transactions`` that has NODATA."""
    for k in range(count):
        if transactions[k]["outcome"] == NODATA:
            return np.int64(names[k])
    return np.int64(ABSENT)


@helper_kernel
def _classify(
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
        t["suffix"] = _suffix_of(reading, np.int64(names[k]), base)
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
def _fill_transactions(
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
def _set_outcome(lookup: Row, transactions: Transactions, names: Ids) -> Int:
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


@helper_kernel
def _describe_walk(
    grouped: Grouped, reading: Reading, walk: Row, client: Row, at: Int, first: Int, out: Described
) -> None:
    """Fill lookup ``at`` of ``out`` and its transactions, which begin at ``first``.

    ``walk`` (WALK) is one of ``grouped``, of a ``client`` (CLIENT), with the ``reading`` of its
    list.
    """
    lists = grouped.lists
    lookup = out.lookups[at]
    transactions, names = out.transactions[first:], out.name_of[first:]
    base, ambiguous = _choose_base(grouped.walks, reading, lists.labels, walk, client)
    out.base_of[at] = base
    lookup["base"] = lists.name_ids[base]
    lookup["ambiguous"] = ambiguous
    lookup["end"] = NO_TIME
    lookup["walk_of"] = ABSENT
    lookup["parallel"] = walk["parallel"]
    lookup["candidates"] = walk["candidates"]
    _fill_transactions(grouped, walk, lookup, transactions, names)
    answered = _set_outcome(lookup, transactions, names)
    lookup["answered_by"] = lists.name_ids[answered] if answered >= 0 else ABSENT
    suffixes = reading.starts.shape[0]
    cut = _is_cut(grouped, walk, lookup, transactions, names, client, suffixes, out)
    count = np.int64(lookup["queries"])
    holes = _lacks_candidate(grouped.walks, reading, walk, client)
    holes = holes or _lacks_family(walk, client, transactions, names, count, answered)
    lookup["holes"] = holes
    lookup["complete"] = 0 if walk["cut_start"] or cut or holes else 1
    lookup["mode"] = walk["mode"]
    if walk["candidates"] == 1:
        lookup["mode"] = OPEN if ambiguous else AS_IS
    caches = client["caches"] != 0
    _classify(reading, out, lookup, transactions, names, base, answered, caches)
    for k in range(count):
        if client["fails_on_one"] and names[k] == answered:
            if transactions[k]["outcome"] == SERVFAIL:
                lookup["outcome"] = FAILED  # musl's EAI_AGAIN, whatever the other family got
        transactions[k]["name"] = lists.name_ids[names[k]]
        transactions[k]["lookup"] = at


@helper_kernel
def _note_repetition(rows: Exchanges, out: Described, at: Int, base: Int, oldest: Int) -> None:
    """Note which lookup of the same client lookup ``at`` goes on with, of the same call.

    It walks again because the answer was large, or, from the same port, for the other family. Both
    are of ``base``, a local name; the lookups of the client in ``out`` are those from ``oldest``
    on, and ``rows`` are their exchanges.
    """
    lookup = out.lookups[at]
    before = np.int64(out.previous[base])
    out.previous[base] = at
    if before < oldest:
        return
    was = out.lookups[before]
    gap = lookup["start"] - was["end"]
    if gap < 0 or gap > AGAIN_NS:
        return
    one, other = rows[was["exchange"]], rows[lookup["exchange"]]
    many = was["candidates"] > 1 and lookup["candidates"] > 1
    for_other = many and one["client_port"] == other["client_port"]
    for_other = for_other and one["qtype"] != other["qtype"] and one["edns_bytes"] < 0
    if for_other or (was["outcome"] == RESOLVED and was["large"]):
        lookup["walk_of"] = was["walk_of"] if was["walk_of"] >= 0 else before


@helper_kernel
def _leave_out(out: Described, lookup: Row) -> None:
    """Make ``lookup`` (LOOKUP) in ``out``, which was taken for whole, incomplete."""
    lookup["complete"] = 0
    lookup["wasted"] = 0
    lookup["shape"] = lookup["shape"] * SECOND_FACTOR + GOLDEN_RATIO
    for k in range(lookup["first"], lookup["first"] + lookup["queries"]):
        out.transactions[k]["waste_class"] = INCOMPLETE


@helper_kernel
def _is_rest(grouped: Grouped, out: Described, number: Int, first: Int) -> bool:
    """Does a lookup that asked a name as is lack its suffixes, asked before the capture?

    It is ``number`` in ``out``, at the beginning of a file that shows the name searched, too; the
    lookups of its client are those from ``first`` on. Their exchanges are ``grouped``. A client
    that asks a name alone, as is, later as well, may write names with a final dot, or be two.
    """
    lookup = out.lookups[number]
    if lookup["start"] - grouped.lists.begin > grouped.lists.gaps.near:
        return False
    if number - first >= _MOST_RESTS:
        return False
    dots = grouped.lists.labels[out.base_of[number]]
    for k in range(first, out.used[LOOKUPS]):
        later = out.lookups[k]
        if later["mode"] == AS_IS and later["candidates"] == 1 and k != number:
            is_early = later["start"] - grouped.lists.begin <= grouped.lists.gaps.near
            if grouped.lists.labels[out.base_of[k]] <= dots and not is_early:
                return False
    last = np.int64(out.previous[out.base_of[number]])
    if last < first:
        return False
    other = out.lookups[last]
    if other["mode"] != LIST or other["candidates"] == 1:
        return False
    one, two = grouped.rows[lookup["exchange"]], grouped.rows[other["exchange"]]
    return bool(one["capture"] == two["capture"] and one["edns_bytes"] == two["edns_bytes"])


@helper_kernel
def _mark_absolute(grouped: Grouped, out: Described, first: Int, low: Int, searcher: Int) -> None:
    """Mark what only a final dot explains: too few dots for as is, or searched elsewhere.

    The lookups of the client in ``out``, of what is ``grouped``, are those from ``first`` on. Names
    with ``low`` dots or more may be asked as is; those that the client searched are marked
    ``searcher``.
    """
    labels = grouped.lists.labels
    for number in range(first, out.used[LOOKUPS]):
        lookup = out.lookups[number]
        base = out.base_of[number]
        lookup["absolute"] = _UNKNOWN
        if lookup["candidates"] > 1:
            if lookup["mode"] != OPEN:
                lookup["absolute"] = _NOT_ABSOLUTE
        elif lookup["mode"] == AS_IS:
            if _is_rest(grouped, out, number, first):
                _leave_out(out, lookup)
            elif labels[base] - 1 < low or out.searched[base] == searcher:
                lookup["absolute"] = _ABSOLUTE


@kernel
def describe_clients(grouped: Grouped, clients: Rows, out: Described) -> bool:
    """Describe the walks of every client, one client after the other.

    Goes in: what is ``grouped``, of ``clients`` (CLIENT). Comes out: the rows of ``out``, and each
    client's ``index``; those without lookups get none. Returns whether the lookups of each client
    are in the order of their first queries.
    """
    lists = grouped.lists
    in_order = True
    described = 0
    for c in range(clients.shape[0]):
        client = clients[c]
        client["index"] = ABSENT
        reading = reading_of(lists, client["list"])
        oldest = out.used[LOOKUPS]
        for number in range(client["first_walk"], client["last_walk"]):
            walk = grouped.walks.walks[number]
            if not walk["captured"]:
                continue
            at, first = out.used[LOOKUPS], out.used[TRANSACTIONS]
            lookup = out.lookups[at]
            lookup["client"] = described
            lookup["first"] = first
            _describe_walk(grouped, reading, walk, client, at, first, out)
            base = np.int64(out.base_of[at])
            if lookup["mode"] == LIST and lookup["candidates"] > 1:
                out.searched[base] = c + 1
            _note_repetition(grouped.rows, out, at, base, oldest)
            if at > oldest and lookup["start"] < out.lookups[at - 1]["start"]:
                in_order = False
            out.used[LOOKUPS] = at + 1
            out.used[TRANSACTIONS] = first + lookup["queries"]
        if out.used[LOOKUPS] > oldest:
            client["index"] = described
            described += 1
            _mark_absolute(grouped, out, oldest, client["low"], c + 1)
    return in_order
