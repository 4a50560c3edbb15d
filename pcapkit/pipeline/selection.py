"""Which messages the user asked for: --client, --from and --to."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from pcapkit.addresses import ip_or_none
from pcapkit.ingest.window import Interners
from pcapkit.pipeline.options import Options
from pcapkit.schema import Messages


class Wanted:
    """Leaves out what ``--client``, ``--from`` and ``--to`` exclude, and counts it."""

    def __init__(self, options: Options, interners: Interners) -> None:
        self._clients = options.clients
        self._from, self._to = options.time_from, options.time_to
        self._addresses = interners.addresses
        self._known = np.zeros(0, np.bool_)
        self.skipped: Counter[str] = Counter()

    @property
    def timed(self) -> bool:
        """Is there a bound on times?"""
        return self._from is not None or self._to is not None

    def keep(self, rows: Messages) -> Messages:
        """Return the rows that are wanted."""
        if self._clients and rows.size:
            for number in range(self._known.size, int(rows["client"].max()) + 1):
                address = ip_or_none(self._addresses[number])
                wanted = address is not None and any(address in n for n in self._clients)
                self._known = np.append(self._known, wanted)
            rows = self._drop(rows, self._known[rows["client"]], "other_client")
        if self._from is not None:
            rows = self._drop(rows, rows["time"] >= self._from, "outside_time_range")
        if self._to is not None:
            rows = self._drop(rows, rows["time"] <= self._to, "outside_time_range")
        return rows

    def _drop(self, rows: Messages, mask: npt.NDArray[np.bool_], reason: str) -> Messages:
        kept = rows[mask]
        lost = np.setdiff1d(rows["packet_no"], kept["packet_no"]).size
        if lost:
            self.skipped[reason] += lost
        return kept
