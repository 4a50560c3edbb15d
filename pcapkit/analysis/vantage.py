"""Who asked whom, and which addresses hide more than one resolver: counted part by part.

An address is a mixture where several clients ask from it at once (a node's address, translated
addresses, a proxy; also containers of one pod with different C libraries): it walks two namespaces'
lists in turns, has two ndots at once, or shows the signs of two resolver models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.fault_settings import two_namespaces_at_once, two_ndots_at_once
from pcapkit.analysis.fault_signs import IN_ZONE, NameFlags
from pcapkit.analysis.reading import Readings
from pcapkit.codes import ANSWER, UNANSWERED
from pcapkit.layout import QR, TCP


@dataclass(slots=True)
class Asked:
    """What one client asked one server; ``cluster`` answers were for names of the cluster."""

    queries: int = 0
    tcp: int = 0
    answered: int = 0
    cluster: int = 0

    def add(self, other: Asked) -> None:
        """Add what another part counted."""
        self.queries += other.queries
        self.tcp += other.tcp
        self.answered += other.answered
        self.cluster += other.cluster


class VantageTally:
    """Counts by client and server; parts may come in any order, and tallies add up."""

    def __init__(self, flags: NameFlags, address: Callable[[int], str]) -> None:
        self._flags, self._address = flags, address
        self.asked: dict[tuple[str, str], Asked] = {}
        #: addresses whose traffic cannot be one pod's, whose containers share a search list
        self.several_pods: set[str] = set()
        self._mixed: dict[str, set[str]] = {}

    def add(self, part: Readings) -> None:
        """Count the transactions of some clients; a server is the one that responded."""
        if not part.transactions.size:
            return
        flags = self._flags.known()
        t, rows = part.transactions, part.rows
        exchange = np.where(t["response"] >= 0, t["response"], t["first"])
        server = rows["server"][exchange].astype(np.int64)
        client = part.lookups["client"][t["lookup"]].astype(np.int64)
        answer = t["outcome"] == ANSWER
        marks = (
            np.ones(t.size, np.bool_), rows["transport"][exchange] == TCP,
            t["outcome"] != UNANSWERED, answer & ((flags[t["name"]] & IN_ZONE) != 0),
        )  # fmt: skip
        shown = server >= 0
        keys, group = np.unique((client << 32 | server)[shown], return_inverse=True)
        counts = [np.bincount(group[m[shown]], minlength=keys.size).tolist() for m in marks]
        for key, *counted in zip(keys.tolist(), *counts, strict=True):
            ends = (
                self._address(part.clients[key >> 32].client), self._address(key & 0xFFFFFFFF)
            )  # fmt: skip
            self.asked.setdefault(ends, Asked()).add(Asked(*counted))
        self._add_mixtures(part)

    def merge(self, other: VantageTally) -> None:
        """Add what another tally of the same capture counted, of other clients."""
        for ends, counted in other.asked.items():
            self.asked.setdefault(ends, Asked()).add(counted)
        self.several_pods |= other.several_pods
        for address, reasons in other._mixed.items():
            self._mixed.setdefault(address, set()).update(reasons)

    def _add_mixtures(self, part: Readings) -> None:
        for index in two_namespaces_at_once(part):
            self._mark(part, index, "walks the search lists of two namespaces in turns")
            self.several_pods.add(self._address(part.clients[index].client))
        for index in two_ndots_at_once(part):
            self._mark(part, index, "searches names, and in between asks such names as is first")
        for index, client in enumerate(part.clients):
            if len(client.models) > 1:
                self._mark(part, index, f"asks as {' and '.join(client.models)} do")

    def _mark(self, part: Readings, index: int, reason: str) -> None:
        self._mixed.setdefault(self._address(part.clients[index].client), set()).add(reason)

    def mixtures(self) -> dict[str, tuple[str, ...]]:
        """Return why some addresses are mixtures, by address."""
        return {a: tuple(sorted(reasons)) for a, reasons in sorted(self._mixed.items())}

    def forwarders(self) -> frozenset[str]:
        """Return the addresses that both ask and answer others; a loopback's own are none."""
        answering = {s for (client, s), n in self.asked.items() if n.answered and client != s}
        return frozenset(answering & {client for client, _ in self.asked})


def count_translations(
    rows: npt.NDArray[np.void], original: npt.NDArray[np.int64]
) -> dict[tuple[int, int], int]:
    """Count repeated queries whose server differs: (server first seen, server then) -> packets.

    ``original`` holds the number of the packet that a row repeats, 0 for none. Packets repeated
    from an earlier window are not looked for.
    """
    again = np.flatnonzero((original > 0) & ((rows["flags"] & QR) == 0))
    if not again.size:
        return {}
    at = np.minimum(np.searchsorted(rows["packet_no"], original[again]), rows.size - 1)
    before, after = rows["server"][at].astype(np.int64), rows["server"][again].astype(np.int64)
    differ = (rows["packet_no"][at] == original[again]) & (before != after)
    differ &= (before >= 0) & (after >= 0)
    pairs, counts = np.unique(before[differ] << 32 | after[differ], return_counts=True)
    counted = zip(pairs.tolist(), counts.tolist(), strict=True)
    return {(pair >> 32, pair & 0xFFFFFFFF): packets for pair, packets in counted}
