"""Search lists that traffic shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

import pcapkit
from pcapkit.analysis.search_lists.infer import Inference
from pcapkit.model.clients import Client
from tests.analysis.talk import LIST, NAMESPACE, SERVICES, Talk
from tests.build import AAAA, A

NXDOMAIN, SRV = 3, 33


def _asked(folder: Path, walks: Sequence[Sequence[str]], qtype: int = A, **how: bool) -> Client:
    """Return the client that asked the names of some walks, each name in vain, in turn."""
    talk = Talk()
    for n, names in enumerate(walks):
        for k, name in enumerate(names):
            talk.exchange(300 * n + 2 * k, name, qtype, rcode=NXDOMAIN, **how)
    (row,) = talk.analyze(folder).client_rows
    return row


@pytest.mark.parametrize("recursive", [True, False])
def test_a_server_that_resolves_walks_no_list(tmp_path: Path, *, recursive: bool) -> None:
    """Only a stub resolver asks for recursion, and only a stub resolver has a search list."""
    names = [(f"h{n}.corp.example.com", f"h{n}.example.com", f"h{n}") for n in range(20)]
    row = _asked(tmp_path, names, recursive=recursive)
    assert row.search == (("corp.example.com", "example.com") if recursive else ())
    assert row.search_source == ("observed" if recursive else "assumed")


def test_a_stub_beside_a_server_that_resolves_keeps_its_list(tmp_path: Path) -> None:
    talk = Talk()
    for n in range(10):
        talk.walk(1000 * n, f"api{n}.example.com")
        for k, name in enumerate((f"ns{n}.a.example.org", f"ns{n}.example.org", f"ns{n}")):
            talk.exchange(1000 * n + 500 + k, name, rcode=NXDOMAIN, recursive=False)
    assert talk.analyze(tmp_path).client_rows[0].search == LIST


@pytest.mark.parametrize(
    ("names", "search"),
    [
        (("_dmarc.mail.example.com", "_dmarc.example.com"), ()),
        (("_ldap._tcp.hq._sites.dc._msdcs.corp.org", "_ldap._tcp.dc._msdcs.corp.org"), ()),
        (("_http._tcp.web.a.example", "_http._tcp.web.example"), ("a.example", "example")),
        (("_ldap._tcp.corp.org", "_ldap._tcp"), ("corp.org",)),
    ],
    ids=["up the tree", "site and domain", "a host's", "as is"],
)
def test_a_service_in_one_domain_after_another_is_no_list(
    tmp_path: Path, names: tuple[str, ...], search: tuple[str, ...]
) -> None:
    """Unless the names share a host's label, or the service is asked as is, too."""
    assert _asked(tmp_path, [names] * 3, SRV).search == search


@pytest.mark.parametrize(
    ("names", "search"),
    [
        (("dev.dev.example.com", "dev.example.com"), ()),
        (("example.com", "example.com.example.com"), ()),
        (("dev.dev.svc.z", "dev.svc.z", "dev.z"), ("dev.svc.z", "svc.z", "z")),
    ],
    ids=["up", "down", "a service named as its namespace"],
)
def test_a_parent_and_its_child_are_no_list(
    tmp_path: Path, names: tuple[str, ...], search: tuple[str, ...]
) -> None:
    assert _asked(tmp_path, [names] * 3).search == search


def test_one_query_proves_no_list(tmp_path: Path) -> None:
    """It may be read under the list that Kubernetes writes, which is an assumption."""
    talk = Talk()
    talk.exchange(0, f"web.{NAMESPACE}")
    (row,) = talk.analyze(tmp_path).client_rows
    assert (row.search, row.search_source, row.dns_policy.value) == (LIST, "assumed", None)


@pytest.mark.parametrize("walks", [False, True])
def test_nothing_is_observed_of_ndots_between_0_and_15(tmp_path: Path, *, walks: bool) -> None:
    """Names that are asked as is speak for a value; they bound none."""
    talk = Talk()
    for n in range(20):
        talk.pair(1000 * n, f"www{n}.example.com")
    if walks:
        talk.walk(30_000, "db", ("corp.example",))
    (row,) = talk.analyze(tmp_path).client_rows
    assert (row.ndots.low, row.ndots.high, row.ndots.value) == (int(walks), 15, 2)
    assert row.ndots.source == ("observed" if walks else "assumed")


@pytest.mark.parametrize("chances", [1, 2])
def test_two_lookups_at_once_make_no_suffix(tmp_path: Path, chances: int) -> None:
    """``web.shop`` and ``web`` at once look like one walk: the chance of it grows with traffic."""
    talk = Talk()
    for n in range(120 * chances):
        talk.walk(1000 * n, f"api{n}.example.com")
    for n in range(chances):
        at = 1000 * n + 500
        for qtype, port in ((A, 41000 + 2 * n), (AAAA, 41001 + 2 * n)):
            talk.exchange(at, f"web{n}.shop.{NAMESPACE}", qtype, rcode=NXDOMAIN, port=port)
        talk.found(at + 1, f"web{n}.{NAMESPACE}")
        talk.found(at + 2, f"web{n}.shop.{SERVICES}")
    analysis = talk.analyze(tmp_path)
    assert analysis.client_rows[0].search == LIST
    by_base = {n.base_name: n.lookups for n in analysis.name_rows}
    assert by_base["web0.shop"] == by_base["web0"] == 1


@pytest.mark.parametrize("proven", [True, False])
def test_a_list_that_other_clients_had_before_is_the_same_list(*, proven: bool) -> None:
    """Walks that contradict one another, and rare ones, are weighed for every client anew."""
    suffixes = [("team", "svc"), ("svc",), ("corp", "example"), ("example",)]
    random, lists = Random(7), Inference()
    different = set()
    for _ in range(2000):
        walks = [
            (tuple(random.sample(suffixes, random.randint(2, 3))), random.choice((1, 2, 300)))
            for _ in range(random.randint(0, 3))
        ]
        found = lists.infer(walks if proven else [], walks)
        assert found == Inference().infer(walks if proven else [], walks)
        different.add(found)
    assert len(different) > 20


def test_a_full_name_under_the_first_suffix_may_be_a_short_one() -> None:
    """``web`` and then ``web.default.svc.cluster.local``: two lookups under the same settings."""
    captures = Path(__file__).resolve().parents[3] / "captures"
    capture = captures / "lab" / "whatif_w1_glibc_ndots5.pcap"
    (row,) = pcapkit.analyze(capture).client_rows
    assert (row.ndots.low, row.ndots.source) == (5, "observed")
