"""What fault detectors note, and how the notes of several parts add up.

A :class:`Part` is what was read of some clients, with its signs. A detector notes what it saw in a
part, as one :class:`Note` for each subject (a nameserver, a suffix, a namespace; "" where the fault
has no subject). Notes hold integers and text only, so that adding them in any order gives the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from pcapkit.addresses import Network
from pcapkit.analysis.lookups.reading import Readings, suffixes_of
from pcapkit.analysis.lookups.state import AS_IS, LIST
from pcapkit.analysis.traffic import marks as signs
from pcapkit.analysis.traffic.nameservers import Servers, servers_for
from pcapkit.kernels.hashing import SEED
from pcapkit.model.vocabulary import Source
from pcapkit.names.labels import Labels, join
from pcapkit.resolver.resolv_conf import ResolverConfig

Indexes = npt.NDArray[np.int64]
_Integers = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Facts:
    """What detectors need to know beside the traffic, the same for every part."""

    address: Callable[[int], str]
    paths: Sequence[str]
    zones: Sequence[Labels]
    #: the files that were given, with the clients that each is bound to (None: all)
    resolv_confs: Sequence[tuple[Network | None, ResolverConfig]] = ()


@dataclass(frozen=True)
class Part:
    """What was read of some clients, and the facts that are the same for all."""

    readings: Readings
    facts: Facts
    flags: npt.NDArray[np.uint8]  # of every name, from ``NameFlags``

    @cached_property
    def _lists(self) -> tuple[Indexes, list[Labels]]:
        return suffixes_of(self.readings)

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
            np.array([len(c.search.suffixes) for c in r.clients], np.int64),
            suffix_at,
            np.zeros((len(suffixes), 2), np.int64),
            walked,
            np.empty(size, signs.REPEATED),
            np.zeros(2, np.int64),
        )
        slots = 0
        if r.has_clock:
            asked = np.bincount(r.lookups["client"], weights=r.lookups["queries"])
            slots = 1 << (2 * int(asked.max(initial=0))).bit_length()
        clients = np.array([c.client for c in r.clients], np.int64)
        servers = servers_for(clients, r.rows.size, size, has_clock=r.has_clock)
        signs.mark_transactions(
            r.rows,
            r.transactions,
            r.lookups,
            self.flags,
            r.labels,
            marks,
            servers,
            np.zeros(slots, signs.KNOWN),
            SEED,
        )
        return marks, servers

    @property
    def _marks(self) -> signs.Marks:
        return self._marked[0]

    @cached_property
    def _having(self) -> dict[int, Indexes]:
        return {}

    @property
    def walked(self) -> npt.NDArray[Any]:
        """One WALKED row for each client."""
        return self._marks.walked

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
        whole: npt.NDArray[np.bool_] = self.walked["to_the_end"] != 0
        return whole

    def lookups_of_client(self, index: int) -> Indexes:
        """Return the lookups of one client, in the order of their first queries."""
        return self.lookups_of(np.arange(*self._of_client(index)))

    def _of_client(self, index: int) -> tuple[int, int]:
        walked = self.walked[index]
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
        r, walked, out = self.readings, self.walked, []
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


def _overlap(left: Indexes, right: Indexes) -> bool:
    """Do two series of times overlap?"""
    return bool(left.size and right.size and left.min() < right.max() and right.min() < left.max())
