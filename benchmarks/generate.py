#!/usr/bin/env python3
"""Write a large pod-like DNS capture (classic pcap, Ethernet, IPv4), sorted by time, untidy as real
ones are. Standard library only.

    generate.py OUT.pcap LOOKUPS [--seed N] [--pods N] [--unique-names] [--tcp SHARE] [--loss SHARE]
                [--copies N] [--noise SHARE] [--start SECONDS]

600 pods (--pods: so many) in 40 namespaces, four suffixes, ndots mostly 5; 65 % external names by a
Zipf law; glibc-like pods (A and AAAA on one port) and Go-like ones (two ports, EDNS); lookups of
one pod overlap; external answers and cloud suffixes come without AA; lost queries are asked again
after 5 s; a share goes over TCP; --copies writes every packet N times, as `-i any` does; --noise
SHARE: that share of all packets is not DNS (below 1). Prints the exact truth as JSON: packets,
queries, retries, NXDOMAIN responses, lookups, wasted queries, copies, noise.
"""

import argparse
import heapq
import itertools
import json
import random
import struct

p = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
p.add_argument("out")
p.add_argument("lookups", type=int)
p.add_argument("--seed", type=int, default=1)
p.add_argument("--pods", type=int, default=600)
p.add_argument("--unique-names", action="store_true")
p.add_argument("--tcp", type=float, default=0.002)
p.add_argument("--loss", type=float, default=0.0005)
p.add_argument("--copies", type=int, default=1)
p.add_argument("--noise", type=float, default=0.0)
p.add_argument("--start", type=float, default=1700000000.0)
o = p.parse_args()
R = random.Random(o.seed)


def wire(name):
    return b"".join(bytes([len(x)]) + x.encode() for x in name.split(".")) + b"\0"


NAMESPACES = [f"team-{i}" for i in range(40)]
PODS = [
    (
        bytes([10, 244, i // 200, i % 200 + 2]),
        R.choice(NAMESPACES),
        R.choice([5, 5, 5, 5, 2, 1]),
        R.random() < 0.25,
    )
    for i in range(o.pods)
]
EXT = [
    f"{a}.{b}.{c}"
    for a in ("api", "www", "auth", "s3", "metrics", "cdn")
    for b in ("example", "shopfront", "payments", "telemetry", "storage", "mail", "packages")
    for c in ("com", "org", "io")
] + [f"r{i}.svc-{i % 17}.eu-west-1.provider.com" for i in range(400)]
R.shuffle(EXT)
ZIPF = list(itertools.accumulate(1 / (i + 1) for i in range(len(EXT))))
SERVICES = [f"svc-{i}" for i in range(60)]
CROSS = [f"svc-{i}.{ns}" for i in range(10) for ns in NAMESPACES]
DNS = bytes([10, 96, 0, 10])
ETH = bytes.fromhex("0242ac1100020242ac1100030800")
SOA = (
    wire("ns.dns.cluster.local")
    + wire("hostmaster.cluster.local")
    + struct.pack(">IIIII", 1700000000, 7200, 1800, 86400, 30)
)
SOA_RR = wire("cluster.local") + struct.pack(">HHIH", 6, 1, 30, len(SOA)) + SOA
OPT = b"\0" + struct.pack(">HHIH", 41, 1232, 0, 0)
f = open(o.out, "wb", buffering=1 << 20)
f.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
pending, serial = [], 0
count = {
    "packets": 0,
    "queries": 0,
    "retries": 0,
    "nxdomain": 0,
    "lookups": 0,
    "wasted": 0,
    "tcp": 0,
    "copies": 0,
    "noise": 0,
}
cache = {}


def frame(src, dst, proto, body):
    global serial
    serial += 1
    return (
        ETH
        + struct.pack(
            ">BBHHHBBH4s4s",
            0x45,
            0,
            20 + len(body),
            serial & 0xFFFF,
            0x4000,
            64,
            proto,
            0,
            src,
            dst,
        )
        + body
    )


def put(t, packet):
    us = int(t * 1e6)
    for k in range(o.copies):
        heapq.heappush(
            pending,
            (
                us + k,
                serial,
                k,
                struct.pack(
                    "<IIII", (us + k) // 1000000, (us + k) % 1000000, len(packet), len(packet)
                )
                + packet,
            ),
        )
    count["copies"] += o.copies - 1


def udp(t, src, sport, dst, dport, payload):
    put(t, frame(src, dst, 17, struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload))


def tcp(t, src, sport, dst, dport, seq, ack, flags, payload=b""):
    put(
        t,
        frame(
            src,
            dst,
            6,
            struct.pack(">HHIIBBHHH", sport, dport, seq, ack, 0x50, flags, 64240, 0, 0) + payload,
        ),
    )


def flush(until):
    while pending and pending[0][0] < until:
        f.write(heapq.heappop(pending)[3])
        count["packets"] += 1


t = o.start
for n in range(o.lookups):
    ip, ns, ndots, golike = R.choice(PODS)
    search = (
        ns + ".svc.cluster.local",
        "svc.cluster.local",
        "cluster.local",
        "eu-west-1.compute.internal",
    )
    r = R.random()
    if r < 0.65:
        name = (
            f"h{n}.tenant-{n % 997}.example.com"
            if o.unique_names
            else R.choices(EXT, cum_weights=ZIPF)[0]
        )
        answer = name
    elif r < 0.85:
        name = R.choice(SERVICES)
        answer = f"{name}.{search[0]}"
    else:
        name = R.choice(CROSS)
        answer = f"{name}.{search[1]}"
    suffixed = [f"{name}.{s}" for s in search]
    walk = [name, *suffixed] if name.count(".") >= ndots else [*suffixed, name]
    t += R.random() * 8e-4
    now = t
    over_tcp = R.random() < o.tcp
    count["lookups"] += 1
    for cand in walk:
        ok = cand == answer
        inside = cand.endswith("cluster.local")
        sport = R.randrange(32768, 60999)
        w = cache.get(cand) or (
            cache.setdefault(cand, wire(cand)) if len(cache) < 500000 else wire(cand)
        )
        last = now
        if over_tcp:
            seq, ack = R.getrandbits(31), R.getrandbits(31)
            tcp(now, ip, sport, DNS, 53, seq, 0, 0x02)
            tcp(now + 1e-4, DNS, 53, ip, sport, ack, seq + 1, 0x12)
            seq, ack, now = seq + 1, ack + 1, now + 2e-4
        for qtype in (1, 28):
            ident = R.randrange(65536)
            ask = w + struct.pack(">HH", qtype, 1)
            edns = golike and not over_tcp
            query = (
                struct.pack(">HHHHHH", ident, 0x0100, 1, 0, 0, int(edns))
                + ask
                + (OPT if edns else b"")
            )
            flags = 0x8580 if inside else 0x8180
            if ok and qtype == 1:
                reply = (
                    struct.pack(">HHHHHH", ident, flags, 1, 1, 0, 0)
                    + ask
                    + b"\xc0\x0c"
                    + struct.pack(">HHIH", 1, 1, 30, 4)
                    + bytes([10, 96, R.randrange(255), 7])
                )
            else:
                count["nxdomain"] += not ok
                reply = (
                    struct.pack(">HHHHHH", ident, flags | (0 if ok else 3), 1, 0, 1, 0)
                    + ask
                    + SOA_RR
                )
            d = (2e-4 if inside else 2e-3) + R.random() * 1e-3
            count["queries"] += 1
            if over_tcp:
                count["tcp"] += 1
                q, a = struct.pack(">H", len(query)) + query, struct.pack(">H", len(reply)) + reply
                tcp(now, ip, sport, DNS, 53, seq, ack, 0x18, q)
                tcp(now + d, DNS, 53, ip, sport, ack, seq + len(q), 0x18, a)
                seq, ack = seq + len(q), ack + len(a)
            else:
                port = sport + 1 if golike and qtype == 28 else sport
                udp(now, ip, port, DNS, 53, query)
                if R.random() < o.loss:
                    count["retries"] += 1
                    d += 5.0
                    udp(now + d - 1e-3, ip, port, DNS, 53, query)
                udp(now + d, DNS, 53, ip, port, reply)
            last = max(last, now + d)
        now = last + 5e-5
        if ok:
            break
        count["wasted"] += 2
    while count["noise"] * (1 - o.noise) < 2 * count["queries"] * o.noise:
        count["noise"] += 1
        tcp(
            t,
            ip,
            R.randrange(32768, 60999),
            bytes([10, 97, R.randrange(255), 9]),
            443,
            R.getrandbits(31),
            R.getrandbits(31),
            0x10,
            bytes(R.randrange(1200)),
        )
    flush(int((t - 1e-4) * 1e6))
flush(1 << 62)
f.close()
print(json.dumps(count))
