"""The bytes of a capture: DNS messages, the packets that carry them, the records of a file.

DNS: RFC 1035 section 4; EDNS: RFC 6891; IPv4, UDP, TCP, ICMP: RFC 791, 768, 9293, 792. Checksums
are right. The file is pcap with microseconds, on Ethernet.
"""

from __future__ import annotations

import struct
from functools import lru_cache

from pcapkit.codes import (
    TYPE_A,
    TYPE_AAAA,
    TYPE_CNAME,
    TYPE_OPT,
    TYPE_PTR,
    TYPE_SOA,
    TYPE_SRV,
    TYPE_TXT,
    qtype_number,
)
from pcapkit.names.text import wire_from_text
from pcapkit.schema import AA, QR, RA, RD, TC

FILE_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1)
DNS_PORT = 53
#: What a client without EDNS takes over UDP, in bytes (RFC 1035 section 4.2.1).
PLAIN_UDP_BYTES = 512
FIN, SYN, PUSH, ACK = 0x01, 0x02, 0x08, 0x10
_ASKED = b"\xc0\x0c"  # a pointer to the question's name
_TCP, _UDP, _ICMP = 6, 17, 1
_TTL_S, _NEGATIVE_S = 30, 5
#: What record data names (RFC 2606).
_NOBODY = "example.com"


@lru_cache(1 << 15)
def name_bytes(name: str) -> bytes:
    """Return a name as it is on the wire."""
    return wire_from_text(name)


@lru_cache
def _number(qtype: str) -> int:
    return qtype_number(qtype) or 0


def query(ident: int, name: str, qtype: str, edns_bytes: int) -> bytes:
    """Return a query with RD; with an OPT record where ``edns_bytes`` is not 0."""
    head = struct.pack(">HHHHHH", ident, RD, 1, 0, 0, int(edns_bytes > 0))
    return head + _question(name, qtype) + _opt(edns_bytes)


def response(
    ident: int,
    name: str,
    qtype: str,
    *,
    rcode: int = 0,
    records: list[bytes],
    is_authoritative: bool,
    is_truncated: bool = False,
    zone: str | None = None,
    edns_bytes: int = 0,
) -> bytes:
    """Return a response; with the SOA record of ``zone`` where that is given."""
    flags = QR | RD | RA | rcode | (AA if is_authoritative else 0) | (TC if is_truncated else 0)
    counts = len(records), int(zone is not None), int(edns_bytes > 0)
    head = struct.pack(">HHHHHH", ident, flags, 1, *counts)
    soa = b"" if zone is None else _soa(zone)
    return head + _question(name, qtype) + b"".join(records) + soa + _opt(edns_bytes)


def record(qtype: str, number: int, addresses: tuple[bytes, bytes], owner: str = "") -> bytes:
    """Return the record ``number`` of a name; ``addresses`` are the first of A and of AAAA."""
    kind = _number(qtype)
    if kind in (TYPE_A, TYPE_AAAA):
        first = addresses[kind == TYPE_AAAA]
        last = int.from_bytes(first[-2:], "big") + number
        data = first[:-2] + (last & 0xFFFF).to_bytes(2, "big")
    elif kind == TYPE_SRV:
        data = struct.pack(">HHH", 0, 100, 8080) + name_bytes(_NOBODY)
    elif kind == TYPE_TXT:
        data = b"\x08made up."
    else:
        data = (b"" if kind in (TYPE_PTR, TYPE_CNAME) else b"\0\x0a") + name_bytes(_NOBODY)
    return _record(name_bytes(owner) if owner else _ASKED, kind, data)


def alias(target: str) -> bytes:
    """Return a CNAME record of the asked name."""
    return _record(_ASKED, TYPE_CNAME, name_bytes(target))


def _record(owner: bytes, kind: int, data: bytes, ttl: int = _TTL_S) -> bytes:
    return owner + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data


def _question(name: str, qtype: str) -> bytes:
    return name_bytes(name) + struct.pack(">HH", _number(qtype), 1)


def _opt(size: int) -> bytes:
    return b"\0" + struct.pack(">HHIH", TYPE_OPT, size, 0, 0) if size else b""


@lru_cache(1 << 10)
def _soa(zone: str) -> bytes:
    data = 2 * name_bytes(_NOBODY)
    data += struct.pack(">IIIII", 1, 7200, 1800, 86400, _NEGATIVE_S)
    return _record(name_bytes(zone), TYPE_SOA, data)


def _checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def _packet(protocol: int, payload: bytes, source: bytes, target: bytes, ident: int) -> bytes:
    """Return a frame with an IPv4 packet; link addresses are made of the IP addresses."""
    head = struct.pack(
        ">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), ident, 0x4000, 64, protocol, 0, source, target
    )
    head = head[:10] + struct.pack(">H", _checksum(head)) + head[12:]
    return b"\x02\0" + target + b"\x02\0" + source + b"\x08\0" + head + payload


def udp(dns: bytes, ends: tuple[bytes, bytes], ports: tuple[int, int], ident: int) -> bytes:
    """Return a frame with a UDP datagram; ``ends`` and ``ports`` are (from, to)."""
    size = 8 + len(dns)
    ahead = ends[0] + ends[1] + struct.pack(">HH", _UDP, size)
    check = _checksum(ahead + struct.pack(">HHHH", *ports, size, 0) + dns) or 0xFFFF
    return _packet(_UDP, struct.pack(">HHHH", *ports, size, check) + dns, *ends, ident)


def tcp(
    payload: bytes,
    ends: tuple[bytes, bytes],
    ports: tuple[int, int],
    ident: int,
    *,
    flags: int,
    sequence: int,
    acknowledges: int,
) -> bytes:
    """Return a frame with a TCP segment."""
    fields = (*ports, sequence, acknowledges, 0x50, flags, 64240)
    bare = struct.pack(">HHIIBBHHH", *fields, 0, 0) + payload
    check = _checksum(ends[0] + ends[1] + struct.pack(">HH", _TCP, len(bare)) + bare)
    return _packet(_TCP, struct.pack(">HHIIBBHHH", *fields, check, 0) + payload, *ends, ident)


def port_unreachable(frame: bytes, ident: int) -> bytes:
    """Return a frame with the ICMP message that nothing listens where ``frame`` went."""
    quoted = frame[14 : 14 + 28]
    bare = b"\x03\x03\0\0\0\0\0\0" + quoted
    message = bare[:2] + struct.pack(">H", _checksum(bare)) + bare[4:]
    return _packet(_ICMP, message, quoted[16:20], quoted[12:16], ident)


def file_record(time_us: int, frame: bytes) -> bytes:
    """Return a frame as a pcap file holds it; ``time_us`` since 1970."""
    head = struct.pack("<IIII", *divmod(time_us, 1_000_000), len(frame), len(frame))
    return head + frame
