"""Captures that are being written: which are closed, so that an audit may take them up."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from pcapkit.batch.finding.catalog import Item
from pcapkit.errors import UsageError
from pcapkit.model.audits import Identity

#: A file that has not changed for so long is closed, in seconds.
QUIET_S = 10.0
#: How often it is looked for files.
LOOK_S = 2.0
_DIGITS = re.compile(r"\d+")


class Closing:
    """Knows for how long files have been as they are; ``now`` are seconds of a clock."""

    def __init__(self, quiet_s: float = QUIET_S) -> None:
        self._quiet_s = quiet_s
        self._since: dict[str, tuple[Identity | None, float]] = {}

    def closed(self, items: Iterable[Item], now: float, wall_ns: int) -> list[Item]:
        """Return the items that nobody writes to any more.

        Those have a younger sibling of the same name but for its numbers, as what tcpdump rotates
        has, or they have not changed for a while: since this was called first, or by ``wall_ns``,
        the system's time.
        """
        every = list(items)
        youngest: dict[tuple[str, str], int] = {}
        for item in every:
            family, written = _family(item.path), _written(item)
            youngest[family] = max(youngest.get(family, 0), written)
        out = []
        for item in every:
            identity = item.identities[0]
            before = self._since.get(item.path)
            if before is None or before[0] != identity:
                self._since[item.path] = before = identity, now
            written = _written(item)
            is_quiet = now - before[1] >= self._quiet_s
            is_old = 0 < written <= wall_ns - int(self._quiet_s * 1e9)
            if is_quiet or is_old or written < youngest[_family(item.path)]:
                out.append(item)
        return out


def _family(path: str) -> tuple[str, str]:
    """Return what the files that are one capture share: the folder, the name without numbers."""
    folder, name = os.path.split(path)
    return folder, _DIGITS.sub("#", name).rstrip("#")


def _written(item: Item) -> int:
    identity = item.identities[0]
    return (identity.mtime_ns or 0) if identity is not None else 0


def rounds(find: Callable[[], list[Item]], look_s: float = LOOK_S) -> Iterator[Sequence[Item]]:
    """Yield all closed captures, whenever there are others than before; never ends.

    ``find`` returns those that are there, closed or not, and raises UsageError where none is.
    """
    closing, before = Closing(), None
    while True:
        try:
            items = find()
        except UsageError:
            items = []
        closed = closing.closed(items, time.monotonic(), time.time_ns())
        seen = [(item.paths, item.identities, item.error) for item in closed]
        if seen != before and (seen or before):
            yield closed
            before = seen
        time.sleep(look_s)
