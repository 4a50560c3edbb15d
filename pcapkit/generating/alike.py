"""A scenario of the same shape as a capture: its numbers, and none of its names and addresses."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
import pandas as pd

from pcapkit.cluster.conventions import CLUSTER_DOMAIN, SERVICES
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN
from pcapkit.generating.habits import HABITS
from pcapkit.generating.scenario import (
    Delays,
    Network,
    Outcomes,
    Pod,
    Request,
    Scenario,
    Settings,
    Zones,
    around,
)
from pcapkit.generating.standins import Addresses, StandIns
from pcapkit.model.clients import Client
from pcapkit.model.vocabulary import TRANSACTION_OUTCOMES
from pcapkit.names.text import dots
from pcapkit.pipeline.analysis import Analysis
from pcapkit.resolver.models import resolver_model

_NUMBERS = {text: number for number, text in enumerate(TRANSACTION_OUTCOMES)}
_HEARD = (ANSWER, NODATA, NXDOMAIN)
#: Steps of the quantiles of delays, and the bins that they are counted in, in seconds.
_STEPS, _BINS = 33, np.geomspace(1e-6, 100.0, 801)
_MOST_LOST = 0.5
#: Below every resolver's timer, so that nobody asks again what is only slow.
_LONGEST_DELAY_S = 2.0
#: Where a capture has no clock: seconds that a lookup takes.
_CLOCKLESS_S = 0.2

Who = tuple[str, str | None]


@dataclass
class _Asked:
    """What one client of the capture asked for: (name, absolute, types), how often."""

    requests: Counter[tuple[str, bool, tuple[str, ...]]] = field(default_factory=Counter)


@dataclass
class _Seen:
    """What a capture shows, added up."""

    clients: dict[Who, _Asked] = field(default_factory=lambda: defaultdict(_Asked))
    #: (base name, suffix, type) -> outcomes
    ends: dict[tuple[str, str, str], Counter[int]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    delays: dict[bool, Any] = field(default_factory=dict)
    lost: float = 0.0
    heard: int = 0
    authoritative: int = 0
    own: int = 0
    first: pd.Timestamp | None = None
    last: pd.Timestamp | None = None
    lookups: int = 0
    #: of everything that was asked, also in lookups that the capture cuts
    servers: set[str] = field(default_factory=set)
    labels: set[str] = field(default_factory=set)


def _rows(frames: Iterable[pd.DataFrame], columns: Sequence[str]) -> Iterable[tuple[Any, ...]]:
    """Give the rows of a table, null values as None."""
    for frame in frames:
        part = frame[list(columns)].astype(object)
        yield from part.where(part.notna(), None).itertuples(index=False, name=None)


def _look(analysis: Analysis, rows: Mapping[Who, Client], domain: str) -> _Seen:
    seen = _Seen()
    columns = (
        "client_addr",
        "container",
        "base_name",
        "absolute",
        "qtypes",
        "outcome",
        "candidates",
    )
    for frame in analysis.table_parts("lookups"):
        frame = frame[frame["complete"].astype(bool) & frame["base_name"].notna()]
        times = frame["start_time"].dropna()
        if len(times):
            seen.first = min(times.min(), seen.first) if seen.first is not None else times.min()
            seen.last = max(times.max(), seen.last) if seen.last is not None else times.max()
        for address, container, base, absolute, qtypes, outcome, asked in _rows([frame], columns):
            who, names = (address, container), tuple(asked)
            ndots = rows[who].ndots.value if who in rows else 0
            # a name that ended as is, and was not searched, has a final dot for all that shows
            ended = names == (base,) and (outcome != "resolved" or dots(base) < ndots)
            is_absolute = bool(absolute) or ended
            seen.clients[who].requests[base, is_absolute, _pair_first(qtypes)] += 1
            seen.lookups += 1
    _look_at_queries(analysis, rows, domain, seen)
    return seen


def _pair_first(qtypes: Sequence[str]) -> tuple[str, ...]:
    """Return types in the order in which resolvers send them: A, AAAA, others."""
    return tuple(sorted(qtypes, key=lambda t: (("A", "AAAA", t).index(t), t)))


def _look_at_queries(
    analysis: Analysis, rows: Mapping[Who, Client], domain: str, seen: _Seen
) -> None:
    columns = (
        "client_addr",
        "container",
        "qname",
        "suffix",
        "qtype",
        "outcome",
        "aa",
        "retries",
        "transport",
    )
    for frame in analysis.table_parts("transactions"):
        seen.servers.update(frame["server_addr"].dropna())
        for name in frame["qname"].dropna().unique():
            seen.labels.update(name.split("."))
        frame = frame[(frame["waste_class"] != "incomplete") & frame["qname"].notna()]
        if not len(frame):
            continue
        is_own = frame["qname"].str.endswith(f".{domain}")
        plain = frame["retries"] == 0
        for own in (True, False):
            delays = frame.loc[(is_own == own) & plain, "rtt_s"].dropna().to_numpy(np.float64)
            counts = np.histogram(delays, _BINS)[0]
            seen.delays[own] = seen.delays.get(own, 0) + counts
        for address, container, qname, suffix, qtype, end, aa, retries, way in _rows(
            [frame], columns
        ):
            base = qname[: -len(suffix) - 1] if suffix else qname
            number = _NUMBERS[end]
            seen.ends[base, suffix or "", qtype][number] += 1
            if number in _HEARD:
                row = rows.get((address, container))
                model = resolver_model(row.resolver.model) if row else resolver_model("unknown")
                seen.heard += 1
                if retries and way == "udp":
                    seen.lost += 0.5 if model.both_again else 1.0
                if qname.endswith(f".{domain}"):
                    seen.own += 1
                    seen.authoritative += bool(aa)


def _delays(counts: Any, usual: Delays) -> Delays:
    """Return the quantiles of what was counted."""
    total = int(np.sum(counts))
    if not total:
        return usual
    first, last = np.flatnonzero(counts)[[0, -1]]
    ends = np.concatenate(([0.0], np.cumsum(counts[first : last + 1]) / total))
    drawn = np.interp(np.linspace(0, 1, _STEPS), ends, _BINS[first : last + 2])
    return Delays(tuple(np.minimum(drawn, _LONGEST_DELAY_S).tolist()))


def _player_of(row: Client) -> str:
    """Return the resolver that is played for a client: its own, or glibc where that cannot be."""
    name = row.resolver.model
    if name == "c-ares":
        return "c-ares@1.30"
    return name if name in HABITS else "glibc"


def _domain_of(rows: Iterable[Client]) -> str:
    """Return the cluster domain that the search lists show; cluster.local where none does."""
    for row in rows:
        for before, suffix in zip(row.search, row.search[1:], strict=False):
            if before == f"{SERVICES}.{suffix}":
                return suffix
    return CLUSTER_DOMAIN


def alike(
    analysis: Analysis, seed: int, *, lookups: int | None = None, seconds: float | None = None
) -> Scenario:
    """Return a scenario of the same shape as an analysed capture.

    Each client has a counterpart with the same ndots, a list of the same length and the same
    resolver, which asks as often for names with as many dots; each name is held, denied or failed
    at the same places of the list. Queries are lost as often, and delays and the rate of lookups
    are drawn from the same distributions. Lookups that the capture cuts are left out.
    """
    rows: dict[Who, Client] = {}
    for row in analysis.client_rows:
        known = rows.get((row.client_addr, row.container))
        if known is None or row.lookups > known.lookups:
            rows[row.client_addr, row.container] = row
    domain = _domain_of(rows.values())
    seen = _look(analysis, rows, domain)
    dice = Random(f"{seed} names")
    for row in rows.values():
        seen.labels.update(label for suffix in row.search for label in suffix.split("."))
    names = StandIns(dice, domain, seen.labels)
    addresses = Addresses(dice, {a for a, _ in rows} | seen.servers)
    outcomes: dict[tuple[str, str], Outcomes] = {}
    for (base, suffix, qtype), counts in seen.ends.items():
        made = names.name(base)
        asked = f"{made}.{names.suffix(suffix)}" if suffix else made
        outcomes[asked, qtype] = tuple(sorted(counts.items()))
    pods = tuple(
        Pod(
            addresses.client(),
            Settings(
                _player_of(rows[who]),
                tuple(names.suffix(s) for s in rows[who].search),
                rows[who].ndots.value,
                (addresses.server,),
            ),
            tuple(
                Request(names.name(base) + ("." if absolute else ""), times, qtypes)
                for (base, absolute, qtypes), times in asked.requests.items()
            ),
            asked.requests.total(),
        )
        for who, asked in seen.clients.items()
        if who in rows
    )
    total = seen.lookups if lookups is None else lookups
    span = _CLOCKLESS_S * seen.lookups
    if seen.first is not None and seen.last is not None:
        span = max(1e-3, (seen.last - seen.first).total_seconds())
    network = Network(
        _delays(seen.delays.get(True, 0), around(0.0004)),
        _delays(seen.delays.get(False, 0), around(0.005)),
        lost=min(_MOST_LOST, seen.lost / max(1, seen.heard)),
    )
    zones = Zones({}, outcomes=outcomes, is_authoritative=2 * seen.authoritative >= seen.own)
    return Scenario(
        "like",
        pods,
        zones,
        network,
        total if pods else 0,
        span if seconds is None else seconds,
        addresses=addresses.records,
    )
