"""What each workload did: the counts and times of clients, added up by whose they are.

Times are kept by bin, so percentiles are right within 1 %; memory grows with the clients and with
how much their times vary, never with the lookups.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from pcapkit.analysis.summary.counting import BY_CLIENT, CLIENT_TIME
from pcapkit.analysis.time_bins import TIME_BINS, time_of_bin
from pcapkit.model.audits import Workload
from pcapkit.model.clients import Client
from pcapkit.model.results import Finding
from pcapkit.model.vocabulary import Certainty
from pcapkit.schema import Integers, Rows

#: Whose a client is: namespace, workload, and its address where the workload is not known.
Key = tuple[str | None, str | None, str | None]
_SHARES = (0.50, 0.95)


class ClientCounts:
    """Counts (BY_CLIENT) and times (CLIENT_TIME) of clients, in the order of adding."""

    def __init__(self) -> None:
        self._parts: list[tuple[Rows, Rows]] = []

    def add(self, counts: Rows, times: Rows) -> None:
        """Add the clients of a part; ``times`` number them within it."""
        self._parts.append((counts, times))

    def merge(self, other: ClientCounts) -> None:
        """Add those of other clients."""
        self._parts += other._parts

    def keep(self, numbers: Integers) -> None:
        """Keep those of so numbered clients alone, in this order."""
        counts, (clients, bins, lookups) = self.counts(), self.times()
        times = np.zeros(clients.size, CLIENT_TIME)
        times["client"], times["bin"], times["lookups"] = clients, bins, lookups
        self._parts = [only(counts, times, numbers)]

    def counts(self) -> Rows:
        """Return what was counted, a row a client (BY_CLIENT)."""
        return np.concatenate([np.zeros(0, BY_CLIENT), *(c for c, _ in self._parts)])

    def times(self) -> tuple[Integers, Integers, Integers]:
        """Return clients, bins, and how many complete lookups of the one are in the other."""
        sizes = [counts.size for counts, _ in self._parts]
        first = np.repeat(np.cumsum([0, *sizes])[:-1], [times.size for _, times in self._parts])
        rows = np.concatenate([np.zeros(0, CLIENT_TIME), *(t for _, t in self._parts)])
        return rows["client"] + first, rows["bin"].astype(np.int64), rows["lookups"]


def only(counts: Rows, times: Rows, numbers: Integers) -> tuple[Rows, Rows]:
    """Return the counts and times of so numbered clients alone, in this order."""
    place = np.full(counts.size, -1, np.int64)
    place[numbers] = np.arange(numbers.size)
    mine = times[place[times["client"]] >= 0]
    mine["client"] = place[mine["client"]]
    return counts[numbers], mine


def _keys(clients: Sequence[Client]) -> tuple[list[Key], Integers]:
    """Return the workloads, and the number of the one of each client."""
    numbers: dict[Key, int] = {}
    of = [
        numbers.setdefault(
            (c.namespace, c.workload, None if c.workload else c.client_addr), len(numbers)
        )
        for c in clients
    ]
    return list(numbers), np.array(of, np.int64)


def _percentiles(
    group_of: Integers, groups: int, times: tuple[Integers, Integers, Integers] | None
) -> Iterator[Sequence[float | None]]:
    """Yield p50, then p95 (nearest rank) of the times of each group, in seconds."""
    if times is None:
        yield from ([None] * groups for _ in _SHARES)
        return
    clients, bins, lookups = times
    key = group_of[clients] * TIME_BINS + bins
    order = np.argsort(key, kind="stable")
    key, until = key[order], np.cumsum(lookups[order], dtype=np.int64)
    ends = np.searchsorted(key, np.arange(1, groups + 1) * TIME_BINS)
    total = np.append(0, until)[ends]  # complete lookups of each group and all before it
    before = np.append(0, total[:-1])
    size = total - before
    for share in _SHARES:
        rank = before + np.minimum((share * size).astype(np.int64), size - 1)
        at = np.searchsorted(until, rank, side="right")
        yield [
            time_of_bin(int(key[i]) % TIME_BINS) / 1e9 if n else None
            for i, n in zip(at.tolist(), size.tolist(), strict=True)
        ]


def workload_rows(
    counted: ClientCounts,
    order: Sequence[int],
    called: Sequence[Client],
    told: Sequence[Client],
    findings: Iterable[Finding],
    *,
    has_clock: bool,
) -> tuple[Workload, ...]:
    """Return one row a workload, most wasted queries first.

    ``order`` says which of those counted each client is. ``called`` are the clients as findings
    call them, ``told`` the same with their plain addresses.
    """
    keys, group_of = _keys(told)
    counts, groups = counted.counts(), len(keys)
    of_counted = np.empty(counts.size, np.int64)  # the workload of each that was counted
    of_counted[np.array(order, np.int64)] = group_of
    sums = {}
    for field in BY_CLIENT.names or ():
        sums[field] = np.zeros(groups, np.int64)
        np.add.at(sums[field], of_counted, counts[field])
    p50, p95 = _percentiles(of_counted, groups, counted.times() if has_clock else None)
    members: list[set[tuple[str, str | None]]] = [set() for _ in keys]
    known_as: dict[str, set[int]] = defaultdict(set)
    for number, mine, client in zip(group_of.tolist(), called, told, strict=True):
        members[number].add((client.client_addr, client.container))
        known_as[mine.client_addr].add(number)
    faults: list[set[str]] = [set() for _ in keys]
    for finding in findings:
        if finding.certainty is Certainty.SHOWN:
            for number in {n for c in finding.clients for n in known_as.get(c, ())}:
                faults[number].add(finding.code)
    rows = [
        Workload(
            *key,
            clients=len(members[n]),
            lookups=int(sums["lookups"][n]),
            complete_lookups=int(sums["complete"][n]),
            queries=int(sums["queries"][n]),
            complete_queries=int(sums["complete_queries"][n]),
            wasted_queries=int(sums["wasted"][n]),
            nxdomain_queries=int(sums["nxdomain"][n]),
            wasted_s=int(sums["lost_ns"][n]) / 1e9 if has_clock else 0.0,
            lookups_s=int(sums["took_ns"][n]) / 1e9 if has_clock else None,
            p50_s=p50[n],
            p95_s=p95[n],
            faults=tuple(sorted(faults[n])),
        )
        for n, key in enumerate(keys)
    ]
    return tuple(sorted(rows, key=_rank))


def _rank(row: Workload) -> tuple[int, int, str, str, str]:
    texts = row.namespace or "", row.workload or "", row.client_addr or ""
    return -row.wasted_queries, -row.queries, *texts
