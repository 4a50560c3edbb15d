"""The times that tcpdump prints, in nanoseconds.

They carry no zone and are taken as UTC; a time of day without a date is dated 1970-01-01; ``-t``
prints none (tcpdump(1), "OPTIONS": ``-t`` to ``-ttttt``).
"""

from __future__ import annotations

import re
from calendar import timegm

import numpy as np

from pcapkit.ingest.logs.blocks.tcpdump import DAY_NS, DAYS, LAST, LAST_S, UNDATED, WAS_DATED
from pcapkit.ingest.logs.lines import NotUnderstood


class Clock:
    """Turns printed times into nanoseconds; what it could not know becomes a warning."""

    def __init__(self) -> None:
        self.relative = False
        #: shared with the compiled reader: UNDATED to WAS_DATED
        self.state = np.zeros(4, np.int64)
        self._summed = False  # -ttt: each time is the difference to the packet before
        self._seen = 0

    def time(self, match: re.Match[str]) -> int | None:
        """Return the packet's time, None where it shows none.

        Raises NotUnderstood where what it shows fits nowhere.
        """
        if match["epoch"]:
            if int(match["epoch"].partition(".")[0]) > LAST_S:
                raise NotUnderstood("beyond all times")
            self._seen += 1
            return _nanoseconds(match["epoch"])
        if match["clock"] is None:
            self._seen += 1
            return None
        back = match["clock"].startswith("-")  # -ttt: before the packet that is printed before
        hours, minutes, rest = match["clock"].removeprefix("-").split(":")
        if (
            int(hours) > 23
            or int(minutes) > 59
            or int(rest[:2]) > 60
            or (back and self.state[UNDATED])
        ):
            raise NotUnderstood("no time of day")
        now = (int(hours) * 3600 + int(minutes) * 60) * 1_000_000_000 + _nanoseconds(rest)
        if match["date"]:
            year, month, day = map(int, match["date"].split("-"))
            if not (1970 <= year < 2116 and 1 <= month <= 12 and 1 <= day <= 31):
                raise NotUnderstood("no date")
            self._seen += 1
            self.state[WAS_DATED] = 1
            return timegm((year, month, day, 0, 0, 0)) * 1_000_000_000 + now
        self._seen += 1
        if self._seen == 1 and now == 0:
            self.relative = True
        last, days = int(self.state[LAST]), int(self.state[DAYS])
        if self.relative:
            if (back or now < last) and not self._summed:
                self._summed = True
            if self._summed:
                now = last + (-now if back else now)
        else:
            if now + days * DAY_NS < last - DAY_NS // 2:
                days += 1  # past midnight
            now += days * DAY_NS
            self.state[UNDATED], self.state[DAYS] = 1, days
        self.state[LAST] = now
        return now

    def warnings(self) -> list[str]:
        """Say what the times rest on."""
        if self.relative:
            return ["times are differences (tcpdump -ttt): they start at 1970-01-01"]
        if self.state[UNDATED]:
            return ["times have no date: dated 1970-01-01, and taken as UTC"]
        if self.state[WAS_DATED]:
            return ["times have no zone: taken as UTC"]
        return []


def _nanoseconds(text: str) -> int:
    whole, _, part = text.partition(".")
    return int(whole) * 1_000_000_000 + int(part.ljust(9, "0")[:9])
