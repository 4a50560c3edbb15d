#!/usr/bin/env python3
"""Write a large log of DNS lines as programs print them, sorted by time. Standard library only.

    generate_lines.py FORM LINES OUT [--seed N]

FORM is one of plain, stamps (``kubectl logs --timestamps``), prefix (and ``--prefix``, of one
replica), replicas (of three), cri (a container runtime's own file), docker, fluent-bit, vector,
loki (JSON records of each), which are lines of CoreDNS' plugin log, and tcpdump (``-n -tttt``).

600 pods in 40 namespaces ask four suffixes, mostly with ndots 5: 65 % external names by a Zipf law;
some of them use EDNS and two ports.
"""

import argparse
import heapq
import itertools
import json
import random
from datetime import UTC, datetime

p = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
FORMS = "plain stamps prefix replicas cri docker fluent-bit vector loki tcpdump".split()
p.add_argument("form", choices=FORMS)
p.add_argument("lines", type=int)
p.add_argument("out")
p.add_argument("--seed", type=int, default=1)
o = p.parse_args()
R = random.Random(o.seed)
NAMESPACES = [f"team-{i}" for i in range(40)]
PODS = [
    (
        f"10.244.{i // 200}.{i % 200 + 2}",
        R.choice(NAMESPACES),
        R.choice([5, 5, 5, 5, 2, 1]),
        R.random() < 0.25,
    )
    for i in range(600)
]
EXTERNAL = [
    f"{a}.{b}.{c}"
    for a in ("api", "www", "auth", "s3", "metrics", "cdn")
    for b in ("example", "shopfront", "payments", "telemetry", "storage", "mail", "packages")
    for c in ("com", "org", "io")
] + [f"r{i}.svc-{i % 17}.eu-west-1.provider.com" for i in range(400)]
R.shuffle(EXTERNAL)
ZIPF = list(itertools.accumulate(1 / (i + 1) for i in range(len(EXTERNAL))))
REPLICAS = [f"coredns-5d78c9869d-{tail}" for tail in ("abcde", "fghij", "klmno")]
LOG = "/var/log/pods/kube-system_coredns/coredns/0.log"


def stamp(ns, between="T", digits=9, zone="Z"):
    whole = datetime.fromtimestamp(ns // 10**9, UTC).strftime(f"%Y-%m-%d{between}%H:%M:%S")
    return f"{whole}.{ns % 10**9:09d}"[: 20 + digits] + zone


def wrapped(text, ns, number):
    """Return a line of CoreDNS as the form has it."""
    if o.form == "plain":
        return text
    if o.form in ("prefix", "replicas"):
        pod = REPLICAS[number % 3 if o.form == "replicas" else 0]
        return f"[pod/{pod}/coredns] {stamp(ns)} {text}"
    if o.form in ("stamps", "cri"):
        return f"{stamp(ns)} {'stdout F ' if o.form == 'cri' else ''}{text}"
    pod = {"pod_name": REPLICAS[0], "namespace_name": "kube-system", "container_name": "coredns"}
    record = {
        "docker": {"log": text + "\n", "stream": "stdout", "time": stamp(ns)},
        "fluent-bit": {"date": round(ns / 1e9, 6), "log": text, "kubernetes": pod},
        "vector": {"file": LOG, "kubernetes": pod, "message": text, "timestamp": stamp(ns)},
        "loki": {"labels": {"pod": REPLICAS[0]}, "line": text, "timestamp": stamp(ns)},
    }[o.form]
    return json.dumps(record, separators=(",", ":"))


def printed(now, took, client, port, number, qtype, name, found, inside, edns):
    """Return tcpdump's lines of a query and its response, with their times."""
    size, question = len(name) + 18, f"{number}+ {'[1au] ' if edns else ''}{qtype}? {name}."
    flags = "*-" if inside else ""
    if found and qtype == "A":
        answer = f"{number}{flags} 1/0/0 A 10.96.{number % 255}.7 ({size + 16})"
    else:
        answer = f"{number}{'' if found else ' NXDomain'}{flags} 0/1/0 ({size + 75})"
    ends = (f"{client}.{port} > 10.96.0.10.53", f"10.96.0.10.53 > {client}.{port}")
    for time, end, what in ((now, ends[0], f"{question} ({size})"), (now + took, ends[1], answer)):
        yield time, f"{stamp(time, ' ', 6, '')} IP {end}: {what}"


def logged(now, took, client, port, number, qtype, name, found, inside, edns):
    """Return CoreDNS' line, with its time."""
    size = len(name) + 18 + 11 * edns
    shown = size + (len(name) + 16 if found and qtype == "A" else 93)
    yield (
        now + took,
        f'[INFO] {client}:{port} - {number} "{qtype} IN {name}. udp {size} false '
        f'{1232 if edns else 512}" {"NOERROR" if found else "NXDOMAIN"} '
        f"{'qr,aa,rd' if inside else 'qr,rd,ra'} {shown} {took / 1e9:.9f}s",
    )


pending, written, serial = [], 0, 0
t = 1_700_000_000_000_000_000
with open(o.out, "w") as f:
    while written < o.lines:
        client, namespace, ndots, edns = R.choice(PODS)
        search = (f"{namespace}.svc.cluster.local", "svc.cluster.local", "cluster.local")
        search += ("eu-west-1.compute.internal",)
        kind = R.random()
        if kind < 0.65:
            name = answer = R.choices(EXTERNAL, cum_weights=ZIPF)[0]
        elif kind < 0.85:
            name = f"svc-{R.randrange(60)}"
            answer = f"{name}.{search[0]}"
        else:
            name = f"svc-{R.randrange(10)}.{R.choice(NAMESPACES)}"
            answer = f"{name}.{search[1]}"
        under = [f"{name}.{suffix}" for suffix in search]
        t += R.randrange(800_000)
        now = t
        for candidate in [name, *under] if name.count(".") >= ndots else [*under, name]:
            found, inside = candidate == answer, candidate.endswith("cluster.local")
            port, last = R.randrange(32_768, 60_999), now
            for qtype in ("A", "AAAA"):
                took = (200_000 if inside else 2_000_000) + R.randrange(1_000_000)
                facts = (client, port, R.randrange(65_536), qtype, candidate, found, inside, edns)
                port += edns
                for time, text in (printed if o.form == "tcpdump" else logged)(now, took, *facts):
                    line = text if o.form == "tcpdump" else wrapped(text, time, serial)
                    heapq.heappush(pending, (time, serial, line))
                    serial += 1
                last = max(last, now + took)
            now = last + 50_000
            if found:
                break
        while pending and pending[0][0] < t and written < o.lines:
            f.write(heapq.heappop(pending)[2] + "\n")
            written += 1
