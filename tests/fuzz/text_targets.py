"""Targets of printed lines: each form's reader, and what log collectors put around lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pcapkit.ingest.inputs.formats import FORMATS
from pcapkit.ingest.logs.reading.read import read_text
from pcapkit.ingest.window import Interners
from tests.fuzz.outcomes import PORTS, Outcome, Target, capture_outcome, source_of
from tests.fuzz.packet_targets import read_any
from tests.fuzz.seeds import LINES
from tests.ingest.logs.walks import coredns, iso, tcpdump, walk, wrapped

_DATA = Path(__file__).parents[1] / "data" / "sources"
_SIX = Path(__file__).parents[2] / "captures" / "six-traces"
_BLOCK_BYTES = 1 << 12  # so that longer inputs have seams
_LIST = ("shop.svc.cluster.local", "cluster.local")
_QUERIES = walk("api.acme.test", _LIST)


def _reader(name: str) -> Callable[[bytes], Outcome]:
    """Return the reader of one form: both its own code, and its compiled one where it has that."""
    (form,) = [f for f in FORMATS if f.name == name]

    def run(data: bytes) -> Outcome:
        found = []
        for compiled in (False, True):
            interners = Interners()
            source = source_of(data)
            capture = read_text(
                source,
                interners,
                ports=PORTS,
                form=form,
                block_bytes=_BLOCK_BYTES,
                compiled=compiled,
            )
            found.append(capture_outcome(capture, interners))
        if found[0] != found[1]:
            raise AssertionError(f"read differently, compiled: {found[0]} != {found[1]}")
        return found[0]

    return run


def _text(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _some(path: Path, *groups: slice) -> list[bytes]:
    lines = path.read_bytes().splitlines(keepends=True)
    return [b"".join(lines[group]) for group in groups]


def _tcpdump_seeds() -> Iterator[bytes]:
    yield LINES
    yield _text(tcpdump(_QUERIES[:4]))
    yield from (_some(p, slice(0, 4))[0] for p in sorted(_SIX.glob("*.txt")))
    yield b"1700000000.000001 eth0  Out IP 10.0.0.1.4000 > 10.0.0.2.53: 1+ A? a.b. (20)\n"
    yield b"IP 10.0.0.1.4000 > 10.0.0.2.domain: Flags [P.], seq 1:30, length 29 7+ A? x. (27)\n"
    yield b"10:00:00.1 IP 10.0.0.2 > 10.0.0.1: ICMP 10.0.0.2 udp port 53 unreachable, length 56\n"
    yield b"2026-03-01 10:00:00.1 IP 10.0.0.2.53 > 10.0.0.1.4000: 1 ServFail- 0/0/0 (20)\n"


def _tshark_seeds() -> Iterator[bytes]:
    from tests.ingest.logs.test_forms import TSHARK

    for form in TSHARK.values():
        yield _text(form(_QUERIES[:3]))


def _coredns_seeds() -> Iterator[bytes]:
    yield from _some(_DATA / "coredns.log", slice(0, 4), slice(4, 8))
    yield _text([iso(q.done) + " " + coredns(q) for q in _QUERIES[:3]])
    yield _text([iso(q.done, 3) + " stdout F " + coredns(q) for q in _QUERIES[:3]])
    yield _text([coredns(q) for q in _QUERIES[4:6]])
    yield b'10.0.0.1:5 - [01/Mar/2026:10:00:00 +0000] 7 "A IN a.b. udp 20 false 0" NOERROR qr 9\n'
    yield b"2026-03-01T10:00:00Z [ERROR] plugin/errors: 2 a.b. A: read udp 1.2.3.4:5->6.7.8.9:53: x"
    yield b'[INFO] [fd00::1]:4000 - 9 "HINFO IN 12345.67890. udp 57 false 9" NXDOMAIN qr 57 1s\n'


def _wrapped_seeds() -> Iterator[bytes]:
    q = _QUERIES[0]
    for text_key, time_key, stamp in (
        ("log", "time", None),
        ("message", "@timestamp", None),
        ("textPayload", "timestamp", 1_772_359_200),
        ("body", "timeUnixNano", "1772359200000000000"),
        ("MESSAGE", None, None),
    ):
        lines = [wrapped(coredns(one), one.done, text_key, time_key, stamp) for one in _QUERIES[:2]]
        yield _text(lines)
    yield json.dumps([json.loads(wrapped(coredns(q), q.done, "log", "time", None))] * 2).encode()
    yield json.dumps(
        {"streams": [{"values": [[str(q.done), coredns(q)]], "stream": {"pod": "dns-0"}}]}
    ).encode()
    inner = wrapped(coredns(q), q.done, "log", "time", None)
    yield json.dumps({"log": inner, "kubernetes": {"pod_name": "dns-1"}}).encode()
    yield json.dumps(
        {"event": {"message": coredns(q)}, "date": 1_772_359_200.25}, indent=2
    ).encode()
    line = iso(q.done) + " " + coredns(q)
    yield _text(
        [f"> {line}", f"| {line} |", "```", f"    {line}", "```", "## log", "$ kubectl logs x"]
    )
    yield _text(["==> dns-0.log <==", line, "==> dns-1.log <==", f"\x1b[32m{line}\x1b[0m"])
    yield ("\ufeff" + line + "\n").encode("utf-16-le")
    yield _text([line.replace('"', "&quot;").replace(">", "&gt;"), line.replace(" ", "\xa0")])


def _dnsmasq_seeds() -> Iterator[bytes]:
    from tests.ingest.logs.test_forms import DNSMASQ, dnsmasq

    for number, before in enumerate(DNSMASQ.values()):
        yield _text(dnsmasq(_QUERIES[:2], before, extra=number % 2 == 0))
    yield b"dnsmasq: query[A] www.x.test from 10.0.0.1\ndnsmasq: reply www.x.test is <CNAME>\n"
    yield b"dnsmasq: reply error is SERVFAIL\ndnsmasq: /etc/hosts 192.0.2.1 is gate\n"


def _hubble_seeds() -> Iterator[bytes]:
    yield from _some(_DATA / "hubble.jsonl", slice(0, 2), slice(2, 4), slice(6, 7), slice(12, 14))
    yield b'{"verdict":"FORWARDED","IP":{"source":"10.0.0.1"},"l7":{"dns":{"query":"a."}}}\n'
    yield b'{"lost_events":{"source":"PERF","num_events_lost":"4"},"node_name":"n"}\n'


def _hubble_text_seeds() -> Iterator[bytes]:
    from tests.ingest.logs.test_forms import HUBBLE, hubble

    for options in HUBBLE.values():
        yield _text(hubble(_QUERIES[:2], **options))
    yield b"Mar  1 10:00:00.100: a/b:1 (ID:1) -> world:443 (ID:2) to-stack FORWARDED (TCP: SYN)\n"


def _gadget_seeds() -> Iterator[bytes]:
    yield from _some(_DATA / "gadget-trace-dns.jsonl", slice(0, 2), slice(4, 6), slice(9, 11))
    yield from _some(_DATA / "ig-run-trace_dns.jsonl", slice(0, 2), slice(4, 6))
    from tests.ingest.logs.test_forms import COLUMNS, gadget

    for head in COLUMNS:
        yield _text(gadget(head)[:5])


def _netobserv_seeds() -> Iterator[bytes]:
    from tests.ingest.logs.test_forms import FLOWS, netobserv

    for more in FLOWS.values():
        yield _text(netobserv(more)[:2])


def _any_text_seeds() -> Iterator[bytes]:
    for seeds in (_tcpdump_seeds, _tshark_seeds, _coredns_seeds, _dnsmasq_seeds, _hubble_seeds):
        yield next(seeds())
    yield from _wrapped_seeds()


_TIMES = (b"2026-03-01T10:00:00.123456Z ", b"+01:30", b"10:00:00.000001 ", b"1772359200.5")
_NAMES = (b"\\032", b"\\.", b"xn--", b"example.com.", b"AAAA", b"TYPE65", b"HTTPS")
_JSON = (b'"log":"', b'"time":"', b'\\n"', b"\\u0000", b"{}", b"[[", b"1e999", b'":{"', b"null,")
TEXT_TARGETS = (
    Target("text", read_any, _any_text_seeds, (*_TIMES, *_JSON), 500),
    Target(
        "tcpdump text",
        _reader("tcpdump text"),
        _tcpdump_seeds,
        (*_TIMES, *_NAMES, b" NXDomain", b"[|domain]", b" ServFail", b"1/0/0 ", b" CNAME ", b" > "),
        400,
    ),
    Target(
        "tshark text",
        _reader("tshark text"),
        _tshark_seeds,
        (
            *_NAMES,
            b" No such name",
            b"Standard query ",
            b"response 0x",
            b"\xe2\x86\x92",
            b" CNAME ",
        ),
        400,
    ),
    Target(
        "CoreDNS log",
        _reader("CoreDNS log"),
        _coredns_seeds,
        (*_TIMES, *_NAMES, b"[INFO] ", b" NOERROR qr,rd,ra ", b' udp 40 true 4096"', b" - 0 "),
        400,
    ),
    Target(
        "wrapped log", _reader("CoreDNS log"), _wrapped_seeds, (*_TIMES, *_JSON, b"\x1b[0m"), 500
    ),
    Target(
        "dnsmasq log",
        _reader("dnsmasq log"),
        _dnsmasq_seeds,
        (
            *_NAMES,
            b"query[",
            b"] ",
            b" from ",
            b"reply ",
            b" is ",
            b"NXDOMAIN",
            b"<CNAME>",
            b"cached ",
        ),
        400,
    ),
    Target("Hubble JSON", _reader("Hubble flows"), _hubble_seeds, (*_JSON, *_NAMES), 1000),
    Target(
        "Hubble text",
        _reader("Hubble text"),
        _hubble_text_seeds,
        (*_NAMES, b" <- ", b" -> ", b" dns-request proxy ", b"(DNS Answer ", b"TTL: 4294967295"),
        400,
    ),
    Target("Inspektor Gadget", _reader("Inspektor Gadget"), _gadget_seeds, (*_JSON, *_NAMES), 1000),
    Target("NetObserv", _reader("NetObserv flows"), _netobserv_seeds, (*_JSON, *_NAMES), 1000),
)
