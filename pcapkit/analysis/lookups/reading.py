"""Read the surveyed clients, part by part: resolver, ndots, and what each lookup was.

A part is some clients, each whole for one period of constant settings; what is counted over parts
adds up, and any thread may read any part. A client with more exchanges than one part has is read in
pieces, by the first label of the names it asks: see ``docs/decisions/busy-clients.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pcapkit.analysis.exchanges.runs import row_words
from pcapkit.analysis.exchanges.store import PART, Piece, Store, parts
from pcapkit.analysis.lookups.base_names import divide, number_names
from pcapkit.analysis.lookups.cut_names import name_unread
from pcapkit.analysis.lookups.describe import compare_lookups, describe_clients
from pcapkit.analysis.lookups.fingerprints import (
    GRPC_PROBES,
    SIGNS,
    count_plain_signs,
    count_signs,
    guess_resolver,
    models_at_once,
    stops_on_nodata,
)
from pcapkit.analysis.lookups.grouping import group_clients, group_cut_clients
from pcapkit.analysis.lookups.habits import (
    AsIs,
    bound_ndots,
    choose_ndots,
    mark_to_be_read_again,
    see_habits,
    see_searches,
)
from pcapkit.analysis.lookups.outcomes import Described, Grouped
from pcapkit.analysis.lookups.state import CLIENT, CUT_QUESTION, NO_ROW, WALKS, Walks, new_walks
from pcapkit.analysis.lookups.waste import PROBES
from pcapkit.analysis.search_lists.infer import SearchList
from pcapkit.analysis.search_lists.survey import Client, is_headless
from pcapkit.analysis.timing import gaps_of
from pcapkit.concurrency import at_once
from pcapkit.kernels.jit import kernel
from pcapkit.limits import DEFAULTS, Limits
from pcapkit.model.clients import Ndots, ResolverGuess, given_resolver
from pcapkit.model.vocabulary import Source
from pcapkit.names.labels import Labels
from pcapkit.names.table import Folded
from pcapkit.resolver.models import AFTER_STOP, resolver_model
from pcapkit.schema import (
    ABSENT,
    EXCHANGE_REFUSED,
    LOOKUP,
    NO_TIME,
    TRANSACTION,
    Bytes,
    Exchanges,
    Hashes,
    Ids,
    Integers,
    Lookups,
    Rows,
    Transactions,
    take_rows,
)

#: Exchanges of one client that are read at once; those of one that has more are read in pieces.
MOST_AT_ONCE = PART
#: Lookups of one client that are counted at once; see ``Readings.blocks``.
MOST_COUNTED = 1 << 17
_UNDERSCORE = 0x5F
#: What grouping again must know of a client: fields of CLIENT.
_KNOWN_OF_RESOLVERS = (
    "searches_after_as_is",
    "stops_on_nodata",
    "caches",
    "fails_on_one",
    "known",
    "searched_dots",
    "again",
)


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

    @property
    def blocks(self) -> int:
        """In how many blocks the lookups are counted: several, where one client has very many.

        The lookups of one base name are in one block: that of its id, modulo their number.
        """
        return max(1, -(-self.lookups.size // MOST_COUNTED)) if len(self.clients) == 1 else 1


def read_parts(
    store: Store,
    clients: Sequence[Client],
    names: Folded,
    *,
    has_clock: bool,
    refusals: Mapping[int, Set[int]] | None = None,
    limits: Limits = DEFAULTS,
) -> Iterator[Callable[[], Readings]]:
    """Give tasks that read the clients, a part each, for any thread to run.

    Names are interned only between the tasks, so that their ids never depend on the threads.
    ``refusals`` are ids of servers by client, where ICMP messages say that queries do not reach
    them.
    """
    known = {c.piece: c for c in clients}
    for part in parts(c.piece for c in clients):
        rows = store.read(part)
        if refusals:
            _mark_refused(rows, part, refusals)
        span = store.first_time or 0, store.last_time or 0
        yield _Reader(rows, names, [known[piece] for piece in part], span, has_clock, limits).read


def _mark_refused(
    rows: Exchanges, clients: Sequence[Piece], refusals: Mapping[int, Set[int]]
) -> None:
    """Mark the exchanges in ``rows`` of some clients for which an ICMP message may have come."""
    end = 0
    for client in clients:
        begin, end = end, end + client.size
        if servers := refusals.get(client.client):
            mine = rows[begin:end]
            silent = mine["response_time"] == NO_TIME
            silent &= np.isin(mine["server"], sorted(servers))
            mine["marks"][silent] |= EXCHANGE_REFUSED


class _Piece:
    """The clients of a part, or a piece of its only one, while they are read.

    Pieces have no name in common, nor an exchange, so that each is read in a thread of its own.
    Where a client has several, no piece keeps its walks: they are grouped again when they are
    described, and there are never more of them than those of the pieces in hand.
    """

    def __init__(self, part: _Reader, order: Ids, clients: Rows, *, is_whole: bool) -> None:
        self.part, self._order, self.clients, self._is_whole = part, order, clients, is_whole
        self._begin = int(clients["begin"][0])
        self._size = int(clients["end"][-1]) - self._begin
        self._walks: Walks | None = None
        self.signs = np.zeros((clients.size, SIGNS), np.int64)
        self.as_is = AsIs(order[:0], np.zeros(clients.size + 1, np.int64))

    def group(self) -> None:
        """Group the exchanges into walks, count the signs of resolvers, and bound ndots."""
        part, clients = self.part, self.clients
        walks = self._grouped()
        count_signs(part.rows, clients, part.clients, walks, part.grpc, self.signs)
        see_searches(walks, part.lists.labels, clients)
        self.as_is = bound_ndots(part.rows, walks, part.lists, clients)
        self._put_away(walks)

    def group_again(self) -> None:
        """Group again what was read as it cannot be, and bound ndots by that."""
        part = self.part
        walks = self._grouped_again()
        self.as_is = bound_ndots(part.rows, walks, part.lists, self.clients)
        self._put_away(walks)

    def _put_away(self, walks: Walks) -> None:
        """Keep the walks, or let another piece write its own over them."""
        if self._is_whole:
            self._walks = walks
        else:
            self.part.free_walks.append(walks)

    def _grouped(self) -> Walks:
        """Return the walks as they are read before anything is known of resolvers."""
        clients, walks = self.clients, self.part.take_walks(self._size)
        searches, dots = (clients[f].copy() for f in ("searches_after_as_is", "searched_dots"))
        clients["searches_after_as_is"], clients["searched_dots"] = 1, ABSENT
        self._group(walks, again=False)
        clients["searches_after_as_is"], clients["searched_dots"] = searches, dots
        return walks

    def _grouped_again(self) -> Walks:
        """Return the walks; those of clients that are marked so are read again."""
        walks = self._walks
        if walks is None and not self.clients["again"].any():
            return self._grouped()
        if walks is None:
            walks = self.part.take_walks(self._size)
        self._group(walks, again=True)
        return walks

    def _group(self, walks: Walks, *, again: bool) -> None:
        part, order, clients = self.part, self._order, self.clients
        if part.are_whole:
            group_clients(part.rows, order, clients, part.lists, walks, again)
        else:
            group_cut_clients(part.rows, order, clients, part.arrays, part.lists, walks, again)

    def describe(self) -> Described:
        """Describe the walks, once ndots are known; they are read no more."""
        part, walks = self.part, self._walks
        if walks is None:
            walks = self._grouped_again()
        size = int(walks.used[WALKS])
        out = Described(
            np.zeros(size, LOOKUP),
            part.transactions[self._begin : self._begin + self._size],
            np.zeros(2, np.int64),
            part.probes,
            np.empty(size, np.int32),
            np.empty(size, np.int32),
            np.empty(self._size, np.int32),
            part.previous,
            part.searched,
            part.span[1],
            part.has_clock,
        )
        describe_clients(Grouped(part.rows, walks, part.lists), self.clients, out)
        self._walks = None
        if not self._is_whole:
            self._put_away(walks)
        lookups, transactions = out.used.tolist()
        return out._replace(
            lookups=out.lookups[:lookups],
            transactions=out.transactions[:transactions],
            base_of=out.base_of[:lookups],
            opened_by=out.opened_by[:lookups],
        )


class _Reader:
    """Groups, recognises and describes the clients of one part."""

    def __init__(
        self,
        rows: Exchanges,
        names: Folded,
        surveyed: Sequence[Client],
        span: tuple[int, int],
        has_clock: bool,
        limits: Limits,
    ) -> None:
        self.rows, self._names, self._surveyed = rows, names, surveyed
        self.span, self.has_clock = span, has_clock
        self.are_whole = not (rows["qtype"] == CUT_QUESTION).any()
        if not self.are_whole:
            name_unread(rows, names)
        numbers: dict[SearchList, int] = {}
        self.clients = clients = np.zeros(len(surveyed), CLIENT)
        clients["list"] = [numbers.setdefault(c.assumed, len(numbers)) for c in surveyed]
        clients["walks"] = [bool(c.search.suffixes) for c in surveyed]
        clients["end"] = np.cumsum([c.piece.size for c in surveyed])
        clients["begin"][1:] = clients["end"][:-1]
        clients["logged"] = [c.logged for c in surveyed]
        clients["headless"] = [c.logged and is_headless(c.search) for c in surveyed]
        clients["searched_dots"] = ABSENT
        clients["searches_after_as_is"] = 1
        self._largest = 0  # exchanges of a piece
        self.lists = number_names(
            rows,
            clients,
            list(numbers),
            names,
            gaps_of(has_clock=has_clock),
            span[0],
            limits.name_types,
        )
        self.arrays, self._labels = names.names.arrays, names.label_counts()

    def read(self) -> Readings:
        """Return everything that can be said."""
        rows, clients, lists = self.rows, self.clients, self.lists
        local_names = lists.name_ids.size
        self.free_walks: list[Walks] = []
        self._next_exchange = np.empty(rows.size, np.int32)
        self.transactions = np.zeros(rows.size, TRANSACTION)
        self.probes = self._begin_with(PROBES)
        self.grpc = self._begin_with(GRPC_PROBES)
        self.previous = np.full(local_names, NO_ROW, np.int32)
        self.searched = np.zeros(local_names, np.int32)
        see_habits(rows, lists.local_names, lists.gaps.near, clients)
        pieces = self._pieces()
        is_long = len(pieces) > 1
        at_once([piece.group for piece in pieces], is_long=is_long)
        signs = np.sum([piece.signs for piece in pieces], axis=0)
        count_plain_signs(rows, clients, signs)
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
        _agree(clients, pieces, "searched_dots", np.maximum)
        _agree(clients, pieces, "as_is_dots", np.minimum)
        mark_to_be_read_again(clients)
        for field in _KNOWN_OF_RESOLVERS:
            _tell(clients, pieces, field)
        if clients["again"].any():
            at_once([piece.group_again for piece in pieces], is_long=is_long)
        _agree(clients, pieces, "low", np.maximum)
        _agree(clients, pieces, "high", np.minimum)
        as_is = pieces[0].as_is
        if len(pieces) > 1:
            alone = np.concatenate([piece.as_is.names for piece in pieces])
            as_is = AsIs(alone, np.array([0, alone.size]))
        ndots = choose_ndots(clients, as_is, lists, self._surveyed, self._names)
        for field in ("low", "high", "value"):
            _tell(clients, pieces, field)
        parts = at_once([piece.describe for piece in pieces], is_long=is_long)
        _agree(clients, pieces, "index", np.maximum)
        self.free_walks.clear()
        out = _put_together(parts, self.transactions) if len(parts) > 1 else parts[0]
        del self.transactions
        ordered = compare_lookups(rows, lists, clients, out)
        lookups, transactions = out.lookups, out.transactions
        if not ordered:
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
            described, lookups, transactions, rows, self._names, self._labels, self.has_clock
        )

    def take_walks(self, exchanges: int) -> Walks:
        """Return rows for the walks of so many exchanges: those of a piece that is done, or new."""
        if self.free_walks:
            walks = self.free_walks.pop()
            walks.used[:] = 0
            walks.at_name[:] = walks.at_base[:] = NO_ROW
            return walks
        most = max(exchanges, self._largest)
        return new_walks(most, self.lists.name_ids.size, self._next_exchange)

    def _pieces(self) -> list[_Piece]:
        """Divide the part: all of its clients, or one that has too many exchanges, in pieces."""
        size, clients = self.rows.size, self.clients
        if clients.size > 1 or size <= MOST_AT_ONCE or not self.are_whole:
            return [_Piece(self, np.arange(size, dtype=np.int32), clients, is_whole=True)]
        order, bounds = divide(self.lists, self.arrays, -(-size // MOST_AT_ONCE))
        self._largest = int(np.diff(bounds).max())
        pieces = []
        for begin, end in pairwise(bounds.tolist()):
            mine = clients.copy()
            mine["begin"], mine["end"] = begin, end
            pieces.append(_Piece(self, order, mine, is_whole=False))
        return pieces

    def _begin_with(self, labels: tuple[str, ...]) -> Bytes:
        """Mark the local names that begin with one of some labels, each with an underscore."""
        arena, ends = self.arrays.arena, self.arrays.ends
        names = self.lists.name_ids
        begins = np.where(names > 0, ends[names - 1], 0)
        out = np.zeros(names.size, np.uint8)
        longer = ends[names] - begins > 1
        for name in np.flatnonzero(longer & (arena[begins + longer] == _UNDERSCORE)).tolist():
            out[name] = self._names.labels(int(names[name]))[0].startswith(labels)
        return out


def _agree(clients: Rows, pieces: Sequence[_Piece], field: str, of_two: np.ufunc) -> None:
    """Set a field of a client to what all of its pieces come to: the most, or the least."""
    if len(pieces) > 1:
        clients[field] = of_two.reduce([piece.clients[field] for piece in pieces])


def _tell(clients: Rows, pieces: Sequence[_Piece], field: str) -> None:
    """Let all pieces of a client know a field of it."""
    for piece in pieces:
        piece.clients[field] = clients[field]


def _put_together(pieces: list[Described], transactions: Transactions) -> Described:
    """Put the lookups of one client's pieces, and their transactions, in the order of the walks.

    That is the order in which they were opened; ``pieces`` are used up. Both are put in order where
    they are, as there are too many for two copies: ``transactions``, of which pieces have each a
    stretch, and the lookups, which are taken from one piece after the other.
    """
    sizes = [piece.lookups.size for piece in pieces]
    opened_by = np.concatenate([piece.opened_by for piece in pieces])
    base_of = np.concatenate([piece.base_of for piece in pieces])
    lookups = np.empty(sum(sizes), LOOKUP)
    at = 0
    for n, size in enumerate(sizes):
        row_words(lookups)[at : at + size] = row_words(pieces[n].lookups)
        pieces[n] = pieces[n]._replace(lookups=lookups[:0])
        at += size
    order = np.argsort(opened_by)
    number = np.empty(order.size, np.int32)
    number[order] = np.arange(order.size, dtype=np.int32)
    counts = lookups["queries"].astype(np.int64)
    firsts = np.empty(order.size, np.int64)
    firsts[order] = np.cumsum(counts[order]) - counts[order]
    to = np.empty(int(counts.sum()), np.int32)
    at, used, out = 0, 0, pieces[0]
    for size in sizes:
        piece = pieces.pop(0)
        own = slice(at, at + size)
        at += size
        mine = piece.transactions
        stretch = slice(used, used + mine.size)
        used += mine.size
        mine["lookup"] = number[own][mine["lookup"]]
        to[stretch] = np.repeat(firsts[own] - lookups["first"][own], counts[own])
        to[stretch] += np.arange(mine.size, dtype=np.int32)
        row_words(transactions)[stretch] = row_words(mine)  # where there is a gap, further on
        again = lookups["walk_of"][own]
        again[again >= 0] = number[own][again[again >= 0]]
    transactions = transactions[:used]
    _put_rows(row_words(transactions), to)
    lookups["first"] = firsts
    _put_rows(row_words(lookups), number)
    return out._replace(
        lookups=lookups,
        transactions=transactions,
        used=np.array([order.size, used]),
        base_of=base_of[order],
        opened_by=opened_by[order],
    )


@kernel
def _put_rows(words: Hashes, to: Ids) -> None:
    """Put rows where they belong, in place.

    Goes in: ``words`` (uint64, (rows, words)); ``to`` (int32), the place of each row, every place
    once. Comes out: ``words``; ``to`` is used up.
    """
    for i in range(to.shape[0]):
        while to[i] != i:
            other = np.int64(to[i])
            for k in range(words.shape[1]):
                word = words[i, k]
                words[i, k] = words[other, k]
                words[other, k] = word
            to[i] = to[other]
            to[other] = other


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
