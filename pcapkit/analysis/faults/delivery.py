"""Detectors of what happens to packets: lost, late, cut off, too large, too many.

Each notes what a part shows; those with a threshold also judge the notes of all parts together.
Timers: glibc ``resolv/res_init.c`` (5 s) and musl ``src/network/res_msend.c`` (timeout divided by
attempts: 2.5 s).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.faults.notes import (
    FAILED_LOOKUPS,
    Note,
    Notes,
    note_lookups,
    note_transactions,
)
from pcapkit.analysis.lookups.reading import ClientReading, Readings
from pcapkit.analysis.lookups.waste import is_wasted
from pcapkit.analysis.traffic import signs
from pcapkit.analysis.traffic.nameservers import SLOW_NS
from pcapkit.analysis.traffic.part import Indexes, PartTraffic
from pcapkit.codes import ANSWER, TYPE_A, TYPE_AAAA, UNANSWERED
from pcapkit.model.vocabulary import TRANSACTION_OUTCOMES, Certainty
from pcapkit.resolver.models import resolver_model
from pcapkit.schema import TCP, Integers

#: resolv.conf(5) sets timers in whole seconds, and musl halves them; who waits runs a little late.
_HALF_SECOND_NS, _LATE_NS = 500_000_000, 150_000_000
#: From this chance down, another explanation is excluded.
_SIGNIFICANT = 0.01
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
    if not r.has_clock:
        return {}
    note = Note()
    lost = part.having(signs.LOST)
    if lost.size:
        t = r.transactions[lost]
        of_family = (t["qtype"] == TYPE_A) | (t["qtype"] == TYPE_AAAA)
        lost = lost[_ran_out(_waited(r, lost)) & (t["response"] >= 0) & of_family]
        raced = _of_pairs(part, lost)
        if raced.size:
            waited = int(_waited(r, raced).sum())
            note = note_transactions(part, raced, unit="lost_queries", lost_ns=waited)
            clients = np.unique(r.lookups["client"][r.transactions["lookup"][raced]])
            note.counts["in_a_cluster"] += sum(part.in_a_cluster(i) for i in clients.tolist())
    losses = zip(_LOSSES, part.losses().tolist(), strict=True)
    note.counts.update({key: count for key, count in losses if count})
    return {"": note}


#: Counts of ``PartTraffic.losses``.
_LOSSES = ("paired_queries", "paired_lost", "other_queries", "other_lost")


def _ran_out(waited: Integers) -> npt.NDArray[np.bool_]:
    """Is each of these times one after which a resolver asks again?

    Its timeout in whole seconds (glibc), or half of it (musl), once or several times, and a little
    later: until the process runs.
    """
    late = waited % _HALF_SECOND_NS
    return (waited >= _HALF_SECOND_NS) & (late <= _LATE_NS)


def _of_pairs(part: PartTraffic, lost: Indexes) -> Indexes:
    """Return those of some lost queries whose other family left the port with them, and arrived."""
    r = part.readings
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
        & (np.abs(left["query_time"] - right["query_time"]) <= signs.TOGETHER_NS)
        & (right["response_packet"] >= 0)
    )
    raced: Indexes = lost[np.unique(owner[pair])]
    return raced


def may_have_raced(subject: str, note: Note) -> bool:
    """Was there a loss that looks like it, in a cluster, or that only it explains?"""
    if not note.counts["lost_queries"]:
        return False
    return note.counts["in_a_cluster"] > 0 or race_certainty(note) is Certainty.SHOWN


def race_certainty(note: Note) -> Certainty:
    """Is the loss of one of a pair more than the loss elsewhere explains?"""
    if _chance_of_pairs(note) < _SIGNIFICANT:
        return Certainty.SHOWN
    return Certainty.CONSISTENT_WITH


def _chance_of_pairs(note: Note) -> float:
    """Return how likely pairs lose so many, or more, of all that was lost: Fisher's exact test.

    1 where nothing was sent otherwise.
    """
    paired, hit, others, elsewhere = (note.counts[key] for key in _LOSSES)
    if not others:
        return 1.0
    lost, sent = hit + elsewhere, paired + others
    return sum(
        math.exp(_log_choose(paired, k) + _log_choose(others, lost - k) - _log_choose(sent, lost))
        for k in range(hit, min(lost, paired) + 1)
        if lost - k <= others
    )


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def race_rivals(note: Note) -> tuple[str, ...]:
    """Say what pairs lost, and what was lost elsewhere."""
    paired, hit, others, lost = (f"{note.counts[key]:,}" for key in _LOSSES)
    facts = f"{hit} of {paired} queries in pairs from one port were lost, {lost} of {others} others"
    if race_certainty(note) is Certainty.SHOWN:
        return (f"plain loss: {facts} (p = {_chance_of_pairs(note):.2g})",)
    return (f"as with plain loss, which is not excluded: {facts}",)


def race_counts(note: Note) -> dict[str, object]:
    """Show how many were lost, and what was sent and lost in all."""
    return {key: note.counts[key] for key in ("lost_queries", *_LOSSES)}


def stalls(part: PartTraffic) -> Notes:
    """Lookups that waited for a timer before a lost query was sent again.

    The client had no answer; the capture, taken nearer to the server, may show one all the same.
    """
    r = part.readings
    lost, unheard = part.having(signs.LOST), part.having(signs.ANSWER_LOST)
    if not lost.size + unheard.size or not r.has_clock:
        return {}
    unheard = _alone(part, unheard)
    both = np.concatenate([lost, unheard])
    t = r.transactions[both]
    again = r.rows["query_time"][np.maximum(t["response"], 0)]
    waited = np.concatenate([_waited(r, lost), (again - t["time"])[lost.size :]])
    long = waited >= signs.SHORTEST_STALL_NS
    heard = np.arange(both.size) < lost.size
    both, waited, t, heard = both[long], waited[long], t[long], heard[long]
    if not both.size:
        return {}
    order = np.lexsort((-waited, t["name"], t["lookup"]))  # the longer wait of a candidate's two
    t, both, waited, heard = t[order], both[order], waited[order], heard[order]
    new = np.append(True, (np.diff(t["lookup"]) != 0) | (np.diff(t["name"]) != 0))
    both, waited, heard = both[new], waited[new], heard[new]
    note = note_lookups(part, part.lookups_of(both), lost_ns=int(waited.sum()))
    note.counts["stalls"] += waited.size
    note.counts["answers_lost"] += int((~heard).sum())
    note.counts["queries_lost"] += int(heard.sum())
    for key, timer in _TIMERS_NS:
        note.counts[key] += int(_near(waited, timer).sum())
    return {"": note}


def _alone(part: PartTraffic, unheard: Indexes) -> Indexes:
    """Leave out what glibc asks again with the other family, of which the query was lost."""
    owner, other = part.together(unheard)
    t = part.readings.transactions
    lost = (part.signs[other] & signs.LOST != 0) & (t["name"][other] == t["name"][unheard[owner]])
    return np.delete(unheard, np.unique(owner[lost]))


def failed_families(part: PartTraffic) -> Notes:
    """One family of a name is answered; the other fails, and costs time, queries or the lookup."""
    r = part.readings
    failed = part.having(signs.FAILED)
    if not failed.size:
        return {}
    t = r.transactions[failed]
    failed = failed[(t["qtype"] == TYPE_A) | (t["qtype"] == TYPE_AAAA)]
    owner, other = part.together(failed)
    mine, twin = r.transactions[failed[owner]], r.transactions[other]
    pair = (
        (mine["name"] == twin["name"])
        & (mine["qtype"] + twin["qtype"] == TYPE_A + TYPE_AAAA)
        & (twin["outcome"] == ANSWER)
    )
    failed, other = failed[owner[pair]], other[pair]
    t = r.transactions[failed]
    ended = r.lookups["end"][t["lookup"]]
    unanswered = t["outcome"] == UNANSWERED
    waited = ended - r.rows["response_time"][r.transactions["response"][other]]
    insists = np.where(unanswered, t["retries"] > 0, (t["retries"] > 0) | (waited >= SLOW_NS))
    failed, waited = failed[insists], waited[insists]
    if not failed.size:
        return {}
    waits = int(np.maximum(waited, 0).sum()) if r.has_clock else 0
    note = note_transactions(part, failed, unit="failed_questions", lost_ns=waits)
    t = r.transactions[failed]
    note.counts["lookups"] += part.lookups_of(failed).size
    note.counts["sent_again"] += int(t["retries"].sum())
    _count_outcomes(note, t["outcome"])
    for qtype, key in ((TYPE_A, "a_questions"), (TYPE_AAAA, "aaaa_questions")):
        note.counts[key] += int((t["qtype"] == qtype).sum())
    gives_up = [resolver_model(c.resolver.model).failure_of_one_is_failure for c in r.clients]
    clients = r.lookups["client"][t["lookup"]]
    note.counts[FAILED_LOOKUPS] += int(np.array(gives_up)[clients].sum())
    return {"": note}


def _count_outcomes(note: Note, outcomes: npt.NDArray[np.uint8]) -> None:
    for outcome, n in zip(*np.unique(outcomes, return_counts=True), strict=True):
        note.counts[TRANSACTION_OUTCOMES[outcome]] += int(n)


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
    failed = failed[(t["outcome"] != UNANSWERED) | _are_heard(part)[clients]]
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
        _count_outcomes(note, r.transactions["outcome"][mine])
        notes[part.context.address(server) if server >= 0 else _NO_SERVER] = note
    return notes


#: The subject where the source does not name the server.
_NO_SERVER = "not shown"


def _are_heard(part: PartTraffic) -> npt.NDArray[np.bool_]:
    """Of which clients does the capture show responses at all?"""
    heard = np.zeros(len(part.readings.clients), np.bool_)
    counts = part.query_counts
    heard[counts["client"][counts["answered"] > 0]] = True
    return heard


def query_unreachable(part: PartTraffic) -> Notes:
    """ICMP errors about queries: noted of the packets, which are no messages."""
    return {}


def answer_unreachable(part: PartTraffic) -> Notes:
    """ICMP errors about responses: noted of the packets, which are no messages."""
    return {}


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
