"""What a cache beside each client would have answered (compiled).

As NodeLocal DNSCache does by default: answers are kept for their TTL, at most 30 s, and misses for
the negative TTL (RFC 2308), at most 5 s. A response without either is not kept. Only complete
lookups are looked at; a cache that clients share would save more.

And what the resolver of a client keeps from one lookup to the next, so that it is not asked again:
c-ares does since 1.31 (``ares_qcache.c``), hickory and dnsjava do. Under another ndots other
questions would have been kept, so each setting has a world of its own, in which the client's
lookups follow one another.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.lookups.reading import Readings
from pcapkit.analysis.lookups.waste import WASTED
from pcapkit.analysis.time_bins import time_bin
from pcapkit.analysis.whatif.candidates import LookupReplay, Observations, Questions, kept_ns
from pcapkit.analysis.whatif.sums import Sums
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN
from pcapkit.kernels.hashing import SEED, find_slot, hash_ids, slot_count
from pcapkit.kernels.jit import helper_kernel, inline_kernel, kernel
from pcapkit.schema import NO_TIME, Int, Integers, Row, Rows

KEEPS_ANSWERS_NS, KEEPS_MISSES_NS = 30_000_000_000, 5_000_000_000
_SECOND_NS = 1_000_000_000
#: What is kept of one question of one client.
_KEPT = np.dtype(
    [
        ("name", np.int32),
        ("qtype", np.int32),
        ("client", np.int64),  # index plus 1; entries of other clients are free
        ("until", np.int64),  # the end of its time
    ]
)


class _Cache(NamedTuple):
    """What the replay with a cache reads, and the cache itself."""

    lookups: Rows  # LOOKUP
    transactions: Rows  # TRANSACTION
    exchanges: Rows  # EXCHANGE
    is_wasted: npt.NDArray[np.bool_]  # by waste class
    kept: Rows  # _KEPT, a hash table for any one client
    seed: np.uint64  # of that


@inline_kernel
def _ends_search(kept: Row, key: tuple[Int, Int, Int]) -> bool:
    """Is ``kept`` (_KEPT) free, or that of the ``key`` (name, qtype, client plus 1)?"""
    name, qtype, client = key
    return bool(kept["client"] != client or (kept["name"] == name and kept["qtype"] == qtype))


@inline_kernel
def _kept_for(response: Row, outcome: Int) -> Int:
    """Return for how many ns a cache keeps a ``response`` (EXCHANGE) of such an ``outcome``."""
    if response["min_ttl"] < 0:
        return np.int64(0)
    ttl = np.int64(response["min_ttl"]) * _SECOND_NS
    if outcome == ANSWER:
        return min(ttl, np.int64(KEEPS_ANSWERS_NS))
    if outcome == NODATA or outcome == NXDOMAIN:
        return min(ttl, np.int64(KEEPS_MISSES_NS))
    return np.int64(0)


@kernel
def replay_cached(cache: _Cache, column: Int, sums: Sums) -> None:
    """Add what would still be sent to column ``column`` of ``sums``, client by client.

    The lookups are the complete ones of ``cache``, read with what it holds.
    """
    for n in range(cache.lookups.shape[0]):
        lookup = cache.lookups[n]
        if lookup["complete"]:
            _replay_lookup(cache, lookup, np.int64(lookup["client"]), column, sums)


@inline_kernel
def _is_sent(cache: _Cache, t: Row, client: Int, total: Row) -> bool:
    """Is the query of ``t`` (TRANSACTION) still sent, as ``cache`` has no answer for ``client``?

    If so, its response is kept, and it is counted in ``total`` (SUM).
    """
    key = (t["name"], t["qtype"], client + 1)
    slot = find_slot(cache.kept, hash_ids(t["name"], t["qtype"], cache.seed), _ends_search, key)
    kept = cache.kept[slot]
    if kept["client"] == client + 1 and t["time"] < kept["until"]:
        return False
    total["queries"] += 1
    if cache.is_wasted[t["waste_class"]]:
        total["wasted"] += 1
    if t["response"] < 0:
        total["upstream"] += 1
        return True
    response = cache.exchanges[t["response"]]
    if response["aa"] == 0:
        total["upstream"] += 1
    kept["name"] = t["name"]
    kept["qtype"] = t["qtype"]
    kept["client"] = client + 1
    kept["until"] = NO_TIME
    if response["response_time"] != NO_TIME:
        kept["until"] = response["response_time"] + _kept_for(response, t["outcome"])
    return True


@inline_kernel
def _replay_lookup(cache: _Cache, lookup: Row, client: Int, column: Int, sums: Sums) -> None:
    """Add one ``lookup`` (LOOKUP) of ``client`` to ``column`` of ``sums``, with its ``cache``."""
    total = sums.clients[client, column]
    sent, took = 0, np.int64(0)
    began, asked = np.int64(lookup["start"]), False
    for k in range(lookup["queries"]):
        t = cache.transactions[lookup["first"] + k]
        if k > 0 and t["name"] != cache.transactions[lookup["first"] + k - 1]["name"]:
            if asked:
                took += max(np.int64(0), t["time"] - began)
            began, asked = max(began, np.int64(t["time"])), False
        if _is_sent(cache, t, client, total):
            sent += 1
            asked = True
    if asked:
        took += max(np.int64(0), lookup["end"] - began)
    total["time_ns"] += took
    sums.times[time_bin(took), column] += 1
    second = lookup["start"] // _SECOND_NS - sums.first_second
    if 0 <= second < sums.seconds.shape[0]:
        sums.seconds[second, column] += sent


def add_cached(part: Readings, column: int, sums: Sums, questions: int) -> None:
    """Replay a part's complete lookups, client by client, with a cache beside each client.

    Any one client asks so many different ``questions`` at most.
    """
    kept = np.zeros(max(16, slot_count(questions)), _KEPT)
    cache = _Cache(part.lookups, part.transactions, part.rows, WASTED, kept, SEED)
    replay_cached(cache, column, sums)


#: What a client's resolver keeps of one question, in the world of one setting.
_HELD = np.dtype(
    [
        ("name", np.int64),  # id; below 0 where nobody asked for it
        ("what", np.int64),  # setting and query type
        ("client", np.int64),  # index plus 1; entries of other clients are free
        ("until", np.int64),
    ]
)
_TYPE_BITS = 16
#: Slots for what one client's resolver keeps. Past half of them nothing more is kept, so that more
#: is predicted than would be sent, never less.
_MOST_HELD = 1 << 20


class Kept(NamedTuple):
    """What the resolver of one client keeps, under each setting."""

    rows: Rows  # _HELD, a hash table
    used: Integers  # (2): slots taken, and the client that they are of
    seed: np.uint64


def kept_for(questions: int) -> Kept:
    """Return room for so many ``questions`` of any one client in all worlds; 0: none is needed."""
    slots = min(_MOST_HELD, slot_count(questions)) if questions else 1
    return Kept(np.zeros(slots, _HELD), np.zeros(2, np.int64), SEED)


@inline_kernel
def _held_ends_search(kept: Row, key: tuple[Int, Int, Int]) -> bool:
    """Is ``kept`` (_HELD) free, or that of the ``key`` (name, what, client plus 1)?"""
    name, what, client = key
    return bool(kept["client"] != client or (kept["name"] == name and kept["what"] == what))


@inline_kernel
def _keep(kept: Kept, name: Int, what: Int, client: Int, until: Int) -> None:
    """Note in ``kept`` ``until`` when (ns) a ``client`` need not ask for ``what`` of ``name``.

    ``client`` is an index plus 1. Where too much is kept, it is not noted.
    """
    if kept.used[1] != client:
        kept.used[0] = 0
        kept.used[1] = client
    slot = find_slot(
        kept.rows, hash_ids(name, what, kept.seed), _held_ends_search, (name, what, client)
    )
    entry = kept.rows[slot]
    if entry["client"] != client:
        if 2 * (kept.used[0] + 1) > kept.rows.shape[0]:
            return
        kept.used[0] += 1
        entry["client"] = client
        entry["name"] = name
        entry["what"] = what
    entry["until"] = until


@helper_kernel
def ask_unkept(
    replay: LookupReplay, questions: Questions, end: Row, kept: Kept, world: Int, row: Row
) -> tuple[Int, Int, bool]:
    """Ask a candidate what the resolver does not keep; add that to ``row`` (REPLAY).

    What the lookup of ``replay`` sent itself was not kept. ``end`` (CANDIDATE) is how all its
    ``questions`` end; what is asked is kept in ``kept``, for this ``world``. Returns how many of
    them missed, how many of these for want of the type, and whether any was sent. c-ares counts
    whole seconds (``ares_qcache.c``), so an answer may live up to a second less than is taken here.
    """
    missed, empty, sent = np.int64(0), np.int64(0), np.int64(0)
    name, client, start = np.int64(end["name"]), replay.client, replay.lookup["start"]
    for k in range(questions.asked):
        bit = np.uint8(1 << k)
        what = (np.int64(world) << _TYPE_BITS) | questions.types[k]
        if not end["own"] & bit:
            key = (name, what, client)
            slot = find_slot(kept.rows, hash_ids(name, what, kept.seed), _held_ends_search, key)
            entry = kept.rows[slot]
            if entry["client"] == client and start < entry["until"]:
                continue
        sent += 1
        row["assumed"] += 1 if end["assumed_of"] & bit else 0
        row["upstream"] += 1 if end["upstream_of"] & bit else 0
        missed += 1 if end["missed_of"] & bit else 0
        empty += 1 if end["empty_of"] & bit else 0
        if end["kept_ns"][k] > 0:
            _keep(kept, name, what, client, start + end["kept_ns"][k])
    row["queries"] += sent
    return missed, empty, bool(sent > 0)


@helper_kernel
def keep_seen(replay: LookupReplay, kept: Kept, world: Int) -> None:
    """Keep in ``kept``, for this ``world``, what the lookup of ``replay`` was answered."""
    lookup, rules = replay.lookup, replay.walker.rules
    for k in range(lookup["queries"]):
        t = replay.transactions[k]
        if t["response"] < 0:
            continue
        response = replay.observed.exchanges[t["response"]]
        lasts = kept_ns(rules, t["outcome"], response["min_ttl"], response["answers"] == 0)
        if lasts > 0:
            what = (np.int64(world) << _TYPE_BITS) | np.int64(t["qtype"])
            _keep(kept, np.int64(t["name"]), what, replay.client, lookup["start"] + lasts)


@helper_kernel
def asks_nothing_again(
    observed: Observations, rules: Row, lookups: Integers, client: Int, world: Int, kept: Kept
) -> bool:
    """Does a ``client`` (index plus 1) keep its answers, as its resolver's ``rules`` (RULES) say?

    Releases and callers differ: c-ares does since 1.31, unless it is told not to. What was sent
    again although it would have been kept shows that it is not; one in twenty is let pass, as an
    application may have several resolvers. Its ``lookups`` are numbers of those of ``observed``, in
    order of time. ``kept`` is written to, in a ``world`` of no setting.
    """
    asked, again = 0, 0
    for m in range(lookups.shape[0]):
        lookup = observed.lookups[lookups[m]]
        for k in range(lookup["first"], lookup["first"] + lookup["queries"]):
            t = observed.transactions[k]
            if t["response"] < 0:
                continue
            response = observed.exchanges[t["response"]]
            lasts = kept_ns(rules, t["outcome"], response["min_ttl"], response["answers"] == 0)
            if lasts <= _SECOND_NS:  # c-ares counts whole seconds
                continue
            name, what = np.int64(t["name"]), (np.int64(world) << _TYPE_BITS) | np.int64(t["qtype"])
            key = (name, what, client)
            slot = find_slot(kept.rows, hash_ids(name, what, kept.seed), _held_ends_search, key)
            entry = kept.rows[slot]
            asked += 1
            if entry["client"] == client and t["time"] < entry["until"]:
                again += 1
            _keep(kept, name, what, client, t["time"] + lasts - _SECOND_NS)
    return 20 * again <= asked
