"""Plans: the fewest changes that end most of the waste, in order, with what each leaves.

An *edit* is one dnsConfig changed, one search list made shorter (whatever is taken out of it), or
one name written in full, each in one workload. All counts are of complete lookups, first
transmissions, replayed under all steps of the plan together; the savings of the steps add up to the
plan's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pcapkit.model.vocabulary import Safety


class PlanKind(StrEnum):
    """What a plan may change."""

    SETTINGS = "settings"  # dnsConfig alone: no application is touched
    NAMES = "names"  # names written in full alone
    BEST = "best"  # both


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a verdict rests on."""

    lookups: int
    names: int
    duration_s: float | None


@dataclass(frozen=True, slots=True)
class Outside:
    """Packets that one sender sends to addresses outside the cluster.

    That is a server that forwards questions, or a client that asks a server outside by itself;
    ``sender`` is None where the source does not name it. Packets are queries, first transmissions:
    their mean (None without a duration), and the most of lookups that began within one second.
    Clouds limit them: to 1,024 a second from one network interface to the cloud's own resolvers.
    """

    sender: str | None
    packets_per_s: float | None
    peak_packets_per_s: int


@dataclass(frozen=True, slots=True)
class Load:
    """What lookups cost, as they are or after a plan.

    ``upstream_queries`` are those that the cluster's DNS does not answer itself; ``lookups_s`` is
    the time of all lookups together. ``peak_queries_per_s`` counts queries of lookups that began
    within one second, ``peak_upstream_per_s`` those of them that are upstream. Without a clock all
    these are None. ``outside`` are the senders that send most out of the cluster, of the whole
    capture's lookups.
    """

    queries: int
    wasted_queries: int
    upstream_queries: int
    lookups_s: float | None
    peak_queries_per_s: int | None
    peak_upstream_per_s: int | None = None
    lookup_p95_s: float | None = None
    outside: tuple[Outside, ...] = ()


@dataclass(frozen=True, slots=True)
class NameForm:
    """A form of names that a setting would change, such as ``service.namespace``.

    ``seen`` is how many names of that form the subjects asked for; 0 is no proof that none exists.
    """

    form: str
    seen: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a name or a setting stands in the user's files; ``line`` and ``column`` count from 1.

    ``kind`` says what stands there (``env``, ``args``, ``configmap``, ``annotation``,
    ``dnsConfig`` ...). ``after`` is None where the place is listed and not changed.
    """

    file: str
    line: int
    column: int
    kind: str
    before: str
    after: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """One change for one or several subjects, with all earlier steps of its plan done.

    ``code`` is ``set_ndots``, ``use_fqdn``, ``full_service_name`` or ``drop_suffix``. ``subjects``
    are workloads ``namespace/name``, namespaces or addresses of clients. ``name`` and ``fqdn`` are
    of a step that writes a name in full; ``fqdn`` ends in a dot where ``final_dot`` says that the
    plan needs it. ``suffixes`` are those that a ``drop_suffix`` takes out of search lists.
    ``names`` are those that a ``set_ndots`` obliges to be written in full: base name to the text to
    write.
    """

    number: int
    code: str
    subjects: tuple[str, ...]
    ndots: int | None
    name: str | None
    fqdn: str | None
    final_dot: bool
    names: Mapping[str, str]
    edits: int
    saves_queries: int
    queries_after: int
    wasted_queries_after: int
    upstream_queries_after: int
    waste_share_after: float
    lookup_p95_s_after: float | None
    peak_queries_per_s_after: int | None
    safety: Safety
    reasons: tuple[str, ...]
    forms: tuple[NameForm, ...] = ()
    suffixes: tuple[str, ...] = ()
    peak_upstream_per_s_after: int | None = None
    outside_after: tuple[Outside, ...] = ()
    places: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class FrontierPoint:
    """The least waste that so many edits leave."""

    edits: int
    queries: int
    wasted_queries: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One plan for one subject; ``subject`` None is the whole capture.

    ``saves_share`` is of the queries, ``ends_share`` of the wasted ones. No plan of fewer edits
    than ``edits_bound`` ends as much: where the search was exact, that is ``edits``. ``edits_of``
    says what they are of: ``ndots`` set, ``lists`` made shorter, ``names`` in full. A plan of very
    many steps lists the first of ``steps_in_all``; its own numbers are those of all.
    """

    subject: str | None
    kind: PlanKind
    clients: tuple[str, ...]
    before: Load
    after: Load
    edits: int
    edits_bound: int
    saves_queries: int
    saves_share: float
    ends_share: float
    safety: Safety
    reasons: tuple[str, ...]
    assumed_queries: int
    coverage: Coverage
    steps: tuple[Step, ...]
    frontier: tuple[FrontierPoint, ...]
    patches: Mapping[str, str] = field(default_factory=dict)
    edits_of: Mapping[str, int] = field(default_factory=dict)
    steps_in_all: int = 0
