"""Faults of delivery: what a finding says of the capture that shows it; see ``cases.py``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pcapkit.pipeline.analyze import analyze
from pcapkit.report.html.page import render_page
from pcapkit.report.markdown import render_markdown
from tests import build
from tests.analysis.talk import NXDOMAIN, REFUSED, SERVFAIL, SERVICES, TRUNCATED, ZONE, Talk
from tests.build import AAAA, A

NAME = "web.default.svc.cluster.local"
OTHER = "10.96.0.99"


def raced(timer: float, *, both: bool = True) -> Talk:
    """The AAAA of a pair is lost and asked again after a timer, by glibc with the A."""
    talk = Talk()
    talk.exchange(0, NAME, A, port=40001, ident=1)
    talk.exchange(0.02, NAME, AAAA, port=40001, ident=2, took=None)
    if both:
        talk.exchange(timer, NAME, A, port=40001, ident=1)
    talk.exchange(timer + 0.1, NAME, AAAA, port=40001, ident=2, answers=[])
    return talk


@pytest.mark.parametrize(
    ("timer", "both"), [(5005, True), (2502, False), (1003, True), (2004, True)]
)
def test_a_lost_half_of_a_pair_is_consistent_with_a_race(
    tmp_path: Path, timer: float, both: bool
) -> None:
    found = raced(timer, both=both).findings(tmp_path)
    race = found["conntrack_race"]
    assert (race.certainty, race.severity) == ("consistent_with", "info")
    assert "as with plain loss" in race.excludes[0]
    assert race.clients == (build.CLIENT,)
    assert race.evidence["lost_queries"] == 1
    assert race.evidence["lost_s"] == pytest.approx(timer / 1000, abs=0.11)
    (example,) = race.evidence["examples"]  # type: ignore[misc, attr-defined]
    assert example["name"] == NAME
    # the query that was lost, the one that was answered, and its answer
    assert example["packets"] == ([2, 5, 7] if both else [2, 4, 5])
    assert race.evidence["display_filter"] == (
        "frame.number in {" + ", ".join(str(p) for p in example["packets"]) + "}"
    )
    assert "resolver_stalls" in found


def races(lost: int, *, elsewhere: int) -> Talk:
    """Forty pairs of which so many lose one half; a Go client's single queries, some lost."""
    talk = Talk()
    for number in range(40):
        at, name = number * 20000, f"svc-{number}.default.svc.cluster.local"
        talk.exchange(at, name, A, port=20001 + number, ident=1)
        is_lost = number < lost
        talk.exchange(
            at + 0.02, name, AAAA, port=20001 + number, ident=2, took=None if is_lost else 0.3
        )
        if is_lost:
            talk.exchange(at + 5005, name, A, port=20001 + number, ident=1)
            talk.exchange(at + 5005.1, name, AAAA, port=20001 + number, ident=2, answers=[])
        for qtype in (A, AAAA):
            lose = number < elsewhere and qtype == A
            how: dict[str, object] = {"client": "10.244.1.99", "edns": True}
            talk.exchange(at + qtype / 100, name, qtype, took=None if lose else 0.3, **how)  # type: ignore[arg-type]
            if lose:
                talk.exchange(at + 5004, name, qtype, **how)  # type: ignore[arg-type]
    return talk


def test_pairs_that_lose_more_than_others_show_a_race(tmp_path: Path) -> None:
    race = races(10, elsewhere=0).findings(tmp_path)["conntrack_race"]
    assert (race.certainty, race.severity) == ("shown", "error")
    (why,) = race.excludes
    assert why.startswith("plain loss: 10 of 80 queries in pairs from one port were lost, 0 of 80")


def test_losses_everywhere_do_not_show_a_race(tmp_path: Path) -> None:
    race = races(10, elsewhere=8).findings(tmp_path)["conntrack_race"]
    assert (race.certainty, race.severity) == ("consistent_with", "info")
    assert race.evidence["other_lost"] == 8


def test_stalls_are_counted_by_their_timer(tmp_path: Path) -> None:
    stalls = raced(5005).findings(tmp_path)["resolver_stalls"].evidence
    assert stalls["stalls"] == stalls["stalls_of_5_s"] == stalls["lookups"] == 1
    assert "stalls_of_2_5_s" not in stalls


@pytest.mark.parametrize(
    ("waits", "said"), [(5005, "stalls of 5 s: 1"), (2505, "stalls of 2.5 s: 1")]
)
def test_the_page_keeps_the_unit_of_a_timer(waits: float, said: str, tmp_path: Path) -> None:
    page = render_page(raced(waits).analyze(tmp_path), [])
    assert said in re.sub(r"<[^>]+>", "", page)


def unheard(gap: float, *, port: int = 40001, ident: int = 1) -> Talk:
    """An answer passes the capture point, and its question is asked again."""
    talk = Talk()
    talk.exchange(0, NAME, A, port=40001, ident=1)
    talk.exchange(gap, NAME, A, port=port, ident=ident)
    return talk


def test_an_answer_that_the_client_did_not_get(tmp_path: Path) -> None:
    finding = unheard(5005).findings(tmp_path)["resolver_stalls"]
    assert finding.evidence["answers_lost"] == finding.evidence["stalls"] == 1
    assert finding.evidence["lost_s"] == pytest.approx(5.005)


# ---- servers that fail --------------------------------------------------------------------------


def test_lookups_that_fail_because_a_server_fails(tmp_path: Path) -> None:
    talk = Talk()
    talk.pair(0, "api.example.com", rcode=SERVFAIL, minimum=None)
    talk.pair(1000, "www.example.com", rcode=REFUSED, minimum=None)
    for at in (2000, 7000):
        talk.exchange(at, "mute.example.com", took=None, port=40001, ident=7)
    talk.found(60000, NAME)
    finding = talk.findings(tmp_path)["failed_lookups"]
    (row,) = finding.evidence["nameservers"]  # type: ignore[misc, attr-defined]
    assert row == {
        "subject": build.SERVER,
        "failed_lookups": 3,
        "servfail": 1,
        "refused": 1,
        "unanswered": 1,
    }
    assert finding.evidence["failed_lookups"] == 3
    assert finding.severity == "error"


def one_family(outcome: dict[str, Any], *, tries: int = 1, took: float = 0.3) -> Talk:
    """A is answered; AAAA fails at each try, a little later."""
    talk = Talk()
    talk.exchange(0, "www.example.com", A, port=40001, ident=1)
    for number in range(tries):
        at = 0.02 + number * (took + 0.1)
        talk.exchange(at, "www.example.com", AAAA, port=40001, ident=2, took=took, **outcome)
    talk.found(90000, NAME)
    return talk


FAILS: dict[str, Any] = {"rcode": SERVFAIL, "minimum": None}


@pytest.mark.parametrize(
    "talk", [one_family(FAILS, tries=5), one_family(FAILS, took=1700), one_family(FAILS, tries=2)]
)
def test_one_family_fails(tmp_path: Path, talk: Talk) -> None:
    found = talk.findings(tmp_path)
    assert next(iter(found)) == "failed_family"
    assert found["failed_family"].evidence["aaaa_questions"] == 1
    assert "NOERROR and no record" in found["failed_family"].action
    assert "failed_lookups" not in found


def quote(*, of_query: bool) -> bytes:
    """A packet as ICMP quotes it."""
    ends, ports = (build.CLIENT, build.SERVER), (40001, 53)
    if not of_query:
        ends, ports = ends[::-1], ports[::-1]
    return build.ipv4(build.udp(build.query(NAME), *ports), *ends)[:28]


@pytest.mark.parametrize(
    ("of_query", "code", "reason"),
    [
        (True, "nameserver_unreachable", "query_unreachable"),
        (False, "closed_port_answers", "answer_unreachable"),
    ],
)
def test_packets_that_meet_a_closed_port(
    tmp_path: Path, of_query: bool, code: str, reason: str
) -> None:
    talk = Talk()
    talk.exchange(0, NAME, took=None if of_query else 300)
    ends = (build.SERVER, build.CLIENT) if of_query else (build.CLIENT, build.SERVER)
    talk.unreachable(400, quote(of_query=of_query), ends)
    analysis = talk.analyze(tmp_path)
    assert [f.code for f in analysis.findings] == [code]
    finding = analysis.findings[0]
    assert finding.clients == (build.CLIENT,)
    assert finding.evidence["packets"] == 1
    assert finding.evidence["nameservers"] == [{"subject": build.SERVER, "packets": 1}]
    assert build.SERVER in finding.excludes[0]
    assert analysis.packets.skipped == {reason: 1}


def test_the_clients_and_servers_of_icmp_messages_are_named_in_every_report(tmp_path: Path) -> None:
    talk = Talk()
    for number in range(6):
        client, server = f"10.244.1.{number}", f"10.96.0.{number % 2}"
        talk.exchange(number, NAME, client=client, server=server)
        asked = build.udp(build.query(NAME), 40001, 53)
        talk.unreachable(number + 400, build.ipv4(asked, client, server)[:28], (server, client))
    analysis = talk.analyze(tmp_path)
    finding = analysis.findings[0]
    assert len(finding.clients) == 6
    assert finding.evidence["nameservers"] == [
        {"subject": "10.96.0.0", "packets": 3},
        {"subject": "10.96.0.1", "packets": 3},
    ]
    said = "queries of 10.244.1.0, 10.244.1.1, 10.244.1.2 and 3 more to 10.96.0.0, 10.96.0.1"
    assert said in finding.excludes[0]
    assert said in render_markdown(analysis)
    assert said in re.sub(r"<[^>]+>", "", render_page(analysis, []))
    (mine,) = talk.analyze(tmp_path, clients=["10.244.1.3"]).findings
    assert mine.clients == ("10.244.1.3",)


def test_icmp_over_ipv6_and_in_a_tunnel(tmp_path: Path) -> None:
    asked = build.ipv6(build.udp(build.query(NAME), 40001, 53), "fd00::17", "fd00::10")
    said = build.ipv6(b"\x01\x04" + bytes(6) + asked, "fd00::10", "fd00::17", following=58)
    inside = build.ipv4(said, "192.0.2.1", "192.0.2.2", protocol=41)
    for frame in (build.ethernet(said), build.ethernet(inside)):
        path = build.save(tmp_path, build.pcap([build.Packet(frame, build.START_NS)]))
        (finding,) = analyze(path).findings
        assert (finding.code, finding.clients) == ("nameserver_unreachable", ("fd00::17",))
        assert finding.evidence["nameservers"] == [{"subject": "fd00::10", "packets": 1}]


def test_icmp_about_something_else(tmp_path: Path) -> None:
    talk = Talk()
    talk.found(0, NAME)
    other = build.ipv4(build.udp(b"x" * 20, 40001, 514), build.CLIENT, build.SERVER)
    talk.unreachable(400, other[:28], (build.SERVER, build.CLIENT))
    analysis = talk.analyze(tmp_path)
    assert (analysis.findings, analysis.packets.skipped) == ((), {"icmp": 1})


PRINTED = "10:00:00.000300 IP 10.96.0.10 > 10.244.1.17: ICMP 10.96.0.10 udp port 53 unreachable"
QUOTED = (
    "10:00:00.000300 IP (tos 0x0, ttl 64, id 1, offset 0, flags [DF], proto ICMP (1), length 103)\n"
    "    {0} > {1}: ICMP {0} udp port {2} unreachable, length 83\n"
    "\tIP (tos 0x0, ttl 64, id 1, offset 0, flags [DF], proto UDP (17), length 75)\n"
    "    {1}.{3} > {0}.{2}: "
)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (f"{PRINTED}, length 83", "nameserver_unreachable"),
        (
            "10:00:00.000300 IP6 10.96.0.10 > 10.244.1.17: ICMP6, destination unreachable, "
            "unreachable port, 10.96.0.10 udp port 53, length 103",
            "nameserver_unreachable",
        ),
        (
            QUOTED.format("10.96.0.10", "10.244.1.17", 53, 40001) + f"4660+ A? {NAME}. (47)",
            "nameserver_unreachable",
        ),
        (
            QUOTED.format("10.244.1.17", "10.96.0.10", 40001, 53) + "4660 1/0/0 A 192.0.2.1 (63)",
            "closed_port_answers",
        ),
    ],
)
def test_printed_lines_say_that_nothing_listens(tmp_path: Path, line: str, code: str) -> None:
    """What an ICMP message quotes is no query of its own."""
    asked = f"10:00:00.000100 IP 10.244.1.17.40001 > 10.96.0.10.53: 1+ A? {NAME}. (47)"
    analysis = analyze(build.save(tmp_path, f"{asked}\n{line}\n".encode(), "printed.txt"))
    (finding,) = analysis.findings
    assert (finding.code, finding.clients) == (code, ("10.244.1.17",))
    assert finding.evidence["nameservers"] == [{"subject": "10.96.0.10", "packets": 1}]
    assert analysis.message_counts.queries == 1


def test_truncated_and_not_asked_again(tmp_path: Path) -> None:
    talk = Talk()
    talk.exchange(0, NAME, flags=TRUNCATED)
    found = talk.findings(tmp_path)
    assert found["truncated_without_tcp"].evidence["responses"] == 1
    assert "Alpine" in found["truncated_without_tcp"].action


MANY = [build.address_record(f"192.0.2.{i}") for i in range(1, 41)]


def test_large_answers_to_a_client_without_edns(tmp_path: Path) -> None:
    talk = Talk()
    talk.exchange(0, NAME, answers=MANY)
    evidence = talk.findings(tmp_path)["oversize_answers"].evidence
    assert evidence["responses"] == 1
    assert evidence["largest_bytes"] == len(build.response(NAME, answers=MANY))


def asked_at_once_again(gap: float) -> Talk:
    talk = Talk()
    for walk in range(3):
        at = walk * gap
        talk.pair(at, f"big.example.com.{SERVICES}", rcode=NXDOMAIN)
        talk.exchange(at + 1, "big.example.com", flags=TRUNCATED, port=40001 + walk, ident=7)
        talk.exchange(at + 2, "big.example.com", answers=MANY, port=41001 + walk, ident=7, tcp=True)
    return talk


def test_walks_that_are_repeated_for_a_large_answer(tmp_path: Path) -> None:
    found = asked_at_once_again(4).findings(tmp_path, search=[SERVICES])
    evidence = found["large_answer_walks"].evidence
    assert evidence["repeated_walks"] == 2
    assert "repeated_lookups" not in found


def two_servers(*, answers_late: bool) -> Talk:
    talk = Talk()
    for number in range(3):
        name, at = f"web-{number}.default.svc.cluster.local", number * 10000
        late = 4000 if answers_late else None
        talk.exchange(at, name, port=40001 + number, ident=7, server=OTHER, took=late)
        talk.exchange(at + 3000, name, port=40001 + number, ident=7)
    return talk


def test_a_dead_nameserver(tmp_path: Path) -> None:
    finding = two_servers(answers_late=False).findings(tmp_path)["dead_nameserver"]
    (row,) = finding.evidence["nameservers"]  # type: ignore[misc, attr-defined]
    assert row == {"subject": OTHER, "queries": 3, "answered_by_another": 3}
    assert finding.evidence["lost_s"] == pytest.approx(9.0)


def test_a_slow_nameserver(tmp_path: Path) -> None:
    talk = Talk()
    for number in range(12):
        talk.exchange(number * 1000, f"web-{number}.{ZONE}", took=250)
    (row,) = talk.findings(tmp_path)["slow_nameserver"].evidence["nameservers"]  # type: ignore[misc, attr-defined]
    assert row == {
        "subject": build.SERVER,
        "responses": 12,
        "slow_responses": 12,
        "mean_response_s": 0.25,
    }


def busy(
    queries: int, server: str, *, clients: int = 1, spread_ms: float = 900, lost: int = 0
) -> Talk:
    talk = Talk(server=server)
    for number in range(queries):
        # a wall-clock second begins 876.544 ms after the first packet of these captures
        at = 880 + spread_ms * number / queries
        talk.exchange(
            at,
            f"r{number}.example.com",
            client=f"10.0.0.{number % clients + 1}",
            flags=0,
            took=None if number < lost else 0.3,
        )
    return talk


def test_more_packets_than_a_cloud_lets_through(tmp_path: Path) -> None:
    finding = busy(1100, "169.254.169.253").findings(tmp_path)["packet_rate"]
    (row,) = finding.evidence["nameservers"]  # type: ignore[misc, attr-defined]
    assert row["subject"] == "169.254.169.253"
    assert row["peak_packets_per_s"] == 1100
    assert row["wasted_queries"] == 0
    assert finding.clients == ("10.0.0.1",)


def test_musl_fails_where_one_family_does(tmp_path: Path) -> None:
    """It asks again and again, and then throws the address away: no option of glibc's helps."""
    analysis = one_family(FAILS, tries=5).analyze(tmp_path)
    (client,) = analysis.client_rows
    assert client.resolver.model == "musl"
    assert analysis.lookup_counts.by_outcome["servfail"] == 1
    finding = analysis.findings[0]
    assert (finding.code, finding.evidence["failed_lookups"]) == ("failed_family", 1)
    assert "no-aaaa" not in finding.action
    assert "no_aaaa" not in {r.code for r in analysis.recommendations}
