"""Names and questions that are not there in whole: what may stand behind them.

A capture cuts them, or a client sends one that nobody can read: a label that runs past the end of
the message, as musl sends with '.' in its search list.
"""

from __future__ import annotations

import numpy as np

from pcapkit.analysis.lookups.base_names import Lists, Rules
from pcapkit.analysis.lookups.state import (
    CUT_QUESTION,
    LIST,
    NEVER,
    NO_ROW,
    NO_SUFFIX,
    PENDING,
    Walks,
    add_candidate,
    ask,
    finished,
    is_silent,
    keep_at_base,
    question_of,
)
from pcapkit.analysis.timing import LONGEST_TIMEOUT_NS
from pcapkit.kernels.interning import InternerArrays
from pcapkit.kernels.jit import helper_kernel
from pcapkit.names.labels import name_start
from pcapkit.names.table import Folded
from pcapkit.names.text import CUT_LABEL
from pcapkit.schema import ABSENT, Bytes, Exchanges, Int, Row

#: Walks without a readable name that are compared, the newest first.
_AT_UNKNOWN = 8


def name_unread(rows: Exchanges, names: Folded) -> None:
    """Give queries of which nobody can read the question the unknown name, where they were heard.

    ``rows`` (EXCHANGE) get it as ``folded``; their ``qname`` stays ABSENT. Those without any
    response to their client, port and ID are left alone: noise at the port, and no lookup.
    """
    unread = np.flatnonzero((rows["folded"] == ABSENT) & (rows["query_packet"] >= 0))
    if not unread.size:
        return
    mine = rows[unread]
    keys = mine["client"].astype(np.int64) << 32
    keys |= mine["client_port"].astype(np.int64) << 16 | mine["message_id"]
    heard = np.isin(keys, keys[mine["response_packet"] >= 0])
    if heard.any():
        rows["folded"][unread[heard]] = names.add_unknown()


@helper_kernel
def _is_begun(arena: Bytes, at: Int, end: Int, suffix: Bytes) -> bool:
    """Does a ``suffix`` begin as the rest of a name that was cut, ``arena[at:end]``, does?"""
    j = np.int64(0)
    while at < end and arena[at] != 0:
        size = np.int64(arena[at])
        shown = size
        if at + size + 2 == end and size >= len(CUT_LABEL):
            is_cut = True
            for k in range(len(CUT_LABEL)):
                is_cut = is_cut and arena[at + 1 + size - len(CUT_LABEL) + k] == CUT_LABEL[k]
            if is_cut:
                shown = size - len(CUT_LABEL)
        if shown == 0:
            return True
        if suffix[j] == 0 or suffix[j] < shown or (shown == size and suffix[j] != size):
            return False
        for k in range(1, shown + 1):
            if arena[at + k] != suffix[j + k]:
                return False
        if shown < size:
            return True
        at += size + 1
        j += size + 1
    return bool(suffix[j] == 0)


@helper_kernel
def goes_on(
    names: InternerArrays, lists: Lists, number: Int, cut: Int, base: Int, position: Int
) -> bool:
    """Is a name that was cut a base name under a suffix before ``position``?

    ``cut`` and ``base`` are local names of ``lists``, ids of ``names`` stand behind them;
    ``number`` is that of the client's list. Before NO_SUFFIX, all of them are.
    """
    arena, ends = names.arena, names.ends
    cut_id, base_id = np.int64(lists.name_ids[cut]), np.int64(lists.name_ids[base])
    at, begin = name_start(ends, cut_id), name_start(ends, base_id)
    size = ends[base_id] - begin - 1  # without the root
    if size <= 0 or ends[cut_id] - at <= size:
        return False
    for k in range(size):
        if arena[at + k] != arena[begin + k]:
            return False
    first, last = lists.firsts[number], lists.firsts[number + 1]
    for q in range(first, last if position < 0 else first + position):
        suffix = lists.wire[lists.ends[q - 1] if q > 0 else 0 : lists.ends[q]]
        if _is_begun(arena, at + size, ends[cut_id], suffix):
            return True
    return False


@helper_kernel
def cut_question(w: Walks, candidate: Int, e: Row, rules: Rules) -> Int:
    """Return the question that this one, of which the type is cut, asks again; NO_ROW: none yet.

    Two with different IDs, one soon after the other, are both families. ``e`` (EXCHANGE) asks the
    name of ``candidate`` in ``w``; ``rules`` are those of the client.
    """
    first = question_of(w, candidate, CUT_QUESTION)
    count, at = 0, first
    while at >= 0:
        q = w.questions[at]
        if q["qtype"] == CUT_QUESTION:
            count += 1
            if q["message_id"] == e["message_id"]:
                return at
        at = np.int64(q["after"])
    if count == 1 and e["query_time"] - w.questions[first]["asked"] <= rules.near:
        return np.int64(NO_ROW)
    return first


@helper_kernel
def repeats_unread(rows: Exchanges, w: Walks, number: Int, name: Int, oldest: Int) -> bool:
    """Add exchange ``number`` of ``rows``, which nobody can read, to a walk of its kind.

    Nothing tells two such questions apart, be it of both families: what one port asks is one, until
    it is well answered or falls silent. They ask ``name``; the nodes of the client at names in
    ``w`` are those from ``oldest`` on. False where none fits.
    """
    e = rows[number]
    node = np.int64(w.at_name[name])
    for _ in range(_AT_UNKNOWN):
        if node < oldest:
            break
        n = w.name_nodes[node]
        node = np.int64(n["older"])
        question = np.int64(w.candidates[n["candidate"]]["question"])
        q = w.questions[question]
        if q["port"] != e["client_port"] or e["query_time"] - q["asked"] > LONGEST_TIMEOUT_NS:
            continue
        is_done = n["settled"] != NEVER and n["settled"] <= e["query_time"]
        if is_done and q["message_id"] != e["message_id"]:
            continue
        ask(rows, w, np.int64(n["candidate"]), question, number)
        return True
    return False


@helper_kernel
def follow_cut(
    rows: Exchanges,
    w: Walks,
    rules: Rules,
    names: InternerArrays,
    lists: Lists,
    which: Int,
    walk: Int,
    number: Int,
) -> bool:
    """Add exchange ``number`` of ``rows`` to a walk of which the first name was cut, if it follows.

    ``walk`` is the walk's number in ``w``. ``rules`` are those of the client, whose list is number
    ``which`` of ``lists``; ``names`` are those of the interner.
    """
    x, e = w.walks[walk], rows[number]
    c = w.candidates[x["last"]]
    name = np.int64(lists.local_names[number])
    if x["candidates"] != 1 or question_of(w, np.int64(x["last"]), CUT_QUESTION) < 0:
        return False
    end = finished(w, np.int64(x["last"]), e["query_time"])
    if end == PENDING:
        return False
    limit = LONGEST_TIMEOUT_NS if is_silent(w, np.int64(x["last"]), e["query_time"]) else rules.near
    if e["query_time"] - end > limit:
        return False
    for k in range(rules.by_size.shape[0] + 1):
        position, base = np.int64(NO_SUFFIX), name
        if k < rules.by_size.shape[0]:
            position = np.int64(rules.by_size[k])
            base = np.int64(rules.bases[name, position])
        if base >= 0 and goes_on(names, lists, which, np.int64(c["name"]), base, position):
            x["base"] = base
            x["mode"] = LIST
            x["closed"] = 1 if position < 0 else 0
            keep_at_base(w, base, walk)
            w.name_nodes[c["node"]]["alive"] = 0
            add_candidate(rows, w, walk, number, name, position)
            return True
    return False
