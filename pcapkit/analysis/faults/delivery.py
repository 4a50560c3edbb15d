"""Detectors of what happens to packets: lost, late, cut off, too large, too many.

Each notes what a part shows; those with a threshold also judge the notes of all parts together.
Timers: glibc ``resolv/res_init.c`` (5 s) and musl ``src/network/res_msend.c`` (timeout divided by
attempts: 2.5 s).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.faults.notes import Note, Notes, note_lookups, note_transactions
from pcapkit.analysis.lookups.reading import ClientReading, Readings
from pcapkit.analysis.lookups.waste import is_wasted
from pcapkit.analysis.traffic import signs
from pcapkit.analysis.traffic.part import Indexes, PartTraffic
from pcapkit.codes import TYPE_A, TYPE_AAAA
from pcapkit.resolver.models import resolver_model
from pcapkit.schema import TCP, Integers

#: A and AAAA leave together within this time.
_TOGETHER_NS = 20_000_000
#: Less than any resolver's timer that is set in whole seconds.
_SHORTEST_STALL_NS = 900_000_000
_TIMERS_NS = (("stalls_of_5_s", 5_000_000_000), ("stalls_of_2_5_s", 2_500_000_000))
#: How far into the exchanges after a truncated response its TCP query is looked for.
_AHEAD = 4096
#: docs.aws.amazon.com, "DNS attributes for your VPC": packets a second per network interface.
PACKETS_PER_SECOND = 1024
_FEWEST_ASKED = 2
_FEWEST_RESPONSES = 10


def _near(waited: Integers, timer: int) -> npt.NDArray[np.bool_]:
    """Is this the timer, give or take a tenth?"""
    return np.abs(waited - timer) * 10 <= timer


def _waited(r: Readings, transactions: Indexes) -> Indexes:
    """Return how long each lost query held its lookup: until the query that was answered.

    Where none was, until the end of the lookup.
    """
    t = r.transactions[transactions]
    again = r.rows["query_time"][np.maximum(t["response"], 0)]
    end = r.lookups["end"][t["lookup"]]
    waited: Indexes = np.where(t["response"] >= 0, again, end) - t["time"]
    return waited


def conntrack_race(part: PartTraffic) -> Notes:
    """A and AAAA from one port together, one of them lost, its resend answered after a timer."""
    r = part.readings
    lost = part.having(signs.LOST)
    if not lost.size or not r.has_clock:
        return {}
    t = r.transactions[lost]
    waited = _waited(r, lost)
    timed = _near(waited, _TIMERS_NS[0][1]) | _near(waited, _TIMERS_NS[1][1])
    of_family = (t["qtype"] == TYPE_A) | (t["qtype"] == TYPE_AAAA)
    lost = lost[timed & (t["response"] >= 0) & of_family]
    owner, other = part.together(lost)
    mine, twin = r.transactions[lost[owner]], r.transactions[other]
    families = (mine["name"] == twin["name"]) & (
        mine["qtype"] + twin["qtype"] == TYPE_A + TYPE_AAAA
    )
    owner = owner[families]
    left, right = r.rows[mine["first"][families]], r.rows[twin["first"][families]]
    pair = (
        (left["client_port"] == right["client_port"])
        & (left["transport"] != TCP)
        & (np.abs(left["query_time"] - right["query_time"]) <= _TOGETHER_NS)
        & (right["response_packet"] >= 0)
    )
    raced = lost[np.unique(owner[pair])]
    if not raced.size:
        return {}
    note = note_transactions(part, raced, unit="lost_queries", lost_ns=int(_waited(r, raced).sum()))
    note.counts["lost_otherwise"] += part.having(signs.LOST).size - raced.size
    return {"": note}


def stalls(part: PartTraffic) -> Notes:
    """Lookups that waited for a timer before a lost query was sent again."""
    r = part.readings
    lost = part.having(signs.LOST)
    if not lost.size or not r.has_clock:
        return {}
    waited = _waited(r, lost)
    lost, waited = lost[waited >= _SHORTEST_STALL_NS], waited[waited >= _SHORTEST_STALL_NS]
    if not lost.size:
        return {}
    t = r.transactions[lost]
    order = np.lexsort((-waited, t["name"], t["lookup"]))  # the longer wait of a candidate's two
    t, lost, waited = t[order], lost[order], waited[order]
    new = np.append(True, (np.diff(t["lookup"]) != 0) | (np.diff(t["name"]) != 0))
    lost, waited = lost[new], waited[new]
    note = note_lookups(part, part.lookups_of(lost), lost_ns=int(waited.sum()))
    note.counts["stalls"] += waited.size
    for key, timer in _TIMERS_NS:
        note.counts[key] += int(_near(waited, timer).sum())
    return {"": note}


def truncated_without_tcp(part: PartTraffic) -> Notes:
    """Responses with TC whose question the client never asked over TCP."""
    r = part.readings
    cut = part.having(signs.TRUNCATED)
    t = r.transactions[cut]
    followed = np.zeros(cut.size, np.bool_)
    for i in np.flatnonzero(t["retries"] > 0).tolist():
        after = r.rows[t["response"][i] : t["response"][i] + _AHEAD]
        asked = r.rows[t["first"][i]]
        followed[i] = bool(
            (
                (after["client"] == asked["client"])
                & (after["folded"] == asked["folded"])
                & (after["transport"] == TCP)
            ).any()
        )
    cut = cut[~followed]
    return {"": note_transactions(part, cut, unit="responses")} if cut.size else {}


def oversize_answers(part: PartTraffic) -> Notes:
    """Responses of more than 512 bytes over UDP to queries without EDNS."""
    large = part.having(signs.OVERSIZE)
    if not large.size:
        return {}
    r = part.readings
    note = note_transactions(part, large, unit="responses")
    sizes = r.rows["response_bytes"][r.transactions["response"][large]]
    note.largest = int(sizes.max())
    return {"": note}


def largest(note: Note) -> dict[str, object]:
    """Show the largest of the responses."""
    return {"responses": note.counts["responses"], "largest_bytes": note.largest}


def _may_walk_again(client: ClientReading) -> bool:
    """Does the resolver walk again for large answers? One that is not known must walk at all."""
    model = resolver_model(client.resolver.model)
    return model.walks_again_when_large and (model.is_known or len(client.search.suffixes) > 0)


def large_answer_walks(part: PartTraffic) -> Notes:
    """Walks that only repeat one whose answer outgrew glibc's buffer."""
    lookups = part.readings.lookups
    again = np.flatnonzero(lookups["walk_of"] >= 0)
    if not again.size:
        return {}
    walks = np.array([_may_walk_again(c) for c in part.readings.clients])
    again = again[walks[lookups["client"][again]]]
    if not again.size:
        return {}
    lost = int((lookups["end"] - lookups["start"])[again].sum()) if part.readings.has_clock else 0
    note = note_lookups(part, again, unit="repeated_walks", lost_ns=lost)
    note.counts["queries"] += int(lookups["queries"][again].sum())
    return {"": note}


def nameservers(part: PartTraffic) -> Notes:
    """What each nameserver was asked and how it responded, with whom another one helped."""
    r = part.readings
    notes: Notes = {}
    counted = part.servers
    silent = (counted["asked"] >= _FEWEST_ASKED) & (counted["answered"] == 0)
    responses = zip(counted["answered"].tolist(), counted["slow"].tolist(), strict=True)
    late = [_is_mostly_slow(answered, slow) for answered, slow in responses]
    rescued = _rescued(part) if silent.any() else np.zeros(0, np.int64)
    for n, server in enumerate(counted["address"].tolist()):
        note = Note()
        if silent[n]:
            note = note_transactions(
                part,
                rescued[r.rows["server"][r.transactions["first"][rescued]] == server],
                unit="answered_by_another",
            )
            if r.has_clock and note.clients:
                mine = r.transactions["first"][rescued]
                note.lost_ns = int(_waited(r, rescued[r.rows["server"][mine] == server]).sum())
        elif late[n] and r.has_clock:
            answered = r.transactions["response"] >= 0
            mine = r.rows["server"][np.maximum(r.transactions["response"], 0)] == server
            note = note_transactions(part, np.flatnonzero(answered & mine), unit="transactions")
        note.counts.update({name: int(counted[name][n]) for name in ("asked", "answered", "slow")})
        if r.has_clock:
            note.counts["waited_us"] = int(counted["waited_ns"][n]) // 1000
        notes[part.context.address(server)] = note
    return notes


def _rescued(part: PartTraffic) -> Indexes:
    """Return the transactions whose first query one server left alone and another answered."""
    r = part.readings
    lost = part.having(signs.LOST)
    lost = lost[r.transactions["response"][lost] >= 0]
    t = r.transactions[lost]
    rescued: Indexes = lost[r.rows["server"][t["first"]] != r.rows["server"][t["response"]]]
    return rescued


def _is_mostly_slow(answered: int, slow: int) -> bool:
    return answered >= _FEWEST_RESPONSES and 2 * slow > answered


def dead(subject: str, note: Note) -> bool:
    """Did this nameserver never respond, while another answered the same questions?"""
    counts = note.counts
    return (
        counts["asked"] >= _FEWEST_ASKED
        and counts["answered"] == 0
        and counts["answered_by_another"] > 0
    )


def slow(subject: str, note: Note) -> bool:
    """Did most of its responses take longer than SLOW_NS?"""
    return _is_mostly_slow(note.counts["answered"], note.counts["slow"])


def rescued_counts(note: Note) -> dict[str, object]:
    """Show what it was asked, and how much of that another one answered."""
    helped = note.counts["answered_by_another"]
    return {"queries": note.counts["asked"], "answered_by_another": helped}


def response_times(note: Note) -> dict[str, object]:
    """Show how many responses were slow, and the mean time."""
    mean = note.counts["waited_us"] / max(1, note.counts["answered"])
    return {
        "responses": note.counts["answered"],
        "slow_responses": note.counts["slow"],
        "mean_response_s": round(mean / 1e6, 6),
    }


def busy_seconds(part: PartTraffic) -> Notes:
    """Seconds in which one client sent one nameserver more packets than a cloud lets through."""
    r = part.readings
    notes: Notes = {}
    rates = part.rates
    over = rates[rates["peak"] >= PACKETS_PER_SECOND]
    for row in part.servers:
        server = int(row["address"])
        note = notes[part.context.address(server)] = Note()
        note.counts["held"] = int(row["zone_known"])
        for rate in over[over["server"] == server]:
            second = int(r.rows["query_time"][rate["peak_row"]]) // 1_000_000_000
            mine = _sent_in(part, int(rate["client"]), server, second)
            found = note_transactions(part, mine, unit="queries")
            wasted = is_wasted(r.transactions["waste_class"][mine])
            found.counts["wasted_queries"] = int(wasted.sum())
            found.largest = int(rate["peak"])
            note.add(found)
    return notes


def _sent_in(part: PartTraffic, client: int, server: int, second: int) -> Indexes:
    """Return the transactions that one client began at one server within one second."""
    r = part.readings
    now = np.flatnonzero(r.transactions["time"] // 1_000_000_000 == second)
    first = r.rows[r.transactions["first"][now]]
    sent: Indexes = now[(first["client"] == client) & (first["server"] == server)]
    return sent


def too_many(subject: str, note: Note) -> bool:
    """Was the rate reached at a nameserver that does not hold the cluster's names?"""
    return note.largest > 0 and note.counts["held"] == 0


def peak(note: Note) -> dict[str, object]:
    """Show the highest rate."""
    return {
        "peak_packets_per_s": note.largest,
        "queries": note.counts["queries"],
        "wasted_queries": note.counts["wasted_queries"],
    }
