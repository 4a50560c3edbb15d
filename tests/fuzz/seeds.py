"""Packets and captures of every kind, from which damaged ones are made."""

from __future__ import annotations

import struct
from functools import cache

from tests.build import (
    AAAA,
    ASKED,
    CNAME,
    LOOP,
    NULL,
    RAW,
    SLL,
    SLL2,
    Packet,
    address_record,
    answer,
    ask,
    ethernet,
    framed,
    geneve,
    gre,
    ipv4,
    ipv6,
    ng_comments,
    ng_interface,
    ng_packet,
    ng_section,
    ng_simple,
    opt_record,
    packets,
    pcap,
    pcapng,
    pointer,
    ptcpdump,
    query,
    record,
    response,
    sll,
    sll2,
    soa_record,
    tcp,
    udp,
    vxlan,
    wire,
)

#: What tcpdump prints, in the order in which it prints it.
LINES = (
    b"12:00:00.000000 IP 10.244.1.17.40000 > 10.96.0.10.53: 4660+ [1au] A? www.example.com. (44)\n"
    b"12:00:00.010000 IP (tos 0x0, ttl 64, id 12, offset 0, flags [DF], proto UDP (17), length 9)\n"
    b"    10.96.0.10.53 > 10.244.1.17.40000: [udp sum ok] 4660 NXDomain q: A? www.example.com. "
    b"0/1/1 ns: example.com. [30s] SOA ns.example.com. h.example.com. 1 7200 1800 86400 5 "
    b"ar: . OPT UDPsize=1232 (114)\n"
    b"12:00:00.020000 IP6 fd00::17.40000 > fd00::53.53: 7+ AAAA? six.example.com. (33)\n"
    b"12:00:00.030000 IP 10.96.0.10.53 > 10.244.1.17.40000: 9* 2/0/0 CNAME b.c., A 192.0.2.1 (90)\n"
)


def frames() -> list[bytes]:
    """Return Ethernet frames of many kinds."""
    alias = record(ASKED, CNAME, b"\x05alias" + pointer(16), ttl=9)
    full = response(
        "www.example.com",
        answers=[alias, address_record()],
        authority=[soa_record()],
        additional=[opt_record(extended_rcode=1, data=bytes(8))],
    )
    asked = query("www.example.com", AAAA, additional=[opt_record()])
    headers = bytes([43, 0]) + bytes(6) + bytes([44, 0]) + bytes(6) + bytes([17, 0]) + bytes(6)
    plain = ask(asked, ident=1)
    big = udp(response("big.example.com", answers=[address_record()] * 100), 53, 40000)
    halves = framed(asked, full, asked)
    return [
        ethernet(plain),
        ethernet(answer(full, ident=2)),
        ethernet(ask(query([b"a.b\0", b"\xff" * 63]), ident=3), tags=[(0x88A8, 1), (0x8100, 2)]),
        ethernet(ipv4(udp(asked), options=b"\1" * 12, ident=4)),
        ethernet(ipv6(headers + udp(full, 53, 40000), following=0)),
        ethernet(ipv4(tcp(framed(asked, full, asked), options=b"\1" * 12), protocol=6, ident=6)),
        ethernet(vxlan(ethernet(ask(asked, ident=7)))),
        ethernet(geneve(ethernet(ask(asked, ident=8)), options=bytes(8))),
        ethernet(gre(ask(asked, ident=9), flags=0xB0, extra=bytes(12))),
        ethernet(gre(ethernet(ask(asked, ident=10)), kind=0x88BE, flags=0x10, extra=bytes(12))),
        ethernet(ipv4(ask(asked, ident=11), protocol=4)),
        ethernet(ipv4(ipv6(udp(asked)), protocol=41)),
        ethernet(ask(struct.pack(">HHHHHH", 1, 0, 1, 0, 0, 0) + pointer(12) + bytes(4), ident=12)),
        ethernet(ask(query([b"x" * 63] * 4), ident=13)),
        ethernet(answer(struct.pack(">HHHHHH", 1, 0x8180, 9, 9, 9, 9) + wire("a.b"), ident=14)),
        ethernet(ipv4(big[:800], fragment=0x2000, ident=15)),
        ethernet(ipv4(big[800:], fragment=100, ident=15)),
        ethernet(ipv6(b"\x11\0\0\1\0\0\0\7" + big[:800], following=44)),
        ethernet(ipv6(b"\x11\0" + struct.pack(">HI", 800, 7) + big[800:], following=44)),
        ethernet(ipv4(tcp(halves[:50], 40001, sequence=7), protocol=6, ident=16)),
        ethernet(ipv4(tcp(halves[90:], 40001, sequence=97), protocol=6, ident=17)),
        ethernet(ipv4(tcp(halves[40:95], 40001, sequence=47), protocol=6, ident=18)),
        ethernet(b"\0\1\0\x40\0\1\1\x40" + plain, kind=0x8847),
        ethernet(b"\x11\0\0\5" + struct.pack(">HH", len(plain) + 2, 0x21) + plain, kind=0x8864),
        ethernet(b"\xaa\xaa\3\0\0\0\x08\0" + plain, kind=len(plain) + 8),
        ethernet(b"\x0f\xc2\1\1" + bytes(4) + plain, kind=0x894F),
        ethernet(ipv4(udp(b"\x34\xff\0\x40\0\0\0\7\0\0\0\x85\1\0\0\0" + plain, 2152, 2152))),
        ethernet(ipv4(udp(b"\x0c\0\0\1" + bytes(4) + plain, 40000, 4790))),
        ethernet(ipv4(udp(b"\1\0\0\1\x0a\1\xc0\1" + ethernet(plain), 40000, 37008))),
        ethernet(
            gre(
                bytes(10) + b"\0\1" + bytes(8) + ethernet(plain),
                kind=0x22EB,
                flags=0x10,
                extra=bytes(4),
            )
        ),
        ethernet(gre(b"\0\0\0\1\xff\3\0\x21" + plain, kind=0x880B, flags=0x20, extra=bytes(4))),
    ]


def captures_of_packets() -> list[bytes]:
    """Return whole packet captures of every format."""
    plain = packets(*frames())
    inner = [ask(query()), answer(response(answers=[address_record()])), ipv6(udp(query()))]
    sections = [
        ng_section(),
        ng_interface(resolution=9),
        ng_interface(linktype=RAW, resolution=0x8A),
        ng_packet(plain[0], interface=0),
        ng_packet(Packet(inner[1]), interface=1),
        ng_simple(plain[1]),
        ng_section(big=True),
        ng_interface(big=True, offset=5),
        ng_packet(plain[2], big=True),
        ng_packet(plain[3], big=True, obsolete=True),
    ]
    comments = ng_comments(*ptcpdump("web", pod="web-0"), direction=2)
    commented = [
        ng_section(),
        ng_interface(),
        ng_packet(plain[0], options=comments),
        ng_packet(plain[1]),
    ]
    cut = [Packet(p.data[: len(p.data) * 3 // 4], p.time, len(p.data)) for p in plain]
    return [
        pcap(plain),
        pcap(plain[:8], big=True, magic=0xA1B23C4D),
        pcap(plain[:8], magic=0xA1B2CD34),
        pcap(cut),
        pcapng(plain),
        b"".join(sections),
        b"".join(commented),
        pcap(packets(*inner), linktype=RAW),
        pcap(packets(*(sll(p) for p in inner)), linktype=SLL),
        pcap(packets(*(sll2(p) for p in inner)), linktype=SLL2),
        pcap(packets(*(struct.pack("<I", 2) + p for p in inner)), linktype=NULL),
        pcap(packets(*(struct.pack(">I", 2) + p for p in inner)), linktype=LOOP),
        pcap(
            packets(
                *(
                    b"\2\0\0\0\5\0\x0a\0\0\0\0\0" + struct.pack("<HH", 4 + len(p), 9) + p
                    for p in inner
                )
            ),
            linktype=239,
        ),
        pcap(
            packets(*(struct.pack("<III", 108, 1, 101) + bytes(96) + p for p in inner)),
            linktype=258,
        ),
        pcap(packets(*(b"\x21" + p for p in inner)), linktype=9),
        pcap(packets(*(b"\1\2\xd4\0\0\0" + p for p in inner)), linktype=7),
    ]


def small_captures() -> list[bytes]:
    """Return packet captures of every format that hold two packets or so."""
    plain = packets(ethernet(ask(query())), ethernet(answer(response(answers=[address_record()]))))
    cut = [Packet(p.data[: len(p.data) * 3 // 4], p.time, len(p.data)) for p in plain]
    comments = ng_comments(*ptcpdump("web", pod="web-0"), direction=2)
    small = [
        pcap([]),
        pcap(plain),
        pcap(plain[:1], magic=0xA1B23C4D),
        pcap(plain[:1], big=True),
        pcap(plain, magic=0xA1B2CD34),
        pcap(plain[1:], big=True, magic=0xA1B23C4D),
        pcap(cut),
        pcapng(plain),
        pcapng(plain[:1], big=True),
        ng_section() + ng_interface() + ng_packet(plain[0], options=comments),
        ng_section() + ng_interface(resolution=9) + ng_simple(plain[0]) + ng_packet(plain[1]),
        ng_section(big=True)
        + ng_interface(big=True, offset=5, resolution=0x8A)
        + ng_packet(plain[1], big=True, obsolete=True),
    ]
    return [*small, *(c for c in captures_of_packets() if len(c) < 500)]


@cache
def _wrapped() -> list[tuple[int, bytes]]:
    from tests.ingest.packet.test_link import V4, V6
    from tests.ingest.packet.test_scapy_layers import INNER, WRAPPED, netlink

    return [*V4.values(), *V6.values(), *WRAPPED.values(), (253, netlink(INNER, INNER))]


@cache
def link_types() -> tuple[int, ...]:
    """Return every link type that is read, and one that is not."""
    known = {RAW, NULL, LOOP, SLL, SLL2, 12, 14, 166, 195, 230, 274, 147}
    return tuple(sorted(known | {linktype for linktype, _ in _wrapped()}))


def packets_of(linktype: int) -> list[bytes]:
    """Return packets of a link type: queries below all that it is known to carry."""
    inner = ask(query())
    more = {RAW: [inner], 12: [inner], 14: [inner]}
    more |= {NULL: [struct.pack("<I", 2) + inner], LOOP: [struct.pack(">I", 2) + inner]}
    more |= {SLL: [sll(inner)], SLL2: [sll2(inner)]}
    found = [packet for kind, packet in _wrapped() if kind == linktype]
    return [*found, *more.get(linktype, [])] or [ethernet(inner)]
