"""What fault detectors note, and how the notes of several parts add up.

A :class:`Part` is what was read of some clients, with its signs. A detector notes what it saw in a
part, as one :class:`Note` for each subject (a nameserver, a suffix, a namespace; "" where the fault
has no subject). Notes hold integers and text only, so that adding them in any order gives the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from pcapkit.analysis import fault_signs as signs
from pcapkit.analysis.reading import Readings
from pcapkit.analysis.suffixes import Labels, join
from pcapkit.analysis.walks import LIST
from pcapkit.options import Network
from pcapkit.resolver import ResolverConfig

Indexes = npt.NDArray[np.int64]

#: Examples that a note keeps: the first by (time, packet number).
EXAMPLES = 5
#: Distinct names that a note keeps; past it, the most frequent of each part.
NAMES = 200
_PACKETS = 24
#: Room for pairs of client and nameserver whose rates are watched, a power of two.
_PAIRS = 1 << 14


@dataclass(frozen=True, slots=True)
class Facts:
    """What detectors need to know beside the traffic, the same for every part."""

    address: Callable[[int], str]
    paths: Sequence[str]
    zones: Sequence[Labels]
    #: the files that were given, with the clients that each is bound to (None: all)
    resolv_confs: Sequence[tuple[Network | None, ResolverConfig]] = ()


@dataclass(frozen=True, slots=True, order=True)
class Example:
    """One case: when (ns, also without a clock), and the packets that show it."""

    time: int
    packets: tuple[int, ...]
    capture: str
    client: str
    name: str


@dataclass(slots=True)
class Note:
    """What was seen of one subject; everything adds up."""

    counts: Counter[str] = field(default_factory=Counter)
    clients: Counter[str] = field(default_factory=Counter)
    names: Counter[str] = field(default_factory=Counter)
    #: text that a detector compares once all parts are known
    facts: Counter[tuple[str, ...]] = field(default_factory=Counter)
    lost_ns: int = 0
    examples: list[Example] = field(default_factory=list)

    def add(self, other: Note) -> None:
        """Add what another part showed."""
        self.counts.update(other.counts)
        self.clients.update(other.clients)
        self.names.update(other.names)
        self.facts.update(other.facts)
        self.lost_ns += other.lost_ns
        self.examples = sorted({*self.examples, *other.examples})[:EXAMPLES]


Notes = dict[str, Note]


def add_notes(total: Notes, part: Notes) -> None:
    """Add the notes of another part, subject by subject."""
    for subject, note in part.items():
        total.setdefault(subject, Note()).add(note)


@dataclass(frozen=True, slots=True)
class _Marks:
    """What the compiled pass over the transactions leaves; see ``fault_signs``."""

    signs: npt.NDArray[np.uint16]
    under: npt.NDArray[np.int64]
    known: npt.NDArray[Any]
    repeats: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """What was read of some clients, and the facts that are the same for all."""

    readings: Readings
    facts: Facts
    flags: npt.NDArray[np.uint8]  # of every name, from ``NameFlags``

    @cached_property
    def _marked(self) -> _Marks:
        r = self.readings
        widest = max((len(c.search.suffixes) for c in r.clients), default=0)
        size = r.transactions.size
        marks = _Marks(
            np.zeros(size, np.uint16), np.zeros((len(r.clients), widest, 2), np.int64),
            np.zeros(self.flags.size, signs.KNOWN), np.zeros(len(r.clients), np.int64),
        )  # fmt: skip
        until = np.zeros(size, np.int64)
        signs.mark_transactions(
            r.rows, r.transactions, r.lookups, self.flags, r.labels, marks.under, until,
            marks.signs,
        )  # fmt: skip
        if r.has_clock:
            signs.mark_repeats(
                r.transactions, r.lookups, until, marks.known, marks.repeats, marks.signs
            )
        return marks

    @property
    def signs(self) -> npt.NDArray[np.uint16]:
        """The signs of every transaction."""
        return self._marked.signs

    def repeats(self, names: Indexes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """How many questions were asked again in vain: by client index, and for some names."""
        marks = self._marked
        return marks.repeats, marks.known["all_repeats"][names].astype(np.int64)

    def under_suffixes(self) -> dict[str, tuple[int, int]]:
        """How many names with dots inside were answered, and were not there, under each suffix."""
        by_list: dict[tuple[Labels, ...], npt.NDArray[np.int64]] = {}
        for client, counted in zip(self.readings.clients, self._marked.under, strict=True):
            suffixes = client.search.suffixes
            by_list[suffixes] = by_list.get(suffixes, 0) + counted
        out: dict[str, tuple[int, int]] = {}
        for suffixes, counted in by_list.items():
            for suffix, (hits, misses) in zip(suffixes, counted.tolist(), strict=False):
                before = out.get(join(suffix), (0, 0))
                out[join(suffix)] = before[0] + hits, before[1] + misses
        return out

    @cached_property
    def _servers(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        r = self.readings
        ids = max((int(r.rows[c].max()) for c in ("client", "server")), default=-1) + 1
        mine = np.zeros(ids, np.uint8)
        mine[[c.client for c in r.clients]] = 1
        slots = min(_PAIRS, 1 << (2 * r.rows.size).bit_length()) if r.has_clock else 0
        servers, rates = np.zeros(ids, signs.SERVER), np.zeros(slots, signs.RATE)
        signs.count_servers(r.rows, mine, self.flags, rates, servers)
        return servers, rates

    def walked_to_the_end(self) -> npt.NDArray[np.bool_]:
        """Of which clients does some walk show the whole list, with the name as is behind it?"""
        r = self.readings
        size = np.array([len(c.search.suffixes) for c in r.clients], np.int64)
        full = (r.lookups["mode"] == LIST) & (
            r.lookups["candidates"] == size[r.lookups["client"]] + 1
        )
        return np.bincount(r.lookups["client"][full], minlength=size.size) > 0

    @property
    def servers(self) -> npt.NDArray[Any]:
        """One SERVER row per address id."""
        return self._servers[0]

    @property
    def rates(self) -> npt.NDArray[Any]:
        """RATE rows, one per client and server; empty without a clock."""
        return self._servers[1]

    def having(self, sign: int) -> Indexes:
        """Return the transactions with a sign."""
        return np.flatnonzero(self.signs & sign)

    def lookups_of(self, transactions: Indexes) -> Indexes:
        """Return the distinct lookups of some transactions."""
        return np.unique(self.readings.transactions["lookup"][transactions]).astype(np.int64)

    def together(self, transactions: Indexes) -> tuple[Indexes, Indexes]:
        """Pair each transaction with every transaction of its lookup.

        Returns (index into ``transactions``, transaction), both as long as there are pairs.
        """
        r = self.readings
        looks = r.lookups[r.transactions["lookup"][transactions]]
        counts = looks["queries"].astype(np.int64)
        owner = np.repeat(np.arange(transactions.size), counts)
        place = np.arange(owner.size) - np.repeat(np.cumsum(counts) - counts, counts)
        return owner, looks["first"].astype(np.int64)[owner] + place

    def suffix(self, transaction: Any) -> str:
        """Return the suffix of a transaction as text."""
        r = self.readings
        client = int(r.lookups["client"][transaction["lookup"]])
        return join(r.clients[client].search.suffixes[int(transaction["suffix"])])

    def note(self, transactions: Indexes, *, unit: str, lost_ns: int = 0) -> Note:
        """Note transactions: how many, whose, for which names, and the first of them."""
        r = self.readings
        t = r.transactions  # column by column: there may be a million
        clients = r.lookups["client"][t["lookup"][transactions]]
        return self._note(
            unit, clients, t["name"][transactions], t["time"][transactions], lost_ns,
            lambda i: t[transactions[i : i + 1]],
        )  # fmt: skip

    def note_lookups(self, lookups: Indexes, *, unit: str = "lookups", lost_ns: int = 0) -> Note:
        """Note lookups, by their base names."""
        columns = self._columns(lookups)
        return self._note(unit, *columns, lost_ns, self._members(lookups))

    def show_walks(self, note: Note, clients: Sequence[int]) -> None:
        """Add the first walks of some clients to a note's examples."""
        r = self.readings
        mine = np.flatnonzero((r.lookups["candidates"] > 1) & np.isin(r.lookups["client"], clients))
        _, first = np.unique(r.lookups["client"][mine], return_index=True)
        lookups = mine[first]
        if lookups.size:
            self._add_examples(note, *self._columns(lookups), self._members(lookups))

    def _columns(self, lookups: Indexes) -> tuple[Any, Any, Any]:
        clients, names, times = (
            self.readings.lookups[c][lookups] for c in ("client", "base", "start")
        )
        return clients, names, times

    def _members(self, lookups: Indexes) -> Callable[[int], Any]:
        r = self.readings

        def members(i: int) -> Any:
            first = int(r.lookups["first"][lookups[i]])
            return r.transactions[first : first + int(r.lookups["queries"][lookups[i]])]

        return members

    def _note(
        self, unit: str, clients: Any, names: Any, times: Any, lost_ns: int,
        members: Callable[[int], Any],
    ) -> Note:  # fmt: skip
        note = Note(Counter({unit: int(clients.size)}), lost_ns=lost_ns)
        if clients.size:
            self.fill(note, np.bincount(clients), *np.unique(names, return_counts=True))
            self._add_examples(note, clients, names, times, members)
        return note

    def fill(self, note: Note, by_client: Indexes, names: Indexes, by_name: Indexes) -> None:
        """Set whose it was, counted by client index, and for which names, with their counts."""
        r = self.readings
        for i in np.flatnonzero(by_client).tolist():
            note.clients[self.facts.address(r.clients[i].client)] += int(by_client[i])
        order = np.argsort(-by_name, kind="stable")[:NAMES]
        most = zip(names[order].tolist(), by_name[order].tolist(), strict=True)
        note.names = Counter({join(r.names.labels(name)): n for name, n in most})

    def _add_examples(
        self, note: Note, clients: Any, names: Any, times: Any, members: Callable[[int], Any]
    ) -> None:
        r = self.readings
        limit = min(clients.size, EXAMPLES) - 1
        latest = np.partition(times, limit)[limit]
        examples = []
        for i in np.flatnonzero(times <= latest)[: 4 * EXAMPLES].tolist():
            capture, shown = _packets(r.rows, members(i))
            client = self.facts.address(r.clients[int(clients[i])].client)
            path, name = self.facts.paths[capture], r.names.text(int(names[i]))
            examples.append(Example(int(times[i]), shown, path, client, name))
        note.examples = sorted({*note.examples, *examples})[:EXAMPLES]


def _packets(rows: Any, transactions: Any) -> tuple[int, tuple[int, ...]]:
    """Return the capture and the packets of some transactions, in order."""
    asked = rows[transactions["first"]]
    got = rows[transactions["response"][transactions["response"] >= 0]]
    shown = {*asked["query_packet"].tolist(), *got["query_packet"].tolist(),
             *got["response_packet"].tolist()}  # fmt: skip
    return int(asked["capture"][0]), tuple(sorted(p for p in shown if p >= 0))[:_PACKETS]
