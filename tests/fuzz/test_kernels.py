"""Damaged and random input, and the kernels run with every index checked.

Whatever the bytes are, a capture is read or refused with an InputError, and every packet is counted
once. The kernels give the same messages compiled, as plain Python, and with bounds checks.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import struct
import subprocess
import sys
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pcapkit.errors import InputError
from tests.build import (
    AAAA,
    ASKED,
    CNAME,
    LOOP,
    NULL,
    RAW,
    SLL,
    SLL2,
    Packet,
    address_record,
    answer,
    ask,
    assert_ledger,
    conversation,
    ethernet,
    framed,
    geneve,
    gre,
    ipv4,
    ipv6,
    load,
    ng_interface,
    ng_packet,
    ng_section,
    ng_simple,
    opt_record,
    packets,
    pcap,
    pcap_header,
    pcapng,
    pointer,
    query,
    record,
    response,
    save,
    sll,
    sll2,
    soa_record,
    tcp,
    udp,
    vxlan,
    wire,
)

ROOT = Path(__file__).resolve().parent.parent.parent
SETTINGS = settings(
    max_examples=int(os.environ.get("PCAPKIT_FUZZ_EXAMPLES", "200")),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

LINES = (
    b"12:00:00.000000 IP 10.244.1.17.40000 > 10.96.0.10.53: 4660+ [1au] A? www.example.com. (44)\n"
    b"12:00:00.010000 IP (tos 0x0, ttl 64, id 12, offset 0, flags [DF], proto UDP (17), length 9)\n"
    b"    10.96.0.10.53 > 10.244.1.17.40000: [udp sum ok] 4660 NXDomain q: A? www.example.com. "
    b"0/1/1 ns: example.com. [30s] SOA ns.example.com. h.example.com. 1 7200 1800 86400 5 "
    b"ar: . OPT UDPsize=1232 (114)\n"
    b"12:00:00.020000 IP6 fd00::17.40000 > fd00::53.53: 7+ AAAA? six.example.com. (33)\n"
    b"12:00:00.030000 IP 10.96.0.10.53 > 10.244.1.17.40000: 9* 2/0/0 CNAME b.c., A 192.0.2.1 (90)\n"
)


def frames() -> list[bytes]:
    """Return Ethernet frames of many kinds."""
    alias = record(ASKED, CNAME, b"\x05alias" + pointer(16), ttl=9)
    full = response(
        "www.example.com",
        answers=[alias, address_record()],
        authority=[soa_record()],
        additional=[opt_record(extended_rcode=1, data=bytes(8))],
    )
    asked = query("www.example.com", AAAA, additional=[opt_record()])
    headers = bytes([43, 0]) + bytes(6) + bytes([44, 0]) + bytes(6) + bytes([17, 0]) + bytes(6)
    plain = ask(asked, ident=1)
    big = udp(response("big.example.com", answers=[address_record()] * 100), 53, 40000)
    halves = framed(asked, full, asked)
    return [
        ethernet(plain),
        ethernet(answer(full, ident=2)),
        ethernet(ask(query([b"a.b\0", b"\xff" * 63]), ident=3), tags=[(0x88A8, 1), (0x8100, 2)]),
        ethernet(ipv4(udp(asked), options=b"\1" * 12, ident=4)),
        ethernet(ipv6(headers + udp(full, 53, 40000), following=0)),
        ethernet(ipv4(tcp(framed(asked, full, asked), options=b"\1" * 12), protocol=6, ident=6)),
        ethernet(vxlan(ethernet(ask(asked, ident=7)))),
        ethernet(geneve(ethernet(ask(asked, ident=8)), options=bytes(8))),
        ethernet(gre(ask(asked, ident=9), flags=0xB0, extra=bytes(12))),
        ethernet(gre(ethernet(ask(asked, ident=10)), kind=0x88BE, flags=0x10, extra=bytes(12))),
        ethernet(ipv4(ask(asked, ident=11), protocol=4)),
        ethernet(ipv4(ipv6(udp(asked)), protocol=41)),
        ethernet(ask(struct.pack(">HHHHHH", 1, 0, 1, 0, 0, 0) + pointer(12) + bytes(4), ident=12)),
        ethernet(ask(query([b"x" * 63] * 4), ident=13)),
        ethernet(answer(struct.pack(">HHHHHH", 1, 0x8180, 9, 9, 9, 9) + wire("a.b"), ident=14)),
        ethernet(ipv4(big[:800], fragment=0x2000, ident=15)),
        ethernet(ipv4(big[800:], fragment=100, ident=15)),
        ethernet(ipv6(b"\x11\0\0\1\0\0\0\7" + big[:800], following=44)),
        ethernet(ipv6(b"\x11\0" + struct.pack(">HI", 800, 7) + big[800:], following=44)),
        ethernet(ipv4(tcp(halves[:50], 40001, sequence=7), protocol=6, ident=16)),
        ethernet(ipv4(tcp(halves[90:], 40001, sequence=97), protocol=6, ident=17)),
        ethernet(ipv4(tcp(halves[40:95], 40001, sequence=47), protocol=6, ident=18)),
        ethernet(b"\0\1\0\x40\0\1\1\x40" + plain, kind=0x8847),
        ethernet(b"\x11\0\0\5" + struct.pack(">HH", len(plain) + 2, 0x21) + plain, kind=0x8864),
        ethernet(b"\xaa\xaa\3\0\0\0\x08\0" + plain, kind=len(plain) + 8),
        ethernet(b"\x0f\xc2\1\1" + bytes(4) + plain, kind=0x894F),
        ethernet(ipv4(udp(b"\x34\xff\0\x40\0\0\0\7\0\0\0\x85\1\0\0\0" + plain, 2152, 2152))),
        ethernet(ipv4(udp(b"\x0c\0\0\1" + bytes(4) + plain, 40000, 4790))),
        ethernet(ipv4(udp(b"\1\0\0\1\x0a\1\xc0\1" + ethernet(plain), 40000, 37008))),
        ethernet(
            gre(
                bytes(10) + b"\0\1" + bytes(8) + ethernet(plain),
                kind=0x22EB,
                flags=0x10,
                extra=bytes(4),
            )
        ),
        ethernet(gre(b"\0\0\0\1\xff\3\0\x21" + plain, kind=0x880B, flags=0x20, extra=bytes(4))),
    ]


def seeds() -> list[bytes]:
    """Return whole captures of every format."""
    plain = packets(*frames())
    inner = [ask(query()), answer(response(answers=[address_record()])), ipv6(udp(query()))]
    sections = [
        ng_section(),
        ng_interface(resolution=9),
        ng_interface(linktype=RAW, resolution=0x8A),
        ng_packet(plain[0], interface=0),
        ng_packet(Packet(inner[1]), interface=1),
        ng_simple(plain[1]),
        ng_section(big=True),
        ng_interface(big=True, offset=5),
        ng_packet(plain[2], big=True),
        ng_packet(plain[3], big=True, obsolete=True),
    ]
    cut = [Packet(p.data[: len(p.data) * 3 // 4], p.time, len(p.data)) for p in plain]
    return [
        pcap(plain),
        pcap(plain[:8], big=True, magic=0xA1B23C4D),
        pcap(plain[:8], magic=0xA1B2CD34),
        pcap(cut),
        pcapng(plain),
        b"".join(sections),
        pcap(packets(*inner), linktype=RAW),
        pcap(packets(*(sll(p) for p in inner)), linktype=SLL),
        pcap(packets(*(sll2(p) for p in inner)), linktype=SLL2),
        pcap(packets(*(struct.pack("<I", 2) + p for p in inner)), linktype=NULL),
        pcap(packets(*(struct.pack(">I", 2) + p for p in inner)), linktype=LOOP),
        pcap(
            packets(
                *(
                    b"\2\0\0\0\5\0\x0a\0\0\0\0\0" + struct.pack("<HH", 4 + len(p), 9) + p
                    for p in inner
                )
            ),
            linktype=239,
        ),
        pcap(
            packets(*(struct.pack("<III", 108, 1, 101) + bytes(96) + p for p in inner)),
            linktype=258,
        ),
        pcap(packets(*(b"\x21" + p for p in inner)), linktype=9),
        pcap(packets(*(b"\1\2\xd4\0\0\0" + p for p in inner)), linktype=7),
        LINES,
    ]


SEEDS = seeds()


def check(folder: Path, content: bytes) -> None:
    """Read a capture: an InputError that names it, or a ledger that adds up."""
    path = save(folder, content)
    try:
        collected = load(path)
    except InputError as problem:
        assert path in str(problem)
        return
    assert_ledger(collected)
    messages = sum(part.size for _, part, _ in collected.kept)
    copies = sum(int((original > 0).sum()) for _, _, original in collected.kept)
    assert collected.message_counts.total == messages - copies
    for _, part, _ in collected.kept:
        for name in part["qname"]:
            if name >= 0:
                assert collected.name(int(name))
        for side in ("client", "server"):
            assert all(collected.address(int(n)) for n in part[side])


@st.composite
def mutated(draw, source: list[bytes]) -> bytes:
    """Return a capture with some bytes changed, cut out, put in or doubled."""
    content = bytearray(draw(st.sampled_from(source)))
    for _ in range(draw(st.integers(1, 12))):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        kind = draw(st.sampled_from(["set", "flip", "word", "delete", "insert", "double", "cut"]))
        if kind == "set":
            content[at : at + 1] = bytes([draw(st.sampled_from([0, 1, 63, 64, 127, 192, 255]))])
        elif kind == "flip":
            content[at : at + 1] = bytes([draw(st.integers(0, 255))])
        elif kind == "word":
            word = draw(st.sampled_from([0, 1, 0xFFFF, 0x7FFF, 0xC00C, 0x8000, 0x0035]))
            content[at : at + 2] = struct.pack(">H", word)
        elif kind == "delete":
            del content[at : at + draw(st.integers(1, 40))]
        elif kind == "insert":
            content[at:at] = draw(st.binary(max_size=40))
        elif kind == "double":
            content[at:at] = content[at : at + draw(st.integers(1, 200))]
        elif at > 24:
            del content[at:]
    return bytes(content)


@SETTINGS
@given(content=st.binary(max_size=400))
def test_random_bytes(tmp_path, content):
    """Bytes of any kind."""
    check(tmp_path, content)


@SETTINGS
@given(
    linktype=st.sampled_from(
        [
            0,
            1,
            6,
            7,
            9,
            10,
            12,
            14,
            50,
            51,
            101,
            104,
            105,
            108,
            109,
            113,
            117,
            119,
            127,
            129,
            138,
            149,
            163,
            192,
            195,
            204,
            228,
            229,
            230,
            239,
            240,
            241,
            253,
            258,
            274,
            276,
        ]
    ),
    content=st.lists(st.tuples(st.binary(max_size=120), st.integers(0, 200)), max_size=12),
)
def test_random_packets(tmp_path, linktype, content):
    """A whole file of packets of any bytes, cut or not."""
    made = [
        Packet(data, 10**18 + i * 1000, len(data) + more) for i, (data, more) in enumerate(content)
    ]
    path = save(tmp_path, pcap(made, linktype=linktype))
    collected = load(path)
    assert collected.packets == len(made)
    assert_ledger(collected)


@SETTINGS
@given(payloads=st.lists(st.binary(max_size=160), min_size=1, max_size=12), stream=st.booleans())
def test_random_payloads(tmp_path, payloads, stream):
    """Datagrams and segments of any bytes on port 53."""
    made = [
        ethernet(ipv4(tcp(p), protocol=6, ident=i + 1) if stream else ask(p, ident=i + 1))
        for i, p in enumerate(payloads)
    ]
    collected = load(save(tmp_path, pcap(packets(*made))))
    assert collected.packets == len(made)
    assert_ledger(collected)
    if not stream:
        short = sum(len(p) < 12 for p in payloads)
        assert collected.skipped["malformed"] == short
        assert collected.with_messages + collected.duplicates == len(made) - short


@SETTINGS
@given(data=st.data())
def test_any_segments_of_a_stream(tmp_path, data):
    """A stream in any cut and any order, its segments repeated: its messages, once each."""
    asked = [query(f"n{i}.example.com", ident=i + 1) for i in range(5)]
    stream = framed(*asked)
    places = data.draw(st.lists(st.integers(1, len(stream) - 1), max_size=8, unique=True))
    ends = [0, *sorted(places), len(stream)]
    pieces = [(a, stream[a:b]) for a, b in zip(ends, ends[1:], strict=False)]
    pieces += [pieces[i] for i in data.draw(st.lists(st.integers(0, len(pieces) - 1), max_size=3))]
    frames = [
        ethernet(ipv4(tcp(part, sequence=at + 1), protocol=6, ident=1000 * i + 9))
        for i, (at, part) in enumerate(data.draw(st.permutations(pieces)))
    ]
    opening = ethernet(ipv4(tcp(b"", flags=2, sequence=0), protocol=6, ident=1))
    collected = load(save(tmp_path, pcap(packets(opening, *frames))))
    found = sorted(int(i) for _, part, _ in collected.kept for i in part["message_id"])
    assert found == [1, 2, 3, 4, 5]
    assert_ledger(collected)


@SETTINGS
@given(data=st.data())
def test_any_fragments_of_a_datagram(tmp_path, data):
    """Fragments of any sizes, in any order, some of them missing, overlapping or repeated."""
    datagram = udp(response("big.example.com", answers=[address_record()] * 60), 53, 40000)
    blocks = len(datagram) // 8
    places = data.draw(st.lists(st.integers(1, blocks), max_size=8, unique=True))
    ends = [0, *(8 * p for p in sorted(places)), len(datagram)]
    pieces = [(a, datagram[a:b]) for a, b in zip(ends, ends[1:], strict=False)]
    count = len(pieces)
    frames = [
        ipv4(part, ident=5, fragment=at // 8 | (0x2000 if at + len(part) < len(datagram) else 0))
        for at, part in pieces
    ]
    chosen = data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=12))
    shown = 0 in chosen and len(pieces[0][1]) >= 20  # the headers of UDP and DNS
    collected = load(save(tmp_path, pcap(packets(*(ethernet(frames[i]) for i in chosen)))))
    assert_ledger(collected)
    found = sum(part.size for _, part, _ in collected.kept)
    assert (found > 0) == (shown or set(chosen) == set(range(count)))


@SETTINGS
@given(content=mutated([s for s in SEEDS if s != LINES]))
def test_mutated_captures(tmp_path, content):
    """Whole captures with bytes changed, lost and doubled."""
    check(tmp_path, content)


@SETTINGS
@given(data=st.data())
def test_mutated_packets(tmp_path, data):
    """Whole files of packets with bytes changed, lost and doubled: every packet is counted."""
    made = [data.draw(mutated(frames())) for _ in range(4)]
    collected = load(save(tmp_path, pcap(packets(*made))))
    assert collected.packets == len(made)
    assert_ledger(collected)


@SETTINGS
@given(content=mutated([LINES]))
def test_mutated_lines(tmp_path, content):
    """Lines of tcpdump with bytes changed, lost and doubled."""
    check(tmp_path, content)


@SETTINGS
@given(
    tail=st.text(
        alphabet=st.sampled_from(list(' .,:>?()[]/|*-+$%\\"0153AIPSqnsar\t\xff')), max_size=120
    )
)
def test_lines_of_any_text(tmp_path, tail):
    """What follows the addresses may be any text."""
    start = "12:00:00.000000 IP 10.244.1.17.40000 > 10.96.0.10.53: "
    lines = [LINES.decode().splitlines()[0], start + tail, start + "7 " + tail]
    check(tmp_path, "\n".join(lines).encode("latin-1"))


# ---- the same kernels, uncompiled and checked ---------------------------------------------------

SCRIPT = """
import json, sys
from pcapkit.errors import InputError
from pcapkit.pipeline.collect import collect

COLUMNS = [
    "time", "packet_no", "interface", "min_ttl", "edns_bytes", "message_bytes", "ip_id",
    "client_port", "server_port", "message_id", "flags", "rcode", "qtype", "qclass", "answers",
    "typed_answers", "edns_options", "message_no", "transport", "hop_limit", "marks",
]
for path in sys.argv[1:]:
    try:
        out = collect([path], keep_messages=True)
    except InputError as problem:
        print(json.dumps(["refused", problem.problem]))
        continue
    rows = []
    for _, part, original in out.kept:
        for row, copy in zip(part, original):
            rows.append([int(row[c]) for c in COLUMNS] + [
                int(copy), out.address(int(row["client"])), out.address(int(row["server"])),
                out.name(int(row["qname"])) if row["qname"] >= 0 else None,
            ])
    print(json.dumps(
        [out.packets, out.with_messages, out.duplicates, dict(sorted(out.skipped.items())),
         rows, out.captures[0].truncated_tail]
    ))
"""


def decoded(paths: list[str], **variables: str) -> list[list[object]]:
    """Return what another process makes of the captures, under environment variables."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::ResourceWarning", "-c", SCRIPT, *paths],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **variables},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def corpus(folder: Path, count: int) -> list[str]:
    """Write every seed and ``count`` damaged ones."""
    chance = random.Random(20)
    whole = [s for s in SEEDS if s != LINES]
    made = [*whole, pcap(conversation()), pcap([]), pcap_header()[:9]]
    for _ in range(count):
        content = bytearray(chance.choice(whole))
        for _ in range(chance.randrange(1, 30)):
            at = chance.randrange(24, len(content))
            content[at] = chance.choice([0, 1, 64, 192, 255, chance.randrange(256)])
        with contextlib.suppress(IndexError):
            if chance.random() < 0.3:
                del content[chance.randrange(40, len(content)) :]
        made.append(bytes(content))
    damaged_frames = []
    for frame in frames():
        for _ in range(count // 4):
            changed = bytearray(frame)
            for _ in range(chance.randrange(1, 6)):
                at = chance.randrange(12, len(changed))
                changed[at] = chance.choice([0, 1, 64, 192, 255, chance.randrange(256)])
            damaged_frames.append(bytes(changed[: chance.randrange(20, 2 * len(changed))]))
    made.append(pcap(packets(*damaged_frames)))
    return [save(folder, content, f"{i}.pcap") for i, content in enumerate(made)]


def test_plain_python_gives_the_same(tmp_path):
    """Uncompiled, where every index is checked, the kernels decode the same."""
    paths = corpus(tmp_path, 60)
    compiled = decoded(paths)
    plain = decoded(paths, NUMBA_DISABLE_JIT="1")
    assert len(compiled) == len(paths)
    assert sum(len(r[4]) for r in compiled if r[0] != "refused") > 200
    for path, left, right in zip(paths, compiled, plain, strict=True):
        assert left == right, path


def test_bounds_checks_find_nothing(tmp_path):
    """Compiled with bounds checks, no read lies outside, and the messages are the same."""
    paths = corpus(tmp_path, 400)
    compiled = decoded(paths)
    checked = decoded(paths, NUMBA_BOUNDSCHECK="1", NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    for path, left, right in zip(paths, compiled, checked, strict=True):
        assert left == right, path
