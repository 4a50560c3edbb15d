"""CoreDNS' query lines: what stands before them, and what their sizes tell of the answer."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pcapkit.pipeline.analyze import analyze, table_parts
from tests.build import assert_ledger, load, rows, save
from tests.ingest.logs.test_lines import DATA, lookups

SAMPLE = (DATA / "coredns.log").read_text().splitlines()
PREFIX = re.compile(r"\[pod/\S+\] (\S+) ")
LINE = (
    '[INFO] 10.244.1.5:40212 - 17261 "A IN example.com.svc.cluster.local. udp 47 false 512" '
    "NXDOMAIN qr,aa,rd 140 0.000105s"
)


def one(folder: Path, line: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the query and the response of a line."""
    query, response = rows(save(folder, line.encode() + b"\n", "coredns.log"))
    return query, response


def answers(folder: Path, question: str, size: int, shown: int, flags: str = "qr,rd,ra") -> int:
    """Return how many answers a NOERROR response of ``shown`` bytes is taken to hold."""
    line = f'[INFO] 10.0.0.1:5 - 6 "{question} udp {size} false 512" NOERROR {flags} {shown} 0.001s'
    return int(one(folder, line)[1]["answers"])


def test_a_line_is_a_query_and_its_response(tmp_path: Path) -> None:
    query, response = one(tmp_path, "2024-05-01T10:00:00.123456789Z " + LINE)
    assert query["time"] == pd.Timestamp("2024-05-01T10:00:00.123351789Z")
    assert response["time"] == pd.Timestamp("2024-05-01T10:00:00.123456789Z")
    assert (query["packet_no"], query["message_no"]) == (1, 1)
    assert (response["packet_no"], response["message_no"]) == (1, 2)
    for row in (query, response):
        assert row["client_addr"] == "10.244.1.5" and row["client_port"] == 40212
        assert row["server_addr"] is None and row["server_port"] is None
        assert row["qname"] == "example.com.svc.cluster.local" and row["qtype"] == "A"
        assert row["message_id"] == 17261 and row["rd"] is True
    assert not query["is_response"] and query["message_bytes"] == 47 and query["edns_bytes"] is None
    assert response["rcode"] == "NXDOMAIN" and response["aa"] and not response["ra"]
    assert response["message_bytes"] == 140


@pytest.mark.parametrize(
    "before",
    [
        "2024-05-01T10:00:00.5Z ",  # kubectl logs --timestamps
        "[pod/coredns-1/coredns] 2024-05-01T10:00:00.500000000Z ",  # ... --prefix
        "2024-05-01T10:00:00.500000000Z stdout F ",  # the container runtime's own file
        "2024-05-01T12:00:00.500+02:00 ",
        "2024-05-01T10:00:00.731Z 2024-05-01T10:00:00.500Z ",  # CoreDNS before 1.6 under kubectl
    ],
)
def test_the_time_is_found_before_the_line(before: str, tmp_path: Path) -> None:
    _, response = one(tmp_path, before + LINE)
    assert response["time"] == pd.Timestamp("2024-05-01T10:00:00.5Z")


def test_a_time_without_a_zone_is_taken_as_utc(tmp_path: Path) -> None:
    path = save(tmp_path, f"2024-05-01 10:00:00,500 {LINE}\n".encode())
    assert rows(path)[1]["time"] == pd.Timestamp("2024-05-01T10:00:00.5Z")
    assert any("no zone" in w for w in load(path).warnings)


def test_dockers_log_files_are_read(tmp_path: Path) -> None:
    wrapped = [
        json.dumps({"log": PREFIX.sub("", line) + "\n", "stream": "stdout", "time": found[1]})
        for line in SAMPLE
        if (found := PREFIX.match(line))
    ]
    path = save(tmp_path, "\n".join(wrapped).encode(), "x-json.log")
    pd.testing.assert_frame_equal(lookups(path), lookups(str(DATA / "coredns.log")))


def test_without_times_the_walks_stay_whole(tmp_path: Path) -> None:
    """Another client's line stands behind each: only the client's own order counts."""
    lines = [PREFIX.sub("", line) for line in SAMPLE if '"' in line]
    other = LINE.replace("10.244.1.5", "10.244.9.9")
    busy = []
    for k, line in enumerate(lines):
        busy += [line, *(other.replace("40212", str(50_000 + 7 * k + n)) for n in range(7))]
    path = save(tmp_path, "\n".join(busy).encode())
    frames, warnings = table_parts([path], "lookups")
    frame = next(frames)
    mine = frame[frame["client_addr"] == "10.244.1.17"]
    assert list(mine["base_name"]) == ["api.example.com", "db.prod", "web"]
    assert list(mine["queries"]) == [8, 4, 2]
    assert mine["duration_s"].isna().all() and mine["start_time"].isna().all()
    assert any("no times" in w for w in warnings)


def test_the_combined_format_adds_the_opcode(tmp_path: Path) -> None:
    query, response = one(tmp_path, LINE + ' "4"')
    assert query["opcode"] == response["opcode"] == "NOTIFY"


@pytest.mark.parametrize(
    ("question", "size", "shown", "count"),
    [
        ("A IN example.com.", 29, 29 + 27, 1),
        ("A IN example.com.", 29, 29 + 3 * 27, 3),
        ("AAAA IN example.com.", 29, 29 + 2 * 39, 2),
        ("AAAA IN example.com.", 29, 29, 0),  # nothing but the question
        ("AAAA IN web.default.svc.cluster.local.", 47, 47 + 93, 0),  # the cluster's SOA
        ("AAAA IN replaced.default.svc.cluster.local.", 47, 47 + 93, 0),
        ("A IN replaced.example.", 29, 29 + 2 * 27, 2),
        ("A IN www.example.com.", 33, 33 + 60, 1),  # a CNAME and an address, or one of a kind
        ("SRV IN _x._tcp.web.default.svc.cluster.local.", 55, 55 + 100, 1),
        ("SRV IN _x._tcp.web.default.svc.cluster.local.", 55, 55 + 93, 0),
    ],
)
def test_sizes_tell_answers_from_none(
    question: str, size: int, shown: int, count: int, tmp_path: Path
) -> None:
    assert answers(tmp_path, question, size, shown) == count


@pytest.mark.parametrize(
    ("question", "size", "shown", "count"),
    [
        ("AAAA IN web.default.svc.cluster.local.", 58, 47 + 93 + 11, 0),
        ("A IN example.com.", 40, 29 + 27 + 11, 1),
        ("A IN example.com.", 40, 29 + 27, 1),
        ("A IN example.com.", 40, 29 + 11, 0),
    ],
)
def test_sizes_allow_for_edns(
    question: str, size: int, shown: int, count: int, tmp_path: Path
) -> None:
    line = f'10.0.0.1:5 - 6 "{question} udp {size} false 1232" NOERROR qr,rd {shown} 0.001s'
    query, response = one(tmp_path, line)
    assert (query["edns_bytes"], response["answers"]) == (1232, count)


def test_a_line_without_a_response_code_is_a_servfail(tmp_path: Path) -> None:
    _, response = one(tmp_path, LINE.replace("NXDOMAIN qr,aa,rd 140 0.000105s", "- - 0 6.0021s"))
    assert response["rcode"] == "SERVFAIL" and response["answers"] == 0


@pytest.mark.parametrize(
    ("client", "address"),
    [
        ("[2001:db8::5]:40212", "2001:db8::5"),
        ("[fe80::1%eth0]:40212", "fe80::1"),
        ("10.244.1.5:40212", "10.244.1.5"),
    ],
)
def test_clients_of_both_families(client: str, address: str, tmp_path: Path) -> None:
    assert one(tmp_path, LINE.replace("10.244.1.5:40212", client))[0]["client_addr"] == address


def test_names_keep_their_escapes(tmp_path: Path) -> None:
    query, _ = one(tmp_path, LINE.replace("example.com", r"a\"b\ c\195\164"))
    assert query["qname"].startswith(r"a\"b\032c\195\164.svc.")


def test_lines_like_queries_that_are_none_are_counted_apart(tmp_path: Path) -> None:
    bad = [
        LINE.replace("10.244.1.5", "10.244.1.555"),
        LINE.replace("40212", "99999"),
        LINE.replace(" NXDOMAIN", ""),
        LINE.replace("example", "e" * 64),
        LINE.replace("17261", "x"),
    ]
    text = "\n".join([LINE, *bad, "[ERROR] plugin/errors: 2 . NS: i/o timeout"])
    collected = load(save(tmp_path, text.encode()))
    assert_ledger(collected)
    assert collected.skipped == {"text_not_understood": 4, "other_event": 1}
    assert collected.with_messages == 2  # an ID that is none hides the ID, not the query


def test_a_log_without_query_lines_says_what_is_missing(tmp_path: Path) -> None:
    path = save(tmp_path, b"[INFO] plugin/ready: Still waiting on: kubernetes\n")
    assert any("add the plugin log" in w for w in analyze(path).warnings)
