"""Link layers that Scapy dissects, and netlink: the same messages as on Ethernet, none lost."""

from __future__ import annotations

import struct

import pytest

from tests.build import (
    AAAA,
    Packet,
    answer,
    ask,
    assert_ledger,
    ethernet,
    load,
    packets,
    pcap,
    query,
    response,
    rows,
    save,
)

DNS = query("web.default.svc.cluster.local", ident=77)
INNER = ask(DNS)
SNAP = bytes.fromhex("aaaa030000000800")
DATA = bytes.fromhex("0801000002000000000102000000000202000000000310 00".replace(" ", ""))
WLAN = DATA + SNAP + INNER
RADIOTAP = struct.pack("<BBHI", 0, 0, 8, 0)
AVS = struct.pack(">II", 0x80211001, 64) + bytes(56)

WRAPPED = {
    "802.11": (105, WLAN),
    "802.11 with quality of service": (105, b"\x88" + DATA[1:] + bytes(2) + SNAP + INNER),
    "radiotap": (127, RADIOTAP + WLAN),
    "PPI": (192, struct.pack("<BBHI", 0, 0, 8, 105) + WLAN),
    "Prism": (119, struct.pack("<II16s", 0x44, 144, b"wlan0") + bytes(120) + WLAN),
    "AVS": (163, AVS + WLAN),
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_message(tmp_path, kind):
    """One query, through the air."""
    linktype, packet = WRAPPED[kind]
    (plain,) = rows(save(tmp_path, pcap(packets(ethernet(INNER))), "plain"))
    (row,) = rows(save(tmp_path, pcap(packets(packet), linktype=linktype)))
    assert row == plain


def test_what_is_no_ip(tmp_path):
    """Beacons are no IP; bytes that make no sense are malformed or no IP; all are counted."""
    beacon = b"\x80\0" + bytes(22) + bytes(12)
    content = packets(WLAN, beacon, b"", b"\x08", WLAN[:30], bytes(3), b"\xff" * 60)
    collected = load(save(tmp_path, pcap(content, linktype=105)))
    assert collected.with_messages == 1
    assert set(collected.skipped) <= {"not_ip", "malformed", "truncated_by_snaplen"}
    assert_ledger(collected)


def test_rows_stay_in_order(tmp_path):
    """Packets of the slow path take their place among those of the compiled one."""
    names = [f"n{i}.example.com" for i in range(8)]
    content = packets(
        *[DATA + SNAP + ask(query(n, ident=i), ident=i + 1) for i, n in enumerate(names)]
    )
    found = rows(save(tmp_path, pcap(content, linktype=105)))
    assert [r["qname"] for r in found] == names
    assert [r["packet_no"] for r in found] == list(range(1, 9))


def netlink(*found: bytes, order: str = "<") -> bytes:
    """Return a netlink message of the kernel's packet log, as nlmon captures it."""
    out = struct.pack(">HHH8sH", 0, 824, 0, bytes(8), 12)
    for packet in found:
        value = struct.pack(order + "HH", 4 + len(packet), 9) + packet + bytes(-len(packet) % 4)
        body = bytes([2, 0, 0, 5]) + struct.pack(order + "HHI", 8, 5, 0) + value
        out += struct.pack(order + "IHHII", 16 + len(body), 0x0400, 0, 0, 0) + body
    return out


@pytest.mark.parametrize("order", ["<", ">"])
def test_netlink(tmp_path, order):
    """One netlink message may carry several packets, each with its message."""
    two = [
        ask(query("a.example.com", ident=1), ident=1),
        ask(query("b.example.com", AAAA, ident=2), ident=2),
        answer(response("a.example.com", ident=1), ident=3),
    ]
    other = struct.pack(">HHH8sH", 0, 824, 0, bytes(8), 0) + bytes(40)
    path = save(tmp_path, pcap(packets(netlink(*two, order=order), other), linktype=253))
    found = [(r["packet_no"], r["message_no"], r["qname"]) for r in rows(path)]
    assert found == [(1, 1, "a.example.com"), (1, 2, "b.example.com"), (1, 3, "a.example.com")]
    collected = load(path)
    assert (collected.with_messages, dict(collected.skipped)) == (1, {"not_ip": 1})
    assert_ledger(collected)


def test_every_cut(tmp_path):
    """However short the snapshot, every packet is accounted for."""
    log = netlink(INNER, INNER)
    for linktype, frame in [*WRAPPED.values(), (253, log)]:
        cuts = [Packet(frame[:size], 10**18 + size, len(frame)) for size in range(len(frame))]
        collected = load(save(tmp_path, pcap(cuts, linktype=linktype)))
        assert collected.with_messages > 0
        assert_ledger(collected)
