"""Describe each walk as a lookup: its base name, outcome, whether it is whole, and its queries.

Grouping says which exchanges belong together; this says what they mean, now that the client's
ndots and resolver are known.
"""

from __future__ import annotations

import numpy as np

from pcapkit.analysis.lookups.base_names import Lists, Reading, reading_of
from pcapkit.analysis.lookups.hidden import (
    is_cut,
    is_rest,
    lacks_candidate,
    lacks_family,
    leave_out,
)
from pcapkit.analysis.lookups.outcomes import (
    FAILED,
    LOOKUPS,
    RESOLVED,
    TRANSACTIONS,
    Described,
    Grouped,
    choose_base,
    classify,
    fill_transactions,
    set_outcome,
)
from pcapkit.analysis.lookups.state import AS_IS, LIST, OPEN
from pcapkit.analysis.timing import AGAIN_NS
from pcapkit.codes import SERVFAIL
from pcapkit.kernels.jit import helper_kernel, kernel
from pcapkit.schema import ABSENT, NO_TIME, Exchanges, Int, Row, Rows

#: ``absolute`` of a lookup.
_NOT_ABSOLUTE, _ABSOLUTE, _UNKNOWN = 0, 1, -1


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
    base, ambiguous = choose_base(grouped.walks, reading, lists.labels, walk, client)
    out.base_of[at] = base
    lookup["base"] = lists.name_ids[base]
    lookup["ambiguous"] = ambiguous
    lookup["end"] = NO_TIME
    lookup["walk_of"] = ABSENT
    lookup["parallel"] = walk["parallel"]
    lookup["candidates"] = walk["candidates"]
    fill_transactions(grouped, walk, lookup, transactions, names)
    answered = set_outcome(lookup, transactions, names)
    lookup["answered_by"] = lists.name_ids[answered] if answered >= 0 else ABSENT
    suffixes = reading.starts.shape[0]
    cut = is_cut(grouped, walk, lookup, transactions, names, client, suffixes, out)
    count = np.int64(lookup["queries"])
    holes = lacks_candidate(grouped.walks, reading, walk, client)
    holes = holes or lacks_family(walk, client, transactions, names, count, answered)
    lookup["holes"] = holes
    lookup["crowded"] = walk["crowded"]
    lookup["complete"] = 0 if walk["cut_start"] or cut or holes else 1
    lookup["mode"] = walk["mode"]
    if walk["candidates"] == 1:
        lookup["mode"] = OPEN if ambiguous else AS_IS
    caches = client["caches"] != 0
    classify(reading, out, lookup, transactions, names, base, answered, caches)
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
def _mark_absolute(
    rows: Exchanges, lists: Lists, out: Described, first: Int, last: Int, low: Int, searcher: Int
) -> None:
    """Mark what only a final dot explains: too few dots for as is, or searched elsewhere.

    The lookups of the client in ``out``, of ``rows`` whose names are in ``lists``, are those from
    ``first`` to before ``last``. Names with ``low`` dots or more may be asked as is; those that the
    client searched are marked ``searcher``.
    """
    labels = lists.labels
    for number in range(first, last):
        lookup = out.lookups[number]
        base = out.base_of[number]
        lookup["absolute"] = _UNKNOWN
        if lookup["candidates"] > 1:
            if lookup["mode"] != OPEN:
                lookup["absolute"] = _NOT_ABSOLUTE
        elif lookup["mode"] == AS_IS:
            if is_rest(rows, lists, out, number, first, last):
                leave_out(out, lookup)
            elif labels[base] - 1 < low or out.searched[base] == searcher:
                lookup["absolute"] = _ABSOLUTE


@kernel
def describe_clients(grouped: Grouped, clients: Rows, out: Described) -> None:
    """Describe the walks of every client, one client after the other.

    Goes in: what is ``grouped``, of ``clients`` (CLIENT). Comes out: the rows of ``out``, and each
    client's ``index``; those without lookups get none. :func:`compare_lookups` completes them.
    """
    lists, w = grouped.lists, grouped.walks
    described = 0
    for c in range(clients.shape[0]):
        client = clients[c]
        client["index"] = ABSENT
        reading = reading_of(lists, client["list"])
        oldest = out.used[LOOKUPS]
        for number in range(client["first_walk"], client["last_walk"]):
            walk = w.walks[number]
            if not walk["captured"]:
                continue
            at, first = out.used[LOOKUPS], out.used[TRANSACTIONS]
            lookup = out.lookups[at]
            lookup["client"] = described
            lookup["first"] = first
            out.opened_by[at] = w.questions[w.candidates[walk["first"]]["question"]]["first"]
            _describe_walk(grouped, reading, walk, client, at, first, out)
            _note_repetition(grouped.rows, out, at, np.int64(out.base_of[at]), oldest)
            out.used[LOOKUPS] = at + 1
            out.used[TRANSACTIONS] = first + lookup["queries"]
        if out.used[LOOKUPS] > oldest:
            client["index"] = described
            described += 1


@kernel
def compare_lookups(rows: Exchanges, lists: Lists, clients: Rows, out: Described) -> bool:
    """Complete lookups by what all of their client say: ``absolute``, and rests of walks.

    Goes in: ``rows`` (EXCHANGE), their names in ``lists``; ``clients`` (CLIENT), as
    :func:`describe_clients` left them. Comes out: the lookups of ``out``. Returns whether those of
    each client are in the order of their first queries.
    """
    in_order = True
    last = np.int64(0)
    for c in range(clients.shape[0]):
        client = clients[c]
        if client["index"] < 0:
            continue
        first = last
        while last < out.used[LOOKUPS] and out.lookups[last]["client"] == client["index"]:
            lookup, base = out.lookups[last], out.base_of[last]
            out.previous[base] = last
            if lookup["mode"] == LIST and lookup["candidates"] > 1:
                out.searched[base] = c + 1
            if last > first and lookup["start"] < out.lookups[last - 1]["start"]:
                in_order = False
            last += 1
        _mark_absolute(rows, lists, out, first, last, np.int64(client["low"]), c + 1)
    return in_order
