"""Read the surveyed clients, part by part: resolver, ndots, and what each lookup was.

A part is some clients, each whole for one period of constant settings; what is counted over parts
adds up, and any thread may read any part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.describe import CLIENT, LOOKUP, TRANSACTION, describe_walks
from pcapkit.analysis.fingerprints import SIGNS, count_signs, guess_resolver, models_at_once
from pcapkit.analysis.lookups import Rules, group_exchanges, timing
from pcapkit.analysis.search_lists import SearchList
from pcapkit.analysis.store import Piece, Store, parts
from pcapkit.analysis.suffixes import Folded, note_names
from pcapkit.analysis.survey import Client
from pcapkit.analysis.walks import AS_IS, LIST, OPEN, Walks, room_for
from pcapkit.analysis.waste import PROBES
from pcapkit.codes import ANSWER
from pcapkit.kernels import kernel
from pcapkit.layout import NO_TIME, take_rows
from pcapkit.model import Ndots, ResolverGuess, Source
from pcapkit.resolver import AFTER_STOP, MAX_NDOTS, resolver_model

KUBERNETES_NDOTS = 5
#: Entries of the tables of bases that a part may need: 4 bytes each.
_TABLES = 1 << 25


@dataclass(frozen=True, slots=True)
class ClientReading:
    """What one client's traffic says; ``client`` is its address id."""

    client: int
    search: SearchList
    search_source: Source
    ndots: Ndots
    resolver: ResolverGuess
    models: tuple[str, ...] = ()  #: those whose signs are all there; several: a mixture


@dataclass(frozen=True, slots=True)
class Readings:
    """Some clients, or all, and their lookups in the order of their first queries.

    A client is always read whole, so what is counted over parts adds up.
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


def read_parts(
    store: Store, clients: Sequence[Client], names: Folded, *, has_clock: bool
) -> Iterator[Callable[[], Readings]]:
    """Give tasks that read the clients, a part each, for any thread to run.

    Names are interned only between the tasks, so that their ids never depend on the threads.
    """
    known = {c.piece: c for c in clients}
    for part in _parts(clients):
        rows = store.read(part)
        mine = [known[piece] for piece in part]
        rules = _rules(rows, names, mine, has_clock)
        yield _Reader(rows, names, mine, rules, store.last_time or 0, has_clock).read


def _parts(clients: Sequence[Client]) -> Iterator[list[Piece]]:
    """Split the clients into parts; each has room for the tables of its search lists."""
    lists = {c.piece: {c.search, c.assumed} for c in clients}
    for part in parts(c.piece for c in clients):
        held: set[SearchList] = set()
        piece: list[Piece] = []
        size = suffixes = 0
        for one in part:
            size += one.size
            suffixes += sum(len(s.suffixes) for s in lists[one] - held)
            if piece and size * suffixes > _TABLES:
                yield piece
                piece, held, size = [], set(), one.size
                suffixes = sum(len(s.suffixes) for s in lists[one])
            held |= lists[one]
            piece.append(one)
        yield piece


def _rules(
    rows: npt.NDArray[Any], names: Folded, clients: Sequence[Client], has_clock: bool
) -> dict[SearchList, Rules]:
    """Return what the clients of each search list of a part have in common."""
    asking: dict[SearchList, list[npt.NDArray[Any]]] = {}
    begin = 0
    for client in clients:
        mine = rows[begin : begin + client.piece.size]
        begin += client.piece.size
        for search in {client.search, client.assumed}:
            asking.setdefault(search, []).append(mine)
    place, stamps = np.zeros(len(names.names), np.int32), np.zeros(len(names.names), np.int32)
    asked = np.empty(rows.size, np.int32)
    all_names = asked[: note_names(rows, stamps, 1, asked, 0)]
    place[all_names] = np.arange(1, all_names.size + 1, dtype=np.int32)
    places = all_names.size + 1
    out = {}
    for stamp, (search, exchanges) in enumerate(asking.items(), 2):
        suffixes, used = search.suffixes, 0
        for mine in exchanges:
            used = note_names(mine, stamps, stamp, asked, used)
        table = names.bases(np.sort(asked[:used]), suffixes, place, places)
        by_size = sorted(range(len(suffixes)), key=lambda p: -len(suffixes[p]))
        starts = np.array([s in search.starts for s in suffixes], np.uint8)
        out[search] = Rules(
            place, table, np.array(by_size, np.int64), starts, *timing(has_clock=has_clock), True
        )
    return out


@dataclass(slots=True)
class _Draft:
    """One client while it is read."""

    client: Client
    begin: int
    end: int
    model: ResolverGuess = ResolverGuess("unknown", 0.0, ())
    models: tuple[str, ...] = ()
    first_walk: int = 0
    last_walk: int = 0
    ndots: Ndots = Ndots(0, MAX_NDOTS, KUBERNETES_NDOTS, Source.ASSUMED)


class _Reader:
    """Groups, recognises and describes the clients of one part."""

    def __init__(
        self, rows: npt.NDArray[Any], names: Folded, clients: Sequence[Client],
        rules: Mapping[SearchList, Rules], capture_end: int, has_clock: bool,
    ) -> None:  # fmt: skip
        self._rows, self._names, self._rules = rows, names, rules
        self._labels = names.label_counts()
        self._probes = _probes(names)
        self._capture_end, self._has_clock = capture_end, has_clock
        ends = np.cumsum([c.piece.size for c in clients]).tolist()
        self._drafts = [
            _Draft(c, end - c.piece.size, end) for c, end in zip(clients, ends, strict=True)
        ]

    def read(self) -> Readings:
        """Return everything that can be said."""
        self._walks = room_for(self._rows.size, self._labels.size)
        for draft in self._drafts:
            self._group(draft, searches_after_as_is=True)
            signs = np.zeros(SIGNS, np.int64)
            count_signs(
                self._rows, draft.begin, draft.end, self._walks, draft.first_walk,
                draft.last_walk, signs,
            )  # fmt: skip
            draft.model, draft.models = guess_resolver(signs), models_at_once(signs)
            if draft.client.given.resolver is not None:
                draft.model = ResolverGuess(draft.client.given.resolver, 1.0, ("given",))
            if not resolver_model(draft.model.model).searches_after_as_is:
                self._regroup(draft)
        self._bound_ndots()
        return self._describe()

    def _group(self, draft: _Draft, *, searches_after_as_is: bool) -> None:
        rules = self._rules[draft.client.search]._replace(searches_after_as_is=searches_after_as_is)
        draft.first_walk = int(self._walks.used[0])
        group_exchanges(
            self._rows, draft.begin, draft.end, draft.client.piece.client, rules, self._walks
        )
        draft.last_walk = int(self._walks.used[0])

    def _regroup(self, draft: _Draft) -> None:
        """Group again where what looked like one walk may be two lookups."""
        mine = self._walks.walks[draft.first_walk : draft.last_walk]
        if ((mine["mode"] == AS_IS) & (mine["candidates"] > 1)).any():
            mine["seen"] = 0
            self._group(draft, searches_after_as_is=False)

    def _bound_ndots(self) -> None:
        labels = self._labels
        for draft in self._drafts:
            size = draft.last_walk - draft.first_walk
            bounds = np.array([0, MAX_NDOTS], np.int64)
            searched, unsearched = np.zeros(size, np.int32), np.zeros(size, np.int32)
            used = np.zeros(2, np.int64)
            bound(self._rows, self._walks, draft.first_walk, draft.last_walk, labels, bounds,
                  searched, unsearched, used)  # fmt: skip
            never = np.setdiff1d(unsearched[: used[1]], searched[: used[0]])
            draft.ndots = self._weigh(draft, int(bounds[0]), int(bounds[1]), never, labels)

    def _weigh(
        self, draft: _Draft, low: int, high: int, never: npt.NDArray[Any],
        labels: npt.NDArray[np.int32],
    ) -> Ndots:  # fmt: skip
        """Choose the value: Kubernetes' 5 unless names asked as is speak against it."""
        low = min(low, MAX_NDOTS)
        high = max(high, low)
        given = draft.client.given
        if given.ndots is not None:
            return Ndots(low, high, given.ndots, given.source)
        value = max(low, min(high, KUBERNETES_NDOTS))
        source = Source.OBSERVED if low == high else Source.ASSUMED
        suffixes = draft.client.assumed.suffixes
        zone = suffixes[-1] if suffixes else None
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
        rows, labels = self._rows, self._labels
        lookups = np.zeros(int(self._walks.used[0]), LOOKUP)
        transactions = np.zeros(rows.size, TRANSACTION)
        used = np.zeros(2, np.int64)
        previous = np.full(labels.size, -1, np.int32)
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
                rows, self._walks, draft.first_walk, draft.last_walk,
                self._rules[draft.client.assumed], labels, self._probes, len(clients), facts[0],
                self._capture_end, self._has_clock, previous, lookups, transactions, used,
            )  # fmt: skip
            if used[0] == before:
                continue
            _mark_absolute(lookups[before : int(used[0])], draft.ndots.low, labels)
            c = draft.client
            clients.append(
                ClientReading(
                    c.piece.client, c.assumed, c.source, draft.ndots, draft.model, draft.models
                )
            )
        lookups, transactions = lookups[: used[0]], transactions[: used[1]]
        return Readings(
            tuple(clients), *_by_start(lookups, transactions, clients), rows, self._names, labels,
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
    lookups = take_rows(lookups, order)
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


