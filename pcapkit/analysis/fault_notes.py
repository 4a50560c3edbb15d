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
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from pcapkit.analysis import fault_signs as signs
from pcapkit.analysis.counting import SEED, suffix_places
from pcapkit.analysis.reading import Readings
from pcapkit.analysis.suffixes import Labels, join
from pcapkit.analysis.walks import AS_IS, LIST
from pcapkit.model import Source
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


@dataclass(frozen=True)
class Part:
    """What was read of some clients, and the facts that are the same for all."""

    readings: Readings
    facts: Facts
    flags: npt.NDArray[np.uint8]  # of every name, from ``NameFlags``

    @cached_property
    def _lists(self) -> tuple[npt.NDArray[np.int64], list[Labels]]:
        return suffix_places(self.readings)

    @cached_property
    def _marks(self) -> signs.Marks:
        r = self.readings
        size = r.transactions.size
        suffix_at, suffixes = self._lists
        walked = np.zeros(len(r.clients), signs.WALKED)
        walked["first_walk"] = walked["most"] = -1
        walked["fewest"] = signs.MANY_DOTS
        marks = signs.Marks(
            np.zeros(size, np.uint16),
            np.array([len(c.search.suffixes) for c in r.clients], np.int64), suffix_at,
            np.zeros((len(suffixes), 2), np.int64), walked, np.zeros(size + 1, signs.ASKED),
            np.zeros(1 << (2 * size).bit_length(), np.int32), np.zeros(size, signs.REPEATED),
            np.zeros(2, np.int64),
        )  # fmt: skip
        slots = 0
        if r.has_clock:
            asked = np.bincount(r.lookups["client"], weights=r.lookups["queries"])
            slots = 1 << (2 * int(asked.max(initial=0))).bit_length()
        signs.mark_transactions(
            r.rows, r.transactions, r.lookups, self.flags, r.labels, marks,
            np.zeros(slots, signs.KNOWN), SEED,
        )  # fmt: skip
        return marks

    @cached_property
    def _signed(self) -> tuple[Indexes, npt.NDArray[np.uint16]]:
        signed = np.flatnonzero(self.signs)
        return signed, self.signs[signed]

    @property
    def signs(self) -> npt.NDArray[np.uint16]:
        """The signs of every transaction."""
        return self._marks.signs

    def under_suffixes(self) -> dict[str, tuple[int, int]]:
        """How many names with dots inside were answered, and were not there, under each suffix."""
        out: dict[str, tuple[int, int]] = {}
        for suffix, (hits, misses) in zip(self._lists[1], self._marks.under.tolist(), strict=True):
            before = out.get(join(suffix), (0, 0))
            out[join(suffix)] = before[0] + hits, before[1] + misses
        return out

    @cached_property
    def _servers(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        r = self.readings
        clients = np.array([c.client for c in r.clients], np.int64)
        mine = np.zeros(int(clients.max(initial=-1)) + 1, np.uint8)
        mine[clients] = 1
        ids = int(r.rows["server"].max(initial=-1)) + 1
        slots = min(_PAIRS, 1 << (2 * r.rows.size).bit_length()) if r.has_clock else 0
        servers, rates = np.zeros(ids, signs.SERVER), np.zeros(slots, signs.RATE)
        used = signs.count_servers(
            r.rows, mine, self.flags, rates, np.zeros(ids, np.int32), servers
        )
        servers = servers[:used]
        return servers[np.argsort(servers["address"])], rates

    def walked_to_the_end(self) -> npt.NDArray[np.bool_]:
        """Of which clients does some walk show the whole list, with the name as is behind it?"""
        whole: npt.NDArray[np.bool_] = self._marks.walked["to_the_end"] != 0
        return whole

    def lookups_of_client(self, index: int) -> Indexes:
        """Return the lookups of one client, in the order of their first queries."""
        return self.lookups_of(np.arange(*self._of_client(index)))

    def _of_client(self, index: int) -> tuple[int, int]:
        walked = self._marks.walked[index]
        return int(walked["begin"]), int(walked["end"])

    @cached_property
    def two_namespaces_at_once(self) -> list[int]:
        """Clients whose list holds two namespaces' suffixes, walked in turns."""
        out = []
        for index, client in enumerate(self.readings.clients):
            own = [p for p, s in enumerate(client.search.suffixes) if len(s) > 2 and s[1] == "svc"]
            if len(own) < 2 or client.search_source != Source.OBSERVED:
                continue
            t = self.readings.transactions[slice(*self._of_client(index))]
            times = [t["time"][t["suffix"] == p] for p in own]
            if any(_overlap(a, b) for a, b in combinations(times, 2)):
                out.append(index)
        return out

    @cached_property
    def two_ndots_at_once(self) -> list[int]:
        """Clients that search names with more dots than others that they ask as is, in turns."""
        r, walked, out = self.readings, self._marks.walked, []
        for index in np.flatnonzero(walked["most"] >= walked["fewest"]).tolist():
            mine = r.lookups[self.lookups_of_client(index)]
            mine = mine[mine["candidates"] > 1]
            dots = r.labels[mine["base"]].astype(np.int64) - 1
            listed = (mine["mode"] == LIST) & (dots >= walked["fewest"][index])
            as_is = (mine["mode"] == AS_IS) & (dots <= walked["most"][index])
            if _overlap(mine["start"][listed], mine["start"][as_is]):
                out.append(index)
        return out

    @property
    def servers(self) -> npt.NDArray[Any]:
        """One SERVER row for each nameserver, in the order of their addresses' ids."""
        return self._servers[0]

    @property
    def asked(self) -> npt.NDArray[Any]:
        """One ASKED row for each client and the nameserver that answered it, in their order."""
        asked = self._marks.asked[: self._marks.used[0]]
        return asked[np.lexsort((asked["server"], asked["client"]))]

    @property
    def repeated(self) -> npt.NDArray[Any]:
        """One REPEATED row for each client and name that it asked for again in vain."""
        repeated: npt.NDArray[Any] = self._marks.repeated[: self._marks.used[1]]
        return repeated

    @property
    def rates(self) -> npt.NDArray[Any]:
        """RATE rows, one per client and server; empty without a clock."""
        return self._servers[1]

    def having(self, sign: int) -> Indexes:
        """Return the transactions with a sign."""
        signed, found = self._signed
        having: Indexes = signed[(found & sign) != 0]
        return having

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
        note = Note(Counter({unit: int(transactions.size)}), lost_ns=lost_ns)
        if transactions.size:
            clients = r.lookups["client"][t["lookup"][transactions]]
            self.fill(note, np.bincount(clients), *count_names(t["name"][transactions]))
            self.show(note, transactions)
        return note

    def note_lookups(self, lookups: Indexes, *, unit: str = "lookups", lost_ns: int = 0) -> Note:
        """Note lookups, by their base names."""
        note = Note(Counter({unit: int(lookups.size)}), lost_ns=lost_ns)
        if lookups.size:
            r = self.readings.lookups
            self.fill(note, np.bincount(r["client"][lookups]), *count_names(r["base"][lookups]))
            self._show_lookups(note, lookups)
        return note

    def show(self, note: Note, transactions: Indexes) -> None:
        """Add the first of some transactions to a note's examples."""
        r = self.readings
        t = r.transactions

        def one(i: int) -> tuple[int, int, Any]:
            mine = t[transactions[i : i + 1]]
            client, name = r.lookups["client"][mine["lookup"][0]], mine["name"][0]
            return int(client), int(name), mine

        self._add_examples(note, t["time"][transactions], one)

    def _show_lookups(self, note: Note, lookups: Indexes) -> None:
        r = self.readings

        def one(i: int) -> tuple[int, int, Any]:
            look = r.lookups[lookups[i]]
            first = int(look["first"])
            mine = r.transactions[first : first + int(look["queries"])]
            return int(look["client"]), int(look["base"]), mine

        self._add_examples(note, r.lookups["start"][lookups], one)

    def show_walks(self, note: Note, clients: Sequence[int]) -> None:
        """Add the first walks of some clients to a note's examples."""
        lookups = self._marks.walked["first_walk"][np.asarray(clients)]
        lookups = lookups[lookups >= 0]
        if lookups.size:
            self._show_lookups(note, lookups)

    def fill(self, note: Note, by_client: Indexes, names: Indexes, by_name: Indexes) -> None:
        """Set whose it was, counted by client index, and for which names, with their counts."""
        r = self.readings
        for i in np.flatnonzero(by_client).tolist():
            note.clients[self.facts.address(r.clients[i].client)] += int(by_client[i])
        order = np.argsort(-by_name, kind="stable")[:NAMES]
        most = zip(names[order].tolist(), by_name[order].tolist(), strict=True)
        note.names = Counter({join(r.names.labels(name)): n for name, n in most})

    def _add_examples(
        self, note: Note, times: Indexes, one: Callable[[int], tuple[int, int, Any]]
    ) -> None:
        """Add the first cases; ``one`` gives a case's client index, name and transactions."""
        r = self.readings
        left = times.copy()
        for _ in range(min(times.size, EXAMPLES)):
            first = int(left.argmin())
            latest, left[first] = times[first], np.iinfo(np.int64).max
        examples = []
        for i in np.flatnonzero(times <= latest)[: 4 * EXAMPLES].tolist():
            index, name, transactions = one(i)
            capture, shown = _packets(r.rows, transactions)
            client = self.facts.address(r.clients[index].client)
            examples.append(
                Example(int(times[i]), shown, self.facts.paths[capture], client, r.names.text(name))
            )
        note.examples = sorted({*note.examples, *examples})[:EXAMPLES]


def count_names(names: npt.NDArray[np.int32]) -> tuple[Indexes, Indexes]:
    """Return the distinct ones of some name ids, in their order, and how often each is there."""
    size = names.size
    distinct, counts = np.empty(size, np.int64), np.empty(size, np.int64)
    slots = np.zeros(1 << (2 * size).bit_length(), np.int32)
    used = signs.count_ids(names, SEED, slots, distinct, counts)
    order = np.argsort(distinct[:used])
    return distinct[:used][order], counts[:used][order]


def _overlap(left: Indexes, right: Indexes) -> bool:
    """Do two series of times overlap?"""
    return bool(
        left.size and right.size and left.min() < right.max() and right.min() < left.max()
    )


def _packets(rows: Any, transactions: Any) -> tuple[int, tuple[int, ...]]:
    """Return the capture and the packets of some transactions, in order."""
    asked = rows[transactions["first"]]
    got = rows[transactions["response"][transactions["response"] >= 0]]
    shown = {*asked["query_packet"].tolist(), *got["query_packet"].tolist(),
             *got["response_packet"].tolist()}  # fmt: skip
    return int(asked["capture"][0]), tuple(sorted(p for p in shown if p >= 0))[:_PACKETS]
