"""Targets of bytes: packet captures, their link layers, what lies across packets, DNS, dnstap."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from pcapkit.ingest.capture.batches import NO_OPTIONS
from pcapkit.ingest.capture.decoder import Decoder
from pcapkit.ingest.capture.pcap import RECORD
from pcapkit.ingest.inputs.formats import open_capture
from pcapkit.ingest.logs.dnstap import decode_frames
from pcapkit.ingest.window import Capture, Interners, Window
from pcapkit.schema import new_messages
from pcapkit.sharing.key import key_of
from pcapkit.sharing.share import share
from tests.build import (
    AAAA,
    ASKED,
    CNAME,
    SERVER,
    START_NS,
    Packet,
    address_record,
    ethernet,
    framed,
    ipv4,
    ipv6,
    message,
    opt_record,
    pcap,
    pointer,
    query,
    question,
    record,
    response,
    soa_record,
    tcp,
    udp,
)
from tests.build import CLIENT as CLIENT_ADDRESS
from tests.fuzz.outcomes import PORTS, Outcome, Target, capture_outcome, message_rows, source_of
from tests.fuzz.seeds import frames, link_types, packets_of, small_captures

_KEY = key_of(bytes(range(48)))


def read_any(data: bytes) -> Outcome:
    """Read a source of any format, recognised by its content."""
    interners = Interners()
    capture = open_capture(source_of(data), interners, ports=PORTS)
    return capture_outcome(capture, interners)


def _beginning_with(*heads: bytes) -> Callable[[bytes], Outcome]:
    """Return a reader of captures that begin so: what the input begins with picks one of them."""

    def run(data: bytes) -> Outcome:
        head = heads[data[0] % len(heads)] if data else heads[0]
        return read_any(head + data[1:])

    return run


_PCAP_HEADS = tuple(
    struct.pack(order + "I", magic)
    for magic in (0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34)
    for order in "<>"
)
_PCAPNG_HEAD = bytes.fromhex("0a0d0d0a")


def _behind_head(heads: Sequence[bytes]) -> Callable[[], Iterator[bytes]]:
    def seeds() -> Iterator[bytes]:
        for content in small_captures():
            for number, head in enumerate(heads):
                if content.startswith(head):
                    yield bytes([number]) + content[len(head) :]

    return seeds


def _decoded(contents: Sequence[tuple[int, bytes, int, int]]) -> Outcome:
    """Decode packets (time, data, bytes on the wire, link type), in two batches."""
    interners = Interners()
    capture = Capture("input", "pcap", None, iter(()))
    decoder = Decoder(interners, capture, PORTS)

    def windows() -> Iterator[Window]:
        half = (len(contents) + 1) // 2
        for begin, part in ((0, contents[:half]), (half, contents[half:])):
            if not part:
                continue
            buffer = np.frombuffer(
                bytearray(b"".join(p[1] for p in part)) or bytearray(1), np.uint8
            )
            records = np.zeros(len(part), RECORD)
            at = 0
            for number, (time, data, wire, linktype) in enumerate(part):
                records[number]["time"] = time
                records[number]["number"] = begin + number + 1
                records[number]["offset"] = at
                records[number]["captured"] = len(data)
                records[number]["original"] = max(wire, len(data))
                records[number]["linktype"] = linktype
                at += len(data)
            yield from decoder.windows(buffer, records, NO_OPTIONS)
        yield from decoder.finish()

    capture.windows = windows()
    return capture_outcome(capture, interners)


def read_link(data: bytes) -> Outcome:
    """Decode one packet, of the link type that the first byte picks, cut as the second says."""
    if len(data) < 2:
        return []
    linktype, more = link_types()[data[0] % len(link_types())], data[1]
    return _decoded([(START_NS, data[2:], len(data) - 2 + more, linktype)])


def _link_seeds() -> Iterator[bytes]:
    for number, linktype in enumerate(link_types()):
        for packet in packets_of(linktype):
            yield bytes([number, 0]) + packet


def read_tunnel(data: bytes) -> Outcome:
    """Decode one frame of Ethernet."""
    return _decoded([(START_NS, data, len(data), 1)])


def _tunnel_seeds() -> list[bytes]:
    return [*frames(), *packets_of(1)]


def _pieces(data: bytes) -> Iterator[tuple[int, int, int, int, bytes]]:
    """Yield what is made of bytes, 64 pieces at most: kind, number, gap, length, and the payload.

    The payload is shorter than its length where the bytes end.
    """
    at = 0
    for _ in range(64):
        if len(data) - at < 5:
            break
        kind, number, gap, length = struct.unpack_from(">BHBB", data, at)
        payload = data[at + 5 : at + 5 + length]
        at += 5 + len(payload)
        yield kind, number, gap, length, payload


def _captured(time: int, packet: bytes, cut: int) -> tuple[int, bytes, int, int]:
    """Return a packet as it is captured, without its last ``cut`` bytes."""
    frame = ethernet(packet)
    return time, frame[: len(frame) - cut], len(frame), 1


def read_segments(data: bytes) -> Outcome:
    """Decode segments of TCP: each 5 bytes (kind, sequence, gap, length) and its payload.

    The kind's bits are: to the client, another connection, SYN, FIN, RST, cut, IPv6, and a
    second later.
    """
    found: list[tuple[int, bytes, int, int]] = []
    now = START_NS
    for kind, sequence, gap, length, payload in _pieces(data):
        now += gap * 1_000_000 + (kind >> 7) * 1_000_000_000
        flags = 0x10 | (kind & 4) >> 1 | (kind & 8) >> 3 | (kind & 16) >> 2
        port = 40_000 + (kind >> 1 & 1)
        ports = (53, port) if kind & 1 else (port, 53)
        segment = tcp(payload, *ports, sequence=sequence, flags=flags)
        if kind & 64:
            packet = ipv6(segment, following=6)
        else:
            ends = (SERVER, CLIENT_ADDRESS) if kind & 1 else (CLIENT_ADDRESS, SERVER)
            packet = ipv4(segment, *ends, protocol=6, ident=len(found) + 1)
        found.append(_captured(now, packet, length // 2 if kind & 32 else 0))
    return _decoded(found)


def segment(payload: bytes, sequence: int, *, kind: int = 0, gap: int = 1) -> bytes:
    """Return one segment as :func:`read_segments` takes it."""
    return struct.pack(">BHBB", kind, sequence & 0xFFFF, gap, len(payload)) + payload


def _segment_seeds() -> Iterator[bytes]:
    asked = framed(query("a.example.com", ident=1), query("b.example.com", ident=2))
    told = framed(response("a.example.com", ident=1, answers=[address_record()]))
    yield segment(asked, 1)
    yield segment(b"", 0, kind=4) + segment(asked[:20], 1) + segment(asked[20:], 21)
    yield segment(b"", 0, kind=4) + segment(asked[20:], 21) + segment(asked[:20], 1)
    yield segment(asked[:30], 1) + segment(asked[10:], 11) + segment(asked[:30], 1)
    yield segment(told[:2], 9, kind=1) + segment(told[2:], 11, kind=1) + segment(b"", 60, kind=9)
    yield segment(asked[:33], 1, kind=32) + segment(asked[33:], 34) + segment(b"", 80, kind=16)
    yield segment(asked[:20], 1, kind=64) + segment(asked[20:], 21, kind=64)
    yield segment(asked[:20], 1, kind=2) + segment(asked[:20], 1) + segment(asked[20:], 21, kind=2)
    yield segment(asked[:40], 1) + segment(asked[:40], 1, kind=128, gap=255) + segment(asked, 60000)


def read_fragments(data: bytes) -> Outcome:
    """Decode fragments: each 5 bytes (kind, offset / 8, gap, length) and its payload.

    The kind's bits are: more follow, to the client, IPv6, TCP, another datagram, cut, and ten
    seconds later.
    """
    found: list[tuple[int, bytes, int, int]] = []
    now = START_NS
    for kind, offset, gap, length, payload in _pieces(data):
        now += gap * 1_000_000 + (kind >> 6 & 1) * 10_000_000_000
        offset &= 0x1FFF
        protocol, ident = (6 if kind & 8 else 17), 7 + (kind >> 4 & 1)
        ends = (SERVER, CLIENT_ADDRESS) if kind & 2 else (CLIENT_ADDRESS, SERVER)
        if kind & 4:
            head = struct.pack(">BBHI", protocol, 0, offset << 3 | kind & 1, ident)
            packet = ipv6(head + payload, following=44)
        else:
            place = offset | (0x2000 if kind & 1 else 0)
            packet = ipv4(payload, *ends, protocol=protocol, fragment=place, ident=ident)
        found.append(_captured(now, packet, length // 2 if kind & 32 else 0))
    return _decoded(found)


def fragment(payload: bytes, offset: int, *, kind: int = 0, gap: int = 1) -> bytes:
    """Return one fragment as :func:`read_fragments` takes it."""
    return struct.pack(">BHBB", kind, offset // 8, gap, len(payload)) + payload


def _fragment_seeds() -> Iterator[bytes]:
    long = response("big.example.com", answers=[address_record()] * 12)
    whole = udp(long, 53, 40000)
    yield fragment(whole[:80], 0, kind=3) + fragment(whole[80:], 80, kind=2)
    yield fragment(whole[80:], 80, kind=2) + fragment(whole[:80], 0, kind=3)
    yield fragment(whole[:80], 0, kind=7) + fragment(whole[80:], 80, kind=6)
    yield b"".join(fragment(whole[n : n + 40], n, kind=3) for n in range(0, 200, 40)) + fragment(
        whole[200:], 200, kind=2
    )
    yield fragment(whole[:80], 0, kind=3) + fragment(whole[40:120], 40, kind=3, gap=200)
    yield fragment(whole[:80], 0, kind=3) + fragment(whole[80:], 80, kind=66)
    stream = tcp(framed(query()), 40000, 53)
    yield fragment(stream[:24], 0, kind=9) + fragment(stream[24:], 24, kind=8)
    yield fragment(whole[:80], 0, kind=35) + fragment(whole[80:], 80, kind=34)


def _messages(contents: Sequence[bytes]) -> Outcome:
    """Decode messages of DNS, each whole as captured."""
    interners = Interners()
    rows = new_messages(len(contents))
    interners.names.reserve(rows.size, rows.size * 255)
    decoded = np.zeros(rows.size, np.bool_)
    decode_frames(
        np.frombuffer(bytearray(b"".join(contents)) or bytearray(1), np.uint8),
        np.cumsum([len(c) for c in contents], dtype=np.int64),
        interners.names.arrays,
        rows,
        decoded,
        np.zeros(256, np.uint8),
    )
    return [[bool(d) for d in decoded], message_rows(rows[decoded], interners)]


def read_name(data: bytes) -> Outcome:
    """Decode a query whose question is ``data``, and a response with it as an alias of that."""
    head = struct.pack(">HHHHHH", 1, 0x0100, 1, 0, 0, 0)
    alias = record(pointer(12), CNAME, data)
    told = struct.pack(">HHHHHH", 2, 0x8180, 1, 1, 0, 0) + question("a.b.svc.cluster.local") + alias
    return _messages([head + data, told])


def _name_seeds() -> Iterator[bytes]:
    yield question("www.example.com")
    yield question("kubernetes.default.svc.cluster.local", AAAA)
    yield question([b"x" * 63] * 3 + [b"y" * 61])
    yield question([b"a.b\0\xff", b"\\\"'<>"])
    yield pointer(12) + b"\0\1\0\1"
    yield b"\1a" + pointer(12) + b"\0\1\0\1"
    yield b"\1a\1b" + pointer(14) + b"\0\1\0\1"
    yield b"\0\0\1\0\1" + b"\x40x" + b"\x80"
    yield pointer(14)


def read_message(data: bytes) -> Outcome:
    """Decode one message of DNS."""
    return _messages([data])


def message_seeds() -> list[bytes]:
    """Return messages of many kinds."""
    alias = record(ASKED, CNAME, b"\5alias" + pointer(16), ttl=9)
    shorter = record(ASKED, CNAME, b"\3www\7example\3com\0")
    name = "www.example.com.svc.cluster.local"
    negative = [soa_record(owner=pointer(16)), soa_record(ttl=0xFFFFFFFF, owner=b"\0")]
    return [
        query(),
        query("a.b.c.d.e", AAAA, additional=[opt_record(data=bytes(8))]),
        response(answers=[alias, address_record(), address_record("fd00::1")]),
        response(name, answers=[shorter, address_record(owner=b"\3www\7example\3com\0")]),
        response(rcode=3, authority=negative, additional=[opt_record(extended_rcode=1)]),
        response(name, rcode=3, authority=[soa_record(owner=b"\7cluster\5local\0")]),
        message(7, 0x2800, [question("example.com", 6)], [address_record()]),
        message(7, 0x0100, [question("a.b"), question(pointer(12), 28)]),
        message(7, 0x8400, [], [address_record(owner=b"\0")]),
        struct.pack(">HHHHHH", 1, 0x8180, 9, 9, 9, 9) + b"\1a\0",
        response("x.y", 255, answers=[record(ASKED, 16, b"\3abc", length=900)]),
    ]


def read_tap(data: bytes) -> Outcome:
    """Read a stream of dnstap whose first frame is whole."""
    from tests.ingest.logs.test_dnstap import START, control

    return read_any(control(START) + data)


def _tap_seeds() -> Iterator[bytes]:
    from tests.ingest.logs.test_dnstap import STOP, control, stream, tap, walks

    begin = len(stream([])) - len(control(STOP))
    for frames_of_one in ([], walks()[:3], walks()[4:6]):
        yield stream(frames_of_one)[begin:]
    kinds = [tap(kind, query()) for kind in range(1, 15)]
    yield stream(kinds)[begin:]
    odd = [
        tap(5, None),
        tap(5, query(), client=None, server=None),
        tap(6, response(), client="fd00::1", protocol=3),
        tap(5, b"\0\1", time=-1 & (1 << 64) - 1),
    ]
    yield stream(odd)[begin:] + control(4) + control(5)


def share_packets(data: bytes) -> Outcome:
    """Write packets anew with pseudonyms: the first byte picks the link type; read them back.

    Packets stand behind their lengths, in two bytes each.
    """
    if not data:
        return []
    found, at = [], 1
    while len(data) - at >= 2 and len(found) < 32:
        (length,) = struct.unpack_from(">H", data, at)
        part = data[at + 2 : at + 2 + length]
        found.append(Packet(part, START_NS + 1_000_000 * len(found), max(len(part), length)))
        at += 2 + len(part)
    linktype = link_types()[data[0] % len(link_types())]
    with tempfile.TemporaryDirectory(prefix="pcapkit-fuzz-") as folder:
        given, made = Path(folder) / "in.pcap", Path(folder) / "out.pcap"
        given.write_bytes(pcap(found, linktype=linktype))
        shared = share(str(given), made, lambda: _KEY)
        content = made.read_bytes()
    return [repr(shared), content.hex(), *read_any(content)]


def _share_seeds() -> Iterator[bytes]:
    def lined(parts: Iterable[bytes], linktype: int) -> bytes:
        return bytes([link_types().index(linktype)]) + b"".join(
            struct.pack(">H", len(p)) + p for p in parts
        )

    for frame in frames():
        yield lined([frame], 1)
    for linktype in link_types():
        yield lined(packets_of(linktype)[:2], linktype)
    for dns in message_seeds():
        yield lined([ethernet(ipv4(udp(dns, 53, 40000), SERVER, CLIENT_ADDRESS))], 1)


_WORDS = (b"\0\x35", b"\xc0\x0c", b"\x08\x00", b"\x86\xdd", b"\x45\0", b"\xff\xff", b"\x81\0")
_PORTS = (b"\x12\xb5", b"\x17\xc1", b"\x65\x58")  # of VXLAN and Geneve, and of Ethernet inside
PACKET_TARGETS = (
    Target("any", read_any, small_captures, (b"\x1f\x8b\x08\0", b"\x28\xb5\x2f\xfd"), 400),
    Target("pcap", _beginning_with(*_PCAP_HEADS), _behind_head(_PCAP_HEADS), _WORDS, 300),
    Target(
        "pcapng",
        _beginning_with(_PCAPNG_HEAD),
        _behind_head([_PCAPNG_HEAD]),
        (
            b"\x0a\x0d\x0d\x0a",
            b"\x4d\x3c\x2b\x1a",
            b"\x1a\x2b\x3c\x4d",
            b"\x06\0\0\0",
            b"\x09\0\1\0",
        ),
        512,
    ),
    Target("link types", read_link, _link_seeds, _WORDS, 250),
    Target(
        "tunnels", read_tunnel, _tunnel_seeds, (*_WORDS, b"\x12\xb5", b"\x17\xc1", b"\x65\x58"), 300
    ),
    Target("TCP", read_segments, _segment_seeds, (), 300),
    Target("fragments", read_fragments, _fragment_seeds, (), 300),
    Target("DNS names", read_name, _name_seeds, (b"\xc0\x0c", b"\x3f", b"\xe2\x80\xa6"), 300),
    Target("DNS messages", read_message, message_seeds, (b"\xc0\x0c", b"\0\x29", b"\0\6"), 400),
    Target("dnstap", read_tap, _tap_seeds, (b"\0\0\0\0", b"\0\0\0\2"), 600),
    Target("share", share_packets, _share_seeds, _WORDS, 250),
)
