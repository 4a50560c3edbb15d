"""Which resolver asks, or that several do, by what its pairs and walks look like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pcapkit.model.clients import Client
from tests import build
from tests.analysis.talk import LIST, NAMESPACE, NXDOMAIN, SERVFAIL, Talk, cname
from tests.build import AAAA, SRV, A

Gap = Callable[[Random], int]


def far(dice: Random) -> int:
    """Unrelated IDs."""
    return dice.randrange(5000, 60000)


def close(dice: Random) -> int:
    """IDs of musl's, which are taken from the clock."""
    return dice.randrange(70, 400)


def near(dice: Random) -> int:
    """IDs of musl's in a pod at its CPU limit."""
    return dice.randrange(100, 4000)


def one(_: Random) -> int:
    """IDs that are counted up."""
    return 1


def seldom_far(dice: Random) -> int:
    """IDs of musl's whose process is often kept from running between the two."""
    return far(dice) if dice.random() < 0.35 else close(dice)


def walks(
    talk: Talk,
    gaps: Sequence[Gap],
    *,
    number: int = 40,
    nodata: int | None = None,
    ends: bool = False,
    apart: float = 0.03,
    port: int | None = None,
    edns: bool = False,
) -> None:
    """Walk the list for as many names; the suffix at ``nodata`` has no address, and may end it."""
    dice, at = Random(4), 0.0
    for n in range(number):
        gap = gaps[n % len(gaps)]
        for position, suffix in enumerate((*LIST, "")):
            name = f"v{n % 6}.example.com.{suffix}".rstrip(".")
            ident, own = dice.randrange(5000), port or dice.randrange(20000, 60000)
            is_empty = position == nodata
            how = {"rcode": NXDOMAIN if suffix and not is_empty else 0, "edns": edns}
            for qtype, sent, mine in ((A, at, ident), (AAAA, at + apart, ident + gap(dice))):
                answers = [] if is_empty or how["rcode"] or qtype == AAAA else None
                talk.exchange(
                    sent, name, qtype, port=own, ident=mine, took=0.1, answers=answers, **how
                )
            at += 2 * apart + 0.5
            if is_empty and ends:
                break
        at += 300


def only(talk: Talk, folder: Path, **options: str) -> Client:
    (row,) = talk.analyze(folder, **options).client_rows
    return row


@pytest.mark.parametrize(
    ("gap", "apart", "model"),
    [
        (far, 0.03, "glibc"),
        (far, 0.15, "glibc"),
        (close, 0.03, "musl"),
        (close, 0.15, "musl"),
        (near, 0.03, "musl"),
        (near, 0.15, "musl"),
        (one, 0.03, "unknown"),
    ],
)
def test_libc_by_the_distance_of_its_ids(
    tmp_path: Path, gap: Gap, apart: float, model: str
) -> None:
    """Also beside a server that answers A before AAAA is sent."""
    talk = Talk()
    walks(talk, [gap], apart=apart)
    row = only(talk, tmp_path)
    assert (row.resolver.model, row.mixture) == (model, False)


@pytest.mark.parametrize(("ends", "model"), [(True, "musl"), (False, "glibc")])
@pytest.mark.parametrize("gap", [far, close, seldom_far])
def test_walks_that_end_at_nodata_outweigh_ids(
    tmp_path: Path, gap: Gap, model: str, *, ends: bool
) -> None:
    talk = Talk()
    walks(talk, [gap], nodata=1, ends=ends)
    row = only(talk, tmp_path)
    assert (row.resolver.model, row.mixture_reasons) == (model, ())


@pytest.mark.parametrize("apart", [0.03, 0.15])
@pytest.mark.parametrize("nodata", [None, 1])
def test_one_musl_that_is_held_up_is_no_mixture(
    tmp_path: Path, nodata: int | None, apart: float
) -> None:
    """Also beside a server that answers A before AAAA is sent."""
    talk = Talk()
    walks(talk, [seldom_far], nodata=nodata, ends=True, apart=apart)
    row = only(talk, tmp_path)
    assert (row.resolver.model, row.mixture_reasons) == ("musl", ())


@pytest.mark.parametrize("share", [0.15, 0.2])
def test_some_close_ids_in_each_of_its_walks_are_glibcs_by_chance(
    tmp_path: Path, share: float
) -> None:
    talk = Talk()
    walks(talk, [lambda dice: near(dice) if dice.random() < share else far(dice)])
    assert only(talk, tmp_path).resolver.model == "glibc"


@pytest.mark.parametrize("given", [None, "musl"])
def test_the_users_word_on_the_resolver_lifts_the_mixture(
    tmp_path: Path, given: str | None
) -> None:
    talk = Talk()
    walks(talk, [far, close])
    row = only(talk, tmp_path, **({"resolver": given} if given else {}))
    assert row.mixture is (given is None)
    assert given in (None, row.resolver.model)


@pytest.mark.parametrize("gaps", [[far, one], [far]])
def test_ids_that_are_counted_up_beside_random_ones_are_two_tools(
    tmp_path: Path, gaps: Sequence[Gap]
) -> None:
    talk = Talk()
    walks(talk, gaps)
    (*reasons,) = only(talk, tmp_path).mixture_reasons
    assert reasons == (
        ["asks as glibc and a tool that counts its IDs up do"] if len(gaps) > 1 else []
    )


@pytest.mark.parametrize("edns", [True, False])
def test_one_port_for_all_walks_is_c_ares(tmp_path: Path, *, edns: bool) -> None:
    talk = Talk()
    walks(talk, [far], port=40000, edns=edns)
    assert only(talk, tmp_path).resolver.model == "c-ares"


@pytest.mark.parametrize("port", [40000, None])
def test_no_libc_keeps_its_port_from_name_to_name(tmp_path: Path, port: int | None) -> None:
    talk, dice = Talk(), Random(3)
    for n in range(20):
        own = port or 20000 + n
        for k, qtype in enumerate((A, AAAA)):
            name, ident = f"db{n % 5}.{NAMESPACE}", dice.randrange(65536)
            talk.exchange(300 * n + k * 0.05, name, qtype, port=own, ident=ident)
    assert only(talk, tmp_path).resolver.model == ("unknown" if port else "glibc")


def hickory(*, chases: int = 4, own_ports: bool = True, tries: int = 3) -> Talk:
    """Every query from a port of its own; what aliases point to is asked for the missing family.

    With no ``chases`` it is what dnsmasq sends, which does not ask for that by itself; with other
    ``tries`` of what the server fails at, a forwarder that does.
    """
    talk, dice, at = Talk(), Random(3), 0.0
    for suffix in LIST:
        for qtype in (A, AAAA):
            for number in range(tries if suffix == LIST[1] else 1):
                rcode = SERVFAIL if suffix == LIST[1] else NXDOMAIN
                port = dice.randrange(1024, 65536) if own_ports else dice.randrange(33000, 60000)
                sent = at + number + qtype / 100
                talk.exchange(sent, f"x.example.org.{suffix}", qtype, port=port, rcode=rcode)
        at += 5
    talk.found(at, "x.example.org")
    at += 500
    for n in range(12):
        for suffix in (*LIST, ""):
            name = f"v{n}.example.com.{suffix}".rstrip(".")
            for qtype in (A, AAAA):
                port = dice.randrange(1024, 65536) if own_ports else dice.randrange(33000, 60000)
                alias = [cname(name, f"lb{n}.example.net")]
                how: dict[str, Any] = {"rcode": NXDOMAIN if suffix else 0}
                if not suffix:
                    how["answers"] = (
                        [*alias, build.address_record("192.0.2.7")] if qtype == A else alias
                    )
                talk.exchange(at, name, qtype, port=port, took=0.2, **how)
                at += 0.1
            at += 0.3
        if n < chases:
            port = dice.randrange(1024, 65536) if own_ports else dice.randrange(33000, 60000)
            talk.exchange(at, f"lb{n}.example.net", AAAA, port=port, answers=[])
        at += 500
    return talk


def dnsjava(*, size: int = 1280, as_is: bool = False) -> Talk:
    """The list and nothing behind it, unless ``as_is``."""
    talk, at = Talk(), 0.0
    for n in range(6):
        for suffix in (*LIST, *([""] if as_is else [])):
            name = f"v{n}.example.com.{suffix}".rstrip(".")
            talk.exchange(at, name, rcode=NXDOMAIN if suffix else 0, edns=size)
            at += 0.5
        talk.exchange(at + 100, f"web{n}.{NAMESPACE}", edns=size)
        at += 500
    return talk


def grpc(*, one_port: bool = True) -> Talk:
    """A, AAAA, and what gRPC asks for itself: from c-ares' one port, or each from its own (Go)."""
    talk, at = Talk(), 0.0
    for n in range(4):
        for suffix in (*LIST, ""):
            for asked, qtype in (("", A), ("", AAAA), ("_grpclb._tcp.", SRV)):
                name = f"{asked}v{n}.example.com.{suffix}".rstrip(".")
                rcode = NXDOMAIN if suffix or asked else 0
                port = 30000 + n if one_port else None
                talk.exchange(at, name, qtype, port=port, rcode=rcode, edns=1232)
                at += 0.05
            at += 0.5
        at += 500
    return talk


def jndi(*waits: float) -> Talk:
    """A question without response, sent again after these seconds."""
    talk = Talk()
    talk.found(0, f"web.{NAMESPACE}", client="10.244.1.99")
    at = 1000.0
    for number, wait in enumerate((0, *waits)):
        at += wait * 1000 + number
        talk.exchange(at, "_ldap._tcp.example.com", SRV, port=40000 + number, ident=7, took=None)
    talk.found(60000, f"web.{NAMESPACE}", client="10.244.1.99")
    return talk


@pytest.mark.parametrize(
    ("talk", "model"),
    [
        (hickory(), "hickory"),
        (hickory(chases=0), "unknown"),
        (hickory(own_ports=False), "unknown"),
        (hickory(tries=2), "unknown"),
        (dnsjava(), "dnsjava"),
        (dnsjava(as_is=True), "unknown"),
        (dnsjava(size=4096), "unknown"),
        (grpc(), "grpc"),
        (grpc(one_port=False), "go"),
        (jndi(1, 2, 4), "jndi"),
        (jndi(1, 2), "unknown"),
        (jndi(5, 5, 5), "unknown"),
    ],
)
def test_resolvers_of_languages_by_what_only_they_do(
    tmp_path: Path, talk: Talk, model: str
) -> None:
    rows = talk.analyze(tmp_path).client_rows
    assert next(r for r in rows if r.client_addr == talk.client).resolver.model == model
