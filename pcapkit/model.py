"""The frozen records that travel between the stages and out to callers.

An :class:`Analysis` is what everything after reading works on: reports, JSON, comparisons. Its
attributes are the parts of ``analysis.json`` (schema ``pcapkit.analysis/1``) and, beside them, the
small prepared series that charts need. It holds no packets: the row tables (messages, transactions,
lookups) are built when they are asked for.

Times are integers of nanoseconds since 1970-01-01 UTC, None where the source has no clock;
durations are float seconds and their names end in ``_s``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from pcapkit.series import Chain, LatencyCurve, Suffix, Timeline

if TYPE_CHECKING:
    import pandas as pd


class Safety(StrEnum):
    """How far a change of settings can be trusted."""

    SAFE = "safe"
    REVIEW = "review"
    UNSAFE = "unsafe"


class Severity(StrEnum):
    """How much a fault hurts: lookups fail or wait, something is wrong, or it is good to know."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Source(StrEnum):
    """Where a setting is known from."""

    OBSERVED = "observed"
    RESOLV_CONF = "resolv.conf"
    OPTION = "option"
    ASSUMED = "assumed"


#: Every waste class in the order in which the first that applies is taken, and in which they are
#: drawn. ``analysis/waste.py`` holds the rule and the manual of each.
WASTE_CLASSES: tuple[str, ...] = (
    "incomplete",
    "unanswered",
    "server_error",
    "answer",
    "reverse_miss",
    "service_probe",
    "empty_family",
    "no_such_type",
    "absolute_miss",
    "nonexistent",
    "search_miss",
)

#: The classes that exist only because of the search list.
WASTED_CLASSES: tuple[str, ...] = ("search_miss", "absolute_miss")

#: Outcomes of a transaction; ``rcode`` alone cannot tell an answer from NODATA.
TRANSACTION_OUTCOMES: tuple[str, ...] = (
    "answer",
    "nodata",
    "nxdomain",
    "servfail",
    "refused",
    "other_rcode",
    "unanswered",
)

#: Outcomes of a lookup, in the order in which the first that occurs is taken.
LOOKUP_OUTCOMES: tuple[str, ...] = (
    "resolved",
    "unanswered",
    "servfail",
    "refused",
    "other_rcode",
    "nodata",
    "nxdomain",
)


@dataclass(frozen=True, slots=True)
class CaptureInfo:
    """One capture file (or stream) that was read."""

    path: str
    format: str
    compression: str | None
    link_types: tuple[str, ...]
    snaplen: int | None
    packets: int
    bytes: int
    first_time: int | None
    last_time: int | None
    truncated_tail: bool

    @property
    def duration_s(self) -> float | None:
        """Seconds from the first packet to the last; None without a clock or without packets."""
        if self.first_time is None or self.last_time is None:
            return None
        return (self.last_time - self.first_time) / 1e9


@dataclass(frozen=True, slots=True)
class PacketLedger:
    """Every packet exactly once: ``total == with_messages + duplicates + sum(skipped)``."""

    total: int
    with_messages: int
    duplicates: int
    skipped: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class MessageCounts:
    """DNS messages seen, duplicates left out."""

    total: int
    queries: int
    responses: int
    tcp: int
    truncated: int
    by_rcode: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TransactionCounts:
    """One query, its retries and its response count once in ``total``."""

    total: int
    retries: int
    by_outcome: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class LookupCounts:
    """Application lookups; percentiles are over complete lookups, None without any or a clock."""

    total: int
    complete: int
    by_outcome: Mapping[str, int]
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None


@dataclass(frozen=True, slots=True)
class WasteCounts:
    """``by_class`` holds every class, also at 0, and sums to ``queries``.

    ``share`` is wasted queries over the queries of complete lookups, 0 where there are none;
    ``wasted_s`` the time lookups lost before the candidate that answered was first asked.
    """

    queries: int
    wasted_queries: int
    share: float
    wasted_s: float
    by_class: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Ndots:
    """The closed interval that the traffic proves, and the value the analysis uses."""

    low: int
    high: int
    value: int
    source: Source


@dataclass(frozen=True, slots=True)
class ResolverGuess:
    """The stub resolver that the traffic looks like; ``model`` is ``unknown`` rather than a guess.

    ``confidence`` is between 0 and 1.
    """

    model: str
    confidence: float
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DnsPolicy:
    """The ``dnsPolicy`` that the pod's spec says, or list and servers show; None where none does.

    ``value`` is ``ClusterFirst``, ``ClusterFirstWithHostNet``, ``Default`` or ``None``.
    """

    value: str | None
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Client:
    """One client address in one period of constant settings."""

    client_addr: str
    first_time: int | None
    last_time: int | None
    pod: str | None
    namespace: str | None
    workload: str | None
    workload_kind: str | None
    search: tuple[str, ...]
    search_source: Source
    ndots: Ndots
    resolver: ResolverGuess
    lookups: int
    queries: int
    wasted_queries: int
    wasted_s: float
    dns_policy: DnsPolicy = DnsPolicy(None, ())
    #: several resolvers behind this address, which is not judged as one; and why
    mixture: bool = False
    mixture_reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Server:
    """One address that was asked; ``role`` is ``cluster_dns``, ``node_cache`` or ``other``.

    ``name`` is its service or pod (``namespace/name``), where that is known.
    """

    server_addr: str
    role: str
    name: str | None
    clients: int
    queries: int
    tcp_queries: int


@dataclass(frozen=True, slots=True)
class Translation:
    """Packets seen before and after their server address was translated."""

    before: str
    after: str
    packets: int


@dataclass(frozen=True, slots=True)
class Vantage:
    """Where the capture was taken, as far as it shows, and what cannot be seen from there.

    ``point`` is ``pod``, ``node``, ``cluster_dns``, ``upstream`` or ``unknown``.
    """

    point: str
    evidence: tuple[str, ...]
    unseen: tuple[str, ...]
    servers: tuple[Server, ...]
    translations: tuple[Translation, ...]


@dataclass(frozen=True, slots=True)
class Name:
    """One row per (base name, name that answered it)."""

    base_name: str
    fqdn: str | None
    kind: str
    dots: int
    lookups: int
    queries: int
    wasted_queries: int
    wasted_s: float
    clients: int
    #: queries by waste class, for charts; sums to ``queries``
    by_class: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What the same complete lookups would have sent under one setting.

    ``client_addr`` None means all clients together; ``observed`` marks the setting in force.
    ``upstream_queries`` are those whose answers came, or would come, without AA. ``lookups_s`` is
    the time of all lookups together, the percentiles are right within 1 %. ``peak_queries_per_s``
    counts the queries of lookups that began within one second. Times and the peak are None without
    a clock; percentiles and the peak also where they are not kept: for one client of several, and
    where a setting changes not every client alike.
    """

    client_addr: str | None
    setting: str
    ndots: int | None
    queries: int
    wasted_queries: int
    leaked_first: int
    broken_lookups: int
    assumed_queries: int
    observed: bool
    safety: Safety
    reasons: tuple[str, ...]
    upstream_queries: int
    reordered_lookups: int
    lookups_s: float | None
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    peak_queries_per_s: int | None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong that was seen; ``code`` is a fault code, ``evidence`` plain JSON values.

    ``meaning`` and ``action`` are the fault's manual, so that a result explains itself.
    """

    code: str
    severity: Severity
    title: str
    meaning: str
    action: str
    clients: tuple[str, ...]
    evidence: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a verdict rests on."""

    lookups: int
    names: int
    duration_s: float | None


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One thing to change, ranked by the queries it saves.

    ``target`` is a name, a suffix, a client address, a namespace, a workload or ``cluster``, and
    ``clients`` are the addresses it means. ``patch`` is text to paste, or None; ``patches`` the
    same in other shapes, by name. ``saves_upstream`` of the saved queries were not answered by the
    cluster's DNS itself; ``saves_s`` is the lookup time saved in the capture, None without a clock.
    """

    code: str
    target: str
    ndots: int | None
    action: str
    saves_queries: int
    saves_share: float
    safety: Safety
    reasons: tuple[str, ...]
    coverage: Coverage
    patch: str | None
    clients: tuple[str, ...] = ()
    saves_upstream: int = 0
    saves_s: float | None = None
    patches: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One capture of an audit; ``error`` is why it has no report, ``report`` a relative path."""

    path: str
    report: str | None
    error: str | None
    packets: int
    lookups: int
    queries: int
    wasted_queries: int
    share: float
    clients: int
    advice: str | None
    saves_queries: int
    warnings: int


@dataclass(frozen=True)
class Analysis:
    """The result of one analysis; see the module's first lines."""

    pcapkit_version: str
    options: Mapping[str, object]
    captures: tuple[CaptureInfo, ...]
    packets: PacketLedger
    messages: MessageCounts
    transaction_counts: TransactionCounts
    lookup_counts: LookupCounts
    waste: WasteCounts
    vantage: Vantage
    client_rows: tuple[Client, ...]
    name_rows: tuple[Name, ...]
    what_if_rows: tuple[WhatIf, ...]
    findings: tuple[Finding, ...]
    recommendations: tuple[Recommendation, ...]
    warnings: tuple[str, ...]
    # what charts need, prepared while reading
    wasted_names: int  # names with wasted queries; they are the first of ``name_rows``
    timeline: Timeline
    latency: LatencyCurve
    suffixes: tuple[Suffix, ...]
    chains: tuple[Chain, ...]
    #: builds a row table by name: ``messages`` ``transactions`` ``lookups``
    table: Callable[[str], pd.DataFrame] = field(repr=False, compare=False)
    #: gives ``lookups`` or ``transactions`` as frames that follow one another
    table_parts: Callable[[str], Iterator[pd.DataFrame]] = field(repr=False, compare=False)

    @property
    def lookups(self) -> pd.DataFrame:
        """The lookups table, built now."""
        return self.table("lookups")

    @property
    def transactions(self) -> pd.DataFrame:
        """The transactions table, built now."""
        return self.table("transactions")

    def to_json(self) -> str:
        """Return the analysis as JSON text, schema ``pcapkit.analysis/1``."""
        from pcapkit.report.export import dump_json

        return dump_json(self)

    def to_html(self, path: str | Path) -> None:
        """Write the report, one self-contained page, as a whole. Raises InputError."""
        from pcapkit.report.files import atomic_write
        from pcapkit.report.page import render_page

        atomic_write(Path(path), render_page(self).encode())
