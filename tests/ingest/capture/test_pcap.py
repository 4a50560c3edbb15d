"""pcap files: byte orders, precisions, and damage."""

from __future__ import annotations

import struct

import pandas as pd
import pytest

from pcapkit.errors import DamagedCapture, NotACapture
from tests.build import (
    ETHERNET,
    START_NS,
    Packet,
    assert_ledger,
    conversation,
    ethernet,
    ipv4,
    load,
    open_only,
    packets,
    pcap,
    pcap_header,
    pcap_record,
    query,
    rows,
    save,
    udp,
)

MICRO, NANO, MODIFIED = 0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34


@pytest.mark.parametrize("big", [False, True], ids=["little", "big"])
@pytest.mark.parametrize("magic", [MICRO, NANO, MODIFIED], ids=["micro", "nano", "modified"])
def test_byte_order_and_precision_change_nothing(tmp_path, big, magic):
    """Six ways to write the same packets give the same messages at the same times."""
    path = save(tmp_path, pcap(conversation(), big=big, magic=magic))
    found = rows(path)
    assert found == rows(save(tmp_path, pcap(conversation()), "plain.pcap"))
    assert [(r["qname"], r["qtype"], r["rcode"], r["message_id"]) for r in found] == [
        ("web.default.svc.cluster.local", "A", None, 1),
        ("web.default.svc.cluster.local", "A", "NXDOMAIN", 1),
        ("web.example.com", "AAAA", None, 2),
        ("web.example.com", "AAAA", "NOERROR", 2),
        ("lost.example.com", "A", None, 3),
    ]
    assert [r["time"] for r in found] == [
        pd.Timestamp(p.time, unit="ns", tz="UTC") for p in conversation()
    ]
    assert [r["packet_no"] for r in found] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("big", [False, True], ids=["little", "big"])
def test_nanoseconds_are_kept(tmp_path, big):
    """A nanosecond file's last three digits count; a microsecond file has none."""
    content = [Packet(conversation()[0].data, START_NS + 789)]
    (fine,) = rows(save(tmp_path, pcap(content, big=big, magic=NANO), "n"))
    (coarse,) = rows(save(tmp_path, pcap(content, big=big, magic=MICRO), "u"))
    assert fine["time"].value == START_NS + 789
    assert coarse["time"].value == START_NS


def test_capture_facts(tmp_path):
    """Format, link type, snapshot length, packets and times are reported."""
    collected = load(save(tmp_path, pcap(conversation())))
    (info,) = collected.captures
    assert (info.format, info.compression, info.packets) == ("pcap", None, 5)
    assert info.link_types == ("EN10MB",)
    assert info.snaplen == 262144
    assert not info.truncated_tail
    assert collected.warnings == []
    assert_ledger(collected)


@pytest.mark.parametrize("magic", [MICRO, MODIFIED], ids=["micro", "modified"])
def test_cut_last_record(tmp_path, magic):
    """Wherever the last record is cut, the records before it are analysed and the cut is said."""
    content = conversation()
    whole = pcap(content, magic=magic)
    last = len(pcap_record(content[-1], magic=magic))
    for lost in (1, 20, last - 17, last - 1):
        collected = load(save(tmp_path, whole[:-lost]))
        assert collected.packets == collected.with_messages == 4
        assert collected.captures[0].truncated_tail
        (warning,) = collected.warnings
        assert "4 packets" in warning
        assert str(tmp_path) in warning
        assert_ledger(collected)


def test_header_only(tmp_path):
    """A capture of nothing has zero packets and is not damaged."""
    collected = load(save(tmp_path, pcap([])))
    assert collected.packets == 0
    assert not collected.captures[0].truncated_tail
    assert collected.warnings == []
    assert rows(save(tmp_path, pcap([]))) == []


@pytest.mark.parametrize("size", [4, 10, 23])
def test_cut_file_header(tmp_path, size):
    """A file that ends within its header is damaged, by name."""
    path = save(tmp_path, pcap([])[:size])
    with pytest.raises(DamagedCapture, match="c.pcap"):
        open_only(path)


@pytest.mark.parametrize("big", [False, True], ids=["little", "big"])
def test_absurd_length(tmp_path, big):
    """A record that claims two gigabytes is damage: what came before it is kept."""
    order = ">" if big else "<"
    content = pcap(conversation()[:2], big=big)
    content += struct.pack(order + "IIII", 1, 1, 0x7FFFFFFF, 0x7FFFFFFF) + b"x" * 500
    collected = load(save(tmp_path, content))
    assert collected.packets == collected.with_messages == 2
    assert collected.captures[0].truncated_tail
    (warning,) = collected.warnings
    assert "damaged at byte" in warning
    assert_ledger(collected)


def test_length_beyond_the_file(tmp_path):
    """A record that claims a few megabytes more than there are reads like a cut one."""
    content = pcap(conversation()[:3]) + struct.pack("<IIII", 1, 1, 30 << 20, 30 << 20) + b"abc"
    collected = load(save(tmp_path, content))
    assert collected.packets == 3
    assert collected.captures[0].truncated_tail
    assert len(collected.warnings) == 1


def test_frame_check_sequence_bits_are_no_link_type(tmp_path):
    """The upper half of the link type's field holds other facts."""
    head = pcap_header(linktype=ETHERNET | 0x44000000)
    plain = rows(save(tmp_path, pcap(conversation())))
    body = b"".join(pcap_record(p) for p in conversation())
    assert rows(save(tmp_path, head + body)) == plain


def test_snapped_packet(tmp_path):
    """A message cut by the snapshot length keeps its wire length and its question."""
    frame = ethernet(ipv4(udp(query("cut.example.com", additional=[bytes(60)]))))
    content = [Packet(frame[:80], START_NS, len(frame))]
    (row,) = rows(save(tmp_path, pcap(content)))
    assert row["qname"] == "cut.example.com"
    assert row["message_bytes"] == len(frame) - 14 - 20 - 8


def test_snapped_before_the_message(tmp_path):
    """Where not even the DNS header was captured, the packet is skipped under that reason."""
    frame = ethernet(ipv4(udp(query())))
    for size in (20, 36, 43, 50):
        collected = load(save(tmp_path, pcap([Packet(frame[:size], START_NS, len(frame))])))
        assert dict(collected.skipped) == {"truncated_by_snaplen": 1}
        assert_ledger(collected)


def test_more_packets_than_one_window(tmp_path):
    """Packet numbers run on from window to window."""
    frames = [ethernet(ipv4(udp(query(ident=i % 65536)), ident=i % 65535 + 1)) for i in range(2)]
    count = 70_001
    body = [Packet(frames[i % 2], START_NS + i * 20_000_000) for i in range(count)]
    collected = load(save(tmp_path, pcap(body)))
    assert collected.packets == count
    numbers = [int(n) for _, part, _ in collected.kept for n in part["packet_no"]]
    assert numbers == list(range(1, count + 1))
    assert_ledger(collected)


def test_bytes_that_are_no_capture(tmp_path):
    """Unknown bytes are named in the error, and the path as well."""
    path = save(tmp_path, b"\x7fELF" + bytes(100), "program")
    with pytest.raises(NotACapture, match="program.*7f 45 4c 46"):
        open_only(path)


def test_captures_are_read_in_the_order_of_their_times(tmp_path):
    """Two files given the wrong way round are read as one."""
    later = packets(ethernet(ipv4(udp(query("b.example.com")), ident=2)), start=START_NS + 10**10)
    earlier = packets(ethernet(ipv4(udp(query("a.example.com")), ident=1)))
    found = rows(save(tmp_path, pcap(later), "l"), save(tmp_path, pcap(earlier), "e"))
    assert [r["qname"] for r in found] == ["a.example.com", "b.example.com"]
