"""Survey all clients before any is read: search lists, and periods of constant settings.

Nothing is read before all of the capture is known, so the search list that the last minute
proves explains the first minute too.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from itertools import compress, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.exchanges.store import Piece, Store, parts
from pcapkit.analysis.search_lists.evidence import Evidence, Scratch, evidence_of
from pcapkit.analysis.search_lists.infer import (
    Inference,
    NameSequence,
    SearchList,
    SuffixSequence,
    without_chance,
)
from pcapkit.analysis.search_lists.periods import TwoWays, changes_of_list, changes_of_ndots
from pcapkit.codes import ANSWER
from pcapkit.concurrency import in_order
from pcapkit.limits import DEFAULTS, Limits
from pcapkit.model.vocabulary import Source
from pcapkit.names.labels import Labels
from pcapkit.names.table import Folded
from pcapkit.names.top_level import is_top_level_domain
from pcapkit.resolver.models import ROOT_AS_IS, resolver_model
from pcapkit.schema import EXCHANGE_ITERATIVE, Exchanges, Ids, Integers

#: Names of the world under one suffix that show it to be one.
_WORLD = 3
#: Queries of one client that say what it does with an entry ``.`` of its list.
_MOST_LOOKED_AT = 10_000
_NO_LIST = SearchList()


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
    ``proven`` is, where a list was given, the one that its walks prove all the same.
    """

    piece: Piece
    search: SearchList
    source: Source
    given: Given
    assumed: SearchList
    proven: SearchList
    logged: bool  # seen in a server's own log


class SurveyedPart(NamedTuple):
    """Some clients, an entry for each period, and all of their exchanges."""

    clients: list[Client]
    rows: Exchanges
    left_out: int  # sequences of names beyond the limit


def survey(
    store: Store,
    names: Folded,
    given: Mapping[int, Given],
    *,
    has_clock: bool,
    workers: int | None = None,
    limits: Limits = DEFAULTS,
) -> Iterator[SurveyedPart]:
    """Infer the search list of every client, in the order of their addresses' first appearance.

    Everything is read once, part by part. A client whose settings change has one entry per period.
    """
    inference, nothing = Inference(), Given()
    gather = _Gatherer(names, has_clock, limits.client_names)

    def gather_part(part: list[Piece]) -> _Gathered:
        rows = store.read(part)
        bounds = np.append(0, np.cumsum([piece.size for piece in part])).astype(np.int64)
        return _Gathered(part, rows, bounds, _Shown(gather(rows, bounds), bounds.size - 1, names))

    for part, rows, bounds, shown in in_order(
        (partial(gather_part, part) for part in parts(store.clients())), workers=workers
    ):
        clients: list[Client] = []
        searches = shown.infer(inference)
        for i, piece in enumerate(part):
            mine, search = rows[bounds[i] : bounds[i + 1]], searches[i]
            fact = given.get(piece.client, nothing)
            proven = _NO_LIST if fact.search is None else shown.proven(i, inference)
            times = _changes(shown, i, mine, search, fact, names) if has_clock else []
            periods = _periods(piece, mine, times) if times else [piece]
            for period in periods:
                theirs, found = mine, search
                if len(periods) > 1:
                    theirs = mine[period.begin : period.begin + period.size]
                    if len(search.starts) != 1:  # else ndots changed, the list did not
                        bounds_of_one = np.array([0, theirs.size])
                        alone = _Shown(gather(theirs, bounds_of_one), 1, names)
                        found = alone.infer(inference)[0]
                clients.append(_client(period, theirs, found, fact, proven, names))
        yield SurveyedPart(clients, rows, shown.left_out)


def _client(
    piece: Piece,
    mine: Exchanges,
    search: SearchList,
    fact: Given,
    proven: SearchList,
    names: Folded,
) -> Client:
    logged = bool(mine.size and mine["server"][0] < 0)
    if logged:
        search = _without_hole(search)
    source = Source.OBSERVED if search.suffixes else Source.ASSUMED
    if fact.search is not None:
        listed = fact.search
        if () in listed and not _asks_at_root(listed, fact.resolver, mine, names):
            listed = tuple(suffix for suffix in listed if suffix)
        search, source = SearchList(listed, frozenset(listed[:1])), fact.source
    assumed = search if search.suffixes else _assume_list(mine, names)
    return Client(piece, search, source, fact, assumed, proven, logged)


def _asks_at_root(
    listed: tuple[Labels, ...], resolver: str | None, mine: Exchanges, names: Folded
) -> bool:
    """Does a client ask names as is where its list says ``.``, and not at the end of the list?

    glibc and c-ares do; musl, Go and hickory pass it over. Where the resolver is not given, a name
    that is asked as is right behind the last suffix shows that ``.`` was passed over.
    """
    if resolver is not None:
        return resolver_model(resolver).root_suffix == ROOT_AS_IS
    asked = mine["folded"][mine["folded"] >= 0][:_MOST_LOOKED_AT]
    asked = asked[np.append(True, asked[1:] != asked[:-1])] if asked.size else asked
    labels = [names.labels(name) for name in asked.tolist()]
    return not any((*after, *listed[-1]) == before for before, after in pairwise(labels))


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
    """A part, as the threads that gather give it: where each client begins, and what it shows."""

    part: list[Piece]
    rows: Exchanges
    bounds: Integers
    shown: _Shown


class _Gatherer:
    """Runs the compiled pass over parts, in any thread; each keeps its working memory."""

    def __init__(self, names: Folded, has_clock: bool, most: int) -> None:
        self._names, self._has_clock, self._most = names.names.arrays, has_clock, most
        self._labels = names.label_counts()
        self._own = threading.local()

    def __call__(self, rows: Exchanges, bounds: Integers) -> Evidence:
        """Return the evidence of the clients that begin at ``bounds``, which ends with the end."""
        if not hasattr(self._own, "scratch"):
            self._own.scratch = Scratch(self._labels.size)
        return evidence_of(
            rows,
            bounds,
            self._names,
            self._labels,
            has_clock=self._has_clock,
            scratch=self._own.scratch,
            most=self._most,
        )


class _Shown:
    """What the clients of a part show: their sequences, and the names that they asked two ways."""

    def __init__(self, evidence: Evidence, clients: int, names: Folded) -> None:
        self._evidence, self._names = evidence, names
        self.left_out = int(evidence.left_out[0])
        #: the sequences of client i are those from bounds[i] to bounds[i + 1]
        numbers = np.arange(clients + 1)
        self._bounds = np.searchsorted(evidence.sequences["client"], numbers).tolist()
        self._two_ways: dict[int, list[TwoWays]] = {}
        for time, client, name, searched in evidence.two_ways.tolist():
            lookup = TwoWays(time, name, bool(searched))
            self._two_ways.setdefault(client, []).append(lookup)

    def infer(self, inference: Inference) -> list[SearchList]:
        """Return the search list of each client."""
        by_base = self._by_base
        out = []
        for i, (begin, end) in enumerate(pairwise(self._bounds)):
            suffixes = self._suffixes_of(i)
            out.append(inference.infer(list(compress(suffixes, by_base[begin:end])), suffixes))
        return out

    def proven(self, client: int, inference: Inference) -> SearchList:
        """Return the search list of one client that sequences with a known base show."""
        mine = slice(*self._bounds[client : client + 2])
        return inference.infer(list(compress(self._suffixes_of(client), self._by_base[mine])), [])

    def _suffixes_of(self, client: int) -> list[SuffixSequence]:
        """Return the suffixes that each sequence of a client shows, chance left out."""
        begin, end = self._bounds[client : client + 2]
        mine = self._suffixes[begin:end]
        if not self._pauses[begin:end].any():
            return mine
        masks = self._evidence.sequences["at_once"][begin:end].tolist()
        return without_chance(mine, masks)

    @cached_property
    def _pauses(self) -> npt.NDArray[np.bool_]:
        """Did a suffix of each sequence follow, and was followed, after pauses only?"""
        sizes = np.array([len(s) for s, _ in self._suffixes], np.int64)
        pauses: npt.NDArray[np.bool_] = (
            self._evidence.sequences["at_once"] != (np.int64(1) << sizes) - 1
        )
        return pauses

    @cached_property
    def _by_base(self) -> list[bool]:
        """Is the base of each sequence known?"""
        known: list[bool] = (self._evidence.sequences["base"] > 0).tolist()
        return known

    @cached_property
    def _suffixes(self) -> list[SuffixSequence]:
        """The suffixes that each sequence shows."""
        sequences, members = self._evidence.sequences, self._evidence.members
        base = np.where(sequences["base"] > 0, sequences["base"], sequences["shared"])
        longer = np.arange(members.shape[1]) < sequences["size"][:, None]
        longer &= self._names.label_counts()[members] > base[:, None]
        sizes = longer.sum(axis=1)
        suffixes = self._names.labels_behind(members[longer], np.repeat(base, sizes))
        ends = np.cumsum(sizes).tolist()
        return [
            (tuple(suffixes[end - size : end]), count)
            for end, size, count in zip(
                ends, sizes.tolist(), sequences["count"].tolist(), strict=True
            )
        ]

    def sequences(self, client: int) -> list[NameSequence]:
        """Return the sequences of a client, with the times at which they were seen."""
        begin, end = self._bounds[client : client + 2]
        rows = self._evidence.sequences[begin:end]
        return [
            NameSequence(
                tuple(self._names.labels(m) for m in members[: row["size"]]),
                int(row["base"]),
                int(row["count"]),
                int(row["first"]),
                int(row["last"]),
            )
            for row, members in zip(rows, self._evidence.members[begin:end].tolist(), strict=True)
        ]

    def two_ways(self, client: int) -> list[TwoWays]:
        """Return the lookups of names that a client asked in two ways."""
        return self._two_ways.get(client, [])


def _changes(
    shown: _Shown, client: int, mine: Exchanges, search: SearchList, fact: Given, names: Folded
) -> list[int]:
    """Return the times at which a client's settings change.

    A name under the first suffix that was asked first shows nothing: a shorter one was searched.
    """

    def under(name: int, suffixes: Iterable[Labels]) -> bool:
        labels = names.labels(name)
        return any(labels[-len(suffix) :] == suffix for suffix in suffixes)

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
        first_suffixes = {*search.starts, *search.suffixes[:1]}
        times = changes_of_ndots(
            [x for x in shown.two_ways(client) if x.searched or not under(x.name, first_suffixes)]
        )
    return times


def _periods(piece: Piece, mine: Exchanges, times: list[int]) -> list[Piece]:
    """Cut a client's exchanges at some times."""
    cuts = [0, *np.searchsorted(mine["query_time"], times).tolist(), mine.size]
    return [
        Piece(piece.client, piece.begin + begin, end - begin)
        for begin, end in pairwise(cuts)
        if end > begin
    ]


def _assume_list(mine: Exchanges, names: Folded) -> SearchList:
    """Assume a list where no walk shows one.

    A Kubernetes list where all cluster names are of one space: names such as
    ``web.default.svc.cluster.local`` that answer at once are what short names look like under the
    first suffix. Else one suffix under which every name of the world has an answer. Who asks for no
    recursion has none: a server that resolves.
    """
    if mine.size == 1 and names.label_counts()[max(0, int(mine["folded"][0]))] < 5:
        return _NO_LIST  # as of each of very many clients that ask once
    shown = (mine["folded"] >= 0) & (mine["marks"] & EXCHANGE_ITERATIVE == 0)
    asked = np.unique(mine["folded"][shown])
    labels = names.label_counts()[asked]
    asked, labels = asked[labels >= 5], labels[labels >= 5]
    spaces = {end for end in names.labels_behind(asked, labels - 4) if end[1] == "svc"}
    if len(spaces) != 1:
        answered = (mine["outcome"] == ANSWER) & shown
        return _wildcard(np.unique(mine["folded"][answered]), names)
    return _list_of_space(spaces.pop())


@lru_cache(maxsize=1 << 12)
def _list_of_space(space: Labels) -> SearchList:
    """Return the list that Kubernetes writes for pods whose first suffix is ``space``."""
    return SearchList((space, space[1:], space[2:]), frozenset((space,)))


def _wildcard(answered: Ids, names: Folded) -> SearchList:
    """Return the suffix under which names of several top-level domains were answered, if any is.

    ``api.example.com.wild.example.org`` is nobody's name: it is a name of the world under a suffix.
    ``answered`` (distinct name ids) may be millions: none is split but under such a suffix.
    """
    counts = names.label_counts()[answered]
    found: Counter[Labels] = Counter()
    ends: dict[Labels, set[str]] = {}
    for size in range(2, int(counts.max(initial=0)) - 1):
        answered, counts = answered[counts >= size + 2], counts[counts >= size + 2]
        last = names.labels_at(answered, np.full(answered.size, size - 1))
        domains = {label for label in set(last) if is_top_level_domain(label)}
        real = [n for n, label in enumerate(last) if label in domains]
        under = names.labels_behind(answered[real], np.full(len(real), size))
        found.update(under)
        for n, suffix in zip(real, under, strict=True):
            ends.setdefault(suffix, set()).add(last[n])
    shown = [s for s, count in found.items() if count >= _WORLD and len(ends[s]) > 1]
    if not shown:
        return SearchList()
    suffix = max(shown, key=lambda s: (found[s], len(s), s))
    return SearchList((suffix,), frozenset((suffix,)))
