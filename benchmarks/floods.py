#!/usr/bin/env python3
"""Write a capture that floods one limit (classic pcap, Ethernet, IPv4, UDP). Standard library only.

    floods.py OUT.pcap {subdomains,names,clients,lists,escaped,servers} [COUNT] [--seed N]

subdomains: 2 million random subdomains of one domain, asked by three clients, which do not exist;
names: 1 million names of one client, each with an answer; clients: 200,000 clients that ask one
name each; lists: 20,000 clients of a namespace each, which look up two names along their search
lists; escaped: 100,000 names of 255 bytes, each of which is escaped as text; servers: 100,000
servers that one client asks. All queries are for A and are sent once, 20 microseconds after one
another. COUNT: so many queries instead.
"""

import argparse
import random
import string
import struct

COUNTS = {
    "subdomains": 2_000_000,
    "names": 1_000_000,
    "clients": 200_000,
    "lists": 160_000,
    "escaped": 100_000,
    "servers": 100_000,
}
SERVER = bytes([10, 96, 0, 10])
ETHERNET = bytes.fromhex("0242ac1100020242ac1100030800")
ANSWER = b"\xc0\x0c" + struct.pack(">HHIH4s", 1, 1, 300, 4, bytes([192, 0, 2, 1]))
QUERY, NXDOMAIN, ANSWERED = (0x0100, 0), (0x8183, 0), (0x8180, 1)  # header flags, answers

p = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
p.add_argument("out")
p.add_argument("flood", choices=COUNTS)
p.add_argument("count", type=int, nargs="?")
p.add_argument("--seed", type=int, default=1)
o = p.parse_args()
R = random.Random(o.seed)


def record(ns, source, target, ports, ident, kind, question, rest=b""):
    flags, answers = kind
    size = 12 + len(question) + len(rest)
    return b"".join(
        (
            struct.pack("<IIII", ns // 10**9, ns % 10**9 // 1000, 42 + size, 42 + size),
            ETHERNET,
            struct.pack(">BBHHHBBH4s4s", 0x45, 0, 28 + size, 0, 0x4000, 64, 17, 0, source, target),
            struct.pack(">HHHH", *ports, 8 + size, 0),
            struct.pack(">HHHHHH", ident, flags, 1, answers, 0, 0),
            question,
            rest,
        )
    )


def wire(name):
    return b"".join(bytes([len(x)]) + x.encode("latin-1") for x in name.split(".")) + b"\0"


def asked(n):
    """Return the address of a client and the name that it asks."""
    if o.flood == "clients":
        return struct.pack(">I", (10 << 24) + (1 << 20) + n), "api.example.com"
    if o.flood == "servers":
        return bytes([10, 244, 1, 2]), f"api{n % 100}.example.com"
    if o.flood == "escaped":
        return bytes([10, 244, 1, 2 + n % 50]), ".".join(
            (f"{n:08}" + "\xff" * 55, "\xff" * 63, "\xff" * 63, "\xff" * 61)
        )
    if o.flood == "lists":
        walk, step = divmod(n, 4)
        space = f".ns{walk // 2}.svc.cluster.local"
        suffix = (space, ".svc.cluster.local", ".cluster.local", "")[step]
        name = ("api.example.com", "db.example.org")[walk % 2]
        return struct.pack(">I", (10 << 24) + (1 << 20) + walk // 2), name + suffix
    label = "".join(R.choices(string.ascii_lowercase, k=R.randint(10, 16)))
    if o.flood == "names":
        return bytes([10, 244, 1, 2]), f"{label}.{n % 997}.example.com"
    return bytes([10, 244, 1, 2 + n % 3]), f"{label}.flood.example.com"


kind, rest = (NXDOMAIN, b"") if o.flood == "subdomains" else (ANSWERED, ANSWER)
with open(o.out, "wb", buffering=1 << 20) as f:
    f.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
    for n in range(o.count or COUNTS[o.flood]):
        client, name = asked(n)
        server = struct.pack(">I", (11 << 24) + n) if o.flood == "servers" else SERVER
        ns, ident, port = 1_700_000_000 * 10**9 + n * 20_000, R.getrandbits(16), 1024 + n % 60_000
        how, more = (kind, rest) if o.flood != "lists" or n % 4 == 3 else (NXDOMAIN, b"")
        question = wire(name) + struct.pack(">HH", 1, 1)
        f.write(record(ns, client, server, (port, 53), ident, QUERY, question))
        ns += 5000
        f.write(record(ns, server, client, (53, port), ident, how, question, more))
