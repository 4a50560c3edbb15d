"""Read the surveyed clients, part by part: resolver, ndots, and what each lookup was.

A part is some clients, each whole for one period of constant settings; what is counted over parts
adds up, and any thread may read any part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pcapkit.analysis.exchanges.store import Store, parts
from pcapkit.analysis.lookups.base_names import number_names
from pcapkit.analysis.lookups.cut_names import name_unread
from pcapkit.analysis.lookups.describe import describe_clients
from pcapkit.analysis.lookups.fingerprints import (
    GRPC_PROBES,
    SIGNS,
    count_signs,
    guess_resolver,
    models_at_once,
    stops_on_nodata,
)
from pcapkit.analysis.lookups.grouping import group_clients, group_cut_clients
from pcapkit.analysis.lookups.ndots import bound_ndots
from pcapkit.analysis.lookups.outcomes import Described, Grouped
from pcapkit.analysis.lookups.state import CLIENT, CUT_QUESTION, NO_ROW, WALKS, Walks, new_walks
from pcapkit.analysis.lookups.waste import PROBES
from pcapkit.analysis.search_lists.infer import SearchList
from pcapkit.analysis.search_lists.survey import Client, is_headless
from pcapkit.analysis.timing import gaps_of
from pcapkit.model.clients import Ndots, ResolverGuess, given_resolver
from pcapkit.model.vocabulary import Source
from pcapkit.names.labels import Labels
from pcapkit.names.table import Folded
from pcapkit.resolver.models import AFTER_STOP, resolver_model
from pcapkit.schema import (
    LOOKUP,
    TRANSACTION,
    Bytes,
    Exchanges,
    Ids,
    Integers,
    Lookups,
    Transactions,
    take_rows,
)

_UNDERSCORE = 0x5F


@dataclass(frozen=True, slots=True)
class ClientReading:
    """What one client's traffic says; ``client`` is its address id."""

    client: int
    search: SearchList
    search_source: Source
    ndots: Ndots
    resolver: ResolverGuess
    models: tuple[str, ...] = ()  #: those whose signs are all there; several: a mixture
    #: where a search list was given, the one that walks prove all the same
    proven: SearchList = SearchList()
    #: an unknown resolver whose walks all end at a suffix that has no such type, if any reach one
    stops_on_nodata: bool = False


@dataclass(frozen=True, slots=True)
class Readings:
    """Some clients, or all, and their lookups: client by client, by the times of first queries.

    A client is always read whole, so what is counted over parts adds up.
    ``lookups`` (LOOKUP) and ``transactions`` (TRANSACTION) point to one another and to ``rows``,
    the exchanges; a lookup's ``client`` is an index of ``clients``.
    """

    clients: tuple[ClientReading, ...]
    lookups: Lookups
    transactions: Transactions
    rows: Exchanges
    names: Folded
    labels: Ids
    has_clock: bool


def read_parts(
    store: Store, clients: Sequence[Client], names: Folded, *, has_clock: bool
) -> Iterator[Callable[[], Readings]]:
    """Give tasks that read the clients, a part each, for any thread to run.

    Names are interned only between the tasks, so that their ids never depend on the threads.
    """
    known = {c.piece: c for c in clients}
    for part in parts(c.piece for c in clients):
        rows = store.read(part)
        span = store.first_time or 0, store.last_time or 0
        yield _Reader(rows, names, [known[piece] for piece in part], span, has_clock).read


class _Reader:
    """Groups, recognises and describes the clients of one part."""

    def __init__(
        self,
        rows: Exchanges,
        names: Folded,
        surveyed: Sequence[Client],
        span: tuple[int, int],
        has_clock: bool,
    ) -> None:
        self._rows, self._names, self._surveyed = rows, names, surveyed
        self._span, self._has_clock = span, has_clock
        self._are_whole = not (rows["qtype"] == CUT_QUESTION).any()
        if not self._are_whole:
            name_unread(rows, names)
        numbers: dict[SearchList, int] = {}
        self._clients = np.zeros(len(surveyed), CLIENT)
        self._clients["list"] = [numbers.setdefault(c.assumed, len(numbers)) for c in surveyed]
        self._clients["walks"] = [bool(c.search.suffixes) for c in surveyed]
        self._clients["end"] = np.cumsum([c.piece.size for c in surveyed])
        self._clients["begin"][1:] = self._clients["end"][:-1]
        self._clients["logged"] = [c.logged for c in surveyed]
        self._clients["headless"] = [c.logged and is_headless(c.search) for c in surveyed]
        self._lists = number_names(
            rows, self._clients, list(numbers), names, gaps_of(has_clock=has_clock), span[0]
        )
        self._arrays, self._labels = names.names.arrays, names.label_counts()

    def read(self) -> Readings:
        """Return everything that can be said."""
        rows, clients, lists = self._rows, self._clients, self._lists
        walks = new_walks(rows.size, lists.name_ids.size)
        clients["searches_after_as_is"] = 1
        self._group(walks, again=False)
        signs = np.zeros((clients.size, SIGNS), np.int64)
        count_signs(rows, clients, walks, self._begin_with(GRPC_PROBES), signs)
        guesses = [
            guess_resolver(mine) if c.given.resolver is None else given_resolver(c.given.resolver)
            for c, mine in zip(self._surveyed, signs, strict=True)
        ]
        models = [resolver_model(guess.rules) for guess in guesses]
        clients["searches_after_as_is"] = [m.searches_after_as_is for m in models]
        clients["stops_on_nodata"] = [m.on_nodata == AFTER_STOP for m in models]
        clients["caches"] = [m.keeps_answers for m in models]
        clients["fails_on_one"] = [m.failure_of_one_is_failure for m in models]
        clients["known"] = [m.is_known for m in models]
        self._group(walks, again=True)
        ndots = bound_ndots(rows, walks, lists, clients, self._surveyed, self._names)
        size, local_names = int(walks.used[WALKS]), lists.name_ids.size
        out = Described(
            np.zeros(size, LOOKUP),
            np.zeros(rows.size, TRANSACTION),
            np.zeros(2, np.int64),
            self._begin_with(PROBES),
            np.empty(size, np.int32),
            np.empty(rows.size, np.int32),
            np.full(local_names, NO_ROW, np.int32),
            np.zeros(local_names, np.int32),
            self._span[1],
            self._has_clock,
        )
        in_order = describe_clients(Grouped(rows, walks, lists), clients, out)
        used = out.used.tolist()
        lookups, transactions = out.lookups[: used[0]], out.transactions[: used[1]]
        if not in_order:
            lookups = _put_in_order(lookups, transactions)
        described = tuple(
            ClientReading(
                c.piece.client,
                c.assumed,
                c.source,
                ndots[i],
                guesses[i],
                models_at_once(signs[i]) if c.given.resolver is None else (),
                c.proven,
                not models[i].is_known and c.given.resolver is None and stops_on_nodata(signs[i]),
            )
            for i, c in enumerate(self._surveyed)
            if clients["index"][i] >= 0
        )
        return Readings(
            described, lookups, transactions, rows, self._names, self._labels, self._has_clock
        )

    def _group(self, walks: Walks, *, again: bool) -> None:
        rows, clients, lists = self._rows, self._clients, self._lists
        if self._are_whole:
            group_clients(rows, clients, lists, walks, again)
        else:
            group_cut_clients(rows, clients, self._arrays, lists, walks, again)

    def _begin_with(self, labels: tuple[str, ...]) -> Bytes:
        """Mark the local names that begin with one of some labels, each with an underscore."""
        arena, ends = self._arrays.arena, self._arrays.ends
        names = self._lists.name_ids
        begins = np.where(names > 0, ends[names - 1], 0)
        out = np.zeros(names.size, np.uint8)
        longer = ends[names] - begins > 1
        for name in np.flatnonzero(longer & (arena[begins + longer] == _UNDERSCORE)).tolist():
            out[name] = self._names.labels(int(names[name]))[0].startswith(labels)
        return out


def _put_in_order(lookups: Lookups, transactions: Transactions) -> Lookups:
    """Order each client's lookups by their first queries, and mend what points to them."""
    order = np.lexsort((lookups["start"], lookups["client"]))
    number = np.empty(order.size, np.int32)
    number[order] = np.arange(order.size, dtype=np.int32)
    lookups = take_rows(lookups, order)
    again = lookups["walk_of"] >= 0
    lookups["walk_of"][again] = number[lookups["walk_of"][again]]
    transactions["lookup"] = number[transactions["lookup"]]
    return lookups


def suffixes_of(part: Readings) -> tuple[Integers, list[Labels]]:
    """Put the distinct search lists of a part behind one another.

    Returns where each client's list begins, and all suffixes.
    """
    begins: dict[tuple[Labels, ...], int] = {}
    suffixes: list[Labels] = []
    firsts = np.empty(len(part.clients), np.int64)
    for n, client in enumerate(part.clients):
        mine = client.search.suffixes
        firsts[n] = begin = begins.setdefault(mine, len(suffixes))
        if begin == len(suffixes):
            suffixes += mine
    return firsts, suffixes
