"""Count lookups into the rows that reports and JSON show."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from pcapkit.analysis.reading import ClientReading, Lookup, Transaction, join
from pcapkit.model import (
    LOOKUP_OUTCOMES,
    TRANSACTION_OUTCOMES,
    WASTE_CLASSES,
    WASTED_CLASSES,
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

_BINS = 120


def wasted_ns(lookup: Lookup) -> int:
    """Time from a lookup's first query to the first query of the candidate that answered."""
    if lookup.answered_by is None:
        return 0
    hit = min(t.first.time for t in lookup.transactions if t.candidate == lookup.answered_by)
    return hit - lookup.start


def transaction_counts(lookups: Iterable[Lookup]) -> TransactionCounts:
    """Count transactions by outcome, and their retries."""
    outcomes: Counter[str] = Counter()
    retries = 0
    for lookup in lookups:
        for t in lookup.transactions:
            outcomes[TRANSACTION_OUTCOMES[t.outcome]] += 1
            retries += len(t.exchanges) - 1
    return TransactionCounts(
        outcomes.total(), retries, {o: outcomes[o] for o in TRANSACTION_OUTCOMES}
    )


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    """Nearest-rank quantile of sorted values."""
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def lookup_counts(lookups: Sequence[Lookup], *, has_clock: bool) -> LookupCounts:
    """Count lookups by outcome, with percentiles of complete lookups' durations."""
    outcomes = Counter(x.outcome for x in lookups)
    durations = sorted((x.end - x.start) / 1e9 for x in lookups if x.complete)
    if not has_clock:
        durations = []
    return LookupCounts(
        len(lookups),
        sum(x.complete for x in lookups),
        {o: outcomes[o] for o in LOOKUP_OUTCOMES},
        _quantile(durations, 0.50),
        _quantile(durations, 0.95),
        _quantile(durations, 0.99),
    )


def waste_counts(lookups: Sequence[Lookup], *, has_clock: bool) -> WasteCounts:
    """Count queries by waste class; the classes sum to the queries."""
    classes = Counter(t.waste_class for x in lookups for t in x.transactions)
    wasted = sum(classes[c] for c in WASTED_CLASSES)
    judged = classes.total() - classes["incomplete"]
    lost = sum(wasted_ns(x) for x in lookups if x.complete) / 1e9 if has_clock else 0.0
    return WasteCounts(
        classes.total(), wasted, wasted / judged if judged else 0.0, lost,
        {c: classes[c] for c in WASTE_CLASSES},
    )  # fmt: skip


def client_rows(
    readings: Iterable[ClientReading], address: Callable[[int], str], *, has_clock: bool
) -> tuple[Client, ...]:
    """One row per client and period, most wasted queries first."""
    rows = []
    for r in readings:
        whole = [x for x in r.lookups if x.complete]
        suffixes = tuple(join(s) for s in r.search.suffixes)
        rows.append(
            Client(
                client_addr=address(r.client),
                first_time=min(x.start for x in r.lookups) if has_clock else None,
                last_time=max(x.end for x in r.lookups) if has_clock else None,
                pod=None,
                namespace=namespace_of(suffixes),
                workload=None,
                search=suffixes,
                search_source=r.search_source,
                ndots=r.ndots,
                resolver=r.resolver,
                lookups=len(r.lookups),
                queries=sum(len(x.transactions) for x in r.lookups),
                wasted_queries=sum(x.wasted for x in r.lookups),
                wasted_s=sum(wasted_ns(x) for x in whole) / 1e9 if has_clock else 0.0,
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


def kind_of(lookup: Lookup, zones: Sequence[tuple[str, ...]]) -> str:
    """Say what sort of name a lookup asked for."""
    if lookup.candidates[0][-1:] == ("arpa",):
        return "reverse"
    if lookup.answered_by is not None:
        inside = any(lookup.answered_by[-len(z) :] == z for z in zones)
        return "cluster" if inside else "external"
    if lookup.outcome in ("nxdomain", "nodata"):
        return "nonexistent"
    return "single_label" if len(lookup.base) == 1 else "unknown"


def zones_of(readings: Iterable[ClientReading]) -> list[tuple[str, ...]]:
    """Return the cluster domains that the search lists show, or the usual one."""
    zones = {
        s[1:] for r in readings for s in r.search.suffixes if len(s) > 1 and s[0] == "svc"
    }
    return sorted(zones) or [("cluster", "local")]


def name_rows(
    lookups: Iterable[Lookup], zones: Sequence[tuple[str, ...]], *, has_clock: bool
) -> tuple[Name, ...]:
    """One row per (base name, name that answered), most wasted queries first."""
    groups: dict[tuple[str, str | None], list[Lookup]] = defaultdict(list)
    for x in lookups:
        fqdn = join(x.answered_by) + "." if x.answered_by is not None else None
        groups[join(x.base), fqdn].append(x)
    rows = []
    for (base, fqdn), members in groups.items():
        classes = Counter(t.waste_class for x in members for t in x.transactions)
        lost = sum(wasted_ns(x) for x in members if x.complete) / 1e9 if has_clock else 0.0
        rows.append(
            Name(
                base, fqdn, kind_of(members[0], zones), max(0, len(members[0].base) - 1),
                len(members), classes.total(), sum(classes[c] for c in WASTED_CLASSES), lost,
                len({x.client for x in members}), dict(classes),
            )
        )  # fmt: skip
    rows.sort(key=lambda n: (-n.wasted_queries, -n.queries, n.base_name, n.fqdn or ""))
    return tuple(rows)


def suffix_rows(lookups: Iterable[Lookup]) -> tuple[Suffix, ...]:
    """What each search suffix cost and answered, most wasted first."""
    queries: Counter[str] = Counter()
    wasted: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    for x in lookups:
        for t in x.transactions:
            if t.suffix:
                text = join(t.suffix)
                queries[text] += 1
                wasted[text] += t.waste_class in WASTED_CLASSES
                answers[text] += t.waste_class == "answer"
    order = sorted(queries, key=lambda s: (-wasted[s], -queries[s], s))
    return tuple(Suffix(s, queries[s], wasted[s], answers[s]) for s in order)


def timeline(lookups: Iterable[Lookup], *, has_clock: bool) -> Timeline:
    """Queries by class in equal bins from the first query to the last."""
    points = [(t.first.time, t.waste_class) for x in lookups for t in x.transactions]
    if not points or not has_clock:
        return Timeline(None, 0.0, {})
    start = min(p[0] for p in points)
    span = max(p[0] for p in points) - start
    width = max(1, -(-(span + 1) // _BINS))
    bins = span // width + 1
    counts = {c: [0] * bins for c in WASTE_CLASSES}
    for time, waste_class in points:
        counts[waste_class][(time - start) // width] += 1
    return Timeline(start, width / 1e9, {c: tuple(v) for c, v in counts.items() if any(v)})


def latency_curve(lookups: Iterable[Lookup], *, has_clock: bool) -> LatencyCurve:
    """Percentiles of resolved lookups' durations, as they were and without the waste."""
    whole = [x for x in lookups if x.complete and x.outcome == "resolved"]
    if not whole or not has_clock:
        return LatencyCurve((), (), 0)
    full = sorted((x.end - x.start) / 1e9 for x in whole)
    lean = sorted((x.end - x.start - wasted_ns(x)) / 1e9 for x in whole)
    def pick(values: list[float]) -> tuple[float, ...]:
        return tuple(values[round(k / 100 * (len(values) - 1))] for k in range(101))

    return LatencyCurve(pick(full), pick(lean), len(whole))


def _step(lookup: Lookup, t: Transaction) -> ChainStep:
    response = t.response
    return ChainStep(
        candidate=join(t.candidate),
        suffix=join(t.suffix) if t.suffix else None,
        qtype="",
        query_packet_no=t.first.number,
        response_packet_no=response.number if response else None,
        start_s=(t.first.time - lookup.start) / 1e9,
        rtt_s=(response.done - response.time) / 1e9 if response else None,
        outcome=TRANSACTION_OUTCOMES[t.outcome],
        waste_class=t.waste_class,
        retries=len(t.exchanges) - 1,
    )


def worst_chains(
    lookups: Sequence[Lookup], address: Callable[[int], str],
    finish: Callable[[ChainStep, Transaction], ChainStep], capture: str, *, has_clock: bool,
    limit: int = 3,
) -> tuple[Chain, ...]:  # fmt: skip
    """The lookups that wasted most, one a base name: the examples that are drawn."""
    chains: list[Chain] = []
    seen = set()
    for x in sorted(lookups, key=lambda x: (-x.wasted, x.number)):
        if len(chains) == limit or x.wasted == 0:
            break
        if x.base in seen:
            continue
        seen.add(x.base)
        chains.append(
            Chain(
                x.number, address(x.client), join(x.base), x.outcome, capture,
                x.start if has_clock else None, (x.end - x.start) / 1e9 if has_clock else None,
                wasted_ns(x) / 1e9 if has_clock else None,
                tuple(finish(_step(x, t), t) for t in x.transactions),
            )
        )  # fmt: skip
    return tuple(chains)


