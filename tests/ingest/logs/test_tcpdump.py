"""The lines that tcpdump prints: every form of them, what tcpdump itself prints, and other text."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess

import pandas as pd
import pytest

from pcapkit.errors import NotACapture
from tests.build import (
    AAAA,
    ASKED,
    CLIENT,
    CLIENT6,
    CNAME,
    MS,
    PTR,
    SERVER,
    SERVER6,
    SRV,
    START_NS,
    TXT,
    Packet,
    address_record,
    answer,
    ask,
    assert_ledger,
    ethernet,
    framed,
    ipv4,
    ipv6,
    load,
    open_only,
    opt_record,
    packets,
    pcap,
    query,
    record,
    response,
    rows,
    save,
    soa_record,
    table_of,
    tcp,
    udp,
    wire,
)

ASK = "IP 10.244.1.17.40000 > 10.96.0.10.53: 4660+ A? www.example.com. (33)"
ANSWER = "IP 10.96.0.10.53 > 10.244.1.17.40000: 4660* 1/0/0 A 192.0.2.1 (49)"
DENIAL = "IP 10.96.0.10.53 > 10.244.1.17.40000: 4660 NXDomain 0/1/0 (114)"
CLOCK = "12:00:00.000000 "


def text(folder, *lines: str, end: str = "\n", name: str = "t.txt") -> str:
    """Write lines and return the file's path."""
    return save(folder, "".join(line + end for line in lines).encode("latin-1"), name)


# ---- the printed forms, written out -------------------------------------------------------------

VERBOSE_ASK = [
    CLOCK + "IP (tos 0x0, ttl 64, id 11, offset 0, flags [DF], proto UDP (17), length 61)",
    "    10.244.1.17.40000 > 10.96.0.10.53: 4660+ A? www.example.com. (33)",
]
FORMS = {
    "-n": [CLOCK + ASK],
    "-nt": [ASK],
    "-ntt": ["1700000000.123456 " + ASK],
    "-nttt": [" 00:00:00.000000 " + ASK],
    "-ntttt": ["2023-11-14 22:13:20.123456 " + ASK],
    "-nttttt": [" 00:00:00.000000 " + ASK],
    "nanoseconds": ["12:00:00.123456789 " + ASK],
    "-nv": VERBOSE_ASK,
    "-nvv": [VERBOSE_ASK[0], VERBOSE_ASK[1].replace(": 4660", ": [udp sum ok] 4660")],
    "-nvv, offloaded": [
        VERBOSE_ASK[0],
        VERBOSE_ASK[1].replace(": 4660", ": [bad udp cksum 0x1639 -> 0x5c1b!] 4660"),
    ],
    "-nvvx": [*VERBOSE_ASK, "\t0x0000:  4500 003d 000b 4000", "\t0x0010:  0af4 0111 0a60 000a"],
    "-nvvX": [*VERBOSE_ASK, "\t0x0000:  4500 003d 000b 4000  E..=..@."],
    "-ne": [
        CLOCK
        + "02:42:ac:11:00:02 > 02:42:ac:11:00:03, ethertype IPv4 (0x0800), length 75: "
        + ASK[3:]
    ],
    "-nev": [
        CLOCK + "02:42:ac:11:00:02 > 02:42:ac:11:00:03, ethertype IPv4 (0x0800), length 75: "
        "(tos 0x0, ttl 64, id 11, offset 0, flags [DF], proto UDP (17), length 61)",
        VERBOSE_ASK[1],
    ],
    "-n -#": ["    1  " + CLOCK + ASK],
    "-n -# -tttt": ["    1  2023-11-14 22:13:20.123456 " + ASK],
    "-n -i any": [CLOCK + "eth0  Out " + ASK],
    "-ne -i any": [
        CLOCK + "eth0  Out ifindex 2 02:42:ac:11:00:02 ethertype IPv4 (0x0800), "
        "length 81: " + ASK[3:]
    ],
    "on the screen": [
        "tcpdump: verbose output suppressed, use -v[v]... for full protocol decode",
        "listening on eth0, link-type EN10MB (Ethernet), snapshot length 262144 bytes",
        CLOCK + ASK,
        "",
        "^C",
        "1 packet captured",
        "1 packet received by filter",
        "0 packets dropped by kernel",
    ],
    "from a file": [
        "reading from file c.pcap, link-type EN10MB (Ethernet), snapshot length 262144",
        CLOCK + ASK,
    ],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_query_in_every_form(tmp_path, form, end):
    """One query, however it is printed, and with either line end."""
    path = text(tmp_path, *FORMS[form], end=end)
    (row,) = rows(path)
    assert (row["client_addr"], row["client_port"]) == (CLIENT, 40000)
    assert (row["server_addr"], row["server_port"]) == (SERVER, 53)
    assert (row["message_id"], row["qname"], row["qtype"]) == (4660, "www.example.com", "A")
    assert (row["is_response"], row["rd"], row["message_bytes"]) == (False, True, 33)
    assert (row["transport"], row["packet_no"]) == ("udp", 1)
    collected = load(path)
    assert (collected.packets, collected.with_messages) == (1, 1)
    assert collected.captures[0].format == "tcpdump text"
    assert_ledger(collected)


def test_last_line_without_its_end(tmp_path):
    """The last line counts without a line feed too."""
    path = save(tmp_path, (CLOCK + ASK + "\n" + CLOCK + DENIAL).encode())
    assert [r["is_response"] for r in rows(path)] == [False, True]


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        (["12:00:00.000001 ", "12:00:00.500000 "], 499_999_000),
        (["12:00:00.000000001 ", "12:00:00.000000009 "], 8),
        (["1700000000.5000000", "1700000001.250000 "], None),
        (["1700000000.500000 ", "1700000001.250000 "], 750_000_000),
        (["2024-02-29 23:59:59.999999 ", "2024-03-01 00:00:00.000001 "], 2_000),
        (["23:59:59.900000 ", "00:00:00.100000 "], 200_000_000),
        ([" 00:00:00.000000 ", " 00:00:01.500000 "], 1_500_000_000),
    ],
)
def test_times(tmp_path, stamps, expected):
    """Differences are right, past midnight too."""
    lines = [stamps[0] + ASK, stamps[1] + ANSWER]
    if expected is None:  # a stamp of seven digits is none
        assert dict(load(text(tmp_path, *lines)).skipped) == {"other_event": 1}
        return
    first, second = (r["time"] for r in rows(text(tmp_path, *lines)))
    assert (second - first).value == expected


def test_dates(tmp_path):
    """Dates and seconds since 1970 are taken as UTC; a time alone is dated 1970-01-01."""
    stamps = ["2023-11-14 22:13:20.123456 ", "1700000000.123456 ", "22:13:20.123456 "]
    times = [rows(text(tmp_path, s + ASK))[0]["time"] for s in stamps]
    assert times[0] == times[1] == pd.Timestamp("2023-11-14T22:13:20.123456Z")
    assert times[2] == pd.Timestamp("1970-01-01T22:13:20.123456Z")


def test_differences_to_the_line_before(tmp_path):
    """``-ttt`` prints differences; they add up."""
    gaps = ["00:00:00.000000", "00:00:05.000000", "00:00:00.020000", "00:00:00.010000"]
    found = rows(text(tmp_path, *(f" {gap} {ASK}" for gap in gaps)))
    since = [(r["time"] - found[0]["time"]).value // MS for r in found]
    assert since == [0, 5000, 5020, 5030]


def test_differences_backwards(tmp_path):
    """``-ttt`` prints a packet that was captured before the one above it with a minus."""
    gaps = [" 00:00:00.000000", " 00:00:05.000000", "-00:00:01.000000", " 00:00:00.500000"]
    found = rows(text(tmp_path, *(f"{gap} {ASK}" for gap in gaps)))
    since = sorted((r["time"] - found[0]["time"]).value // MS for r in found)
    assert since == [0, 4000, 4500, 5000]


@pytest.mark.parametrize(
    ("stamp", "said"),
    [
        ("", "no times"),
        ("12:00:00.000000 ", "no date"),
        ("2024-01-01 12:00:00.000000 ", "no zone"),
        (" 00:00:00.000000 ", "differences"),
        ("1700000000.123456 ", ""),
    ],
)
def test_what_times_rest_on_is_said(tmp_path, stamp, said):
    """A warning says what the printed times lack."""
    warnings = load(text(tmp_path, stamp + ASK)).warnings
    assert [said in w for w in warnings] == ([True] if said else [])


def test_no_clock(tmp_path):
    """``-t``: no times at all, and the messages stay in order."""
    path = text(tmp_path, ASK, DENIAL)
    assert not load(path).has_clock
    assert [(r["packet_no"], r["time"]) for r in rows(path)] == [(1, None), (2, None)]


# ---- responses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ("7 1/0/0 A 192.0.2.1 (49)", {"rcode": "NOERROR", "answers": 1, "ra": True}),
        ("7- 1/0/0 A 192.0.2.1 (49)", {"rcode": "NOERROR", "ra": False}),
        ("7*- 1/0/0 A 192.0.2.1 (49)", {"aa": True, "ra": False}),
        ("7*| 0/0/0 (49)", {"aa": True, "tc": True}),
        ("7$ 1/0/0 A 192.0.2.1 (49)", {"rcode": "NOERROR", "answers": 1}),
        ("7 NXDomain 0/1/0 (114)", {"rcode": "NXDOMAIN", "answers": 0, "message_bytes": 114}),
        ("7 NXDomain*- 0/1/1 (114)", {"rcode": "NXDOMAIN", "aa": True, "ra": False}),
        ("7 ServFail 0/0/0 (33)", {"rcode": "SERVFAIL"}),
        ("7 Refused- 0/0/0 (33)", {"rcode": "REFUSED"}),
        ("7 FormErr- [0q] 0/0/0 (12)", {"rcode": "FORMERR", "message_bytes": 12}),
        ("7 Resp11 0/0/0 (33)", {"rcode": "DSOTYPENI"}),
        ("7 2/0/0 CNAME b.example., A 192.0.2.1 (90)", {"answers": 2}),
        (
            "7 q: AAAA? w.example. 0/1/0 ns: example. [30s] SOA ns.example. h.example. 1 7200 1800 "
            "86400 5 (99)",
            {"qname": "w.example", "qtype": "AAAA", "min_ttl": 5},
        ),
        (
            "7 q: A? w.example. 2/0/1 w.example. [1h] CNAME v.example., v.example. [1m1s] "
            "A 192.0.2.1 ar: . OPT UDPsize=1232 (99)",
            {"qname": "w.example", "min_ttl": 61, "edns_bytes": 1232, "answers": 2},
        ),
        ("7 q: A? w.example. 1/0/0 w.example. [1w2d3h4m5s] A 192.0.2.1 (99)", {"min_ttl": 788645}),
        (
            '7 q: TXT? w.example. 1/0/0 w.example. [9s] TXT "x, y. [1s] A 1.2.3.4" (99)',
            {"qtype": "TXT", "min_ttl": 9},
        ),
    ],
)
def test_response_forms(tmp_path, shown, expected):
    """Codes, flags, counts and lifetimes as tcpdump writes them."""
    line = f"{CLOCK}IP 10.96.0.10.53 > 10.244.1.17.40000: {shown}"
    (row,) = rows(text(tmp_path, CLOCK + ASK.replace("4660", "7"), line))[1:]
    assert row["is_response"]
    assert row["message_id"] == 7
    assert {k: row[k] for k in expected} == expected


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ("9 A? w.example. (27)", {"rd": False, "qname": "w.example"}),
        ("9+ [1au] A? w.example. (38)", {"rd": True, "message_bytes": 38}),
        ("9+ [1au] A? w.example. ar: . OPT UDPsize=1400 (38)", {"edns_bytes": 1400}),
        ("9+% [1au] AAAA? w.example. (38)", {"qtype": "AAAA", "rd": True}),
        ("9+ Type65? w.example. (27)", {"qtype": "HTTPS"}),
        ("9+ Type4711? w.example. (27)", {"qtype": "TYPE4711"}),
        ("9+ ANY? . (17)", {"qname": ".", "qtype": "ANY"}),
        ("9+ TXT CHAOS? version.bind. (30)", {"qname": "version.bind", "qclass": "CH"}),
        ("9+ SRV? _http._tcp.w.example. (38)", {"qname": "_http._tcp.w.example"}),
        ("9+ A? MiXed.Example. (31)", {"qname": "MiXed.Example"}),
        ("9+ A? two words.example. (35)", {"qname": r"two\032words.example"}),
        ("9 update SOA? w.example. (44)", {"opcode": "UPDATE", "qtype": "SOA"}),
        ("9 notify SOA? w.example. (44)", {"opcode": "NOTIFY"}),
    ],
)
def test_query_forms(tmp_path, shown, expected):
    """Questions as tcpdump writes them."""
    (row,) = rows(text(tmp_path, f"{CLOCK}IP 10.244.1.17.40000 > 10.96.0.10.53: {shown}"))
    assert not row["is_response"]
    assert {k: row[k] for k in expected} == expected


# ---- other lines --------------------------------------------------------------------------------

SKIPPED = {
    "not_ip": "ARP, Request who-has 10.0.0.1 tell 10.0.0.2, length 28",
    "not_dns": "IP 10.0.0.1.40000 > 10.0.0.2.443: Flags [S], seq 1, win 64240, length 0",
    "multicast_dns": "IP 10.0.0.1.5353 > 224.0.0.251.5353: 0 PTR (QM)? _x._tcp.local. (30)",
    "llmnr": "IP 10.0.0.1.50000 > 224.0.0.252.5355: UDP, length 22",
    "encrypted_dns": "IP 10.0.0.1.50000 > 10.0.0.2.853: Flags [P.], length 90",
    "tcp_without_message": "IP 10.0.0.1.50000 > 10.0.0.2.53: Flags [S], seq 1, length 0",
    "truncated_by_snaplen": "IP 10.0.0.1.50000 > 10.0.0.2.53: 7+[|domain]",
    "text_not_understood": "IP 10.0.0.1.50000 > 10.0.0.2.53: something else altogether",
    "malformed": "IP 10.0.0.1.50000 > 10.0.0.2.53: 7+ A? a..example. (27)",
}


@pytest.mark.parametrize("reason", SKIPPED)
def test_skipped_under_its_reason(tmp_path, reason):
    """Lines without a message are counted under their reasons, between lines that have one."""
    path = text(tmp_path, CLOCK + ASK, CLOCK + SKIPPED[reason], CLOCK + ANSWER)
    collected = load(path)
    assert dict(collected.skipped) == {reason: 1}
    assert (collected.packets, collected.with_messages) == (3, 2)
    assert [r["packet_no"] for r in rows(path)] == [1, 3]
    assert_ledger(collected)


@pytest.mark.parametrize(
    ("port", "reason"),
    [("70000", "text_not_understood"), ("9" * 5000, "text_not_understood")],
    ids=["too high", "endless"],
)
def test_ports_that_are_none(tmp_path, port, reason):
    """What stands for a port may be any text; the packet is counted all the same."""
    path = tmp_path / "lines.txt"
    lines = [CLOCK + ASK, CLOCK + f"IP 10.0.0.1.{port} > 10.0.0.2.53: 7+ A? a.example. (27)"]
    path.write_bytes("".join(f"{line}\n" for line in lines).encode("latin-1"))
    assert dict(load(str(path)).skipped) == {reason: 1}


@pytest.mark.parametrize("port", ["webmin", "\xb940", "a-b_c"])
def test_ports_by_names_of_services(tmp_path, port):
    """A name that is no number's stands for one, the same each time."""
    lines = [
        CLOCK + f"IP 10.0.0.1.{port} > 10.0.0.2.53: 7+ A? a.example. (27)",
        CLOCK + f"IP 10.0.0.2.53 > 10.0.0.1.{port}: 7 1/0/0 A 192.0.2.1 (43)",
    ]
    first, second = rows(text(tmp_path, *lines))
    assert first["client_port"] == second["client_port"] > 49151
    assert len(table_of([text(tmp_path, *lines)], "transactions")) == 1


def test_host_names_stand_for_hosts(tmp_path):
    """Without ``-n`` tcpdump prints names: each is a host, and the warning says so."""
    lines = [
        CLOCK + "IP web-0.example.40000 > kube-dns.kube-system.domain: 7+ A? a.example. (27)",
        CLOCK + ASK,
    ]
    path = text(tmp_path, *lines)
    collected = load(path)
    assert not collected.skipped
    (warning,) = [w for w in collected.warnings if "host names" in w]
    assert "tcpdump -n" in warning
    assert_ledger(collected)
    first = rows(path)[0]
    assert (first["client_addr"], first["client_port"]) == ("web-0.example", 40000)
    assert (first["server_addr"], first["server_port"]) == ("kube-dns.kube-system", 53)


def test_port_by_its_name(tmp_path):
    """Without ``-n`` but with numbers for addresses, the port is called ``domain``."""
    (row,) = rows(text(tmp_path, CLOCK + ASK.replace(".53:", ".domain:")))
    assert row["server_port"] == 53


def test_malformed_lines(tmp_path):
    """Lines of any kind after the first never stop the reading; what they hide is counted."""
    lines = [
        "",
        " ",
        "\t",
        ":::",
        "IP",
        "IP >",
        "IP . > .: ",
        "\\",
        "\x7f\xff\xfe",
        "999999+ A? a. (1)",
        CLOCK + "IP",
        CLOCK + "IP 1.2.3.4.5 > 6.7.8.9.53:",
        CLOCK + "IP 1.2.3.4.5 > 6.7.8.9.53: ",
        CLOCK + "IP 1.2.3.4.5 > 6.7.8.9.53: 70000+ A? a. (19)",
        CLOCK + "IP 1.2.3.4.5 > 6.7.8.9.53: 7+ A? a",
        CLOCK + "IP 1.2.3.4.5 > 6.7.8.9.53: 7+ Type99999? a. (19)",
        CLOCK + "IP 1.2.3.4.5 > 6.7.8.9.53: " + "x" * 300,
        CLOCK + "IP 1.2.3.400.5 > 6.7.8.9.53: 7+ A? a. (19)",
        CLOCK + f"IP 1.2.3.4.5 > 6.7.8.9.53: 7+ A? {'x' * 64}. (82)",
        CLOCK + f"IP 1.2.3.4.5 > 6.7.8.9.53: 7+ A? {'x.' * 130} (282)",
        CLOCK + r"IP 1.2.3.4.5 > 6.7.8.9.53: 7+ A? a\999. (19)",
        "99:99:99.999999 " + ASK,
        "2024-13-45 25:61:61.000000 " + ASK,
    ]
    collected = load(text(tmp_path, CLOCK + ASK, *lines, CLOCK + DENIAL))
    assert_ledger(collected)
    assert collected.with_messages >= 2
    last = collected.kept[-1][1][-1]
    assert (int(last["rcode"]), int(last["flags"]) >> 15) == (3, 1)


@pytest.mark.parametrize("foreign", ["{}", "{}  ", '{"log": ""}', '{"log": "", "IP": " > "}', "[]"])
def test_records_without_text(tmp_path, foreign):
    """A record of JSON that says nothing stands between packets, and at the end."""
    lines = (*VERBOSE_ASK, foreign, CLOCK + DENIAL, foreign, *VERBOSE_ASK, foreign)
    collected = load(text(tmp_path, *lines))
    assert (collected.with_messages, collected.duplicates) == (2, 1)
    assert_ledger(collected)


def test_cut_lines(tmp_path):
    """A line that ends early anywhere is a packet without a message, or one with it."""
    for line in (CLOCK + ASK, CLOCK + DENIAL, *VERBOSE_ASK):
        lines = [CLOCK + ASK, *(line[:n] for n in range(len(line)))]
        assert_ledger(load(text(tmp_path, *lines)))


def test_endless_line(tmp_path):
    """A line without end is cut; the lines around it are read."""
    for filler in ("x" * 3_500_000, "a." * 1_750_000, "A 192.0.2.1, " * 250_000):
        endless = f"{CLOCK}IP 10.0.0.1.5 > 10.0.0.2.53: 7+ A? {filler}"
        collected = load(text(tmp_path, CLOCK + ASK, endless, CLOCK + DENIAL))
        assert collected.with_messages == 2
        assert collected.packets == 3
        assert_ledger(collected)


def test_text_without_packets(tmp_path):
    """Other text is no capture."""
    for content in (
        "hello\n",
        "12:00:00.000000 hello\n",
        "IPs are good\n",
        "listening on eth0\n",
        "\n\n\n",
        "reading from file c.pcap\n",
    ):
        with pytest.raises(NotACapture, match="note.txt"):
            open_only(save(tmp_path, content.encode(), "note.txt"))


def test_compressed_text(tmp_path):
    """Text may be compressed like any other capture."""
    path = save(tmp_path, gzip.compress((CLOCK + ASK + "\n").encode()), "t")
    assert len(rows(path)) == 1
    assert load(path).captures[0].compression == "gzip"


def test_copies_and_resends(tmp_path):
    """``-v`` shows the identification: the same one is a copy, another one is a resend."""
    again = [VERBOSE_ASK[0].replace("ttl 64", "ttl 63"), VERBOSE_ASK[1]]
    resend = [VERBOSE_ASK[0].replace("id 11", "id 12"), VERBOSE_ASK[1]]
    found = rows(text(tmp_path, *VERBOSE_ASK, *again, *resend))
    assert [r["duplicate_of"] for r in found] == [None, 1, None]


def test_copies_of_all_interfaces(tmp_path):
    """``-i any`` shows the interface: the same line on another one is a copy."""
    names = ["veth1 P ", "cni0  In ", "eth0  Out "]
    found = rows(text(tmp_path, *(CLOCK + n + " " + ASK for n in names)))
    assert [r["duplicate_of"] for r in found] == [None, 1, 1]


def test_repeated_line_of_one_interface(tmp_path):
    """Without identification a line that comes again at once is a copy, after its answer not."""
    later = [CLOCK.replace("000000", f"00{k}000") for k in range(9)]
    found = rows(text(tmp_path, later[0] + ASK, later[1] + ASK, later[8] + ASK))
    assert [r["duplicate_of"] for r in found] == [None, 1, None]
    talk = [ASK, DENIAL, ASK, DENIAL]
    found = rows(text(tmp_path, *(t + line for t, line in zip(later, talk, strict=False))))
    assert [r["duplicate_of"] for r in found] == [None] * 4
    found = rows(text(tmp_path, ASK, ASK))
    assert [r["duplicate_of"] for r in found] == [None, None]


# ---- what tcpdump itself prints -----------------------------------------------------------------


def many_messages() -> list[Packet]:
    """Return one packet of every kind whose text can be turned back."""
    frames: list[bytes] = []

    def asked(*what, **more):
        number = len(frames) + 1
        frames.append(ethernet(ask(query(*what, ident=number, **more), ident=number)))

    def answered(*what, **more):
        number = len(frames) + 1
        frames.append(ethernet(answer(response(*what, ident=number, **more), ident=number)))

    asked("www.example.com")
    answered("www.example.com", answers=[address_record(ttl=300), address_record(ttl=5)])
    asked("www.example.com", AAAA)
    answered("www.example.com", AAAA, authority=[soa_record(minimum=4)])
    for rcode in range(12):
        answered("x.example.com", rcode=rcode)
    for flags in (0x400, 0x200, 0x600):
        answered("x.example.com", flags=flags, answers=[address_record()])
    for qtype in (2, 6, 12, 15, 16, 33, 35, 65, 64, 255, 99, 257, 4711):
        asked("t.example.com", qtype)
    asked("e.example.com", additional=[opt_record(1400)])
    answered("e.example.com", additional=[opt_record(1400)])
    alias = record(ASKED, CNAME, wire("d.example.com"), ttl=86500)
    answered("c.example.com", answers=[alias, address_record(owner=wire("d.example.com"), ttl=37)])
    answered("c.example.com", AAAA, answers=[alias])
    answered("t.example.com", TXT, answers=[record(ASKED, TXT, b"\x0ea, A 1.2.3.4 b\x03b c")])
    answered("m.example.com", 15, answers=[record(ASKED, 15, b"\0\x0a" + wire("mx"), ttl=604800)])
    answered("_s._tcp.example", SRV, answers=[record(ASKED, SRV, b"\0\1\0\2\0\x50" + wire("s"))])
    answered("1.0.0.127.in-addr.arpa", PTR, answers=[record(ASKED, PTR, wire("localhost"))])
    for name in (".", [b"a b", b"c"], "MiXed.Example", "1.2.3.4", "a-b_c.d"):
        asked(name)
    answered("many.example", answers=[address_record(f"192.0.2.{i}") for i in range(20)])
    six = ipv6(udp(query("six.example", ident=600)))
    back = response("six.example", ident=600, answers=[address_record()])
    stream = framed(query("tcp.example", ident=700))
    denial = framed(response("tcp.example", ident=701, rcode=3))
    frames += [
        ethernet(six),
        ethernet(ipv6(udp(back, 53, 40000), SERVER6, CLIENT6)),
        ethernet(ipv4(tcp(stream), protocol=6, ident=700)),
        ethernet(ipv4(tcp(denial, 53, 40000), SERVER, CLIENT, protocol=6, ident=701)),
        ethernet(ipv4(tcp(b"", flags=2), protocol=6, ident=702)),
        ethernet(ipv4(udp(b"hello" * 9, 1000, 2000), ident=703)),
        ethernet(bytes(28), kind=0x0806),
        ethernet(ipv4(udp(query("m.local"), 5353, 5353), "10.0.0.1", "224.0.0.251", ident=704)),
    ]
    return packets(*frames)


def tcpdump(flags: list[str], path: str) -> bytes:
    """Return what tcpdump prints of a file, or skip the test where there is no tcpdump."""
    program = shutil.which("tcpdump")
    if program is None:
        pytest.skip("tcpdump is not installed")
    return subprocess.run(
        [program, *flags, "-r", path], capture_output=True, check=True, env={"TZ": "UTC"}
    ).stdout


PRINTED = [
    "-n",
    "-nt",
    "-ntt",
    "-ntttt",
    "-nttttt",
    "-nv",
    "-nvv",
    "-nvvv",
    "-ne",
    "-n -#",
    "-nevv -#",
    "-nvvx",
    "-nvvX -tttt -#",
    "-nK",
]


@pytest.mark.parametrize("flags", PRINTED)
def test_text_of_tcpdump_says_what_the_capture_says(tmp_path, flags):
    """Decoding tcpdump's own lines gives what decoding the file gives, as far as they show it."""
    content = many_messages()
    path = save(tmp_path, pcap(content))
    printed = save(tmp_path, tcpdump(flags.split(), path), "printed")
    assert load(printed).captures[0].format == "tcpdump text"
    wanted, found = rows(path), rows(printed)
    columns = [
        "packet_no",
        "transport",
        "client_addr",
        "client_port",
        "server_addr",
        "server_port",
        "message_id",
        "is_response",
        "opcode",
        "rcode",
        "aa",
        "tc",
        "ra",
        "answers",
        "message_bytes",
        "duplicate_of",
    ]
    assert [[r[c] for c in columns] for r in found] == [[r[c] for c in columns] for r in wanted]
    verbosity = max(len(v) for v in re.findall(r"v*", flags))
    for row, expected in zip(found, wanted, strict=True):
        shown = []
        if not row["is_response"]:
            shown += ["rd"]
        if not row["is_response"] or verbosity >= 2:
            shown += ["qname", "qtype", "qclass"]
        if verbosity >= 2:
            shown += ["edns_bytes"]
        if verbosity >= 3:
            shown += ["min_ttl"]
        assert {k: row[k] for k in shown} == {k: expected[k] for k in shown}
    text_, file_ = load(printed), load(path)
    assert text_.packets == file_.packets == len(content)
    assert dict(text_.skipped) == dict(file_.skipped)
    assert text_.message_counts == file_.message_counts
    assert_ledger(text_)


@pytest.mark.parametrize("flags", ["-ntt", "-ntttt"])
def test_times_of_tcpdump(tmp_path, flags):
    """Forms that print whole times give the file's times."""
    path = save(tmp_path, pcap(many_messages()))
    printed = save(tmp_path, tcpdump([flags], path), "printed")
    assert [r["time"] for r in rows(printed)] == [r["time"] for r in rows(path)]


@pytest.mark.parametrize("flags", ["-n", "-nttttt"])
def test_relative_times_of_tcpdump(tmp_path, flags):
    """Forms without a date give the file's differences."""
    path = save(tmp_path, pcap(many_messages()))
    printed = rows(save(tmp_path, tcpdump([flags], path), "printed"))
    plain = rows(path)
    gaps = [r["time"] - printed[0]["time"] for r in printed]
    assert gaps == [r["time"] - plain[0]["time"] for r in plain]


def test_analysis_of_both_is_one(tmp_path):
    """Client, outcome and name come out of text as they come out of the file."""
    content = [
        Packet(ethernet(ask(query("w.example.com", ident=1), ident=1)), START_NS),
        Packet(
            ethernet(answer(response("w.example.com", ident=1, rcode=3), ident=2)), START_NS + MS
        ),
        Packet(ethernet(ask(query("w.example.com", ident=2), ident=3)), START_NS + 2 * MS),
    ]
    path = save(tmp_path, pcap(content))
    printed = save(tmp_path, tcpdump(["-ntt"], path), "printed")
    for table in ("transactions", "lookups"):
        left = table_of([path], table)
        right = table_of([printed], table)
        pd.testing.assert_frame_equal(left.drop(columns="capture"), right.drop(columns="capture"))
