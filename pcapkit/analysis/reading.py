"""Read the collected exchanges: search list, ndots and resolver per client, then its lookups.

Everything is read once all of the capture is known, so the search list that the last minute proves
explains the first minute too.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pcapkit.analysis.lookups import (
    Exchange,
    Reader,
    Walk,
    exchanges_of_client,
    outcome_of,
)
from pcapkit.analysis.search_lists import (
    NEAR_NS,
    NEAR_WITHOUT_CLOCK_NS,
    Asked,
    Labels,
    SearchList,
    infer,
)
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, UNANSWERED
from pcapkit.layout import NO_TIME
from pcapkit.model import LOOKUP_OUTCOMES, TRANSACTION_OUTCOMES, Ndots, ResolverGuess, Source
from pcapkit.resolver import ResolverModel, resolver_model

PTR, A, AAAA, MX, TXT, SRV = 12, 1, 28, 15, 16, 33
KUBERNETES_NDOTS = 5
MAX_NDOTS = 15
_PROBES = ("_grpclb", "_grpc_config", "_xds", "_etcd-client", "_ldap", "_mongodb", "_sip", "_stun")


@dataclass(slots=True)
class Transaction:
    """One question of a lookup with its retries."""

    candidate: Labels
    position: int
    qtype: int
    exchanges: list[Exchange]
    outcome: int
    waste_class: str = ""
    suffix: Labels | None = None

    @property
    def first(self) -> Exchange:
        """The first time it was sent."""
        return self.exchanges[0]

    @property
    def response(self) -> Exchange | None:
        """The exchange that holds the response that counts."""
        answered = [e for e in self.exchanges if e.done != NO_TIME]
        hits = [e for e in answered if e.outcome == ANSWER]
        return max(hits or answered, key=lambda e: e.done) if answered else None


@dataclass(slots=True)
class Lookup:
    """One walk as it is reported."""

    client: int
    base: Labels
    mode: str
    ambiguous: bool
    absolute: bool | None
    candidates: list[Labels]
    transactions: list[Transaction]
    outcome: str
    answered_by: Labels | None
    answered_suffix: Labels | None
    complete: bool
    walk_of: Lookup | None = None
    number: int = -1
    cached: bool = False  #: its further candidates came from the resolver's own cache (c-ares)

    @property
    def start(self) -> int:
        """Time of the first query."""
        return min(t.first.time for t in self.transactions)

    @property
    def end(self) -> int:
        """Time of the last response, or of the last query where that came later."""
        return max(
            max(e.time if e.done == NO_TIME else e.done for e in t.exchanges)
            for t in self.transactions
        )

    @property
    def wasted(self) -> int:
        """Wasted queries."""
        return sum(t.waste_class in ("search_miss", "absolute_miss") for t in self.transactions)


@dataclass(slots=True)
class ClientReading:
    """What one client's traffic says."""

    client: int
    search: SearchList
    search_source: Source
    ndots: Ndots
    resolver: ResolverGuess
    lookups: list[Lookup]


@dataclass(frozen=True, slots=True)
class Given:
    """Facts that the user gave, which beat inferred ones."""

    search: tuple[Labels, ...] | None = None
    ndots: int | None = None
    resolver: str | None = None
    source: Source = Source.OPTION


@dataclass(slots=True)
class Names:
    """Labels of names by id, made once each."""

    text_of: Callable[[int], str]
    _labels: dict[int, Labels] = field(default_factory=dict)

    def labels(self, name: int) -> Labels:
        """Return the labels of a folded name; the root has none."""
        if (known := self._labels.get(name)) is None:
            known = split(self.text_of(name)) if name >= 0 else ()
            self._labels[name] = known
        return known


def split(text: str) -> Labels:
    """Split a presentation-form name at its dots; escaped dots stay inside their label."""
    if text in ("", "."):
        return ()
    if "\\" not in text:
        return tuple(text.split("."))
    labels, start, at = [], 0, 0
    while at < len(text):
        if text[at] == "\\":
            at += 2
            continue
        if text[at] == ".":
            labels.append(text[start:at])
            start = at + 1
        at += 1
    labels.append(text[start:])
    return tuple(labels)


def join(labels: Labels) -> str:
    """Join labels to presentation form without a final dot; the root is ``.``."""
    return ".".join(labels) if labels else "."


def read(
    rows: Any, names: Names, given: Mapping[int, Given], *, has_clock: bool
) -> list[ClientReading]:
    """Read all clients, in the order of their first packets."""
    if rows.size == 0:
        return []
    order = np.lexsort((rows["query_packet"], rows["query_time"], rows["client"]))
    clients, first = np.unique(rows["client"][order], return_index=True)
    bounds = [*first.tolist(), rows.size]
    capture_end = int(max(rows["query_time"].max(), rows["response_time"].max()))
    out = []
    for i, client in enumerate(clients.tolist()):
        mine = order[bounds[i] : bounds[i + 1]]
        exchanges = exchanges_of_client(rows, mine, names.labels)
        out.append(
            _read_client(
                client, exchanges, given.get(client, Given()), has_clock, capture_end,
                rows["edns_bytes"], rows["edns_options"],
            )  # fmt: skip
        )
    number = 0
    everything = sorted(
        (lookup for c in out for lookup in c.lookups), key=lambda x: (x.start, x.client)
    )
    for lookup in everything:
        lookup.number = number
        number += 1
    return [c for c in out if c.lookups]


@dataclass(slots=True)
class _Visit:
    asked: Asked
    types: dict[int, int] = field(default_factory=dict)  #: earliest response by type, or NO_TIME
    ended: set[int] = field(default_factory=set)  #: types with a response that ends them

    def takes(self, e: Exchange, join_ns: int) -> bool:
        """Does this question belong to the visit, or does it open another one?"""
        if e.qtype in self.ended and self.asked.done < e.time and not self.asked.silent:
            return False
        return e.time <= self.asked.done + join_ns or self.asked.silent

    def add(self, e: Exchange) -> None:
        """Take a question in."""
        before = self.types.get(e.qtype, NO_TIME)
        if before == NO_TIME or NO_TIME < e.done < before:
            self.types[e.qtype] = e.done
        if e.outcome in (ANSWER, NODATA, NXDOMAIN) and not e.tc:
            self.ended.add(e.qtype)
        self.asked.answered |= e.outcome == ANSWER and not e.tc
        self.asked.silent = NO_TIME in self.types.values()
        self.asked.done = max(e.time if t == NO_TIME else t for t in self.types.values())


def asked_names(exchanges: list[Exchange], join_ns: int) -> list[Asked]:
    """Merge the exchanges of one candidate, both families and retries, into one visit."""
    latest: dict[int, _Visit] = {}
    out = []
    for e in exchanges:
        if e.qtype == PTR:
            continue
        visit = latest.get(e.name)
        if visit is None or not visit.takes(e, join_ns):
            visit = latest[e.name] = _Visit(Asked(e.labels, e.time, e.port, e.time, False, True))
            out.append(visit.asked)
        visit.add(e)
    return out


def _read_client(
    client: int, exchanges: list[Exchange], given: Given, has_clock: bool, capture_end: int,
    edns: Any, options: Any,
) -> ClientReading:  # fmt: skip
    near = NEAR_NS if has_clock else NEAR_WITHOUT_CLOCK_NS
    search = infer(asked_names(exchanges, near), near=near)
    source = Source.OBSERVED if search.suffixes else Source.ASSUMED
    if given.search is not None:
        search = SearchList(given.search, frozenset(given.search[:1]))
        source = given.source
    walks = _walks(exchanges, search, has_clock)
    guess = guess_resolver(walks, exchanges, edns, options)
    if given.resolver is not None:
        guess = ResolverGuess(given.resolver, 1.0, ("given",))
    model = resolver_model(guess.model)
    if not model.searches_after_as_is:  # what looked like one walk may be two lookups
        walks = _walks(exchanges, search, has_clock, model)
    if not search.suffixes:
        search = assumed_search(walks)
    ndots = bound_ndots(walks, search, given)
    lookups = [
        _report(w, search, ndots, guess.model, client, has_clock, capture_end) for w in walks
    ]
    searched = {x.base for x in lookups if x.mode == "list"}
    for lookup in lookups:
        if lookup.mode == "as_is" and len(lookup.candidates) == 1:
            if len(lookup.base) - 1 < ndots.low or lookup.base in searched:
                lookup.absolute = True
        elif lookup.mode != "open" and len(lookup.candidates) > 1:
            lookup.absolute = False
    _link_walks(lookups)
    return ClientReading(client, search, source, ndots, guess, lookups)


def _walks(
    exchanges: list[Exchange], search: SearchList, has_clock: bool,
    model: ResolverModel | None = None,
) -> list[Walk]:  # fmt: skip
    reader = Reader(
        search, has_clock=has_clock,
        searches_after_as_is=model is None or model.searches_after_as_is,
    )  # fmt: skip
    for e in exchanges:
        reader.add(e)
    return [w for w in reader.walks if any(not x.orphan for x in _all(w))]


def _all(walk: Walk) -> list[Exchange]:
    return [e for c in walk.candidates for es in c.asked.values() for e in es]


def _link_walks(lookups: list[Lookup]) -> None:
    """Name the first walk where glibc walks again because an answer outgrew its buffer."""
    previous: dict[Labels, Lookup] = {}
    for lookup in lookups:
        before = previous.get(lookup.base)
        if (
            before is not None
            and before.outcome == "resolved"
            and 0 <= lookup.start - before.end <= JOIN_AGAIN_NS
            and any(e.tc for t in before.transactions for e in t.exchanges)
        ):
            lookup.walk_of = before.walk_of or before
        previous[lookup.base] = lookup


JOIN_AGAIN_NS = 5_000_000


def assumed_search(walks: list[Walk]) -> SearchList:
    """Assume a Kubernetes list where no walk shows one and every cluster name is in one namespace.

    Names such as ``web.default.svc.cluster.local`` that answer at once are what short names look
    like under the first suffix.
    """
    spaces = set()
    for walk in walks:
        labels = walk.candidates[0].labels
        if len(labels) >= 5 and labels[-3] == "svc":
            spaces.add(labels[-4:])
    if len(spaces) != 1:
        return SearchList()
    first = spaces.pop()
    return SearchList((first, first[1:], first[2:]), frozenset((first,)))


def bound_ndots(walks: list[Walk], search: SearchList, given: Given) -> Ndots:
    """Bound ndots by the names that were, and were not, tried as is first."""
    low, high = 0, MAX_NDOTS
    unsearched: set[Labels] = set()
    searched: set[Labels] = set()
    for walk in walks:
        if walk.cut_start:
            continue
        first = walk.candidates[0].labels
        if len(walk.candidates) > 1 and walk.mode == "list" and walk.base is not None:
            low = max(low, len(walk.base))
            searched.add(walk.base)
        elif len(walk.candidates) > 1 and walk.mode == "as_is":
            high = min(high, len(first) - 1)
        elif walk.mode == "as_is" and walk.candidates[0].answered(1 << 62):
            unsearched.add(first)
    low = min(low, MAX_NDOTS)
    high = max(high, low)
    if given.ndots is not None:
        return Ndots(low, high, given.ndots, given.source)
    zone = search.suffixes[-1] if search.suffixes else None
    weak = {
        len(n) - 1 for n in unsearched - searched
        if len(n) > 1 and n[-1] != "arpa" and not (zone and n[-len(zone) :] == zone)
    }  # fmt: skip
    value = max(low, min(high, KUBERNETES_NDOTS))
    source = Source.OBSERVED if low == high else Source.ASSUMED
    if weak and min(weak) < value and len(unsearched - searched) > 1:
        value = max(low, min(weak), 1)
        source = Source.OBSERVED
    return Ndots(low, high, value, source)


def guess_resolver(
    walks: list[Walk], exchanges: list[Exchange], edns: Any, options: Any
) -> ResolverGuess:
    """Recognise the stub resolver by ports, IDs, EDNS and the order of families."""
    signs: Counter[str] = Counter()
    for walk in walks:
        if walk.parallel and len(walk.candidates) > 1 and edns[walk.first.number] < 0:
            signs["parallel"] += 1
        for candidate in walk.candidates:
            first = [es[0] for es in candidate.asked.values() if not es[0].orphan]
            pair = {e.qtype: e for e in first if e.qtype in (A, AAAA)}
            size = int(edns[first[0].number]) if first else -1
            if len(pair) == 2:
                signs[_pair_sign(pair[A], pair[AAAA], size)] += 1
            elif first and first[0].qtype == A and len(walk.candidates) > 1:
                signs["edns_single" if size >= 0 else "single"] += 1
            if MX in candidate.asked and A in candidate.asked:
                signs["host"] += 1
    if any(int(options[e.number]) > 0 and int(edns[e.number]) == 1232 for e in exchanges):
        signs["cookie"] += 1
    return _weigh(signs)


def _pair_sign(a: Exchange, aaaa: Exchange, edns: int) -> str:
    sequential = a.done != NO_TIME and a.done <= aaaa.time
    if edns == 1232:
        return "edns_one_port" if a.port == aaaa.port else "edns_two_ports"
    if a.port == aaaa.port:
        if sequential:
            return "one_port_in_turn"
        gap = (aaaa.message_id - a.message_id) & 0xFFFF
        return "close_ids" if 0 < gap <= 1500 else "one_port"
    return "two_ports_in_turn" if sequential else "two_ports"


def _weigh(signs: Counter[str]) -> ResolverGuess:
    pairs = signs["close_ids"] + signs["one_port"]
    if signs["parallel"]:
        return ResolverGuess("busybox", 0.8, ("every suffix asked at once on one port",))
    if signs["cookie"] or signs["edns_one_port"] > signs["edns_two_ports"]:
        return ResolverGuess("c-ares", 0.8, ("EDNS 1232, one port for both families",))
    if signs["edns_two_ports"]:
        return ResolverGuess("go", 0.9, ("EDNS 1232, a port of its own for every query",))
    if pairs >= 2 and signs["close_ids"] > 0.7 * pairs:
        return ResolverGuess("musl", 0.9, ("A and AAAA on one port with IDs close together",))
    if pairs >= 2:
        return ResolverGuess("glibc", 0.9, ("A and AAAA on one port with unrelated IDs, no EDNS",))
    if signs["one_port_in_turn"] >= 2:
        return ResolverGuess("glibc", 0.6, ("A, answer, AAAA on one port (single-request)",))
    if signs["host"]:
        return ResolverGuess("bind-host", 0.7, ("A, AAAA and MX for one name",))
    if signs["two_ports_in_turn"] and signs["single"] and not pairs:
        return ResolverGuess("bind-nslookup", 0.7, ("A until a name answers, then its AAAA",))
    return ResolverGuess("unknown", 0.0, ())


def _transactions(walk: Walk) -> list[Transaction]:
    out = []
    for candidate in walk.candidates:
        for qtype, exchanges in candidate.asked.items():
            sent = [e for e in exchanges if not e.orphan]
            if sent:
                out.append(
                    Transaction(
                        candidate.labels, candidate.position, qtype, sent, outcome_of(exchanges)
                    )
                )
    return out


def _report(
    walk: Walk, search: SearchList, ndots: Ndots, model: str, client: int, has_clock: bool,
    capture_end: int,
) -> Lookup:  # fmt: skip
    transactions = _transactions(walk)
    answered = next((t for t in sorted(transactions, key=lambda t: t.first.time)
                     if t.outcome == ANSWER), None)  # fmt: skip
    first = walk.candidates[0].labels
    base, ambiguous = first, False
    if walk.mode == "list" and walk.base is not None:
        base = walk.base
    elif walk.mode == "open" or len(walk.candidates) == 1:
        shortest = [first[: -len(s)] for s in search.starts if first[-len(s) :] == s]
        shortest = [b for b in shortest if b and len(b) - 1 < max(ndots.low, ndots.value)]
        if shortest:
            base, ambiguous = min(shortest, key=len), True
    if answered is not None:
        outcome = "resolved"
    else:
        have = {TRANSACTION_OUTCOMES[t.outcome] for t in transactions}
        outcome = next(o for o in LOOKUP_OUTCOMES[1:] if o in have)
    complete = not walk.cut_start and not _cut_end(
        walk, transactions, answered, search, model, ambiguous, has_clock, capture_end
    )
    suffix = None
    if answered is not None and len(answered.candidate) > len(base):
        suffix = answered.candidate[len(base) :]
    mode = walk.mode if len(walk.candidates) > 1 else ("open" if ambiguous else "as_is")
    lookup = Lookup(
        client, base, mode, ambiguous, None, [c.labels for c in walk.candidates], transactions,
        outcome, answered.candidate if answered else None, suffix, complete,
    )  # fmt: skip
    # c-ares keeps a cache: a walk that stops at a failed suffix went on inside it.
    lookup.cached = ambiguous and model == "c-ares" and outcome == "nxdomain"
    classify(lookup)
    return lookup


def _cut_end(
    walk: Walk, transactions: list[Transaction], answered: Transaction | None,
    search: SearchList, model: str, ambiguous: bool, has_clock: bool, capture_end: int,
) -> bool:  # fmt: skip
    """Does the capture end while a further query of this walk was still due?"""
    if answered is not None or walk.parallel:
        return False
    last = walk.current
    mine = [t for t in transactions if t.candidate == last.labels]
    newest = max(e.time if e.done == NO_TIME else e.done for t in mine for e in t.exchanges)
    waiting = any(t.outcome == UNANSWERED for t in mine)
    limit = 5_000_000_000 if waiting else 50_000_000
    if capture_end - newest > (limit if has_clock else 4_000):
        return False
    if waiting:
        return sum(len(t.exchanges) for t in mine) <= len(mine)
    if any(t.outcome not in (NXDOMAIN, NODATA) for t in mine):
        return False
    if any(t.outcome == NODATA for t in mine) and model in ("musl", "dnspython", "bind-nslookup"):
        return False
    if walk.mode == "list":
        return not walk.closed
    if walk.mode == "as_is" and len(walk.candidates) > 1:
        return last.position < len(search.suffixes) - 1
    return walk.mode == "open" and ambiguous and model != "unknown"


def is_service_probe(name: Labels, qtype: int) -> bool:
    """Is this an SRV or TXT question that client libraries send by themselves (gRPC and others)?"""
    return qtype in (SRV, TXT) and bool(name) and name[0].startswith(_PROBES)


def classify(lookup: Lookup) -> None:
    """Give every transaction of a lookup its waste class: the first that applies."""
    missing = next(
        (c for c in lookup.candidates
         if any(t.candidate == c and t.outcome == NODATA for t in lookup.transactions)),
        None,
    ) if lookup.answered_by is None else None  # fmt: skip
    for t in lookup.transactions:
        t.suffix = t.candidate[len(lookup.base) :] or None
        t.waste_class = _class_of(lookup, t, missing)


def _class_of(lookup: Lookup, t: Transaction, missing: Labels | None) -> str:
    if not lookup.complete:
        return "incomplete"
    if t.outcome == UNANSWERED:
        return "unanswered"
    if t.outcome not in (ANSWER, NODATA, NXDOMAIN):
        return "server_error"
    if t.outcome == ANSWER:
        return "answer"
    if t.qtype == PTR:
        return "reverse_miss"
    if is_service_probe(lookup.base, t.qtype):
        return "service_probe"
    if t.candidate == lookup.answered_by:
        return "empty_family"
    if t.candidate == missing and t.outcome == NODATA:
        return "no_such_type"
    if t.candidate == lookup.base or (lookup.mode == "open" and not lookup.cached):
        return "absolute_miss" if lookup.answered_by is not None else "nonexistent"
    return "search_miss"


def by_client(readings: list[ClientReading]) -> dict[int, list[ClientReading]]:
    """Index readings by client address id."""
    out: dict[int, list[ClientReading]] = defaultdict(list)
    for reading in readings:
        out[reading.client].append(reading)
    return out
