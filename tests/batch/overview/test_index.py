"""The index of an audit in all its forms: page, JSON, Parquet, terminal."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote

import jsonschema
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from pcapkit.batch.overview.groups import parse_group_by
from pcapkit.batch.overview.index import make_index, write_index
from pcapkit.batch.rows import failed_row, row_of
from pcapkit.model.audits import AuditIndex, Trend, TrendPoint
from pcapkit.pipeline.analyze import analyze
from pcapkit.report.audit_terminal import render_audit_terminal
from pcapkit.report.html.index import render_index
from pcapkit.report.text.audits import FAILURE_KINDS
from tests.batch.overview.rows import BEGIN, DAY, ndots, row, workload
from tests.cli.test_cli import run
from tests.end_to_end.test_lab import LAB

SCHEMA = json.loads((files("pcapkit.report") / "audit.schema.json").read_text())
HOSTILE = (
    "in/<script>alert(1)</script>.pcap",
    'in/"onmouseover="alert(1).pcap',
    "in/a\nb\x1b[31m\u202e.pcap",
    "in/{{7*7}}&amp;.pcap",
    "../..//etc/javascript:alert(1).pcap",
)


def trend(name: str, *shares: float, verdict: str = "worse") -> Trend:
    namespace, _, of = name.partition("/")
    points = tuple(
        TrendPoint(BEGIN + n * DAY, share, max(0.0, share - 0.01), min(1.0, share + 0.01), 1000)
        for n, share in enumerate(shares)
    )
    change = shares[-1] - shares[-2] if len(shares) > 1 else None
    low = high = None
    if change is not None:
        low, high = change - 0.02, change + 0.02
    return Trend(namespace, of, None, points, change, low, high, verdict)


@pytest.fixture(scope="module")
def index() -> AuditIndex:
    step = ndots(2, "shop/web", ends=60)
    rows = [
        row("in/a/1.pcap", workload("shop/web", wasted=90, faults=("conntrack_race",))),
        row("in/a/2.pcap", workload("shop/web", wasted=80), steps=(step,)),
        row("in/b/3.pcap", workload("10.0.0.7"), gone=True, paths=("in/b/3.pcap0", "in/b/3.pcap1")),
        failed_row("in/b/4.pcap", "in/b/4.pcap: no bytes at all", "empty"),
        failed_row("in/b/5.pcap", "in/b/5.pcap: no bytes at all", "empty"),
        failed_row("in/b/6.pcap", "in/b/6.pcap: a word that nobody knows", "brand-new"),
    ]
    found = [trend("shop/web", 0.5, 0.4, 0.6), trend("shop/api", 0.1, verdict="new")]
    return make_index(rows, parse_group_by("in/(.)/"), found)


def terminal(index: AuditIndex, width: int = 80) -> str:
    out = io.StringIO()
    render_audit_terminal(index, Console(file=out, width=width, highlight=False))
    return out.getvalue()


class _Page(HTMLParser):
    """Tags, links and what is read of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.update(name for name, _ in attrs)
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] not in (["script"], ["style"]):
            self.text += data


# ---- the whole -------------------------------------------------------------------------------


def test_captures_are_ranked_and_failures_grouped(index: AuditIndex) -> None:
    assert [r.path[-6] for r in index.captures] == list("123456")
    assert [(f.kind, len(f.rows)) for f in index.failures] == [("empty", 2), ("brand-new", 1)]
    assert [g.by for g in index.groupings] == ["in/(.)/", "workload", "namespace"]


def test_what_is_asked_for_comes_first_and_once() -> None:
    index = make_index([row("a.pcap", workload("shop/web"))], parse_group_by("namespace"))
    assert [g.by for g in index.groupings] == ["namespace", "workload"]


def test_the_order_of_rows_changes_no_byte(index: AuditIndex, tmp_path: Path) -> None:
    by = parse_group_by("in/(.)/")
    for name, rows in (("a", index.captures), ("b", index.captures[::-1])):
        write_index(tmp_path / name, make_index(rows, by, index.trend))
    written = {p.name: p.read_bytes() for p in (tmp_path / "a").iterdir()}
    assert set(written) == {"index.html", "audit.json", "audit.parquet"}
    assert written == {p.name: p.read_bytes() for p in (tmp_path / "b").iterdir()}


# ---- JSON and Parquet ------------------------------------------------------------------------


def test_json_is_of_its_schema(index: AuditIndex, tmp_path: Path) -> None:
    real = make_index([row_of("a.pcap", analyze(LAB / "multi6_any_sll2.pcap"), None)])
    for number, audit in enumerate((index, real, make_index([]))):
        write_index(tmp_path / str(number), audit)
        record = json.loads((tmp_path / str(number) / "audit.json").read_text("ascii"))
        jsonschema.validate(record, SCHEMA)
    record = json.loads((tmp_path / "0" / "audit.json").read_text())
    assert [c["gone"] for c in record["captures"]] == [False, False, True, False, False, False]
    assert record["captures"][0]["first_time"] == "2026-11-18T11:06:40.000000000Z"
    assert (
        record["groups"][0]["groups"][0] | {"name": "a", "wasted_queries": 170}
        == (record["groups"][0]["groups"][0])
    )
    assert record["together"]["steps"][0]["subjects"] == ["shop/web"]
    assert record["failures"][0]["paths"] == ["in/b/4.pcap", "in/b/5.pcap"]
    assert record["trend"][0]["points"][2]["share"] == 0.6
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(record | {"groups": [{}]}, SCHEMA)


def test_parquet_has_a_described_row_for_each_workload_of_a_capture(
    index: AuditIndex, tmp_path: Path
) -> None:
    write_index(tmp_path, index)
    table = pq.read_table(tmp_path / "audit.parquet")
    for field in table.schema:
        assert field.metadata[b"description"]
    rows = table.to_pylist()
    assert [(r["capture"], r["namespace"], r["workload"], r["client_addr"]) for r in rows[:4]] == [
        ("in/a/1.pcap", "shop", "web", None),
        ("in/a/2.pcap", "shop", "web", None),
        ("in/b/3.pcap", None, None, "10.0.0.7"),
        ("in/b/4.pcap", None, None, None),
    ]
    assert rows[0]["faults"] == ["conntrack_race"] and rows[0]["group"] == "a"
    assert rows[2]["gone"] and rows[2]["files"] == 2
    assert rows[3]["error_kind"] == "empty" and rows[3]["queries"] is None
    types = {field.name: str(field.type) for field in table.schema}
    write_index(tmp_path, make_index([]))  # where every column is empty, they are the same
    none = pq.read_table(tmp_path / "audit.parquet")
    assert {field.name: str(field.type) for field in none.schema} == types


# ---- the page --------------------------------------------------------------------------------


def test_the_page_says_all_of_it(index: AuditIndex) -> None:
    page = _Page(render_index(index, "1"))
    text = page.text.replace("\xa0", " ")
    assert "3 captures: 56.7 % of the DNS queries were search-path waste: 170 of 300." in text
    assert "1 edit ends 60 of them (35.3 %)." in text
    assert "It is the plan of the one capture that has any" in text
    assert "Set ndots to 2" in text and "workload shop/web" in text
    assert "Waste by part of the path" in text and "Waste by namespace" in text
    assert "2 files read as one" in text and "3.pcap0, 3.pcap1" in text
    assert "no longer there" in text
    assert "+20.0 points (+18.0 to +22.0)" in text
    assert "Empty: 2" in text and FAILURE_KINDS["empty"].action in text
    assert "Other reasons: 1" in text and "a word that nobody knows" in text
    sections = [link for link in page.links if link.startswith("#")]
    assert sections == ["#plan", "#group-1", "#group-2", "#group-3", "#captures", "#trend"] + [
        "#failures"
    ]
    assert not re.search(r"""(src|href)=["']?(https?:|//)""", render_index(index, "1"))


def test_names_stay_text() -> None:
    rows = [
        row(path, workload(f"<img src=x>/{n}<b>", wasted=9), steps=(ndots(2, path, ends=5),))
        for n, path in enumerate(HOSTILE)
    ]
    rows += [failed_row(f"{path}x", f"{path}x: <img src=x onerror=alert(1)>") for path in HOSTILE]
    rows = [replace(r, group=r.path) for r in rows]
    page = _Page(render_index(make_index(rows, parse_group_by("in/(.*)")), "1"))
    assert page.tags.count("script") == 1
    assert {"img", "b"}.isdisjoint(page.tags)
    assert {"onmouseover", "onerror"}.isdisjoint(page.attributes)
    assert "<script>alert(1)</script>.pcap" in page.text and "{{7*7}}&amp;.pcap" in page.text
    for character in "\x1b\u202e":
        assert character not in page.text
    links = [link for link in page.links if not link.startswith("#")]
    assert {unquote(link) for link in links} == {f"{path}/report.html" for path in HOSTILE}
    assert all(re.fullmatch(r"[\w./%-]+", link, re.ASCII) for link in links)
    for line in terminal(make_index(rows)).splitlines():
        assert "\x1b" not in line and "\u202e" not in line


def test_an_audit_without_waste_or_without_anything() -> None:
    idle = make_index([row("a.pcap", workload("shop/web"))])
    assert "Nothing to do: no query was search-path waste." in _Page(render_index(idle, "1")).text
    failed = make_index([failed_row("a.pcap", "a.pcap: no bytes at all", "empty")])
    assert "No capture could be analysed: 1 failed." in _Page(render_index(failed, "1")).text
    empty = make_index([row("a.pcap")])
    assert "no DNS query in it" in terminal(empty)
    for index in (idle, failed, empty):
        assert terminal(index).splitlines()[0]


def test_plans_that_differ_are_told_of() -> None:
    rows = [
        row(f"{n}.pcap", workload("shop/web", wasted=50), steps=(ndots(n, "shop/web", ends=20),))
        for n in (2, 3)
    ]
    for text in (_Page(render_index(make_index(rows), "1")).text, terminal(make_index(rows))):
        said = " ".join(text.split())
        assert "plans of different captures set ndots to 2 and 3; 3 is taken" in said
        assert "20 wasted queries more, which count nowhere here" in said


# ---- the terminal ----------------------------------------------------------------------------


def test_the_terminal_says_the_worst_of_it(index: AuditIndex) -> None:
    text = terminal(index)
    said = " ".join(text.split())
    assert "3 captures: 56.7 % of the DNS queries" in said
    assert "Set ndots to 2 for workload shop/web" in said
    assert "worse than in the last run" in said and "Empty: 2" in said
    assert "no longer there" in said
    many = [row(f"in/{n:03}.pcap", workload(f"shop/w{n}", wasted=n)) for n in range(1, 31)]
    many += [failed_row(f"in/{n}.pcap", "a reason", "empty") for n in range(9)]
    said = " ".join(terminal(make_index(many)).split())
    assert "and 10 more: index.html" in said  # captures beyond the first 20
    assert "and 25 more that waste: index.html" in said  # workloads beyond the first 5
    assert "and 6 more: -v prints all, index.html has them" in said  # of failures


def test_the_terminal_fits_and_leaves_no_blanks(index: AuditIndex) -> None:
    long = f"captures/{'very-' * 30}long/{'x' * 200}.pcap"
    rows = [
        row(long, workload(f"{'n' * 63}/{'w' * 63}", wasted=99)),
        row(
            f"{long}2",
            workload("shop/web", wasted=10**9, complete=2 * 10**9),
            steps=(ndots(2, *(f"shop/{n}" for n in range(30)), ends=10**8),),
            gone=True,
        ),
        failed_row(long, f"{long}: why", "permission"),
    ]
    for audit in (index, make_index(rows)):
        for line in terminal(audit).splitlines():
            assert line == line.rstrip() and len(line) <= 80, line


# ---- the command -----------------------------------------------------------------------------


def test_an_audit_is_grouped_as_asked(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "in" / name).mkdir(parents=True)
        source = LAB / f"whatif_w1_{'glibc' if name == 'a' else 'musl'}_ndots5.pcap"
        (tmp_path / "in" / name / "pod.pcap").write_bytes(source.read_bytes())
    out = tmp_path / "out"
    done = run(
        *("audit", str(tmp_path / "in"), "-o", str(out), "--format", "json"),
        *("--group-by", "in/([^/]+)/"),
    )
    assert done.returncode == 0, done.stderr
    record = json.loads((out / "audit.json").read_text())
    jsonschema.validate(record, SCHEMA)
    found = {g["name"]: g for g in record["groups"][0]["groups"]}
    assert set(found) == {"a", "b"}
    for capture in record["captures"]:
        assert capture["queries"] == found[capture["group"]]["queries"]
        assert capture["queries"] == sum(w["queries"] for w in capture["workloads"])
    assert b"part of the path" in done.stdout
    wrong = run("audit", str(tmp_path / "in"), "-o", str(out), "--group-by", "nodes")
    assert wrong.returncode == 2 and b"did you mean node?" in wrong.stderr
