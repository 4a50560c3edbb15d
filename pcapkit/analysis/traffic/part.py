"""What was read of some clients, with its signs, and what follows from them.

A :class:`PartTraffic` is what fault detectors look at. All of it is found when it is first asked
for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
import numpy.typing as npt

from pcapkit.addresses import Network
from pcapkit.analysis.lookups.reading import Readings, suffixes_of
from pcapkit.analysis.lookups.state import AS_IS, LIST
from pcapkit.analysis.traffic.nameservers import (
    COUNT_ROWS,
    RATE_SLOTS,
    SERVER_ROWS,
    Servers,
    servers_for,
)
from pcapkit.analysis.traffic.signs import (
    HELD,
    MANY_DOTS,
    REPEATED,
    REPEATED_ROWS,
    SIGNS_THAT_OCCUR,
    UNDER_ANSWERED,
    UNDER_MISSED,
    WALKED,
    PartSigns,
    SignInput,
    find_signs,
)
from pcapkit.kernels.hashing import SEED, slot_count
from pcapkit.model.vocabulary import Source
from pcapkit.names.labels import Labels, join
from pcapkit.resolver.resolv_conf import ResolverConfig
from pcapkit.schema import ABSENT, Bytes, Integers, Rows

Indexes = Integers  #: of transactions, lookups or clients


@dataclass(frozen=True, slots=True)
class Context:
    """What detectors need to know beside the traffic, the same for every part."""

    address: Callable[[int], str]
    paths: Sequence[str]
    zones: Sequence[Labels]
    #: the files that were given, with the clients that each is bound to (None: all)
    resolv_confs: Sequence[tuple[Network | None, ResolverConfig]] = ()


@dataclass(frozen=True)
class PartTraffic:
    """What was read of some clients, and what is the same for all."""

    readings: Readings
    context: Context
    name_flags: Bytes  # of every name, from ``NameFlags``

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
    def _found(self) -> tuple[PartSigns, Servers]:
        r = self.readings
        size = r.transactions.size
        suffix_begins, suffixes = self._lists
        walked = np.zeros(len(r.clients), WALKED)
        walked["first_walk"] = walked["most"] = ABSENT
        walked["fewest"] = MANY_DOTS
        found = PartSigns(
            np.empty(size, np.uint16),
            np.array([len(c.search.suffixes) for c in r.clients], np.int64),
            suffix_begins,
            np.zeros((len(suffixes), 2), np.int64),
            walked,
            np.empty(size, REPEATED),
            np.zeros(2, np.int64),
        )
        slots = 0
        if r.has_clock:
            asked = np.bincount(r.lookups["client"], weights=r.lookups["queries"])
            slots = slot_count(int(asked.max(initial=0)))
        clients = np.array([c.client for c in r.clients], np.int64)
        servers = servers_for(clients, r.rows.size, size, has_clock=r.has_clock)
        given = SignInput(r.lookups, r.transactions, r.rows, self.name_flags, r.labels, SEED)
        find_signs(given, found, servers, np.zeros(slots, HELD))
        return found, servers

    @property
    def _signs(self) -> PartSigns:
        return self._found[0]

    @property
    def _servers(self) -> Servers:
        return self._found[1]

    @cached_property
    def _having(self) -> dict[int, Indexes]:
        return {}

    @property
    def walked(self) -> Rows:
        """One WALKED row for each client."""
        return self._signs.walked

    @property
    def signs(self) -> npt.NDArray[np.uint16]:
        """The signs of every transaction."""
        return self._signs.signs

    def under_suffixes(self) -> dict[str, tuple[int, int]]:
        """How many names with dots inside were answered, and were not there, under each suffix."""
        numbers, suffixes = self._suffixes
        counts = np.zeros((len(suffixes), 2), np.int64)
        np.add.at(counts, numbers, self._signs.under)
        return {
            s: (n[UNDER_ANSWERED], n[UNDER_MISSED])
            for s, n in zip(suffixes, counts.tolist(), strict=True)
        }

    def by_suffix(self, transactions: Indexes) -> dict[str, Indexes]:
        """Divide transactions by their suffix, each in their order."""
        r = self.readings
        if not transactions.size:
            return {}
        client = r.lookups["client"][r.transactions["lookup"][transactions]]
        in_lists = self._lists[0][client] + r.transactions["suffix"][transactions]
        numbers, suffixes = self._suffixes
        number = numbers[in_lists]
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
    def servers(self) -> Rows:
        """One SERVER row for each nameserver, in the order of their addresses' ids."""
        servers = self._servers.servers[: self._servers.used[SERVER_ROWS]]
        return servers[np.argsort(servers["address"])]

    @property
    def query_counts(self) -> Rows:
        """One QUERY_COUNTS row for each client and the nameserver that answered it, in order."""
        counts = self._servers.counts[: self._servers.used[COUNT_ROWS]]
        return counts[np.lexsort((counts["server"], counts["client"]))]

    @property
    def repeated(self) -> Rows:
        """One REPEATED row for each client and name that it asked for again in vain."""
        return self._signs.repeated[: self._signs.used[REPEATED_ROWS]]

    @property
    def rates(self) -> Rows:
        """RATE rows, one per client and server, as they first came; empty without a clock."""
        return self._servers.rates[self._servers.rate_slots[: self._servers.used[RATE_SLOTS]]]

    def having(self, sign: int) -> Indexes:
        """Return the transactions with a sign."""
        if (having := self._having.get(sign)) is None:
            some = self._signs.used[SIGNS_THAT_OCCUR] & sign
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
        lookups = r.lookups[r.transactions["lookup"][transactions]]
        counts = lookups["queries"].astype(np.int64)
        owner = np.repeat(np.arange(transactions.size), counts)
        rank = np.arange(owner.size) - np.repeat(np.cumsum(counts) - counts, counts)
        return owner, lookups["first"].astype(np.int64)[owner] + rank


def _overlap(left: Indexes, right: Indexes) -> bool:
    """Do two series of times overlap?"""
    return bool(left.size and right.size and left.min() < right.max() and right.min() < left.max())
