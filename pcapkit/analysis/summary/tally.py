"""Count lookups into the rows that reports and JSON show, part by part.

A :class:`Tally` takes the readings of one part of the clients after another; two tallies of
different clients add up. Counts and times are integers, so the order of adding never shows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from pcapkit.analysis.lookups.reading import ClientReading, Readings, suffixes_of
from pcapkit.analysis.lookups.waste import CLASSES, INCOMPLETE, WASTED
from pcapkit.analysis.search_lists.infer import suffix_texts
from pcapkit.analysis.search_lists.survey import Client as Surveyed
from pcapkit.analysis.summary.counting import (
    BINS,
    COMPLETE,
    LOST_NS,
    RETRIES,
    SEARCH_NS,
    Groups,
    count_part,
)
from pcapkit.analysis.summary.durations import Spread
from pcapkit.analysis.summary.examples import Example, examples_of
from pcapkit.analysis.summary.name_rows import costliest, merged_groups, name_rows
from pcapkit.analysis.summary.others import OtherClients
from pcapkit.analysis.summary.workloads import ClientCounts, only, workload_rows
from pcapkit.cluster.conventions import namespace_of
from pcapkit.limits import DEFAULTS, Limits
from pcapkit.model.audits import Workload
from pcapkit.model.clients import Client
from pcapkit.model.results import (
    Finding,
    LookupCounts,
    Name,
    OtherNames,
    TransactionCounts,
    WasteCounts,
)
from pcapkit.model.series import Chain, LatencyCurve, Suffix, Timeline
from pcapkit.model.vocabulary import LOOKUP_OUTCOMES, TRANSACTION_OUTCOMES, WASTE_CLASSES
from pcapkit.names.labels import Labels, join
from pcapkit.names.table import Folded
from pcapkit.schema import Ids, Integers, Rows
from pcapkit.text import characters_in_json

Address = Callable[[int], str]
#: By what clients are ranked, the one that wastes most first; no two are equal.
_Rank = tuple[int, int, str, int]


def zones_of(clients: Iterable[Surveyed]) -> list[Labels]:
    """Return the cluster domains that the search lists show, or the usual one."""
    zones = {s[1:] for c in clients for s in c.assumed.suffixes if len(s) > 1 and s[0] == "svc"}
    return sorted(zones) or [("cluster", "local")]


class _Starts(NamedTuple):
    """When the lookups of a part began, client by client."""

    times: Integers
    addresses: Ids  # of the clients, as ids
    lookups: Integers  # of each of them

    @classmethod
    def of(cls, part: Readings) -> _Starts:
        """Return those of a part."""
        addresses = np.array([c.client for c in part.clients], np.int32)
        lookups = np.bincount(part.lookups["client"], minlength=addresses.size)
        return cls(part.lookups["start"].copy(), addresses, lookups)

    def before(self, example: Example) -> int:
        """Count the lookups that come before an example: earlier, or of a lower id."""
        at_once = self.times == example.start
        if at_once.any():
            at_once &= np.repeat(self.addresses < example.address, self.lookups)
        return int(np.count_nonzero((self.times < example.start) | at_once))


def _characters(lists: Sequence[tuple[str, ...]]) -> Integers:
    """Return how many characters each of some search lists takes: what is said of it repeats it."""
    known = {of: 2 * sum(map(characters_in_json, of)) for of in set(lists)}
    return np.array([known[of] for of in lists], np.int64)


class Tally:
    """What is counted of the lookups; ``span`` is the time of the first and the last message."""

    def __init__(
        self,
        names: Folded,
        *,
        span: tuple[int, int] | None,
        has_clock: bool,
        limits: Limits = DEFAULTS,
    ) -> None:
        self._names, self._has_clock, self._limits = names, has_clock, limits
        self._start, self._bin_ns = 0, 1
        if span is not None:
            self._start = span[0]
            self._bin_ns = max(1, -(-(span[1] - span[0] + 1) // BINS))
        self._timeline = np.zeros((CLASSES, BINS), np.int64)
        self._transaction_outcomes = np.zeros(len(TRANSACTION_OUTCOMES), np.int64)
        self._lookup_outcomes = np.zeros((2, len(LOOKUP_OUTCOMES)), np.int64)
        self._classes = np.zeros(CLASSES, np.int64)
        self._retries = self._complete = self._lost_ns = self._search_ns = 0
        none = np.zeros(0, np.int64)
        # of complete lookups: those that did not resolve; the others, as they were and unwasted
        self._unresolved, self._resolved, self._unwasted = (Spread(none) for _ in range(3))
        self._searches = Spread(none)  # the times of search misses alone
        self._starts: list[_Starts] = []
        self._groups: list[Groups] = []
        self._clients: list[Client] = []
        self._client_counts = ClientCounts()  # of the same clients
        self._others = OtherClients()  # those beyond the limits
        self._beyond: _Rank | None = None  # the first of those; all behind it are beyond, too
        self._suffixes: tuple[Counter[str], Counter[str], Counter[str]] = (
            Counter(),
            Counter(),
            Counter(),
        )
        self._examples: list[Example] = []

    def add(self, part: Readings, address: Address, path_of: Sequence[str]) -> None:
        """Count the lookups of one part of the clients."""
        if not part.lookups.size:
            return
        suffix_begins, suffixes = suffixes_of(part)
        counts, groups = count_part(
            part, suffix_begins, len(suffixes), self._start, self._bin_ns if self._has_clock else 0
        )
        self._timeline += counts.timeline
        self._transaction_outcomes += counts.outcomes
        self._lookup_outcomes += counts.lookup_outcomes
        self._classes += counts.classes
        self._retries += int(counts.totals[RETRIES])
        self._complete += int(counts.totals[COMPLETE])
        self._lost_ns += int(counts.totals[LOST_NS])
        self._search_ns += int(counts.totals[SEARCH_NS])
        if self._has_clock:
            self._unresolved.add(Spread(counts.durations))
            self._resolved.add(Spread(counts.resolved[0]))
            self._unwasted.add(Spread(counts.resolved[1]))
            self._searches.add(Spread(counts.searches))
        self._starts.append(_Starts.of(part))
        self._groups += groups
        clients, counted, times = part.clients, counts.clients, counts.times
        sizes = _characters([suffix_texts(c.search.suffixes) for c in clients])
        if not self._fit(sizes):
            kept = self._costliest([address(c.client) for c in clients], sizes, counted)
            self._others.add(np.delete(counted, kept))
            clients = tuple(clients[i] for i in kept.tolist())
            counted, times = only(counted, times, kept)
        self._add_clients(clients, counted, address)
        self._client_counts.add(counted, times)
        for suffix, each in zip(suffixes, counts.suffixes.tolist(), strict=True):
            for n, into in zip(each, self._suffixes, strict=True):
                if n:
                    into[join(suffix)] += n
        worst = counts.worst[counts.worst >= 0].tolist()
        self._examples += examples_of(part, worst, address, path_of)

    def merge(self, other: Tally) -> None:
        """Add what another tally of the same capture counted, of other clients."""
        self._timeline += other._timeline
        self._transaction_outcomes += other._transaction_outcomes
        self._lookup_outcomes += other._lookup_outcomes
        self._classes += other._classes
        self._retries += other._retries
        self._complete += other._complete
        self._lost_ns += other._lost_ns
        self._search_ns += other._search_ns
        self._unresolved.add(other._unresolved)
        self._resolved.add(other._resolved)
        self._unwasted.add(other._unwasted)
        self._searches.add(other._searches)
        self._starts += other._starts
        self._groups += other._groups
        self._clients += other._clients
        self._client_counts.merge(other._client_counts)
        self._others.merge(other._others)
        self._beyond = min(filter(None, (self._beyond, other._beyond)), default=None)
        self._keep_costliest()
        for mine, its in zip(self._suffixes, other._suffixes, strict=True):
            mine.update(its)
        self._examples += other._examples

    def _fit(self, sizes: Integers) -> bool:
        """May all clients whose search lists have so many characters keep rows of their own?"""
        most, characters = self._limits.clients, self._limits.row_characters
        return self._beyond is None and sizes.size <= most and int(sizes.sum()) <= characters

    def _costliest(self, addresses: Sequence[str], sizes: Integers, counted: Rows) -> Integers:
        """Return which of some clients (BY_CLIENT) waste most, as many as the limits allow.

        ``sizes`` are the characters of their search lists. What is returned is the same however
        clients are added: none that wastes less than one that is beyond, however short its list.
        """
        wasted, queries = (-counted["wasted"]).tolist(), (-counted["queries"]).tolist()
        keys = list(zip(wasted, queries, addresses, counted["first"].tolist(), strict=True))
        order = np.array(sorted(range(len(keys)), key=keys.__getitem__), np.int64)
        characters = np.cumsum(sizes[order])
        most = int(np.searchsorted(characters, self._limits.row_characters, "right"))
        most = min(most, self._limits.clients)
        keys.sort()
        if self._beyond is not None:
            most = min(most, bisect_right(keys, self._beyond))
        self._beyond = min((*keys[most : most + 1], *filter(None, [self._beyond])), default=None)
        return np.sort(order[:most])

    def _add_clients(
        self, clients: Sequence[ClientReading], counted: Rows, address: Address
    ) -> None:
        clock = self._has_clock
        fields = ("lookups", "queries", "wasted", "lost_ns", "first", "last")
        columns = (counted[key].tolist() for key in fields)
        for c, lookups, queries, wasted, lost_ns, first, last in zip(
            clients, *columns, strict=True
        ):
            suffixes = suffix_texts(c.search.suffixes)
            self._clients.append(
                Client(
                    client_addr=address(c.client),
                    first_time=first if clock else None,
                    last_time=last if clock else None,
                    pod=None,
                    namespace=namespace_of(suffixes),
                    workload=None,
                    workload_kind=None,
                    search=suffixes,
                    search_source=c.search_source,
                    ndots=c.ndots,
                    resolver=c.resolver,
                    lookups=lookups,
                    queries=queries,
                    wasted_queries=wasted,
                    wasted_s=lost_ns / 1e9 if clock else 0.0,
                )
            )

    def _keep_costliest(self) -> None:
        """Keep the rows of the clients that waste most, as many as the limits allow."""
        clients = self._clients
        sizes = _characters([c.search for c in clients])
        if self._fit(sizes):
            return
        counted = self._client_counts.counts()
        kept = self._costliest([c.client_addr for c in clients], sizes, counted)
        self._others.add(np.delete(counted, kept))
        self._client_counts.keep(kept)
        self._clients = [clients[i] for i in kept.tolist()]

    # ---- what came of it ---------------------------------------------------------------------

    @property
    def others(self) -> OtherClients:
        """The clients beyond the limit, summed."""
        return self._others

    @property
    def transactions(self) -> TransactionCounts:
        """Transactions by outcome, and their retries."""
        outcomes = dict(zip(TRANSACTION_OUTCOMES, self._transaction_outcomes.tolist(), strict=True))
        return TransactionCounts(sum(outcomes.values()), self._retries, outcomes)

    @property
    def lookups(self) -> LookupCounts:
        """Lookups by outcome, with percentiles (nearest rank) of complete lookups' durations."""
        durations = Spread(np.zeros(0, np.int64))
        durations.add(self._unresolved)
        durations.add(self._resolved)
        quantiles: list[float | None] = [None, None, None]
        if size := durations.size:
            ranks = np.array([min(size - 1, int(share * size)) for share in (0.50, 0.95, 0.99)])
            quantiles = (durations.at(ranks) / 1e9).tolist()
        return LookupCounts(
            int(self._lookup_outcomes.sum()),
            self._complete,
            dict(zip(LOOKUP_OUTCOMES, self._lookup_outcomes.sum(axis=0).tolist(), strict=True)),
            dict(zip(LOOKUP_OUTCOMES, self._lookup_outcomes[1].tolist(), strict=True)),
            *quantiles,
        )

    @property
    def waste(self) -> WasteCounts:
        """Queries by waste class; the classes sum to the queries."""
        wasted, queries = int(self._classes[WASTED].sum()), int(self._classes.sum())
        judged = queries - int(self._classes[INCOMPLETE])
        return WasteCounts(
            queries,
            wasted,
            wasted / judged if judged else 0.0,
            self._lost_ns / 1e9 if self._has_clock else 0.0,
            dict(zip(WASTE_CLASSES, self._classes.tolist(), strict=True)),
            self._search_ns / 1e9 if self._has_clock else 0.0,
            self._search_p50_s(),
        )

    def _search_p50_s(self) -> float | None:
        size = self._searches.size
        return float(self._searches.at(np.array([size // 2]))[0]) / 1e9 if size else None

    @property
    def clients(self) -> tuple[Client, ...]:
        """One row per client and period, most wasted queries first."""
        return tuple(self._clients[i] for i in self._client_order())

    def _client_order(self) -> list[int]:
        def rank(number: int) -> tuple[int, int, str]:
            client = self._clients[number]
            return -client.wasted_queries, -client.queries, client.client_addr

        return sorted(range(len(self._clients)), key=rank)

    def workloads(
        self, called: Sequence[Client], told: Sequence[Client], findings: Iterable[Finding]
    ) -> tuple[Workload, ...]:
        """One row a workload; the clients are those of ``clients`` with what is known of them.

        ``called`` are they as findings call them, ``told`` with their plain addresses.
        """
        return workload_rows(
            self._client_counts,
            self._client_order(),
            called,
            told,
            findings,
            has_clock=self._has_clock,
        )

    def names(self, zones: Sequence[Labels]) -> tuple[tuple[Name, ...], OtherNames]:
        """One row per (base name, name that answered), most wasted queries first; and the rest.

        Lookups of which nobody can read the name have none. Beyond the limit, names that waste and
        ask alike keep their rows in the order of their first lookups.
        """
        groups = merged_groups(self._groups, self._names.unknown)
        clients = len(self._clients) + self._others.clients
        kept, others = costliest(
            groups, self._names, self._limits, clients, has_clock=self._has_clock
        )
        return name_rows(kept, self._names, zones, has_clock=self._has_clock), others

    @property
    def suffixes(self) -> tuple[Suffix, ...]:
        """What each search suffix cost and answered, most wasted first."""
        queries, wasted, answers = self._suffixes
        order = sorted(queries, key=lambda s: (-wasted[s], -queries[s], s))
        return tuple(Suffix(s, queries[s], wasted[s], answers[s]) for s in order)

    @property
    def timeline(self) -> Timeline:
        """Queries by class in equal bins from the first message to the last."""
        if not self._timeline.any():
            return Timeline(None, 0.0, {})
        bins = int(np.flatnonzero(self._timeline.sum(axis=0)).max()) + 1
        shown = {
            c: tuple(row[:bins])
            for c, row in zip(WASTE_CLASSES, self._timeline.tolist(), strict=True)
        }
        return Timeline(
            self._start, self._bin_ns / 1e9, {c: row for c, row in shown.items() if any(row)}
        )

    @property
    def latency(self) -> LatencyCurve:
        """Percentiles of resolved lookups' durations, as they were and without the waste."""
        size = self._resolved.size
        if not size:
            return LatencyCurve((), (), 0)
        ranks = np.round(np.arange(101) / 100 * (size - 1)).astype(np.int64)
        full, unwasted = self._resolved.at(ranks), self._unwasted.at(ranks)
        return LatencyCurve(tuple((full / 1e9).tolist()), tuple((unwasted / 1e9).tolist()), size)

    def chains(self, *, limit: int = 3) -> tuple[Chain, ...]:
        """The lookups that wasted most, one a base name: the examples that are drawn."""
        chains: list[Chain] = []
        seen: set[str] = set()
        for example in sorted(self._examples, key=lambda e: e.key):
            if example.chain.base_name in seen:
                continue
            seen.add(example.chain.base_name)
            chains.append(example.numbered(self._number(example)))
            if len(chains) == limit:
                break
        return tuple(chains)

    def _number(self, example: Example) -> int:
        """Return the lookup_id of an example: its rank among all lookups."""
        return example.rank + sum(s.before(example) for s in self._starts)
