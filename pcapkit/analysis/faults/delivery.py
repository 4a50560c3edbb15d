"""Detectors of what happens to packets otherwise: cut off, too large, too many, late, to no avail.

Each notes what a part shows; those with a threshold also judge the notes of all parts together.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from pcapkit.analysis.faults.losses import are_heard, count_outcomes, longest_waits, waited_ns
from pcapkit.analysis.faults.notes import (
    FAILED_LOOKUPS,
    LOOKUPS,
    Note,
    Notes,
    note_lookups,
    note_transactions,
)
from pcapkit.analysis.lookups.reading import ClientReading
from pcapkit.analysis.lookups.waste import is_wasted
from pcapkit.analysis.traffic import signs
from pcapkit.analysis.traffic.nameservers import SLOW_NS
from pcapkit.analysis.traffic.part import Indexes, PartTraffic
from pcapkit.codes import UNANSWERED
from pcapkit.model.vocabulary import TRANSACTION_OUTCOMES, Certainty
from pcapkit.resolver.models import resolver_model
from pcapkit.schema import TCP

#: How far into the exchanges after a truncated response its TCP query is looked for.
_AHEAD = 4096
#: docs.aws.amazon.com, "DNS attributes for your VPC": packets a second per network interface.
PACKETS_PER_SECOND = 1024
#: The count of what the capture holds of TCP, whoever sent it.
TCP_PACKETS = "tcp_packets"
_MOST_SERVERS, _NAMED = 10, 3  # that a finding shows, and names in a sentence
_FEWEST_ASKED = 2
_FEWEST_RESPONSES = 10


def failed_lookups(part: PartTraffic) -> Notes:
    """Lookups that nothing answered because a server failed, by that server."""
    r = part.readings
    failed = part.having(signs.FAILED)
    lookups = r.lookups[r.transactions["lookup"][failed]]
    failed = failed[(lookups["complete"] != 0) & (lookups["answered_by"] < 0)]
    if not failed.size:
        return {}
    # what counts is where the walk ended: a failure that was passed over changed nothing
    owner, other = part.together(failed)
    later = r.transactions["time"][other] > r.transactions["time"][failed[owner]]
    later &= r.transactions["name"][other] != r.transactions["name"][failed[owner]]
    failed = np.delete(failed, np.unique(owner[later]))
    t = r.transactions[failed]
    clients = r.lookups["client"][t["lookup"]]
    failed = failed[(t["outcome"] != UNANSWERED) | are_heard(part)[clients]]
    t = r.transactions[failed]
    _, first = np.unique(t["lookup"], return_index=True)
    failed = failed[first]  # one for each lookup
    t = r.transactions[failed]
    asked = r.rows["server"][np.where(t["response"] >= 0, t["response"], t["first"])]
    notes: Notes = {}
    for server in np.unique(asked).tolist():
        mine = failed[asked == server]
        numbers = part.lookups_of(mine)
        took = r.lookups["end"][numbers] - r.lookups["start"][numbers]
        lost = int(took.sum()) if r.has_clock else 0
        note = note_lookups(part, numbers, unit=FAILED_LOOKUPS, lost_ns=lost)
        count_outcomes(note, r.transactions["outcome"][mine])
        notes[part.context.address(server) if server >= 0 else _NO_SERVER] = note
    return notes


#: The subject where the source does not name the server.
_NO_SERVER = "not shown"


def query_unreachable(part: PartTraffic) -> Notes:
    """ICMP errors about queries: noted of the packets, which are no messages."""
    return {}


def answer_unreachable(part: PartTraffic) -> Notes:
    """ICMP errors about responses: noted of the packets, which are no messages."""
    return {}


def concerned(note: Note) -> dict[str, object]:
    """Show how many packets there were, and which nameservers they concern."""
    most = sorted(note.servers.items(), key=lambda item: (-item[1], item[0]))[:_MOST_SERVERS]
    shown: dict[str, object] = {"packets": note.counts["packets"]}
    if most:
        shown["nameservers"] = [{"subject": server, "packets": n} for server, n in most]
    return shown


def _most(counts: Counter[str]) -> str:
    """Name the most frequent ones."""
    most = sorted(counts, key=lambda one: (-counts[one], one))
    more = len(most) - _NAMED
    return ", ".join(most[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def quoted_queries(note: Note) -> tuple[str, ...]:
    """Say which queries the ICMP messages quote."""
    ends = f" of {_most(note.clients)} to {_most(note.servers)}" if note.servers else ""
    return (f"lost packets: {note.counts['packets']:,} ICMP messages quote queries{ends}",)


def quoted_answers(note: Note) -> tuple[str, ...]:
    """Say which responses the ICMP messages quote."""
    ends = f" of {_most(note.servers)} to {_most(note.clients)}" if note.servers else ""
    packets = note.counts["packets"]
    return (f"unreachable nameservers: {packets:,} ICMP messages quote responses{ends}",)


def failures(note: Note) -> dict[str, object]:
    """Show how many lookups failed at a server, and how."""
    keys = (FAILED_LOOKUPS, *TRANSACTION_OUTCOMES)
    return {key: note.counts[key] for key in keys if note.counts[key]}


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


def truncated_certainty(note: Note) -> Certainty:
    """Would the capture show a question over TCP? It does where it shows anybody's TCP."""
    return Certainty.SHOWN if note.counts[TCP_PACKETS] else Certainty.CONSISTENT_WITH


def truncated_rivals(note: Note) -> tuple[str, ...]:
    """Say whether the capture shows TCP at all."""
    packets = note.counts[TCP_PACKETS]
    if packets:
        return (f"a capture of UDP alone: {packets:,} messages or packets came over TCP",)
    return ("as with a capture of UDP alone, which is not excluded: nothing came over TCP",)


def truncated_counts(note: Note) -> dict[str, object]:
    """Show how many responses were truncated."""
    return {"responses": note.counts["responses"]}


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
    model = resolver_model(client.resolver.rules)
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
    none = np.zeros(0, np.int64)
    rescued = _rescued(part) if silent.any() else none
    held = rescued[waited_ns(r, rescued) >= SLOW_NS] if r.has_clock else none
    began = _left_alone_by(part, held, counted["address"][silent])
    for n, server in enumerate(counted["address"].tolist()):
        note = Note()
        if silent[n]:
            note = note_transactions(
                part,
                rescued[r.rows["server"][r.transactions["first"][rescued]] == server],
                unit="answered_by_another",
            )
            mine = held[r.rows["server"][r.transactions["first"][held]] == server]
            waited = waited_ns(r, mine)
            note.lost_ns = int(waited[longest_waits(r.transactions[mine], waited)].sum())
            note.counts[LOOKUPS] += int((began == server).sum())
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


def _left_alone_by(part: PartTraffic, rescued: Indexes, silent: Indexes) -> Indexes:
    """Return the first silent server that each lookup of some rescued transactions asked.

    Each lookup is there once, though two of its candidates may have begun at two such servers.
    """
    r = part.readings
    asked = r.rows["server"][r.transactions["first"][rescued]]
    mine = np.isin(asked, silent)
    _, first = np.unique(r.transactions["lookup"][rescued[mine]], return_index=True)
    out: Indexes = asked[mine][first]
    return out


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
            unheard = r.rows["response_packet"][r.transactions["first"][mine]] < 0
            found.counts["lost"] = int(unheard.sum())
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


def rate_certainty(note: Note) -> Certainty:
    """Was anything lost while the rate was over the limit?"""
    return Certainty.SHOWN if note.counts["lost"] else Certainty.CONSISTENT_WITH


def rate_rivals(note: Note) -> tuple[str, ...]:
    """Say what of those seconds was lost."""
    facts = f"{note.counts['lost']:,} of {note.counts['queries']:,} queries of those seconds"
    if rate_certainty(note) is Certainty.SHOWN:
        return (f"a network without the limit: {facts} got no response",)
    return (f"as with a network without the limit, which is not excluded: {facts} were lost",)


def peak(note: Note) -> dict[str, object]:
    """Show the highest rate."""
    return {
        "peak_packets_per_s": note.largest,
        "queries": note.counts["queries"],
        "wasted_queries": note.counts["wasted_queries"],
    }
