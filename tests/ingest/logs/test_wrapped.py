"""What people really have: wrapped, cut, mixed and coarsely timed lines give the plain lookups."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pcapkit.errors import NotACapture
from pcapkit.pipeline.analyze import analyze
from tests.build import assert_ledger, load, open_only, rows, save
from tests.ingest.logs.walks import (
    MS,
    SECOND,
    START,
    coredns,
    iso,
    lines_of,
    tcpdump,
    walk,
    wrapped,
)

LIST = ("shop.svc.cluster.local", "svc.cluster.local", "cluster.local")
NAMES = (
    ("api.acme.test", LIST),
    ("db.ledger.svc.cluster.local", ("ledger.svc.cluster.local", *LIST[1:])),
    ("mail.corp.example", (*LIST, "corp.example")),
    ("a.b", LIST),
    ("x.y.z.example.org", ("ns-1.svc.k8s.lan", "svc.k8s.lan", "k8s.lan", "ec2.internal")),
)


def told(path: str) -> dict[str, Any]:
    """Return what is told of lookups, without their times."""
    a = analyze(path)
    return {
        "queries": a.waste.queries,
        "wasted": a.waste.wasted_queries,
        "lookups": a.lookup_counts.total,
        "complete": a.lookup_counts.complete,
        "names": sorted({n.base_name for n in a.name_rows}),
        "search": [list(c.search) for c in a.client_rows],
    }


def whole(base: str, search: tuple[str, ...]) -> dict[str, Any]:
    """Return what is told of one walk in full."""
    return {
        "queries": 2 * (len(search) + 1),
        "wasted": 2 * len(search),
        "lookups": 1,
        "complete": 1,
        "names": [base],
        "search": [list(search)],
    }


# ---- the order of a log -------------------------------------------------------------------------

STAMPS: dict[str, Callable[[int, int], str]] = {
    "1 ns": lambda time, _: iso(time) + " ",
    "1 us": lambda time, _: iso(time, 6) + " ",
    "1 ms": lambda time, _: iso(time, 3) + " ",
    "100 ms": lambda time, _: iso(time, 1) + " ",
    "1 s": lambda time, _: iso(time, 0) + " ",
    "none": lambda *_: "",
    "read in one go": lambda _, at: iso(START + 3 * MS + 4_107 * at) + " stdout F ",
    "read late in one go": lambda _, at: iso(START + 400 * MS + 900 * at) + " stdout F ",
    "padded": lambda time, _: iso(time // MS * MS) + " ",
    "another zone": lambda time, _: iso(time + 5400 * SECOND, 3)[:-1] + "+01:30 ",
    "west of Greenwich": lambda time, _: iso(time - 7 * 3600 * SECOND, 0)[:-1] + "-0700 ",
    "container runtime": lambda time, _: iso(time, 3) + " stdout F ",
    "no zone": lambda time, _: iso(time, 3)[:-1].replace("T", " ") + " ",
    "comma": lambda time, _: iso(time, 3)[:-1].replace("T", " ").replace(".", ",") + " ",
}


@pytest.mark.parametrize("stamp", STAMPS)
@pytest.mark.parametrize(("base", "search"), NAMES)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_lines_is_that_of_the_walk(
    stamp: str, base: str, search: tuple[str, ...], seed: int, tmp_path: Path
) -> None:
    queries = walk(base, search, seed=seed, start=START + 417 * MS)
    write = STAMPS[stamp]
    text = "".join(f"{write(q.done, n)}{coredns(q)}\n" for n, q in enumerate(queries))
    assert told(save(tmp_path, text.encode())) == whole(base, search)


@pytest.mark.parametrize("digits", [0, 3, 9])
def test_several_walks_in_one_second(digits: int, tmp_path: Path) -> None:
    queries = [
        q
        for n in range(5)
        for q in walk(f"api{n}.acme.test", LIST, start=START + n * 20 * MS, seed=n)
    ]
    found = told(save(tmp_path, lines_of(queries, lambda q: iso(q.done, digits) + " ")))
    assert (found["lookups"], found["complete"], found["wasted"]) == (5, 5, 30)


def test_slow_queries_at_once_stay_where_they_were(tmp_path: Path) -> None:
    """An overlap beyond what stamps may be off is one: durations are those of the log."""
    queries = walk("api.acme.test", (), step=300 * MS)
    path = save(tmp_path, lines_of(queries, lambda q: iso(q.done) + " "))
    asked = [r["time"].value for r in rows(path) if not r["is_response"]]
    assert asked == [q.asked for q in queries]


@pytest.mark.parametrize("digits", [3, 9])
def test_what_the_log_lacks_is_said(digits: int, tmp_path: Path) -> None:
    """Without one candidate, without one family: incomplete, and nothing is called wasted."""
    for lost in ((2, 3), (0,), (3,), (4, 5)):
        queries = [q for n, q in enumerate(walk("api.acme.test", LIST)) if n not in lost]
        path = save(tmp_path, lines_of(queries, lambda q: iso(q.done, digits) + " "))
        found = told(path)
        assert (found["lookups"], found["complete"], found["wasted"]) == (1, 0, 0), lost
        assert any("missing" in w for w in analyze(path).warnings)


# ---- replicas -----------------------------------------------------------------------------------

PREFIXES = {
    "kubectl": "[pod/coredns-{}/coredns] {}",
    "kubectl, all": "[pod/kube-system/coredns-{}/coredns] {}",
    "stern": "coredns-5d78c9869d-{} coredns {}",
}


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("digits", [None, 3, 9])
@pytest.mark.parametrize("seed", range(4))
def test_replicas_behind_one_another(
    prefix: str, digits: int | None, seed: int, tmp_path: Path
) -> None:
    """Each candidate went to one of two replicas: every walk is whole again."""
    queries = [
        q
        for n in range(3)
        for q in walk(f"api{n}.acme.test", LIST, start=START + n * SECOND, seed=seed + n)
    ]
    mine = {q.name: (k * k // 3 + k // 2 + seed) % 2 for k, q in enumerate(queries)}
    lines: dict[int, list[str]] = {0: [], 1: []}
    for q in queries:
        stamp = "" if digits is None else iso(q.done, digits) + " "
        replica = (q.number + q.port + seed) % 2 if seed > 2 else mine[q.name]
        lines[replica].append(
            PREFIXES[prefix].format("abc" + "xy"[replica] + "z", stamp + coredns(q))
        )
    found = told(save(tmp_path, "\n".join(lines[0] + lines[1]).encode()))
    assert (found["lookups"], found["complete"], found["wasted"]) == (3, 3, 18)
    assert found["search"] == [list(LIST)]


#: How lines of several replicas are printed: with their pod, their time in ns and their text.
REPLICAS: dict[str, Callable[[str, int, str], str]] = {
    "kubectl": lambda pod, t, line: f"[pod/{pod}/coredns] {iso(t, 3)} {line}",
    "kubectl, 1 s": lambda pod, t, line: f"[pod/{pod}/coredns] {iso(t, 0)} {line}",
    "kubectl, all containers": lambda pod, t, line: (
        f"[pod/kube-system/{pod}/coredns] {iso(t)} {line}"
    ),
    "kubectl, no times": lambda pod, _, line: f"[pod/{pod}/coredns] {line}",
    "a zone": lambda pod, t, line: (
        f"[pod/{pod}/coredns] {iso(t + 19_800 * SECOND, 6)[:-1]}+05:30 {line}"
    ),
    "stern": lambda pod, t, line: f"{pod} coredns {iso(t)} {line}",
    "Fluent Bit": lambda pod, t, line: json.dumps(
        {"@timestamp": iso(t, 3), "log": line + "\n", "kubernetes": {"pod_name": pod}}
    ),
    "Vector": lambda pod, t, line: json.dumps(
        {"timestamp": iso(t), "message": line, "kubernetes": {"pod_name": pod, "labels": {}}}
    ),
    "Loki": lambda pod, t, line: json.dumps(
        {"labels": {"pod": pod, "app": "dns"}, "line": line, "timestamp": str(t)}
    ),
    "Cloud Logging": lambda pod, t, line: json.dumps(
        {"textPayload": line, "timestamp": iso(t), "resource": {"labels": {"pod_name": pod}}}
    ),
    "Filebeat": lambda pod, t, line: json.dumps(
        {"@timestamp": iso(t, 3), "message": line, "kubernetes": {"pod": {"name": pod}}}
    ),
}


@pytest.mark.parametrize("form", REPLICAS)
@pytest.mark.parametrize("together", [False, True], ids=["one after the other", "by their times"])
@pytest.mark.parametrize("pods", [2, 3])
def test_replicas_in_what_people_print(
    form: str, together: bool, pods: int, tmp_path: Path
) -> None:
    """Candidates went to any of the replicas; two clients of other lists asked for two names."""
    asked = {
        "10.9.0.18": (LIST, ("api.acme.test", "mail.corp.example")),
        "10.9.3.7": (("ns-1.svc.k8s.lan", "svc.k8s.lan", "k8s.lan", "ec2.internal"), ("a.b", "c")),
    }
    queries = [
        q
        for n, (client, (search, bases)) in enumerate(asked.items())
        for m, base in enumerate(bases)
        for q in walk(
            base, search, client=client, start=START + (2 * n + 5 * m) * SECOND, seed=5 * n + m
        )
    ]
    printed = [
        (
            q.done,
            (n // 2) % pods,
            REPLICAS[form](f"coredns-5d78c9869d-x{n // 2 % pods}z7q", q.done, coredns(q)),
        )
        for n, q in enumerate(queries)
    ]
    printed.sort(key=lambda p: p[0] if together else p[1])
    found = analyze(save(tmp_path, "\n".join(line for *_, line in printed).encode()))
    assert {n.base_name for n in found.name_rows} == {
        b for _, bases in asked.values() for b in bases
    }
    assert {c.client_addr: c.search for c in found.client_rows} == {
        client: search for client, (search, _) in asked.items()
    }
    assert (found.lookup_counts.total, found.lookup_counts.complete) == (4, 4)
    assert found.waste.queries == len(queries)


@pytest.mark.parametrize("lost", range(4))
def test_a_replica_that_is_missing_is_said(lost: int, tmp_path: Path) -> None:
    """Of four replicas the log of one is not there: what it answered is missed by its walks."""
    queries = walk("api.acme.test", LIST)
    kept = [(n // 2, q) for n, q in enumerate(queries) if n // 2 != lost]
    lines = [f"[pod/coredns-{n}/coredns] {iso(q.done, 3)} {coredns(q)}" for n, q in kept]
    found = analyze(save(tmp_path, "\n".join(lines).encode()))
    assert (found.waste.queries, found.waste.wasted_queries) == (6, 0)
    assert found.lookup_counts.complete == 0


def test_replicas_without_times_are_said(tmp_path: Path) -> None:
    lines = [f"[pod/coredns-{n}/coredns] {coredns(q)}" for n in (1, 2) for q in walk("a.b", LIST)]
    assert any(
        "behind one another" in w
        for w in analyze(save(tmp_path, "\n".join(lines).encode())).warnings
    )


# ---- shippers -----------------------------------------------------------------------------------

RECORDS: dict[str, Callable[[str, int], str]] = {
    "docker": lambda line, t: wrapped(line, t, "log", "time", None),
    "fluent": lambda line, t: wrapped(line, t, "log", None, None),
    "vector": lambda line, t: wrapped(line, t, "message", "timestamp", None),
    "logstash": lambda line, t: wrapped(line, t, "message", "@timestamp", None),
    "seconds": lambda line, t: wrapped(line, t, "msg", "ts", t / SECOND),
    "milliseconds": lambda line, t: wrapped(line, t, "message", "timestamp", t // MS),
    "nanoseconds": lambda line, t: wrapped(line, t, "line", "ts", str(t)),
    "cloud logging": lambda line, t: wrapped(line, t, "textPayload", "timestamp", None),
    "open telemetry": lambda line, t: json.dumps(
        {"timeUnixNano": str(t), "body": {"stringValue": line}}
    ),
    "nested": lambda line, t: json.dumps(
        {"@timestamp": iso(t), "message": json.dumps({"log": line, "stream": "stdout"})}
    ),
    "elastic": lambda line, t: json.dumps({"_source": {"@timestamp": iso(t), "message": line}}),
    "loki": lambda line, t: json.dumps({"labels": {"pod": "x"}, "line": line, "timestamp": iso(t)}),
    "behind a time": lambda line, t: f"{iso(t)} stdout F " + json.dumps({"log": line}),
    "cri": lambda line, t: f"{iso(t)} stdout F {line}",
    "colours": lambda line, t: f"\x1b[32m{iso(t)}\x1b[0m {line}",
}


@pytest.mark.parametrize("shipper", RECORDS)
def test_shippers(shipper: str, tmp_path: Path) -> None:
    queries = walk("api.acme.test", LIST)
    text = "\n".join(RECORDS[shipper](coredns(q), q.done) for q in queries)
    assert told(save(tmp_path, text.encode())) == whole("api.acme.test", LIST)
    if shipper not in ("fluent",):
        first = min(r["time"].value for r in rows(save(tmp_path, text.encode())))
        assert abs(first - START) < 3 * MS


@pytest.mark.parametrize("indent", [None, 2, 4])
@pytest.mark.parametrize("form", ["gcloud", "cloudwatch", "loki", "elastic"])
def test_documents_of_records(form: str, indent: int | None, tmp_path: Path) -> None:
    queries = walk("api.acme.test", LIST)
    if form == "gcloud":
        document: Any = [{"textPayload": coredns(q), "timestamp": iso(q.done)} for q in queries]
    elif form == "cloudwatch":
        document = {"events": [{"message": coredns(q), "timestamp": q.done // MS} for q in queries]}
    elif form == "loki":
        values = [[str(q.done), coredns(q)] for q in queries]
        document = {"data": {"result": [{"stream": {"pod": "p"}, "values": values}]}}
    else:
        hits = [{"_source": {"message": coredns(q), "@timestamp": iso(q.done)}} for q in queries]
        document = {"hits": {"hits": hits}}
    if form == "loki" and indent:
        pytest.skip("Loki's answer is one line")
    text = json.dumps(document, indent=indent)
    assert told(save(tmp_path, text.encode())) == whole("api.acme.test", LIST)


def insights(line: str, time: int, *, asks: str) -> list[dict[str, str]]:
    """One result of CloudWatch Logs Insights; ``asks`` is what the query asked for."""
    moment = iso(time).replace("T", " ")[: len("2026-11-28 10:00:00.123")]
    said = {"@timestamp": moment, asks: line}
    if asks == "@message":  # Fluent Bit's record
        said[asks] = json.dumps({"log": line, "kubernetes": {"pod_name": "coredns-1"}})
    return [{"field": key, "value": value} for key, value in (*said.items(), ("@ptr", "CmEKKg"))]


@pytest.mark.parametrize("indent", [None, 2, 4])
@pytest.mark.parametrize("asks", ["@message", "log"])
@pytest.mark.parametrize("bare", [False, True])
def test_results_of_cloudwatch_logs_insights(
    asks: str, indent: int | None, tmp_path: Path, *, bare: bool
) -> None:
    """Lists of fields, as ``aws logs get-query-results`` prints them, or ``jq .results`` of it."""
    queries = walk("api.acme.test", LIST)
    results: Any = [insights(coredns(q), q.done, asks=asks) for q in queries]
    document = {
        "queryLanguage": "CWLI",
        "results": results,
        "statistics": {"recordsMatched": 8.0, "bytesScanned": 1234.0},
        "status": "Complete",
    }
    text = json.dumps(results if bare else document, indent=indent)
    path = save(tmp_path, text.encode(), "insights.json")
    assert told(path) == whole("api.acme.test", LIST)
    shown = [r["time"].value for r in rows(path)]
    assert all(START - MS <= time < START + SECOND for time in shown)
    assert max(shown) > min(shown)


def test_lists_of_other_things_are_read_as_before(tmp_path: Path) -> None:
    """A list within a list, of records or of what is no record at all."""
    queries = walk("api.acme.test", LIST)
    records = [[{"time": iso(q.done), "log": coredns(q)}] for q in queries]
    for document in (records, [[["a", "b"], [{"field": 1}], []], *records]):
        text = json.dumps(document, indent=2)
        assert told(save(tmp_path, text.encode())) == whole("api.acme.test", LIST)


@pytest.mark.parametrize("cut", [30, 60, 90, 140, 170])
def test_broken_records_are_counted_and_said(cut: int, tmp_path: Path) -> None:
    lines = [RECORDS["docker"](coredns(q), q.done) for q in walk("api.acme.test", LIST)]
    lines.insert(3, lines[3][:cut])
    path = save(tmp_path, "\n".join(lines).encode())
    collected = load(path)
    assert_ledger(collected)
    assert dict(collected.skipped) == {"text_not_understood": 1}
    assert any("not understood" in w for w in collected.warnings)
    assert told(path) == whole("api.acme.test", LIST)


# ---- what stands around lines -------------------------------------------------------------------

FRAMES: dict[str, Callable[[list[str]], list[str]]] = {
    "fence": lambda lines: ["```", *lines, "```"],
    "fence with a language": lambda lines: ["~~~text", *lines, "~~~"],
    "quoted mail": lambda lines: [f"> {line}" for line in lines],
    "quoted twice": lambda lines: [f">> {line}" for line in lines],
    "frame": lambda lines: [
        "\u250c" + "\u2500" * 60 + "\u2510",
        *(f"\u2502 {line:140} \u2502" for line in lines),
        "\u2514\u2500\u2500\u2500\u2518",
    ],
    "table": lambda lines: [f"| {line} |" for line in lines],
    "prompt": lambda lines: ["root@web-0:/# tcpdump -n port 53", *lines, "$ exit"],
    "prose": lambda lines: ["Here is what I see:", "", *lines, "", "Any idea?"],
    "escapes": lambda lines: [line.replace("*", "\\*") for line in lines],
    "entities": lambda lines: [line.replace(">", "&gt;").replace('"', "&quot;") for line in lines],
    "indented": lambda lines: [*(f"{line}   " for line in lines)],
    "error at the end": lambda lines: [
        *lines,
        ";; connection timed out; no servers could be reached",
    ],
    "other log between": lambda lines: [
        x for line in lines for x in (line, "GET /healthz 200 0.01s")
    ],
    "a clock of its own": lambda lines: [
        x for line in lines for x in (line, "23:59:59.000000 worker: ready")
    ],
    "no-break spaces": lambda lines: [line.replace(" ", "\xa0") for line in lines],
    "CRLF": lambda lines: [f"{line}\r" for line in lines],
}


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("form", ["tcpdump", "coredns"])
def test_what_stands_around_lines_changes_nothing(frame: str, form: str, tmp_path: Path) -> None:
    queries = walk("api.acme.test", LIST)
    lines = (
        tcpdump(queries) if form == "tcpdump" else [f"{iso(q.done)} {coredns(q)}" for q in queries]
    )
    path = save(tmp_path, "\n".join(FRAMES[frame](lines)).encode())
    assert told(path) == whole("api.acme.test", LIST)
    collected = load(path)
    assert_ledger(collected)
    duration = collected.captures[0].last_time - collected.captures[0].first_time  # type: ignore[operator]
    assert duration < 3 * MS


ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings(encoding: str, end: str, tmp_path: Path) -> None:
    lines = [*tcpdump(walk("api.acme.test", LIST)), "caf\xe9"]
    path = save(tmp_path, end.join(lines).encode(encoding))
    assert told(path) == whole("api.acme.test", LIST)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("; <<>> DiG 9.18 <<>> x\n;; ANSWER SECTION:\nx. 30 IN A 192.0.2.1\n", "dig"),
        ("#separator \\x09\n#fields\tts\tuid\n", "Zeek"),
        ("nameserver 10.96.0.10\nsearch a.b\n", "resolv-conf"),
        ('{"log": "ready", "time": "2026-03-01T10:00:00Z"}\n', "plugin log"),
        ("client @0x7f 10.0.0.1#4242 (x.y): query: x.y IN A +E(0)K (10.0.0.2)\n", "BIND"),
        ("NAMESPACE NAME READY\n", "kubectl"),
        ("<!DOCTYPE html><html>", "web page"),
        ("hello\n", "tcpdump -n"),
        ("  TIMESTAMP: Mar  1 10:00:00.100\n", "jsonpb"),
        ("0000  45 00 00 3d 00 0b 40 00 40 11\n", "text2pcap"),
    ],
)
def test_text_that_is_not_read_is_named(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(NotACapture, match=said) as caught:
        open_only(save(tmp_path, text.encode()))
    assert text.encode()[:3].hex(" ") not in str(caught.value)


def test_three_lines_in_a_long_log_of_another_program(tmp_path: Path) -> None:
    queries = walk("api.acme.test", ())[:1] + walk("cart", ("shop.svc.cluster.local",), stop=0)
    other = 'time="2026-03-01T10:00:00Z" level=info msg="request served" status=200 ms=3\n'
    text = other * 30_000
    for q in queries:
        text += f"{iso(q.done)} {coredns(q)}\n" + other * 10
    path = save(tmp_path, text.encode())
    collected = load(path)
    assert_ledger(collected)
    assert collected.captures[0].format == "CoreDNS log"
    assert collected.with_messages == 3
    assert dict(collected.skipped) == {"other_event": 30_030}
    assert any("30030 lines are not of this form" in w for w in collected.warnings)


def test_long_text_without_dns_is_refused_at_its_end(tmp_path: Path) -> None:
    path = save(tmp_path, b"nothing of the kind in this line\n" * 10_000)
    with pytest.raises(NotACapture, match="no line of a known form"):
        load(path)


def test_lines_of_a_megabyte(tmp_path: Path) -> None:
    lines = tcpdump(walk("api.acme.test", LIST))
    for filler in (
        "x" * 1_200_000,
        "IP " * 400_000,
        '{"log": "' + "y" * 1_100_000,
        "\\*" * 600_000,
    ):
        path = save(tmp_path, "\n".join([*lines[:5], filler, *lines[5:]]).encode())
        assert told(path) == whole("api.acme.test", LIST)
        assert_ledger(load(path))


@pytest.mark.parametrize(
    "line",
    [
        '[INFO] 10.9.0.1:5 - 6 "A IN x.y. udp 99999999999999999999 false 512" NOERROR qr 60 0.1s',
        '[INFO] 10.9.0.1:5 - 6 "A IN x.y. udp 40 false 512" NOERROR qr 99999999999999999999 0.1s',
        '[INFO] 10.9.0.1:5 - 6 "A IN x.y. udp 40 false 512" NOERROR qr 60 -0.1s',
        '[INFO] 10.9.0.1:5 - 6 "A IN x.y. udp 40 false 512" NOERROR qr 60 1e400s',
        '[INFO] 10.9.0.1:5 - 6 "A IN x.y. udp 40 false 512" NOERROR qr 60 99999999999999999999s',
        '[INFO] 10.9.0.1:5 - 6 "A IN x.y. udp 40 false 99999999999" NOERROR qr 60 0.1s',
        '[INFO] 10.9.0.1:99999 - 6 "A IN x.y. udp 40 false 512" NOERROR qr 60 0.1s',
        '[INFO] 10.9.0.1:5 - 6 "A IN x.y. udp 40 false 512" RCODE99999 qr 60 0.1s',
    ],
)
def test_numbers_that_fit_nowhere_cost_one_line_at_most(line: str, tmp_path: Path) -> None:
    queries = walk("api.acme.test", LIST)
    lines = [f"{iso(q.done)} {coredns(q)}" for q in queries]
    lines.insert(4, f"{iso(queries[4].asked)} {line}")
    path = save(tmp_path, "\n".join(lines).encode())
    assert_ledger(load(path))
    found = told(path)
    assert "api.acme.test" in found["names"] and found["wasted"] == 6
    spans = [n for n in rows(path) if n["time"].value < START - SECOND]
    assert not spans


def test_continuation_lines_without_end(tmp_path: Path) -> None:
    lines = tcpdump(walk("api.acme.test", LIST))
    more = ["        and so on, and on"] * 100_000
    path = save(tmp_path, "\n".join([*lines, *more]).encode())
    assert load(path).with_messages == len(lines)


# ---- copies, the server's own question, names for addresses -------------------------------------


@pytest.mark.parametrize("late", [1, 12_000, 900_000, 4_000_000])
def test_packets_printed_twice(late: int, tmp_path: Path) -> None:
    queries = walk("api.acme.test", LIST)
    again = [replace(q, asked=q.asked + late, done=q.done + late) for q in queries]
    if late < 10_000:  # before the response
        lines = sorted(tcpdump(queries) + tcpdump(again))
    else:
        lines = sorted([x for x in tcpdump(queries) for _ in (0, 1)])
    path = save(tmp_path, "\n".join(lines).encode())
    assert load(path).duplicates == 16
    assert told(path) == whole("api.acme.test", LIST)


def dressed(style: str, line: str) -> str:
    """Return a line of tcpdump as other options print it."""
    if style == "date":
        return f"2026-03-01 {line}"
    if style == "epoch":
        return f"{1_772_359_200 + int(line[6:8])}{line[8:]}"
    if style == "interface":
        return line.replace(" IP ", " eth0  In  IP ", 1)
    if style == "link":
        link = "02:42:ac:11:00:02 > 02:42:ac:11:00:03, ethertype IPv4 (0x0800), length 90:"
        return line.replace(" IP ", f" {link} ", 1)
    if style == "docker":
        return wrapped(line, START, "log", None, None)
    return f"> {line}" if style == "quoted" else line


@pytest.mark.parametrize(
    "style", ["plain", "date", "epoch", "interface", "link", "docker", "quoted"]
)
@pytest.mark.parametrize("late", [1, 4000])
def test_packets_printed_twice_in_other_dress(style: str, late: int, tmp_path: Path) -> None:
    queries = walk("db.shop", LIST, client="10.8.7.6", seed=late)
    again = [replace(q, asked=q.asked + late * 1000, done=q.done + late * 1000) for q in queries]
    plain = sorted(tcpdump(queries) + (tcpdump(again) if late == 1 else tcpdump(queries)))
    path = save(tmp_path, "\n".join(dressed(style, line) for line in plain).encode())
    assert load(path).duplicates == 16
    assert told(path) == whole("db.shop", LIST)


NUMBERS = "1234567890123456789.98765432109876543."
ASKED_BY_ITSELF = f'"HINFO IN {NUMBERS} udp 57 false 512"'
PROBES = {
    "loopback": f"[INFO] 127.0.0.1:5 - 6 {ASKED_BY_ITSELF} NXDOMAIN qr,rd 132 0.003s",
    "its pod": f"[INFO] 10.9.0.4:5 - 6 {ASKED_BY_ITSELF} NXDOMAIN qr,rd 132 0.003s",
    "IPv6": f"[INFO] [::1]:5 - 6 {ASKED_BY_ITSELF} NXDOMAIN qr,rd 132 0.003s",
    "SERVFAIL": f"[INFO] 127.0.0.1:5 - 6 {ASKED_BY_ITSELF} SERVFAIL qr,rd 57 2.001s",
    "no outcome": f"[INFO] 127.0.0.1:5 - 6 {ASKED_BY_ITSELF} - - 0 6.002s",
    "NOERROR": f"[INFO] 10.9.0.4:5 - 6 {ASKED_BY_ITSELF} NOERROR qr,aa,rd 132 0.0001s",
    "buffer": f'[INFO] 127.0.0.1:5 - 6 "HINFO IN {NUMBERS} udp 68 false 2048" NXDOMAIN qr 132 1ms',
    "tcp": f'[INFO] 127.0.0.1:5 - 6 "HINFO IN {NUMBERS} tcp 57 false 65535" NXDOMAIN qr,rd 132 3ms',
    "timestamps": f"2026-03-01T09:59:59.123456789Z [INFO] 127.0.0.1:5 - 6 {ASKED_BY_ITSELF} "
    "NXDOMAIN qr,rd 132 0.003s",
    "a pod's prefix": "[pod/coredns-7d764666f9-abcde/coredns] [INFO] 10.9.0.4:5 - 6 "
    f"{ASKED_BY_ITSELF} NXDOMAIN qr,rd 132 0.003s",
    "Docker": wrapped(
        f"[INFO] 127.0.0.1:5 - 6 {ASKED_BY_ITSELF} NXDOMAIN qr,rd 132 0.003s",
        START,
        "log",
        None,
        None,
    ),
    "Fluent Bit": wrapped(
        f"[INFO] 10.9.0.4:5 - 6 {ASKED_BY_ITSELF} NXDOMAIN qr,rd 132 0.003s",
        START,
        "message",
        "@timestamp",
        None,
    ),
}


@pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES)
def test_the_servers_own_question_is_left_out(probe: str, tmp_path: Path) -> None:
    path = save(tmp_path, "\n".join([probe, *(coredns(q) for q in walk("a.b", LIST))]).encode())
    assert dict(load(path).skipped) == {"own_probe": 1}
    assert told(path) == whole("a.b", LIST)


@pytest.mark.parametrize("name", ["12345.12345.example.", "web.shop.", "123.456.", "1234567."])
def test_what_is_asked_of_hinfo_otherwise_is_a_query(name: str, tmp_path: Path) -> None:
    line = f'[INFO] 10.9.0.4:5 - 6 "HINFO IN {name} udp 57 false 512" NXDOMAIN qr,rd 132 0.003s'
    found = load(save(tmp_path, line.encode()))
    assert not found.skipped and found.message_counts.queries == 1


@pytest.mark.parametrize(
    "names",
    [
        ("web-5c9d8b7f6-k4t2m", "10.96.0.10"),
        ("web-0.web.shop.svc.cluster.local", "kube-dns.kube-system.svc.cluster.local"),
        ("ip-10-0-3-7.ec2.internal", "ns1.acme.test"),
        ("localhost", "dns"),
        ("<redacted>", "<dns>"),
        ("x.x.x.x", "y.y.y.y"),
        ("pod_1", "10.96.0.10"),
        ("10-9-0-18.shop.pod.cluster.local", "kube-dns.kube-system"),
        ("fe80--1.lan", "_gateway"),
        ("WEB-7", "DNS-A.corp.example"),
        ("caf\xe9-1", "10.96.0.10"),
    ],
)
def test_names_stand_for_hosts(names: tuple[str, str], tmp_path: Path) -> None:
    client, server = names
    lines = [
        line.replace("10.9.0.18.", f"{client}.").replace("10.96.0.10.53", f"{server}.domain")
        for line in tcpdump(walk("api.acme.test", LIST))
    ]
    path = save(tmp_path, "\n".join(lines).encode())
    assert told(path) == whole("api.acme.test", LIST)
    (row,) = analyze(path).client_rows
    assert row.client_addr == client
    assert any("host names" in w for w in analyze(path).warnings)
