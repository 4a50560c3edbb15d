"""Faults of settings: what a finding says of its capture or file; see ``cases.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pcapkit.analysis.faults.settings import lint
from pcapkit.model.results import Finding
from pcapkit.pipeline.analysis import Analysis
from pcapkit.pipeline.analyze import analyze
from pcapkit.pipeline.options import Options
from pcapkit.resolver.resolv_conf import parse_resolv_conf
from tests import build
from tests.analysis.talk import LIST, NAMESPACE, NXDOMAIN, SERVICES, ZONE, Talk
from tests.build import AAAA, A

ONE, TWO = "10.244.1.1", "10.244.1.2"
CORP = "corp.example"
LAB = Path(__file__).resolve().parents[3] / "captures" / "lab"


def where(finding: Finding) -> list[Any]:
    value = finding.evidence["where"]
    assert isinstance(value, list)
    return value


# ---- mixed settings -----------------------------------------------------------------------------


def test_different_lists_in_one_namespace(tmp_path: Path) -> None:
    talk = Talk()
    talk.walk(0, "github.com", LIST, client=ONE)
    talk.walk(1000, "github.com", (*LIST, CORP), client=TWO)
    finding = talk.findings(tmp_path)["mixed_settings"]
    assert where(finding) == [
        {"subject": "namespace default", "search_lists": [" ".join(LIST), " ".join((*LIST, CORP))]}
    ]
    assert finding.clients == (ONE, TWO)
    examples = finding.evidence["examples"]
    assert isinstance(examples, list)
    assert [(e["client_addr"], e["packets"][0]) for e in examples] == [(ONE, 1), (TWO, 17)]


def test_different_ndots_in_one_namespace(tmp_path: Path) -> None:
    talk = Talk()
    talk.walk(0, "www.example.com", client=ONE)
    talk.pair(1000, "example.com", client=TWO, rcode=NXDOMAIN)  # as is first: ndots 1
    for number, suffix in enumerate(LIST):
        talk.pair(1001 + number, f"example.com.{suffix}", client=TWO, rcode=NXDOMAIN)
    finding = talk.findings(tmp_path)["mixed_settings"]
    assert where(finding) == [{"subject": "namespace default", "ndots": ["0 to 1", "3 to 15"]}]


def test_two_namespaces_in_turns_at_one_address(tmp_path: Path) -> None:
    talk = Talk()
    for turn in range(4):
        own = f"team-{turn % 2}.{SERVICES}"
        talk.walk(turn * 1000, f"r{turn}.example.com", (own, SERVICES, ZONE), client=ONE)
    finding = talk.findings(tmp_path)["mixed_settings"]
    assert {"subject": f"address {ONE}"} in where(finding)


def both_ways(*bases: str, turns: int = 4) -> Talk:
    """One container searches names, and in between another asks them as is."""
    talk = Talk()
    talk.found(0, f"web.{NAMESPACE}")
    for turn in range(turns):
        for number, base in enumerate(bases):
            at = 1000 + turn * 10000 + number * 1000
            if (turn + number) % 2 and "." in base:
                talk.found(at, base)
            elif "." in base:
                talk.walk(at, base)
            else:
                talk.pair(at, base, rcode=NXDOMAIN)
                talk.walk(at + 500, base, ends_at=1)
    return talk


THREE = ("www.example.com", "api.example.org", "cdn.example.net")


def test_two_containers_with_other_ndots(tmp_path: Path) -> None:
    finding = both_ways(*THREE).findings(tmp_path)["mixed_settings"]
    assert where(finding)[0]["subject"] == f"address {build.CLIENT}"
    assert (finding.certainty, finding.severity) == ("consistent_with", "info")


def in_turns(**how: Any) -> Talk:
    """Walks of two namespaces in turns at one address; A and AAAA each from a port of its own."""
    talk = Talk()
    for turn in range(4):
        own = f"team-{turn % 2}.{SERVICES}"
        names = [f"r{turn}.example.com.{s}" for s in (own, SERVICES, ZONE)]
        for place, name in enumerate([*names, f"r{turn}.example.com"]):
            for qtype in (A, AAAA):
                at = turn * 1000 + place + qtype / 100
                talk.exchange(at, name, qtype, rcode=NXDOMAIN, client=ONE, **how)
    return talk


# ---- search lists -------------------------------------------------------------------------------


def conf(search: str) -> list[str]:
    return list(lint(parse_resolv_conf(f"nameserver 10.96.0.10\n{search}\n", path="r.conf")))


def test_a_line_that_musl_ignores() -> None:
    names = [f"{'x' * 50}{n}.example" for n in range(4)]  # "search " and four of 60 with spaces
    padding = "y" * (255 - len(f"search {' '.join(names)} "))
    (problem,) = conf(f"search {' '.join(names)} {padding}")
    assert "255 bytes" in problem
    assert conf(f"search {' '.join(names)} {padding[:-1]}") == []


def test_a_lone_dot_and_a_suffix_twice() -> None:
    assert ["'.' is no suffix" in p for p in conf("search . corp.example")] == [True]
    assert conf("search corp.example a.example Corp.Example") == ["named twice: corp.example"]
    assert conf("search corp.example a.example") == []


@pytest.mark.parametrize(("count", "said"), [(6, None), (7, "first six"), (33, "allows 32")])
def test_too_many_suffixes(count: int, said: str | None) -> None:
    problems = conf("search " + " ".join(f"s{n}.x" for n in range(count)))
    assert [said in p for p in problems] == ([True] if said else [])


def test_a_given_file_is_checked(tmp_path: Path) -> None:
    path = build.save(tmp_path, b"search . a.example a.example\n", "resolv.conf")
    talk = Talk()
    talk.found(0, "web.a.example")
    finding = talk.findings(tmp_path, resolv_conf=[path])["search_list"]
    assert finding.clients == (build.CLIENT,)
    problems = finding.evidence["problems"]
    assert isinstance(problems, list)
    assert len(problems) == 2
    assert all(problem.startswith(f"{path}: ") for problem in problems)


def test_a_file_of_other_clients_is_not_held_against_this_one(tmp_path: Path) -> None:
    path = build.save(tmp_path, b"search . a.example\n", "resolv.conf")
    talk = Talk()
    talk.found(0, "web.a.example")
    finding = talk.findings(tmp_path, resolv_conf=[f"10.9.0.0/16={path}"])["search_list"]
    assert finding.clients == ()


def test_a_long_list_in_the_traffic(tmp_path: Path) -> None:
    talk = Talk()
    talk.walk(0, "github.com", [f"s{n}.example" for n in range(7)])
    assert "7 suffixes" in str(talk.findings(tmp_path)["search_list"].evidence["problems"])
    talk = Talk()
    talk.walk(0, "github.com", [f"s{n}.example" for n in range(6)])
    assert "search_list" not in talk.findings(tmp_path)


def empty_questions(folder: Path, count: int) -> Analysis:
    """Twelve bytes each: a header that announces a question."""
    talk = Talk()
    talk.exchange(0, "github.com")
    asked = build.query("a.example", ident=9)[:12]
    said = build.message(9, 0x8181)
    frames = []
    for number in range(count):
        frames.append(build.ethernet(build.ask(asked, ident=77 + number)))
        frames.append(build.ethernet(build.answer(said, ident=77 + number)))
    content = talk.capture() + b"".join(
        build.pcap_record(p) for p in build.packets(*frames, start=build.START_NS + build.SECOND)
    )
    return analyze(build.save(folder, content))


def test_empty_questions_of_musl(tmp_path: Path) -> None:
    """A '.' in the list makes musl ask nothing, and ask again until its timer ends."""
    (finding,) = (f for f in empty_questions(tmp_path, 4).findings if f.code == "search_list")
    assert finding.evidence["problems"] == [
        "empty questions: '.' in the search list of a musl client"
    ]


# ---- given against seen -------------------------------------------------------------------------


def contradictions(finding: Finding) -> list[Any]:
    value = finding.evidence["contradictions"]
    assert isinstance(value, list)
    return value


def test_a_given_list_that_the_traffic_does_not_walk(tmp_path: Path) -> None:
    talk = Talk()
    talk.walk(0, "github.com")
    finding = talk.findings(tmp_path, search=["web.svc.cluster.local", SERVICES, ZONE])
    (row,) = contradictions(finding["given_contradicted"])
    assert row == {
        "client_addr": build.CLIENT,
        "given": f"search web.{SERVICES} {SERVICES} {ZONE}",
        "seen": f"search {' '.join(LIST)}",
    }


def test_a_given_list_that_the_second_address_of_a_client_does_not_walk() -> None:
    """All that a client walks counts: this one asks over IPv4 what it does not over IPv6."""
    options = Options(search=(f"other.{SERVICES}", SERVICES, ZONE))
    analysis = analyze(LAB / "dual_stack_v4_and_v6_servers.pcap", options=options)
    (finding,) = (f for f in analysis.findings if f.code == "given_contradicted")
    (row,) = contradictions(finding)
    assert row["seen"] == f"search {' '.join(LIST)}"


def test_a_given_ndots_that_the_traffic_contradicts(tmp_path: Path) -> None:
    talk = Talk()
    talk.walk(0, "www.example.com")
    path = build.save(tmp_path, f"search {' '.join(LIST)}\n".encode(), "resolv.conf")
    (row,) = contradictions(talk.findings(tmp_path, resolv_conf=[path])["given_contradicted"])
    assert (row["given"], row["seen"]) == ("ndots:1", "ndots between 3 and 15")
