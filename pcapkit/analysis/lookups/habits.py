"""What a client is seen to do with all of its names, by which its walks are told apart.

It asks both families, keeps its port, searches names before it asks them as is, or after.
"""

from __future__ import annotations

import numpy as np

from pcapkit.analysis.lookups.state import AS_IS, LIST, MANY_DOTS, Walks
from pcapkit.kernels.jit import helper_kernel, kernel
from pcapkit.schema import ABSENT, Exchanges, Ids, Int, Row, Rows

_A, _AAAA = 1, 28
#: A client asks both families where this share of its A queries stand beside one for AAAA, or of
#: those for AAAA beside one for A: BIND's tools ask AAAA only of the name that has an A.
_BOTH_SHARE = 4


@helper_kernel
def _note_habits(rows: Exchanges, names: Ids, near: Int, client: Row) -> None:
    """Note whether a ``client`` (CLIENT) asks A and AAAA together, and keeps its port.

    ``names`` (int32) are the local names of ``rows``; both families follow within ``near`` ns.
    """
    queries, further, pairs = np.int64(0), np.int64(0), np.int64(0)
    others, kept = np.int64(0), np.int64(0)
    for number in range(client["begin"], client["end"] - 1):
        e, after = rows[number], rows[number + 1]
        queries += e["qtype"] == _A
        further += e["qtype"] == _AAAA
        if names[number] != names[number + 1]:
            others += 1
            kept += e["client_port"] == after["client_port"]
        elif e["qtype"] + after["qtype"] == _A + _AAAA:
            if after["query_time"] - e["query_time"] <= near:
                pairs += 1
    least = min(queries, max(further, np.int64(1)))
    client["asks_both"] = pairs > 0 and pairs * _BOTH_SHARE >= least
    client["keeps_port"] = kept * 2 > others


@kernel
def see_habits(rows: Exchanges, names: Ids, near: Int, clients: Rows) -> None:
    """Note what ``clients`` (CLIENT) are seen to do from one exchange to the next.

    Goes in: ``rows`` (EXCHANGE), client by client and each in the order of time; their local
    ``names`` (int32); both families follow within ``near`` ns. Comes out: ``asks_both`` and
    ``keeps_port`` of the clients.
    """
    for c in range(clients.shape[0]):
        _note_habits(rows, names, near, clients[c])


@kernel
def see_searches(w: Walks, labels: Ids, clients: Rows) -> None:
    """Note with how many dots names were searched first, and asked as is first and then searched.

    Goes in: the walks ``w`` of ``clients`` (CLIENT); ``labels`` (int32), how many each local name
    has. Comes out: ``searched_dots`` and ``as_is_dots`` of the clients.
    """
    for c in range(clients.shape[0]):
        client = clients[c]
        most, fewest = np.int64(ABSENT), np.int64(MANY_DOTS)
        for number in range(client["first_walk"], client["last_walk"]):
            walk = w.walks[number]
            if walk["mode"] == LIST and walk["captured"] and walk["closed"]:
                most = max(most, np.int64(labels[walk["base"]]) - 1)
            elif walk["mode"] == AS_IS and walk["candidates"] > 1:
                name = w.candidates[walk["first"]]["name"]
                fewest = min(fewest, np.int64(labels[name]) - 1)
        client["searched_dots"] = most
        client["as_is_dots"] = fewest


def mark_to_be_read_again(clients: Rows) -> None:
    """Mark ``clients`` (CLIENT) whose walks are read as they cannot be.

    Their resolver asks nothing after the name as is, and some walk goes on there; or a name was
    asked as is, and then searched, with no more dots than one that was searched first.
    """
    goes_on = clients["as_is_dots"] < MANY_DOTS
    wrong = goes_on & (clients["searches_after_as_is"] == 0)
    clients["again"] = wrong | (clients["as_is_dots"] <= clients["searched_dots"])
