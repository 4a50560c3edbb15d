"""Faults of delivery: each with a capture that shows it, and one that only comes near."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import build
from tests.analysis.talk import NXDOMAIN, SERVICES, TRUNCATED, ZONE, Talk
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


@pytest.mark.parametrize(("timer", "both"), [(5005, True), (2502, False)])
def test_a_lost_half_of_a_pair_is_a_race(tmp_path: Path, timer: float, both: bool) -> None:
    found = raced(timer, both=both).findings(tmp_path)
    race = found["conntrack_race"]
    assert race.severity == "error"
    assert race.clients == (build.CLIENT,)
    assert race.evidence["lost_queries"] == 1
    assert race.evidence["lost_s"] == pytest.approx(timer / 1000, abs=0.01)
    (example,) = race.evidence["examples"]  # type: ignore[misc, attr-defined]
    assert example["name"] == NAME
    # the query that was lost, the one that was answered, and its answer
    assert example["packets"] == ([2, 5, 7] if both else [2, 4, 5])
    assert race.evidence["display_filter"] == (
        "frame.number in {" + ", ".join(str(p) for p in example["packets"]) + "}"
    )
    assert "resolver_stalls" in found


def test_queries_on_ports_of_their_own_do_not_race(tmp_path: Path) -> None:
    talk = Talk()
    talk.exchange(0, NAME, A, port=40001, edns=True)
    talk.exchange(0.02, NAME, AAAA, port=40002, edns=True, took=None)
    talk.exchange(5003, NAME, AAAA, port=40003, edns=True, answers=[])
    found = talk.findings(tmp_path)
    assert "conntrack_race" not in found
    assert "resolver_stalls" in found


def test_a_pair_that_is_lost_as_a_whole_is_no_race(tmp_path: Path) -> None:
    talk = Talk()
    for qtype, ident in ((A, 1), (AAAA, 2)):
        talk.exchange(ident / 100, NAME, qtype, port=40001, ident=ident, took=None)
        talk.exchange(5000 + ident, NAME, qtype, port=40001, ident=ident)
    assert "conntrack_race" not in talk.findings(tmp_path)


def test_a_type_that_is_never_answered_is_no_race(tmp_path: Path) -> None:
    talk = Talk()
    talk.exchange(0, NAME, A, port=40001, ident=1)
    for time in (0.02, 5000):
        talk.exchange(time, NAME, AAAA, port=40001, ident=2, took=None)
    talk.exchange(5000.1, NAME, A, port=40001, ident=1)
    talk.found(20000, "other.default.svc.cluster.local")
    assert "conntrack_race" not in talk.findings(tmp_path)


def test_stalls_are_counted_by_their_timer(tmp_path: Path) -> None:
    stalls = raced(5005).findings(tmp_path)["resolver_stalls"].evidence
    assert stalls["stalls"] == stalls["stalls_of_5_s"] == stalls["lookups"] == 1
    assert "stalls_of_2_5_s" not in stalls


def test_an_answer_that_is_slow_is_no_stall(tmp_path: Path) -> None:
    talk = Talk()
    talk.exchange(0, NAME, took=4900)
    assert "resolver_stalls" not in talk.findings(tmp_path)


def test_truncated_and_not_asked_again(tmp_path: Path) -> None:
    talk = Talk()
    talk.exchange(0, NAME, flags=TRUNCATED)
    found = talk.findings(tmp_path)
    assert found["truncated_without_tcp"].evidence["responses"] == 1
    assert "Alpine" in found["truncated_without_tcp"].action


def test_truncated_and_followed_over_tcp(tmp_path: Path) -> None:
    talk = Talk()
    talk.exchange(0, NAME, flags=TRUNCATED, port=40001, ident=7)
    talk.exchange(1, NAME, port=40002, ident=7, tcp=True)
    assert "truncated_without_tcp" not in talk.findings(tmp_path)


def test_truncated_and_followed_over_tcp_without_an_answer(tmp_path: Path) -> None:
    talk = Talk()
    talk.exchange(0, NAME, flags=TRUNCATED, port=40001, ident=7)
    talk.exchange(1, NAME, port=40002, ident=7, tcp=True, took=None)
    assert "truncated_without_tcp" not in talk.findings(tmp_path)


MANY = [build.address_record(f"192.0.2.{i}") for i in range(1, 41)]


def test_large_answers_to_a_client_without_edns(tmp_path: Path) -> None:
    talk = Talk()
    talk.exchange(0, NAME, answers=MANY)
    evidence = talk.findings(tmp_path)["oversize_answers"].evidence
    assert evidence["responses"] == 1
    assert evidence["largest_bytes"] == len(build.response(NAME, answers=MANY))


@pytest.mark.parametrize("how", [{"edns": True}, {"tcp": True}, {"answers": MANY[:20]}])
def test_answers_that_the_client_allows(tmp_path: Path, how: dict[str, bool]) -> None:
    talk = Talk()
    talk.exchange(0, NAME, **({"answers": MANY} | how))  # type: ignore[arg-type]
    assert "oversize_answers" not in talk.findings(tmp_path)


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


def test_lookups_that_the_application_repeats(tmp_path: Path) -> None:
    found = asked_at_once_again(400).findings(tmp_path, search=[SERVICES])
    assert "large_answer_walks" not in found


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


def test_a_nameserver_that_answers_slowly_is_alive(tmp_path: Path) -> None:
    assert "dead_nameserver" not in two_servers(answers_late=True).findings(tmp_path)


def test_one_mute_zone_is_no_dead_nameserver(tmp_path: Path) -> None:
    talk = two_servers(answers_late=False)
    talk.exchange(50000, "web.other.svc.cluster.local", server=OTHER)
    assert "dead_nameserver" not in talk.findings(tmp_path)


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


def test_a_few_slow_names_do_not_make_a_slow_nameserver(tmp_path: Path) -> None:
    talk = Talk()
    for number in range(12):
        talk.exchange(number * 1000, f"web-{number}.{ZONE}", took=250 if number < 5 else 1)
    assert "slow_nameserver" not in talk.findings(tmp_path)


def busy(queries: int, server: str, *, clients: int = 1, spread_ms: float = 900) -> Talk:
    talk = Talk(server=server)
    for number in range(queries):
        # a wall-clock second begins 876.544 ms after the first packet of these captures
        at = 880 + spread_ms * number / queries
        talk.exchange(
            at, f"r{number}.example.com", client=f"10.0.0.{number % clients + 1}", flags=0
        )
    return talk


def test_more_packets_than_a_cloud_lets_through(tmp_path: Path) -> None:
    finding = busy(1100, "169.254.169.253").findings(tmp_path)["packet_rate"]
    (row,) = finding.evidence["nameservers"]  # type: ignore[misc, attr-defined]
    assert row["subject"] == "169.254.169.253"
    assert row["peak_packets_per_s"] == 1100
    assert row["wasted_queries"] == 0
    assert finding.clients == ("10.0.0.1",)


@pytest.mark.parametrize(
    "talk",
    [
        busy(1000, "169.254.169.253"),
        busy(1100, "169.254.169.253", clients=2),
        busy(1100, "169.254.169.253", spread_ms=1900),
    ],
)
def test_fewer_packets_for_each_interface_and_second(tmp_path: Path, talk: Talk) -> None:
    assert "packet_rate" not in talk.findings(tmp_path)


def test_the_limit_is_not_of_the_clusters_own_nameserver(tmp_path: Path) -> None:
    talk = busy(1100, build.SERVER)
    talk.found(3000, NAME)
    assert "packet_rate" not in talk.findings(tmp_path)
