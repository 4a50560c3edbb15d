"""Records of changes: a workload, or a family of names, held against the nights before."""

from __future__ import annotations

from dataclasses import dataclass

from pcapkit.model.comparison import Rate


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one subject in the newest run, against the points of the history before it.

    ``kind`` is ``all`` (every workload together, ``subject`` None), ``workload``, ``client`` (an
    address whose workload is not known) or ``family`` (names under one domain).

    ``value`` are queries per complete lookup now. ``expected`` is what the history predicts for
    this point, with the 95 % prediction interval; ``change`` is value / expected - 1 with its own.
    Both are None below four earlier points, and for families. ``since_last`` is the change since
    the point before, ``since_days`` since the last one that is ``days`` or more older, each with
    the interval in which two such points differ by chance alone (None where that is not known).

    ``verdict`` is ``more`` or ``less`` (the 95 % interval, of this subject alone, leaves out 0),
    ``no_change_shown`` or ``too_little_history``.

    ``regressed`` and ``new_waste`` are alarms: they allow for how many subjects are looked at, so
    that at most one night in twenty has any by chance. ``new_waste`` is of a workload or family
    that wasted nothing worth mention in any earlier point and does now. ``reason`` is a sentence
    for whoever reads an alarm, else empty. ``share`` is wasted queries over queries now, with
    Wilson's interval; of a family, over the queries of the whole run.
    """

    kind: str
    namespace: str | None
    workload: str | None
    client_addr: str | None
    family: str | None
    points: int  #: of the history that are held against this one
    lookups: int  #: complete ones, now
    value: float | None
    expected: Rate | None
    change: Rate | None
    since_last: Rate | None
    since_days: Rate | None
    days: int
    share: Rate | None
    verdict: str
    regressed: bool
    new_waste: bool
    reason: str
    can_be_new: bool = False  #: are there nights and lookups enough to say what waste is new?

    @property
    def subject(self) -> str | None:
        """What it is called: ``namespace/workload``, an address, a family; None for all."""
        if self.workload is not None:
            return f"{self.namespace}/{self.workload}" if self.namespace else self.workload
        return self.client_addr or self.family

    @property
    def alarm(self) -> bool:
        """Is it a regression or new waste?"""
        return self.regressed or self.new_waste
