"""A capture in one file, in several, or in ranges read apart: the same analysis, to the byte.

Real captures, as they are and with damaged packets, are cut after any record. What names a file or
counts the packets of one is left out of the comparison; nothing else is.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import struct
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pcapkit.batch.audit import Audit
from pcapkit.batch.engines.local import Local
from pcapkit.batch.finding.catalog import find_items
from pcapkit.batch.keeping.lock import locked
from pcapkit.batch.tallies import parts
from pcapkit.errors import InputError
from pcapkit.pipeline.analyze import analyze
from pcapkit.pipeline.options import Options

LAB = Path(__file__).resolve().parents[2] / "captures" / "lab"
_ORDERS = {
    bytes.fromhex("d4c3b2a1"): "<",
    bytes.fromhex("4d3cb2a1"): "<",
    bytes.fromhex("a1b2c3d4"): ">",
    bytes.fromhex("a1b23c4d"): ">",
}
_SECTION, _LITTLE = 0x0A0D0D0A, bytes.fromhex("4d3c2b1a")
#: Simple and enhanced packet blocks (draft-ietf-opsawg-pcapng, 4.3 and 4.4).
_PACKETS = (3, 6)
#: More records than are cut at once.
_MOST_FILES = 40
#: What names a file or counts its packets.
_OF_A_FILE = re.compile("packet_no|^(captures|packets|capture|display_filter)$")


def _cut_pcap(content: bytes) -> tuple[bytes, list[bytes]]:
    order, at, records = _ORDERS[content[:4]], 24, []
    while at + 16 <= len(content):
        (size,) = struct.unpack_from(order + "I", content, at + 8)
        records.append(content[at : at + 16 + size])
        at += 16 + size
    return content[:24], records


def _cut_pcapng(content: bytes) -> tuple[bytes, list[bytes]]:
    order = "<" if content[8:12] == _LITTLE else ">"
    at, head, records = 0, b"", []
    while at + 12 <= len(content):
        kind, size = struct.unpack_from(order + "II", content, at)
        block = content[at : at + size]
        if kind in _PACKETS:
            records.append(block)
        elif not records:  # the section, its interfaces and names: each file has them
            head += block
        at += size
    return head, records


def _records(path: Path) -> tuple[bytes, list[bytes]]:
    """Return what each file begins with, and the records of a capture."""
    content = path.read_bytes()
    content = gzip.decompress(content) if path.suffix == ".gz" else content
    return (_cut_pcap if content[:4] in _ORDERS else _cut_pcapng)(content)


CAPTURES = {
    path.name: _records(path) for path in sorted(LAB.iterdir()) if ".pcap" in "".join(path.suffixes)
}


def _without_files(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_files(v) for k, v in value.items() if not _OF_A_FILE.search(k)}
    return [_without_files(v) for v in value] if isinstance(value, list) else value


def _found(*files: Path) -> Any:
    """Return an analysis without what is of its files; None where nothing of it can be read."""
    try:
        analysis = json.loads(analyze(*map(str, files)).to_json())
    except InputError:
        return None
    warnings = [w.partition(": ")[2] for w in analysis.pop("warnings")]
    return _without_files(analysis) | {"reasons": analysis["packets"], "warnings": warnings}


class Cut:
    """A capture whose records are cut before some of them; ``head`` begins each file."""

    def __init__(self, head: bytes, records: list[bytes], before: list[int]) -> None:
        self.head, self.records, self.before = head, records, before

    def __repr__(self) -> str:
        return f"Cut({len(self.records)} records, before {self.before})"

    def write(self, folder: Path) -> tuple[Path, list[Path]]:
        """Write it as one file, and as several."""
        whole = folder / "c.pcap"
        whole.write_bytes(self.head + b"".join(self.records))
        files: list[Path] = []
        for first, end in pairwise([0, *self.before, len(self.records)]):
            files.append(folder / f"c.pcap{len(files):03}")
            files[-1].write_bytes(self.head + b"".join(self.records[first:end]))
        return whole, files


@st.composite
def _cut(draw: st.DrawFn) -> Cut:
    """Return a capture, some of its packets damaged, doubled or lost, and where it is cut."""
    head, records = CAPTURES[draw(st.sampled_from(sorted(CAPTURES)))]
    first = draw(st.integers(0, max(0, len(records) - 100)))
    records = records[first : first + 100]
    before = 16 if head[:4] in _ORDERS else 28  # of a record's own header
    places = st.integers(0, len(records) - 1)
    for at, where, byte in draw(
        st.lists(st.tuples(places, st.integers(0, 1 << 16), st.integers(0, 255)), max_size=40)
    ):
        record = bytearray(records[at])
        if len(record) > before + 4:
            record[before + where % (len(record) - before - 4)] = byte
            records[at] = bytes(record)
    for at in draw(st.lists(places, max_size=5)):
        records.insert(at, records[at])
    for at in draw(st.lists(places, max_size=2)):
        del records[at % len(records)]
    if draw(st.booleans()):
        return Cut(head, records, list(range(1, min(len(records), _MOST_FILES))))
    cuts = st.lists(st.integers(1, len(records) - 1), min_size=1, max_size=3, unique=True)
    return Cut(head, records, sorted(draw(cuts)))


@given(_cut())
@settings(
    max_examples=max(1, int(os.environ.get("PCAPKIT_FUZZ_EXAMPLES", "200")) // 4),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
def test_files_do_not_matter(cut: Cut) -> None:
    with tempfile.TemporaryDirectory() as folder:
        whole, files = cut.write(Path(folder))
        assert _found(*files) == _found(whole)


@pytest.mark.parametrize("size", [2_000, 7_001])
@pytest.mark.parametrize("name", ["multi6_any_sll2.pcap", "fault_truncated_tcp.pcap"])
def test_ranges_do_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, size: int
) -> None:
    monkeypatch.setattr(parts, "PART_BYTES", size)
    lead = Audit(tmp_path, ("json",), Options(), say=print, fail=print)
    engine = Local(2, prepare=lambda: None, look=lambda: None, say=print)
    with locked(tmp_path):
        index = lead.run(find_items([str(LAB / name)]), engine)
    assert [row.error for row in index.captures] == [None]
    assert len(list((tmp_path / "tallies").glob("*.tally"))) >= (LAB / name).stat().st_size // size
    report = tmp_path / Path(name).stem / "analysis.json"
    assert report.read_text() == analyze(str(LAB / name)).to_json()
