"""DNS over TCP: messages split over segments, out of order, sent again, begun in the middle."""

from __future__ import annotations

import itertools
import random

import pytest

from pcapkit.ingest.capture import batches as records
from pcapkit.ingest.reassembly.tcp_streams import Streams
from tests.build import (
    CLIENT,
    MS,
    SECOND,
    SERVER,
    START_NS,
    Packet,
    answer,
    ask,
    assert_ledger,
    ethernet,
    framed,
    ipv4,
    ipv6,
    load,
    packets,
    pcap,
    query,
    record,
    response,
    rows,
    save,
    tcp,
    without,
)

ASKED = [query(f"n{i}.example.com", ident=100 + i) for i in range(6)]
STREAM = framed(*ASKED)
BIG = response("big.example.com", ident=9, answers=[record(b"\xc0\x0c", 1, b"\1\2\3\4")] * 200)
SYN, ACK, PUSH = 2, 0x10, 0x18


def segment(
    data: bytes, at: int, *, ident: int = 0, port: int = 40000, flags: int = PUSH, first: int = 1000
) -> bytes:
    """Return a frame from the client with the stream's bytes from ``at`` on."""
    sequence = (first + at) & 0xFFFFFFFF
    payload = tcp(data, port, 53, sequence=sequence, flags=flags)
    return ethernet(ipv4(payload, protocol=6, ident=ident or at + 2))


def syn(*, first: int = 1000, port: int = 40000) -> bytes:
    """Return the frame that opens the connection, right before ``first``."""
    return segment(b"", -1, ident=1, flags=SYN, first=first, port=port)


def split(stream: bytes, *places: int) -> list[tuple[int, bytes]]:
    """Return the pieces of a stream between places, each with where it begins."""
    ends = [0, *places, len(stream)]
    return [(a, stream[a:b]) for a, b in itertools.pairwise(ends)]


def read(folder, *frames: bytes, step: int = MS) -> list[tuple[int, int]]:
    """Return (packet number, message ID) of what is found; the ledger must add up."""
    path = save(folder, pcap(packets(*frames, step=step)))
    assert_ledger(load(path))
    return [(r["packet_no"], r["message_id"]) for r in rows(path)]


def test_message_over_segments(tmp_path):
    """A long response counts at the segment that completes it, with all of its records."""
    stream = framed(BIG)
    frames = [
        ethernet(
            ipv4(tcp(data, 53, 40000, sequence=1000 + at), SERVER, CLIENT, protocol=6, ident=at + 1)
        )
        for at, data in split(stream, 1400, 2800)
    ]
    path = save(tmp_path, pcap(packets(*frames)))
    (row,) = rows(path)
    (plain,) = rows(save(tmp_path, pcap(packets(ethernet(answer(BIG)))), "plain"))
    assert row["packet_no"] == 3
    assert row["time"] == rows(save(tmp_path, pcap(packets(*frames)), "again"))[0]["time"]
    assert without([row], "packet_no", "time", "transport") == without(
        [plain], "packet_no", "time", "transport"
    )
    assert dict(load(path).skipped) == {"tcp_continuation": 2}


def test_time_is_that_of_the_completing_segment(tmp_path):
    """As tshark says it: the message is there when its last byte is."""
    frames = [segment(data, at) for at, data in split(framed(ASKED[0]), 2, 20)]
    (row,) = rows(save(tmp_path, pcap(packets(*frames, step=SECOND))))
    whole = rows(save(tmp_path, pcap([Packet(ethernet(ask(ASKED[0])), START_NS + 2 * SECOND)])))
    assert row["time"] == whole[0]["time"]


@pytest.mark.parametrize("opened", [True, False], ids=["from its start", "in the middle"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 31, 40, 500])
def test_pieces_of_any_size(tmp_path, size, opened):
    """Whatever the segments' size, every message is found once, in order."""
    pieces = split(STREAM, *range(size, len(STREAM), size))
    frames = [syn()] * opened + [segment(data, at) for at, data in pieces]
    ends = list(itertools.accumulate(len(framed(m)) for m in ASKED))
    reached = [at + len(data) for at, data in pieces]
    want = [
        (1 + opened + next(n for n, place in enumerate(reached) if place >= end), 100 + i)
        for i, end in enumerate(ends)
    ]
    assert read(tmp_path, *frames) == want


@pytest.mark.parametrize("first", [1000, 0xFFFFFFF0, 0xFFFFFFFF], ids=hex)
def test_any_order(tmp_path, first):
    """Segments that overtake one another give the same messages, also where numbers wrap."""
    chance = random.Random(5)
    pieces = split(STREAM, 20, 41, 70, 100, 130)
    for _ in range(40):
        chance.shuffle(pieces)
        frames = [syn(first=first)] + [segment(d, at, first=first) for at, d in pieces]
        found = read(tmp_path, *frames)
        assert sorted(ident for _, ident in found) == [100 + i for i in range(6)]


def test_segments_sent_again(tmp_path):
    """Bytes that were seen before bring no message, whole, in part, or in another cut."""
    frames = [syn()] + [segment(d, at) for at, d in split(STREAM, 20, 70)]
    again = [segment(STREAM[:70], 0, ident=900), segment(STREAM[10:], 10, ident=901)]
    path = save(tmp_path, pcap(packets(*frames, *again)))
    assert [r["message_id"] for r in rows(path)] == [100 + i for i in range(6)]
    assert load(path).skipped["tcp_retransmission"] == 2
    assert_ledger(load(path))


def test_whole_messages_sent_again(tmp_path):
    """A segment of whole messages that TCP sends again is no second query."""
    one = framed(ASKED[0])
    frames = [syn(), segment(one, 0, ident=5), segment(one, 0, ident=70)]
    assert read(tmp_path, *frames) == [(2, 100)]


def test_copies_of_a_segment_are_duplicates(tmp_path):
    """The same segment captured twice is a duplicate, as a datagram is."""
    frames = [syn(), *[segment(framed(ASKED[0]), 0, ident=5)] * 2]
    path = save(tmp_path, pcap(packets(*frames, step=1000)))
    assert [(r["packet_no"], r["duplicate_of"]) for r in rows(path)] == [(2, None), (3, 2)]
    assert load(path).duplicates == 1
    assert_ledger(load(path))


def test_missing_segment(tmp_path):
    """Messages behind a segment that is not in the capture are found where they stand."""
    pieces = split(STREAM, *itertools.accumulate(len(framed(m)) for m in ASKED[:-1]))
    frames = [syn()] + [segment(d, at) for at, d in pieces if at != pieces[2][0]]
    assert read(tmp_path, *frames) == [(2, 100), (3, 101), (4, 103), (5, 104), (6, 105)]


def test_missing_segment_comes_late(tmp_path):
    """Where the missing segment still comes, nothing is lost and nothing counts twice."""
    pieces = split(STREAM, 40, 80, 120)
    late = pieces[0:1] + pieces[2:] + pieces[1:2]
    found = read(tmp_path, syn(), *[segment(d, at) for at, d in late])
    assert sorted(ident for _, ident in found) == [100 + i for i in range(6)]


def test_length_in_a_segment_of_its_own(tmp_path):
    """Some resolvers write the length first; also right behind a gap."""
    one = framed(ASKED[0])
    frames = [syn(), segment(one[:2], 0), segment(one[2:], 2)]
    more = [segment(one[:2], 5000), segment(one[2:], 5002)]
    assert read(tmp_path, *frames, *more) == [(3, 100), (5, 100)]


def test_begins_within_a_message(tmp_path):
    """What is left of a message from before the capture is passed over."""
    stream = framed(BIG, *ASKED[:2])
    pieces = split(stream, 1400, 2800, len(framed(BIG)))[1:]
    frames = [segment(d, at) for at, d in pieces]
    path = save(tmp_path, pcap(packets(*frames)))
    assert [r["message_id"] for r in rows(path)] == [100, 101]
    assert dict(load(path).skipped) == {"tcp_continuation": 2}


def test_data_with_the_handshake(tmp_path):
    """TCP Fast Open: the first segment opens the connection and asks (RFC 7413)."""
    first = segment(framed(ASKED[0]), -1, ident=1, flags=SYN)
    frames = [first, segment(framed(ASKED[1]), len(framed(ASKED[0])), ident=2)]
    assert read(tmp_path, *frames) == [(1, 100), (2, 101)]


def test_port_used_again(tmp_path):
    """A new connection from the same port begins anew, whatever the old one left behind."""
    half = framed(ASKED[0])[:10]
    frames = [
        syn(),
        segment(half, 0),
        syn(first=9_000_000),
        segment(framed(ASKED[1]), 0, first=9_000_000, ident=8),
    ]
    assert read(tmp_path, *frames) == [(4, 101)]


def test_both_directions_and_many_connections(tmp_path):
    """Streams do not mix."""
    frames = []
    for port in range(41000, 41040):
        frames += [syn(port=port), segment(framed(query(ident=port))[:9], 0, port=port)]
    for port in range(41000, 41040):
        frames.append(segment(framed(query(ident=port))[9:], 9, port=port))
    found = read(tmp_path, *frames)
    assert [ident for _, ident in found] == list(range(41000, 41040))


def test_ipv6(tmp_path):
    """The same over IPv6."""
    frames = [
        ethernet(ipv6(tcp(data, sequence=1000 + at), following=6))
        for at, data in split(STREAM, 20, 70)
    ]
    found = read(tmp_path, *frames)
    assert [ident for _, ident in found] == [100 + i for i in range(6)]


def test_odd_messages_of_a_stream_in_step(tmp_path):
    """Where it is known that a message begins, it may be of any kind."""
    odd = b"\0\1\x28\x40\0\2\0\0\0\0\0\0" + b"\1a\0\0\1\0\1" * 2
    frames = [syn(), segment(framed(odd, ASKED[0]), 0)]
    assert read(tmp_path, *frames) == [(2, 1), (2, 100)]


def test_not_dns_at_all(tmp_path):
    """Another protocol on the port gives no message."""
    text = b"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n" * 40
    pieces = split(text, 300, 600, 900)
    path = save(tmp_path, pcap(packets(syn(), *[segment(d, at) for at, d in pieces])))
    assert rows(path) == []
    assert dict(load(path).skipped) == {"tcp_without_message": 1, "tcp_continuation": 4}


def test_cut_segments(tmp_path):
    """Of a message cut by the snapshot length, the question counts; the next is found again."""
    stream = framed(BIG, *ASKED[:2])
    frames = [segment(d, at) for at, d in split(stream, 1400, 2800, len(framed(BIG)))]
    cut = [Packet(f[:120], START_NS + i * MS, len(f)) for i, f in enumerate(frames[:3])]
    whole = Packet(frames[3], START_NS + 3 * MS)
    path = save(tmp_path, pcap([*cut, whole]))
    found = [(r["packet_no"], r["message_id"], r["qname"]) for r in rows(path)]
    assert found == [
        (1, 9, "big.example.com"),
        (4, 100, "n0.example.com"),
        (4, 101, "n1.example.com"),
    ]
    assert "captured in part" in " ".join(load(path).warnings)
    assert_ledger(load(path))


def test_memory_is_bounded(tmp_path):
    """Gaps without end and streams without end are given up, not kept."""
    frames = [syn()]
    frames += [segment(b"x" * 1000, 3000 * i + 5, ident=i + 2) for i in range(400)]
    frames += [segment(b"\xff\xff" + bytes(900), 0, port=p) for p in range(1024, 6000)]
    path = save(tmp_path, pcap(packets(*frames)))
    assert_ledger(load(path))


#: Segments of one stream as (from, to), what each completes, and whether that is all common.
ENDS = [0, *itertools.accumulate(len(framed(m)) for m in ASKED)]
COMMON = {
    "one message each": list(itertools.pairwise(ENDS)),
    "length of its own": sorted(
        pair for a, b in itertools.pairwise(ENDS) for pair in ((a, a + 2), (a + 2, b))
    ),
    "half a length": [(0, 1), (1, ENDS[1]), (ENDS[1], ENDS[2] + 1), (ENDS[2] + 1, ENDS[6])],
    "two and three": [(0, ENDS[2]), (ENDS[2], ENDS[5]), (ENDS[5], ENDS[6])],
    "ends and begins": [
        (0, 20),
        (20, ENDS[1] + 5),
        (ENDS[1] + 5, ENDS[3] + 5),
        (ENDS[3] + 5, ENDS[6]),
    ],
    "over many": [(0, 10), (10, 20), (20, 30), (30, ENDS[4]), (ENDS[4], ENDS[6])],
    "overtaken": [(0, ENDS[1]), (ENDS[2], ENDS[3]), (ENDS[1], ENDS[2]), (ENDS[3], ENDS[6])],
    "overtaken by two": [(ENDS[1], ENDS[2]), (ENDS[2], ENDS[4]), (0, ENDS[1]), (ENDS[4], ENDS[6])],
    "two overtaken": [(ENDS[2], ENDS[4]), (0, ENDS[1]), (ENDS[1], ENDS[2]), (ENDS[4], ENDS[6])],
}
RARE = {
    "overtaken in part": [(ENDS[2], ENDS[4]), (0, 20), (20, ENDS[2]), (ENDS[4], ENDS[6])],
    "part overtakes": [
        (0, ENDS[1]),
        (ENDS[2] + 9, ENDS[4]),
        (ENDS[1], ENDS[2] + 9),
        (ENDS[4], ENDS[6]),
    ],
    "sent again in part": [(0, 20), (0, 20), (10, ENDS[2] + 4), (ENDS[2], ENDS[6])],
    "ahead, sent again": [
        (ENDS[2], ENDS[4]),
        (ENDS[2], ENDS[4]),
        (0, ENDS[2]),
        (0, ENDS[2]),
        (ENDS[4], ENDS[6]),
    ],
    "two gaps": [
        (ENDS[1], ENDS[2]),
        (ENDS[3], ENDS[4]),
        (ENDS[2], ENDS[3]),
        (0, ENDS[1]),
        (ENDS[4], ENDS[6]),
    ],
}
#: Which packets bring the messages 0 to 5; the SYN is packet 1.
BROUGHT_BY = {
    "one message each": [2, 3, 4, 5, 6, 7],
    "length of its own": [3, 5, 7, 9, 11, 13],
    "half a length": [3, 4, 5, 5, 5, 5],
    "two and three": [2, 2, 3, 3, 3, 4],
    "ends and begins": [3, 4, 4, 5, 5, 5],
    "over many": [5, 5, 5, 5, 6, 6],
    "overtaken": [2, 4, 3, 5, 5, 5],
    "overtaken by two": [4, 2, 3, 3, 5, 5],
    "two overtaken": [3, 4, 2, 2, 5, 5],
    "overtaken in part": [4, 4, 2, 2, 5, 5],
    "part overtakes": [2, 4, 4, 4, 5, 5],
    "sent again in part": [4, 4, 5, 5, 5, 5],
    "ahead, sent again": [4, 4, 2, 2, 6, 6],
    "two gaps": [5, 2, 4, 3, 6, 6],
}


@pytest.mark.parametrize("window", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("case", [*COMMON, *RARE])
def test_windows_do_not_matter(tmp_path, monkeypatch, case, window):
    """Wherever a window ends, each message is found once, at the packet that completes it."""
    monkeypatch.setattr(records, "RECORDS", window)
    pieces = (COMMON | RARE)[case]
    frames = [syn()] + [segment(STREAM[a:b], a, ident=2 + i) for i, (a, b) in enumerate(pieces)]
    frames.append(segment(b"", ENDS[6], ident=99, flags=ACK | 1))
    found = read(tmp_path, *frames)
    assert found == sorted((packet, 100 + i) for i, packet in enumerate(BROUGHT_BY[case]))


@pytest.mark.parametrize("case", COMMON)
def test_what_is_common_is_compiled(tmp_path, monkeypatch, case):
    """What streams nearly always are never reaches reassembly, and leaves them in step."""
    monkeypatch.setattr(Streams, "add", None)
    frames = []
    for port in (40000, 40001):
        frames.append(syn(port=port))
        frames += [segment(STREAM[a:b], a, port=port) for a, b in COMMON[case]]
    path = save(tmp_path, pcap(packets(*frames, step=MS)))
    assert len(rows(path)) == 12
    assert_ledger(load(path))


def test_late_for_reassembly(tmp_path):
    """A gap that closes only after a while has been given up; what fills it is no new message."""
    frames = [syn(), segment(STREAM[ENDS[1] : ENDS[2]], ENDS[1]), segment(STREAM[: ENDS[1]], 0)]
    assert read(tmp_path, *frames, step=SECOND) == [(2, 101), (3, 100)]
    assert read(tmp_path, *frames, step=3 * SECOND) == [(2, 101)]


def test_length_that_no_message_has(tmp_path):
    """A stream whose step is lost is searched for messages again."""
    begun, rest = framed(ASKED[0])[:30], framed(ASKED[0])[30:] + b"\0\4abcd"
    frames = [
        syn(),
        segment(begun, 0),
        segment(rest, 30),
        segment(framed(ASKED[1]), 30 + len(rest)),
    ]
    assert read(tmp_path, *frames) == [(3, 100), (4, 101)]


def test_longest_messages(tmp_path):
    """Messages as long as their length can say, in segments of an offload's size."""
    long = [
        response(f"n{i}.example.com", ident=i, answers=[record(b"\xc0\x0c", 16, bytes(65_000))])
        for i in range(3)
    ]
    stream = framed(*long)
    pieces = split(stream, 60_000, 120_000, 180_000)
    frames = [syn()] + [segment(data, at, ident=7) for at, data in pieces]
    found = read(tmp_path, *frames)
    assert found == [(3, 0), (4, 1), (5, 2)]


def test_segment_of_any_size(tmp_path):
    """A segment for offload, whose length was not set yet, may be longer than any packet."""
    for message, times, most in ((bytes(12), 15_000, 1 << 18), (ASKED[0], 10_000, 1 << 18)):
        packet = ipv4(tcp(framed(message) * times), protocol=6, total=0)
        path = save(tmp_path, pcap(packets(syn(), ethernet(packet))))
        assert len(rows(path)) == min(times, most // len(framed(message)))
        assert_ledger(load(path))
