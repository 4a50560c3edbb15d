"""What Scapy builds is read back: generated packets of every encapsulation that both know.

Scapy is the other implementation here: layers, names and addresses are its own, and the messages
that come out must be those that went in.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from scapy.contrib.chdlc import CHDLC
from scapy.contrib.erspan import ERSPAN_II, ERSPAN_III
from scapy.contrib.geneve import GENEVE
from scapy.contrib.gtp import GTP_U_Header
from scapy.contrib.mpls import MPLS
from scapy.contrib.nsh import NSH
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_Timestamp, fragment
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    fragment6,
)
from scapy.layers.l2 import (
    GRE,
    LLC,
    SNAP,
    CookedLinux,
    CookedLinuxV2,
    Dot1AD,
    Dot1Q,
    Dot3,
    Ether,
    Loopback,
)
from scapy.layers.ppp import PPP, PPPoE
from scapy.layers.vxlan import VXLAN

from tests.build import assert_ledger, load, packets, pcap, rows, save

MAC = {"src": "02:42:ac:11:00:02", "dst": "02:42:ac:11:00:03"}
NODES = {"src": "172.18.0.2", "dst": "172.18.0.3"}
NODES6 = {"src": "fd01::2", "dst": "fd01::3"}
ETHER = Ether(**MAC)

#: link type, and what is put around an IP packet
WRAPPINGS: dict[str, tuple[int, Callable[[Any], Any]]] = {
    "Ethernet": (1, lambda ip: ETHER / ip),
    "802.1Q": (1, lambda ip: ETHER / Dot1Q(vlan=5) / ip),
    "802.1ad": (1, lambda ip: ETHER / Dot1AD(vlan=5) / Dot1Q(vlan=6) / ip),
    "SNAP": (1, lambda ip: Dot3(**MAC) / LLC() / SNAP() / ip),
    "MPLS": (1, lambda ip: ETHER / MPLS(label=16, s=0) / MPLS(label=17, s=1) / ip),
    "PPPoE": (1, lambda ip: ETHER / PPPoE(sessionid=5) / PPP() / ip),
    "NSH": (1, lambda ip: ETHER / NSH(mdtype=1) / ip),
    "raw": (101, lambda ip: ip),
    "loopback": (0, lambda ip: Loopback() / ip),
    "cooked": (113, lambda ip: CookedLinux() / ip),
    "cooked, version 2": (276, lambda ip: CookedLinuxV2() / ip),
    "Cisco HDLC": (104, lambda ip: CHDLC() / ip),
    "VXLAN": (
        1,
        lambda ip: ETHER / IP(**NODES) / UDP(sport=55555, dport=4789) / VXLAN(vni=42) / ETHER / ip,
    ),
    "VXLAN over IPv6": (
        1,
        lambda ip: (
            ETHER / IPv6(**NODES6) / UDP(sport=55555, dport=8472) / VXLAN(vni=42) / ETHER / ip
        ),
    ),
    "Geneve": (
        1,
        lambda ip: (
            ETHER / IP(**NODES) / UDP(sport=55555, dport=6081) / GENEVE(proto=0x6558) / ETHER / ip
        ),
    ),
    "GTP-U": (
        1,
        lambda ip: (
            ETHER
            / IP(**NODES)
            / UDP(sport=2152, dport=2152)
            / GTP_U_Header(teid=7, gtp_type=255)
            / ip
        ),
    ),
    "GRE": (1, lambda ip: ETHER / IP(**NODES) / GRE() / ip),
    "GRE with all words": (
        1,
        lambda ip: (
            ETHER / IP(**NODES) / GRE(chksum_present=1, key_present=1, seqnum_present=1, key=9) / ip
        ),
    ),
    "NVGRE": (
        1,
        lambda ip: ETHER / IP(**NODES) / GRE(key_present=1, key=9, proto=0x6558) / ETHER / ip,
    ),
    "ERSPAN, type II": (
        1,
        lambda ip: ETHER / IP(**NODES) / GRE(seqnum_present=1) / ERSPAN_II() / ETHER / ip,
    ),
    "ERSPAN, type III": (
        1,
        lambda ip: ETHER / IP(**NODES) / GRE(seqnum_present=1) / ERSPAN_III() / ETHER / ip,
    ),
    "in IPv4": (1, lambda ip: ETHER / IP(**NODES) / ip),
    "in IPv6": (1, lambda ip: ETHER / IPv6(**NODES6) / ip),
    "in IPv6 with headers": (
        1,
        lambda ip: ETHER / IPv6(**NODES6) / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / ip,
    ),
    "three deep": (
        1,
        lambda ip: (
            ETHER
            / IP(**NODES)
            / GRE()
            / IPv6(**NODES6)
            / UDP(sport=55555, dport=4789)
            / VXLAN(vni=1)
            / ETHER
            / Dot1Q(vlan=3)
            / ip
        ),
    ),
}


def message(chance: random.Random) -> Any:
    """Return any query or response, as Scapy's layers."""
    labels = ["".join(chance.choices("abc-09", k=chance.randrange(1, 20))) for _ in range(4)]
    name = ".".join(labels[: chance.randrange(1, 5)]) + "."
    asked = DNSQR(qname=name, qtype=chance.choice(["A", "AAAA", "PTR", "SRV"]))
    ident = chance.randrange(65536)
    if chance.random() < 0.5:
        return DNS(id=ident, rd=1, qd=[asked])
    records = [DNSRR(rrname=name, type="A", ttl=chance.randrange(3600), rdata="192.0.2.1")]
    return DNS(
        id=ident,
        qr=1,
        rd=1,
        ra=1,
        aa=chance.randrange(2),
        rcode=chance.choice([0, 0, 3, 2]),
        qd=[asked],
        an=records * chance.randrange(4),
    )


def datagram(chance: random.Random, dns: Any) -> tuple[Any, tuple[str, str, int]]:
    """Return an IP packet with a message, and its client, server and client port."""
    port = chance.randrange(1024, 65536)
    if chance.random() < 0.5:
        client, server = (f"10.{chance.randrange(256)}.{chance.randrange(256)}.7" for _ in "ab")
        options = [IPOption_Timestamp()] if chance.random() < 0.2 else []
        ip = IP(id=chance.randrange(1, 65536), ttl=chance.randrange(1, 256), options=options)
    else:
        client, server = (f"fd00::{chance.randrange(1, 65536):x}" for _ in "ab")
        ip = IPv6(hlim=chance.randrange(1, 256))
    ip.src, ip.dst = (server, client) if dns.qr else (client, server)
    udp = UDP(sport=53, dport=port) if dns.qr else UDP(sport=port, dport=53)
    return ip / udp / dns, (client, server, port)


@pytest.mark.parametrize("kind", WRAPPINGS)
def test_generated_packets(tmp_path, kind):
    """Forty messages in each wrapping come out as they went in."""
    linktype, wrap = WRAPPINGS[kind]
    chance = random.Random(kind)
    built, want = [], []
    for _ in range(40):
        dns = message(chance)
        packet, ends = datagram(chance, dns)
        built.append(bytes(wrap(packet)))
        want.append(
            (
                *ends,
                dns.id,
                bool(dns.qr),
                dns.qd[0].qname.decode().rstrip("."),
                dns.qd[0].sprintf("%qtype%"),
                len(dns.an) if dns.qr else None,
            )
        )
    path = save(tmp_path, pcap(packets(*built), linktype=linktype))
    found = [
        (
            r["client_addr"],
            r["server_addr"],
            r["client_port"],
            r["message_id"],
            r["is_response"],
            r["qname"],
            r["qtype"],
            r["answers"],
        )
        for r in rows(path)
    ]
    assert found == want
    assert_ledger(load(path))


@pytest.mark.parametrize("six", [False, True], ids=["IPv4", "IPv6"])
def test_generated_fragments(tmp_path, six):
    """Datagrams that Scapy cuts into fragments are put together again."""
    records = [DNSRR(rrname="big.example.com.", type="A", rdata="192.0.2.1")] * 150
    dns = DNS(id=5, qr=1, qd=[DNSQR(qname="big.example.com.")], an=records)
    udp = UDP(sport=53, dport=40000) / dns
    if six:
        parts = fragment6(IPv6(**NODES6) / IPv6ExtHdrFragment(id=9) / udp, 1280)
    else:
        parts = fragment(IP(**NODES, id=9) / udp, fragsize=1200)
    path = save(tmp_path, pcap(packets(*[bytes(ETHER / p) for p in parts])))
    (row,) = rows(path)
    assert (row["packet_no"], row["answers"], row["qname"]) == (len(parts), 150, "big.example.com")


def test_generated_other_traffic(tmp_path):
    """What is no DNS in Scapy's eyes is none here."""
    other = [
        ETHER / IP(**NODES) / ICMP(),
        ETHER / IP(**NODES) / TCP(dport=443, flags="S"),
        ETHER / IP(**NODES) / UDP(sport=55555, dport=123) / bytes(48),
    ]
    collected = load(save(tmp_path, pcap(packets(*[bytes(p) for p in other]))))
    assert dict(collected.skipped) == {"icmp": 1, "not_dns": 2}
