"""Count lookups into the rows that reports and JSON show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.describe import EMPTY, MISSING, RESOLVED
from pcapkit.analysis.reading import ClientReading, Readings
from pcapkit.analysis.suffixes import Labels, join
from pcapkit.analysis.waste import HIT, INCOMPLETE, is_wasted
from pcapkit.codes import qtype_text
from pcapkit.layout import NO_TIME
from pcapkit.model import (
    LOOKUP_OUTCOMES,
    TRANSACTION_OUTCOMES,
    WASTE_CLASSES,
    Chain,
    ChainStep,
    Client,
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


def transaction_counts(r: Readings) -> TransactionCounts:
    """Count transactions by outcome, and their retries."""
    outcomes = np.bincount(r.transactions["outcome"], minlength=len(TRANSACTION_OUTCOMES))
    return TransactionCounts(
        r.transactions.size, int(r.transactions["retries"].sum()),
        dict(zip(TRANSACTION_OUTCOMES, outcomes.tolist(), strict=True)),
    )  # fmt: skip


def _quantile(ordered: npt.NDArray[np.int64], share: float) -> float | None:
    """Nearest-rank quantile of sorted nanoseconds, in seconds."""
    if not ordered.size:
        return None
    return int(ordered[min(ordered.size - 1, int(share * ordered.size))]) / 1e9


def lookup_counts(r: Readings) -> LookupCounts:
    """Count lookups by outcome, with percentiles of complete lookups' durations."""
    outcomes = np.bincount(r.lookups["outcome"], minlength=len(LOOKUP_OUTCOMES))
    whole = r.lookups[r.lookups["complete"] != 0]
    durations = np.sort(whole["end"] - whole["start"]) if r.has_clock else np.zeros(0, np.int64)
    return LookupCounts(
        r.lookups.size, whole.size,
        dict(zip(LOOKUP_OUTCOMES, outcomes.tolist(), strict=True)),
        _quantile(durations, 0.50), _quantile(durations, 0.95), _quantile(durations, 0.99),
    )  # fmt: skip


def _lost_s(r: Readings, lookups: npt.NDArray[Any]) -> float:
    return int(lookups["wasted_ns"].sum()) / 1e9 if r.has_clock else 0.0


def waste_counts(r: Readings) -> WasteCounts:
    """Count queries by waste class; the classes sum to the queries."""
    classes = np.bincount(r.transactions["waste_class"], minlength=len(WASTE_CLASSES))
    wasted = int(r.lookups["wasted"].sum())
    judged = r.transactions.size - int(classes[INCOMPLETE])
    return WasteCounts(
        r.transactions.size, wasted, wasted / judged if judged else 0.0,
        _lost_s(r, r.lookups[r.lookups["complete"] != 0]),
        dict(zip(WASTE_CLASSES, classes.tolist(), strict=True)),
    )  # fmt: skip


def client_rows(r: Readings, address: Address) -> tuple[Client, ...]:
    """One row per client and period, most wasted queries first."""
    size = len(r.clients)
    index = r.lookups["client"]
    lost = np.where(r.lookups["complete"] != 0, r.lookups["wasted_ns"], 0)
    sums = {
        key: np.bincount(index, weights=values, minlength=size)
        for key, values in (
            ("lookups", None), ("queries", r.lookups["queries"]), ("wasted", r.lookups["wasted"]),
        )
    }  # fmt: skip
    lost_ns, first, last = (np.zeros(size, np.int64) for _ in range(3))
    np.add.at(lost_ns, index, lost)
    first[:] = np.iinfo(np.int64).max
    last[:] = np.iinfo(np.int64).min
    np.minimum.at(first, index, r.lookups["start"])
    np.maximum.at(last, index, r.lookups["end"])
    rows = []
    for i, c in enumerate(r.clients):
        suffixes = tuple(join(s) for s in c.search.suffixes)
        rows.append(
            Client(
                client_addr=address(c.client),
                first_time=int(first[i]) if r.has_clock else None,
                last_time=int(last[i]) if r.has_clock else None,
                pod=None,
                namespace=namespace_of(suffixes),
                workload=None,
                search=suffixes,
                search_source=c.search_source,
                ndots=c.ndots,
                resolver=c.resolver,
                lookups=int(sums["lookups"][i]),
                queries=int(sums["queries"][i]),
                wasted_queries=int(sums["wasted"][i]),
                wasted_s=int(lost_ns[i]) / 1e9 if r.has_clock else 0.0,
            )
        )
    rows.sort(key=lambda c: (-c.wasted_queries, -c.queries, c.client_addr))
    return tuple(rows)


def namespace_of(search: Sequence[str]) -> str | None:
    """Return the namespace that a Kubernetes search list's first suffix names."""
    if search:
        labels = search[0].split(".")
        if len(labels) > 2 and labels[1] == "svc":
            return labels[0]
    return None


def zones_of(clients: Iterable[ClientReading]) -> list[Labels]:
    """Return the cluster domains that the search lists show, or the usual one."""
    zones = {s[1:] for c in clients for s in c.search.suffixes if len(s) > 1 and s[0] == "svc"}
    return sorted(zones) or [("cluster", "local")]


def kind_of(r: Readings, base: int, answered_by: int, outcome: int, zones: Sequence[Labels]) -> str:
    """Say what sort of name a lookup asked for."""
    name = r.names.labels(base)
    if name[-1:] == ("arpa",):
        return "reverse"
    if answered_by >= 0:
        answer = r.names.labels(answered_by)
        return "cluster" if any(answer[-len(z) :] == z for z in zones) else "external"
    if outcome in (MISSING, EMPTY):
        return "nonexistent"
    return "single_label" if len(name) == 1 else "unknown"


def name_rows(r: Readings, zones: Sequence[Labels]) -> tuple[Name, ...]:
    """One row per (base name, name that answered), most wasted queries first."""
    if not r.lookups.size:
        return ()
    names = r.labels.size + 1
    key = r.lookups["base"].astype(np.int64) * names + (r.lookups["answered_by"] + 1)
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    size = first.size
    count = np.bincount(group, minlength=size)
    lost = np.zeros(size, np.int64)
    np.add.at(lost, group, np.where(r.lookups["complete"] != 0, r.lookups["wasted_ns"], 0))
    classes = np.bincount(
        group[r.transactions["lookup"]] * len(WASTE_CLASSES) + r.transactions["waste_class"],
        minlength=size * len(WASTE_CLASSES),
    ).reshape(size, len(WASTE_CLASSES))
    addresses = np.array([c.client for c in r.clients], np.int64)
    pairs = np.unique(group * (int(addresses.max()) + 1) + addresses[r.lookups["client"]])
    clients = np.bincount(pairs // (int(addresses.max()) + 1), minlength=size)
    wasted = classes[:, is_wasted(np.arange(len(WASTE_CLASSES)))].sum(axis=1)
    rows = []
    for g, at in enumerate(first.tolist()):
        look = r.lookups[at]
        base, hit = int(look["base"]), int(look["answered_by"])
        rows.append(
            Name(
                join(r.names.labels(base)), join(r.names.labels(hit)) + "." if hit >= 0 else None,
                kind_of(r, base, hit, int(look["outcome"]), zones), max(0, int(r.labels[base]) - 1),
                int(count[g]), int(classes[g].sum()), int(wasted[g]),
                int(lost[g]) / 1e9 if r.has_clock else 0.0, int(clients[g]),
                {WASTE_CLASSES[k]: n for k, n in enumerate(classes[g].tolist()) if n},
            )
        )  # fmt: skip
    rows.sort(key=lambda n: (-n.wasted_queries, -n.queries, n.base_name, n.fqdn or ""))
    return tuple(rows)


def suffix_rows(r: Readings) -> tuple[Suffix, ...]:
    """What each search suffix cost and answered, most wasted first."""
    queries: Counter[str] = Counter()
    wasted: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    client = r.lookups["client"][r.transactions["lookup"]]
    widest = max((len(c.search.suffixes) for c in r.clients), default=0)
    listed = r.transactions["suffix"] >= 0
    key = client[listed].astype(np.int64) * widest + r.transactions["suffix"][listed]
    classes = r.transactions["waste_class"][listed]
    for mask, into in (
        (np.ones(classes.size, np.bool_), queries), (is_wasted(classes), wasted),
        (classes == HIT, answers),
    ):  # fmt: skip
        for k, n in zip(*np.unique(key[mask], return_counts=True), strict=True):
            into[join(r.clients[int(k) // widest].search.suffixes[int(k) % widest])] += int(n)
    order = sorted(queries, key=lambda s: (-wasted[s], -queries[s], s))
    return tuple(Suffix(s, queries[s], wasted[s], answers[s]) for s in order)


def timeline(r: Readings) -> Timeline:
    """Queries by class in equal bins from the first query to the last."""
    if not r.transactions.size or not r.has_clock:
        return Timeline(None, 0.0, {})
    times = r.transactions["time"]
    start = int(times.min())
    span = int(times.max()) - start
    width = max(1, -(-(span + 1) // _BINS))
    bins = span // width + 1
    place = (times - start) // width
    counts = np.bincount(
        r.transactions["waste_class"].astype(np.int64) * bins + place,
        minlength=len(WASTE_CLASSES) * bins,
    ).reshape(len(WASTE_CLASSES), bins)
    shown = {c: tuple(row) for c, row in zip(WASTE_CLASSES, counts.tolist(), strict=True)}
    return Timeline(start, width / 1e9, {c: row for c, row in shown.items() if any(row)})


def latency_curve(r: Readings) -> LatencyCurve:
    """Percentiles of resolved lookups' durations, as they were and without the waste."""
    whole = r.lookups[(r.lookups["complete"] != 0) & (r.lookups["outcome"] == RESOLVED)]
    if not whole.size or not r.has_clock:
        return LatencyCurve((), (), 0)
    full = np.sort(whole["end"] - whole["start"])
    lean = np.sort(whole["end"] - whole["start"] - whole["wasted_ns"])

    def pick(values: npt.NDArray[np.int64]) -> tuple[float, ...]:
        at = np.round(np.arange(101) / 100 * (values.size - 1)).astype(np.int64)
        return tuple((values[at] / 1e9).tolist())

    return LatencyCurve(pick(full), pick(lean), whole.size)


def _steps(r: Readings, look: Any) -> tuple[ChainStep, ...]:
    steps = []
    suffixes = r.clients[int(look["client"])].search.suffixes
    for t in r.transactions[look["first"] : look["first"] + look["queries"]]:
        response = int(t["response"])
        e = r.rows[response] if response >= 0 else None
        rtt = None
        if e is not None and r.has_clock and e["response_time"] != NO_TIME:
            rtt = int(e["response_time"] - e["query_time"]) / 1e9
        steps.append(
            ChainStep(
                candidate=join(r.names.labels(int(t["name"]))),
                suffix=join(suffixes[t["suffix"]]) if t["suffix"] >= 0 else None,
                qtype=qtype_text(int(t["qtype"])),
                query_packet_no=int(r.rows["query_packet"][t["first"]]),
                response_packet_no=None if e is None else int(e["response_packet"]),
                start_s=int(t["time"] - look["start"]) / 1e9,
                rtt_s=rtt,
                outcome=TRANSACTION_OUTCOMES[t["outcome"]],
                waste_class=WASTE_CLASSES[t["waste_class"]],
                retries=int(t["retries"]),
            )
        )
    return tuple(steps)


def worst_chains(
    r: Readings, address: Address, path_of: Sequence[str], *, limit: int = 3
) -> tuple[Chain, ...]:
    """The lookups that wasted most, one a base name: the examples that are drawn."""
    chains: list[Chain] = []
    seen: set[int] = set()
    numbers = np.flatnonzero(r.lookups["wasted"] > 0)
    numbers = numbers[np.argsort(-r.lookups["wasted"][numbers], kind="stable")]
    for number in numbers.tolist():
        look = r.lookups[number]
        if int(look["base"]) in seen:
            continue
        seen.add(int(look["base"]))
        lasted = int(look["end"] - look["start"]) / 1e9
        chains.append(
            Chain(
                number, address(r.clients[int(look["client"])].client),
                join(r.names.labels(int(look["base"]))), LOOKUP_OUTCOMES[look["outcome"]],
                path_of[int(r.rows["capture"][look["exchange"]])],
                int(look["start"]) if r.has_clock else None, lasted if r.has_clock else None,
                int(look["wasted_ns"]) / 1e9 if r.has_clock else None, _steps(r, look),
            )
        )  # fmt: skip
        if len(chains) == limit:
            break
    return tuple(chains)
