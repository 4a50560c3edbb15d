"""Questions that meet a closed port are asked again at once, in the same lookup."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import build
from tests.analysis.talk import LIST, NXDOMAIN, Talk
from tests.build import AAAA, A

CLOSED = "10.96.0.11"
NAME = f"web.{LIST[0]}"


def refused(
    talk: Talk, at: float, name: str, qtype: int, server: str, *, port: int, ident: int
) -> None:
    """A query to a port that nothing listens at, and the ICMP message that says so."""
    talk.exchange(at, name, qtype, took=None, server=server, port=port, ident=ident, edns=True)
    quoted = build.ipv4(build.udp(b"", port, 53), talk.client, server)[:28]
    talk.unreachable(at + 0.1, quoted, (server, talk.client))


def go_asks_where_nothing_listens(talk: Talk, at: float, name: str, serial: int) -> None:
    """Go, with one nameserver: each question twice, with its own port and ID each time."""
    for again in range(2):
        for n, qtype in enumerate((A, AAAA)):
            port, ident = 20_000 + 10 * serial + 2 * again + n, 1000 * serial + 7 * again + n
            refused(
                talk, at + again / 2 + n / 50, name, qtype, build.SERVER, port=port, ident=ident
            )


def test_the_only_nameserver_is_asked_again_and_the_walk_goes_on(tmp_path: Path) -> None:
    """Go asks the next suffix as soon as the second attempt is refused."""
    talk = Talk()
    for number in range(6):
        talk.walk(1000 * number, f"known{number}.example.com", edns=True)
    for place, name in enumerate([*(f"api.example.com.{s}" for s in LIST), "api.example.com"]):
        go_asks_where_nothing_listens(talk, 10_000 + place, name, place)
    last = talk.analyze(tmp_path).lookups.iloc[-1]
    assert (last["queries"], last["retries"], last["outcome"]) == (8, 8, "unanswered")
    assert list(last["candidates"])[-1] == "api.example.com"


@pytest.mark.parametrize("apart", [0.05, 0.2, 3])
def test_two_lookups_at_a_time_stay_two(tmp_path: Path, apart: float) -> None:
    """Two threads with glibc: each keeps its IDs when it asks the next nameserver."""
    talk = Talk()
    for number in range(8):
        for thread in range(2):
            at = 1000 * number + apart * thread
            port = 20_000 + 10 * number + thread
            for n, qtype in enumerate((A, AAAA)):
                ident = 4000 * number + 700 * thread + 90 * n
                refused(talk, at, NAME, qtype, CLOSED, port=port, ident=ident)
                talk.exchange(at + 0.4, NAME, qtype, port=port + 5, ident=ident)
    analysis = talk.analyze(tmp_path)
    assert analysis.lookup_counts.total == 16
    assert analysis.transaction_counts.retries == 32


def test_nameservers_in_turn_are_asked_by_two_lookups(tmp_path: Path) -> None:
    """With ``rotate``, two lookups at a time ask two nameservers; both are answered."""
    talk = Talk()
    for number in range(8):
        for thread, server in enumerate((build.SERVER, CLOSED)):
            talk.exchange(1000 * number + thread / 5, NAME, A, took=2, server=server, edns=True)
    analysis = talk.analyze(tmp_path)
    assert analysis.lookup_counts.total == 16
    assert analysis.transaction_counts.retries == 0


def test_a_failed_name_from_the_same_port_later_is_another_lookup(tmp_path: Path) -> None:
    """No resolver waits so long after an error, nor asks again with another ID from there."""
    talk = Talk()
    for number in range(4):
        talk.exchange(31_000 * number, NAME, A, rcode=2, port=20_000, ident=5000 * number)
    analysis = talk.analyze(tmp_path)
    assert (analysis.lookup_counts.total, analysis.transaction_counts.retries) == (4, 0)


def test_suffixes_asked_at_once_when_the_capture_ends_are_incomplete(tmp_path: Path) -> None:
    """busybox: what is unanswered at the end may still be asked again."""
    talk = Talk()
    for number in range(5):
        for k, suffix in enumerate(LIST):
            for n, qtype in enumerate((A, AAAA)):
                at = 9000 * number + k / 10 + n / 20
                took = None if number == 4 else 1.0
                how = {"port": 40_000 + number, "ident": 10 * k + n, "took": took}
                talk.exchange(at, f"db{number}.{suffix}", qtype, rcode=NXDOMAIN, **how)
    lookups = talk.analyze(tmp_path).lookups
    assert lookups["queries"].tolist() == [6] * 5
    assert lookups["complete"].tolist() == [True] * 4 + [False]
