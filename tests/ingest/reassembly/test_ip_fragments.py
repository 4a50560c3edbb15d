"""IP fragments: whole datagrams in any order, first fragments alone, and bounds."""

from __future__ import annotations

import itertools
import struct

import pytest

from tests.build import (
    CLIENT,
    MS,
    SECOND,
    SERVER,
    START_NS,
    Packet,
    answer,
    ask,
    assert_ledger,
    ethernet,
    framed,
    ipv4,
    ipv6,
    load,
    packets,
    pcap,
    query,
    record,
    response,
    rows,
    save,
    tcp,
    udp,
    vxlan,
    without,
)

BIG = response(
    "big.example.com", ident=9, answers=[record(b"\xc0\x0c", 1, b"\1\2\3\4", ttl=7)] * 200
)
DATAGRAM = udp(BIG, 53, 40000)


def pieces(data: bytes, size: int) -> list[tuple[int, bytes, bool]]:
    """Return (offset, bytes, whether more follow) of fragments of ``size`` bytes."""
    places = range(0, len(data), size)
    return [(at, data[at : at + size], at + size < len(data)) for at in places]


def fragments(
    data: bytes = DATAGRAM, size: int = 1480, *, ident: int = 7, protocol: int = 17
) -> list[bytes]:
    """Return a datagram from the server as Ethernet frames with IPv4 fragments."""
    return [
        ethernet(
            ipv4(
                part,
                SERVER,
                CLIENT,
                protocol=protocol,
                ident=ident,
                fragment=at // 8 | (0x2000 if more else 0),
            )
        )
        for at, part, more in pieces(data, size)
    ]


def fragments6(data: bytes = DATAGRAM, size: int = 1232) -> list[bytes]:
    """Return the same over IPv6."""
    return [
        ethernet(ipv6(struct.pack(">BBHI", 17, 0, at | more, 0x12345678) + part, following=44))
        for at, part, more in pieces(data, size)
    ]


WHOLE = ["packet_no", "time", "interface"]


@pytest.mark.parametrize("size", [8, 64, 1480, 3000])
def test_whole_datagram(tmp_path, size):
    """The message counts at the fragment that completes it, with all of its records."""
    frames = fragments(size=size)
    path = save(tmp_path, pcap(packets(*frames, step=1000)))
    if len(frames) > 256:  # more pieces than any path makes: given up, but for the first
        assert load(path).with_messages <= 1
        return
    (row,) = rows(path)
    (plain,) = rows(save(tmp_path, pcap(packets(ethernet(answer(BIG, ident=7)))), "plain"))
    assert row["packet_no"] == len(frames)
    assert without([row], *WHOLE) == without([plain], *WHOLE)
    assert dict(load(path).skipped) == {"fragment": len(frames) - 1}
    assert_ledger(load(path))


def test_ipv6(tmp_path):
    """The same over IPv6, whose fragments have a header of their own."""
    path = save(tmp_path, pcap(packets(*fragments6())))
    (row,) = rows(path)
    assert (row["qname"], row["answers"], row["min_ttl"]) == ("big.example.com", 200, 7)
    assert row["packet_no"] == 3
    assert_ledger(load(path))


def test_any_order(tmp_path):
    """Fragments in any order give one message, at whichever comes last."""
    for order in itertools.permutations(fragments(size=1000)):
        path = save(tmp_path, pcap(packets(*order)))
        (row,) = rows(path)
        assert (row["packet_no"], row["answers"], row["min_ttl"]) == (4, 200, 7)
        assert dict(load(path).skipped) == {"fragment": 3}


def test_copies_of_fragments(tmp_path):
    """Every fragment captured twice: one message, or one and its duplicate."""
    first, second, third = fragments()
    for frames in (
        [first, first, second, second, third, third],
        [first, second, third, first, second, third],
    ):
        path = save(tmp_path, pcap(packets(*frames, step=1000)))
        assert sum(r["duplicate_of"] is None for r in rows(path)) == 1
        assert_ledger(load(path))


def test_first_fragment_alone(tmp_path):
    """A port filter sees no other: the header and the question count, and the rest is cut."""
    first = fragments()[0]
    other = ethernet(ask(query("other.example.com")))
    path = save(tmp_path, pcap(packets(first, other)))
    row, after = rows(path)
    assert (row["packet_no"], row["qname"], row["answers"]) == (1, "big.example.com", 200)
    assert row["message_bytes"] == len(BIG)
    assert (after["packet_no"], after["qname"]) == (2, "other.example.com")
    collected = load(path)
    assert dict(collected.skipped) == {}
    assert collected.with_messages == 2
    assert "1 of 2 messages were captured in part" in " ".join(collected.warnings)


def test_first_fragment_of_another_window(tmp_path):
    """A datagram that is given up long after its window is still accounted for once."""
    filler = ethernet(b"\0" * 46, kind=0x88CC)
    content = [Packet(fragments()[0], START_NS)]
    content += [Packet(filler, START_NS + MS + i) for i in range(70_000)]
    content += [Packet(filler, START_NS + 3 * SECOND)]
    path = save(tmp_path, pcap(content))
    collected = load(path)
    assert (collected.with_messages, dict(collected.skipped)) == (1, {"not_ip": 70_001})
    assert_ledger(collected)
    (row,) = rows(path)
    assert row["packet_no"] == 1


def test_datagram_over_two_windows(tmp_path):
    """The first fragment ends a window, the others begin the next."""
    filler = ethernet(b"\0" * 46, kind=0x88CC)
    first, second, third = fragments()
    content = [Packet(filler, START_NS + i) for i in range(65_535)]
    content += [Packet(f, START_NS + MS + i) for i, f in enumerate((first, second, third))]
    path = save(tmp_path, pcap(content))
    (row,) = rows(path)
    assert (row["packet_no"], row["min_ttl"]) == (65_538, 7)
    collected = load(path)
    assert dict(collected.skipped) == {"not_ip": 65_535, "fragment": 2}
    assert_ledger(collected)


def test_later_fragments_alone(tmp_path):
    """Without the first fragment there is nothing to read."""
    path = save(tmp_path, pcap(packets(*fragments()[1:])))
    assert rows(path) == []
    assert dict(load(path).skipped) == {"fragment": 2}


def test_identification_used_again_much_later(tmp_path):
    """Fragments that are seconds apart belong to two datagrams."""
    first, second, third = fragments()
    content = [
        Packet(first, START_NS),
        Packet(second, START_NS + 5 * SECOND),
        Packet(third, START_NS + 5 * SECOND),
    ]
    path = save(tmp_path, pcap(content))
    (row,) = rows(path)
    assert row["packet_no"] == 1
    assert load(path).skipped["fragment"] == 2
    assert_ledger(load(path))


def test_tcp_in_fragments(tmp_path):
    """A fragmented segment goes on as a segment."""
    data = tcp(framed(BIG), 53, 40000)
    path = save(tmp_path, pcap(packets(*fragments(data, protocol=6))))
    (row,) = rows(path)
    assert (row["transport"], row["answers"]) == ("tcp", 200)
    assert_ledger(load(path))


def test_tunnel_in_fragments(tmp_path):
    """A tunnel's packet that was split outside, and one whose inside was split as well."""
    outer = vxlan(ethernet(answer(BIG)))[20:]
    (row,) = rows(save(tmp_path, pcap(packets(*fragments(outer)))))
    assert (row["qname"], row["answers"]) == ("big.example.com", 200)
    inner = [vxlan(frame)[20:] for frame in fragments(size=1400)]
    frames = [f for i, part in enumerate(inner) for f in fragments(part, 800, ident=50 + i)]
    path = save(tmp_path, pcap(packets(*frames)))
    (row,) = rows(path)
    assert (row["packet_no"], row["answers"]) == (len(frames), 200)
    assert_ledger(load(path))


def test_other_traffic_in_fragments(tmp_path):
    """Fragments of another protocol are fragments, or what they show themselves to be."""
    web = udp(bytes(3000), 40000, 443)
    collected = load(save(tmp_path, pcap(packets(*fragments(web)))))
    assert dict(collected.skipped) == {"fragment": 2, "not_dns": 1}
    collected = load(save(tmp_path, pcap(packets(fragments(web)[0]))))
    assert dict(collected.skipped) == {"not_dns": 1}
    collected = load(save(tmp_path, pcap(packets(fragments(bytes(3000), protocol=132)[0]))))
    assert dict(collected.skipped) == {"fragment": 1}


def test_cut_fragments(tmp_path):
    """Fragments cut by the snapshot length give what was captured without a gap."""
    frames = fragments()
    cut = [Packet(f[:200], START_NS + i * 1000, len(f)) for i, f in enumerate(frames)]
    (row,) = rows(save(tmp_path, pcap(cut)))
    assert (row["packet_no"], row["qname"], row["answers"]) == (3, "big.example.com", 200)
    assert row["message_bytes"] == len(BIG)


def test_memory_is_bounded(tmp_path):
    """First fragments without end are given up, each of them counted."""
    frames = [fragments(ident=i)[0] for i in range(3000)]
    path = save(tmp_path, pcap(packets(*frames, step=10)))
    collected = load(path)
    assert collected.with_messages == 3000
    assert_ledger(collected)
