"""Limits of what is held while packets and lines are read: crossing one is said, in one warning."""

from __future__ import annotations

import gzip
import json
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from pcapkit.batch.tallies.merge import merge, write_tally
from pcapkit.cli.root import cli
from pcapkit.ingest.window import Span
from pcapkit.pipeline.analyze import analyze
from pcapkit.pipeline.options import make_options
from tests import build

QUERIES = [build.query(f"{'abcd'[n] * 60}.n{n}.example", ident=n) for n in range(4)]


def fragments() -> bytes:
    """Four datagrams in two fragments each: first all the first ones, then all the others."""
    frames = []
    for first in (True, False):
        for n, dns in enumerate(QUERIES):
            datagram = build.udp(dns)
            piece = datagram[:64] if first else datagram[64:]
            offset = 0x2000 if first else 64 // 8
            frames.append(build.ethernet(build.ipv4(piece, ident=n + 1, fragment=offset)))
    return build.pcap(build.packets(*frames, build.ethernet(build.ask(build.query("z.example")))))


def streams() -> bytes:
    """Four TCP streams whose messages are cut in the middle, the ends after all beginnings."""
    frames = []
    for first in (True, False):
        for n, dns in enumerate(QUERIES):
            whole = build.framed(dns)
            data, at = (whole[:40], 1000) if first else (whole[40:], 1040)
            segment = build.tcp(data, 40000 + n, 53, sequence=at)
            frames.append(build.ethernet(build.ipv4(segment, protocol=6, ident=n + 1)))
    return build.pcap(build.packets(*frames, build.ethernet(build.ask(build.query("z.example")))))


def rare() -> bytes:
    """Four packets of a link type that is dissected packet by packet (IEEE 802.11)."""
    wlan = bytes.fromhex("0800" + "0000" + "00" * 18 + "0000" + "aaaa030000000800")
    return build.pcap(
        build.packets(*(wlan + build.ask(dns, ident=n) for n, dns in enumerate(QUERIES))),
        linktype=105,
    )


def nested() -> bytes:
    """A packet in more tunnels than are read, and one that is in none."""
    packet = build.ask(build.query("deep.example"))
    for _ in range(15):
        packet = build.ipv4(packet, protocol=4)
    plain = build.ethernet(build.ask(build.query("z.example")))
    return build.pcap(build.packets(build.ethernet(packet), plain))


Case = tuple[Callable[[], bytes], str, str]
CASES: dict[str, Case] = {
    "fragmented_datagrams": (fragments, "=2", r"\d incomplete datagrams that waited"),
    "fragment_bytes": (fragments, "=150", r"\d incomplete datagrams that waited"),
    "tcp_streams": (streams, "=2", r"\d TCP streams that waited"),
    "tcp_bytes": (streams, "=100", r"\d TCP streams that waited"),
    "dissected_packets": (rare, "=3", "1 packet of rare link types was skipped"),
    "tunnel_layers": (nested, "=12", "1 packet with too many headers was skipped"),
}


def said_of(name: str, warnings: tuple[str, ...]) -> list[str]:
    return [w.partition(": ")[2] for w in warnings if f"limit {name}=" in w]


@pytest.mark.parametrize("name", CASES)
def test_crossing_a_limit_is_said_however_a_capture_is_read(name: str, tmp_path: Path) -> None:
    make, low, said = CASES[name]
    content = make()
    path = build.save(tmp_path, content)
    limits = [f"{name}{low}"] if low else []
    options = make_options(limits=limits)
    whole = analyze(path, options=options)
    (warning,) = said_of(name, whole.warnings)
    assert re.match(said, warning)
    assert f"'pcapkit explain {name}' says more" in warning
    assert (f"--limit {name}=N changes it" in warning) == bool(low)
    assert whole.packets.total == whole.packets.with_messages + sum(whole.packets.skipped.values())
    if low:
        assert not said_of(name, analyze(path).warnings)
    tally, _ = write_tally(path, tmp_path / "whole.tally", options=options)
    parts = []
    for n, span in enumerate((Span(0, len(content) // 2), Span(len(content) // 2, None))):
        part, _ = write_tally(path, tmp_path / f"{n}.tally", options=options, span=span)
        parts.append(part)
    for merged in (merge(tally, options=options), merge(*parts, options=options)):
        assert merged.warnings == whole.warnings
        assert merged.packets == whole.packets
    if low and name != "dissected_packets":  # which is of one capture
        halves = []
        records = [24]
        while records[-1] < len(content):
            records.append(records[-1] + 16 + struct.unpack_from("<I", content, records[-1] + 8)[0])
        middle = records[len(records) // 2]
        for n, piece in enumerate((content[:middle], content[:24] + content[middle:])):
            halves.append(build.save(tmp_path, piece, f"half{n}.pcap"))
        assert said_of(name, analyze(*halves, options=options).warnings) == [warning]


def test_lines_beyond_a_packet_are_said_and_counted(tmp_path: Path) -> None:
    query = "2024-01-01 12:00:00.000001 IP 10.0.0.5.4711 > 10.96.0.10.53: 46+ A? a.example. (27)\n"
    other = "2024-01-01 12:00:00.000002 IP 10.0.0.5.4000 > 10.0.0.6.80: Flags [P.], seq 1:9\n"
    foreign = "another program says so\n    and more of it\n"
    text = query + other + "    goes on and on\n" * 20_000 + "    \n\n" + foreign + query
    path = build.save(tmp_path, text.encode(), "t.txt")
    whole = analyze(path, limits=["continuation_characters=1000000"])
    cut = analyze(path, limits=["continuation_characters=500"])
    assert whole.waste == cut.waste and whole.packets.skipped["not_dns"] == 1
    (said,) = said_of("continuation_characters", cut.warnings)
    kept = (500 - len(other.strip())) // 15 + 1
    assert said.startswith(f"{20_000 - kept:,} lines are left out")
    assert not said_of("continuation_characters", whole.warnings)
    both = [next(w for w in a.warnings if "not of this form" in w) for a in (whole, cut)]
    assert both[0] == both[1] and "2 lines are" in both[0]
    assert cut.packets.skipped["not_dns"] == 1  # what there is of the packet is read
    assert cut.packets.skipped["other_event"] == 20_002 - kept


def test_every_command_that_reads_captures_takes_limits(tmp_path: Path) -> None:
    twice = build.save(
        tmp_path, gzip.compress(gzip.compress(build.pcap(build.conversation()))), "t"
    )
    runs = {
        "analyze": ["analyze", "--json", twice],
        "audit": ["audit", str(twice), "-o", str(tmp_path / "audit"), "--format", "json", "-q"],
        "export": ["export", twice, "-t", "names", "-o", str(tmp_path / "names.jsonl")],
        "sql": ["sql", "SELECT count(*) FROM lookups", twice],
        "tally": ["tally", twice, "-o", str(tmp_path / "t.tally")],
        "share": ["share", twice, "-o", str(tmp_path / "shared.pcap")],
        "compare": ["compare", twice, twice, "--json"],
    }
    for name, run in runs.items():
        refused = CliRunner().invoke(cli, run)
        assert refused.exit_code != 0, name
        done = CliRunner().invoke(cli, [*run, "--limit", "compression_layers=2"])
        assert done.exit_code == 0, (name, done.output, done.exception)
    merged = CliRunner().invoke(cli, ["merge", str(tmp_path / "t.tally"), "--json"])
    assert json.loads(merged.stdout)["packets"]["total"] == len(build.conversation())
