"""Clients beyond the limit: counted like the others, and shown as one row."""

from __future__ import annotations

import numpy as np

from pcapkit.analysis.summary.counting import BY_CLIENT
from pcapkit.cluster.conventions import KUBERNETES_NDOTS
from pcapkit.limits import OTHER_CLIENTS
from pcapkit.model.audits import Workload
from pcapkit.model.clients import Client, Ndots, ResolverGuess
from pcapkit.model.results import OtherRows
from pcapkit.model.vocabulary import Source
from pcapkit.resolver.resolv_conf import MAX_NDOTS
from pcapkit.schema import Rows

_SUMMED = tuple(field for field in BY_CLIENT.names or () if field not in ("first", "last"))


class OtherClients:
    """Sums of clients that have no row of their own."""

    def __init__(self) -> None:
        self.clients = 0
        self._sums = np.zeros(1, BY_CLIENT)[0]
        self._first = self._last = 0

    def add(self, counts: Rows) -> None:
        """Add clients (BY_CLIENT)."""
        if counts.size:
            first, last = int(counts["first"].min()), int(counts["last"].max())
            self._add(counts.size, first, last)
            for field in _SUMMED:
                self._sums[field] += counts[field].sum()

    def merge(self, other: OtherClients) -> None:
        """Add those that another one has summed."""
        if other.clients:
            self._add(other.clients, other._first, other._last)
            for field in _SUMMED:
                self._sums[field] += other._sums[field]

    def _add(self, clients: int, first: int, last: int) -> None:
        self._first = min(self._first, first) if self.clients else first
        self._last = max(self._last, last) if self.clients else last
        self.clients += clients

    def rows(self, *, has_clock: bool) -> OtherRows:
        """Return them as one row of clients, and one of workloads."""
        if not self.clients:
            return OtherRows()
        sums = {field: int(self._sums[field]) for field in _SUMMED}
        client = Client(
            client_addr=OTHER_CLIENTS,
            first_time=self._first if has_clock else None,
            last_time=self._last if has_clock else None,
            pod=None,
            namespace=None,
            workload=None,
            workload_kind=None,
            search=(),
            search_source=Source.ASSUMED,
            ndots=Ndots(0, MAX_NDOTS, KUBERNETES_NDOTS, Source.ASSUMED),
            resolver=ResolverGuess("unknown", 0.0, ()),
            lookups=sums["lookups"],
            queries=sums["queries"],
            wasted_queries=sums["wasted"],
            wasted_s=sums["lost_ns"] / 1e9 if has_clock else 0.0,
        )
        workload = Workload(
            None,
            None,
            OTHER_CLIENTS,
            clients=self.clients,
            lookups=sums["lookups"],
            complete_lookups=sums["complete"],
            queries=sums["queries"],
            complete_queries=sums["complete_queries"],
            wasted_queries=sums["wasted"],
            nxdomain_queries=sums["nxdomain"],
            wasted_s=sums["lost_ns"] / 1e9 if has_clock else 0.0,
            lookups_s=sums["took_ns"] / 1e9 if has_clock else None,
            p50_s=None,
            p95_s=None,
        )
        return OtherRows(self.clients, client, workload)
