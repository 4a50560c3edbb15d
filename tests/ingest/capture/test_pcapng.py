"""pcapng files: sections, interfaces, time resolutions, block types, and damage."""

from __future__ import annotations

import struct

import pandas as pd
import pytest

from tests.build import (
    ETHERNET,
    RAW,
    SECOND,
    SLL2,
    START_NS,
    Packet,
    answer,
    ask,
    assert_ledger,
    conversation,
    ethernet,
    ipv4,
    load,
    ng_block,
    ng_interface,
    ng_option,
    ng_packet,
    ng_section,
    ng_simple,
    pcap,
    pcapng,
    query,
    response,
    rows,
    save,
    sll2,
    udp,
    without,
)


def one(name: str, ident: int) -> bytes:
    """Return an Ethernet frame with a query of its own."""
    return ethernet(ask(query(name, ident=ident), ident=ident))


@pytest.mark.parametrize("big", [False, True], ids=["little", "big"])
def test_same_messages_as_pcap(tmp_path, big):
    """The container changes nothing about the messages."""
    found = rows(save(tmp_path, pcapng(conversation(), big=big), "c.pcapng"))
    assert found == rows(save(tmp_path, pcap(conversation())))
    assert len(found) == 5


def test_capture_facts(tmp_path):
    """The format and the link type are reported, and the ledger adds up."""
    collected = load(save(tmp_path, pcapng(conversation())))
    (info,) = collected.captures
    assert (info.format, info.packets, info.link_types) == ("pcapng", 5, ("EN10MB",))
    assert info.snaplen == 262144
    assert not info.truncated_tail
    assert collected.warnings == []
    assert_ledger(collected)


def test_sections_of_both_byte_orders(tmp_path):
    """A section starts its interfaces anew and may have another byte order."""
    raw = ask(query("b.example.com", ident=2), ident=2)
    content = [
        ng_section(),
        ng_interface(),
        ng_packet(Packet(one("a.example.com", 1))),
        ng_section(big=True),
        ng_interface(linktype=RAW, big=True),
        ng_packet(Packet(raw, START_NS + SECOND), big=True),
        ng_section(),
        ng_interface(resolution=9),
        ng_packet(Packet(one("c.example.com", 3)), stamp=START_NS + 2 * SECOND),
    ]
    path = save(tmp_path, b"".join(content))
    found = rows(path)
    assert [r["qname"] for r in found] == ["a.example.com", "b.example.com", "c.example.com"]
    assert [r["time"].value - START_NS for r in found] == [0, SECOND, 2 * SECOND]
    assert [r["packet_no"] for r in found] == [1, 2, 3]
    assert set(load(path).captures[0].link_types) == {"EN10MB", "RAW"}


def test_interfaces_of_one_section(tmp_path):
    """Each packet is read with the link type of its own interface, and says which it was."""
    plain = ask(query("a.example.com", ident=1), ident=1)
    content = [
        ng_section(),
        ng_interface(linktype=ETHERNET),
        ng_interface(linktype=RAW),
        ng_packet(Packet(plain), interface=1),
        ng_packet(Packet(ethernet(ask(query("b.example.com", ident=2), ident=2))), interface=0),
    ]
    found = rows(save(tmp_path, b"".join(content)))
    assert [(r["qname"], r["interface"]) for r in found] == [
        ("a.example.com", 1),
        ("b.example.com", 0),
    ]


def test_cooked_frames_show_their_own_interface(tmp_path):
    """SLL2 holds an interface number, which says more than the file's."""
    content = [
        ng_section(),
        ng_interface(linktype=SLL2),
        ng_packet(Packet(sll2(ask(query()), interface=42))),
    ]
    (row,) = rows(save(tmp_path, b"".join(content)))
    assert row["interface"] == 42


def test_more_interfaces_than_expected(tmp_path):
    """A file with very many interfaces, as of a busy node, is read to its end."""
    count = 300
    content = [ng_section(), *[ng_interface() for _ in range(count)]]
    content += [
        ng_packet(Packet(one(f"n{i}.example.com", i + 1), START_NS + i * SECOND), interface=i)
        for i in range(0, count, 7)
    ]
    found = rows(save(tmp_path, b"".join(content)))
    assert [r["interface"] for r in found] == list(range(0, count, 7))


@pytest.mark.parametrize("big", [False, True], ids=["little", "big"])
@pytest.mark.parametrize(
    ("resolution", "stamp", "expected"),
    [
        (None, 1_700_000_000_123_456, 1_700_000_000_123_456_000),
        (0, 1_700_000_000, 1_700_000_000_000_000_000),
        (3, 1_700_000_000_123, 1_700_000_000_123_000_000),
        (6, 1_700_000_000_123_456, 1_700_000_000_123_456_000),
        (7, 17_000_000_001_234_567, 1_700_000_000_123_456_700),
        (9, 1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
        (0x80, 1_700_000_000, 1_700_000_000_000_000_000),
        (0x80 | 1, 3_400_000_001, 1_700_000_000_500_000_000),
        (0x80 | 10, (1_700_000_000 << 10) + 256, 1_700_000_000_250_000_000),
        (0x80 | 32, (1_700_000_000 << 32) + (1 << 31), 1_700_000_000_500_000_000),
    ],
)
def test_time_resolution(tmp_path, big, resolution, stamp, expected):
    """if_tsresol is a power of ten, or of two with its top bit set."""
    content = [
        ng_section(big=big),
        ng_interface(resolution=resolution, big=big),
        ng_packet(Packet(one("a.example.com", 1)), stamp=stamp, big=big),
    ]
    (row,) = rows(save(tmp_path, b"".join(content)))
    assert row["time"] == pd.Timestamp(expected, unit="ns", tz="UTC")


@pytest.mark.parametrize("big", [False, True], ids=["little", "big"])
@pytest.mark.parametrize("offset", [3600, -3600])
def test_time_offset(tmp_path, big, offset):
    """if_tsoffset moves all times of its interface by whole seconds, either way."""
    content = [
        ng_section(big=big),
        ng_interface(resolution=6, offset=offset, big=big),
        ng_packet(Packet(one("a.example.com", 1)), big=big),
    ]
    (row,) = rows(save(tmp_path, b"".join(content)))
    assert row["time"].value == START_NS + offset * SECOND


@pytest.mark.parametrize("big", [False, True], ids=["little", "big"])
@pytest.mark.parametrize(
    ("resolution", "offset", "stamp", "year"),
    [
        (0, 0, 2**64 - 1, 2116),
        (0, 2**62, 0, 2116),
        (0, 2**63 - 1, 2**64 - 1, 2116),
        (0x80, 0, 2**64 - 1, 2116),
        (0x80 | 20, 0, 2**64 - 1, 2116),
        (6, -(2**63), 0, 1823),
        (0, -(2**40), 2**40 + 1_700_000_000, 2023),
    ],
)
def test_times_beyond_reach(tmp_path, big, resolution, offset, stamp, year):
    """Times that fit nowhere are the nearest that do; how long it took between any two is known."""
    content = [
        ng_section(big=big),
        ng_interface(resolution=resolution, offset=offset, big=big),
        ng_interface(resolution=6, offset=-(2**63), big=big),
        ng_packet(Packet(one("a.example.com", 1)), stamp=stamp, big=big),
        ng_packet(Packet(one("b.example.com", 2)), interface=1, big=big),
    ]
    first, last = rows(save(tmp_path, b"".join(content)))
    assert (first["time"].year, last["time"].year) == (year, 1823)
    assert first["time"].value - last["time"].value < 2**63


def test_simple_packets_have_no_times(tmp_path):
    """A file of simple packet blocks is read without a clock."""
    content = [
        ng_section(),
        ng_interface(),
        ng_simple(Packet(one("a.example.com", 1))),
        ng_simple(Packet(one("b.example.com", 2))),
    ]
    path = save(tmp_path, b"".join(content))
    assert [r["qname"] for r in rows(path)] == ["a.example.com", "b.example.com"]
    assert not load(path).has_clock
    assert all(r["time"] is None for r in rows(path))


def test_simple_packets_use_the_snapshot_length(tmp_path):
    """A simple packet block says only the wire length: the interface bounds what is there."""
    frame = one("a.example.com", 1)
    body = struct.pack("<I", len(frame)) + frame[:60]
    content = ng_section() + ng_interface(snaplen=60) + ng_block(3, body)
    (row,) = rows(save(tmp_path, content))
    assert row["message_id"] == 1
    assert row["message_bytes"] == len(query("a.example.com"))


def test_obsolete_packet_block(tmp_path):
    """The packet block of old writers reads like the enhanced one."""
    new = save(tmp_path, pcapng(conversation()), "new")
    blocks = [ng_packet(p, obsolete=True) for p in conversation()]
    old = save(tmp_path, ng_section() + ng_interface() + b"".join(blocks), "old")
    assert rows(old) == rows(new)


def test_other_blocks_are_passed_over(tmp_path):
    """Name resolution, statistics, custom and unknown blocks between packets change nothing."""
    content = ng_section(options=ng_option(4, b"a writer") + ng_option(0, b"")) + ng_interface()
    for packet in conversation():
        content += ng_packet(packet)
        for kind in (4, 5, 0x0BAD, 0x80000001, 10):
            content += ng_block(kind, bytes(range(40)))
    found = rows(save(tmp_path, content, "mixed"))
    assert found == rows(save(tmp_path, pcapng(conversation()), "plain"))


def test_packet_options_are_no_packet_bytes(tmp_path):
    """Options behind the packet's bytes do not belong to the message."""
    frame = one("a.example.com", 1)
    ticks = START_NS // 1000
    body = struct.pack("<IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame))
    body += frame + b"\0" * (-len(frame) % 4) + ng_option(1, b"a comment") + ng_option(0, b"")
    found = rows(save(tmp_path, ng_section() + ng_interface() + ng_block(6, body)))
    plain = rows(save(tmp_path, pcapng([Packet(frame)]), "plain"))
    assert found == plain


def test_cut_last_block(tmp_path):
    """Wherever the last block is cut, the packets before it are analysed and the cut is said."""
    whole = pcapng(conversation())
    for lost in (1, 4, 30, len(ng_packet(conversation()[-1])) - 1):
        collected = load(save(tmp_path, whole[:-lost]))
        assert collected.packets == collected.with_messages == 4
        assert collected.captures[0].truncated_tail
        assert len(collected.warnings) == 1
        assert "4 packets" in collected.warnings[0]
        assert_ledger(collected)


def test_section_header_only(tmp_path):
    """A section without packets is an empty capture, not a damaged one."""
    for content in (ng_section(), ng_section() + ng_interface(), ng_section(big=True)):
        collected = load(save(tmp_path, content))
        assert collected.packets == 0
        assert not collected.captures[0].truncated_tail
        assert collected.warnings == []


@pytest.mark.parametrize(
    "bad",
    [
        struct.pack("<II", 6, 0xFFFFFFF0) + bytes(40),
        struct.pack("<II", 6, 8) + bytes(40),
        struct.pack("<II", 6, 33) + bytes(40),
        ng_block(6, bytes(40))[:-4] + struct.pack("<I", 48),
        ng_block(6, bytes(8)),
        ng_packet(Packet(b"x" * 40), interface=9),
        ng_block(6, struct.pack("<IIIII", 0, 0, 0, 4000, 4000) + bytes(40)),
        struct.pack("<III", 0x0A0D0D0A, 28, 0x01020304) + bytes(16),
    ],
    ids=[
        "length of gigabytes",
        "length below a block's",
        "length of no whole words",
        "two lengths that differ",
        "body too short",
        "unknown interface",
        "packet longer than its block",
        "section of no byte order",
    ],
)
def test_damaged_block(tmp_path, bad):
    """What came before a damaged block is kept, and the damage is said."""
    content = pcapng(conversation()[:2]) + bad + ng_packet(conversation()[2])
    collected = load(save(tmp_path, content))
    assert collected.packets == collected.with_messages == 2
    assert collected.captures[0].truncated_tail
    (warning,) = collected.warnings
    assert "damaged at byte" in warning
    assert "2 packets" in warning
    assert_ledger(collected)


def test_unknown_link_type_of_one_interface(tmp_path):
    """Only the packets of the interface that is not known here are skipped."""
    content = [
        ng_section(),
        ng_interface(linktype=ETHERNET),
        ng_interface(linktype=147),
        ng_packet(Packet(one("a.example.com", 1))),
        ng_packet(Packet(b"\x08" * 60), interface=1),
    ]
    collected = load(save(tmp_path, b"".join(content)))
    assert dict(collected.skipped) == {"unknown_link_type": 1}
    assert collected.with_messages == 1
    assert "USER0" in collected.warnings[0]
    assert_ledger(collected)


def test_large_packets(tmp_path):
    """Records longer than the usual ones do not disturb those between them."""
    content = []
    for i, packet in enumerate(conversation()):
        junk = ethernet(ipv4(udp(bytes(40_000 + i), 1000, 2000), ident=500 + i))
        content += [packet, Packet(junk, packet.time + 1000)]
    found = rows(save(tmp_path, pcapng(content)))
    plain = rows(save(tmp_path, pcapng(conversation()), "plain"))
    assert without(found, "packet_no") == without(plain, "packet_no")
    assert [r["packet_no"] for r in found] == [1, 3, 5, 7, 9]


def test_answers_come_from_the_server(tmp_path):
    """Client and server keep their places in both directions."""
    content = [
        Packet(ethernet(ask(query(ident=7), ident=1))),
        Packet(ethernet(answer(response(ident=7), ident=2)), START_NS + 1000),
    ]
    asked, answered = rows(save(tmp_path, pcapng(content)))
    ends = ("client_addr", "client_port", "server_addr", "server_port")
    assert [asked[k] for k in ends] == [answered[k] for k in ends]
    assert (asked["client_addr"], asked["server_port"]) == ("10.244.1.17", 53)
    assert (asked["is_response"], answered["is_response"]) == (False, True)
