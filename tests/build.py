"""Small captures, built byte by byte, and short ways to read them back.

Nothing here uses the package's own decoders: what a test expects is written down twice.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pandas as pd

from pcapkit.ingest.inputs.formats import open_capture
from pcapkit.ingest.inputs.source import open_source
from pcapkit.ingest.window import Capture, Interners
from pcapkit.pipeline.analyze import table_parts
from pcapkit.pipeline.collect import Collected, collect
from pcapkit.pipeline.options import Options

CLIENT, SERVER = "10.244.1.17", "10.96.0.10"
CLIENT6, SERVER6 = "fd00::17", "fd00::53"
CLIENT_MAC, SERVER_MAC = bytes.fromhex("0242ac110002"), bytes.fromhex("0242ac110003")
START_NS = 1_700_000_000_123_456_000
MS = 1_000_000
SECOND = 1_000_000_000

A, NS, CNAME, SOA, PTR, TXT, AAAA, SRV, OPT, ANY = 1, 2, 5, 6, 12, 16, 28, 33, 41, 255

ETHERNET, RAW, NULL, LOOP, SLL, SLL2 = 1, 101, 0, 108, 113, 276


# ---- DNS ----------------------------------------------------------------------------------------


def wire(name: str | Sequence[bytes]) -> bytes:
    """Return the uncompressed wire form of a dotted name or of a list of labels."""
    labels = [t.encode() for t in name.split(".") if t] if isinstance(name, str) else name
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def pointer(offset: int) -> bytes:
    """Return a compression pointer."""
    return struct.pack(">H", 0xC000 | offset)


#: A pointer to the question's name, which always stands behind the header.
ASKED = pointer(12)


def record(
    owner: bytes, kind: int, data: bytes, *, ttl: int = 30, rclass: int = 1, length: int = -1
) -> bytes:
    """Return one resource record; ``length`` lies about the data's length where it is given."""
    size = len(data) if length < 0 else length
    return owner + struct.pack(">HHIH", kind, rclass, ttl, size) + data


def address_record(address: str = "192.0.2.1", *, owner: bytes = ASKED, ttl: int = 30) -> bytes:
    """Return an A or AAAA record."""
    packed = ip_address(address).packed
    return record(owner, A if len(packed) == 4 else AAAA, packed, ttl=ttl)


def soa_record(*, ttl: int = 30, minimum: int = 5, owner: bytes = ASKED) -> bytes:
    """Return an SOA record as a negative answer carries it."""
    data = wire("ns.dns.cluster.local") + wire("hostmaster.cluster.local")
    return record(owner, SOA, data + struct.pack(">IIIII", 1, 7200, 1800, 86400, minimum), ttl=ttl)


def opt_record(size: int = 1232, *, extended_rcode: int = 0, data: bytes = b"") -> bytes:
    """Return the OPT pseudo-record of EDNS."""
    return b"\0" + struct.pack(">HHIH", OPT, size, extended_rcode << 24, len(data)) + data


def question(name: str | Sequence[bytes] | bytes, qtype: int = A, qclass: int = 1) -> bytes:
    """Return one question; ``bytes`` are taken as the wire form."""
    raw = name if isinstance(name, bytes) else wire(name)
    return raw + struct.pack(">HH", qtype, qclass)


def message(
    ident: int,
    flags: int,
    questions: Sequence[bytes] = (),
    answers: Sequence[bytes] = (),
    authority: Sequence[bytes] = (),
    additional: Sequence[bytes] = (),
) -> bytes:
    """Return a message whose counts are right."""
    sections = (questions, answers, authority, additional)
    head = struct.pack(">HHHHHH", ident, flags, *(len(s) for s in sections))
    return head + b"".join(b"".join(s) for s in sections)


def query(
    name: str | Sequence[bytes] | bytes = "example.com",
    qtype: int = A,
    *,
    ident: int = 4660,
    flags: int = 0x0100,
    additional: Sequence[bytes] = (),
) -> bytes:
    """Return a query, with RD set where ``flags`` do not say otherwise."""
    return message(ident, flags, [question(name, qtype)], additional=additional)


def response(
    name: str | Sequence[bytes] | bytes = "example.com",
    qtype: int = A,
    *,
    ident: int = 4660,
    rcode: int = 0,
    flags: int = 0,
    answers: Sequence[bytes] = (),
    authority: Sequence[bytes] = (),
    additional: Sequence[bytes] = (),
) -> bytes:
    """Return a response with RD and RA set; ``flags`` adds to them."""
    asked = [question(name, qtype)]
    return message(ident, 0x8180 | flags | rcode, asked, answers, authority, additional)


# ---- network layers -----------------------------------------------------------------------------


def checksum(data: bytes) -> int:
    """Return the Internet checksum."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _sealed(datagram: bytes, source: str, target: str) -> bytes:
    """Return a UDP datagram with its checksum."""
    ends = ip_address(source).packed + ip_address(target).packed
    total = checksum(ends + struct.pack(">HH", 17, len(datagram)) + datagram) or 0xFFFF
    return datagram[:6] + struct.pack(">H", total) + datagram[8:]


def ipv4(
    payload: bytes,
    source: str = CLIENT,
    target: str = SERVER,
    *,
    protocol: int = 17,
    ident: int = 1,
    ttl: int = 64,
    options: bytes = b"",
    fragment: int = 0x4000,
    total: int | None = None,
) -> bytes:
    """Return an IPv4 packet."""
    if protocol == 17 and len(payload) >= 8 and not fragment & 0x3FFF:
        payload = _sealed(payload, source, target)
    size = 20 + len(options)
    head = (
        struct.pack(
            ">BBHHHBBH4s4s",
            0x40 | size // 4,
            0,
            size + len(payload) if total is None else total,
            ident,
            fragment,
            ttl,
            protocol,
            0,
            ip_address(source).packed,
            ip_address(target).packed,
        )
        + options
    )
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def ipv6(
    payload: bytes,
    source: str = CLIENT6,
    target: str = SERVER6,
    *,
    following: int = 17,
    hop_limit: int = 64,
) -> bytes:
    """Return an IPv6 packet; extension headers are part of ``payload``."""
    if following == 17:
        payload = _sealed(payload, source, target)
    head = struct.pack(">IHBB", 0x60000000, len(payload), following, hop_limit)
    return head + ip_address(source).packed + ip_address(target).packed + payload


def udp(
    payload: bytes, source_port: int = 40000, target_port: int = 53, *, length: int | None = None
) -> bytes:
    """Return a UDP datagram; the IP header around it fills the checksum in."""
    size = 8 + len(payload) if length is None else length
    return struct.pack(">HHHH", source_port, target_port, size, 0) + payload


def tcp(
    payload: bytes,
    source_port: int = 40000,
    target_port: int = 53,
    *,
    flags: int = 0x18,
    options: bytes = b"",
    sequence: int = 1000,
) -> bytes:
    """Return a TCP segment."""
    offset = (5 + len(options) // 4) << 4
    head = struct.pack(
        ">HHIIBBHHH", source_port, target_port, sequence, 2000, offset, flags, 64240, 0, 0
    )
    return head + options + payload


def framed(*messages: bytes) -> bytes:
    """Return messages as a TCP stream carries them, each behind its length."""
    return b"".join(struct.pack(">H", len(m)) + m for m in messages)


def ask(dns: bytes, *, ident: int = 1, ttl: int = 64, port: int = 40000) -> bytes:
    """Return an IPv4 packet from the client to the server."""
    return ipv4(udp(dns, port, 53), ident=ident, ttl=ttl)


def answer(dns: bytes, *, ident: int = 1, ttl: int = 64, port: int = 40000) -> bytes:
    """Return an IPv4 packet from the server to the client."""
    return ipv4(udp(dns, 53, port), SERVER, CLIENT, ident=ident, ttl=ttl)


# ---- link layers --------------------------------------------------------------------------------


def ethernet(
    packet: bytes,
    *,
    tags: Sequence[tuple[int, int]] = (),
    kind: int | None = None,
    target: bytes = SERVER_MAC,
    source: bytes = CLIENT_MAC,
) -> bytes:
    """Return an Ethernet frame; ``tags`` are (EtherType, VLAN), the outermost first."""
    shown = b"".join(struct.pack(">HH", t, vlan) for t, vlan in tags)
    return target + source + shown + struct.pack(">H", kind or ethertype(packet)) + packet


def ethertype(packet: bytes) -> int:
    """Return the EtherType of an IP packet."""
    return 0x86DD if packet[0] >> 4 == 6 else 0x0800


def sll(packet: bytes, *, direction: int = 4) -> bytes:
    """Return a frame of Linux' cooked capture, version 1."""
    return struct.pack(">HHH8sH", direction, 1, 6, CLIENT_MAC, ethertype(packet)) + packet


def sll2(packet: bytes, *, interface: int = 7, direction: int = 4) -> bytes:
    """Return a frame of Linux' cooked capture, version 2."""
    return (
        struct.pack(">HHIHBB8s", ethertype(packet), 0, interface, 1, direction, 6, CLIENT_MAC)
        + packet
    )


def vxlan(frame: bytes, *, port: int = 4789) -> bytes:
    """Return an IPv4 packet with an Ethernet frame inside VXLAN."""
    inside = struct.pack(">II", 0x08000000, 42 << 8) + frame
    return ipv4(udp(inside, 55555, port), "172.18.0.2", "172.18.0.3", ident=999)


def geneve(frame: bytes, *, kind: int = 0x6558, options: bytes = b"") -> bytes:
    """Return an IPv4 packet with a frame inside Geneve."""
    inside = struct.pack(">BBHI", len(options) // 4, 0, kind, 42 << 8) + options + frame
    return ipv4(udp(inside, 55555, 6081), "172.18.0.2", "172.18.0.3", ident=999)


def gre(inside: bytes, *, kind: int = 0x0800, flags: int = 0, extra: bytes = b"") -> bytes:
    """Return an IPv4 packet with GRE; ``extra`` are the optional words that ``flags`` announce."""
    head = struct.pack(">HH", flags << 8, kind) + extra
    return ipv4(head + inside, "172.18.0.2", "172.18.0.3", protocol=47, ident=999)


# ---- files --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Packet:
    """One packet of a file; ``original`` is its length on the wire where that is more."""

    data: bytes
    time: int = START_NS
    original: int | None = None

    @property
    def wire_length(self) -> int:
        """The length on the wire."""
        return len(self.data) if self.original is None else self.original


def packets(*frames: bytes, step: int = 10 * MS, start: int = START_NS) -> list[Packet]:
    """Return packets that follow one another by ``step`` nanoseconds."""
    return [Packet(frame, start + i * step) for i, frame in enumerate(frames)]


def pcap_header(
    *, big: bool = False, magic: int = 0xA1B2C3D4, linktype: int = ETHERNET, snaplen: int = 262144
) -> bytes:
    """Return a pcap file header."""
    order = ">" if big else "<"
    return struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snaplen, linktype)


def pcap_record(packet: Packet, *, big: bool = False, magic: int = 0xA1B2C3D4) -> bytes:
    """Return one record of a pcap file."""
    seconds, rest = divmod(packet.time, SECOND)
    order = ">" if big else "<"
    part = rest if magic == 0xA1B23C4D else rest // 1000
    head = struct.pack(order + "IIII", seconds, part, len(packet.data), packet.wire_length)
    if magic == 0xA1B2CD34:
        head += struct.pack(order + "IHBB", 3, 0x0800, 0, 0)
    return head + packet.data


def pcap(
    content: Iterable[Packet],
    *,
    big: bool = False,
    magic: int = 0xA1B2C3D4,
    linktype: int = ETHERNET,
) -> bytes:
    """Return a pcap file."""
    head = pcap_header(big=big, magic=magic, linktype=linktype)
    return head + b"".join(pcap_record(p, big=big, magic=magic) for p in content)


def ng_block(kind: int, body: bytes, *, big: bool = False) -> bytes:
    """Return one pcapng block."""
    body += b"\0" * (-len(body) % 4)
    order = ">" if big else "<"
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def ng_option(code: int, value: bytes, *, big: bool = False) -> bytes:
    """Return one option of a pcapng block."""
    order = ">" if big else "<"
    return struct.pack(order + "HH", code, len(value)) + value + b"\0" * (-len(value) % 4)


def ng_section(*, big: bool = False, options: bytes = b"") -> bytes:
    """Return a section header block."""
    order = ">" if big else "<"
    body = struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1) + options
    return ng_block(0x0A0D0D0A, body, big=big)


def ng_interface(
    *,
    linktype: int = ETHERNET,
    snaplen: int = 262144,
    resolution: int | None = None,
    offset: int | None = None,
    big: bool = False,
) -> bytes:
    """Return an interface description block."""
    order = ">" if big else "<"
    options = b""
    if resolution is not None:
        options += ng_option(9, bytes([resolution]), big=big)
    if offset is not None:
        options += ng_option(14, struct.pack(order + "q", offset), big=big)
    if options:
        options += ng_option(0, b"", big=big)
    return ng_block(1, struct.pack(order + "HHI", linktype, 0, snaplen) + options, big=big)


def ng_packet(
    packet: Packet,
    *,
    interface: int = 0,
    stamp: int | None = None,
    big: bool = False,
    obsolete: bool = False,
    options: bytes = b"",
) -> bytes:
    """Return an enhanced packet block (or the obsolete one); ``stamp`` is in interface units."""
    order = ">" if big else "<"
    ticks = packet.time // 1000 if stamp is None else stamp
    head = (
        struct.pack(order + "HH", interface, 0) if obsolete else struct.pack(order + "I", interface)
    )
    body = (
        head
        + struct.pack(
            order + "IIII", ticks >> 32, ticks & 0xFFFFFFFF, len(packet.data), packet.wire_length
        )
        + packet.data
        + (b"\0" * (-len(packet.data) % 4) + options if options else b"")
    )
    return ng_block(2 if obsolete else 6, body, big=big)


INBOUND, OUTBOUND = 1, 2  # of epb_flags


def ng_comments(*comments: str | bytes, direction: int | None = None, big: bool = False) -> bytes:
    """Return the options of a packet with comments, as ptcpdump writes them."""
    texts = [c.encode() if isinstance(c, str) else c for c in comments]
    options = b"".join(ng_option(1, text, big=big) for text in texts)
    if direction is not None:
        options += ng_option(2, struct.pack(">I" if big else "<I", direction), big=big)
    return options + ng_option(0, b"", big=big)


def ptcpdump(
    container: str | None = None,
    *,
    pod: str | None = None,
    namespace: str = "shop",
    ident: str | None = None,
) -> list[str]:
    """Return the comments that ptcpdump gives a packet of a process: each has its own option."""
    comments = ["PID: 4242\nCmd: /usr/bin/curl\nArgs: curl http://cart"]
    comments.append("ParentPID: 1\nParentCmd: /bin/sh\nParentArgs: sh -c loop")
    if container is not None:
        number = ident or (container.encode().hex() + "0" * 64)[:64]
        comments.append(
            f"ContainerName: {container}\nContainerId: {number}\n"
            "ContainerImage: docker.io/library/curl:8\nContainerLabels: {}"
        )
    if pod is not None:
        comments.append(
            f"PodName: {pod}\nPodNamespace: {namespace}\nPodUID: 9d4b\n"
            "PodLabels: {}\nPodAnnotations: {}"
        )
    return comments


def ng_simple(packet: Packet, *, big: bool = False) -> bytes:
    """Return a simple packet block."""
    order = ">" if big else "<"
    return ng_block(3, struct.pack(order + "I", packet.wire_length) + packet.data, big=big)


def pcapng(content: Iterable[Packet], *, big: bool = False, linktype: int = ETHERNET) -> bytes:
    """Return a pcapng file of one section and one interface."""
    blocks = [ng_section(big=big), ng_interface(big=big, linktype=linktype)]
    return b"".join(blocks + [ng_packet(p, big=big) for p in content])


def ng_blocks(content: bytes) -> list[bytes]:
    """Return the blocks of a little-endian pcapng file."""
    out, at = [], 0
    while at < len(content):
        (length,) = struct.unpack_from("<I", content, at + 4)
        out.append(content[at : at + length])
        at += length
    return out


# ---- reading back -------------------------------------------------------------------------------


def conversation() -> list[Packet]:
    """Return three exchanges on Ethernet: an NXDOMAIN, an answer, and one unanswered query."""
    first = "web.default.svc.cluster.local"
    return packets(
        ethernet(ask(query(first, ident=1), ident=11)),
        ethernet(answer(response(first, ident=1, rcode=3, authority=[soa_record()]), ident=12)),
        ethernet(ask(query("web.example.com", AAAA, ident=2), ident=13)),
        ethernet(
            answer(
                response(
                    "web.example.com",
                    AAAA,
                    ident=2,
                    answers=[address_record("2001:db8::1", ttl=60)],
                ),
                ident=14,
            )
        ),
        ethernet(ask(query("lost.example.com", ident=3), ident=15)),
    )


def save(folder: Path, content: bytes, name: str = "c.pcap") -> str:
    """Write a file and return its path."""
    path = folder / name
    path.write_bytes(content)
    return str(path)


def table_of(paths: Sequence[str], table: str, **options: Any) -> pd.DataFrame:
    """Return one table of a capture, whole."""
    frames, _ = table_parts(paths, table, size=None, **options)
    return next(frames)


def rows(*paths: str, ports: frozenset[int] = frozenset()) -> list[dict[str, Any]]:
    """Return the rows of the ``messages`` table, null values as None, without the path."""
    frame = table_of(paths, "messages", options=Options(ports=ports))
    frame = frame.drop(columns="capture").astype(object)
    return frame.where(frame.notna(), None).to_dict("records")


def one_row(folder: Path, dns: bytes, *, to_server: bool = True) -> dict[str, Any]:
    """Return the one message of a capture that holds ``dns`` in a UDP datagram."""
    packet = ask(dns) if to_server else answer(dns)
    (row,) = rows(save(folder, pcap(packets(ethernet(packet)))))
    return row


def load(*paths: str) -> Collected:
    """Collect captures with their message rows."""
    return collect(paths, keep_messages=True)


def assert_ledger(collected: Collected) -> None:
    """Every packet is a message's, a duplicate, or skipped for one reason."""
    skipped = sum(collected.skipped.values())
    assert collected.packets == collected.with_messages + collected.duplicates + skipped
    assert collected.packets == sum(c.packets for c in collected.captures)


def without(values: Iterable[dict[str, Any]], *columns: str) -> list[dict[str, Any]]:
    """Return rows without some columns."""
    return [{k: v for k, v in row.items() if k not in columns} for row in values]


def open_only(path: str) -> Capture:
    """Open a capture, which reads no more than its beginning, and close it again."""
    with open_source(path) as source:
        return open_capture(source, Interners(), ports=frozenset({53}))
