"""Detectors of what is lost on the way: half of a pair, a query, an answer, one address family.

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
    LOOKUPS,
    Note,
    Notes,
    note_lookups,
    note_transactions,
)
from pcapkit.analysis.lookups.reading import Readings
from pcapkit.analysis.traffic import signs
from pcapkit.analysis.traffic.nameservers import SLOW_NS
from pcapkit.analysis.traffic.part import Indexes, PartTraffic
from pcapkit.codes import ANSWER, TYPE_A, TYPE_AAAA, UNANSWERED
from pcapkit.model.vocabulary import TRANSACTION_OUTCOMES, Certainty
from pcapkit.resolver.models import resolver_model
from pcapkit.schema import TCP, Integers, Rows

#: resolv.conf(5) sets timers in whole seconds, and musl halves them; who waits runs a little late.
_HALF_SECOND_NS, _LATE_NS = 500_000_000, 150_000_000
#: From this chance down, another explanation is excluded.
_SIGNIFICANT = 0.01
_TIMERS_NS = (("stalls_of_5_s", 5_000_000_000), ("stalls_of_2_5_s", 2_500_000_000))


def _near(waited: Integers, timer: int) -> npt.NDArray[np.bool_]:
    """Is this the timer, give or take a tenth?"""
    return np.abs(waited - timer) * 10 <= timer


def waited_ns(r: Readings, transactions: Indexes) -> Indexes:
    """Return how long each lost query held its lookup: until the query that was answered.

    Where none was, until the end of the lookup.
    """
    t = r.transactions[transactions]
    again = r.rows["query_time"][np.maximum(t["response"], 0)]
    end = r.lookups["end"][t["lookup"]]
    waited: Indexes = np.where(t["response"] >= 0, again, end) - t["time"]
    return waited


def longest_waits(transactions: Rows, waited: Indexes) -> Indexes:
    """Return where the longest wait of each candidate of each lookup is.

    A and AAAA of a candidate wait at the same time, which is lost once. ``transactions``
    (TRANSACTION) have waited so long, in nanoseconds; the result is in the order of lookups.
    """
    order = np.lexsort((-waited, transactions["name"], transactions["lookup"]))
    lookup, name = transactions["lookup"][order], transactions["name"][order]
    new = np.ones(order.size, np.bool_)
    new[1:] = (np.diff(lookup) != 0) | (np.diff(name) != 0)
    out: Indexes = order[new]
    return out


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
        lost = lost[_ran_out(waited_ns(r, lost)) & (t["response"] >= 0) & of_family]
        raced = _of_pairs(part, lost)
        if raced.size:
            waited = int(waited_ns(r, raced).sum())
            note = note_transactions(part, raced, unit="lost_queries", lost_ns=waited)
            note.counts[LOOKUPS] += part.lookups_of(raced).size
            clients = np.unique(r.lookups["client"][r.transactions["lookup"][raced]])
            note.counts["in_a_cluster"] += sum(part.in_a_cluster(i) for i in clients.tolist())
    _note_losses(part, note)
    return {"": note}


#: Counts of ``PartTraffic.losses``.
_LOSSES = ("paired_queries", "paired_lost", "other_queries", "other_lost")


def _note_losses(part: PartTraffic, note: Note) -> None:
    """Add how many queries were sent, and lost, to a note."""
    losses = zip(_LOSSES, part.losses().tolist(), strict=True)
    note.counts.update({key: count for key, count in losses if count})


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
    lost, unheard = _surely_lost(part, lost), _alone(part, unheard)
    both = np.concatenate([lost, unheard])
    t = r.transactions[both]
    again = r.rows["query_time"][np.maximum(t["response"], 0)]
    waited = np.concatenate([waited_ns(r, lost), (again - t["time"])[lost.size :]])
    long = waited >= signs.SHORTEST_STALL_NS
    heard = np.arange(both.size) < lost.size
    both, waited, t, heard = both[long], waited[long], t[long], heard[long]
    if not both.size:
        return {}
    longest = longest_waits(t, waited)
    both, waited, heard = both[longest], waited[longest], heard[longest]
    note = note_lookups(part, part.lookups_of(both), lost_ns=int(waited.sum()))
    note.counts["stalls"] += waited.size
    note.counts["answers_lost"] += int((~heard).sum())
    note.counts["queries_lost"] += int(heard.sum())
    for key, timer in _TIMERS_NS:
        note.counts[key] += int(_near(waited, timer).sum())
    return {"": note}


def _surely_lost(part: PartTraffic, lost: Indexes) -> Indexes:
    """Leave out what a client, of which no response was captured, may have asked anew.

    Only its resolver sends a question again from the same port with the same ID.
    """
    r = part.readings
    silent = ~are_heard(part)[r.lookups["client"][r.transactions["lookup"][lost]]]
    if not silent.any():
        return lost
    asked = r.rows[["client", "client_port", "message_id", "folded", "qtype"]]
    _, which, times = np.unique(asked, return_inverse=True, return_counts=True)
    again = times[which[r.transactions["first"][lost]]] > 1
    out: Indexes = lost[~silent | again]
    return out


def _alone(part: PartTraffic, unheard: Indexes) -> Indexes:
    """Leave out what glibc asks again with the other family, of which the query was lost."""
    owner, other = part.together(unheard)
    t = part.readings.transactions
    lost = (part.signs[other] & signs.LOST != 0) & (t["name"][other] == t["name"][unheard[owner]])
    return np.delete(unheard, np.unique(owner[lost]))


def failed_families(part: PartTraffic) -> Notes:
    """One family of a name is answered; the other fails, and costs time, queries or the lookup."""
    note = _failing_pairs(part)
    _note_losses(part, note)
    return {"": note}


def _failing_pairs(part: PartTraffic) -> Note:
    """Note the questions that failed while the other family of their name was answered."""
    r = part.readings
    failed = part.having(signs.FAILED)
    if not failed.size:
        return Note()
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
        return Note()
    waits = int(np.maximum(waited, 0).sum()) if r.has_clock else 0
    note = note_transactions(part, failed, unit="failed_questions", lost_ns=waits)
    t = r.transactions[failed]
    note.counts[LOOKUPS] += part.lookups_of(failed).size
    note.counts["sent_again"] += int(t["retries"].sum())
    count_outcomes(note, t["outcome"])
    for qtype, key in ((TYPE_A, "a_questions"), (TYPE_AAAA, "aaaa_questions")):
        note.counts[key] += int((t["qtype"] == qtype).sum())
    gives_up = [resolver_model(c.resolver.rules).failure_of_one_is_failure for c in r.clients]
    clients = r.lookups["client"][t["lookup"]]
    note.counts[FAILED_LOOKUPS] += int(np.array(gives_up)[clients].sum())
    return note


def has_failed_family(subject: str, note: Note) -> bool:
    """Was there a question that failed while the other family was answered?"""
    return note.counts["failed_questions"] > 0


def family_certainty(note: Note) -> Certainty:
    """Did a server say that it failed, or did more questions stay silent than loss explains?"""
    said = sum(note.counts[key] for key in ("servfail", "refused", "other_rcode"))
    if said or _chance_of_silence(note) < _SIGNIFICANT:
        return Certainty.SHOWN
    return Certainty.CONSISTENT_WITH


def _loss_elsewhere(note: Note) -> tuple[int, int]:
    """Return how many first queries were lost, of how many, without those of silent questions."""
    paired, hit, others, lost = (note.counts[key] for key in _LOSSES)
    silent = note.counts["unanswered"]
    return max(0, hit + lost - silent), max(0, paired + others - silent)


def _chance_of_silence(note: Note) -> float:
    """Return how likely so many questions, or more, lose every try by plain loss: Poisson.

    Each had two tries at least. The share of lost queries is Jeffreys' estimate: none lost of a few
    does not say that none ever is.
    """
    lost, sent = _loss_elsewhere(note)
    silent = note.counts["unanswered"]
    share = (lost + 0.5) / (sent + 1)
    mean = (sent + silent) * share**2
    rest = sum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(silent))
    return max(0.0, 1.0 - rest)


def family_rivals(note: Note) -> tuple[str, ...]:
    """Say what the servers said, and what was lost elsewhere."""
    n, (lost, sent) = note.counts, _loss_elsewhere(note)
    facts = (
        f"{n['servfail']:,} of {n['failed_questions']:,} questions got SERVFAIL, "
        f"{n['refused']:,} REFUSED, {n['unanswered']:,} no response to two tries or more; "
        f"{lost:,} of {sent:,} other queries were lost"
    )
    if family_certainty(note) is Certainty.SHOWN:
        return (f"lost packets: {facts}",)
    return (f"as with lost packets, which are not excluded: {facts}",)


def family_counts(note: Note) -> dict[str, object]:
    """Show how many questions failed, and how."""
    return {key: n for key, n in note.counts.items() if n and key not in _LOSSES}


def count_outcomes(note: Note, outcomes: npt.NDArray[np.uint8]) -> None:
    """Count outcomes in a note, each under its name."""
    for outcome, n in zip(*np.unique(outcomes, return_counts=True), strict=True):
        note.counts[TRANSACTION_OUTCOMES[outcome]] += int(n)


def are_heard(part: PartTraffic) -> npt.NDArray[np.bool_]:
    """Of which clients does the capture show responses at all?"""
    heard = np.zeros(len(part.readings.clients), np.bool_)
    counts = part.query_counts
    heard[counts["client"][counts["answered"] > 0]] = True
    return heard
