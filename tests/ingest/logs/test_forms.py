"""Forms of printed lines beside tcpdump's and CoreDNS' own: each gives the walk that it shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pcapkit.pipeline.analyze import analyze
from tests.build import assert_ledger, load, rows, save, table_of
from tests.ingest.logs.test_wrapped import LIST, NAMES, told, whole
from tests.ingest.logs.walks import MS, SECOND, START, Query, clock, iso, walk

SERVER = "10.96.0.10"


def events(queries: list[Query]) -> list[tuple[int, Query, bool]]:
    """Return queries and responses in the order of their times."""
    out = [(q.asked, q, False) for q in queries] + [(q.done, q, True) for q in queries]
    return sorted(out, key=lambda e: (e[0], e[2]))


def seconds(time: int) -> str:
    return f"{(time - START) / SECOND:.9f}"


def tshark(
    queries: list[Query], arrow: str = "\u2192", stamp: Callable[[int], str] = seconds
) -> list[str]:
    lines = []
    for n, (time, q, back) in enumerate(events(queries), 1):
        ends = (SERVER, q.client) if back else (q.client, SERVER)
        code = " No such name" if back and q.rcode == "NXDOMAIN" else ""
        more = " A 192.0.2.7" if q.answered else " SOA ns.dns.cluster.local"
        info = (
            f"Standard query{' response' if back else ''} 0x{q.number:04x}{code} {q.qtype} {q.name}"
        )
        info += more if back else ""
        lines.append(f"{n:5} {stamp(time)} {ends[0]:>12} {arrow} {ends[1]:12} DNS 87 {info}")
    return lines


TSHARK = {
    "default": lambda qs: tshark(qs),
    "ASCII": lambda qs: tshark(qs, "->"),
    "tabs": lambda qs: ["\t".join(line.split(None, 7)) for line in tshark(qs, "\u2192")],
    "no arrow": lambda qs: tshark(qs, ""),
    "mojibake": lambda qs: tshark(qs, "\xe2\x86\x92"),
    "dates": lambda qs: tshark(qs, stamp=lambda t: iso(t)[:-1].replace("T", " ")),
    "times of the day": lambda qs: tshark(qs, stamp=lambda t: iso(t)[11:-1]),
    "since 1970": lambda qs: tshark(qs, stamp=lambda t: f"{t // SECOND}.{t % SECOND:09d}"),
    "exported": lambda qs: [
        '"No.","Time","Source","Destination","Protocol","Length","Info"',
        *(
            ",".join(f'"{p}"' for p in line.replace("\u2192", " ").split(None, 6))
            for line in tshark(qs)
        ),
    ],
    "on the screen": lambda qs: [
        'Running as user "root" and group "root". This could be dangerous.',
        "Capturing on 'eth0'",
        *tshark(qs),
        "16 packets captured",
    ],
    "with others": lambda qs: [
        "    1 0.000000000 10.9.0.18 \u2192 10.0.0.9 TCP 74 40000 \u2192 443 [SYN] Seq=0",
        *tshark(qs),
    ],
}


@pytest.mark.parametrize("form", TSHARK)
@pytest.mark.parametrize(("base", "search"), NAMES[:3])
def test_tshark(form: str, base: str, search: tuple[str, ...], tmp_path: Path) -> None:
    path = save(tmp_path, "\n".join(TSHARK[form](walk(base, search))).encode())
    assert told(path) == whole(base, search)
    assert_ledger(load(path))


def hubble(
    queries: list[Query],
    *,
    ports: bool = True,
    turned: bool = True,
    stamp: str = "month",
    client: str = "shop/till-0",
) -> list[str]:
    lines = []
    for time, q, back in events(queries):
        when = {
            "month": f"Mar  1 {clock(time)[:-3]}: ",
            "iso": f"{iso(time, 3)}: ",
            "node": f"Mar  1 {clock(time)[:-3]} [kind-worker]: ",
        }[stamp]
        mine = client + (f":{q.port}" if ports else "") + " (ID:101)"
        dns = "kube-system/coredns-1111" + (":53" if ports else "") + " (ID:202)"
        kind = "dns-response" if back else "dns-request"
        ends = f"{mine} {'<-' if back else '->'} {dns}"
        if back and not turned:
            ends = f"{dns} -> {mine}"
        if not back:
            summary = f"DNS Query {q.name}. {q.qtype}"
        elif q.rcode == "NXDOMAIN":
            summary = (
                f"DNS Answer RCode: Non-Existent Domain TTL: 4294967295 (Proxy {q.name}. {q.qtype})"
            )
        elif q.answered:
            summary = f'DNS Answer "198.51.100.9" TTL: 30 (Proxy {q.name}. {q.qtype})'
        else:
            summary = f"DNS Answer  TTL: 4294967295 (Proxy {q.name}. {q.qtype})"
        lines.append(f"{when}{ends} {kind} proxy FORWARDED ({summary})")
    return lines


HUBBLE: dict[str, dict[str, Any]] = {
    "default": {},
    "no ports": {"ports": False},
    "ends turned": {"turned": False},
    "both": {"ports": False, "turned": False},
    "iso": {"stamp": "iso"},
    "node": {"stamp": "node"},
    "address": {"client": "10.9.0.18"},
    "another pod": {"client": "ns-2/web-5c9d8b7f6-k4t2m"},
    "an address without ports": {"client": "10.9.0.18", "ports": False},
    "iso, turned": {"stamp": "iso", "turned": False},
}


@pytest.mark.parametrize("form", HUBBLE)
def test_hubble_text(form: str, tmp_path: Path) -> None:
    lines = hubble(walk("api.acme.test", LIST), **HUBBLE[form])
    ends = "shop/till-0:1 (ID:1) -> world:443 (ID:2)"
    other = f"Mar  1 10:00:00.100: {ends} to-stack FORWARDED (TCP Flags: SYN)"
    path = save(tmp_path, "\n".join([other, *lines]).encode())
    assert told(path) == whole("api.acme.test", LIST)
    assert dict(load(path).skipped) == {"other_event": 1}
    (row,) = analyze(path).client_rows
    client = HUBBLE[form].get("client", "shop/till-0")
    assert row.client_addr == client
    if "/" in client:
        assert f"{row.namespace}/{row.pod}" == client


def test_one_flow_on_two_nodes_is_one(tmp_path: Path) -> None:
    flows = []
    for node in ("n1", "n2"):
        for time, q, back in events(walk("api.acme.test", LIST)):
            ends = (SERVER, q.client) if back else (q.client, SERVER)
            ports = (53, q.port) if back else (q.port, 53)
            dns = {"query": q.name + ".", "qtypes": [q.qtype]}
            if back:
                dns["rcode"] = 3 if q.rcode == "NXDOMAIN" else 0  # type: ignore[assignment]
                if q.answered:
                    dns["ips"] = ["192.0.2.7"]
            flow = {
                "time": iso(time + (300_000 if node == "n2" else 0)),
                "node_name": node,
                "verdict": "FORWARDED",
                "IP": {"source": ends[0], "destination": ends[1]},
                "l4": {"UDP": {"source_port": ports[0], "destination_port": ports[1]}},
                "l7": {"type": "RESPONSE" if back else "REQUEST", "dns": dns},
            }
            flows.append(json.dumps({"flow": flow}))
    path = save(tmp_path, "\n".join(flows).encode())
    assert load(path).duplicates == 16
    assert told(path) == whole("api.acme.test", LIST)


def dnsmasq(queries: list[Query], before: str, *, extra: bool = False) -> list[str]:
    lines = []
    for serial, (time, q, back) in enumerate(events(queries), 1):
        stamp = before.format(clock=clock(time), short=clock(time)[:8], iso=iso(time))
        number = f"{q.port + q.number} {q.client}/{q.port} " if extra else ""
        if not back:
            lines.append(f"{stamp}{number}query[{q.qtype}] {q.name} from {q.client}")
            lines.append(f"{stamp}{number}forwarded {q.name} to 10.0.0.2")
        else:
            kind = "IPv4" if q.qtype == "A" else "IPv6"
            value = (
                "192.0.2.7"
                if q.answered
                else "NXDOMAIN"
                if q.rcode == "NXDOMAIN"
                else f"NODATA-{kind}"
            )
            lines.append(
                f"{stamp}{number}{'cached' if serial % 3 else 'reply'} {q.name} is {value}"
            )
    return lines


DNSMASQ = {
    "kube-dns": "I0301 {clock}       1 nanny.go:116] dnsmasq[23]: ",
    "syslog": "Mar  1 {short} node-1 dnsmasq[411]: ",
    "its own file": "Mar  1 {short} dnsmasq[411]: ",
    "kubectl": "{iso} dnsmasq[1]: ",
    "none": "dnsmasq: ",
}


@pytest.mark.parametrize("before", DNSMASQ)
@pytest.mark.parametrize("extra", [False, True])
def test_dnsmasq(before: str, extra: bool, tmp_path: Path) -> None:
    queries = [
        q for n in range(3) for q in walk(f"a{n}.acme.test", LIST, start=START + n * SECOND, seed=n)
    ]
    path = save(tmp_path, "\n".join(dnsmasq(queries, DNSMASQ[before], extra=extra)).encode())
    found = told(path)
    collected = load(path)
    assert_ledger(collected)
    assert collected.skipped["upstream_leg"] == 24
    assert found["names"] == ["a0.acme.test", "a1.acme.test", "a2.acme.test"]
    assert (found["lookups"], found["queries"]) == (3, 24)


def test_dnsmasq_answers_aliases_and_errors(tmp_path: Path) -> None:
    lines = [
        "query[A] www.x.test from 10.0.0.1",
        "forwarded www.x.test to 10.0.0.2",
        "reply www.x.test is <CNAME>",
        "reply edge.x.test is 192.0.2.1",
        "reply edge.x.test is 192.0.2.2",
        "query[AAAA] y.test from 10.0.0.1",
        "reply error is SERVFAIL",
        "query[PTR] 1.2.0.192.in-addr.arpa from 10.0.0.3",
        "/etc/hosts 192.0.2.1 is gate",
        "started, version 2.90 cachesize 150",
    ]
    path = save(
        tmp_path,
        "".join(f"{iso(START + n * MS)} dnsmasq[1]: {x}\n" for n, x in enumerate(lines)).encode(),
    )
    found = table_of([path], "transactions")
    outcomes = dict(zip(found["qname"], found["outcome"], strict=True))
    assert outcomes["www.x.test"] == "answer"
    assert outcomes["y.test"] == "servfail"
    assert_ledger(load(path))


# ---- CoreDNS: other releases, other formats -----------------------------------------------------


def old(q: Query, *, number: bool = True, port: bool = True) -> str:
    end = f"{q.client}{f':{q.port}' if port else ''}"
    ident = f"{q.number} " if number else ""
    size = 200 if q.rcode == "NXDOMAIN" else 60 if q.answered else 31
    return (
        f'{end} - [01/Mar/2026:10:00:00 +0000] {ident}"{q.qtype} IN {q.name}. udp 31 false 512" '
        f"{q.rcode} qr,aa,rd {size} {(q.done - q.asked) // 1000}\u00b5s"
    )


CUSTOM: dict[str, Callable[[Query], str]] = {
    "before 1.3": old,
    "without IDs": lambda q: old(q, number=False),
    "without ports": lambda q: old(q, number=False, port=False),
    "own": lambda q: f"[INFO] udp {q.name}. {q.qtype} {q.client} {q.rcode} {q.done - q.asked}ns",
    "with a port": lambda q: f"[INFO] {q.client}:{q.port} {q.qtype} {q.name}. {q.rcode} 0.0002s",
    "keys": lambda q: (
        f"[INFO] client={q.client} type={q.qtype} name={q.name}. rcode={q.rcode} proto=udp"
    ),
    "quoted": lambda q: f'[INFO] "{q.client}" "{q.qtype} IN {q.name}. udp" "{q.rcode}" 0.0001s',
    "outcome first": lambda q: f"[INFO] {q.rcode} {q.name}. IN {q.qtype} from {q.client} over udp",
    "JSON": lambda q: (
        f'[INFO] {{"remote":"{q.client}","type":"{q.qtype}","name":"{q.name}.",'
        f'"rcode":"{q.rcode}","proto":"udp"}}'
    ),
    "commas": lambda q: f"[INFO] udp,{q.client},{q.qtype},{q.name}.,{q.rcode},0.0003s",
}


@pytest.mark.parametrize("form", CUSTOM)
@pytest.mark.parametrize("timed", [True, False])
def test_other_formats_of_coredns(form: str, timed: bool, tmp_path: Path) -> None:
    queries = walk("api.acme.test", LIST)
    lines = [(f"{iso(q.done)} " if timed else "") + CUSTOM[form](q) for q in queries]
    path = save(tmp_path, "\n".join(lines).encode())
    assert told(path) == whole("api.acme.test", LIST)
    assert_ledger(load(path))


def test_errors_of_coredns_are_summed_by_upstream(tmp_path: Path) -> None:
    lines = [
        f"[ERROR] plugin/errors: 2 x{n}.test. A: read udp 10.9.0.2:4{n}000->8.8.{n % 2}.8:53: "
        "i/o timeout"
        for n in range(5)
    ]
    path = save(tmp_path, "\n".join(lines).encode())
    said = analyze(path).warnings
    assert any("8.8.0.8:53 3 times" in w for w in said)
    assert any("8.8.1.8:53 2 times" in w for w in said)


# ---- gadgets and flows --------------------------------------------------------------------------


#: Prefixes of column names, how the pod's and the direction's are called, and where columns stand.
COLUMNS = {
    "short": ("", "POD", "TYPE", "NUMANSWERS", 0),
    "long": ("K8S.", "K8S.PODNAME", "PKT_TYPE", "NUM_ANSWERS", 0),
    "long type": ("K8S.", "K8S.PODNAME", "TYPE", "NUM_ANSWERS", 0),
    "short and indented": ("", "POD", "TYPE", "NUMANSWERS", 2),
    "wide": ("", "POD", "TYPE", "NUMANSWERS", 9),
    "long and wide": ("K8S.", "K8S.PODNAME", "PKT_TYPE", "NUM_ANSWERS", 7),
    "no count": ("", "POD", "TYPE", "LATENCY", 0),
    "mixed": ("K8S.", "POD", "PKT_TYPE", "NUM_ANSWERS", 1),
    "names cut": ("", "PODNAME", "TYPE", "LATENCY", 3),
    "long, with a latency": ("K8S.", "K8S.PODNAME", "PKT_TYPE", "LATENCY_NS", 4),
}


def gadget(head: str) -> list[str]:
    """Return the columns of one walk under such a head."""
    prefix, pod_column, kind_column, count_column, wider = COLUMNS[head]
    columns = [
        f"{prefix}NODE",
        f"{prefix}NAMESPACE",
        pod_column,
        "PID",
        "QR",
        kind_column,
        "QTYPE",
        "NAME",
        "RCODE",
        count_column,
    ]
    widths = [w + wider for w in (12, 16, 16, 8, 8, 12, 8, 60, 14, 12)]
    lines = ["".join(c.ljust(w) for c, w in zip(columns, widths, strict=True))]
    for _, q, back in events(walk("api.acme.test", LIST)):
        for pod in ("till-0", "coredns-1"):
            mine = pod == "till-0"
            kind = "HOST" if back == mine else "OUTGOING"
            code = ("NXDomain" if q.rcode == "NXDOMAIN" else "NoError") if back else ""
            count = ("1" if q.answered else "0") if back else ""
            cells = [
                "n1",
                "shop" if mine else "kube-system",
                pod,
                "77",
                "R" if back else "Q",
                kind,
                q.qtype,
                q.name + ".",
                code,
                count,
            ]
            lines.append("".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)).rstrip())
    return lines


@pytest.mark.parametrize("head", COLUMNS)
def test_columns_of_inspektor_gadget(head: str, tmp_path: Path) -> None:
    """Without addresses the pod is the client; what the server's pod shows says nothing."""
    path = save(tmp_path, "\n".join(gadget(head)).encode())
    assert told(path) == whole("api.acme.test", LIST)
    (row,) = analyze(path).client_rows
    assert (row.namespace, row.pod) == ("shop", "till-0")
    assert load(path).skipped["no_client_address"] == 16


def test_columns_of_inspektor_gadget_with_addresses(tmp_path: Path) -> None:
    columns = ["RUNTIME.CONTAINERNAME", "SRC", "DST", "COMM", "ID", "QR", "QTYPE", "RCODE", "NAME"]
    widths = [24, 26, 26, 8, 6, 4, 8, 12, 60]
    lines = ["".join(c.ljust(w) for c, w in zip(columns, widths, strict=True))]
    for _, q, back in events(walk("api.acme.test", LIST)):
        ends = [f"{q.client}:{q.port}", f"{SERVER}:53"]
        source, target = reversed(ends) if back else ends
        code = ("NameError" if q.rcode == "NXDOMAIN" else "Success") if back else ""
        cells = [
            "api",
            source,
            target,
            "api",
            f"{q.number:04x}",
            "R" if back else "Q",
            q.qtype,
            code,
            q.name + ".",
        ]
        lines.append("".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)).rstrip())
    found = rows(save(tmp_path, "\n".join(lines).encode()))
    assert len(found) == 16
    assert {r["client_addr"] for r in found} == {"10.9.0.18"}
    assert {r["rcode"] for r in found} == {None, "NOERROR", "NXDOMAIN"}


#: What versions and stores of NetObserv write otherwise; None takes a key away.
FLOWS: dict[str, dict[str, Any]] = {
    "plain": {},
    "no code": {"DnsFlagsResponseCode": None},
    "no pod": {"DstK8S_Name": None, "DstK8S_Namespace": None, "DstK8S_Type": None},
    "an owner": {"DstK8S_OwnerName": "till", "DstK8S_OwnerType": "StatefulSet"},
    "its agent": {"AgentIP": "10.0.0.7", "IfDirections": [0], "Interfaces": ["eth0"]},
    "Loki": {"app": "netobserv-flowcollector", "_RecordType": "flowLog", "FlowDirection": "1"},
    "bytes": {"Bytes": 120, "Packets": 1, "Dscp": 0, "Etype": 2048, "Flags": 16},
    "its begin": {"TimeFlowStartMs": START // MS},
    "a second name": {"SrcK8S_Name": "kube-dns", "SrcK8S_Type": "Service"},
    "DNS errors": {"DnsErrno": 0},
}


def netobserv(more: dict[str, Any]) -> list[str]:
    """Return the flows of one walk, and one of another protocol."""
    flows = []
    for q in sorted(walk("api.acme.test", LIST), key=lambda q: q.asked):
        flow: dict[str, Any] = {
            "SrcAddr": SERVER,
            "SrcPort": 53,
            "DstAddr": q.client,
            "DstPort": q.port,
            "Proto": 17,
            "DnsId": q.number,
            "DnsName": q.name,
            "DnsLatencyMs": (q.done - q.asked) // MS,
            "DnsFlags": 0x8583 if q.rcode == "NXDOMAIN" else 0x8180,
            "TimeFlowEndMs": q.done // MS,
            "DstK8S_Name": "till-0",
            "DstK8S_Namespace": "shop",
            "DstK8S_Type": "Pod",
        }
        flow["DnsFlagsResponseCode"] = "NXDomain" if q.rcode == "NXDOMAIN" else "NoError"
        flow = {k: v for k, v in (flow | more).items() if v is not None}
        flows.append(json.dumps(flow))
    flows.append(json.dumps({"SrcAddr": "10.0.0.1", "DstAddr": "10.0.0.2", "Proto": 6}))
    return flows


@pytest.mark.parametrize("more", FLOWS.values(), ids=FLOWS)
def test_flows_of_netobserv(more: dict[str, Any], tmp_path: Path) -> None:
    path = save(tmp_path, "\n".join(netobserv(more)).encode())
    found = told(path)
    assert (found["lookups"], found["queries"], found["wasted"]) == (1, 8, 6)
    assert found["search"] == [list(LIST)]
    (row,) = analyze(path).client_rows
    pod = None if "DstK8S_Name" in more else "till-0"
    assert (row.namespace, row.pod) == ("shop", pod)
