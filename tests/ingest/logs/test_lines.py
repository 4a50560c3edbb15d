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
from pcapkit.pipeline.options import Options
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
