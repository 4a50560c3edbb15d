"""Who asked whom, and which addresses hide more than one resolver: counted part by part.

An address is a mixture where several clients ask from it at once (a node's address, translated
addresses, a proxy; also containers of one pod with different C libraries): it walks two namespaces'
lists in turns, has two ndots at once, or shows the signs of two resolver models.
"""

from __future__ import annotations

from dataclasses import dataclass

from pcapkit.analysis.traffic.part import PartTraffic


@dataclass(slots=True)
class QueryCounts:
    """What one client asked one server; ``cluster`` answers were for names of the cluster."""

    queries: int = 0
    tcp: int = 0
    answered: int = 0
    cluster: int = 0

    def add(self, other: QueryCounts) -> None:
        """Add what another part counted."""
        self.queries += other.queries
        self.tcp += other.tcp
        self.answered += other.answered
        self.cluster += other.cluster


class VantageTally:
    """Counts by client and server; parts may come in any order, and tallies add up."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], QueryCounts] = {}
        #: addresses whose traffic cannot be one pod's, whose containers share a search list
        self.several_pods: set[str] = set()
        self._mixed: dict[str, set[str]] = {}

    def add(self, part: PartTraffic) -> None:
        """Count the transactions of some clients; a server is the one that responded."""
        for client, server, *counted in part.query_counts.tolist():
            pair = self._client(part, client), part.context.address(server)
            self.counts.setdefault(pair, QueryCounts()).add(QueryCounts(*counted))
        self._add_mixtures(part)

    def merge(self, other: VantageTally) -> None:
        """Add what another tally of the same capture counted, of other clients."""
        for pair, counted in other.counts.items():
            self.counts.setdefault(pair, QueryCounts()).add(counted)
        self.several_pods |= other.several_pods
        for address, reasons in other._mixed.items():
            self._mixed.setdefault(address, set()).update(reasons)

    def _add_mixtures(self, part: PartTraffic) -> None:
        for index in part.two_namespaces_at_once:
            self._note(part, index, "walks the search lists of two namespaces in turns")
            self.several_pods.add(self._client(part, index))
        for index in part.two_ndots_at_once:
            self._note(part, index, "searches names, and in between asks such names as is first")
        for index, client in enumerate(part.readings.clients):
            if len(client.models) > 1:
                self._note(part, index, f"asks as {' and '.join(client.models)} do")

    def _client(self, part: PartTraffic, index: int) -> str:
        return part.context.address(part.readings.clients[index].client)

    def _note(self, part: PartTraffic, index: int, reason: str) -> None:
        self._mixed.setdefault(self._client(part, index), set()).add(reason)

    def mixtures(self) -> dict[str, tuple[str, ...]]:
        """Return why some addresses are mixtures, by address."""
        return {a: tuple(sorted(reasons)) for a, reasons in sorted(self._mixed.items())}

    def forwarders(self) -> frozenset[str]:
        """Return the addresses that both ask and answer others; a loopback's own are none."""
        answering = {s for (client, s), n in self.counts.items() if n.answered and client != s}
        return frozenset(answering & {client for client, _ in self.counts})
