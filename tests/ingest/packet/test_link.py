"""Link layers, IP headers, tunnels and transports: the same message comes out of all of them."""

from __future__ import annotations

import struct

import pytest

from tests.build import (
    CLIENT,
    CLIENT6,
    ETHERNET,
    LOOP,
    NULL,
    RAW,
    SERVER,
    SERVER6,
    SLL,
    SLL2,
    START_NS,
    Packet,
    ask,
    assert_ledger,
    ethernet,
    framed,
    geneve,
    gre,
    ipv4,
    ipv6,
    load,
    packets,
    pcap,
    query,
    response,
    rows,
    save,
    sll,
    sll2,
    tcp,
    udp,
    vxlan,
    without,
)

DNS = query("web.default.svc.cluster.local", ident=77)
INNER = ask(DNS)
INNER6 = ipv6(udp(DNS, 40000))
FRAME = ethernet(INNER)


def extended(*headers: tuple[int, bytes]) -> bytes:
    """Return an IPv6 packet with extension headers: (number, what follows the next header byte)."""
    numbers = [kind for kind, _ in headers] + [17]
    chain = b"".join(
        bytes([after]) + body for after, (_, body) in zip(numbers[1:], headers, strict=True)
    )
    return ipv6(chain + udp(DNS, 40000), following=numbers[0])


OPTIONS = b"\0" + bytes([1, 4, 0, 0, 0, 0])
LONG_OPTIONS = b"\1" + bytes([1, 12, *bytes(12)])
ROUTING = b"\0" + bytes([0, 0, 0, 0, 0, 0])
AUTHENTICATION = b"\4" + bytes(22)
WHOLE_FRAGMENT = b"\0" + bytes([0, 0, 0, 0, 0, 9])

V4 = {
    "ethernet": (ETHERNET, FRAME),
    "padded ethernet": (ETHERNET, FRAME + bytes(20)),
    "802.1Q": (ETHERNET, ethernet(INNER, tags=[(0x8100, 5)])),
    "QinQ": (ETHERNET, ethernet(INNER, tags=[(0x88A8, 5), (0x8100, 6)])),
    "old QinQ": (ETHERNET, ethernet(INNER, tags=[(0x9100, 5), (0x8100, 6)])),
    "SLL": (SLL, sll(INNER)),
    "SLL2": (SLL2, sll2(INNER, interface=0)),
    "RAW": (RAW, INNER),
    "RAW of BSD": (12, INNER),
    "RAW of OpenBSD": (14, INNER),
    "IPV4": (228, INNER),
    "NULL, little endian": (NULL, struct.pack("<I", 2) + INNER),
    "NULL, big endian": (NULL, struct.pack(">I", 2) + INNER),
    "LOOP": (LOOP, struct.pack(">I", 2) + INNER),
    "IPv4 options": (ETHERNET, ethernet(ipv4(udp(DNS), options=b"\x94\x04\0\0" + b"\1" * 8))),
    "all IPv4 options": (ETHERNET, ethernet(ipv4(udp(DNS), options=b"\1" * 40))),
    "IPv4 length left to offload": (ETHERNET, ethernet(ipv4(udp(DNS), total=0))),
    "UDP length left to offload": (ETHERNET, ethernet(ipv4(udp(DNS, length=0)))),
    "VXLAN": (ETHERNET, ethernet(vxlan(FRAME))),
    "VXLAN of Flannel": (ETHERNET, ethernet(vxlan(FRAME, port=8472))),
    "VXLAN of a tagged frame": (ETHERNET, ethernet(vxlan(ethernet(INNER, tags=[(0x8100, 5)])))),
    "Geneve": (ETHERNET, ethernet(geneve(FRAME))),
    "Geneve with options": (ETHERNET, ethernet(geneve(FRAME, options=bytes(12)))),
    "Geneve of IP": (ETHERNET, ethernet(geneve(INNER, kind=0x0800))),
    "GRE": (ETHERNET, ethernet(gre(INNER))),
    "GRE with key": (ETHERNET, ethernet(gre(INNER, flags=0x20, extra=bytes(4)))),
    "GRE with all words": (ETHERNET, ethernet(gre(INNER, flags=0xB0, extra=bytes(12)))),
    "GRE of Ethernet": (ETHERNET, ethernet(gre(FRAME, kind=0x6558))),
    "ERSPAN, type I": (ETHERNET, ethernet(gre(FRAME, kind=0x88BE))),
    "ERSPAN, type II": (
        ETHERNET,
        ethernet(gre(FRAME, kind=0x88BE, flags=0x10, extra=bytes(4) + bytes(8))),
    ),
    "IPIP": (ETHERNET, ethernet(ipv4(INNER, "172.18.0.2", "172.18.0.3", protocol=4))),
    "IPv4 in IPv6": (ETHERNET, ethernet(ipv6(INNER, following=4))),
    "VXLAN in SLL": (SLL, sll(vxlan(FRAME))),
    "VXLAN in IPIP": (RAW, ipv4(vxlan(FRAME), "172.18.0.4", "172.18.0.5", protocol=4)),
}

V6 = {
    "ethernet": (ETHERNET, ethernet(INNER6)),
    "802.1Q": (ETHERNET, ethernet(INNER6, tags=[(0x8100, 5)])),
    "SLL": (SLL, sll(INNER6)),
    "SLL2": (SLL2, sll2(INNER6, interface=0)),
    "RAW": (RAW, INNER6),
    "IPV6": (229, INNER6),
    "NULL of macOS": (NULL, struct.pack("<I", 30) + INNER6),
    "LOOP": (LOOP, struct.pack(">I", 24) + INNER6),
    "hop-by-hop options": (RAW, extended((0, OPTIONS))),
    "long destination options": (RAW, extended((60, LONG_OPTIONS))),
    "routing": (RAW, extended((43, ROUTING))),
    "authentication": (RAW, extended((51, AUTHENTICATION))),
    "a fragment that is whole": (RAW, extended((44, WHOLE_FRAGMENT))),
    "many headers": (
        RAW,
        extended(
            (0, OPTIONS),
            (43, ROUTING),
            (60, LONG_OPTIONS),
            (44, WHOLE_FRAGMENT),
            (51, AUTHENTICATION),
        ),
    ),
    "6in4": (ETHERNET, ethernet(ipv4(INNER6, "172.18.0.2", "172.18.0.3", protocol=41))),
    "GRE": (ETHERNET, ethernet(gre(INNER6, kind=0x86DD))),
    "VXLAN": (ETHERNET, ethernet(vxlan(ethernet(INNER6)))),
}


@pytest.mark.parametrize("kind", V4)
def test_ipv4_message(tmp_path, kind):
    """One query, however it is wrapped."""
    linktype, frame = V4[kind]
    path = save(tmp_path, pcap(packets(frame), linktype=linktype))
    (row,) = rows(path)
    assert [row] == rows(save(tmp_path, pcap(packets(FRAME)), "plain"))
    assert row["qname"] == "web.default.svc.cluster.local"
    assert (row["client_addr"], row["client_port"]) == (CLIENT, 40000)
    assert (row["server_addr"], row["server_port"]) == (SERVER, 53)
    assert (row["message_id"], row["message_bytes"]) == (77, len(DNS))
    collected = load(path)
    assert collected.warnings == []
    assert_ledger(collected)


@pytest.mark.parametrize("kind", V6)
def test_ipv6_message(tmp_path, kind):
    """One query over IPv6, however it is wrapped."""
    linktype, frame = V6[kind]
    path = save(tmp_path, pcap(packets(frame), linktype=linktype))
    (row,) = rows(path)
    assert [row] == rows(save(tmp_path, pcap(packets(ethernet(INNER6))), "plain"))
    assert (row["client_addr"], row["server_addr"]) == (CLIENT6, SERVER6)
    assert row["qname"] == "web.default.svc.cluster.local"
    assert_ledger(load(path))


def test_every_cut_of_every_wrapping(tmp_path):
    """However short the snapshot, a packet is a message or is skipped, and the reason is right."""
    for kind, (linktype, frame) in [*V4.items(), *V6.items()]:
        if "offload" in kind:  # their headers do not say how long they were
            continue
        cuts = [
            Packet(frame[:size], START_NS + size * 2_000_000_000, len(frame))
            for size in range(len(frame))
        ]
        collected = load(save(tmp_path, pcap(cuts, linktype=linktype)))
        assert_ledger(collected)
        assert set(collected.skipped) <= {"truncated_by_snaplen", "not_ip", "not_dns"}, kind
        assert collected.with_messages > 0


TCP_DNS = response("example.com", ident=9)


@pytest.mark.parametrize("options", [b"", b"\1" * 12, b"\1" * 40], ids=["bare", "usual", "most"])
def test_tcp_message(tmp_path, options):
    """A segment with one whole message gives what UDP gives, but for the transport."""
    segment = ipv4(tcp(framed(DNS), options=options), protocol=6)
    (row,) = rows(save(tmp_path, pcap(packets(ethernet(segment)))))
    (plain,) = rows(save(tmp_path, pcap(packets(FRAME)), "plain"))
    assert row["transport"] == "tcp"
    assert without([row], "transport") == without([plain], "transport")


def test_two_messages_in_one_segment(tmp_path):
    """Messages behind one another in a segment are numbered within their packet."""
    more = query("second.example.com", 28, ident=78)
    segment = ipv4(tcp(framed(DNS, more)), protocol=6)
    path = save(tmp_path, pcap(packets(ethernet(segment))))
    first, second = rows(path)
    assert (first["packet_no"], first["message_no"], first["message_id"]) == (1, 1, 77)
    assert (second["packet_no"], second["message_no"], second["message_id"]) == (1, 2, 78)
    assert (second["qname"], second["qtype"]) == ("second.example.com", "AAAA")
    collected = load(path)
    assert (collected.packets, collected.with_messages) == (1, 1)
    assert collected.message_counts.tcp == 2
    assert_ledger(collected)


def test_tcp_without_messages(tmp_path):
    """Handshakes and the middle of a long message are skipped under their own reasons."""
    middle = b"middle of some longer message, not a beginning"
    frames = [
        ipv4(tcp(b"", flags=2, sequence=700), protocol=6, ident=1),
        ipv4(tcp(b"", flags=0x10), protocol=6, ident=2),
        ipv4(tcp(middle), protocol=6, ident=3),
        ipv4(tcp(b"\0", sequence=1000 + len(middle)), protocol=6, ident=4),
    ]
    collected = load(save(tmp_path, pcap(packets(*map(ethernet, frames)))))
    assert dict(collected.skipped) == {"tcp_without_message": 2, "tcp_continuation": 2}
    assert_ledger(collected)


def test_ethernet_padding_of_an_empty_segment(tmp_path):
    """The padding of a short frame is no TCP payload."""
    frame = ethernet(ipv4(tcp(b"", flags=0x10), protocol=6)) + bytes(6)
    collected = load(save(tmp_path, pcap(packets(frame))))
    assert dict(collected.skipped) == {"tcp_without_message": 1}


def test_interface_indexes_that_no_kernel_gives(tmp_path):
    """SLL2 has 32 bits for them, the kernel 31: no number comes out negative."""
    frames = [sll2(INNER, interface=n) for n in (7, 2**31 - 1, 2**31, 2**32 - 1)]
    frames.append(sll2(vxlan(FRAME), interface=2**32 - 1))
    found = rows(save(tmp_path, pcap(packets(*frames), linktype=SLL2)))
    assert [r["interface"] for r in found] == [7] + [2**31 - 1] * 4


def other(port: int) -> bytes:
    """Return a datagram to a port that is not DNS."""
    return ethernet(ipv4(udp(DNS, 40000, port)))


SKIPPED = {
    "arp": ("not_ip", ethernet(bytes(28), kind=0x0806)),
    "802.3": ("not_ip", ethernet(bytes(46), kind=46)),
    "web": ("not_dns", other(443)),
    "gre of arp": ("not_ip", ethernet(gre(bytes(60), kind=0x0806))),
    "gre of ppp of something else": ("not_ip", ethernet(gre(bytes(60), kind=0x880B))),
    "sctp": ("not_dns", ethernet(ipv4(bytes(60), protocol=132))),
    "mdns": ("multicast_dns", ethernet(ipv4(udp(DNS, 5353, 5353), target="224.0.0.251"))),
    "a nameserver's own port 5353": ("not_dns", other(5353)),
    "llmnr": ("llmnr", other(5355)),
    "dns over tls": ("encrypted_dns", ethernet(ipv4(tcp(b"x" * 40, 40000, 853), protocol=6))),
    "icmp": ("icmp", ethernet(ipv4(b"\x08\0" + bytes(6) + INNER, protocol=1))),
    "icmp of another port": (
        "icmp",
        ethernet(ipv4(b"\x03\x03" + bytes(6) + ipv4(udp(DNS, 40000, 514)), protocol=1)),
    ),
    "icmp cut before the ports": (
        "icmp",
        ethernet(ipv4(b"\x03\x03" + bytes(6) + INNER[:22], protocol=1)),
    ),
    "unreachable": (
        "query_unreachable",
        ethernet(ipv4(b"\x03\x03" + bytes(6) + INNER, protocol=1)),
    ),
    "unreachable over ipv6": (
        "answer_unreachable",
        ethernet(ipv6(b"\x01\x04" + bytes(6) + ipv6(udp(DNS, 53, 40000)), following=58)),
    ),
    "icmpv6": ("icmp", ethernet(ipv6(bytes(24), following=58))),
    "later fragment": ("fragment", ethernet(ipv4(DNS, fragment=0x00B9))),
    "later ipv6 fragment": (
        "fragment",
        ethernet(ipv6(b"\x11\0\x05\xa8" + bytes(4) + DNS, following=44)),
    ),
    "short dns": ("malformed", ethernet(ipv4(udp(b"\0" * 11)))),
    "empty dns": ("malformed", ethernet(ipv4(udp(b"")))),
    "short udp": ("malformed", ethernet(ipv4(b"\x9c\x40\0\x35"))),
    "ip header of four bytes": ("malformed", ethernet(b"\x41" + INNER[1:])),
    "ip version 5": ("malformed", ethernet(b"\x55" + INNER[1:], kind=0x0800)),
    "tcp header of four bytes": (
        "malformed",
        ethernet(ipv4(tcp(framed(DNS))[:12] + b"\x10" + bytes(40), protocol=6)),
    ),
}


@pytest.mark.parametrize("kind", SKIPPED)
def test_skipped_under_its_reason(tmp_path, kind):
    """What holds no message is counted under the reason, beside a packet that does."""
    reason, frame = SKIPPED[kind]
    collected = load(save(tmp_path, pcap(packets(FRAME, frame))))
    assert dict(collected.skipped) == {reason: 1}
    assert (collected.packets, collected.with_messages) == (2, 1)
    assert_ledger(collected)


@pytest.mark.parametrize(
    ("linktype", "name"), [(147, "USER0"), (220, "USB_LINUX"), (251, "BLUETOOTH"), (4242, "4242")]
)
def test_unknown_link_type(tmp_path, linktype, name):
    """Packets of a link type that is not known are all skipped, and the warning names it."""
    path = save(tmp_path, pcap(packets(FRAME, FRAME), linktype=linktype))
    collected = load(path)
    assert dict(collected.skipped) == {"unknown_link_type": 2}
    (warning,) = collected.warnings
    assert str(linktype) in warning
    assert name in warning
    assert "2 packets" in warning
    assert path in warning
    assert_ledger(collected)


def test_endless_nesting(tmp_path):
    """Tunnels in tunnels without end are refused, and so are endless extension headers and tags."""
    nested = INNER
    for _ in range(60):
        nested = ipv4(nested, protocol=4)
    headers = extended(*[(0, OPTIONS)] * 60)
    tags = ethernet(INNER, tags=[(0x8100, i) for i in range(60)])
    frames = [ethernet(nested), ethernet(headers), tags]
    collected = load(save(tmp_path, pcap(packets(*frames))))
    assert dict(collected.skipped) == {"too_many_headers": 3}
    assert_ledger(collected)


def test_other_ports(tmp_path):
    """A port that the user names is DNS as well; 53 stays one."""
    path = save(tmp_path, pcap(packets(other(5300), FRAME)))
    assert [r["server_port"] for r in rows(path)] == [53]
    assert [r["server_port"] for r in rows(path, ports=frozenset({5300}))] == [5300, 53]


def test_both_sides_on_port_53(tmp_path):
    """Between two servers the message itself says which side asked."""
    asked = ipv4(udp(query(ident=5), 53, 53), CLIENT, SERVER, ident=1)
    answered = ipv4(udp(response(ident=5), 53, 53), SERVER, CLIENT, ident=2)
    found = rows(save(tmp_path, pcap(packets(ethernet(asked), ethernet(answered)))))
    assert [(r["client_addr"], r["server_addr"]) for r in found] == [(CLIENT, SERVER)] * 2


def test_mixed_ledger(tmp_path):
    """All of the above in one file: every packet is counted once."""
    frames = [frame for linktype, frame in V4.values() if linktype == ETHERNET]
    frames += [frame for _, frame in SKIPPED.values()]
    collected = load(save(tmp_path, pcap(packets(*frames))))
    assert collected.packets == len(frames)
    assert sum(collected.skipped.values()) == len(SKIPPED)
    assert_ledger(collected)
