"""The prepared series of an analysis that charts draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChainStep:
    """One transaction of an example lookup; ``start_s`` counts from the lookup's first query."""

    candidate: str
    suffix: str | None
    qtype: str
    query_packet_no: int
    response_packet_no: int | None
    start_s: float
    rtt_s: float | None
    outcome: str
    waste_class: str
    retries: int


@dataclass(frozen=True, slots=True)
class Chain:
    """One lookup drawn step by step: the examples that reports show."""

    lookup_id: int
    client_addr: str
    base_name: str
    outcome: str
    capture: str
    start_time: int | None
    duration_s: float | None
    wasted_s: float | None
    steps: tuple[ChainStep, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Queries by waste class in equal bins of time; empty without a clock.

    ``counts[name_of_class][i]`` falls in ``start_time + i * bin_s``.
    """

    start_time: int | None
    bin_s: float
    counts: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class LatencyCurve:
    """Percentiles 0 to 100 of resolved complete lookups, as they were and without the waste.

    Both tuples have 101 entries in seconds, or are empty where nothing can be said.
    """

    duration_s: tuple[float, ...]
    without_waste_s: tuple[float, ...]
    lookups: int


@dataclass(frozen=True, slots=True)
class Suffix:
    """What one search suffix cost."""

    suffix: str
    queries: int
    wasted_queries: int
    answers: int
