"""Words with a fixed meaning in results: waste classes, outcomes, safety, severity, source."""

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


class Source(StrEnum):
    """Where a setting is known from."""

    OBSERVED = "observed"
    RESOLV_CONF = "resolv.conf"
    OPTION = "option"
    ASSUMED = "assumed"
