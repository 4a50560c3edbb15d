"""Rotated sets: several files, in any order, are one capture."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from pcapkit.errors import EmptyInput, InputError
from pcapkit.pipeline.analyze import analyze
from tests.build import (
    MS,
    Packet,
    address_record,
    answer,
    ask,
    conversation,
    ethernet,
    load,
    ng_block,
    ng_interface,
    ng_packet,
    ng_section,
    packets,
    pcap,
    query,
    response,
    save,
    table_of,
)

SUFFIXES = ("default.svc.cluster.local", "svc.cluster.local", "cluster.local")


def walks() -> list[Packet]:
    """Return two walks of a search list: three NXDOMAINs and an answer each, 16 packets."""
    frames = []
    names = [
        f"{base}.{suffix}".rstrip(".")
        for base in ("api.example.com", "db.example.org")
        for suffix in (*SUFFIXES, "")
    ]
    for ident, name in enumerate(names, 100):
        answered = "cluster" not in name
        records = (address_record(),) if answered else ()
        dns = response(name, ident=ident, rcode=0 if answered else 3, answers=records)
        frames.append(ethernet(ask(query(name, ident=ident), ident=2 * ident, port=41000)))
        frames.append(ethernet(answer(dns, ident=2 * ident + 1, port=41000)))
    return packets(*frames, step=MS)


def rotate(folder: Path, content: list[Packet], *, each: int) -> list[str]:
    """Write files as ``tcpdump -C`` names them: ``r.pcap``, ``r.pcap1``, ``r.pcap2`` ..."""
    parts = [content[k : k + each] for k in range(0, len(content), each)]
    return [save(folder, pcap(p), f"r.pcap{k or ''}") for k, p in enumerate(parts)]


@pytest.mark.parametrize("each", [1, 2, 3, 7])
def test_a_chain_that_crosses_files_stays_whole(tmp_path: Path, each: int) -> None:
    whole = save(tmp_path, pcap(walks()), "whole.pcap")
    parts = rotate(tmp_path, walks(), each=each)
    wanted = table_of([whole], "lookups")
    for given in (parts, parts[::-1], [str(tmp_path / "r.pcap*")]):
        got = table_of(given, "lookups")
        assert list(got["base_name"]) == ["api.example.com", "db.example.org"]
        columns = ["capture", "first_packet_no"]
        assert got.drop(columns=columns).equals(wanted.drop(columns=columns))
        assert list(got["capture"]) == [parts[0], parts[8 // each]]


def test_packet_numbers_stay_those_of_each_file(tmp_path: Path) -> None:
    parts = rotate(tmp_path, walks()[:8], each=3)
    frame = table_of(parts[::-1], "messages")
    assert list(frame["packet_no"]) == [1, 2, 3, 1, 2, 3, 1, 2]
    assert list(frame["capture"]) == [parts[0]] * 3 + [parts[1]] * 3 + [parts[2]] * 2


def test_names_do_not_decide_the_order(tmp_path: Path) -> None:
    """``tcpdump -W`` writes over the oldest file: the lowest number may be the newest."""
    content = walks()
    newest = save(tmp_path, pcap(content[6:]), "ring0")
    oldest = save(tmp_path, pcap(content[:3]), "ring1")
    middle = save(tmp_path, pcap(content[3:6]), "ring2")
    found = analyze(newest, oldest, middle)
    assert [c.path for c in found.captures] == [oldest, middle, newest]
    assert found.lookup_counts.total == 2


def test_numbers_in_names_break_a_tie_in_numeric_order(tmp_path: Path) -> None:
    for number in (2, 10, 1):
        save(tmp_path, pcap([Packet(ethernet(ask(query(ident=number))), 5)]), f"c.pcap{number}")
    order = [Path(c.path).name for c in load(str(tmp_path / "c.pcap*")).captures]
    assert order == ["c.pcap1", "c.pcap2", "c.pcap10"]


def test_empty_members_are_warned_about(tmp_path: Path) -> None:
    parts = rotate(tmp_path, walks(), each=4)
    empty = save(tmp_path, b"", "r.pcap8")
    header_only = save(tmp_path, pcap([]), "r.pcap9")
    found = analyze(str(tmp_path / "r.pcap*"))
    assert found.lookup_counts.total == 2
    assert f"{empty}: empty, left out" in found.warnings
    assert f"{header_only}: there is no packet in it" in found.warnings
    assert {c.path for c in found.captures} == {*parts, header_only}


def test_a_set_of_nothing_is_an_error(tmp_path: Path) -> None:
    for number in range(5):
        save(tmp_path, b"", f"e{number}")
    with pytest.raises(EmptyInput, match="all 5"):
        load(str(tmp_path / "e*"))
    with pytest.raises(InputError, match="no file matches"):
        load(str(tmp_path / "nothing*"))


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    path = save(tmp_path, pcap(conversation()))
    link = tmp_path / "link.pcap"
    link.symlink_to(path)
    found = load(path, str(link), str(tmp_path / "*.pcap"))
    assert [c.path for c in found.captures] == [path]
    assert found.packets == len(conversation())
    assert any("named more than once" in w and str(link) in w for w in found.warnings)


def test_a_name_with_brackets_is_a_name_first(tmp_path: Path) -> None:
    path = save(tmp_path, pcap(conversation()), "pod[1].pcap")
    save(tmp_path, pcap(conversation()), "pod1.pcap")
    assert [c.path for c in load(path).captures] == [path]


def test_a_long_beginning_without_packets_is_passed(tmp_path: Path) -> None:
    content = walks()
    notes = ng_block(4, b"\0" * 100_000)  # name resolution
    late = ng_section() + ng_interface() + notes + b"".join(ng_packet(p) for p in content[4:])
    second = save(tmp_path, late, "a.pcapng")
    first = save(tmp_path, pcap(content[:4]), "b.pcap")
    assert [c.path for c in load(second, first).captures] == [first, second]


def test_pipes_take_their_place_by_time(tmp_path: Path) -> None:
    content = walks()
    late = save(tmp_path, pcap(content[4:]), "late.pcap")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from pcapkit.cli.main import main; main()",
            "export",
            late,
            "-",
            "-t",
            "messages",
            "--format",
            "csv",
        ],
        input=pcap(content[:4]),
        capture_output=True,
        check=True,
    )
    column = [line.split(",")[0] for line in done.stdout.decode().splitlines()[1:]]
    assert column == ["stdin"] * 4 + [late] * 12


def test_more_files_than_may_be_open(tmp_path: Path) -> None:
    content = packets(
        *(ethernet(ask(query(f"n{k}.example.com", ident=k), ident=k)) for k in range(1, 401))
    )
    for number, packet in enumerate(content):
        save(tmp_path, pcap([packet]), f"m.pcap{number}")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 32, hard))
    try:
        found = load(str(tmp_path / "m.pcap*"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert found.packets == found.with_messages == 400
