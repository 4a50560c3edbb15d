"""What rules that look back are held against: how a subject changed since before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from pcapkit.model.comparison import Comparison, Rate


@dataclass(frozen=True, slots=True)
class Growth:
    """How one subject changed since an earlier run, or since the other side of a comparison.

    ``workload`` as of a ``Subject``. ``change`` is that of the queries of a lookup, after / before
    - 1; None where there is too little to say. ``is_shown`` says that chance does not explain it.
    ``new_waste`` are names of what wasted nothing before; None where there is too little to say.
    """

    name: str
    workload: str | None
    change: float | None
    is_shown: bool
    new_waste: tuple[str, ...] | None = None


def growth_of_sides(comparison: Comparison) -> Iterator[Growth]:
    """Yield how the queries of a lookup changed: of all clients, then of those on both sides."""
    for subject in comparison.subjects:
        queries = subject.measure("queries_per_lookup")
        who, change = subject.subject, queries.change
        known = change is not None and queries.verdict != "too_little_data"
        yield Growth(
            who or comparison.after,
            who if who is None or "/" in who else f"/{who}",
            change.value if change is not None and known else None,
            queries.verdict == "more",
        )


class Trend(Protocol):
    """What became of one subject in the newest run of a history.

    ``kind`` is ``all`` for every workload together, ``workload`` or ``client`` for one of them, or
    another word for what belongs to no workload; ``subject`` is what it is called. ``change`` is
    None where the history is too short. ``regressed`` and ``new_waste`` are alarms, which allow
    for how many subjects are looked at.
    """

    @property
    def kind(self) -> str: ...
    @property
    def namespace(self) -> str | None: ...
    @property
    def workload(self) -> str | None: ...
    @property
    def client_addr(self) -> str | None: ...
    @property
    def subject(self) -> str | None: ...
    @property
    def change(self) -> Rate | None: ...
    @property
    def regressed(self) -> bool: ...
    @property
    def new_waste(self) -> bool: ...
    @property
    def can_be_new(self) -> bool: ...


def growth_of_trends(trends: Sequence[Trend]) -> Iterator[Growth]:
    """Yield what became of an audit against its history: of all workloads, then of each.

    What is new waste anywhere is so of all together. Where too few nights came before to say that
    anything is new, None.
    """
    new = tuple(sorted({t.subject for t in trends if t.new_waste and t.subject is not None}))
    for trend in trends:
        change = None if trend.change is None else trend.change.value
        if trend.kind == "all":
            known = bool(new) or trend.can_be_new
            yield Growth("all captures", None, change, trend.regressed, new if known else None)
        elif trend.kind in ("workload", "client"):
            key = f"{trend.namespace or ''}/{trend.workload or trend.client_addr or ''}"
            mine = (trend.subject or key,) if trend.new_waste else ()
            known = trend.can_be_new or trend.new_waste
            yield Growth(
                trend.subject or key, key, change, trend.regressed, mine if known else None
            )
