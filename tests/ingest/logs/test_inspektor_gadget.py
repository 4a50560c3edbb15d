"""Inspektor Gadget's DNS events: both forms, several sightings of a packet, and their times."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pcapkit.pipeline.analyze import analyze
from tests.build import MS, START_NS, assert_ledger, load, rows, save
from tests.ingest.logs.test_lines import DATA, lookups

NEW = [json.loads(x) for x in (DATA / "ig-run-trace_dns.jsonl").read_text().splitlines()]
OLD = [json.loads(x) for x in (DATA / "gadget-trace-dns.jsonl").read_text().splitlines()[1:]]


def write(folder: Path, *events: dict[str, Any]) -> str:
    """Write events as lines and return the file's path."""
    return save(folder, "\n".join(json.dumps(e) for e in events).encode(), "events")


@pytest.mark.parametrize("events", [NEW, OLD])
def test_both_forms_show_the_same(events: list[dict[str, Any]], tmp_path: Path) -> None:
    query = rows(write(tmp_path, *events))[0]
    assert query["time"] == pd.Timestamp(START_NS, tz="UTC")
    assert query["client_addr"] == "10.244.1.17" and query["client_port"] == 40001
    assert query["server_addr"] == "10.96.0.10" and query["server_port"] == 53
    assert query["message_id"] == 0x1A57 and query["qtype"] == "A"
    assert query["aa"] is None and query["edns_bytes"] is None and query["message_bytes"] is None


def test_a_packet_seen_in_several_namespaces_counts_once(tmp_path: Path) -> None:
    """In the pod's, and after address translation in the server's."""
    events = []
    for event in NEW:
        other: dict[str, Any] = json.loads(json.dumps(event))
        later = START_NS + 100_000 if event["qr"] == "Q" else START_NS - 100_000
        shift = pd.Timedelta(later - START_NS, "ns")
        other["timestamp"] = (pd.Timestamp(event["timestamp"]) + shift).isoformat()
        other["netns_id"] = 4026532295
        other["src" if event["qr"] == "R" else "dst"]["addr"] = "10.244.0.3"
        events += [event, other] if event["qr"] == "Q" else [other, event]
    path = write(tmp_path, *events)
    collected = load(path)
    assert_ledger(collected)
    assert collected.duplicates == len(NEW)
    columns = ["base_name", "queries", "retries", "outcome"]
    wanted = lookups(str(DATA / "ig-run-trace_dns.jsonl"))
    pd.testing.assert_frame_equal(lookups(path)[columns], wanted[columns])


def test_a_resend_is_no_second_sighting(tmp_path: Path) -> None:
    first = OLD[0]
    again = {**first, "timestamp": first["timestamp"] + 5000 * MS}
    found = analyze(write(tmp_path, first, again))
    assert found.packets.duplicates == 0
    assert list(found.table("transactions")["retries"]) == [1]


@pytest.mark.parametrize(
    ("changes", "rcode"),
    [
        ({"rcode": "Success", "rcode_raw": 0}, "NOERROR"),
        ({"rcode": "NameError", "rcode_raw": 3}, "NXDOMAIN"),
        ({"rcode": "ServerFailure", "rcode_raw": 2}, "SERVFAIL"),
        ({"rcode": "Refused", "rcode_raw": None}, None),
    ],
)
def test_response_codes_of_the_new_form(
    changes: dict[str, Any], rcode: str | None, tmp_path: Path
) -> None:
    response = next(e for e in NEW if e["qr"] == "R")
    found = rows(write(tmp_path, NEW[0], {**response, **changes}))
    assert [r["rcode"] for r in found[1:]] == ([rcode] if rcode else [])


@pytest.mark.parametrize(
    ("text", "rcode"),
    [
        ("NoError", "NOERROR"),
        ("NXDomain", "NXDOMAIN"),
        ("ServFail", "SERVFAIL"),
        ("Refused", "REFUSED"),
        ("FormatError", "FORMERR"),
        ("NotImplemented", "NOTIMP"),
    ],
)
def test_response_codes_by_name(text: str, rcode: str, tmp_path: Path) -> None:
    response = next(e for e in OLD if e["qr"] == "R")
    assert rows(write(tmp_path, {**response, "rcode": text}))[0]["rcode"] == rcode


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"addresses": "192.0.2.1,192.0.2.2", "num_answers": 2}, "answer"),
        ({"addresses": ",192.0.2.1", "num_answers": 2}, "answer"),  # behind a CNAME
        ({"addresses": "", "num_answers": 1}, "nodata"),  # a CNAME alone
        ({"qtype": "PTR", "qtype_raw": 12, "addresses": "", "num_answers": 1}, "answer"),
        ({"qtype": "AAAA", "qtype_raw": 28, "addresses": "::1", "num_answers": 1}, "answer"),
    ],
)
def test_the_outcome_is_that_of_the_asked_type(
    changes: dict[str, Any], outcome: str, tmp_path: Path
) -> None:
    kind = {k: v for k, v in changes.items() if k.startswith("qtype")}
    response = next(e for e in NEW if e["qr"] == "R")
    done = {**response, "rcode": "Success", "rcode_raw": 0, **changes}
    found = analyze(write(tmp_path, {**NEW[0], **kind}, done)).table("transactions")
    assert list(found["outcome"]) == [outcome]


def test_the_pod_is_the_client_of_events_without_addresses(tmp_path: Path) -> None:
    """The first built-in gadgets printed no client address; the server's own view says nothing."""
    ends = ("srcIP", "dstIP", "srcPort", "dstPort")
    old = {k: v for k, v in OLD[0].items() if k not in ends}
    collected = load(write(tmp_path, {**old, "pktType": "HOST"}, {**old, "pktType": "OUTGOING"}))
    assert_ledger(collected)
    assert collected.skipped == {"no_client_address": 1}
    assert any("newer gadget" in w for w in collected.warnings)
    (row,) = rows(write(tmp_path, {**old, "pktType": "OUTGOING"}))
    assert row["client_addr"] == "default/api-7c5ddbdf54-q2x8v"


def test_multicast_dns_is_left_out(tmp_path: Path) -> None:
    mdns = {**OLD[0], "srcPort": 5353, "dstPort": 5353, "dstIP": "224.0.0.251"}
    assert load(write(tmp_path, mdns)).skipped == {"multicast_dns": 1}


def test_times_since_the_start_of_the_machine_are_said_to_be_so(tmp_path: Path) -> None:
    path = write(tmp_path, *({**e, "timestamp": e["timestamp"] - START_NS + 5} for e in OLD))
    assert any("start of the machine" in w for w in load(path).warnings)
    assert list(lookups(path)["queries"]) == [8, 4, 2]
