"""Lines that are read many at a time give what they give one by one, however they come.

Lines of every shape, usual ones and others, go through both: the compiled readers, which leave to
the other what they do not know, and that one alone.
"""

from __future__ import annotations

import io
import json
import random
from dataclasses import replace
from typing import Any, BinaryIO, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcapkit.errors import NotACapture
from pcapkit.ingest.inputs.formats import format_of
from pcapkit.ingest.inputs.source import Source
from pcapkit.ingest.inputs.wrappings import lines_of
from pcapkit.ingest.logs.blocks.filled import Streams
from pcapkit.ingest.logs.coredns import CoreDnsReader
from pcapkit.ingest.logs.lines import LineMessage, Shared
from pcapkit.ingest.logs.reading.read import read_text
from pcapkit.ingest.window import Interners
from pcapkit.schema import QR
from tests.ingest.logs.walks import MS, SECOND, START, Query, coredns, iso, tcpdump, walk
from tests.twins import log_order

LIST = ("shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "ec2.internal")
NAMES = ("api.acme.test", "db.ledger", "web", "a.b.c.d.e.f", "x.svc.y.svc.cluster.local", "api.x")
PODS = ("coredns-5d78c9869d-abcde", "coredns-5d78c9869d-fghij", "dns-1")


class _Pieces(io.BytesIO):
    """A stream that gives a few bytes at a time, as a decompressor may."""

    def __init__(self, content: bytes, most: int) -> None:
        super().__init__(content)
        self._most = most

    def readinto(self, buffer: Any) -> int:
        return super().readinto(memoryview(buffer)[: self._most])


def told(
    content: bytes, *, compiled: bool | None = True, block_bytes: int = 1 << 18, most: int = 1 << 20
) -> dict[str, Any] | None:
    """Return all that is read of a text, None where it has no form."""
    interners = Interners()
    source = Source("x", cast(BinaryIO, _Pieces(content, most)), len(content))
    try:
        form = format_of(source)
        if form is not None and form.sign is None:
            return None
        capture = read_text(
            source,
            interners,
            ports=frozenset((53,)),
            form=form,
            block_bytes=block_bytes,
            compiled=compiled,
        )
        windows = list(capture.windows)
    except NotACapture:
        return None
    rows = np.concatenate([w.messages for w in windows]) if windows else np.zeros(0)
    out: dict[str, Any] = {"warnings": capture.warnings, "format": capture.format}
    out["windows"] = [
        (w.packets, dict(w.skipped), w.first_time, w.last_time, len(w.messages)) for w in windows
    ]
    for column in rows.dtype.names or ():
        values = rows[column].tolist()
        if column in ("qname", "client", "server"):
            interner = interners.names if column == "qname" else interners.addresses
            values = [interner[v] if v >= 0 else None for v in values]
        elif column == "content":  # its numbers are others in every run
            first: dict[int, int] = {}
            values = [first.setdefault(v, len(first)) for v in values]
        out[column] = values
    return out


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("block_bytes", [16, 64, 1 << 18])
def test_the_first_line_of_another_form_has_its_own_number(
    compiled: bool, block_bytes: int
) -> None:
    """Behind blank ones too, passed over together or one by one."""
    queries = _lines_of(tcpdump(walk("a.example", ("b.example",))))
    lines = [*queries[:3], b"", b"\r", b"another program's line", b"and one more", *queries[3:]]
    found = told(b"\n".join(lines), compiled=compiled, block_bytes=block_bytes)
    assert found is not None
    (said,) = [w for w in found["warnings"] if "not of this form" in w]
    assert "2 lines are" in said and "the first near line 6:" in said


def _lines_of(lines: list[str]) -> list[bytes]:
    return [line.encode() for line in lines]


# ---- lines ---------------------------------------------------------------------------------------

labels = st.text("abcxyzAZ019-_*", min_size=1, max_size=12)
names = st.one_of(
    st.lists(labels, min_size=1, max_size=5).map(lambda v: ".".join(v) + "."),
    st.sampled_from(
        (
            ".",
            "a..b.",
            "no-dot",
            r"a\.b.",
            r"\000.",
            "x" * 63 + ".",
            "x" * 64 + ".",
            "\u00e9.example.",
        )
    ),
    st.integers(40, 70).map(lambda n: ".".join(["abc"] * n) + "."),
)
numbers = st.one_of(
    st.integers(0, 70_000).map(str), st.sampled_from(("0", "512", "1232", "65535", "00047", "-"))
)
clients = st.one_of(
    st.sampled_from(("10.244.1.5", "10.244.1.6", "192.0.2.255", "[fd00::1:2]", "[::1]", "[::]")),
    st.sampled_from(
        (
            *("[1:2:3:4:5:6:7:8]", "[1::3:4:5:6:7:8]", "[1:2:3:4:5:6:7::]", "[::2:3:4:5:6:7:8]"),
            *("[1:2:3:4:5:6:7:8:9]", "[::ffff:1.2.3.4]", "[fe80::1%eth0]", "[1:::2]", "[12345::]"),
            *("10.0.0.256", "10.0.0.01", "1.2.3", "pod-1.ns", "1.2.3.4.5"),
        )
    ),
)
durations = st.one_of(
    st.integers(0, 10**10).map(lambda v: f"{v / 1e9:.9f}s"),
    st.sampled_from(
        (
            "0s",
            "0.1s",
            "105\u00b5s",
            "1.5ms",
            "-0.001s",
            "86400s",
            "86399.9s",
            "0.0000000001s",
            "1m2s",
        )
    ),
)
stamps = st.one_of(
    st.integers(0, 10**12).map(lambda v: iso(START + v)),
    st.tuples(st.integers(0, 10**10), st.integers(0, 8)).map(lambda v: iso(START + v[0], v[1])),
    st.integers(0, 999).map(lambda v: iso(START + v * MS)),
    st.sampled_from(
        (
            *("2026-03-01T10:00:00+02:00", "2026-03-01T10:00:00.5-07:30", "2026-02-31T23:59:60Z"),
            *("2026-03-01T24:00:00Z", "2026-13-01T10:00:00Z", "2026-03-01 10:00:00,500"),
            *(
                "2026-03-01T10:00:00.1234567891Z",
                "1969-12-31T23:59:59Z",
                "1970-01-01T00:00:00+05:00",
            ),
            *("2026-03-01T10:00:00+0230", "2026-03-01T10:00:00", "2500-01-01T00:00:00Z"),
        )
    ),
)


codes = st.sampled_from(("NOERROR", "NOERROR", "NXDOMAIN", "SERVFAIL", "-", "3", "BADVERS"))
flags = st.sampled_from(("qr,aa,rd", "qr,rd,ra", "qr,aa,rd,ra,ad,cd,tc", "-", "qr,zz", "qr,"))


@st.composite
def query_lines(draw: st.DrawFn) -> str:
    qtype = draw(
        st.sampled_from(("A", "AAAA", "A", "AAAA", "SRV", "HTTPS", "HINFO", "TYPE65", "ANY", "a"))
    )
    name = draw(names)
    size = draw(st.one_of(st.just(str(len(name) + 17)), numbers))
    shown = draw(
        st.one_of(
            st.just(str(2 * len(name) + 33)),
            st.integers(0, 4).map(lambda n: str(len(name) + 17 + n * 27)),
            st.just(str(len(name) + 17 + 93)),
            numbers,
        )
    )
    return (
        draw(st.sampled_from(("[INFO] ", "", "", "[INFO]  ", "[ERROR] ")))
        + f"{draw(clients)}:{draw(numbers)} - {draw(numbers)} "
        f'"{qtype} {draw(st.sampled_from(("IN", "IN", "IN", "CH", "CLASS9")))} {name} '
        f"{draw(st.sampled_from(('udp', 'udp', 'tcp', 'quic')))} {size} "
        f'{draw(st.sampled_from(("true", "false", "-", "maybe")))} {draw(numbers)}" '
        f"{draw(codes)} {draw(flags)} "
        f"{shown} {draw(durations)}"
        + draw(st.sampled_from(("", "", "", ' "0"', ' "4"', ' "16"', " ")))
    )


def usual_queries() -> st.SearchStrategy[str]:
    """Lines as CoreDNS writes nearly all of them."""
    return st.builds(
        lambda base, k, seed: coredns(walk(base, LIST, start=START + k * MS, seed=seed)[seed % 8]),
        st.sampled_from(NAMES),
        st.integers(0, 50),
        st.integers(0, 40),
    )


def _record(text: str, stamp: str, pod: str, kind: int) -> str:
    """Return a shipper's record of a line."""
    seconds = START // SECOND + len(text) + 0.123456
    wide: tuple[dict[str, Any], ...] = (
        {"log": text + "\n", "stream": "stdout", "time": stamp},
        {"date": seconds, "log": text, "kubernetes": {"pod_name": pod, "labels": {"pod": "x"}}},
        {
            "message": text,
            "kubernetes": {"pod_name": pod},
            "timestamp": stamp,
            "n": [1, {"a": None}],
        },
        {"labels": {"pod": pod}, "line": text, "timestamp": str(START + len(text))},
        {"ts": int(seconds), "msg": text, "resource": {"labels": {"pod_name": pod}}, "ok": True},
        {"ts": int(seconds * 1000), "log": text, "message": None, "pod": {"name": pod}},
        {"time": True, "log": text},
        {"time": None, "ts": stamp, "log": text, "note": "a\\b \u00e9 \t&gt;"},
        {"log": text + "\n" + text, "time": stamp},
        {"log": text, "time": stamp, "qr": "Q"},
        {"log": {"message": text}, "time": stamp},
        {"time": stamp, "stream": {"pod": pod}, "event": text, "text": "other"},
        {"@timestamp": stamp, "message": " " + text, "k": -1.5, "e": {}, "l": []},
        {"log": text, "date": START / SECOND},
        {"log": text, "date": int(seconds) + 0.1 * len(text)},
    )
    return json.dumps(wide[kind % len(wide)], separators=((",", ":"), (", ", ": "))[kind % 2])


@st.composite
def wrapped_lines(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> str:
    text, stamp, pod = draw(texts), draw(stamps), draw(st.sampled_from(PODS))
    kind = draw(st.integers(0, 40))
    around = (
        text,
        f"{stamp} {text}",
        f"{stamp} stdout F {text}",
        f"{stamp} stderr F {text}",
        f"{stamp} stdout P {text}",
        f"[pod/{pod}/coredns] {text}",
        f"[pod/{pod}/coredns] {stamp} {text}",
        f"{pod} {stamp} {text}",
        f"{stamp} {stamp} {text}",
        f"coredns-a-b {text}",
    )
    return around[kind] if kind < len(around) else _record(text, stamp, pod, kind - len(around))


others = st.sampled_from(
    (
        *(
            "",
            " ",
            "\t",
            "^C",
            "$ kubectl logs x",
            "==> a.log <==",
            "==> b-1-2.log <==",
            "```",
            "----",
        ),
        *("[INFO] plugin/reload: Running configuration SHA512 = x", ".:53", "CoreDNS-1.11.1"),
        *(
            "some other program",
            '{"a": 1}',
            "{",
            "}",
            '{"log": "cut',
            "[",
            '  "log": "x",',
            "> quoted",
        ),
        "[ERROR] plugin/errors: 2 a.b. A: read udp 10.0.0.1:5->10.0.0.2:53: i/o timeout",
        "10:00:00.210731 IP 10.0.0.1.5353 > 10.0.0.2.53: 5+ A? a.b. (21)",
        "Mar  1 10:00:00 dnsmasq[7]: query[A] a.b from 10.0.0.1",
        "     \x1b[31mred\x1b[0m NXDOMAIN",
        "\u00a0 nbsp",
    )
)
ends = st.sampled_from((b"\n", b"\n", b"\n", b"\n", b"\r\n"))


def mutated(line: bytes, change: tuple[int, int, int]) -> bytes:
    """Return a line with a byte more, less or other, mostly unchanged."""
    kind, at, byte = change
    if not line or kind > 3:
        return line
    at %= len(line)
    return line[:at] + (b"" if kind == 1 else bytes([byte])) + line[at + (kind != 2) :]


changes = st.tuples(st.integers(0, 12), st.integers(0, 400), st.integers(0, 255))


@st.composite
def texts_of(draw: st.DrawFn, lines: st.SearchStrategy[str]) -> bytes:
    found = draw(st.lists(st.tuples(lines, changes, ends), min_size=1, max_size=30))
    out = b"".join(mutated(line.encode(), change) + end for line, change, end in found)
    return out if draw(st.booleans()) else out.rstrip(b"\n")


coredns_texts = st.one_of(
    texts_of(st.one_of(wrapped_lines(usual_queries()), others)),
    texts_of(st.one_of(wrapped_lines(st.one_of(usual_queries(), query_lines())), others)),
    texts_of(usual_queries()),
    texts_of(usual_queries().map(lambda text: f"{iso(START + len(text) * MS)} {text}")),
)


@given(
    text=coredns_texts, block_bytes=st.sampled_from((7, 64, 300, 1 << 18)), most=st.integers(1, 999)
)
@settings(deadline=None, max_examples=200)
def test_queries_are_read_alike_in_blocks_and_one_by_one(
    text: bytes, block_bytes: int, most: int
) -> None:
    assert told(text, block_bytes=block_bytes, most=most) == told(text, compiled=False)


# ---- packets -------------------------------------------------------------------------------------

clocks = st.one_of(
    st.integers(0, 86_399_999_999).map(
        lambda v: f"{v // 3_600_000_000:02}:{v // 60_000_000 % 60:02}:{v % 60_000_000 / 1e6:09.6f} "
    ),
    st.integers(0, 10**9).map(lambda v: f"2026-03-01 10:00:{v % 61:02}.{v:09} "),
    st.integers(0, 10**9).map(lambda v: f"{1_772_359_200 + v}.{v % 10**6:06} "),
    st.sampled_from(
        ("", "", "00:00:00.000000 ", "24:00:00.000000 ", "2026-02-30 10:00:00.000001 ")
    ),
    st.sampled_from(
        ("-00:00:00.000001 ", "9999999999.000001 ", " 00:00:00.000100 ", "7  10:00:00.1 ")
    ),
)
way = st.sampled_from(
    ("", "", "", "eth0  In  ", "eth0  Out ", "veth1@if2 P   ", "lo    B   ifindex 7 ", "any M  ")
)
hosts = st.sampled_from(
    (
        *(("IP", "10.0.0.1", "10.96.0.10"), ("IP", "10.0.0.2", "10.96.0.10")),
        *(
            ("IP6", "fd00::1", "fd00::a"),
            ("IP6", "::1", "1:2:3:4:5:6:7:8"),
            ("IP", "10.0.0.01", "1.2.3.4"),
        ),
        *(
            ("IP", "web-1.shop", "10.96.0.10"),
            ("IP6", "fe80::1%eth0", "fd00::a"),
            ("IP", "fd00::1", "::"),
        ),
    )
)
asked = st.sampled_from(("A", "AAAA", "A", "SRV", "HINFO", "Type65", "a", "A CHAOS", "HTTPS"))
results = st.sampled_from(
    (
        *(
            "1/0/0 A 10.96.1.7",
            "2/0/0 A 10.96.1.7, A 10.96.1.8",
            "0/1/0",
            "0/0/0",
            "1/0/0",
            "2/0/0 A 1.2.3.4",
        ),
        *(
            "2/0/0 CNAME x.example., A 1.2.3.4",
            "1/0/1 AAAA fd00::9",
            "1/0/0 CNAME a.b.",
            "1/0/0 [|domain]",
        ),
        *(
            '1/0/0 TXT "a, A 1.2.3.4"',
            "1/0/0 SRV x.y.:80 0 100",
            "1/0/0 MX mail. 10",
            "[2q] 1/0/0 A 1.2.3.4",
        ),
        *("1/0/0 A 10.96.1.7,", "100000/0/0", "1/2/3 A 1.2.3.4", "1/0/0 NS A.ROOT.", "1/0/0 A"),
        "q: A? a.b. 1/0/0 a.b. [30s] A 10.0.0.1",
    )
)


@st.composite
def packet_lines(draw: st.DrawFn, clock: st.SearchStrategy[str]) -> str:
    family, client, server = draw(hosts)
    port, number = draw(st.sampled_from((40_000, 40_001, 53, 70_000))), draw(st.integers(0, 3))
    dns = draw(st.sampled_from(("53", "53", "53", "domain", "5353", "443")))
    size = draw(st.sampled_from((" (62)", " (62)", " (62)", "", " (1234567)", " (62) ")))
    if draw(st.booleans()):
        extra = draw(st.sampled_from(("", "", "[1au] ", "[b2&3=0x182] [1au] ", "[1au][2n] ")))
        flags = draw(st.sampled_from(("+", "+", "", "+%", "%", "-", " update+")))
        name = draw(names)
        rest = f"{number}{flags} {extra}{draw(asked)}? {name}{size}"
        ends = f"{client}.{port} > {server}.{dns}"
    else:
        code = draw(
            st.sampled_from(
                (
                    "",
                    " NXDomain",
                    " ServFail",
                    " Refused",
                    "NXDomain",
                    " Resp11",
                    " NotImp",
                    " FormErr",
                )
            )
        )
        flags = draw(st.sampled_from(("", "*", "*-", "-", "|", "*|$-", "+")))
        rest = f"{number}{code}{flags} {draw(results)}{size}"
        ends = f"{server}.{dns} > {client}.{port}"
    return f"{draw(clock)}{draw(way)}{family} {ends}: {rest}"


def usual_packets() -> st.SearchStrategy[str]:
    """Lines as tcpdump prints nearly all of them."""
    return st.builds(
        lambda base, seed, at: tcpdump(walk(base, LIST, seed=seed, start=START + seed * MS))[at],
        st.sampled_from(NAMES),
        st.integers(0, 20),
        st.integers(0, 15),
    )


beside = st.sampled_from(
    (
        *(
            "\t0x0000:  4500 0039 IP",
            "\t0x0010:  aa",
            "    10.0.0.1.5 > 10.0.0.2.53: 7+ A? a.b. (21)",
        ),
        *(
            "    continued",
            "10:00:00.000001 IP (tos 0x0, ttl 64, id 7, offset 0)",
            "2 packets captured",
        ),
        *(
            "10:00:00.000001 ARP, Request who-has 10.0.0.1",
            "listening on any, link-type LINUX_SLL2",
        ),
        *(
            "IP 10.0.0.1 > 10.0.0.2: ICMP 10.0.0.1 udp port 53 unreachable, length 36",
            "reading from x",
        ),
        "10:00:00.000002 IP 10.0.0.1.40000 > 10.0.0.2.443: Flags [S], seq 1, length 0",
        "10:00:00.000003 IP 10.0.0.1.53 > 10.0.0.1.40000: 12345 HINFO? 12345.67890. (30)",
        "10:00:00.000003 IP 10.0.0.1.40000 > 10.0.0.2.53: 2+ HINFO? 123456.678901. (30)",
        "10:00:00.000004 IP 10.0.0.2.53 > 10.0.0.1.40000: 2 NXDomain 0/1/0 (105)",
    )
)
packet_texts = st.one_of(
    texts_of(st.one_of(packet_lines(clocks), others, beside)),
    texts_of(st.one_of(usual_packets(), beside, packet_lines(clocks))),
    texts_of(st.one_of(packet_lines(st.just("")), beside)),
    texts_of(st.one_of(usual_packets(), packet_lines(clocks.filter(lambda c: c.count(":") == 2)))),
)


@given(
    text=packet_texts, block_bytes=st.sampled_from((7, 64, 300, 1 << 18)), most=st.integers(1, 999)
)
@settings(deadline=None, max_examples=200)
def test_packets_are_read_alike_in_blocks_and_one_by_one(
    text: bytes, block_bytes: int, most: int
) -> None:
    assert told(text, block_bytes=block_bytes, most=most) == told(text, compiled=False)


# ---- the order of a log --------------------------------------------------------------------------

BASES = (
    "api.acme.test",
    "db.ledger.svc.cluster.local",
    "db.ledger",
    "web",
    "x.svc.y",
    "svc",
    "a.b",
)
LISTS = (LIST, ("ledger.svc.cluster.local", *LIST[1:]), ("n.svc.k8s.lan", "svc.k8s.lan", "k8s.lan"))


def _walks(chance: random.Random) -> list[Query]:
    """Return queries of some clients, which overlap, in the order of their responses."""
    out: list[Query] = []
    for _ in range(chance.randrange(1, 12)):
        found = walk(
            chance.choice(BASES),
            chance.choice(LISTS),
            client=chance.choice(("10.9.0.18", "10.9.0.19")),
            start=START + chance.randrange(40) * MS,
            step=chance.choice((150_000, 3 * MS, 30 * MS)),
            seed=chance.randrange(1 << 30),
            stop=chance.choice((None, 0, 1, 5)),
        )
        out += [q for q in found if chance.random() < 0.95] or found
    if chance.random() < 0.3:
        out.append(replace(chance.choice(out), name=""))  # the root
    return sorted(out, key=lambda q: q.done)


def _log(chance: random.Random) -> bytes:
    """Return a log of one or more replicas: stamps of some accuracy or none, mixed or in turn."""
    queries = _walks(chance)
    replicas = chance.choice((1, 1, 2, 3))
    digits = chance.choice((None, 0, 1, 3, 6, 9))
    late = chance.choice((0, 0, 400 * MS))
    lines = []
    for k, q in enumerate(queries):
        stamp = (
            "" if digits is None else iso(q.done + (late - k % 7 * 50 * MS if late else 0), digits)
        )
        stamp = iso(START + SECOND + 900 * k) if late and digits == 9 else stamp
        pod = chance.randrange(replicas)
        lines.append((pod, f"[pod/{PODS[pod]}/c] {stamp + ' ' if stamp else ''}{coredns(q)}"))
    if chance.random() < 0.5:
        lines.sort(key=lambda line: line[0])
    if replicas == 1 and chance.random() < 0.5:
        lines = [(0, text.partition("] ")[2]) for _, text in lines]
    return "".join(f"{text}\n" for _, text in lines).encode()


def _in_plain_python(content: bytes) -> tuple[list[int], bool]:
    """Return the times of a log's messages as its twin in plain Python says, and if it has any."""
    interners, found = Interners(), list[LineMessage]()
    reader = CoreDnsReader(frozenset((53,)), {})
    reader.share(Shared(interners, Streams(), {}, np.zeros(1 << 16, np.uint8)))
    for raw in content.splitlines():
        for line in lines_of(raw):
            messages = reader.read(line)
            assert messages is not None and not isinstance(messages, str)
            found += messages
    timed = found[0].time is not None
    pairs = log_order.pairs_of(found)
    several = len({m.stream for m in found}) > 1
    order = log_order.in_order(found, pairs, timed=timed) if several else pairs
    if timed:
        walks = log_order.WalkOrder()
        for at in order:
            walks.place(found[at], found[at + 1], "" if several else found[at].stream)
        return [m.time or 0 for m in found], True
    counted: dict[bytes, int] = {}
    times = [0] * len(found)
    for at in (at + k for at in order for k in (0, 1)):
        client = found[at].client
        counted[client] = times[at] = counted.get(client, 0) + 1_000
    return times, False


@pytest.mark.parametrize("seed", range(300))
def test_the_order_of_a_log_is_that_of_plain_python(seed: int) -> None:
    content = _log(random.Random(seed))
    times, timed = _in_plain_python(content)
    found = told(content)
    assert found is not None and found["time"] == times
    assert [bool(flags & QR) for flags in found["flags"]] == [False, True] * (len(times) // 2)
    assert any("no times" in w for w in found["warnings"]) != timed
