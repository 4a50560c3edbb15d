"""The frozen records that travel between the stages and out to callers.

A :class:`Results` is what everything after reading works on: reports, JSON, comparisons. Its
attributes are the parts of ``analysis.json`` (schema ``pcapkit.analysis/1``) and, beside them, the
small prepared series that charts need. It holds no packets and no row tables, and knows nothing of
how it is rendered: ``pcapkit.Analysis`` is the same with those doors.

Times are integers of nanoseconds since 1970-01-01 UTC, None where the source has no clock;
durations are float seconds and their names end in ``_s``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pcapkit.limits import DEFAULTS, Limits
from pcapkit.model.audits import Workload
from pcapkit.model.captures import CaptureInfo, MessageCounts, PacketLedger
from pcapkit.model.clients import Client, Vantage
from pcapkit.model.plans import Coverage, Plan
from pcapkit.model.series import Chain, LatencyCurve, Suffix, Timeline
from pcapkit.model.settings import Setting
from pcapkit.model.vocabulary import Certainty, Safety, Severity


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
    complete_by_outcome: Mapping[str, int]
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None


@dataclass(frozen=True, slots=True)
class WasteCounts:
    """``by_class`` holds every class, also at 0, and sums to ``queries``.

    ``share`` is wasted queries over the queries of complete lookups, 0 where there are none;
    ``wasted_s`` the time lookups lost before the candidate that answered was first asked.
    ``search_s`` is the part of it that search misses took, in lookups that waited for no timer of
    their resolver: such a wait is a fault's. ``search_p50_s`` is its median over those lookups,
    None without any or a clock.
    """

    queries: int
    wasted_queries: int
    share: float
    wasted_s: float
    by_class: Mapping[str, int]
    search_s: float = 0.0
    search_p50_s: float | None = None


@dataclass(frozen=True, slots=True)
class Name:
    """One row per (base name, name that answered it); times as in ``WasteCounts``."""

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
    search_s: float = 0.0


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
    setting: Setting
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
    container: str | None = None  #: of the client, as in its own row

    @property
    def ndots(self) -> int | None:
        """The ndots, where another one is all that the setting changes."""
        return self.setting.ndots if self.setting.is_ndots else None


#: In the evidence of a finding that names no more clients than the limit allows: how many others
#: there are.
UNNAMED_CLIENTS = "other_clients"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong that was seen; ``code`` is a fault code, ``evidence`` plain JSON values.

    ``excludes`` are the other explanations that the traffic rules out, with the numbers that do;
    where one stays possible, ``certainty`` says so. ``meaning`` and ``action`` are the fault's
    manual, so that a result explains itself.
    """

    code: str
    severity: Severity
    certainty: Certainty
    excludes: tuple[str, ...]
    title: str
    meaning: str
    action: str
    clients: tuple[str, ...]
    evidence: Mapping[str, object]

    @property
    def concerns(self) -> int:
        """How many clients it is about: those it names, and those beyond the limit."""
        return len(self.clients) + int(str(self.evidence.get(UNNAMED_CLIENTS, 0)))


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
class OtherRows:
    """Clients beyond the limit: how many rows they would have, and what they did, as one row."""

    count: int = 0
    client: Client | None = None
    workload: Workload | None = None


@dataclass(frozen=True, slots=True)
class OtherNames:
    """Names beyond the limit: how many, how many of them wasted queries, and all as one row."""

    count: int = 0
    wasteful: int = 0
    row: Name | None = None


@dataclass(frozen=True)
class Results:
    """The result of one analysis; see the module's first lines."""

    pcapkit_version: str
    options: Mapping[str, object]
    captures: tuple[CaptureInfo, ...]
    packets: PacketLedger
    message_counts: MessageCounts
    transaction_counts: TransactionCounts
    lookup_counts: LookupCounts
    waste: WasteCounts
    vantage: Vantage
    client_rows: tuple[Client, ...]
    workload_rows: tuple[Workload, ...]
    name_rows: tuple[Name, ...]
    what_if_rows: tuple[WhatIf, ...]
    findings: tuple[Finding, ...]
    recommendations: tuple[Recommendation, ...]
    plans: tuple[Plan, ...]
    warnings: tuple[str, ...]
    # what charts need, prepared while reading
    wasted_names: int  # names with wasted queries; they are the first of ``name_rows``
    timeline: Timeline
    latency: LatencyCurve
    suffixes: tuple[Suffix, ...]
    chains: tuple[Chain, ...]
    # beyond the limits: what has no row of its own
    other_clients: OtherRows = OtherRows()
    other_names: OtherNames = OtherNames()
    #: those that it keeps, the ones of its page among them
    limits: Limits = DEFAULTS


def shown_faults(analysis: Results) -> tuple[str, ...]:
    """Return the codes of the faults that are shown."""
    return tuple(f.code for f in analysis.findings if f.certainty is Certainty.SHOWN)
