"""Read the collected exchanges: search list, ndots and resolver per client, then its lookups.

Everything is read once all of the capture is known, so the search list that the last minute proves
explains the first minute too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.describe import CLIENT, LOOKUP, TRANSACTION, describe_walks
from pcapkit.analysis.evidence import evidence_of
from pcapkit.analysis.fingerprints import SIGNS, count_signs, guess_resolver
from pcapkit.analysis.lookups import (
    AS_IS,
    LIST,
    OPEN,
    Rules,
    Walks,
    group_exchanges,
    room_for,
    timing,
)
from pcapkit.analysis.search_lists import SearchList, Seen, infer
from pcapkit.analysis.suffixes import Folded, Labels
from pcapkit.analysis.waste import PROBES
from pcapkit.codes import ANSWER
from pcapkit.kernels import kernel
from pcapkit.layout import NO_TIME
from pcapkit.model import Ndots, ResolverGuess, Source
from pcapkit.resolver import AFTER_STOP, MAX_NDOTS, resolver_model

KUBERNETES_NDOTS = 5


@dataclass(frozen=True, slots=True)
class Given:
    """Facts that the user gave, which beat inferred ones."""

    search: tuple[Labels, ...] | None = None
    ndots: int | None = None
    resolver: str | None = None
    source: Source = Source.OPTION


@dataclass(frozen=True, slots=True)
class ClientReading:
    """What one client's traffic says; ``client`` is its address id."""

    client: int
    search: SearchList
    search_source: Source
    ndots: Ndots
    resolver: ResolverGuess


@dataclass(frozen=True, slots=True)
class Readings:
    """All clients, and all lookups in the order of their first queries.

    ``lookups`` (LOOKUP) and ``transactions`` (TRANSACTION) point to one another and to ``rows``,
    the exchanges; a lookup's ``client`` is an index of ``clients``.
    """

    clients: tuple[ClientReading, ...]
    lookups: npt.NDArray[Any]
    transactions: npt.NDArray[Any]
    rows: npt.NDArray[Any]
    names: Folded
    labels: npt.NDArray[np.int32]
    has_clock: bool


@dataclass(slots=True)
class _Draft:
    """One client while it is read."""

    client: int
    order: npt.NDArray[np.int64]
    search: SearchList
    source: Source
    given: Given
    model: ResolverGuess = ResolverGuess("unknown", 0.0, ())
    first_walk: int = 0
    last_walk: int = 0
    ndots: Ndots = Ndots(0, MAX_NDOTS, KUBERNETES_NDOTS, Source.ASSUMED)


def _in_order(rows: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return row numbers client by client, each in time order."""
    if bool(np.all(rows["query_time"][1:] >= rows["query_time"][:-1])):
        return np.argsort(rows["client"], kind="stable").astype(np.int64)
    return np.lexsort((rows["query_packet"], rows["query_time"], rows["client"])).astype(np.int64)


def read(
    rows: npt.NDArray[Any], names: Folded, given: Mapping[int, Given], *, has_clock: bool
) -> Readings:
    """Read all clients, in the order of their addresses' first appearance."""
    if rows.size == 0:
        empty = np.zeros(0, LOOKUP), np.zeros(0, TRANSACTION)
        return Readings((), *empty, rows, names, names.label_counts(), has_clock)
    order = _in_order(rows)
    ids, first = np.unique(rows["client"][order], return_index=True)
    bounds = np.append(first, rows.size).astype(np.int64)
    searches = _infer_all(rows, order, bounds, names, has_clock)
    drafts = []
    for i, client in enumerate(ids.tolist()):
        fact, search = given.get(client, Given()), searches[i]
        source = Source.OBSERVED if search.suffixes else Source.ASSUMED
        if fact.search is not None:
            search, source = SearchList(fact.search, frozenset(fact.search[:1])), fact.source
        drafts.append(_Draft(client, order[bounds[i] : bounds[i + 1]], search, source, fact))
    return _Reader(rows, names, drafts, has_clock).read()


def _infer_all(
    rows: npt.NDArray[Any], order: npt.NDArray[np.int64], bounds: npt.NDArray[np.int64],
    names: Folded, has_clock: bool,
) -> list[SearchList]:  # fmt: skip
    evidence, shown = evidence_of(
        rows, order, bounds, names.names.arrays, names.label_counts(), has_clock=has_clock
    )
    by_client: dict[int, list[Seen]] = defaultdict(list)
    for item, members in zip(evidence.tolist(), shown.tolist(), strict=True):
        client, base, size, count = item
        by_client[client].append(Seen(tuple(names.labels(m) for m in members[:size]), base, count))
    return [infer(by_client.get(i, ())) for i in range(bounds.size - 1)]


class _Reader:
    """Groups, recognises and describes: one pass each over all clients."""

    def __init__(
        self, rows: npt.NDArray[Any], names: Folded, drafts: list[_Draft], has_clock: bool
    ) -> None:
        self._rows, self._names, self._drafts = rows, names, drafts
        self._has_clock = has_clock
        self._rules: dict[SearchList, Rules] = {}
        for draft in drafts:
            self._add_rules(draft.search)
        self._walks = room_for(rows.size, len(names.names))

    def _add_rules(self, search: SearchList) -> None:
        if search in self._rules:
            return
        users = [d.order for d in self._drafts if d.search == search]
        used = np.unique(self._rows["folded"][np.concatenate(users)]) if users else np.zeros(0)
        suffixes = search.suffixes
        table = self._names.bases(used.astype(np.int64), suffixes)
        by_size = sorted(range(len(suffixes)), key=lambda p: -len(suffixes[p]))
        starts = np.array([s in search.starts for s in suffixes], np.uint8)
        join, near, following = timing(has_clock=self._has_clock)
        self._rules[search] = Rules(
            table, np.array(by_size, np.int64), starts, join, near, following, True
        )

    def read(self) -> Readings:
        """Return everything that can be said."""
        for draft in self._drafts:
            self._group(draft, searches_after_as_is=True)
            signs = np.zeros(SIGNS, np.int64)
            count_signs(
                self._rows, draft.order, self._walks, draft.first_walk, draft.last_walk, signs
            )
            draft.model = guess_resolver(signs)
            if draft.given.resolver is not None:
                draft.model = ResolverGuess(draft.given.resolver, 1.0, ("given",))
            if not resolver_model(draft.model.model).searches_after_as_is:
                self._regroup(draft)
        self._assume_lists()
        self._bound_ndots()
        return self._describe()

    def _group(self, draft: _Draft, *, searches_after_as_is: bool) -> None:
        rules = self._rules[draft.search]._replace(searches_after_as_is=searches_after_as_is)
        draft.first_walk = int(self._walks.used[0])
        group_exchanges(self._rows, draft.order, draft.client, rules, self._walks)
        draft.last_walk = int(self._walks.used[0])

    def _regroup(self, draft: _Draft) -> None:
        """Group again where what looked like one walk may be two lookups."""
        mine = self._walks.walks[draft.first_walk : draft.last_walk]
        if ((mine["mode"] == AS_IS) & (mine["candidates"] > 1)).any():
            mine["seen"] = 0
            self._group(draft, searches_after_as_is=False)

    def _assume_lists(self) -> None:
        """Assume a Kubernetes list where no walk shows one and all cluster names are of one space.

        Names such as ``web.default.svc.cluster.local`` that answer at once are what short names
        look like under the first suffix.
        """
        candidates = self._walks.candidates
        for draft in self._drafts:
            if draft.search.suffixes:
                continue
            walks = self._walks.walks[draft.first_walk : draft.last_walk]
            firsts = np.unique(candidates["name"][walks["first"]])
            spaces = set()
            for name in firsts.tolist():
                labels = self._names.labels(name)
                if len(labels) >= 5 and labels[-3] == "svc":
                    spaces.add(labels[-4:])
            if len(spaces) == 1:
                space = spaces.pop()
                draft.search = SearchList((space, space[1:], space[2:]), frozenset((space,)))
                self._add_rules(draft.search)

    def _bound_ndots(self) -> None:
        labels = self._names.label_counts()
        names = labels.size
        for draft in self._drafts:
            mine = self._walks.walks[draft.first_walk : draft.last_walk]
            bounds = np.array([0, MAX_NDOTS], np.int64)
            searched = np.zeros(mine.size, np.int32)
            unsearched = np.zeros(mine.size, np.int32)
            used = np.zeros(2, np.int64)
            bound(self._rows, self._walks, draft.first_walk, draft.last_walk, labels, bounds,
                  searched, unsearched, used)  # fmt: skip
            never = np.setdiff1d(unsearched[: used[1]], searched[: used[0]])
            assert never.size == 0 or int(never.max()) < names
            draft.ndots = self._weigh(draft, int(bounds[0]), int(bounds[1]), never, labels)

    def _weigh(
        self, draft: _Draft, low: int, high: int, never: npt.NDArray[Any],
        labels: npt.NDArray[np.int32],
    ) -> Ndots:  # fmt: skip
        """Choose the value: Kubernetes' 5 unless names asked as is speak against it."""
        low = min(low, MAX_NDOTS)
        high = max(high, low)
        if draft.given.ndots is not None:
            return Ndots(low, high, draft.given.ndots, draft.given.source)
        value = max(low, min(high, KUBERNETES_NDOTS))
        source = Source.OBSERVED if low == high else Source.ASSUMED
        zone = draft.search.suffixes[-1] if draft.search.suffixes else None
        few = never[(labels[never] > 1) & (labels[never] - 1 < value)]
        weak = []
        for name in few.tolist():
            text = self._names.labels(name)
            if text[-1] != "arpa" and not (zone and text[-len(zone) :] == zone):
                weak.append(len(text) - 1)
        if weak and never.size > 1:
            value, source = max(low, min(weak), 1), Source.OBSERVED
        return Ndots(low, high, value, source)

    def _describe(self) -> Readings:
        rows, names = self._rows, self._names
        labels = names.label_counts()
        probes = _probes(names)
        lookups = np.zeros(int(self._walks.used[0]), LOOKUP)
        transactions = np.zeros(rows.size, TRANSACTION)
        used = np.zeros(2, np.int64)
        previous = np.full(labels.size, -1, np.int32)
        capture_end = int(max(rows["query_time"].max(), rows["response_time"].max()))
        clients: list[ClientReading] = []
        for draft in self._drafts:
            model = resolver_model(draft.model.model)
            facts = np.zeros(1, CLIENT)
            facts["low"], facts["value"] = draft.ndots.low, draft.ndots.value
            facts["stops_on_nodata"] = model.on_nodata == AFTER_STOP
            facts["caches"] = model.name == "c-ares"
            facts["known"] = model.name != "unknown"
            before = int(used[0])
            describe_walks(
                rows, self._walks, draft.first_walk, draft.last_walk, self._rules[draft.search],
                labels, probes, len(clients), facts[0], capture_end, self._has_clock, previous,
                lookups, transactions, used,
            )  # fmt: skip
            if used[0] == before:
                continue
            _mark_absolute(lookups[before : int(used[0])], draft.ndots.low, labels)
            clients.append(
                ClientReading(draft.client, draft.search, draft.source, draft.ndots, draft.model)
            )
        lookups, transactions = lookups[: used[0]], transactions[: used[1]]
        return Readings(
            tuple(clients), *_by_start(lookups, transactions, clients), rows, names, labels,
            self._has_clock,
        )  # fmt: skip


def _by_start(
    lookups: npt.NDArray[Any], transactions: npt.NDArray[Any], clients: list[ClientReading]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Order lookups by their first queries, and mend what points to them."""
    address = np.array([c.client for c in clients], np.int64)
    order = np.lexsort((address[lookups["client"]], lookups["start"]))
    place = np.empty(order.size, np.int32)
    place[order] = np.arange(order.size, dtype=np.int32)
    lookups = lookups[order]
    again = lookups["walk_of"] >= 0
    lookups["walk_of"][again] = place[lookups["walk_of"][again]]
    transactions["lookup"] = place[transactions["lookup"]]
    return lookups, transactions


def _mark_absolute(
    lookups: npt.NDArray[Any], low: int, labels: npt.NDArray[np.int32]
) -> None:
    """Mark what only a final dot explains: too few dots for as is, or searched elsewhere."""
    many = lookups["candidates"] > 1
    listed = (lookups["mode"] == LIST) & many
    alone = (lookups["mode"] == AS_IS) & ~many
    lookups["absolute"] = np.where(many & (lookups["mode"] != OPEN), 0, -1)
    searched = np.isin(lookups["base"], lookups["base"][listed])
    lookups["absolute"][alone & ((labels[lookups["base"]] - 1 < low) | searched)] = 1


def _probes(names: Folded) -> npt.NDArray[np.uint8]:
    """Mark the names that client libraries ask SRV and TXT of by themselves."""
    arena, ends = names.names.arrays[0], names.names.arrays[1]
    out = np.zeros(len(names.names), np.uint8)
    begins = np.concatenate([[0], ends[: out.size - 1]]).astype(np.int64)
    underscored = np.flatnonzero(
        (ends[: out.size] - begins > 1) & (arena[np.minimum(begins + 1, arena.size - 1)] == 0x5F)
    )
    for name in underscored.tolist():
        out[name] = names.labels(name)[0].startswith(PROBES)
    return out


@kernel
def bound(
    rows: Any, w: Walks, begin: Any, end: Any, labels: Any, bounds: Any, searched: Any,
    unsearched: Any, used: Any,
) -> None:  # fmt: skip
    """Bound ndots by the names that were, and were not, tried as is first.

    ``bounds`` is [low, high]; ``searched`` and ``unsearched`` get bases that walked the list first
    and names that were asked as is, answered, and went no further.
    """
    for number in range(begin, end):
        walk = w.walks[number]
        if walk["cut_start"] or not walk["seen"]:
            continue
        name = np.int64(w.candidates[walk["first"]]["name"])
        if walk["candidates"] > 1 and walk["mode"] == LIST and walk["base"] >= 0:
            bounds[0] = max(bounds[0], np.int64(labels[walk["base"]]))
            searched[used[0]] = walk["base"]
            used[0] += 1
        elif walk["candidates"] > 1 and walk["mode"] == AS_IS:
            bounds[1] = min(bounds[1], np.int64(labels[name]) - 1)
        elif walk["mode"] == AS_IS:
            at = np.int64(w.candidates[walk["first"]]["question"])
            answered = False
            while at >= 0:
                x = np.int64(w.questions[at]["first"])
                while x >= 0:
                    e = rows[x]
                    if e["outcome"] == ANSWER and e["response_time"] != NO_TIME and not e["tc"]:
                        answered = True
                    x = np.int64(w.next_exchange[x])
                at = np.int64(w.questions[at]["after"])
            if answered:
                unsearched[used[1]] = name
                used[1] += 1


