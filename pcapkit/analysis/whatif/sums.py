"""Replay the lookups of a capture and add up what they would have sent (compiled).

Lookups that are equal (see ``groups.py``) are replayed once; only their times are their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.lookups.reading import ClientReading
from pcapkit.analysis.time_bins import TIME_BINS, quantile
from pcapkit.analysis.whatif.settings import TIMED
from pcapkit.schema import Bytes, Ids, Integers, Rows, in_fewest_bytes

#: Sums under one setting: of a client, or of a name.
SUM = np.dtype(
    [
        (key, np.int64)
        for key in (
            "queries",
            "wasted",
            "assumed",
            "upstream",
            "broken",
            "leaked",
            "reordered",
            "time_ns",
        )
    ]
)
#: The same of the lookups of one part that have one base name, of which there may be very many.
NAME_SUM = np.dtype(
    [(key, np.int32) for key in SUM.names or () if key != "time_ns"] + [("time_ns", np.int64)],
    align=True,
)
#: The marked lookups of one base name and one client; their marks are a row of another array.
MARKED = np.dtype([("client", np.int32), ("base", np.int32)])
#: What one lookup sends in one state.
SENT = np.dtype([(key, np.int32) for key in ("queries", "wasted", "upstream", "assumed", "flags")])
#: States of a lookup: as its client walks now, under an ndots that puts the name as is before the
#: list and not behind it (or the other way round), and written in full.
NOW, REORDERED, WRITTEN = range(3)
STATES = 3
#: Two more where a search list has suffixes under which nothing ever answers: NOW and REORDERED
#: without them.
SHORTER, SHORTER_REORDERED = 3, 4
SHORTER_STATES = 2
#: Lookups that are replayed alike, and of which some state sends something else than another.
PLANNED_GROUP = np.dtype(
    [
        ("base", np.int32),
        ("answered_by", np.int32),  # name id, ABSENT
        ("reordered_at", np.int32),  # a bit for each ndots from 0 on under which it is REORDERED
        ("shorter", np.int32),  # row of ``Sums.shorter_states``; ABSENT where that is no change
    ]
)
#: The lookups of one such group that are one client's.
PLANNED = np.dtype([("client", np.int32), ("group", np.int32), ("count", np.int32)])
#: One complete lookup: when it began, whom it asked, what it sends, and the bins of its time in
#: each state.
PLANNED_LOOKUP = np.dtype(
    [
        ("second", np.int64),
        ("row", np.int32),  # PLANNED; where no state sends anything else: -1 - client
        ("server", np.int32),  # id of the address that got its first query, ABSENT
        ("queries", np.int16),  # NOW
        ("upstream", np.int16),  # NOW
        ("now", np.int16),
        ("reordered", np.int16),
        ("written", np.int16),
        ("shorter", np.int16),
        ("shorter_reordered", np.int16),
    ],
    align=True,
)
#: Columns of ``Sums.names``: a base name as it is asked, and written in full.
AS_ASKED, IN_FULL = 0, 1
#: Indexes of ``Sums.used``.
MARKED_ROWS, BEGUN_SECONDS, PLANNED_GROUPS, PLANNED_ROWS, PLANNED_LOOKUPS = range(5)
SHORTER_GROUPS, SHORTER_ROWS = 5, 6
USED = 7


class Sums(NamedTuple):
    """What replays of one part are added to."""

    clients: Rows  # SUM (clients, settings and the cache)
    names: Rows  # NAME_SUM (bases, 2): see AS_ASKED and IN_FULL
    times: Ids  # (TIME_BINS, settings that are timed): how many lookups
    seconds: Ids  # queries (seconds, the same settings); none without a clock
    first_second: int
    begun: Integers  # those of these seconds in which lookups began
    marked: Rows  # MARKED, one row a name and client
    marks: Bytes  # (marked, settings)
    planned_groups: Rows  # PLANNED_GROUP
    planned_states: Rows  # SENT (planned groups, STATES)
    planned: Rows  # PLANNED
    planned_times: Integers  # (planned, STATES): in ns, of all lookups of a row together
    planned_lookups: Rows  # PLANNED_LOOKUP
    shorter_states: Rows  # SENT (groups that a shorter list changes, SHORTER_STATES)
    shorter_rows: Ids  # the rows of ``planned`` of such groups
    shorter_times: Integers  # (the same, SHORTER_STATES): in ns
    used: Integers  # (USED): how many rows are used: see MARKED_ROWS and so on


class PackedSums:
    """Sums (SUM) of many clients or names in the fewest bytes that hold them: mostly a few each."""

    def __init__(self, fields: Sequence[Integers]) -> None:
        self._fields = fields  # (rows, columns), one a field of SUM

    @classmethod
    def of(cls, sums: Rows) -> PackedSums:
        """Pack ``sums``, SUM or NAME_SUM (rows, columns)."""
        return cls([in_fewest_bytes(sums[field]) for field in SUM.names or ()])

    @classmethod
    def together(cls, parts: Sequence[PackedSums], order: Integers | None = None) -> PackedSums:
        """Return the rows of several behind one another, in another order where one is given."""
        fields = []
        for n in range(len(parts[0]._fields)):
            rows = np.concatenate([part._fields[n] for part in parts])
            fields.append(rows if order is None else rows[order])
        return cls(fields)

    def take(self, rows: Integers, columns: Integers | int) -> Integers:
        """Return the sums (int64) of rows, each in its column: (rows, fields of SUM)."""
        out = np.empty((rows.size, len(self._fields)), np.int64)
        for n, field in enumerate(self._fields):
            out[:, n] = field[rows, columns]
        return out

    def field(self, name: str) -> Integers:
        """Return one field of all rows: (rows, columns), in as few bytes as hold it."""
        return self._fields[list(SUM.names or ()).index(name)]


#: Rows in the fewest bytes: their shape and type, and each field on its own.
Packed = tuple[tuple[int, ...], np.dtype[Any], tuple[Integers, ...]]


def packed(rows: npt.NDArray[Any]) -> Packed:
    """Pack rows of integer fields, or integers, of any shape."""
    names = rows.dtype.names
    columns = [rows[name] for name in names] if names else [rows]
    return rows.shape, rows.dtype, tuple(in_fewest_bytes(column) for column in columns)


def unpacked(held: Packed) -> npt.NDArray[Any]:
    """Return a copy of rows as they were before they were packed."""
    shape, dtype, columns = held
    if dtype.names is None:
        return columns[0].astype(dtype)
    out = np.zeros(shape, dtype)
    for name, column in zip(dtype.names, columns, strict=True):
        out[name] = column
    return out


@dataclass(frozen=True, slots=True)
class Planned:
    """What plans are made from: lookups of which some state sends something else than another."""

    groups: Rows  # PLANNED_GROUP
    states: Rows  # SENT (groups, STATES)
    rows: Rows  # PLANNED
    times: Integers  # (rows, STATES): in ns
    shorter_states: Rows  # SENT (some groups, SHORTER_STATES)
    shorter_rows: Ids  # the rows of such groups
    shorter_times: Integers  # (the same, SHORTER_STATES): in ns


@dataclass(frozen=True, slots=True)
class PackedPlanned:
    """The same, in the fewest bytes: field by field."""

    fields: tuple[Packed, ...]

    @classmethod
    def of(cls, planned: Planned) -> PackedPlanned:
        """Pack them."""
        return cls(tuple(packed(getattr(planned, f.name)) for f in fields(Planned)))

    def unpacked(self) -> Planned:
        """Return them as they were."""
        return Planned(*(unpacked(each) for each in self.fields))


@dataclass(frozen=True, slots=True)
class Block:
    """The sums of the lookups of some base names of some clients: see ``Readings.blocks``."""

    names: PackedSums  # (bases, 2): as they are, and in full
    bases: Ids
    pair_clients: Integers  # of the pairs of a client and a base name, each once
    pair_bases: Ids
    marked: Rows  # MARKED
    marks: Bytes  # (marked, settings)
    planned: PackedPlanned


@dataclass(frozen=True, slots=True)
class Part:
    """The sums of some clients."""

    clients: tuple[ClientReading, ...]
    sums: PackedSums  # (clients, settings)
    covered: Rows  # COVERED, by client
    blocks: tuple[Block, ...]


class Times:
    """How long lookups would have taken, and how many queries each second would have had."""

    def __init__(self) -> None:
        self._times = np.zeros((TIME_BINS, TIMED), np.int64)
        self._seconds = np.zeros(0, np.int64)
        self._queries = np.zeros((0, TIMED), np.int64)
        self._added: list[tuple[Integers, Integers]] = []
        self._is_timed = True

    def add(self, sums: Sums) -> None:
        """Add those of a part."""
        self._times += sums.times
        if not len(sums.seconds):
            self._is_timed = False
            return
        begun = np.sort(sums.begun[: sums.used[BEGUN_SECONDS]])
        self._added.append((begun + sums.first_second, sums.seconds[begun].astype(np.int64)))

    def merge(self, other: Times) -> None:
        """Add those of other lookups."""
        self._times += other._times
        self._is_timed &= other._is_timed
        self._added.append(other._together())
        if sum(seconds.size for seconds, _ in self._added) > self._seconds.size:
            self._together()

    def _together(self) -> tuple[Integers, Integers]:
        if self._added:
            every = [(self._seconds, self._queries), *self._added]
            seconds, at = np.unique(np.concatenate([s for s, _ in every]), return_inverse=True)
            queries = np.zeros((seconds.size, TIMED), np.int64)
            first = 0
            for mine, counted in every:  # the seconds of each are distinct
                queries[at[first : first + mine.size]] += counted
                first += mine.size
            self._seconds, self._queries, self._added = seconds, queries, []
        return self._seconds, self._queries

    def lasting(self, column: int) -> Integers:
        """Return how many lookups took so long under one setting, by bin."""
        out: Integers = self._times[:, column].astype(np.int64)
        return out

    def by_second(self, column: int) -> tuple[Integers, Integers] | None:
        """Return seconds, and the queries of lookups that began in each; None if unknown."""
        if not self._is_timed:
            return None
        seconds, queries = self._together()
        return seconds, queries[:, column]

    def quantiles(self, column: int, shares: Sequence[float]) -> tuple[float | None, ...]:
        """Return quantiles of the times under one setting, in seconds."""
        return tuple(quantile(self._times[:, column], q) for q in shares)

    def peak(self, column: int) -> int | None:
        """Return the most queries of lookups that began within one second; None if unknown."""
        if not self._is_timed:
            return None
        return int(self._together()[1][:, column].max(initial=0))
