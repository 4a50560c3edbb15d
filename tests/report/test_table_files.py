"""Text helpers and exports, at their edges."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from pcapkit.pipeline.analyze import analyze
from pcapkit.report.analysis_json import dump_json
from pcapkit.report.table_files import write_table
from pcapkit.report.text.formatting import iso_time, nanoseconds, percent, printable, shorten
from pcapkit.report.writer import report_folder, stem_of
from pcapkit.words import seconds

LAB = Path(__file__).resolve().parents[2] / "captures" / "lab"


def test_times_keep_their_nanoseconds() -> None:
    assert iso_time(1_614_556_800_123_456_789) == "2021-03-01T00:00:00.123456789Z"
    assert iso_time(-1) == "1969-12-31T23:59:59.999999999Z"
    assert iso_time(None) is None
    for time in (1_614_556_800_123_456_789, -1, None):
        assert nanoseconds(iso_time(time)) == time


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 s"), (2e-6, "2 µs"), (0.0014, "1.4 ms"), (5, "5.00 s"), (600, "10.0 min"), (None, "")],
)
def test_durations_take_the_unit_that_reads_best(value: float | None, text: str) -> None:
    assert seconds(value) == text


def test_names_are_shortened_in_the_middle() -> None:
    assert shorten("abcdefghij", 7) == "abc…hij"
    assert shorten("short", 7) == "short"
    assert percent(0.12345) == "12.3 %"


def test_control_and_direction_characters_never_pass() -> None:
    assert printable("a\x1b[2J\u202eb\nc") == "a\ufffd[2J\ufffdb\ufffdc"


def test_folders_are_named_by_the_capture() -> None:
    assert stem_of(["-"]) == "stdin"
    assert stem_of(["/x/pod.pcap.gz"]) == "pod"
    assert stem_of(["a.pcap", "b.pcap", "c.pcap"]) == "a-and-2-more"
    assert stem_of(["/x/..pcap"]) not in ("", ".", "..")
    assert "/" not in stem_of(["a\\b;c d.pcap"]) and " " not in stem_of(["a b.pcap"])


@pytest.mark.parametrize("indent", [None, 2])
def test_a_folder_is_known_by_its_captures_however_it_is_indented(
    indent: int | None, tmp_path: Path
) -> None:
    told = {"options": {"search": ['"captures": [1]']}, "captures": [{"path": "/a/x.pcap"}]}
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "analysis.json").write_text(json.dumps(told | {"names": []}, indent=indent))
    assert report_folder(tmp_path, ["/a/x.pcap"]) == tmp_path / "x"
    assert report_folder(tmp_path, ["/b/x.pcap"]) == tmp_path / "x-2"


@pytest.mark.parametrize("text", ["", "{}", '{"captures": ', '{"captures": 1}', "\N{EURO SIGN}"])
def test_a_folder_with_a_damaged_report_is_left_alone(text: str, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "analysis.json").write_text(text, encoding="utf-16")
    assert report_folder(tmp_path, ["/a/x.pcap"]) == tmp_path / "x-2"
    (tmp_path / "x" / "analysis.json").write_text(text)
    assert report_folder(tmp_path, ["/a/x.pcap"]) == tmp_path / "x-2"


def test_json_text_holds_what_the_values_say() -> None:
    odd = 'a",\n"b], [{%s}: \\'
    analysis = analyze(LAB / "multi6_any_sll2.pcap")
    name, client = analysis.name_rows[0], analysis.client_rows[0]
    row = replace(analysis.what_if_rows[0], lookups_s=1e-9, p50_s=None)
    analysis = replace(
        analysis,
        findings=(),
        name_rows=tuple(replace(name, base_name=f"{odd}{n}", queries=n) for n in range(9999)),
        client_rows=(replace(client, search=()), replace(client, search=(odd, ""))),
        what_if_rows=tuple(replace(row, reasons=r) for r in ((), (odd,), ("", odd))),
    )
    text = dump_json(analysis)
    read = json.loads(text)
    assert [n["base_name"] for n in read["names"]] == [f"{odd}{n}" for n in range(9999)]
    assert [n["queries"] for n in read["names"]] == list(range(9999))
    assert [c["search"] for c in read["clients"]] == [[], [odd, ""]]
    assert [w["reasons"] for w in read["what_if"]] == [[], [odd], ["", odd]]
    assert [w["lookups_s"] for w in read["what_if"]] == [1e-9] * 3
    assert [w["p50_s"] for w in read["what_if"]] == [None] * 3
    assert (read["what_if"][0]["setting"], read["what_if"][0]["ndots"]) == ("ndots:0", 0)
    assert read["captures"][0]["first_time"] == iso_time(analysis.captures[0].first_time)
    rows = [line for line in text.splitlines() if line.startswith("    {")]
    advised = len(analysis.recommendations) + len(analysis.plans)
    assert len(rows) == 1 + 9999 + 2 + 3 + len(analysis.workload_rows) + advised
    assert len([json.loads(line.rstrip(",")) for line in rows]) == len(rows)


@pytest.mark.parametrize("text", ["half \udc80 a character", "\u202egnp.\x9b2J", "größer"])
def test_json_is_of_characters_that_no_terminal_obeys(text: str) -> None:
    """A path may hold bytes that are no character, and a pod's name what turns the line around."""
    analysis = analyze(LAB / "multi6_any_sll2.pcap")
    capture, client = analysis.captures[0], analysis.client_rows[0]
    analysis = replace(
        analysis,
        captures=(replace(capture, path=text),),
        client_rows=(replace(client, pod=text, search=(text,)),),
        warnings=(text,),
    )
    written = dump_json(analysis)
    assert written.isascii() and "\x9b" not in written
    read = json.loads(written)
    assert read["captures"][0]["path"] == read["clients"][0]["pod"] == text
    assert read["clients"][0]["search"] == read["warnings"] == [text]
    assert read["clients"][0]["ndots"]["value"] == client.ndots.value


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\tx"])
def test_a_text_cell_is_no_formula(cell: str) -> None:
    out = io.BytesIO()
    write_table([pd.DataFrame({"name": [cell], "n": [-1]})], "csv", out)
    assert out.getvalue().decode().splitlines()[1].lstrip('"').startswith("'")
    assert out.getvalue().decode().rstrip().endswith(",-1")


def test_absent_is_null_in_every_format() -> None:
    frame = pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": ["x", None]})
    out = io.BytesIO()
    write_table([frame], "jsonl", out)
    assert json.loads(out.getvalue().splitlines()[1]) == {"a": None, "b": None}
    out = io.BytesIO()
    write_table([frame], "csv", out)
    assert out.getvalue() == b"a,b\n1,x\n,\n"


def test_parquet_says_what_its_columns_hold(tmp_path: Path) -> None:
    analysis = analyze(LAB / "whatif_w1_glibc_ndots5.pcap")
    path = tmp_path / "lookups.parquet"
    with path.open("wb") as out:
        write_table(analysis.table_parts("lookups"), "parquet", out, table="lookups")
    schema = pq.read_schema(path)
    told = {f.name: (f.metadata or {})[b"description"].decode() for f in schema}
    assert told == analysis.columns("lookups")
    assert json.loads(schema.metadata[b"columns"]) == told
    assert pd.read_parquet(path).shape == analysis.lookups.shape
