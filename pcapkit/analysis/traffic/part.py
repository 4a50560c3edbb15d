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
from pcapkit.analysis.lookups.state import AS_IS, LIST, MANY_DOTS
from pcapkit.analysis.search_lists.infer import suffix_texts
from pcapkit.analysis.traffic.nameservers import (
    COUNT_ROWS,
    RATE_SLOTS,
    SERVER_ROWS,
    NameFacts,
    Servers,
    servers_for,
)
from pcapkit.analysis.traffic.signs import (
    CHANGING,
    PAIRED,
    REPEATED,
    REPEATED_ROWS,
    SIGNS_THAT_OCCUR,
    SINGLE_LOST,
    SOME_ANSWER,
    SOME_DENIAL,
    UNDER_ANSWERED,
    UNDER_MISSED,
    WALKED,
    PartSigns,
    SignInput,
    find_signs,
    held_for,
)
from pcapkit.cluster.conventions import namespace_of
from pcapkit.kernels.hashing import SEED
from pcapkit.model.vocabulary import Source
from pcapkit.names.labels import Labels, join
from pcapkit.resolver.resolv_conf import ResolverConfig
from pcapkit.schema import ABSENT, TCP, Bytes, Integers, Rows

#: So many names both searched and asked as is are no final dot here and there.
_NAMES_BOTH_WAYS = 3
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
            np.zeros(7, np.int64),
            np.zeros(self.name_flags.size, np.uint8),
        )
        names_of_one = 0
        if r.has_clock:
            asked = np.bincount(r.lookups["client"], weights=r.lookups["queries"])
            names_of_one = min(self.name_flags.size, int(asked.max(initial=0)))
        clients = np.array([c.client for c in r.clients], np.int64)
        servers = servers_for(clients, r.rows.size, size, has_clock=r.has_clock)
        zone_labels = min((len(zone) for zone in self.context.zones), default=0)
        names = NameFacts(self.name_flags, r.names.names.arrays.ends, zone_labels)
        given = SignInput(r.lookups, r.transactions, r.rows, names, r.labels, SEED)
        find_signs(given, found, servers, held_for(names_of_one))
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

    def in_a_cluster(self, index: int) -> bool:
        """Does a client walk a cluster's search list, or get answers inside the cluster domain?"""
        client = self.readings.clients[index]
        counts = self.query_counts
        if counts["cluster"][counts["client"] == index].max(initial=0) > 0:
            return True
        known = client.search_source != Source.ASSUMED
        return known and namespace_of(suffix_texts(client.search.suffixes)) is not None

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
    def searched_and_as_is_at_once(self) -> list[int]:
        """Clients that search several names, and in between ask the same ones as is alone.

        Two containers with different ndots do, and so does one that writes names with a final dot
        now and then: where names without dots are among them, no ndots explains that. A tool that
        never searches asks otherwise: one family, or with EDNS.
        """
        r = self.readings
        lookups, edns = r.lookups, r.rows["edns_bytes"]
        alone = np.flatnonzero((lookups["absolute"] == 1) & (lookups["candidates"] == 1))
        both = lookups["queries"] >= 2 * lookups["candidates"]
        as_is = alone[both[alone]]
        if as_is.size < _NAMES_BOTH_WAYS:
            return []
        dotless = alone[r.labels[lookups["base"][alone]] == 1]
        final = np.unique(lookups["client"][dotless]).tolist()
        key = lookups["client"].astype(np.int64) << 32 | lookups["base"]
        listed = np.flatnonzero((lookups["mode"] == LIST) & (lookups["candidates"] > 1) & both)
        listed = listed[np.isin(key[listed], key[as_is])]
        as_is = as_is[np.isin(key[as_is], key[listed])]
        out = []
        for index in sorted({*lookups["client"][as_is].tolist()} - {*final}):
            mine, searched = (s[lookups["client"][s] == index] for s in (as_is, listed))
            of_mine, of_searched = (
                {*edns[lookups["exchange"][s]].tolist()} for s in (mine, searched)
            )
            enough = np.unique(lookups["base"][mine]).size >= _NAMES_BOTH_WAYS
            if (
                enough
                and of_mine == of_searched
                and _overlap(lookups["start"][mine], lookups["start"][searched])
            ):
                out.append(index)
        return out

    @cached_property
    def _over_tcp(self) -> Integers:
        """Count the exchanges of each client over TCP."""
        r = self.readings
        over_tcp = np.flatnonzero(r.rows["transport"] == TCP)
        clients = np.array([c.client for c in r.clients], np.int64)
        asked = np.bincount(r.rows["client"][over_tcp], minlength=int(clients.max(initial=0)) + 1)
        return asked[clients].astype(np.int64)

    def forwards(self, index: int) -> bool:
        """May this client ask for others: NodeLocal DNSCache, dnsmasq, unbound?

        Over TCP a forwarder keeps its connections, where a stub resolver (use-vc) opens one for
        each candidate. Over UDP it sends each question from a port of its own: walks of two
        namespaces are several stub resolvers' where A and AAAA leave one port.
        """
        begin, end = self._of_client(index)
        mostly_tcp = 2 * self._over_tcp[index] > end - begin
        if not mostly_tcp and index not in self.two_namespaces_at_once:
            return False
        t, rows = self.readings.transactions[begin:end], self.readings.rows
        first = t["first"]
        over_tcp = rows["transport"][first] == TCP
        if 2 * np.count_nonzero(over_tcp) > t.size:
            ports = np.unique(rows["client_port"][first[over_tcp]]).size
            return bool(np.unique(t["lookup"][over_tcp]).size > ports)
        if index not in self.two_namespaces_at_once:
            return False
        pair = (np.diff(t["lookup"]) == 0) & (np.diff(t["name"]) == 0)
        one_port = np.diff(rows["client_port"][first].astype(np.int64))[pair] == 0
        return bool(2 * np.count_nonzero(one_port) <= one_port.size)

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

    def losses(self) -> Integers:
        """Queries by UDP, those lost: of pairs from one port, one alone lost; then of all others.

        Four counts: ``signs.PAIRED`` and what follows it.
        """
        return self._signs.used[PAIRED : SINGLE_LOST + 1]

    def changing_names(self) -> Indexes:
        """Return the ids of names that were answered, and said not to exist."""
        if not self._signs.used[CHANGING]:
            return np.zeros(0, np.int64)
        return np.flatnonzero(self._signs.outcomes == SOME_ANSWER | SOME_DENIAL)

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
