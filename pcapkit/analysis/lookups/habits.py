"""How a client searches: what it is seen to do with all of its names.

It asks both families, keeps its port, searches names before it asks them as is, or after. A name
that was searched first has fewer dots than ndots; one that was asked as is first, and then
searched, has as many or more. What is still open is Kubernetes' 5, unless names that were asked as
is, answered, and never searched speak against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.lookups.base_names import Lists
from pcapkit.analysis.lookups.state import AS_IS, LIST, MANY_DOTS, WALKS, Walks
from pcapkit.analysis.search_lists.survey import Client
from pcapkit.cluster.conventions import KUBERNETES_NDOTS
from pcapkit.codes import ANSWER
from pcapkit.kernels.jit import helper_kernel, kernel
from pcapkit.model.clients import Ndots
from pcapkit.model.vocabulary import Source
from pcapkit.names.table import Folded
from pcapkit.resolver.resolv_conf import MAX_NDOTS
from pcapkit.schema import ABSENT, NO_TIME, Exchanges, Ids, Int, Integers, Row, Rows

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


class AsIs(NamedTuple):
    """Names that clients asked as is, with an answer, and never under the list first."""

    names: Ids  # local names, client by client
    ends: Integers  # where those of client ``i`` begin, and end at ``i + 1``


def bound_ndots(rows: Exchanges, walks: Walks, lists: Lists, clients: Rows) -> AsIs:
    """Set ``low`` and ``high`` of every client (CLIENT rows); return what they asked as is."""
    notes = np.zeros(lists.labels.size, np.int32)
    as_is = np.empty(int(walks.used[WALKS]), np.int32)
    ends = np.zeros(clients.size + 1, np.int64)
    _bound(rows, walks, lists.labels, notes, clients, as_is, ends)
    return AsIs(as_is[: ends[-1]], ends)


def choose_ndots(
    clients: Rows, as_is: AsIs, lists: Lists, surveyed: Sequence[Client], names: Folded
) -> list[Ndots]:
    """Return the ndots of every client (CLIENT rows), whose bounds are set: see ``bound_ndots``."""
    ends = as_is.ends
    clients["low"] = np.minimum(clients["low"], MAX_NDOTS)
    clients["high"] = np.maximum(clients["high"], clients["low"])
    clients["value"] = np.clip(KUBERNETES_NDOTS, clients["low"], clients["high"])
    out = []
    bounds = zip(*(clients[f].tolist() for f in ("low", "high", "value")), strict=True)
    for i, (client, (low, high, value)) in enumerate(zip(surveyed, bounds, strict=True)):
        source = Source.OBSERVED if low == high else Source.ASSUMED
        if client.given.ndots is not None:
            value, source = client.given.ndots, client.given.source
        elif ends[i + 1] - ends[i] > 1 and not _is_wildcard(client):
            alone = as_is.names[ends[i] : ends[i + 1]]
            few = alone[(lists.labels[alone] > 1) & (lists.labels[alone] - 1 < value)]
            outside = _are_outside(lists.name_ids[few], client, names)
            if outside.any():
                weak = int(lists.labels[few[outside]].min()) - 1
                value = max(low, weak, 1)
                if low > 0 or high < MAX_NDOTS:  # else no walk says anything of it
                    source = Source.OBSERVED
        out.append(Ndots(low, high, value, source))
    clients["value"] = [n.value for n in out]
    return out


def _is_wildcard(client: Client) -> bool:
    """Is the list assumed because every name has an answer under it?"""
    return not client.search.suffixes and len(client.assumed.suffixes) == 1


def _are_outside(few: Ids, client: Client, names: Folded) -> npt.NDArray[np.bool_]:
    """Say of names whether nobody would write them with a final dot: outside the cluster."""
    out = ~names.end_in(few, ("arpa",))
    if client.assumed.suffixes and client.assumed.suffixes[-1]:
        out &= ~names.end_in(few, client.assumed.suffixes[-1])
    return out


@kernel
def _bound(
    rows: Exchanges, w: Walks, labels: Ids, notes: Ids, clients: Rows, as_is: Ids, ends: Integers
) -> None:
    """Set ``low`` and ``high`` of every client.

    Goes in: the walks ``w`` of ``rows`` (EXCHANGE), and ``labels`` (int32), how many each local
    name has. Comes out: the bounds in ``clients`` (CLIENT); ``as_is`` (int32, one a walk) gets the
    local names that each asked as is, with an answer, and never under the list first: those of
    client ``i`` end at entry ``i + 1`` of ``ends`` (int64). Scratch: ``notes`` (int32), by local
    name the last client that searched it first, or that is known to have asked it as is; zeros at
    first.
    """
    used = np.int64(0)
    for i in range(clients.shape[0]):
        client = clients[i]
        # Two numbers of this client's alone, so that nothing need be cleared between clients.
        searched, asked_as_is = np.int32(2 * i + 1), np.int32(2 * i + 2)
        low, high = np.int64(0), np.int64(MAX_NDOTS)
        first = used
        for number in range(client["first_walk"], client["last_walk"]):
            walk = w.walks[number]
            if walk["cut_start"] or not walk["captured"]:
                continue
            name = np.int64(w.candidates[walk["first"]]["name"])
            if walk["candidates"] > 1 and walk["mode"] == LIST and walk["base"] >= 0:
                low = max(low, np.int64(labels[walk["base"]]))
                notes[walk["base"]] = searched
            elif walk["candidates"] > 1 and walk["mode"] == AS_IS:
                high = min(high, np.int64(labels[name]) - 1)
            elif walk["mode"] == AS_IS and notes[name] != searched:
                if _is_answered(rows, w, walk):
                    as_is[used] = name
                    used += 1
        client["low"] = low
        client["high"] = high
        last, used = used, first
        for k in range(first, last):
            name = np.int64(as_is[k])
            if notes[name] != searched and notes[name] != asked_as_is:
                notes[name] = asked_as_is
                as_is[used] = name
                used += 1
        ends[i + 1] = used


@helper_kernel
def _is_answered(rows: Exchanges, w: Walks, walk: Row) -> bool:
    """Was a walk's first candidate answered, and not in part?"""
    at = np.int64(w.candidates[walk["first"]]["question"])
    while at >= 0:
        x = np.int64(w.questions[at]["first"])
        while x >= 0:
            e = rows[x]
            if e["outcome"] == ANSWER and e["response_time"] != NO_TIME and not e["tc"]:
                return True
            x = np.int64(w.next_exchange[x])
        at = np.int64(w.questions[at]["after"])
    return False
