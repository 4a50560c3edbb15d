"""Results as metrics in a file, for the textfile collector of Prometheus' node_exporter.

The text is OpenMetrics 1.0 and Prometheus' older format alike. All are gauges: each file holds the
counts of one run, which do not go on from those of the run before. There are no times of samples,
which the collector refuses. Labels are capped: workloads beyond the cap are one row ``other``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from pcapkit.model.audits import AuditRow, Together, Workload
from pcapkit.model.results import Results, shown_faults
from pcapkit.report.text.formatting import printable
from pcapkit.report.text.plans import best_plan, ended

FILE = "metrics.prom"
#: So many workloads have rows of their own, those that waste most.
MOST_WORKLOADS = 200
OTHER, UNKNOWN = "other", "unknown"
_LONGEST = 128  # characters of a label's value


@dataclass(slots=True)
class _Row:
    """What is summed of one workload, or of several that share a row; times in seconds."""

    clients: int = 0
    lookups: int = 0
    complete_lookups: int = 0
    queries: int = 0
    complete_queries: int = 0
    wasted_queries: int = 0
    nxdomain_queries: int = 0
    wasted_s: float = 0.0
    lookups_s: float | None = None
    p50_s: float | None = None
    p95_s: float | None = None

    def add(self, other: _Row | Workload) -> None:
        """Add another one; of percentiles the longest stays."""
        self.clients += other.clients
        self.lookups += other.lookups
        self.complete_lookups += other.complete_lookups
        self.queries += other.queries
        self.complete_queries += other.complete_queries
        self.wasted_queries += other.wasted_queries
        self.nxdomain_queries += other.nxdomain_queries
        self.wasted_s += other.wasted_s
        if other.lookups_s is not None:
            self.lookups_s = (self.lookups_s or 0.0) + other.lookups_s
        self.p50_s = max((p for p in (self.p50_s, other.p50_s) if p is not None), default=None)
        self.p95_s = max((p for p in (self.p95_s, other.p95_s) if p is not None), default=None)

    @property
    def waste_ratio(self) -> float:
        """Wasted queries over those of complete lookups."""
        return self.wasted_queries / self.complete_queries if self.complete_queries else 0.0


Value = int | float | None
#: Of each workload: the metric's name, its unit where it has one, its help, its value.
_BY_WORKLOAD: tuple[tuple[str, str, str, Callable[[_Row], Value]], ...] = (
    ("clients", "", "Clients that asked.", lambda r: r.clients),
    ("lookups", "", "Lookups of applications.", lambda r: r.lookups),
    ("complete_lookups", "", "Lookups that were seen whole.", lambda r: r.complete_lookups),
    ("queries", "", "DNS queries, each once with its retries.", lambda r: r.queries),
    ("complete_queries", "", "Queries of complete lookups.", lambda r: r.complete_queries),
    (
        "wasted_queries",
        "",
        "Queries of complete lookups that were search-path waste.",
        lambda r: r.wasted_queries,
    ),
    ("nxdomain_queries", "", "Queries answered with NXDOMAIN.", lambda r: r.nxdomain_queries),
    (
        "waste_ratio",
        "ratio",
        "Wasted queries over the queries of complete lookups.",
        lambda r: r.waste_ratio,
    ),
    (
        "wasted_seconds",
        "seconds",
        "Time that lookups lost before the name that answered was asked.",
        lambda r: r.wasted_s,
    ),
    ("lookups_seconds", "seconds", "Time of all complete lookups together.", lambda r: r.lookups_s),
    (
        "lookup_p50_seconds",
        "seconds",
        "Median time of a complete lookup, the longest of captures and clients.",
        lambda r: r.p50_s,
    ),
    (
        "lookup_p95_seconds",
        "seconds",
        "Time within which 95 of 100 complete lookups end, the longest of captures and clients.",
        lambda r: r.p95_s,
    ),
)


def render_metrics(analysis: Results) -> str:
    """Return the metrics of one analysis."""
    plan = best_plan(analysis)
    times = [c.last_time for c in analysis.captures if c.last_time is not None]
    return _render(
        analysis.pcapkit_version,
        (len(analysis.captures), 0),
        max(times, default=None),
        (plan.edits, ended(plan)) if plan else (0, 0),
        shown_faults(analysis),
        analysis.workload_rows,
    )


def render_audit_metrics(
    rows: Sequence[AuditRow], version: str, together: Together | None = None
) -> str:
    """Return the metrics of all captures of an audit together, without those that are gone.

    ``together`` is the plan for all of them, as in the index.
    """
    present = [r for r in rows if not r.gone]
    read = [r for r in present if r.error is None]
    return _render(
        version,
        (len(read), len(present) - len(read)),
        max((r.last_time for r in read if r.last_time is not None), default=None),
        (0, 0) if together is None else (together.edits, together.ends_queries),
        [code for r in read for code in r.faults],
        # in one order, as sums of seconds depend on it
        [w for r in sorted(read, key=lambda r: r.path) for w in r.workloads],
    )


def _render(
    version: str,
    captures: tuple[int, int],
    last_time: int | None,
    plan: tuple[int, int],
    faults: Iterable[str],
    workloads: Iterable[Workload],
) -> str:
    """Return the text; ``captures`` were read and failed, ``plan`` is edits and what they end."""
    lines: list[str] = []

    def family(name: str, unit: str, help_text: str, samples: Iterable[tuple[str, Value]]) -> None:
        shown = [(labels, value) for labels, value in samples if value is not None]
        if not shown:
            return
        lines.append(f"# TYPE pcapkit_{name} gauge")
        if unit:
            lines.append(f"# UNIT pcapkit_{name} {unit}")
        lines.append(f"# HELP pcapkit_{name} {help_text}")
        # sums of seconds end in noise behind the nanoseconds
        lines.extend(f"pcapkit_{name}{labels} {round(value, 9)!r}" for labels, value in shown)

    family("build_info", "", "The version that made this file.", [(_labels(version=version), 1)])
    family("captures", "", "Captures that were analysed.", [("", captures[0])])
    family("failed_captures", "", "Captures that could not be analysed.", [("", captures[1])])
    family(
        "last_packet_timestamp_seconds",
        "seconds",
        "Time of the last packet, in seconds since 1970.",
        [("", None if last_time is None else last_time / 1e9)],
    )
    family("plan_edits", "", "Edits of the plan for all captures.", [("", plan[0])])
    family("plan_ends_queries", "", "Wasted queries that this plan ends.", [("", plan[1])])
    family(
        "fault_captures",
        "",
        "Captures in which a fault is shown.",
        [(_labels(code=code), n) for code, n in sorted(Counter(faults).items())],
    )
    rows = list(_capped(workloads))
    for name, unit, help_text, value in _BY_WORKLOAD:
        family(name, unit, help_text, [(labels, value(row)) for labels, row in rows])
    return "\n".join([*lines, "# EOF", ""])


def _capped(workloads: Iterable[Workload]) -> Iterator[tuple[str, _Row]]:
    """Yield labels and sums of workloads, those that waste most first, the others as one row.

    A workload that is not known has its namespace alone: addresses come and go with pods.
    """
    together: dict[tuple[str, str], _Row] = {}
    for workload in workloads:
        key = _value(workload.namespace), _value(workload.workload)
        together.setdefault(key, _Row()).add(workload)
    order = sorted(
        together.items(), key=lambda item: (-item[1].wasted_queries, -item[1].queries, item[0])
    )
    shown, rest = dict(order[:MOST_WORKLOADS]), order[MOST_WORKLOADS:]
    for _, row in rest:
        shown.setdefault((OTHER, OTHER), _Row()).add(row)
    for (namespace, name), row in shown.items():
        yield _labels(namespace=namespace, workload=name), row


def _value(text: str | None) -> str:
    return printable(text)[:_LONGEST] if text else UNKNOWN


def _labels(**labels: str) -> str:
    """Return labels; backslash, quote and line feed are escaped as both formats say."""
    pairs = []
    for name, value in labels.items():
        escaped = printable(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        pairs.append(f'{name}="{escaped}"')
    return f"{{{','.join(pairs)}}}"
