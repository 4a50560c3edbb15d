"""Walks of which all candidates are asked from one port, and not one after the other alone.

busybox asks every suffix at once, or A of all and then AAAA of all; gRPC's C core walks the list
for each family by itself. Each of these is one lookup.
"""

from __future__ import annotations

import numpy as np

from pcapkit.analysis.lookups.base_names import Rules
from pcapkit.analysis.lookups.state import (
    AS_IS,
    PENDING,
    Walks,
    finished,
    has_port,
    is_answered,
    is_silent,
    question_of,
)
from pcapkit.kernels.jit import helper_kernel
from pcapkit.schema import NO_TIME, TCP, Exchanges, Int, Row


@helper_kernel
def in_batch(rows: Exchanges, w: Walks, rules: Rules, walk: Int, position: Int, e: Row) -> bool:
    """Is this the next suffix of a walk whose candidates are asked whatever the answers (busybox)?

    ``e`` (one of ``rows``) asks it, the suffix at ``position``, for the ``walk`` of ``w``; the
    client has ``rules``. All come from one port, without EDNS.
    """
    x = w.walks[walk]
    c = w.candidates[x["last"]]
    if e["edns_bytes"] >= 0 or e["transport"] == TCP or x["mode"] == AS_IS or x["base"] < 0:
        return False
    if position - max(np.int64(c["position"]), np.int64(0)) != 1:
        return False
    if e["query_time"] - w.name_nodes[c["node"]]["latest"] > rules.near:
        return False
    return has_port(rows, w, np.int64(x["last"]), e["client_port"])


@helper_kernel
def goes_on_apart(w: Walks, candidate: Int, e: Row, near: Int) -> bool:
    """Does a family go on to ``e`` (EXCHANGE), whatever the other one of a ``candidate`` gets?

    gRPC's C core asks each family in a walk of its own, both from one port. The candidate of ``w``
    has none of this type, and said so within ``near`` ns.
    """
    at = question_of(w, candidate, e["qtype"])
    if at < 0:
        return False
    q = w.questions[at]
    time = e["query_time"]
    if q["port"] != e["client_port"] or q["several_ports"] or not q["good"]:
        return False
    if q["done"] == NO_TIME or q["done"] > time or q["answer"] != NO_TIME:
        return False
    return bool(time - q["done"] <= near)


@helper_kernel
def follows_apart(w: Walks, candidate: Int, e: Row, near: Int) -> bool:
    """Does a family come to a ``candidate`` of ``w`` from the one before it in its walk?

    ``e`` (EXCHANGE) asks it.
    """
    x = w.walks[w.candidates[candidate]["walk"]]
    before = np.int64(x["first"])
    while before >= 0 and w.candidates[before]["after"] != candidate:
        before = np.int64(w.candidates[before]["after"])
    return bool(before >= 0 and goes_on_apart(w, before, e, near))


@helper_kernel
def begins_again(w: Walks, walk: Int, e: Row) -> bool:
    """Does ``e`` (EXCHANGE) belong to another walk of the list, for another type?

    Where all suffixes were asked from one port (busybox) for one type, and answered, what asks the
    first of them for another type begins a ``walk`` of ``w`` of its own, and the others follow it.
    It comes from that port: of ports that are drawn for each question, two may be the same.
    """
    x = w.walks[walk]
    first, last = np.int64(x["first"]), np.int64(x["last"])
    if first == last or not w.name_nodes[w.candidates[first]["node"]]["alive"]:
        return False
    if w.questions[w.candidates[first]["question"]]["port"] != e["client_port"]:
        return False
    if question_of(w, first, e["qtype"]) >= 0 or is_silent(w, last, e["query_time"]):
        return False
    return True


@helper_kernel
def note_step(rows: Exchanges, w: Walks, rules: Rules, walk: Int, position: Int, e: Row) -> None:
    """Note at a ``walk`` of ``w`` why ``e`` asks its next candidate, if before the last had ended.

    ``e`` (one of ``rows``) asks the suffix at ``position``; the client has ``rules``.
    """
    x = w.walks[walk]
    current = np.int64(x["last"])
    apart = goes_on_apart(w, current, e, rules.near)
    if apart or in_batch(rows, w, rules, walk, position, e):
        time = e["query_time"]
        if finished(w, current, time) == PENDING or is_answered(w, current, time):
            if apart:
                x["apart"] = 1
            else:
                x["parallel"] = 1


@helper_kernel
def stays_open(rows: Exchanges, w: Walks, current: Int, e: Row) -> bool:
    """May the ``current`` candidate of a walk of ``w`` be asked for more types, after ``e``?

    ``e``, one of ``rows``, asks the next one. Notes at the walk that it is so.
    """
    x = w.walks[w.candidates[current]["walk"]]
    if not x["apart"]:
        if e["edns_bytes"] >= 0 or e["transport"] == TCP:
            return False
        if not has_port(rows, w, current, e["client_port"]):
            return False
    x["one_port"] = 1
    return True


@helper_kernel
def note_order(w: Walks, rules: Rules, candidate: Int, e: Row) -> None:
    """Note at the walk of a ``candidate`` of ``w`` why ``e`` asks it when others were asked, too.

    Its family goes on by itself (gRPC's C core), or all were asked whatever the answers (busybox).
    ``e`` is an EXCHANGE; the client has ``rules``.
    """
    x = w.walks[w.candidates[candidate]["walk"]]
    if follows_apart(w, candidate, e, rules.near):
        x["apart"] = 1
    else:
        x["parallel"] = 1
