"""Describe each walk as a lookup: its base name, outcome, whether it is whole, and its queries.

Grouping says which exchanges belong together; this says what they mean, now that the client's
ndots and resolver are known.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.lookups.base_names import rules_of
from pcapkit.analysis.lookups.state import AS_IS, LIST, OPEN
from pcapkit.analysis.lookups.waste import waste_class
from pcapkit.analysis.timing import AGAIN_NS, GOES_ON_NS, WAITS_NS, WAITS_WITHOUT_CLOCK_NS
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, OTHER_RCODE, REFUSED, SERVFAIL, UNANSWERED
from pcapkit.kernels.jit import helper_kernel, kernel
from pcapkit.schema import NO_TIME

#: Indexes of model.LOOKUP_OUTCOMES.
RESOLVED, WAITED, FAILED, DENIED, BROKEN, EMPTY, MISSING = range(7)
_PLAIN_BYTES = 512


class Described(NamedTuple):
    """What a description is written to, and what it needs beside the walks."""

    lookups: npt.NDArray[Any]  # LOOKUP
    transactions: npt.NDArray[Any]  # TRANSACTION
    used: npt.NDArray[np.int64]  # [lookups, transactions]
    probes: npt.NDArray[np.uint8]  # by place: names that client libraries ask by themselves
    base_of: npt.NDArray[np.int32]  # by lookup: the place of its base
    previous: npt.NDArray[np.int32]  # by place: the last lookup of that base, -1
    searched: npt.NDArray[np.int32]  # by place: 1 + the last client that searched it first
    capture_end: int
    has_clock: bool


@helper_kernel
def _outcome(rows: Any, w: Any, question: Any) -> Any:
    """An answer if any exchange has one, else the outcome of the last response."""
    newest = np.int64(-1)
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
def _fill_transaction(rows: Any, w: Any, question: Any, t: Any, x_look: Any) -> Any:
    """Fill ``t`` from a question; False where no query of it was captured."""
    q = w.questions[question]
    t["first"] = -1
    t["response"] = -1
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
                best = np.int64(t["response"])
                better = True
                if best >= 0:
                    was, now = rows[best]["outcome"] == ANSWER, e["outcome"] == ANSWER
                    better = now and not was
                    if was == now:
                        better = e["response_time"] > rows[best]["response_time"]
                if better:
                    t["response"] = x
            if e["tc"] or e["response_bytes"] > _PLAIN_BYTES:
                x_look["large"] = 1
            x_look["end"] = max(x_look["end"], ended)
        x = np.int64(w.next_exchange[x])
    if sent == 0:
        return False
    t["qtype"] = q["qtype"]
    t["retries"] = sent - 1
    t["outcome"] = _outcome(rows, w, question)
    return True


@helper_kernel
def _choose_base(w: Any, rules: Any, labels: Any, walk: Any, client: Any, look: Any) -> None:
    """Set base and ambiguous: a first candidate that ended the walk can be read several ways."""
    name = np.int64(w.candidates[walk["first"]]["name"])
    look["base"] = name
    look["ambiguous"] = 0
    if walk["mode"] == LIST and walk["base"] >= 0:
        look["base"] = walk["base"]
        return
    if walk["mode"] != OPEN and walk["candidates"] > 1:
        return
    most = max(np.int64(client["low"]), np.int64(client["value"]))
    for p in range(rules.starts.shape[0]):
        base = np.int64(rules.bases[name, p])
        if not rules.starts[p] or base < 0 or not 0 < labels[base] <= most:
            continue
        if not look["ambiguous"] or labels[base] < labels[look["base"]]:
            look["base"] = base
            look["ambiguous"] = 1


@helper_kernel
def _is_cut(
    rows: Any,
    w: Any,
    walk: Any,
    look: Any,
    transactions: Any,
    client: Any,
    suffixes: Any,
    capture_end: Any,
    has_clock: bool,
) -> Any:
    """Does the capture end while a further query of this walk was still due?"""
    if look["answered_by"] >= 0 or walk["parallel"]:
        return False
    last = w.candidates[walk["last"]]
    newest = np.int64(NO_TIME)
    sent, mine, waiting, failed, empty = 0, 0, False, False, False
    for k in range(look["queries"]):
        t = transactions[k]
        if t["name"] != last["name"]:
            continue
        mine += 1
        sent += t["retries"] + 1
        waiting = waiting or t["outcome"] == UNANSWERED
        failed = failed or not (t["outcome"] == NXDOMAIN or t["outcome"] == NODATA)
        empty = empty or t["outcome"] == NODATA
        x = np.int64(t["first"])
        while x >= 0:
            e = rows[x]
            if e["query_packet"] >= 0:
                unanswered = e["response_time"] == NO_TIME
                newest = max(newest, e["query_time"] if unanswered else e["response_time"])
            x = np.int64(w.next_exchange[x])
    if mine == 0:
        return False
    limit = WAITS_WITHOUT_CLOCK_NS
    if has_clock:
        limit = WAITS_NS if waiting else GOES_ON_NS
    if capture_end - newest > limit:
        return False
    if waiting:
        return bool(sent <= mine)
    if failed or (empty and client["stops_on_nodata"]):
        return False
    if walk["mode"] == LIST:
        return not walk["closed"]
    if walk["mode"] == AS_IS and walk["candidates"] > 1:
        return bool(last["position"] < suffixes - 1)
    return bool(walk["mode"] == OPEN and look["ambiguous"] and client["known"])


@helper_kernel
def _lookup_outcome(transactions: Any, count: Any) -> Any:
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
def _suffix_of(rules: Any, name: Any, base: Any) -> Any:
    for p in range(rules.starts.shape[0]):
        if rules.bases[name, p] == base:
            return np.int64(p)
    return np.int64(-1)


@helper_kernel
def _classify(rules: Any, probes: Any, look: Any, transactions: Any, caches: bool) -> None:
    """Give every transaction of a lookup its class, and count what follows from it."""
    resolved = look["answered_by"] >= 0
    exists = np.int64(-1)
    for k in range(look["queries"]):
        if not resolved and exists < 0 and transactions[k]["outcome"] == NODATA:
            exists = np.int64(transactions[k]["name"])
    # c-ares keeps a cache: a walk that stops at a failed suffix went on inside it.
    cached = caches and look["ambiguous"] and look["outcome"] == MISSING
    probe = probes[look["base"]] != 0
    shape = np.uint64(look["complete"]) + np.uint64(0x9E3779B97F4A7C15)
    for k in range(look["queries"]):
        t = transactions[k]
        t["suffix"] = _suffix_of(rules, np.int64(t["name"]), np.int64(look["base"]))
        is_base = t["name"] == look["base"] or (look["mode"] == OPEN and not cached)
        t["waste_class"] = waste_class(
            look["complete"] != 0,
            t["outcome"],
            t["qtype"],
            probe,
            resolved and t["name"] == look["answered_by"],
            t["name"] == exists,
            resolved,
            is_base,
        )
        look["retries"] += t["retries"]
        look["nxdomain"] += 1 if t["outcome"] == NXDOMAIN else 0
        look["wasted"] += 1 if t["waste_class"] in (8, 10) else 0
        part = (np.uint64(t["suffix"] + 1) << np.uint64(32)) | (
            np.uint64(t["qtype"]) << np.uint64(8)
        )
        shape = (shape ^ part ^ np.uint64(t["outcome"])) * np.uint64(0xC2B2AE3D27D4EB4F)
        shape ^= shape >> np.uint64(29)
    look["shape"] = shape


@helper_kernel
def _describe_walk(
    rows: Any,
    w: Any,
    rules: Any,
    lists: Any,
    walk: Any,
    client: Any,
    look: Any,
    transactions: Any,
    out: Any,
) -> Any:
    """Fill one lookup and its transactions; return the place of its base."""
    _choose_base(w, rules, lists.labels, walk, client, look)
    look["end"] = NO_TIME
    look["answered_by"] = -1
    look["walk_of"] = -1
    look["parallel"] = walk["parallel"]
    look["candidates"] = walk["candidates"]
    count = 0
    candidate = np.int64(walk["first"])
    while candidate >= 0:
        question = np.int64(w.candidates[candidate]["question"])
        while question >= 0:
            t = transactions[count]
            if _fill_transaction(rows, w, question, t, look):
                t["name"] = w.candidates[candidate]["name"]
                count += 1
            question = np.int64(w.questions[question]["after"])
        candidate = np.int64(w.candidates[candidate]["after"])
    look["queries"] = count
    hit = np.int64(-1)
    first = np.int64(0)
    for k in range(count):
        if transactions[k]["time"] < transactions[first]["time"]:
            first = np.int64(k)
        if transactions[k]["outcome"] == ANSWER:
            if hit < 0 or transactions[k]["time"] < transactions[hit]["time"]:
                hit = np.int64(k)
    look["start"] = transactions[first]["time"]
    look["exchange"] = transactions[first]["first"]
    if hit >= 0:
        look["answered_by"] = transactions[hit]["name"]
        look["outcome"] = RESOLVED
        asked = transactions[hit]["time"]
        for k in range(count):
            if transactions[k]["name"] == look["answered_by"]:
                asked = min(asked, transactions[k]["time"])
        look["wasted_ns"] = asked - look["start"]
    else:
        look["outcome"] = _lookup_outcome(transactions, count)
    cut = _is_cut(
        rows,
        w,
        walk,
        look,
        transactions,
        client,
        rules.starts.shape[0],
        out.capture_end,
        out.has_clock,
    )
    look["complete"] = 0 if walk["cut_start"] or cut else 1
    look["mode"] = walk["mode"]
    if walk["candidates"] == 1:
        look["mode"] = OPEN if look["ambiguous"] else AS_IS
    _classify(rules, out.probes, look, transactions, client["caches"] != 0)
    base = np.int64(look["base"])
    look["base"] = lists.name_of[base]
    if hit >= 0:
        look["answered_by"] = lists.name_of[look["answered_by"]]
    for k in range(count):
        transactions[k]["name"] = lists.name_of[transactions[k]["name"]]
    return base


@helper_kernel
def _note_repetition(out: Any, at: Any, base: Any, oldest: Any) -> None:
    """Note which lookup of the same client this one repeats because its answer was large."""
    look = out.lookups[at]
    before = np.int64(out.previous[base])
    out.previous[base] = at
    if before < oldest:
        return
    was = out.lookups[before]
    gap = look["start"] - was["end"]
    if was["outcome"] == RESOLVED and was["large"] and 0 <= gap <= AGAIN_NS:
        look["walk_of"] = was["walk_of"] if was["walk_of"] >= 0 else before


@helper_kernel
def _mark_absolute(out: Any, first: Any, labels: Any, low: Any, stamp: Any) -> None:
    """Mark what only a final dot explains: too few dots for as is, or searched elsewhere."""
    for number in range(first, out.used[0]):
        look = out.lookups[number]
        base = out.base_of[number]
        look["absolute"] = -1
        if look["candidates"] > 1:
            if look["mode"] != OPEN:
                look["absolute"] = 0
        elif look["mode"] == AS_IS and (labels[base] - 1 < low or out.searched[base] == stamp):
            look["absolute"] = 1


@kernel
def describe_clients(rows: Any, w: Any, lists: Any, clients: Any, out: Any) -> Any:
    """Describe the walks of every client (CLIENT rows), one client after the other.

    Clients without lookups get no ``index``. Returns whether the lookups of each client are in the
    order of their first queries.
    """
    in_order = True
    described = 0
    for c in range(clients.shape[0]):
        client = clients[c]
        client["index"] = -1
        rules = rules_of(lists, client["list"], client["walks"], client["searches_after_as_is"])
        oldest = out.used[0]
        for number in range(client["first_walk"], client["last_walk"]):
            walk = w.walks[number]
            if not walk["seen"]:
                continue
            at, first = out.used[0], out.used[1]
            look = out.lookups[at]
            look["client"] = described
            look["first"] = first
            base = _describe_walk(
                rows, w, rules, lists, walk, client, look, out.transactions[first:], out
            )
            for k in range(look["queries"]):
                out.transactions[first + k]["lookup"] = at
            out.base_of[at] = base
            if look["mode"] == LIST and look["candidates"] > 1:
                out.searched[base] = c + 1
            _note_repetition(out, at, base, oldest)
            if at > oldest and look["start"] < out.lookups[at - 1]["start"]:
                in_order = False
            out.used[0] = at + 1
            out.used[1] = first + look["queries"]
        if out.used[0] > oldest:
            client["index"] = described
            described += 1
            _mark_absolute(out, oldest, lists.labels, client["low"], c + 1)
    return in_order
