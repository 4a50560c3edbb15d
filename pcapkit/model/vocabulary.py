"""Words with a fixed meaning in results: classes, outcomes, safety, severity, source, tables."""

from __future__ import annotations

from enum import StrEnum

#: Every waste class in the order in which the first that applies is taken, and in which they are
#: drawn. ``analysis/lookups/waste.py`` holds the rule and the manual of each.
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


class Certainty(StrEnum):
    """How far the traffic proves a fault: nothing else explains it, or other things may, too."""

    SHOWN = "shown"
    CONSISTENT_WITH = "consistent_with"


class Source(StrEnum):
    """Where a setting is known from."""

    OBSERVED = "observed"
    RESOLV_CONF = "resolv.conf"
    OPTION = "option"
    ASSUMED = "assumed"


#: The forms of a report, and those of a file that holds one table.
REPORT_FORMATS: tuple[str, ...] = ("html", "png", "json", "csv", "parquet", "md", "openmetrics")
TABLE_FORMATS: tuple[str, ...] = ("csv", "jsonl", "parquet")
#: The forms in which ``fix`` says what it changes.
FIX_FORMATS: tuple[str, ...] = ("diff", "json", "sarif")
#: Those of the result of a query.
RESULT_FORMATS: tuple[str, ...] = ("table", "csv", "jsonl")

#: The tables of an analysis: rows of the traffic, and rows that sum it up.
ROW_TABLES: tuple[str, ...] = ("messages", "transactions", "lookups")
SUMMARY_TABLES: tuple[str, ...] = ("clients", "workloads", "names", "what_if")
TABLES: tuple[str, ...] = (*ROW_TABLES, *SUMMARY_TABLES)
#: Those that a report holds.
REPORT_TABLES: tuple[str, ...] = tuple(name for name in TABLES if name != "messages")
#: The charts of a report, in the order in which they stand.
CHART_NAMES: tuple[str, ...] = (
    "plan",
    "waste-by-class",
    "ndots-settings",
    "worst-names",
    "chain",
    "timeline",
    "latency",
    "clients",
)
