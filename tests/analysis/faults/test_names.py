"""Faults of names: what a finding says of the capture that shows it; see ``cases.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pcapkit.model.results import Finding
from pcapkit.pipeline.analyze import analyze
from tests import build
from tests.analysis.talk import LIST, NAMESPACE, NXDOMAIN, REFUSED, SERVFAIL, SERVICES, Talk, cname
from tests.build import AAAA, PTR, SRV, TXT, A

CORP = "corp.example"
FOUR = (*LIST, CORP)


def rows(finding: Finding, key: str) -> list[dict[str, Any]]:
    value = finding.evidence[key]
    assert isinstance(value, list)
    return value


def names(finding: Finding) -> list[str]:
    return [row["name"] for row in rows(finding, "names")]


# ---- wildcards ----------------------------------------------------------------------------------


def test_external_names_that_a_suffix_answers(tmp_path: Path) -> None:
    talk = Talk()
    talk.walk(0, "www.example.com", FOUR, ends_at=3)
    talk.walk(1000, "github.com", FOUR, ends_at=3)
    talk.found(2000, f"web.{NAMESPACE}")
    finding = talk.findings(tmp_path)["wildcard_suffix"]
    assert rows(finding, "suffixes") == [{"subject": CORP, "lookups": 2}]
    assert sorted(names(finding)) == ["github.com", "www.example.com"]
    assert finding.severity == "error"


def test_a_full_service_name_that_a_suffix_answers(tmp_path: Path) -> None:
    talk = Talk()
    talk.walk(0, f"db.ledger.{SERVICES}", FOUR, ends_at=3)
    analysis = talk.analyze(tmp_path)
    finding = next(f for f in analysis.findings if f.code == "wildcard_suffix")
    assert rows(finding, "suffixes") == [{"subject": CORP, "lookups": 1}]
    assert f"cluster.local.{CORP}" not in str(analysis.recommendations)


# ---- walks that are cut -------------------------------------------------------------------------


def cut(rcode: int, *, position: int = 1, then: tuple[str, ...] = ()) -> Talk:
    """A walk that gets ``rcode`` at a suffix, and what the resolver asks then."""
    talk = Talk()
    talk.walk(0, "github.com")  # shows the whole list
    for place, suffix in enumerate(LIST[: position + 1]):
        how = {"rcode": NXDOMAIN} if place < position else {"rcode": rcode, "answers": []}
        talk.pair(1000 + place, f"api.example.com.{suffix}", **how)
    for place, name in enumerate(then):
        talk.pair(1010 + place, name, rcode=NXDOMAIN if place + 1 < len(then) else 0)
    talk.found(20000, f"web.{NAMESPACE}")
    return talk


@pytest.mark.parametrize(
    ("rcode", "counted"),
    [(0, "nodata_responses"), (SERVFAIL, "servfail_responses"), (REFUSED, "refused_responses")],
)
def test_a_suffix_ends_the_walk(tmp_path: Path, rcode: int, counted: str) -> None:
    finding = cut(rcode).findings(tmp_path)["cut_chain"]
    (row,) = rows(finding, "suffixes")
    assert row == {
        "subject": SERVICES,
        "lookups": 1,
        counted: 2,
        "never_asked_as_is": 1,
        "lookups_without_answer": 1,
    }
    assert "needs its final dot" in finding.action
    assert names(finding) == ["api.example.com"]


def test_a_suffix_makes_the_resolver_skip_the_list(tmp_path: Path) -> None:
    talk = cut(REFUSED, position=0, then=("api.example.com",))
    (row,) = rows(talk.findings(tmp_path)["cut_chain"], "suffixes")
    assert row == {"subject": NAMESPACE, "lookups": 1, "refused_responses": 2}


def test_a_suffix_hides_the_rest_of_the_list(tmp_path: Path) -> None:
    """Every walk goes from the refusing suffix to the name as is: the list must go on behind it."""
    talk = Talk()
    for number, base in enumerate(("api.example.com", "redis.data", "www.example.org")):
        talk.pair(number * 1000, f"{base}.{NAMESPACE}", rcode=NXDOMAIN)
        talk.pair(number * 1000 + 1, f"{base}.{CORP}", rcode=REFUSED, minimum=None)
        talk.pair(number * 1000 + 2, base, rcode=NXDOMAIN if number == 1 else 0)
    found = talk.findings(tmp_path)
    (row,) = rows(found["cut_chain"], "suffixes")
    assert row["subject"] == CORP
    assert row["refused_responses"] == 6
    assert "failed_lookups" not in found  # the name as is was denied, not failed


def test_one_family_whose_walk_ends_with_nodata(tmp_path: Path) -> None:
    """As musl and dnspython end it; glibc would go on."""
    talk = Talk()
    for place, name in enumerate((*[f"github.com.{s}" for s in LIST], "github.com")):
        rcode = 0 if place == 3 else NXDOMAIN
        talk.exchange(place, name, AAAA, rcode=rcode)
    talk.exchange(1000, f"api.example.com.{NAMESPACE}", AAAA, rcode=NXDOMAIN)
    talk.exchange(1001, f"api.example.com.{SERVICES}", AAAA, answers=[])
    talk.exchange(20000, f"web.{NAMESPACE}", AAAA)
    (row,) = rows(talk.findings(tmp_path)["cut_chain"], "suffixes")
    assert (row["subject"], row["nodata_responses"]) == (SERVICES, 1)


# ---- expansion twice, autopath ------------------------------------------------------------------


def test_a_full_cluster_name_is_expanded_again(tmp_path: Path) -> None:
    talk = Talk()
    talk.walk(0, f"web.{NAMESPACE}")
    finding = talk.findings(tmp_path)["double_expansion"]
    assert finding.evidence["lookups"] == 1
    assert finding.evidence["wasted_queries"] == 6


def test_a_proxy_searches_again_for_an_expanded_name(tmp_path: Path) -> None:
    talk = Talk()
    for number, suffix in enumerate(LIST):
        talk.walk(number * 100, f"api.example.com.{suffix}")
    talk.walk(1000, "api.example.com")
    finding = talk.findings(tmp_path)["double_expansion"]
    assert names(finding) == [f"api.example.com.{suffix}" for suffix in sorted(LIST)[1:]]


def aliased(target: str, base: str = "www.example.com", *, aaaa: int = 0) -> Talk:
    """The name under the first suffix is an alias; AAAA has none, or does not exist."""
    talk = Talk()
    talk.walk(0, "github.com")
    asked = f"{base}.{NAMESPACE}"
    alias = cname(asked, target)
    answer = build.record(build.wire(target), A, bytes([192, 0, 2, 9]))
    talk.exchange(1000, asked, A, port=45000, answers=[alias, answer])
    talk.exchange(1000.02, asked, AAAA, port=45000, rcode=aaaa, answers=[] if aaaa else [alias])
    return talk


@pytest.mark.parametrize("target", ["www.example.com", f"www.example.com.{SERVICES}"])
def test_autopath_is_seen(tmp_path: Path, target: str) -> None:
    found = aliased(target).findings(tmp_path)
    assert found["autopath"].severity == "info"
    assert found["autopath"].evidence["lookups"] == 1
    assert names(found["autopath"]) == ["www.example.com"]
    assert not {"wildcard_suffix", "autopath_disagreement"} & set(found)


def test_autopath_that_denies_one_family(tmp_path: Path) -> None:
    found = aliased("www.example.com", aaaa=NXDOMAIN).findings(tmp_path)
    assert names(found["autopath_disagreement"]) == ["www.example.com"]
    assert "aaaa_nxdomain" not in found


def test_aaaa_is_denied_with_nxdomain(tmp_path: Path) -> None:
    talk = Talk()
    talk.exchange(0, "www.example.com", A, port=45000)
    talk.exchange(0.02, "www.example.com", AAAA, port=45000, rcode=NXDOMAIN)
    finding = talk.findings(tmp_path)["aaaa_nxdomain"]
    assert names(finding) == ["www.example.com"]
    assert rows(finding, "examples")[0]["packets"] == [2, 4]


# ---- repetition, probes, leaks ------------------------------------------------------------------


def test_questions_repeated_while_their_answer_is_valid(tmp_path: Path) -> None:
    talk = Talk()
    for number in range(5):
        talk.found(number * 2000, f"web.{NAMESPACE}", ttl=30, minimum=30)
    finding = talk.findings(tmp_path)["repeated_lookups"]
    assert finding.evidence["repeated_queries"] == 8  # A and AAAA, four times each
    assert names(finding) == [f"web.{NAMESPACE}"]


@pytest.mark.parametrize(("minimum", "repeats"), [(30, 8), (None, 4)])
def test_what_may_not_be_kept_is_not_repeated(
    tmp_path: Path, minimum: int | None, repeats: int
) -> None:
    """NODATA without an SOA record has no negative TTL (RFC 2308 section 5), aliases or not."""
    alias = [cname(f"web.{NAMESPACE}", "lb.example.com")]
    talk = Talk()
    for number in range(5):
        talk.exchange(number * 2000, f"web.{NAMESPACE}", A, ttl=30)
        if minimum is None:
            talk.exchange(number * 2000 + 1, f"web.{NAMESPACE}", AAAA, answers=alias)
        else:
            talk.exchange(number * 2000 + 1, f"web.{NAMESPACE}", AAAA, answers=[], minimum=minimum)
    assert talk.findings(tmp_path)["repeated_lookups"].evidence["repeated_queries"] == repeats


@pytest.mark.parametrize(
    ("name", "qtype"), [("_grpclb._tcp.api.example.com", SRV), ("_grpc_config.example.com", TXT)]
)
def test_service_config_probes(tmp_path: Path, name: str, qtype: int) -> None:
    talk = Talk()
    talk.exchange(0, name, qtype, rcode=NXDOMAIN)
    finding = talk.findings(tmp_path)["service_probes"]
    assert names(finding) == [name]


PROVIDER = "169.254.169.253"


def leaked(**how: Any) -> Talk:
    """Names of the cluster are denied by a nameserver of the provider."""
    talk = Talk()
    talk.walk(0, "github.com")
    for number, name in enumerate((f"web.{NAMESPACE}", f"api.other.{SERVICES}")):
        talk.exchange(1000 + number, name, rcode=NXDOMAIN, flags=0, server=PROVIDER, **how)
    return talk


@pytest.mark.parametrize("zone", [".", "local", "example.net"])
def test_cluster_names_at_a_nameserver_of_the_provider(tmp_path: Path, zone: str) -> None:
    finding = leaked(zone=zone).findings(tmp_path)["upstream_leak"]
    assert rows(finding, "nameservers") == [{"subject": PROVIDER, "queries": 2}]
    assert finding.certainty == "shown"
    assert "2 denials carry the SOA" in finding.excludes[0]


@pytest.mark.parametrize(("more", "leaks"), [(75, True), (86, False), (93, False), (74, False)])
def test_the_size_of_a_printed_denial(tmp_path: Path, more: int, leaks: bool) -> None:
    """Where no records are printed, only the root's SOA shows: by its size."""
    size = 16 + len(build.wire(f"web.{NAMESPACE}"))
    lines = [
        f"10:00:00.000100 IP 10.244.1.17.40001 > 10.96.0.10.53: 1+ A? web.{NAMESPACE}. ({size})",
        f"10:00:00.000900 IP 10.96.0.10.53 > 10.244.1.17.40001: 1 NXDomain 0/1/0 ({size + more})",
    ]
    path = build.save(tmp_path, ("\n".join(lines) + "\n").encode(), "printed.txt")
    assert ("upstream_leak" in {f.code for f in analyze(path).findings}) is leaks


@pytest.mark.parametrize("address", ["10.1.2.3", "172.31.0.9", "192.168.7.1"])
def test_private_addresses_asked_upstream(tmp_path: Path, address: str) -> None:
    talk = Talk()
    name = ".".join(reversed(address.split("."))) + ".in-addr.arpa"
    talk.exchange(0, name, PTR, rcode=NXDOMAIN, flags=0, zone="in-addr.arpa")
    finding = talk.findings(tmp_path)["private_reverse_leak"]
    assert names(finding) == [name]
    assert finding.certainty == "shown"


# ---- servers that do not agree ------------------------------------------------------------------

OTHER = "10.96.0.11"


def views(*seen: tuple[str, int], gap: float = 5000) -> Talk:
    """One name asked of servers in turn, each with its rcode."""
    talk = Talk()
    for number, (server, rcode) in enumerate(seen):
        talk.exchange(number * gap, "api.example.com", rcode=rcode, server=server)
    return talk


def test_a_name_that_comes_and_goes(tmp_path: Path) -> None:
    one = build.SERVER
    finding = views((one, 0), (one, NXDOMAIN), (one, 0)).findings(tmp_path)["unstable_names"]
    assert finding.evidence["changes"] == 2
    assert names(finding) == ["api.example.com"]


@pytest.mark.parametrize("gap", [5000, 0.1])
def test_servers_that_contradict_each_other(tmp_path: Path, gap: float) -> None:
    seen = [(build.SERVER, 0), (OTHER, NXDOMAIN)]
    found = views(*seen, *(seen if gap > 1000 else []), gap=gap).findings(tmp_path)
    assert found["contradicting_servers"].severity == "error"
    assert "unstable_names" not in found
