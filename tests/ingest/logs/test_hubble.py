"""Hubble's DNS flows: the fields that are left out, older forms, and what Hubble says of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pcapkit.pipeline.analyze import analyze
from tests.build import load, rows, save
from tests.ingest.logs.test_lines import DATA

EVENTS = [json.loads(line) for line in (DATA / "hubble.jsonl").read_text().splitlines()]
REQUEST = next(e for e in EVENTS if e.get("flow", {}).get("l7", {}).get("type") == "REQUEST")
RESPONSE = next(e for e in EVENTS if "rcode" in e.get("flow", {}).get("l7", {}).get("dns", {}))


def flow(of: dict[str, Any] = REQUEST, **changes: Any) -> dict[str, Any]:
    """Return an event with the flow's fields changed; ``dns`` changes the DNS part."""
    event: dict[str, Any] = json.loads(json.dumps(of))
    dns = changes.pop("dns", {})
    event["flow"].update(changes)
    event["flow"]["l7"]["dns"].update(dns)
    return event


def write(folder: Path, *events: dict[str, Any]) -> str:
    """Write events as lines and return the file's path."""
    return save(folder, "\n".join(json.dumps(e) for e in events).encode(), "flows")


def answer(folder: Path, **dns: Any) -> dict[str, Any]:
    """Return the message of a response whose DNS part is changed."""
    event = flow(RESPONSE)
    del event["flow"]["l7"]["dns"]["rcode"]
    (row,) = rows(write(folder, flow(event, dns=dns)))
    return row


def test_a_request_shows_no_more_than_hubble_tells(tmp_path: Path) -> None:
    (row,) = rows(write(tmp_path, REQUEST))
    assert row["client_addr"] == "10.244.1.17" and row["client_port"] == 40001
    assert row["server_addr"] == "10.96.0.10" and row["server_port"] == 53
    assert row["qname"] == "api.example.com.default.svc.cluster.local"
    hidden = ("message_id", "aa", "tc", "rd", "ra", "edns_bytes", "message_bytes", "min_ttl")
    assert all(row[c] is None for c in (*hidden, "answers", "rcode"))


def test_absent_fields_are_zeros_as_protocol_buffers_have_it(tmp_path: Path) -> None:
    assert rows(write(tmp_path, RESPONSE))[0]["rcode"] == "NXDOMAIN"
    assert answer(tmp_path)["rcode"] == "NOERROR"


@pytest.mark.parametrize(
    ("dns", "answers", "min_ttl"),
    [
        ({"ips": ["192.0.2.1", "192.0.2.2"], "rrtypes": ["A", "A"], "ttl": 30}, 2, 30),
        ({"ips": ["192.0.2.1"], "cnames": ["x.example."], "rrtypes": ["CNAME", "A"]}, 2, 0),
        ({"ips": ["192.0.2.1"], "cnames": ["x.example."], "rrtypes": []}, 2, 0),  # before rrtypes
        ({"ttl": 4294967295}, 0, None),
        ({"cnames": ["x.example."], "rrtypes": ["CNAME"], "ttl": 30}, 1, None),  # a denial
    ],
)
def test_the_answer_is_counted(
    dns: dict[str, Any], answers: int, min_ttl: int | None, tmp_path: Path
) -> None:
    row = answer(tmp_path, **{"ttl": 0, **dns})
    assert (row["answers"], row["min_ttl"]) == (answers, min_ttl)


@pytest.mark.parametrize(
    ("dns", "outcome"),
    [
        ({"ips": ["192.0.2.1"], "rrtypes": ["A"]}, "answer"),
        ({"cnames": ["x.example."], "rrtypes": ["CNAME"]}, "nodata"),  # an alias is no answer
        ({"qtypes": ["AAAA"], "ips": ["2001:db8::1"], "rrtypes": ["AAAA"]}, "answer"),
        ({"qtypes": ["SRV"], "rrtypes": ["SRV"]}, "answer"),
        ({"qtypes": ["SRV"], "rrtypes": []}, "nodata"),
    ],
)
def test_the_outcome_is_that_of_the_asked_type(
    dns: dict[str, Any], outcome: str, tmp_path: Path
) -> None:
    kind = {"qtypes": dns.get("qtypes", ["A"])}
    event = flow(RESPONSE, dns={"rcode": 0, **kind, **dns})
    found = analyze(write(tmp_path, flow(dns=kind), event)).table("transactions")
    assert list(found["outcome"]) == [outcome]
    assert found["forwarded"].isna().all() and found["aa"].isna().all()


def test_a_flow_by_itself_and_a_time_in_parts_are_read(tmp_path: Path) -> None:
    """Before ``-o jsonpb``, Hubble printed the flow without an object around it."""
    bare = flow(time={"seconds": "1700000000", "nanos": 123456000})["flow"]
    assert rows(write(tmp_path, bare)) == rows(write(tmp_path, REQUEST))


def test_tcp_and_the_direction_are_taken_from_the_ports(tmp_path: Path) -> None:
    event = flow(l4={"TCP": {"source_port": 40001, "destination_port": 53}})
    assert rows(write(tmp_path, event))[0]["transport"] == "tcp"
    same_side = flow(RESPONSE, IP=REQUEST["flow"]["IP"], l4=REQUEST["flow"]["l4"])
    assert rows(write(tmp_path, same_side))[0]["client_addr"] == "10.244.1.17"


def test_other_flows_are_counted_as_such(tmp_path: Path) -> None:
    other = flow(Type="L3_L4")
    del other["flow"]["l7"]
    web = flow()
    web["flow"]["l7"] = {"type": "REQUEST", "http": {"method": "GET"}}
    unknown = flow(dns={"qtypes": ["Unknown"]})  # a type that Hubble has no name for
    collected = load(write(tmp_path, other, web, unknown, REQUEST))
    assert collected.skipped == {"other_event": 2, "text_not_understood": 1}


def test_lost_events_are_warned_about() -> None:
    assert any("Hubble lost 3 events" in w for w in load(str(DATA / "hubble.jsonl")).warnings)
