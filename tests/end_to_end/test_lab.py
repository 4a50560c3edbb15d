"""Captures of real resolvers, held against what they were asked and how they were set up."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pcapkit.model.settings import Change, Setting
from pcapkit.pipeline.analysis import Analysis
from pcapkit.pipeline.analyze import analyze

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "captures" / "lab"
TRUTH: dict[str, dict[str, Any]] = json.loads((ROOT / "tests" / "data" / "lab.json").read_text())
EXTRA = os.environ.get("PCAPKIT_EXTRA_CAPTURES")

_analyses: dict[str, Analysis] = {}


def of(name: str) -> Analysis:
    if name not in _analyses:
        _analyses[name] = analyze(LAB / name)
    return _analyses[name]


def assert_adds_up(analysis: Analysis) -> None:
    packets = analysis.packets
    skipped = sum(packets.skipped.values())
    assert packets.total == packets.with_messages + packets.duplicates + skipped
    assert sum(analysis.waste.by_class.values()) == analysis.waste.queries
    assert analysis.waste.queries == analysis.transaction_counts.total
    nameless = int(analysis.transactions["qname"].isna().sum())  # their questions cannot be read
    assert sum(n.queries for n in analysis.name_rows) == analysis.waste.queries - nameless
    assert sum(c.queries for c in analysis.client_rows) == analysis.waste.queries
    assert sum(n.wasted_queries for n in analysis.name_rows) == analysis.waste.wasted_queries


def test_every_capture_has_its_truth() -> None:
    assert sorted(TRUTH) == sorted(p.name for p in LAB.iterdir())


@pytest.mark.parametrize("name", TRUTH)
def test_counts(name: str) -> None:
    truth, analysis = TRUTH[name], of(name)
    assert_adds_up(analysis)
    assert analysis.packets.total == truth["packets"]
    if truth["queries"] is not None:
        assert analysis.waste.queries == truth["queries"]
        assert analysis.transaction_counts.retries == truth["retries"]
        assert {c: n for c, n in analysis.waste.by_class.items() if n} == truth["classes"]


@pytest.mark.parametrize("name", TRUTH)
def test_every_lookup_is_found(name: str) -> None:
    frame = of(name).lookups
    found = [
        (tuple(c.lower() for c in row["candidates"]), row["queries"], row)
        for row in frame.to_dict("records")
    ]
    for wanted in TRUTH[name]["lookups"]:
        key = tuple(wanted["candidates"]), wanted["queries"]
        match = next((f for f in found if f[:2] == key), None)
        assert match is not None, wanted["base"]
        found.remove(match)
        row = match[2]
        assert row["complete"] == wanted["complete"], wanted["base"]
        if wanted["complete"]:
            assert row["outcome"] in wanted["outcomes"], wanted["base"]
            same = row["base_name"].lower() == wanted["base"]
            assert same or row["ambiguous"], (row["base_name"], wanted["base"])


@pytest.mark.parametrize("name", TRUTH)
def test_settings_are_bounded_rightly(name: str) -> None:
    settings = {(c["address"], c["ndots"]) for c in TRUTH[name]["clients"]}
    rows = {c.client_addr: c for c in of(name).client_rows}
    for address, ndots in settings:
        if address in rows and len({n for a, n in settings if a == address}) == 1:
            assert rows[address].ndots.low <= ndots <= rows[address].ndots.high


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("whatif_w1_glibc_ndots5.pcap", "glibc"),
        ("whatif_w1_musl_ndots5.pcap", "musl"),
        ("whatif_w1_go_ndots5.pcap", "go"),
        ("busybox_nslookup.pcap", "busybox"),
    ],
)
def test_the_resolver_is_recognised(name: str, model: str) -> None:
    assert [c.resolver.model for c in of(name).client_rows] == [model]


def test_a_prediction_is_what_really_happened() -> None:
    """The same lookups were run under ndots 5 and ndots 2."""
    before, after = of("whatif_w1_glibc_ndots5.pcap"), of("whatif_w1_glibc_ndots2.pcap")
    predicted = next(
        w
        for w in before.what_if_rows
        if w.client_addr is None and w.setting == Setting(Change.NDOTS, 2)
    )
    assert predicted.queries == after.waste.queries
    same = next(w for w in after.what_if_rows if w.client_addr is None and w.observed)
    assert same.queries == after.waste.queries


def test_musl_names_that_would_break_are_called_unsafe() -> None:
    rows = {
        str(w.setting): w
        for w in of("whatif_w1_musl_ndots5.pcap").what_if_rows
        if w.client_addr is None
    }
    assert rows["ndots:2"].broken_lookups == 4
    assert rows["ndots:2"].safety == "unsafe"
    assert any("no longer resolve" in r for r in rows["ndots:2"].reasons)


def test_given_facts_beat_inferred_ones() -> None:
    from pcapkit.pipeline.options import make_options

    options = make_options(ndots=3, search=["svc.cluster.local"], resolver="musl")
    (client,) = analyze(LAB / "whatif_w1_glibc_ndots5.pcap", options=options).client_rows
    assert client.ndots.value == 3
    assert client.ndots.source == "option"
    assert client.search == ("svc.cluster.local",)
    assert client.resolver.model == "musl"


def test_the_same_capture_gives_the_same_bytes() -> None:
    path = LAB / "multi6_any_sll2.pcap"
    assert analyze(path).to_json() == analyze(path).to_json()


@pytest.mark.skipif(not EXTRA, reason="PCAPKIT_EXTRA_CAPTURES names no folder of captures")
def test_captures_from_outside_add_up() -> None:
    truths = sorted(Path(str(EXTRA)).rglob("*.truth.json"))
    assert truths
    for path in truths:
        truth = json.loads(path.read_text())
        if "capture" not in truth or not (path.parent / truth["capture"]).exists():
            continue
        analysis = analyze(path.parent / truth["capture"])
        assert_adds_up(analysis)
        if "counts" in truth and ".txt" not in truth["capture"]:
            assert analysis.packets.total == truth["counts"]["packets"], truth["capture"]
