"""The same packet captured more than once, told from a client that asks again."""

from __future__ import annotations

import pytest

from tests.build import (
    CLIENT,
    CLIENT6,
    MS,
    SECOND,
    SERVER,
    SERVER6,
    SLL2,
    START_NS,
    Packet,
    answer,
    ask,
    assert_ledger,
    ethernet,
    ipv4,
    ipv6,
    load,
    pcap,
    query,
    response,
    rows,
    save,
    sll2,
    tcp,
    udp,
)

OTHER_MAC = bytes.fromhex("0242ac1100ff")


def at(ms: float, frame: bytes) -> Packet:
    """Return a packet some milliseconds after the start."""
    return Packet(frame, START_NS + int(ms * MS))


def duplicate_of(folder, *content: Packet, linktype: int = 1) -> list[int | None]:
    """Return what each message repeats, and check that the ledger counts it so."""
    path = save(folder, pcap(content, linktype=linktype))
    found = [r["duplicate_of"] for r in rows(path)]
    collected = load(path)
    assert_ledger(collected)
    assert collected.duplicates == sum(d is not None for d in found)
    assert collected.message_counts.total == sum(d is None for d in found)
    return found


def test_same_identification_is_the_same_packet(tmp_path):
    """A packet that comes again with its IPv4 identification was captured twice."""
    frame = ethernet(ask(query(), ident=700))
    assert duplicate_of(tmp_path, at(0, frame), at(0.02, frame)) == [None, 1]


@pytest.mark.parametrize("gap", [0.02, 1, 2000, 5000])
def test_other_identification_is_a_resend(tmp_path, gap):
    """The same question in a new packet is a retry, however soon it comes."""
    first, second = ethernet(ask(query(), ident=700)), ethernet(ask(query(), ident=701))
    assert duplicate_of(tmp_path, at(0, first), at(gap, second)) == [None, None]


def test_identification_that_came_round(tmp_path):
    """After a second the same identification is another packet."""
    frame = ethernet(ask(query(), ident=700))
    assert duplicate_of(tmp_path, at(0, frame), at(1500, frame)) == [None, None]


def test_copies_after_address_translation(tmp_path):
    """To the service and, translated, to the pod: one packet."""
    before = ethernet(ipv4(udp(query()), CLIENT, "10.96.0.10", ident=9))
    after = ethernet(ipv4(udp(query()), CLIENT, "10.244.0.5", ident=9, ttl=63))
    assert duplicate_of(tmp_path, at(0, before), at(0.1, after)) == [None, 1]


def test_copies_of_copies_name_the_first(tmp_path):
    """Three hops: both copies name the first packet."""
    frames = [ethernet(ask(query(), ident=9, ttl=64 - hop)) for hop in range(3)]
    assert duplicate_of(tmp_path, *(at(i / 10, f) for i, f in enumerate(frames))) == [None, 1, 1]


def test_copies_of_all_interfaces(tmp_path):
    """``-i any``: identification 0, and another interface each time."""
    frames = [sll2(ask(query(), ident=0), interface=i) for i in (5, 2, 9)]
    content = [at(i / 50, f) for i, f in enumerate(frames)]
    assert duplicate_of(tmp_path, *content, linktype=SLL2) == [None, 1, 1]


@pytest.mark.parametrize(
    "copy",
    [
        ethernet(ask(query(), ident=0, ttl=63)),
        ethernet(ask(query(), ident=0), source=OTHER_MAC),
        ethernet(ask(query(), ident=0)),
    ],
    ids=["other hop limit", "other link address", "all the same"],
)
def test_close_copies_without_identification(tmp_path, copy):
    """Identification 0 (as many resolvers send): a copy within moments is one."""
    first = ethernet(ask(query(), ident=0))
    assert duplicate_of(tmp_path, at(0, first), at(0.05, copy)) == [None, 1]


def test_late_repeat_without_identification(tmp_path):
    """Identification 0 and a second later: a client that asks again."""
    frame = ethernet(ask(query(), ident=0))
    assert duplicate_of(tmp_path, at(0, frame), at(1000, frame)) == [None, None]


def test_resend_right_behind_a_failure(tmp_path):
    """A resolver that has its answer and asks the same again at once is no copy."""
    asked = ethernet(ask(query(), ident=0))
    failed = ethernet(answer(response(rcode=2), ident=0))
    found = duplicate_of(tmp_path, at(0, asked), at(0.3, failed), at(0.5, asked))
    assert found == [None, None, None]


def test_ipv6_copies(tmp_path):
    """IPv6 has no identification: another hop limit at once is a copy, later it is a resend."""
    first = ethernet(ipv6(udp(query())))
    hop = ethernet(ipv6(udp(query()), hop_limit=63))
    assert duplicate_of(tmp_path, at(0, first), at(0.05, hop)) == [None, 1]
    assert duplicate_of(tmp_path, at(0, first), at(2000, first)) == [None, None]


def test_responses_are_copied_too(tmp_path):
    """Both directions of an exchange that was captured at two places."""
    content = [
        at(0, ethernet(ask(query(), ident=1))),
        at(0.05, ethernet(ask(query(), ident=1, ttl=63))),
        at(1, ethernet(answer(response(), ident=2))),
        at(1.05, ethernet(answer(response(), ident=2, ttl=63))),
    ]
    assert duplicate_of(tmp_path, *content) == [None, 1, None, 3]


def test_different_messages_are_never_copies(tmp_path):
    """Same identification, other message, port or client: other packets."""
    frames = [
        ethernet(ask(query("a.example"), ident=5)),
        ethernet(ask(query("b.example"), ident=5)),
        ethernet(ask(query("a.example"), ident=5, port=40001)),
        ethernet(ipv4(udp(query("a.example")), "10.244.1.18", SERVER, ident=5)),
        ethernet(ask(query("A.example"), ident=5)),
        ethernet(ask(query("a.example", ident=1), ident=5)),
    ]
    content = [at(i / 100, f) for i, f in enumerate(frames)]
    assert duplicate_of(tmp_path, *content) == [None] * 6


def test_pair_of_questions_from_one_port(tmp_path):
    """A and AAAA of one lookup, asked together."""
    pair = [ethernet(ask(query("a.example", t, ident=t), ident=0)) for t in (1, 28)]
    assert duplicate_of(tmp_path, at(0, pair[0]), at(0.01, pair[1])) == [None, None]


def test_copy_of_a_segment_with_two_messages(tmp_path):
    """The packet counts once, and all its messages are copies."""
    stream = b"".join(
        len(m).to_bytes(2, "big") + m for m in (query("a.example"), query("b.example", ident=2))
    )
    frame = ethernet(ipv4(tcp(stream), protocol=6, ident=3))
    path = save(tmp_path, pcap([at(0, frame), at(0.1, frame)]))
    assert [r["duplicate_of"] for r in rows(path)] == [None, None, 1, 1]
    collected = load(path)
    assert (collected.packets, collected.with_messages, collected.duplicates) == (2, 1, 1)
    assert_ledger(collected)


def test_copies_in_two_captures(tmp_path):
    """Two captures of one node, read as one: what both hold is counted once."""
    frame = ethernet(ask(query(), ident=33))
    moved = ethernet(ask(query(), ident=33, ttl=63))
    one = save(tmp_path, pcap([at(0, frame)]), "veth")
    two = save(tmp_path, pcap([at(0.1, moved), at(4000, moved)]), "bridge")
    collected = load(one, two)
    assert (collected.packets, collected.with_messages, collected.duplicates) == (3, 2, 1)
    assert_ledger(collected)


def test_copies_in_one_window_and_the_next(tmp_path):
    """A copy is found where many packets lie between it and the original."""
    between = [
        Packet(
            ethernet(ask(query(ident=i % 65536), ident=i % 65535 + 1, port=1024 + i % 60000)),
            START_NS + 20_000 * i,
        )
        for i in range(20_000)
    ]
    last = between[-1].time
    final = ethernet(ask(query("final.example.com"), ident=77))
    content = [Packet(final, START_NS), *between[1:], Packet(final, last)]
    assert last - START_NS < SECOND
    collected = load(save(tmp_path, pcap(content)))
    assert collected.duplicates == 1
    assert_ledger(collected)


def test_clients_are_the_side_that_asks(tmp_path):
    """Addresses of both families keep their sides."""
    content = [at(0, ethernet(ask(query()))), at(9, ethernet(ipv6(udp(query()))))]
    found = rows(save(tmp_path, pcap(content)))
    assert [r["client_addr"] for r in found] == [CLIENT, CLIENT6]
    assert [r["server_addr"] for r in found] == [SERVER, SERVER6]


def test_what_is_known_of_copies_is_the_same_in_every_run(tmp_path):
    """Where more messages than are remembered lie between copies, chance does not decide."""
    packets = []
    for i in range(60_000):
        asked = ethernet(ask(query(ident=i), ident=i % 65535 + 1, port=1024 + i // 7))
        packets += [Packet(asked, START_NS + 2_000 * i)]
    copies = [Packet(p.data, p.time + 200_000_000) for p in packets]
    path = save(tmp_path, pcap(sorted([*packets, *copies], key=lambda p: p.time)))
    found = {load(path).duplicates for _ in range(4)}
    assert len(found) == 1 and 0 < min(found) < 60_000
