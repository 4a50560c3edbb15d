"""Tunnels, link layers of every kind, and what lies between them and IP: one message inside each.

Every wrapping is written down byte by byte after its specification, and read back as what a plain
Ethernet frame gives.
"""

from __future__ import annotations

import struct

import pytest

from tests.build import (
    ETHERNET,
    START_NS,
    Packet,
    ask,
    assert_ledger,
    ethernet,
    geneve,
    gre,
    ipv4,
    ipv6,
    load,
    packets,
    pcap,
    query,
    rows,
    save,
    tcp,
    udp,
    vxlan,
    without,
)

DNS = query("web.default.svc.cluster.local", ident=77)
INNER = ask(DNS)
INNER6 = ipv6(udp(DNS))
FRAME = ethernet(INNER)
OUTER = ("172.18.0.2", "172.18.0.3")


def over_udp(payload: bytes, port: int, *, from_port: int = 55555) -> bytes:
    """Return an Ethernet frame with a datagram between two nodes."""
    return ethernet(ipv4(udp(payload, from_port, port), *OUTER, ident=999))


def over_ip(payload: bytes, protocol: int) -> bytes:
    """Return an Ethernet frame with an IP packet between two nodes."""
    return ethernet(ipv4(payload, *OUTER, protocol=protocol, ident=999))


def labels(*numbers: int) -> bytes:
    """Return an MPLS label stack."""
    last = len(numbers) - 1
    return b"".join(
        struct.pack(">I", number << 12 | (i == last) << 8 | 64) for i, number in enumerate(numbers)
    )


def gtp(packet: bytes, *, flags: int = 0x30, more: bytes = b"") -> bytes:
    """Return a GTP-U G-PDU (3GPP TS 29.281 section 5.1)."""
    return struct.pack(">BBHI", flags, 255, len(more + packet), 7) + more + packet


def attribute(kind: int, value: bytes, order: str = "<") -> bytes:
    """Return one netlink attribute, padded."""
    return struct.pack(order + "HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def nflog(packet: bytes, order: str = "<") -> bytes:
    """Return an NFLOG packet: family, version, group, attributes."""
    head = bytes([2, 0]) + struct.pack(">H", 5)
    return (
        head
        + attribute(1, bytes(4), order)
        + attribute(10, b"prefix\0", order)
        + attribute(9, packet, order)
    )


def pktap(packet: bytes, inner: int) -> bytes:
    """Return a PKTAP packet: a header of 108 bytes that names the link type inside."""
    return struct.pack("<III", 108, 1, inner) + bytes(96) + packet


def snap(packet: bytes) -> bytes:
    """Return LLC and SNAP with an IPv4 packet."""
    return bytes.fromhex("aaaa030000000800") + packet


ERSPAN3 = bytes(10) + b"\0\0"
ERSPAN3_LONG = bytes(10) + b"\0\1" + bytes(8)
PPTP = struct.pack(">HHHHII", 0x3081, 0x880B, len(INNER) + 2, 5, 1, 1)

WRAPPED = {
    "MPLS": (ETHERNET, ethernet(labels(16, 17, 18) + INNER, kind=0x8847)),
    "MPLS, one label": (ETHERNET, ethernet(labels(16) + INNER, kind=0x8848)),
    "MPLS pseudowire": (ETHERNET, ethernet(labels(16) + bytes(4) + FRAME, kind=0x8847)),
    "PPPoE": (
        ETHERNET,
        ethernet(struct.pack(">BBHHH", 0x11, 0, 5, len(INNER) + 2, 0x21) + INNER, kind=0x8864),
    ),
    "PPPoE in QinQ": (
        ETHERNET,
        ethernet(
            struct.pack(">BBHHH", 0x11, 0, 5, len(INNER) + 2, 0x21) + INNER,
            kind=0x8864,
            tags=[(0x8100, 5), (0x8100, 6)],
        ),
    ),
    "802.3 with SNAP": (ETHERNET, ethernet(snap(INNER), kind=len(INNER) + 8)),
    "802.3 with the IP service access point": (
        ETHERNET,
        ethernet(b"\x06\x06\x03" + INNER, kind=len(INNER) + 3),
    ),
    "backbone bridging": (ETHERNET, ethernet(bytes(4) + FRAME, kind=0x88E7)),
    "VN-Tag": (ETHERNET, ethernet(bytes(4) + b"\x08\0" + INNER, kind=0x8926)),
    "Cisco metadata": (ETHERNET, ethernet(b"\1\1\0\1\0\x10\x08\0" + INNER, kind=0x8909)),
    "NSH of IPv4": (ETHERNET, ethernet(b"\x0f\xc2\1\1" + bytes(4) + INNER, kind=0x894F)),
    "NSH of Ethernet": (ETHERNET, ethernet(b"\x0f\xc6\1\3" + bytes(20) + FRAME, kind=0x894F)),
    "PPP": (9, b"\xff\x03\0\x21" + INNER),
    "PPP, compressed": (9, b"\x21" + INNER),
    "PPP, serial": (50, b"\xff\x03\0\x21" + INNER),
    "PPP with direction": (204, b"\1\xff\x03\0\x21" + INNER),
    "PPP of MPLS": (9, b"\xff\x03\x02\x81" + labels(16) + INNER),
    "PPPoE alone": (51, b"\x11\0\0\5" + struct.pack(">HH", len(INNER) + 2, 0x21) + INNER),
    "Cisco HDLC": (104, b"\x0f\0\x08\0" + INNER),
    "FDDI": (10, bytes(13) + snap(INNER)),
    "token ring": (6, bytes(14) + snap(INNER)),
    "token ring with a route": (
        6,
        bytes(8) + b"\x80" + bytes(5) + b"\6\0" + bytes(4) + snap(INNER),
    ),
    "ARCNET": (7, b"\1\2\xd4\0\0\0" + INNER),
    "ARCNET of Linux": (129, b"\1\2\0\0\xd4\0\0\0" + INNER),
    "ARCNET, old": (7, b"\1\2\xf0" + INNER),
    "IEEE 1394": (138, bytes(16) + b"\x08\0" + INNER),
    "packet filter log": (117, b"\x3d\2" + bytes(62) + INNER),
    "encapsulating interface": (109, bytes(12) + INNER),
    "NFLOG": (239, nflog(INNER)),
    "NFLOG, big endian": (239, nflog(INNER, ">")),
    "PKTAP of Ethernet": (258, pktap(FRAME, 1)),
    "PKTAP of raw IP": (258, pktap(INNER, 101)),
    "PKTAP as USER2": (149, pktap(FRAME, 1)),
    "PPI of Ethernet": (192, b"\0\0\x0c\0\1\0\0\0" + bytes(4) + FRAME),
    "network analyser": (240, bytes(4) + FRAME),
    "network analyser with preamble": (241, bytes(12) + FRAME),
    "VXLAN, answered": (ETHERNET, over_udp(b"\x08" + bytes(7) + FRAME, 33333, from_port=4789)),
    "VXLAN-GPE of IPv4": (ETHERNET, over_udp(b"\x0c\0\0\1" + bytes(4) + INNER, 4790)),
    "VXLAN-GPE of Ethernet": (ETHERNET, over_udp(b"\x0c\0\0\3" + bytes(4) + FRAME, 4790)),
    "VXLAN over IPv6": (ETHERNET, ethernet(ipv6(udp(b"\x08" + bytes(7) + FRAME, 5555, 4789)))),
    "Geneve of MPLS": (ETHERNET, ethernet(geneve(labels(16) + INNER, kind=0x8847))),
    "NVGRE": (ETHERNET, ethernet(gre(FRAME, kind=0x6558, flags=0x20, extra=b"\0\0\x2a\0"))),
    "GRE of PPP": (ETHERNET, over_ip(PPTP + b"\0\x21" + INNER, 47)),
    "GRE of PPP, acknowledged": (
        ETHERNET,
        over_ip(
            struct.pack(">HHHHII", 0x3081, 0x880B, len(INNER) + 4, 5, 1, 1)
            + b"\xff\x03\0\x21"
            + INNER,
            47,
        ),
    ),
    "GRE of MPLS": (ETHERNET, ethernet(gre(labels(16, 17) + INNER, kind=0x8847))),
    "GRE of a tagged frame": (
        ETHERNET,
        ethernet(gre(ethernet(INNER, tags=[(0x8100, 5)]), kind=0x6558)),
    ),
    "ERSPAN, type III": (
        ETHERNET,
        ethernet(gre(ERSPAN3 + FRAME, kind=0x22EB, flags=0x10, extra=bytes(4))),
    ),
    "ERSPAN, type III, long": (
        ETHERNET,
        ethernet(gre(ERSPAN3_LONG + FRAME, kind=0x22EB, flags=0x10, extra=bytes(4))),
    ),
    "EtherIP": (ETHERNET, over_ip(b"\x30\0" + FRAME, 97)),
    "MPLS in IP": (ETHERNET, over_ip(labels(16) + INNER, 137)),
    "GTP-U": (ETHERNET, over_udp(gtp(INNER), 2152)),
    "GTP-U with a sequence number": (
        ETHERNET,
        over_udp(gtp(INNER, flags=0x32, more=b"\0\1\0\0"), 2152),
    ),
    "GTP-U with extension headers": (
        ETHERNET,
        over_udp(
            gtp(INNER, flags=0x34, more=b"\0\0\0\x85" + b"\1\0\0\x40" + b"\2" + bytes(7)), 2152
        ),
    ),
    "GRE in UDP": (ETHERNET, over_udp(b"\0\0\x08\0" + INNER, 4754)),
    "MPLS in UDP": (ETHERNET, over_udp(labels(16) + INNER, 6635)),
    "IP in UDP": (ETHERNET, over_udp(INNER, 19523)),
    "TZSP": (ETHERNET, over_udp(b"\1\0\0\1" + b"\x0a\1\xc0" + b"\0\1" + FRAME, 37008)),
    "VXLAN in GTP-U in GRE": (
        ETHERNET,
        ethernet(
            gre(ipv4(udp(gtp(vxlan(FRAME)), 2152, 2152), "172.18.0.7", "172.18.0.8", ident=998))
        ),
    ),
}

WRAPPED6 = {
    "PPPoE": (
        ETHERNET,
        ethernet(struct.pack(">BBHHH", 0x11, 0, 5, len(INNER6) + 2, 0x57) + INNER6, kind=0x8864),
    ),
    "MPLS": (ETHERNET, ethernet(labels(2) + INNER6, kind=0x8847)),
    "GTP-U": (ETHERNET, over_udp(gtp(INNER6), 2152)),
    "VXLAN-GPE": (ETHERNET, over_udp(b"\x0c\0\0\2" + bytes(4) + INNER6, 4790)),
    "Teredo": (ETHERNET, over_udp(INNER6, 3544)),
    "segment routing": (ETHERNET, ethernet(ipv6(ethernet(INNER6), following=143))),
    "NSH": (ETHERNET, ethernet(b"\x0f\xc2\1\2" + bytes(4) + INNER6, kind=0x894F)),
    "ARCNET": (7, b"\1\2\xc4\0\0\0" + INNER6),
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_ipv4_message(tmp_path, kind):
    """A message over IPv4 is the same in every wrapping."""
    linktype, packet = WRAPPED[kind]
    (plain,) = rows(save(tmp_path, pcap(packets(FRAME)), "plain"))
    (row,) = rows(save(tmp_path, pcap(packets(packet), linktype=linktype)))
    assert row == plain


@pytest.mark.parametrize("kind", WRAPPED6)
def test_ipv6_message(tmp_path, kind):
    """A message over IPv6 is the same in every wrapping."""
    linktype, packet = WRAPPED6[kind]
    (plain,) = rows(save(tmp_path, pcap(packets(ethernet(INNER6))), "plain"))
    (row,) = rows(save(tmp_path, pcap(packets(packet), linktype=linktype)))
    assert row == plain


def test_every_cut_of_every_wrapping(tmp_path):
    """However short the snapshot, every packet is a message or is skipped for a reason."""
    for kind, (linktype, frame) in [*WRAPPED.items(), *WRAPPED6.items()]:
        cuts = [
            Packet(frame[:size], START_NS + size * 2_000_000_000, len(frame))
            for size in range(len(frame))
        ]
        collected = load(save(tmp_path, pcap(cuts, linktype=linktype)))
        assert_ledger(collected)
        # IP in UDP is recognised by the length of the whole
        assert collected.with_messages > 0 or kind == "IP in UDP"


def test_inside_and_outside_count_once(tmp_path):
    """The same packet on the pod's side and in the node's tunnel is one query."""
    tunnelled = over_udp(b"\x08" + bytes(7) + FRAME, 4789)
    (first, second) = rows(save(tmp_path, pcap(packets(FRAME, tunnelled, step=40_000))))
    assert (first["duplicate_of"], second["duplicate_of"]) == (None, 1)
    collected = load(save(tmp_path, pcap(packets(FRAME, tunnelled, step=40_000))))
    assert (collected.with_messages, collected.duplicates) == (1, 1)


NO_TUNNEL = {
    "VXLAN without a network": over_udp(bytes(8) + FRAME, 4789),
    "GTP-U echo": over_udp(struct.pack(">BBHI", 0x32, 1, 4, 0) + bytes(4), 2152),
    "version 4 and a wrong checksum": over_udp(INNER[:10] + b"\0\0" + INNER[12:], 19523),
    "version 4 and a wrong length": over_udp(INNER + b"\0", 19523),
    "GRE of an unknown version": over_ip(b"\0\7\x08\0" + INNER, 47),
    "GRE with a source route": over_ip(b"\x40\0\x08\0" + bytes(4) + INNER, 47),
}


@pytest.mark.parametrize("kind", NO_TUNNEL)
def test_what_is_no_tunnel(tmp_path, kind):
    """Traffic that only looks like a tunnel stays what it is."""
    collected = load(save(tmp_path, pcap(packets(NO_TUNNEL[kind]))))
    assert dict(collected.skipped) == {"not_dns": 1}


def test_tunnel_that_ends_in_something_else(tmp_path):
    """TCP of another port inside a tunnel is counted as what it is inside."""
    inside = ethernet(ipv4(tcp(b"GET / HTTP/1.1\r\n", 40000, 80), protocol=6))
    collected = load(save(tmp_path, pcap(packets(ethernet(vxlan(inside))))))
    assert dict(collected.skipped) == {"not_dns": 1}


def test_dns_port_is_no_tunnel(tmp_path):
    """A datagram on a DNS port is DNS, whatever its first bytes and its other port are."""
    dns = query("example.com", ident=0x0800)
    (row,) = rows(save(tmp_path, pcap(packets(ethernet(ipv4(udp(dns, 4789, 53)))))))
    (plain,) = rows(save(tmp_path, pcap(packets(ethernet(ask(dns)))), "plain"))
    assert without([row], "client_port") == without([plain], "client_port")
