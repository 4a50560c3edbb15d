"""Names of one client that followed one another at once, as a walk of the search list makes them.

A stub resolver that walks its search list asks ``base + suffix`` again and again, each time at once
after the last one failed. An *asked name* is one name with both families and all retries; a
*sequence* is asked names that share their first labels, each asked because the one before it
failed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.timing import LONGEST_TIMEOUT_NS, SHORTEST_TIMER_NS
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN
from pcapkit.kernels.hashing import hash_bytes, home_slot
from pcapkit.kernels.interning import InternerArrays
from pcapkit.kernels.jit import helper_kernel
from pcapkit.names.labels import common_labels, name_start
from pcapkit.schema import (
    EXCHANGE_ITERATIVE,
    NO_TIME,
    Bytes,
    Exchanges,
    Ids,
    Int,
    Integers,
    Row,
    Rows,
)

PTR = 12
#: Types of one asked name that are told apart.
TYPES = 4
#: Names of one sequence; a walk longer than this is cut. glibc and Kubernetes allow more, nobody
#: has them.
NAMES = 12
#: Sequences with one first label that an asked name may continue, the newest first.
_OPEN = 16
_NONE = -1  # no sequence, asked name or type
ASKED_NAME = np.dtype(
    [
        ("start", np.int64),
        ("asked", np.int64),  # its last query
        ("done", np.int64),  # when the last of its questions ended, as far as they have
        ("name", np.int32),
        ("port", np.uint16),
        ("answered", np.uint8),  # it has an answer of an asked type
        ("silent", np.uint8),  # some question of it got no response
        ("types", np.uint8),
        ("ended", np.uint8),  # bits: types with a response that ends them
    ],
    align=True,
)
SEQUENCE = np.dtype(
    [
        ("older", np.int32),  # the sequence before it with the same first label
        ("first", np.int32),  # its first asked name
        ("last", np.int32),  # its last asked name
        ("base", np.int32),  # labels of the base name once it was asked as is, else 0
        ("size", np.int32),
        ("at_once", np.uint32),  # bits: names that were asked at once after or before another
        ("closed", np.uint8),
    ],
    align=True,
)


class Follows(NamedTuple):
    """How soon one asked name follows another, in ns."""

    near: int  # at once
    near_in_log: int  # ... in a server's own log
    paused: int  # after a pause


class AskedNames(NamedTuple):
    """The asked names of one client, in the order of their first queries."""

    rows: Rows  # ASKED_NAME
    types: npt.NDArray[np.uint16]  # (names, TYPES): the types that were asked
    done: Integers  # (names, TYPES): the earliest response to each, NO_TIME where there is none


class Sequences(NamedTuple):
    """The sequences of one client, in the order of their first names."""

    rows: Rows  # SEQUENCE
    members: Ids  # (sequences, NAMES): the ids of their names
    newest: Ids
    """a power of two many, over twice as many as names: the newest sequence by hash of the first
    label, _NONE"""


@helper_kernel
def _type_slot(asked: AskedNames, at: Int, qtype: Int) -> Int:
    """Return which of the types of the asked name ``at`` is ``qtype``, or _NONE."""
    slot = np.int64(_NONE)
    for j in range(asked.rows[at]["types"]):
        if asked.types[at, j] == qtype:
            slot = np.int64(j)
    return slot


@helper_kernel
def _begin_name(asked: AskedNames, at: Int, e: Row) -> None:
    """Begin the asked name ``at`` with its first exchange."""
    new = asked.rows[at]
    new["start"] = e["query_time"]
    new["name"] = e["folded"]
    new["port"] = e["client_port"]
    new["answered"] = 0
    new["types"] = 0
    new["ended"] = 0


@helper_kernel
def _add_to_name(asked: AskedNames, at: Int, slot: Int, e: Row) -> None:
    """Add the exchange ``e`` to entry ``at`` of ``asked``: its type stands at ``slot``, or _NONE.

    Types beyond TYPES share the last slot. A response that comes when the question has been sent
    again from another port meets a closed socket.
    """
    row = asked.rows[at]
    done = e["response_time"]
    row["asked"] = e["query_time"]
    if slot >= 0 and asked.done[at, slot] > e["query_time"] and row["port"] != e["client_port"]:
        asked.done[at, slot] = NO_TIME
    row["port"] = e["client_port"]
    if slot < 0:
        slot = min(np.int64(row["types"]), np.int64(TYPES - 1))
        if row["types"] < TYPES:
            asked.types[at, slot] = e["qtype"]
            asked.done[at, slot] = NO_TIME
            row["types"] += 1
    if asked.done[at, slot] == NO_TIME or (done != NO_TIME and done < asked.done[at, slot]):
        asked.done[at, slot] = done
    if e["outcome"] in (ANSWER, NODATA, NXDOMAIN) and not e["tc"]:
        row["ended"] |= np.uint8(1 << slot)
    if e["outcome"] == ANSWER and not e["tc"]:
        row["answered"] = 1
    latest_done = NO_TIME
    silent = 0
    for j in range(row["types"]):
        if asked.done[at, j] == NO_TIME:
            silent = 1
            latest_done = max(latest_done, e["query_time"])
        else:
            latest_done = max(latest_done, asked.done[at, j])
    row["silent"] = silent
    row["done"] = latest_done


@helper_kernel
def find_asked_names(rows: Exchanges, near: Int, latest: Ids, asked: AskedNames) -> Int:
    """Merge the exchanges of one client, ``rows`` in the order of time; return how many names.

    Goes in: ``near``, how soon the questions of one asked name follow, in ns. Comes out: ``asked``,
    as long as ``rows`` or longer. Scratch: ``latest`` (int32) is the newest asked name by name id,
    _NONE for all at first.
    """
    count = 0
    for k in range(rows.shape[0]):
        e = rows[k]
        if e["qtype"] == PTR or e["folded"] < 0 or e["qtype"] == 0:  # 0: the question was cut
            continue
        if e["marks"] & EXCHANGE_ITERATIVE:  # of a server that resolves, no stub resolver
            continue
        time = e["query_time"]
        at = np.int64(latest[e["folded"]])
        slot: Int = np.int64(_NONE)
        fresh = True
        if at >= 0:
            row = asked.rows[at]
            slot = _type_slot(asked, at, e["qtype"])
            again = (
                slot >= 0
                and (row["ended"] >> slot) & 1
                and row["done"] < time
                and not row["silent"]
            )
            fresh = again or not (time <= row["done"] + near or row["silent"])
        if fresh:
            at = np.int64(count)
            count += 1
            latest[e["folded"]] = at
            slot = np.int64(_NONE)
            _begin_name(asked, at, e)
        _add_to_name(asked, at, slot, e)
    return count


@helper_kernel
def _follows(last: Row, item: Row, near: Int) -> bool:
    """Was ``item`` asked because ``last`` failed, or together with it, as busybox asks?"""
    if item["start"] < last["done"]:
        if item["start"] - last["asked"] >= SHORTEST_TIMER_NS:  # which ended without a response
            return True
        return bool(item["port"] == last["port"] and item["start"] - last["start"] <= near)
    return not _is_over(last, item, near)


@helper_kernel
def _is_over(last: Row, item: Row, near: Int) -> bool:
    """Can nothing follow ``last`` any more, from the time of ``item`` on?"""
    if item["start"] < last["done"]:
        return False
    limit = LONGEST_TIMEOUT_NS if last["silent"] else near
    return bool(last["answered"] or item["start"] - last["done"] > limit)


@helper_kernel
def _extend(arena: Bytes, ends: Integers, labels: Ids, s: Row, members: Ids, new: Int) -> bool:
    """Add the name ``new`` to the sequence ``s`` (SEQUENCE) where it can be its next candidate.

    ``members`` (int32) are the names of ``s``; ``arena`` and ``ends`` those of all names, and
    ``labels`` (int32) how many labels each has.
    """
    size = s["size"]
    if s["closed"] or size >= NAMES:
        return False
    for j in range(size):
        if members[j] == new:
            return False
    last = members[size - 1]
    shared = common_labels(arena, ends, last, new)
    if shared == 0:
        return False
    if s["base"] > 0:
        if common_labels(arena, ends, members[0], new) < s["base"] or labels[new] == s["base"]:
            return False
    elif shared == labels[new]:  # the base name as is, after the list
        for j in range(size):
            if common_labels(arena, ends, members[j], new) < labels[new]:
                return False
        s["base"] = labels[new]
        s["closed"] = 1
    elif shared == labels[last]:  # the base name came first
        if size > 1:
            return False
        s["base"] = labels[last]
    members[size] = new
    s["size"] = size + 1
    return True


@helper_kernel
def _have_one_first_label(arena: Bytes, ends: Integers, left: Int, right: Int) -> bool:
    """Do the names ``left`` and ``right`` begin with the same label?

    Neither is the root. Both are ids of an interner, whose ``arena`` and ``ends`` these are.
    """
    a, b = name_start(ends, left), name_start(ends, right)
    for k in range(np.int64(arena[a]) + 1):
        if arena[a + k] != arena[b + k]:
            return False
    return True


@helper_kernel
def _first_label_slot(names: InternerArrays, name: Int, newest: Ids) -> Int:
    """Return the slot of ``newest`` in which the sequences with a name's first label stand."""
    begin = name_start(names.ends, name)
    length = np.int64(names.arena[begin]) + 1
    return home_slot(newest, hash_bytes(names.arena, begin, length, names.seed[0]))


@helper_kernel
def find_sequences(
    names: InternerArrays,
    labels: Ids,
    near: Int,
    paused: Int,
    asked: AskedNames,
    count: Int,
    sequences: Sequences,
) -> Int:
    """Order the asked names of one client into sequences; return how many.

    Goes in: the first ``count`` of ``asked``; all ``names`` with their ``labels``, how many each
    has (int32); how soon one follows another, at once (``near``) or after a pause (``paused``), in
    ns. Comes out: ``sequences``, as many as asked names at most. How many are compared counts those
    of one first label only, so that it never shows which labels share a slot.
    """
    slots = 1
    while slots < 2 * count:
        slots *= 2
    rows, newest = sequences.rows, sequences.newest[:slots]
    newest[:] = _NONE
    arena, ends = names.arena, names.ends
    found = 0
    for i in range(count):
        item = asked.rows[i]
        name = np.int64(item["name"])
        if labels[name] == 0:
            continue
        slot = _first_label_slot(names, name, newest)
        at, newer = np.int64(newest[slot]), np.int64(_NONE)
        joined = False
        compared = 0
        while at >= 0 and compared < _OPEN:
            s = rows[at]
            if s["closed"] or _is_over(asked.rows[s["last"]], item, paused):  # it leaves the list
                if newer < 0:
                    newest[slot] = s["older"]
                else:
                    rows[newer]["older"] = s["older"]
                at = np.int64(s["older"])
                continue
            if not _have_one_first_label(arena, ends, np.int64(sequences.members[at, 0]), name):
                newer, at = at, np.int64(s["older"])
                continue
            compared += 1
            last = asked.rows[s["last"]]
            if _follows(last, item, paused) and _extend(
                arena, ends, labels, s, sequences.members[at], name
            ):
                if last["silent"] or item["start"] - last["done"] <= near:
                    s["at_once"] |= np.uint32(3) << np.uint32(s["size"] - 2)
                s["last"] = i
                joined = True
                break
            newer, at = at, np.int64(s["older"])
        if not joined:
            s = rows[found]
            s["older"] = newest[slot]
            s["first"] = i
            s["last"] = i
            s["base"] = 0
            s["size"] = 1
            s["at_once"] = 0
            s["closed"] = 0
            sequences.members[found, 0] = name
            newest[slot] = found
            found += 1
    return found
