"""Damaged and random input, and the kernels run with every index checked.

Whatever the bytes are, a capture is read or refused with an InputError, and every packet is counted
once. The kernels give the same messages compiled, as plain Python, and with bounds checks.
"""

from __future__ import annotations

import contextlib
import os
import random
import struct
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pcapkit.errors import InputError
from tests.build import (
    Packet,
    address_record,
    ask,
    assert_ledger,
    conversation,
    ethernet,
    framed,
    ipv4,
    load,
    packets,
    pcap,
    pcap_header,
    query,
    response,
    save,
    tcp,
    udp,
)
from tests.fuzz import corpora
from tests.fuzz.replay import differing, replayed
from tests.fuzz.seeds import LINES, captures_of_packets, frames
from tests.fuzz.targets import TARGETS

SETTINGS = settings(
    max_examples=int(os.environ.get("PCAPKIT_FUZZ_EXAMPLES", "200")),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

CAPTURES = captures_of_packets()
SEEDS = [*CAPTURES, LINES]


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
@given(content=mutated(CAPTURES))
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


def damaged(count: int) -> list[bytes]:
    """Return every seed, and ``count`` damaged ones."""
    chance = random.Random(20)
    whole = CAPTURES
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
    return made


def test_three_ways_to_run_the_kernels_give_the_same():
    """Compiled, with bounds checks and as plain Python: of damaged captures, and of all corpora."""
    made = [("any", content) for content in damaged(60)]
    kept = [(target.name, data) for target in TARGETS for data in corpora.kept(target)]
    assert {name for name, _ in kept} == {target.name for target in TARGETS}
    assert list(differing([*made, *kept])) == []
    (first, *_) = replayed("compiled", made[:1])
    assert first[0] == "read"


def test_bounds_checks_find_nothing():
    """Compiled with bounds checks, no read of more damaged captures lies outside."""
    made = [("any", content) for content in damaged(400)]
    assert replayed("checked", made) == replayed("compiled", made)
