"""Survey all clients before any is read: search lists, and periods of constant settings.

Everything is looked at once all of the capture is known, so the search list that the last minute
proves explains the first minute too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.ahead import in_order
from pcapkit.analysis.evidence import Scratch, evidence_of
from pcapkit.analysis.periods import Change, change_of_ndots, changes_of_list
from pcapkit.analysis.search_lists import SearchList, Seen, infer
from pcapkit.analysis.store import Piece, Store, parts
from pcapkit.analysis.suffixes import Folded, Labels
from pcapkit.model import Source


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


def survey(
    store: Store, names: Folded, given: Mapping[int, Given], *, has_clock: bool,
    note: Callable[[npt.NDArray[Any]], None] | None = None,
) -> list[Client]:  # fmt: skip
    """Infer the search list of every client, in the order of their addresses' first appearance.

    Everything is looked at once; ``note`` is called with each part of the exchanges. A client whose
    settings change has one entry per period.
    """
    out: list[Client] = []

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
        shown = _evidence(gathered, names)
        for i, piece in enumerate(part):
            mine, fact = rows[bounds[i] : bounds[i + 1]], given.get(piece.client, Given())
            search = infer(shown[i].sequences)
            periods = _periods(piece, mine, shown[i], fact, names) if has_clock else []
            if len(periods) < 2:
                out.append(_client(piece, mine, search, fact, names))
                continue
            for period in periods:
                theirs = mine[period.begin : period.begin + period.size]
                ends = np.array([0, theirs.size])
                alone = _evidence(gather(theirs, ends), names)[0]
                found = infer(alone.sequences)
                if search.starts and len(search.starts) == 1:  # ndots changed, the list did not
                    found = search
                out.append(_client(period, theirs, found, fact, names))
    return out


def _client(
    piece: Piece, mine: npt.NDArray[Any], search: SearchList, fact: Given, names: Folded
) -> Client:
    source = Source.OBSERVED if search.suffixes else Source.ASSUMED
    if fact.search is not None:
        search, source = SearchList(fact.search, frozenset(fact.search[:1])), fact.source
    assumed = search if search.suffixes else _assume_list(mine["folded"], names)
    return Client(piece, search, source, fact, assumed)


@dataclass(slots=True)
class _Evidence:
    """What one client shows: its sequences, and the names that it asked in two ways."""

    sequences: list[Seen]
    changes: list[Change]


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
            rows, bounds, self._names, self._labels, has_clock=self._has_clock,
            scratch=self._own.scratch,
        )  # fmt: skip
        return _Gathered(bounds.size - 1, *found)


def _evidence(gathered: _Gathered, names: Folded) -> list[_Evidence]:
    """Return the evidence of each client of a part."""
    out = [_Evidence([], []) for _ in range(gathered.clients)]
    evidence, shown, changes = gathered.evidence, gathered.shown, gathered.changes
    for item, members in zip(evidence.tolist(), shown.tolist(), strict=True):
        first, last, client, base, size, count = item
        labels = tuple(names.labels(m) for m in members[:size])
        out[client].sequences.append(Seen(labels, base, count, first, last))
    for client, _, *times in changes.tolist():
        out[client].changes.append(Change((times[0], times[1]), (times[2], times[3])))
    return out


def _periods(
    piece: Piece, mine: npt.NDArray[Any], shown: _Evidence, fact: Given, names: Folded
) -> list[Piece]:
    """Cut a client's exchanges where its settings change."""
    times: list[int] = []
    if fact.search is None:
        for before, suffix, first in changes_of_list(shown.sequences):
            between = (mine["query_time"] > before) & (mine["query_time"] < first)
            for at in np.flatnonzero(between).tolist():
                labels = names.labels(int(mine["folded"][at])) if mine["folded"][at] >= 0 else ()
                if labels[-len(suffix) :] == suffix:
                    first = int(mine["query_time"][at])
                    break
            times.append(first)
    if not times and fact.ndots is None:
        moment = change_of_ndots(shown.changes)
        times += [] if moment is None else [moment]
    cuts = [0, *np.searchsorted(mine["query_time"], times).tolist(), mine.size]
    return [
        Piece(piece.client, piece.begin + begin, end - begin)
        for begin, end in zip(cuts, cuts[1:], strict=False)
        if end > begin
    ]


def _assume_list(mine: npt.NDArray[np.int32], names: Folded) -> SearchList:
    """Assume a Kubernetes list where no walk shows one and all cluster names are of one space.

    Names such as ``web.default.svc.cluster.local`` that answer at once are what short names look
    like under the first suffix.
    """
    spaces = set()
    for name in np.unique(mine[mine >= 0]).tolist():
        labels = names.labels(name)
        if len(labels) >= 5 and labels[-3] == "svc":
            spaces.add(labels[-4:])
    if len(spaces) != 1:
        return SearchList()
    space = spaces.pop()
    return SearchList((space, space[1:], space[2:]), frozenset((space,)))


