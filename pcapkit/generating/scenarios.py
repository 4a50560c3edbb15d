"""The scenarios, a row each: healthy pods, what wastes queries, and what is broken.

A row's function says what is asked and what exists; what is then sent follows from the rules of
the resolver that asks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from pcapkit.codes import REFUSED, SERVFAIL, UNANSWERED
from pcapkit.errors import UsageError
from pcapkit.generating.scenario import Held, Network, Pod, Request, Scenario, Settings, around
from pcapkit.generating.worlds import (
    CLUSTER_DNS,
    NAMESPACES,
    OTHER_DNS,
    OUTSIDE,
    OWN,
    Choices,
    cluster,
    everyday,
    pod_address,
    pods,
    settings,
)

#: What a scenario is made of, but its name and its size.
Made = Callable[[Choices], Scenario]


@dataclass(frozen=True, slots=True)
class Row:
    """One scenario, with what it has where the user chooses nothing else."""

    name: str
    title: str
    make: Made
    faults: tuple[str, ...] = ()
    lookups: int = 600
    clients: int = 5
    resolver: str = "glibc"
    ndots: int = 5
    seconds: float = 1200.0


def _of(
    choices: Choices,
    requests: tuple[Request, ...],
    own: Settings | None = None,
    *,
    more: dict[str, Held] | None = None,
    network: Network | None = None,
    **zones: object,
) -> Scenario:
    """Return a scenario whose pods are alike; ``zones`` are fields of its ``Zones``."""
    own = own or settings(choices)
    known = replace(cluster([own.search], more), **zones)  # type: ignore[arg-type]
    who = pods(choices, requests, own)
    return Scenario("", who, known, network or Network(), choices.lookups, choices.seconds)


def _every_other(made: Scenario, **changes: object) -> Scenario:
    """Return a scenario in which every other pod has other settings."""
    who = tuple(
        replace(p, settings=replace(p.settings, **changes)) if n % 2 else p  # type: ignore[arg-type]
        for n, p in enumerate(made.pods)
    )
    return replace(made, pods=who)


def _everyday(choices: Choices) -> Scenario:
    return _of(choices, everyday(settings(choices).search))


def _fqdn(choices: Choices) -> Scenario:
    own = settings(choices)
    near = [f"{name}.{own.search[0]}." for name in OWN] if own.search else []
    return _of(choices, tuple(Request(n) for n in (*near, *(f"{o}." for o in OUTSIDE))))


def _node(choices: Choices) -> Scenario:
    """Pods of several namespaces; each namespace has its settings and its resolver."""
    kinds = []
    for number, namespace in enumerate(NAMESPACES):
        own = settings(choices, namespace, "eu-west-1.compute.internal")
        ndots = 2 if number == 3 and choices.ndots == 5 else choices.ndots
        resolver = ("musl", "go")[number - 4] if number >= 4 else choices.resolver
        kinds.append(replace(own, ndots=ndots, resolver=resolver))
    who = tuple(
        Pod(pod_address(n), own, everyday(own.search), share=1 + n % 3)
        for n in range(choices.clients)
        for own in (kinds[n % len(kinds)],)
    )
    known = cluster([k.search for k in kinds])
    return Scenario("", who, known, Network(), choices.lookups, choices.seconds)


_GONE = tuple(Request(n, 2) for n in ("old-api.example.com", "legacy.example.org", "catalgo"))


def _nxdomain(choices: Choices) -> Scenario:
    return _of(choices, (*everyday(settings(choices).search), *_GONE))


def _no_address(choices: Choices) -> Scenario:
    empty = {"mx-only.example.com": Held({}), "txt-only.example.net": Held({})}
    requests = (*everyday(settings(choices).search), *(Request(n, 2) for n in empty))
    return _of(choices, requests, more=empty)


def _empty(choices: Choices) -> Scenario:
    return replace(_everyday(choices), lookups=0)


def _two_nameservers(choices: Choices) -> Settings:
    return replace(settings(choices), nameservers=(OTHER_DNS, CLUSTER_DNS))


def _dead_nameserver(choices: Choices) -> Scenario:
    own = _two_nameservers(choices)
    return _of(choices, everyday(own.search), own, network=Network(silent=frozenset({OTHER_DNS})))


def _closed_nameserver(choices: Choices) -> Scenario:
    own = _two_nameservers(choices)
    return _of(choices, everyday(own.search), own, network=Network(closed=frozenset({OTHER_DNS})))


def _slow_server(choices: Choices) -> Scenario:
    slow = Network(own_delays=around(0.22), other_delays=around(0.3))
    return replace(_everyday(choices), network=slow)


def _lost_queries(choices: Choices) -> Scenario:
    return replace(_everyday(choices), network=Network(lost=0.03))


def _conntrack_race(choices: Choices) -> Scenario:
    """Every other pod is Go's, whose queries have a port each and do not race."""
    made = _every_other(_everyday(choices), resolver="go")
    return replace(made, network=Network(raced=0.03))


def _servfail(choices: Choices) -> Scenario:
    broken = {("example.org", ""): SERVFAIL}
    return _of(choices, everyday(settings(choices).search), fails=broken)


def _mute_zone(choices: Choices) -> Scenario:
    broken = {("example.org", ""): UNANSWERED}
    return _of(choices, everyday(settings(choices).search), fails=broken)


def _failed_aaaa(choices: Choices) -> Scenario:
    broken = {("example.com", "AAAA"): SERVFAIL}
    return _of(choices, everyday(settings(choices).search), fails=broken)


_CORP = "corp.example.net"


def _wildcard_suffix(choices: Choices) -> Scenario:
    own = settings(choices, NAMESPACES[0], _CORP)
    return _of(choices, everyday(own.search), own, wildcards=(_CORP,))


def _cut_chain(choices: Choices) -> Scenario:
    own = settings(choices, NAMESPACES[0], _CORP)
    return _of(choices, everyday(own.search), own, fails={(_CORP, ""): REFUSED})


def _truncated(choices: Choices) -> Scenario:
    held = {"assets.example.com": Held({"A": 1, "AAAA": 20})}
    requests = (*everyday(settings(choices).search), Request("assets.example.com", 3))
    return _of(choices, requests, more=held)


def _without_tcp(choices: Choices) -> Scenario:
    """One of the pods has another release, which does follow."""
    made = _truncated(choices)
    last = made.pods[-1]
    follows = replace(last, settings=replace(last.settings, resolver="musl"))
    return replace(made, pods=(*made.pods[:-1], follows)) if len(made.pods) > 1 else made


def _oversize(choices: Choices) -> Scenario:
    held = {"assets.example.com": Held({"A": 40})}
    requests = (*everyday(settings(choices).search), Request("assets.example.com", 3))
    return _of(choices, requests, more=held, network=Network(truncates=False))


def _large_answers(choices: Choices) -> Scenario:
    held = {"brokers.data.svc.cluster.local": Held({"A": 60})}
    requests = (*everyday(settings(choices).search), Request("brokers.data", 3))
    return _of(choices, requests, more=held)


def _service_probes(choices: Choices) -> Scenario:
    probes = (
        Request("_grpclb._tcp.api.example.com", 2, ("SRV",)),
        Request("_grpc_config.api.example.com", 2, ("TXT",)),
    )
    return _of(choices, (*everyday(settings(choices).search), *probes))


def _reverse(choices: Choices) -> Scenario:
    asked = tuple(Request(f"{n}.7.0.10.in-addr.arpa.", 1, ("PTR",)) for n in range(20, 26))
    return _of(choices, (*everyday(settings(choices).search), *asked))


def _upstream_leak(choices: Choices) -> Scenario:
    """Pods with a nameserver that knows nothing of the cluster."""
    own = replace(settings(choices), nameservers=("10.0.0.2",))
    made = _of(choices, everyday(own.search), own, denies=".", is_authoritative=False)
    outside = {n: h for n, h in made.zones.held.items() if not made.zones.is_own(n)}
    return replace(made, zones=replace(made.zones, held=outside))


def _mixed_settings(choices: Choices) -> Scenario:
    made = _nxdomain(choices)  # what is missing shows from which ndots on it is asked as is first
    return _every_other(made, ndots=2 if choices.ndots != 2 else 5)


def _autopath(choices: Choices) -> Scenario:
    own = settings(choices)
    aliases = {
        f"{name}.{own.search[0]}": Held({"A": 1}, alias=name) for name in OUTSIDE if own.search
    }
    return _of(choices, everyday(own.search), own, more=aliases)


def _double_expansion(choices: Choices) -> Scenario:
    own = settings(choices)
    full = tuple(Request(f"{name}.{own.search[0]}", 2) for name in OWN if own.search)
    return _of(choices, (*full, *everyday(own.search)[len(OWN) :]))


def _repeated(choices: Choices) -> Scenario:
    return _of(choices, (Request("api.example.com", 9), Request("redis"), Request("orders")))


def _cut(choices: Choices) -> Scenario:
    requests = (Request("api.example.com"), *everyday(settings(choices).search))
    return replace(_of(choices, requests), is_cut=True)


def _every_class(choices: Choices) -> Scenario:
    requests = (
        Request("api.example.com", 2),
        *everyday(settings(choices).search),
        Request("gone.example.com"),
        Request("mx-only.example.com"),
        Request("kafka.data.svc"),
        Request("broken.test"),
        Request("mute.test"),
        Request("_grpclb._tcp.api.example.com", 1, ("SRV",)),
        Request("20.7.0.10.in-addr.arpa.", 1, ("PTR",)),
    )
    ends = {("broken.test", ""): SERVFAIL, ("mute.test", ""): UNANSWERED}
    more = {"mx-only.example.com": Held({})}
    return replace(_of(choices, requests, more=more, fails=ends), is_cut=True)


SCENARIOS: tuple[Row, ...] = (
    Row("plain", "pods as Kubernetes sets them up: ndots 5, external names", _everyday),
    Row("fqdn", "healthy: every name is written in full, with its final dot", _fqdn),
    Row("alpine", "the same pods with musl", _everyday, resolver="musl"),
    Row("go", "the same pods with Go's own resolver", _everyday, resolver="go"),
    Row(
        "node",
        "pods of six namespaces on their node: several resolvers and ndots",
        _node,
        lookups=3000,
        clients=60,
    ),
    Row("ndots-1", "ndots 1: names of services go upstream first", _everyday, ndots=1),
    Row("nxdomain", "names that do not exist, each asked along the whole list", _nxdomain),
    Row("no-address", "names that exist, and have no address", _no_address),
    Row("empty", "an idle pod: no packet at all", _empty, lookups=0),
    Row(
        "thin", "eight lookups: too little to judge", _everyday, lookups=8, clients=1, seconds=20.0
    ),
    Row("cut", "begins and ends in the middle of a lookup", _cut, lookups=60, clients=1),
    Row(
        "every-class",
        "each waste class at least once",
        _every_class,
        ("failed_lookups", "private_reverse_leak", "resolver_stalls", "service_probes"),
        lookups=120,
        clients=1,
        ndots=2,
    ),
    Row(
        "dead-nameserver",
        "the first of two nameservers never answers",
        _dead_nameserver,
        ("dead_nameserver", "resolver_stalls"),
        seconds=7200.0,
    ),
    Row(
        "closed-nameserver",
        "nothing listens at the first of two nameservers: ICMP says so",
        _closed_nameserver,
        ("dead_nameserver", "nameserver_unreachable"),
    ),
    Row("slow-server", "a nameserver that takes 0.2 s", _slow_server, ("slow_nameserver",)),
    Row("lost-queries", "three of 100 queries are lost", _lost_queries, ("resolver_stalls",)),
    Row(
        "conntrack-race",
        "the second query of a pair is lost in the node's connection tracking",
        _conntrack_race,
        ("conntrack_race", "resolver_stalls"),
    ),
    Row("servfail", "a server fails at one zone", _servfail, ("failed_lookups",)),
    Row(
        "mute-zone",
        "a server says nothing to one zone",
        _mute_zone,
        ("failed_lookups", "resolver_stalls"),
    ),
    Row(
        "failed-aaaa",
        "AAAA fails where A is answered: musl waits, and gives up",
        _failed_aaaa,
        ("failed_family",),
        resolver="musl",
    ),
    Row(
        "wildcard-suffix",
        "a wildcard record under a suffix of the node answers external names",
        _wildcard_suffix,
        ("wildcard_suffix",),
    ),
    Row(
        "cut-chain",
        "a suffix that is refused: musl ends the lookup there",
        _cut_chain,
        ("cut_chain", "failed_lookups"),
        resolver="musl",
    ),
    Row("truncated", "answers over 512 bytes, asked again over TCP", _truncated),
    Row(
        "truncated-without-tcp",
        "the same with musl before 1.2.4, which takes what there is",
        _without_tcp,
        ("truncated_without_tcp",),
        resolver="musl@1.2.3",
    ),
    Row(
        "oversize-answers",
        "answers over 512 bytes to clients that did not allow them",
        _oversize,
        ("oversize_answers",),
        resolver="musl",
    ),
    Row(
        "large-answers",
        "a headless service of 60 pods: glibc walks the list again and again",
        _large_answers,
        ("large_answer_walks",),
    ),
    Row("service-probes", "gRPC asks for SRV and TXT names", _service_probes, ("service_probes",)),
    Row("reverse", "PTR of private addresses, asked upstream", _reverse, ("private_reverse_leak",)),
    Row(
        "upstream-leak",
        "pods whose nameserver knows nothing of the cluster",
        _upstream_leak,
        ("upstream_leak",),
    ),
    Row(
        "mixed-settings",
        "pods of one namespace with ndots 5 and 2",
        _mixed_settings,
        ("mixed_settings",),
    ),
    Row(
        "autopath",
        "CoreDNS' autopath: the first suffix is answered with an alias",
        _autopath,
        ("autopath",),
    ),
    Row(
        "double-expansion",
        "full service names without their final dot",
        _double_expansion,
        ("double_expansion",),
    ),
    Row(
        "repeated-lookups",
        "the same names again while their answers are still valid",
        _repeated,
        ("repeated_lookups",),
        clients=1,
    ),
)


def scenario_row(name: str) -> Row:
    """Return a scenario's row. Raises UsageError, with close names, where there is none."""
    from difflib import get_close_matches

    for row in SCENARIOS:
        if row.name == name:
            return row
    close = get_close_matches(name, [r.name for r in SCENARIOS])
    hint = f"did you mean {', '.join(close)}?" if close else "'pcapkit generate' lists all"
    raise UsageError(f"no scenario {name!r}; {hint}")


def make_scenario(
    row: Row,
    *,
    lookups: int | None = None,
    clients: int | None = None,
    ndots: int | None = None,
    resolver: str | None = None,
    search: tuple[str, ...] | None = None,
    seconds: float | None = None,
) -> tuple[Scenario, bool]:
    """Return a scenario as the user wants it, None for what the row says.

    Also whether its faults are sure to show: where nothing changes what the pods ask, and no fewer
    lookups are made than the row says.
    """
    choices = Choices(
        row.lookups if lookups is None else lookups,
        row.clients if clients is None else clients,
        row.ndots if ndots is None else ndots,
        row.resolver if resolver is None else resolver,
        search,
        row.seconds if seconds is None else seconds,
    )
    made = replace(row.make(choices), name=row.name, faults=row.faults)
    is_own = (choices.ndots, choices.resolver, search) == (row.ndots, row.resolver, None)
    enough = choices.lookups >= row.lookups and choices.clients == row.clients
    return made, is_own and enough and choices.seconds >= row.seconds
