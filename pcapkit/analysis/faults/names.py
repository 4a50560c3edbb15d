"""Detectors of what names run into: wildcards, walks that are cut, expansion twice, leaks, probes.

Sources: RFC 4592 (wildcards), RFC 1918 and RFC 6303 (private addresses and their reverse zones),
CoreDNS' autopath plugin, and what resolvers do after each response (``pcapkit.resolver``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.faults.notes import (
    FAILED_LOOKUPS,
    PACKETS_SHOWN,
    Example,
    Note,
    Notes,
    fill,
    note_lookups,
    note_transactions,
    show_transactions,
)
from pcapkit.analysis.lookups.state import AS_IS, CUT_QUESTION
from pcapkit.analysis.search_lists.infer import suffix_texts
from pcapkit.analysis.traffic import signs
from pcapkit.analysis.traffic.name_flags import IN_ZONE
from pcapkit.analysis.traffic.part import Indexes, PartTraffic
from pcapkit.cluster.conventions import namespace_of
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN
from pcapkit.model.vocabulary import TRANSACTION_OUTCOMES, Certainty
from pcapkit.names.labels import Labels, join
from pcapkit.names.table import Folded
from pcapkit.names.top_level import is_top_level_domain
from pcapkit.resolver.models import resolver_model
from pcapkit.schema import NO_SOA, Rows

#: Names of this many labels, under a real top-level domain, belong to nobody's search suffix.
_SURELY_EXTERNAL = 3


@lru_cache(maxsize=1 << 12)
def _is_top_level(label: str) -> bool:
    return is_top_level_domain(label)


def _are_external(names: Folded, bases: Indexes) -> npt.NDArray[np.bool_]:
    """Say of names whether they look like the Internet's: dots inside, a real top-level domain."""
    counts = names.label_counts()[bases]
    out: npt.NDArray[np.bool_] = (bases >= 0) & (counts > 1)
    last = names.labels_at(bases[out], counts[out] - 1)
    out[out] = [_is_top_level(label) for label in last]
    return out


def _external(part: PartTraffic, transactions: Indexes) -> Indexes:
    """Return the transactions whose base name looks external."""
    r = part.readings
    bases = r.lookups["base"][r.transactions["lookup"][transactions]]
    every, at = np.unique(bases, return_inverse=True)
    out: Indexes = transactions[_are_external(r.names, every)[at]]
    return out


def wildcards(part: PartTraffic) -> Notes:
    """External names that were answered under a suffix, and how many names it does not hold."""
    hits = part.having(signs.DOTTED_ANSWERED)
    hits = _external(part, hits[(part.signs[hits] & signs.ALIASED) == 0])
    notes = {}
    for suffix, mine in part.by_suffix(hits).items():
        notes[suffix] = note_lookups(part, part.lookups_of(mine))
    caught = part.having(signs.CAUGHT)
    caught = caught[part.readings.transactions["suffix"][caught] >= 0]
    for suffix, mine in part.by_suffix(caught).items():
        note = notes.setdefault(suffix, Note())
        note.add(note_lookups(part, part.lookups_of(mine)))
        note.counts["caught"] += mine.size
    for suffix, (answered, missed) in part.under_suffixes().items():
        if answered or missed:
            note = notes.setdefault(suffix, Note())
            note.counts["answered"], note.counts["missed"] = answered, missed
    return notes


def is_wildcard(suffix: str, note: Note) -> bool:
    """Are more names with dots inside answered under the suffix than missed, external ones too?

    A wildcard answers for all of them. A real host, such as ``db1.eu`` where ``eu`` is a site, is
    one among many that miss. ``pod.service.namespace`` may look external where the namespace is
    called like a top-level domain, so the cluster's own suffixes need more. A full service name
    belongs nowhere but in its cluster: one is enough.
    """
    if note.counts["caught"]:
        return True
    answered, missed = note.counts["answered"], note.counts["missed"]
    sure = sum(name.count(".") + 1 >= _SURELY_EXTERNAL for name in note.names)
    if "svc" in suffix.split(".")[:2]:
        return sure > 1 and missed == 0
    domains = {name.rpartition(".")[2] for name in note.names}
    return answered > missed and (sure > 0 or len(domains) > 1)


def wildcard_certainty(note: Note) -> Certainty:
    """May the names be real hosts of that domain?

    A wildcard answers for all names (RFC 4592), so none misses, whatever it ends in; real hosts end
    in the labels of their sites, as with ``db.prod.dev`` and ``db1.eu``.
    """
    if note.counts["caught"]:
        return Certainty.SHOWN
    sure = any(name.count(".") + 1 >= _SURELY_EXTERNAL for name in note.names)
    if not note.counts["missed"] and len(_domains(note)) > 1 and sure:
        return Certainty.SHOWN
    return Certainty.CONSISTENT_WITH


def _domains(note: Note) -> set[tuple[str, ...]]:
    """Return what the names end in: their last two labels."""
    return {tuple(name.split(".")[-2:]) for name in note.names}


def wildcard_rivals(note: Note) -> tuple[str, ...]:
    """Say which names were answered there."""
    n = note.counts
    if n["caught"]:
        return (f"services: {n['caught']:,} answers were for full names of a cluster, outside it",)
    count = len(_domains(note))
    domains = "one domain" if count == 1 else f"{count:,} domains"
    facts = f"names of {domains} were answered there: of those with dots {n['answered']:,}"
    facts += f" were, {n['missed']:,} were not"
    if wildcard_certainty(note) is Certainty.SHOWN:
        return (f"real hosts of that domain: {facts}",)
    return (f"as with real hosts of that domain, which are not excluded: {facts}",)


def captured_lookups(note: Note) -> dict[str, object]:
    """Show how many lookups ended there."""
    return {"lookups": note.counts["lookups"]}


def cut_walks(part: PartTraffic) -> Notes:
    """Walks that a suffix's NODATA, SERVFAIL or REFUSED ended, or sent past other suffixes."""
    r = part.readings
    failed = part.having(signs.SUFFIX_FAILED)
    failed = failed[_is_walk(part, r.lookups[r.transactions["lookup"][failed]])]
    if not failed.size:
        return {}
    known = np.array([resolver_model(c.resolver.rules).is_known for c in r.clients])
    known |= part.walked_to_the_end()  # else what looks like a list may be none
    failed = failed[known[r.lookups["client"][r.transactions["lookup"][failed]]]]
    t = r.transactions[failed]
    lookups = r.lookups[t["lookup"]]
    size = np.array([len(c.search.suffixes) for c in r.clients])[lookups["client"]]
    owner, other = part.together(failed)
    later = (r.transactions["time"][other] > t["time"][owner]) & (
        r.transactions["name"][other] != t["name"][owner]
    )
    went_on = np.bincount(owner[later], minlength=failed.size) > 0
    listed = later & (r.transactions["suffix"][other] > t["suffix"][owner])
    next_suffix = np.bincount(owner[listed], minlength=failed.size) > 0
    hidden = np.array([_hides_its_end(c.search.suffixes) for c in r.clients])[lookups["client"]]
    more = (t["suffix"] < size - 1) | hidden
    ended = ~went_on & (lookups["answered_by"] < 0) & (more | (lookups["mode"] != AS_IS))
    skipped = went_on & ~next_suffix & more & (t["outcome"] != NODATA)
    never_as_is = failed[ended & (lookups["mode"] != AS_IS)]
    notes: Notes = {}
    for suffix, mine in part.by_suffix(failed[ended | skipped]).items():
        note = notes[suffix] = note_lookups(part, part.lookups_of(mine))
        outcomes = r.transactions["outcome"][mine]
        for outcome, n in zip(*np.unique(outcomes, return_counts=True), strict=True):
            note.counts[f"{TRANSACTION_OUTCOMES[outcome]}_responses"] += int(n)
        unresolved = r.lookups["answered_by"][part.lookups_of(mine)] < 0
        note.counts[FAILED_LOOKUPS] += int(unresolved.sum())
        unasked = mine[np.isin(mine, never_as_is)]
        note.counts["never_asked_as_is"] += part.lookups_of(unasked).size
    return notes


def cuts(note: Note) -> dict[str, object]:
    """Show how many walks were cut, by which responses, and what became of the lookups."""
    shown = {key: n for key, n in note.counts.items() if n and key != FAILED_LOOKUPS}
    if note.counts[FAILED_LOOKUPS]:
        shown["lookups_without_answer"] = note.counts[FAILED_LOOKUPS]
    return dict(shown)


def _hides_its_end(suffixes: Sequence[Labels]) -> bool:
    """Is this the list of a pod of which no walk shows the end, where services are found?"""
    search = suffix_texts(suffixes)
    if namespace_of(search) is None:
        return False
    return search[0].partition(".")[2] not in search


def _is_walk(part: PartTraffic, lookups: Rows) -> npt.NDArray[np.bool_]:
    """Is a lookup surely a walk of the list, and not one name that was written in full?"""
    sure: npt.NDArray[np.bool_] = lookups["candidates"] > 1
    alone = np.unique(lookups["base"][~sure])
    external = alone[_are_external(part.readings.names, alone)]
    sure |= (lookups["ambiguous"] != 0) & np.isin(lookups["base"], external)
    return sure


def double_expansion(part: PartTraffic) -> Notes:
    """Lookups that put a suffix behind a name of the cluster before it was asked as is."""
    r = part.readings
    twice = part.having(signs.EXPANDED_AGAIN)
    if not twice.size:
        return {}
    lookups = part.lookups_of(twice)
    lost = int(r.lookups["wasted_ns"][lookups].sum()) if r.has_clock else 0
    note = note_lookups(part, lookups, lost_ns=lost)
    note.counts["wasted_queries"] += int(r.lookups["wasted"][lookups].sum())
    return {"": note}


def autopath(part: PartTraffic) -> Notes:
    """Questions under the first suffix that a CNAME took to another candidate."""
    aliased = part.having(signs.ALIASED)
    aliased = aliased[part.readings.transactions["suffix"][aliased] == 0]
    return {"": note_lookups(part, part.lookups_of(aliased))} if aliased.size else {}


def autopath_disagreement(part: PartTraffic) -> Notes:
    """One family went along the list on the server, and the other got NXDOMAIN."""
    r = part.readings
    aliased = part.having(signs.ALIASED)
    aliased = aliased[r.transactions["suffix"][aliased] == 0]
    owner, other = part.together(aliased)
    same = r.transactions["name"][other] == r.transactions["name"][aliased[owner]]
    denied = other[same & (r.transactions["outcome"][other] == NXDOMAIN)]
    return {"": note_lookups(part, part.lookups_of(denied))} if denied.size else {}


def denied_families(part: PartTraffic) -> Notes:
    """Names that have an A record and whose AAAA question got NXDOMAIN."""
    denied = part.having(signs.FAMILY_DENIED)
    owner, other = part.together(denied)
    aliased = np.unique(owner[(part.signs[other] & signs.ALIASED) != 0])
    denied = np.delete(denied, aliased)
    return {"": note_transactions(part, denied, unit="queries")} if denied.size else {}


def probes(part: PartTraffic) -> Notes:
    """Service-config questions that a client library asked by itself."""
    asked = part.having(signs.PROBE)
    return {"": note_transactions(part, asked, unit="queries")} if asked.size else {}


def repeats(part: PartTraffic) -> Notes:
    """Questions that one client asked again and again while the last answer was still valid."""
    again = part.having(signs.AGAIN)
    if not again.size:
        return {}
    rows = part.repeated
    client, queries, habit = rows["client"], rows["queries"], rows["again"] > 0
    often = np.zeros(len(part.readings.clients), np.bool_)
    often[client[habit]] = True  # of the others, what was repeated once is no habit
    by_client = np.bincount(client, queries, often.size).astype(np.int64) * often
    note = Note(Counter({"repeated_queries": int(by_client.sum())}))
    names, which = np.unique(rows["name"][habit], return_inverse=True)
    by_name = np.bincount(which, queries[habit]).astype(np.int64)
    fill(part, note, by_client, names, by_name)
    show_transactions(part, note, again)
    return {"": note}


def private_reverse(part: PartTraffic) -> Notes:
    """PTR questions for private addresses whose miss did not come from the cluster's DNS itself."""
    r = part.readings
    leaked = part.having(signs.PRIVATE_REVERSE)
    if not leaked.size:
        return {}
    soa = r.rows["soa"][r.transactions["response"][leaked]]
    leaked, soa = leaked[soa <= _PUBLIC_SOA], soa[soa <= _PUBLIC_SOA]
    if not leaked.size:
        return {}
    note = note_transactions(part, leaked, unit="queries")
    note.counts["foreign"] += int((soa != NO_SOA).sum())
    return {"": note}


#: ``soa`` of in-addr.arpa, and, below it, of arpa and the root; private zones have more labels.
_PUBLIC_SOA = 3


def reverse_certainty(note: Note) -> Certainty:
    """Do denials show that a server above the private zone gave them?"""
    return Certainty.SHOWN if note.counts["foreign"] else Certainty.CONSISTENT_WITH


def changing(part: PartTraffic) -> Notes:
    """Names that one client got answered and denied in turns, by one server or by several."""
    r = part.readings
    names = part.changing_names()
    if not names.size:
        return {}
    is_changing = np.zeros(part.name_flags.size, np.bool_)
    is_changing[names] = True
    clients = {c.client: n for n, c in enumerate(r.clients)}
    mine = np.flatnonzero(
        is_changing[r.rows["folded"]]
        & (r.rows["folded"] >= 0)
        & (r.rows["query_packet"] >= 0)
        & (r.rows["qtype"] != CUT_QUESTION)
        & np.isin(r.rows["outcome"], (ANSWER, NXDOMAIN))
        & np.isin(r.rows["client"], list(clients))
    )
    rows = r.rows[mine]
    order = np.lexsort((rows["query_packet"], rows["query_time"], rows["qtype"], rows["folded"]))
    order = order[np.argsort(rows["client"][order], kind="stable")]
    mine, rows = mine[order], rows[order]
    new = np.zeros(rows.size, np.bool_)
    for key in ("client", "folded", "qtype"):
        new[1:] |= rows[key][1:] != rows[key][:-1]
    turned = np.zeros(rows.size, np.bool_)
    turned[1:] = (rows["outcome"][1:] != rows["outcome"][:-1]) & ~new[1:]
    changes = np.bincount(np.cumsum(new), turned)
    begins = np.append(np.flatnonzero(np.append(True, new[1:])), rows.size)
    notes: Notes = {}
    for number in np.flatnonzero(changes).tolist():
        at = slice(begins[number], begins[number + 1])
        subject = _who_changes(rows[at], turned[at], has_clock=r.has_clock)
        if subject:
            note = notes.setdefault(subject, Note())
            note.add(_note_changes(part, mine[at], int(changes[number])))
            gaps = np.diff(rows["query_time"][at])[turned[at][1:]]
            if r.has_clock and gaps.min() <= signs.TOGETHER_NS:
                note.counts["at_one_moment"] += 1
    return notes


_ONE, _SEVERAL = "one server", "several servers"


def _who_changes(rows: Rows, turned: npt.NDArray[np.bool_], *, has_clock: bool) -> str:
    """Say whether servers contradict each other about a question, or one does itself; or "".

    ``rows`` (EXCHANGE) are in the order of time; ``turned`` says which differ from the one before.
    """
    views: dict[int, set[int]] = {}
    for server, outcome in zip(rows["server"].tolist(), rows["outcome"].tolist(), strict=True):
        views.setdefault(server, set()).add(outcome)
    of_one = any(len(seen) > 1 for seen in views.values())
    if np.count_nonzero(turned) > 1:
        return _ONE if of_one else _SEVERAL
    at = np.flatnonzero(turned)
    soon = has_clock and np.diff(rows["query_time"])[at - 1].min() < _AT_ONCE_NS
    return _SEVERAL if soon and not of_one else ""


#: Two servers that differ within this time differ about one state of the name.
_AT_ONCE_NS = 1_000_000_000


def _note_changes(part: PartTraffic, exchanges: Indexes, changes: int) -> Note:
    """Note one question whose responses changed, by its exchanges in the order of time."""
    rows = part.readings.rows[exchanges]
    client = part.context.address(int(rows["client"][0]))
    name = join(part.readings.names.labels(int(rows["folded"][0])))
    note = Note(Counter(names=1, changes=changes, questions=len(rows)))
    note.clients[client] += len(rows)
    note.names[name] += len(rows)
    packets = np.concatenate([rows["query_packet"], rows["response_packet"]])
    shown = tuple(np.sort(packets[packets >= 0])[:PACKETS_SHOWN].tolist())
    capture = part.context.paths[int(rows["capture"][0])]
    note.show([Example(int(rows["query_time"][0]), shown, capture, client, name)])
    return note


def is_of_one_server(subject: str, note: Note) -> bool:
    """Is this about names of which one server gave both views?"""
    return subject == _ONE


def is_of_several_servers(subject: str, note: Note) -> bool:
    """Is this about servers with different views?"""
    return subject == _SEVERAL


def contradiction_certainty(note: Note) -> Certainty:
    """Do servers differ more than once, or at one moment? A name that is created changes once."""
    proven = note.counts["changes"] > 1 or note.counts["at_one_moment"]
    return Certainty.SHOWN if proven else Certainty.CONSISTENT_WITH


def cluster_names(part: PartTraffic) -> Notes:
    """Names inside the cluster domain, by the nameserver asked, and whether it holds any."""
    r = part.readings
    counted = part.servers
    notes: Notes = {}
    strangers = (counted["zone_foreign"] > 0) & (counted["zone_known"] == 0)
    inside = np.zeros(0, np.int64)
    if strangers.any():
        inside = np.flatnonzero(part.name_flags[r.transactions["name"]] & IN_ZONE)
        asked_at = r.rows["server"][r.transactions["first"][inside]]
    for n in np.flatnonzero(counted["zone_asked"]).tolist():
        note, server = Note(), int(counted["address"][n])
        if strangers[n]:
            note = note_transactions(part, inside[asked_at == server], unit="queries")
        note.counts["known"] = int(counted["zone_known"][n])
        note.counts["foreign"] = int(counted["zone_foreign"][n])
        notes[part.context.address(server)] = note
    return notes


def is_stranger(server: str, note: Note) -> bool:
    """Did it deny with another zone's authority, and never respond as one that holds the domain?"""
    return note.counts["foreign"] > 0 and note.counts["known"] == 0


def leaked_queries(note: Note) -> dict[str, object]:
    """Show how many queries went there."""
    return {"queries": note.counts["queries"]}
