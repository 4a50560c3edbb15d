"""Count lookups into the rows that reports and JSON show, part by part.

A :class:`Tally` takes the readings of one part of the clients after another; two tallies of
different clients add up. Counts and times are integers, so the order of adding never shows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.chains import Example, worst_examples
from pcapkit.analysis.describe import EMPTY, MISSING, RESOLVED
from pcapkit.analysis.reading import Readings
from pcapkit.analysis.suffixes import Folded, Labels, join
from pcapkit.analysis.survey import Client as Surveyed
from pcapkit.analysis.waste import HIT, INCOMPLETE, is_wasted
from pcapkit.model import (
    LOOKUP_OUTCOMES,
    TRANSACTION_OUTCOMES,
    WASTE_CLASSES,
    Chain,
    Client,
    Coverage,
    LatencyCurve,
    LookupCounts,
    Name,
    Suffix,
    Timeline,
    TransactionCounts,
    WasteCounts,
)

Address = Callable[[int], str]
_BINS = 120
_CLASSES = len(WASTE_CLASSES)
_WASTED = is_wasted(np.arange(_CLASSES))

#: Lookups of one base name that one name answered; ``key`` holds both ids.
_GROUP = np.dtype(
    [
        ("key", np.int64),
        ("first", np.int64),  # start of the earliest, which decides the kind
        ("address", np.int64),  # its client
        ("outcome", np.int64),
        ("lookups", np.int64),
        ("complete", np.int64),
        ("lost_ns", np.int64),
        ("clients", np.int64),
        ("classes", np.int64, (_CLASSES,)),
    ]
)
_KEY_SHIFT = 32


def zones_of(clients: Iterable[Surveyed]) -> list[Labels]:
    """Return the cluster domains that the search lists show, or the usual one."""
    zones = {s[1:] for c in clients for s in c.assumed.suffixes if len(s) > 1 and s[0] == "svc"}
    return sorted(zones) or [("cluster", "local")]


def namespace_of(search: Sequence[str]) -> str | None:
    """Return the namespace that a Kubernetes search list's first suffix names."""
    if search:
        labels = search[0].split(".")
        if len(labels) > 2 and labels[1] == "svc":
            return labels[0]
    return None


def kind_of(
    names: Folded, base: int, answered_by: int, outcome: int, zones: Sequence[Labels]
) -> str:
    """Say what sort of name a lookup asked for."""
    name = names.labels(base)
    if name[-1:] == ("arpa",):
        return "reverse"
    if answered_by >= 0:
        answer = names.labels(answered_by)
        return "cluster" if any(answer[-len(z) :] == z for z in zones) else "external"
    if outcome in (MISSING, EMPTY):
        return "nonexistent"
    return "single_label" if len(name) == 1 else "unknown"


def _quantile(ordered: npt.NDArray[np.int64], share: float) -> float | None:
    """Nearest-rank quantile of sorted nanoseconds, in seconds."""
    if not ordered.size:
        return None
    return int(ordered[min(ordered.size - 1, int(share * ordered.size))]) / 1e9


class Tally:
    """What is counted of the lookups; ``span`` is the time of the first and the last message."""

    def __init__(self, names: Folded, *, span: tuple[int, int] | None, has_clock: bool) -> None:
        self._names, self._has_clock = names, has_clock
        self._start, self._bin_ns = 0, 1
        if span is not None:
            self._start = span[0]
            self._bin_ns = max(1, -(-(span[1] - span[0] + 1) // _BINS))
        self._timeline = np.zeros((_CLASSES, _BINS), np.int64)
        self._transaction_outcomes = np.zeros(len(TRANSACTION_OUTCOMES), np.int64)
        self._lookup_outcomes = np.zeros(len(LOOKUP_OUTCOMES), np.int64)
        self._classes = np.zeros(_CLASSES, np.int64)
        self._transactions = self._retries = 0
        self._lookups = self._complete = 0
        self._lost_ns = 0
        # of complete lookups: start, end, time wasted, resolved; of all: start, client
        self._durations: list[npt.NDArray[np.int64]] = []
        self._resolved: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]] = []
        self._keys: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]] = []
        self._first, self._last = np.iinfo(np.int64).max, np.iinfo(np.int64).min
        self._groups: list[npt.NDArray[Any]] = []
        self._clients: list[Client] = []
        self._coverage: dict[str, Coverage] = {}
        self._suffixes: tuple[Counter[str], Counter[str], Counter[str]] = (
            Counter(), Counter(), Counter()
        )  # fmt: skip
        self._examples: list[Example] = []

    def add(self, part: Readings, address: Address, path_of: Sequence[str]) -> None:
        """Count the lookups of one part of the clients."""
        x, t = part.lookups, part.transactions
        if not x.size:
            return
        self._transaction_outcomes += np.bincount(
            t["outcome"], minlength=len(TRANSACTION_OUTCOMES)
        )
        self._transactions += t.size
        self._retries += int(t["retries"].sum())
        self._lookups += x.size
        self._lookup_outcomes += np.bincount(x["outcome"], minlength=len(LOOKUP_OUTCOMES))
        self._classes += np.bincount(t["waste_class"], minlength=_CLASSES)
        addresses = np.array([c.client for c in part.clients], np.int32)
        self._keys.append((x["start"].copy(), addresses[x["client"]]))
        whole = x["complete"] != 0
        self._complete += int(whole.sum())
        took = x["end"] - x["start"]
        self._durations.append(took[whole])
        hit = whole & (x["outcome"] == RESOLVED)
        self._resolved.append((took[hit], (took - x["wasted_ns"])[hit]))
        lost = np.where(whole, x["wasted_ns"], 0)
        self._lost_ns += int(lost.sum())
        if whole.any():
            self._first = min(self._first, int(x["start"][whole].min()))
            self._last = max(self._last, int(x["end"][whole].max()))
        self._add_groups(part, addresses, lost)
        self._add_clients(part, address, lost)
        self._add_suffixes(part)
        if self._has_clock:
            place = np.clip((t["time"] - self._start) // self._bin_ns, 0, _BINS - 1)
            self._timeline += np.bincount(
                t["waste_class"].astype(np.int64) * _BINS + place, minlength=_CLASSES * _BINS
            ).reshape(_CLASSES, _BINS)
        self._examples += worst_examples(part, address, path_of)

    def merge(self, other: Tally) -> None:
        """Add what another tally of the same capture counted, of other clients."""
        self._timeline += other._timeline
        self._transaction_outcomes += other._transaction_outcomes
        self._lookup_outcomes += other._lookup_outcomes
        self._classes += other._classes
        self._transactions += other._transactions
        self._retries += other._retries
        self._lookups += other._lookups
        self._complete += other._complete
        self._lost_ns += other._lost_ns
        self._first = min(self._first, other._first)
        self._last = max(self._last, other._last)
        self._durations += other._durations
        self._resolved += other._resolved
        self._keys += other._keys
        self._groups += other._groups
        self._clients += other._clients
        self._coverage |= other._coverage
        for mine, its in zip(self._suffixes, other._suffixes, strict=True):
            mine.update(its)
        self._examples += other._examples

    def _add_groups(
        self, part: Readings, addresses: npt.NDArray[np.int32], lost: npt.NDArray[np.int64]
    ) -> None:
        x, t = part.lookups, part.transactions
        key = (x["base"].astype(np.int64) << _KEY_SHIFT) | (x["answered_by"] + 1)
        keys, first, group = np.unique(key, return_index=True, return_inverse=True)
        out = np.zeros(keys.size, _GROUP)
        out["key"] = keys
        out["first"] = x["start"][first]  # lookups stand in the order of their first queries
        out["address"] = addresses[x["client"][first]]
        out["outcome"] = x["outcome"][first]
        out["lookups"] = np.bincount(group, minlength=keys.size)
        out["complete"] = np.bincount(group[x["complete"] != 0], minlength=keys.size)
        np.add.at(out["lost_ns"], group, lost)
        pairs = np.unique(group * len(part.clients) + x["client"])
        out["clients"] = np.bincount(pairs // len(part.clients), minlength=keys.size)
        out["classes"] = np.bincount(
            group[t["lookup"]] * _CLASSES + t["waste_class"], minlength=keys.size * _CLASSES
        ).reshape(keys.size, _CLASSES)
        self._groups.append(out)

    def _add_clients(
        self, part: Readings, address: Address, lost: npt.NDArray[np.int64]
    ) -> None:
        x, size = part.lookups, len(part.clients)
        index, whole = x["client"], x["complete"] != 0
        lookups = np.bincount(index, minlength=size)
        complete = np.bincount(index[whole], minlength=size)
        queries = np.bincount(index, weights=x["queries"], minlength=size)
        wasted = np.bincount(index, weights=x["wasted"], minlength=size)
        lost_ns = np.zeros(size, np.int64)
        np.add.at(lost_ns, index, lost)
        first, last, begun, ended = (np.zeros(size, np.int64) for _ in range(4))
        first[:] = begun[:] = np.iinfo(np.int64).max
        last[:] = ended[:] = np.iinfo(np.int64).min
        np.minimum.at(first, index, x["start"])
        np.maximum.at(last, index, x["end"])
        np.minimum.at(begun, index[whole], x["start"][whole])
        np.maximum.at(ended, index[whole], x["end"][whole])
        bases = np.unique((index[whole].astype(np.int64) << _KEY_SHIFT) | x["base"][whole])
        names = np.bincount(bases >> _KEY_SHIFT, minlength=size)
        clock = self._has_clock
        for i, c in enumerate(part.clients):
            suffixes = tuple(join(s) for s in c.search.suffixes)
            row = Client(
                client_addr=address(c.client),
                first_time=int(first[i]) if clock else None,
                last_time=int(last[i]) if clock else None,
                pod=None,
                namespace=namespace_of(suffixes),
                workload=None,
                workload_kind=None,
                search=suffixes,
                search_source=c.search_source,
                ndots=c.ndots,
                resolver=c.resolver,
                lookups=int(lookups[i]),
                queries=int(queries[i]),
                wasted_queries=int(wasted[i]),
                wasted_s=int(lost_ns[i]) / 1e9 if clock else 0.0,
            )
            self._clients.append(row)
            span = (int(ended[i]) - int(begun[i])) / 1e9 if complete[i] else 0.0
            self._coverage[row.client_addr] = Coverage(
                int(complete[i]), int(names[i]), span if clock else None
            )

    def _add_suffixes(self, part: Readings) -> None:
        t = part.transactions
        client = part.lookups["client"][t["lookup"]]
        widest = max((len(c.search.suffixes) for c in part.clients), default=0)
        listed = t["suffix"] >= 0
        key = client[listed].astype(np.int64) * widest + t["suffix"][listed]
        classes = t["waste_class"][listed]
        masks = np.ones(classes.size, np.bool_), is_wasted(classes), classes == HIT
        for mask, into in zip(masks, self._suffixes, strict=True):
            counts = np.bincount(key[mask])
            for k in np.flatnonzero(counts).tolist():
                suffix = part.clients[k // widest].search.suffixes[k % widest]
                into[join(suffix)] += int(counts[k])

    # ---- what came of it ---------------------------------------------------------------------

    @property
    def transactions(self) -> TransactionCounts:
        """Transactions by outcome, and their retries."""
        outcomes = dict(
            zip(TRANSACTION_OUTCOMES, self._transaction_outcomes.tolist(), strict=True)
        )
        return TransactionCounts(self._transactions, self._retries, outcomes)

    @property
    def lookups(self) -> LookupCounts:
        """Lookups by outcome, with percentiles of complete lookups' durations."""
        durations = np.zeros(0, np.int64)
        if self._has_clock and self._durations:
            durations = np.sort(np.concatenate(self._durations))
        return LookupCounts(
            self._lookups, self._complete,
            dict(zip(LOOKUP_OUTCOMES, self._lookup_outcomes.tolist(), strict=True)),
            _quantile(durations, 0.50), _quantile(durations, 0.95), _quantile(durations, 0.99),
        )  # fmt: skip

    @property
    def waste(self) -> WasteCounts:
        """Queries by waste class; the classes sum to the queries."""
        wasted = int(self._classes[_WASTED].sum())
        judged = self._transactions - int(self._classes[INCOMPLETE])
        return WasteCounts(
            self._transactions, wasted, wasted / judged if judged else 0.0,
            self._lost_ns / 1e9 if self._has_clock else 0.0,
            dict(zip(WASTE_CLASSES, self._classes.tolist(), strict=True)),
        )  # fmt: skip

    @property
    def clients(self) -> tuple[Client, ...]:
        """One row per client and period, most wasted queries first."""
        rows = sorted(
            self._clients, key=lambda c: (-c.wasted_queries, -c.queries, c.client_addr)
        )
        return tuple(rows)

    def coverage(self, client_addr: str | None = None) -> Coverage:
        """How much a verdict on one client, or on all, rests on: complete lookups only."""
        if client_addr is not None:
            return self._coverage.get(client_addr, Coverage(0, 0, None))
        groups = self._merged_groups()
        names = np.unique(groups["key"][groups["complete"] > 0] >> _KEY_SHIFT).size
        span = (self._last - self._first) / 1e9 if self._complete else 0.0
        return Coverage(self._complete, int(names), span if self._has_clock else None)

    def _merged_groups(self) -> npt.NDArray[Any]:
        """Add up the groups of all parts; the earliest lookup gives the outcome."""
        if len(self._groups) > 1:
            rows = np.concatenate(self._groups)
            rows = rows[np.lexsort((rows["address"], rows["first"], rows["key"]))]
            _, first = np.unique(rows["key"], return_index=True)
            merged = rows[first].copy()
            for field in ("lookups", "complete", "lost_ns", "clients", "classes"):
                merged[field] = np.add.reduceat(rows[field], first, axis=0)
            self._groups = [merged]
        return self._groups[0] if self._groups else np.zeros(0, _GROUP)

    def names(self, zones: Sequence[Labels]) -> tuple[Name, ...]:
        """One row per (base name, name that answered), most wasted queries first."""
        groups = self._merged_groups()
        classes = groups["classes"]
        queries, wasted = classes.sum(axis=1), classes[:, _WASTED].sum(axis=1)
        rows = []
        for g, at in enumerate(groups):
            base, hit = int(at["key"]) >> _KEY_SHIFT, (int(at["key"]) & 0xFFFFFFFF) - 1
            labels = self._names.labels(base)
            rows.append(
                Name(
                    join(labels), join(self._names.labels(hit)) + "." if hit >= 0 else None,
                    kind_of(self._names, base, hit, int(at["outcome"]), zones),
                    max(0, len(labels) - 1), int(at["lookups"]), int(queries[g]), int(wasted[g]),
                    int(at["lost_ns"]) / 1e9 if self._has_clock else 0.0, int(at["clients"]),
                    {WASTE_CLASSES[k]: n for k, n in enumerate(at["classes"].tolist()) if n},
                )
            )  # fmt: skip
        rows.sort(key=lambda n: (-n.wasted_queries, -n.queries, n.base_name, n.fqdn or ""))
        return tuple(rows)

    @property
    def suffixes(self) -> tuple[Suffix, ...]:
        """What each search suffix cost and answered, most wasted first."""
        queries, wasted, answers = self._suffixes
        order = sorted(queries, key=lambda s: (-wasted[s], -queries[s], s))
        return tuple(Suffix(s, queries[s], wasted[s], answers[s]) for s in order)

    @property
    def timeline(self) -> Timeline:
        """Queries by class in equal bins from the first message to the last."""
        if not self._transactions or not self._has_clock:
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
        size = sum(full.size for full, _ in self._resolved)
        if not size or not self._has_clock:
            return LatencyCurve((), (), 0)

        def pick(values: list[npt.NDArray[np.int64]]) -> tuple[float, ...]:
            ordered = np.sort(np.concatenate(values))
            at = np.round(np.arange(101) / 100 * (size - 1)).astype(np.int64)
            return tuple((ordered[at] / 1e9).tolist())

        return LatencyCurve(
            pick([f for f, _ in self._resolved]), pick([w for _, w in self._resolved]), size
        )

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
        """Return the lookup_id of an example: its place among all lookups."""
        number = example.place
        for start, address in self._keys:
            before = (start < example.start) | (
                (start == example.start) & (address < example.address)
            )
            number += int(np.count_nonzero(before))
        return number
