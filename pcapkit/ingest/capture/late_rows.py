"""Messages whose packets complete later than they begin, put back among their neighbours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pcapkit.ingest.capture.decode import insert_rows
from pcapkit.ingest.reassembly.ip_fragments import Made
from pcapkit.ingest.window import Window
from pcapkit.schema import MESSAGE, Messages


class LateRows:
    """What the slow path found in one window: rows, and what became of packets."""

    def __init__(self) -> None:
        self.rows: list[Messages] = []
        self.fates: dict[int, int] = {}

    def add(self, made: Sequence[Made], rows: Messages, fates: npt.NDArray[np.uint8]) -> None:
        """Take what was decoded of packets made from others; one message is enough for a packet."""
        for packet, fate in zip(made, fates.tolist(), strict=True):
            if not fate or packet.seen.number not in self.fates:
                self.fates[packet.seen.number] = fate
        if rows.size:
            links = {packet.seen.number: packet.seen.link for packet in made}
            link = [links[number] for number in rows["packet_no"].tolist()]
            rows["link"] = np.array(link, np.int64).view(np.uint64)
            self.rows.append(rows)

    def merge(self, rows: Messages) -> Messages:
        """Return ``rows`` with the late ones among them, by packet number."""
        if not self.rows:
            return rows
        late = np.concatenate(self.rows)
        late = late[np.argsort(late["packet_no"], kind="stable")]
        number = late["packet_no"]
        begins = np.flatnonzero(np.append(True, number[1:] != number[:-1]))
        sizes = np.diff(begins, append=number.size)
        late["message_no"] = np.arange(number.size) - np.repeat(begins, sizes) + 1
        return merge_late([rows, late])


def merge_late(parts: Sequence[Messages]) -> Messages:
    """Return all rows in the order of their packets, in which those of each part are.

    They are inserted where the first part lies, if there is room behind it, as behind a pass' rows.
    """
    rows = parts[0]
    for part in parts[1:]:
        if part.size and rows.size:
            filled, size = rows.size, rows.size + part.size
            room = rows if rows.base is None else rows.base
            if room.size < size or room.ctypes.data != rows.ctypes.data:
                room = np.empty(size, MESSAGE)
                room[:filled] = rows
            insert_rows(room, filled, part)
            rows = room[:size]
        elif part.size:
            rows = part
    return rows


def join_rows(windows: list[Window]) -> Window:
    """Return neighbouring windows as one, its rows in the order of their packets."""
    if len(windows) == 1:
        return windows[0]
    rows = merge_late([window.messages for window in windows])
    skipped: Counter[str] = Counter()
    for window in windows:
        skipped.update(window.skipped)
    first = [w.first_time for w in windows if w.first_time is not None]
    last = [w.last_time for w in windows if w.last_time is not None]
    packets = sum(window.packets for window in windows)
    return Window(rows, packets, skipped, min(first, default=None), max(last, default=None))
