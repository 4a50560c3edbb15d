"""Messages whose packets complete later than they begin, put back among their neighbours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from pcapkit.ingest.capture.decode import insert_rows
from pcapkit.ingest.reassembly.ip_fragments import Made
from pcapkit.ingest.window import Ends, Window
from pcapkit.schema import MESSAGE, Bytes, Messages


class LateRows:
    """What the slow path found in one window: rows, and what became of packets."""

    def __init__(self) -> None:
        self.rows: list[Messages] = []
        self.reasons: dict[int, int] = {}

    def add(self, made: Sequence[Made], rows: Messages, reasons: Bytes) -> None:
        """Take what was decoded of packets made from others; one message is enough for a packet."""
        for packet, reason in zip(made, reasons.tolist(), strict=True):
            if not reason or packet.seen.number not in self.reasons:
                self.reasons[packet.seen.number] = reason
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

    They are inserted where the first part lies, if there is space behind it, as after a pass.
    """
    rows = parts[0]
    for part in parts[1:]:
        if part.size and rows.size:
            filled, size = rows.size, rows.size + part.size
            space = rows if rows.base is None else rows.base
            if space.size < size or space.ctypes.data != rows.ctypes.data:
                space = np.empty(size, MESSAGE)
                space[:filled] = rows
            insert_rows(space, filled, part)
            rows = space[:size]
        elif part.size:
            rows = part
    return rows


def join_rows(windows: list[Window]) -> Window:
    """Return neighbouring windows as one, its rows in the order of their packets."""
    if len(windows) == 1:
        return windows[0]
    rows = merge_late([window.messages for window in windows])
    skipped: Counter[str] = Counter()
    unreachable: Counter[Ends] = Counter()
    for window in windows:
        skipped.update(window.skipped)
        unreachable.update(window.unreachable)
    first = [w.first_time for w in windows if w.first_time is not None]
    last = [w.last_time for w in windows if w.last_time is not None]
    packets = sum(window.packets for window in windows)
    times = min(first, default=None), max(last, default=None)
    numbers = [n for window in windows for n in window.numbers if n] or [0]
    return Window(rows, packets, skipped, *times, unreachable, numbers=(min(numbers), max(numbers)))


def split_rows(window: Window, number: int) -> tuple[Window, Window]:
    """Return a window in two: its rows before packet ``number``, and those from there on.

    Packets without a row, skipped or kept, count in the first one.
    """
    rows = window.messages
    at = int(np.searchsorted(rows["packet_no"], number))
    numbers = rows["packet_no"][at:]
    packets = int(np.count_nonzero(numbers[1:] != numbers[:-1])) + (numbers.size > 0)
    first, last = window.numbers
    behind = Window(rows[at:], packets, {}, None, None, numbers=(number, last))
    window.messages, window.packets = rows[:at], window.packets - packets
    window.numbers = (first, number - 1)
    return window, behind
