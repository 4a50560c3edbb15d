"""What shows each fault, and what only looks like it: one row a fault of the catalogue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcapkit.pipeline.analysis import Analysis
from pcapkit.pipeline.analyze import analyze
from tests import build
from tests.analysis.faults import test_delivery as delivery
from tests.analysis.faults import test_names as names
from tests.analysis.faults import test_settings as settings
from tests.analysis.faults.test_delivery import FAILS, MANY, NAME
from tests.analysis.faults.test_names import CORP, FOUR, PROVIDER
from tests.analysis.talk import (
    LIST,
    NAMESPACE,
    NXDOMAIN,
    REFUSED,
    SERVFAIL,
    SERVICES,
    TRUNCATED,
    ZONE,
    Talk,
)
from tests.build import AAAA, PTR, SRV, TXT, A

#: Writes an input into a folder and analyses it.
Input = Callable[[Path], Analysis]


@dataclass(frozen=True)
class Case:
    """A fault's row: ``near`` must not give it, ``doubtful`` only as 'consistent_with'."""

    shows: Input
    near: tuple[Input, ...]
    doubtful: tuple[Input, ...] = ()


def talked(talk: Talk | Callable[[], Talk], **options: Any) -> Input:
    """Return a conversation, or what makes one, as an input."""
    return lambda folder: (talk if isinstance(talk, Talk) else talk()).analyze(folder, **options)


def given(talk: Talk, resolv_conf: str, *, bound: str = "") -> Input:
    """Return a conversation with a resolv.conf that is given for it."""

    def run(folder: Path) -> Analysis:
        file = build.save(folder, resolv_conf.encode(), "resolv.conf")
        return talk.analyze(folder, resolv_conf=[bound + file])

    return run


def printed(*lines: str) -> Input:
    """Return lines of tcpdump as an input."""
    return lambda folder: analyze(build.save(folder, ("\n".join(lines) + "\n").encode(), "p.txt"))


def exchanges(*rows: tuple[Any, ...], **how: Any) -> Talk:
    """Return a conversation of (time, name, type, how); ``how`` holds for all of them."""
    talk = Talk()
    for at, name, qtype, *own in rows:
        talk.exchange(at, name, qtype, **(how | dict(*own)))
    return talk


# ---- delivery -----------------------------------------------------------------------------------


def one_way(*, port: int | None) -> Talk:
    """Queries alone, every five seconds: a capture of one direction."""
    talk = Talk()
    for number in range(10):
        for qtype, ident in ((A, 1), (AAAA, 2)):
            how: dict[str, Any] = {"port": port, "ident": ident} if port else {"edns": True}
            talk.exchange(number * 5000 + qtype / 100, NAME, qtype, took=None, **how)
    return talk


def silent_family(lookups: int, *, lost: int = 0) -> Talk:
    """Of one name AAAA gets no response to two tries, in so many lookups; elsewhere some lose one.

    Sixty other names are asked, some of which lose their first query.
    """
    talk = Talk()
    for number in range(lookups):
        at, port = number * 20000, 20001 + number
        for again in (0, 5000):
            talk.exchange(at + again, "www.example.com", A, port=port, ident=1)
            talk.exchange(at + again + 0.02, "www.example.com", AAAA, port=port, ident=2, took=None)
    for number in range(60):
        at, name = 200000 + number * 20000, f"svc-{number}.{NAMESPACE}"
        port = 30001 + number
        if number < lost:
            talk.exchange(at, name, port=port, ident=1, took=None)
        talk.exchange(at + (5000 if number < lost else 0), name, port=port, ident=1)
    return talk


def truncated(*rest: dict[str, Any], tcp_elsewhere: bool = True) -> Talk:
    """A truncated response and what the client sends then; others ask over TCP, or nobody does."""
    talk = exchanges((0, NAME, A), flags=TRUNCATED, port=40001, ident=7)
    for number, how in enumerate(rest, 1):
        talk.exchange(number, NAME, port=40001 + number, ident=7, **how)
    if tcp_elsewhere:
        talk.exchange(5000, f"other.{NAMESPACE}", client="10.244.9.9", tcp=True)
    return talk


def family_lost_once() -> Talk:
    talk = exchanges((0, NAME, A), port=40001, ident=1)
    talk.exchange(0.02, NAME, AAAA, port=40001, ident=2, took=None)
    talk.exchange(5000, NAME, AAAA, port=40001, ident=2, answers=[])
    return talk


def at_home() -> Talk:
    """No cluster, and a server that takes its time: nothing is translated on the way."""
    talk = Talk(client="192.168.1.20", server="192.168.1.1")
    talk.exchange(0, "www.example.com", A, port=40001, ident=1, took=490)
    talk.exchange(0.02, "www.example.com", AAAA, port=40001, ident=2, took=None)
    talk.exchange(5005, "www.example.com", AAAA, port=40001, ident=2, took=490, answers=[])
    return talk


def never_answered_type() -> Talk:
    talk = Talk()
    talk.exchange(0, NAME, A, port=40001, ident=1)
    for time in (0.02, 5000):
        talk.exchange(time, NAME, AAAA, port=40001, ident=2, took=None)
    talk.exchange(5000.1, NAME, A, port=40001, ident=1)
    talk.found(20000, f"other.{NAMESPACE}")
    return talk


def lost_pair() -> Talk:
    talk = Talk()
    for qtype, ident in ((A, 1), (AAAA, 2)):
        talk.exchange(ident / 100, NAME, qtype, port=40001, ident=ident, took=None)
        talk.exchange(5000 + ident, NAME, qtype, port=40001, ident=ident)
    return talk


def own_ports() -> Talk:
    """As Go asks."""
    talk = exchanges((0, NAME, A, {"port": 40001}), edns=True)
    talk.exchange(0.02, NAME, AAAA, port=40002, edns=True, took=None)
    talk.exchange(5003, NAME, AAAA, port=40003, edns=True, answers=[])
    return talk


def denied() -> Talk:
    """Names that do not exist, or have no such type; a failure that is passed over."""
    talk = Talk()
    talk.pair(0, "gone.example.com", rcode=NXDOMAIN)
    talk.pair(1000, "empty.example.com", answers=[])
    talk.pair(2000, f"x.{SERVICES}", rcode=SERVFAIL, minimum=None)
    talk.pair(2001, "x", rcode=NXDOMAIN)
    return talk


def failing() -> Talk:
    talk = Talk()
    talk.pair(0, "api.example.com", rcode=SERVFAIL, minimum=None)
    talk.found(60000, NAME)
    return talk


def unheard_client() -> Talk:
    talk = Talk()
    for number in range(30):
        talk.exchange(number * 1000, f"r{number}.example.com", took=None)
    return talk


def icmp(quoted: bytes, *, to_client: bool = True) -> Talk:
    """An ICMP message of a closed port beside a lookup."""
    talk = exchanges((0, NAME, A), took=300)
    ends = (build.SERVER, build.CLIENT) if to_client else (build.CLIENT, build.SERVER)
    talk.unreachable(400, quoted, ends)
    return talk


OF_SYSLOG = build.ipv4(build.udp(b"x" * 20, 40001, 514), build.CLIENT, build.SERVER)[:28]


def mute_zone() -> Talk:
    talk = delivery.two_servers(answers_late=False)
    talk.exchange(50000, f"web.other.{SERVICES}", server=delivery.OTHER)
    return talk


def at_once() -> Talk:
    """musl asks two nameservers at once; responses of one take a way past the capture point."""
    talk = Talk()
    for number in range(6):
        for server in (build.SERVER, delivery.OTHER):
            for qtype, ident in ((A, 100 * number + 7), (AAAA, 100 * number + 100)):
                talk.exchange(
                    number * 1000 + qtype / 1000,
                    f"web-{number}.{NAMESPACE}",
                    qtype,
                    port=40000 + number,
                    ident=ident,
                    server=server,
                    took=0.3 if server == build.SERVER else None,
                    answers=None if qtype == A else [],
                )
    return talk


def timed(slow: int) -> Talk:
    """Twelve responses, so many of them after 250 ms."""
    talk = Talk()
    for number in range(12):
        talk.exchange(number * 1000, f"web-{number}.{ZONE}", took=250 if number < slow else 1)
    return talk


def busy_cluster() -> Talk:
    talk = delivery.busy(1100, build.SERVER, lost=5)
    talk.found(3000, NAME)
    return talk


# ---- names --------------------------------------------------------------------------------------


def walks(*bases: tuple[str, int | None], search: tuple[str, ...] = FOUR) -> Talk:
    """Walks of names, each with where it is answered."""
    talk = Talk()
    for number, (base, ends_at) in enumerate(bases):
        talk.walk(number * 1000, base, search, ends_at=ends_at)
    talk.found(90000, f"web.{NAMESPACE}")
    return talk


def full_name_of_the_cluster() -> Talk:
    talk = Talk()
    for position, suffix in enumerate(FOUR):
        talk.pair(position, f"db.ledger.{SERVICES}.{suffix}", rcode=NXDOMAIN)
    talk.found(5, f"db.ledger.{SERVICES}")
    talk.found(1000, f"db.{CORP}")
    return talk


def label_under_two_domains() -> Talk:
    """Somebody asks for one label under two domains, and never for it alone."""
    talk = Talk()
    for number, label in enumerate(("ns1", "ns2")):
        talk.exchange(number * 1000, f"{label}.a.example.net", rcode=NXDOMAIN, edns=True)
        talk.exchange(number * 1000 + 1, f"{label}.b.example.net", answers=[], edns=True)
    return talk


def refusing_end_of_the_list() -> Talk:
    talk = Talk()
    for number, base in enumerate(("api.example.com", "www.example.org")):
        at = number * 1000
        for place, suffix in enumerate(LIST):
            talk.pair(at + place, f"{base}.{suffix}", rcode=NXDOMAIN)
        talk.pair(at + 3, f"{base}.{CORP}", rcode=REFUSED, minimum=None)
        talk.pair(at + 4, base)
    return talk


GOES_ON = (f"api.example.com.{ZONE}", "api.example.com")


def without_the_type() -> Talk:
    """A service has no AAAA record."""
    talk = names.cut(0, then=GOES_ON)
    talk.exchange(30000, f"web.{NAMESPACE}", AAAA, answers=[])
    return talk


def asked_as_is() -> Talk:
    talk = Talk()
    talk.walk(0, "github.com")
    talk.found(1000, f"web.{NAMESPACE}")
    talk.walk(2000, f"web.{CORP}")  # a name under another domain is expanded once
    talk.pair(3000, f"gone.{NAMESPACE}", rcode=NXDOMAIN)  # ndots:4, as is first
    talk.walk(3001, f"gone.{NAMESPACE}", LIST)
    return talk


def denied_pair() -> Talk:
    """The name under the first suffix exists in neither family; what follows is no alias."""
    talk = walks(("github.com", None), search=LIST)
    talk.walk(5000, "gone.example.com", LIST)
    return talk


def family_of(rcode: int, *, a: int = 0) -> Talk:
    """A and AAAA of one name, each with its rcode."""
    talk = exchanges((0, "www.example.com", A, {"rcode": a}), port=45000)
    talk.exchange(0.02, "www.example.com", AAAA, port=45000, rcode=rcode, answers=[])
    return talk


def polls(ttl: int, count: int, *, clients: int = 1) -> Talk:
    talk = Talk()
    for number in range(count):
        client = f"10.244.1.{number % clients + 1}"
        talk.found(number * 2000, f"web.{NAMESPACE}", ttl=ttl, minimum=ttl, client=client)
    return talk


def reverse(address: str, **how: Any) -> Talk:
    """A PTR question, denied without AA unless ``how`` says otherwise."""
    name = ".".join(reversed(address.split("."))) + ".in-addr.arpa"
    return exchanges((0, name, PTR), **({"rcode": NXDOMAIN, "flags": 0} | how))


def served_cluster() -> Talk:
    talk = names.leaked(zone=".")
    talk.found(2000, f"cart.{NAMESPACE}", flags=0, server=PROVIDER)
    return talk


def external_at_the_provider() -> Talk:
    talk = walks(("github.com", None), search=LIST)
    talk.found(91000, "www.example.com", flags=0, server=PROVIDER)
    talk.found(92000, f"web.{ZONE}.ec2.internal", flags=0, server=PROVIDER)
    return talk


def cache_of_the_cluster() -> Talk:
    """It has no authority, and knows the cluster's names."""
    talk = Talk()
    talk.walk(0, "github.com", flags=0)
    talk.found(1000, f"web.{NAMESPACE}", flags=0)
    return talk


ONE_SERVER, OTHER_SERVER = build.SERVER, names.OTHER
CREATED = [(ONE_SERVER, NXDOMAIN), (ONE_SERVER, NXDOMAIN), (ONE_SERVER, 0)]
CREATED_FOR_TWO = [(ONE_SERVER, 0), (OTHER_SERVER, NXDOMAIN)]
TURNS_OF_ONE = [(ONE_SERVER, 0), (ONE_SERVER, NXDOMAIN), (ONE_SERVER, 0)]
TURNS_OF_TWO = [*CREATED_FOR_TWO, *CREATED_FOR_TWO]


# ---- settings -----------------------------------------------------------------------------------


def two_clients(left: tuple[str, ...], right: tuple[str, ...]) -> Talk:
    """Two clients with a list each, walked to its end."""
    talk = Talk()
    talk.walk(0, "github.com", left, client=settings.ONE)
    talk.walk(1000, "github.com", right, client=settings.TWO)
    return talk


def list_cut_short() -> Talk:
    talk = Talk()
    talk.walk(0, "github.com", FOUR, client=settings.ONE)
    talk.walk(1000, "api.other", LIST, ends_at=1, client=settings.TWO)
    talk.walk(2000, "web.other", LIST, ends_at=1, client=settings.TWO)
    return talk


def address_used_anew() -> Talk:
    talk = Talk()
    for turn in range(4):
        own = f"team-{turn // 2}.{SERVICES}"
        talk.walk(turn * 1000, f"r{turn}.example.com", (own, SERVICES, ZONE), client=settings.ONE)
    return talk


def restart_with_other_ndots() -> Talk:
    """One address, and its settings change once."""
    talk = Talk()
    for number in range(8):
        base = f"r{number}.example.com"
        if number < 4:
            talk.walk(number * 1000, base, client=settings.ONE)
            continue
        talk.pair(number * 1000, base, client=settings.ONE, rcode=NXDOMAIN)
        for place, suffix in enumerate(LIST, 1):
            at = number * 1000 + place
            talk.pair(at, f"{base}.{suffix}", client=settings.ONE, rcode=NXDOMAIN)
    return talk


def answers_itself() -> Talk:
    """The address asks for others: it answers DNS."""
    talk = Talk()
    for turn in range(4):
        own = f"team-{turn % 2}.{SERVICES}"
        talk.walk(turn * 1000, f"r{turn}.example.com", (own, SERVICES, ZONE), client=settings.ONE)
        at, name = turn * 1000 + 1, f"r{turn}.example.com"
        talk.found(at, name, client=settings.TWO, server=settings.ONE)
    return talk


def walked() -> Talk:
    talk = Talk()
    talk.walk(0, "www.example.com")
    talk.exchange(1000, f"web.{NAMESPACE}", A)
    talk.exchange(2000, f"web.{NAMESPACE}", AAAA, answers=[])
    return talk


CASES: dict[str, Case] = {
    "failed_family": Case(
        talked(delivery.one_family(FAILS, tries=5)),
        near=(
            talked(delivery.one_family(FAILS)),
            talked(delivery.one_family({"answers": []})),
            talked(delivery.one_family({"rcode": NXDOMAIN})),
            talked(family_lost_once),
        ),
        doubtful=(talked(lambda: silent_family(1, lost=20)),),
    ),
    "conntrack_race": Case(
        talked(lambda: delivery.races(10, elsewhere=0)),
        near=(talked(at_home), talked(own_ports), talked(lost_pair), talked(never_answered_type)),
        doubtful=(
            talked(lambda: delivery.races(10, elsewhere=8)),
            talked(lambda: delivery.raced(5005)),
        ),
    ),
    "resolver_stalls": Case(
        talked(lambda: delivery.raced(5005)),
        near=(
            talked(exchanges((0, NAME, A), took=4900)),
            talked(delivery.unheard(5005, port=40002, ident=9)),
            talked(delivery.unheard(300)),
            talked(one_way(port=None)),
        ),
    ),
    "failed_lookups": Case(
        talked(failing), near=(talked(denied, search=[SERVICES]), talked(unheard_client))
    ),
    "nameserver_unreachable": Case(
        talked(icmp(delivery.quote(of_query=True))),
        near=(
            talked(icmp(OF_SYSLOG)),
            talked(icmp(delivery.quote(of_query=False), to_client=False)),
            talked(lambda: delivery.raced(5005)),
        ),
    ),
    "closed_port_answers": Case(
        talked(icmp(delivery.quote(of_query=False), to_client=False)),
        near=(talked(icmp(OF_SYSLOG)), talked(icmp(delivery.quote(of_query=True)))),
    ),
    "truncated_without_tcp": Case(
        talked(truncated()),
        near=(talked(truncated({"tcp": True})), talked(truncated({"tcp": True, "took": None}))),
        doubtful=(talked(truncated(tcp_elsewhere=False)),),
    ),
    "oversize_answers": Case(
        talked(exchanges((0, NAME, A), answers=MANY)),
        near=(
            talked(exchanges((0, NAME, A), answers=MANY, edns=True)),
            talked(exchanges((0, NAME, A), answers=MANY, tcp=True)),
            talked(exchanges((0, NAME, A), answers=MANY[:20])),
        ),
    ),
    "large_answer_walks": Case(
        talked(delivery.asked_at_once_again(4), search=[SERVICES]),
        near=(talked(delivery.asked_at_once_again(400), search=[SERVICES]),),
    ),
    "dead_nameserver": Case(
        talked(delivery.two_servers(answers_late=False)),
        near=(talked(delivery.two_servers(answers_late=True)), talked(mute_zone), talked(at_once)),
    ),
    "slow_nameserver": Case(talked(lambda: timed(12)), near=(talked(lambda: timed(5)),)),
    "packet_rate": Case(
        talked(lambda: delivery.busy(1100, PROVIDER, lost=5)),
        near=(
            talked(lambda: delivery.busy(1000, PROVIDER)),
            talked(lambda: delivery.busy(1100, PROVIDER, clients=2)),
            talked(lambda: delivery.busy(1100, PROVIDER, spread_ms=1900)),
            talked(busy_cluster),
        ),
        doubtful=(talked(lambda: delivery.busy(1100, PROVIDER)),),
    ),
    "wildcard_suffix": Case(
        talked(lambda: walks(("www.example.com", 3), ("github.com", 3))),
        near=(
            talked(lambda: walks(("db1.eu", 3), ("www.example.com", None), ("github.com", None))),
            talked(
                lambda: walks(
                    *((b, 1) for b in ("web.dev", "api.dev", "queue.app")),
                    ("www.example.com", None),
                    search=LIST,
                )
            ),
            talked(full_name_of_the_cluster),
        ),
        doubtful=(
            talked(lambda: walks(("kafka.prod.dev", 3))),
            talked(lambda: walks(*((f"{h}.prod.dev", 3) for h in ("kafka", "redis", "db")))),
        ),
    ),
    "cut_chain": Case(
        talked(lambda: names.cut(SERVFAIL)),
        near=(
            talked(label_under_two_domains),
            talked(refusing_end_of_the_list),
            *(talked(names.cut(rcode, then=GOES_ON)) for rcode in (0, SERVFAIL, REFUSED)),
            talked(without_the_type),
        ),
    ),
    "double_expansion": Case(
        talked(lambda: walks((f"web.{NAMESPACE}", None), search=LIST)), near=(talked(asked_as_is),)
    ),
    "autopath": Case(
        talked(lambda: names.aliased("www.example.com")),
        near=tuple(
            talked(names.aliased(target))
            for target in ("db.example.net", f"www.other.{SERVICES}", "example.com")
        ),
    ),
    "autopath_disagreement": Case(
        talked(lambda: names.aliased("www.example.com", aaaa=NXDOMAIN)),
        near=(
            talked(lambda: names.aliased("www.example.com")),
            talked(lambda: names.aliased("db.example.net", aaaa=NXDOMAIN)),
            talked(denied_pair),
        ),
    ),
    "aaaa_nxdomain": Case(
        talked(lambda: family_of(NXDOMAIN)),
        near=(
            talked(lambda: family_of(0)),
            talked(lambda: family_of(NXDOMAIN, a=NXDOMAIN)),
            talked(lambda: names.aliased("www.example.com", aaaa=NXDOMAIN)),
        ),
    ),
    "unstable_names": Case(
        talked(lambda: names.views(*TURNS_OF_ONE)),
        near=(talked(names.views(*CREATED)), talked(names.views(*TURNS_OF_TWO))),
    ),
    "contradicting_servers": Case(
        talked(lambda: names.views(*TURNS_OF_TWO)),
        near=(
            talked(names.views(*CREATED)),
            talked(names.views(*CREATED_FOR_TWO)),
            talked(names.views((ONE_SERVER, 0), (OTHER_SERVER, 0), (ONE_SERVER, 0))),
            talked(names.views(*TURNS_OF_ONE)),
        ),
        doubtful=(talked(names.views(*CREATED_FOR_TWO, gap=600)),),
    ),
    "repeated_lookups": Case(
        talked(lambda: polls(30, 5)),
        near=(
            talked(lambda: polls(1, 5)),
            talked(lambda: polls(30, 3)),
            talked(lambda: polls(30, 6, clients=6)),
        ),
    ),
    "service_probes": Case(
        talked(exchanges((0, "_grpc_config.example.com", TXT), rcode=NXDOMAIN)),
        near=(
            talked(exchanges((0, f"_grpc._tcp.web.{NAMESPACE}", SRV))),
            talked(exchanges((0, "_imaps._tcp.example.com", SRV), rcode=NXDOMAIN)),
        ),
    ),
    "upstream_leak": Case(
        talked(lambda: names.leaked(zone=".")),
        near=(
            talked(lambda: names.leaked(zone=ZONE)),
            talked(lambda: names.leaked(zone=SERVICES.upper())),
            talked(lambda: names.leaked(minimum=None)),
            talked(served_cluster),
            talked(external_at_the_provider),
            talked(cache_of_the_cluster),
        ),
    ),
    "private_reverse_leak": Case(
        talked(lambda: reverse("10.1.2.3", zone="in-addr.arpa")),
        near=(
            talked(lambda: reverse("172.32.0.9")),
            talked(lambda: reverse("110.1.2.3")),
            talked(lambda: reverse("10.1.2.3", flags=0x0400)),  # nobody else was asked
            talked(lambda: reverse("10.1.2.3", zone="10.in-addr.arpa")),  # RFC 6303
            talked(lambda: reverse("10.1.2.3", rcode=0)),
        ),
        doubtful=(talked(lambda: reverse("10.1.2.3", minimum=None)),),
    ),
    "mixed_settings": Case(
        talked(lambda: two_clients(LIST, FOUR)),
        near=(
            talked(lambda: two_clients(LIST, (f"web.{SERVICES}", SERVICES, ZONE))),
            talked(list_cut_short),
            talked(address_used_anew),
            talked(restart_with_other_ndots),
            talked(settings.both_ways(settings.THREE[0])),
            talked(settings.both_ways(*settings.THREE, "web")),
            talked(settings.in_turns()),
            talked(settings.in_turns(tcp=True, port=40001)),
            talked(answers_itself),
        ),
        doubtful=(talked(settings.both_ways(*settings.THREE)),),
    ),
    "search_list": Case(
        given(exchanges((0, "web.a.example", A)), "search a.example a.example\n"),
        near=(
            given(exchanges((0, "web.a.example", A)), "search a.example b.example\n"),
            talked(lambda: walks(("github.com", None), search=tuple(f"s{n}.x" for n in range(6)))),
            lambda folder: settings.empty_questions(folder, 1),
            talked(exchanges((0, "github.com", A), rcode=1)),
        ),
    ),
    "given_contradicted": Case(
        talked(walked, search=[f"web.{SERVICES}", SERVICES, ZONE]),
        near=(
            talked(walked, search=[*LIST, CORP]),
            talked(walked, search=list(LIST), ndots=5),
            talked(walked, ndots=3),
        ),
    ),
}
