"""Survey all clients before any is read: search lists, and periods of constant settings.

Everything is looked at once all of the capture is known, so the search list that the last minute
proves explains the first minute too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import compress, pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.exchanges.store import Piece, Store, parts
from pcapkit.analysis.search_lists.evidence import Scratch, evidence_of
from pcapkit.analysis.search_lists.infer import Inference, SearchList, Seen, Walk
from pcapkit.analysis.search_lists.periods import Change, change_of_ndots, changes_of_list
from pcapkit.concurrency import in_order
from pcapkit.model.vocabulary import Source
from pcapkit.names.labels import Labels
from pcapkit.names.table import Folded


@dataclass(frozen=True, slots=True)
class Given:
    """Facts that the user gave, which beat inferred ones."""

    search: tuple[Labels, ...] | None = None
    ndots: int | None = None
    resolver: str | None = None
    source: Source = Source.OPTION


@dataclass(frozen=True, slots=True)
class Client:
    """What the survey says of one client in one period, before its lookups are read.

    ``piece`` names its exchanges; ``assumed`` is a list that no walk shows but its names speak for.
    """

    piece: Piece
    search: SearchList
    source: Source
    given: Given
    assumed: SearchList
    logged: bool = False  # seen in a server's own log


def survey(
    store: Store,
    names: Folded,
    given: Mapping[int, Given],
    *,
    has_clock: bool,
    note: Callable[[npt.NDArray[Any]], None] | None = None,
) -> list[Client]:
    """Infer the search list of every client, in the order of their addresses' first appearance.

    Everything is looked at once; ``note`` is called with each part of the exchanges. A client whose
    settings change has one entry per period.
    """
    out: list[Client] = []
    inference, nothing = Inference(), Given()
    gather = _Gatherer(names, has_clock)

    def look(part: list[Piece]) -> _Surveyed:
        rows = store.read(part)
        bounds = np.append(0, np.cumsum([piece.size for piece in part])).astype(np.int64)
        return _Surveyed(part, rows, bounds, gather(rows, bounds))

    for part, rows, bounds, gathered in in_order(
        partial(look, part) for part in parts(store.clients())
    ):
        if note is not None:
            note(rows)
        shown = _Shown(gathered, names)
        searches = shown.infer(inference)
        for i, piece in enumerate(part):
            mine, search = rows[bounds[i] : bounds[i + 1]], searches[i]
            fact = given.get(piece.client, nothing)
            times = _changes(shown, i, mine, search, fact, names) if has_clock else []
            periods = _periods(piece, mine, times) if times else [piece]
            if len(periods) < 2:
                out.append(_client(piece, mine, search, fact, names))
                continue
            for period in periods:
                theirs = mine[period.begin : period.begin + period.size]
                alone = _Shown(gather(theirs, np.array([0, theirs.size])), names)
                found = alone.infer(inference)[0]
                if search.starts and len(search.starts) == 1:  # ndots changed, the list did not
                    found = search
                out.append(_client(period, theirs, found, fact, names))
    return out


def _client(
    piece: Piece, mine: npt.NDArray[Any], search: SearchList, fact: Given, names: Folded
) -> Client:
    logged = bool(mine.size and mine["server"][0] < 0)
    if logged:
        search = _without_hole(search)
    source = Source.OBSERVED if search.suffixes else Source.ASSUMED
    if fact.search is not None:
        search, source = SearchList(fact.search, frozenset(fact.search[:1])), fact.source
    assumed = search if search.suffixes else _assume_list(mine["folded"], names)
    return Client(piece, search, source, fact, assumed, logged)


def is_headless(search: SearchList) -> bool:
    """Does a list begin with ``svc.<zone>``, as none does that Kubernetes writes?"""
    return bool(search.suffixes) and search.suffixes[0][:1] == ("svc",)


def _without_hole(search: SearchList) -> SearchList:
    """Return a list with ``svc.<zone>`` in it where one replica's log lacks it.

    Kubernetes writes ``<namespace>.svc.<zone>``, ``svc.<zone>`` and ``<zone>``, all three.
    """
    suffixes = search.suffixes
    for at, first in enumerate(suffixes):
        if len(first) > 2 and first[1] == "svc":
            middle, zone = first[1:], first[2:]
            rest = suffixes[at + 1 :]
            if middle not in suffixes and zone in rest:
                return SearchList((*suffixes[: at + 1], middle, *rest), search.starts)
            if middle in rest and zone not in suffixes:
                after = suffixes.index(middle) + 1
                return SearchList((*suffixes[:after], zone, *suffixes[after:]), search.starts)
    return search


class _Gathered(NamedTuple):
    """What the compiled pass says of some clients: see ``evidence_of``."""

    clients: int
    evidence: npt.NDArray[Any]
    shown: npt.NDArray[np.int32]
    changes: npt.NDArray[Any]


class _Surveyed(NamedTuple):
    part: list[Piece]
    rows: npt.NDArray[Any]
    bounds: npt.NDArray[np.int64]
    gathered: _Gathered


class _Gatherer:
    """Runs the compiled pass over parts, in any thread; each keeps its working memory."""

    def __init__(self, names: Folded, has_clock: bool) -> None:
        self._names, self._has_clock = names.names.arrays, has_clock
        self._labels = names.label_counts()
        self._own = threading.local()

    def __call__(self, rows: npt.NDArray[Any], bounds: npt.NDArray[np.int64]) -> _Gathered:
        """Return the evidence of the clients that begin at ``bounds``, which ends with the end."""
        if not hasattr(self._own, "scratch"):
            self._own.scratch = Scratch(self._labels.size)
        found = evidence_of(
            rows,
            bounds,
            self._names,
            self._labels,
            has_clock=self._has_clock,
            scratch=self._own.scratch,
        )
        return _Gathered(bounds.size - 1, *found)


class _Shown:
    """What the clients of a part show: their sequences, and the names that they asked two ways."""

    def __init__(self, gathered: _Gathered, names: Folded) -> None:
        self._gathered, self._names = gathered, names
        #: the sequences of client i are those from bounds[i] to bounds[i + 1]
        clients = np.arange(gathered.clients + 1)
        self._bounds = np.searchsorted(gathered.evidence["client"], clients).tolist()
        self._changes: dict[int, list[Change]] = {}
        for client, _, *times in gathered.changes.tolist():
            change = Change((times[0], times[1]), (times[2], times[3]))
            self._changes.setdefault(client, []).append(change)

    def infer(self, inference: Inference) -> list[SearchList]:
        """Return the search list of each client."""
        walks, proven = self._walks(), (self._gathered.evidence["base"] > 0).tolist()
        out = []
        for begin, end in pairwise(self._bounds):
            shown, by_base = walks[begin:end], proven[begin:end]
            out.append(inference.infer(list(compress(shown, by_base)), shown))
        return out

    def _walks(self) -> list[Walk]:
        """Return the suffixes that each sequence shows."""
        evidence, shown = self._gathered.evidence, self._gathered.shown
        base = np.where(evidence["base"] > 0, evidence["base"], evidence["shared"])
        longer = np.arange(shown.shape[1]) < evidence["size"][:, None]
        longer &= self._names.label_counts()[shown] > base[:, None]
        sizes = longer.sum(axis=1)
        suffixes = self._names.labels_behind(shown[longer], np.repeat(base, sizes))
        ends = np.cumsum(sizes).tolist()
        return [
            (tuple(suffixes[end - size : end]), count)
            for end, size, count in zip(
                ends, sizes.tolist(), evidence["count"].tolist(), strict=True
            )
        ]

    def sequences(self, client: int) -> list[Seen]:
        """Return the sequences of a client, with the times at which they were seen."""
        begin, end = self._bounds[client : client + 2]
        rows = self._gathered.evidence[begin:end]
        return [
            Seen(
                tuple(self._names.labels(m) for m in members[: row["size"]]),
                int(row["base"]),
                int(row["count"]),
                int(row["first"]),
                int(row["last"]),
            )
            for row, members in zip(rows, self._gathered.shown[begin:end].tolist(), strict=True)
        ]

    def changes(self, client: int) -> list[Change]:
        """Return the names that a client asked in two ways."""
        return self._changes.get(client, [])


def _changes(
    shown: _Shown,
    client: int,
    mine: npt.NDArray[Any],
    search: SearchList,
    fact: Given,
    names: Folded,
) -> list[int]:
    """Return the times at which a client's settings change."""
    times: list[int] = []
    if fact.search is None and len(search.starts) > 1:
        for before, suffix, first in changes_of_list(shown.sequences(client), search.starts):
            between = (mine["query_time"] > before) & (mine["query_time"] < first)
            for at in np.flatnonzero(between).tolist():
                labels = names.labels(int(mine["folded"][at])) if mine["folded"][at] >= 0 else ()
                if labels[-len(suffix) :] == suffix:
                    first = int(mine["query_time"][at])
                    break
            times.append(first)
    if not times and fact.ndots is None:
        moment = change_of_ndots(shown.changes(client))
        times += [] if moment is None else [moment]
    return times


def _periods(piece: Piece, mine: npt.NDArray[Any], times: list[int]) -> list[Piece]:
    """Cut a client's exchanges at some times."""
    cuts = [0, *np.searchsorted(mine["query_time"], times).tolist(), mine.size]
    return [
        Piece(piece.client, piece.begin + begin, end - begin)
        for begin, end in pairwise(cuts)
        if end > begin
    ]


def _assume_list(mine: npt.NDArray[np.int32], names: Folded) -> SearchList:
    """Assume a Kubernetes list where no walk shows one and all cluster names are of one space.

    Names such as ``web.default.svc.cluster.local`` that answer at once are what short names look
    like under the first suffix.
    """
    asked = np.unique(mine[mine >= 0])
    labels = names.label_counts()[asked]
    asked, labels = asked[labels >= 5], labels[labels >= 5]
    spaces = {end for end in names.labels_behind(asked, labels - 4) if end[1] == "svc"}
    if len(spaces) != 1:
        return SearchList()
    space = spaces.pop()
    return SearchList((space, space[1:], space[2:]), frozenset((space,)))
