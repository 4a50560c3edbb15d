"""One compiled pass over what was read, which marks the little that fault detectors look at.

Detectors must not walk millions of rows each: a *sign* is one bit on a transaction. What each
nameserver was asked is counted on the way.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.lookups.state import AS_IS, LIST
from pcapkit.analysis.lookups.waste import EMPTY_FAMILY, SERVICE_PROBE
from pcapkit.analysis.traffic.name_flags import EXPANDED, IN_ZONE, PRIVATE
from pcapkit.analysis.traffic.nameservers import count_asked, count_exchange
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, REFUSED, SERVFAIL
from pcapkit.kernels.hashing import hash_ids
from pcapkit.kernels.jit import helper_kernel, kernel
from pcapkit.schema import NO_TIME, UDP

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
_PLAIN_BYTES = 512  # RFC 1035 section 4.2.1
_A, _PTR, _AAAA = 1, 12, 28
_SECOND_NS = 1_000_000_000
_AGAIN = 3
#: What the client being read has of a name.
KNOWN = np.dtype(
    [
        ("fresh", np.int64, 2),  # until when its A and its AAAA answer are valid
        ("repeats", np.int32, 2),  # how often each was asked again within that time
        ("name", np.int32),
        ("client", np.int32),  # index of the client plus 1
        ("row", np.int32),  # of its REPEATED, plus 1
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
#: More dots than any name has.
MANY_DOTS = 1 << 16


class Marks(NamedTuple):
    """What is known of a part's transactions once they are marked."""

    signs: npt.NDArray[np.uint16]
    sizes: npt.NDArray[np.int64]  # of each client's search list
    suffix_at: npt.NDArray[np.int64]  # where it begins in ``under``
    under: npt.NDArray[np.int64]  # names with dots inside: answered, and not there
    walked: npt.NDArray[Any]  # WALKED, by client
    repeated: npt.NDArray[Any]  # REPEATED
    used: npt.NDArray[np.int64]  # [rows of ``repeated``, the signs that occur]


@helper_kernel
def _response_signs(t: Any, r: Any, flag: Any) -> Any:
    """Return the signs that a transaction's response shows."""
    signs = 0
    if r["transport"] == UDP:
        if r["tc"]:
            signs |= TRUNCATED
        elif r["edns_bytes"] < 0 and r["response_bytes"] > _PLAIN_BYTES:
            signs |= OVERSIZE
    if r["alias"]:
        signs |= ALIASED
    outcome = t["outcome"]
    if outcome == NXDOMAIN and t["qtype"] == _AAAA and t["waste_class"] == EMPTY_FAMILY:
        signs |= FAMILY_DENIED
    if t["qtype"] == _PTR and flag & PRIVATE and outcome != ANSWER and not r["aa"]:
        signs |= PRIVATE_REVERSE
    return signs


@helper_kernel
def _count_dotted(t: Any, under: Any) -> Any:
    """Count a name with dots inside under its suffix; was it answered there?"""
    if t["outcome"] == NXDOMAIN:
        under[1] += 1
    elif t["outcome"] == ANSWER:
        under[0] += 1
        return True
    return False


@helper_kernel
def _is_expanded_again(look: Any, name_flag: Any, base_flag: Any) -> Any:
    """Is there a suffix behind a cluster name that this lookup had not asked as is before?"""
    if not name_flag & EXPANDED:
        return False
    return look["mode"] != AS_IS or look["candidates"] == 1 or base_flag & EXPANDED != 0


@helper_kernel
def _fails_under_suffix(t: Any, look: Any) -> Any:
    """Did a suffix's NODATA, SERVFAIL or REFUSED leave the lookup without its answer there?"""
    if not look["complete"] or look["parallel"] or look["answered_by"] == t["name"]:
        return False
    outcome = t["outcome"]
    return outcome == NODATA or outcome == SERVFAIL or outcome == REFUSED


@helper_kernel
def _note_walk(look: Any, number: Any, dots: Any, suffixes: Any, w: Any) -> None:
    """Note what a lookup of several candidates says of its client's settings."""
    if w["first_walk"] < 0 or number < w["first_walk"]:
        w["first_walk"] = number
    if look["mode"] == LIST:
        w["most"] = max(w["most"], dots)
        if look["candidates"] == suffixes + 1:
            w["to_the_end"] = 1
    elif look["mode"] == AS_IS:
        w["fewest"] = min(w["fewest"], dots)


@helper_kernel
def _kept(known: Any, name: Any, client: Any, seed: Any) -> Any:
    """Return what a client has of a name; entries of other clients are free."""
    mask = np.uint64(known.shape[0] - 1)
    slot = np.int64(hash_ids(name, np.int64(0), seed) & mask)
    while known[slot]["client"] == client + 1 and known[slot]["name"] != name:
        slot = np.int64((np.uint64(slot) + np.uint64(1)) & mask)
    k = known[slot]
    if k["client"] != client + 1:
        k["client"] = client + 1
        k["name"] = name
        k["fresh"][0] = NO_TIME
        k["fresh"][1] = NO_TIME
        k["repeats"][0] = 0
        k["repeats"][1] = 0
        k["row"] = 0
    return k


@helper_kernel
def _repeats(
    t: Any, until: Any, counts: bool, client: Any, known: Any, seed: Any, marks: Any
) -> Any:
    """Count a question that was asked again while an answer was valid; return its signs."""
    family = 0 if t["qtype"] == _A else 1
    if family == 1 and t["qtype"] != _AAAA:
        return 0
    k = _kept(known, np.int64(t["name"]), client, seed)
    found = 0
    if counts and t["time"] < k["fresh"][family]:
        k["repeats"][family] += 1
        if k["row"] == 0:
            row = marks.used[0]
            marks.used[0] = row + 1
            marks.repeated[row]["client"] = client
            marks.repeated[row]["name"] = t["name"]
            marks.repeated[row]["queries"] = 0
            marks.repeated[row]["again"] = 0
            k["row"] = row + 1
        x = marks.repeated[k["row"] - 1]
        x["queries"] += 1
        if k["repeats"][family] >= _AGAIN:
            x["again"] += 1
            found = AGAIN
    if until != NO_TIME:
        k["fresh"][family] = until
    return found


@kernel
def mark_transactions(
    rows: Any,
    transactions: Any,
    lookups: Any,
    flags: Any,
    labels: Any,
    marks: Any,
    servers: Any,
    known: Any,
    seed: Any,
) -> None:
    """Set the signs of every transaction, and what is counted by client, suffix and server.

    The transactions of one client stand together, those of a lookup, too. ``known`` is a hash table
    of KNOWN, with room for any one client; it is empty without a clock. A walk that glibc repeats
    for a large answer is no repetition of the application's.
    """
    number, client, base = np.int64(-1), np.int64(-1), np.int64(-1)
    last = np.int64(0)
    for i in range(transactions.shape[0]):
        t = transactions[i]
        look = lookups[t["lookup"]]
        if t["lookup"] != number:
            number = np.int64(t["lookup"])
            base = np.int64(look["base"])
            if look["client"] != client:
                client = np.int64(look["client"])
                marks.walked[client]["begin"] = i
            w = marks.walked[client]
            w["end"] = i + look["queries"]
            if look["candidates"] > 1:
                dots = np.int64(labels[base]) - 1
                _note_walk(look, number, dots, marks.sizes[client], w)
        found = 0
        if t["retries"] > 0 and rows[t["first"]]["response_packet"] < 0:
            found |= LOST
        if t["waste_class"] == SERVICE_PROBE:
            found |= PROBE
        if _is_expanded_again(look, flags[t["name"]], flags[base]):
            found |= EXPANDED_AGAIN
        if t["suffix"] >= 0:
            if labels[base] > 1 and not flags[base] & IN_ZONE:
                if _count_dotted(t, marks.under[marks.suffix_at[client] + t["suffix"]]):
                    found |= DOTTED_ANSWERED
            if _fails_under_suffix(t, look):
                found |= SUFFIX_FAILED
        until = np.int64(NO_TIME)
        last = count_asked(rows, t, client, flags[t["name"]], servers, last, seed)
        if t["response"] >= 0:
            r = rows[t["response"]]
            found |= _response_signs(t, r, flags[t["name"]])
            if r["min_ttl"] >= 0:
                until = r["response_time"] + np.int64(r["min_ttl"]) * _SECOND_NS
        if known.shape[0] > 0:
            found |= _repeats(t, until, look["walk_of"] < 0, client, known, seed, marks)
        marks.signs[i] = found
        marks.used[1] |= found
    for exchange in range(rows.shape[0]):
        count_exchange(rows, exchange, flags, servers, seed)


@kernel
def count_ids(ids: Any, seed: Any, slots: Any, distinct: Any, counts: Any) -> Any:
    """Count equal ids, the distinct ones in the order of their first places; return how many.

    ``slots`` are zeros, a power of two and more than there are ids.
    """
    mask = np.uint64(slots.shape[0] - 1)
    used = 0
    for i in range(ids.shape[0]):
        slot = np.int64(hash_ids(ids[i], np.int64(0), seed) & mask)
        while slots[slot] > 0 and distinct[slots[slot] - 1] != ids[i]:
            slot = np.int64((np.uint64(slot) + np.uint64(1)) & mask)
        if slots[slot] == 0:
            distinct[used] = ids[i]
            counts[used] = 0
            used += 1
            slots[slot] = used
        counts[slots[slot] - 1] += 1
    return used
