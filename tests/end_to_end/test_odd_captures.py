"""Captures as other people take them: cut short, at other ports, of netlink, damaged."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pcapkit.errors import InputError
from pcapkit.ingest.packet.link import NETLINK_NETFILTER
from pcapkit.pipeline.analysis import Analysis
from pcapkit.pipeline.analyze import analyze
from pcapkit.report.text.verdict import headline
from tests import build
from tests.analysis.talk import FORMERR, LIST, NXDOMAIN, REFUSED, SERVFAIL, Talk
from tests.build import (
    AAAA,
    A,
    answer,
    ask,
    ethernet,
    framed,
    ipv4,
    query,
    response,
    save,
    tcp,
    udp,
)

FILTER = "the filter"


def cut(talk: Talk, size: int, folder: Path, **options: Any) -> Analysis:
    """Analyse a conversation as ``tcpdump -s SIZE`` captures it."""
    talk.snap(size)
    return talk.analyze(folder, **options)


def names(analysis: Analysis) -> list[tuple[str, int, int]]:
    return [(n.base_name, n.lookups, n.queries) for n in analysis.name_rows]


# ---- the snap length ----------------------------------------------------------------------------


def test_a_walk_of_which_one_name_was_cut_is_one_lookup(tmp_path: Path) -> None:
    talk = Talk()
    talk.walk(0, "web", ends_at=0)  # shows the list, together with the next
    talk.walk(500, "pics.org")
    talk.walk(1000, "www.example.com")  # with the first suffix 45 bytes, of which 42 are captured
    whole = talk.analyze(tmp_path)
    assert [n[0] for n in names(whole)] == ["pics.org", "www.example.com", "web"]
    found = cut(talk, 96, tmp_path)
    assert sorted(names(found)) == sorted(names(whole))
    table = build.table_of([str(tmp_path / "talk.pcap")], "lookups").set_index("base_name")
    assert not table["complete"]["www.example.com"] and table["complete"]["pics.org"]
    assert found.transaction_counts == whole.transaction_counts
    assert found.waste.by_class["incomplete"] == 8 and not found.transaction_counts.retries


@pytest.mark.parametrize("ports", [(40000, 40000), (40000, 40001)], ids=["one port", "two ports"])
def test_both_families_and_a_retry_of_a_cut_question_are_one_lookup(
    tmp_path: Path, ports: tuple[int, int]
) -> None:
    talk = Talk()
    name = "a-rather-long-name-of-a-service.some-namespace.svc.cluster.local"
    talk.exchange(0, name, A, port=ports[0], ident=100, took=None)
    talk.exchange(0.1, name, AAAA, port=ports[1], ident=9000)
    talk.exchange(5000, name, A, port=ports[0], ident=100)
    found = cut(talk, 96, tmp_path)
    assert names(found) == [("a-rather-long-name-of-a-service.some-name…", 1, 2)]
    assert (found.transaction_counts.total, found.transaction_counts.retries) == (2, 1)
    assert dict(found.transaction_counts.by_outcome)["answer"] == 2
    table = build.table_of([str(tmp_path / "talk.pcap")], "transactions")
    assert table["qtype"].isna().all() and (table["waste_class"] == "incomplete").all()
    assert table["response_packet_no"].notna().all()


@pytest.mark.parametrize("size", range(54, 120))
def test_no_cut_makes_a_name_up(tmp_path: Path, size: int) -> None:
    talk = Talk()
    talk.walk(0, "www.example.com")
    talk.walk(900, "api.example.org")
    bases = ("www.example.com", "api.example.org")
    known = {f"{base}{suffix}" for base in bases for suffix in ("", *(f".{s}" for s in LIST))}
    found = cut(talk, size, tmp_path)
    table = build.table_of([str(tmp_path / "talk.pcap")], "transactions")
    for name in [*table["qname"], *(n.base_name for n in found.name_rows)]:
        shown = name.removesuffix("…")
        assert name in known or (name != shown and any(f"{k}.".startswith(shown) for k in known))
    complete = build.table_of([str(tmp_path / "talk.pcap")], "lookups")
    complete = complete[complete["complete"]]
    assert set(complete["base_name"]) <= known
    assert sum(found.packets.skipped.values()) + found.packets.with_messages == 32


def test_answers_that_were_cut_take_nothing_from_a_whole_question(tmp_path: Path) -> None:
    talk = Talk()
    talk.exchange(0, "short.io", answers=[build.address_record(f"192.0.2.{n}") for n in range(9)])
    found = cut(talk, 80, tmp_path)
    assert (found.lookup_counts.total, found.lookup_counts.complete) == (1, 1)
    assert dict(found.lookup_counts.by_outcome)["resolved"] == 1


# ---- questions that nobody can read -------------------------------------------------------------


def test_no_question_is_no_lookup_of_the_root(tmp_path: Path) -> None:
    broken = [query(ident=5)[:12], query(ident=6)[:20], query(ident=7)[:12] + b"\xff" * 9]
    said = [build.message(n, 0x8180 | FORMERR) for n in (5, 6, 7)]
    frames = [
        ask(query("good.example.com", ident=1)),
        answer(response("good.example.com", ident=1)),
    ]
    for number, (asked, refused) in enumerate(zip(broken, said, strict=True)):
        frames += [ask(asked, ident=50 + number), answer(refused, ident=60 + number)]
    path = save(tmp_path, build.pcap(build.packets(*map(ethernet, frames))))
    found = analyze(path)
    assert names(found) == [("good.example.com", 1, 1)]
    assert found.packets.total == found.packets.with_messages == 8
    alone = save(tmp_path, build.pcap(build.packets(*map(ethernet, frames[2:]))), "alone.pcap")
    nameless = analyze(alone)
    assert names(nameless) == [] and not nameless.recommendations
    assert "no query in this capture has a question that can be read" in headline(nameless)
    unanswered = save(tmp_path, build.pcap(build.packets(*map(ethernet, frames[2::2]))))
    assert not analyze(unanswered).lookup_counts.total
    assert FILTER not in headline(analyze(unanswered))


def test_no_question_at_all_is_no_lookup(tmp_path: Path) -> None:
    asked = bytearray(query(ident=5)[:12])
    asked[4:6] = b"\0\0"  # QDCOUNT, as in a query that only asks for a cookie (RFC 7873)
    frames = [ask(bytes(asked)), answer(build.message(5, 0x8180 | FORMERR))]
    found = analyze(save(tmp_path, build.pcap(build.packets(*map(ethernet, frames)))))
    assert (found.message_counts.total, found.lookup_counts.total) == (2, 0)


@pytest.mark.parametrize(
    ("rcode", "outcome", "waste_class"),
    [
        (FORMERR, "other_rcode", "server_error"),
        (SERVFAIL, "servfail", "server_error"),
        (REFUSED, "refused", "server_error"),
        (NXDOMAIN, "nxdomain", "nonexistent"),
    ],
)
def test_a_question_that_nobody_can_read_is_a_lookup_without_a_name(
    tmp_path: Path, rcode: int, outcome: str, waste_class: str
) -> None:
    """Each port's, with both families and what is asked again, is one; names and lists lack it."""
    talk = Talk()
    talk.walk(0, "www.example.com")
    whole = talk.analyze(tmp_path, "whole.pcap")
    for at, port in ((3000, 41000), (9000, 41001)):
        for pause in (0, 2500):
            for number, qtype in enumerate((A, AAAA)):
                ident = port + 7 * number
                took = None if pause == 0 and rcode == NXDOMAIN else 0.3
                talk.unread(
                    at + pause + number / 10,
                    "nginx-svc",
                    qtype,
                    ident=ident,
                    port=port,
                    rcode=rcode,
                    took=took,
                )
    found = talk.analyze(tmp_path)
    path = str(tmp_path / "talk.pcap")
    assert found.lookup_counts.total == whole.lookup_counts.total + 2
    assert found.name_rows == whole.name_rows and found.suffixes == whole.suffixes
    assert found.waste.by_class[waste_class] == 2
    assert found.transaction_counts.retries == 6
    assert found.waste.wasted_queries == whole.waste.wasted_queries
    table = build.table_of([path], "lookups")
    table = table[table["base_name"] == ""]
    assert len(table) == 2 and set(table["outcome"]) == {outcome} and table["complete"].all()
    assert table["ambiguous"].all() and table["absolute"].isna().all()
    assert table["candidates"].map(list).tolist() == [[""]] * 2
    rows = build.table_of([path], "transactions").tail(2)
    assert rows["qname"].isna().all() and rows["qtype"].isna().all()
    assert not any("" in f.evidence.get("names", ()) for f in found.findings)


def test_unread_questions_tell_musl_where_close_ids_are_asked_again(tmp_path: Path) -> None:
    def resolver(step: int, again: int, folder: Path) -> str:
        talk = Talk()
        for number in range(4):
            for pause in (0, 2500):
                for member in (0, 1):
                    ident = 9000 + 5000 * number + step * member + (again if pause else 0)
                    at = 6000 * number + pause + member / 10
                    talk.unread(at, "web", A, ident=ident, port=41000 + number)
        return talk.analyze(folder).client_rows[0].resolver.model

    assert resolver(90, 0, tmp_path) == "musl"
    assert resolver(4000, 0, tmp_path) == "unknown"
    assert resolver(90, 700, tmp_path) == "unknown"


# ---- ports --------------------------------------------------------------------------------------


def _at_port(port: int, *, server: str = "10.128.0.7") -> list[bytes]:
    out = []
    for number in range(3):
        asked, said = query("a.example.com", ident=number), response("a.example.com", ident=number)
        out.append(ipv4(udp(asked, 40000, port), target=server, ident=number + 1))
        out.append(ipv4(udp(said, port, 40000), server, build.CLIENT, ident=number + 9))
    return out


def test_messages_over_tcp_at_another_port_are_told_of(tmp_path: Path) -> None:
    frames, web = [], []
    for number in range(4):
        asked, said = query("a.example.com", ident=number), response("a.example.com", ident=number)
        at = 1000 + 500 * number
        to_server = tcp(framed(asked), 40000, 1053, sequence=at)
        to_client = tcp(framed(said), 1053, 40000, sequence=at)
        server = "10.128.0.7"
        frames.append(ipv4(to_server, target=server, protocol=6, ident=number + 1))
        frames.append(ipv4(to_client, server, build.CLIENT, protocol=6, ident=number + 9))
        page = tcp(b"\x16\x03\x01" + bytes(300), 40001, 8443, sequence=at)
        web.append(ipv4(page, target=server, protocol=6, ident=number + 20))
    path = save(tmp_path, build.pcap(build.packets(*map(ethernet, frames + web))))
    found = analyze(path)
    assert dict(found.packets.skipped) == {"not_dns": 12}
    assert any("8 packets at port 1053 look like DNS" in w for w in found.warnings)
    assert len(build.rows(path, ports=frozenset({1053}))) == 8
    quiet = analyze(save(tmp_path, build.pcap(build.packets(*map(ethernet, web))), "web.pcap"))
    assert not any("--port" in w for w in quiet.warnings)


@pytest.mark.parametrize("port", [5353, 1053, 8053])
def test_messages_that_are_left_out_for_their_port_are_told_of(tmp_path: Path, port: int) -> None:
    path = save(tmp_path, build.pcap(build.packets(*map(ethernet, _at_port(port)))))
    found = analyze(path)
    assert dict(found.packets.skipped) == {"not_dns": 6}
    assert any(f"--port {port}" in w and "6 packets" in w for w in found.warnings)
    assert not any(FILTER in text for text in (*found.warnings, headline(found)))
    read = build.rows(path, ports=frozenset({port}))
    assert [r["qname"] for r in read] == ["a.example.com"] * 6


def test_multicast_dns_is_still_that(tmp_path: Path) -> None:
    frames = [
        ethernet(ipv4(udp(query("printer.local"), 5353, 5353), target="224.0.0.251", ident=1)),
        ethernet(build.ipv6(udp(query("printer.local"), 5353, 5353), "fe80::1", "ff02::fb")),
    ]
    found = analyze(save(tmp_path, build.pcap(build.packets(*frames))))
    assert dict(found.packets.skipped) == {"multicast_dns": 2}
    assert not any("--port" in w for w in found.warnings)


def test_other_traffic_is_not_taken_for_dns(tmp_path: Path) -> None:
    noise = [bytes(range(n, n + 60)) for n in range(20)] + [b"\x40" + bytes(60), b"x" * 200]
    frames = [ethernet(ipv4(udp(data, 40000, 443), ident=n)) for n, data in enumerate(noise)]
    found = analyze(save(tmp_path, build.pcap(build.packets(*frames))))
    assert not any("--port" in w for w in found.warnings)


# ---- netlink ------------------------------------------------------------------------------------


def _logged(*found: bytes, order: str = "<") -> bytes:
    out = b""
    for packet in found:
        family = 10 if packet[0] >> 4 == 6 else 2
        value = struct.pack(order + "HH", 4 + len(packet), 9) + packet + bytes(-len(packet) % 4)
        body = bytes([family, 0, 0, 5]) + struct.pack(order + "HHI", 8, 5, 0) + value
        out += struct.pack(order + "IHHII", 16 + len(body), 0x0400, 0, 0, 0) + body
    return out


NETLINK = {
    "NETLINK": (253, struct.pack(">HHH8sH", 0, 824, 0, bytes(8), NETLINK_NETFILTER)),
    "SLL": (113, struct.pack(">HHH8sH", 4, 824, 0, bytes(8), NETLINK_NETFILTER)),
    "SLL2": (276, struct.pack(">HHIHBB8s", NETLINK_NETFILTER, 0, 3, 824, 4, 0, bytes(8))),
}


@pytest.mark.parametrize("kind", NETLINK)
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_packet_log_within_netlink_is_read(tmp_path: Path, kind: str, order: str) -> None:
    linktype, head = NETLINK[kind]
    v6 = build.ipv6(udp(query("b.example.com", AAAA, ident=2)), "fd00::1", "fd00::a")
    frames = [
        head + _logged(ask(query("a.example.com", ident=1), ident=1), v6, order=order),
        head + _logged(answer(response("a.example.com", ident=1), ident=2), order=order),
        head[:-2] + b"\0\0" + bytes(40) if kind != "SLL2" else b"\0\0" + head[2:] + bytes(40),
    ]
    path = save(tmp_path, build.pcap(build.packets(*frames), linktype=linktype))
    shown = [(r["packet_no"], r["message_no"], r["qname"]) for r in build.rows(path)]
    assert shown == [(1, 1, "a.example.com"), (1, 2, "b.example.com"), (2, 1, "a.example.com")]
    assert dict(build.load(path).skipped) == {"not_ip": 1}
    for size in range(len(frames[0])):
        parts = [build.Packet(frames[0][:size], original=len(frames[0]))]
        build.assert_ledger(build.load(save(tmp_path, build.pcap(parts, linktype=linktype))))


# ---- TCP ----------------------------------------------------------------------------------------


def test_two_messages_of_a_segment_are_no_duplicates(tmp_path: Path) -> None:
    segment = tcp(framed(query("a.example.com"), query("a.example.com")))
    packet = ipv4(segment, protocol=6, ident=5)
    again = ethernet(ipv4(segment, protocol=6, ident=5, ttl=63), source=b"\2\0\0\0\0\x77")
    frames = build.packets(ethernet(packet), step=1000)
    found = build.load(save(tmp_path, build.pcap(frames)))
    assert (found.with_messages, found.duplicates, found.message_counts.total) == (1, 0, 2)
    # Captured again one hop further, all of it is: for the streams, or for the messages.
    both = build.packets(ethernet(packet), again, step=1000)
    found = build.load(save(tmp_path, build.pcap(both)))
    assert (found.with_messages, found.message_counts.total) == (1, 2)
    build.assert_ledger(found)


# ---- damage at the beginning --------------------------------------------------------------------


def _talk() -> bytes:
    talk = Talk()
    talk.walk(0, "www.example.com")
    return talk.capture()


def _judge(path: str) -> None:
    """It is refused, or read with a word on the damage; and never is another filter advised."""
    try:
        found = analyze(path)
    except InputError as problem:
        assert FILTER not in str(problem)
        return
    total = found.packets
    assert total.total == total.with_messages + total.duplicates + sum(total.skipped.values())
    if not found.message_counts.total:
        assert found.warnings and FILTER not in headline(found)
    assert not any(FILTER in w for w in found.warnings)


@pytest.mark.parametrize("at", range(40))
def test_any_byte_of_a_pcap_header_may_be_wrong(tmp_path: Path, at: int) -> None:
    whole = _talk()
    for flipped in (0xFF, 0x80, 0x01):
        data = bytearray(whole)
        data[at] ^= flipped
        _judge(save(tmp_path, bytes(data)))


@pytest.mark.parametrize("at", range(0, 48 + 28, 2))
def test_any_byte_of_a_pcapng_header_may_be_wrong(tmp_path: Path, at: int) -> None:
    talk = Talk()
    talk.walk(0, "www.example.com")
    data = bytearray(build.pcapng(talk.packets))
    data[at] ^= 0xFF
    _judge(save(tmp_path, bytes(data)))


@pytest.mark.parametrize("size", [10, 23, 30, 41, 60])
def test_a_capture_of_which_no_packet_is_whole_is_refused(tmp_path: Path, size: int) -> None:
    path = save(tmp_path, _talk()[:size])
    with pytest.raises(InputError) as caught:
        analyze(path)
    assert path in str(caught.value) and FILTER not in str(caught.value)


def test_a_capture_without_packets_is_whole(tmp_path: Path) -> None:
    found = analyze(save(tmp_path, _talk()[:24]))
    assert found.packets.total == 0 and any(FILTER in w for w in found.warnings)


def test_the_others_are_read_beside_one_that_is_damaged(tmp_path: Path) -> None:
    whole = _talk()
    good = save(tmp_path, whole, "good.pcap")
    bad = save(tmp_path, whole[:24] + b"\xff" * 16 + whole[40:], "bad.pcap")
    found = analyze(good, bad)
    assert found.message_counts.total and any(
        "bad.pcap: damaged at byte 24" in w for w in found.warnings
    )


# ---- clocks -------------------------------------------------------------------------------------


def test_nothing_takes_less_than_no_time(tmp_path: Path) -> None:
    talk = Talk()
    for number in range(6):
        talk.pair(100 * number, f"n{number}.example.com")
    back = [
        replace(p, time=p.time - (0 if n % 3 else 40 * 365 * 86_400 * build.SECOND))
        for n, p in enumerate(talk.packets)
    ]
    path = save(tmp_path, build.pcap(back))
    found = analyze(path)
    (warning,) = (w for w in found.warnings if "goes back" in w)
    assert warning.startswith(f"{path}: the clock goes back by more than a minute at 7 places")

    def smallest(value: Any) -> float:
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list):
            return min(map(smallest, value), default=0)
        return value if isinstance(value, (int, float)) else 0

    assert smallest(json.loads(found.to_json())) >= 0
    for table, columns in {
        "lookups": ["duration_s", "wasted_s"],
        "transactions": ["rtt_s"],
    }.items():
        for column in columns:
            values = build.table_of([path], table)[column].dropna()
            assert (values >= 0).all() and (values < 60).all()
