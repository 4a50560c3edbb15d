"""Sources that are lines of text: the same lookups as from the packets, and what all of them share.

Samples are in ``tests/data/sources``, beside a note on each format.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pcapkit.errors import NotACapture
from pcapkit.pipeline.analyze import analyze
from pcapkit.pipeline.options import Options, make_options
from tests.build import assert_ledger, load, open_only, pcap, rows, save, table_of, without
from tests.ingest.packet.walks import as_packets, exchanges

DATA = Path(__file__).resolve().parents[2] / "data" / "sources"
SAMPLES = {
    "coredns.log": "CoreDNS log",
    "hubble.jsonl": "Hubble flows",
    "gadget-trace-dns.jsonl": "Inspektor Gadget",
    "ig-run-trace_dns.jsonl": "Inspektor Gadget",
}
every_sample = pytest.mark.parametrize("sample", SAMPLES)


def lookups(*paths: str) -> pd.DataFrame:
    """Return the lookups without what names the file and its packets."""
    frame = table_of(paths, "lookups")
    return frame.drop(columns=["capture", "first_packet_no"])


@pytest.fixture(scope="module")
def from_packets(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save(tmp_path_factory.mktemp("walks"), pcap(as_packets()))


@every_sample
def test_the_lookups_are_those_of_the_packets(sample: str, from_packets: str) -> None:
    wanted = lookups(from_packets)
    assert list(wanted["base_name"]) == ["api.example.com", "db.prod", "web"]
    pd.testing.assert_frame_equal(lookups(str(DATA / sample)), wanted)


@every_sample
def test_the_analysis_is_that_of_the_packets(sample: str, from_packets: str) -> None:
    options = Options(resolver="glibc")
    wanted, found = (
        json.loads(analyze(p, options=options).to_json()) for p in (from_packets, DATA / sample)
    )
    assert wanted["waste"]["wasted_queries"] == 8
    for row in (*wanted["what_if"], *found["what_if"]):
        # These hang on AA, which not all sources show: was it forwarded, and so how long it takes.
        for key in ("upstream_queries", "lookups_s", "p50_s", "p95_s", "p99_s"):
            row.pop(key)
    for key in ("waste", "names", "what_if", "lookups", "transactions"):
        assert found[key] == wanted[key], key
    for client in (*wanted["clients"], *found["clients"]):
        for key in ("pod", "workload", "namespace"):  # only some sources name them
            client.pop(key)
        client["dns_policy"] = client["dns_policy"]["value"]  # a log does not name its server
    assert found["clients"] == wanted["clients"]


@every_sample
def test_the_resolver_is_told_only_where_its_signs_are_shown(
    sample: str, from_packets: str
) -> None:
    assert analyze(from_packets).client_rows[0].resolver.model == "glibc"
    wanted = "glibc" if sample == "coredns.log" else "unknown"
    assert analyze(DATA / sample).client_rows[0].resolver.model == wanted


@pytest.mark.parametrize(
    ("sample", "workload"),
    [("hubble.jsonl", "api"), ("ig-run-trace_dns.jsonl", "api"), ("gadget-trace-dns.jsonl", None)],
)
def test_sources_that_know_the_pod_name_it(sample: str, workload: str | None) -> None:
    (client,) = analyze(DATA / sample).client_rows
    assert client.client_addr == "10.244.1.17"
    assert (client.pod, client.namespace) == ("api-7c5ddbdf54-q2x8v", "default")
    assert client.workload == workload


@every_sample
def test_messages_agree_in_all_that_is_shown(sample: str, from_packets: str) -> None:
    columns = (
        "time",
        "client_addr",
        "client_port",
        "is_response",
        "rcode",
        "qname",
        "qtype",
        "transport",
        "qclass",
        "opcode",
    )
    order = ("time", "is_response")
    wanted, found = (
        sorted(
            [{c: row[c] for c in columns} for row in rows(path)],
            key=lambda row: tuple(row[c] for c in order),
        )
        for path in (from_packets, str(DATA / sample))
    )
    assert len(wanted) == 2 * len(list(exchanges()))
    assert found == wanted


@every_sample
def test_a_pipe_into_the_command_gives_the_same(sample: str, from_packets: str) -> None:
    def export(*arguments: str, stdin: bytes = b"") -> list[dict[str, Any]]:
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "from pcapkit.cli.main import main; main()",
                "export",
                *arguments,
                "-t",
                "lookups",
            ],
            input=stdin,
            capture_output=True,
            check=True,
        )
        found = [json.loads(line) for line in done.stdout.splitlines()]
        return without(found, "capture", "first_packet_no")

    assert export("-", stdin=(DATA / sample).read_bytes()) == export(from_packets)


@every_sample
def test_every_line_is_accounted_for(sample: str) -> None:
    collected = load(str(DATA / sample))
    assert_ledger(collected)
    lines = [line for line in (DATA / sample).read_bytes().splitlines() if line.strip()]
    assert collected.packets == len(lines)
    assert collected.duplicates == 0
    assert set(collected.skipped) <= {"other_event"}
    assert collected.captures[0].format == SAMPLES[sample]


@every_sample
@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_lines_are_the_same(sample: str, compress: Any, tmp_path: Path) -> None:
    path = save(tmp_path, compress((DATA / sample).read_bytes()), "packed")
    assert rows(path) == rows(str(DATA / sample))


@every_sample
def test_line_ends_of_windows_and_blank_lines_change_nothing(sample: str, tmp_path: Path) -> None:
    text = (DATA / sample).read_bytes().replace(b"\n", b"\r\n\r\n")
    assert len(rows(save(tmp_path, text, "w"))) == len(rows(str(DATA / sample)))


@every_sample
def test_damaged_lines_are_counted_and_the_others_kept(sample: str, tmp_path: Path) -> None:
    good = (DATA / sample).read_bytes().splitlines()
    bad = [line[: len(line) // 2] for line in good[-8:-4]] + [b"\xff\xfe\0\x01", b"{}", b"[" * 9999]
    path = save(tmp_path, b"\n".join(good + bad + good[5:6]), "damaged")
    whole = load(str(DATA / sample))
    collected = load(path)
    assert_ledger(collected)
    assert collected.packets == whole.packets + len(bad) + 1
    added = collected.skipped - whole.skipped
    assert added.total() == len(bad)
    assert set(added) <= {"text_not_understood", "other_event"}


@every_sample
def test_a_chain_that_crosses_files_stays_whole(
    sample: str, from_packets: str, tmp_path: Path
) -> None:
    lines = (DATA / sample).read_bytes().splitlines(keepends=True)
    cut = len(lines) // 3
    first = save(tmp_path, b"".join(lines[:cut]), "b.log")
    second = save(tmp_path, b"".join(lines[cut:]), "a.log")
    pd.testing.assert_frame_equal(lookups(second, first), lookups(from_packets))


def test_lines_of_several_formats_do_not_mix(tmp_path: Path) -> None:
    """The first lines decide; what is of another format is counted, not guessed at."""
    text = (DATA / "coredns.log").read_bytes() + (DATA / "hubble.jsonl").read_bytes()
    collected = load(save(tmp_path, text, "mixed"))
    assert_ledger(collected)
    assert collected.captures[0].format == "CoreDNS log"
    assert collected.with_messages == load(str(DATA / "coredns.log")).with_messages


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": 1}\n',
        b"[INFO] ready\n",
        b'{"qr": "Q"}\n',
        b'{"verdict": "FORWARDED"}\n',
        b"{}\n",
        b'{"flow": 3}\n',
        b"one, two\n",
    ],
)
def test_other_text_is_refused(text: bytes, tmp_path: Path) -> None:
    with pytest.raises(NotACapture, match="Hubble"):
        open_only(save(tmp_path, text, "other.json"))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values inside a JSON object."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else ()
    return found + [p for key, inner in items for p in leaves(inner, (*path, key))]


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.endswith(".jsonl")])
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_value_in_an_event_stops_the_reading(sample: str, data: Any, tmp_path: Path) -> None:
    lines = (DATA / sample).read_text().splitlines()
    event = json.loads(lines[4])
    *way, last = data.draw(st.sampled_from(leaves(event)))
    place = event
    for key in way:
        place = place[key]
    place[last] = data.draw(anything)
    path = save(tmp_path, "\n".join([*lines[:4], json.dumps(event), *lines[5:]]).encode(), "f")
    collected = load(path)
    assert_ledger(collected)
    assert collected.packets == len(lines)


# ---- other programs' lines between, and other forms behind --------------------------------------

ASKED = "10:00:00.000000 IP 10.0.0.9.40000 > 10.96.0.10.53: 1+ A? a.example. (27)"
SAID = "10:00:00.001000 IP 10.96.0.10.53 > 10.0.0.9.40000: 1* 1/0/0 A 192.0.2.1 (43)"
LOGGED = (
    '[INFO] 10.0.0.9:40000 - 1 "A IN b.example. udp 27 false 512" NOERROR qr,aa,rd 52 0.000117s'
)
TSHARK = "    1 0.000000 10.0.0.9 \u2192 10.96.0.10 DNS 70 Standard query 0x0001 A c.example"
DNSMASQ = "Mar  1 10:00:00 dnsmasq[1]: 7 10.0.0.9/40000 query[A] d.example from 10.0.0.9"
HUBBLE = (
    "Mar  1 10:00:00.000: default/web-0:40000 (ID:1) -> kube-system/coredns-0:53 (ID:2) "
    "dns-request proxy FORWARDED (DNS Query e.example. A)"
)
BETWEEN = {
    "a traceback": ["Traceback (most recent call last):", '  File "app.py", line 3, in <module>'],
    "a trace of Java": ["java.io.IOException: broken", "\tat com.acme.Pool.run(Pool.java:31)"],
    "details without a head": ["    at com.acme.IP.run(Filter.java:5) IP > x.", "    more."],
    "a router's word": ["route IP 10.0.0.5 > 10.1.0.5: ok", "moved IP pool a > pool b"],
    "an application's word": ["2026-03-01 10:00:00 INFO from IP 10.0.0.5 routed > backend in 3 ms"],
    "JSON": ['{"level":"info","msg":"from IP 10.0.0.5 > x","n":5}'],
    "a firewall": ["kernel: [8.12] DROP IN=eth0 OUT= SRC=10.0.0.5 DST=10.0.1.1 SPT=1 DPT=53"],
    "microseconds": ["2026-03-01 10:00:00.000123 INFO worker > done"],
    "a page of HTML": ["<p>IP &gt; x</p>"],
    "a later clock": ["23:59:59.000000 worker 1: got IP 10.0.3.1 from the pool"],
    "a later day": ["2030-03-01 10:00:00.000001 INFO dhcp: IP 10.1.1.1 leased"],
    "a clock and two ends": ["10:00:07.000500 fw: drop IP 10.0.0.1 > 10.0.0.2 len 5"],
    "a clock at the word": ["23:59:59.000000 IP pool exhausted"],
    "a shipper's": ["2026-03-01T10:00:00.000123Z stdout F worker IP check > fine"],
}


@pytest.mark.parametrize("lines", BETWEEN.values(), ids=BETWEEN)
def test_other_lines_change_nothing_for_their_neighbours(tmp_path: Path, lines: list[str]) -> None:
    """Neither in the midst of a conversation nor at its ends; each of them is counted."""
    plain = save(tmp_path, f"{ASKED}\n{SAID}\n".encode(), "plain.txt")
    mixed = [*lines, ASKED, *lines, SAID, *lines]
    path = save(tmp_path, "\n".join(mixed).encode(), "mixed.txt")
    pd.testing.assert_frame_equal(lookups(path), lookups(plain))
    found = load(path)
    assert_ledger(found)
    assert dict(found.skipped) == {"other_event": 3 * len(lines)}
    assert any("not of this form (tcpdump text)" in w for w in found.warnings)


def test_the_rest_of_a_packet_is_found_behind_another_line(tmp_path: Path) -> None:
    """With -v a packet has two lines, and what another program prints may come between them."""
    head = "10:00:00.000000 IP (tos 0x0, ttl 64, id 7, flags [DF], proto UDP (17), length 55)"
    rest = "    10.0.0.9.40000 > 10.96.0.10.53: 1+ A? a.example. (27)"
    path = save(tmp_path, f"{head}\n{rest}\n    at x.y.\n{SAID}\n".encode(), "v.txt")
    assert [r["qname"] for r in rows(path)] == ["a.example", None]


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        ([ASKED, SAID], [LOGGED], "CoreDNS log"),
        ([ASKED, SAID], [TSHARK], "tshark text"),
        ([ASKED, SAID], [DNSMASQ], "dnsmasq log"),
        ([ASKED, SAID], [HUBBLE], "Hubble text"),
        ([LOGGED], [ASKED, SAID], "tcpdump text"),
        ([LOGGED], [HUBBLE], "Hubble text"),
        ([LOGGED], [DNSMASQ], "dnsmasq log"),
        ([HUBBLE], [LOGGED], "CoreDNS log"),
        ([HUBBLE], [ASKED, SAID], "tcpdump text"),
        ([DNSMASQ], [ASKED, SAID], "tcpdump text"),
        ([TSHARK], [LOGGED], "CoreDNS log"),
    ],
)
def test_a_form_that_changes_within_a_file_is_told_of(
    tmp_path: Path, first: list[str], second: list[str], name: str
) -> None:
    """What is read is that of the first form; the place of the other, and what to do, are said."""
    alone = save(tmp_path, "\n".join(first).encode(), "alone.txt")
    both = save(tmp_path, "\n".join([*first, "", *second]).encode(), "both.txt")
    pd.testing.assert_frame_equal(lookups(both), lookups(alone))
    (said,) = (w for w in load(both).warnings if "another form" in w)
    place = len(first) + 2
    assert f"({name})" in said and f"line {place} " in said and f"tail -n +{place}" in said
    assert not any("another form" in w for w in load(alone).warnings)


# ---- the clients that are asked for -------------------------------------------------------------


def test_a_printed_name_is_a_client_that_can_be_asked_for(tmp_path: Path) -> None:
    lines = [
        "10:00:00.000000 IP web-0.40000 > kube-dns.53: 1+ A? a.example. (27)",
        "10:00:00.001000 IP kube-dns.53 > web-0.40000: 1* 1/0/0 A 192.0.2.1 (43)",
        "10:00:01.000000 IP node7.lan.40001 > kube-dns.53: 2+ A? b.example. (27)",
        "10:00:02.000000 IP 10.0.0.9.40001 > kube-dns.53: 3+ A? c.example. (27)",
    ]
    path = save(tmp_path, "\n".join(lines).encode(), "names.txt")

    def asked(*clients: str) -> tuple[list[str], list[str]]:
        found = analyze(path, options=make_options(clients=clients))
        return sorted(n.base_name for n in found.name_rows), [
            w for w in found.warnings if w.startswith("--client")
        ]

    assert asked("web-0") == (["a.example"], [])
    assert asked("WEB-0", "10.0.0.0/24") == (["a.example", "c.example"], [])
    assert asked("node7.lan") == (["b.example"], [])
    names, (said, more) = asked("web-0", "kube-dns", "10.9.0.0/16")
    assert names == ["a.example"] and "--client kube-dns: no client" in said
    assert "--client 10.9.0.0/16: no client" in more
