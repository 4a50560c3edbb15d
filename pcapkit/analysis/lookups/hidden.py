"""What of a lookup a capture, or a log, does not show: it began earlier, goes on later, has holes.

A capture ends, or begins, within walks; the log of one replica of several lacks some queries.
"""

from __future__ import annotations

import numpy as np

from pcapkit.analysis.lookups.base_names import Lists, Reading
from pcapkit.analysis.lookups.outcomes import RESOLVED, Described, Grouped, suffix_of
from pcapkit.analysis.lookups.state import AS_IS, LIST, OPEN, Walks
from pcapkit.analysis.lookups.waste import INCOMPLETE
from pcapkit.analysis.timing import GOES_ON_NS, WAITS_NS, WAITS_WITHOUT_CLOCK_NS
from pcapkit.codes import NODATA, NXDOMAIN, TYPE_A, TYPE_AAAA, UNANSWERED
from pcapkit.kernels.hashing import GOLDEN_RATIO, SECOND_FACTOR
from pcapkit.kernels.jit import helper_kernel
from pcapkit.schema import NO_TIME, Exchanges, Ids, Int, Row, Transactions

#: Walks of one client, the first ones of a file, that may have begun before it.
_MOST_RESTS = 8


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
def is_cut(
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
    ``names`` (int32) is what is known of it. ``out`` says when the capture ends. Where all
    candidates are asked at once (busybox), what is due is one of these questions again.
    """
    if lookup["outcome"] == RESOLVED:
        return False
    last = grouped.walks.candidates[walk["last"]]
    newest = np.int64(NO_TIME)
    sent, mine, waiting, failed, empty = 0, 0, False, False, False
    for k in range(lookup["queries"]):
        if names[k] != last["name"] and not walk["parallel"]:
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
    if walk["parallel"] or failed or (empty and client["stops_on_nodata"]):
        return False
    if walk["mode"] == LIST:
        return not walk["closed"]
    if walk["mode"] == AS_IS and walk["candidates"] > 1:
        return bool(last["position"] < suffixes - 1)
    return bool(walk["mode"] == OPEN and lookup["ambiguous"] and client["known"])


@helper_kernel
def _may_have_holes(walk: Row, client: Row) -> bool:
    """Is this a walk of several candidates, in turn, in a log, which may lack some of its queries?

    One replica of several logs only some of a walk's queries, and a log may begin within a walk.
    """
    return bool(client["logged"] and not walk["parallel"] and walk["candidates"] > 1)


@helper_kernel
def lacks_candidate(w: Walks, reading: Reading, walk: Row, client: Row) -> bool:
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
        here = np.int64(suffix_of(reading, name, np.int64(walk["base"])))
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
def lacks_family(
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
def leave_out(out: Described, lookup: Row) -> None:
    """Make ``lookup`` (LOOKUP) in ``out``, which was taken for whole, incomplete."""
    lookup["complete"] = 0
    lookup["wasted"] = 0
    lookup["shape"] = lookup["shape"] * SECOND_FACTOR + GOLDEN_RATIO
    for k in range(lookup["first"], lookup["first"] + lookup["queries"]):
        out.transactions[k]["waste_class"] = INCOMPLETE


@helper_kernel
def is_rest(
    rows: Exchanges, lists: Lists, out: Described, number: Int, first: Int, last: Int
) -> bool:
    """Does a lookup that asked a name as is lack its suffixes, asked before the capture?

    It is ``number`` in ``out``, at the beginning of a capture that shows the name searched, too.
    The lookups of its client are those from ``first`` to before ``last``; their exchanges are
    ``rows``, their names in ``lists``. A client that asks a name alone, as is, later as well, may
    write names with a final dot, or be two.
    """
    lookup = out.lookups[number]
    if lookup["start"] - lists.begin > lists.gaps.near:
        return False
    if number - first >= _MOST_RESTS:
        return False
    dots = lists.labels[out.base_of[number]]
    for k in range(first, last):
        later = out.lookups[k]
        if later["mode"] == AS_IS and later["candidates"] == 1 and k != number:
            is_early = later["start"] - lists.begin <= lists.gaps.near
            if lists.labels[out.base_of[k]] <= dots and not is_early:
                return False
    other = out.lookups[out.previous[out.base_of[number]]]
    if other["mode"] != LIST or other["candidates"] == 1:
        return False
    one, two = rows[lookup["exchange"]], rows[other["exchange"]]
    return bool(one["edns_bytes"] == two["edns_bytes"])
