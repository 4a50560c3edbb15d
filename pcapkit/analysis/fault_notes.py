"""What fault detectors note, and how the notes of several parts add up.

A :class:`Part` is what was read of some clients, with its signs. A detector notes what it saw in a
part, as one :class:`Note` for each subject (a nameserver, a suffix, a namespace; "" where the fault
has no subject). Notes hold integers and text only, so that adding them in any order gives the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from pcapkit.analysis import fault_signs as signs
from pcapkit.analysis.counting import SEED, suffix_places
from pcapkit.analysis.fault_servers import Servers, servers_for
from pcapkit.analysis.reading import Readings
from pcapkit.analysis.suffixes import Labels, join
from pcapkit.analysis.walks import AS_IS, LIST
from pcapkit.model import Source
from pcapkit.options import Network
from pcapkit.resolver import ResolverConfig

Indexes = npt.NDArray[np.int64]
_Integers = npt.NDArray[Any]

#: Examples that a note keeps: the first by (time, packet number).
EXAMPLES = 5
#: Distinct names that a note keeps; past it, the most frequent of each part.
NAMES = 200
_PACKETS = 24


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
        self.show(other.examples)

    def show(self, examples: Sequence[Example]) -> None:
        """Add some cases to the examples, of which the first are kept."""
        if examples:
            self.examples = sorted({*self.examples, *examples})[:EXAMPLES]


Notes = dict[str, Note]


def add_notes(total: Notes, part: Notes) -> None:
    """Add the notes of another part, subject by subject; what is new is taken over as it is."""
    for subject, note in part.items():
        if (known := total.setdefault(subject, note)) is not note:
            known.add(note)


@dataclass(frozen=True)
class Part:
    """What was read of some clients, and the facts that are the same for all."""

    readings: Readings
    facts: Facts
    flags: npt.NDArray[np.uint8]  # of every name, from ``NameFlags``

    @cached_property
    def _lists(self) -> tuple[Indexes, list[Labels]]:
        return suffix_places(self.readings)

    @cached_property
    def _suffixes(self) -> tuple[Indexes, list[str]]:
        """The number of each suffix of the lists, and by number the distinct ones as text."""
        texts = [join(suffix) for suffix in self._lists[1]]
        distinct = sorted(set(texts))
        numbers = {text: n for n, text in enumerate(distinct)}
        return np.array([numbers[text] for text in texts], np.int64), distinct

    @cached_property
    def _marked(self) -> tuple[signs.Marks, Servers]:
        r = self.readings
        size = r.transactions.size
        suffix_at, suffixes = self._lists
        walked = np.zeros(len(r.clients), signs.WALKED)
        walked["first_walk"] = walked["most"] = -1
        walked["fewest"] = signs.MANY_DOTS
        marks = signs.Marks(
            np.empty(size, np.uint16),
            np.array([len(c.search.suffixes) for c in r.clients], np.int64), suffix_at,
            np.zeros((len(suffixes), 2), np.int64), walked, np.empty(size, signs.REPEATED),
            np.zeros(2, np.int64),
        )  # fmt: skip
        slots = 0
        if r.has_clock:
            asked = np.bincount(r.lookups["client"], weights=r.lookups["queries"])
            slots = 1 << (2 * int(asked.max(initial=0))).bit_length()
        clients = np.array([c.client for c in r.clients], np.int64)
        servers = servers_for(clients, r.rows.size, size, has_clock=r.has_clock)
        signs.mark_transactions(
            r.rows, r.transactions, r.lookups, self.flags, r.labels, marks, servers,
            np.zeros(slots, signs.KNOWN), SEED,
        )  # fmt: skip
        return marks, servers

    @property
    def _marks(self) -> signs.Marks:
        return self._marked[0]

    @cached_property
    def _having(self) -> dict[int, Indexes]:
        return {}

    @property
    def signs(self) -> npt.NDArray[np.uint16]:
        """The signs of every transaction."""
        return self._marks.signs

    def under_suffixes(self) -> dict[str, tuple[int, int]]:
        """How many names with dots inside were answered, and were not there, under each suffix."""
        numbers, suffixes = self._suffixes
        counts = np.zeros((len(suffixes), 2), np.int64)
        np.add.at(counts, numbers, self._marks.under)
        return {s: (n[0], n[1]) for s, n in zip(suffixes, counts.tolist(), strict=True)}

    def by_suffix(self, transactions: Indexes) -> dict[str, Indexes]:
        """Divide transactions by their suffix, each in their order."""
        r = self.readings
        if not transactions.size:
            return {}
        client = r.lookups["client"][r.transactions["lookup"][transactions]]
        place = self._lists[0][client] + r.transactions["suffix"][transactions]
        numbers, suffixes = self._suffixes
        number = numbers[place]
        order = np.argsort(number, kind="stable")
        ends = np.cumsum(np.bincount(number, minlength=len(suffixes)))
        divided = zip(suffixes, np.split(transactions[order], ends[:-1]), strict=True)
        return {suffix: mine for suffix, mine in divided if mine.size}

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

    @cached_property
    def servers(self) -> npt.NDArray[Any]:
        """One SERVER row for each nameserver, in the order of their addresses' ids."""
        counted = self._marked[1]
        servers = counted.servers[: counted.used[0]]
        return servers[np.argsort(servers["address"])]

    @property
    def asked(self) -> npt.NDArray[Any]:
        """One ASKED row for each client and the nameserver that answered it, in their order."""
        counted = self._marked[1]
        asked = counted.asked[: counted.used[2]]
        return asked[np.lexsort((asked["server"], asked["client"]))]

    @property
    def repeated(self) -> npt.NDArray[Any]:
        """One REPEATED row for each client and name that it asked for again in vain."""
        repeated: npt.NDArray[Any] = self._marks.repeated[: self._marks.used[0]]
        return repeated

    @property
    def rates(self) -> npt.NDArray[Any]:
        """RATE rows, one per client and server; empty without a clock."""
        counted = self._marked[1]
        return counted.rates[np.sort(counted.watched[: counted.used[1]])]

    def having(self, sign: int) -> Indexes:
        """Return the transactions with a sign."""
        if (having := self._having.get(sign)) is None:
            some = self._marks.used[1] & sign
            having = np.flatnonzero(self.signs & sign != 0) if some else np.zeros(0, np.int64)
            self._having[sign] = having
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
        t = self.readings.transactions
        shown = transactions[_earliest(t["time"][transactions])]
        note.show(
            self._examples(
                self.readings.lookups["client"][t["lookup"][shown]], t["name"][shown],
                t["time"][shown], shown, np.ones(shown.size, np.int64),
            )
        )  # fmt: skip

    def _show_lookups(self, note: Note, lookups: Indexes) -> None:
        shown = lookups[_earliest(self.readings.lookups["start"][lookups])]
        note.show(self._examples_of_lookups(shown))

    def show_walks(self, clients: Iterable[tuple[Note, Sequence[int]]]) -> None:
        """Add the first walks of some clients to the examples of each note."""
        first = self._marks.walked["first_walk"].tolist()
        shown: list[int] = []
        ends: list[tuple[Note, int]] = []
        for note, indexes in clients:
            walks = [first[index] for index in indexes if first[index] >= 0]
            if len(walks) > EXAMPLES:
                some = np.array(walks)
                walks = some[_earliest(self.readings.lookups["start"][some])].tolist()
            shown += walks
            ends.append((note, len(shown)))
        examples = self._examples_of_lookups(np.array(shown, np.int64))
        begin = 0
        for note, end in ends:
            note.show(examples[begin:end])
            begin = end

    def _examples_of_lookups(self, lookups: Indexes) -> list[Example]:
        look = self.readings.lookups[lookups]
        return self._examples(
            look["client"], look["base"], look["start"], look["first"], look["queries"]
        )

    def _examples(
        self, clients: _Integers, names: _Integers, times: _Integers, begins: _Integers,
        counts: _Integers,
    ) -> list[Example]:  # fmt: skip
        """Return cases, each of so many transactions that follow one another, as examples."""
        if not begins.size:
            return []
        r = self.readings
        owners = np.repeat(np.arange(begins.size), counts)
        places = np.arange(owners.size) - np.repeat(np.cumsum(counts) - counts, counts)
        t = r.transactions[begins[owners] + places]
        shown: list[set[int]] = [set() for _ in range(begins.size)]
        answered = t["response"] >= 0
        again = answered & (t["response"] != t["first"])
        for some, exchanges, packets in (
            (slice(None), t["first"], r.rows["query_packet"]),
            (again, t["response"], r.rows["query_packet"]),
            (answered, t["response"], r.rows["response_packet"]),
        ):
            shown_by = owners[some].tolist(), packets[exchanges[some]].tolist()
            for case, packet in zip(*shown_by, strict=True):
                if packet >= 0:
                    shown[case].add(packet)
        captures = r.rows["capture"][r.transactions["first"][begins]]
        columns = (times.tolist(), captures.tolist(), clients.tolist(), names.tolist())
        return [
            Example(
                time, tuple(sorted(packets)[:_PACKETS]), self.facts.paths[capture],
                self.facts.address(r.clients[client].client), join(r.names.labels(name)),
            )
            for packets, time, capture, client, name in zip(shown, *columns, strict=True)
        ]  # fmt: skip

    def fill(self, note: Note, by_client: Indexes, names: Indexes, by_name: Indexes) -> None:
        """Set whose it was, counted by client index, and for which names, with their counts."""
        r = self.readings
        for i in np.flatnonzero(by_client).tolist():
            note.clients[self.facts.address(r.clients[i].client)] += int(by_client[i])
        order = np.argsort(-by_name, kind="stable")[:NAMES]
        most = zip(names[order].tolist(), by_name[order].tolist(), strict=True)
        note.names = Counter({join(r.names.labels(name)): n for name, n in most})


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


def _earliest(times: Indexes) -> Indexes:
    """Return the places of the earliest times: EXAMPLES, and more where the last are alike."""
    if times.size <= EXAMPLES:
        return np.arange(times.size)
    left = times.copy()
    for _ in range(EXAMPLES):
        first = left.argmin()
        latest, left[first] = times[first], np.iinfo(np.int64).max
    return np.flatnonzero(times <= latest)[: 4 * EXAMPLES]
