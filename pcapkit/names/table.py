"""The names of one analysis, folded, with their labels and zones by name id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from pcapkit.kernels.interning import Interner
from pcapkit.kernels.jit import kernel
from pcapkit.names.labels import Labels, join, name_start, split
from pcapkit.names.text import PLAIN, UNKNOWN_NAME, text_from_wire, wire_from_text
from pcapkit.schema import ABSENT, Array, Bytes, Ids, Int, Integers

_PLAIN = np.isin(np.arange(256), list(PLAIN))
_PIECE = 1 << 16  # names that become objects of Python at once


@kernel
def count_labels(arena: Bytes, ends: Integers, first: Int, labels: Ids) -> None:
    """Set ``labels[i]`` to the number of labels of name ``i``, from ``first`` on.

    Goes in: the names, ``arena`` (uint8) with their ``ends`` (int64). Comes out: ``labels`` (int32,
    one a name).
    """
    for name in range(first, labels.shape[0]):
        at = name_start(ends, name)
        stop = ends[name]
        n = 0
        while at < stop and arena[at] != 0:
            n += 1
            at += np.int64(arena[at]) + 1
        labels[name] = n


@kernel
def _mark_zone(arena: Bytes, ends: Integers, first: Int, zone: Bytes, inside: Bytes) -> None:
    """Mark the names from ``first`` on that lie inside a zone, or are its apex.

    Goes in: the names, ``arena`` (uint8) with their ``ends`` (int64); the wire form of the ``zone``
    (uint8). Comes out: ``inside`` (uint8, one a name, zeros).
    """
    size = zone.shape[0]
    for name in range(first, inside.shape[0]):
        at, stop = name_start(ends, name), ends[name]
        while at < stop - size and arena[at] != 0:
            at += np.int64(arena[at]) + 1
        if at != stop - size:
            continue
        same = True
        for j in range(size):
            same = same and arena[at + j] == zone[j]
        if same:
            inside[name] = 1


class Folded:
    """The names of one analysis in lower case, with what the stages ask about them."""

    def __init__(self, names: Interner) -> None:
        self.names = names
        self._labels: dict[int, Labels] = {}
        self._split: dict[bytes, Labels] = {}
        self._counts = np.zeros(0, np.int32)
        self._inside: dict[tuple[Labels, ...], npt.NDArray[np.uint8]] = {}
        self.unknown: int = ABSENT
        """The id that stands for names that cannot be read, once there are any"""

    def add_unknown(self) -> int:
        """Return the id of UNKNOWN_NAME, which is known from now on."""
        self.unknown = self.names.add(UNKNOWN_NAME)
        return self.unknown

    def text(self, name: int) -> str:
        """Return a name in presentation form."""
        return text_from_wire(self.names[name])

    def texts(self, names: Array) -> list[str]:
        """Return many names in presentation form."""
        if not names.size:
            return []
        arena, ends = self.names.arrays.arena, self.names.arrays.ends
        stops = ends[names]
        begins = np.where(names > 0, ends[np.maximum(names - 1, 0)], 0)
        sizes = stops - begins
        last = np.cumsum(sizes) - 1  # where each name's root byte stands, all names in a row
        first = last - sizes + 1
        wire = arena[np.repeat(begins - first, sizes) + np.arange(last[-1] + 1)]
        unusual = ~_PLAIN[wire]
        at = first.copy()  # of the length byte of each name's next label
        while (more := np.flatnonzero((at < last) & (wire[np.minimum(at, last)] > 0))).size:
            here = at[more]
            at[more] += wire[here].astype(np.int64) + 1
            wire[here], unusual[here] = ord("."), False
        unusual[last] = False
        odd = (at != last) | (first == last) | np.logical_or.reduceat(unusual, first)
        text = wire.tobytes().decode("latin-1")
        spans = zip((first + 1).tolist(), last.tolist(), strict=True)
        out = [text[begin:end] for begin, end in spans]
        for n in np.flatnonzero(odd).tolist():
            out[n] = self.text(int(names[n]))
        return out

    def wire_sizes(self, names: Array) -> int:
        """Return how many bytes all these names have in wire form; negative ids are none."""
        ids, ends = names[names >= 0].astype(np.int64), self.names.arrays.ends
        begins = np.where(ids > 0, ends[np.maximum(ids - 1, 0)], 0)
        return int((ends[ids] - begins).sum())

    def labels(self, name: int) -> Labels:
        """Return a name's labels in presentation form.

        The root has none, and a name that is not known has one without text: no name has that.
        """
        if (known := self._labels.get(name)) is None:
            text = self.text(name)
            known = self._labels[name] = split(text) if text else ("",)
        return known

    def labels_behind(self, names: Array, skipped: Array) -> list[Labels]:
        """Return the labels of each name behind its first ``skipped`` ones.

        Many names end alike: what is left of them is split once.
        """
        at, stops = self._behind(names, skipped)
        wires, known = memoryview(cast(Any, self.names.arrays.arena)), self._split
        out = []
        for begin, end in zip(at.tolist(), stops.tolist(), strict=True):
            wire = bytes(wires[begin:end])
            if (labels := known.get(wire)) is None:
                labels = known[wire] = split(text_from_wire(wire))
            out.append(labels)
        return out

    def labels_at(self, names: Array, skipped: Array) -> list[str]:
        """Return the label of each name behind its first ``skipped`` ones; each must have more.

        Unlike ``labels`` it keeps nothing: there may be millions of names.
        """
        at, _ = self._behind(names, skipped)
        arena = self.names.arrays.arena
        stops = at + arena[at] + 1
        wires, known = memoryview(cast(Any, arena)), dict[bytes, str]()
        out = []
        for first in range(0, at.size, _PIECE):
            some = slice(first, first + _PIECE)
            for begin, end in zip(at[some].tolist(), stops[some].tolist(), strict=True):
                wire = bytes(wires[begin:end])
                if (label := known.get(wire)) is None:
                    label = known[wire] = split(text_from_wire(wire))[0]
                out.append(label)
        return out

    def end_in(self, names: Array, zone: Labels) -> npt.NDArray[np.bool_]:
        """Say of each name whether it is ``zone`` or below it."""
        wire = wire_from_text(join(zone))
        counts = self.label_counts()[names]
        at, stops = self._behind(names, counts - len(zone))
        rows = np.flatnonzero((counts >= len(zone)) & (stops - at == len(wire)))
        for n, byte in enumerate(wire):
            rows = rows[self.names.arrays.arena[at[rows] + n] == byte]
        out = np.zeros(names.size, np.bool_)
        out[rows] = True
        return out

    def _behind(self, names: Array, skipped: Array) -> tuple[Array, Array]:
        """Return where each name goes on in the arena behind so many labels, and where it ends."""
        arena, ends = self.names.arrays.arena, self.names.arrays.ends
        stops = ends[names]
        at = np.where(names > 0, ends[np.maximum(names - 1, 0)], 0)
        for n in range(int(skipped.max(initial=0))):
            more = np.flatnonzero((skipped > n) & (at < stops))
            at[more] += arena[at[more]].astype(np.int64) + 1
        return at, stops

    def label_counts(self) -> npt.NDArray[np.int32]:
        """Return the number of labels of every name known by now."""
        known, size = self._counts, len(self.names)  # another thread may replace them meanwhile
        if size > known.size:
            counts = np.zeros(size, np.int32)
            counts[: known.size] = known
            arrays = self.names.arrays
            count_labels(arrays.arena, arrays.ends, known.size, counts)
            self._counts = known = counts
        return known

    def inside(self, zones: Sequence[Labels]) -> npt.NDArray[np.uint8]:
        """Return, for every name known by now, 1 where it lies in one of the zones."""
        known = self._inside.get(tuple(zones), np.zeros(0, np.uint8))
        size = len(self.names)
        if size > known.size:
            marks = np.zeros(size, np.uint8)
            marks[: known.size] = known
            arena, ends = self.names.arrays.arena, self.names.arrays.ends
            for zone in zones:
                wire = np.frombuffer(wire_from_text(join(zone)), np.uint8)
                _mark_zone(arena, ends, known.size, wire, marks)
            self._inside[tuple(zones)] = known = marks
        return known
