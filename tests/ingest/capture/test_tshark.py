"""The packet readers against tshark: every message, with its packet, time, flags and question."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from pcapkit.codes import RCODE_NUMBERS, qtype_number
from pcapkit.errors import InputError
from tests.build import (
    ask,
    assert_ledger,
    ethernet,
    framed,
    ipv4,
    load,
    packets,
    pcap,
    query,
    rows,
    save,
    tcp,
)
from tests.ingest.capture import tshark

ROOT = Path(__file__).resolve().parents[3]
OWN = sorted(
    p for p in (ROOT / "captures").rglob("*.pcap*") if p.suffix in (".pcap", ".pcapng", ".gz")
)
PLAIN = re.compile(r"[a-z0-9_.-]*")

needs_tshark = pytest.mark.skipif(tshark.TSHARK is None, reason="tshark is not installed")


def flags_in(number: int) -> int:
    """Leave of a header's flags what the ``messages`` table shows, the opcode apart."""
    return number & 0x8780 | (number & 15 if number & 0x8000 else 0)


def found(path: str) -> list[tshark.Message]:
    """Return what is read here, as tshark's reading is returned."""
    out: list[tshark.Message] = []
    everything = rows(path)
    several = Counter(r["packet_no"] for r in everything)
    for r in everything:
        one = several[r["packet_no"]] == 1 and r["qtype"] is not None
        time = pd.Timestamp(r["time"]).value
        flags = tshark.flags_of(r, RCODE_NUMBERS)
        out.append(
            (
                r["packet_no"],
                time,
                r["message_id"],
                flags,
                qtype_number(r["qtype"]) if one else None,
                r["qname"].lower().rstrip(".") if one else None,
            )
        )
    return out


def expected(path: Path) -> list[tshark.Message]:
    """Return tshark's reading, its names as they are written here."""
    return [
        (
            number,
            time,
            ident,
            flags_in(flags),
            kind,
            None if name is None else "" if name == "<Root>" else name.lower(),
        )
        for number, time, ident, flags, kind, name in tshark.messages(path)
    ]


@needs_tshark
@pytest.mark.parametrize("path", OWN, ids=lambda p: p.name)
def test_own_captures(path):
    """Packet number, time, ID, flags and question of every message are tshark's."""
    want = expected(path)
    assert found(str(path)) == want
    assert want


@needs_tshark
def test_streams(tmp_path):
    """Segments that hold several messages, or parts of them, count at tshark's packets."""
    asked = [query(f"n{i}.example.com", ident=i) for i in range(9)]
    stream = framed(*asked)
    frames = [ethernet(ipv4(tcp(b"", sequence=999, flags=2), protocol=6, ident=1))]
    at = 0
    for size in (2, 29, 60, 10, 93, 1, 500):
        part = stream[at : at + size]
        frames.append(ethernet(ipv4(tcp(part, sequence=1000 + at), protocol=6, ident=at + 2)))
        at += size
    path = save(tmp_path, pcap(packets(*frames, ethernet(ask(query(ident=99), ident=999)))))
    assert found(path) == expected(Path(path))


# ---- other people's captures --------------------------------------------------------------------

EXTRA = os.environ.get("PCAPKIT_EXTRA_CAPTURES")
PUBLIC = Path(EXTRA) / "public" if EXTRA else None
needs_public = pytest.mark.skipif(
    PUBLIC is None or not PUBLIC.exists(), reason="PCAPKIT_EXTRA_CAPTURES names no such folder"
)

#: file -> (messages missing here, messages found here only), and why tshark's list differs.
#: - no name: a question whose name is longer than 255 bytes, points to itself or has a label of an
#:   unknown kind has no type that could be read for sure; tshark shows the two bytes that follow.
#: - comma: the list separates what tshark found several times in a packet by commas, and so splits
#:   a name that has one.
#: - first fragment: a datagram of which no more was captured; what it shows is kept here.
#: - quoted: the list takes all of a packet's messages for quoted in ICMP where one of them is ICMP.
DIFFERENT = {
    "AlexeyVasilev__PcapFlowLab__16_dns_ipv4_malformed_pointer_loop.pcap": (1, 0, "no name"),
    "DNS-OARC__dnscap__sll2.pcap": (2, 2, "comma"),
    "dns-stats__compactor__nsd-live.raw.pcap.xz": (19, 16, "comma; no name"),
    "mtottenh__pcapsql__netlink-nflog.pcap": (0, 4, "quoted"),
    "ntop__nDPI__fuzz-2006-06-26-2594.pcap": (9, 1, "no name; first fragment"),
}
KEYS = (
    "frame.number",
    "frame.time_epoch",
    "dns.id",
    "dns.flags.response",
    "dns.flags.rcode",
    "dns.flags.truncated",
    "dns.qry.type",
    "dns.qry.name",
)

Key = tuple[int, int, int, bool, int, bool, int, str]


def name_key(name: str | None) -> str:
    """Leave names that tools escape in their own ways out of the comparison."""
    text = (name or "").lower().removesuffix(".")
    text = "" if text == "<root>" else text
    return text if PLAIN.fullmatch(text) else "*"


def listed(path: Path) -> tuple[Counter[Key], Counter[int]]:
    """Return the messages that the list shows whole, and how many more there are by packet."""
    whole: Counter[Key] = Counter()
    partly: Counter[int] = Counter()
    csv.field_size_limit(1 << 24)
    with path.open(newline="") as lines:
        for r in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            if "53" not in (r["inner_sport"], r["inner_dport"]) or r["in_icmp"] == "1":
                continue
            last = {k: r[k].split(",")[-1] for k in (*KEYS, "dns.flags.opcode")}
            number = int(r["frame.number"])
            if (
                not r["dns.qry.type"]
                or r["malformed"] == "1"
                or last["dns.flags.opcode"] not in ("0", "")
                or r["dns.count.queries"].split(",")[-1] != "1"
            ):
                partly[number] += 1
                continue
            seconds, _, fraction = r["frame.time_epoch"].partition(".")
            response = last["dns.flags.response"] in ("1", "True")
            whole[
                number,
                int(seconds) * 1_000_000_000 + int(fraction.ljust(9, "0")),
                int(last["dns.id"], 16),
                response,
                int(last["dns.flags.rcode"] or 0) if response else 0,
                last["dns.flags.truncated"] in ("1", "True"),
                int(last["dns.qry.type"]),
                name_key(last["dns.qry.name"]),
            ] += 1
    return whole, partly


def read(path: Path) -> Counter[Key]:
    """Return the messages that are read here, with whole questions."""
    out: Counter[Key] = Counter()
    for r in rows(str(path)):
        if r["opcode"] != "QUERY" or r["qtype"] is None:
            continue
        kind = qtype_number(r["qtype"])
        rcode = 0
        if r["rcode"] is not None:
            text = str(r["rcode"])
            rcode = RCODE_NUMBERS[text] if text in RCODE_NUMBERS else int(text[5:])
        out[
            r["packet_no"],
            pd.Timestamp(r["time"]).value,
            r["message_id"],
            r["is_response"],
            rcode & 15,
            bool(r["tc"]),
            kind or 0,
            name_key(r["qname"]),
        ] += 1
    return out


@needs_public
@pytest.mark.parametrize(
    "name", sorted(p.name for p in (PUBLIC / "captures").iterdir()) if PUBLIC else []
)
def test_public_captures(name):
    """Every message that tshark lists is found, and no other; every packet is accounted for."""
    assert PUBLIC is not None
    truth = PUBLIC / "truth" / f"{name}.tsv"
    want, partly = listed(truth) if truth.exists() else (Counter(), Counter())
    path = PUBLIC / "captures" / name
    try:
        got = read(path)
        assert_ledger(load(str(path)))
    except InputError:
        assert not want
        return
    extra = Counter({k: n for k, n in (got - want).items() if not partly[k[0]]})
    missing = want - got
    assert (missing.total(), extra.total()) == DIFFERENT.get(name, (0, 0, ""))[:2], (missing, extra)
