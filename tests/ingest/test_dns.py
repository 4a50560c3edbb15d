"""DNS messages: names, counts, codes and lifetimes, whole and damaged."""

from __future__ import annotations

import struct

import pytest

from tests.build import (
    AAAA,
    ANY,
    ASKED,
    CNAME,
    SOA,
    START_NS,
    TXT,
    A,
    Packet,
    address_record,
    answer,
    ask,
    assert_ledger,
    ethernet,
    ipv4,
    load,
    message,
    one_row,
    opt_record,
    packets,
    pcap,
    pointer,
    query,
    question,
    record,
    response,
    rows,
    save,
    soa_record,
    udp,
    wire,
)

MARK_CUT, MARK_SHOWN, MARK_MALFORMED = 1, 2, 4


def reply(folder, **parts):
    """Return the row of one response."""
    return one_row(folder, response(**parts), to_server=False)


def marks(folder, dns: bytes) -> int:
    """Return the marks of one message."""
    collected = load(save(folder, pcap(packets(ethernet(answer(dns))))))
    assert_ledger(collected)
    ((_, part, _),) = collected.kept
    return int(part["marks"][0])


def typed(folder, dns: bytes) -> int:
    """Return the count of answers of the asked type."""
    ((_, part, _),) = load(save(folder, pcap(packets(ethernet(answer(dns)))))).kept
    return int(part["typed_answers"][0])


# ---- header and question ------------------------------------------------------------------------


def test_query_fields(tmp_path):
    """A query's header and question, and nothing that only responses have."""
    row = one_row(tmp_path, query("www.example.com", AAAA, ident=0xBEEF))
    assert row["message_id"] == 0xBEEF
    assert (row["qname"], row["qtype"], row["qclass"]) == ("www.example.com", "AAAA", "IN")
    assert (row["is_response"], row["opcode"]) == (False, "QUERY")
    assert (row["rd"], row["ra"], row["aa"], row["tc"]) == (True, False, False, False)
    assert row["rcode"] is row["answers"] is row["min_ttl"] is row["edns_bytes"] is None


@pytest.mark.parametrize(
    ("bit", "column"), [(0x0400, "aa"), (0x0200, "tc"), (0x0100, "rd"), (0x0080, "ra")]
)
def test_flags(tmp_path, bit, column):
    """Each flag shows in its own column only."""
    row = one_row(tmp_path, message(1, 0x8000 | bit, [question("a.example")]), to_server=False)
    shown = {k: row[k] for k in ("aa", "tc", "rd", "ra")}
    assert shown == {k: k == column for k in shown}


@pytest.mark.parametrize(
    ("number", "text"), [(0, "QUERY"), (2, "STATUS"), (4, "NOTIFY"), (5, "UPDATE"), (9, "OPCODE9")]
)
def test_opcodes(tmp_path, number, text):
    """Operation codes, unknown ones by their number."""
    assert one_row(tmp_path, message(1, number << 11, [question("a.example")]))["opcode"] == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "A"), (28, "AAAA"), (65, "HTTPS"), (255, "ANY"), (65280, "TYPE65280"), (0, "TYPE0")],
)
def test_types(tmp_path, number, text):
    """Types by their names, unknown ones by their number."""
    assert one_row(tmp_path, query("a.example", number))["qtype"] == text


@pytest.mark.parametrize("name", ["MiXeD.ExAmPle.COM", "mixed.example.com"])
def test_case_is_kept(tmp_path, name):
    """Names stand in the table as they were asked."""
    assert one_row(tmp_path, query(name))["qname"] == name


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ([], "."),
        ([b"a"], "a"),
        ([b"a.b", b"example"], r"a\.b.example"),
        ([b"a\0b", b"example"], r"a\000b.example"),
        ([b"back\\slash"], r"back\\slash"),
        ([b"two words"], r"two\032words"),
        ([b"\xff\xc0\x80"], r"\255\192\128"),
        (["bücher".encode()], r"b\195\188cher"),
        ([b"_sip", b"_tcp", b"example"], "_sip._tcp.example"),
        ([b"x" * 63, b"y"], "x" * 63 + ".y"),
    ],
)
def test_labels_of_any_bytes(tmp_path, labels, text):
    """Bytes that do not print, and dots inside a label, are escaped."""
    assert one_row(tmp_path, query(labels))["qname"] == text


def test_every_byte_in_a_label(tmp_path):
    """No byte value in a label disturbs anything; different names stay different."""
    frames = [
        ethernet(ask(query([bytes([b]), b"example"], ident=b), ident=b + 1)) for b in range(256)
    ]
    found = [r["qname"] for r in rows(save(tmp_path, pcap(packets(*frames))))]
    assert len(set(found)) == 256
    assert found[ord("a")] == "a.example"


def test_names_seen_before(tmp_path):
    """A name is read alike the second time, also beside names that begin as it does."""
    names = {
        "a": [b"a"],
        "a.b": [b"a", b"b"],
        r"a\000": [b"a\0"],
        r"a\000b": [b"a\0b"],
        r"\000": [b"\0"],
        ".": [],
        "A.b": [b"A", b"b"],
        "long" * 15 + ".b": [b"long" * 15, b"b"],
    }
    asked = list(names) * 2
    frames = [ethernet(ask(query(names[n], ident=i), ident=i + 1)) for i, n in enumerate(asked)]
    assert [r["qname"] for r in rows(save(tmp_path, pcap(packets(*frames))))] == asked


def test_cut_question_of_a_name_seen_before(tmp_path):
    """A name that is known does not stand for the type and class that are missing behind it."""
    frames = [ethernet(ask(query("a.example")[:size], ident=size)) for size in (27, 26, 24, 23, 18)]
    found = [r["qname"] for r in rows(save(tmp_path, pcap(packets(*frames))))]
    assert found == ["a.example", None, None, None, None]


def test_more_names_than_there_was_room_for(tmp_path):
    """Every name and client of a large window is kept, and packets stay in their order."""
    count = 30_000
    clients = [f"10.0.{i >> 8}.{i & 255}" for i in range(count)]
    frames = [
        ethernet(ipv4(udp(query(f"n{i}.example", ident=i)), clients[i])) for i in range(count)
    ]
    collected = load(save(tmp_path, pcap(packets(*frames, step=1000))))
    assert_ledger(collected)
    seen = [
        (int(row["packet_no"]), collected.name(row["qname"]), collected.address(row["client"]))
        for _, part, _ in collected.kept
        for row in part
    ]
    assert seen == [(i + 1, f"n{i}.example", clients[i]) for i in range(count)]


def test_longest_name(tmp_path):
    """255 bytes are a name; one more is not."""
    longest = [b"a" * 63, b"b" * 63, b"c" * 63, b"d" * 61]
    assert len(wire(longest)) == 255
    assert one_row(tmp_path, query(longest))["qname"].endswith("d" * 61)
    longer = [*longest[:3], b"d" * 62]
    row = one_row(tmp_path, query(longer))
    assert row["qname"] is None
    assert row["qtype"] is None
    assert row["message_id"] == 4660


def test_two_questions(tmp_path):
    """The first question counts; the records behind the second are still found."""
    both = [question("first.example", A), question("second.example", AAAA)]
    row = one_row(tmp_path, message(1, 0x8180, both, [address_record(ttl=7)]), to_server=False)
    assert (row["qname"], row["qtype"], row["min_ttl"]) == ("first.example", "A", 7)


def test_no_question(tmp_path):
    """A response may come without its question."""
    row = one_row(tmp_path, message(9, 0x8183), to_server=False)
    assert (row["message_id"], row["rcode"]) == (9, "NXDOMAIN")
    assert row["qname"] is row["qtype"] is row["qclass"] is None


# ---- compression --------------------------------------------------------------------------------


def test_owner_names_with_pointers(tmp_path):
    """Records whose owners are pointers, labels and a pointer, or written out."""
    written = "alias.example.com"
    inside = 12 + len(wire("www.example.com")) + 4 + 2 + 10
    records = [
        record(ASKED, CNAME, b"\x05alias" + pointer(16), ttl=90),
        record(pointer(inside), A, bytes(4), ttl=80),
        record(b"\x05alias" + pointer(16), A, bytes(4), ttl=70),
        record(wire(written), A, bytes(4), ttl=60),
    ]
    dns = response("www.example.com", answers=records)
    row = one_row(tmp_path, dns, to_server=False)
    assert (row["qname"], row["answers"], row["min_ttl"]) == ("www.example.com", 4, 60)
    assert typed(tmp_path, dns) == 3
    assert marks(tmp_path, dns) == MARK_SHOWN


def test_name_of_the_question_is_not_cut_short_by_a_pointer(tmp_path):
    """A question may itself be compressed, against a name earlier in the message."""
    first = question("www.example.com")
    second = question(b"\x03sub" + pointer(12))
    row = one_row(tmp_path, message(1, 0x0100, [first, second]))
    assert row["qname"] == "www.example.com"


POINTERS = {
    "itself": pointer(12),
    "itself behind a label": b"\x01a" + pointer(12),
    "forwards": pointer(20) + wire("later.example"),
    "into the header": pointer(0),
    "into the header's end": pointer(11),
    "past the end": pointer(0x3FFF),
    "cut": b"\x01a\xc0",
    "reserved 01": b"\x41" + b"a" * 65 + b"\0",
    "reserved 10": b"\x81" + b"a" * 10 + b"\0",
    "label past the end": b"\x3fabc",
    "no end": b"\x03abc",
}


@pytest.mark.parametrize("kind", POINTERS)
def test_bad_question_name(tmp_path, kind):
    """Loops, forward pointers and names without end: the header is kept, and marked."""
    dns = struct.pack(">HHHHHH", 5, 0x8180, 1, 0, 0, 0) + POINTERS[kind]
    row = one_row(tmp_path, dns, to_server=False)
    assert (row["message_id"], row["is_response"]) == (5, True)
    assert row["qname"] is None
    assert marks(tmp_path, dns) & MARK_MALFORMED


def test_two_pointers_in_a_ring(tmp_path):
    """A question whose pointer leads to a pointer that leads back."""
    ring = b"\x01a" + pointer(18) + b"\0\0" + b"\x01b" + pointer(12)
    dns = struct.pack(">HHHHHH", 5, 0x0100, 1, 0, 0, 0) + ring + b"\0\1\0\1"
    assert one_row(tmp_path, dns)["qname"] is None


@pytest.mark.parametrize("kind", POINTERS)
def test_bad_owner_name(tmp_path, kind):
    """A record's owner is passed over: what is wrong with it never reaches the question."""
    dns = response("good.example", answers=[record(POINTERS[kind], A, bytes(4))])
    assert one_row(tmp_path, dns, to_server=False)["qname"] == "good.example"


# ---- records ------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 5, 30])
def test_answers_are_counted(tmp_path, count):
    """The table's count is the header's."""
    assert reply(tmp_path, answers=[address_record()] * count)["answers"] == count


def test_answers_of_the_asked_type(tmp_path):
    """An alias is no address; a question for everything takes every record."""
    alias = record(ASKED, CNAME, wire("b.example"))
    records = [alias, address_record(), address_record(), address_record("2001:db8::1")]
    assert typed(tmp_path, response("a.example", A, answers=records)) == 2
    assert typed(tmp_path, response("a.example", AAAA, answers=records)) == 1
    assert typed(tmp_path, response("a.example", TXT, answers=records)) == 0
    assert typed(tmp_path, response("a.example", ANY, answers=records)) == 4


@pytest.mark.parametrize(
    ("ttls", "expected"),
    [
        ([300], 300),
        ([300, 5, 60], 5),
        ([0, 9], 0),
        ([0x7FFFFFFF], 0x7FFFFFFF),
        ([300, 0x80000000], 0),
        ([0xFFFFFFFF], 0),
    ],
)
def test_smallest_ttl(tmp_path, ttls, expected):
    """The smallest lifetime of the answers; one with its top bit set counts as zero."""
    assert reply(tmp_path, answers=[address_record(ttl=t) for t in ttls])["min_ttl"] == expected


def test_ttls_of_other_sections_do_not_count(tmp_path):
    """Glue and authority of a positive answer say nothing about how long it lasts."""
    row = reply(
        tmp_path,
        answers=[address_record(ttl=300)],
        authority=[soa_record(ttl=3)],
        additional=[address_record(owner=wire("ns.example"), ttl=2), opt_record()],
    )
    assert row["min_ttl"] == 300


@pytest.mark.parametrize(("ttl", "minimum", "expected"), [(30, 5, 5), (5, 30, 5), (0, 9, 0)])
@pytest.mark.parametrize("rcode", [0, 3])
def test_negative_ttl(tmp_path, rcode, ttl, minimum, expected):
    """A negative answer lasts as long as its SOA: the TTL or the MINIMUM, the smaller."""
    row = reply(tmp_path, rcode=rcode, authority=[soa_record(ttl=ttl, minimum=minimum)])
    assert row["min_ttl"] == expected


def test_negative_ttl_behind_an_alias(tmp_path):
    """An alias to nothing lasts as long as the shorter of alias and SOA."""
    alias = record(ASKED, CNAME, wire("b.example"), ttl=20)
    for minimum, expected in ((5, 5), (50, 20)):
        row = reply(tmp_path, answers=[alias], authority=[soa_record(ttl=60, minimum=minimum)])
        assert row["min_ttl"] == expected


def test_no_ttl(tmp_path):
    """Without records there is no lifetime."""
    assert reply(tmp_path, rcode=3)["min_ttl"] is None
    assert reply(tmp_path, rcode=3, additional=[opt_record()])["min_ttl"] is None


def test_short_soa(tmp_path):
    """An SOA too short for its numbers gives its TTL."""
    short = record(ASKED, SOA, b"\0\0\0\0", ttl=33)
    assert reply(tmp_path, rcode=3, authority=[short])["min_ttl"] == 33


# ---- EDNS ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rcode", "extended", "text"),
    [
        (0, 0, "NOERROR"),
        (3, 0, "NXDOMAIN"),
        (0, 1, "BADVERS"),
        (7, 1, "BADCOOKIE"),
        (15, 0, "RCODE15"),
        (15, 255, "RCODE4095"),
    ],
)
def test_rcode_extended_by_edns(tmp_path, rcode, extended, text):
    """EDNS adds eight upper bits to the response code."""
    row = reply(tmp_path, rcode=rcode, additional=[opt_record(extended_rcode=extended)])
    assert row["rcode"] == text


@pytest.mark.parametrize("size", [0, 512, 1232, 65535])
def test_edns_size(tmp_path, size):
    """The payload size of OPT, in queries and in responses, wherever OPT stands."""
    assert one_row(tmp_path, query(additional=[opt_record(size)]))["edns_bytes"] == size
    more = [address_record(owner=wire("ns.example")), opt_record(size)]
    assert reply(tmp_path, additional=more)["edns_bytes"] == size


def test_edns_options(tmp_path):
    """A cookie inside OPT changes nothing else."""
    cookie = struct.pack(">HH", 10, 8) + bytes(8)
    row = one_row(tmp_path, query("a.example", additional=[opt_record(data=cookie)]))
    assert (row["qname"], row["edns_bytes"]) == ("a.example", 1232)


def test_opt_outside_its_section(tmp_path):
    """OPT belongs to the additional section only."""
    row = reply(tmp_path, answers=[opt_record(extended_rcode=1)])
    assert (row["rcode"], row["edns_bytes"]) == ("NOERROR", None)


# ---- damage -------------------------------------------------------------------------------------


def test_counts_that_promise_more(tmp_path):
    """What the header announces and the bytes do not hold is marked; the rest is kept."""
    dns = bytearray(response("a.example", answers=[address_record(ttl=44)]))
    dns[6:8] = b"\xff\xff"
    row = one_row(tmp_path, bytes(dns), to_server=False)
    assert (row["qname"], row["answers"], row["min_ttl"]) == ("a.example", 65535, 44)
    assert marks(tmp_path, bytes(dns)) == MARK_SHOWN | MARK_MALFORMED


def test_record_longer_than_the_message(tmp_path):
    """A record whose data would end outside."""
    dns = response(
        "a.example",
        answers=[record(ASKED, A, bytes(4), ttl=44, length=60000), address_record(ttl=1)],
    )
    row = one_row(tmp_path, dns, to_server=False)
    assert (row["qname"], row["min_ttl"]) == ("a.example", 44)
    assert marks(tmp_path, dns) & MARK_MALFORMED


def test_every_cut_of_a_message(tmp_path):
    """A message that ends early anywhere is a message from its twelfth byte on."""
    dns = response(
        "www.example.com",
        answers=[address_record(ttl=60), record(ASKED, TXT, b"\x05hello")],
        authority=[soa_record()],
        additional=[opt_record(data=bytes(12))],
    )
    frames = [ethernet(answer(dns[:n], ident=n + 1)) for n in range(len(dns) + 1)]
    path = save(tmp_path, pcap(packets(*frames)))
    collected = load(path)
    assert dict(collected.skipped) == {"malformed": 12}
    assert_ledger(collected)
    shown = [int(mark) for _, part, _ in collected.kept for mark in part["marks"]]
    assert len(shown) == len(dns) - 11
    assert all(mark & MARK_MALFORMED for mark in shown[:-13])
    assert shown[-1] == MARK_SHOWN
    asked_end = 12 + len(wire("www.example.com")) + 4
    names = [r["qname"] for r in rows(path)]
    assert set(names[asked_end - 12 :]) == {"www.example.com"}
    assert set(names[: asked_end - 12]) == {None}


def test_every_changed_byte_of_a_message(tmp_path):
    """Any one byte may be anything: there is still one message in each packet."""
    dns = response(
        "www.example.com",
        answers=[record(ASKED, CNAME, b"\x05alias" + pointer(16))],
        authority=[soa_record()],
        additional=[opt_record(data=bytes(4))],
    )
    frames = []
    for at in range(len(dns)):
        for value in (0, 1, 0x3F, 0x40, 0x80, 0xC0, 0xFF):
            changed = bytearray(dns)
            changed[at] = value
            frames.append(ethernet(answer(bytes(changed), ident=len(frames) % 65535 + 1)))
    collected = load(save(tmp_path, pcap(packets(*frames))))
    assert collected.packets == collected.with_messages + collected.duplicates == len(frames)
    assert not collected.skipped
    assert_ledger(collected)


def test_update_is_no_answer(tmp_path):
    """The sections of a dynamic update are not answers: no lifetime comes from them."""
    zone = [question("example.com", SOA)]
    dns = message(1, 0x2800, zone, [], [record(wire("new.example.com"), A, bytes(4), ttl=9)])
    row = one_row(tmp_path, dns)
    assert (row["opcode"], row["qname"], row["min_ttl"]) == ("UPDATE", "example.com", None)


def test_cut_by_the_snapshot_is_not_malformed(tmp_path):
    """What the capture cut is marked as cut."""
    frame = ethernet(answer(response("a.example", answers=[address_record()] * 3)))
    content = [Packet(frame[:-20], START_NS, len(frame))]
    ((_, part, _),) = load(save(tmp_path, pcap(content))).kept
    assert part["marks"][0] == MARK_SHOWN | MARK_CUT
