"""Rotated files: whatever goes on from one to the next is read as if they were one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pcapkit.pipeline.analyze import analyze
from tests import build
from tests.build import MS, address_record, answer, ask, ethernet, ipv4, query, response, tcp, udp

LONG = [address_record(f"192.0.2.{n}") for n in range(1, 120)]


def _fragments(dns: bytes, ident: int) -> list[bytes]:
    """Return the datagram of a response in two fragments."""
    whole = udp(dns, 53, 40000)
    ends = {"source": build.SERVER, "target": build.CLIENT}
    return [
        ipv4(whole[:800], ident=ident, fragment=0x2000, **ends),
        ipv4(whole[800:], ident=ident, fragment=100, **ends),
    ]


def _segments(dns: bytes, size: int) -> list[bytes]:
    """Return a TCP message in segments of some bytes."""
    data = build.framed(dns)
    parts = [(at, data[at : at + size]) for at in range(0, len(data), size)]
    return [
        ipv4(
            tcp(part, 53, 40001, sequence=5000 + at),
            build.SERVER,
            build.CLIENT,
            protocol=6,
            ident=300 + at,
        )
        for at, part in parts
    ]


def _conversation() -> list[build.Packet]:
    frames = [ask(query("api.example.com", ident=1), ident=1)]
    frames += _fragments(response("api.example.com", ident=1, answers=LONG), 77)
    asked = build.framed(query("web.example.com", ident=2))
    frames += [ipv4(tcp(asked[:7], 40001, 53, sequence=100), protocol=6, ident=2)]
    frames += [ipv4(tcp(asked[7:], 40001, 53, sequence=107), protocol=6, ident=3)]
    frames += _segments(response("web.example.com", ident=2, answers=LONG), 700)
    frames += [ask(query("end.example.com", ident=3), ident=4)]
    frames += [answer(response("end.example.com", ident=3, answers=LONG[:1]), ident=5)]
    return build.packets(*map(ethernet, frames), step=MS)


def _facts(*paths: str) -> dict[str, Any]:
    found = analyze(*paths)
    known = (
        "packets",
        "message_counts",
        "transaction_counts",
        "lookup_counts",
        "waste",
        "name_rows",
    )
    return {name: getattr(found, name) for name in known}


def _mixed(packets: Sequence[build.Packet]) -> bytes:
    """Return a file of the other format each time."""
    return next(_FORMATS)(packets)


_FORMATS = itertools.cycle([build.pcapng, build.pcap])


@pytest.mark.parametrize("write", [build.pcap, build.pcapng, _mixed], ids=["pcap", "ng", "both"])
@pytest.mark.parametrize("cut", range(1, len(_conversation())))
def test_a_cut_after_any_packet_changes_nothing(
    tmp_path: Path, cut: int, write: Callable[[Sequence[build.Packet]], bytes]
) -> None:
    whole = _conversation()
    first = build.save(tmp_path, write(whole[:cut]), "c.pcap1")
    second = build.save(tmp_path, write(whole[cut:]), "c.pcap2")
    assert _facts(first, second) == _facts(build.save(tmp_path, build.pcap(whole)))
    table = build.table_of([second, first], "messages")
    bounds = {first: cut, second: len(whole) - cut}
    assert all(1 <= row.packet_no <= bounds[row.capture] for row in table.itertuples())


def test_what_the_next_file_does_not_end_is_shown_as_far_as_it_goes(tmp_path: Path) -> None:
    """The first fragment is all there is, as with a port filter: it stays the first file's."""
    whole = _conversation()
    first = build.save(tmp_path, build.pcap(whole[:2]), "c.pcap1")
    second = build.save(tmp_path, build.pcap(whole[-2:]), "c.pcap2")
    table = build.table_of([first, second], "messages")
    shown = [(Path(row.capture).name, row.packet_no) for row in table.itertuples()]
    assert shown == [("c.pcap1", 1), ("c.pcap1", 2), ("c.pcap2", 1), ("c.pcap2", 2)]
    build.assert_ledger(build.load(first, second))


def test_captures_of_the_same_time_are_not_taken_for_one(tmp_path: Path) -> None:
    whole = _conversation()
    first = build.save(tmp_path, build.pcap([*whole[:2], *whole[-2:]]), "a.pcap")
    second = build.save(tmp_path, build.pcap(whole[2:]), "b.pcap")
    assert build.load(first, second).skipped["fragment"] == 1
    build.assert_ledger(build.load(first, second))
