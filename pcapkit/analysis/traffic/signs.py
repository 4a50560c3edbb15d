"""One compiled pass over what was read, which finds the little that fault detectors look at.

Detectors must not walk millions of rows each: a *sign* is one bit on a transaction. What each
nameserver was asked is counted on the way.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.lookups.state import AS_IS, LIST
from pcapkit.analysis.lookups.waste import EMPTY_FAMILY, SERVICE_PROBE
from pcapkit.analysis.traffic.name_flags import EXPANDED, IN_ZONE, PRIVATE
from pcapkit.analysis.traffic.nameservers import (
    NameFacts,
    Servers,
    count_exchange,
    count_transaction,
)
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, REFUSED, SERVFAIL, TYPE_A, TYPE_AAAA, TYPE_PTR
from pcapkit.kernels.hashing import find_slot, hash_ids, slot_count
from pcapkit.kernels.jit import helper_kernel, inline_kernel, kernel
from pcapkit.schema import (
    ABSENT,
    EXCHANGE_ALIAS,
    NO_TIME,
    UDP,
    Bytes,
    Ids,
    Int,
    Integers,
    Row,
    Rows,
)

#: Signs of a transaction.
LOST = 1  #: its first query got no response and it was asked again
TRUNCATED = 2  #: the response that counts came over UDP with TC
OVERSIZE = 4  #: a UDP response over 512 bytes to a query without EDNS
ALIASED = 8  #: the response is a CNAME to a shorter candidate
SUFFIX_FAILED = 16  #: NODATA, SERVFAIL or REFUSED under a suffix, and no answer there
DOTTED_ANSWERED = 32  #: a name with dots inside was answered under a suffix
PROBE = 64  #: a service-config probe that missed
PRIVATE_REVERSE = 128  #: PTR of a private address that missed, without AA
EXPANDED_AGAIN = 256  #: a suffix behind a name of the cluster, before that name as is
FAMILY_DENIED = 512  #: AAAA got NXDOMAIN for a name that has an A record
AGAIN = 1024  #: the third time, or later, that the client still had a valid answer
ANSWER_LOST = 2048  #: asked again by a timer, from the same port with the same ID, though answered
FAILED = 4096  #: no response, or one that says that the server failed
CAUGHT = 8192  #: a name of the cluster with something behind it was answered outside the cluster
_PLAIN_BYTES = 512  # RFC 1035 section 4.2.1
_SECOND_NS = 1_000_000_000
#: Less than any resolver's timer that is set in whole seconds.
SHORTEST_STALL_NS = 900_000_000
#: A and AAAA that leave one port within this time leave it together.
TOGETHER_NS = 20_000_000
#: From this repetition on, the client keeps no answers.
_NOTED_REPEATS = 3
#: Indexes of the fields of _HELD.
_IPV4, _IPV6 = 0, 1
#: What the client being read has of a name.
_HELD = np.dtype(
    [
        ("valid_until", np.int64, 2),  # of its A and its AAAA answer
        ("name", np.int32),
        ("slot", np.int32),  # of ``Held.slots``
        ("row", np.int32),  # of its REPEATED, plus 1
        ("repeats", np.uint8, 2),  # how often each was asked again within that time, up to 3
    ],
    align=True,
)
#: What one client asked again while it still had a valid answer, by name.
REPEATED = np.dtype(
    [
        ("client", np.int32),  # index of the client
        ("name", np.int32),
        ("queries", np.int32),
        ("again", np.int32),  # of them, the third time or later
    ],
    align=True,
)
#: What the walks of one client say.
WALKED = np.dtype(
    [
        ("begin", np.int64),  # its transactions
        ("end", np.int64),
        ("first_walk", np.int64),  # its first lookup of several candidates, -1
        ("most", np.int32),  # dots of a name that walked the list, -1
        ("fewest", np.int32),  # dots of a name that was asked as is first, and searched then
        ("to_the_end", np.int32),  # does a walk show the whole list, with the name as is behind it?
    ],
    align=True,
)
#: Bits of ``PartSigns.outcomes``.
SOME_ANSWER, SOME_DENIAL = 1, 2
#: Columns of ``PartSigns.under``.
UNDER_ANSWERED, UNDER_MISSED = 0, 1
#: Indexes of ``PartSigns.used``.
(
    REPEATED_ROWS,
    SIGNS_THAT_OCCUR,
    PAIRED,  # queries over UDP that left one port together, A with AAAA
    PAIRED_LOST,  # ... of which one alone got no response
    SINGLE,  # other queries over UDP
    SINGLE_LOST,
    CHANGING,  # names that were answered, and said not to exist
) = range(7)


class SignInput(NamedTuple):
    """What signs are found in.

    The transactions of one client stand together, those of a lookup, too.
    """

    lookups: Rows  # LOOKUP
    transactions: Rows  # TRANSACTION
    exchanges: Rows  # EXCHANGE
    names: NameFacts
    labels: Ids  # of every name, how many
    seed: np.uint64  # of all hash tables


class PartSigns(NamedTuple):
    """What is known of a part's transactions once their signs are found."""

    signs: npt.NDArray[np.uint16]  # of each transaction
    list_sizes: Integers  # of each client's search list
    suffix_begins: Integers  # where that begins in ``under``
    under: Integers  # (suffixes, 2): names with dots inside, see UNDER_ANSWERED and UNDER_MISSED
    walked: Rows  # WALKED, by client
    repeated: Rows  # REPEATED
    used: Integers  # (7): see REPEATED_ROWS
    outcomes: Bytes  # of each name, 1: some response had an answer; 2: some was NXDOMAIN


@helper_kernel
def _response_signs(t: Row, response: Row, name_flag: Int) -> Int:
    """Return the signs that the ``response`` (EXCHANGE) to ``t`` (TRANSACTION) shows.

    ``name_flag`` holds the bits of its name.
    """
    signs = 0
    if response["transport"] == UDP:
        if response["tc"]:
            signs |= TRUNCATED
        elif response["edns_bytes"] < 0 and response["response_bytes"] > _PLAIN_BYTES:
            signs |= OVERSIZE
    if response["marks"] & EXCHANGE_ALIAS:
        signs |= ALIASED
    outcome = t["outcome"]
    if outcome == NXDOMAIN and t["qtype"] == TYPE_AAAA and t["waste_class"] == EMPTY_FAMILY:
        signs |= FAMILY_DENIED
    if t["qtype"] == TYPE_PTR and name_flag & PRIVATE:
        if outcome != ANSWER and not response["aa"]:
            signs |= PRIVATE_REVERSE
    return signs


@helper_kernel
def _count_dotted(t: Row, under: Integers) -> bool:
    """Count ``t`` (TRANSACTION), of a name with dots inside, under its suffix.

    ``under`` (2) are the counts of that. Returns whether it was answered there.
    """
    if t["outcome"] == NXDOMAIN:
        under[UNDER_MISSED] += 1
    elif t["outcome"] == ANSWER:
        under[UNDER_ANSWERED] += 1
        return True
    return False


@helper_kernel
def _is_expanded_again(lookup: Row, name_flag: Int, base_flag: Int) -> bool:
    """Is there a suffix behind a cluster name that ``lookup`` (LOOKUP) had not asked as is before?

    ``name_flag`` holds the bits of the name, ``base_flag`` those of the base name.
    """
    if not name_flag & EXPANDED:
        return False
    if lookup["mode"] != AS_IS or lookup["candidates"] == 1:
        return True
    return base_flag & EXPANDED != 0


@helper_kernel
def _fails_under_suffix(t: Row, lookup: Row) -> bool:
    """Did a suffix's NODATA, SERVFAIL or REFUSED leave the lookup without its answer there?

    ``t`` (TRANSACTION) is that question of ``lookup`` (LOOKUP).
    """
    if not lookup["complete"] or lookup["parallel"] or lookup["answered_by"] == t["name"]:
        return False
    outcome = t["outcome"]
    return bool(outcome == NODATA or outcome == SERVFAIL or outcome == REFUSED)


@helper_kernel
def _is_asked_for_nothing(first: Row, last: Row) -> bool:
    """Was a question asked again by a timer, though its answer had passed the capture point?

    ``first`` and ``last`` (EXCHANGE) are its first query and the one with the response that counts:
    another one from the same port with the same ID.
    """
    outcome = first["outcome"]
    if not (outcome == ANSWER or outcome == NODATA or outcome == NXDOMAIN) or first["tc"]:
        return False
    if last["query_time"] - first["query_time"] < SHORTEST_STALL_NS:
        return False
    return bool(
        first["response_time"] < last["query_time"]
        and first["client_port"] == last["client_port"]
        and first["message_id"] == last["message_id"]
        and first["transport"] == UDP
        and last["transport"] == UDP
    )


@inline_kernel
def _is_pair(t: Row, before: Row, exchanges: Rows) -> bool:
    """Did the first queries of two transactions leave one port together, A with AAAA?

    ``t`` and ``before`` (TRANSACTION) follow one another; ``exchanges`` are EXCHANGE rows.
    """
    if t["lookup"] != before["lookup"] or t["name"] != before["name"]:
        return False
    if np.int64(t["qtype"]) + np.int64(before["qtype"]) != TYPE_A + TYPE_AAAA:
        return False
    mine, other = exchanges[t["first"]], exchanges[before["first"]]
    return bool(
        mine["client_port"] == other["client_port"]
        and mine["transport"] == UDP
        and other["transport"] == UDP
        and abs(mine["query_time"] - other["query_time"]) <= TOGETHER_NS
    )


@helper_kernel
def _count_losses(given: SignInput, used: Integers) -> None:
    """Count in ``used`` the first queries of all transactions of ``given``, and those lost.

    By whether A and AAAA left one port together: what connection tracking can confuse.
    """
    exchanges = given.exchanges
    i, size = 0, given.transactions.shape[0]
    while i < size:
        t = given.transactions[i]
        first = exchanges[t["first"]]
        lost = 1 if first["response_packet"] < 0 else 0
        if i + 1 < size and _is_pair(given.transactions[i + 1], t, exchanges):
            other = exchanges[given.transactions[i + 1]["first"]]
            lost += 1 if other["response_packet"] < 0 else 0
            used[PAIRED] += 2
            used[PAIRED_LOST] += 1 if lost == 1 else 0
            i += 2
            continue
        if first["transport"] == UDP:
            used[SINGLE] += 1
            used[SINGLE_LOST] += lost
        i += 1


@helper_kernel
def _note_walk(lookup: Row, number: Int, dots: Int, suffixes: Int, walked: Row) -> None:
    """Note in ``walked`` (WALKED) what a walk says of its client's settings.

    It is ``lookup`` (LOOKUP) ``number``, of a name with so many ``dots``, along a list of so many
    ``suffixes``.
    """
    if walked["first_walk"] < 0 or number < walked["first_walk"]:
        walked["first_walk"] = number
    if lookup["mode"] == LIST:
        walked["most"] = max(walked["most"], dots)
        if lookup["candidates"] == suffixes + 1:
            walked["to_the_end"] = 1
    elif lookup["mode"] == AS_IS:
        walked["fewest"] = min(walked["fewest"], dots)


class Held(NamedTuple):
    """The names of which the client being read has answers, or had: scratch."""

    slots: Ids  # the row of a name plus 1; 0: free. None without a clock
    rows: Rows  # _HELD
    used: Integers  # (1): rows


def held_for(names: int) -> Held:
    """Return room for so many ``names`` of any one client; for none, nothing is ever held."""
    slots = slot_count(names) if names else 0
    return Held(np.zeros(slots, np.int32), np.empty(names, _HELD), np.zeros(1, np.int64))


@inline_kernel
def _held_ends_search(entry: Int, key: tuple[Rows, Int]) -> bool:
    """Is ``entry`` of the slots free, or that of ``key``, the rows (_HELD) and a name?"""
    rows, name = key
    return bool(entry == 0 or rows[entry - 1]["name"] == name)


@helper_kernel
def _hold(held: Held, name: Int, slot: Int) -> None:
    """Begin a row of ``held`` for ``name``, which belongs in ``slot``, with no answer so far."""
    row = held.rows[held.used[0]]
    row["name"] = name
    row["slot"] = slot
    row["valid_until"][_IPV4] = NO_TIME
    row["valid_until"][_IPV6] = NO_TIME
    row["repeats"][_IPV4] = 0
    row["repeats"][_IPV6] = 0
    row["row"] = 0
    held.used[0] += 1
    held.slots[slot] = held.used[0]


@helper_kernel
def _let_go(held: Held) -> None:
    """Make ``held`` empty for the next client."""
    for n in range(held.used[0]):
        held.slots[held.rows[n]["slot"]] = 0
    held.used[0] = 0


@helper_kernel
def _repeated_row(held: Row, client: Int, out: PartSigns) -> Row:
    """Return the REPEATED row in ``out`` of ``client`` and its ``held`` (_HELD), new or known."""
    if held["row"] == 0:
        new = out.used[REPEATED_ROWS]
        out.used[REPEATED_ROWS] = new + 1
        out.repeated[new]["client"] = client
        out.repeated[new]["name"] = held["name"]
        out.repeated[new]["queries"] = 0
        out.repeated[new]["again"] = 0
        held["row"] = new + 1
    row: Row = out.repeated[held["row"] - 1]
    return row


@helper_kernel
def _repeat_signs(
    t: Row, until: Int, counts: bool, client: Int, held: Held, seed: np.uint64, out: PartSigns
) -> Int:
    """Count in ``out`` a question that was asked again while an answer was valid; return its signs.

    ``t`` (TRANSACTION) is of ``client``; its answer is valid ``until`` then (ns, NO_TIME). What the
    client has is in ``held``, a hash table by ``seed``. Without ``counts`` the application
    has not asked for it again.
    """
    if t["qtype"] != TYPE_A and t["qtype"] != TYPE_AAAA:
        return 0
    family = _IPV4 if t["qtype"] == TYPE_A else _IPV6
    name = np.int64(t["name"])
    slot = find_slot(held.slots, hash_ids(name, 0, seed), _held_ends_search, (held.rows, name))
    if held.slots[slot] == 0:
        if until == NO_TIME:
            return 0  # nothing is held of a name that is not there
        _hold(held, name, slot)
    mine = held.rows[held.slots[slot] - 1]
    signs = 0
    if counts and t["time"] < mine["valid_until"][family]:
        mine["repeats"][family] = min(mine["repeats"][family] + 1, _NOTED_REPEATS)
        repeated = _repeated_row(mine, client, out)
        repeated["queries"] += 1
        if mine["repeats"][family] >= _NOTED_REPEATS:
            repeated["again"] += 1
            signs = AGAIN
    if until != NO_TIME:
        mine["valid_until"][family] = until
    return signs


@inline_kernel
def _query_signs(given: SignInput, t: Row, lookup: Row, client: Int, out: PartSigns) -> Int:
    """Return the signs that a question shows by itself: ``t`` (TRANSACTION) of ``given``.

    It is of ``lookup`` (LOOKUP) of ``client``. Names with dots inside are counted in ``out``, under
    their suffix.
    """
    signs, base_flag = 0, given.names.flags[lookup["base"]]
    if t["retries"] > 0:
        first = given.exchanges[t["first"]]
        if first["response_packet"] < 0:
            signs |= LOST
        elif t["response"] >= 0 and _is_asked_for_nothing(first, given.exchanges[t["response"]]):
            signs |= ANSWER_LOST
    outcome = t["outcome"]
    if not (outcome == ANSWER or outcome == NODATA or outcome == NXDOMAIN):
        signs |= FAILED
    if t["waste_class"] == SERVICE_PROBE:
        signs |= PROBE
    name_flag = given.names.flags[t["name"]]
    if _is_expanded_again(lookup, name_flag, base_flag):
        signs |= EXPANDED_AGAIN
    if outcome == ANSWER and name_flag & EXPANDED and not name_flag & IN_ZONE:
        signs |= CAUGHT
    if t["suffix"] >= 0:
        if given.labels[lookup["base"]] > 1 and not base_flag & IN_ZONE:
            if _count_dotted(t, out.under[out.suffix_begins[client] + t["suffix"]]):
                signs |= DOTTED_ANSWERED
        if _fails_under_suffix(t, lookup):
            signs |= SUFFIX_FAILED
    return signs


@kernel
def find_signs(given: SignInput, out: PartSigns, servers: Servers, held: Held) -> None:
    """Find the signs of every transaction of ``given``, and what is counted by client and suffix.

    ``out`` gets all that, ``servers`` what is counted by server. ``held`` is scratch for any one
    client, without room where there is no clock. A walk that glibc repeats for a large answer is
    no repetition of the application's.
    """
    number, client = np.int64(ABSENT), np.int64(ABSENT)
    last: Int = np.int64(0)
    for i in range(given.transactions.shape[0]):
        t = given.transactions[i]
        lookup = given.lookups[t["lookup"]]
        if t["lookup"] != number:
            number = np.int64(t["lookup"])
            if lookup["client"] != client:
                client = np.int64(lookup["client"])
                _let_go(held)
                out.walked[client]["begin"] = i
            walked = out.walked[client]
            walked["end"] = i + lookup["queries"]
            if lookup["candidates"] > 1:
                dots = np.int64(given.labels[lookup["base"]]) - 1
                _note_walk(lookup, number, dots, out.list_sizes[client], walked)
        signs = _query_signs(given, t, lookup, client, out)
        until = np.int64(NO_TIME)
        name_flag = given.names.flags[t["name"]]
        last = count_transaction(given.exchanges, t, client, name_flag, servers, last, given.seed)
        if t["response"] >= 0:
            response = given.exchanges[t["response"]]
            signs |= _response_signs(t, response, name_flag)
            if response["min_ttl"] >= 0:
                until = response["response_time"] + np.int64(response["min_ttl"]) * _SECOND_NS
        if held.slots.shape[0] > 0:
            counts = lookup["walk_of"] < 0
            signs |= _repeat_signs(t, until, counts, client, held, given.seed, out)
        out.signs[i] = signs
        out.used[SIGNS_THAT_OCCUR] |= signs
    for exchange in range(given.exchanges.shape[0]):
        e = given.exchanges[exchange]
        if e["folded"] >= 0 and (e["outcome"] == ANSWER or e["outcome"] == NXDOMAIN):
            before = out.outcomes[e["folded"]]
            now = before | (SOME_ANSWER if e["outcome"] == ANSWER else SOME_DENIAL)
            out.outcomes[e["folded"]] = now
            if now != before and before != 0:
                out.used[CHANGING] += 1
        count_exchange(given.exchanges, exchange, given.names, servers, given.seed)
    _count_losses(given, out.used)


@inline_kernel
def _id_ends_search(entry: Int, key: tuple[Integers, Int]) -> bool:
    """Is ``entry`` free, or the number of the id of ``key`` (distinct ids, id)?"""
    distinct, sought = key
    return bool(entry == 0 or distinct[entry - 1] == sought)


@kernel
def count_ids(ids: Ids, seed: np.uint64, slots: Ids, distinct: Integers, counts: Integers) -> Int:
    """Count equal ``ids``; return how many differ.

    ``distinct`` gets them in the order in which they first stand, ``counts`` how often each is
    there; both are as long as ``ids``. ``slots`` is scratch: zeros, a hash table for all ``ids`` by
    ``seed``.
    """
    used = np.int64(0)
    for i in range(ids.shape[0]):
        slot = find_slot(slots, hash_ids(ids[i], 0, seed), _id_ends_search, (distinct, ids[i]))
        if slots[slot] == 0:
            distinct[used] = ids[i]
            counts[used] = 0
            used += 1
            slots[slot] = used
        counts[slots[slot] - 1] += 1
    return used
