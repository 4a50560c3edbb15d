"""What a scenario consists of: pods that ask, zones that hold names, a network between them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from pcapkit.cluster.conventions import CLUSTER_DOMAIN
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN
from pcapkit.resolver.resolv_conf import ResolverConfig
from pcapkit.resolver.simulate import FAMILIES

#: Outcomes of one question with their weights; most have one.
Outcomes = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """What an application asks for; a final dot makes the name absolute.

    Of a round of all requests of a pod, it is asked ``times`` times.
    """

    name: str
    times: int = 1
    qtypes: tuple[str, ...] = FAMILIES


@dataclass(frozen=True, slots=True)
class Settings:
    """A pod's resolver (``musl``, ``musl@1.2.3``) and its resolv.conf."""

    resolver: str
    search: tuple[str, ...]
    ndots: int
    nameservers: tuple[str, ...]

    @property
    def config(self) -> ResolverConfig:
        """The same as the rules of resolvers take it."""
        return ResolverConfig(self.nameservers, self.search, self.ndots, (), "")


@dataclass(frozen=True, slots=True)
class Pod:
    """One client; ``share`` weighs its lookups against those of the others."""

    address: str
    settings: Settings
    requests: tuple[Request, ...]
    share: int = 1


@dataclass(frozen=True, slots=True)
class Held:
    """What a zone has for a name: how many records of each type; an alias may come first."""

    records: Mapping[str, int]
    alias: str | None = None


@dataclass(frozen=True)
class Zones:
    """What nameservers know; names without a final dot, in lower case.

    ``wildcards`` are domains below which every name has an A record. ``fails`` maps a domain, or
    (domain, type), to what becomes of all questions in it. ``outcomes`` says of single questions
    how they end, whatever else is known. ``own`` is the domain answered with AA, ``denies`` the
    zone whose SOA record denials of it carry.
    """

    held: Mapping[str, Held]
    wildcards: tuple[str, ...] = ()
    fails: Mapping[tuple[str, str], int] = field(default_factory=dict)
    outcomes: Mapping[tuple[str, str], Outcomes] = field(default_factory=dict)
    own: str = CLUSTER_DOMAIN
    denies: str = CLUSTER_DOMAIN
    is_authoritative: bool = True

    @property
    def is_fixed(self) -> bool:
        """Does a question always end alike?"""
        return all(len(o) == 1 for o in self.outcomes.values())

    def outcome(self, name: str, qtype: str, dice: Random) -> int:
        """Say how one question ends, as ``pcapkit.codes`` number it."""
        drawn = self.outcomes.get((name, qtype))
        if drawn is not None:
            if len(drawn) == 1:
                return drawn[0][0]
            ends, weights = zip(*drawn, strict=True)
            return int(dice.choices(ends, weights)[0])
        for (domain, kind), end in self.fails.items():
            if kind in ("", qtype) and (name == domain or name.endswith(f".{domain}")):
                return end
        held = self.held.get(name)
        if held is not None:
            return ANSWER if held.records.get(qtype) else NODATA
        if any(name.endswith(f".{w}") for w in self.wildcards):
            return ANSWER if qtype == "A" else NODATA
        return NXDOMAIN

    def is_own(self, name: str) -> bool:
        """Does the cluster's DNS answer this name itself?"""
        return name == self.own or name.endswith(f".{self.own}")

    def zone_of(self, name: str) -> str:
        """Return the zone whose SOA record a denial carries."""
        if self.is_own(name):
            return self.denies
        return ".".join(name.split(".")[-2:])


@dataclass(frozen=True, slots=True)
class Delays:
    """Times between query and response: their quantiles in seconds, at equal steps from 0 to 1."""

    quantiles: tuple[float, ...]

    def draw(self, dice: Random) -> float:
        """Return one of them, in seconds."""
        place = dice.random() * (len(self.quantiles) - 1)
        low = int(place)
        left, right = self.quantiles[low], self.quantiles[min(low + 1, len(self.quantiles) - 1)]
        return left + (right - left) * (place - low)


def around(median_s: float) -> Delays:
    """Return delays as networks have them: half are below ``median_s``, few far above."""
    steps = (math.exp(1.2 * (n / 16 - 0.5)) for n in range(17))
    return Delays(tuple(median_s * s for s in steps))


@dataclass(frozen=True, slots=True)
class Network:
    """What lies between clients and nameservers.

    ``lost`` is the probability that a query, or its response, gets lost when it is first sent;
    ``raced`` that of the second query of a pair that leaves one port. ``silent`` and ``closed``
    nameservers answer nothing; the latter send an ICMP message. Responses over the client's limit
    are truncated where ``truncates`` says so.
    """

    own_delays: Delays = around(0.0004)
    other_delays: Delays = around(0.005)
    lost: float = 0.0
    raced: float = 0.0
    silent: frozenset[str] = frozenset()
    closed: frozenset[str] = frozenset()
    truncates: bool = True


@dataclass(frozen=True)
class Scenario:
    """Everything that a capture is made of.

    ``faults`` are the codes of those that it shows. ``is_cut``: the first lookup begins before the
    capture, and the last one ends after it. ``seconds`` is how long the pods ask, about.
    """

    name: str
    pods: tuple[Pod, ...]
    zones: Zones
    network: Network
    lookups: int
    seconds: float
    faults: tuple[str, ...] = ()
    is_cut: bool = False
    start_us: int = 1_767_225_600_000_000  # 2026-01-01
    addresses: tuple[bytes, bytes] = (bytes((10, 96, 64, 0)), bytes.fromhex("fd00") + bytes(14))
