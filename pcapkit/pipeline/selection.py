"""Which messages the user asked for: --client, --from and --to."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from pcapkit.addresses import address_text, ip_or_none
from pcapkit.ingest.window import Interners
from pcapkit.pipeline.options import Options
from pcapkit.schema import Messages

_SHOWN = 3


class Wanted:
    """Leaves out what ``--client``, ``--from`` and ``--to`` exclude, and counts it."""

    def __init__(self, options: Options, interners: Interners) -> None:
        self._clients = options.clients
        self._from, self._to = options.time_from, options.time_to
        self._addresses = interners.addresses
        self._known = np.zeros(0, np.bool_)
        self._found: set[int] = set()
        self._seen: set[int] = set()  # ids of clients, while some that are wanted are not found
        self.skipped: Counter[str] = Counter()

    def warnings(self) -> list[str]:
        """Say which clients that were asked for are none, and name a few that are."""
        here = sorted(address_text(self._addresses[number]) for number in self._seen)
        more = f" and {len(here) - _SHOWN:,} more" if len(here) > _SHOWN else ""
        some = f" (clients here: {', '.join(here[:_SHOWN])}{more})" if here else ""
        missing = [str(c) for n, c in enumerate(self._clients) if n not in self._found]
        return [
            f"--client {text}: no client of this address or name sent a message{some}"
            for text in missing
        ]

    @property
    def timed(self) -> bool:
        """Is there a bound on times?"""
        return self._from is not None or self._to is not None

    def keep(self, rows: Messages) -> Messages:
        """Return the rows that are wanted."""
        if self._clients and rows.size:
            for number in range(self._known.size, int(rows["client"].max()) + 1):
                self._known = np.append(self._known, bool(self._matching(number)))
            if len(self._found) < len(self._clients):
                for number in np.flatnonzero(np.bincount(rows["client"])).tolist():
                    self._found |= self._matching(number)
                    self._seen.add(number)
            rows = self._drop(rows, self._known[rows["client"]], "other_client")
        if self._from is not None:
            rows = self._drop(rows, rows["time"] >= self._from, "outside_time_range")
        if self._to is not None:
            rows = self._drop(rows, rows["time"] <= self._to, "outside_time_range")
        return rows

    def holds(self, client: bytes) -> bool:
        """Is this client wanted, given as packed address or the name that stands for one?"""
        return not self._clients or bool(self._named(client))

    def _matching(self, number: int) -> set[int]:
        """Return which of the clients that are wanted an address is, by its id."""
        return self._named(self._addresses[number])

    def _named(self, packed: bytes) -> set[int]:
        address = ip_or_none(packed)
        if address is None:
            name = address_text(packed).lower()
            return {n for n, c in enumerate(self._clients) if c == name}
        return {n for n, c in enumerate(self._clients) if not isinstance(c, str) and address in c}

    def _drop(self, rows: Messages, mask: npt.NDArray[np.bool_], reason: str) -> Messages:
        kept = rows[mask]
        lost = np.setdiff1d(rows["packet_no"], kept["packet_no"]).size
        if lost:
            self.skipped[reason] += lost
        return kept
