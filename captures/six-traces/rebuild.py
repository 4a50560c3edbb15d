"""Rebuild the six traces packet by packet, so that ``tcpdump -nt -r`` prints their lines again.

    python captures/six-traces/rebuild.py            write every trace-*.pcap beside its text
    python captures/six-traces/rebuild.py --check    exit with 1 where a capture differs

The printed lines show names, IDs, flags, record counts and message lengths, but not the authority
section. CoreDNS writes names in full, without compression: with the SOA record of its cluster zone
every printed length comes out exactly. Where the zone's SOA is not known (the reverse zone), its
RNAME is chosen to fit the length. Times are made up, since ``-t`` prints none: 120 µs between
packets, 50 ms before a lookup of its own.
"""

from __future__ import annotations

import ipaddress
import re
import struct
import sys
from pathlib import Path

HERE = Path(__file__).parent
START_NS = 1_614_556_800 * 10**9  # 2021-03-01T00:00:00Z
STEP_NS, PAUSE_NS = 120_000, 50_000_000
POD_MAC, NODE_MAC = bytes.fromhex("0242ac290ac8"), bytes.fromhex("0242ac290a01")
TYPES = {"A": 1, "CNAME": 5, "PTR": 12, "AAAA": 28}
SOA = 6

#: zone -> (MNAME, RNAME) of its SOA record
ZONES = {
    "cluster.local": ("ns.dns.cluster.local", "hostmaster.cluster.local"),
    "a.shifen.com": ("ns1.a.shifen.com", "baidu_dns_master.baidu.com"),
    "tbchip.com": ("dns27.hichina.com", "hostmaster.hichina.com"),
}

LINE = re.compile(r"IP (\S+)\.(\d+) > (\S+)\.(\d+): (\d+)(.*) \((\d+)\)$")
QUERY = re.compile(r"\+ (\w+)\? (\S+)\.$")
RESPONSE = re.compile(r"(?: (NXDomain))?([*-]*) (\d)/(\d)/0(?: (.*))?$")


def wire(name: str) -> bytes:
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"


def record(owner: str, kind: int, data: bytes, ttl: int = 5) -> bytes:
    return wire(owner) + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data


def soa(question: str, room: int) -> bytes:
    """Return the SOA record of the zone that ``question`` lies in, ``room`` bytes long."""
    zone = next((z for z in ZONES if question.endswith(z)), question.split(".", 2)[2])
    numbers = struct.pack(">IIIII", 1614556800, 7200, 1800, 86400, 5)
    if zone in ZONES:
        out = record(zone, SOA, b"".join(map(wire, ZONES[zone])) + numbers)
    else:
        primary = wire("ns1.apnic.net")
        left = room - len(wire(zone)) - 10 - len(numbers) - len(primary)
        out = record(zone, SOA, primary + wire("a" * (left - 6) + ".net") + numbers)
    if len(out) != room:
        raise ValueError(f"SOA of {zone} has {len(out)} bytes, the trace wants {room}")
    return out


def answers(question: str, shown: str | None) -> tuple[bytes, str]:
    """Return the answer records that a line shows, and the last name of the CNAME chain."""
    out, owner = b"", question
    for item in (shown or "").split(", "):
        kind, _, data = item.partition(" ")
        if kind == "A":
            out += record(owner, TYPES["A"], ipaddress.ip_address(data).packed)
        elif kind == "CNAME":
            out += record(owner, TYPES["CNAME"], wire(data.rstrip(".")))
            owner = data.rstrip(".")
    return out, owner


def message(number: int, text: str, length: int, asked: dict[int, tuple[str, str]]) -> bytes:
    """Return one DNS message whose printed form is ``text``."""
    if query := QUERY.match(text):
        asked[number] = (query[1], query[2])
        body = wire(query[2]) + struct.pack(">HH", TYPES[query[1]], 1)
        return struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + body
    response = RESPONSE.match(text)
    if response is None:
        raise ValueError(f"not understood: {text}")
    failed, marks, answer_count, authority_count, shown = response.groups()
    kind, name = asked[number]
    flags = 0x8100 | (0x0400 if "*" in marks else 0) | (0 if "-" in marks else 0x0080)
    flags |= 3 if failed else 0
    head = struct.pack(">HHHHHH", number, flags, 1, int(answer_count), int(authority_count), 0)
    body = wire(name) + struct.pack(">HH", TYPES[kind], 1)
    records, owner = answers(name, shown)
    out = head + body + records
    if authority_count == "1":
        out += soa(owner, length - len(out))
    return out


def checksum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packet(source: str, sport: int, target: str, dport: int, payload: bytes, number: int) -> bytes:
    """Wrap a message in Ethernet, IPv4 and UDP with right checksums."""
    ends = ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed
    size = 8 + len(payload)
    udp = struct.pack(">HHHH", sport, dport, size, 0) + payload
    sum_ = checksum(ends + struct.pack(">BBH", 0, 17, size) + udp) or 0xFFFF
    udp = udp[:6] + struct.pack(">H", sum_) + udp[8:]
    hops = 64 if dport == 53 else 62
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + size, number, 0x4000, hops, 17, 0) + ends
    ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
    macs = NODE_MAC + POD_MAC if dport == 53 else POD_MAC + NODE_MAC
    return macs + b"\x08\x00" + ip + udp


def rebuild(text: str) -> bytes:
    """Return the capture whose ``tcpdump -nt`` lines are ``text``."""
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
    now, number = START_NS, {"53": 20000, "client": 40000}
    asked: dict[int, tuple[str, str]] = {}
    for line in text.splitlines():
        match = LINE.match(line)
        if match is None:
            raise ValueError(f"not understood: {line}")
        source, sport, target, dport, message_id, rest, length = match.groups()
        payload = message(int(message_id), rest, int(length), asked)
        if len(payload) != int(length):
            raise ValueError(f"{len(payload)} bytes, printed {length}: {line}")
        side = "53" if sport == "53" else "client"
        number[side] += 1
        now += PAUSE_NS if " PTR? " in line else STEP_NS
        data = packet(source, int(sport), target, int(dport), payload, number[side])
        out += struct.pack("<IIII", now // 10**9, now % 10**9 // 1000, len(data), len(data)) + data
    return out


def main() -> int:
    wrong = 0
    for path in sorted(HERE.glob("trace-*.txt")):
        data, target = rebuild(path.read_text()), path.with_suffix(".pcap")
        if "--check" not in sys.argv[1:]:
            target.write_bytes(data)
        elif not target.exists() or target.read_bytes() != data:
            print(f"{target.name} differs from its text", file=sys.stderr)
            wrong = 1
    return wrong


if __name__ == "__main__":
    sys.exit(main())
