"""What a detector notes of one subject (clients, names, counts, examples), and how notes add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pcapkit.analysis.traffic import signs
from pcapkit.analysis.traffic.part import Indexes, PartTraffic
from pcapkit.kernels.hashing import SEED, slot_count
from pcapkit.names.labels import join
from pcapkit.schema import Array, Ids

#: Examples that a note keeps: the first by (time, packet number).
EXAMPLES = 5

#: Distinct names that a note keeps; past it, the most frequent of each part.
NAMES = 200

PACKETS_SHOWN = 24

#: The counts of lookups that a fault held up, and of those that it left without an answer.
LOOKUPS, FAILED_LOOKUPS = "lookups", "failed_lookups"


@dataclass(frozen=True, slots=True, order=True)
class Example:
    """One case: when (ns, also without a clock), and the packets that show it."""

    time: int
    packets: tuple[int, ...]
    capture: str
    client: str
    name: str


class ClientSettings(NamedTuple):
    """The settings that one client's traffic shows."""

    address: str
    search: tuple[str, ...]
    is_whole: bool  #: does a walk show the whole list?
    ndots_low: int
    ndots_high: int


class ListProblem(NamedTuple):
    """What is wrong with a search list, and where it was seen: in ``path``, or in traffic."""

    path: str  #: "" for traffic
    text: str


class Contradiction(NamedTuple):
    """What was given for a client, and what its traffic shows instead."""

    address: str
    given: str
    seen: str


@dataclass(slots=True)
class Note:
    """What was seen of one subject; everything adds up."""

    counts: Counter[str] = field(default_factory=Counter)
    clients: Counter[str] = field(default_factory=Counter)
    names: Counter[str] = field(default_factory=Counter)
    #: nameservers, by the packets that concern them
    servers: Counter[str] = field(default_factory=Counter)
    #: the resolvers of the clients that have it
    models: set[str] = field(default_factory=set)
    largest: int = 0  #: of the sizes, or rates, that a detector is about
    settings: set[ClientSettings] = field(default_factory=set)
    problems: set[ListProblem] = field(default_factory=set)
    contradictions: set[Contradiction] = field(default_factory=set)
    lost_ns: int = 0
    examples: list[Example] = field(default_factory=list)

    def add(self, other: Note) -> None:
        """Add what another part showed."""
        self.counts.update(other.counts)
        self.clients.update(other.clients)
        self.names.update(other.names)
        self.servers.update(other.servers)
        self.models |= other.models
        self.largest = max(self.largest, other.largest)
        self.settings |= other.settings
        self.problems |= other.problems
        self.contradictions |= other.contradictions
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


def count_names(names: Ids) -> tuple[Indexes, Indexes]:
    """Return the distinct ones of some name ids, in their order, and how often each is there."""
    size = names.size
    distinct, counts = np.empty(size, np.int64), np.empty(size, np.int64)
    slots = np.zeros(slot_count(size), np.int32)
    used = signs.count_ids(names, SEED, slots, distinct, counts)
    order = np.argsort(distinct[:used])
    return distinct[:used][order], counts[:used][order]


def earliest(times: Indexes) -> Indexes:
    """Return where the earliest times are: EXAMPLES, and more where the last are alike."""
    if times.size <= EXAMPLES:
        return np.arange(times.size)
    left = times.copy()
    for _ in range(EXAMPLES):
        first = left.argmin()
        latest, left[first] = times[first], np.iinfo(np.int64).max
    return np.flatnonzero(times <= latest)[: 4 * EXAMPLES]


def note_transactions(
    part: PartTraffic, transactions: Indexes, *, unit: str, lost_ns: int = 0
) -> Note:
    """Note transactions: how many, whose, for which names, and the first of them."""
    r = part.readings
    t = r.transactions  # column by column: there may be a million
    note = Note(Counter({unit: int(transactions.size)}), lost_ns=lost_ns)
    if transactions.size:
        clients = r.lookups["client"][t["lookup"][transactions]]
        fill(part, note, np.bincount(clients), *count_names(t["name"][transactions]))
        show_transactions(part, note, transactions)
    return note


def note_lookups(
    part: PartTraffic, lookups: Indexes, *, unit: str = "lookups", lost_ns: int = 0
) -> Note:
    """Note lookups, by their base names."""
    note = Note(Counter({unit: int(lookups.size)}), lost_ns=lost_ns)
    if lookups.size:
        r = part.readings.lookups
        fill(part, note, np.bincount(r["client"][lookups]), *count_names(r["base"][lookups]))
        _show_lookups(part, note, lookups)
    return note


def show_transactions(part: PartTraffic, note: Note, transactions: Indexes) -> None:
    """Add the first of some transactions to a note's examples."""
    t = part.readings.transactions
    shown = transactions[earliest(t["time"][transactions])]
    note.show(
        _examples(
            part,
            part.readings.lookups["client"][t["lookup"][shown]],
            t["name"][shown],
            t["time"][shown],
            shown,
            np.ones(shown.size, np.int64),
        )
    )


def _show_lookups(part: PartTraffic, note: Note, lookups: Indexes) -> None:
    shown = lookups[earliest(part.readings.lookups["start"][lookups])]
    note.show(_examples_of_lookups(part, shown))


def show_walks(part: PartTraffic, clients: Iterable[tuple[Note, Sequence[int]]]) -> None:
    """Add the first walks of some clients to the examples of each note."""
    first = part.walked["first_walk"].tolist()
    shown: list[int] = []
    ends: list[tuple[Note, int]] = []
    for note, indexes in clients:
        walks = [first[index] for index in indexes if first[index] >= 0]
        if len(walks) > EXAMPLES:
            some = np.array(walks)
            walks = some[earliest(part.readings.lookups["start"][some])].tolist()
        shown += walks
        ends.append((note, len(shown)))
    examples = _examples_of_lookups(part, np.array(shown, np.int64))
    begin = 0
    for note, end in ends:
        note.show(examples[begin:end])
        begin = end


def _examples_of_lookups(part: PartTraffic, lookups: Indexes) -> list[Example]:
    rows = part.readings.lookups[lookups]
    return _examples(
        part, rows["client"], rows["base"], rows["start"], rows["first"], rows["queries"]
    )


def _examples(
    part: PartTraffic, clients: Array, names: Array, times: Array, begins: Array, counts: Array
) -> list[Example]:
    """Return cases, each of so many transactions that follow one another, as examples."""
    if not begins.size:
        return []
    r = part.readings
    owners = np.repeat(np.arange(begins.size), counts)
    ranks = np.arange(owners.size) - np.repeat(np.cumsum(counts) - counts, counts)
    t = r.transactions[begins[owners] + ranks]
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
            time,
            tuple(sorted(packets)[:PACKETS_SHOWN]),
            part.context.paths[capture],
            part.context.address(r.clients[client].client),
            join(r.names.labels(name)),
        )
        for packets, time, capture, client, name in zip(shown, *columns, strict=True)
    ]


def fill(
    part: PartTraffic, note: Note, by_client: Indexes, names: Indexes, by_name: Indexes
) -> None:
    """Set whose it was, counted by client index, and for which names, with their counts."""
    r = part.readings
    for i in np.flatnonzero(by_client).tolist():
        note.clients[part.context.address(r.clients[i].client)] += int(by_client[i])
        note.models.add(r.clients[i].resolver.model)
    known = names != r.names.unknown
    names, by_name = names[known], by_name[known]
    order = np.argsort(-by_name, kind="stable")[:NAMES]
    most = zip(names[order].tolist(), by_name[order].tolist(), strict=True)
    note.names = Counter({join(r.names.labels(name)): n for name, n in most})
