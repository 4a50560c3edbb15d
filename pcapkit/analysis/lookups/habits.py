"""What a client is seen to do with all of its names, by which its walks are told apart.

It asks both families, keeps its port, searches names before it asks them as is, or after.
"""

from __future__ import annotations

import numpy as np

from pcapkit.analysis.lookups.base_names import Lists
from pcapkit.analysis.lookups.state import AS_IS, LIST, Walks
from pcapkit.kernels.jit import helper_kernel
from pcapkit.schema import ABSENT, Exchanges, Ids, Int, Row

_A, _AAAA = 1, 28
#: A client asks both families where this share of its A queries stand beside one for AAAA.
_BOTH_SHARE = 4


@helper_kernel
def note_habits(rows: Exchanges, names: Ids, near: Int, client: Row) -> None:
    """Note whether a ``client`` (CLIENT) asks A and AAAA together, and keeps its port.

    ``names`` (int32) are the local names of ``rows``; both families follow within ``near`` ns.
    """
    queries, pairs = np.int64(0), np.int64(0)
    others, kept = np.int64(0), np.int64(0)
    for number in range(client["begin"], client["end"] - 1):
        e, after = rows[number], rows[number + 1]
        queries += e["qtype"] == _A
        if names[number] != names[number + 1]:
            others += 1
            kept += e["client_port"] == after["client_port"]
        elif e["qtype"] + after["qtype"] == _A + _AAAA:
            if after["query_time"] - e["query_time"] <= near:
                pairs += 1
    client["asks_both"] = pairs > 0 and pairs * _BOTH_SHARE >= queries
    client["keeps_port"] = kept * 2 > others


@helper_kernel
def searched_dots(w: Walks, labels: Ids, client: Row) -> Int:
    """Return the dots of names that a client searched first, at most, or ABSENT.

    ``labels`` (int32) is how many labels each local name has; its walks are in ``w``.
    """
    most = np.int64(ABSENT)
    for number in range(client["first_walk"], client["last_walk"]):
        walk = w.walks[number]
        if walk["captured"] and walk["mode"] == LIST and walk["closed"]:
            most = max(most, np.int64(labels[walk["base"]]) - 1)
    return most


@helper_kernel
def contradicts(w: Walks, labels: Ids, client: Row) -> bool:
    """Was a name asked as is, and then searched, with no more dots than one searched first?"""
    for number in range(client["first_walk"], client["last_walk"]):
        walk = w.walks[number]
        if walk["mode"] == AS_IS and walk["candidates"] > 1:
            if labels[w.candidates[walk["first"]]["name"]] - 1 <= client["searched_dots"]:
                return True
    return False


@helper_kernel
def searches_after_as_is(w: Walks, client: Row) -> bool:
    """Does some walk go on with the list after the name as is?"""
    for number in range(client["first_walk"], client["last_walk"]):
        if w.walks[number]["mode"] == AS_IS and w.walks[number]["candidates"] > 1:
            return True
    return False


@helper_kernel
def is_to_be_read(rows: Exchanges, lists: Lists, w: Walks, client: Row, again: bool) -> bool:
    """Is a ``client`` (CLIENT) read now? ``again``: only where ``w`` reads it as it cannot be.

    Its exchanges are among ``rows``, its names and list in ``lists``; what it is seen to do, of
    which its rules are, is noted.
    """
    if not again:
        client["searched_dots"] = ABSENT
        note_habits(rows, lists.local_names, np.int64(lists.gaps.near), client)
        return True
    client["searched_dots"] = searched_dots(w, lists.labels, client)
    wrong = not client["searches_after_as_is"] and searches_after_as_is(w, client)
    if not wrong and not contradicts(w, lists.labels, client):
        return False
    for number in range(client["first_walk"], client["last_walk"]):
        w.walks[number]["captured"] = 0
    return True
