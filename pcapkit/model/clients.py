"""Records of who asks and who is asked: clients with their settings, servers, the vantage."""

from __future__ import annotations

from dataclasses import dataclass

from pcapkit.model.vocabulary import Source


@dataclass(frozen=True, slots=True)
class Ndots:
    """The closed interval that the traffic proves, and the value the analysis uses."""

    low: int
    high: int
    value: int
    source: Source


@dataclass(frozen=True, slots=True)
class ResolverGuess:
    """The stub resolver that the traffic looks like; ``model`` is ``unknown`` rather than a guess.

    ``confidence`` is between 0 and 1, ``release`` what the user says; no traffic shows it.
    """

    model: str
    confidence: float
    evidence: tuple[str, ...]
    release: str | None = None

    @property
    def rules(self) -> str:
        """By whose rules it asks, with the release where that is known: ``c-ares@1.27``."""
        return self.model if self.release is None else f"{self.model}@{self.release}"


def given_resolver(text: str) -> ResolverGuess:
    """Return the resolver that the user names, of a release where that stands behind ``@``."""
    model, _, release = text.partition("@")
    return ResolverGuess(model, 1.0, ("given",), release or None)


@dataclass(frozen=True, slots=True)
class DnsPolicy:
    """The ``dnsPolicy`` that the pod's spec says, or list and servers show; None where none does.

    ``value`` is ``ClusterFirst``, ``ClusterFirstWithHostNet``, ``Default`` or ``None``.
    """

    value: str | None
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Client:
    """One client in one period of constant settings.

    That is an address, or a container there where comments on packets name it.
    """

    client_addr: str
    first_time: int | None
    last_time: int | None
    pod: str | None
    namespace: str | None
    workload: str | None
    workload_kind: str | None
    search: tuple[str, ...]
    search_source: Source
    ndots: Ndots
    resolver: ResolverGuess
    lookups: int
    queries: int
    wasted_queries: int
    wasted_s: float
    dns_policy: DnsPolicy = DnsPolicy(None, ())
    #: several resolvers behind this address, which is not judged as one; and why
    mixture: bool = False
    mixture_reasons: tuple[str, ...] = ()
    container: str | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """One address that was asked; ``role`` is ``cluster_dns``, ``node_cache`` or ``other``.

    ``name`` is its service or pod (``namespace/name``), where that is known.
    """

    server_addr: str
    role: str
    name: str | None
    clients: int
    queries: int
    tcp_queries: int


@dataclass(frozen=True, slots=True)
class Translation:
    """Packets seen before and after their server address was translated."""

    before: str
    after: str
    packets: int


@dataclass(frozen=True, slots=True)
class Vantage:
    """Where the capture was taken, as far as it shows, and what cannot be seen from there.

    ``point`` is ``pod``, ``node``, ``cluster_dns``, ``upstream`` or ``unknown``.
    """

    point: str
    evidence: tuple[str, ...]
    unseen: tuple[str, ...]
    servers: tuple[Server, ...]
    translations: tuple[Translation, ...]
